using Countersign.Core;

namespace Countersign.Policy.Tests.Language;

public sealed class AnnotationTests(World world)
{
    const string Permit = " permit (principal, action in Action::\"write\", resource);";

    PolicyDiagnostic Fault(string annotations, string policy = Permit) => Assert.Single(world.Faults(annotations + policy));

    [Theory]
    [InlineData("@reveiw(\"dba\")", "did you mean `@review`?")]
    [InlineData("@owner(\"dba\")", "the annotations are")]
    [InlineData("@Review(\"dba\")", "did you mean `@review`?")]
    public void Unknown_annotation_is_an_error(string text, string help)
    {
        var fault = Fault(text);
        Assert.Equal((PolicyFaults.UnknownAnnotation, "main.cedar", 1, 1), (fault.Code, fault.File, fault.Line, fault.Column));
        Assert.Contains(help, fault.Help, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("@preview(\"rows\")")]
    [InlineData("@maxrows(\"100\")")]
    public void Annotation_whose_mechanism_is_missing_is_an_error(string text) =>
        Assert.Equal(PolicyFaults.NotInThisBuild, Fault($"@review(\"dba\") {text}").Code);

    [Theory]
    [InlineData("@review(\"\")")]
    [InlineData("@review")]
    [InlineData("@review(\"dba,\")")]
    [InlineData("@review(\"d|ba\")")]
    [InlineData("@review(\"d@ba\")")]
    [InlineData("@review(\"dba\") @quorum(\"0\")")]
    [InlineData("@review(\"dba\") @quorum(\"17\")")]
    [InlineData("@review(\"dba\") @quorum(\"two\")")]
    [InlineData("@review(\"dba\") @quorum(\" 2\")")]
    [InlineData("@review(\"dba\") @quorum(\"-1\")")]
    [InlineData("@review(\"dba\") @quorum")]
    [InlineData("@review(\"dba\") @expires(\"15\")")]
    [InlineData("@review(\"dba\") @expires(\"15 m\")")]
    [InlineData("@review(\"dba\") @expires(\"9s\")")]
    [InlineData("@review(\"dba\") @expires(\"8d\")")]
    [InlineData("@review(\"dba\") @expires(\"9999999m\")")]
    [InlineData("@review(\"dba\") @escalate(\"sre\")")]
    [InlineData("@review(\"dba\") @escalate(\"@10m\")")]
    [InlineData("@review(\"dba\") @escalate(\"sre@15m\")")] // when it has expired by default
    [InlineData("@review(\"dba\") @expires(\"1h\") @escalate(\"sre@10m,lead\")")]
    [InlineData("@review(\"dba\") @justify(\"maybe\")")]
    [InlineData("@review(\"dba\") @stepup(\"webauthn\")")]
    [InlineData("@review(\"dba\") @stepup")]
    [InlineData("@review(\"dba\") @stepup(\"\")")]
    [InlineData("@review(\"dba\") @stepup(\"Passkey\")")]
    [InlineData("@review(\"dba & dba\")")]
    [InlineData("@review(\"dba &\")")]
    [InlineData("@review(\"dba > \")")]
    [InlineData("@review(\"a & b & c & d & e & f & g & h & i\")")]
    [InlineData("@review(\"dba & sre\") @quorum(\"1 > 1\")")]
    [InlineData("@review(\"dba & sre\") @quorum(\"1 & 0\")")]
    [InlineData("@review(\"dba\") @justify(\"//\")")]
    [InlineData("@review(\"dba\") @justify(\"/(/\")")]
    [InlineData("@review(\"dba\") @justify(\"/(?=a)/\")")]
    [InlineData("@review(\"dba\") @ticket(\"OPS\")")]
    [InlineData("@review(\"dba\") @edit")]
    [InlineData("@review(\"dba\") @edit(\"yes\")")]
    [InlineData("@review(\"dba\") @grant(\"30s\")")]
    [InlineData("@review(\"dba\") @grant(\"13h\")")]
    [InlineData("@review(\"dba\") @grant(\"30m, 0\")")]
    [InlineData("@review(\"dba\") @grant")]
    [InlineData("@control(\"CC8.1\")")]
    [InlineData("@control(\"SOC2:\")")]
    [InlineData("@control(\"SOC2:CC8.1,,\")")]
    [InlineData("@reason(\"\")")]
    [InlineData("@reason(\"two\\nlines\")")]
    public void Bad_value_is_an_error(string text) => Assert.Equal(PolicyFaults.BadAnnotation, Fault(text).Code);

    [Theory]
    [InlineData("@id(\"\")")]
    [InlineData("@id(\"a b\")")]
    [InlineData("@id(\"main.cedar:1\")")] // could be taken for another policy's default id
    [InlineData("@id(\"ünïcode\")")]
    public void Bad_id_is_an_error(string text) => Assert.Equal(PolicyFaults.Id, Fault(text).Code);

    [Theory]
    [InlineData("@review(\"dba\")")]
    [InlineData("@quorum(\"2\")")]
    [InlineData("@expires(\"1h\")")]
    [InlineData("@escalate(\"sre@1m\")")]
    [InlineData("@justify")]
    public void Requirement_on_a_forbid_is_an_error(string text) =>
        Assert.Equal(PolicyFaults.MisplacedAnnotation, Fault(text, " forbid (principal, action in Action::\"write\", resource);").Code);

    [Theory]
    [InlineData("@quorum(\"2\")")]
    [InlineData("@expires(\"1h\")")]
    [InlineData("@escalate(\"sre@1m\")")]
    [InlineData("@justify")]
    public void Requirement_without_review_is_an_error(string text) => Assert.Equal(PolicyFaults.MisplacedAnnotation, Fault(text).Code);

    [Fact]
    public void Requirement_on_an_approve_policy_is_an_error() =>
        Assert.Equal(PolicyFaults.MisplacedAnnotation, Fault("@review(\"dba\")", " permit (principal, action == Action::\"approve\", resource);").Code);

    [Fact]
    public void All_annotations_together_make_the_requirement_that_they_say()
    {
        using var store = world.Store("""
            @id("all") @review("sre , dba,dba") @quorum("3") @expires("2h") @escalate("leads@1h, cto|ceo@90m") @justify("required")
            @control("SOC2:CC8.1, GDPR:32") @reason("because \"so\"")
            permit (principal, action in Action::"write", resource);
            @review("dba") @justify
            permit (principal, action in Action::"destroy", resource);
            """);
        Assert.Equal(new Requirement
        {
            Groups = ["dba", "sre"],
            Quorum = 3,
            Expires = TimeSpan.FromHours(2),
            Justify = true,
            Escalations = [new Escalation(["leads"], TimeSpan.FromHours(1)), new Escalation(["ceo", "cto"], TimeSpan.FromMinutes(90))],
            Policies = ["all"],
        }, Assert.Single(store.Current.Policies[0].Requirements));
        Assert.Equal(["SOC2:CC8.1", "GDPR:32"], store.Current.Policies[0].Controls);
        Assert.Equal("because \"so\"", store.Current.Policies[0].Reason);
        Assert.Equal(new Requirement { Groups = ["dba"], Quorum = 1, Expires = TimeSpan.FromMinutes(15), Justify = true, Policies = ["main.cedar:2"] }, Assert.Single(store.Current.Policies[1].Requirements));
        Assert.Equal("main.cedar:4", store.Current.Policies[1].Source);
    }

    [Fact]
    public void Terms_and_stages_make_the_requirements_that_they_say()
    {
        using var store = world.Store("""
            @id("all") @review("dba, sre & security > oncall:cto") @quorum("2 & 1 > 1") @justify("/[A-Z]+-[0-9]+/") @ticket("/OPS-[0-9]+/") @grant("30m, 5")
            permit (principal, action in Action::"write", resource);
            @review("a & b") @quorum("3") @grant("1h") @edit("allowed")
            permit (principal, action in Action::"destroy", resource);
            """);
        Requirement Of(int stage, int quorum, params string[] groups) => new()
        {
            Stage = stage,
            Groups = groups,
            Quorum = quorum,
            Expires = TimeSpan.FromMinutes(15),
            Justify = true,
            JustifyPatterns = ["[A-Z]+-[0-9]+"],
            TicketPatterns = ["OPS-[0-9]+"],
            Grant = new GrantTerms(TimeSpan.FromMinutes(30), 5),
            Policies = ["all"],
        };
        Assert.Equal([Of(0, 2, "dba", "sre"), Of(0, 1, "security"), Of(1, 1, "oncall:cto")], store.Current.Policies[0].Requirements);
        Assert.Equal((false, true), (store.Current.Policies[0].Requirements.Any(static r => r.Edit), store.Current.Policies[1].Requirements.All(static r => r.Edit)));
        Assert.Equal([(0, 3, "a", 10), (0, 3, "b", 10)], store.Current.Policies[1].Requirements.Select(static r => (r.Stage, r.Quorum, r.Groups[0], r.Grant!.Uses)));
    }

    [Fact]
    public void Every_error_of_a_set_is_told_at_once_with_its_place()
    {
        var faults = world.Load(null,
            ("a.cedar", "// é permit (principal, action, resource);\n@review(\"dba\")\n  @quorum(\"x\") @nope // @expires(\n  @expires ( \"1y\" )\npermit (principal, action in Action::\"write\", resource);\n"),
            ("b.cedar", "permit (principal, action in Action::\"write\", resource) when { context.wher };\n\n@id(\"é\")\nforbid (principal, action in Action::\"writ\", resource);"),
            ("c.cedar", "permit (principal, action, resource) when { \"é\" == resourc.x };"),
            ("d/e.cedar", "permit (principal == ?principal, action, resource);"),
            ("f.cedar", "@id(\"x\") permit (principal, action in Action::\"read\", resource);\n@id(\"x\") permit (principal, action in Action::\"read\", resource);")).Diagnostics;
        var told = faults.Select(f => $"{f.File}:{f.Line}:{f.Column} {f.Code}").ToArray();
        Assert.Equal([
            "a.cedar:3:3 bad-annotation",
            "a.cedar:3:16 unknown-annotation",
            "a.cedar:4:3 bad-annotation",
            "b.cedar:1:64 validation",
            "b.cedar:3:1 id",
            "b.cedar:3:1 validation",   // it can never apply
            "b.cedar:4:30 validation",  // for there is no such action
            "c.cedar:1:52 syntax",
            "d/e.cedar:1:1 template",
            "f.cedar:2:1 id",
        ], told);
        Assert.Equal("did you mean `where`?", faults.Single(f => f is { File: "b.cedar", Line: 1 }).Help);
        Assert.Equal("f.cedar:2:1: id: the id `x` is taken by the policy at f.cedar:1:1; give each policy an id of its own", faults[^1].ToString());
    }
}
