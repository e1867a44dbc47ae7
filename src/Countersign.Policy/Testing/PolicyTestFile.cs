using System.Globalization;
using Countersign.Core;
using Countersign.Policy.Language;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Countersign.Policy.Testing;

/// <summary>What a test expects.</summary>
sealed record Expectation(string Decision, string? Reason, IReadOnlyList<string>? Policies, IReadOnlyList<Requirement>? Requirements);

/// <summary>One test of a file: an action to decide, or a question who may approve.</summary>
sealed record PolicyTest(string Name, int Line, GatewayAction? Action, DecisionContext Context, ApproveRequest? Approve, AdministerRequest? Administer, Expectation Expect);

/// <summary>Reads <c>*.test.yaml</c> (docs/spec/policy.md): names first, then tests in their terms. Unknown keys and names are errors.</summary>
sealed class PolicyTestFile
{
    /// <summary>The time of a test that says none: a Sunday noon.</summary>
    static readonly DateTimeOffset DefaultTime = new(2026, 11, 22, 12, 0, 0, TimeSpan.Zero);

    readonly Dictionary<string, ActorChain> agents = new(StringComparer.Ordinal);
    readonly Dictionary<string, (PrincipalRef User, IReadOnlyList<string> Groups)> users = new(StringComparer.Ordinal);
    readonly Dictionary<string, TargetRef> targets = new(StringComparer.Ordinal);
    readonly Dictionary<string, IReadOnlyList<string>> classes = new(StringComparer.Ordinal);
    readonly Dictionary<string, ResourceRef> resources = new(StringComparer.Ordinal);
    readonly List<PolicyTest> tests = [];

    /// <summary>The tests of a text.</summary>
    /// <exception cref="TestFileException">It is not such a file.</exception>
    /// <exception cref="YamlException">It is not YAML.</exception>
    public static IReadOnlyList<PolicyTest> Read(string text)
    {
        var stream = new YamlStream();
        try { stream.Load(new StringReader(text)); }
        catch (Exception e) when (e is InvalidOperationException or ArgumentException) // what YamlDotNet throws for some texts that are not YAML
        {
            throw new TestFileException($"the file is not YAML: {e.Message}", new Mark(0, 1, 1));
        }
        if (stream.Documents.Count != 1) throw new TestFileException("the file must hold one YAML document", new Mark(0, 1, 1));
        var file = new PolicyTestFile();
        file.Read(new YamlReader(stream.Documents[0].RootNode));
        return file.tests;
    }

    void Read(YamlReader root)
    {
        Each(root.Find("users"), (name, node) =>
        {
            var user = new YamlReader(node);
            users.Add(name, (new PrincipalRef(PrincipalKind.User, new OpaqueId("us_" + name), name), user.List("groups")));
            user.Done();
        });
        Each(root.Find("agents"), (name, node) =>
        {
            var agent = new YamlReader(node);
            agents.Add(name, new ActorChain(
                new PrincipalRef(PrincipalKind.Agent, new OpaqueId("ag_" + name), name),
                User(agent.Take("owner")).User,
                agent.Find("for") is { } other ? User(other).User : null)
            {
                Groups = agent.List("groups"),
                Via = agent.Find("via") is { } via ? [.. YamlReader.Sequence(via).Select(v => User(v).User)] : [],
            });
            agent.Done();
        });
        Each(root.Find("targets"), (name, node) =>
        {
            var target = new YamlReader(node);
            targets.Add(name, new TargetRef(name, target.Text("kind") ?? "postgres", target.Required("environment")));
            target.Done();
        });
        Each(root.Find("classes"), (name, node) => classes.Add(name, YamlReader.Strings(node)));
        Each(root.Find("resources"), (name, node) =>
        {
            var resource = new YamlReader(node);
            var names = resource.List("classes");
            resources.Add(name, new ResourceRef(resource.Required("type"), resource.Text("id") ?? name)
            {
                Parents = [.. resource.List("parents").Select(p => Parent(p, resource.At))],
                DataClasses = names,
            });
            foreach (var missing in names.Where(c => !classes.ContainsKey(c))) throw new TestFileException($"the class `{missing}` is not under `classes`", resource.At);
            resource.Done();
        });
        foreach (var node in YamlReader.Sequence(root.Take("tests"))) Test(new YamlReader(node));
        root.Done();
    }

    static void Each(YamlNode? node, Action<string, YamlNode> take)
    {
        if (node is null) return;
        foreach (var (key, value) in new YamlReader(node).Members()) take(key, value);
    }

    static (string, string) Parent(string text, Mark at)
    {
        var colons = text.IndexOf("::", StringComparison.Ordinal);
        return colons > 0 && colons + 2 < text.Length ? (text[..colons], text[(colons + 2)..]) : throw new TestFileException($"`{text}` is not a parent; write `Type::id`", at);
    }

    (PrincipalRef User, IReadOnlyList<string> Groups) User(YamlNode node) => Known(users, node, "users");

    static T Known<T>(Dictionary<string, T> names, YamlNode node, string where) =>
        names.TryGetValue(YamlReader.Scalar(node), out var value) ? value : throw new TestFileException($"`{YamlReader.Scalar(node)}` is not under `{where}`", node.Start);

    void Test(YamlReader test)
    {
        var name = test.Required("name");
        var line = (int)test.At.Line;
        var now = test.Find("at") is { } at ? Time(at) : DefaultTime;
        var context = new DecisionContext { Now = now, Frameworks = classes, HumanGroups = users.Values.ToDictionary(u => u.User.Id, u => u.Groups) };
        var intent = Intent.None;
        if (test.Find("intent") is { } said)
        {
            var claims = new YamlReader(said);
            intent = new Intent(claims.Text("reason"), claims.Text("ticket"), claims.Text("task"), claims.Text("model"));
            claims.Done();
        }
        GatewayAction? action = null;
        ApproveRequest? approve = null;
        AdministerRequest? administer = null;
        if (test.Find("administer") is { } what)
        {
            var (who, groups) = User(test.Take("user"));
            var named = $"countersign:{YamlReader.Scalar(what)}";
            if (!AdministerActions.All.Contains(named)) throw new TestFileException($"`{YamlReader.Scalar(what)}` is not there to administer; write one of {string.Join(", ", AdministerActions.All.Select(a => a["countersign:".Length..]))}", what.Start);
            administer = new AdministerRequest(who, groups, named, test.Text("channel") ?? "cli", now);
        }
        else if (test.Find("user") is { } user) approve = Approve(test, user, intent, now);
        else
        {
            action = new GatewayAction
            {
                Id = new ActionId("ac_test"),
                Actors = Known(agents, test.Take("agent"), "agents"),
                Target = Known(targets, test.Take("target"), "targets"),
                Effects = test.Find("effects") is { } several ? [.. YamlReader.Sequence(several).Select(e => Effect(new YamlReader(e), done: true))] : [Effect(test, done: false)],
                Payload = new ActionPayload("test", "test", default) { DisplayText = "" },
                Settings = new Dictionary<string, string>(),
                Intent = intent,
            };
        }
        var expect = Expect(new YamlReader(test.Take("expect")));
        test.Done();
        tests.Add(new PolicyTest(name, line, action, context, approve, administer, expect));
    }

    Effect Effect(YamlReader node, bool done)
    {
        var action = node.Take("action");
        var id = YamlReader.Scalar(action);
        if (!SqlVocabulary.Actions.TryGetValue(id, out var verb)) throw new TestFileException($"`{id}` is not an action", action.Start);
        var facts = new Dictionary<string, FactValue>(StringComparer.Ordinal);
        Each(node.Find("facts"), (name, value) => facts.Add(name, YamlReader.Value(value) switch
        {
            bool flag => flag,
            long number => number,
            IReadOnlyList<string> set => FactValue.Of(set),
            var text => (string)text,
        }));
        var effect = new Effect(verb, id, Known(resources, node.Take("resource"), "resources")) { Facts = facts };
        if (done) node.Done();
        return effect;
    }

    ApproveRequest Approve(YamlReader test, YamlNode user, Intent intent, DateTimeOffset now)
    {
        var (principal, groups) = User(user);
        var review = new YamlReader(test.Take("review"));
        var facts = new ReviewFacts
        {
            Id = "rv_test",
            Actors = Known(agents, review.Take("agent"), "agents"),
            Target = Known(targets, review.Take("target"), "targets"),
            Groups = review.List("groups"),
            Verbs = [.. review.List("verbs").Select(v => Enum.TryParse<Verb>(v, ignoreCase: true, out var verb) ? verb : throw new TestFileException($"`{v}` is not a verb", review.At))],
            DataClasses = review.List("classes"),
            Intent = intent,
        };
        review.Done();
        var breakGlass = test.Find("break-glass") is { } glass && YamlReader.Value(glass) is true;
        return new ApproveRequest(principal, groups, facts, test.Text("channel") ?? "cli", now) { BreakGlass = breakGlass };
    }

    static DateTimeOffset Time(YamlNode node) =>
        DateTimeOffset.TryParse(YamlReader.Scalar(node), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time)
            ? time : throw new TestFileException($"`{YamlReader.Scalar(node)}` is not a time; write it as 2026-11-22T10:00:00Z", node.Start);

    static Expectation Expect(YamlReader expect)
    {
        var decision = expect.Required("decision");
        if (decision is not ("permit" or "review" or "deny")) throw new TestFileException($"`{decision}` is not a decision; write permit, review or deny", expect.At);
        var result = new Expectation(
            decision,
            expect.Text("reason"),
            expect.Find("policies") is { } policies ? YamlReader.Strings(policies) : null,
            expect.Find("requirements") is { } requirements ? [.. YamlReader.Sequence(requirements).Select(r => Requirement(new YamlReader(r)))] : null);
        expect.Done();
        return result;
    }

    static Requirement Requirement(YamlReader node)
    {
        var justify = node.Find("justify") is { } j ? YamlReader.Value(j) : null;
        var requirement = new Requirement
        {
            Groups = [.. node.List("groups").Order(StringComparer.Ordinal)],
            Quorum = node.Find("quorum") is { } q && YamlReader.Value(q) is long quorum ? checked((int)quorum) : 1,
            Expires = node.Find("expires") is { } e ? Span(e) : AnnotationLimits.DefaultExpiry,
            Stage = node.Find("stage") is { } stage && YamlReader.Value(stage) is long n ? checked((int)n) - 1 : 0,
            Justify = justify is true or string,
            JustifyPatterns = justify is string pattern ? [pattern] : [],
            TicketPatterns = node.Text("ticket") is { } ticket ? [ticket] : [],
            StepUp = node.Text("stepup") switch
            {
                null => StepUp.None,
                "passkey" => StepUp.Passkey,
                var other => throw new TestFileException($"`{other}` is not a step-up; write `passkey`", node.At),
            },
            Grant = node.Find("grant") is { } g ? GrantOf(g) : null,
            Edit = node.Find("edit") is { } edit && YamlReader.Value(edit) is true,
            Escalations = [.. node.List("escalate").Select(s => Step(s, node.At)).OrderBy(s => s.After).ThenBy(s => string.Join('\0', s.Groups), StringComparer.Ordinal)],
        };
        node.Done();
        return requirement;
    }

    static GrantTerms GrantOf(YamlNode node)
    {
        var parts = YamlReader.Scalar(node).Split(',', StringSplitOptions.TrimEntries);
        return parts.Length == 2 && Duration.TryParse(parts[0], out var time) && int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out var uses)
            ? new GrantTerms(time, uses)
            : throw new TestFileException($"`{YamlReader.Scalar(node)}` is not a grant; write `30m, 10`", node.Start);
    }

    static TimeSpan Span(YamlNode node) =>
        Duration.TryParse(YamlReader.Scalar(node), out var span) ? span : throw new TestFileException($"`{YamlReader.Scalar(node)}` is not a duration; write a number and s, m, h or d", node.Start);

    static Escalation Step(string text, Mark place)
    {
        var at = text.LastIndexOf('@');
        return at > 0 && Duration.TryParse(text[(at + 1)..], out var after)
            ? new Escalation([.. text[..at].Split('|').Order(StringComparer.Ordinal)], after)
            : throw new TestFileException($"`{text}` is not an escalation; write `group@10m`", place);
    }
}
