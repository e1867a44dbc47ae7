using System.Globalization;
using System.Net;
using System.Text;
using Countersign.Channels.Cards;
using MimeKit;
using MimeKit.Text;
using MimeKit.Utils;

namespace Countersign.Channels.Mail;

/// <summary>
/// What one mail says of a review: a notice and one link, which asks for a sign-in and decides nothing when it is opened
/// (mail is fetched by scanners). Texts have been through VisibleText, as those of a card have (I10).
/// </summary>
internal sealed record MailNote
{
    /// <summary>Longest subject, characters. 120: what mail programs show of one.</summary>
    private const int LongestSubject = 120;

    /// <summary>The review's id: its mails are one thread.</summary>
    public required string Review { get; init; }

    /// <summary>What of the review this is, a word: `opened` begins the thread.</summary>
    public required string Event { get; init; }
    public required string Subject { get; init; }
    public required string Lead { get; init; }
    public required IReadOnlyList<(string Label, string Text)> Facts { get; init; }

    /// <summary>Shown as it is, line by line; null for none.</summary>
    public string? Statement { get; init; }

    /// <summary>The agent's own words; null for none.</summary>
    public string? Quote { get; init; }
    public required Uri Link { get; init; }
    public required DateTimeOffset At { get; init; }

    public const string First = "opened";

    public MimeMessage Compose(string from, IReadOnlyList<string> to)
    {
        var sender = MailboxAddress.Parse(from);
        sender.Name ??= "Countersign";
        var mail = new MimeMessage { Subject = Cut(Line(Subject), LongestSubject), Date = At, MessageId = IdOf(Event, sender.Domain) };
        mail.From.Add(sender);
        foreach (var address in to) mail.To.Add(MailboxAddress.Parse(address));
        if (Event != First)
        {
            // RFC 5322 §3.6.4: all of them answer the first, so that one review is one thread in whatever order they come.
            mail.InReplyTo = IdOf(First, sender.Domain);
            mail.References.Add(IdOf(First, sender.Domain));
        }

        mail.Headers.Add("Auto-Submitted", "auto-generated"); // RFC 3834 §5: nobody's absence notice comes back
        mail.Headers.Add("X-Auto-Response-Suppress", "All");
        mail.Body = new MultipartAlternative { Part(TextFormat.Plain, Plain()), Part(TextFormat.Html, Html()) };
        return mail;
    }

    private string IdOf(string which, string domain) => $"{Review}.{which}@{domain}";

    private static TextPart Part(TextFormat format, string text) => new(format) { Text = text, ContentTransferEncoding = ContentEncoding.QuotedPrintable };

    private string Plain()
    {
        var text = new StringBuilder().Append(Line(Lead)).Append("\n\n");
        foreach (var (label, fact) in Facts) text.Append(CultureInfo.InvariantCulture, $"{label}: {Line(fact)}\n");
        if (Statement is not null)
        {
            text.Append('\n');

            // Behind a rule on each line, so that no line of it can pass for one of ours (P34).
            foreach (var line in Statement.Split('\n')) text.Append("  | ").Append(line).Append('\n');
        }

        if (Quote is not null)
        {
            text.Append("\nThe agent's own words, unchecked:\n");
            foreach (var line in Quote.Split('\n')) text.Append("  > ").Append(line).Append('\n');
        }

        return text.Append(CultureInfo.InvariantCulture, $"\nLook at it and decide, signed in:\n{Link.AbsoluteUri}\n").ToString();
    }

    private string Html()
    {
        var html = new StringBuilder("""
            <!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark"><meta name="supported-color-schemes" content="light dark"></head>
            <body style="margin:0;padding:24px;font:16px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif"><div style="max-width:40rem;margin:0 auto">
            """);
        html.Append(CultureInfo.InvariantCulture, $"<p style=\"font-size:18px;font-weight:600;margin:0 0 16px\">{Encode(Line(Lead))}</p><table role=\"presentation\" style=\"border-spacing:0\">");
        foreach (var (label, fact) in Facts)
        {
            html.Append(CultureInfo.InvariantCulture, $"<tr><td style=\"padding:2px 16px 2px 0;opacity:.7;vertical-align:top;white-space:nowrap\">{Encode(label)}</td><td style=\"padding:2px 0;overflow-wrap:anywhere\">{Encode(Line(fact))}</td></tr>");
        }

        html.Append("</table>");
        if (Statement is not null) html.Append(CultureInfo.InvariantCulture, $"<pre style=\"margin:16px 0;padding:12px;border:1px solid rgba(128,128,128,.4);border-radius:6px;white-space:pre-wrap;overflow-wrap:anywhere;font:14px/1.45 ui-monospace,Menlo,Consolas,monospace\">{Encode(Statement)}</pre>");
        if (Quote is not null) html.Append(CultureInfo.InvariantCulture, $"<p style=\"margin:16px 0 4px;opacity:.7\">The agent’s own words, unchecked:</p><blockquote style=\"margin:0;padding-left:12px;border-left:3px solid rgba(128,128,128,.5);white-space:pre-wrap;overflow-wrap:anywhere\">{Encode(Quote)}</blockquote>");
        return html.Append(CultureInfo.InvariantCulture, $"<p style=\"margin:24px 0\"><a href=\"{Encode(Link.AbsoluteUri)}\" style=\"display:inline-block;padding:10px 18px;border-radius:6px;background:#2450c8;color:#ffffff;text-decoration:none;font-weight:600\">Look at it and decide</a></p><p style=\"opacity:.7;font-size:14px\">You will be asked to sign in. Nothing is decided by opening the link, nor by answering this mail.</p></div></body></html>").ToString();
    }

    private static string Line(string text) => OneLine.Of(text);

    private static string Encode(string text) => WebUtility.HtmlEncode(text);

    private static string Cut(string text, int length)
    {
        if (text.Length <= length) return text;
        var cut = length - 1;
        if (char.IsHighSurrogate(text[cut - 1])) cut--;
        return $"{text[..cut]}…";
    }
}
