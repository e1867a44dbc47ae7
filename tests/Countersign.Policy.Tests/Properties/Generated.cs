using Countersign.Core;
using CsCheck;

namespace Countersign.Policy.Tests.Properties;

/// <summary>A generated policy: its text, and the same meaning as a predicate of ours, written without Cedar.</summary>
sealed record GeneratedPolicy(string Head, string Body, bool IsForbid, string? ReviewGroup, int Quorum, int Minutes, Func<GatewayAction, Effect, DecisionContext, bool> Matches)
{
    public string Text(string id)
    {
        var review = ReviewGroup is null ? "" : $"@review(\"{ReviewGroup}\") @quorum(\"{Quorum}\") @expires(\"{Minutes}m\") ";
        return $"@id(\"{id}\") {review}{(IsForbid ? "forbid" : "permit")} ({Head}) {Body};";
    }
}

/// <summary>Policies and requests that meet often: few names, and every construct that the language is used with.</summary>
static class Generated
{
    delegate bool Test(GatewayAction action, Effect effect, DecisionContext context);

    static readonly Gen<(string, Test)> Principal = Gen.OneOf<(string, Test)>(
        ("principal", (_, _, _) => true),
        ("principal", (_, _, _) => true),
        ("principal in Group::\"agents\"", (a, _, _) => a.Actors.Groups.Contains("agents")),
        ("principal in Group::\"interns\"", (a, _, _) => a.Actors.Groups.Contains("interns")),
        ("principal == Agent::\"claude\"", (a, _, _) => a.Actors.Agent.Name == "claude"),
        ("principal is Agent in Group::\"agents\"", (a, _, _) => a.Actors.Groups.Contains("agents")));

    // Never all actions: approve is one of them, and has other attributes.
    static readonly Gen<(string, Test)> Action = Gen.OneOf<(string, Test)>(
        ("action in [Action::\"read\", Action::\"write\", Action::\"destroy\"]", (_, e, _) => e.Verb is Verb.Read or Verb.Write or Verb.Destroy),
        ("action in Action::\"read\"", (_, e, _) => e.Verb == Verb.Read),
        ("action in Action::\"write\"", (_, e, _) => e.Verb == Verb.Write),
        ("action == Action::\"sql:update\"", (_, e, _) => e.Action == "sql:update"),
        ("action in [Action::\"sql:delete\", Action::\"destroy\"]", (_, e, _) => e.Action == "sql:delete" || e.Verb == Verb.Destroy));

    static readonly Gen<(string, Test)> Resource = Gen.OneOf<(string, Test)>(
        ("resource", (_, _, _) => true),
        ("resource", (_, _, _) => true),
        ("resource in DataClass::\"pii\"", (_, e, _) => e.Resource.DataClasses.Contains("pii")),
        ("resource in Framework::\"GDPR\"", (_, e, c) => e.Resource.DataClasses.Any(d => c.Frameworks.TryGetValue(d, out var f) && f.Contains("GDPR"))),
        ("resource in Environment::\"prod\"", (a, _, _) => a.Target.Environment == "prod"),
        ("resource is Table in Target::\"shop\"", (a, e, _) => e.Resource.Type == "Table" && a.Target.Name == "shop"),
        ("resource == Table::\"shop.public.orders\"", (_, e, _) => e.Resource is { Type: "Table", Id: "shop.public.orders" }));

    static readonly Gen<(string, Test)> Expression = Gen.OneOf<(string, Test)>(
        ("true", (_, _, _) => true),
        ("context.target.environment == \"prod\"", (a, _, _) => a.Target.Environment == "prod"),
        ("context has where && context.where", (_, e, _) => Flag(e, "where") == true),
        ("!(context has where && context.where)", (_, e, _) => Flag(e, "where") != true),
        ("context has limit && context.limit <= 100", (_, e, _) => e.Facts.TryGetValue("limit", out var l) && ((FactValue.Number)l).Value <= 100),
        ("context has columns && context.columns.contains(\"email\")", (_, e, _) => e.Facts.TryGetValue("columns", out var c) && ((FactValue.Set)c).Values.Contains("email")),
        ("context.intent has ticket && context.intent.ticket like \"OPS-*\"", (a, _, _) => a.Intent.Ticket?.StartsWith("OPS-", StringComparison.Ordinal) == true),
        ("context.intent has reason", (a, _, _) => a.Intent.Reason is not null),
        ("principal.owner in Group::\"contractors\"", (a, _, c) => c.HumanGroups[a.Actors.Owner.Id].Contains("contractors")),
        ("principal has on_behalf_of && principal.on_behalf_of == User::\"bob\"", (a, _, _) => a.Actors.OnBehalfOf?.Name == "bob"),
        ("{\"a\": context.target.name}.a == \"shop\"", (a, _, _) => a.Target.Name == "shop"),
        ("[\"shop\", \"third\"].contains(context.target.name)", (a, _, _) => a.Target.Name == "shop"),
        ("(if context.target.environment == \"prod\" then resource in DataClass::\"pii\" else context.intent has model)",
            (a, e, _) => a.Target.Environment == "prod" ? e.Resource.DataClasses.Contains("pii") : a.Intent.Model is not null));

    /// <summary>Reads the time: such a policy makes its requests uncacheable.</summary>
    static readonly Gen<(string, Test)> Clock = Gen.OneOf<(string, Test)>(
        ("context.time.hour < 12", (_, _, c) => c.Now.Hour < 12),
        ("context.time.now.toTime() >= duration(\"12h\")", (_, _, c) => c.Now.Hour >= 12));

    static bool? Flag(Effect effect, string name) => effect.Facts.TryGetValue(name, out var value) ? ((FactValue.Flag)value).Value : null;

    static readonly Gen<(string, Test)> Conditions =
        from count in Gen.Frequency((2, 0), (4, 1), (2, 2))
        from parts in Gen.Select(Gen.Frequency((12, Expression), (1, Clock)), Gen.Bool).Array[count]
        select (
            string.Join(' ', parts.Select(p => $"{(p.Item2 ? "when" : "unless")} {{ {p.Item1.Item1} }}")),
            (Test)((a, e, c) => parts.All(p => p.Item1.Item2(a, e, c) == p.Item2)));

    static Gen<GeneratedPolicy> Of(Gen<bool> forbid, Gen<bool> review) =>
        from principal in Principal
        from action in Action
        from resource in Resource
        from conditions in Conditions
        from isForbid in forbid
        from isReview in review
        from groups in Gen.OneOf("dba", "sre", "dba,sre", "leads")
        from quorum in Gen.Int[1, 3]
        from minutes in Gen.Int[1, 60]
        select new GeneratedPolicy(
            $"{principal.Item1}, {action.Item1}, {resource.Item1}", conditions.Item1, isForbid, isReview && !isForbid ? groups : null, quorum, minutes,
            (a, e, c) => principal.Item2(a, e, c) && action.Item2(a, e, c) && resource.Item2(a, e, c) && conditions.Item2(a, e, c));

    // `unless { true }` can never apply, which the loader refuses: such a policy is generated without meaning and left out.
    static Gen<GeneratedPolicy> Possible(Gen<GeneratedPolicy> gen) => gen.Where(p => !p.Body.Contains("unless { true }", StringComparison.Ordinal) && !Contradicts(p));

    /// <summary>What Cedar's validator can see to be impossible: a condition and its contrary.</summary>
    static bool Contradicts(GeneratedPolicy policy)
    {
        var parts = policy.Body.Split("} ");
        return parts.Length == 2 && parts[0].Trim(' ', '}').Split('{', 2)[1].Trim() == parts[1].Trim(' ', '}').Split('{', 2)[1].Trim();
    }

    public static readonly Gen<GeneratedPolicy> Policy = Possible(Of(Gen.Frequency((1, true), (4, false)), Gen.Frequency((1, true), (2, false))));
    public static readonly Gen<GeneratedPolicy> Permit = Possible(Of(Gen.Const(false), Gen.Const(false)));
    public static readonly Gen<GeneratedPolicy> Review = Possible(Of(Gen.Const(false), Gen.Const(true)));
    public static readonly Gen<GeneratedPolicy> Forbid = Possible(Of(Gen.Const(true), Gen.Const(false)));
    public static readonly Gen<GeneratedPolicy[]> Set = Policy.Array[1, 8];

    static readonly Gen<Effect> AnEffect =
        from action in Gen.OneOf("sql:select", "sql:update", "sql:delete", "sql:drop", "sql:insert")
        from table in Gen.OneOf("orders", "customers", "logs")
        from facts in Facts
        select World.Effect(action, World.Table(table, table == "customers" ? ["pii"] : table == "orders" ? ["internal"] : []), facts);

    static Gen<(string, FactValue)[]> Facts => Gen.Select(Gen.Int[0, 2], Gen.Int[0, 2], Gen.Int[0, 2], (bounded, limit, columns) =>
    {
        var facts = new List<(string, FactValue)>();
        if (bounded > 0) facts.Add(("where", bounded == 1));
        if (limit > 0) facts.Add(("limit", limit == 1 ? 50L : 5_000L));
        if (columns > 0) facts.Add(("columns", FactValue.Of(columns == 1 ? ["id"] : ["email", "id"])));
        return facts.ToArray();
    });

    public static readonly Gen<(GatewayAction Action, DecisionContext Context)> Request =
        from agent in Gen.OneOf("claude", "gpt")
        from groups in Gen.OneOf<string[]>(["agents"], ["agents", "interns"], [])
        from contractor in Gen.Bool
        from forBob in Gen.Bool
        from target in Gen.OneOf(World.Shop, World.Shop with { Environment = "dev" }, new TargetRef("other", "postgres", "prod"))
        from effects in AnEffect.Array[1, 3]
        from reason in Gen.OneOf(null, "cleaning up")
        from ticket in Gen.OneOf(null, "OPS-1", "nope")
        from model in Gen.OneOf(null, "m")
        from hour in Gen.Int[0, 23]
        select (
            World.Action(new ActorChain(World.Claude with { Name = agent, Id = new OpaqueId("ag_" + agent) }, World.Alice, forBob ? World.Bob : null) { Groups = groups }, effects) with
            {
                Target = target,
                Intent = new Intent(reason, ticket, null, model),
            },
            World.Now with
            {
                Now = World.Noon.AddHours(hour - 12),
                Frameworks = new Dictionary<string, IReadOnlyList<string>> { ["pii"] = ["SOC2", "GDPR"], ["internal"] = ["SOC2"] },
                HumanGroups = new Dictionary<OpaqueId, IReadOnlyList<string>> { [World.Alice.Id] = contractor ? ["contractors"] : [], [World.Bob.Id] = [] },
            });

    public static string Text(IEnumerable<GeneratedPolicy> policies) => string.Join('\n', policies.Select((p, i) => p.Text($"p{i}")));
}
