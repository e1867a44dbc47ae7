using Countersign.Identity;
using Microsoft.AspNetCore.Http;

namespace Countersign.Pages;

/// <summary>The human who reads a page, as the gate found him.</summary>
/// <param name="User">With the groups of now.</param>
/// <param name="IsAdmin">Sees everything, and may change agents.</param>
/// <param name="Session">The session of this request.</param>
/// <param name="Channel">The channel of answers that are given here.</param>
/// <param name="FormToken">What each form carries for the gate, so that no other page can send it; null without a cookie.</param>
/// <param name="Ends">Fires when the session ends.</param>
public sealed record Reader(UserEntry User, bool IsAdmin, HumanSession Session, string Channel, string? FormToken, CancellationToken Ends)
{
    public string Name => User.Ref.Name;

    /// <summary>Asks policy, each time, whether he may administer this gateway in some respect (I11).</summary>
    public Func<string, bool> MayAdminister { get; init; } = static _ => false;

    /// <summary>Behind a request that the gate let in.</summary>
    public static Reader Of(HttpContext http) => http.Features.Get<SignedIn>() is { } me
        ? new Reader(me.User, me.IsAdmin, me.Session, me.Channel, me.PageToken, me.Ends) { MayAdminister = me.MayAdminister }
        : throw new InvalidOperationException("a page ran that the gate had not opened");
}

/// <summary>A target as its page tells it; never its credential.</summary>
public sealed record TargetView(string Name, string Kind, string Environment, string Address, string Database, string Role, string Tls, IReadOnlyList<string> StrongRoles);

/// <summary>What `policy explain` is asked from the page.</summary>
public sealed record ExplainQuestion(string Agent, string Target, string Action, string Resource, string ResourceType);

/// <summary>What policy would say; <see cref="Error"/> where the question could not be asked.</summary>
public sealed record ExplainAnswer(string? Error, string Decision, string Reason, IReadOnlyList<ExplainEffect> Effects, IReadOnlyList<string> Needs);

public sealed record ExplainEffect(string Action, string Resource, string Decision, IReadOnlyList<ExplainPolicy> Policies, IReadOnlyList<ExplainMiss> Others, IReadOnlyList<string> Errors);

public sealed record ExplainPolicy(string Id, string? Reason);

public sealed record ExplainMiss(string Id, bool IsForbid, IReadOnlyList<string> Unmet);

/// <summary>Passkeys on this page.</summary>
/// <param name="RpId">The host that those made here are for; null where browsers take none.</param>
/// <param name="Elsewhere">The address at which they work.</param>
public sealed record PasskeyPlace(string? RpId, Uri? Elsewhere);

/// <summary>What the console takes from the composition root: what only the configuration knows.</summary>
public sealed record ConsoleSeams
{
    /// <summary>Where a browser begins to sign in at the identity provider; null without one.</summary>
    public required string? Provider { get; init; }

    public required IReadOnlyList<TargetView> Targets { get; init; }

    /// <summary>Frameworks by data class.</summary>
    public required IReadOnlyDictionary<string, IReadOnlyList<string>> Frameworks { get; init; }

    /// <summary>What is wrong with the last edit of the policies, while it is not in force.</summary>
    public required Func<string?> PolicyError { get; init; }

    /// <summary>How an agent reaches each target: (agent, key).</summary>
    public required Func<string, string, IReadOnlyList<string>> Connections { get; init; }

    /// <summary>What was told of a review elsewhere, and how that stands.</summary>
    public Func<Countersign.Core.ReviewId, IReadOnlyList<DeliveryView>> Deliveries { get; init; } = static _ => [];

    public AccountSeams Accounts { get; init; } = AccountSeams.None;

    /// <summary>Where passkeys work, for the page that is asked for.</summary>
    public required Func<HttpContext, PasskeyPlace> PasskeysFor { get; init; }

    public required Func<ExplainQuestion, CancellationToken, Task<ExplainAnswer>> Explain { get; init; }
}
