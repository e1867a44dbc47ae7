using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Countersign.Core;
using Countersign.Policy.Cedar;
using Countersign.Policy.Loading;
using Countersign.Sandbox;

namespace Countersign.Policy.Evaluation;

/// <summary>Answers by Cedar's official engine, from a pool of guests that hold one policy set preparsed.</summary>
sealed class CedarEvaluator : IPolicyEvaluator, IDisposable
{
    readonly CedarRuntime cedar;
    readonly RequestSchema schema;
    readonly Dictionary<string, LoadedPolicy> policies;
    readonly Dictionary<string, Mentions> mentions;
    readonly GuestPool<CedarGuest> guests;

    /// <param name="cedar">The engine.</param>
    /// <param name="schema">What requests are checked by.</param>
    /// <param name="policies">The set, validated; the shipped approve policy included where it holds.</param>
    /// <param name="mentions">What the policies that can apply to an action read.</param>
    public CedarEvaluator(CedarRuntime cedar, RequestSchema schema, IReadOnlyList<LoadedPolicy> policies, Dictionary<string, Mentions> mentions)
    {
        this.cedar = cedar;
        this.schema = schema;
        this.policies = policies.ToDictionary(p => p.Id, StringComparer.Ordinal);
        this.mentions = mentions;
        var decide = Set(policies);
        // Only a permit that names what people do lets anyone do it: `permit (principal, action, resource)` was not written with people in mind.
        var approve = Set(policies.Where(p => p.IsForbid || p.NamesApprove));
        var breakGlass = Set(policies.Where(p => p.IsForbid || p.NamesBreakGlass));
        var administer = Set(policies.Where(p => p.IsForbid || p.NamesGateway));
        var could = Could(policies);
        guests = new GuestPool<CedarGuest>(() => new CedarGuest(cedar.Module, cedar.Limits.Guest, guest =>
        {
            Preparse(guest, RequestWriter.DecideSet, decide);
            Preparse(guest, RequestWriter.CouldSet, could);
            Preparse(guest, RequestWriter.ApproveSet, approve);
            Preparse(guest, RequestWriter.BreakGlassSet, breakGlass);
            Preparse(guest, RequestWriter.AdministerSet, administer);
        }), cedar.Limits.Pool);
    }

    static byte[] Set(IEnumerable<LoadedPolicy> policies) =>
        JsonSerializer.SerializeToUtf8Bytes(new { staticPolicies = policies.ToDictionary(p => p.Id, p => p.Text, StringComparer.Ordinal) });

    /// <summary>Permits without their conditions, and forbids that have none: whatever this set denies, the real one denies too.</summary>
    static byte[] Could(IEnumerable<LoadedPolicy> policies) =>
        JsonSerializer.SerializeToUtf8Bytes(new { staticPolicies = policies.Where(p => !p.IsForbid || p.Json.GetProperty("conditions").GetArrayLength() == 0).ToDictionary(p => p.Id, Unconditional, StringComparer.Ordinal) });

    static JsonNode Unconditional(LoadedPolicy policy)
    {
        var json = JsonNode.Parse(policy.Json.GetRawText())!;
        json["conditions"] = new JsonArray();
        return json;
    }

    /// <summary>Whether the scopes of the set leave each of these possible. A fault leaves it possible: this only says what is shown.</summary>
    public async ValueTask<(IReadOnlyList<bool> Could, bool IsDrained)> CouldPermitAsync(IReadOnlyList<PolicyRequest> requests, CancellationToken cancellation)
    {
        using var lease = await guests.LeaseAsync(cancellation);
        var could = new bool[requests.Count];
        for (var i = 0; i < could.Length; i++)
        {
            could[i] = schema.Check(requests[i].Effect) is null;
            if (!could[i]) continue;
            if (!TryWrite(() => RequestWriter.Effect(schema, requests[i], set: RequestWriter.CouldSet), out var call, out _)) continue;
            var (answer, failure) = Ask(lease, call);
            if (failure?.ReasonCode == Drained) return (could, true);
            if (answer is not null) could[i] = answer.Errors.Count > 0 || (answer.Matched.Count > 0 && !answer.Matched[0].IsForbid);
        }
        return (could, false);
    }

    static void Preparse(CedarGuest guest, string name, byte[] set)
    {
        using var answer = JsonDocument.Parse(guest.InvokeNamed("preparsePolicySet", name, set));
        if (answer.RootElement.GetProperty("type").GetString() != "success")
            throw new GuestFaultException(GuestOutcome.Trapped, "cedar refuses a policy set that it has validated: " + string.Join("; ", CedarError.ReadAll(answer.RootElement).Select(e => e.Message)));
    }

    internal GuestPool<CedarGuest> Guests => guests;

    /// <summary>Starts one guest, so that the first decision need not: null when it works, else why not.</summary>
    public string? Warm()
    {
        using var lease = guests.Lease();
        var result = lease.Call(_ => true);
        return result.IsOk ? null : $"{result.Outcome}: {result.Detail}";
    }

    public async ValueTask<IReadOnlyList<PolicyAnswer>> EvaluateAsync(IReadOnlyList<PolicyRequest> requests, CancellationToken cancellation)
    {
        using var lease = await guests.LeaseAsync(cancellation);
        var answers = new PolicyAnswer[requests.Count];
        for (var i = 0; i < answers.Length; i++) answers[i] = Evaluate(lease, requests[i]);
        return answers;
    }

    PolicyAnswer Evaluate(GuestLease<CedarGuest> lease, PolicyRequest request)
    {
        if (Refuse(request) is { } refusal) return refusal;
        if (!TryWrite(() => RequestWriter.Effect(schema, request), out var call, out var fault)) return PolicyAnswer.Refused(ReasonCodes.PolicyError, fault);
        var (answer, failure) = Ask(lease, call);
        if (answer is null) return failure!;
        if (answer.Errors.Count > 0 || answer.Matched.Count == 0 || answer.Matched[0].IsForbid)
            return Deny(answer);
        var cited = answer.Matched.Select(p => p.Citation).ToArray();
        var requirements = answer.Matched.SelectMany(p => p.Requirements).ToArray();
        if (requirements.Length == 0 && request.Effect.Facts.GetValueOrDefault("untyped") is FactValue.Flag { Value: true } && !answer.Matched.Any(p => p.ReadsUntyped))
        {
            // What no policy can read, no permit may ignore: it must say so, or a human looks.
            return new PolicyAnswer(Verdict.Review, ReasonCodes.ReviewRequired, [cedar.Untyped.Citation], cedar.Untyped.Requirements, []);
        }
        return requirements.Length > 0
            ? new PolicyAnswer(Verdict.Review, ReasonCodes.ReviewRequired, cited, requirements, [])
            : new PolicyAnswer(Verdict.Permit, ReasonCodes.Permitted, cited, [], []);
    }

    static PolicyAnswer Deny(CedarAnswer answer)
    {
        var cited = answer.Matched.Where(p => p.IsForbid).Select(p => p.Citation).ToArray();
        var code = cited.Length > 0 ? ReasonCodes.PolicyDenied : answer.Errors.Count > 0 ? ReasonCodes.PolicyError : ReasonCodes.NoMatchingPermit;
        return new PolicyAnswer(Verdict.Deny, code, cited, [], answer.Errors);
    }

    /// <summary>Requests that are not to be evaluated at all: words that the schema does not have, humans whose groups a policy needs and nobody knows.</summary>
    public PolicyAnswer? Refuse(PolicyRequest request)
    {
        if (schema.Check(request.Effect) is { } fault) return PolicyAnswer.Refused(ReasonCodes.PolicyError, fault);
        if (!mentions[request.Effect.Action].Humans) return null;
        foreach (var human in request.Actors.Humans)
            if (!request.Context.HumanGroups.ContainsKey(human.Id))
                return PolicyAnswer.Refused(ReasonCodes.PolicyError, $"a policy reads the groups of `{human.Name}`, and they are not known");
        return null;
    }

    public ValueTask<(PolicyAnswer Answer, bool Permitted)> ApproveAsync(ApproveRequest request, CancellationToken cancellation) =>
        MayAsync(() => RequestWriter.Approve(request), cancellation);

    public ValueTask<(PolicyAnswer Answer, bool Permitted)> AdministerAsync(AdministerRequest request, CancellationToken cancellation) =>
        MayAsync(() => RequestWriter.Administer(schema, request), cancellation);

    async ValueTask<(PolicyAnswer Answer, bool Permitted)> MayAsync(Func<ReadOnlyMemory<byte>> write, CancellationToken cancellation)
    {
        if (!TryWrite(write, out var call, out var fault)) return (PolicyAnswer.Refused(ReasonCodes.PolicyError, fault), false);
        using var lease = await guests.LeaseAsync(cancellation);
        var (answer, failure) = Ask(lease, call);
        if (answer is null) return (failure!, false);
        if (answer.Errors.Count > 0 || answer.Matched.Count == 0 || answer.Matched[0].IsForbid)
        {
            var deny = Deny(answer);
            return (deny.ReasonCode == ReasonCodes.NoMatchingPermit ? deny with { ReasonCode = ReasonCodes.NotEligible } : deny, false);
        }
        return (new PolicyAnswer(Verdict.Permit, ReasonCodes.Permitted, [.. answer.Matched.Select(p => p.Citation)], [], []), true);
    }

    sealed record CedarAnswer(IReadOnlyList<LoadedPolicy> Matched, IReadOnlyList<string> Errors);

    (CedarAnswer? Answer, PolicyAnswer? Failure) Ask(GuestLease<CedarGuest> lease, ReadOnlyMemory<byte> call)
    {
        var result = lease.Call(g => g.Authorize(call));
        if (!result.IsOk)
            return (null, PolicyAnswer.Refused(result.Outcome == GuestOutcome.Drained ? Drained : ReasonCodes.PolicyUnavailable, Say(result.Outcome)));
        try
        {
            using var json = JsonDocument.Parse(result.Value!);
            return Read(json.RootElement);
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            return (null, PolicyAnswer.Refused(ReasonCodes.PolicyUnavailable, "the policy guest's answer cannot be read"));
        }
    }

    (CedarAnswer? Answer, PolicyAnswer? Failure) Read(JsonElement root)
    {
        if (root.GetProperty("type").GetString() != "success")
            return (null, PolicyAnswer.Refused(ReasonCodes.PolicyError, [.. CedarError.ReadAll(root).Select(e => e.Message)]));

        var response = root.GetProperty("response");
        var diagnostics = response.GetProperty("diagnostics");
        var errors = diagnostics.GetProperty("errors").EnumerateArray()
            .Select(e => $"{e.GetProperty("policyId").GetString()}: {e.GetProperty("error").GetProperty("message").GetString()}")
            .Order(StringComparer.Ordinal).ToArray();
        var matched = new List<LoadedPolicy>();
        foreach (var id in diagnostics.GetProperty("reason").EnumerateArray())
        {
            if (!policies.TryGetValue(id.GetString()!, out var policy))
                return (null, PolicyAnswer.Refused(ReasonCodes.PolicyError, $"cedar names a policy `{id.GetString()}` that is not loaded"));
            matched.Add(policy);
        }
        // Cedar's decision and its reasons say the same thing twice; if they ever differ, nobody should act on either.
        var allow = response.GetProperty("decision").GetString() == "allow";
        var consistent = allow ? matched.Count > 0 && !matched.Exists(p => p.IsForbid) : matched.TrueForAll(p => p.IsForbid);
        if (!consistent) return (null, PolicyAnswer.Refused(ReasonCodes.PolicyError, "cedar's decision and its reasons contradict each other"));
        matched.Sort((a, b) => string.CompareOrdinal(a.Id, b.Id));
        return (new CedarAnswer(matched, errors), null);
    }

    /// <summary>Marks an answer of a revision that has been replaced meanwhile: the store asks again, and it never leaves this room.</summary>
    internal const string Drained = "revision-drained";

    static string Say(GuestOutcome outcome) => outcome switch
    {
        GuestOutcome.TimedOut => "the policy guest did not answer within its time limit",
        GuestOutcome.OutOfMemory => "the policy guest ran out of memory",
        GuestOutcome.Busy => "every policy guest was busy for too long",
        GuestOutcome.Drained => "the policy set was replaced",
        _ => "the policy guest failed",
    };

    static bool TryWrite(Func<ReadOnlyMemory<byte>> write, out ReadOnlyMemory<byte> call, out string fault)
    {
        try
        {
            call = write();
            fault = "";
            return true;
        }
        catch (InvalidTextException)
        {
            call = default;
            fault = "the request holds a text that is not valid Unicode";
            return false;
        }
    }

    /// <summary>Cedar's answer to a request under given policies, for explanations.</summary>
    internal static (HashSet<string> Matched, HashSet<string> Errored) AskWith(CedarRuntime cedar, PolicySchema schema, PolicyRequest request, IReadOnlyDictionary<string, JsonElement> variants)
    {
        using var json = cedar.InvokeRaw("isAuthorized", RequestWriter.Effect(schema.Requests, request, variants));
        var root = json.RootElement;
        if (root.GetProperty("type").GetString() != "success") return ([], []);
        var diagnostics = root.GetProperty("response").GetProperty("diagnostics");
        return ([.. diagnostics.GetProperty("reason").EnumerateArray().Select(e => e.GetString()!)],
            [.. diagnostics.GetProperty("errors").EnumerateArray().Select(e => e.GetProperty("policyId").GetString()!)]);
    }

    public void Dispose() => guests.Dispose();
}
