using System.Net;
using System.Text.Json;
using Countersign.Core;

namespace Countersign.Channels.Teams;

/// <summary>What a request to the connector came to.</summary>
internal enum FaultKind
{
    /// <summary>It may pass: nobody answered, too many requests, or a fault of theirs.</summary>
    Passing,

    /// <summary>The app id, its secret or its permissions are not right: an operator has to mend it.</summary>
    Credential,

    /// <summary>The conversation, message or person is not there, or the bot is not let in: trying again changes nothing.</summary>
    Gone,

    /// <summary>They did not understand us: a defect of ours.</summary>
    Refused,
}

/// <summary>Why a request did not succeed, in words for an operator. Nothing of a token or a secret is in it.</summary>
/// <param name="Kind">What to do.</param>
/// <param name="Words">Without their own text, but for its short code.</param>
/// <param name="After">How long they asked us to wait; null: they did not say.</param>
internal sealed record ConnectorFault(FaultKind Kind, string Words, TimeSpan? After = null)
{
    private const int LongestCode = 60;

    public bool MayPass => Kind == FaultKind.Passing;

    /// <summary>The request was sent, and nobody knows what came of it: no answer, or one of a gateway on the way.</summary>
    public bool MayHaveHappened { get; private init; }

    public static ConnectorFault Unreachable(string words) => new(FaultKind.Passing, words);

    /// <summary>The request had left.</summary>
    public static ConnectorFault Lost(string words) => new(FaultKind.Passing, words) { MayHaveHappened = true };

    public static ConnectorFault Odd(string words) => new(FaultKind.Passing, words);

    public static ConnectorFault OfSignIn(HttpResponseMessage answer, string text, TeamsLimits limits, DateTimeOffset now)
    {
        if (IsPassing(answer.StatusCode)) return new ConnectorFault(FaultKind.Passing, $"the sign-in service answered {(int)answer.StatusCode}", AfterOf(answer, limits, now));
        var code = CodeOf(text, "error");
        return new ConnectorFault(FaultKind.Credential, code switch
        {
            "invalid_client" => "the sign-in service refused the app secret; make a new one in the app registration and give it as `secret`",
            "unauthorized_client" => "the sign-in service does not know the app in this tenant; look at `app-id` and `tenant`",
            _ => $"the sign-in service refused to give a token{(code is null ? "" : $" (`{code}`)")}; look at `app-id`, `tenant` and `secret`",
        });
    }

    public static ConnectorFault Of(HttpResponseMessage answer, string text, TeamsLimits limits, DateTimeOffset now)
    {
        var code = NestedCode(text);
        var said = code is null ? "" : $" (`{code}`)";
        return answer.StatusCode switch
        {
            HttpStatusCode.Unauthorized => new ConnectorFault(FaultKind.Credential, $"the connector does not take the bot's token{said}; look at `app-id` and `tenant`"),
            HttpStatusCode.Forbidden => new ConnectorFault(FaultKind.Gone, code switch
            {
                "BotNotInConversationRoster" or "ForbiddenOperationException" => $"the bot is not in this conversation{said}; add the app to the team or chat",
                "MessageWritesBlocked" => $"the bot is blocked or was removed there{said}",
                _ => $"the connector does not let the bot in there{said}; add the app to the team or chat",
            }),
            HttpStatusCode.NotFound or HttpStatusCode.Gone => new ConnectorFault(FaultKind.Gone, $"the connector knows no such conversation, message or person{said}"),
            _ when IsPassing(answer.StatusCode) => new ConnectorFault(FaultKind.Passing, $"the connector answered {(int)answer.StatusCode}{said}", AfterOf(answer, limits, now))
            {
                MayHaveHappened = answer.StatusCode is HttpStatusCode.InternalServerError or HttpStatusCode.BadGateway or HttpStatusCode.GatewayTimeout or HttpStatusCode.RequestTimeout,
            },
            _ => new ConnectorFault(FaultKind.Refused, $"the connector answered {(int)answer.StatusCode}{said}"),
        };
    }

    /// <summary>Teams' documentation of rate limits: besides 429, 412, 502 and 504 are to be tried again.</summary>
    private static bool IsPassing(HttpStatusCode status) => status is HttpStatusCode.TooManyRequests or HttpStatusCode.PreconditionFailed or HttpStatusCode.RequestTimeout or >= HttpStatusCode.InternalServerError;

    /// <summary>RFC 9110 §10.2.3: seconds or a date; bounded, since they are not to stop us for a day.</summary>
    private static TimeSpan? AfterOf(HttpResponseMessage answer, TeamsLimits limits, DateTimeOffset now)
    {
        var after = answer.Headers.RetryAfter is { } header ? header.Delta ?? (header.Date - now) : null;
        return after is not { Ticks: > 0 } wait ? null : wait > limits.LongestPause ? limits.LongestPause : wait;
    }

    /// <summary>`{"error":{"code":…}}`, or `{"errorCode":…,"message":"{\"subCode\":…}"}`, as both are documented.</summary>
    private static string? NestedCode(string text)
    {
        try
        {
            using var document = JsonDocument.Parse(text, new JsonDocumentOptions { MaxDepth = 16 });
            if (document.RootElement.ValueKind != JsonValueKind.Object) return null;
            if (document.RootElement.TryGetProperty("error", out var error) && error.ValueKind == JsonValueKind.Object) return CodeOf(error.GetRawText(), "code");
            return document.RootElement.TryGetProperty("message", out var message) && message.ValueKind == JsonValueKind.String ? CodeOf(message.GetString()!, "subCode") : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static string? CodeOf(string text, string name)
    {
        try
        {
            using var document = JsonDocument.Parse(text, new JsonDocumentOptions { MaxDepth = 16 });
            return document.RootElement.ValueKind == JsonValueKind.Object && document.RootElement.TryGetProperty(name, out var code) && code.ValueKind == JsonValueKind.String && code.GetString() is { Length: > 0 and <= LongestCode } word
                ? VisibleText.Of(word, multiline: false)
                : null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return null;
        }
    }
}
