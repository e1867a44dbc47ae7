using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using Countersign.Core;
using Countersign.Journal;

namespace Countersign.Identity.Passkeys;

/// <summary>What a browser is told to make a passkey of. <paramref name="UserHandle"/> says nothing about the person.</summary>
public sealed record PasskeyWish(byte[] Challenge, string RpId, byte[] UserHandle, string UserName, IReadOnlyList<byte[]> Known);

/// <summary>What came of a change to somebody's passkeys; <see cref="ReasonCode"/> is null when it is done.</summary>
public sealed record PasskeyChange(string? ReasonCode, string? Detail, Passkey? Passkey);

/// <summary>Whether a person's passkey signed these bytes.</summary>
/// <param name="Fault">What is wrong.</param>
/// <param name="Passkey">Which it is; null where none of this person's is meant.</param>
/// <param name="Use">What is to be written with whatever the signature is for, so that both count or neither: last use and counter.</param>
/// <param name="Entries">To be written with it.</param>
public sealed record PasskeyProof(PasskeyFault Fault, Passkey? Passkey, IReadOnlyList<StateChange> Use, IReadOnlyList<EntryDraft> Entries);

/// <summary>
/// People's passkeys: registered in a browser's session that has just begun, used to sign in (people of the config only: whom a
/// provider vouches for is vouched for by it each time) and to prove an answer. Each change is journalled. Thread-safe.
/// </summary>
/// <param name="reader">The store.</param>
/// <param name="journal">Where changes go.</param>
/// <param name="users">Who is here now.</param>
/// <param name="sessions">Where signing in leads.</param>
/// <param name="time">The clock.</param>
/// <param name="isOwnOrigin">Whether pages of an origin are ours.</param>
/// <param name="limits">Limits.</param>
public sealed class PasskeyRegistry(
    IStateReader reader, JournalAppender journal, UserDirectory users, HumanSessions sessions, TimeProvider time, Func<string, bool> isOwnOrigin, PasskeyLimits limits)
{
    private const string Collection = "passkeys";
    private readonly PasskeyChallenges registering = new(time, limits);
    private readonly PasskeyChallenges signingIn = new(time, limits);

    /// <summary>A person's passkeys, oldest first.</summary>
    public IReadOnlyList<Passkey> Of(OpaqueId user) =>
        reader.List(Collection).Select(static d => Passkey.Read(d.Value)).Where(p => p.User == user).OrderBy(static p => p.CreatedAt).ToArray();

    /// <summary>Whether this person still has this passkey, and nothing speaks against it.</summary>
    public bool Has(OpaqueId user, string passkey) => reader.FindByTag(Collection, passkey) is { } document && Passkey.Read(document.Value) is { LockedAt: null } found && found.User == user;

    /// <summary>Whether this session may register a passkey now: a browser's, and young.</summary>
    public bool MayRegister(HumanSession session) => RefuseToRegister(session) is null;

    private PasskeyChange? RefuseToRegister(HumanSession session)
    {
        // What a program can hold makes no credential that a program could then hold (P30).
        if (session.Kind != SessionKind.Web) return new PasskeyChange(ReasonCodes.PresenceRequired, "passkeys are registered in the browser, and by no other session", null);
        var age = time.GetUtcNow() - session.CreatedAt;
        return age >= TimeSpan.Zero && age < limits.FreshFor
            ? null
            : new PasskeyChange(ReasonCodes.LoginRequired, $"sign in again first: a passkey is registered within {limits.FreshFor.TotalMinutes:0} minutes of signing in", null);
    }

    /// <summary>Begins a registration; what is refused says why.</summary>
    public (PasskeyWish? Wish, PasskeyChange? Refused) Begin(HumanSession session, string rpId)
    {
        if (RefuseToRegister(session) is { } refused) return (null, refused);
        var mine = Of(session.User.Ref.Id);
        if (mine.Count >= limits.PerPerson) return (null, new PasskeyChange(ReasonCodes.NotSupported, $"nobody has more than {limits.PerPerson} passkeys; remove one first", null));
        return (new PasskeyWish(registering.Ask(session.Id, rpId), rpId, Handle(session.User.Ref.Id), session.User.Ref.Name, mine.Where(p => p.RpId == rpId).Select(static p => p.CredentialId).ToArray()), null);
    }

    /// <summary>Ends it: what the browser brought is checked, and kept.</summary>
    public async Task<PasskeyChange> RegisterAsync(HumanSession session, string name, byte[] clientData, byte[] attestation)
    {
        if (RefuseToRegister(session) is { } refused) return refused;
        name = name.Trim();
        if (name.Length is 0 or > PasskeyLimits.LongestName || VisibleText.Of(name, multiline: false) != name) return new PasskeyChange(ReasonCodes.NotUnderstood, $"name it with 1 to {PasskeyLimits.LongestName} visible characters", null);
        if (registering.Take(session.Id) is not { } asked) return new PasskeyChange(ReasonCodes.PasskeyRefused, "it was not asked for, or too long ago; begin again", null);
        if (PasskeyChecks.CheckNew(clientData, attestation, asked.Challenge, asked.RpId, isOwnOrigin, out var made) is var fault and not PasskeyFault.None) return new PasskeyChange(ReasonCodes.PasskeyRefused, fault.Words(), null);
        if (Of(session.User.Ref.Id).Count >= limits.PerPerson) return new PasskeyChange(ReasonCodes.NotSupported, $"nobody has more than {limits.PerPerson} passkeys; remove one first", null);

        var passkey = new Passkey(IdText.New("pk_"), session.User.Ref.Id, name, asked.RpId, made!.CredentialId, made.Key, made.Facts.BackupEligible, time.GetUtcNow(), null, null) { Counter = made.Facts.Counter, Aaguid = made.Aaguid };
        var entry = Entry("passkey-added", passkey, session.User.Ref,
            CanonicalJson.Object(
                ("user", session.User.Ref.Name), ("name", name), ("rpId", passkey.RpId), ("credentialId", Base64Url.EncodeToString(passkey.CredentialId)),
                ("publicKey", Base64Url.EncodeToString(passkey.Key.Spki)), ("aaguid", made.Aaguid.ToString()), ("backupEligible", passkey.BackupEligible)));
        var result = await journal.WriteAsync(new WriteSet([entry], [Put(passkey, 0)])).ConfigureAwait(false);

        // A conflict is an id that somebody has already: no authenticator makes one twice, and none is taken over.
        return result.Status == WriteStatus.Conflict ? new PasskeyChange(ReasonCodes.PasskeyRefused, "this passkey is registered already", null) : Result(result, passkey);
    }

    /// <summary>Removes one of one's own. The sessions that it began end with it.</summary>
    public async Task<PasskeyChange> RemoveAsync(HumanSession session, string id)
    {
        if (session.Kind != SessionKind.Web) return new PasskeyChange(ReasonCodes.PresenceRequired, "passkeys are removed in the browser, and by no other session", null);
        while (true)
        {
            // Of one's own only: somebody else's does not exist here.
            if (reader.FindByTag(Collection, id) is not { } document || Passkey.Read(document.Value) is var passkey && passkey.User != session.User.Ref.Id) return new PasskeyChange(ReasonCodes.UnknownTarget, "you have no such passkey", null);
            var result = await journal.WriteAsync(new WriteSet([Entry("passkey-removed", passkey, session.User.Ref, CanonicalJson.Object(("user", session.User.Ref.Name), ("name", passkey.Name)))],
                [new StateChange.Delete(Collection, document.Key, document.Version)])).ConfigureAwait(false);
            if (result.Status == WriteStatus.Conflict) continue;
            if (result.Status == WriteStatus.Committed) await sessions.EndOfPasskeyAsync(passkey.Id).ConfigureAwait(false);
            return Result(result, passkey);
        }
    }

    /// <summary>A challenge for whoever this browser's person turns out to be. <paramref name="browser"/> is a random value that only that browser has.</summary>
    public byte[] BeginSignIn(string browser, string rpId) => signingIn.Ask(browser, rpId);

    /// <summary>
    /// Signs in who proves to have a passkey, if the config alone vouches for him. The session is always a new one (fixation).
    /// </summary>
    public async Task<LoginResult> SignInAsync(string browser, PasskeyAssertion assertion, byte[]? userHandle, string? client, HumanSession? replaces)
    {
        if (signingIn.Take(browser) is not { } asked) return Refused(ReasonCodes.CodeInvalid);
        var proof = Check(null, asked.Challenge, assertion);
        if (proof.Fault != PasskeyFault.None || proof.Passkey is not { } passkey)
        {
            if (proof.Entries.Count > 0) await journal.WriteAsync(new WriteSet(proof.Entries, proof.Use)).ConfigureAwait(false);
            return Refused(ReasonCodes.PasskeyRefused);
        }

        // A discoverable passkey names its person (WebAuthn level 3 §7.2): both must name the same one.
        if (passkey.RpId != asked.RpId || userHandle is null || !CryptographicOperations.FixedTimeEquals(userHandle, Handle(passkey.User))) return Refused(ReasonCodes.PasskeyRefused);

        // Whom a provider knows signs in there: his groups are read there, and a passkey would outlive his leaving it.
        if (users.Find(passkey.User) is not { Subject: null } user) return Refused(ReasonCodes.NotRecognised);
        return await sessions.StartAsync(user, new SessionStart(SessionKind.Web, "passkey", client) { Replaces = replaces, Passkey = passkey.Id, Also = proof.Use }).ConfigureAwait(false);
    }

    private static LoginResult Refused(string reason) => new(null, null, null, reason);

    /// <summary>
    /// Whether a passkey of this person, of anybody where <paramref name="user"/> is null, signed this challenge now. Writes nothing.
    /// </summary>
    public PasskeyProof Check(OpaqueId? user, ReadOnlySpan<byte> challenge, PasskeyAssertion assertion)
    {
        if (reader.Get(Collection, Base64Url.EncodeToString(assertion.CredentialId)) is not { } document) return Not(PasskeyFault.Unknown, null);
        var passkey = Passkey.Read(document.Value);
        if (user is { } one && passkey.User != one) return Not(PasskeyFault.OtherPerson, null);
        if (passkey.LockedAt is not null) return Not(PasskeyFault.Locked, passkey);
        if (PasskeyChecks.Check(assertion, passkey.Key, challenge, passkey.RpId, isOwnOrigin, out var facts) is var fault and not PasskeyFault.None) return Not(fault, passkey);
        if (facts!.BackupEligible != passkey.BackupEligible) return Not(PasskeyFault.Backup, passkey);
        var now = time.GetUtcNow();

        // Who counts, counts up (WebAuthn level 3 §6.1.1). Of two that share a key nobody can tell which is the person's.
        if ((facts.Counter != 0 || passkey.Counter != 0) && facts.Counter <= passkey.Counter)
        {
            var locked = passkey with { LockedAt = now };
            return new PasskeyProof(PasskeyFault.Counter, passkey, [Put(locked, document.Version)],
                [Entry("passkey-locked", locked, new PrincipalRef(PrincipalKind.User, passkey.User, ""), null, ("counter", facts.Counter), ("counterBefore", passkey.Counter))]);
        }

        return new PasskeyProof(PasskeyFault.None, passkey, [Put(passkey with { LastUsedAt = now, Counter = facts.Counter }, document.Version)], []);

        static PasskeyProof Not(PasskeyFault fault, Passkey? passkey) => new(fault, passkey, [], []);
    }

    private static byte[] Handle(OpaqueId user) => Encoding.ASCII.GetBytes(user.Value);

    private static StateChange.Put Put(Passkey passkey, long version) => new(Collection, Base64Url.EncodeToString(passkey.CredentialId), version, passkey.Id, passkey.ToBytes());

    private static EntryDraft Entry(string type, Passkey passkey, PrincipalRef user, CanonicalJson.Members? body, params ReadOnlySpan<(string Name, CanonicalJson Value)> more)
    {
        var fields = CanonicalJson.Object(("user", user.Id.Value), ("passkey", passkey.Id), ("algorithm", passkey.Key.AlgorithmName), ("publicKeySha256", passkey.Key.Sha256));
        foreach (var (name, value) in more) fields.Items.Add(name, value);
        return new EntryDraft(type, fields, body);
    }

    private static PasskeyChange Result(WriteResult result, Passkey passkey) => result.Status == WriteStatus.Committed
        ? new PasskeyChange(null, null, passkey)
        : new PasskeyChange(result.ReasonCode ?? ReasonCodes.JournalUnavailable, "the journal can not be written, and nothing was changed", null);
}
