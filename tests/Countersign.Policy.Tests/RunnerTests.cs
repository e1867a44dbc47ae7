namespace Countersign.Policy.Tests;

public sealed class RunnerTests(World world) : IDisposable
{
    readonly string folder = Directory.CreateTempSubdirectory("countersign-runner-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    const string Names = """
        users: { alice: { groups: [dba] } }
        agents: { claude: { owner: alice } }
        targets: { shop: { environment: prod } }
        classes: { pii: [GDPR] }
        resources: { orders: { type: Table, id: shop.public.orders } }
        tests:
        """;

    Task<PolicyTestReport> Run(string tests)
    {
        File.WriteAllText(Path.Combine(folder, "main.cedar"), "@id(\"w\") @review(\"dba\") permit (principal, action in Action::\"write\", resource);");
        File.WriteAllText(Path.Combine(folder, "main.test.yaml"), Names + "\n" + tests);
        return PolicyTestRunner.RunAsync(world.Cedar, folder);
    }

    static string One(string expect) => $"  - name: t\n    agent: claude\n    target: shop\n    action: sql:update\n    resource: orders\n    expect: {expect}\n";

    [Theory]
    [InlineData("{ decision: review }", null)]
    [InlineData("{ decision: review, reason: review-required, policies: [w], requirements: [{ groups: [dba], quorum: 1, expires: 15m }] }", null)]
    [InlineData("{ decision: permit }", "the decision is review (review-required), expected permit")]
    [InlineData("{ decision: deny }", "the decision is review (review-required), expected deny")]
    [InlineData("{ decision: review, reason: permitted }", "the reason is review-required, expected permitted")]
    [InlineData("{ decision: review, policies: [] }", "the determining policies are [w], expected []")]
    [InlineData("{ decision: review, policies: [w, x] }", "the determining policies are [w], expected [w, x]")]
    [InlineData("{ decision: review, requirements: [] }", "the requirements are [1 of dba within 15m], expected []")]
    [InlineData("{ decision: review, requirements: [{ groups: [dba], quorum: 2 }] }", "the requirements are [1 of dba within 15m], expected [2 of dba within 15m]")]
    [InlineData("{ decision: review, requirements: [{ groups: [dba], justify: true }] }", "the requirements are [1 of dba within 15m], expected [1 of dba within 15m, justified]")]
    [InlineData("{ decision: review, requirements: [{ groups: [dba], escalate: [sre@5m] }] }", "the requirements are [1 of dba within 15m], expected [1 of dba within 15m, escalating sre@5m]")]
    public async Task Expectation_holds_or_says_what_differs(string expect, string? failure)
    {
        var report = await Run(One(expect));
        Assert.Empty(report.Diagnostics);
        var result = Assert.Single(report.Results);
        Assert.Equal(("main.test.yaml", 7, "t"), (result.File, result.Line, result.Name));
        Assert.Equal(failure is null ? [] : [failure], result.Failures);
        Assert.Equal(failure is null, report.Passed);
    }

    [Theory]
    [InlineData("{ decision: maybe }", "not a decision")]
    [InlineData("{ decision: deny, becuase: x }", "`becuase` is not a key here")]
    [InlineData("{}", "`decision` is missing")]
    public async Task Expectation_that_cannot_be_read_is_a_fault(string expect, string message)
    {
        var report = await Run(One(expect));
        Assert.Contains(message, Assert.Single(report.Diagnostics).Message, StringComparison.Ordinal);
        Assert.False(report.Passed);
    }

    [Theory]
    [InlineData("agent: claude", "agent: clyde", "`clyde` is not under `agents`", 8)]
    [InlineData("action: sql:update", "action: sql:updaet", "`sql:updaet` is not an action", 10)]
    [InlineData("resource: orders", "resource: other", "`other` is not under `resources`", 11)]
    [InlineData("target: shop", "targt: shop", "`target` is missing", 7)]
    [InlineData("resource: orders", "resource: orders\n    factz: {}", "`factz` is not a key here", 12)]
    [InlineData("expect:", "at: noon\n    expect:", "`noon` is not a time", 12)]
    [InlineData("name: t", "name: [t", "is not YAML", 0)]
    public async Task Name_or_key_that_is_not_known_is_a_fault_at_its_place(string from, string to, string message, int line)
    {
        var report = await Run(One("{ decision: review }").Replace(from, to, StringComparison.Ordinal));
        var fault = Assert.Single(report.Diagnostics);
        Assert.Contains(message, fault.Message, StringComparison.Ordinal);
        Assert.Equal(("main.test.yaml", PolicyTestRunner.TestFileFault), (fault.File, fault.Code));
        if (line > 0) Assert.Equal(line, fault.Line);
        Assert.False(report.Passed);
    }

    [Fact]
    public async Task Folder_without_tests_has_not_passed()
    {
        var report = await Run("  []");
        Assert.Empty(report.Diagnostics);
        Assert.False(report.Passed);
    }

    [Fact]
    public async Task Fact_that_the_schema_lacks_fails_the_test()
    {
        var report = await Run(One("{ decision: review }").Replace("resource: orders", "resource: orders\n    facts: { wher: true }", StringComparison.Ordinal));
        Assert.Contains("`wher` does not exist in the schema", Assert.Single(Assert.Single(report.Results).Failures), StringComparison.Ordinal);
    }
}
