using Countersign.Core;
using Countersign.Identity;

namespace Countersign.Reviews;

/// <summary>
/// The groups in which people speak about a review now: their own, those of schedules by which they are on call, and those
/// lent by people who are away. Asked afresh each time (P33); nothing is remembered.
/// </summary>
public sealed class Voices(UserDirectory users, Delegations delegations, IReadOnlyList<OnCallSchedule> schedules, TimeProvider time)
{
    public IReadOnlyList<OnCallSchedule> Schedules { get; } = schedules;

    /// <summary>
    /// Has the groups read again that these people are about to be judged by: their own, and of those for whom they speak. Never throws.
    /// </summary>
    public Task FreshenAsync(IEnumerable<OpaqueId> speakers)
    {
        var who = speakers.ToHashSet();
        var now = time.GetUtcNow();
        return users.FreshenAsync(who.Concat(delegations.List().Where(d => d.IsActive(now) && who.Contains(d.To.Id)).Select(static d => d.Away.Id)).ToArray());
    }

    /// <summary>How things stand at this moment, for one review.</summary>
    /// <param name="review">The review.</param>
    /// <param name="barred">Whether somebody may not say yes to it himself.</param>
    public Speaking For(Review review, Func<OpaqueId, bool> barred)
    {
        var now = time.GetUtcNow();
        var onCall = Schedules.Select(s => (s.Group, User: s.At(now))).Where(static s => s.User is not null).ToArray();

        // Who is behind the action lends nobody his voice about it, and who has spoken himself has used it (I4). Who can not be
        // looked up now lends none either: he may have left the group since (P33).
        var lent = delegations.List().Where(d => d.IsActive(now) && !barred(d.Away.Id) && review.Answers.All(a => a.User != d.Away.Id) && users.FindFresh(d.Away.Id) is not null)
            .ToLookup(static d => d.To.Id);
        return new Speaking(users, onCall!, lent);
    }
}

/// <summary>How things stand for one review at one moment.</summary>
public sealed class Speaking
{
    private readonly UserDirectory users;
    private readonly IReadOnlyList<(string Group, string User)> onCall;
    private readonly ILookup<OpaqueId, Delegation> lent;

    internal Speaking(UserDirectory users, IReadOnlyList<(string Group, string User)> onCall, ILookup<OpaqueId, Delegation> lent)
    {
        this.users = users;
        this.onCall = onCall;
        this.lent = lent;
    }

    /// <summary>This human with all the groups that he speaks in. One human still, however many lend him their voice.</summary>
    public UserEntry Of(UserEntry user)
    {
        var groups = Own(user);
        foreach (var away in For(user))
        {
            if (users.FindFresh(away.Id) is { } lender) groups.UnionWith(Own(lender));
        }

        return user with { Groups = groups };
    }

    /// <summary>This human with his own groups and his calls, and nobody else's.</summary>
    public UserEntry Alone(UserEntry user) => user with { Groups = Own(user) };

    /// <summary>Those whom he speaks for.</summary>
    public IEnumerable<PrincipalRef> For(UserEntry user) => lent[user.Ref.Id].Select(static d => d.Away).Where(a => users.FindFresh(a.Id) is not null);

    /// <summary>Whether somebody speaks for this human.</summary>
    public bool IsAway(OpaqueId user) => lent.Any(g => g.Any(d => d.Away.Id == user));

    private HashSet<string> Own(UserEntry user)
    {
        // A directory that knows a group of such a name puts nobody on call.
        var groups = user.Groups.Where(static g => !g.StartsWith(Requirement.OnCallPrefix, StringComparison.OrdinalIgnoreCase)).ToHashSet(StringComparer.Ordinal);
        foreach (var (group, name) in onCall)
        {
            if (name == user.Ref.Name) groups.Add(group);
        }

        return groups;
    }
}
