namespace Countersign.Config;

/// <summary>A whole number with its bounds, both included.</summary>
internal sealed record NumberLimit(int Default, int Minimum, int Maximum);

/// <summary>A duration with its bounds, both included.</summary>
internal sealed record DurationLimit(TimeSpan Default, TimeSpan Minimum, TimeSpan Maximum);

/// <summary>Every limit of the configuration, with the reason for its number (docs/limits.md repeats them).</summary>
internal static class ConfigLimits
{
    /// <summary>Bytes of the file. A thousand targets fit in a quarter of it; it bounds what a reload can cost.</summary>
    public const int FileBytes = 1024 * 1024;

    /// <summary>Nesting. The deepest key of the schema is five levels down; beyond this is an attack on the reader.</summary>
    public const int Depth = 16;

    /// <summary>YAML nodes. Bounds memory at some 10 MiB whatever the bytes are.</summary>
    public const int Nodes = 50_000;

    /// <summary>Errors that are reported; more than this help nobody.</summary>
    public const int Errors = 100;

    /// <summary>Bytes of a secret's file. A long password or token fits; a log file named by mistake does not.</summary>
    public const int SecretBytes = 8 * 1024;

    /// <summary>Bytes of a certificate, key or authority file. A bundle of all public authorities is about 250 KiB.</summary>
    public const int PemBytes = 1024 * 1024;

    /// <summary>Long enough for a person to finish a meeting's agenda item; an agent that comes back later asks anew.</summary>
    public static readonly DurationLimit Detached = new(TimeSpan.FromMinutes(10), TimeSpan.FromSeconds(1), TimeSpan.FromHours(24));

    /// <summary>An open transaction keeps its locks from everybody else while it waits (P13).</summary>
    public static readonly DurationLimit Transaction = new(TimeSpan.FromSeconds(60), TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(10));

    /// <summary>Past this a connection is more likely dead than patient; the same statement sent again joins the review.</summary>
    public static readonly DurationLimit Connection = new(TimeSpan.FromMinutes(15), TimeSpan.FromSeconds(1), TimeSpan.FromHours(24));

    /// <summary>A third of the 30 seconds after which a common driver gives up when it hears nothing (P12).</summary>
    public static readonly DurationLimit Notice = new(TimeSpan.FromSeconds(10), TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(5));

    /// <summary>Ten seconds less than the minute after which common MCP clients give a request up.</summary>
    public static readonly DurationLimit McpHold = new(TimeSpan.FromSeconds(50), TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(10));

    /// <summary>Arguments of a program that is an MCP server, and variables and headers of one: far more than any has.</summary>
    public const int McpItems = 100;

    /// <summary>NIST SP 800-63B-4 for AAL2: an hour without a request.</summary>
    public static readonly DurationLimit SessionIdle = new(TimeSpan.FromHours(1), TimeSpan.FromMinutes(1), TimeSpan.FromHours(24));

    /// <summary>One working day.</summary>
    public static readonly DurationLimit SessionLifetime = new(TimeSpan.FromHours(12), TimeSpan.FromMinutes(5), TimeSpan.FromHours(168));

    /// <summary>How long who lost a group may still approve, against asking the provider at every click.</summary>
    public static readonly DurationLimit GroupsMaxAge = new(TimeSpan.FromMinutes(5), TimeSpan.FromSeconds(10), TimeSpan.FromHours(12));

    /// <summary>
    /// Longest life of a workload token, from its issue to its end. 6 hours: GitHub's tokens live that long, those of
    /// Kubernetes and Entra one to two.
    /// </summary>
    public static readonly DurationLimit TokenLifetime = new(TimeSpan.FromHours(6), TimeSpan.FromMinutes(1), TimeSpan.FromHours(24));

    /// <summary>
    /// Longest life of a runtime's statement of whom an agent acts for. 5 minutes: it is signed when the agent connects, and
    /// whoever finds an old one must have no use of it.
    /// </summary>
    public static readonly DurationLimit StatementLifetime = new(TimeSpan.FromMinutes(5), TimeSpan.FromSeconds(10), TimeSpan.FromHours(1));

    /// <summary>How long a connection may act after the credential that opened it has ended. None, unless the operator says so.</summary>
    public static readonly DurationLimit CredentialGrace = new(TimeSpan.Zero, TimeSpan.Zero, TimeSpan.FromHours(24));

    /// <summary>More than a person reads at a sitting: fatigue approves (P37).</summary>
    public static readonly NumberLimit PendingPerAgent = new(20, 1, 1000);

    /// <summary>Ten times PostgreSQL's own default of 100: a gateway that holds has many that wait, and each costs it some tens of KiB.</summary>
    public static readonly NumberLimit Connections = new(1000, 1, 10_000);

    /// <summary>One agent's pool must leave room for the others.</summary>
    public static readonly NumberLimit ConnectionsPerAgent = new(100, 1, 10_000);

    /// <summary>
    /// Far above any statement a person can judge. At most 4 MiB: bodies of the journal end at 16 MiB, and hold a payload as
    /// hex beside its readable form.
    /// </summary>
    public static readonly NumberLimit MessageBytes = new(1024 * 1024, 1024, 4 * 1024 * 1024);

    /// <summary>What waits behind a held message is kept, never streamed unseen (P9); a driver's batch fits.</summary>
    public static readonly NumberLimit HeldBytes = new(1024 * 1024, 1024, 16 * 1024 * 1024);

    /// <summary>A read of classified rows up to this many is a read; beyond, or unbounded, an export (DESIGN §4).</summary>
    public static readonly NumberLimit BoundedRows = new(100, 1, 1_000_000);

    /// <summary>Two hundred a second: far above what one agent asks on purpose, far below what it can ask in a loop.</summary>
    public static readonly NumberLimit RequestsPerMinute = new(12_000, 1, 10_000_000);

    /// <summary>Who is told no a hundred times in a few minutes does not listen.</summary>
    public static readonly NumberLimit Denials = new(100, 1, 100_000);

    /// <summary>Long enough to see a loop with pauses, short enough that yesterday's mistakes do not count.</summary>
    public static readonly DurationLimit DenialsWindow = new(TimeSpan.FromMinutes(5), TimeSpan.FromSeconds(1), TimeSpan.FromHours(24));

    /// <summary>Longer than a grudge and than most incidents; 0s switches it off on purpose.</summary>
    public static readonly DurationLimit Cooling = new(TimeSpan.FromDays(30), TimeSpan.Zero, TimeSpan.FromDays(365));
}
