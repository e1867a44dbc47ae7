using Countersign.Core;
using Countersign.Identity.Passkeys;

namespace Countersign.Api;

/// <summary>What an authenticator gave, each part base64url without padding. Its challenge was the SHA-256 of the statement's bytes.</summary>
internal sealed record AssertionRequest(string CredentialId, string AuthenticatorData, string ClientData, string Signature)
{
    public PasskeyAssertion? Read() => PasskeyAssertion.Of(CredentialId, AuthenticatorData, ClientData, Signature);
}

/// <summary>What a browser makes a passkey of: `challenge`, `userHandle` and `known` are base64url.</summary>
internal sealed record PasskeyBegun(string Challenge, string RpId, string UserHandle, string UserName, IReadOnlyList<string> Known);

/// <summary>What it made: `clientData` and `attestation` as base64url.</summary>
internal sealed record PasskeyRequest(string Name, string ClientData, string Attestation);

/// <summary>`address`: where passkeys of this server work, if it has such an address.</summary>
internal sealed record PasskeyList(IReadOnlyList<PasskeyView> Passkeys, string? Address = null);

/// <summary>`synced`: its key may be copied to the person's other devices. `locked`: since when nothing of it is believed.</summary>
internal sealed record PasskeyView(string Id, string Name, string RpId, string Algorithm, bool Synced, DateTimeOffset CreatedAt, DateTimeOffset? LastUsedAt, DateTimeOffset? Locked)
{
    public static PasskeyView Of(Passkey p) => new(p.Id, VisibleText.Of(p.Name, multiline: false), p.RpId, p.Key.AlgorithmName, p.BackupEligible, p.CreatedAt, p.LastUsedAt, p.LockedAt);
}

/// <summary>A challenge for signing in with a passkey, which names its person itself.</summary>
internal sealed record PasskeyLogin(string Challenge, string RpId);

/// <summary>The answer to it.</summary>
internal sealed record PasskeyLoginDone(AssertionRequest Assertion, string UserHandle);
