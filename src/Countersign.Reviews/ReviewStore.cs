using System.Globalization;
using Countersign.Core;
using Countersign.Journal;

namespace Countersign.Reviews;

/// <summary>
/// Reviews in the one store: open ones by id and by join key (unique, so that a retry can not open a second), released
/// ones until their outcome is known, closed ones for reading. A move between the three is part of the transaction that
/// changes the state. Closed ones are keyed by time, newest first, and tagged by id.
/// </summary>
internal sealed class ReviewStore(IStateReader reader)
{
    public const string Open = "reviews";
    public const string InFlight = "reviews-released";
    public const string Closed = "reviews-closed";

    public (Review Review, long Version)? FindOpen(ReviewId id) => Read(reader.Get(Open, id.Value));

    public (Review Review, long Version)? FindOpen(JoinKey key) => Read(reader.FindByTag(Open, key.Value));

    public (Review Review, long Version)? FindInFlight(ReviewId id) => Read(reader.Get(InFlight, id.Value));

    public Review? Find(ReviewId id) =>
        (Read(reader.Get(Open, id.Value)) ?? Read(reader.Get(InFlight, id.Value)) ?? Read(reader.FindByTag(Closed, id.Value)))?.Review;

    public IEnumerable<(Review Review, long Version)> ListOpen() => reader.List(Open).Select(static d => (Review.FromBytes(d.Value), d.Version));

    public IEnumerable<(Review Review, long Version)> ListInFlight() => reader.List(InFlight).Select(static d => (Review.FromBytes(d.Value), d.Version));

    /// <summary>The newest <paramref name="max"/> closed ones, newest first.</summary>
    public IEnumerable<Review> ListClosed(int max) => reader.List(Closed, null, max).Select(static d => Review.FromBytes(d.Value));

    /// <summary>The changes that put <paramref name="next"/> where its state belongs.</summary>
    public static IReadOnlyList<StateChange> Changes(Review next, string from, long version)
    {
        var to = next.IsOpen ? Open : next.State == ReviewState.Released && next.Outcome is null ? InFlight : Closed;
        var key = next.Id.Value;
        var tag = next.IsOpen ? next.JoinKey.Value : null;
        if (from == to) return [new StateChange.Put(to, key, version, tag, next.ToBytes())];
        var put = to == Closed
            ? new StateChange.Put(Closed, NewestFirst(next), 0, key, next.ToBytes())
            : new StateChange.Put(to, key, 0, tag, next.ToBytes());
        return [new StateChange.Delete(from, key, version), put];
    }

    /// <summary>Sorts ordinally from the newest to the oldest; the id keeps those of one moment apart.</summary>
    private static string NewestFirst(Review closed) =>
        string.Create(CultureInfo.InvariantCulture, $"{long.MaxValue - closed.ClosedAt!.Value.UtcTicks:D19}-{closed.Id}");

    private static (Review Review, long Version)? Read(StateDocument? document) => document is null ? null : (Review.FromBytes(document.Value), document.Version);
}
