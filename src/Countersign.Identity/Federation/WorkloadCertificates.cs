using System.Formats.Asn1;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Countersign.Core;

namespace Countersign.Identity.Federation;

/// <summary>
/// Client certificates: issued by the configured authorities and no others, for clients, valid now, not on the list of
/// revoked ones, and with a subject alternative name that a rule names. The subject's common name is never looked at.
/// </summary>
internal sealed class WorkloadCertificates : IDisposable
{
    private const string ClientAuth = "1.3.6.1.5.5.7.3.2";
    private const string AlternativeName = "2.5.29.17";

    /// <summary>`uniformResourceIdentifier` of GeneralName (RFC 5280 §4.2.1.6).</summary>
    private static readonly Asn1Tag UriTag = new(TagClass.ContextSpecific, 6);
    private static readonly Asn1Tag DnsTag = new(TagClass.ContextSpecific, 2);

    private readonly CertificateAuthority authority;
    private readonly TimeProvider time;
    private readonly X509Certificate2Collection roots = [];

    public WorkloadCertificates(CertificateAuthority authority, TimeProvider time)
    {
        this.authority = authority;
        this.time = time;
        roots.ImportFromPemFile(authority.CaFile);
    }

    /// <summary>Null when this certificate is this workload's.</summary>
    /// <param name="between">Further certificates that the client sent: authorities between, to build the chain with and not to trust.</param>
    public string? Refuse(X509Certificate2? certificate, X509Certificate2Collection between, Workload workload)
    {
        if (certificate is null) return ReasonCodes.CertificateRequired;
        if (!IsForClients(certificate) || !IsIssued(certificate, between)) return ReasonCodes.CertificateInvalid;
        if (authority.Revoked.Contains(certificate.SerialNumber.ToLowerInvariant().TrimStart('0'))) return ReasonCodes.CertificateRevoked;
        if (Names(certificate) is not var (uris, hosts)) return ReasonCodes.CertificateInvalid;

        // X509-SVID §2: one URI. Of two, which one the authority meant is not for us to choose.
        if (workload.Match.TryGetValue("uri", out var uri) && (uris.Count != 1 || !uri.Matches(uris[0]))) return ReasonCodes.CertificateSubject;
        if (workload.Match.TryGetValue("dns", out var dns) && !hosts.Any(h => dns.Matches(h.ToLowerInvariant()))) return ReasonCodes.CertificateSubject;
        return workload.Match.Count > 0 ? null : ReasonCodes.CertificateSubject;
    }

    /// <summary>
    /// It must say that it is for clients: one for servers, or for anything, is another kind (P35). An authority's own is for
    /// signing.
    /// </summary>
    private static bool IsForClients(X509Certificate2 certificate) =>
        certificate.Extensions.OfType<X509EnhancedKeyUsageExtension>().Any(static e => e.EnhancedKeyUsages.Cast<Oid>().Any(static o => o.Value == ClientAuth))
        && !certificate.Extensions.OfType<X509BasicConstraintsExtension>().Any(static b => b.CertificateAuthority);

    private bool IsIssued(X509Certificate2 certificate, X509Certificate2Collection between)
    {
        using var chain = new X509Chain();
        var policy = chain.ChainPolicy;
        policy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        policy.CustomTrustStore.AddRange(roots);
        policy.ExtraStore.AddRange(between);
        policy.DisableCertificateDownloads = true;
        policy.RevocationMode = X509RevocationMode.NoCheck; // the list of serials, and short lives (docs/operate)
        policy.ApplicationPolicy.Add(new Oid(ClientAuth));
        policy.VerificationTimeIgnored = false;
        policy.VerificationTime = time.GetUtcNow().LocalDateTime;
        return chain.Build(certificate);
    }

    /// <summary>Null for what can not be read.</summary>
    public static (IReadOnlyList<string> Uris, IReadOnlyList<string> Hosts)? Names(X509Certificate2 certificate)
    {
        var uris = new List<string>();
        var hosts = new List<string>();
        try
        {
            foreach (var extension in certificate.Extensions.Where(static e => e.Oid?.Value == AlternativeName))
            {
                var names = new AsnReader(extension.RawData, AsnEncodingRules.DER).ReadSequence();
                while (names.HasData)
                {
                    var tag = names.PeekTag();
                    if (tag.HasSameClassAndValue(UriTag)) uris.Add(names.ReadCharacterString(UniversalTagNumber.IA5String, UriTag));
                    else if (tag.HasSameClassAndValue(DnsTag)) hosts.Add(names.ReadCharacterString(UniversalTagNumber.IA5String, DnsTag));
                    else names.ReadEncodedValue();
                }
            }
        }
        catch (Exception e) when (e is AsnContentException or CryptographicException)
        {
            return null;
        }

        return (uris, hosts);
    }

    public void Dispose()
    {
        foreach (var root in roots) root.Dispose();
    }
}
