namespace Countersign.Policy.Tests.Language;

public sealed class ValidationTests(World world)
{
    [Theory]
    [InlineData("permit (principal, action in Action::\"write\", resource) when { context.where };")]               // optional, unguarded
    [InlineData("permit (principal, action in Action::\"write\", resource) when { context.intent.reason == \"x\" };")]
    [InlineData("permit (principal, action in Action::\"write\", resource) when { context.target.env == \"prod\" };")] // no such attribute
    [InlineData("permit (principal, action in Action::\"write\", resource) when { principal.on_behalf_of == User::\"x\" };")]
    [InlineData("permit (principal, action in Action::\"write\", resource) when { context.target.environment == 1 };")] // types
    [InlineData("permit (principal in Grop::\"x\", action in Action::\"write\", resource);")]                       // no such type
    [InlineData("permit (principal, action == Action::\"sql:updaet\", resource);")]                                 // no such action
    [InlineData("permit (principal is User, action in Action::\"write\", resource);")]                             // can never apply
    [InlineData("permit (principal, action in Action::\"write\", resource is Review);")]
    [InlineData("permit (principal, action in Action::\"write\", resource) when { false };")]
    public void Policy_that_does_not_hold_against_the_schema_is_an_error(string text)
    {
        var faults = world.Faults(text);
        Assert.NotEmpty(faults);
        Assert.All(faults, f => Assert.Equal((PolicyFaults.Validation, "main.cedar", 1), (f.Code, f.File, f.Line)));
    }

    [Theory]
    [InlineData("permit (principal, action in Action::\"write\", resource) when { context has where && context.where };")]
    [InlineData("permit (principal, action in Action::\"write\", resource) when { context.intent has reason };")]
    [InlineData("permit (principal, action, resource) when { context.target.environment == \"prod\" };")]
    [InlineData("permit (principal, action in [Action::\"sql:select\", Action::\"write\"], resource in DataClass::\"pii\");")]
    [InlineData("permit (principal, action, resource in Framework::\"SOC2\");")]
    [InlineData("forbid (principal, action in Action::\"write\", resource) when { context.time.hour < 8 || context.time.now.toTime() > duration(\"18h\") };")]
    [InlineData("permit (principal == Agent::\"claude\", action == Action::\"sql:update\", resource == Table::\"shop.public.orders\");")]
    public void Policy_that_holds_loads(string text) => Assert.Empty(world.Faults(text));

    [Fact]
    public void Text_that_does_not_read_as_it_looks_is_an_error()
    {
        // A right-to-left override in a string, and a Cyrillic letter in an entity id.
        Assert.Contains(world.Faults("permit (principal in Group::\"ad\u202enim\", action in Action::\"write\", resource);"), f => f.Code == PolicyFaults.Validation);
        Assert.Contains(world.Faults("permit (principal in Group::\"\u0430dmin\", action in Action::\"write\", resource);"), f => f.Code == PolicyFaults.Validation);
    }

    [Theory]
    [InlineData("")]
    [InlineData("// nothing yet\n")]
    public void Set_without_a_policy_is_an_error(string text) => Assert.Equal(PolicyFaults.Empty, Assert.Single(world.Faults(text)).Code);

    [Fact]
    public void More_than_ten_policies_of_a_file_keep_their_order_and_places()
    {
        // Cedar hands them back as policy0, policy1, policy10, policy11, policy2, …
        var text = string.Join('\n', Enumerable.Range(1, 123).Select(n => $"forbid (principal == Agent::\"a{n}\", action in Action::\"write\", resource);"));
        using var store = world.Store(text);
        var own = store.Current.Policies.Where(p => p.Id.StartsWith("main.cedar:", StringComparison.Ordinal)).ToArray();
        Assert.Equal(123, own.Length);
        Assert.All(own, (p, i) => Assert.Equal(($"main.cedar:{i + 1}", $"main.cedar:{i + 1}", true), (p.Id, p.Source, p.Text.Contains($"\"a{i + 1}\"", StringComparison.Ordinal))));
    }

    [Fact]
    public void Own_check_of_requests_agrees_with_cedars()
    {
        // Every action on every type, with every fact of every kind: what Cedar's request validation refuses, ours does, and the other way round.
        string[] types = [.. Core.SqlVocabulary.ResourceTypes, "User", "Review", "Target"];
        Core.FactValue[] values = [true, 1L, "x", Core.FactValue.Of(["x"])];
        var checks = 0;
        foreach (var (action, verb) in Core.SqlVocabulary.Actions.Append(new("sql:nope", Core.Verb.Read)))
            foreach (var type in types)
                foreach (var fact in (string[])["where", "limit", "columns", "statement", "nope"])
                {
                    if (!Pick(action, type, fact)) continue;
                    foreach (var value in values)
                    {
                        var effect = new Core.Effect(verb, action, new Core.ResourceRef(type, "x")) { Facts = new Dictionary<string, Core.FactValue> { [fact] = value } };
                        Assert.Equal(CedarAccepts(effect), world.Cedar.Schema.Requests.Check(effect) is null);
                        checks++;
                    }
                }
        Assert.True(checks > 300);
    }

    /// <summary>A fixed slice: all would take a minute.</summary>
    static bool Pick(string action, string type, string fact) => (action.Length * 7 + type.Length * 5 + fact.Length * 3) % 13 == 0 || action == "sql:update" && type == "Table";

    bool CedarAccepts(Core.Effect effect)
    {
        var call = new
        {
            principal = new { type = "Agent", id = "a" },
            action = new { type = "Action", id = effect.Action },
            resource = new { type = effect.Resource.Type, id = "x" },
            context = new Dictionary<string, object>
            {
                ["target"] = new { name = "a", kind = "b", environment = "c" },
                ["intent"] = new { },
                ["time"] = new { now = new { __extn = new { fn = "datetime", arg = "2026-01-01" } }, hour = 1, weekday = "mon" },
                [effect.Facts.Keys.Single()] = effect.Facts.Values.Single() switch
                {
                    Core.FactValue.Flag f => f.Value,
                    Core.FactValue.Number n => n.Value,
                    Core.FactValue.Text t => t.Value,
                    Core.FactValue.Set s => s.Values,
                    _ => throw new InvalidOperationException(),
                },
            },
            schema = Cedar.Shipped.Schema,
            validateRequest = true,
            policies = new { staticPolicies = "permit (principal, action, resource);" },
            entities = Array.Empty<object>(),
        };
        using var answer = world.Cedar.Invoke("isAuthorized", call);
        return answer.RootElement.GetProperty("type").GetString() == "success";
    }
}
