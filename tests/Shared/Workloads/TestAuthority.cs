using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Countersign.Tests.Workloads;

/// <summary>A certificate authority of a test.</summary>
internal sealed class TestAuthority : IDisposable
{
    private const string ServerAuth = "1.3.6.1.5.5.7.3.1";
    public const string ClientAuth = "1.3.6.1.5.5.7.3.2";

    private readonly ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
    private readonly DateTimeOffset now;

    public TestAuthority(DateTimeOffset now)
    {
        this.now = now;
        var request = new CertificateRequest($"CN=authority {Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8))}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, true));
        Root = request.CreateSelfSigned(now.AddDays(-2), now.AddDays(3));
    }

    public X509Certificate2 Root { get; }

    public X509Certificate2 Server() => Issue([ServerAuth], static names =>
    {
        names.AddDnsName("localhost");
        names.AddIpAddress(IPAddress.Loopback);
    });

    public X509Certificate2 Client(string uri) => Issue([ClientAuth], names => names.AddUri(new Uri(uri)));

    /// <param name="purposes">Extended key usages; none for no extension.</param>
    public X509Certificate2 Issue(string[] purposes, Action<SubjectAlternativeNameBuilder> names, DateTimeOffset? from = null, DateTimeOffset? until = null)
    {
        using var own = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=alice", own, HashAlgorithmName.SHA256);
        var san = new SubjectAlternativeNameBuilder();
        names(san);
        request.CertificateExtensions.Add(san.Build());
        if (purposes.Length > 0)
        {
            var oids = new OidCollection();
            foreach (var purpose in purposes) oids.Add(new Oid(purpose));
            request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension(oids, false));
        }

        using var issued = request.Create(Root, from ?? now.AddDays(-1), until ?? now.AddDays(1), RandomNumberGenerator.GetBytes(8));
        return issued.CopyWithPrivateKey(own);
    }

    /// <summary>Certificate and key as PEM files; the key is its owner's alone.</summary>
    public static (string Certificate, string Key) Write(string folder, string name, X509Certificate2 certificate)
    {
        var files = (Path.Combine(folder, name + ".pem"), Path.Combine(folder, name + ".key"));
        File.WriteAllText(files.Item1, certificate.ExportCertificatePem());
        using var key = certificate.GetECDsaPrivateKey()!;
        File.WriteAllText(files.Item2, key.ExportPkcs8PrivateKeyPem());
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(files.Item2, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return files;
    }

    public string WriteRoot(string folder)
    {
        var file = Path.Combine(folder, "ca.pem");
        File.WriteAllText(file, Root.ExportCertificatePem());
        return file;
    }

    public void Dispose()
    {
        Root.Dispose();
        key.Dispose();
    }
}
