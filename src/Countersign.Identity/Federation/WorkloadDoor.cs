using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;
using Countersign.Core;
using Countersign.Journal;

namespace Countersign.Identity.Federation;

/// <summary>
/// Lets workloads in without a key of ours: by the token of an issuer, or a client certificate. Each success is journalled
/// before it counts, together with the token's id where that opens one connection; each refusal is journalled too, up to a
/// rate. Thread-safe.
/// </summary>
public sealed partial class WorkloadDoor : IDisposable
{
    private const string Used = "used-tokens";
    private const string Key = "csk_";

    private readonly Dictionary<string, (TokenIssuer Issuer, Workload Workload, WorkloadTokens Tokens)> byToken = new(StringComparer.Ordinal);
    private readonly Dictionary<string, (TokenIssuer Signer, WorkloadTokens Statements)> byRuntime = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Workload> byCertificate = new(StringComparer.Ordinal);
    private readonly IReadOnlyList<TokenIssuer> issuers;
    private readonly CertificateAuthority? authority;
    private readonly WorkloadCertificates? certificates;
    private readonly AgentRegistry agents;
    private readonly UserDirectory users;
    private readonly IStateReader reader;
    private readonly JournalAppender journal;
    private readonly TimeProvider time;
    private readonly FederationLimits limits;
    private readonly HttpClient http;
    private readonly List<IssuerKeys> keys = [];
    private readonly Lock gate = new();
    private DateTimeOffset minute = DateTimeOffset.MinValue;
    private int written;
    private long unwritten;
    private DateTimeOffset swept = DateTimeOffset.MinValue;

    public WorkloadDoor(IReadOnlyList<TokenIssuer> issuers, CertificateAuthority? authority, AgentRegistry agents, UserDirectory users, IStateReader reader, JournalAppender journal, TimeProvider time, FederationLimits? limits = null, IReadOnlyList<TrustedRuntime>? runtimes = null)
    {
        this.issuers = issuers;
        this.authority = authority;
        this.agents = agents;
        this.users = users;
        this.reader = reader;
        this.journal = journal;
        this.time = time;
        this.limits = limits ?? new FederationLimits();
        http = IssuerKeys.Client(this.limits);
        foreach (var issuer in issuers)
        {
            var known = new IssuerKeys(issuer, this.limits, time, http);
            keys.Add(known);
            var tokens = new WorkloadTokens(issuer, known, this.limits, time);
            foreach (var workload in issuer.Workloads) byToken.Add(workload.Agent, (issuer, workload, tokens));
        }

        foreach (var (signer, run) in runtimes ?? [])
        {
            var known = new IssuerKeys(signer, this.limits, time, http);
            keys.Add(known);
            var statements = new WorkloadTokens(signer with { Type = TrustedRuntime.StatementType }, known, this.limits, time);
            foreach (var agent in run) byRuntime.Add(agent, (signer, statements));
        }

        agents.RunByRuntimes = byRuntime.Keys.ToHashSet(StringComparer.Ordinal);
        if (authority is null) return;
        certificates = new WorkloadCertificates(authority, time);
        foreach (var workload in authority.Workloads) byCertificate.Add(workload.Agent, workload);
    }

    /// <summary>Whether TLS has to ask clients for a certificate.</summary>
    public bool AsksForCertificates => authority is not null;

    /// <summary>The agents of the config, for <see cref="AgentRegistry.DeclareAsync"/>.</summary>
    public static IReadOnlyList<DeclaredAgent> Declared(IReadOnlyList<TokenIssuer> issuers, CertificateAuthority? authority) =>
        [.. issuers.SelectMany(static i => i.Workloads.Select(w => Agent(w, i.Issuer))), .. authority?.Workloads.Select(static w => Agent(w, DeclaredAgent.Certificate)) ?? []];

    private static DeclaredAgent Agent(Workload w, string vouchedBy) => new(w.Agent, vouchedBy, w.Owner, w.For, w.Groups, w.Delegated);

    /// <summary>How an agent of this name proves itself. The config says it, never the client.</summary>
    public SignInMethod MethodOf(string agent) => byToken.ContainsKey(agent) ? SignInMethod.Token : byCertificate.ContainsKey(agent) ? SignInMethod.Certificate : SignInMethod.Key;

    /// <summary>Where a client finds out how to get a token (RFC 7628 §3.2.2); null where the issuer has no such page.</summary>
    public string? DiscoveryOf(string agent) =>
        byToken.TryGetValue(agent, out var known) && Uri.TryCreate(known.Issuer.Issuer, UriKind.Absolute, out var uri) && uri.Scheme is "https" or "http"
            ? $"{known.Issuer.Issuer.TrimEnd('/')}/.well-known/openid-configuration"
            : null;

    /// <summary>A token for the agent of this name.</summary>
    public async Task<WorkloadSignIn> ByTokenAsync(string agent, string token, CancellationToken ct)
    {
        if (!byToken.TryGetValue(agent, out var known)) return await RefusedAsync(agent, ReasonCodes.Unauthenticated, "token", null).ConfigureAwait(false);

        // A key of ours, sent in clear because a name was mistaken: no token, and nothing of it is kept.
        var outcome = token.StartsWith(Key, StringComparison.Ordinal) ? new TokenOutcome(null, ReasonCodes.TokenMalformed, null) : await known.Tokens.ValidateAsync(token, ct).ConfigureAwait(false);
        if (outcome.Token is not { } valid) return await RefusedAsync(agent, outcome.ReasonCode!, "token", outcome.Claims).ConfigureAwait(false);

        var delegated = valid.Claims.TryGetProperty("act", out var act);
        if (delegated != known.Workload.Delegated || (delegated && act.ValueKind != JsonValueKind.Object)) return await RefusedAsync(agent, ReasonCodes.TokenActor, "token", valid.Claims).ConfigureAwait(false);
        if (!Matches(known.Workload, delegated ? act : valid.Claims) || (delegated && !IsOf(act, known.Issuer))) return await RefusedAsync(agent, ReasonCodes.TokenSubject, "token", valid.Claims).ConfigureAwait(false);
        if (agents.Find(agent) is not { RevokedAt: null } entry || agents.ChainOf(entry) is not { } chain) return await RefusedAsync(agent, ReasonCodes.Unauthenticated, "token", valid.Claims).ConfigureAwait(false);
        if (delegated)
        {
            if (Delegated(chain, known.Issuer, valid.Claims, act) is not { } actors) return await RefusedAsync(agent, ReasonCodes.TokenActor, "token", valid.Claims).ConfigureAwait(false);
            chain = actors;
        }

        var changes = new List<StateChange>();
        if (known.Issuer.Once)
        {
            if (valid.Id is null) return await RefusedAsync(agent, ReasonCodes.TokenMalformed, "token", valid.Claims).ConfigureAwait(false);
            var used = Hash(known.Issuer.Issuer, valid.Id);
            if (reader.Get(Used, used) is not null) return await RefusedAsync(agent, ReasonCodes.TokenReplayed, "token", valid.Claims).ConfigureAwait(false);
            changes.Add(new StateChange.Put(Used, used, 0, null, JsonSerializer.SerializeToUtf8Bytes(new UsedToken(valid.ExpiresAt), IdentityJson.Default.UsedToken)));
        }

        // Of two that bring one token at the same moment the store lets one through.
        var result = await journal.WriteAsync(new WriteSet([SignedIn(chain, "token", valid.ExpiresAt, Said(valid.Claims))], changes), CancellationToken.None).ConfigureAwait(false);
        return result.Status switch
        {
            WriteStatus.Committed => new WorkloadSignIn(new WorkloadSession(entry, chain, valid.ExpiresAt + known.Issuer.Grace), null),
            WriteStatus.Conflict => await RefusedAsync(agent, ReasonCodes.TokenReplayed, "token", valid.Claims).ConfigureAwait(false),
            _ => new WorkloadSignIn(null, result.ReasonCode ?? ReasonCodes.JournalUnavailable),
        };
    }

    /// <summary>
    /// A token whose agent the client does not name: the one agent of its issuer that it fits. What it says is believed only once it
    /// was validated for that agent.
    /// </summary>
    public async Task<WorkloadSignIn> ByTokenAsync(string token, CancellationToken ct)
    {
        if (WorkloadTokens.Claims(token, limits) is not { } claims) return await RefusedAsync("", ReasonCodes.TokenMalformed, "token", null).ConfigureAwait(false);
        var issuer = WorkloadTokens.String(claims, "iss");
        var who = claims.TryGetProperty("act", out var act) && act.ValueKind == JsonValueKind.Object ? act : claims;
        var fitting = byToken.Values.Where(k => k.Issuer.Issuer == issuer && Matches(k.Workload, who)).Take(2).ToArray();
        if (fitting.Length != 1) return await RefusedAsync("", byToken.Values.Any(k => k.Issuer.Issuer == issuer) ? ReasonCodes.TokenSubject : ReasonCodes.TokenIssuer, "token", claims).ConfigureAwait(false);
        return await ByTokenAsync(fitting[0].Workload.Agent, token, ct).ConfigureAwait(false);
    }

    /// <summary>Issuers that tokens may come from, for clients that look for one.</summary>
    public IReadOnlyList<string> Issuers => issuers.Select(static i => i.Issuer).ToArray();

    /// <summary>A client certificate, which TLS has proven to be the client's, for the agent of this name.</summary>
    /// <param name="between">Authorities between that the client sent along.</param>
    public async Task<WorkloadSignIn> ByCertificateAsync(string agent, X509Certificate2? certificate, X509Certificate2Collection between)
    {
        if (certificates is null || !byCertificate.TryGetValue(agent, out var workload)) return await RefusedAsync(agent, ReasonCodes.Unauthenticated, "certificate", null).ConfigureAwait(false);
        var names = certificate is null ? null : WorkloadCertificates.Names(certificate);
        var said = CanonicalJson.Object(("serial", certificate?.SerialNumber.ToLowerInvariant()), ("names", names is var (uris, hosts) ? CanonicalJson.Strings(uris.Concat(hosts).Take(20).Select(static n => Shortened(n)!)) : null));
        if (certificates.Refuse(certificate, between, workload) is { } reason) return await RefusedAsync(agent, reason, "certificate", null, said).ConfigureAwait(false);
        if (agents.Find(agent) is not { RevokedAt: null } entry || agents.ChainOf(entry) is not { } chain) return await RefusedAsync(agent, ReasonCodes.Unauthenticated, "certificate", null, said).ConfigureAwait(false);
        var ends = new DateTimeOffset(certificate!.NotAfter.ToUniversalTime());
        var result = await journal.WriteAsync(WriteSet.Of(SignedIn(chain, "certificate", ends, said))).ConfigureAwait(false);
        return result.Status == WriteStatus.Committed
            ? new WorkloadSignIn(new WorkloadSession(entry, chain, ends + authority!.Grace), null)
            : new WorkloadSignIn(null, result.ReasonCode ?? ReasonCodes.JournalUnavailable);
    }

    /// <summary>Journals a refusal that was made before the door was asked, such as a token without TLS.</summary>
    public Task<WorkloadSignIn> RefuseAsync(string agent, string reason) => RefusedAsync(agent, reason, MethodOf(agent) == SignInMethod.Certificate ? "certificate" : "token", null);

    /// <summary>Forgets used tokens that are over; called each second by the host.</summary>
    public async Task SweepAsync()
    {
        var now = time.GetUtcNow();
        if (now - swept < limits.SweepEvery && now >= swept) return;
        swept = now;
        for (string? after = null; ;)
        {
            var page = reader.List(Used, after, 1000);
            if (page.Count == 0) return;
            after = page[^1].Key;

            // A minute late, since another node's clock may have let it in with a little more time.
            var over = page.Where(d => JsonSerializer.Deserialize(d.Value, IdentityJson.Default.UsedToken)!.ExpiresAt + TimeSpan.FromMinutes(1) < now)
                .Select(static d => (StateChange)new StateChange.Delete(Used, d.Key, d.Version)).ToArray();
            if (over.Length > 0) await journal.WriteAsync(new WriteSet([], over)).ConfigureAwait(false);
        }
    }

    // ---- the actor chain ----

    /// <summary>
    /// RFC 8693 §4.1: `sub` is the user, `act` the agent, and each `act` within it an earlier actor. Null unless every one of
    /// them is known: whom we do not know we can not keep from approving (I4).
    /// </summary>
    private ActorChain? Delegated(ActorChain chain, TokenIssuer issuer, JsonElement claims, JsonElement act)
    {
        if (Person(issuer, claims) is not { } user) return null;
        var via = new List<PrincipalRef>();
        var depth = 0;
        while (act.TryGetProperty("act", out var earlier))
        {
            if (++depth >= limits.Actors || earlier.ValueKind != JsonValueKind.Object || Behind(earlier, issuer) is not { } humans) return null;
            via.AddRange(humans);
            act = earlier;
        }

        return chain with { OnBehalfOf = user, Via = via.DistinctBy(static h => h.Id).OrderBy(static h => h.Id.Value, StringComparer.Ordinal).ToArray() };
    }

    /// <summary>The humans behind an earlier actor: himself, or who answers for the agent. Null where nobody is known.</summary>
    private IReadOnlyList<PrincipalRef>? Behind(JsonElement actor, TokenIssuer issuer)
    {
        var of = actor.TryGetProperty("iss", out _) ? issuers.FirstOrDefault(i => i.Issuer == WorkloadTokens.String(actor, "iss")) : issuer;
        if (of is null) return null;
        var humans = new List<PrincipalRef>();
        if (Person(of, actor) is { } person) humans.Add(person);
        foreach (var workload in of.Workloads.Where(w => Matches(w, actor)))
        {
            if (agents.Find(workload.Agent) is not { } agent || agents.ChainOf(agent) is not { } chain) return null;
            humans.AddRange(chain.Humans);
        }

        return humans.Count > 0 ? humans : null;
    }

    /// <summary>By the config's table, or as the directory knows this subject of this issuer. Where the two differ, nobody.</summary>
    private PrincipalRef? Person(TokenIssuer issuer, JsonElement claims)
    {
        if (WorkloadTokens.String(claims, issuer.PeopleClaim) is not { Length: > 0 } subject) return null;
        var known = users.All.FirstOrDefault(u => u.Subject is { } s && s.Issuer == issuer.Issuer && s.Value == subject)?.Ref;
        if (!issuer.People.TryGetValue(subject, out var name)) return known;
        var named = users.Find(name)?.Ref;
        return known is null || known.Id == named?.Id ? named : null;
    }

    private static bool IsOf(JsonElement actor, TokenIssuer issuer) => !actor.TryGetProperty("iss", out _) || WorkloadTokens.String(actor, "iss") == issuer.Issuer;

    /// <summary>Every claim is text and as the rule says; at least one rule.</summary>
    private static bool Matches(Workload workload, JsonElement claims) =>
        workload.Match.Count > 0 && workload.Match.All(m => m.Value.Matches(WorkloadTokens.String(claims, m.Key)));

    // ---- the journal ----

    private static EntryDraft SignedIn(ActorChain chain, string method, DateTimeOffset ends, CanonicalJson.Members said) => new("agent-signed-in",
        CanonicalJson.Object(("agent", chain.Agent.Id.Value), ("owner", chain.Owner.Id.Value), ("for", chain.OnBehalfOf?.Id.Value),
            ("via", chain.Via.Count > 0 ? CanonicalJson.Strings(chain.Via.Select(static h => h.Id.Value)) : null), ("method", method), ("ends", CanonicalJson.Time(ends))),
        With(said, ("name", chain.Agent.Name)));

    private async Task<WorkloadSignIn> RefusedAsync(string agent, string reason, string method, JsonElement? claims, CanonicalJson.Members? said = null)
    {
        long missed;
        lock (gate)
        {
            var now = time.GetUtcNow();
            if (now - minute >= TimeSpan.FromMinutes(1) || now < minute) (minute, written) = (now, 0);
            if (++written > limits.RefusalsPerMinute)
            {
                unwritten++;
                return new WorkloadSignIn(null, reason);
            }

            missed = unwritten;
            unwritten = 0;
        }

        var fields = CanonicalJson.Object(("agent", agents.Find(agent)?.Id.Value), ("method", method), ("reason", reason));
        if (missed > 0) fields.Items.Add("unwritten", missed);

        // What an unproven token says is a claim; the reason tells how far it was believed.
        await journal.WriteAsync(WriteSet.Of(new EntryDraft("agent-refused", fields, With(said ?? (claims is { } read ? Said(read) : CanonicalJson.Object()), ("name", Shortened(agent)))))).ConfigureAwait(false);
        return new WorkloadSignIn(null, reason);
    }

    private static CanonicalJson.Members Said(JsonElement claims) => CanonicalJson.Object(
        ("issuer", Shortened(WorkloadTokens.String(claims, "iss"))), ("subject", Shortened(WorkloadTokens.String(claims, "sub"))), ("token", Shortened(WorkloadTokens.String(claims, "jti"))),
        ("actor", claims.TryGetProperty("act", out var act) ? Shortened(WorkloadTokens.String(act, "sub")) : null));

    private static CanonicalJson.Members With(CanonicalJson.Members members, (string Name, string? Value) more)
    {
        members.Items[more.Name] = more.Value;
        return members;
    }

    private static string? Shortened(string? text) => text is { Length: > 512 } ? text[..512] : text;

    private static string Hash(string issuer, string id) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(CanonicalJson.Strings([issuer, id]).ToString()!)));

    public void Dispose()
    {
        foreach (var known in keys) known.Dispose();
        certificates?.Dispose();
        http.Dispose();
    }
}
