using Countersign.Api;
using Countersign.Config;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Pages;

namespace Countersign.Hosting;

/// <summary>What the console's pages are given by the composition root.</summary>
internal static class ConsoleParts
{
    public static ConsoleSeams Seams(CountersignConfig config, ServingPolicies policies, AgentRegistry agents, ConnectionStrings connections, Origins origins) => new()
    {
        Provider = config.Identity.Oidc is null ? null : "/login/oidc",
        Targets = config.Targets.Values.OrderBy(static t => t.Name, StringComparer.Ordinal).Select(static t => new TargetView(
            t.Name, t.Kind.ToString().ToLowerInvariant(), t.Environment, $"{t.Host}:{t.Port}", t.Database, t.User, Tls(t.Tls), t.AllowStrongRole.Select(static r => r.ToString()).ToArray())).ToArray(),
        Frameworks = config.Classification.Classes.ToDictionary(static c => c.Key, static c => c.Value.Frameworks, StringComparer.Ordinal),
        PolicyError = () => policies.LastError,
        Connections = connections.For,
        PasskeysFor = http => new PasskeyPlace(origins.RelyingParty(http), origins.WherePasskeysWork),
        Explain = (question, ct) => ExplainAsync(question, config, policies, agents, ct),
    };

    private static string Tls(TargetTls tls) => tls switch
    {
        TargetTls.Disable => "plain text",
        TargetTls.Require => "encrypted, certificate unchecked",
        _ => "encrypted, certificate and name checked",
    };

    private static async Task<ExplainAnswer> ExplainAsync(ExplainQuestion question, CountersignConfig config, ServingPolicies policies, AgentRegistry agents, CancellationToken ct)
    {
        if (agents.Find(question.Agent) is not { } agent || agents.ChainOf(agent) is not { } actors) return Failed($"no agent `{question.Agent}` that may act");
        var asked = new ExplainRequest(question.Agent, question.Target, question.Action, question.Resource, question.ResourceType, null, null, null, null);
        if (WhatIf.Action(asked, actors, config, out var error) is not { } action) return Failed(error);
        return Answer(WhatIf.View(await policies.Store.ExplainAsync(action, policies.ContextOf(actors), ct).ConfigureAwait(false)));

        static ExplainAnswer Failed(string error) => new(error, "", "", [], []);
    }

    public static ExplainAnswer Answer(ExplainView view) =>
        new(null, view.Decision, view.Reason,
            view.Effects.Select(static e => new ExplainEffect(e.Action, e.Resource, e.Decision,
                e.Policies.Select(static p => new ExplainPolicy(p.Id, p.Reason)).ToArray(),
                e.Others.Select(static o => new ExplainMiss(o.Id, o.Effect == "forbid", o.Unmet)).ToArray(), e.Errors)).ToArray(),
            view.Requirements.Select(static r => $"{r.Quorum} of {string.Join(" or ", r.Groups)}{(r.StepUp is null ? "" : ", with a passkey")}").ToArray());
}
