using System.Text.Json;
using System.Text.Json.Serialization;
using Countersign.Core;

namespace Countersign.Identity.Passkeys;

/// <summary>A passkey of a person. <see cref="Id"/> is no secret: it names it in lists and entries.</summary>
/// <param name="Id">`pk_…`.</param>
/// <param name="User">Whose it is.</param>
/// <param name="Name">What he calls it.</param>
/// <param name="RpId">The host that it is for; on pages of no other does it sign.</param>
/// <param name="CredentialId">What its authenticator calls it.</param>
/// <param name="Key">Its public key.</param>
/// <param name="BackupEligible">Whether its key may be copied to the person's other devices.</param>
/// <param name="CreatedAt">When it was registered.</param>
/// <param name="LastUsedAt">When it last signed something here; null: never.</param>
/// <param name="LockedAt">Since when nothing of it is believed, because its counter went back; null: it is.</param>
public sealed record Passkey(
    string Id, OpaqueId User, string Name, string RpId, byte[] CredentialId, PasskeyKey Key, bool BackupEligible,
    DateTimeOffset CreatedAt, DateTimeOffset? LastUsedAt, DateTimeOffset? LockedAt)
{
    internal uint Counter { get; init; }
    internal Guid Aaguid { get; init; }

    internal static Passkey Read(byte[] bytes)
    {
        var d = JsonSerializer.Deserialize(bytes, PasskeyJson.Default.PasskeyDocument)!;
        return new Passkey(d.Id, new OpaqueId(d.User), d.Name, d.RpId, d.CredentialId, PasskeyKey.Read(d.PublicKey)!, d.BackupEligible, d.CreatedAt, d.LastUsedAt, d.LockedAt)
        {
            Counter = d.Counter,
            Aaguid = d.Aaguid,
        };
    }

    internal byte[] ToBytes() => JsonSerializer.SerializeToUtf8Bytes(
        new PasskeyDocument(Id, User.Value, Name, RpId, CredentialId, Key.Spki.ToArray(), BackupEligible, Counter, Aaguid, CreatedAt, LastUsedAt, LockedAt), PasskeyJson.Default.PasskeyDocument);
}

internal sealed record PasskeyDocument(
    string Id, string User, string Name, string RpId, byte[] CredentialId, byte[] PublicKey, bool BackupEligible, uint Counter, Guid Aaguid,
    DateTimeOffset CreatedAt, DateTimeOffset? LastUsedAt, DateTimeOffset? LockedAt);

[JsonSerializable(typeof(PasskeyDocument))]
internal sealed partial class PasskeyJson : JsonSerializerContext;
