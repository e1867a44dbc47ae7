using Countersign.Core;
using Countersign.Identity;
using Countersign.Reviews;

namespace Countersign.Gateway.Tests;

/// <summary>Policy that can change its mind in the middle of a test. The default: everything needs one of `dba`.</summary>
internal sealed class Rules
{
    public static readonly Revision First = new("1111111111111111111111111111111111111111111111111111111111111111", null);

    public Func<GatewayAction, Decision> Decide { get; set; } = Review(Requirement(1, "dba"));

    /// <summary>As the shipped policy: who is in a group that the review asks for.</summary>
    public Func<UserEntry, Review, string, bool> MayApprove { get; set; } =
        static (user, review, _) => review.Requirements.SelectMany(static r => r.GroupsAt(TimeSpan.MaxValue)).Any(user.Groups.Contains);

    public Func<ActorChain, bool> StillActs { get; set; } = static _ => true;

    /// <summary>Nobody, as where no policy names it.</summary>
    public Func<UserEntry, Review, string, bool> MayBreakGlass { get; set; } = static (_, _, _) => false;

    public Func<OpaqueId, Review, bool> IsCooling { get; set; } = static (_, _) => false;

    public PolicyQuestions Questions => new(a => Decide(a), (u, r, c) => MayApprove(u, r, c))
    {
        StillActs = a => StillActs(a),
        MayBreakGlass = (u, r, c) => MayBreakGlass(u, r, c),
        IsCooling = (u, r) => IsCooling(u, r),
    };

    public void Ask(params Requirement[] requirements) => Decide = Review(requirements);

    public static Requirement Requirement(int quorum, params string[] groups) => new()
    {
        Groups = groups.Order(StringComparer.Ordinal).ToArray(),
        Quorum = quorum,
        Expires = TimeSpan.FromMinutes(15),
        Policies = [string.Join('-', groups)],
    };

    public static Func<GatewayAction, Decision> Review(params Requirement[] requirements) => action => Decision.Combine(
        First, action.Effects.Select(static e => new EffectDecision(e, Verdict.Review, ReasonCodes.ReviewRequired, [new MatchedPolicy("needs-review", "main.cedar:1", "Somebody has to look.", ["SOC2:CC8.1"])])).ToArray(), requirements);

    public static Func<GatewayAction, Decision> Permit() => static action => Decision.Combine(
        First, action.Effects.Select(static e => new EffectDecision(e, Verdict.Permit, ReasonCodes.Permitted, [new MatchedPolicy("permits", "main.cedar:1", null, [])])).ToArray(), []);

    public static Func<GatewayAction, Decision> Deny(string reason = ReasonCodes.PolicyDenied) => action => Decision.Combine(
        First, action.Effects.Select(e => new EffectDecision(e, Verdict.Deny, reason, [new MatchedPolicy("forbids", "main.cedar:1", "Not on Fridays.", [])])).ToArray(), []);
}
