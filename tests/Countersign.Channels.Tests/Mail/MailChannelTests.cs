using Countersign.Channels.Cards;
using Countersign.Channels.Mail;
using Countersign.Core;
using Countersign.Gateway.Tests;
using Countersign.Reviews;

namespace Countersign.Channels.Tests.Mail;

/// <summary>Reviews by mail: quiet, in one thread, and nothing is decided there.</summary>
public sealed class MailChannelTests
{
    private static MailChannel Channel(PlayedRelay relay, House house, params string[] carries) =>
        new("mail", new ChannelReach(carries.ToHashSet(StringComparer.Ordinal), true), new MailRelay { Host = "127.0.0.1", Port = relay.Port, Tls = MailTls.None, From = "countersign@example.com" }, house.Time);

    private static async Task UntilAsync(House house, Func<bool> holds)
    {
        for (var n = 1; !holds(); n++)
        {
            Assert.True(n < 3000, "it never came to be so");
            if (n % 10 == 0) house.Time.Advance(TimeSpan.FromSeconds(1));
            await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System);
        }
    }

    [Fact]
    public async Task Review_is_one_thread_of_few_mails_to_each_address_by_itself()
    {
        await using var house = await House.OpenAsync();
        await using var relay = new PlayedRelay();
        await using var told = new Told(house, [Told.Everything("mail:dba@example.com", "mail:lead@example.com")], Channel(relay, house, "pii"));
        var held = await house.HoldOpenAsync();
        var id = (await held.Opened).Id;
        await UntilAsync(house, () => relay.Mails.Count == 2);
        Assert.Equal([["dba@example.com"], ["lead@example.com"]], relay.Mails.Select(static m => m.To).OrderBy(static t => t[0], StringComparer.Ordinal));

        house.Time.Advance(TimeSpan.FromMinutes(8));
        await UntilAsync(house, () => relay.Mails.Count == 4);
        await house.ApproveAsync(held, "ada");
        var released = await held.ReleasedAsync();
        await house.Desk.RecordOutcomeAsync(id, released.Review.ReleasedAction!.Value, new Outcome(OutcomeStatus.Done, 1, 0, TimeSpan.Zero, null));
        await UntilAsync(house, () => told.Postings.Of(id).All(static p => p.FinishedAt is not null));

        var thread = relay.Mails.Where(static m => m.To[0] == "dba@example.com").Select(static m => m.Parsed).ToArray();
        Assert.Equal(3, thread.Length);
        Assert.All(thread[1..], m => Assert.Equal(thread[0].MessageId, m.InReplyTo));
        Assert.Equal(3, thread.Select(static m => m.MessageId).Distinct(StringComparer.Ordinal).Count());
        Assert.Contains($"https://countersign.example.com/reviews/{id}", thread[0].TextBody!, StringComparison.Ordinal);
        Assert.Contains("update customers set name = 'x' where id = 1", thread[0].TextBody!, StringComparison.Ordinal);
        Assert.Contains("Half of the time is over", thread[1].TextBody!, StringComparison.Ordinal);
        Assert.Empty(relay.Complaints);
    }

    [Fact]
    public async Task I10_Mail_below_the_data_class_holds_neither_statement_nor_words()
    {
        await using var house = await House.OpenAsync();
        await using var relay = new PlayedRelay();
        await using var told = new Told(house, [Told.Everything("mail:dba@example.com")], Channel(relay, house));
        await house.HoldOpenAsync(house.Action("update customers set secret_name = 'x'"));
        await UntilAsync(house, () => relay.Mails.Count == 1);
        var mail = relay.Mails[0].Parsed;
        foreach (var part in (string[])[mail.TextBody!, mail.HtmlBody!, mail.Subject!])
        {
            Assert.DoesNotContain("secret_name", part, StringComparison.Ordinal);
            Assert.DoesNotContain("refund", part, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task I10_Long_statement_is_told_by_its_head_and_that_is_said()
    {
        await using var house = await House.OpenAsync();
        await using var relay = new PlayedRelay();
        await using var told = new Told(house, [Told.Everything("mail:dba@example.com")], Channel(relay, house, "pii"));
        await house.HoldOpenAsync(house.Action($"update customers set a = '{new string('y', 200_000)}' -- tail"));
        await UntilAsync(house, () => relay.Mails.Count == 1);
        Assert.InRange(relay.Mails[0].Bytes.Length, 1, 64 << 10);
        Assert.Contains("characters of the statement stand here", relay.Mails[0].Parsed.TextBody!, StringComparison.Ordinal);
        Assert.Empty(relay.Complaints);
    }

    [Fact]
    public async Task Relay_that_is_full_is_tried_again()
    {
        await using var house = await House.OpenAsync();
        await using var relay = new PlayedRelay();
        relay.Fail(".", "452 4.3.1 full");
        await using var told = new Told(house, [Told.Everything("mail:dba@example.com")], Channel(relay, house, "pii"));
        await house.HoldOpenAsync();
        await UntilAsync(house, () => relay.Mails.Count == 1);
    }
}
