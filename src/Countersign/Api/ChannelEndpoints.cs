using Countersign.Channels.Slack;
using Countersign.Channels.Teams;
using Countersign.Hosting;
using Countersign.Identity;

namespace Countersign.Api;

/// <summary>Where chat services send what people did. Anybody may knock; only what a service has signed is heard.</summary>
internal static class ChannelEndpoints
{
    public static void Map(IEndpointRouteBuilder app, ChannelParts channels)
    {
        if (channels.Slack is { ListensByHttp: true } slack) app.MapPost("/channels/slack", http => ReceiveAsync(http, slack)).WithMetadata(AnswersAnybody.Instance).ExcludeFromDescription();
        if (channels.Teams is { } teams) app.MapPost(TeamsPath, http => ReceiveAsync(http, teams.Door)).WithMetadata(AnswersAnybody.Instance).ExcludeFromDescription();
    }

    /// <summary>The messaging endpoint of the bot's registration. What comes there is proved by its own token, and no session of ours opens it.</summary>
    public const string TeamsPath = "/channels/teams";

    private static async Task ReceiveAsync(HttpContext http, TeamsDoor door)
    {
        if (await ReadAsync(http.Request, TeamsDoor.MaxRequest).ConfigureAwait(false) is not { } body)
        {
            http.Response.StatusCode = StatusCodes.Status413PayloadTooLarge;
            return;
        }

        var reply = await door.TakeAsync(Single(http, "Authorization"), body, http.RequestAborted).ConfigureAwait(false);
        http.Response.StatusCode = reply.Status;
        http.Response.ContentType = "application/json; charset=utf-8";
        if (reply.Body is not null) await http.Response.WriteAsync(reply.Body.ToJsonString(), http.RequestAborted).ConfigureAwait(false);
    }

    private static async Task ReceiveAsync(HttpContext http, SlackApp slack)
    {
        // The raw bytes, since they are what was signed.
        if (await ReadAsync(http.Request, SlackApp.MaxRequest).ConfigureAwait(false) is not { } body)
        {
            http.Response.StatusCode = StatusCodes.Status413PayloadTooLarge;
            return;
        }

        var (genuine, answer) = await slack.ReceiveAsync(Single(http, "X-Slack-Request-Timestamp"), Single(http, "X-Slack-Signature"), body, http.RequestAborted).ConfigureAwait(false);
        if (!genuine)
        {
            http.Response.StatusCode = StatusCodes.Status401Unauthorized;
            return;
        }

        if (answer is null) return;
        http.Response.ContentType = "application/json; charset=utf-8";
        await http.Response.WriteAsync(answer, http.RequestAborted).ConfigureAwait(false);
    }

    private static string? Single(HttpContext http, string header) => http.Request.Headers[header] is [{ } one] ? one : null;

    private static async Task<ReadOnlyMemory<byte>?> ReadAsync(HttpRequest request, int max)
    {
        using var body = new MemoryStream();
        var buffer = new byte[16 << 10];
        int read;
        while ((read = await request.Body.ReadAsync(buffer, request.HttpContext.RequestAborted).ConfigureAwait(false)) > 0)
        {
            if (body.Length + read > max) return null;
            body.Write(buffer, 0, read);
        }

        return body.GetBuffer().AsMemory(0, (int)body.Length);
    }
}
