using System.Text.Json;
using Countersign.Core;
using Countersign.Journal;

namespace Countersign.Identity.Federation;

public sealed partial class WorkloadDoor
{
    /// <summary>The header in which protocols over HTTP carry the statement.</summary>
    public const string OnBehalfOfHeader = "Countersign-On-Behalf-Of";

    /// <summary>`client_id` (RFC 8693 §4.3): the agent that the statement is about, by its name here.</summary>
    private const string AgentClaim = "client_id";

    /// <summary>Whether a runtime says for whom this agent acts, and must.</summary>
    public bool ActsOnlyForSomebody(string agent) => byRuntime.ContainsKey(agent);

    /// <summary>
    /// For whom an agent that has proven itself acts: what its runtime says, signed, for this agent and this gateway, once. Every
    /// protocol calls this once for a connection, and refuses it where there is a reason. An agent that a runtime runs always
    /// brings a statement: who leaves it out would be rid of the human who may not approve.
    /// </summary>
    /// <param name="chain">Of the agent as it proved itself.</param>
    /// <param name="statement">A JWS in compact form, unread; null where there was none.</param>
    public async Task<ActingFor> ActForAsync(ActorChain chain, string? statement, CancellationToken ct)
    {
        var agent = chain.Agent.Name;
        if (!byRuntime.TryGetValue(agent, out var runtime)) return statement is null ? new ActingFor(chain, null, null) : await NotForAsync(agent, ReasonCodes.TokenIssuer, null).ConfigureAwait(false);
        if (statement is null) return await NotForAsync(agent, ReasonCodes.OnBehalfOfRequired, null).ConfigureAwait(false);

        var outcome = await runtime.Statements.ValidateAsync(statement, ct).ConfigureAwait(false);
        if (outcome.Token is not { } valid) return await NotForAsync(agent, outcome.ReasonCode!, outcome.Claims).ConfigureAwait(false);
        if (WorkloadTokens.String(valid.Claims, AgentClaim) != agent) return await NotForAsync(agent, ReasonCodes.TokenSubject, valid.Claims).ConfigureAwait(false);
        if (valid.Id is null) return await NotForAsync(agent, ReasonCodes.TokenMalformed, valid.Claims).ConfigureAwait(false);

        // A chain of actors is an authorization server's to exchange; a statement knows one human, and he is one of ours. Whom
        // the operator or the agent's own credential named stays: nobody is talked out of the chain.
        if (valid.Claims.TryGetProperty("act", out _) || Person(runtime.Signer, valid.Claims) is not { } user || (chain.OnBehalfOf is { } already && already.Id != user.Id))
            return await NotForAsync(agent, ReasonCodes.TokenActor, valid.Claims).ConfigureAwait(false);

        var used = Hash(runtime.Signer.Issuer, valid.Id);
        if (reader.Get(Used, used) is not null) return await NotForAsync(agent, ReasonCodes.TokenReplayed, valid.Claims).ConfigureAwait(false);
        var acting = chain with { OnBehalfOf = user };
        var entry = new EntryDraft("agent-acts-for",
            CanonicalJson.Object(("agent", acting.Agent.Id.Value), ("owner", acting.Owner.Id.Value), ("for", user.Id.Value), ("ends", CanonicalJson.Time(valid.ExpiresAt))),
            With(Said(valid.Claims), ("name", agent)));
        var result = await journal.WriteAsync(new WriteSet([entry],
            [new StateChange.Put(Used, used, 0, null, JsonSerializer.SerializeToUtf8Bytes(new UsedToken(valid.ExpiresAt), IdentityJson.Default.UsedToken))]), CancellationToken.None).ConfigureAwait(false);
        return result.Status switch
        {
            WriteStatus.Committed => new ActingFor(acting, valid.ExpiresAt + runtime.Signer.Grace, null),
            WriteStatus.Conflict => await NotForAsync(agent, ReasonCodes.TokenReplayed, valid.Claims).ConfigureAwait(false),
            _ => new ActingFor(null, null, result.ReasonCode ?? ReasonCodes.JournalUnavailable),
        };
    }

    private async Task<ActingFor> NotForAsync(string agent, string reason, JsonElement? claims) =>
        new(null, null, (await RefusedAsync(agent, reason, "on-behalf-of", claims).ConfigureAwait(false)).ReasonCode);
}
