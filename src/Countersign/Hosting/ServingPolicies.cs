using Countersign.Config;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Journal;
using Countersign.Policy;
using Countersign.Policy.Cedar;
using Countersign.Reviews;
using Microsoft.Extensions.Logging;

namespace Countersign.Hosting;

/// <summary>
/// Binds the policy room to the questions that the spine and reviews ask, and keeps the folder's revision in force. Each
/// new revision, and each edit that was refused, is journalled; a bad edit leaves the old revision serving.
/// </summary>
internal sealed partial class ServingPolicies(
    PolicyStore store, CountersignConfig config, UserDirectory users, AgentRegistry agents, PolicyAuthors authors, JournalAppender journal,
    TimeProvider time, Action<string> notice, ILogger<ServingPolicies> logger) : IDisposable
{
    private readonly Dictionary<string, IReadOnlyList<string>> frameworks =
        config.Classification.Classes.ToDictionary(static c => c.Key, static c => c.Value.Frameworks, StringComparer.Ordinal);

    /// <summary>The first error of the last edit, while that edit is not in force.</summary>
    private volatile string? lastError;

    /// <summary>The revision that the last look at the folder left serving; the watch alone uses it.</summary>
    private Revision? served;

    /// <summary>Opens the folder, or fails with everything that is wrong in it.</summary>
    /// <param name="tools">What operators have trusted of MCP servers, in Cedar's schema language.</param>
    public static PolicyStore Open(CedarRuntime cedar, string folder, string tools = "")
    {
        var schema = cedar.Extend(tools, out var errors) ?? throw new StartFailure(Exit.Failed, errors.Select(static e => $"the schema of trusted tools can not be read: {e}").ToArray());
        return PolicyStore.TryOpen(cedar, folder, out var store, out var diagnostics, new PolicyStoreOptions { Schema = schema })
            ? store
            : throw new StartFailure(Exit.Failed, diagnostics.Select(d => $"policies: {d}").ToArray());
    }

    /// <summary>Takes a schema with these tools into force, together with the policies; empty, or why they do not fit it.</summary>
    public IReadOnlyList<string> Use(CedarRuntime cedar, string tools, IStateReader reader)
    {
        if (cedar.Extend(tools, out var errors) is not { } schema) return errors;
        var before = store.Current.Id;
        var load = store.Use(schema);
        if (load.Loaded is null) return load.Diagnostics.Select(static d => d.ToString()).ToArray();
        if (load.Loaded.Id != before) Changed(load, reader);
        return [];
    }

    public PolicyStore Store => store;

    /// <summary>A set loads before anything serves and is only ever replaced by one that loaded.</summary>
    public bool IsLoaded => store.Current is not null;

    public string? LastError => lastError;

    public PolicyQuestions Questions => new(Decide, MayApprove) { StillActs = agents.StillActs, MayBreakGlass = MayBreakGlass, IsCooling = authors.IsCooling };

    /// <summary>What policy is told beside the action, as it is now.</summary>
    public DecisionContext ContextOf(ActorChain actors) => new()
    {
        Now = time.GetUtcNow(),
        Frameworks = frameworks,
        HumanGroups = actors.Humans.Select(h => users.Find(h.Id)).OfType<UserEntry>().ToDictionary(static u => u.Ref.Id, static u => (IReadOnlyList<string>)u.Groups.Order(StringComparer.Ordinal).ToArray()),
    };

    private Decision Decide(GatewayAction action) => Wait(store.DecideAsync(action, ContextOf(action.Actors)));

    /// <summary>
    /// Groups of escalations that have not come yet are named too: whether their time has come is for reviews to say, and
    /// a review must not be refused for want of approvers that it will have.
    /// </summary>
    private bool MayApprove(UserEntry user, Review review, string channel)
    {
        var groups = review.Requirements.SelectMany(static r => r.GroupsAt(TimeSpan.MaxValue)).Distinct(StringComparer.Ordinal).ToArray();

        // No slot could ever be his: no need to ask.
        return groups.Any(user.Groups.Contains) && Ask(user, review, channel, groups, breakGlass: false);
    }

    /// <summary>Nobody, where no policy names it: no need to ask.</summary>
    private bool MayBreakGlass(UserEntry user, Review review, string channel) =>
        store.Current.Policies.Any(static p => p is { IsForbid: false, NamesBreakGlass: true })
        && Ask(user, review, channel, review.Requirements.SelectMany(static r => r.GroupsAt(TimeSpan.MaxValue)).Distinct(StringComparer.Ordinal).ToArray(), breakGlass: true);

    /// <summary>Whether this human may administer this gateway in this respect, now (I11). One of <see cref="AdministerActions"/>.</summary>
    public ApproveAnswer MayAdminister(UserEntry user, string action, string channel) =>
        Wait(store.CanAdministerAsync(new AdministerRequest(user.Ref, user.Groups.Order(StringComparer.Ordinal).ToArray(), action, channel, time.GetUtcNow())));

    private bool Ask(UserEntry user, Review review, string channel, IReadOnlyList<string> groups, bool breakGlass)
    {
        var facts = new ReviewFacts
        {
            Id = review.Id.Value,
            Actors = new ActorChain(review.Agent, review.Owner, review.OnBehalfOf) { Groups = agents.Find(review.Agent.Name)?.Groups ?? [], Via = review.Via, Editors = review.Editors },
            Target = review.Target,
            Groups = groups,
            Verbs = review.Effects.Select(static e => Enum.Parse<Verb>(e.Verb, ignoreCase: true)).Distinct().ToArray(),
            DataClasses = review.Effects.SelectMany(static e => e.DataClasses).Distinct(StringComparer.Ordinal).ToArray(),
            Intent = review.Intent,
        };
        return Wait(store.CanApproveAsync(new ApproveRequest(user.Ref, user.Groups.Order(StringComparer.Ordinal).ToArray(), facts, channel, time.GetUtcNow()) { BreakGlass = breakGlass })).Permitted;
    }

    /// <summary>An answer is there at once unless every guest is busy; then this waits, as its caller must.</summary>
    private static T Wait<T>(ValueTask<T> answer) => answer.IsCompletedSuccessfully ? answer.Result : answer.AsTask().GetAwaiter().GetResult();

    /// <summary>Journals the revision that serves from now on, unless the last run ended with the same.</summary>
    public async Task RecordStartAsync(IStateReader reader)
    {
        var id = store.Current.Id;
        if (reader.Get(HostState.Collection, HostState.Policy) is { } known && HostState.Text(known) == id.ContentHash) return;
        await RecordAsync(store.Current, reader).ConfigureAwait(false);
    }

    /// <summary>Looks at the folder until cancelled.</summary>
    public Task WatchAsync(IStateReader reader, CancellationToken ct) => new PolicyWatch(store, time, load => Changed(load, reader)).RunAsync(ct);

    private void Changed(PolicyLoad load, IStateReader reader)
    {
        if (load.Loaded is { } revision)
        {
            var undone = lastError is not null && revision.Id == served;
            lastError = null;
            served = revision.Id;
            if (undone)
            {
                LogInForceAgain(revision.Id.ToString());
                notice($"policies: revision {revision.Id} is in force again");
                return;
            }

            LogInForce(revision.Id.ToString(), revision.Policies.Count);
            notice($"policies: revision {revision.Id} serves now ({revision.Policies.Count} policies)");
            _ = RecordAsync(revision, reader);
            return;
        }

        served = store.Current.Id;
        lastError = load.Diagnostics[0].ToString();
        foreach (var diagnostic in load.Diagnostics) LogRefused(diagnostic.ToString());
        notice($"policies: the edit was refused, revision {store.Current.Id} goes on serving\n  {string.Join("\n  ", load.Diagnostics.Select(static d => VisibleText.Of(d.ToString())))}");
        _ = WriteAsync(new EntryDraft("policy-refused",
            CanonicalJson.Object(("revision", load.Id.ContentHash), ("commit", load.Id.GitCommit is { } commit ? (CanonicalJson)commit : null), ("serving", store.Current.Id.ContentHash), ("errors", load.Diagnostics.Count)),
            CanonicalJson.Object(("errors", CanonicalJson.Strings(load.Diagnostics.Select(static d => d.ToString()))))), []);
    }

    /// <summary>
    /// Journals a revision with its authors. Who they are counts at once, before it is written: a change that could not be
    /// journalled is no way around (I11).
    /// </summary>
    private async Task RecordAsync(PolicyRevision revision, IStateReader reader)
    {
        var (change, next, write) = authors.Of(revision);
        authors.Remember(next);
        await WriteAsync(
            new EntryDraft("policy-revision",
                CanonicalJson.Object(
                    ("revision", revision.Id.ContentHash), ("commit", revision.Id.GitCommit is { } commit ? (CanonicalJson)commit : null), ("count", revision.Policies.Count),
                    ("authors", CanonicalJson.Strings(authors.Users(change).Select(static u => u.Value).Order(StringComparer.Ordinal))), ("added", CanonicalJson.Strings(change.Added)), ("loosened", change.Loosened)),
                CanonicalJson.Object(
                    ("authors", CanonicalJson.Strings(change.Authors)),
                    ("policies", CanonicalJson.Array(revision.Policies.Select(static p => (CanonicalJson)CanonicalJson.Object(("id", p.Id), ("source", p.Source), ("text", p.Text))))))),
            [HostState.Put(reader, HostState.Policy, revision.Id.ContentHash), write]).ConfigureAwait(false);
    }

    private async Task WriteAsync(EntryDraft entry, IReadOnlyList<StateChange> changes)
    {
        var result = await journal.WriteAsync(new WriteSet([entry], changes)).ConfigureAwait(false);
        if (result.Status != WriteStatus.Committed) LogNotJournalled(entry.Type, result.Detail ?? result.Status.ToString());
    }

    public void Dispose() => store.Dispose();

    [LoggerMessage(9010, LogLevel.Information, "policy revision {Revision} serves now with {Count} policies")]
    private partial void LogInForce(string revision, int count);

    [LoggerMessage(9011, LogLevel.Error, "policy edit refused: {Diagnostic}")]
    private partial void LogRefused(string diagnostic);

    [LoggerMessage(9013, LogLevel.Information, "policy revision {Revision} is in force again: the edit that was refused is undone")]
    private partial void LogInForceAgain(string revision);

    [LoggerMessage(9012, LogLevel.Error, "`{Entry}` could not be journalled: {Detail}")]
    private partial void LogNotJournalled(string entry, string detail);
}
