using System.Net;
using Countersign.Config;
using Countersign.Core;
using Countersign.Hosting;
using Countersign.Identity;
using Countersign.Journal;
using Countersign.Policy;
using Countersign.Policy.Cedar;
using Microsoft.AspNetCore.Mvc;

namespace Countersign.Api;

internal static class PolicyEndpoints
{
    public static void Map(IEndpointRouteBuilder api)
    {
        var policy = api.MapGroup("/policy").WithTags("policy");
        policy.MapGet("/revision", Revision).Produces<PolicyView>().WithSummary("The revision in force, and what is wrong with the last edit");
        policy.MapPost("/replay", ReplayAsync).AddEndpointFilter(new Administers(AdministerActions.Policies)).Produces<ReplayView>()
            .WithMetadata(new RequestSizeLimitAttribute(MaxReplayBytes)).WithSummary("Take recorded decisions again under these policy files: what would differ; nothing is recorded and nothing runs");
        policy.MapPost("/explain", ExplainAsync).Produces<ExplainView>().WithSummary("What policy would say about an action, and why; nothing is recorded and nothing runs");
    }

    /// <summary>Largest policy set to be replayed, bytes: that of a folder, as JSON.</summary>
    public const int MaxReplayBytes = 10 << 20;

    /// <summary>Most actions told of one group; its count is exact whatever it is.</summary>
    public const int MaxExamples = 10_000;

    private static async Task<IResult> ReplayAsync(ReplayRequest body, ServingPolicies policies, CedarRuntime cedar, IStateReader reader, UserDirectory users, ReplayingNow replaying, CancellationToken ct)
    {
        if (body.Max is < 0 or > MaxExamples) return Problems.Result(HttpStatusCode.BadRequest, ReasonCodes.NotSupported, $"`max` is 0 to {MaxExamples}");
        if (!await replaying.One.WaitAsync(TimeSpan.Zero, ct).ConfigureAwait(false)) return Problems.Result(HttpStatusCode.TooManyRequests, ReasonCodes.Overloaded, "policies are being replayed already; wait for that");
        try
        {
            PolicyStore? store = null;
            IReadOnlyList<PolicyDiagnostic> diagnostics = [];
            if (!await Task.Run(() => PolicyStore.TryOpen(cedar, body.Files, out store, out diagnostics, policies.Store.Current.Schema), ct).ConfigureAwait(false))
                return Problems.Result(HttpStatusCode.UnprocessableContent, ReasonCodes.PolicyError, string.Join('\n', diagnostics.Select(static d => VisibleText.Of(d.ToString()))));
            using (store)
                return Results.Json(await new PolicyReplay(reader, users, policies, store!, body.Max ?? 20).RunAsync(body.From, body.Until, ct).ConfigureAwait(false), ApiJson.Default.ReplayView);
        }
        catch (CedarUnavailableException)
        {
            return Problems.Result(HttpStatusCode.ServiceUnavailable, ReasonCodes.PolicyUnavailable, "the policy guest gave no answer; try again");
        }
        finally
        {
            replaying.One.Release();
        }
    }

    private static IResult Revision(ServingPolicies policies)
    {
        var id = policies.Store.Current.Id;
        return Results.Json(new PolicyView(id.ToString(), id.ContentHash, id.GitCommit, policies.LastError), ApiJson.Default.PolicyView);
    }

    private static async Task<IResult> ExplainAsync(ExplainRequest body, ServingPolicies policies, AgentRegistry agents, CountersignConfig config, CancellationToken ct)
    {
        if (agents.Find(body.Agent) is not { } agent || agents.ChainOf(agent) is not { } actors)
        {
            return Problems.Result(HttpStatusCode.NotFound, ReasonCodes.UnknownTarget, $"no agent `{VisibleText.Of(body.Agent, multiline: false)}` that may act");
        }

        if (WhatIf.Action(body, actors, config, out var error) is not { } action) return Problems.Result(HttpStatusCode.UnprocessableContent, ReasonCodes.NotUnderstood, error);
        var explanation = await policies.Store.ExplainAsync(action, policies.ContextOf(actors), ct).ConfigureAwait(false);
        return Results.Json(WhatIf.View(explanation), ApiJson.Default.ExplainView);
    }
}

/// <summary>One replay at a time: each reads the whole journal with every processor.</summary>
internal sealed class ReplayingNow : IDisposable
{
    public SemaphoreSlim One { get; } = new(1, 1);

    public void Dispose() => One.Dispose();
}
