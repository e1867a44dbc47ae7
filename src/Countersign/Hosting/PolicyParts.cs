using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Countersign.Api;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Journal;
using Countersign.Pages;
using Countersign.Pages.Policies;
using Countersign.Policy;
using Countersign.Policy.Cedar;

namespace Countersign.Hosting;

/// <summary>
/// Tries policy sets that are not in force, for the console's pages: one recorded action, or all of them. A set lives as long
/// as its question; nothing is recorded and nothing changes.
/// </summary>
internal sealed class PolicyParts(ServingPolicies serving, CedarRuntime cedar, IStateReader reader, UserDirectory users, ReplayingNow replaying, TimeProvider time) : IDisposable
{
    /// <summary>Longest wait for somebody else's try. 10 s: one takes some tens of milliseconds, and a hundred people do not try at once.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    /// <summary>Examples of each group of a replay. 10: to see what kind of action it is; the command line tells of more.</summary>
    public const int Examples = 10;

    private readonly RecordedActions recorded = new(reader, users);
    private readonly FolderTests tests = new(serving);

    /// <summary>One set at a time: each holds a guest with its policies parsed.</summary>
    private readonly SemaphoreSlim trying = new(1, 1);

    public PolicySeams Seams => new() { Tests = tests.RunAsync, Play = PlayAsync, Replay = ReplayAsync };

    private async Task<PlayAnswer> PlayAsync(PlayQuestion question, CancellationToken ct)
    {
        if (!await trying.WaitAsync(Patience, ct).ConfigureAwait(false)) return new PlayAnswer { Fault = "too many policies are being tried; try again" };
        try
        {
            var (store, errors) = await OpenAsync(question.Files, ct).ConfigureAwait(false);
            using (store)
            {
                var (answer, action) = Recorded(question.Entry);
                answer = answer with { Errors = errors };
                if (store is null) return answer;
                answer = answer with { Tests = await PolicyTestRunner.RunAsync(store, serving.Store.Folder, ct).ConfigureAwait(false) };
                if (action is null) return answer;
                var explained = await store.ExplainAsync(action.Action, serving.ContextOf(action.Action.Actors) with { Now = action.At }, ct).ConfigureAwait(false);
                var decision = explained.Decision;
                return answer with
                {
                    Would = new PlayedDecision(decision.Verdict.ToString().ToLowerInvariant(), decision.ReasonCode, decision.DeterminingPolicies.Select(static p => p.Id).ToArray(),
                        decision.Requirements.Select(static r => RequirementWords.Of(r.ToCanonical().ToString())).ToArray()),
                    Why = ConsoleParts.Answer(WhatIf.View(explained)),
                };
            }
        }
        catch (CedarUnavailableException)
        {
            return new PlayAnswer { Fault = "the policy guest gave no answer; try again" };
        }
        finally
        {
            trying.Release();
        }
    }

    /// <summary>What an entry recorded, for the page; the reader may see it, as its caller has made sure.</summary>
    private (PlayAnswer Answer, RecordedAction? Action) Recorded(long? index)
    {
        if (index is null) return (new PlayAnswer(), null);
        if (reader.ReadEntries(index.Value, 1) is not [var entry] || entry.Index.Value != index || !entry.TryParse(out var content) || !RecordedActions.Holds(content))
            return (new PlayAnswer { Fault = "that entry is no decision about an action" }, null);
        if (recorded.Read(entry, content, out var why) is not { } found)
            return (new PlayAnswer { Fault = why == "erased" ? "what that action was is erased, so it can not be decided again" : $"that action can not be decided again: {why}" }, null);
        var action = found.Action;
        return (new PlayAnswer
        {
            Action = new PlayedAction(index.Value, action.Id.Value, found.At, action.Actors.Agent.Name, action.Actors.Groups, action.Actors.Owner.Name, action.Actors.OnBehalfOf?.Name,
                action.Actors.Via.Select(static h => h.Name).ToArray(), action.Target.Name, action.Target.Environment, action.Payload.DisplayText,
                action.Effects.Select(static e => $"{e.Action} {e.Resource.Id}{(e.Resource.DataClasses.Count > 0 ? $" ({string.Join(", ", e.Resource.DataClasses)})" : "")}").ToArray()),
            Was = new PlayedDecision(found.Verdict, found.Reason, found.Policies, found.Verdict == "review" ? (found.Requirements ?? []).Select(RequirementWords.Of).ToArray() : []),
        }, found);
    }

    private async Task<ReplayAnswer> ReplayAsync(ReplayQuestion question, CancellationToken ct)
    {
        if (!await replaying.One.WaitAsync(TimeSpan.Zero, ct).ConfigureAwait(false)) return new ReplayAnswer { Fault = "policies are being replayed already; wait for that" };
        try
        {
            var (store, errors) = await OpenAsync(question.Files, ct).ConfigureAwait(false);
            if (store is null) return new ReplayAnswer { Errors = errors };
            using (store)
            {
                var start = time.GetTimestamp();
                var view = await new PolicyReplay(reader, users, serving, store, Examples).RunAsync(question.From, question.Until, ct).ConfigureAwait(false);
                return new ReplayAnswer
                {
                    Replayed = view.Replayed, Differing = view.Differing, Skipped = view.Skipped, Took = time.GetElapsedTime(start),
                    Groups = view.Groups.Select(static g => new ReplayedGroup(g.Was, g.Now, g.Policies, g.Count,
                        g.Actions.Select(static a => new ReplayedExample(a.Index, a.Action, a.Time, a.Agent, a.Target, a.Statement)).ToArray())).ToArray(),
                };
            }
        }
        catch (CedarUnavailableException)
        {
            return new ReplayAnswer { Fault = "the policy guest gave no answer; try again" };
        }
        finally
        {
            replaying.One.Release();
        }
    }

    private Task<(PolicyStore? Store, IReadOnlyList<PolicyDiagnostic> Errors)> OpenAsync(IReadOnlyDictionary<string, string> files, CancellationToken ct) =>
        Task.Run(() => PolicyStore.TryOpen(cedar, files, out var store, out var errors, serving.Store.Current.Schema) ? (store, errors) : ((PolicyStore?)null, errors), ct);

    public void Dispose()
    {
        trying.Dispose();
        tests.Dispose();
    }
}

/// <summary>
/// What a requirement asks for, in words, from its canonical form: what was recorded and what would come are told by the same
/// rule, so that two that differ read differently.
/// </summary>
internal static class RequirementWords
{
    public static string Of(string canonical)
    {
        using var json = JsonDocument.Parse(canonical);
        var root = json.RootElement;
        var words = new List<string>();
        foreach (var member in root.EnumerateObject())
        {
            var value = member.Value;
            if (value.ValueKind == JsonValueKind.Null) continue;
            switch (member.Name)
            {
                case "groups" or "policies" or "stage": break;
                case "quorum": words.Insert(0, $"{(root.TryGetProperty("stage", out var stage) && stage.ValueKind == JsonValueKind.Number ? $"in stage {stage.GetInt32() + 1}, " : "")}{value} of {Any(root.GetProperty("groups"))}"); break;
                case "expiresSeconds": words.Add($"within {Span(value.GetInt64())}"); break;
                case "edit" when value.ValueKind == JsonValueKind.False: break;
                case "edit" when value.ValueKind == JsonValueKind.True: words.Add("may be edited"); break;
                case "justify" when value.ValueKind == JsonValueKind.False: break;
                case "justify": words.Add("with a reason"); break;
                case "justifyPatterns": words.Add($"that matches {Any(value)}"); break;
                case "ticketPatterns": words.Add($"with a ticket that matches {Any(value)}"); break;
                case "stepUp": words.Add("signed with a passkey"); break;
                case "grant" when value.ValueKind == JsonValueKind.Object: words.Add($"a grant for {Span(value.GetProperty("forSeconds").GetInt64())} and {value.GetProperty("uses")} uses allowed"); break;
                case "escalations" when value.ValueKind == JsonValueKind.Array:
                    words.AddRange(value.EnumerateArray().Select(static e => $"{Any(e.GetProperty("groups"))} too after {Span(e.GetProperty("afterSeconds").GetInt64())}"));
                    break;
                default: words.Add($"{member.Name} {value}"); break;
            }
        }

        return string.Join(", ", words);
    }

    private static string Any(JsonElement names) => string.Join(" or ", names.EnumerateArray().Select(static n => n.GetString()));

    private static string Span(long seconds) => seconds % 3600 == 0 && seconds > 0 ? string.Create(CultureInfo.InvariantCulture, $"{seconds / 3600} h")
        : seconds % 60 == 0 ? string.Create(CultureInfo.InvariantCulture, $"{seconds / 60} min") : string.Create(CultureInfo.InvariantCulture, $"{seconds} s");
}
