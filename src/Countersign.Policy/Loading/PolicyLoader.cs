using System.Text;
using System.Text.Json;
using Countersign.Policy.Cedar;
using Countersign.Policy.Evaluation;
using Countersign.Policy.Language;

namespace Countersign.Policy.Loading;

/// <summary>Declared → validated, with every error at once.</summary>
static class PolicyLoader
{
    sealed record Declared(SourceText Source, int Offset, string Text, string Id, JsonElement Json);

    /// <summary>The policies of a set, or what is wrong with it; policies are only to be used when there is no diagnostic.</summary>
    public static (IReadOnlyList<LoadedPolicy> Policies, IReadOnlyList<PolicyDiagnostic> Diagnostics) Load(CedarRuntime cedar, PolicySnapshot snapshot, PolicySchema schema)
    {
        var faults = new List<PolicyDiagnostic>(snapshot.Faults);
        var policies = new List<LoadedPolicy>();
        try
        {
            var declared = new List<Declared>();
            foreach (var (path, bytes) in snapshot.Files) Declare(cedar, path, bytes, declared, policies, faults);
            if (snapshot.Files.Count == 0 && faults.Count == 0)
                faults.Add(new PolicyDiagnostic(PolicyFaults.Empty, "there is no *.cedar file in the policy folder", "without a policy everything is denied; if that is meant, add one that says `forbid (principal, action, resource);`"));
            else if (policies.Count == 0 && faults.Count == 0)
                faults.Add(new PolicyDiagnostic(PolicyFaults.Empty, "there is no policy in the policy folder", "without a policy everything is denied; if that is meant, add one that says `forbid (principal, action, resource);`"));
            Duplicates(declared, faults);
            Validate(cedar, declared, schema, faults);
        }
        catch (CedarUnavailableException e)
        {
            faults.Add(new PolicyDiagnostic(PolicyFaults.Unavailable, e.Message));
        }
        return (policies, [.. faults.OrderBy(f => f.File, StringComparer.Ordinal).ThenBy(f => f.Line).ThenBy(f => f.Column).ThenBy(f => f.Message, StringComparer.Ordinal)]);
    }

    static void Declare(CedarRuntime cedar, string path, byte[] bytes, List<Declared> declared, List<LoadedPolicy> policies, List<PolicyDiagnostic> faults)
    {
        SourceText source;
        try { source = new SourceText(path, SourceText.Strict.GetString(bytes)); }
        catch (DecoderFallbackException)
        {
            faults.Add(new PolicyDiagnostic(PolicyFaults.Unreadable, "the file is not UTF-8", "save it as UTF-8", path));
            return;
        }

        using var parts = cedar.InvokeText("policySetTextToParts", source.Text);
        if (parts.RootElement.GetProperty("type").GetString() != "success")
        {
            foreach (var error in CedarError.ReadAll(parts.RootElement)) faults.Add(Fault(source, 0, PolicyFaults.Syntax, error));
            return;
        }
        foreach (var template in parts.RootElement.GetProperty("policy_templates").EnumerateArray())
            faults.Add(source.Fault(PolicyFaults.Template, Math.Max(0, source.Text.IndexOf(template.GetString()!, StringComparison.Ordinal)), "policy templates are not part of the language", "write the entity instead of the slot"));
        if (parts.RootElement.GetProperty("policy_templates").GetArrayLength() > 0) return; // places cannot be told apart

        var texts = InFileOrder([.. parts.RootElement.GetProperty("policies").EnumerateArray().Select(p => p.GetString()!)]);
        var offsets = source.Locate(texts) ?? throw new CedarUnavailableException($"cedar did not hand back the policies of `{path}` as they stand there");
        for (var n = 0; n < texts.Length; n++)
        {
            using var answer = cedar.Invoke("policyToJson", texts[n]);
            if (answer.RootElement.GetProperty("type").GetString() != "success")
            {
                foreach (var error in CedarError.ReadAll(answer.RootElement)) faults.Add(Fault(source, offsets[n], PolicyFaults.Syntax, error));
                continue;
            }
            var json = answer.RootElement.GetProperty("json").Clone();
            var isForbid = json.GetProperty("effect").GetString() != "permit";
            var namesApprove = Scope.NamesAction(json, "approve");
            var namesBreakGlass = Scope.NamesAction(json, "break-glass");
            var namesGateway = Scope.NamesResource(json, "Gateway");
            var mentions = new Mentions();
            mentions.Add(json);
            var places = SourceText.LocateAnnotations(texts[n]);
            var annotations = json.TryGetProperty("annotations", out var a)
                ? a.EnumerateObject().ToDictionary(x => x.Name, x => x.Value.GetString() ?? "", StringComparer.Ordinal)
                : [];
            var offset = offsets[n];
            var said = AnnotationLanguage.Read(annotations, isForbid, namesApprove || namesBreakGlass || namesGateway, (name, code, message, help) =>
                faults.Add(source.Fault(code, offset + places.GetValueOrDefault(name), message, help)));
            var id = said.Id ?? $"{path}:{n + 1}";
            declared.Add(new Declared(source, offset, texts[n], id, json));
            policies.Add(new LoadedPolicy
            {
                Id = id,
                Source = $"{path}:{source.Place(offset).Line}",
                Text = texts[n],
                IsForbid = isForbid,
                Reason = said.Reason,
                Controls = said.Controls,
                Requirements = [.. said.Requirements.Select(r => r with { Policies = [id] })],
                NamesApprove = namesApprove,
                NamesBreakGlass = namesBreakGlass,
                NamesGateway = namesGateway,
                NamesUnknownTool = Scope.NamesAction(json, "mcp:unknown-tool"),
                ReadsUntyped = mentions.WholeContext || mentions.Context.Contains("untyped"),
                Json = json,
            });
        }
    }

    /// <summary>Cedar hands policies back sorted by the names that it gave them, <c>policy0</c>, <c>policy1</c>, <c>policy10</c>, …: undone here.</summary>
    static string[] InFileOrder(string[] byName)
    {
        var numbers = Enumerable.Range(0, byName.Length).OrderBy(n => $"policy{n}", StringComparer.Ordinal).ToArray();
        var texts = new string[byName.Length];
        for (var i = 0; i < numbers.Length; i++) texts[numbers[i]] = byName[i];
        return texts;
    }

    static void Duplicates(List<Declared> declared, List<PolicyDiagnostic> faults)
    {
        var first = new Dictionary<string, Declared>(StringComparer.Ordinal);
        foreach (var policy in declared)
        {
            if (first.TryAdd(policy.Id, policy)) continue;
            var (line, column) = first[policy.Id].Source.Place(first[policy.Id].Offset);
            faults.Add(policy.Source.Fault(PolicyFaults.Id, policy.Offset, $"the id `{policy.Id}` is taken by the policy at {first[policy.Id].Source.File}:{line}:{column}", "give each policy an id of its own"));
        }
    }

    static void Validate(CedarRuntime cedar, List<Declared> declared, PolicySchema schema, List<PolicyDiagnostic> faults)
    {
        if (declared.Count == 0) return;
        // Under numbers, since ids may be taken twice.
        var texts = declared.Select((p, i) => (p, i)).ToDictionary(x => $"{x.i}", x => x.p.Text, StringComparer.Ordinal);
        using var answer = cedar.Invoke("validate", new { schema = schema.Text, policies = new { staticPolicies = texts }, validationSettings = new { mode = "strict" } });
        var root = answer.RootElement;
        if (root.GetProperty("type").GetString() != "success")
        {
            foreach (var error in CedarError.ReadAll(root)) faults.Add(new PolicyDiagnostic(PolicyFaults.Validation, error.Message, error.Help));
            return;
        }
        // A warning is a policy that can never apply, or a text that does not read as it looks: in a fence both are errors.
        foreach (var kind in new[] { "validationErrors", "validationWarnings" })
        {
            var seen = new HashSet<(int, int, string)>();
            foreach (var item in root.GetProperty(kind).EnumerateArray())
            {
                var number = int.Parse(item.GetProperty("policyId").GetString()!, System.Globalization.CultureInfo.InvariantCulture);
                var policy = declared[number];
                foreach (var error in CedarError.Read(item.GetProperty("error")))
                {
                    var message = error.Message.Replace($"for policy `{number}`, ", "", StringComparison.Ordinal);
                    // One fault of one expression is told once per action that the policy applies to: one place, one line is enough.
                    var about = message.IndexOf(" in context for Action::", StringComparison.Ordinal);
                    if (about >= 0) message = message[..about] + " in context" + (message.EndsWith(" not found", StringComparison.Ordinal) ? " not found" : "");
                    if (seen.Add((number, error.Start, message)))
                        faults.Add(Fault(policy.Source, policy.Offset, PolicyFaults.Validation, error with { Message = message }));
                }
            }
        }
    }

    static PolicyDiagnostic Fault(SourceText source, int offset, string code, CedarError error) =>
        error.Start < 0 && offset == 0
            ? new PolicyDiagnostic(code, error.Message, error.Help, source.File)
            : source.Fault(code, source.FromBytes(offset, Math.Max(0, error.Start)), error.Message, error.Help);
}
