using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Identity.Federation;
using Microsoft.AspNetCore.Http;

namespace Countersign.Gateway.Mcp;

/// <summary>
/// Who sends a request: an agent's key, or a token of a configured issuer, in `Authorization: Bearer` and nowhere else. Each request
/// shows it; a session id is no credential.
/// </summary>
internal sealed class BearerDoor(AgentRegistry agents, WorkloadDoor workloads, bool insecureLoopback, TimeProvider time)
{
    /// <summary>Sign-ins by token that are remembered until they end. 10,000: more than there are workloads.</summary>
    private const int Remembered = 10_000;

    private const string KeyPrefix = "csk_";
    private const int Longest = 16 << 10;

    private readonly ConcurrentDictionary<string, Caller> signedIn = new(StringComparer.Ordinal);

    /// <summary>Exactly one of the two is there.</summary>
    public async Task<(Caller? Caller, string? ReasonCode)> IdentifyAsync(HttpContext http)
    {
        var proven = await ProveAsync(http).ConfigureAwait(false);
        return proven.Caller is { } caller ? await ActForAsync(http, caller).ConfigureAwait(false) : proven;
    }

    /// <summary>
    /// For whom the agent acts, where a runtime says so: a statement counts once, for the credential that it came with, and each
    /// further request shows both.
    /// </summary>
    private async Task<(Caller? Caller, string? ReasonCode)> ActForAsync(HttpContext http, Caller proven)
    {
        var statement = http.Request.Headers[WorkloadDoor.OnBehalfOfHeader] switch
        {
            [] => null,
            [{ Length: <= Longest } one] => one,
            _ => "", // more than one is none
        };
        if (statement is null && !workloads.ActsOnlyForSomebody(proven.Actors.Agent.Name)) return (proven, null);
        var credential = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{proven.Credential} {statement}")));
        var now = time.GetUtcNow();
        if (signedIn.TryGetValue(credential, out var known))
        {
            if (known.EndsAt > now && agents.StillActs(known.Actors)) return (known, null);
            signedIn.TryRemove(credential, out _);
            return (null, known.EndsAt > now ? ReasonCodes.Unauthenticated : ReasonCodes.TokenExpired);
        }

        var acting = await workloads.ActForAsync(proven.Actors, statement, http.RequestAborted).ConfigureAwait(false);
        if (acting.Actors is not { } actors) return (null, acting.ReasonCode ?? ReasonCodes.Unauthenticated);
        var ends = proven.EndsAt is { } end && end < acting.EndsAt ? end : acting.EndsAt;
        var caller = new Caller(actors, credential, ends);
        Remember(caller, credential, now);
        return (caller, null);
    }

    private void Remember(Caller caller, string credential, DateTimeOffset now)
    {
        if (signedIn.Count >= Remembered)
        {
            foreach (var (old, who) in signedIn)
            {
                if (who.EndsAt <= now) signedIn.TryRemove(old, out _);
            }
        }

        if (signedIn.Count < Remembered) signedIn[credential] = caller;
    }

    private async Task<(Caller? Caller, string? ReasonCode)> ProveAsync(HttpContext http)
    {
        if (http.Request.Headers.Authorization is not [{ } value] || !AuthenticationHeaderValue.TryParse(value, out var header)
            || !string.Equals(header.Scheme, "Bearer", StringComparison.OrdinalIgnoreCase) || header.Parameter is not { Length: > 0 and <= Longest } secret) return (null, ReasonCodes.Unauthenticated);
        var credential = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(secret)));
        if (secret.StartsWith(KeyPrefix, StringComparison.Ordinal))
        {
            // Asked of the registry each time: a revoked key is none.
            return agents.FindByKey(secret) is { } agent && agents.ChainOf(agent) is { } chain ? (new Caller(chain, credential, null), null) : (null, ReasonCodes.Unauthenticated);
        }

        if (!http.Request.IsHttps && !(insecureLoopback && http.Connection.RemoteIpAddress is { } remote && IPAddress.IsLoopback(remote))) return (null, ReasonCodes.TlsRequired);
        var now = time.GetUtcNow();
        if (signedIn.TryGetValue(credential, out var known))
        {
            // Whom a runtime has still to name is not in this chain yet.
            if (known.EndsAt > now && (workloads.ActsOnlyForSomebody(known.Actors.Agent.Name) || agents.StillActs(known.Actors))) return (known, null);
            signedIn.TryRemove(credential, out _);
            return (null, known.EndsAt > now ? ReasonCodes.Unauthenticated : ReasonCodes.TokenExpired);
        }

        var result = await workloads.ByTokenAsync(secret, http.RequestAborted).ConfigureAwait(false);
        if (result.Session is not { } session) return (null, result.ReasonCode ?? ReasonCodes.Unauthenticated);
        var caller = new Caller(session.Actors, credential, session.EndsAt);
        Remember(caller, credential, now);
        return (caller, null);
    }
}
