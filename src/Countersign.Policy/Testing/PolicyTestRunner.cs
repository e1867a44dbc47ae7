using System.Globalization;
using Countersign.Core;
using Countersign.Policy.Cedar;
using Countersign.Policy.Language;
using Countersign.Policy.Testing;
using YamlDotNet.Core;

namespace Countersign.Policy;

/// <summary>How one policy test went.</summary>
/// <param name="File">Path relative to the folder, with <c>/</c>.</param>
/// <param name="Line">Where the test begins, from 1.</param>
/// <param name="Name">Its name.</param>
/// <param name="Failures">What was not as expected; empty when it passed.</param>
public sealed record PolicyTestResult(string File, int Line, string Name, IReadOnlyList<string> Failures)
{
    /// <summary>Whether everything was as expected.</summary>
    public bool Passed => Failures.Count == 0;
}

/// <summary>How the policy tests of a folder went.</summary>
/// <param name="Revision">The policy set that was tested.</param>
/// <param name="Diagnostics">Errors of the policies or of the test files; with any of the policies', nothing was run.</param>
/// <param name="Results">One per test, by file and place.</param>
public sealed record PolicyTestReport(Revision Revision, IReadOnlyList<PolicyDiagnostic> Diagnostics, IReadOnlyList<PolicyTestResult> Results)
{
    /// <summary>Whether everything loaded and every test passed. A folder without tests has not passed.</summary>
    public bool Passed => Diagnostics.Count == 0 && Results.Count > 0 && Results.All(r => r.Passed);
}

/// <summary>Runs the <c>*.test.yaml</c> files of a policy folder against the policies of the same folder: `policy test`.</summary>
public static class PolicyTestRunner
{
    /// <summary>Code of a diagnostic about a test file.</summary>
    public const string TestFileFault = "test-file";

    /// <summary>Runs every test under <paramref name="folder"/>.</summary>
    public static async Task<PolicyTestReport> RunAsync(CedarRuntime cedar, string folder, CancellationToken cancellation = default)
    {
        if (!PolicyStore.TryOpen(cedar, folder, out var store, out var diagnostics))
            return new PolicyTestReport(new Revision("", null), diagnostics, []);
        using var _ = store;
        return await RunAsync(store, folder, cancellation);
    }

    /// <summary>The test files under a folder; like policies, none under a name that begins with a dot.</summary>
    public static IEnumerable<string> FilesOf(string folder) => !Directory.Exists(folder) ? [] : Directory.EnumerateFiles(folder, "*.test.yaml", SearchOption.AllDirectories)
        .Where(p => !Path.GetRelativePath(folder, p).Split(Path.DirectorySeparatorChar).Any(static part => part.StartsWith('.'))).Order(StringComparer.Ordinal);

    /// <summary>Runs every test under <paramref name="folder"/> against policies that need not be its own.</summary>
    public static async Task<PolicyTestReport> RunAsync(PolicyStore store, string folder, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(store);
        var faults = new List<PolicyDiagnostic>();
        var results = new List<PolicyTestResult>();
        foreach (var path in FilesOf(folder))
        {
            var name = Path.GetRelativePath(folder, path).Replace('\\', '/');
            try
            {
                foreach (var test in PolicyTestFile.Read(await File.ReadAllTextAsync(path, SourceText.Strict, cancellation)))
                    results.Add(new PolicyTestResult(name, test.Line, test.Name, await FailuresAsync(store, test, cancellation)));
            }
            catch (TestFileException e)
            {
                faults.Add(new PolicyDiagnostic(TestFileFault, e.Message, null, name, (int)e.At.Line, (int)e.At.Column));
            }
            catch (YamlException e)
            {
                faults.Add(new PolicyDiagnostic(TestFileFault, $"the file is not YAML: {e.Message}", null, name, (int)e.Start.Line, (int)e.Start.Column));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or System.Text.DecoderFallbackException)
            {
                faults.Add(new PolicyDiagnostic(TestFileFault, $"the file cannot be read: {e.Message}", null, name));
            }
        }
        return new PolicyTestReport(store.Current.Id, faults, results);
    }

    static async Task<IReadOnlyList<string>> FailuresAsync(PolicyStore store, PolicyTest test, CancellationToken cancellation)
    {
        var failures = new List<string>();
        string decision, reason;
        string[] policies, errors;
        IReadOnlyList<Requirement> requirements = [];
        if (test.Approve is not null || test.Administer is not null)
        {
            var answer = test.Approve is { } question ? await store.CanApproveAsync(question, cancellation) : await store.CanAdministerAsync(test.Administer!, cancellation);
            (decision, reason) = (answer.Permitted ? "permit" : "deny", answer.ReasonCode);
            policies = [.. answer.Policies.Select(p => p.Id)];
            errors = [.. answer.Errors];
        }
        else
        {
            var answer = await store.DecideAsync(test.Action!, test.Context, cancellation);
            (decision, reason) = (answer.Verdict.ToString().ToLowerInvariant(), answer.ReasonCode);
            policies = [.. answer.DeterminingPolicies.Select(p => p.Id)];
            requirements = answer.Requirements;
            errors = [.. answer.Effects.SelectMany(e => e.Errors)];
        }

        var expect = test.Expect;
        if (decision != expect.Decision) failures.Add($"the decision is {decision} ({reason}{(errors.Length > 0 ? ": " + string.Join("; ", errors) : "")}), expected {expect.Decision}");
        if (expect.Reason is not null && reason != expect.Reason) failures.Add($"the reason is {reason}, expected {expect.Reason}");
        if (expect.Policies is not null && !policies.ToHashSet(StringComparer.Ordinal).SetEquals(expect.Policies))
            failures.Add($"the determining policies are [{string.Join(", ", policies)}], expected [{string.Join(", ", expect.Policies)}]");
        if (expect.Requirements is not null)
        {
            var actual = requirements.Select(Describe).Order(StringComparer.Ordinal).ToArray();
            var expected = expect.Requirements.Select(Describe).Order(StringComparer.Ordinal).ToArray();
            if (!actual.SequenceEqual(expected, StringComparer.Ordinal))
                failures.Add($"the requirements are [{string.Join(" and ", actual)}], expected [{string.Join(" and ", expected)}]");
        }
        return failures;
    }

    static string Describe(Requirement r)
    {
        var text = string.Create(CultureInfo.InvariantCulture, $"{r.Quorum} of {string.Join('|', r.Groups)} within {Duration.Format(r.Expires)}");
        if (r.Stage > 0) text = $"then ({r.Stage + 1}) {text}";
        if (r.Justify) text += ", justified" + string.Concat(r.JustifyPatterns.Select(p => $" /{p}/"));
        if (r.TicketPatterns.Count > 0) text += ", ticket" + string.Concat(r.TicketPatterns.Select(p => $" /{p}/"));
        if (r.StepUp != StepUp.None) text += ", stepup passkey";
        if (r.Edit) text += ", edit";
        if (r.Grant is { } grant) text += string.Create(CultureInfo.InvariantCulture, $", grant {Duration.Format(grant.For)} {grant.Uses}");
        return r.Escalations.Count == 0 ? text : text + ", escalating " + string.Join(',', r.Escalations.Select(e => $"{string.Join('|', e.Groups)}@{Duration.Format(e.After)}"));
    }
}
