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
            if (known.EndsAt > now && agents.StillActs(known.Actors)) return (known, null);
            signedIn.TryRemove(credential, out _);
            return (null, known.EndsAt > now ? ReasonCodes.Unauthenticated : ReasonCodes.TokenExpired);
        }

        var result = await workloads.ByTokenAsync(secret, http.RequestAborted).ConfigureAwait(false);
        if (result.Session is not { } session) return (null, result.ReasonCode ?? ReasonCodes.Unauthenticated);
        if (signedIn.Count >= Remembered)
        {
            foreach (var (old, who) in signedIn)
            {
                if (who.EndsAt <= now) signedIn.TryRemove(old, out _);
            }
        }

        var caller = new Caller(session.Actors, credential, session.EndsAt);
        if (signedIn.Count < Remembered) signedIn[credential] = caller;
        return (caller, null);
    }
}
