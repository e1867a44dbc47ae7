namespace Countersign.Core;

/// <summary>
/// The published, stable list of reason codes (docs/spec/reason-codes.md; a test keeps the two equal). Kebab-case; a
/// code is never reused for another meaning.
/// </summary>
public static class ReasonCodes
{
    // decisions
    public const string Permitted = "permitted";
    public const string PolicyDenied = "policy-denied";
    public const string NoMatchingPermit = "no-matching-permit";
    public const string PolicyError = "policy-error";
    public const string PolicyUnavailable = "policy-unavailable";

    // reviews
    public const string ReviewRequired = "review-required";
    public const string ReviewPending = "review-pending";
    public const string ReviewDenied = "review-denied";
    public const string ReviewExpired = "review-expired";
    public const string ReviewWithdrawn = "review-withdrawn";
    public const string Approved = "approved";
    public const string NoEligibleApprover = "no-eligible-approver";
    public const string AlreadyReleased = "already-released";
    public const string TargetChanged = "target-changed";
    public const string TooManyPending = "too-many-pending";

    public const string TooManyRequests = "too-many-requests";
    public const string AgentSuspended = "agent-suspended";
    public const string TicketRequired = "ticket-required";

    // approvers
    public const string SelfApproval = "self-approval";
    public const string NotEligible = "not-eligible";
    public const string CoolingOff = "cooling-off";
    public const string NotYetAsked = "not-yet-asked";
    public const string AlreadyDecided = "already-decided";
    public const string ReviewClosed = "review-closed";
    public const string ReviewUnknown = "review-unknown";
    public const string StatementMismatch = "statement-mismatch";
    public const string JustificationRequired = "justification-required";
    public const string NotHuman = "not-human";
    public const string PresenceRequired = "presence-required";
    public const string StepUpRequired = "step-up-required";
    public const string StepUpFailed = "step-up-failed";

    public const string GlassBroken = "glass-broken";

    // edits
    public const string ReviewEdited = "review-edited";
    public const string EditNotAllowed = "edit-not-allowed";
    public const string EditNotPossible = "edit-not-possible";
    public const string EditChangesShape = "edit-changes-shape";

    // grants
    public const string Granted = "granted";
    public const string GrantNotAllowed = "grant-not-allowed";
    public const string GrantExpired = "grant-expired";
    public const string GrantRevoked = "grant-revoked";
    public const string GrantVoid = "grant-void";

    // understanding
    public const string Unparseable = "unparseable";
    public const string NotUnderstood = "not-understood";
    public const string NotSupported = "not-supported";
    public const string TooLarge = "too-large";
    public const string UnknownTool = "unknown-tool";
    public const string ToolChanged = "tool-changed";
    public const string HeaderMismatch = "header-mismatch";
    public const string SessionForeign = "session-foreign";
    public const string RequestStateInvalid = "request-state-invalid";
    public const string UnsafeSetting = "unsafe-setting";
    public const string NotUtf8 = "not-utf8";

    // identity
    public const string Unauthenticated = "unauthenticated";
    public const string TlsRequired = "tls-required";
    public const string UnknownTarget = "unknown-target";
    public const string LoginRequired = "login-required";
    public const string CodeInvalid = "code-invalid";
    public const string TooManyAttempts = "too-many-attempts";
    public const string CrossSite = "cross-site";
    public const string SignInFailed = "sign-in-failed";
    public const string NotRecognised = "not-recognised";
    public const string PasskeyRefused = "passkey-refused";
    public const string UserDisabled = "user-disabled";
    public const string GroupsStale = "groups-stale";
    public const string ProviderUnavailable = "provider-unavailable";

    // identity of workloads
    public const string TokenMalformed = "token-malformed";
    public const string TokenIssuer = "token-issuer";
    public const string TokenType = "token-type";
    public const string TokenAlgorithm = "token-algorithm";
    public const string TokenSignature = "token-signature";
    public const string TokenAudience = "token-audience";
    public const string TokenExpired = "token-expired";
    public const string TokenNotYetValid = "token-not-yet-valid";
    public const string TokenLifetime = "token-lifetime";
    public const string TokenSubject = "token-subject";
    public const string TokenReplayed = "token-replayed";
    public const string TokenActor = "token-actor";
    public const string OnBehalfOfRequired = "on-behalf-of-required";
    public const string IssuerUnavailable = "issuer-unavailable";
    public const string ServiceUrlMismatch = "service-url-mismatch";
    public const string ChannelForeign = "channel-foreign";
    public const string CertificateRequired = "certificate-required";
    public const string CertificateInvalid = "certificate-invalid";
    public const string CertificateRevoked = "certificate-revoked";
    public const string CertificateSubject = "certificate-subject";

    // accounts of chat services
    public const string AccountNotLinked = "account-not-linked";
    public const string AccountRestricted = "account-restricted";
    public const string AccountForeign = "account-foreign";
    public const string AccountInactive = "account-inactive";

    // working
    public const string JournalUnavailable = "journal-unavailable";
    public const string SandboxUnavailable = "sandbox-unavailable";
    public const string TargetUnavailable = "target-unavailable";
    public const string TargetTooStrong = "target-too-strong";
    public const string Overloaded = "overloaded";
    public const string ShuttingDown = "shutting-down";
    public const string Internal = "internal";
}
