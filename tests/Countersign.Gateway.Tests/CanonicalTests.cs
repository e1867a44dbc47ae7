using System.Text;
using Countersign.Core;
using CsCheck;

namespace Countersign.Gateway.Tests;

/// <summary>P25, at the forms that digest, join key and statement are computed over.</summary>
public sealed class CanonicalTests
{
    private static GatewayAction Action(params ActionParameter[] parameters)
    {
        var chain = new ActorChain(new PrincipalRef(PrincipalKind.Agent, new OpaqueId("ag_1"), "a"), new PrincipalRef(PrincipalKind.User, new OpaqueId("us_1"), "u"), null) { Groups = [] };
        var action = Given.Action(chain);
        return action with { Payload = action.Payload with { Parameters = parameters } };
    }

    [Fact]
    public void P25_absent_null_and_empty_are_three_things()
    {
        byte[][] forms =
        [
            Action().ToCanonical(),
            Action(new ActionParameter("text", "text", null, null)).ToCanonical(),
            Action(new ActionParameter("text", "text", [], "")).ToCanonical(),
            Action(new ActionParameter("text", "text", "null"u8.ToArray(), "null")).ToCanonical(),
        ];
        Assert.Equal(forms.Length, forms.Select(Convert.ToHexStringLower).Distinct().Count());
        Assert.Equal("""{"b":null,"c":""}""", CanonicalJson.Object(("a", null), ("b", CanonicalJson.Nothing.Instance), ("c", "")).ToString());
    }

    [Fact]
    public void P25_look_alikes_and_forms_of_numbers_are_different_values()
    {
        string[] values = ["1", "1.0", "01", "1e0", "é", "e\u0301", "a", "\u0430", "A", " 1", "9007199254740992", "9007199254740993"];
        var forms = values.Select(static v => Convert.ToHexStringLower(Action(new ActionParameter("numeric", "text", Encoding.UTF8.GetBytes(v), "1")).ToCanonical())).ToArray();
        Assert.Equal(values.Length, forms.Distinct().Count());
    }

    [Fact]
    public void P25_order_of_settings_does_not_matter_and_of_parameters_does()
    {
        var one = Action() with { Settings = new Dictionary<string, string> { ["a"] = "1", ["b"] = "2" } };
        Assert.Equal(one.ToCanonical(), (one with { Settings = new Dictionary<string, string> { ["b"] = "2", ["a"] = "1" } }).ToCanonical());
        Assert.NotEqual(Action(Given.Bigint(1), Given.Bigint(2)).ToCanonical(), Action(Given.Bigint(2), Given.Bigint(1)).ToCanonical());
        Assert.Throws<ArgumentException>(static () => CanonicalJson.Object(("a", 1), ("a", 2)));
    }

    [Fact]
    public void P36_no_value_can_pass_for_the_border_between_two() => Gen.Select(Gen.String, Gen.String, Gen.Int[0, 20]).Sample(static (left, right, cut) =>
    {
        var whole = left + right;
        var at = Math.Min(cut, whole.Length);
        if (at == left.Length) return;
        Assert.NotEqual(CanonicalJson.Strings([left, right]).ToString(), CanonicalJson.Strings([whole[..at], whole[at..]]).ToString());
    }, iter: 2000);

    [Fact]
    public void What_the_agent_says_and_what_it_is_called_is_not_in_the_digest()
    {
        var action = Action();
        Assert.Equal(action.ToCanonical(), (action with { Id = ActionId.New(), Intent = Intent.None, Effects = [], Notes = ["x"] }).ToCanonical());
    }
}
