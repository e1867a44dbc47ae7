using System.Net;
using Countersign.Channels.Mail;
using Countersign.Channels;
using Countersign.Core;
using Countersign.Tests.Workloads;

namespace Countersign.Channels.Tests.Mail;

/// <summary>A notice by mail, to a relay that is strict.</summary>
public sealed class MailTests : IAsyncDisposable
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("countersign-mail-");
    private readonly TestAuthority authority = new(TimeProvider.System.GetUtcNow());

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    private static MailNote Note(string @event = MailNote.First, string reason = "clean up", string statement = "DELETE FROM customers") => new()
    {
        Review = "rev_0123456789abcdef",
        Event = @event,
        Subject = $"cleaner wants to delete from customers: {VisibleText.Of(reason, multiline: false)}",
        Lead = "cleaner wants to delete from customers",
        Facts = [("On", "shop (prod)"), ("Asked by", "cleaner, owned by olga")],
        Statement = VisibleText.Of(statement),
        Quote = VisibleText.Of(reason),
        Link = new Uri("https://countersign.example/reviews/rev_0123456789abcdef"),
        At = new DateTimeOffset(2026, 11, 27, 12, 0, 0, TimeSpan.Zero),
    };

    private static MailRelay Relay(PlayedRelay relay, MailTls tls = MailTls.None) => new() { Host = "127.0.0.1", Port = relay.Port, Tls = tls, From = "countersign@example.com" };

    private MailRelay Trusting(PlayedRelay relay, MailTls tls) => Relay(relay, tls) with { Host = "localhost", CaFile = authority.WriteRoot(folder.FullName), User = "mailer", Password = new Credential("pass-of-the-mailer") };

    public async ValueTask DisposeAsync()
    {
        await Task.CompletedTask;
        authority.Dispose();
        folder.Delete(recursive: true);
    }

    [Fact]
    public async Task Mail_has_a_text_and_an_html_part_and_one_link_that_decides_nothing()
    {
        await using var relay = new PlayedRelay();
        Assert.Null(await new MailSender(Relay(relay)).SendAsync(Note().Compose("countersign@example.com", ["dba@example.com", "lead@example.com"]), Ct));
        var mail = Assert.Single(relay.Mails);
        Assert.Equal(["dba@example.com", "lead@example.com"], mail.To);
        var parsed = mail.Parsed;
        Assert.Equal("rev_0123456789abcdef.opened@example.com", parsed.MessageId);
        Assert.Equal("auto-generated", parsed.Headers["Auto-Submitted"]);
        Assert.Contains("DELETE FROM customers", parsed.TextBody!, StringComparison.Ordinal);
        Assert.Contains("DELETE FROM customers", parsed.HtmlBody!, StringComparison.Ordinal);
        Assert.Contains("https://countersign.example/reviews/rev_0123456789abcdef", parsed.TextBody!, StringComparison.Ordinal);
        Assert.Equal(2, parsed.HtmlBody!.Split("href=").Length);
        Assert.DoesNotContain("approve", parsed.HtmlBody!, StringComparison.OrdinalIgnoreCase);
        Assert.Empty(relay.Complaints);
    }

    [Fact]
    public async Task Mails_of_one_review_are_one_thread()
    {
        await using var relay = new PlayedRelay();
        foreach (var @event in (string[])[MailNote.First, "closed"]) Assert.Null(await new MailSender(Relay(relay)).SendAsync(Note(@event).Compose("countersign@example.com", ["dba@example.com"]), Ct));
        var (first, second) = (relay.Mails[0].Parsed, relay.Mails[1].Parsed);
        Assert.Empty(first.References);
        Assert.Equal([first.MessageId!], second.References);
        Assert.Equal(first.MessageId, second.InReplyTo);
        Assert.NotEqual(first.MessageId, second.MessageId);
    }

    [Theory]
    [InlineData("x\r\nBcc: attacker@example.com")]
    [InlineData("x\nBcc: attacker@example.com\n\n<html>")]
    [InlineData("x\r\n.\r\nMAIL FROM:<attacker@example.com>")]
    [InlineData("\u202egnihtyna\u202c <b>bold</b> <script>alert(1)</script> =?utf-8?q?Bcc=3A?=")]
    public async Task P34_Nothing_of_the_agents_becomes_a_header_a_command_or_markup(string hostile)
    {
        await using var relay = new PlayedRelay();
        Assert.Null(await new MailSender(Relay(relay)).SendAsync(Note(reason: hostile, statement: hostile).Compose("countersign@example.com", ["dba@example.com"]), Ct));
        var mail = Assert.Single(relay.Mails);
        Assert.Equal(["dba@example.com"], mail.To);
        var parsed = mail.Parsed;
        Assert.Empty(parsed.Bcc);
        Assert.Equal(["Auto-Submitted", "Content-Type", "Date", "From", "Message-Id", "MIME-Version", "Subject", "To", "X-Auto-Response-Suppress"], parsed.Headers.Concat(parsed.Body!.Headers).Select(static h => h.Field).Distinct(StringComparer.OrdinalIgnoreCase).Order(StringComparer.OrdinalIgnoreCase), StringComparer.OrdinalIgnoreCase);
        Assert.DoesNotContain("<script", parsed.HtmlBody!, StringComparison.Ordinal);
        Assert.DoesNotContain("<b>", parsed.HtmlBody!, StringComparison.Ordinal);
        Assert.DoesNotContain('\u202e', parsed.TextBody!);
        Assert.DoesNotContain('\u202e', parsed.HtmlBody!);
        Assert.DoesNotContain('\r', parsed.Subject!);
        Assert.DoesNotContain('\n', parsed.Subject!);
        Assert.Empty(relay.Complaints);
    }

    [Fact]
    public async Task Statement_of_long_lines_breaks_no_line_of_the_protocol()
    {
        await using var relay = new PlayedRelay();
        var statement = new string('x', 20_000);
        Assert.Null(await new MailSender(Relay(relay)).SendAsync(Note(statement: statement).Compose("countersign@example.com", ["dba@example.com"]), Ct));
        Assert.Contains(statement, relay.Mails[0].Parsed.TextBody, StringComparison.Ordinal);
        Assert.Empty(relay.Complaints);
    }

    [Theory]
    [InlineData(MailTls.Implicit)]
    [InlineData(MailTls.StartTls)]
    public async Task Password_goes_over_TLS_to_a_relay_whose_certificate_is_trusted(MailTls tls)
    {
        using var certificate = authority.Server();
        await using var relay = new PlayedRelay(certificate, tls == MailTls.Implicit) { Account = ("mailer", "pass-of-the-mailer") };
        Assert.Null(await new MailSender(Trusting(relay, tls)).SendAsync(Note().Compose("countersign@example.com", ["dba@example.com"]), Ct));
        Assert.Single(relay.Mails);
        Assert.Empty(relay.Complaints);
    }

    [Fact]
    public async Task P56_Relay_that_offers_no_STARTTLS_gets_neither_password_nor_mail()
    {
        using var certificate = authority.Server();
        await using var relay = new PlayedRelay(certificate) { Account = ("mailer", "pass-of-the-mailer"), OffersStartTls = false };
        var fault = await new MailSender(Trusting(relay, MailTls.StartTls)).SendAsync(Note().Compose("countersign@example.com", ["dba@example.com"]), Ct);
        Assert.False(fault!.MayPass);
        Assert.Contains("STARTTLS", fault.Words, StringComparison.Ordinal);
        Assert.Empty(relay.Mails);
        Assert.Empty(relay.Complaints);
    }

    [Fact]
    public async Task P35_Certificate_of_another_authority_or_name_is_not_trusted()
    {
        using var stranger = new TestAuthority(TimeProvider.System.GetUtcNow());
        using var foreign = stranger.Server();
        await using var relay = new PlayedRelay(foreign, @implicit: true);
        Assert.Contains("certificate", (await new MailSender(Trusting(relay, MailTls.Implicit)).SendAsync(Note().Compose("countersign@example.com", ["dba@example.com"]), Ct))!.Words, StringComparison.Ordinal);
        using var misnamed = authority.Issue(["1.3.6.1.5.5.7.3.1"], static n => n.AddDnsName("mail.other.example"));
        await using var other = new PlayedRelay(misnamed, @implicit: true);
        Assert.NotNull(await new MailSender(Trusting(other, MailTls.Implicit)).SendAsync(Note().Compose("countersign@example.com", ["dba@example.com"]), Ct));
        Assert.Empty(relay.Mails);
        Assert.Empty(other.Mails);
    }

    [Theory]
    [InlineData("MAIL", "451 4.3.0 later", true)]
    [InlineData("RCPT", "450 4.2.1 busy", true)]
    [InlineData(".", "452 4.3.1 full", true)]
    [InlineData(".", "554 5.7.1 spam", false)]
    [InlineData(".", "", true)]
    [InlineData("EHLO", "", true)]
    [InlineData("MAIL", "550 5.7.1 not you", false)]
    public async Task Refusal_says_whether_trying_again_may_help(string command, string answer, bool mayPass)
    {
        await using var relay = new PlayedRelay();
        relay.Fail(command, answer);
        if (command == "EHLO") relay.Fail("HELO", answer);
        var fault = await new MailSender(Relay(relay)).SendAsync(Note().Compose("countersign@example.com", ["dba@example.com"]), Ct);
        Assert.Equal(mayPass, fault!.MayPass);
        Assert.Empty(relay.Mails);
    }

    [Fact]
    public async Task P56_Wrong_password_is_said_without_it()
    {
        using var certificate = authority.Server();
        await using var relay = new PlayedRelay(certificate, @implicit: true) { Account = ("mailer", "another") };
        var fault = await new MailSender(Trusting(relay, MailTls.Implicit)).SendAsync(Note().Compose("countersign@example.com", ["dba@example.com"]), Ct);
        Assert.False(fault!.MayPass);
        Assert.DoesNotContain("pass-of", fault.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Relay_that_is_down_may_come_back()
    {
        var relay = new PlayedRelay();
        var to = Relay(relay);
        await relay.DisposeAsync();
        Assert.True((await new MailSender(to).SendAsync(Note().Compose("countersign@example.com", ["dba@example.com"]), Ct))!.MayPass);
    }
}
