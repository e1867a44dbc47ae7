using System.Buffers;
using Countersign.Core;
using Countersign.PgWire;

namespace Countersign.Gateway.Postgres;

/// <summary>
/// A refusal as PostgreSQL tells it: 42501 with the reason code in DETAIL and what to do next in HINT, except where
/// clients act on another SQLSTATE (a cancelled statement, a syntax error, something not supported).
/// </summary>
internal static class Refusals
{
    public static string SqlState(string reason) => reason switch
    {
        ReasonCodes.ReviewWithdrawn => SqlStates.QueryCanceled,
        ReasonCodes.Unparseable => SqlStates.SyntaxError,
        ReasonCodes.NotSupported => SqlStates.FeatureNotSupported,
        ReasonCodes.TooLarge => SqlStates.LimitExceeded,
        ReasonCodes.NotUtf8 => SqlStates.CharacterNotInRepertoire,
        ReasonCodes.Unauthenticated => SqlStates.InvalidPassword,
        ReasonCodes.ShuttingDown => SqlStates.AdminShutdown,
        ReasonCodes.TokenMalformed or ReasonCodes.TokenIssuer or ReasonCodes.TokenType or ReasonCodes.TokenAlgorithm or ReasonCodes.TokenSignature
            or ReasonCodes.TokenAudience or ReasonCodes.TokenExpired or ReasonCodes.TokenNotYetValid or ReasonCodes.TokenLifetime or ReasonCodes.TokenSubject
            or ReasonCodes.TokenReplayed or ReasonCodes.TokenActor or ReasonCodes.IssuerUnavailable or ReasonCodes.TlsRequired
            or ReasonCodes.CertificateRequired or ReasonCodes.CertificateInvalid or ReasonCodes.CertificateRevoked or ReasonCodes.CertificateSubject => SqlStates.InvalidAuthorization,
        ReasonCodes.UnknownTarget => SqlStates.InvalidCatalogName,
        ReasonCodes.TargetUnavailable => SqlStates.CannotConnect,
        ReasonCodes.Overloaded => SqlStates.TooManyConnections,
        _ => SqlStates.InsufficientPrivilege,
    };

    public static byte[] Write(Refusal refusal, PgWireLimits limits, ReportSeverity severity = ReportSeverity.Error, int? position = null)
    {
        var output = new ArrayBufferWriter<byte>(512);
        BackendWriter.WriteReport(output, new Report(severity, SqlState(refusal.ReasonCode),
            $"countersign: {VisibleText.Of(refusal.Message, multiline: false)}", refusal.Detail, refusal.Hint, position is > 0 ? position : null), limits);
        return output.WrittenSpan.ToArray();
    }
}
