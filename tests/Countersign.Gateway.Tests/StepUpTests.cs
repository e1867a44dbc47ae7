using Countersign.Core;
using Countersign.Identity.Passkeys;
using Countersign.Reviews;

namespace Countersign.Gateway.Tests;

/// <summary>Approvals that policy wants proven by a passkey.</summary>
public sealed class StepUpTests
{
    private static readonly Requirement Passkey = Rules.Requirement(1, "dba") with { StepUp = StepUp.Passkey };

    private static async Task<House> OpenAsync(params Requirement[] requirements)
    {
        var house = await House.OpenAsync();
        house.Rules.Ask(requirements);
        house.Rules.MayBreakGlass = static (user, _, _) => user.Ref.Name == "sue";
        return house;
    }

    [Theory]
    [InlineData("cli")]
    [InlineData("api")]
    [InlineData("console")]
    public async Task P32_A_yes_without_a_signature_counts_on_no_channel(string channel)
    {
        await using var house = await OpenAsync(Passkey, Rules.Requirement(1, "sre"));
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;

        // Also of him who fills the slot of a policy that does not ask for it: it is the review that is proven.
        foreach (var name in new[] { "ada", "sam" }) Assert.Equal(ReasonCodes.StepUpRequired, (await house.AnswerAsync(id, name, channel: channel)).ReasonCode);
        Assert.Equal(ReasonCodes.StepUpRequired, (await house.AnswerAsync(id, "sue", AnswerKind.BreakGlass, "the shop is down", channel)).ReasonCode);
        Assert.Equal(3, house.Count("answer-refused"));
        Assert.Equal(ReasonCodes.StepUpRequired, house.Entry("answer-refused").GetProperty("reason").GetString());
        Assert.Empty(house.Desk.Find(id)!.Answers);

        // Nor with anything that merely looks like one.
        var (statement, _) = house.Desk.Draft(id, house.User("ada"), AnswerKind.Approve, channel, null);
        var made = new PasskeyAssertion([1], new byte[37], "{}"u8.ToArray(), [2]);
        Assert.Equal(ReasonCodes.StepUpFailed, (await house.Desk.AnswerAsync(id, house.User("ada"), channel, statement!, made)).ReasonCode);

        // A no needs no proof.
        Assert.Equal(ReasonCodes.ReviewDenied, (await house.AnswerAsync(id, "ben", AnswerKind.Deny, channel: channel)).ReasonCode);
        await held.RefusedAsync(ReasonCodes.ReviewDenied);
    }

    [Fact]
    public async Task Statement_says_that_a_passkey_is_asked_for_and_nothing_where_it_is_not()
    {
        await using var house = await OpenAsync(Passkey);
        var held = await house.HoldOpenAsync();
        var (statement, _) = house.Desk.Draft((await held.Opened).Id, house.User("ada"), AnswerKind.Approve, "console", null);
        Assert.Contains("\"quorum\":1,\"stepUp\":\"passkey\"}", statement, StringComparison.Ordinal);
        house.Rules.Ask(Rules.Requirement(1, "dba"));
        var other = await house.HoldOpenAsync(house.Action("update customers set name = 'y' where id = 2"));
        var (plain, _) = house.Desk.Draft((await other.Opened).Id, house.User("ada"), AnswerKind.Approve, "console", null);
        Assert.DoesNotContain("stepUp", plain, StringComparison.Ordinal);
    }
}
