using Microsoft.AspNetCore.Http;

namespace Countersign.Pages;

/// <summary>303: look there, with GET (RFC 9110 §15.4.4), so that a reload repeats nothing.</summary>
internal sealed class SeeOther(string path) : IResult
{
    public Task ExecuteAsync(HttpContext httpContext)
    {
        httpContext.Response.StatusCode = StatusCodes.Status303SeeOther;
        httpContext.Response.Headers.Location = path;
        return Task.CompletedTask;
    }
}
