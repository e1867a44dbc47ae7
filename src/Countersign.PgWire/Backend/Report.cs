using System.Text;

namespace Countersign.PgWire;

/// <summary>Severity of a report that the gateway writes.</summary>
public enum ReportSeverity
{
    /// <summary>ERROR: the statement failed, the session goes on.</summary>
    Error,
    /// <summary>FATAL: the session ends; the connection is closed after it.</summary>
    Fatal,
    /// <summary>WARNING.</summary>
    Warning,
    /// <summary>NOTICE.</summary>
    Notice,
    /// <summary>INFO: shown whatever the client's settings are.</summary>
    Info,
    /// <summary>LOG.</summary>
    Log,
    /// <summary>DEBUG.</summary>
    Debug,
}

/// <summary>An error or notice that the gateway says in its own name.</summary>
/// <param name="Severity">Error and Fatal are written as ErrorResponse, the others as NoticeResponse.</param>
/// <param name="SqlState">Five characters of digits and capital letters: a constant of <see cref="SqlStates"/>.</param>
/// <param name="Message">What happened; not empty.</param>
/// <param name="Detail">DETAIL, or null.</param>
/// <param name="Hint">HINT: what to do next, or null.</param>
/// <param name="Position">Position in the statement, in characters from 1, or null.</param>
public sealed record Report(ReportSeverity Severity, string SqlState, string Message, string? Detail = null, string? Hint = null, int? Position = null)
{
    const string Cut = "… (cut here by the gateway)";

    internal string SeverityWord => Severity switch
    {
        ReportSeverity.Error => "ERROR",
        ReportSeverity.Fatal => "FATAL",
        ReportSeverity.Warning => "WARNING",
        ReportSeverity.Notice => "NOTICE",
        ReportSeverity.Info => "INFO",
        ReportSeverity.Log => "LOG",
        ReportSeverity.Debug => "DEBUG",
        _ => throw new InvalidOperationException($"severity {(int)Severity} is not defined"),
    };

    /// <summary>
    /// The bytes of a field: NUL and what is not UTF-16 become U+FFFD, since both would end or break the field for the
    /// client, and no peer's text may stop a refusal from being sent; what is above the limit is cut with a mark.
    /// </summary>
    internal static byte[] Field(string text, int limit)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text.Replace('\0', '\uFFFD'));
        if (bytes.Length <= limit)
            return bytes;
        byte[] mark = Encoding.UTF8.GetBytes(Cut);
        int keep = limit - mark.Length;
        while (keep > 0 && (bytes[keep] & 0xC0) == 0x80)
            keep--;
        return [.. bytes.AsSpan(0, keep), .. mark];
    }
}

/// <summary>SQLSTATE codes that the gateway uses (PostgreSQL documentation, appendix A).</summary>
public static class SqlStates
{
    /// <summary>successful_completion, of a notice.</summary>
    public const string SuccessfulCompletion = "00000";
    /// <summary>warning.</summary>
    public const string Warning = "01000";
    /// <summary>connection_failure: the target is gone.</summary>
    public const string ConnectionFailure = "08006";
    /// <summary>sqlclient_unable_to_establish_sqlconnection: the target cannot be reached.</summary>
    public const string CannotConnect = "08001";
    /// <summary>protocol_violation.</summary>
    public const string ProtocolViolation = "08P01";
    /// <summary>feature_not_supported.</summary>
    public const string FeatureNotSupported = "0A000";
    /// <summary>character_not_in_repertoire: invalid UTF-8.</summary>
    public const string CharacterNotInRepertoire = "22021";
    /// <summary>invalid_parameter_value.</summary>
    public const string InvalidParameterValue = "22023";
    /// <summary>active_sql_transaction.</summary>
    public const string ActiveTransaction = "25001";
    /// <summary>in_failed_sql_transaction.</summary>
    public const string InFailedTransaction = "25P02";
    /// <summary>invalid_sql_statement_name.</summary>
    public const string InvalidStatementName = "26000";
    /// <summary>invalid_authorization_specification.</summary>
    public const string InvalidAuthorization = "28000";
    /// <summary>invalid_password.</summary>
    public const string InvalidPassword = "28P01";
    /// <summary>invalid_cursor_name: no such portal.</summary>
    public const string InvalidCursorName = "34000";
    /// <summary>invalid_catalog_name: no such target.</summary>
    public const string InvalidCatalogName = "3D000";
    /// <summary>insufficient_privilege: every refusal by policy or people.</summary>
    public const string InsufficientPrivilege = "42501";
    /// <summary>syntax_error.</summary>
    public const string SyntaxError = "42601";
    /// <summary>duplicate_prepared_statement.</summary>
    public const string DuplicateStatement = "42P05";
    /// <summary>too_many_connections.</summary>
    public const string TooManyConnections = "53300";
    /// <summary>program_limit_exceeded.</summary>
    public const string LimitExceeded = "54000";
    /// <summary>query_canceled.</summary>
    public const string QueryCanceled = "57014";
    /// <summary>admin_shutdown.</summary>
    public const string AdminShutdown = "57P01";
    /// <summary>cannot_connect_now.</summary>
    public const string CannotConnectNow = "57P03";
    /// <summary>internal_error.</summary>
    public const string InternalError = "XX000";
}
