using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Countersign.Config.Yaml;

namespace Countersign.Config.Reading;

/// <summary>
/// Resolves what the configuration only points at: secrets by environment or file, certificates by file. No message
/// here ever contains a value that was found (P56).
/// </summary>
internal sealed class References(string folder, Func<string, string?> environment)
{
    private const int MaxVariableName = 128;

    private static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>`{ env: NAME }` or `{ file: path }`, resolved now; null where it is wrong or resolves to nothing.</summary>
    public Secret? Secret(Cursor at)
    {
        var variable = at["env"];
        var file = at["file"];
        if (variable.Exists && file.Exists)
        {
            at.Fail("names both an environment variable and a file; keep one of them");
            return null;
        }

        if (variable.Text is { } name) return FromEnvironment(variable, name);
        if (file.Text is { } path) return FromFile(file, path);
        return null;
    }

    /// <summary>Full path of `{ file: path }`.</summary>
    public string? FullPath(Cursor at)
    {
        if (at["file"].Text is not { } text) return null;
        if (text.Length > 0 && !text.Any(char.IsControl)) return Path.GetFullPath(text, folder);
        at.Fail("not a path");
        return null;
    }

    /// <summary>Full path of a folder that is there; null where it is wrong, or none is named.</summary>
    public string? Folder(Cursor at)
    {
        if (at.Text is not { } text) return null;
        if (text.Length > 0 && !text.Any(char.IsControl) && Path.GetFullPath(text, folder) is var full && Directory.Exists(full)) return full;
        at.Fail("not a folder that is there; make it, or name another");
        return null;
    }

    /// <summary>A listener's certificate and key: both readable, belonging together, and made for a server.</summary>
    public TlsConfig? Tls(Cursor at)
    {
        if (!at.Exists) return null;
        var certificate = at["certificate"];
        var key = at["key"];
        certificate.Required("`certificate: { file: … }`, a PEM certificate with its chain");
        key.Required("`key: { file: … }`, the certificate's PEM key");
        if (FullPath(certificate) is not { } certificateFile || FullPath(key) is not { } keyFile) return null;
        if (Pem(certificate, certificateFile, secret: false) is not { } certificatePem || Pem(key, keyFile, secret: true) is not { } keyPem) return null;

        try
        {
            using var both = X509Certificate2.CreateFromPem(certificatePem, keyPem);

            // RFC 5280 §4.2.1.12: a certificate that names its purposes is for those only (P35).
            var purposes = both.Extensions.OfType<X509EnhancedKeyUsageExtension>().SelectMany(static e => e.EnhancedKeyUsages.Cast<Oid>()).ToArray();
            if (purposes.Length == 0 || purposes.Any(static p => p.Value is "1.3.6.1.5.5.7.3.1" or "2.5.29.37.0")) return new TlsConfig(certificateFile, keyFile);
            certificate.Fail("the certificate is not for a server: its extended key usage lacks `serverAuth`");
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            certificate.Fail("the certificate and the key are not PEM, or do not belong together");
        }

        return null;
    }

    /// <summary>Authorities that a target's certificate is checked against: at least one.</summary>
    public string? Authorities(Cursor at)
    {
        if (FullPath(at) is not { } path || Pem(at, path, secret: false) is not { } pem) return null;
        try
        {
            var authorities = new X509Certificate2Collection();
            authorities.ImportFromPem(pem);
            var found = authorities.Count;
            foreach (var authority in authorities) authority.Dispose();
            if (found > 0) return path;
        }
        catch (CryptographicException)
        {
            // Said below: not PEM, or nothing in it.
        }

        at.Fail("the file holds no PEM certificate");
        return null;
    }

    private Secret? FromEnvironment(Cursor at, string name)
    {
        // A name that could be no variable is likely the secret itself: it is not repeated.
        if (name.Length > MaxVariableName || name.Length == 0 || char.IsAsciiDigit(name[0]) || !name.All(static c => char.IsAsciiLetterOrDigit(c) || c == '_'))
        {
            at.Fail("not the name of an environment variable (letters, digits and `_`)");
            return null;
        }

        var value = environment(name);
        if (value is null) at.Fail($"the environment variable `{name}` is not set");
        else if (value.Length == 0) at.Fail($"the environment variable `{name}` is empty");
        else return Checked(at, value);
        return null;
    }

    private Secret? FromFile(Cursor at, string text)
    {
        if (text.Length == 0 || text.Any(char.IsControl))
        {
            at.Fail("not a path");
            return null;
        }

        var path = Path.GetFullPath(text, folder);
        if (Read(at, path, ConfigLimits.SecretBytes, secret: true) is not { } bytes) return null;
        string value;
        try
        {
            value = Utf8.GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            at.Fail($"`{Shown.Text(path)}` is not UTF-8 text");
            return null;
        }

        // Editors and `echo` end a file with a line break that is no part of the secret. One, not all.
        if (value.EndsWith("\r\n", StringComparison.Ordinal)) value = value[..^2];
        else if (value.EndsWith('\n')) value = value[..^1];
        if (value.Length > 0) return Checked(at, value);
        at.Fail($"`{Shown.Text(path)}` is empty");
        return null;
    }

    private static Secret? Checked(Cursor at, string value)
    {
        if (!value.Any(char.IsControl)) return new Secret(value);
        at.Fail("the secret has a line break or another control character in it; was the right one named?");
        return null;
    }

    private static string? Pem(Cursor at, string path, bool secret)
    {
        if (Read(at, path, ConfigLimits.PemBytes, secret) is not { } bytes) return null;
        return Encoding.ASCII.GetString(bytes);
    }

    private static byte[]? Read(Cursor at, string path, int maxBytes, bool secret)
    {
        if (!FileReader.TryRead(path, maxBytes, out var bytes, out var mode, out var why))
        {
            at.Fail($"can not read `{Shown.Text(path)}`: {why}");
            return null;
        }

        if (!secret || (mode & (UnixFileMode.OtherRead | UnixFileMode.OtherWrite)) == 0) return bytes;
        at.Fail($"everybody on this machine can read or write `{Shown.Text(path)}`; use `chmod o-rw`");
        return null;
    }
}
