namespace Countersign.PgWire;

/// <summary>
/// Every bound that the codec enforces on a peer. All sizes are bytes of the whole frame body as sent on the wire,
/// without the tag and the length word, unless said otherwise. Immutable; safe to share between threads.
/// </summary>
public sealed record PgWireLimits
{
    /// <summary>The defaults of every limit.</summary>
    public static PgWireLimits Default { get; } = new();

    /// <summary>No frame may be longer than this, whatever is configured. PostgreSQL's own bound (<c>MaxAllocSize</c>): 1 GiB - 1.</summary>
    public const int AbsoluteFrameBytes = 0x3FFFFFFF;

    /// <summary>
    /// A start-up packet, its length word included. Default 10,000 bytes: <c>MAX_STARTUP_PACKET_LENGTH</c> of PostgreSQL;
    /// it is read before anybody is known, so it is the cheapest thing to abuse.
    /// </summary>
    public int StartupBytes { get; init; } = 10_000;

    /// <summary>
    /// Password, SASLInitialResponse, SASLResponse. Default 8 KiB: a SCRAM message is below 1 KiB, a federated token
    /// (JWT) sent as a password below 8 KiB; the peer is still unknown.
    /// </summary>
    public int PasswordBytes { get; init; } = 8 * 1024;

    /// <summary>
    /// Query, Parse, Bind, FunctionCall, CopyData from a client. Default 16 MiB: the gateway holds these in memory while a
    /// human decides, and nobody reviews a statement of more than that.
    /// </summary>
    public int FrontendBytes { get; init; } = 16 * 1024 * 1024;

    /// <summary>
    /// Describe, Execute, Close, Sync, Flush, Terminate, CopyDone, CopyFail from a client. Default 10,000 bytes:
    /// <c>PQ_SMALL_MESSAGE_LIMIT</c> of PostgreSQL.
    /// </summary>
    public int FrontendSmallBytes { get; init; } = 10_000;

    /// <summary>
    /// A server's message that the gateway must read whole. Default 16 MiB: the longest is an ErrorResponse that quotes
    /// the statement, which <see cref="FrontendBytes"/> bounds.
    /// </summary>
    public int BackendBytes { get; init; } = 16 * 1024 * 1024;

    /// <summary>
    /// A server's DataRow, CopyData or FunctionCallResponse, which can be passed on in pieces by its header alone.
    /// Default 1 GiB - 1: the server's own bound of a row.
    /// </summary>
    public int BackendRowBytes { get; init; } = AbsoluteFrameBytes;

    /// <summary>
    /// A server's message before ReadyForQuery has been seen for the first time. Default 30,000 bytes:
    /// <c>MAX_ERRLEN</c> of libpq; the server is not yet proven to be one.
    /// </summary>
    public int BackendStartupBytes { get; init; } = 30_000;

    /// <summary>
    /// One field of an error or notice that the gateway writes, in bytes of UTF-8. Default 8 KiB: clients print it on a
    /// terminal or give it to a language model. What is cut carries a mark that says so.
    /// </summary>
    public int ReportFieldBytes { get; init; } = 8 * 1024;

    /// <summary>
    /// Iteration count that a server may ask of us in SCRAM. Default 1,000,000: about half a second of one core, where
    /// PostgreSQL's own default is 4,096; unbounded it lets a hostile server hold a thread for hours (P14).
    /// </summary>
    public int ScramMaxIterations { get; init; } = 1_000_000;

    /// <summary>
    /// Smallest iteration count that we accept from a server in SCRAM. Default 4,096: RFC 7677 §4; a lower one lets who
    /// poses as the server guess the password from our proof.
    /// </summary>
    public int ScramMinIterations { get; init; } = 4_096;

    /// <summary>Throws <see cref="ArgumentOutOfRangeException"/>, naming the limit, when one of them is outside what the codec can honour.</summary>
    public void Validate()
    {
        Check(StartupBytes, 64, AbsoluteFrameBytes, nameof(StartupBytes));
        Check(PasswordBytes, 64, AbsoluteFrameBytes, nameof(PasswordBytes));
        Check(FrontendBytes, 64, AbsoluteFrameBytes, nameof(FrontendBytes));
        Check(FrontendSmallBytes, 64, AbsoluteFrameBytes, nameof(FrontendSmallBytes));
        Check(BackendBytes, 64, AbsoluteFrameBytes, nameof(BackendBytes));
        Check(BackendRowBytes, 64, AbsoluteFrameBytes, nameof(BackendRowBytes));
        Check(BackendStartupBytes, 64, AbsoluteFrameBytes, nameof(BackendStartupBytes));
        Check(ReportFieldBytes, 64, 1024 * 1024, nameof(ReportFieldBytes));
        Check(ScramMinIterations, 1, int.MaxValue, nameof(ScramMinIterations));
        Check(ScramMaxIterations, ScramMinIterations, int.MaxValue, nameof(ScramMaxIterations));
    }

    static void Check(int value, int least, int most, string name)
    {
        if (value < least || value > most)
            throw new ArgumentOutOfRangeException(name, value, $"must be between {least} and {most}");
    }
}
