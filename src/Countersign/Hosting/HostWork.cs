using Countersign.Identity;
using Countersign.Identity.Federation;
using Countersign.Journal;
using Countersign.Reviews;
using Microsoft.Extensions.Logging;

namespace Countersign.Hosting;

/// <summary>What runs beside the listeners: the sweep of reviews each second, the watch on policies, old outcomes.</summary>
internal sealed partial class HostWork(
    ReviewDesk desk, HumanSessions sessions, WorkloadDoor workloads, ServingPolicies policies, UnknownOutcomes outcomes, IStateReader reader, LeafIndex start, TimeProvider time, ILogger<HostWork> logger) : BackgroundService
{
    /// <summary>Time between two sweeps: a deadline is kept to the second.</summary>
    public static readonly TimeSpan SweepInterval = TimeSpan.FromSeconds(1);

    /// <summary>Completes when the outcomes that earlier runs left open are settled.</summary>
    public Task<int> Settled => settled.Task;

    // The host runs what follows on a thread of its own, perhaps after whoever waits for this has come.
    private readonly TaskCompletionSource<int> settled = new(TaskCreationOptions.RunContinuationsAsynchronously);

    protected override Task ExecuteAsync(CancellationToken stoppingToken)
    {
        return Task.WhenAll(
            Guarded("the settling of old outcomes", () => SettleAsync(stoppingToken), stoppingToken),
            Guarded("the watch on policies", () => policies.WatchAsync(reader, stoppingToken), stoppingToken),
            SweepAsync(stoppingToken));
    }

    private async Task SettleAsync(CancellationToken ct)
    {
        await Task.Yield();
        try
        {
            settled.TrySetResult(await outcomes.SettleAsync(start, ct).ConfigureAwait(false));
        }
        catch (Exception e)
        {
            settled.TrySetException(e);
            throw;
        }
    }

    private async Task SweepAsync(CancellationToken ct)
    {
        using var timer = new PeriodicTimer(SweepInterval, time);
        try
        {
            while (await timer.WaitForNextTickAsync(ct).ConfigureAwait(false))
            {
                // A sweep that failed is tried again: deadlines are kept from stored times, so nothing is lost by it (P26).
                await Guarded("a sweep of reviews", desk.SweepAsync, ct).ConfigureAwait(false);
                await Guarded("a sweep of sessions", sessions.SweepAsync, ct).ConfigureAwait(false);
                await Guarded("a sweep of used tokens", workloads.SweepAsync, ct).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException)
        {
            // Stopping.
        }
    }

    private async Task Guarded(string what, Func<Task> work, CancellationToken ct)
    {
        try
        {
            await work().ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
            // Stopping.
        }
        catch (Exception e)
        {
            LogFailed(what, e);
        }
    }

    [LoggerMessage(9030, LogLevel.Error, "{What} failed")]
    private partial void LogFailed(string what, Exception exception);
}
