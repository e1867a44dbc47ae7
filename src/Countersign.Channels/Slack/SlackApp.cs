using System.Text.Json;
using System.Text.Json.Nodes;
using Countersign.Channels.Accounts;
using Countersign.Channels.Answering;
using Countersign.Channels.Cards;
using Countersign.Channels.Delivery;
using Microsoft.Extensions.Logging;

namespace Countersign.Channels.Slack;

/// <summary>Slack, whole: the channel that the outbox tells through, and the ears for what people do there.</summary>
public sealed class SlackApp : IDisposable
{
    /// <summary>Largest request by HTTP. 1 MiB, as an envelope.</summary>
    public const int MaxRequest = SlackSocket.MaxEnvelope;

    private readonly HttpClient http = SlackApi.Client();
    private readonly SlackOptions options;
    private readonly TimeProvider time;
    private readonly SlackInteractions interactions;
    private readonly SlackSocket? socket;

    public SlackApp(SlackOptions options, Clicks clicks, AccountLinks accounts, CardMaker cards, Func<Uri> console, TimeProvider time, ILogger<SlackApp> logger)
    {
        this.options = options;
        this.time = time;
        var api = new SlackApi(http, options.Api);
        Channel = new SlackChannel(api, options);
        interactions = new SlackInteractions(api, new SlackWorkspace(api, options), options, clicks, accounts, cards, console, time, logger);
        socket = options.AppToken is null || !options.Reach.TakesAnswers ? null : new SlackSocket(api, options, interactions.TakeAsync, time, logger);
    }

    public IChannel Channel { get; }

    /// <summary>Whether clicks arrive by HTTP.</summary>
    public bool ListensByHttp => options.SigningSecret is not null && options.Reach.TakesAnswers;

    /// <summary>Whether a socket is open; always true where none is wanted.</summary>
    public bool IsConnected => socket?.IsConnected ?? true;

    /// <summary>Listens by socket until it is stopped, where that is configured.</summary>
    public Task RunAsync(CancellationToken ct) => socket?.RunAsync(ct) ?? Task.CompletedTask;

    /// <summary>
    /// A request that says it comes from Slack. False where it is not signed as Slack's are, or is not understood; the
    /// answer goes back as JSON, and null as an empty body.
    /// </summary>
    /// <param name="timestamp">`X-Slack-Request-Timestamp`.</param>
    /// <param name="signature">`X-Slack-Signature`.</param>
    /// <param name="body">The raw bytes: what is signed is what is read.</param>
    /// <param name="ct">Stops the waiting, not the answer.</param>
    public async Task<(bool Genuine, string? Answer)> ReceiveAsync(string? timestamp, string? signature, ReadOnlyMemory<byte> body, CancellationToken ct)
    {
        if (options.SigningSecret is not { } secret || !ListensByHttp || !SlackSignature.IsGood(secret, timestamp, signature, body.Span, time.GetUtcNow())) return (false, null);
        try
        {
            if (PayloadOf(System.Text.Encoding.UTF8.GetString(body.Span)) is not { } text) return (true, null);
            using var document = JsonDocument.Parse(text);
            return (true, (await interactions.TakeAsync(document.RootElement.Clone(), ct).ConfigureAwait(false))?.ToJsonString());
        }
        catch (JsonException)
        {
            return (true, null);
        }
    }

    /// <summary>`payload=` of a form (application/x-www-form-urlencoded); exactly one.</summary>
    private static string? PayloadOf(string form)
    {
        var payloads = form.Split('&').Where(static p => p.StartsWith("payload=", StringComparison.Ordinal)).ToArray();
        return payloads.Length == 1 ? Uri.UnescapeDataString(payloads[0]["payload=".Length..].Replace('+', ' ')) : null;
    }

    public void Dispose() => http.Dispose();
}
