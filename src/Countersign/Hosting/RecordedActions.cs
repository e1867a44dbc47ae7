using System.Globalization;
using System.Text.Json;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Journal;

namespace Countersign.Hosting;

/// <summary>A decision as it was recorded, with the action as policy saw it.</summary>
/// <param name="Verdict">`permit`, `review` or `deny`.</param>
/// <param name="Reason">Its reason code.</param>
/// <param name="Policies">Those that determined it.</param>
/// <param name="Requirements">What it asked of people, each in its canonical form; null where the entry does not say.</param>
/// <param name="Action">The action; people have their names of now.</param>
/// <param name="At">When.</param>
internal sealed record RecordedAction(string Verdict, string Reason, IReadOnlyList<string> Policies, IReadOnlyList<string>? Requirements, GatewayAction Action, DateTimeOffset At);

/// <summary>Reads decisions back out of the journal, so that they can be taken again. Thread-safe.</summary>
internal sealed class RecordedActions(IStateReader reader, UserDirectory users)
{
    private static readonly Dictionary<string, string> Nothing = [];

    /// <summary>Whether an entry holds a decision of policy.</summary>
    public static bool Holds(EntryContent content) => content.Type is "action" or "review-opened" or "grant-used";

    public static DateTimeOffset TimeOf(EntryContent content) => DateTimeOffset.Parse(content.Root.GetProperty("time").GetString()!, CultureInfo.InvariantCulture);

    /// <summary>The action and what was decided; null with the reason where it can not be taken again.</summary>
    public RecordedAction? Read(JournalEntry entry, EntryContent content, out string why)
    {
        why = "not-readable";
        try
        {
            if (reader.GetBody(entry.Index) is not { } stored) { why = "body-missing"; return null; }
            if (stored.Bytes is not { } bytes) { why = "erased"; return null; }
            using var document = JsonDocument.Parse(bytes, new JsonDocumentOptions { MaxDepth = 16 });
            var (root, body) = (content.Root, document.RootElement);
            if (!body.TryGetProperty("replay", out var replay)) { why = "recorded-by-an-older-version"; return null; }

            var parents = replay.GetProperty("parents").EnumerateArray().Select(static p => p.EnumerateArray().Select(static t => Parent(t.GetString()!)).ToArray()).ToArray();
            var effects = body.GetProperty("effects").EnumerateArray().Select((e, i) => Effect(e, parents[i])).ToArray();
            var verdict = replay.GetProperty("verdict").GetString()!;
            var reason = root.TryGetProperty("reason", out var r) ? r.GetString()! : ReasonCodes.ReviewRequired;
            var intent = body.GetProperty("intent");
            var action = new GatewayAction
            {
                Id = new ActionId(root.GetProperty("action").GetString()!),
                Actors = new ActorChain(new PrincipalRef(PrincipalKind.Agent, new OpaqueId(root.GetProperty("agent").GetString()!), body.GetProperty("agent").GetString()!),
                    Human(replay.GetProperty("owner").GetString()!), replay.TryGetProperty("for", out var user) ? Human(user.GetString()!) : null)
                {
                    Groups = replay.GetProperty("groups").EnumerateArray().Select(static g => g.GetString()!).ToArray(),
                    Via = replay.TryGetProperty("via", out var via) ? via.EnumerateArray().Select(h => Human(h.GetString()!)).ToArray() : [],
                },
                Target = new TargetRef(root.GetProperty("target").GetString()!, replay.GetProperty("kind").GetString()!, replay.GetProperty("environment").GetString()!),
                Effects = effects,
                Payload = new ActionPayload("replay", body.GetProperty("operation").GetString()!, default) { DisplayText = body.GetProperty("statement").GetString()! },
                Settings = Nothing,
                Intent = new Intent(Text(intent, "reason"), Text(intent, "ticket"), Text(intent, "task"), Text(intent, "model")),
            };
            return new RecordedAction(verdict, reason, root.GetProperty("policies").EnumerateArray().Select(static p => p.GetString()!).ToArray(),
                body.TryGetProperty("requirements", out var requirements) ? requirements.EnumerateArray().Select(static q => q.GetRawText()).ToArray() : null, action, TimeOf(content));
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or ArgumentException or IndexOutOfRangeException or FormatException)
        {
            return null;
        }
    }

    private PrincipalRef Human(string id) => new(PrincipalKind.User, new OpaqueId(id), users.Find(new OpaqueId(id))?.Ref.Name ?? id);

    private static string? Text(JsonElement element, string name) => element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static (string, string) Parent(string text)
    {
        var colons = text.IndexOf("::", StringComparison.Ordinal);
        return (text[..colons], text[(colons + 2)..]);
    }

    /// <summary>An effect from its canonical form, which reviews hold as text and actions as it is.</summary>
    private static Effect Effect(JsonElement canonical, (string, string)[] parents)
    {
        if (canonical.ValueKind == JsonValueKind.String)
        {
            using var inner = JsonDocument.Parse(canonical.GetString()!);
            return Effect(inner.RootElement, parents);
        }

        var resource = canonical.GetProperty("resource");
        return new Effect(Enum.Parse<Verb>(canonical.GetProperty("verb").GetString()!, ignoreCase: true), canonical.GetProperty("action").GetString()!,
            new ResourceRef(resource.GetProperty("type").GetString()!, resource.GetProperty("id").GetString()!)
            {
                Parents = parents,
                DataClasses = canonical.GetProperty("classes").EnumerateArray().Select(static c => c.GetString()!).ToArray(),
            })
        {
            Facts = Facts(canonical.GetProperty("facts")),
        };
    }

    private static Dictionary<string, FactValue> Facts(JsonElement facts) => facts.EnumerateObject().ToDictionary(static f => f.Name, static f => f.Value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        JsonValueKind.Number => f.Value.GetInt64(),
        JsonValueKind.String => f.Value.GetString()!,
        JsonValueKind.Array => FactValue.Of(f.Value.EnumerateArray().Select(static v => v.GetString()!)),
        JsonValueKind.Object => new FactValue.Record(Facts(f.Value)),
        _ => throw new FormatException(),
    }, StringComparer.Ordinal);
}
