using System.Net;
using System.Text.Json;

namespace Countersign.Channels.Teams;

/// <summary>
/// Our own token for the connector: OAuth 2.0 client credentials at the one configured address. Kept until shortly before
/// its end, asked for once however many wait for it. It prints nowhere. Thread-safe.
/// </summary>
internal sealed class BotToken(TeamsBot bot, TeamsLimits limits, TimeProvider time, HttpClient http) : IDisposable
{
    private sealed record Held(string Value, DateTimeOffset RenewAt, DateTimeOffset EndsAt)
    {
        public override string ToString() => "token ***";
    }

    private readonly SemaphoreSlim asking = new(1, 1);
    private volatile Held? held;

    /// <summary>The token, or why there is none.</summary>
    public async Task<(string? Token, ConnectorFault? Fault)> GetAsync(CancellationToken ct)
    {
        if (held is { } fresh && time.GetUtcNow() < fresh.RenewAt) return (fresh.Value, null);
        await asking.WaitAsync(ct).ConfigureAwait(false);
        try
        {
            var now = time.GetUtcNow();
            if (held is { } meanwhile && now < meanwhile.RenewAt) return (meanwhile.Value, null);
            var (asked, fault) = await AskAsync(now, ct).ConfigureAwait(false);
            if (asked is not null)
            {
                held = asked;
                return (asked.Value, null);
            }

            // One that is still good serves while the sign-in service rests.
            return held is { } old && now < old.EndsAt && fault!.MayPass ? (old.Value, null) : (null, fault);
        }
        finally
        {
            asking.Release();
        }
    }

    /// <summary>The connector did not take it: the next call asks for another.</summary>
    public void Drop(string token)
    {
        if (held is { } current && current.Value == token) held = null;
    }

    private async Task<(Held?, ConnectorFault?)> AskAsync(DateTimeOffset now, CancellationToken ct)
    {
        try
        {
            using var form = new FormUrlEncodedContent(
            [
                new("grant_type", "client_credentials"), new("client_id", bot.AppId), new("client_secret", bot.AppSecret.Reveal()), new("scope", bot.Scope),
            ]);
            using var answer = await http.PostAsync(bot.TokenEndpoint, form, ct).ConfigureAwait(false);
            var text = await answer.Content.ReadAsStringAsync(ct).ConfigureAwait(false);
            if (answer.StatusCode != HttpStatusCode.OK) return (null, ConnectorFault.OfSignIn(answer, text, limits, now));
            using var document = JsonDocument.Parse(text);
            var root = document.RootElement;
            if (!string.Equals(root.GetProperty("token_type").GetString(), "Bearer", StringComparison.OrdinalIgnoreCase)) return (null, ConnectorFault.Odd("the sign-in service gave a token of another type than `Bearer`"));

            // RFC 6750 §2.1: what may stand in the header, and nothing that could begin another.
            if (root.GetProperty("access_token").GetString() is not { Length: > 0 } token || token.Any(static c => c is <= ' ' or > '~')) return (null, ConnectorFault.Odd("the sign-in service gave no token"));
            var life = TimeSpan.FromSeconds(Math.Clamp(root.GetProperty("expires_in").GetInt64(), 0, 86_400));
            return (new Held(token, now + (life > 2 * limits.RenewBefore ? life - limits.RenewBefore : life / 2), now + life), null);
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            return (null, ConnectorFault.Odd("the answer of the sign-in service is not what RFC 6749 says"));
        }
        catch (Exception e) when (e is HttpRequestException or IOException || (e is OperationCanceledException && !ct.IsCancellationRequested))
        {
            return (null, ConnectorFault.Unreachable("the sign-in service can not be reached"));
        }
    }

    public void Dispose() => asking.Dispose();
}
