using System.Globalization;
using System.Text.Json;
using Countersign.Reviews;

namespace Countersign.Pages.Card;

/// <summary>
/// What an approval statement says, read back from its own bytes (docs/spec/approval-statement.md): the page that asks for
/// the last click shows this and nothing that was looked up elsewhere, so that what is shown is what is answered (I10).
/// </summary>
public sealed record StatementSays(
    string Review, string Statement, string Target, string Environment, IReadOnlyList<ShownParameter> Parameters,
    IReadOnlyList<ShownEffect> Effects, IReadOnlyList<string> Notes, string? Comment, GrantWish? Grant, DateTimeOffset Expires, StatementSays.Was? Edited)
{
    /// <summary>What it was before a human edited it.</summary>
    public sealed record Was(string From, string Statement, IReadOnlyList<ShownParameter> Parameters);

    /// <summary>Whether a passkey has to sign it.</summary>
    public bool StepUp { get; init; }

    public static StatementSays Of(string statement)
    {
        using var json = JsonDocument.Parse(statement);
        var root = json.RootElement;
        var target = root.GetProperty("target");
        return new StatementSays(
            Text(root, "review"), Text(root, "statement"), Text(target, "name"), Text(target, "environment"),
            Values(root),
            root.GetProperty("effects").EnumerateArray().Select(static e => Effect(e.GetString()!)).ToArray(),
            root.GetProperty("notes").EnumerateArray().Select(static n => n.GetString()!).ToArray(),
            root.TryGetProperty("comment", out var comment) ? comment.GetString() : null,
            root.TryGetProperty("grant", out var grant) ? GrantWish.Read(grant) : null,
            DateTimeOffset.Parse(Text(root, "expires"), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal),
            root.TryGetProperty("edited", out var edited) ? new Was(Text(edited, "from"), Text(edited, "statement"), Values(edited)) : null)
        {
            StepUp = root.GetProperty("requirements").EnumerateArray().Any(static r => r.TryGetProperty("stepUp", out _)),
        };
    }

    private static ShownParameter[] Values(JsonElement of) => of.GetProperty("parameters").EnumerateArray().Select(static p => new ShownParameter(Text(p, "type"), p.GetProperty("value").GetString())).ToArray();

    /// <summary>The answer that a statement gives.</summary>
    public static AnswerKind? DecisionOf(string statement)
    {
        using var json = JsonDocument.Parse(statement);
        return AnswerKinds.Parse(Text(json.RootElement, "decision"));
    }

    private static ShownEffect Effect(string canonical)
    {
        using var json = JsonDocument.Parse(canonical);
        var root = json.RootElement;
        var resource = root.GetProperty("resource");
        return new ShownEffect(Text(root, "verb"), Text(root, "action"), Text(resource, "type"), Text(resource, "id"),
            root.GetProperty("classes").EnumerateArray().Select(static c => c.GetString()!).ToArray(), canonical);
    }

    private static string Text(JsonElement json, string name) => json.GetProperty(name).GetString()!;
}
