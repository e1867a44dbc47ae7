using System.Text.Json;
using Countersign.Core;

namespace Countersign.Identity.Scim;

/// <summary>A page of what was asked for.</summary>
public sealed record ScimPage<T>(int Total, int StartIndex, IReadOnlyList<T> Items);

/// <summary>
/// Provisioning by SCIM 2.0 (RFC 7643, 7644) on top of the directory. Who is disabled or deleted here is nobody at once:
/// his sessions end, his answers do not count, and his agents may not act. Attributes that decide nothing are not kept.
/// </summary>
public sealed class ScimService(UserDirectory users, HumanSessions sessions, TimeProvider time)
{
    public const int MaxMembers = 10_000;
    public const int MaxOperations = 1000;
    public const int MaxPage = 200;

    // ---- users ----

    public ScimUser User(string id) => users.ScimUsers.FirstOrDefault(u => u.Id == id && !u.Deleted) ?? throw NotFound();

    public ScimPage<ScimUser> Users(string? filter, int startIndex, int count)
    {
        var terms = filter is null ? [] : ScimFilter.Parse(filter);
        return Page(users.ScimUsers.Where(u => !u.Deleted && terms.All(t => t.Attribute switch
        {
            "id" => Same(t, u.Id, StringComparison.Ordinal),
            "username" => Same(t, u.UserName, StringComparison.OrdinalIgnoreCase),
            "externalid" => Same(t, u.ExternalId, StringComparison.Ordinal),
            "displayname" => Same(t, u.DisplayName, StringComparison.OrdinalIgnoreCase),
            "active" => t.Value.ValueKind is JsonValueKind.True or JsonValueKind.False && t.Value.GetBoolean() == u.Active,
            _ => throw ScimFilter.Invalid(),
        })).OrderBy(static u => u.CreatedAt).ThenBy(static u => u.Id, StringComparer.Ordinal), startIndex, count);
    }

    public Task<ScimUser> CreateUserAsync(JsonElement body)
    {
        var now = time.GetUtcNow();
        var made = Whole(new ScimUser(IdText.New("su_"), "", null, null, Active: true, Deleted: false, now, now), body);
        return SaveUserAsync(made.Id, _ => made);
    }

    public Task<ScimUser> ReplaceUserAsync(string id, JsonElement body) => SaveUserAsync(id, before => Whole(Living(before), body));

    public Task<ScimUser> PatchUserAsync(string id, JsonElement body)
    {
        var operations = ScimBody.Operations(body).ToArray();
        return SaveUserAsync(id, before =>
        {
            var user = Living(before);
            foreach (var (op, path, value) in operations)
            {
                if (path is not null) user = Set(user, ScimBody.Attribute(path), op == "remove" ? null : value);
                else foreach (var (name, each) in ScimBody.Members(value!.Value)) user = Set(user, name, each);
            }

            return user;
        });
    }

    public Task DeleteUserAsync(string id) => SaveUserAsync(id, before => Living(before) with { Active = false, Deleted = true });

    private async Task<ScimUser> SaveUserAsync(string id, Func<ScimUser?, ScimUser> change)
    {
        var (user, gone) = await users.ChangeScimUserAsync(id, (before, all) =>
        {
            var after = change(before);
            if (after == before) return after;
            if (!after.Deleted && all.Any(u => u.Id != id && !u.Deleted && string.Equals(u.UserName, after.UserName, StringComparison.OrdinalIgnoreCase))) throw Taken("userName");
            if (!after.Deleted && after.ExternalId is { } external && all.Any(u => u.Id != id && !u.Deleted && u.ExternalId == external)) throw Taken("externalId");
            return after with { ModifiedAt = time.GetUtcNow() };
        }).ConfigureAwait(false);

        // They are nobody already; this closes what is open and says so in the journal.
        foreach (var person in gone) await sessions.EndAllAsync(person, SessionEnd.UserGone).ConfigureAwait(false);
        return user;
    }

    /// <summary>POST and PUT. `active` that is not said stays what it was: leaving it out brings nobody back.</summary>
    private static ScimUser Whole(ScimUser user, JsonElement body)
    {
        var members = ScimBody.Members(body);
        return user with
        {
            UserName = members.TryGetValue("username", out var name) ? ScimBody.RequiredText(name, "userName") : throw ScimBody.Invalid("invalidValue", "`userName` is required"),
            ExternalId = members.TryGetValue("externalid", out var external) ? Filled(ScimBody.Text(external, "externalId")) : null,
            DisplayName = members.TryGetValue("displayname", out var display) ? ScimBody.Text(display, "displayName") : null,
            Active = members.TryGetValue("active", out var active) ? ScimBody.Flag(active, "active") : user.Active,
        };
    }

    /// <summary>What decides nothing here is accepted and not kept; `active` taken away is not active.</summary>
    private static ScimUser Set(ScimUser user, string attribute, JsonElement? value) => attribute switch
    {
        "active" => user with { Active = value is { } v && ScimBody.Flag(v, "active") },
        "username" => user with { UserName = value is { } v ? ScimBody.RequiredText(v, "userName") : throw ScimBody.Invalid("mutability", "`userName` can not be removed") },
        "externalid" => user with { ExternalId = value is { } v ? Filled(ScimBody.Text(v, "externalId")) : null },
        "displayname" => user with { DisplayName = value is { } v ? ScimBody.Text(v, "displayName") : null },
        "id" when value?.ValueKind == JsonValueKind.String && JsonText.Of(value.Value) != user.Id => throw ScimBody.Invalid("mutability", "`id` can not be changed"),
        _ => user,
    };

    private static ScimUser Living(ScimUser? user) => user is { Deleted: false } ? user : throw NotFound();

    // ---- groups ----

    public ScimGroup Group(string id) => users.ScimGroups.FirstOrDefault(g => g.Id == id) ?? throw NotFound();

    public ScimPage<ScimGroup> Groups(string? filter, int startIndex, int count)
    {
        var terms = filter is null ? [] : ScimFilter.Parse(filter);
        return Page(users.ScimGroups.Where(g => terms.All(t => t.Attribute switch
        {
            "id" => Same(t, g.Id, StringComparison.Ordinal),
            "displayname" => Same(t, g.DisplayName, StringComparison.OrdinalIgnoreCase),
            "externalid" => Same(t, g.ExternalId, StringComparison.Ordinal),
            "members" or "members.value" => t.Value.ValueKind == JsonValueKind.String && g.Members.Contains(t.Value.GetString()!, StringComparer.Ordinal),
            _ => throw ScimFilter.Invalid(),
        })).OrderBy(static g => g.CreatedAt).ThenBy(static g => g.Id, StringComparer.Ordinal), startIndex, count);
    }

    public async Task<ScimGroup> CreateGroupAsync(JsonElement body)
    {
        var now = time.GetUtcNow();
        var made = Whole(new ScimGroup(IdText.New("sg_"), "", null, [], now, now), body);
        return (await SaveGroupAsync(made.Id, _ => made).ConfigureAwait(false))!;
    }

    public async Task<ScimGroup> ReplaceGroupAsync(string id, JsonElement body) => (await SaveGroupAsync(id, before => Whole(before ?? throw NotFound(), body)).ConfigureAwait(false))!;

    public async Task<ScimGroup> PatchGroupAsync(string id, JsonElement body)
    {
        var operations = ScimBody.Operations(body).ToArray();
        return (await SaveGroupAsync(id, before =>
        {
            var group = before ?? throw NotFound();
            foreach (var (op, path, value) in operations)
            {
                if (path is not null) group = Apply(group, op, path, value);
                else foreach (var (name, each) in ScimBody.Members(value!.Value)) group = Apply(group, op, name, each);
            }

            return group;
        }).ConfigureAwait(false))!;
    }

    public async Task DeleteGroupAsync(string id) => await SaveGroupAsync(id, before => before is null ? throw NotFound() : null).ConfigureAwait(false);

    private Task<ScimGroup?> SaveGroupAsync(string id, Func<ScimGroup?, ScimGroup?> change) => users.ChangeScimGroupAsync(id, (before, all) =>
    {
        var after = change(before);
        if (after is null || ReferenceEquals(after, before)) return after;
        if (after.Members.Count > MaxMembers) throw new ScimException(413, "tooMany", $"a group has at most {MaxMembers} members");
        return all.Any(g => g.Id != id && string.Equals(g.DisplayName, after.DisplayName, StringComparison.OrdinalIgnoreCase)) ? throw Taken("displayName") : after with { ModifiedAt = time.GetUtcNow() };
    });

    private static ScimGroup Whole(ScimGroup group, JsonElement body)
    {
        var members = ScimBody.Members(body);
        return group with
        {
            DisplayName = members.TryGetValue("displayname", out var name) ? ScimBody.RequiredText(name, "displayName") : throw ScimBody.Invalid("invalidValue", "`displayName` is required"),
            ExternalId = members.TryGetValue("externalid", out var external) ? Filled(ScimBody.Text(external, "externalId")) : null,
            Members = members.TryGetValue("members", out var list) ? ScimBody.MemberIds(list) : [],
        };
    }

    private static ScimGroup Apply(ScimGroup group, string op, string path, JsonElement? value)
    {
        var attribute = ScimBody.Attribute(path);
        if (attribute.StartsWith("members[", StringComparison.Ordinal))
        {
            // `members[value eq "id"]`: the id in its own spelling, not in the lower case of the attribute.
            var open = path.IndexOf('[', StringComparison.Ordinal);
            if (op != "remove" || !path.EndsWith(']') || ScimFilter.Parse(path[(open + 1)..^1]) is not [{ Attribute: "value", Value: { ValueKind: JsonValueKind.String } id }]) throw ScimBody.Invalid("invalidPath", "`members[value eq \"…\"]` is for removing one member");
            return group with { Members = group.Members.Where(m => m != id.GetString()).ToArray() };
        }

        switch (attribute)
        {
            case "members":
                var ids = value is { } list ? ScimBody.MemberIds(list) : [];
                return group with
                {
                    Members = op switch
                    {
                        "add" => group.Members.Union(ids, StringComparer.Ordinal).ToArray(),
                        "replace" => ids,
                        _ => value is null ? [] : group.Members.Except(ids, StringComparer.Ordinal).ToArray(), // Entra removes by value
                    },
                };
            case "displayname":
                return group with { DisplayName = op != "remove" ? ScimBody.RequiredText(value!.Value, "displayName") : throw ScimBody.Invalid("mutability", "`displayName` can not be removed") };
            case "externalid":
                return group with { ExternalId = op == "remove" ? null : Filled(ScimBody.Text(value!.Value, "externalId")) };
            default:
                return group; // Okta repeats `id` and `schemas` here
        }
    }

    private static string? Filled(string? text) => string.IsNullOrEmpty(text) ? null : text;

    private static bool Same(ScimFilter.Term term, string? value, StringComparison comparison) =>
        term.Value.ValueKind == JsonValueKind.String && string.Equals(term.Value.GetString(), value, comparison);

    private static ScimPage<T> Page<T>(IEnumerable<T> all, int startIndex, int count)
    {
        var found = all.ToArray();
        var start = Math.Max(1, startIndex);
        return new ScimPage<T>(found.Length, start, found.Skip(start - 1).Take(Math.Clamp(count, 0, MaxPage)).ToArray());
    }

    private static ScimException NotFound() => new(404, null, "there is no such resource");

    private static ScimException Taken(string what) => new(409, "uniqueness", $"another has this `{what}`");
}
