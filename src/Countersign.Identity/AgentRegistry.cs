using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Countersign.Core;
using Countersign.Journal;

namespace Countersign.Identity;

/// <summary>An agent as the registry knows it. Owner and user are names of the directory, resolved when it connects.</summary>
public sealed record AgentEntry(OpaqueId Id, string Name, string Owner, string? For, IReadOnlyList<string> Groups, IReadOnlyList<AgentKey> Keys, DateTimeOffset CreatedAt, DateTimeOffset? RevokedAt)
{
    /// <summary>Who owned it before, and until when: they can not approve what it does for a while (I11).</summary>
    public IReadOnlyList<FormerOwner> FormerOwners { get; init; } = [];

    /// <summary>The issuer of tokens, or `certificate`, that vouches for it; null for an agent with keys of its own.</summary>
    public string? VouchedBy { get; init; }

    /// <summary>True where each token names the user for whom it acts.</summary>
    public bool Delegated { get; init; }
}

/// <summary>An agent of the config, for which somebody else vouches.</summary>
/// <param name="VouchedBy">With the name, what it is known by: another issuer's agent is another.</param>
public sealed record DeclaredAgent(string Name, string VouchedBy, string Owner, string? For, IReadOnlyList<string> Groups, bool Delegated)
{
    /// <summary>What vouches for an agent that brings a client certificate.</summary>
    public const string Certificate = "certificate";
}

/// <summary>Who owned an agent, or for whom it acted, by his opaque id, and when that ended.</summary>
public sealed record FormerOwner(string Id, DateTimeOffset Until);

public enum AgentChangeStatus
{
    Done,
    NameTaken,
    BadName,
    UnknownOwner,
    UnknownUser,
    UnknownAgent,
    UnknownKey,

    /// <summary>Somebody else vouches for this agent: it has no keys, and can have none.</summary>
    NoKeys,
    Unavailable,
}

/// <summary>What came of a change to an agent; <see cref="Key"/> is there only when one was issued.</summary>
public sealed record AgentChange(AgentChangeStatus Status, string? Detail = null, AgentEntry? Agent = null, IssuedKey? Key = null);

/// <summary>
/// Agents and their keys. Every change is journalled with its author (I11) in the transaction that makes it. Keys are
/// 256-bit random and shown once; what is stored can verify them, never yield them (I8).
/// </summary>
public sealed class AgentRegistry(IStateReader reader, JournalAppender journal, UserDirectory users, TimeProvider time, byte[] mockSaltKey)
{
    private const string Collection = "agents";

    /// <summary>Names of agents by the ids of their keys; as many at most as there are keys.</summary>
    private readonly System.Collections.Concurrent.ConcurrentDictionary<string, string> byKeyId = new(StringComparer.Ordinal);

    /// <summary>Longest agent name, in characters: PostgreSQL's own limit for a role name.</summary>
    public const int MaxNameLength = 63;

    /// <summary>Agents for whom a runtime says for whom they act. Set once, at the start.</summary>
    public IReadOnlySet<string> RunByRuntimes { get; set; } = new HashSet<string>();

    public IReadOnlyList<AgentEntry> List() => reader.List(Collection).Select(Read).OrderBy(static a => a.Name, StringComparer.Ordinal).ToArray();

    public AgentEntry? Find(string name) => reader.Get(Collection, name) is { } document ? Read(document) : null;

    /// <summary>
    /// What the SCRAM exchange needs for this name. An unknown or revoked name gets a salt that is stable for it and no
    /// keys, so that the exchange looks the same and never succeeds.
    /// </summary>
    public ScramMaterial ScramFor(string name)
    {
        if (reader.Get(Collection, name) is { } document)
        {
            var agent = JsonSerializer.Deserialize(document.Value, IdentityJson.Default.AgentDocument)!;
            return new ScramMaterial(agent.Salt, agent.Iterations, agent.RevokedAt is null ? agent.Keys.Where(static k => k.RevokedAt is null).ToArray() : []);
        }

        return new ScramMaterial(HMACSHA256.HashData(mockSaltKey, Encoding.UTF8.GetBytes(name))[..AgentKeys.SaltBytes], AgentKeys.Iterations, []);
    }

    /// <summary>The agent that holds this key, for protocols that send the key itself. Fixed-time per key.</summary>
    public AgentEntry? FindByBearer(string name, string secret)
    {
        var presented = SHA256.HashData(Encoding.UTF8.GetBytes(secret));
        if (Find(name) is not { RevokedAt: null } agent) return null;
        var matches = false;
        foreach (var key in agent.Keys) matches |= key.RevokedAt is null & CryptographicOperations.FixedTimeEquals(key.BearerHash, presented);
        return matches ? agent : null;
    }

    /// <summary>The agent whose key this is, for protocols that send the key alone: the key says its own id, and the id leads to the agent.</summary>
    public AgentEntry? FindByKey(string secret)
    {
        if (secret.Length is < 13 or > 256 || secret[12] != '_') return null;
        var keyId = secret[4..12];
        if (byKeyId.TryGetValue(keyId, out var name)) return FindByBearer(name, secret);

        // Keys are issued elsewhere in this process and never change hands, so what was found once stays true.
        if (List().FirstOrDefault(a => a.Keys.Any(k => k.KeyId == keyId)) is not { } agent) return null;
        byKeyId.TryAdd(keyId, agent.Name);
        return FindByBearer(agent.Name, secret);
    }

    /// <summary>The chain of this agent, or null when its owner or user is no longer a user here: then it may not act.</summary>
    public ActorChain? ChainOf(AgentEntry agent)
    {
        if (agent.RevokedAt is not null || users.Find(agent.Owner) is not { } owner) return null;
        PrincipalRef? onBehalfOf = null;
        if (agent.For is not null)
        {
            if (users.Find(agent.For) is not { } user) return null;
            onBehalfOf = user.Ref;
        }

        return new ActorChain(new PrincipalRef(PrincipalKind.Agent, agent.Id, agent.Name), owner.Ref, onBehalfOf) { Groups = agent.Groups };
    }

    public async Task<AgentChange> AddAsync(string name, string owner, string? onBehalfOf, IReadOnlyList<string> groups, PrincipalRef author)
    {
        if (!IsName(name)) return new AgentChange(AgentChangeStatus.BadName, $"agent name `{VisibleText.Of(name, multiline: false)}` must be 1 to {MaxNameLength} of a-z, 0-9, `-`, `_`, `.`, starting with a letter");
        if (groups.FirstOrDefault(static g => !IsName(g)) is { } bad) return new AgentChange(AgentChangeStatus.BadName, $"group name `{VisibleText.Of(bad, multiline: false)}` is not a name");
        if (users.Find(owner) is null) return new AgentChange(AgentChangeStatus.UnknownOwner, $"owner `{VisibleText.Of(owner, multiline: false)}` is not a user of the config");
        if (onBehalfOf is not null && users.Find(onBehalfOf) is null) return new AgentChange(AgentChangeStatus.UnknownUser, $"user `{VisibleText.Of(onBehalfOf, multiline: false)}` is not a user of the config");
        if (users.Find(name) is not null) return new AgentChange(AgentChangeStatus.NameTaken, $"`{name}` is the name of a user");

        var now = time.GetUtcNow();
        var salt = RandomNumberGenerator.GetBytes(AgentKeys.SaltBytes);
        var (issued, stored) = AgentKeys.Issue(salt, now);
        var document = new AgentDocument(OpaqueId.NewAgent().Value, name, owner, onBehalfOf, groups.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToArray(), salt, AgentKeys.Iterations, [stored], now, null);
        return await SaveAsync("agent-added", document, 0, author, issued).ConfigureAwait(false);
    }

    /// <summary>
    /// Registers the agents of the config for which somebody else vouches, and brings owner, groups and user up to date. What
    /// was revoked stays so. Returns what keeps the gateway from starting, for the operator.
    /// </summary>
    public async Task<IReadOnlyList<string>> DeclareAsync(IReadOnlyList<DeclaredAgent> declared)
    {
        var errors = new List<string>();
        foreach (var agent in declared)
        {
            var groups = agent.Groups.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToArray();
            var known = reader.Get(Collection, agent.Name);
            var before = known is null ? null : JsonSerializer.Deserialize(known.Value, IdentityJson.Default.AgentDocument)!;
            if (!IsName(agent.Name)) errors.Add($"agent name `{VisibleText.Of(agent.Name, multiline: false)}` must be 1 to {MaxNameLength} of a-z, 0-9, `-`, `_`, `.`, starting with a letter");
            else if (groups.FirstOrDefault(static g => !IsName(g)) is { } bad) errors.Add($"group name `{VisibleText.Of(bad, multiline: false)}` of agent `{agent.Name}` is not a name");
            else if (users.Find(agent.Name) is not null) errors.Add($"`{agent.Name}` is the name of a user; give the agent another");
            else if (before is not null && before.VouchedBy != agent.VouchedBy)
                errors.Add($"agent `{agent.Name}` is there already, {(before.VouchedBy is null ? "with keys of its own" : $"and {before.VouchedBy} vouches for it")}; its name does not pass to another, so choose a new one");
            else if (before is null || before.Owner != agent.Owner || before.For != agent.For || before.Delegated != agent.Delegated || !before.Groups.SequenceEqual(groups, StringComparer.Ordinal))
            {
                var document = (before ?? new AgentDocument(OpaqueId.NewAgent().Value, agent.Name, agent.Owner, agent.For, groups, RandomNumberGenerator.GetBytes(AgentKeys.SaltBytes), AgentKeys.Iterations, [], time.GetUtcNow(), null))
                    with { Owner = agent.Owner, For = agent.For, Groups = groups, VouchedBy = agent.VouchedBy, Delegated = agent.Delegated, FormerOwners = before is null ? null : Former(before, agent.Owner, agent.For) };
                var saved = await SaveAsync("agent-declared", document, known?.Version ?? 0, null, null).ConfigureAwait(false);
                if (saved.Status != AgentChangeStatus.Done) errors.Add($"agent `{agent.Name}` can not be recorded: {saved.Detail}");
            }
        }

        return errors;
    }

    /// <summary>Issues a further key; older ones stay valid until revoked, so that a rotation has no gap. A revoked agent gets none.</summary>
    public Task<AgentChange> AddKeyAsync(string name, PrincipalRef author) => ChangeAsync("agent-key-added", name, author, document =>
    {
        // One name, one kind of credential: a name with both could be asked for the weaker one.
        if (document.VouchedBy is not null) return (new AgentChange(AgentChangeStatus.NoKeys, $"agent `{document.Name}` has no keys: {document.VouchedBy} vouches for it"), document, null);
        if (document.RevokedAt is not null) return (new AgentChange(AgentChangeStatus.UnknownAgent, $"agent `{document.Name}` is revoked; add another"), document, null);
        var (issued, stored) = AgentKeys.Issue(document.Salt, time.GetUtcNow());
        return (null, document with { Keys = [.. document.Keys, stored] }, issued);
    });

    /// <summary>
    /// Revokes one key, or with <paramref name="keyId"/> null the agent with all its keys. Once is for ever: revoking again
    /// changes nothing, and is done.
    /// </summary>
    public Task<AgentChange> RevokeAsync(string name, string? keyId, PrincipalRef author) => ChangeAsync(keyId is null ? "agent-revoked" : "agent-key-revoked", name, author, document =>
    {
        var now = time.GetUtcNow();
        if (keyId is null)
        {
            return document.RevokedAt is null
                ? (null, document with { RevokedAt = now }, null)
                : (new AgentChange(AgentChangeStatus.Done, null, Entry(document)), document, null);
        }

        if (document.Keys.FirstOrDefault(k => k.KeyId == keyId) is not { } key)
        {
            // Who mistypes a key's id must not go away believing that it is revoked.
            return (new AgentChange(AgentChangeStatus.UnknownKey, $"agent `{document.Name}` has no key `{VisibleText.Of(keyId, multiline: false)}`"), document, null);
        }

        return key.RevokedAt is null
            ? (null, document with { Keys = document.Keys.Select(k => k.KeyId == keyId ? k with { RevokedAt = now } : k).ToArray() }, null)
            : (new AgentChange(AgentChangeStatus.Done, null, Entry(document)), document, null);
    });

    /// <summary>
    /// Gives an agent another owner. What it has open acts for the old one and is over: who answers for an action is who
    /// answered for it when it was asked.
    /// </summary>
    public Task<AgentChange> SetOwnerAsync(string name, string owner, PrincipalRef author) => ChangeAsync("agent-owner-changed", name, author, document =>
    {
        if (document.RevokedAt is not null) return (new AgentChange(AgentChangeStatus.UnknownAgent, $"agent `{document.Name}` is revoked"), document, null);
        if (users.Find(owner) is null) return (new AgentChange(AgentChangeStatus.UnknownOwner, $"owner `{VisibleText.Of(owner, multiline: false)}` is not a user"), document, null);
        if (document.Owner == owner) return (new AgentChange(AgentChangeStatus.Done, null, Entry(document)), document, null);
        return (null, document with { Owner = owner, FormerOwners = Former(document, owner, document.For) }, null);
    });

    /// <summary>
    /// Who answered for the agent, or was whom it acts for, until now. By what his name is known as, also while he is no user:
    /// taking him out of the config and putting him back makes nobody new.
    /// </summary>
    private IReadOnlyList<FormerOwner> Former(AgentDocument before, string owner, string? onBehalfOf)
    {
        var gone = new List<string>();
        if (before.Owner != owner) gone.Add(before.Owner);
        if (before.For is { } user && user != onBehalfOf) gone.Add(user);
        var now = time.GetUtcNow();
        FormerOwner[] former = gone.Where(name => name != owner && name != onBehalfOf).Select(users.IdOfName).OfType<OpaqueId>().Select(id => new FormerOwner(id.Value, now)).ToArray();
        return [.. (before.FormerOwners ?? []).TakeLast(MaxFormerOwners - former.Length), .. former];
    }

    /// <summary>Former owners that are remembered: more than change in a year.</summary>
    private const int MaxFormerOwners = 64;

    /// <summary>
    /// Whether an agent may still act with the chain that it connected with: not revoked, same owner, same user. Whom a token or
    /// a runtime named is a user still.
    /// </summary>
    public bool StillActs(ActorChain actors) =>
        Find(actors.Agent.Name) is { } agent && agent.Id == actors.Agent.Id
        && ChainOf(agent) is { } now && now.Owner.Id == actors.Owner.Id
        && (now.OnBehalfOf is null && (agent.Delegated || RunByRuntimes.Contains(agent.Name)) ? actors.OnBehalfOf is { } named && users.Find(named.Id) is not null : now.OnBehalfOf?.Id == actors.OnBehalfOf?.Id)
        && actors.Via.All(h => users.Find(h.Id) is not null) && actors.Editors.All(h => users.Find(h.Id) is not null);

    private async Task<AgentChange> ChangeAsync(string type, string name, PrincipalRef author, Func<AgentDocument, (AgentChange? Ended, AgentDocument Changed, IssuedKey? Key)> change)
    {
        while (true)
        {
            if (reader.Get(Collection, name) is not { } current) return new AgentChange(AgentChangeStatus.UnknownAgent, $"no agent `{VisibleText.Of(name, multiline: false)}`");
            var (ended, changed, issued) = change(JsonSerializer.Deserialize(current.Value, IdentityJson.Default.AgentDocument)!);
            if (ended is not null) return ended;
            var result = await SaveAsync(type, changed, current.Version, author, issued).ConfigureAwait(false);
            if (result.Status != AgentChangeStatus.NameTaken) return result;
        }
    }

    private async Task<AgentChange> SaveAsync(string type, AgentDocument document, long expectedVersion, PrincipalRef? author, IssuedKey? issued)
    {
        var result = await journal.WriteAsync(new WriteSet(
            [new EntryDraft(type,
                CanonicalJson.Object(("agent", document.Id), ("author", author?.Id.Value), ("owner", users.Find(document.Owner)?.Ref.Id.Value), ("for", document.For is null ? null : users.Find(document.For)?.Ref.Id.Value)),
                CanonicalJson.Object(("name", document.Name), ("owner", document.Owner), ("for", document.For), ("groups", CanonicalJson.Strings(document.Groups)), ("vouched-by", document.VouchedBy),
                    ("keys", CanonicalJson.Array(document.Keys.Select(static k => (CanonicalJson)CanonicalJson.Object(("id", k.KeyId), ("revoked", k.RevokedAt is not null)))))))],
            [new StateChange.Put(Collection, document.Name, expectedVersion, null, JsonSerializer.SerializeToUtf8Bytes(document, IdentityJson.Default.AgentDocument))])).ConfigureAwait(false);
        return result.Status switch
        {
            WriteStatus.Committed => new AgentChange(AgentChangeStatus.Done, null, Entry(document), issued),
            WriteStatus.Conflict => new AgentChange(AgentChangeStatus.NameTaken, $"agent `{document.Name}` is there already"),
            _ => new AgentChange(AgentChangeStatus.Unavailable, result.Detail),
        };
    }

    /// <summary>Lower case only: names that differ by case can not both exist (P36), and no separator fits in (P36).</summary>
    private static bool IsName(string name) =>
        name.Length is > 0 and <= MaxNameLength && char.IsAsciiLetterLower(name[0])
        && name.All(static c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '-' or '_' or '.');

    private static AgentEntry Read(StateDocument document) => Entry(JsonSerializer.Deserialize(document.Value, IdentityJson.Default.AgentDocument)!);

    private static AgentEntry Entry(AgentDocument d) => new(new OpaqueId(d.Id), d.Name, d.Owner, d.For, d.Groups, d.Keys, d.CreatedAt, d.RevokedAt)
    {
        FormerOwners = d.FormerOwners ?? [], VouchedBy = d.VouchedBy, Delegated = d.Delegated,
    };
}
