namespace Countersign.Core;

public enum PrincipalKind
{
    /// <summary>Not human; has an owner.</summary>
    Agent,

    /// <summary>Human.</summary>
    User,
}

/// <summary>
/// A name as Cedar and people know it, with the opaque id that the journal knows. Names are compared ordinally, and two
/// names that differ only by case are refused at registration (P36).
/// </summary>
public sealed record PrincipalRef(PrincipalKind Kind, OpaqueId Id, string Name)
{
    public override string ToString() => $"{(Kind == PrincipalKind.Agent ? "agent" : "user")}:{Name}";
}

/// <summary>
/// Who acts, and for whom. <see cref="Owner"/> answers for the agent; <see cref="OnBehalfOf"/> is fixed by the operator
/// (`agent add --for`), or proven by the token of a configured issuer or the signed statement of a trusted runtime, since a claim proves nothing.
/// Everyone here is excluded as an approver (I4).
/// </summary>
public sealed record ActorChain(PrincipalRef Agent, PrincipalRef Owner, PrincipalRef? OnBehalfOf)
{
    /// <summary>Groups of the agent, as policy sees them.</summary>
    public required IReadOnlyList<string> Groups { get; init; }

    /// <summary>
    /// Humans behind earlier actors of a delegation (RFC 8693 §4.1: `act` within `act`), by id. They asked for it too, so none
    /// of them decides.
    /// </summary>
    public IReadOnlyList<PrincipalRef> Via { get; init; } = [];

    /// <summary>Humans who changed what the agent had asked, before it was approved: the action is theirs too.</summary>
    public IReadOnlyList<PrincipalRef> Editors { get; init; } = [];

    /// <summary>The humans who may not decide on this action.</summary>
    public IEnumerable<PrincipalRef> Humans
    {
        get
        {
            yield return Owner;
            if (OnBehalfOf is not null && OnBehalfOf.Id != Owner.Id) yield return OnBehalfOf;
            foreach (var human in Via.Concat(Editors).DistinctBy(static h => h.Id))
            {
                if (human.Id != Owner.Id && human.Id != OnBehalfOf?.Id) yield return human;
            }
        }
    }
}
