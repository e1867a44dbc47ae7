using System.Text;
using System.Text.Json;
using Countersign.Core;
using Countersign.Gateway.Mcp.Wire;
using Countersign.Reviews;

namespace Countersign.Gateway.Mcp;

/// <summary>
/// The gateway's own tools, by which an agent can ask what it may do and why not. None of them decides, approves, or tells an agent about
/// another's reviews (P30).
/// </summary>
internal static class OwnTools
{
    public const string Status = "countersign_status", Explain = "countersign_explain", Manifest = "countersign_manifest", Resume = "countersign_resume";

    /// <summary>Their definitions as clients are shown them.</summary>
    public static readonly IReadOnlyList<byte[]> Definitions =
    [
        Define(Status, "What of yours waits for a human's approval here, or was decided lately. Give `review` to ask about one.", readOnly: true, """{"type":"object","properties":{"review":{"type":"string","description":"an id such as rv_…; leave it out for all of yours"}},"additionalProperties":false}"""),
        Define(Explain, "What would become of a call of a tool with these arguments, and why: permitted, held for review, or denied. Nothing runs and nobody is asked.", readOnly: true, """{"type":"object","properties":{"tool":{"type":"string"},"arguments":{"type":"object"}},"required":["tool"],"additionalProperties":false}"""),
        Define(Manifest, "What you may do here: each tool and target with what policy says of it.", readOnly: true, """{"type":"object","properties":{},"additionalProperties":false}"""),
        Define(Resume, "Goes on waiting for a call of yours that is held for review, and once it was approved runs exactly that call and returns its result.", readOnly: false, """{"type":"object","properties":{"review":{"type":"string","description":"the id that the held call was answered with, such as rv_…"}},"required":["review"],"additionalProperties":false}"""),
    ];

    public static bool IsOwn(string name) => name is Status or Explain or Manifest or Resume;

    private static byte[] Define(string name, string description, bool readOnly, string schema) => RpcWriter.Object([
        ("name", Text(name)), ("title", Text("Countersign: " + name["countersign_".Length..])), ("description", Text(description)),
        ("inputSchema", Encoding.UTF8.GetBytes(schema)),
        ("annotations", Encoding.UTF8.GetBytes(readOnly ? """{"readOnlyHint":true,"openWorldHint":false}""" : """{"readOnlyHint":false,"openWorldHint":true}""")),
    ]);

    private static byte[] Text(string text) => JsonSerializer.SerializeToUtf8Bytes(text, RpcJson.Default.String);

    /// <summary>A result of one text.</summary>
    public static byte[] Said(string text, bool isError = false) => RpcWriter.Object(w =>
    {
        w.WriteStartArray("content");
        w.WriteStartObject();
        w.WriteString("type", "text");
        w.WriteString("text", text);
        w.WriteEndObject();
        w.WriteEndArray();
        if (isError) w.WriteBoolean("isError", true);
    });

    /// <summary>The agent's own reviews; another agent's do not exist for it.</summary>
    public static string StatusOf(ReviewDesk desk, Caller caller, string? review)
    {
        if (review is not null)
        {
            return ReviewId.TryParse(review, out var id) && desk.Find(id) is { } one && caller.Asked(one) ? Line(one) : "You have no such review here.";
        }

        var mine = desk.ListOpen().Where(caller.Asked).ToArray();
        var lately = desk.ListClosed(50).Where(caller.Asked).Take(5).ToArray();
        var text = new StringBuilder(mine.Length == 0 ? "Nothing of yours waits for approval." : $"Waiting for approval: {mine.Length}.");
        foreach (var open in mine) text.Append('\n').Append(Line(open));
        if (lately.Length > 0) text.Append("\nDecided lately:");
        foreach (var closed in lately) text.Append('\n').Append(Line(closed));
        return text.ToString();
    }

    private static string Line(Review review)
    {
        var what = VisibleText.Of(review.Statement.Split('\n')[0], multiline: false);
        var state = review.State switch
        {
            ReviewState.Pending => $"waits; it needs {ReviewDesk.Describe(review.Requirements)}, until {review.ExpiresAt:yyyy-MM-dd'T'HH:mm:ss'Z'}",
            ReviewState.Approved => $"approved; call `{Resume}` with this review, or repeat the call, and it runs",
            ReviewState.Released => review.Outcome is { } outcome ? $"ran once: {outcome.Status.ToString().ToLowerInvariant()}" : "released; its outcome is not known yet",
            ReviewState.Denied => review.Answers.LastOrDefault(static a => a.Kind == AnswerKind.Deny) is { } no ? $"denied by {no.Name}{(no.Comment is { Length: > 0 } comment ? $": {VisibleText.Of(comment, multiline: false)}" : "")}" : $"denied ({review.CloseReason})",
            ReviewState.Expired => "expired: nobody approved it in time",
            _ => "withdrawn",
        };
        return $"- {review.Id}: {what} on {review.Target.Name}: {state}";
    }
}
