using System.Buffers;
using System.Collections.Concurrent;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Countersign.Config;
using Countersign.PgWire;

namespace Countersign.Gateway.Postgres;

/// <summary>Why the target could not be had; the text names no credential (I8).</summary>
internal sealed class UpstreamException(string message, string? sqlState = null) : Exception(message)
{
    public string? SqlState { get; } = sqlState;
}

/// <summary>One authenticated connection to the target, with the credential that only the gateway holds.</summary>
internal sealed class Upstream : IAsyncDisposable
{
    private readonly Socket socket;
    private readonly Stream stream;

    private Upstream(Socket socket, Stream stream, Transport transport)
    {
        this.socket = socket;
        this.stream = stream;
        Transport = transport;
    }

    public Transport Transport { get; }
    public ConcurrentDictionary<string, string> Parameters { get; } = new(StringComparer.Ordinal);
    public int ProcessId { get; private set; }
    public ReadOnlyMemory<byte> CancelKey { get; private set; }

    public static async Task<Upstream> ConnectAsync(TargetConfig target, IReadOnlyList<StartupParameter> parameters, PgWireLimits limits, CancellationToken ct)
    {
        var (socket, stream, isTls) = await DialAsync(target, ct).ConfigureAwait(false);
        var upstream = new Upstream(socket, stream, Transport.Over(stream, isTls));
        try
        {
            await upstream.StartAsync(target, parameters, limits, ct).ConfigureAwait(false);
            return upstream;
        }
        catch
        {
            await upstream.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Asks the target to cancel what this connection runs; errors are of no consequence to the protocol.</summary>
    public async Task CancelAsync(TargetConfig target, CancellationToken ct)
    {
        if (CancelKey.IsEmpty) return;
        try
        {
            var (socket, stream, isTls) = await DialAsync(target, ct).ConfigureAwait(false);
            using (socket)
            await using (stream.ConfigureAwait(false))
            {
                var transport = Transport.Over(stream, isTls);
                FrontendWriter.WriteCancelRequest(transport.Output, ProcessId, CancelKey.Span);
                await transport.FlushAsync(ct).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is UpstreamException or IOException or SocketException or OperationCanceledException)
        {
        }
    }

    private static async Task<(Socket Socket, Stream Stream, bool IsTls)> DialAsync(TargetConfig target, CancellationToken ct)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(target.Host, target.Port, ct).ConfigureAwait(false);
            Stream stream = new NetworkStream(socket, ownsSocket: true);
            if (target.Tls == TargetTls.Disable) return (socket, stream, false);

            var request = new ArrayBufferWriter<byte>(8);
            FrontendWriter.WriteSslRequest(request);
            await stream.WriteAsync(request.WrittenMemory, ct).ConfigureAwait(false);
            var answer = new byte[1];
            await stream.ReadExactlyAsync(answer, ct).ConfigureAwait(false);
            if (answer[0] != (byte)'S') throw new UpstreamException($"target `{target.Name}` does not speak TLS, and its config asks for it");
            var tls = new SslStream(stream, leaveInnerStreamOpen: false);
            await tls.AuthenticateAsClientAsync(Options(target), ct).ConfigureAwait(false);
            return (socket, tls, true);
        }
        catch (Exception e) when (e is SocketException or IOException or System.Security.Authentication.AuthenticationException)
        {
            socket.Dispose();
            throw new UpstreamException($"target `{target.Name}` can not be reached: {e.Message}");
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private static SslClientAuthenticationOptions Options(TargetConfig target)
    {
        var options = new SslClientAuthenticationOptions { TargetHost = target.Host };
        if (target.Tls == TargetTls.Require)
        {
            // The operator chose encryption without identity for this target; `verify-full` is the default beyond loopback.
#pragma warning disable CA5359
            options.RemoteCertificateValidationCallback = static (_, _, _, _) => true;
#pragma warning restore CA5359
        }
        else if (target.CaFile is { } file)
        {
            var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
            policy.CustomTrustStore.ImportFromPemFile(file);
            options.CertificateChainPolicy = policy;
        }

        return options;
    }

    private async Task StartAsync(TargetConfig target, IReadOnlyList<StartupParameter> parameters, PgWireLimits limits, CancellationToken ct)
    {
        var frames = FrameReader.BackendStartup(limits);
        FrontendWriter.WriteStartup(Transport.Output, ProtocolVersion.V30,
            [new("user", target.User), new("database", target.Database), .. parameters]);
        await Transport.FlushAsync(ct).ConfigureAwait(false);
        ScramClient? scram = null;
        while (true)
        {
            var frame = await Transport.ReadFrameAsync(frames, ct).ConfigureAwait(false)
                ?? throw new UpstreamException($"target `{target.Name}` closed the connection during start-up");
            switch (frame.Tag)
            {
                case BackendTag.Authentication:
                    scram = await AnswerAsync(target, frame, scram, limits, ct).ConfigureAwait(false);
                    break;
                case BackendTag.ParameterStatus when ParameterStatus.TryRead(frame.Body, out var status, out _):
                    Parameters[status.Name.ToString()] = status.Value.ToString();
                    break;
                case BackendTag.KeyData when BackendKeyData.TryRead(frame.Body, out var key, out _):
                    ProcessId = key.ProcessId;
                    CancelKey = key.Key.ToArray();
                    break;
                case BackendTag.Notice:
                    break;
                case BackendTag.ReadyForQuery:
                    return;
                case BackendTag.Error when ServerReport.TryRead(frame.Body, out var report, out _):
                    // The server's text may name its own user; its code is enough for an agent.
                    throw new UpstreamException($"target `{target.Name}` refused the gateway ({report!.SqlState})", report.SqlState);
                default:
                    throw new UpstreamException($"target `{target.Name}` sent what no server sends during start-up");
            }
        }
    }

    private async Task<ScramClient?> AnswerAsync(TargetConfig target, Frame frame, ScramClient? scram, PgWireLimits limits, CancellationToken ct)
    {
        if (!AuthenticationMessage.TryRead(frame.Body, out var message, out var fault)) throw new WireException(fault, tooLarge: false);
        switch (message.Kind)
        {
            case AuthenticationKind.Ok:
                // A server that skips its last SCRAM message has not proven that it knows the password.
                if (scram is { IsDone: false }) throw new UpstreamException($"target `{target.Name}` ended authentication before it had proven itself");
                return scram;
            case AuthenticationKind.CleartextPassword:
                if (!PasswordAnswer.TryCleartext(target.Password.Reveal(), Transport.IsTls, out var answer)) throw new UpstreamException($"target `{target.Name}` asks for the password in clear text without TLS");
                FrontendWriter.WritePassword(Transport.Output, answer);
                break;
            case AuthenticationKind.Md5Password:
                FrontendWriter.WritePassword(Transport.Output, PasswordAnswer.Md5(target.User, target.Password.Reveal(), message.Data.Span));
                break;
            case AuthenticationKind.Sasl when message.Mechanisms.Contains(Scram.Mechanism):
                scram = new ScramClient(target.Password.Reveal(), RandomNumberGenerator.GetBytes(Scram.NonceBytes), limits);
                if (!scram.TryFirst(out var first)) throw new UpstreamException("SCRAM could not start");
                FrontendWriter.WriteSaslInitialResponse(Transport.Output, Scram.Mechanism, first);
                break;
            case AuthenticationKind.SaslContinue when scram is not null:
                if (!scram.TryChallenge(message.Data.Span, out var proof, out var failure)) throw new UpstreamException($"target `{target.Name}` failed SCRAM: {failure}");
                FrontendWriter.WriteSaslResponse(Transport.Output, proof);
                break;
            case AuthenticationKind.SaslFinal when scram is not null:
                if (!scram.TryFinish(message.Data.Span, out var final)) throw new UpstreamException($"target `{target.Name}` failed SCRAM: {final}");
                return scram;
            default:
                throw new UpstreamException($"target `{target.Name}` asks for an authentication that is not supported ({message.Kind})");
        }

        await Transport.FlushAsync(ct).ConfigureAwait(false);
        return scram;
    }

    public async ValueTask DisposeAsync()
    {
        await Transport.Input.CompleteAsync().ConfigureAwait(false);
        await Transport.Output.CompleteAsync().ConfigureAwait(false);
        await stream.DisposeAsync().ConfigureAwait(false);
        socket.Dispose();
    }
}
