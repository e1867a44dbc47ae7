using System.Net;
using Countersign.Core;
using Countersign.Gateway;
using Countersign.Identity;
using Countersign.Journal;
using Countersign.Policy;

namespace Countersign.Api;

internal static class AgentEndpoints
{
    public static void Map(IEndpointRouteBuilder api)
    {
        var agents = api.MapGroup("/agents").AddEndpointFilter(new Administers(AdministerActions.Agents)).WithTags("agents");
        agents.MapGet("", static (AgentRegistry registry, AgentBrake brake) => Results.Json(new AgentList(registry.List().Select(a => View(a, brake)).ToArray()), ApiJson.Default.AgentList)).Produces<AgentList>().WithSummary("All agents; never their keys");
        agents.MapPost("", AddAsync).Produces<AgentChanged>(201).WithSummary("Add an agent; its key is in this answer and nowhere else");
        agents.MapPost("/{name}/keys", AddKeyAsync).Produces<AgentChanged>(201).WithSummary("Issue a further key; older ones stay valid until revoked");
        agents.MapDelete("/{name}/keys/{keyId}", static (HttpContext http, AgentRegistry registry, string name, string keyId) => RevokeAsync(http, registry, name, keyId)).Produces<AgentChanged>().WithSummary("Revoke one key");
        agents.MapPost("/{name}/suspend", static (HttpContext http, AgentRegistry registry, AgentBrake brake, string name) => SuspendAsync(http, registry, brake, name, suspend: true)).Produces<AgentView>().WithSummary("Suspend an agent: nothing of it runs until a human lifts it");
        agents.MapPost("/{name}/resume", static (HttpContext http, AgentRegistry registry, AgentBrake brake, string name) => SuspendAsync(http, registry, brake, name, suspend: false)).Produces<AgentView>().WithSummary("Lift a suspension");
        agents.MapPut("/{name}/owner", OwnAsync).Produces<AgentChanged>().WithSummary("Give an agent another owner; the former one can not approve what it does for a while");
        agents.MapDelete("/{name}", static (HttpContext http, AgentRegistry registry, string name) => RevokeAsync(http, registry, name, null)).Produces<AgentChanged>().WithSummary("Revoke an agent with all its keys");
    }

    private static async Task<IResult> AddAsync(HttpContext http, AgentRegistry registry, ConnectionStrings connections, AgentAdd body) =>
        Result(await registry.AddAsync(body.Name, body.Owner, body.For, body.Groups ?? [], SignedIn.Of(http).User.Ref).ConfigureAwait(false), connections);

    private static async Task<IResult> AddKeyAsync(HttpContext http, AgentRegistry registry, ConnectionStrings connections, string name) =>
        Result(await registry.AddKeyAsync(name, SignedIn.Of(http).User.Ref).ConfigureAwait(false), connections);

    private static async Task<IResult> OwnAsync(HttpContext http, AgentRegistry registry, string name, AgentOwner body) =>
        Result(await registry.SetOwnerAsync(name, body.Owner, SignedIn.Of(http).User.Ref).ConfigureAwait(false), null);

    private static async Task<IResult> SuspendAsync(HttpContext http, AgentRegistry registry, AgentBrake brake, string name, bool suspend)
    {
        if (registry.Find(name) is not { } agent) return Problems.Result(HttpStatusCode.NotFound, ReasonCodes.UnknownTarget, $"no agent `{VisibleText.Of(name, multiline: false)}`");
        var principal = new PrincipalRef(PrincipalKind.Agent, agent.Id, agent.Name);
        var me = SignedIn.Of(http).User.Ref;
        var status = suspend ? await brake.SuspendAsync(principal, me).ConfigureAwait(false) : await brake.ResumeAsync(principal, me).ConfigureAwait(false);
        return status == WriteStatus.Committed
            ? Results.Json(View(agent, brake), ApiJson.Default.AgentView)
            : Problems.Result(HttpStatusCode.ServiceUnavailable, ReasonCodes.JournalUnavailable, "the journal can not be written, and nothing was changed");
    }

    private static async Task<IResult> RevokeAsync(HttpContext http, AgentRegistry registry, string name, string? keyId)
    {
        if (keyId is not null && registry.Find(name) is { } agent && agent.Keys.All(k => k.KeyId != keyId))
        {
            return Problems.Result(HttpStatusCode.NotFound, ReasonCodes.UnknownTarget, $"agent `{agent.Name}` has no key `{VisibleText.Of(keyId, multiline: false)}`");
        }

        return Result(await registry.RevokeAsync(name, keyId, SignedIn.Of(http).User.Ref).ConfigureAwait(false), null);
    }

    private static IResult Result(AgentChange change, ConnectionStrings? connections)
    {
        if (change is { Status: AgentChangeStatus.Done, Agent: { } agent })
        {
            return Results.Json(
                new AgentChanged(View(agent), change.Key?.KeyId, change.Key?.Secret, change.Key is { } key ? connections?.For(agent.Name, key.Secret) : null),
                ApiJson.Default.AgentChanged, statusCode: change.Key is null ? 200 : 201);
        }

        var (status, reason) = change.Status switch
        {
            AgentChangeStatus.Unavailable => (HttpStatusCode.ServiceUnavailable, ReasonCodes.JournalUnavailable),
            AgentChangeStatus.UnknownAgent => (HttpStatusCode.NotFound, ReasonCodes.UnknownTarget),
            AgentChangeStatus.NameTaken => (HttpStatusCode.Conflict, ReasonCodes.NotSupported),
            _ => (HttpStatusCode.UnprocessableContent, ReasonCodes.NotSupported),
        };
        return Problems.Result(status, reason, change.Detail ?? "the change was refused");
    }

    private static AgentView View(AgentEntry a, AgentBrake? brake = null) => new(a.Id.Value, a.Name, a.Owner, a.For, a.Groups,
        a.Keys.Select(static k => new AgentKeyView(k.KeyId, k.CreatedAt, k.RevokedAt)).ToArray(), a.CreatedAt, a.RevokedAt, brake?.Find(a.Id)?.At) { VouchedBy = a.VouchedBy };
}

/// <summary>How an agent reaches each target through this gateway.</summary>
internal sealed class ConnectionStrings(Func<System.Net.IPEndPoint> postgres, IReadOnlyList<string> targets)
{
    public IReadOnlyList<string> For(string agent, string key) =>
        targets.Select(target => $"postgres://{agent}:{key}@{postgres()}/{Uri.EscapeDataString(target)}").ToArray();
}
