using System.Buffers;
using System.Net.Sockets;
using System.Security.Cryptography;
using Countersign.PgWire;

namespace Countersign.EndToEnd.Tests.Fixtures;

/// <summary>A client that says on the wire what no driver would. It sends nothing by itself once it is ready.</summary>
public sealed class WireClient : IAsyncDisposable
{
    private readonly TcpClient tcp = new() { NoDelay = true };
    private readonly ArrayBufferWriter<byte> pending = new();
    private readonly byte[] header = new byte[5];

    public Stream Stream { get; private set; } = Stream.Null;
    public int ProcessId { get; private set; }
    public byte[] CancelKey { get; private set; } = [];
    public Socket Socket => tcp.Client;

    public static async Task<WireClient> DialAsync(int port)
    {
        var client = new WireClient();
        await client.tcp.ConnectAsync("127.0.0.1", port);
        client.Stream = client.tcp.GetStream();
        return client;
    }

    public static async Task<WireClient> ConnectAsync(GatewayProcess gateway, params StartupParameter[] parameters)
    {
        var client = await DialAsync(gateway.Port);
        var refusal = await client.StartAsync(GatewayProcess.Agent, gateway.AgentKey, "shop", parameters);
        Assert.True(refusal is null, refusal);
        return client;
    }

    /// <summary>Start-up and SCRAM. Null when ready, else the error.</summary>
    public async Task<string?> StartAsync(string user, string key, string database, params StartupParameter[] parameters)
    {
        var limits = PgWireLimits.Default;
        Write(o => FrontendWriter.WriteStartup(o, ProtocolVersion.V30, [new("user", user), new("database", database), .. parameters]));
        await FlushAsync();
        var scram = new ScramClient(key, RandomNumberGenerator.GetBytes(Scram.NonceBytes), limits);
        while (true)
        {
            var (tag, body) = await ReadAsync() ?? throw new EndOfStreamException();
            switch (tag)
            {
                case 'R':
                    Assert.True(AuthenticationMessage.TryRead(body, out var message, out _));
                    if (message.Kind == AuthenticationKind.Sasl)
                    {
                        Assert.True(scram.TryFirst(out var first));
                        Write(o => FrontendWriter.WriteSaslInitialResponse(o, Scram.Mechanism, first));
                    }
                    else if (message.Kind == AuthenticationKind.SaslContinue)
                    {
                        Assert.True(scram.TryChallenge(message.Data.Span, out var proof, out _));
                        Write(o => FrontendWriter.WriteSaslResponse(o, proof));
                    }
                    else if (message.Kind == AuthenticationKind.SaslFinal)
                    {
                        Assert.True(scram.TryFinish(message.Data.Span, out _));
                    }

                    await FlushAsync();
                    break;
                case 'K':
                    Assert.True(BackendKeyData.TryRead(body, out var data, out _));
                    (ProcessId, CancelKey) = (data.ProcessId, data.Key.ToArray());
                    break;
                case 'E':
                    return ErrorOf(body);
                case 'Z':
                    return null;
            }
        }
    }

    public WireClient Write(Action<IBufferWriter<byte>> write)
    {
        write(pending);
        return this;
    }

    public WireClient Query(string sql) => Write(o => FrontendWriter.WriteQuery(o, sql));
    public WireClient Parse(string name, string sql, params uint[] types) => Write(o => FrontendWriter.WriteParse(o, name, sql, types));
    public WireClient Bind(string portal, string statement, params BoundParameter[] values) => Write(o => FrontendWriter.WriteBind(o, portal, statement, values));
    public WireClient Execute(string portal = "", int rows = 0) => Write(o => FrontendWriter.WriteExecute(o, portal, rows));
    public WireClient Describe(NamedKind kind, string name) => Write(o => FrontendWriter.WriteDescribe(o, kind, name));
    public WireClient Close(NamedKind kind, string name) => Write(o => FrontendWriter.WriteClose(o, kind, name));
    public WireClient Sync() => Write(FrontendWriter.WriteSync);
    public WireClient Flush() => Write(FrontendWriter.WriteFlush);

    /// <summary>Parse, Bind and Execute of the unnamed ones.</summary>
    public WireClient Run(string sql) => Parse("", sql).Bind("", "").Execute();

    public async Task FlushAsync()
    {
        var bytes = pending.WrittenMemory.ToArray();
        pending.ResetWrittenCount();
        await Stream.WriteAsync(bytes);
    }

    /// <summary>The next message; null when the peer has closed.</summary>
    public async Task<(char Tag, byte[] Body)?> ReadAsync(int seconds = 30)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(seconds));
        try
        {
            await Stream.ReadExactlyAsync(header, limit.Token);
            var body = new byte[System.Buffers.Binary.BinaryPrimitives.ReadInt32BigEndian(header.AsSpan(1)) - 4];
            await Stream.ReadExactlyAsync(body, limit.Token);
            return ((char)header[0], body);
        }
        catch (Exception e) when (e is EndOfStreamException or IOException)
        {
            return null;
        }
    }

    /// <summary>Sends what is written and reads on to the <paramref name="readies"/>th ReadyForQuery.</summary>
    public async Task<Answer> AskAsync(int readies = 1, int seconds = 30)
    {
        await FlushAsync();
        return await UntilAsync(m => m.Tag == 'Z' && --readies == 0, seconds);
    }

    /// <summary>Reads on to the first message that is <paramref name="last"/>, or the end.</summary>
    public async Task<Answer> UntilAsync(Func<(char Tag, byte[] Body), bool> last, int seconds = 30)
    {
        var all = new List<(char, byte[])>();
        while (await ReadAsync(seconds) is { } message)
        {
            all.Add(message);
            if (last(message)) return new Answer(all, Closed: false);
        }

        return new Answer(all, Closed: true);
    }

    public Task<Answer> UntilAsync(char tag, int seconds = 30) => UntilAsync(m => m.Tag == tag, seconds);

    public static string ErrorOf(byte[] body) =>
        ServerReport.TryRead(body, out var report, out _) ? $"{report!.SqlState} {report['M']} {report['D']} {report['H']}" : "(no report)";

    public ValueTask DisposeAsync()
    {
        tcp.Dispose();
        return ValueTask.CompletedTask;
    }
}

/// <summary>Messages of the gateway, in order. Notices and settings are kept apart from <see cref="Tags"/>.</summary>
public sealed record Answer(IReadOnlyList<(char Tag, byte[] Body)> Messages, bool Closed)
{
    public string Tags => string.Concat(Messages.Where(static m => m.Tag is not ('N' or 'S')).Select(static m => m.Tag));
    public string[] Errors => Messages.Where(static m => m.Tag == 'E').Select(static m => WireClient.ErrorOf(m.Body)).ToArray();
    public string[] Notices => Messages.Where(static m => m.Tag == 'N').Select(static m => WireClient.ErrorOf(m.Body)).ToArray();
    public string TransactionStatus => string.Concat(Messages.Where(static m => m.Tag == 'Z').Select(static m => (char)m.Body[0]));

    public string[] Values
    {
        get
        {
            var values = new List<string>();
            foreach (var (tag, body) in Messages)
            {
                if (tag != 'D' || !DataRow.TryRead(body, out var row, out _)) continue;
                for (var n = 0; n < row.Columns; n++)
                {
                    if (row.TryNext(out var isNull, out var value)) values.Add(isNull ? "NULL" : System.Text.Encoding.UTF8.GetString(value));
                }
            }

            return values.ToArray();
        }
    }
}
