using System.Text.Json;
using Countersign.Core;
using Countersign.Gateway.Mcp.Wire;

namespace Countersign.Gateway.Mcp;

/// <summary>
/// A refusal as MCP tells it. Of a tool it is a result that says that it failed, because that is what a model gets to see; of anything
/// else an error. Both have reason and review for programs.
/// </summary>
internal static class Refusals
{
    /// <summary>The result of a tool that was not run.</summary>
    public static byte[] AsResult(Refusal refusal, string? next = null) => RpcWriter.Object(w =>
    {
        w.WriteStartArray("content");
        w.WriteStartObject();
        w.WriteString("type", "text");
        w.WriteString("text", $"Countersign: {VisibleText.Of(refusal.Message, multiline: false)} ({refusal.Detail}).\n{Capital(next ?? refusal.Hint)}");
        w.WriteEndObject();
        w.WriteEndArray();
        w.WriteBoolean("isError", true);
        w.WriteStartObject("_meta");
        Facts(w, refusal);
        w.WriteEndObject();
    });

    /// <summary>The error of a request that was refused.</summary>
    public static byte[] AsError(Refusal refusal) => RpcWriter.ErrorValue(RpcWriter.Refused, $"countersign: {VisibleText.Of(refusal.Message, multiline: false)}. {Capital(refusal.Hint)}", w => Facts(w, refusal));

    private static void Facts(Utf8JsonWriter w, Refusal refusal)
    {
        w.WriteString("countersign/reason", refusal.ReasonCode);
        if (refusal.Review is { } review) w.WriteString("countersign/review", review.Value);
    }

    private static string Capital(string text) => text.Length == 0 ? text : char.ToUpperInvariant(text[0]) + text[1..];

    /// <summary>What to do about a call that still waits, where the client can have it carried out without repeating it.</summary>
    public static string WhilePending(ReviewId review, string address) =>
        $"nothing ran yet. Tell your human to decide at {address} (or `countersign review approve {review}`). Then call the tool `{OwnTools.Resume}` with {{\"review\": \"{review}\"}}: it waits on, and once approved it runs this very call and returns its result. Repeating the same call does the same. Do not try another way around.";
}
