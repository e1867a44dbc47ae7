using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Countersign.Channels.Tests.Mail;

/// <summary>A mail as the relay took it: envelope and bytes.</summary>
internal sealed record TakenMail(string From, IReadOnlyList<string> To, byte[] Bytes)
{
    public string Text => Encoding.Latin1.GetString(Bytes);
    public MimeKit.MimeMessage Parsed => MimeKit.MimeMessage.Load(new MemoryStream(Bytes));
}

/// <summary>
/// An SMTP server on loopback, small and strict (RFC 5321): order of commands, CRLF and nothing else at the end of a line,
/// 998 octets a line, no sign-in without TLS, no mail without sign-in.
/// </summary>
internal sealed class PlayedRelay : IAsyncDisposable
{
    private readonly TcpListener listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource stop = new();
    private readonly Task serving;
    private readonly Lock gate = new();
    private readonly List<TakenMail> mails = [];
    private readonly List<string> complaints = [];
    private readonly Queue<(string Command, string Answer)> faults = new();

    public PlayedRelay(X509Certificate2? certificate = null, bool @implicit = false)
    {
        Certificate = certificate;
        Implicit = @implicit;
        listener.Start();
        Port = ((IPEndPoint)listener.LocalEndpoint).Port;
        serving = Task.Run(ServeAsync);
    }

    public int Port { get; }
    private X509Certificate2? Certificate { get; }
    private bool Implicit { get; }
    public bool OffersStartTls { get; set; } = true;

    /// <summary>User and password; null asks for none.</summary>
    public (string User, string Password)? Account { get; set; }

    /// <summary>Addresses that are not taken.</summary>
    public HashSet<string> Unknown { get; } = new(StringComparer.OrdinalIgnoreCase);

    public IReadOnlyList<TakenMail> Mails
    {
        get
        {
            lock (gate) return [.. mails];
        }
    }

    public IReadOnlyList<string> Complaints
    {
        get
        {
            lock (gate) return [.. complaints];
        }
    }

    /// <summary>The next command of this name is answered so; an empty answer closes the connection.</summary>
    public void Fail(string command, string answer)
    {
        lock (gate) faults.Enqueue((command, answer));
    }

    private async Task ServeAsync()
    {
        while (!stop.IsCancellationRequested)
        {
            try
            {
                using var client = await listener.AcceptTcpClientAsync(stop.Token);
                await TalkAsync(client.GetStream());
            }
            catch (Exception e) when (e is IOException or SocketException or OperationCanceledException or ObjectDisposedException or System.Security.Authentication.AuthenticationException)
            {
                // The client left, or did not trust us.
            }
        }
    }

    private async Task TalkAsync(Stream stream)
    {
        var encrypted = false;
        if (Implicit) (stream, encrypted) = (await EncryptAsync(stream), true);
        await SayAsync(stream, "220 relay.example ESMTP");
        var (greeted, signedIn) = (false, false);
        string? from = null;
        List<string> to = [];
        while (await LineAsync(stream) is { } line)
        {
            var verb = line.Split(' ', 2)[0].ToUpperInvariant();
            if (Fault(verb) is { } fault)
            {
                if (fault.Length == 0) return;
                await SayAsync(stream, fault);
                continue;
            }

            switch (verb)
            {
                case "EHLO":
                    greeted = true;
                    await SayAsync(stream, $"250-relay.example\r\n250-SIZE 1000000\r\n250-8BITMIME\r\n{(Certificate is not null && OffersStartTls && !encrypted ? "250-STARTTLS\r\n" : "")}{(Account is not null && encrypted ? "250-AUTH PLAIN LOGIN\r\n" : "")}250 ENHANCEDSTATUSCODES");
                    break;
                case "STARTTLS" when Certificate is not null && OffersStartTls && !encrypted && greeted:
                    await SayAsync(stream, "220 2.0.0 go ahead");
                    (stream, encrypted, greeted) = (await EncryptAsync(stream), true, false);
                    break;
                case "AUTH" when Account is { } account:
                    if (!encrypted)
                    {
                        await ComplainAsync(stream, "538 5.7.11 encryption required", "a password came in the clear");
                        break;
                    }

                    if (line.Split(' ') is not [_, "PLAIN", { } proof])
                    {
                        await SayAsync(stream, "504 5.5.4 no such mechanism");
                        break;
                    }

                    signedIn = Encoding.UTF8.GetString(Convert.FromBase64String(proof)) == $"\0{account.User}\0{account.Password}";
                    await SayAsync(stream, signedIn ? "235 2.7.0 welcome" : "535 5.7.8 no");
                    break;
                case "MAIL" when greeted:
                    if (Account is not null && !signedIn)
                    {
                        await SayAsync(stream, "530 5.7.0 authentication required");
                        break;
                    }

                    (from, to) = (Address(line, "MAIL FROM:"), []);
                    await SayAsync(stream, from is null ? "501 5.1.7 no address" : "250 2.1.0 ok");
                    break;
                case "RCPT" when from is not null:
                    if (Address(line, "RCPT TO:") is not { Length: > 0 } rcpt) await ComplainAsync(stream, "501 5.1.3 no address", line);
                    else if (Unknown.Contains(rcpt)) await SayAsync(stream, "550 5.1.1 no such mailbox");
                    else
                    {
                        to.Add(rcpt);
                        await SayAsync(stream, "250 2.1.5 ok");
                    }

                    break;
                case "DATA" when to.Count > 0:
                    await SayAsync(stream, "354 go ahead");
                    await DataAsync(stream, from!, to);
                    (from, to) = (null, []);
                    break;
                case "RSET":
                    (from, to) = (null, []);
                    await SayAsync(stream, "250 2.0.0 ok");
                    break;
                case "NOOP":
                    await SayAsync(stream, "250 2.0.0 ok");
                    break;
                case "QUIT":
                    await SayAsync(stream, "221 2.0.0 bye");
                    return;
                default:
                    await ComplainAsync(stream, "503 5.5.1 not now", line);
                    break;
            }
        }
    }

    private async Task DataAsync(Stream stream, string from, List<string> to)
    {
        using var bytes = new MemoryStream();
        while (await LineAsync(stream) is { } line)
        {
            if (line == ".")
            {
                if (Fault(".") is { } fault)
                {
                    if (fault.Length == 0) throw new IOException("gone");
                    await SayAsync(stream, fault);
                    return;
                }

                lock (gate) mails.Add(new TakenMail(from, [.. to], bytes.ToArray()));
                await SayAsync(stream, "250 2.0.0 taken");
                return;
            }

            if (line.Length > 998) lock (gate) complaints.Add("a line of more than 998 octets");
            bytes.Write(Encoding.Latin1.GetBytes((line.StartsWith('.') ? line[1..] : line) + "\r\n"));
        }
    }

    private string? Fault(string command)
    {
        lock (gate)
        {
            if (!faults.TryPeek(out var next) || next.Command != command) return null;
            faults.Dequeue();
            return next.Answer;
        }
    }

    private static string? Address(string line, string prefix)
    {
        if (!line.StartsWith(prefix + "<", StringComparison.OrdinalIgnoreCase)) return null;
        var end = line.IndexOf('>', StringComparison.Ordinal);
        return end < 0 ? null : line[(prefix.Length + 1)..end];
    }

    private async Task ComplainAsync(Stream stream, string answer, string about)
    {
        lock (gate) complaints.Add(about);
        await SayAsync(stream, answer);
    }

    private async Task<Stream> EncryptAsync(Stream inner)
    {
        var tls = new SslStream(inner);
        await tls.AuthenticateAsServerAsync(new SslServerAuthenticationOptions { ServerCertificate = Certificate }, stop.Token);
        return tls;
    }

    private async Task SayAsync(Stream stream, string line) => await stream.WriteAsync(Encoding.ASCII.GetBytes(line + "\r\n"), stop.Token);

    private readonly byte[] one = new byte[1];

    private async Task<string?> LineAsync(Stream stream)
    {
        var line = new StringBuilder();
        while (await stream.ReadAsync(one, stop.Token) > 0)
        {
            var c = (char)one[0];
            if (c == '\n')
            {
                if (line.Length > 0 && line[^1] == '\r') return line.ToString(0, line.Length - 1);
                lock (gate) complaints.Add("a line feed without a carriage return");
                return line.ToString();
            }

            if (line.Length > 0 && line[^1] == '\r') lock (gate) complaints.Add("a carriage return without a line feed");
            line.Append(c);
        }

        return null;
    }

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        listener.Dispose();
        await serving;
        stop.Dispose();
    }
}
