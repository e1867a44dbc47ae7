using Countersign.Channels.Cards;
using Countersign.Core;
using Countersign.Journal;
using Countersign.Reviews;

namespace Countersign.Channels.Delivery;

public sealed partial class Outbox
{
    /// <summary>One look at one message: from what it says to what it should say, each step remembered before the next.</summary>
    private sealed class Attempt(Outbox outbox, IChannel channel, string key, long version, Posting posting)
    {
        private long version = version;
        private Posting posting = posting;
        private DateTimeOffset? closedAt;

        public async Task RunAsync(CancellationToken ct)
        {
            var now = outbox.time.GetUtcNow();
            var review = ReviewId.TryParse(posting.Review, out var id) ? outbox.desk.Find(id) : null;

            closedAt = review?.ClosedAt;

            // Nobody is told of what is over; nor is there anything to say of what is gone.
            if (review is null || (posting.Message is null && posting.BegunAt is null && !review.IsOpen))
            {
                await FinishAsync(now, null).ConfigureAwait(false);
                return;
            }

            if (posting.Message is null && !await PostAsync(review, now, ct).ConfigureAwait(false)) return;
            review = outbox.desk.Find(review.Id) ?? review;
            closedAt = review.ClosedAt;
            if (posting.Message is null)
            {
                if (!review.IsOpen) await FinishAsync(now, null).ConfigureAwait(false);
                return;
            }

            if (!await UpdateAsync(review, ct).ConfigureAwait(false)) return;
            foreach (var line in CardMaker.Story(review, channel.Reach, outbox.time.GetUtcNow()))
            {
                if (!posting.Told.Contains(line.Key, StringComparer.Ordinal) && !await TellAsync(line, ct).ConfigureAwait(false)) return;
            }

            if (CardMaker.IsFinal(review)) await FinishAsync(outbox.time.GetUtcNow(), null).ConfigureAwait(false);
            else if (posting.NextAt is not null) await WriteAsync(posting with { NextAt = null, Attempts = 0, Error = null }).ConfigureAwait(false);
        }

        /// <summary>Posts it once, whatever happened before: an attempt whose end is unknown is looked for first.</summary>
        private async Task<bool> PostAsync(Review review, DateTimeOffset now, CancellationToken ct)
        {
            if (posting.BegunAt is { } begun)
            {
                var found = await Call(c => channel.FindAsync(posting.Id, posting.Place, begun, null, null, c), ct).ConfigureAwait(false);
                if (found.Status != DeliveryStatus.Done) return await FailedAsync(found, stillBegun: true).ConfigureAwait(false);
                if (found.Message is { } there)
                {
                    // What it shows is not known: the update that follows makes it so.
                    return await WriteAsync(posting with { Message = there, BegunAt = null, PostedAt = begun, Shown = null, Content = null, Attempts = 0, NextAt = null, Error = null }).ConfigureAwait(false);
                }

                if (!review.IsOpen) return await WriteAsync(posting with { BegunAt = null }).ConfigureAwait(false);
            }

            if (!await WriteAsync(posting with { BegunAt = now }).ConfigureAwait(false)) return false;
            var card = outbox.cards.Of(review, channel.Reach);
            var posted = await Call(c => channel.PostAsync(new Notice(posting.Id, posting.Reference, card), posting.Place, c), ct).ConfigureAwait(false);
            if (posted is not { Status: DeliveryStatus.Done, Message: { } message }) return await FailedAsync(posted, stillBegun: posted.Status is DeliveryStatus.Unknown or DeliveryStatus.Done).ConfigureAwait(false);
            return await WriteAsync(posting with
            {
                Message = message, BegunAt = null, PostedAt = outbox.time.GetUtcNow(), Content = ShownContent.Sha256Of(review), Shown = ShownOf(card, posting.Version),
                Attempts = 0, NextAt = null, Error = null,
            }).ConfigureAwait(false);
        }

        private async Task<bool> UpdateAsync(Review review, CancellationToken ct)
        {
            var content = ShownContent.Sha256Of(review);
            var next = posting.Content is null || posting.Content == content ? posting.Version : posting.Version + 1;
            var card = outbox.cards.Of(review, channel.Reach);
            var shown = ShownOf(card, next);
            if (shown == posting.Shown) return true;
            var updated = await Call(c => channel.UpdateAsync(new Notice(posting.Id, posting.ReferenceOf(next), card), posting.Place, posting.Message!, c), ct).ConfigureAwait(false);
            if (updated.Status == DeliveryStatus.Gone)
            {
                // Somebody removed it: the review is told anew while it is open.
                await WriteAsync(posting with { Message = null, BegunAt = null, Shown = null, Content = null, Version = posting.Version + 1, Telling = null, Told = [] }).ConfigureAwait(false);
                return false;
            }

            if (updated.Status != DeliveryStatus.Done) return await FailedAsync(updated).ConfigureAwait(false);
            return await WriteAsync(posting with
            {
                Message = updated.Message ?? posting.Message, Version = next, Content = content, Shown = shown, UpdatedAt = outbox.time.GetUtcNow(), Attempts = 0, NextAt = null, Error = null,
            }).ConfigureAwait(false);
        }

        private async Task<bool> TellAsync(StoryLine line, CancellationToken ct)
        {
            if (posting.Telling == line.Key)
            {
                var found = await Call(c => channel.FindAsync(posting.Id, posting.Place, posting.PostedAt ?? posting.CreatedAt, posting.Message, line.Key, c), ct).ConfigureAwait(false);
                if (found.Status != DeliveryStatus.Done) return await FailedAsync(found).ConfigureAwait(false);
                if (found.Message is not null) return await WriteAsync(posting with { Telling = null, Told = [.. posting.Told, line.Key] }).ConfigureAwait(false);
            }
            else if (!await WriteAsync(posting with { Telling = line.Key }).ConfigureAwait(false))
            {
                return false;
            }

            var told = await Call(c => channel.TellAsync(posting.Id, line, posting.Place, posting.Message!, c), ct).ConfigureAwait(false);
            if (told.Status == DeliveryStatus.Done) return await WriteAsync(posting with { Telling = null, Told = [.. posting.Told, line.Key], Attempts = 0, NextAt = null, Error = null }).ConfigureAwait(false);
            if (told.Status != DeliveryStatus.Unknown) posting = posting with { Telling = null };
            return await FailedAsync(told).ConfigureAwait(false);
        }

        /// <summary>Remembers when to try again. Always false: nothing goes on from here.</summary>
        private async Task<bool> FailedAsync(DeliveryResult result, bool stillBegun = false)
        {
            var now = outbox.time.GetUtcNow();
            var limits = outbox.limits;
            var attempts = posting.Attempts + 1;
            var back = TimeSpan.FromTicks(Math.Min(limits.LastRetry.Ticks, limits.FirstRetry.Ticks << Math.Min(attempts - 1, 20)));
            var wait = result.RetryAfter is { } asked ? asked < limits.LongestRetryAfter ? asked : limits.LongestRetryAfter
                : result.Status == DeliveryStatus.Refused ? limits.AfterRefusal > back ? limits.AfterRefusal : back
                : back;
            var why = result.Error ?? result.Status.ToString();
            if (attempts <= 3 || attempts % 20 == 0) outbox.LogNotTold(posting.Review, posting.Channel, posting.Place, attempts, why);
            if (closedAt is { } at && now - at > limits.GiveUp)
            {
                outbox.LogGivenUp(posting.Review, posting.Channel, posting.Place);
                await FinishAsync(now, why).ConfigureAwait(false);
                return false;
            }

            await WriteAsync(posting with { Attempts = attempts, NextAt = now + wait, Error = why, BegunAt = stillBegun ? posting.BegunAt : null }).ConfigureAwait(false);
            return false;
        }

        private async Task<bool> WriteAsync(Posting next)
        {
            var result = await outbox.journal.WriteAsync(new WriteSet([], [new StateChange.Put(Posting.Open, key, version, next.Id, next.ToBytes())])).ConfigureAwait(false);
            if (result.Status != WriteStatus.Committed) return false;
            (version, posting) = (result.Versions[0], next);
            return true;
        }

        private Task<WriteResult> FinishAsync(DateTimeOffset now, string? error)
        {
            var done = posting with { FinishedAt = now, NextAt = null, Error = error ?? (posting.Message is null ? posting.Error : null) };
            return outbox.journal.WriteAsync(new WriteSet([],
                [new StateChange.Delete(Posting.Open, key, version), new StateChange.Put(Posting.Finished, key, outbox.reader.Get(Posting.Finished, key)?.Version ?? 0, done.Id, done.ToBytes())])).AsTask();
        }

        /// <summary>A call that ends in time; what did not end is of unknown end.</summary>
        private async Task<DeliveryResult> Call(Func<CancellationToken, Task<DeliveryResult>> call, CancellationToken ct)
        {
            using var late = new CancellationTokenSource(CallLimit, outbox.time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(ct, late.Token);
            try
            {
                return await call(either.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (!ct.IsCancellationRequested)
            {
                return new DeliveryResult(DeliveryStatus.Unknown, Error: "it did not answer in time");
            }
        }

        private static string ShownOf(NoticeCard card, int version) => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{card.Sha256()}.{version}");
    }
}
