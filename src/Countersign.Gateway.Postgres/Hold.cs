using System.Buffers;
using System.Globalization;
using Countersign.Core;
using Countersign.PgWire;
using Countersign.Reviews;

namespace Countersign.Gateway.Postgres;

internal sealed partial class Session
{
    /// <summary>
    /// One held message: tells the client at once and every few seconds, keeps what the client sends behind it in a bounded
    /// buffer, and leaves the review when the client cancels, is lost, or has waited long enough.
    /// </summary>
    private sealed class Hold
    {
        private readonly Session session;
        private readonly CancellationTokenSource ended = new();
        private readonly ITimer limit;
        private readonly Task watching;
        private readonly Task telling;
        private readonly Func<ReviewId, CancellationToken, Task> estimate;
        private Task estimating = Task.CompletedTask;
        private Task editTold = Task.CompletedTask;
        private readonly TaskCompletionSource<Review> opened = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly DateTimeOffset until;
        private volatile Review? latest;

        public Hold(Session session, Func<Action<Review>, Waiter> makeWaiter, TimeSpan atMost, Func<ReviewId, CancellationToken, Task> estimate)
        {
            this.session = session;
            this.estimate = estimate;
            Waiter = makeWaiter(review =>
            {
                var before = latest;
                latest = review;
                if (before is not null && before.Id != review.Id && review.Edit is not null) editTold = TellEditAsync(editTold, session.AskedOf(review), review);
                opened.TrySetResult(review);
            });
            var time = session.services.Time;
            until = time.GetUtcNow() + atMost;
            limit = time.CreateTimer(static state => ((Waiter)state!).Leave(LeaveReason.HoldLimit), Waiter, atMost, Timeout.InfiniteTimeSpan);
            watching = WatchAsync();
            telling = TellAsync();
        }

        public Waiter Waiter { get; }

        public async Task EndAsync()
        {
            await limit.DisposeAsync().ConfigureAwait(false);
            await ended.CancelAsync().ConfigureAwait(false);
            opened.TrySetCanceled();
            session.client.Input.CancelPendingRead();
            await watching.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await telling.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await estimating.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await editTold.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            ended.Dispose();
        }

        private async Task WatchAsync()
        {
            var client = session.client;
            try
            {
                while (!ended.IsCancellationRequested)
                {
                    var here = await client.HoldMoreAsync(ended.Token).ConfigureAwait(false);
                    if (!here || client.HeldTag == FrontendTag.Terminate)
                    {
                        Waiter.Leave(LeaveReason.Lost);
                        return;
                    }

                    if (client.HeldBytes > session.services.Limits.HeldBytes)
                    {
                        // Over the bound is refused, never streamed unseen (P9): reading stops, and the hold with it.
                        session.overflowed = true;
                        Waiter.Leave(LeaveReason.Lost);
                        return;
                    }
                }
            }
            catch (OperationCanceledException) when (ended.IsCancellationRequested)
            {
            }
            catch (Exception)
            {
                Waiter.Leave(LeaveReason.Lost);
            }
        }

        private async Task TellEditAsync(Task before, Question? question, Review review)
        {
            await before.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await opened.Task.ConfigureAwait(false);
            await session.relay.WriteClientAsync(session.EditNotice(review)).ConfigureAwait(false);
            if (question is not null) await session.EstimateAsync(question, review.Id, ended.Token).ConfigureAwait(false);
        }

        private async Task TellAsync()
        {
            var review = await opened.Task.ConfigureAwait(false);
            var time = session.services.Time;
            var start = time.GetTimestamp();
            await NoticeAsync(review, $"held for review {review.Id}: it needs {ReviewDesk.Describe(review.Requirements)}",
                $"tell your human: countersign review approve {review.Id}; keep this connection open; a cancel withdraws the request.").ConfigureAwait(false);

            // Only now: whoever waits and whoever decides know of it already, and nobody waits for this.
            if (review.Estimate is null) estimating = estimate(review.Id, ended.Token);
            using var timer = new PeriodicTimer(session.services.Limits.Notice, time);
            while (await timer.WaitForNextTickAsync(ended.Token).ConfigureAwait(false))
            {
                review = latest ?? review;
                var waited = (int)time.GetElapsedTime(start).TotalSeconds;
                await NoticeAsync(review, $"still held for review {review.Id} after {waited.ToString(CultureInfo.InvariantCulture)} s: it needs {ReviewDesk.Describe(review.Requirements)}").ConfigureAwait(false);
            }
        }

        private Task NoticeAsync(Review review, string message, string? hint = null)
        {
            var output = new ArrayBufferWriter<byte>(512);
            var expires = review.ExpiresAt < until ? review.ExpiresAt : until;
            BackendWriter.WriteReport(output, new Report(ReportSeverity.Notice, SqlStates.SuccessfulCompletion, $"countersign: {message}",
                $"reason={ReasonCodes.ReviewRequired} review={review.Id} until={expires.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture)}",
                hint), session.services.Wire);
            return session.relay.WriteClientAsync(output.WrittenSpan.ToArray());
        }
    }

    private volatile bool overflowed;
}
