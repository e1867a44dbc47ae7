using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using Countersign.Api;
using Countersign.Commands;
using Countersign.Identity;

namespace Countersign.Client;

/// <summary>Waits on loopback for the browser to bring a code (RFC 8252 §7.3), and for nothing else.</summary>
internal sealed class BrowserLogin : IDisposable
{
    /// <summary>How long a person may take. 5 minutes.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);

    private const int MaxRequest = 8 << 10;

    private readonly TcpListener listener = new(IPAddress.Loopback, 0);
    private readonly string verifier = RandomNumberGenerator.GetHexString(64, lowercase: true);
    private readonly string state = CliGrants.ChallengeOf(RandomNumberGenerator.GetHexString(64, lowercase: true));

    public BrowserLogin() => listener.Start();

    private int Port => ((IPEndPoint)listener.LocalEndpoint).Port;

    private string Challenge => CliGrants.ChallengeOf(verifier);

    /// <summary>What the page shows too.</summary>
    public string CheckWord => CliGrants.CheckWord(Challenge);

    public Uri PageAt(Uri server) => new(server, string.Create(CultureInfo.InvariantCulture, $"{CliLoginEndpoints.Page}?challenge={Challenge}&port={Port}&state={state}"));

    public async Task<CliLogin> WaitAsync(CancellationToken ct)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(Patience);
        try
        {
            while (true)
            {
                using var client = await listener.AcceptTcpClientAsync(limit.Token).ConfigureAwait(false);
                if (await CodeAsync(client, limit.Token).ConfigureAwait(false) is { } code) return new CliLogin(code, verifier);
            }
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            throw new CommandFailure(Exit.Failed, "nobody agreed in the browser; run `countersign login` again, or `countersign login --user NAME` where the terminal of `serve` shows codes");
        }
    }

    /// <summary>The code of one request, where it is the one that was sent for; anybody on this machine may connect.</summary>
    private async Task<string?> CodeAsync(TcpClient client, CancellationToken ct)
    {
        try
        {
            using var slow = CancellationTokenSource.CreateLinkedTokenSource(ct);
            slow.CancelAfter(TimeSpan.FromSeconds(5));
            await using var stream = client.GetStream();
            var buffer = new byte[MaxRequest];
            var length = 0;
            while (length < buffer.Length && !buffer.AsSpan(0, length).EndsWith("\r\n\r\n"u8))
            {
                var read = await stream.ReadAsync(buffer.AsMemory(length), slow.Token).ConfigureAwait(false);
                if (read == 0) break;
                length += read;
            }

            var line = Encoding.ASCII.GetString(buffer, 0, length).Split("\r\n")[0].Split(' ');
            var query = line is ["GET", var target, "HTTP/1.1"] && target.StartsWith("/?", StringComparison.Ordinal)
                ? target[2..].Split('&').Select(static p => p.Split('=', 2)).Where(static p => p.Length == 2).ToLookup(static p => p[0], static p => p[1], StringComparer.Ordinal)
                : null;
            var ours = query is not null && query["state"].SequenceEqual([state], StringComparer.Ordinal) && query["code"].Count() == 1;
            var text = ours ? "Signed in. You may close this window and go back to the terminal." : "This is not what the terminal waits for.";
            await stream.WriteAsync(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture,
                $"HTTP/1.1 {(ours ? "200 OK" : "400 Bad Request")}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {text.Length}\r\nReferrer-Policy: no-referrer\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n{text}")), slow.Token).ConfigureAwait(false);
            return ours ? query!["code"].Single() : null;
        }
        catch (Exception e) when (e is IOException or SocketException || (e is OperationCanceledException && !ct.IsCancellationRequested))
        {
            return null;
        }
    }

    public void Dispose() => listener.Dispose();
}
