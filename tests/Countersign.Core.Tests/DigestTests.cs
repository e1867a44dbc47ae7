using System.Text;
using CsCheck;

namespace Countersign.Core.Tests;

public sealed class DigestTests
{
    [Fact]
    public void Worked_example_of_the_specification_is_what_the_code_computes()
    {
        using var stream = typeof(DigestTests).Assembly.GetManifestResourceStream("digest.md")!;
        using var reader = new StreamReader(stream);
        var page = reader.ReadToEnd().Split('\n');

        Assert.Contains(Encoding.UTF8.GetString(Actions.Example.ToCanonical()), page);
        Assert.Contains(Actions.Digest(Actions.Example).ToString(), page);
        Assert.Contains(JoinKey.Compute(Actions.Salt, Actions.Example.ToCanonical()).ToString(), page);
    }

    [Fact]
    public void P25_Two_bigints_that_differ_in_the_last_digit_are_two_digests()
    {
        // 2^53 + 1 and 2^53: as JSON numbers the two would be one.
        Assert.NotEqual(Actions.Digest(Actions.With(Actions.Bigint(9007199254740993))), Actions.Digest(Actions.With(Actions.Bigint(9007199254740992))));
    }

    [Fact]
    public void P25_Absent_null_and_empty_are_three_values()
    {
        var absent = Actions.With();
        var nothing = Actions.With(new ActionParameter("text", "text", null, null));
        var empty = Actions.With(new ActionParameter("text", "text", [], ""));
        Assert.Equal(3, new[] { absent, nothing, empty }.Select(static a => Actions.Digest(a).ToString()).Distinct().Count());
    }

    [Fact]
    public void P25_Same_number_in_another_format_or_type_is_another_digest()
    {
        var one = Encoding.ASCII.GetBytes("1");
        var forms = new[]
        {
            Actions.With(new ActionParameter("int8", "text", one, "1")),
            Actions.With(new ActionParameter("int4", "text", one, "1")),
            Actions.With(new ActionParameter("int8", "binary", one, "1")),
            Actions.With(new ActionParameter("int8", "text", Encoding.ASCII.GetBytes("01"), "1")),
            Actions.With(new ActionParameter("int8", "text", Encoding.ASCII.GetBytes("1.0"), "1")),
            Actions.With(Actions.Bigint(1)),
        };
        Assert.Equal(forms.Length, forms.Select(static a => Actions.Digest(a).ToString()).Distinct().Count());
    }

    [Fact]
    public void Digest_changes_with_everything_that_is_forwarded_and_everyone_who_acts()
    {
        var it = Actions.Example;
        var variants = new Dictionary<string, GatewayAction>
        {
            ["itself"] = it,
            ["agent"] = it with { Actors = it.Actors with { Agent = Actions.Agent with { Id = new OpaqueId("ag_zzzzzzzzzzzzzzzz") } } },
            ["owner"] = it with { Actors = it.Actors with { Owner = Actions.Bob } },
            ["for"] = it with { Actors = it.Actors with { OnBehalfOf = Actions.Bob } },
            ["target"] = it with { Target = it.Target with { Name = "shop2" } },
            ["environment"] = it with { Target = it.Target with { Environment = "staging" } },
            ["operation"] = it with { Payload = it.Payload with { Operation = "query" } },
            ["text"] = it with { Payload = it.Payload with { Bytes = Encoding.UTF8.GetBytes("UPDATE customers SET vip = $1 WHERE id = $2 ") } },
            ["value"] = Actions.With(it.Payload.Parameters[0], Actions.Bigint(1)),
            ["order of values"] = Actions.With(it.Payload.Parameters[1], it.Payload.Parameters[0]),
            ["row limit"] = it with { Payload = it.Payload with { Fields = [("row-limit", "1")] } },
            ["role"] = it with { Settings = new Dictionary<string, string>(it.Settings) { ["role"] = "admin" } },
            ["path"] = it with { Settings = new Dictionary<string, string>(it.Settings) { ["search_path"] = "evil,public" } },
            ["database"] = it with { Settings = new Dictionary<string, string>(it.Settings) { ["database"] = "shop2" } },
        };

        var same = variants.GroupBy(static v => Actions.Digest(v.Value).ToString()).Where(static g => g.Count() > 1).Select(static g => string.Join(" = ", g.Select(static v => v.Key)));
        Assert.Empty(same);
    }

    [Fact]
    public void Digest_does_not_depend_on_what_is_not_forwarded()
    {
        var it = Actions.Example;
        var other = it with
        {
            Id = new ActionId("ac_other"),
            Intent = new Intent("because", "T-1", "task", "model"),
            Effects = [],
            Notes = ["a note"],
            Settings = it.Settings.Reverse().ToDictionary(static s => s.Key, static s => s.Value),
            Actors = it.Actors with { Agent = Actions.Agent with { Name = "renamed" }, Groups = ["others"] },
            Payload = it.Payload with { DisplayText = "shown otherwise", Parameters = it.Payload.Parameters.Select(static p => p with { Text = "?" }).ToArray() },
        };
        Assert.Equal(Actions.Digest(it), Actions.Digest(other));
    }

    [Fact]
    public void Same_action_under_another_salt_is_another_digest_and_has_the_same_join_key()
    {
        var canonical = Actions.Example.ToCanonical();
        var salt = Convert.FromHexString("ff0102030405060708090a0b0c0d0e0f");
        Assert.NotEqual(GatewayAction.ComputeDigest(Actions.Salt, canonical), GatewayAction.ComputeDigest(salt, canonical));
        Assert.Equal(JoinKey.Compute(salt, canonical), JoinKey.Compute(salt, Actions.Example.ToCanonical()));
        Assert.Throws<ArgumentOutOfRangeException>(static () => GatewayAction.ComputeDigest(new byte[15], [1]));
    }

    [Fact]
    public void Digest_is_equal_to_itself_alone_and_an_empty_one_to_nothing()
    {
        var digest = Actions.Digest(Actions.Example);
        Assert.Equal(digest, ActionDigest.Parse(digest.ToString()));
        Assert.True(default(ActionDigest) != default(ActionDigest));
        Assert.False(digest == default);
        Gen.Int[0, 255].Sample(bit =>
        {
            var bytes = digest.Span.ToArray();
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
            return new ActionDigest(bytes) != digest;
        });
    }

    [Fact]
    public void Parameters_and_fields_can_not_be_moved_into_each_other()
    {
        // Text that looks like the syntax around it stays text.
        var gen = Gen.String[Gen.Char["\",:[]{}\\ab"], 0, 4];
        Gen.Select(gen, gen, gen, gen).Sample((a, b, c, d) =>
        {
            var one = Actions.Example with { Payload = Actions.Example.Payload with { Parameters = [], Fields = [(a, b)] } };
            var two = Actions.Example with { Payload = Actions.Example.Payload with { Parameters = [], Fields = [(c, d)] } };
            return Actions.Digest(one).Equals(Actions.Digest(two)) == ((a, b) == (c, d));
        });
    }
}
