using System.Diagnostics.CodeAnalysis;
using Countersign.Core;
using Countersign.Policy.Cedar;
using Countersign.Policy.Evaluation;
using Countersign.Policy.Loading;

namespace Countersign.Policy;

/// <summary>Options of a policy store.</summary>
public sealed record PolicyStoreOptions
{
    /// <summary>Limits of the folder.</summary>
    public PolicyFolderLimits Folder { get; init; } = new();

    /// <summary>Limits of the decision cache; null: no cache.</summary>
    public DecisionCacheLimits? Cache { get; init; } = new();

    /// <summary>
    /// The seam for an evaluator of our own: given the official one and the policies of a set, what answers in its place (behind the
    /// cache). Null, the default: the official engine.
    /// </summary>
    public Func<IPolicyEvaluator, IReadOnlyList<LoadedPolicy>, IPolicyEvaluator>? Evaluator { get; init; }

    /// <summary>What policies are validated against. Null, the default: the shipped schema.</summary>
    public PolicySchema? Schema { get; init; }
}

/// <summary>
/// The policy set in force. A set loads whole or not at all, and is swapped atomically: each decision is taken under exactly one revision.
/// Thread-safe. Decisions fail closed: whatever keeps the policies from answering is a Deny with a reason code, never an exception.
/// </summary>
public sealed class PolicyStore : IDisposable
{
    /// <summary>Swaps that one decision may lose the race against before it gives up: one is rare, three in a row do not happen.</summary>
    const int Attempts = 4;

    readonly CedarRuntime cedar;
    readonly PolicyStoreOptions options;
    readonly Lock swapping = new();
    volatile PolicyRevision current;
    volatile PolicySchema schema;

    PolicyStore(CedarRuntime cedar, string folder, PolicyRevision first, PolicyStoreOptions options)
    {
        this.cedar = cedar;
        this.options = options;
        Folder = folder;
        current = first;
        schema = first.Schema;
    }

    /// <summary>Loads a folder. False: nothing can be decided, and the diagnostics say why.</summary>
    public static bool TryOpen(CedarRuntime cedar, string folder, [NotNullWhen(true)] out PolicyStore? store, out IReadOnlyList<PolicyDiagnostic> diagnostics, PolicyStoreOptions? options = null)
    {
        options ??= new PolicyStoreOptions();
        return TryOpen(cedar, folder, PolicySnapshot.Read(folder, options.Folder), options, out store, out diagnostics);
    }

    /// <summary>Loads files that are in no folder here, by relative path: to see what they would decide, never to serve.</summary>
    public static bool TryOpen(CedarRuntime cedar, IReadOnlyDictionary<string, string> files, [NotNullWhen(true)] out PolicyStore? store, out IReadOnlyList<PolicyDiagnostic> diagnostics, PolicySchema? schema = null)
    {
        ArgumentNullException.ThrowIfNull(files);
        var limits = new PolicyFolderLimits();
        store = null;
        diagnostics = files.Count > limits.Files || files.Sum(static f => (long)f.Value.Length) > limits.Bytes
            ? [new PolicyDiagnostic(PolicyFaults.Unreadable, $"more than {limits.Files} files, or {limits.Bytes} bytes")]
            : files.Keys.FirstOrDefault(static f => f.Length is 0 or > 512 || f.Any(char.IsControl) || !f.EndsWith(".cedar", StringComparison.Ordinal)) is { } odd
                ? [new PolicyDiagnostic(PolicyFaults.Unreadable, $"`{odd}` is not the path of a *.cedar file")]
                : [];
        return diagnostics.Count == 0
            && TryOpen(cedar, "", PolicySnapshot.Of([.. files.OrderBy(static f => f.Key, StringComparer.Ordinal).Select(static f => (f.Key, f.Value))]), new PolicyStoreOptions { Cache = new DecisionCacheLimits { Entries = 100_000 }, Schema = schema }, out store, out diagnostics);
    }

    internal static bool TryOpen(CedarRuntime cedar, string folder, PolicySnapshot snapshot, PolicyStoreOptions options, [NotNullWhen(true)] out PolicyStore? store, out IReadOnlyList<PolicyDiagnostic> diagnostics)
    {
        var load = PolicyRevision.Load(cedar, snapshot, options.Schema ?? cedar.Schema, options);
        diagnostics = load.Diagnostics;
        store = load.Loaded is null ? null : new PolicyStore(cedar, folder, load.Loaded, options);
        return store is not null;
    }

    /// <summary>Every error of a folder, as `policy check` prints them; empty when it would load.</summary>
    public static IReadOnlyList<PolicyDiagnostic> Check(CedarRuntime cedar, string folder, PolicyFolderLimits? limits = null, PolicySchema? schema = null)
    {
        var load = PolicyRevision.Load(cedar, PolicySnapshot.Read(folder, limits ?? new PolicyFolderLimits()), schema ?? cedar.Schema, new PolicyStoreOptions { Cache = null });
        load.Loaded?.Drain();
        return load.Diagnostics;
    }

    /// <summary>The folder that it was opened on.</summary>
    public string Folder { get; }

    /// <summary>The revision in force.</summary>
    public PolicyRevision Current => current;

    /// <summary>
    /// Decides an action: each effect is evaluated, the strictest decision holds, requirements are merged. Never throws but for
    /// cancellation: no answer is Deny, `policy-unavailable`.
    /// </summary>
    public async ValueTask<Decision> DecideAsync(GatewayAction action, DecisionContext context, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(action);
        ArgumentNullException.ThrowIfNull(context);
        for (var attempt = 1; ; attempt++)
        {
            var (decision, drained) = await current.DecideAsync(action, context, cancellation);
            if (!drained || attempt == Attempts) return decision;
        }
    }

    /// <summary>Whether a human may decide on a review, or break its glass, now and here. Being able to is not enough: a slot must be open for one of his groups (Reviews sees to that).</summary>
    public async ValueTask<ApproveAnswer> CanApproveAsync(ApproveRequest request, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        for (var attempt = 1; ; attempt++)
        {
            var (answer, drained) = await current.CanApproveAsync(request, cancellation);
            if (!drained || attempt == Attempts) return answer;
        }
    }

    /// <summary>Whether a human may administer this gateway, in this respect, now and here.</summary>
    public async ValueTask<ApproveAnswer> CanAdministerAsync(AdministerRequest request, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        for (var attempt = 1; ; attempt++)
        {
            var (answer, drained) = await current.CanAdministerAsync(request, cancellation);
            if (!drained || attempt == Attempts) return answer;
        }
    }

    /// <summary>Why an action is decided as it is under the revision in force. For people: it asks about every part of every policy.</summary>
    /// <exception cref="CedarUnavailableException">The policy guest gave no answer.</exception>
    public ValueTask<PolicyExplanation> ExplainAsync(GatewayAction action, DecisionContext context, CancellationToken cancellation = default) =>
        Explainer.ExplainAsync(current, action, context, cancellation);

    /// <summary>Reads the folder again and swaps when it loads and differs; on any error the revision in force stays.</summary>
    public PolicyLoad Reload() => Swap(PolicySnapshot.Read(Folder, options.Folder));

    /// <summary>
    /// Validates the folder against another schema and swaps both at once; on any error the revision in force stays, with its schema.
    /// </summary>
    public PolicyLoad Use(PolicySchema other)
    {
        lock (swapping)
        {
            var before = schema;
            schema = other;
            var load = Swap(PolicySnapshot.Read(Folder, options.Folder));
            if (load.Loaded is null) schema = before;
            return load;
        }
    }

    /// <summary>
    /// Whether some policy could permit this effect to this agent, with or without review: scopes alone are looked at, and forbids without
    /// conditions. Never false for what may be permitted. Asked for what is shown to an agent, never for what runs.
    /// </summary>
    public async ValueTask<IReadOnlyList<bool>> CouldPermitAsync(IReadOnlyList<PolicyRequest> requests, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(requests);
        for (var attempt = 1; ; attempt++)
        {
            var (could, drained) = await current.CouldPermitAsync(requests, cancellation);
            if (!drained || attempt == Attempts) return could;
        }
    }

    internal PolicyLoad Swap(PolicySnapshot snapshot)
    {
        lock (swapping) // one load at a time: the last one read is the last one in force
        {
            var id = new Revision(snapshot.ContentHash(cedar.Version, schema), snapshot.GitCommit);
            if (id == current.Id && snapshot.Faults.Count == 0) return new PolicyLoad(current, id, []);
            var load = PolicyRevision.Load(cedar, snapshot, schema, options);
            if (load.Loaded is null) return load;
            var before = current;
            current = load.Loaded;
            before.Drain();
            return load;
        }
    }

    internal PolicySnapshot Read() => PolicySnapshot.Read(Folder, options.Folder);

    internal Revision IdOf(PolicySnapshot snapshot) => new(snapshot.ContentHash(cedar.Version, schema), snapshot.GitCommit);

    /// <summary>Frees the guests.</summary>
    public void Dispose() => current.Drain();
}
