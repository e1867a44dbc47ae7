using Countersign.Policy.Loading;

namespace Countersign.Policy;

/// <summary>
/// Reloads a store when its folder changes. It looks at the content, not at file events, which are lost on network mounts and by editors
/// that rename; and it loads only what it has seen alike twice, so that a half-done `git checkout` is not taken for a set.
/// </summary>
/// <param name="store">The store.</param>
/// <param name="time">The clock.</param>
/// <param name="report">Told of each new revision, of each bad edit once (the old revision keeps serving), and of the revision that serves when a bad edit is undone. May not throw.</param>
/// <param name="interval">Time between two looks. Default 2 seconds: an edit is in force within four, and hashing a folder takes milliseconds.</param>
public sealed class PolicyWatch(PolicyStore store, TimeProvider time, Action<PolicyLoad> report, TimeSpan? interval = null)
{
    /// <summary>The default time between two looks.</summary>
    public static readonly TimeSpan DefaultInterval = TimeSpan.FromSeconds(2);

    readonly TimeSpan interval = interval ?? DefaultInterval;
    string? seen;
    string? refused;

    /// <summary>Looks until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        using var timer = new PeriodicTimer(interval, time);
        try
        {
            while (await timer.WaitForNextTickAsync(cancellation)) Look();
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested) { }
    }

    /// <summary>Looks once. True when a new revision came into force.</summary>
    public bool Look()
    {
        var snapshot = store.Read();
        var id = store.IdOf(snapshot);
        // What could not be read belongs to what was seen: a file that appears unreadable is a change too.
        var now = string.Join('\n', [$"{id.ContentHash} {id.GitCommit}", .. snapshot.Faults.Select(f => f.ToString())]);
        if (id == store.Current.Id && snapshot.Faults.Count == 0)
        {
            var undone = refused is not null;
            seen = refused = null;
            if (undone) report(new PolicyLoad(store.Current, id, []));
            return false;
        }
        if (now == refused) return false;
        if (now != seen)
        {
            seen = now;
            return false;
        }
        var load = store.Swap(snapshot);
        refused = load.Loaded is null ? now : null;
        report(load);
        return load.Loaded is not null;
    }
}
