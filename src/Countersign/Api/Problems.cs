using System.Net;
using Countersign.Core;
using Countersign.Reviews;

namespace Countersign.Api;

/// <summary>Refusals as RFC 9457 `application/problem+json` with `reason`.</summary>
internal static class Problems
{
    private const string ContentType = "application/problem+json";

    public static Problem Of(HttpStatusCode status, string reason, string detail, string? review = null) => new(Title(reason), (int)status, detail, reason, review);

    public static IResult Result(HttpStatusCode status, string reason, string detail, string? review = null) =>
        Results.Json(Of(status, reason, detail, review), ApiJson.Default.Problem, ContentType, (int)status);

    public static Task WriteAsync(HttpContext http, HttpStatusCode status, string reason, string detail)
    {
        http.Response.StatusCode = (int)status;
        return http.Response.WriteAsJsonAsync(Of(status, reason, detail), ApiJson.Default.Problem, ContentType, http.RequestAborted);
    }

    /// <summary>An answer that was refused, with the status that fits its reason.</summary>
    public static IResult Refused(AnswerResult refused) => Result(StatusOf(refused.ReasonCode), refused.ReasonCode, refused.Message, refused.Review?.Id.Value);

    private static HttpStatusCode StatusOf(string reason) => reason switch
    {
        ReasonCodes.ReviewUnknown => HttpStatusCode.NotFound,
        ReasonCodes.ReviewClosed or ReasonCodes.AlreadyDecided or ReasonCodes.StatementMismatch => HttpStatusCode.Conflict,
        ReasonCodes.JustificationRequired or ReasonCodes.GrantNotAllowed or ReasonCodes.TooLarge or ReasonCodes.EditNotPossible or ReasonCodes.EditChangesShape or ReasonCodes.Unparseable => HttpStatusCode.UnprocessableContent,
        ReasonCodes.JournalUnavailable => HttpStatusCode.ServiceUnavailable,
        _ => HttpStatusCode.Forbidden,
    };

    /// <summary>`self-approval` becomes `Self approval`.</summary>
    private static string Title(string reason) => char.ToUpperInvariant(reason[0]) + reason[1..].Replace('-', ' ');
}
