using Countersign.Config.Yaml;

namespace Countersign.Config.Reading;

internal sealed partial class FederationReader
{
    /// <param name="workloads">Agents that sign in without a key: whether their human is said already.</param>
    private IReadOnlyList<RuntimeConfig> Runtimes(Cursor at, IReadOnlyList<WorkloadConfig> workloads)
    {
        var names = new NameReader("runtime");
        var agents = new NameReader("agent");
        var runtimes = new List<RuntimeConfig>();
        foreach (var (name, key, value) in at.Entries())
        {
            var fresh = names.TryTake(key, name);
            if (Runtime(name, value, agents, workloads) is { } runtime && fresh) runtimes.Add(runtime);
        }

        return runtimes.OrderBy(static r => r.Name, StringComparer.Ordinal).ToArray();
    }

    private RuntimeConfig? Runtime(string name, Cursor at, NameReader taken, IReadOnlyList<WorkloadConfig> workloads)
    {
        var issuer = Text(at["issuer"], at["issuer"].Required("`issuer`, exactly as it stands in the statements (`iss`)"));
        var audience = Text(at["audience"], at["audience"].Required("`audience`, the `aud` that statements for this gateway bear; one for anybody else is none for us"));
        if (audience is not null && audience == issuer) at["audience"].Fail("is the runtime itself: what it signs for its own use would speak here");
        var (url, file) = Keys(at, issuer);
        var (claim, people) = People(at["people"], issuer);

        var agents = new List<string>();
        foreach (var item in at["agents"].Items())
        {
            // One agent, one runtime: of two statements about one thing, which holds is not for us to choose.
            if (item.Text is not { } agent || !taken.TryTake(item, agent)) continue;
            if (agent != agent.ToLowerInvariant() || !char.IsAsciiLetter(agent[0]) || agent.Contains('@', StringComparison.Ordinal)) item.Fail($"`{agent}` is no agent: agents begin with a letter, and have neither capitals nor `@`");
            else if (users.Contains(agent, StringComparer.OrdinalIgnoreCase)) item.Fail($"`{agent}` is the name of a user");
            else if (workloads.FirstOrDefault(w => w.Name == agent) is { } workload && (workload.Delegated || workload.For is not null)) item.Fail($"for whom `{agent}` acts is said already, by its `{(workload.Delegated ? "delegated" : "for")}`; keep one of them");
            else agents.Add(agent);
        }

        if (!at["agents"].Items().Any()) at.Fail("missing: `agents`, the agents that it runs; each of them then brings its statement, always");
        if (issuer is null || audience is null) return null;
        return new RuntimeConfig
        {
            Name = name,
            Issuer = issuer,
            Audience = audience,
            JwksUrl = url,
            JwksFile = file,
            MaxLifetime = at["max-lifetime"].Duration(ConfigLimits.StatementLifetime),
            Grace = at["grace"].Duration(ConfigLimits.CredentialGrace),
            Agents = agents.Order(StringComparer.Ordinal).ToArray(),
            PeopleClaim = claim,
            People = people,
        };
    }
}
