using System.Net;
using Countersign.Core;
using Countersign.Journal;
using Microsoft.Extensions.Logging;

namespace Countersign.Api;

/// <summary>The outermost layer: no error leaves without a reason, and none with a stack trace.</summary>
internal sealed partial class Faults(RequestDelegate next, ILogger<Faults> logger)
{
    public async Task InvokeAsync(HttpContext http)
    {
        try
        {
            http.Response.Headers.CacheControl = "no-store";
            http.Response.Headers.XContentTypeOptions = "nosniff";
            await next(http).ConfigureAwait(false);
        }
        catch (Exception) when (http.RequestAborted.IsCancellationRequested)
        {
            return;
        }
        catch (Exception e) when (!http.Response.HasStarted)
        {
            if (e is BadHttpRequestException bad)
            {
                http.Response.StatusCode = bad.StatusCode;
            }
            else
            {
                LogFailed(http.GetEndpoint()?.DisplayName ?? "no endpoint", e);
                http.Response.StatusCode = e is JournalStoreException ? (int)HttpStatusCode.ServiceUnavailable : (int)HttpStatusCode.InternalServerError;
            }
        }

        if (http.Response.HasStarted || http.Response.StatusCode < 400 || http.Response.ContentType is not null) return;
        var (reason, detail) = http.Response.StatusCode switch
        {
            400 or 415 => (ReasonCodes.NotUnderstood, "the request is not what this endpoint takes: JSON with exactly the documented members"),
            404 => (ReasonCodes.UnknownTarget, "there is nothing at this address"),
            405 => (ReasonCodes.NotSupported, "this address does not take this method"),
            413 => (ReasonCodes.TooLarge, "the request is too large"),
            503 => (ReasonCodes.JournalUnavailable, "the journal can not be read or written"),
            _ => (ReasonCodes.Internal, "the request failed; the log of the server says more"),
        };
        await Problems.WriteAsync(http, (HttpStatusCode)http.Response.StatusCode, reason, detail).ConfigureAwait(false);
    }

    [LoggerMessage(9001, LogLevel.Error, "request to {Endpoint} failed")]
    private partial void LogFailed(string endpoint, Exception exception);
}
