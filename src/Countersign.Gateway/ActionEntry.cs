using Countersign.Core;
using Countersign.Journal;
using Countersign.Reviews;

namespace Countersign.Gateway;

/// <summary>The `action` entry: what policy said of an action that needed no human, or that got none.</summary>
internal static class ActionEntry
{
    public static EntryDraft Of(GatewayAction action, Decision decision, string? reason = null) => new("action",
        CanonicalJson.Object(
            ("action", action.Id.Value),
            ("agent", action.Actors.Agent.Id.Value),
            ("owner", action.Actors.Owner.Id.Value),
            ("for", action.Actors.OnBehalfOf is { } user ? (CanonicalJson)user.Id.Value : null),
            ("via", action.Actors.Via.Count > 0 ? CanonicalJson.Strings(action.Actors.Via.Select(static h => h.Id.Value)) : null),
            ("target", action.Target.Name),
            ("verdict", (reason is null ? decision.Verdict : Verdict.Deny).ToString().ToLowerInvariant()),
            ("reason", reason ?? decision.ReasonCode),
            ("verbs", CanonicalJson.Strings(action.Effects.Select(static e => e.Verb.ToString().ToLowerInvariant()).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal))),
            ("classes", CanonicalJson.Strings(action.Effects.SelectMany(static e => e.Resource.DataClasses).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal))),
            ("revision", decision.Revision.ContentHash),
            ("commit", decision.Revision.GitCommit is { } commit ? (CanonicalJson)commit : null),
            ("policies", CanonicalJson.Strings(decision.DeterminingPolicies.Select(static p => p.Id))),
            ("controls", CanonicalJson.Strings(decision.DeterminingPolicies.SelectMany(static p => p.Controls).Distinct(StringComparer.Ordinal)))),
        CanonicalJson.Object(
            ("agent", action.Actors.Agent.Name),
            ("operation", action.Payload.Operation),
            ("statement", action.Payload.DisplayText),
            ("parameters", CanonicalJson.Array(action.Payload.Parameters.Select(ShownParameter.Of).Select(static p => (CanonicalJson)CanonicalJson.Object(
                ("type", p.Type), ("value", p.Text is null ? CanonicalJson.Nothing.Instance : p.Text))))),
            ("settings", CanonicalJson.Map(action.Settings)),
            ("errors", decision.Effects.Any(static e => e.Errors.Count > 0) ? CanonicalJson.Strings(decision.Effects.SelectMany(static e => e.Errors).Distinct(StringComparer.Ordinal)) : null),
            ("effects", CanonicalJson.Array(action.Effects.Select(static e => e.ToCanonical()))),
            ("replay", ReviewEntries.Replay(decision.Verdict, action.Actors.OnBehalfOf?.Id, action.Actors.Owner.Id, action.Actors.Via, action.Actors.Groups, action.Target,
                action.Effects.Select(static e => (IReadOnlyList<string>)e.Resource.Parents.Select(static p => $"{p.Type}::{p.Id}").ToArray()))),
            ("intent", CanonicalJson.Object(("reason", action.Intent.Reason), ("ticket", action.Intent.Ticket), ("task", action.Intent.Task), ("model", action.Intent.Model)))));
}
