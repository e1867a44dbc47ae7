using System.Text.Json;
using Countersign.Core;
using Countersign.Gateway.Mcp.Understanding;
using Countersign.Gateway.Mcp.Upstream;
using Countersign.Gateway.Mcp.Wire;
using Countersign.Reviews;
using Microsoft.AspNetCore.Http;

namespace Countersign.Gateway.Mcp;

public sealed partial class McpGateway
{
    /// <summary>What came of a request that is an action: exactly one of the two.</summary>
    private sealed record Carried(ServerAnswer? Answer, Refusal? Refusal);

    private async Task<ServerAnswer> CallAsync(McpSession session, ClientRequest request, RpcMessage message, Caller caller, HttpContext http)
    {
        if (RpcMessage.Text(message.Params, "name") is not { } name || CallParameters.Read(message.Params, Claims(http), request.IsStateless) is not { } parameters)
        {
            return new ServerAnswer(RpcWriter.ErrorValue(RpcWriter.InvalidParams, "countersign: a call needs `name`, and `arguments` as an object"), IsError: true);
        }

        if (parameters.State is { } state)
        {
            var (_, why) = await states.OpenAsync(state, caller.Actors.Agent.Id.Value, session.Server.Name, parameters.Governed).ConfigureAwait(false);
            if (why is not null)
            {
                var refused = await spine.RefuseAsync(caller.Actors, session.Server.Actions.Target, ReasonCodes.RequestStateInvalid, $"the `requestState` is not accepted: {why}", "nothing ran. Send the call again without it: it joins its review.", "(a request state)").ConfigureAwait(false);
                return new ServerAnswer(RpcWriter.ErrorValue(RpcWriter.InvalidParams, $"countersign: {refused.Message}. {refused.Hint}"), IsError: true);
            }
        }

        var arguments = Member(message.Params, "arguments");
        if (OwnTools.IsOwn(name)) return await OwnAsync(session, request, name, arguments, parameters, caller, http).ConfigureAwait(false);
        return await CarryAsync(session, request, name, arguments, parameters, caller, http).ConfigureAwait(false);
    }

    private async Task<ServerAnswer> CarryAsync(McpSession session, ClientRequest request, string name, JsonElement? arguments, CallParameters parameters, Caller caller, HttpContext http)
    {
        var stored = new StoredCall(caller.Actors.Agent.Id.Value, session.Server.Name, parameters.Governed, parameters.Intent, time.GetUtcNow());
        var fresh = false;
        var carried = await SubmitAsync(session, request, caller, parameters, "tools/call", async () =>
        {
            // The second look is the one of the release: then the server is asked again what the tool is (P22).
            var tools = await session.ToolsAsync(fresh, http.RequestAborted).ConfigureAwait(false);
            fresh = true;
            var definition = tools.FirstOrDefault(t => t.Name == name);
            if (definition is not null && trust.Find(session.Server.Name, name) is { } trusted && trusted.Sha256 != definition.Sha256) await trust.ChangedAsync(trusted, definition).ConfigureAwait(false);
            return session.Server.Actions.Call(caller.Actors, definition, arguments, parameters);
        }, http, stored).ConfigureAwait(false);
        if (carried.Refusal is not { } refusal) return carried.Answer!;
        if (request.IsStateless && refusal is { ReasonCode: ReasonCodes.ReviewPending, Review: { } waiting }) return new ServerAnswer(WaitOn(caller, session, waiting, parameters), IsError: false);
        var next = refusal is { ReasonCode: ReasonCodes.ReviewPending, Review: { } review } ? Refusals.WhilePending(review, Address(http, $"/reviews/{review}")) : null;
        return new ServerAnswer(Refusals.AsResult(refusal, next), IsError: false);
    }

    /// <summary>
    /// Sends a client of the revision without sessions round again: it comes back by itself with the same call, and waits on. The state
    /// that it keeps permits nothing.
    /// </summary>
    private byte[] WaitOn(Caller caller, McpSession session, ReviewId review, CallParameters parameters) => RpcWriter.Object(w =>
    {
        w.WriteString("resultType", "input_required");
        w.WriteString("requestState", states.Seal(caller.Actors.Agent.Id.Value, session.Server.Name, parameters.Governed, review, config.Hold.Detached));
        w.WriteStartObject("_meta");
        w.WriteString("countersign/reason", ReasonCodes.ReviewPending);
        w.WriteString("countersign/review", review.Value);
        w.WriteEndObject();
    });

    /// <summary>The whole way of one action: understood, decided, perhaps held, forwarded once.</summary>
    private async Task<Carried> SubmitAsync(McpSession session, ClientRequest request, Caller caller, CallParameters parameters, string method, Func<ValueTask<Understood>> understand, HttpContext http, StoredCall? stored)
    {
        using var span = SpineTelemetry.StartAction();
        var first = await understand().ConfigureAwait(false);
        if (first.Action is not { } action)
        {
            return new Carried(null, await spine.RefuseAsync(caller.Actors, session.Server.Actions.Target, first.ReasonCode!, first.Message!, first.Hint!, method).ConfigureAwait(false));
        }

        if (caller.EndsAt is { } end && end <= time.GetUtcNow())
        {
            return new Carried(null, await spine.RefuseAsync(caller.Actors, action.Target, ReasonCodes.TokenExpired, "the token has expired", "nothing ran. Get a new one.", action.Payload.DisplayText).ConfigureAwait(false));
        }

        Hold? hold = null;
        Ruling ruling;
        try
        {
            ruling = await spine.SubmitAsync(action, () =>
            {
                hold = new Hold(request, action, parameters.Progress, session.Server.Hold, () => RederiveAsync(action, caller, understand), id => Address(http, $"/reviews/{id}"), review =>
                {
                    if (stored is not null) _ = calls.KeepAsync(review.Id, stored);
                }, limits, time);
                return hold.Waiter;
            }).ConfigureAwait(false);
        }
        finally
        {
            if (hold is not null) await hold.DisposeAsync().ConfigureAwait(false);
        }

        return ruling switch
        {
            Ruling.Refused refused => new Carried(null, refused.Refusal),
            Ruling.Forward forward => await ForwardAsync(session, request, forward.Passage, method, parameters).ConfigureAwait(false),
            _ => throw new InvalidOperationException("a ruling of no known kind"),
        };
    }

    /// <summary>The very same request understood again, with the server's definitions of now (I5).</summary>
    private async ValueTask<Rederived> RederiveAsync(GatewayAction held, Caller caller, Func<ValueTask<Understood>> understand)
    {
        try
        {
            if (caller.EndsAt is { } end && end <= time.GetUtcNow()) return new Rederived.Refused(ReasonCodes.TokenExpired, "the token has expired meanwhile");
            var again = await understand().ConfigureAwait(false);
            return again.Action is { } action ? new Rederived.As(action with { Id = held.Id, Intent = held.Intent }) : new Rederived.Refused(again.ReasonCode!, again.Message!);
        }
        catch (UpstreamException e)
        {
            return new Rederived.Refused(ReasonCodes.TargetUnavailable, e.Message);
        }
        catch (OperationCanceledException)
        {
            return new Rederived.Refused(ReasonCodes.TargetUnavailable, "the request is over");
        }
    }

    /// <summary>Sends what was decided on, once, and records how it ended. A client that has left does not stop what was begun for it.</summary>
    private async Task<Carried> ForwardAsync(McpSession session, ClientRequest request, Passage passage, string method, CallParameters parameters)
    {
        // The passage is for its action and nothing else; that these are the same bytes is so by construction, and looked at all the same (I3).
        if (!passage.Action.Payload.Bytes.Span.SequenceEqual(parameters.Governed))
        {
            await passage.CompleteAsync(OutcomeStatus.Failed, null, 0, ReasonCodes.Internal).ConfigureAwait(false);
            return new Carried(null, new Refusal(ReasonCodes.Internal, "what was released is not what was asked", "nothing was sent to the server; tell the operator.", passage.Review));
        }

        var link = session.Link;
        var id = link.NextId();
        var token = parameters.Progress;
        try
        {
            var answer = await link.RequestAsync(id, method, parameters.ToForward(token is null ? default : Link.Id(id)), token is null ? null : progress => _ = ProgressAsync(request, token, progress), limits.Answer, request.Cancelled.Token).ConfigureAwait(false);
            var failed = answer.IsError || answer.SaysFailed;
            await passage.CompleteAsync(failed ? OutcomeStatus.Failed : OutcomeStatus.Done, null, answer.Value.Length, failed ? (answer.IsError ? "error" : "tool-error") : null).ConfigureAwait(false);
            return new Carried(answer, null);
        }
        catch (UpstreamException e)
        {
            LogServerFailed(session.Server.Name, e.Message);
            await passage.CompleteAsync(e.Sent ? OutcomeStatus.Unknown : OutcomeStatus.Failed, null, 0, ReasonCodes.TargetUnavailable).ConfigureAwait(false);
            return new Carried(null, e.Sent
                ? new Refusal(ReasonCodes.TargetUnavailable, $"{e.Message}: whether it was carried out is not known", "it is not sent again. Find out whether it happened before you repeat it.", passage.Review)
                : new Refusal(ReasonCodes.TargetUnavailable, e.Message, "nothing ran. Try again later; tell the operator if it lasts.", passage.Review));
        }
    }

    /// <summary>The server's progress under the client's token.</summary>
    private static Task ProgressAsync(ClientRequest request, byte[] token, JsonElement progress) => request.Reply.SendAsync(RpcWriter.Notification("notifications/progress",
        RpcWriter.Object(progress.EnumerateObject().Select(m => (m.Name, m.Name == "progressToken" ? token : (ReadOnlyMemory<byte>)RpcMessage.Raw(m.Value))))));

    // ---- the gateway's own tools ----

    private async Task<ServerAnswer> OwnAsync(McpSession session, ClientRequest request, string name, JsonElement? arguments, CallParameters parameters, Caller caller, HttpContext http)
    {
        var review = RpcMessage.Text(arguments, "review");
        return name switch
        {
            OwnTools.Status => Said(OwnTools.StatusOf(desk, caller, review)),
            OwnTools.Explain => Said(await ExplainAsync(session, caller, arguments, parameters, http).ConfigureAwait(false)),
            OwnTools.Manifest => Said(await ManifestAsync(session, caller, http.RequestAborted).ConfigureAwait(false)),
            _ => await ResumeAsync(session, request, review, parameters, caller, http).ConfigureAwait(false),
        };

        static ServerAnswer Said(string text) => new(OwnTools.Said(text), IsError: false);
    }

    /// <summary>Carries on with a stored call of the same principal. It is decided as any other: the id of a review opens nothing (P20).</summary>
    private async Task<ServerAnswer> ResumeAsync(McpSession session, ClientRequest request, string? review, CallParameters asked, Caller caller, HttpContext http)
    {
        var known = ReviewId.TryParse(review, out var id) ? desk.Find(id) : null;
        var stored = known is null ? null : calls.Find(id);
        if (known is null || !caller.Asked(known) || known.Target.Name != session.Server.Name)
        {
            var foreign = known is not null && !caller.Asked(known);
            if (foreign) await spine.RefuseAsync(caller.Actors, session.Server.Actions.Target, ReasonCodes.ReviewUnknown, "the review is another principal's", "ask about your own.", OwnTools.Resume).ConfigureAwait(false);
            return Failed("you have no such review here.");
        }

        if (!known.IsOpen) return Failed(OwnTools.StatusOf(desk, caller, review) + "\nIt is over; nothing is run for it again.");
        if (stored is null || stored.Agent != caller.Actors.Agent.Id.Value || stored.Server != session.Server.Name || RpcMessage.Json(stored.Parameters) is not { } governed || RpcMessage.Text(governed, "name") is not { } name)
        {
            return Failed("the call itself is not kept here any more. Repeat it with the same arguments: it joins the same review.");
        }

        var parameters = CallParameters.Read(governed, stored.Intent)!;
        parameters.ReportTo(asked.Progress);
        return await CarryAsync(session, request, name, Member(governed, "arguments"), parameters, caller, http).ConfigureAwait(false);

        static ServerAnswer Failed(string text) => new(OwnTools.Said($"Countersign: {text}", isError: true), IsError: false);
    }

    private async Task<string> ExplainAsync(McpSession session, Caller caller, JsonElement? arguments, CallParameters parameters, HttpContext http)
    {
        if (RpcMessage.Text(arguments, "tool") is not { } tool) return "Say which `tool`.";
        var definition = (await session.ToolsAsync(fresh: false, http.RequestAborted).ConfigureAwait(false)).FirstOrDefault(t => t.Name == tool);
        var understood = session.Server.Actions.Call(caller.Actors, definition, Member(arguments, "arguments"), parameters);
        if (understood.Action is not { } action) return $"It would be refused: {understood.Message} (reason={understood.ReasonCode}). {understood.Hint}";
        var decision = spine.Preview(action);
        var because = string.Join("", decision.DeterminingPolicies.Select(static p => $"\n- policy `{p.Id}`{(p.Reason is { } reason ? $": {reason}" : "")}"));
        return decision.Verdict switch
        {
            Verdict.Permit => $"It would run at once.{because}",
            Verdict.Review => $"It would be held until it has {ReviewDesk.Describe(decision.Requirements)}.{because}",
            _ => $"It would be denied (reason={decision.ReasonCode}). No approval changes that.{because}",
        };
    }

    /// <summary>Each tool that is shown, with what policy says of it before it has seen any argument.</summary>
    private async Task<string> ManifestAsync(McpSession session, Caller caller, CancellationToken ct)
    {
        var actions = session.Server.Actions;
        var tools = (await session.ToolsAsync(fresh: false, ct).ConfigureAwait(false)).Where(t => actions.StateOf(t) != ToolState.Changed).ToArray();
        var could = await seams.CouldPermit(caller.Actors, actions.Target, tools.Select(t => actions.EffectOf(t, null)).ToArray()).ConfigureAwait(false);
        var lines = tools.Where((_, i) => could[i]).Select(t => (t.Name, Decision: spine.Preview(Blank(actions, caller, actions.EffectOf(t, null)))))
            .Select(static t => $"- `{t.Name}`: {t.Decision.Verdict switch { Verdict.Permit => "runs at once", Verdict.Review => $"is held until it has {ReviewDesk.Describe(t.Decision.Requirements)}", _ => "depends on its arguments" }}");
        return $"You are agent `{caller.Actors.Agent.Name}`, for whom `{caller.Actors.Owner.Name}` answers. On `{session.Server.Name}` ({actions.Target.Environment}) you may ask for:\n{string.Join('\n', lines)}\nWhat is not here is denied. A held call waits {(int)session.Server.Hold.TotalSeconds} s and is then answered with what to do; `{OwnTools.Resume}` goes on with it. `{OwnTools.Explain}` tells what would become of a call with its arguments. Nobody approves over MCP: humans do, elsewhere.";
    }

    private static GatewayAction Blank(McpActions actions, Caller caller, Effect effect) => new()
    {
        Id = new ActionId("ac_manifest"),
        Actors = caller.Actors,
        Target = actions.Target,
        Effects = [effect],
        Payload = new ActionPayload(McpActions.Kind, "manifest", default) { DisplayText = "" },
        Settings = new Dictionary<string, string>(),
    };
}
