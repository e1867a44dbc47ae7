using System.Globalization;
using System.Text.Json;
using Countersign.Core;
using Countersign.Gateway.Mcp.Wire;
using Countersign.Reviews;

namespace Countersign.Gateway.Mcp;

/// <summary>
/// One held request: tells the client at once and every few seconds who must approve and where, and leaves the review when the client
/// cancels, is lost, or has waited as long as an open request may.
/// </summary>
internal sealed class Hold : IAsyncDisposable
{
    private readonly ClientRequest request;
    private readonly byte[]? progressToken;
    private readonly Func<ReviewId, string> address;
    private readonly McpLimits limits;
    private readonly TimeProvider time;
    private readonly CancellationTokenSource ended = new();
    private readonly CancellationTokenRegistration lost;
    private readonly ITimer limit;
    private readonly TaskCompletionSource<Review> opened = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Task telling;
    private volatile Review? latest;

    public Hold(ClientRequest request, GatewayAction action, byte[]? progressToken, TimeSpan atMost, Func<ValueTask<Rederived>> rederive, Func<ReviewId, string> address, Action<Review> told, McpLimits limits, TimeProvider time)
    {
        this.request = request;
        this.progressToken = progressToken;
        this.address = address;
        this.limits = limits;
        this.time = time;
        Waiter = new Waiter(action, rederive, review =>
        {
            latest = review;
            told(review);
            opened.TrySetResult(review);
        });
        limit = time.CreateTimer(static state => ((Waiter)state!).Leave(LeaveReason.HoldLimit), Waiter, atMost, Timeout.InfiniteTimeSpan);
        lost = request.Reply.Gone.Register(static state => ((Waiter)state!).Leave(LeaveReason.Lost), Waiter);
        request.HoldsFor(Waiter);
        telling = TellAsync();
    }

    public Waiter Waiter { get; }

    public async ValueTask DisposeAsync()
    {
        request.HoldsFor(null);
        await limit.DisposeAsync().ConfigureAwait(false);
        await lost.DisposeAsync().ConfigureAwait(false);
        await ended.CancelAsync().ConfigureAwait(false);
        opened.TrySetCanceled();
        await telling.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        ended.Dispose();
    }

    private async Task TellAsync()
    {
        var review = await opened.Task.ConfigureAwait(false);
        var start = time.GetTimestamp();
        await ProgressAsync(0, $"held for review {review.Id}: it needs {ReviewDesk.Describe(review.Requirements)}. Approve at {address(review.Id)} or with `countersign review approve {review.Id}`.").ConfigureAwait(false);
        using var timer = new PeriodicTimer(limits.Notice, time);
        while (await timer.WaitForNextTickAsync(ended.Token).ConfigureAwait(false))
        {
            review = latest ?? review;
            var waited = (int)time.GetElapsedTime(start).TotalSeconds;
            await ProgressAsync(waited, $"still held for review {review.Id} after {waited.ToString(CultureInfo.InvariantCulture)} s: it needs {ReviewDesk.Describe(review.Requirements)}").ConfigureAwait(false);
        }
    }

    /// <summary>Progress where a token was given; else a sign of life, once a stream is open.</summary>
    private Task ProgressAsync(int progress, string message) => progressToken is null
        ? request.Reply.KeepAliveAsync()
        : request.Reply.SendAsync(RpcWriter.Notification("notifications/progress", RpcWriter.Object([
            ("progressToken", progressToken),
            ("progress", JsonSerializer.SerializeToUtf8Bytes(progress)),
            ("message", JsonSerializer.SerializeToUtf8Bytes(VisibleText.Of(message, multiline: false), RpcJson.Default.String)),
        ])));
}
