using Countersign.Core;
using Countersign.Policy.Cedar;
using Countersign.Policy.Loading;

namespace Countersign.Policy.Tests;

/// <summary>Tools of MCP servers as actions of their own, under a schema that grows with what operators trust.</summary>
public sealed class McpTests(World world)
{
    const string Tools = """
          action "files/read_file" in ["call-tool", Action::"read"] appliesTo {
            principal: [Agent], resource: [Tool],
            context: { target: TargetInfo, intent: IntentClaims, time: Moment, untyped?: Bool, arguments?: { path?: String, options?: { tail?: Long } } },
          };
          action "files/write_file" in ["call-tool", Action::"write"] appliesTo {
            principal: [Agent], resource: [Tool],
            context: { target: TargetInfo, intent: IntentClaims, time: Moment, untyped?: Bool, arguments?: { path?: String } },
          };
        """;

    static readonly ResourceRef WriteFile = new("Mcp::Tool", "files/write_file");

    PolicyStore Store(string text)
    {
        var schema = world.Cedar.Extend(Tools, out var errors) ?? throw new InvalidOperationException(string.Join("; ", errors));
        Assert.True(PolicyStore.TryOpen(world.Cedar, "", PolicySnapshot.Of([("p.cedar", text)]), new PolicyStoreOptions { Schema = schema }, out var store, out var faults), string.Join('\n', faults));
        return store!;
    }

    static GatewayAction Call(Verb verb, string action, params (string, FactValue)[] facts) => World.Action(World.Actors("agents"), new Effect(verb, action, WriteFile) { Facts = facts.ToDictionary(static f => f.Item1, static f => f.Item2) });

    static FactValue Arguments(params (string, FactValue)[] members) => new FactValue.Record(members.ToDictionary(static m => m.Item1, static m => m.Item2));

    static Decision Decide(PolicyStore store, GatewayAction action) => store.DecideAsync(action, World.Now, TestContext.Current.CancellationToken).AsTask().GetAwaiter().GetResult();

    [Fact]
    public void Tool_is_an_action_of_its_own_and_of_its_verb_group_with_typed_arguments()
    {
        using var store = Store("""
            permit (principal, action == Mcp::Action::"files/write_file", resource) when { context has arguments.path && context.arguments.path like "/srv/*" };
            permit (principal, action in Action::"read", resource) when { context has arguments.options.tail && context.arguments.options.tail <= 10 };
            """);
        Assert.Equal(Verdict.Permit, Decide(store, Call(Verb.Write, "mcp:files/write_file", ("arguments", Arguments(("path", "/srv/a"))))).Verdict);
        Assert.Equal(Verdict.Deny, Decide(store, Call(Verb.Write, "mcp:files/write_file", ("arguments", Arguments(("path", "/etc/passwd"))))).Verdict);
        Assert.Equal(Verdict.Permit, Decide(store, Call(Verb.Read, "mcp:files/read_file", ("arguments", Arguments(("options", Arguments(("tail", 10L))))))).Verdict);
        Assert.Equal(Verdict.Deny, Decide(store, Call(Verb.Read, "mcp:files/read_file", ("arguments", Arguments(("options", Arguments(("tail", 11L))))))).Verdict);
    }

    [Fact]
    public void Policy_on_a_misspelt_argument_or_an_unknown_tool_does_not_load()
    {
        var schema = world.Cedar.Extend(Tools, out _)!;
        foreach (var text in (string[])
        [
            """permit (principal, action == Mcp::Action::"files/write_file", resource) when { context has arguments && context.arguments has paht && context.arguments.paht == "x" };""",
            """permit (principal, action == Mcp::Action::"files/delete_all", resource);""",
        ])
        {
            Assert.False(PolicyStore.TryOpen(world.Cedar, "", PolicySnapshot.Of([("p.cedar", text)]), new PolicyStoreOptions { Schema = schema }, out _, out var faults));
            Assert.NotEmpty(faults);
        }
    }

    [Fact]
    public void Effect_with_arguments_that_the_schema_does_not_have_is_denied()
    {
        using var store = Store("permit (principal, action, resource);");
        foreach (var arguments in (FactValue[])[Arguments(("path", 1L)), Arguments(("nope", "x")), "text"])
            Assert.Equal(ReasonCodes.PolicyError, Decide(store, Call(Verb.Write, "mcp:files/write_file", ("arguments", arguments))).ReasonCode);
        Assert.Equal(ReasonCodes.PolicyError, Decide(store, Call(Verb.Read, "mcp:files/write_file")).ReasonCode);
        Assert.Equal(ReasonCodes.PolicyError, Decide(store, Call(Verb.Write, "mcp:files/none")).ReasonCode);
    }

    [Fact]
    public void Unknown_tool_needs_a_review_unless_the_folder_says_otherwise()
    {
        using var quiet = Store("forbid (principal, action in Action::\"destroy\", resource);");
        var decision = Decide(quiet, Call(Verb.Administer, "mcp:unknown-tool", ("untyped", true)));
        Assert.Equal(Verdict.Review, decision.Verdict);
        Assert.Contains(decision.DeterminingPolicies, static p => p.Id == "countersign-default-unknown-tool");

        // However wide another permit is: a review that matches is required.
        using var wide = Store("permit (principal, action, resource);");
        Assert.Equal(Verdict.Review, Decide(wide, Call(Verb.Administer, "mcp:unknown-tool", ("untyped", true))).Verdict);

        using var closed = Store("forbid (principal, action == Mcp::Action::\"unknown-tool\", resource);");
        Assert.Equal(Verdict.Deny, Decide(closed, Call(Verb.Administer, "mcp:unknown-tool", ("untyped", true))).Verdict);
    }

    [Fact]
    public void Permit_without_review_does_not_hold_for_arguments_that_it_can_not_read()
    {
        var plain = Call(Verb.Write, "mcp:files/write_file", ("arguments", Arguments(("path", "/srv/a"))));
        var untyped = Call(Verb.Write, "mcp:files/write_file", ("arguments", Arguments(("path", "/srv/a"))), ("untyped", true));
        using var ignoring = Store("permit (principal, action, resource);");
        Assert.Equal(Verdict.Permit, Decide(ignoring, plain).Verdict);
        Assert.Equal(Verdict.Review, Decide(ignoring, untyped).Verdict);
        Assert.Equal(Verdict.Permit, Decide(ignoring, plain).Verdict); // and the cache keeps the two apart

        using var minding = Store("permit (principal, action in Mcp::Action::\"call-tool\", resource) unless { context has untyped && context.untyped && context.target.environment == \"moon\" };");
        Assert.Equal(Verdict.Permit, Decide(minding, untyped).Verdict);

        using var nobody = Store("permit (principal, action in Action::\"read\", resource);");
        Assert.Equal(Verdict.Deny, Decide(nobody, untyped).Verdict);
    }

    [Fact]
    public async Task What_no_scope_permits_or_an_unconditional_forbid_denies_could_not_be_permitted()
    {
        using var store = Store("""
            permit (principal in Group::"agents", action in Action::"write", resource) when { context has arguments.path && context.arguments.path == "never" };
            forbid (principal, action == Mcp::Action::"files/read_file", resource);
            permit (principal, action in Action::"read", resource);
            """);
        PolicyRequest Ask(Verb verb, string action) => new(World.Actors("agents"), World.Shop, Intent.None, new Effect(verb, action, WriteFile), World.Now);
        var could = await store.CouldPermitAsync([Ask(Verb.Write, "mcp:files/write_file"), Ask(Verb.Read, "mcp:files/read_file"), Ask(Verb.Write, "mcp:files/none")], TestContext.Current.CancellationToken);
        Assert.Equal([true, false, false], could);
    }

    [Fact]
    public void Other_schema_comes_into_force_with_the_policies_or_not_at_all()
    {
        using var folder = new TemporaryFolder();
        var file = Path.Combine(folder.Path, "p.cedar");
        File.WriteAllText(file, "permit (principal, action, resource);");
        Assert.True(PolicyStore.TryOpen(world.Cedar, folder.Path, out var store, out _));
        using var opened = store;
        Assert.Equal(ReasonCodes.PolicyError, Decide(store, Call(Verb.Write, "mcp:files/write_file")).ReasonCode);

        var extended = world.Cedar.Extend(Tools, out _)!;
        Assert.NotNull(store.Use(extended).Loaded);
        Assert.Equal(Verdict.Permit, Decide(store, Call(Verb.Write, "mcp:files/write_file")).Verdict);

        // A policy that names a tool holds on to the schema that has it.
        File.WriteAllText(file, "permit (principal, action == Mcp::Action::\"files/write_file\", resource);");
        Assert.NotNull(store.Reload().Loaded);
        var before = store.Current.Id;
        Assert.Null(store.Use(world.Cedar.Schema).Loaded);
        Assert.Equal(before, store.Current.Id);
        Assert.Empty(store.Reload().Diagnostics);
        Assert.Equal(Verdict.Permit, Decide(store, Call(Verb.Write, "mcp:files/write_file")).Verdict);
    }

    [Fact]
    public void Text_that_is_no_schema_extends_nothing()
    {
        Assert.Null(world.Cedar.Extend("action \"x/y\" in [\"nowhere\"];", out var errors));
        Assert.NotEmpty(errors);
    }

    sealed class TemporaryFolder : IDisposable
    {
        public string Path { get; } = Directory.CreateTempSubdirectory("countersign-mcp-").FullName;

        public void Dispose() => Directory.Delete(Path, recursive: true);
    }
}
