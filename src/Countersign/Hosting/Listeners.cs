using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using Countersign.Api;
using Countersign.Config;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Countersign.Hosting;

/// <summary>The two listeners: only what the config says is bound.</summary>
internal sealed class Listeners
{
    /// <summary>Largest request body of the API, bytes; answers have a limit of their own.</summary>
    public const long MaxBodyBytes = 1 << 20;

    /// <summary>API connections at once: people and their watchers, not load.</summary>
    public const int MaxConnections = 1000;

    private readonly ListenConfig config;
    private readonly X509Certificate2? certificate;
    private ListenOptions? http;
    private ListenOptions? postgres;

    public Listeners(ListenConfig config)
    {
        this.config = config;
        if (config.Tls is not { } tls) return;
        using var pem = X509Certificate2.CreateFromPemFile(tls.CertificateFile, tls.KeyFile);
        certificate = X509CertificateLoader.LoadPkcs12(pem.Export(X509ContentType.Pkcs12), null); // SslStream wants a key that is no mere PEM
    }

    /// <summary>The certificate of both listeners; null for plain text.</summary>
    public X509Certificate2? Certificate => certificate;

    public Origins Origins => new(IPAddress.IsLoopback(config.Http.Address), host => certificate is not null && certificate.MatchesHostname(host), config.Url, () => Http);

    public void Configure(KestrelServerOptions kestrel)
    {
        kestrel.AddServerHeader = false;
        kestrel.Limits.MaxRequestBodySize = MaxBodyBytes;
        kestrel.Limits.MaxConcurrentConnections = null; // each listener counts its own
        kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);
        kestrel.Limits.MaxRequestHeadersTotalSize = 16 << 10;
        kestrel.Listen(config.Http, listen =>
        {
            listen.Protocols = HttpProtocols.Http1;
            if (certificate is not null) listen.UseHttps(certificate);
            http = listen;
        });
        kestrel.Listen(config.Postgres, listen =>
        {
            PostgresListener.Use(listen);
            postgres = listen;
        });
    }

    /// <summary>
    /// Which listeners can not be bound, and why, in words. The server's own error comes late and with a stack; between this
    /// look and its own there is a moment, and then its error it is.
    /// </summary>
    public static IReadOnlyList<string> Taken(ListenConfig config)
    {
        var taken = new List<string>();
        Try("listen.http", config.Http);
        Try("listen.postgres", config.Postgres);
        return taken;

        void Try(string key, IPEndPoint at)
        {
            try
            {
                using var socket = new Socket(at.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
                socket.Bind(at);
                socket.Listen();
            }
            catch (SocketException e)
            {
                taken.Add(e.SocketErrorCode == SocketError.AddressAlreadyInUse
                    ? $"{key}: {at} is in use by another process; name another port"
                    : $"{key}: {at} can not be bound: {e.Message}; name an address of this machine, and a port that you may use");
            }
        }
    }

    public Uri Http => new(string.Create(CultureInfo.InvariantCulture, $"{(certificate is null ? "http" : "https")}://{EndPoint(http)}"));

    public IPEndPoint Postgres => EndPoint(postgres);

    private static IPEndPoint EndPoint(ListenOptions? listen) => listen?.IPEndPoint ?? throw new InvalidOperationException("the listener is not bound yet");
}
