namespace Countersign.Identity.Passkeys;

/// <summary>
/// What an authenticator gave when it was asked to sign (WebAuthn level 3 §5.2.2), as it came and not yet believed.
/// </summary>
/// <param name="CredentialId">Which passkey it says that it is.</param>
/// <param name="AuthenticatorData">Hash of the RP id, flags, counter.</param>
/// <param name="ClientData">The browser's JSON: what was asked, where.</param>
/// <param name="Signature">Over the authenticator data and the hash of the client data.</param>
public sealed record PasskeyAssertion(byte[] CredentialId, byte[] AuthenticatorData, byte[] ClientData, byte[] Signature);
