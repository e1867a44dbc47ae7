using Countersign.Core;
using Countersign.Journal;

namespace Countersign.Reviews;

/// <summary>
/// Reviews in the one store: open ones by id and by join key (unique, so that a retry can not open a second), released
/// ones until their outcome is known, closed ones for reading. A move between the three is part of the transaction that
/// changes the state.
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
        (Read(reader.Get(Open, id.Value)) ?? Read(reader.Get(InFlight, id.Value)) ?? Read(reader.Get(Closed, id.Value)))?.Review;

    public IEnumerable<(Review Review, long Version)> ListOpen() => reader.List(Open).Select(static d => (Review.FromBytes(d.Value), d.Version));

    public IEnumerable<(Review Review, long Version)> ListInFlight() => reader.List(InFlight).Select(static d => (Review.FromBytes(d.Value), d.Version));

    public IEnumerable<Review> ListClosed() => reader.List(Closed).Select(static d => Review.FromBytes(d.Value));

    /// <summary>The changes that put <paramref name="next"/> where its state belongs.</summary>
    public static IReadOnlyList<StateChange> Changes(Review next, string from, long version)
    {
        var to = next.IsOpen ? Open : next.State == ReviewState.Released && next.Outcome is null ? InFlight : Closed;
        var key = next.Id.Value;
        var tag = next.IsOpen ? next.JoinKey.Value : null;
        return from == to
            ? [new StateChange.Put(to, key, version, tag, next.ToBytes())]
            : [new StateChange.Delete(from, key, version), new StateChange.Put(to, key, 0, tag, next.ToBytes())];
    }

    private static (Review Review, long Version)? Read(StateDocument? document) => document is null ? null : (Review.FromBytes(document.Value), document.Version);
}
