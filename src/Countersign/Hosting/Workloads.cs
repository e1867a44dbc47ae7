using Countersign.Config;
using Countersign.Identity.Federation;

namespace Countersign.Hosting;

/// <summary>The config's issuers and certificate authorities as the door for workloads goes by them.</summary>
internal static class Workloads
{
    public static IReadOnlyList<TokenIssuer> Issuers(FederationConfig config) => config.Issuers.Select(static i => new TokenIssuer
    {
        Issuer = i.Issuer,
        Audience = i.Audience,
        JwksUrl = i.JwksUrl,
        JwksFile = i.JwksFile,
        Type = i.Type,
        Once = i.Once,
        MaxLifetime = i.MaxLifetime,
        Grace = i.Grace,
        Workloads = i.Agents.Select(Of).ToArray(),
        PeopleClaim = i.PeopleClaim,
        People = i.People,
    }).ToArray();

    public static IReadOnlyList<TrustedRuntime> Runtimes(FederationConfig config) => config.Runtimes.Select(static r => new TrustedRuntime(new TokenIssuer
    {
        Issuer = r.Issuer,
        Audience = r.Audience,
        JwksUrl = r.JwksUrl,
        JwksFile = r.JwksFile,
        MaxLifetime = r.MaxLifetime,
        Grace = r.Grace,
        Workloads = [],
        PeopleClaim = r.PeopleClaim,
        People = r.People,
    }, r.Agents)).ToArray();

    public static CertificateAuthority? Authority(FederationConfig config) => config.Certificates is not { } c ? null : new CertificateAuthority
    {
        CaFile = c.CaFile,
        Revoked = c.Revoked,
        Grace = c.Grace,
        Workloads = c.Agents.Select(Of).ToArray(),
    };

    private static Workload Of(WorkloadConfig w) => new(w.Name, w.Match, w.Owner) { Groups = w.Groups, For = w.For, Delegated = w.Delegated };
}
