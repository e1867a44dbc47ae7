using System.Diagnostics;
using Countersign.Policy.Loading;

namespace Countersign.Policy.Tests.Loading;

/// <summary>History as real git writes it: loose, packed, with deltas, merged.</summary>
public sealed class GitHistoryTests : IDisposable
{
    readonly string folder = Directory.CreateTempSubdirectory("countersign-git-").FullName;
    readonly string policies;
    long clock = 1_790_000_000;

    public GitHistoryTests()
    {
        policies = Path.Combine(folder, "ops", "policies");
        Directory.CreateDirectory(policies);
        Git("init", "-q", "-b", "main");
    }

    public void Dispose() => Directory.Delete(folder, recursive: true);

    string Git(params string[] arguments) => GitAs("nobody@example.org", arguments);

    string GitAs(string mail, params string[] arguments)
    {
        var start = new ProcessStartInfo("git", ["-C", folder, "-c", "user.name=x", "-c", $"user.email={mail}", "-c", "commit.gpgsign=false", .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["GIT_CONFIG_GLOBAL"] = "/dev/null";
        start.Environment["GIT_CONFIG_SYSTEM"] = "/dev/null";
        start.Environment["GIT_AUTHOR_DATE"] = start.Environment["GIT_COMMITTER_DATE"] = $"{clock += 60} +0000";
        using var git = Process.Start(start)!;
        var output = git.StandardOutput.ReadToEnd();
        var errors = git.StandardError.ReadToEnd();
        git.WaitForExit();
        Assert.True(git.ExitCode == 0, errors);
        return output.Trim();
    }

    string Commit(string mail, string file, string text)
    {
        File.WriteAllText(Path.Combine(folder, file), text);
        GitAs(mail, "add", "-A");
        GitAs(mail, "commit", "-q", "-m", "change");
        return Git("rev-parse", "HEAD");
    }

    IReadOnlyList<string> Authors(string? since, long notBefore = 0) => GitHistory.Authors(policies, since, DateTimeOffset.FromUnixTimeSeconds(notBefore));

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Authors_are_those_whose_commits_changed_the_folder(bool packed)
    {
        var first = Commit("Alice@Example.org", "ops/policies/a.cedar", "permit (principal, action, resource); // " + new string('x', 2000));
        var long1 = Commit("bob@example.org", "README", "not a policy");
        Commit("carol@example.org", "ops/policies/a.cedar", "forbid (principal, action, resource); // " + new string('x', 2000));
        Git("checkout", "-q", "-b", "side", first);
        Commit("dave@example.org", "ops/policies/b.cedar", "permit (principal, action, resource);");
        Git("checkout", "-q", "main");
        GitAs("erin@example.org", "merge", "-q", "--no-ff", "-m", "merge", "side");
        if (packed)
        {
            Git("repack", "-a", "-d", "-f", "-q", "--depth=50");
            Git("pack-refs", "--all");
            Assert.DoesNotContain(Directory.EnumerateDirectories(Path.Combine(folder, ".git", "objects")), static d => Path.GetFileName(d).Length == 2);
        }

        // The merge has another tree than either parent: who merged wrote what decides now, too.
        Assert.Equal(["alice@example.org", "carol@example.org", "dave@example.org", "erin@example.org"], Authors(null));
        Assert.Equal(["carol@example.org", "dave@example.org", "erin@example.org"], Authors(first));
        Assert.Equal(["carol@example.org", "dave@example.org", "erin@example.org"], Authors(long1));
        Assert.Empty(Authors(Git("rev-parse", "HEAD")));
        Assert.Empty(Authors(null, clock + 1));
    }

    [Fact]
    public void Folder_that_is_the_work_tree_and_one_without_git()
    {
        Commit("alice@example.org", "a.cedar", "permit (principal, action, resource);");
        Assert.Equal(["alice@example.org"], GitHistory.Authors(folder, null, DateTimeOffset.MinValue));
        var elsewhere = Directory.CreateTempSubdirectory("countersign-nogit-").FullName;
        Assert.Empty(GitHistory.Authors(elsewhere, null, DateTimeOffset.MinValue));
        Directory.Delete(elsewhere);
    }

    [Fact]
    public void Damaged_repository_tells_nobody_and_breaks_nothing()
    {
        Commit("alice@example.org", "ops/policies/a.cedar", "permit (principal, action, resource);");
        foreach (var file in Directory.EnumerateFiles(Path.Combine(folder, ".git", "objects"), "*", SearchOption.AllDirectories))
        {
            File.SetAttributes(file, FileAttributes.Normal);
            File.WriteAllBytes(file, [1, 2, 3]);
        }

        Assert.Empty(Authors(null));
    }
}
