using System.Collections.Immutable;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Identity.Federation;
using Countersign.PgWire;

namespace Countersign.Gateway.Postgres;

/// <summary>
/// Who the agent is (docs/design/0002-workload-identity.md). The name says how it proves itself, by the config: a name has keys
/// (SCRAM), or a token, or a certificate, and never two of them. So nobody who holds a key is ever asked for it in clear.
/// </summary>
public sealed partial class PostgresGateway
{
    /// <summary>Most certificates of a client that are kept to build its chain with. 8: more than any authority has levels.</summary>
    private const int MostBetween = 8;

    /// <summary>An agent that was let in. <see cref="KeyId"/> for one with a key; <see cref="EndsAt"/> where the credential has an end.</summary>
    private sealed record SignedIn(AgentEntry Agent, string? KeyId, ActorChain Actors, DateTimeOffset? EndsAt);

    private SslServerAuthenticationOptions TlsOptions(Peer peer)
    {
        var options = new SslServerAuthenticationOptions { ServerCertificate = certificate };
        if (!workloads.AsksForCertificates) return options;

        // Asked for, not required: agents with keys and tokens come by the same port, and libpq sends whatever certificate it
        // finds. Who needs one is refused when he says his name. The certificate is judged then, by the configured authorities;
        // here nothing may be fetched that the client's own certificate points to.
        options.ClientCertificateRequired = true;
        options.AllowTlsResume = false;
        options.CertificateChainPolicy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, DisableCertificateDownloads = true, RevocationMode = X509RevocationMode.NoCheck };
        options.RemoteCertificateValidationCallback = (_, sent, chain, _) =>
        {
            if (sent is null) return true;
            peer.Certificate = X509CertificateLoader.LoadCertificate(sent.GetRawCertData());
            foreach (var other in chain?.ChainPolicy.ExtraStore.Take(MostBetween) ?? []) peer.Between.Add(X509CertificateLoader.LoadCertificate(other.RawData));
            return true;
        };
        return options;
    }

    /// <summary>Exactly one of the two is there.</summary>
    private async Task<(SignedIn?, Refusal?)> AuthenticateAsync(Transport client, string name, string? mechanism, CancellationToken ct)
    {
        using var span = SpineTelemetry.Source.StartActivity("identify");
        var method = workloads.MethodOf(name);
        if (method == SignInMethod.Key) return await ByKeyAsync(client, name, ct).ConfigureAwait(false);
        var answer = method == SignInMethod.Certificate
            ? await workloads.ByCertificateAsync(name, client.Peer.Certificate, client.Peer.Between).ConfigureAwait(false)
            : await ByTokenAsync(client, name, mechanism, ct).ConfigureAwait(false);
        return answer.Session is { } session
            ? (new SignedIn(session.Agent, null, session.Actors, session.EndsAt), null)
            : (null, WorkloadRefusals.Of(answer.ReasonCode!, name));
    }

    /// <summary>SCRAM-SHA-256 against all keys of the agent; an unknown name goes the same way and never succeeds.</summary>
    private async Task<(SignedIn?, Refusal?)> ByKeyAsync(Transport client, string name, CancellationToken ct)
    {
        var frames = FrameReader.FrontendAuthentication(wire);
        var material = agents.ScramFor(name);
        var scram = new ScramServer(
            new ScramVerifier(material.Salt, material.Iterations, material.Keys.Select(static k => new ScramKeys(k.StoredKey, k.ServerKey)).ToImmutableArray()),
            RandomNumberGenerator.GetBytes(Scram.NonceBytes));
        BackendWriter.WriteAuthenticationSasl(client.Output, Scram.Mechanism);
        await client.FlushAsync(ct).ConfigureAwait(false);

        if (await client.ReadFrameAsync(frames, ct).ConfigureAwait(false) is not { Tag: FrontendTag.Password } first
            || !SaslInitialResponse.TryRead(first.Body, out var initial, out _) || !initial.Mechanism.Is("SCRAM-SHA-256"u8) || initial.Data is not { } data
            || !scram.TryFirst(data.Span, out var challenge, out _)) return (null, WorkloadRefusals.Of(ReasonCodes.Unauthenticated, name));
        BackendWriter.WriteAuthenticationSaslContinue(client.Output, challenge);
        await client.FlushAsync(ct).ConfigureAwait(false);

        if (await client.ReadFrameAsync(frames, ct).ConfigureAwait(false) is not { Tag: FrontendTag.Password } last
            || !scram.TryFinal(SaslResponse.Read(last.Body).Data.Span, out var signature, out _)) return (null, WorkloadRefusals.Of(ReasonCodes.Unauthenticated, name));
        BackendWriter.WriteAuthenticationSaslFinal(client.Output, signature);

        // Read again: a key revoked during the exchange does not count.
        var keyId = material.Keys[scram.MatchedCandidate].KeyId;
        if (agents.Find(name) is not { RevokedAt: null } agent || !agent.Keys.Any(k => k.RevokedAt is null && k.KeyId == keyId)) return (null, WorkloadRefusals.Of(ReasonCodes.Unauthenticated, name));
        return agents.ChainOf(agent) is { } actors
            ? (new SignedIn(agent, keyId, actors, null), null)
            : (null, new Refusal(ReasonCodes.Unauthenticated, $"agent `{agent.Name}` has no owner any more", "ask the operator to name one."));
    }

    /// <summary>For whom an agent that has proven itself acts. Exactly one of the two is there.</summary>
    private async Task<(SignedIn?, Refusal?)> ActForAsync(SignedIn proven, string? statement, CancellationToken ct)
    {
        var acting = await workloads.ActForAsync(proven.Actors, statement, ct).ConfigureAwait(false);
        if (acting.Actors is not { } actors) return (null, WorkloadRefusals.OfStatement(acting.ReasonCode!, proven.Agent.Name));
        var ends = acting.EndsAt is { } end && (proven.EndsAt is not { } until || end < until) ? end : proven.EndsAt;
        return (proven with { Actors = actors, EndsAt = ends }, null);
    }

    private async Task<WorkloadSignIn> ByTokenAsync(Transport client, string name, string? mechanism, CancellationToken ct)
    {
        // Asked for nothing: a client that would send its token in clear must not be led to.
        if (!client.IsTls && !(config.Federation.InsecureLoopback && client.Peer.IsLoopback)) return await workloads.RefuseAsync(name, ReasonCodes.TlsRequired).ConfigureAwait(false);
        var frames = FrameReader.FrontendAuthentication(wire);
        if (mechanism is null)
        {
            BackendWriter.WriteAuthenticationCleartextPassword(client.Output);
            await client.FlushAsync(ct).ConfigureAwait(false);
            return await client.ReadFrameAsync(frames, ct).ConfigureAwait(false) is { Tag: FrontendTag.Password } answer && PasswordMessage.TryRead(answer.Body, out var password, out _)
                ? await workloads.ByTokenAsync(name, password.Password.ToString(), ct).ConfigureAwait(false)
                : await workloads.RefuseAsync(name, ReasonCodes.TokenMalformed).ConfigureAwait(false);
        }

        BackendWriter.WriteAuthenticationSasl(client.Output, OAuthBearer.Mechanism);
        await client.FlushAsync(ct).ConfigureAwait(false);
        if (await client.ReadFrameAsync(frames, ct).ConfigureAwait(false) is not { Tag: FrontendTag.Password } first
            || !SaslInitialResponse.TryRead(first.Body, out var initial, out _) || !initial.Mechanism.Is("OAUTHBEARER"u8) || initial.Data is not { } data
            || !OAuthBearer.TryRead(data.Span, name, out var token)) return await workloads.RefuseAsync(name, ReasonCodes.TokenMalformed).ConfigureAwait(false);

        // A client without a token asks where to get one (RFC 7628 §4.3); that is no attempt, and no news.
        var result = token is null ? new WorkloadSignIn(null, ReasonCodes.TokenMalformed) : await workloads.ByTokenAsync(name, token, ct).ConfigureAwait(false);
        if (result.Session is not null) return result;
        BackendWriter.WriteAuthenticationSaslContinue(client.Output, OAuthBearer.Refusal(workloads.DiscoveryOf(name)));
        await client.FlushAsync(ct).ConfigureAwait(false);

        // §3.2.3: the client takes note, and only then the exchange fails.
        await client.ReadFrameAsync(frames, ct).ConfigureAwait(false);
        return result;
    }
}

/// <summary>
/// What a refused agent is told: which of the things that its own credential says did not hold, never what would have held (no
/// audience, issuer, rule or owner of ours).
/// </summary>
internal static class WorkloadRefusals
{
    /// <summary>Of a runtime's statement of whom the agent acts for.</summary>
    public static Refusal OfStatement(string reason, string name) => reason switch
    {
        ReasonCodes.OnBehalfOfRequired => new(reason, "this agent acts for a user, and its runtime has to say for whom", "run it under its runtime, which signs `countersign.on_behalf_of`."),
        ReasonCodes.TokenIssuer => new(reason, "the on-behalf-of statement is of no runtime that speaks for this agent", "connect without it, or ask the operator to configure the runtime."),
        ReasonCodes.TokenSubject => new(reason, "the on-behalf-of statement is about another agent", "have one signed for this agent."),
        ReasonCodes.TokenReplayed => new(reason, "the on-behalf-of statement was used already", "have a new one signed for each connection."),
        ReasonCodes.TokenActor => new(reason, "for whom the on-behalf-of statement says that the agent acts is not known here, or not allowed for this agent", "tell the operator."),
        _ when reason.StartsWith("token-", StringComparison.Ordinal) => new(reason, "the on-behalf-of statement does not hold", "have a new one signed: by the agent's runtime, for this gateway, with its own type, and short-lived."),
        _ => Of(reason, name),
    };

    public static Refusal Of(string reason, string name) => reason switch
    {
        ReasonCodes.TlsRequired => new(reason, "this agent signs in over TLS only", "connect with sslmode=verify-full."),
        ReasonCodes.TokenMalformed => new(reason, "the password is not a signed token that can be read", "send a JWT of the agent's issuer as the password."),
        ReasonCodes.TokenIssuer => new(reason, "the token is of another issuer", "send a token of the issuer that the operator configured for this agent."),
        ReasonCodes.TokenType => new(reason, "the token is of another kind", "send an access token for a workload, not an ID or log-out token."),
        ReasonCodes.TokenAlgorithm => new(reason, "the token's signature algorithm is not accepted", "use RS256, ES256 or another asymmetric one."),
        ReasonCodes.TokenSignature => new(reason, "the token's signature does not fit any key of its issuer", "get a new token."),
        ReasonCodes.TokenAudience => new(reason, "the token is for another audience", "ask the issuer for a token with the audience of this gateway, and no other; the operator knows it."),
        ReasonCodes.TokenExpired => new(reason, "the token has expired", "get a new one."),
        ReasonCodes.TokenNotYetValid => new(reason, "the token is not valid yet", "check the clocks."),
        ReasonCodes.TokenLifetime => new(reason, "the token lives too long, or has no end", "ask the issuer for a shorter one."),
        ReasonCodes.TokenSubject => new(reason, "the token is not this agent's", "check the user name, and from where the token was asked for."),
        ReasonCodes.TokenReplayed => new(reason, "the token was used already", "get a new one for each connection."),
        ReasonCodes.TokenActor => new(reason, "for whom the token acts is not known here, or not allowed for this agent", "tell the operator."),
        ReasonCodes.IssuerUnavailable => new(reason, "the issuer's keys can not be read now", "retry later; tell the operator if it lasts."),
        ReasonCodes.CertificateRequired => new(reason, "this agent signs in with a client certificate", "give sslcert and sslkey."),
        ReasonCodes.CertificateInvalid => new(reason, "the client certificate is not valid here", "use one of the agent's authority, for clients, and in its time."),
        ReasonCodes.CertificateRevoked => new(reason, "the client certificate is revoked", "get a new one."),
        ReasonCodes.CertificateSubject => new(reason, "the client certificate is not this agent's", "check the user name."),
        ReasonCodes.JournalUnavailable or ReasonCodes.Overloaded or ReasonCodes.ShuttingDown or ReasonCodes.Internal => new(reason, "nobody can sign in now, because it can not be recorded", "retry later."),
        _ => new(ReasonCodes.Unauthenticated, $"authentication failed for agent `{VisibleText.Of(name, multiline: false)}`", "check the agent's name and key; keys come from `countersign agent add`."),
    };
}
