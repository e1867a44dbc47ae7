using System.Buffers.Text;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Countersign.Tests.Workloads;

/// <summary>
/// An issuer of tokens over real HTTP on loopback: discovery, keys, and tokens of any shape, signed by hand so that they can be
/// wrong in any way.
/// </summary>
internal sealed class TestIssuer : IAsyncDisposable
{
    private readonly TcpListener listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource stop = new();
    private readonly Task serving;
    private readonly Lock gate = new();
    private JsonArray keys = [];
    private int fetches;

    public TestIssuer()
    {
        listener.Start();
        Issuer = $"http://127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}";
        Rsa = RSA.Create(2048);
        Publish(("key-1", Rsa));
        serving = Task.Run(ServeAsync);
    }

    public string Issuer { get; }
    public RSA Rsa { get; }
    public const string Audience = "countersign.example.com";

    /// <summary>Times that keys were asked for.</summary>
    public int Fetches => Volatile.Read(ref fetches);

    /// <summary>What discovery says of itself; null: the truth.</summary>
    public string? ClaimsToBe { get; set; }

    public bool IsDown { get; set; }

    public string Jwks
    {
        get
        {
            lock (gate) return new JsonObject { ["keys"] = keys.DeepClone() }.ToJsonString();
        }
    }

    public void Publish(params (string Kid, AsymmetricAlgorithm Key)[] published)
    {
        lock (gate) keys = new JsonArray(published.Select(static p => (JsonNode)Jwk(p.Kid, p.Key)).ToArray());
    }

    private static JsonObject Jwk(string kid, AsymmetricAlgorithm key)
    {
        if (key is RSA rsa)
        {
            var p = rsa.ExportParameters(false);
            return new JsonObject { ["kty"] = "RSA", ["kid"] = kid, ["use"] = "sig", ["n"] = Base64Url.EncodeToString(p.Modulus), ["e"] = Base64Url.EncodeToString(p.Exponent) };
        }

        var e = ((ECDsa)key).ExportParameters(false);
        return new JsonObject { ["kty"] = "EC", ["crv"] = "P-256", ["kid"] = kid, ["use"] = "sig", ["x"] = Base64Url.EncodeToString(e.Q.X), ["y"] = Base64Url.EncodeToString(e.Q.Y) };
    }

    public static string NewId() => new Guid(RandomNumberGenerator.GetBytes(16)).ToString();

    /// <summary>The claims that GitHub documents for a job on the default branch, with this issuer and audience.</summary>
    public JsonObject GitHub(DateTimeOffset now, string repository = "acme/shop", string reference = "refs/heads/main") => new()
    {
        ["jti"] = NewId(),
        ["sub"] = $"repo:{repository}:ref:{reference}",
        ["aud"] = Audience,
        ["ref"] = reference,
        ["sha"] = "example-sha",
        ["repository"] = repository,
        ["repository_owner"] = repository.Split('/')[0],
        ["actor_id"] = "12",
        ["repository_visibility"] = "private",
        ["repository_id"] = "74",
        ["repository_owner_id"] = "65",
        ["run_id"] = "example-run-id",
        ["run_number"] = "10",
        ["run_attempt"] = "2",
        ["runner_environment"] = "github-hosted",
        ["actor"] = "octocat",
        ["workflow"] = "example-workflow",
        ["head_ref"] = "",
        ["base_ref"] = "",
        ["event_name"] = "workflow_dispatch",
        ["ref_type"] = "branch",
        ["job_workflow_ref"] = $"{repository}/.github/workflows/deploy.yml@{reference}",
        ["iss"] = Issuer,
        ["nbf"] = now.AddMinutes(-10).ToUnixTimeSeconds(),
        ["iat"] = now.ToUnixTimeSeconds(),
        ["exp"] = now.AddMinutes(5).ToUnixTimeSeconds(),
    };

    /// <summary>A token signed with the issuer's key, or another.</summary>
    public string Sign(JsonObject claims, string alg = "RS256", string? kid = "key-1", string? typ = "JWT", AsymmetricAlgorithm? key = null, JsonObject? more = null) =>
        SignRaw(Header(alg, kid, typ, more), claims.ToJsonString(), key ?? Rsa);

    public static JsonObject Header(string alg, string? kid, string? typ, JsonObject? more = null)
    {
        var header = new JsonObject { ["alg"] = alg };
        if (kid is not null) header["kid"] = kid;
        if (typ is not null) header["typ"] = typ;
        foreach (var (name, value) in more ?? []) header[name] = value?.DeepClone();
        return header;
    }

    public static string SignRaw(JsonObject header, string claims, AsymmetricAlgorithm key)
    {
        var text = $"{Part(header.ToJsonString())}.{Part(claims)}";
        var bytes = Encoding.ASCII.GetBytes(text);
        var signature = (key, header["alg"]!.GetValue<string>()) switch
        {
            (RSA rsa, "PS256") => rsa.SignData(bytes, HashAlgorithmName.SHA256, RSASignaturePadding.Pss),
            (RSA rsa, _) => rsa.SignData(bytes, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1),
            (ECDsa ec, _) => ec.SignData(bytes, HashAlgorithmName.SHA256),
            _ => throw new InvalidOperationException("no such key"),
        };
        return $"{text}.{Base64Url.EncodeToString(signature)}";
    }

    /// <summary>A MAC over header and claims: what an attacker makes who knows the public key alone.</summary>
    public static string Mac(JsonObject claims, byte[] secret, string? kid = "key-1")
    {
        var text = $"{Part(Header("HS256", kid, "JWT").ToJsonString())}.{Part(claims.ToJsonString())}";
        return $"{text}.{Base64Url.EncodeToString(HMACSHA256.HashData(secret, Encoding.ASCII.GetBytes(text)))}";
    }

    public static string Part(string json) => Base64Url.EncodeToString(Encoding.UTF8.GetBytes(json));

    private async Task ServeAsync()
    {
        while (!stop.IsCancellationRequested)
        {
            try
            {
                using var client = await listener.AcceptTcpClientAsync(stop.Token);
                await AnswerAsync(client.GetStream());
            }
            catch (Exception e) when (e is OperationCanceledException or IOException or SocketException or ObjectDisposedException)
            {
                // The client is gone, or the test is over.
            }
        }
    }

    private async Task AnswerAsync(NetworkStream stream)
    {
        var buffer = new byte[8192];
        var length = 0;
        while (length < buffer.Length && !Encoding.ASCII.GetString(buffer, 0, length).Contains("\r\n\r\n", StringComparison.Ordinal))
        {
            var read = await stream.ReadAsync(buffer.AsMemory(length), stop.Token);
            if (read == 0) return;
            length += read;
        }

        var path = Encoding.ASCII.GetString(buffer, 0, length).Split(' ')[1];
        var body = IsDown ? null : path switch
        {
            "/.well-known/openid-configuration" => new JsonObject { ["issuer"] = ClaimsToBe ?? Issuer, ["jwks_uri"] = $"{Issuer}/keys", ["id_token_signing_alg_values_supported"] = new JsonArray("RS256") }.ToJsonString(),
            "/keys" => Counted(),
            _ => null,
        };
        var text = body is null ? "HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" : $"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {Encoding.UTF8.GetByteCount(body)}\r\nConnection: close\r\n\r\n{body}";
        await stream.WriteAsync(Encoding.UTF8.GetBytes(text), stop.Token);
    }

    private string Counted()
    {
        Interlocked.Increment(ref fetches);
        return Jwks;
    }

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        listener.Stop();
        await serving;
        stop.Dispose();
        Rsa.Dispose();
    }
}
