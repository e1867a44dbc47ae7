using System.Text.Json;
using Countersign.Core;
using Countersign.Identity.Scim;
using Countersign.Journal;

namespace Countersign.Identity;

public sealed partial class UserDirectory
{
    /// <summary>Provisioned users, also those that were deleted.</summary>
    internal IReadOnlyList<ScimUser> ScimUsers
    {
        get
        {
            changing.Wait();
            try
            {
                return scimUsers.Values.Select(static u => u.User).ToArray();
            }
            finally
            {
                changing.Release();
            }
        }
    }

    internal IReadOnlyList<ScimGroup> ScimGroups
    {
        get
        {
            changing.Wait();
            try
            {
                return scimGroups.Values.Select(static g => g.Group).ToArray();
            }
            finally
            {
                changing.Release();
            }
        }
    }

    /// <summary>
    /// Changes a provisioned user under the lock of the directory, journals it, and gives those who are nobody here any
    /// more. <paramref name="change"/> may throw <see cref="ScimException"/>; then nothing is changed.
    /// </summary>
    internal async Task<(ScimUser User, IReadOnlyList<OpaqueId> Gone)> ChangeScimUserAsync(string id, Func<ScimUser?, IEnumerable<ScimUser>, ScimUser> change)
    {
        await changing.WaitAsync().ConfigureAwait(false);
        try
        {
            var (before, version) = scimUsers.TryGetValue(id, out var kept) ? kept : default;
            var user = change(before, scimUsers.Values.Select(static u => u.User));
            if (user == before) return (user, []);
            var what = before is null ? "created" : user.Deleted ? "deleted" : user.Active != before.Active ? user.Active ? "enabled" : "disabled" : "changed";
            List<EntryDraft> entries =
            [
                new EntryDraft("scim-user", CanonicalJson.Object(("record", id), ("change", what), ("active", user.Active)), CanonicalJson.Object(("userName", user.UserName), ("externalId", user.ExternalId), ("displayName", user.DisplayName))),
            ];
            List<StateChange> changes = [new StateChange.Put(Provisioned, id, version, null, JsonSerializer.SerializeToUtf8Bytes(user, ScimJson.Default.ScimUser))];
            var introduced = Introduce(user, entries, changes);
            var result = await WriteScimAsync(entries, changes).ConfigureAwait(false);
            scimUsers[id] = (user, result.Versions[0]);
            if (introduced is { } person)
            {
                people[new Subject(person.Issuer, person.Subject).Key] = (person, result.Versions[^1]);
                names.TryAdd(person.Name, new UserDocument(person.Id) { Subject = new Subject(person.Issuer, person.Subject).Key });
            }

            return (user, Rebuild());
        }
        finally
        {
            changing.Release();
        }
    }

    /// <summary>
    /// A person whom the provider would vouch for is known before he first signs in, so that he can be asked for approval.
    /// Only by the subject; whose name is none here, or somebody else's, is not known before he comes.
    /// </summary>
    private PersonDocument? Introduce(ScimUser user, List<EntryDraft> entries, List<StateChange> changes)
    {
        if (options.Scim is not { Match: ScimMatch.ExternalId, Issuer: { } issuer } || !user.Active || user.ExternalId is not { Length: > 0 } external) return null;
        var subject = new Subject(issuer, external);
        if (people.ContainsKey(subject.Key) || options.Links.Values.Contains(subject) || Refuse(user.UserName, subject) is not null) return null;
        var person = new PersonDocument(OpaqueId.NewUser().Value, issuer, external, user.UserName, [], DateTimeOffset.MinValue);
        Claim(user.UserName, person.Id, subject, entries, changes);
        changes.Add(new StateChange.Put(People, subject.Key, 0, null, JsonSerializer.SerializeToUtf8Bytes(person, IdentityJson.Default.PersonDocument)));
        return person;
    }

    /// <summary>The same for a group; <paramref name="change"/> gives null to delete it.</summary>
    internal async Task<ScimGroup?> ChangeScimGroupAsync(string id, Func<ScimGroup?, IEnumerable<ScimGroup>, ScimGroup?> change)
    {
        await changing.WaitAsync().ConfigureAwait(false);
        try
        {
            var (before, version) = scimGroups.TryGetValue(id, out var kept) ? kept : default;
            var group = change(before, scimGroups.Values.Select(static g => g.Group));
            if (ReferenceEquals(group, before)) return group;
            var entry = new EntryDraft("scim-group", CanonicalJson.Object(("record", id), ("change", before is null ? "created" : group is null ? "deleted" : "changed")),
                CanonicalJson.Object(("displayName", (group ?? before)!.DisplayName), ("members", CanonicalJson.Strings(group?.Members ?? []))));
            var result = await WriteScimAsync([entry], [group is null
                ? new StateChange.Delete(ProvisionedGroups, id, version)
                : new StateChange.Put(ProvisionedGroups, id, version, null, JsonSerializer.SerializeToUtf8Bytes(group, ScimJson.Default.ScimGroup))]).ConfigureAwait(false);
            if (group is null) scimGroups.Remove(id);
            else scimGroups[id] = (group, result.Versions[0]);
            Rebuild();
            return group;
        }
        finally
        {
            changing.Release();
        }
    }

    private async Task<WriteResult> WriteScimAsync(IReadOnlyList<EntryDraft> entries, IReadOnlyList<StateChange> changes)
    {
        var result = await WriteAsync(entries, changes).ConfigureAwait(false);
        return result.Status == WriteStatus.Committed ? result : throw new ScimException(503, null, "the change could not be recorded, so it does not count; send it again");
    }

    private OpaqueId[] Rebuild()
    {
        var before = now;
        now = Build(before);
        return before.ById.Keys.Where(id => !now.ById.ContainsKey(id)).ToArray();
    }
}
