using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Countersign.Core;
using Countersign.Identity.Scim;
using Countersign.Journal;

namespace Countersign.Identity;

/// <summary>A human as a provider knows him: the pair is the identity (OpenID Connect Core §5.7), never a name or an e-mail address.</summary>
public sealed record Subject(string Issuer, string Value)
{
    /// <summary>Key in the store. Hashed over an unambiguous form, since a subject may hold any character (P36).</summary>
    internal string Key => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(CanonicalJson.Strings([Issuer, Value]).ToString()!)));
}

/// <summary>A human as he is known now.</summary>
public sealed record UserEntry(PrincipalRef Ref, IReadOnlySet<string> Groups)
{
    /// <summary>By whom a provider knows him; null where the config alone does.</summary>
    public Subject? Subject { get; init; }

    /// <summary>When groups were last read from the provider; null where nothing has to be read again (config, SCIM).</summary>
    public DateTimeOffset? GroupsReadAt { get; init; }
}

/// <summary>What the directory goes by beside the users that the config declares.</summary>
public sealed record DirectoryOptions
{
    /// <summary>Config users whom the provider knows, by name. Such a user signs in there and nowhere else.</summary>
    public IReadOnlyDictionary<string, Subject> Links { get; init; } = new Dictionary<string, Subject>();

    /// <summary>
    /// How old groups may be that a decision goes by. 5 minutes: within that a person who lost a group may still approve,
    /// and asking the provider for each request would make it a part of every click.
    /// </summary>
    public TimeSpan GroupsMaxAge { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Least time between two readings of one person's groups. 10 s.</summary>
    public TimeSpan RetryAfter { get; init; } = TimeSpan.FromSeconds(10);

    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Provisioning by SCIM; null for none.</summary>
    public ScimOptions? Scim { get; init; }
}

/// <summary>Why somebody whom the provider vouches for is nobody here, or null with the user.</summary>
public sealed record Recognised(UserEntry? User, string? ReasonCode, string? Detail);

/// <summary>
/// The humans of the config, and those for whom a provider vouched, each with the opaque id that the journal knows him by.
/// Ids are given once and kept, and so are names: a name that was somebody's is nobody else's ever after, since policies
/// and owners go by it. Groups are those of the config that serves now and those that the provider said last, with the
/// time; a decision goes by <see cref="FindFresh"/> (P33). Thread-safe.
/// </summary>
public sealed partial class UserDirectory : IDisposable
{
    private const string Names = "users";
    private const string People = "people";
    private const string Provisioned = "scim-users";
    private const string ProvisionedGroups = "scim-groups";

    private readonly IStateReader reader;
    private readonly JournalAppender journal;
    private readonly DirectoryOptions options;
    private readonly IReadOnlyList<UserEntry> declared;
    private readonly SemaphoreSlim changing = new(1, 1);
    private readonly ConcurrentDictionary<OpaqueId, Task> refreshing = new();
    private readonly ConcurrentDictionary<OpaqueId, DateTimeOffset> tried = new();

    // What the store holds, kept so that a change costs no reading of all of it. Written under `changing`.
    private readonly Dictionary<string, (PersonDocument Person, long Version)> people = new(StringComparer.Ordinal);
    private readonly Dictionary<string, UserDocument> names = new(StringComparer.Ordinal);
    private readonly Dictionary<string, (ScimUser User, long Version)> scimUsers = new(StringComparer.Ordinal);
    private readonly Dictionary<string, (ScimGroup Group, long Version)> scimGroups = new(StringComparer.Ordinal);
    private volatile Snapshot now;

    private UserDirectory(IReadOnlyList<UserEntry> declared, IStateReader reader, JournalAppender journal, DirectoryOptions options)
    {
        this.declared = declared;
        this.reader = reader;
        this.journal = journal;
        this.options = options;
        Load();
        now = Build(null);
    }

    private void Load()
    {
        people.Clear();
        names.Clear();
        scimUsers.Clear();
        scimGroups.Clear();
        foreach (var d in reader.List(People)) people[d.Key] = (JsonSerializer.Deserialize(d.Value, IdentityJson.Default.PersonDocument)!, d.Version);
        foreach (var d in reader.List(Names)) names[d.Key] = JsonSerializer.Deserialize(d.Value, IdentityJson.Default.UserDocument)!;
        foreach (var d in reader.List(Provisioned)) scimUsers[d.Key] = (JsonSerializer.Deserialize(d.Value, ScimJson.Default.ScimUser)!, d.Version);
        foreach (var d in reader.List(ProvisionedGroups)) scimGroups[d.Key] = (JsonSerializer.Deserialize(d.Value, ScimJson.Default.ScimGroup)!, d.Version);
    }

    /// <summary>Writes; where it is not known to be written, what the store has is read again, whichever that is.</summary>
    private async Task<WriteResult> WriteAsync(IReadOnlyList<EntryDraft> entries, IReadOnlyList<StateChange> changes)
    {
        var result = await journal.WriteAsync(new WriteSet(entries, changes)).ConfigureAwait(false);
        if (result.Status == WriteStatus.Committed) return result;
        Load();
        now = Build(now);
        return result;
    }

    public IReadOnlyCollection<UserEntry> All => now.All;

    /// <summary>By a name that he has or ever had.</summary>
    public UserEntry? Find(string name) => now.ByName.GetValueOrDefault(name);

    /// <summary>The id of whoever has this name or ever had it, also while he is no user.</summary>
    public OpaqueId? IdOfName(string name) =>
        Find(name)?.Ref.Id ?? (reader.Get(Names, name) is { } known ? new OpaqueId(JsonSerializer.Deserialize(known.Value, IdentityJson.Default.UserDocument)!.Id) : null);

    /// <summary>As he was known last. Enough to show something to him; not enough to decide by.</summary>
    public UserEntry? Find(OpaqueId id) => now.ById.GetValueOrDefault(id);

    /// <summary>As he is known for certain now; null also when what is known of him is too old to decide by (P33).</summary>
    public UserEntry? FindFresh(OpaqueId id) =>
        Find(id) is { } user && (user.GroupsReadAt is not { } at || Age(at) < options.GroupsMaxAge) ? user : null;

    /// <summary>Reads a user's groups from the provider again and records them here. Set once, at the start.</summary>
    public Func<UserEntry, CancellationToken, Task>? GroupSource { get; set; }

    /// <summary>
    /// Has groups read again that are, or are about to be, too old to decide by. Never throws: who could not be read stays
    /// as old as he was.
    /// </summary>
    public async Task FreshenAsync(IEnumerable<OpaqueId> ids, CancellationToken ct = default)
    {
        if (GroupSource is not { } source) return;
        foreach (var id in ids.Distinct().ToArray())
        {
            // From half the age on, so that what is fresh now is fresh still when it is used.
            if (Find(id) is not { GroupsReadAt: { } at } user || Age(at) < options.GroupsMaxAge / 2) continue;

            // A provider that is away is not asked again for each click of everybody.
            if (tried.TryGetValue(id, out var last) && Age(last) < options.RetryAfter) continue;
            var reading = refreshing.GetOrAdd(id, _ =>
            {
                tried[id] = options.Time.GetUtcNow();
                return source(user, CancellationToken.None);
            });
            try
            {
                await reading.WaitAsync(ct).ConfigureAwait(false);
            }
            catch (Exception) when (reading.IsFaulted || reading.IsCanceled)
            {
                // As old as before.
            }
            finally
            {
                if (reading.IsCompleted) refreshing.TryRemove(KeyValuePair.Create(id, reading));
            }
        }
    }

    private TimeSpan Age(DateTimeOffset at) => options.Time.GetUtcNow() - at is { Ticks: >= 0 } age ? age : TimeSpan.MaxValue;

    /// <summary>
    /// Loads the directory, giving ids to users that are new. Throws when the store can not write, or two names differ only
    /// by case (P36): start-up errors.
    /// </summary>
    public static async Task<UserDirectory> LoadAsync(
        IReadOnlyDictionary<string, IReadOnlySet<string>> declared, IStateReader reader, JournalAppender journal, DirectoryOptions? options = null)
    {
        if (declared.Keys.GroupBy(static n => n, StringComparer.OrdinalIgnoreCase).FirstOrDefault(static g => g.Skip(1).Any()) is { } twins)
        {
            throw new InvalidOperationException($"users {string.Join(", ", twins.Select(static n => $"`{n}`"))} differ only by case; rename one of them");
        }

        options ??= new DirectoryOptions();
        var users = new List<UserEntry>(declared.Count);
        foreach (var (name, groups) in declared.OrderBy(static d => d.Key, StringComparer.Ordinal))
        {
            users.Add(new UserEntry(new PrincipalRef(PrincipalKind.User, await IdOfAsync(name, options.Links.GetValueOrDefault(name), reader, journal).ConfigureAwait(false), name), groups));
        }

        return new UserDirectory(users, reader, journal, options);
    }

    private static async Task<OpaqueId> IdOfAsync(string name, Subject? link, IStateReader reader, JournalAppender journal)
    {
        if (reader.Get(Names, name) is { } known)
        {
            var document = JsonSerializer.Deserialize(known.Value, IdentityJson.Default.UserDocument)!;

            // The name is on policies and owners: it does not pass from a person to another one of the same name. Whoever the
            // provider knew under it first and the config links now is the same person, with the same id.
            return document.Subject is null || document.Subject == link?.Key
                ? new OpaqueId(document.Id)
                : throw new InvalidOperationException($"`{name}` is the name of somebody whom the identity provider knows; give the user of the config another name, or link him by `subject`");
        }

        var id = OpaqueId.NewUser();
        var result = await journal.WriteAsync(new WriteSet(
            [new EntryDraft("user-known", CanonicalJson.Object(("user", id.Value)), CanonicalJson.Object(("name", name)))],
            [new StateChange.Put(Names, name, 0, null, JsonSerializer.SerializeToUtf8Bytes(new UserDocument(id.Value), IdentityJson.Default.UserDocument))])).ConfigureAwait(false);
        if (result.Status != WriteStatus.Committed) throw new InvalidOperationException($"the store can not record user `{name}`: {result.Detail}");
        return id;
    }

    /// <summary>
    /// Who this is, for whom the provider just vouched: a config user who is linked to the subject, a person who is known,
    /// or a new one. Groups are recorded as read now.
    /// </summary>
    /// <param name="subject">Proven by a validated token of the provider.</param>
    /// <param name="name">What he is called; null when only groups are known.</param>
    /// <param name="groups">Of the provider, as this product calls them.</param>
    public async Task<Recognised> RecogniseAsync(Subject subject, string? name, IReadOnlySet<string> groups)
    {
        await changing.WaitAsync().ConfigureAwait(false);
        try
        {
            return await RecordAsync(subject, name, groups).ConfigureAwait(false);
        }
        finally
        {
            changing.Release();
        }
    }

    private async Task<Recognised> RecordAsync(Subject subject, string? name, IReadOnlySet<string> groups)
    {
        var at = options.Time.GetUtcNow();
        var stored = people.TryGetValue(subject.Key, out var kept) ? kept : default;
        var known = stored.Person;
        var linked = declared.FirstOrDefault(u => options.Links.TryGetValue(u.Ref.Name, out var link) && link == subject);

        // An id of the config is the config's to give: a person who was linked and is not any more is somebody else.
        if (linked is null && known is not null && declared.Any(u => u.Ref.Id.Value == known.Id)) known = null;
        var entries = new List<EntryDraft>();
        var changes = new List<StateChange>();
        string id;
        string called;
        if (linked is not null)
        {
            (id, called) = (linked.Ref.Id.Value, linked.Ref.Name);
        }
        else
        {
            id = known?.Id ?? OpaqueId.NewUser().Value;
            called = known?.Name ?? "";
            if (name is not null && name != called)
            {
                var why = Refuse(name, subject);
                if (why is null)
                {
                    called = name;
                    Claim(name, id, subject, entries, changes);
                }
                else if (known is null)
                {
                    return new Recognised(null, ReasonCodes.NotRecognised, why);
                }
            }

            if (called.Length == 0) return new Recognised(null, ReasonCodes.NotRecognised, "the provider gave no name");
        }

        var sorted = groups.Order(StringComparer.Ordinal).ToArray();
        if (known is null || known.Id != id || known.Name != called || !known.Groups.SequenceEqual(sorted, StringComparer.Ordinal))
        {
            entries.Add(new EntryDraft("user-groups", CanonicalJson.Object(("user", id), ("source", "oidc")), CanonicalJson.Object(("name", called), ("groups", CanonicalJson.Strings(sorted)))));
        }

        var person = new PersonDocument(id, subject.Issuer, subject.Value, called, sorted, at);
        changes.Add(new StateChange.Put(People, subject.Key, stored.Version, null, JsonSerializer.SerializeToUtf8Bytes(person, IdentityJson.Default.PersonDocument)));
        var result = await WriteAsync(entries, changes).ConfigureAwait(false);
        if (result.Status != WriteStatus.Committed) return new Recognised(null, ReasonCodes.JournalUnavailable, result.Detail);
        people[subject.Key] = (person, result.Versions[^1]);
        if (linked is null) names.TryAdd(called, new UserDocument(id) { Subject = subject.Key });
        now = Build(now);
        tried.TryRemove(new OpaqueId(id), out _);
        return Find(new OpaqueId(id)) is { } user
            ? new Recognised(user, null, null)
            : new Recognised(null, ReasonCodes.UserDisabled, "this user is disabled");
    }

    /// <summary>Gives a name that is nobody's to this person, for ever.</summary>
    private void Claim(string name, string id, Subject subject, List<EntryDraft> entries, List<StateChange> changes)
    {
        if (names.ContainsKey(name)) return;
        entries.Add(new EntryDraft("user-known", CanonicalJson.Object(("user", id)), CanonicalJson.Object(("name", name), ("issuer", subject.Issuer), ("subject", subject.Value))));
        changes.Add(new StateChange.Put(Names, name, 0, null, JsonSerializer.SerializeToUtf8Bytes(new UserDocument(id) { Subject = subject.Key }, IdentityJson.Default.UserDocument)));
    }

    /// <summary>Why a person may not be called so, or null.</summary>
    private string? Refuse(string name, Subject subject)
    {
        if (!Core.Names.IsWellFormed(name)) return $"the provider calls this person `{VisibleText.Of(name, multiline: false)}`, which is no name here ({Core.Names.Rule}); set `identity.oidc.name-claim` to a claim that is";
        var taken = names.FirstOrDefault(n => string.Equals(n.Key, name, StringComparison.OrdinalIgnoreCase));
        if (taken.Key is null) return null;
        return taken.Value.Subject == subject.Key && taken.Key == name
            ? null
            : $"`{name}` is the name of somebody else here; if it is the same person, say so in the config: `users: {{ {taken.Key}: {{ subject: {VisibleText.Of(subject.Value, multiline: false)} }} }}`";
    }

    public void Dispose() => changing.Dispose();

    /// <summary>Everybody at one moment.</summary>
    private sealed record Snapshot(IReadOnlyDictionary<string, UserEntry> ByName, IReadOnlyDictionary<OpaqueId, UserEntry> ById)
    {
        public IReadOnlyCollection<UserEntry> All { get; } = ById.Values.ToArray();
    }

    private Snapshot Build(Snapshot? before)
    {
        var provisioned = options.Scim is null ? null : new Provisioning(options.Scim, scimUsers.Values.Select(static u => u.User), scimGroups.Values.Select(static g => g.Group));
        var byId = new Dictionary<OpaqueId, UserEntry>();
        foreach (var user in declared)
        {
            if (options.Links.GetValueOrDefault(user.Ref.Name) is not { } link)
            {
                Keep(user);
                continue;
            }

            // Linked and not seen yet: he has what the config gives him, and decides nothing before the provider vouched for him.
            var person = people.TryGetValue(link.Key, out var kept) && kept.Person.Id == user.Ref.Id.Value ? kept.Person : null;
            Keep(user with { Subject = link, GroupsReadAt = person?.GroupsReadAt ?? DateTimeOffset.MinValue }, person?.Groups);
        }

        var linked = options.Links.Values.ToHashSet();
        foreach (var (person, _) in people.Values)
        {
            var subject = new Subject(person.Issuer, person.Subject);
            if (linked.Contains(subject) || declared.Any(u => u.Ref.Id.Value == person.Id)) continue;
            Keep(new UserEntry(new PrincipalRef(PrincipalKind.User, new OpaqueId(person.Id), person.Name), new HashSet<string>(StringComparer.Ordinal))
            {
                Subject = subject,
                GroupsReadAt = person.GroupsReadAt,
            }, person.Groups);
        }

        var byName = byId.Values.ToDictionary(static u => u.Ref.Name, StringComparer.Ordinal);
        foreach (var (name, document) in names)
        {
            if (byId.TryGetValue(new OpaqueId(document.Id), out var user)) byName.TryAdd(name, user);
        }

        return new Snapshot(byName, byId);

        void Keep(UserEntry user, IReadOnlyList<string>? claimed = null)
        {
            // Provisioning has the last word on who is here at all, and says who is in which group as soon as it changes.
            var (record, vouches) = provisioned?.Of(user) ?? default;
            if (record is { Active: false }) return;
            if (vouches && options.Scim!.OwnsGroups) user = user with { Groups = user.Groups.Union(provisioned!.GroupsOf(record!)).ToHashSet(StringComparer.Ordinal), GroupsReadAt = null };
            else if (claimed is not null) user = user with { Groups = user.Groups.Union(claimed).ToHashSet(StringComparer.Ordinal) };

            // Who did not change stays the same object: an entry is compared by what holds it.
            var known = before?.ById.GetValueOrDefault(user.Ref.Id);
            byId[user.Ref.Id] = known is not null && known.Ref == user.Ref && known.Subject == user.Subject && known.GroupsReadAt == user.GroupsReadAt && known.Groups.SetEquals(user.Groups) ? known : user;
        }
    }
}
