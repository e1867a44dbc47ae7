using System.Collections.Concurrent;
using System.Threading.Channels;

namespace Countersign.Reviews;

/// <summary>
/// Tells those who watch that a review changed. It carries no state: a watcher reads the store, so that a lost or merged
/// signal loses nothing.
/// </summary>
public sealed class ReviewFeed
{
    private readonly ConcurrentDictionary<Channel<Review>, byte> subscribers = new();

    /// <summary>Changes a slow watcher may lag behind before older ones are dropped.</summary>
    public const int Backlog = 256;

    public void Publish(Review review)
    {
        foreach (var (channel, _) in subscribers) channel.Writer.TryWrite(review);
    }

    public async IAsyncEnumerable<Review> WatchAsync([System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken ct)
    {
        var channel = Channel.CreateBounded<Review>(new BoundedChannelOptions(Backlog) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true });
        subscribers.TryAdd(channel, 0);
        try
        {
            await foreach (var review in channel.Reader.ReadAllAsync(ct).ConfigureAwait(false)) yield return review;
        }
        finally
        {
            subscribers.TryRemove(channel, out _);
        }
    }
}
