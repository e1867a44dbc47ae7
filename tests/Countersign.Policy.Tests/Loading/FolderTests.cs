using System.Runtime.Versioning;
using Countersign.Core;
using Microsoft.Extensions.Time.Testing;

namespace Countersign.Policy.Tests.Loading;

[UnsupportedOSPlatform("windows")]
public sealed class FolderTests : IDisposable
{
    const string Reads = "@id(\"reads\") permit (principal, action in Action::\"read\", resource);\n";
    const string Writes = "@id(\"writes\") permit (principal, action in Action::\"write\", resource);\n";

    readonly World world;
    readonly string folder = Directory.CreateTempSubdirectory("countersign-policy-").FullName;

    public FolderTests(World world) => this.world = world;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    string Put(string path, string text)
    {
        var full = Path.Combine(folder, path);
        Directory.CreateDirectory(Path.GetDirectoryName(full)!);
        File.WriteAllText(full, text);
        return full;
    }

    PolicyStore Open()
    {
        Assert.True(PolicyStore.TryOpen(world.Cedar, folder, out var store, out var faults), string.Join('\n', faults));
        return store;
    }

    Verdict Write(PolicyStore store) => World.Decide(store, World.Action(World.Actors(), World.Effect("sql:update", World.Table("orders")))).Verdict;

    [Fact]
    public void Files_are_read_recursively_in_ordinal_order_and_others_are_not()
    {
        Put("b.cedar", "permit (principal, action in Action::\"read\", resource);");
        Put("a/z.cedar", "permit (principal, action in Action::\"read\", resource);\npermit (principal, action in Action::\"read\", resource);");
        Put("B.cedar", "permit (principal, action in Action::\"read\", resource);");
        Put("notes.txt", "not cedar");
        Put(".git/x.cedar", "not cedar");
        Put(".hidden.cedar", "not cedar");
        Put("..data/b.cedar", "not cedar");
        Directory.CreateSymbolicLink(Path.Combine(folder, "loop"), folder);
        File.CreateSymbolicLink(Path.Combine(folder, "c.cedar"), Path.Combine(folder, "b.cedar")); // as a ConfigMap mounts them
        using var store = Open();
        Assert.Equal(["B.cedar:1", "a/z.cedar:1", "a/z.cedar:2", "b.cedar:1", "c.cedar:1", "countersign-default-administer", "countersign-default-approve", "countersign-default-unknown-tool"], store.Current.Policies.Select(p => p.Id));
    }

    [Fact]
    public void Set_with_one_error_does_not_load_at_all()
    {
        Put("a.cedar", Reads);
        Put("b.cedar", "permit (");
        Assert.False(PolicyStore.TryOpen(world.Cedar, folder, out var store, out var faults));
        Assert.Null(store);
        Assert.Equal(("b.cedar", PolicyFaults.Syntax), (Assert.Single(faults).File, faults[0].Code));
        Assert.Equal(faults, PolicyStore.Check(world.Cedar, folder));
    }

    [Fact]
    public void Missing_folder_text_that_is_not_utf8_and_too_much_of_it_are_errors()
    {
        Assert.Equal(PolicyFaults.Unreadable, Assert.Single(PolicyStore.Check(world.Cedar, Path.Combine(folder, "nope"))).Code);
        Assert.Equal(PolicyFaults.Empty, Assert.Single(PolicyStore.Check(world.Cedar, folder)).Code);
        Put("a.cedar", Reads);
        Assert.Empty(PolicyStore.Check(world.Cedar, folder));
        Assert.Equal(PolicyFaults.Unreadable, Assert.Single(PolicyStore.Check(world.Cedar, folder, new() { Bytes = 10 })).Code);
        File.WriteAllBytes(Path.Combine(folder, "b.cedar"), [.. "@id(\""u8, 0xff, .. "\") permit (principal, action, resource);"u8]);
        Assert.Equal(("b.cedar", PolicyFaults.Unreadable), (Assert.Single(PolicyStore.Check(world.Cedar, folder)).File, PolicyStore.Check(world.Cedar, folder)[0].Code));
        Assert.Contains(PolicyStore.Check(world.Cedar, folder, new() { Files = 1 }), f => f.Message.Contains("more than 1 files", StringComparison.Ordinal));
    }

    [Fact]
    public void Revision_is_a_hash_of_names_and_bytes()
    {
        Put("a.cedar", Reads);
        using var store = Open();
        var first = store.Current.Id;
        Assert.Equal(64, first.ContentHash.Length);
        Assert.Null(first.GitCommit);

        Put("a.txt", "other files are not in it");
        Assert.Same(store.Current, store.Reload().Loaded);

        File.Move(Path.Combine(folder, "a.cedar"), Path.Combine(folder, "b.cedar"));
        Assert.NotEqual(first, store.Reload().Loaded!.Id);
        File.Move(Path.Combine(folder, "b.cedar"), Path.Combine(folder, "a.cedar"));
        Assert.Equal(first, store.Reload().Loaded!.Id);
        Put("a.cedar", Reads + " ");
        Assert.NotEqual(first, store.Reload().Loaded!.Id);
    }

    [Fact]
    public void Revision_names_the_commit_of_a_git_work_tree()
    {
        const string one = "1111111111111111111111111111111111111111", two = "2222222222222222222222222222222222222222", three = "3333333333333333333333333333333333333333";
        var tree = Directory.CreateDirectory(Path.Combine(folder, "tree", "policies")).FullName;
        File.WriteAllText(Path.Combine(tree, "a.cedar"), Reads);
        string? Commit() => Countersign.Policy.Loading.PolicySnapshot.Read(tree, new()).GitCommit;

        Put("tree/.git/HEAD", "ref: refs/heads/main\n");
        Assert.Null(Commit()); // no commit yet
        Put("tree/.git/packed-refs", $"# pack-refs\n{two} refs/heads/maintenance\n{one} refs/heads/main\n");
        Assert.Equal(one, Commit());
        Put("tree/.git/refs/heads/main", two + "\n"); // a loose ref is newer
        Assert.Equal(two, Commit());
        Put("tree/.git/HEAD", three + "\n"); // detached
        Assert.Equal(three, Commit());
        Put("tree/.git/HEAD", "ref: ../../secret\n");
        Assert.Null(Commit());

        // A linked work tree.
        Directory.Delete(Path.Combine(folder, "tree/.git"), recursive: true);
        Put("main/.git/refs/heads/topic", one + "\n");
        Put("main/.git/worktrees/tree/HEAD", "ref: refs/heads/topic\n");
        Put("main/.git/worktrees/tree/commondir", "../..\n");
        Put("tree/.git", $"gitdir: {Path.Combine(folder, "main/.git/worktrees/tree")}\n");
        Assert.Equal(one, Commit());
    }

    [Fact]
    public void Bad_edit_leaves_the_old_revision_serving_and_is_told_once()
    {
        Put("a.cedar", Reads + Writes);
        using var store = Open();
        var told = new List<PolicyLoad>();
        var watch = new PolicyWatch(store, TimeProvider.System, told.Add);
        var first = store.Current;

        Assert.False(watch.Look());
        Put("a.cedar", Reads + "forbid (principal, action in Action::\"writ\", resource);");
        for (var i = 0; i < 4; i++) Assert.False(watch.Look());
        Assert.Same(first, store.Current);
        Assert.Equal(Verdict.Permit, Write(store));
        Assert.Contains(Assert.Single(told).Diagnostics, d => d is { File: "a.cedar", Line: 2 });

        Put("a.cedar", Reads);
        Assert.False(watch.Look()); // seen once: it may be half written
        Assert.True(watch.Look());
        Assert.Equal(Verdict.Deny, Write(store));
        Assert.Equal(2, told.Count);
        Assert.Same(store.Current, told[1].Loaded);

        Directory.Delete(folder, recursive: true);
        for (var i = 0; i < 3; i++) Assert.False(watch.Look());
        Directory.CreateDirectory(folder);
        Assert.Equal(3, told.Count);
        Assert.Equal(Verdict.Deny, Write(store));
    }

    [Fact]
    public void Bad_edit_that_is_undone_is_told_with_the_revision_that_serves()
    {
        Put("a.cedar", Reads);
        using var store = Open();
        var told = new List<PolicyLoad>();
        var watch = new PolicyWatch(store, TimeProvider.System, told.Add);
        Put("a.cedar", "forbid (principal");
        for (var i = 0; i < 3; i++) Assert.False(watch.Look());
        Assert.NotEmpty(Assert.Single(told).Diagnostics);
        Put("a.cedar", Reads);
        for (var i = 0; i < 3; i++) Assert.False(watch.Look());
        Assert.Equal(2, told.Count);
        Assert.Same(store.Current, told[1].Loaded);
        Assert.Empty(told[1].Diagnostics);
    }

    [Fact]
    public void Edit_that_is_still_changing_is_not_loaded()
    {
        Put("a.cedar", Reads);
        using var store = Open();
        var watch = new PolicyWatch(store, TimeProvider.System, _ => { });
        for (var i = 0; i < 3; i++)
        {
            Put("a.cedar", Reads + new string(' ', i + 1));
            Assert.False(watch.Look());
        }
        Assert.True(watch.Look());
    }

    [Fact]
    public async Task Watch_swaps_by_the_clock()
    {
        Put("a.cedar", Reads);
        using var store = Open();
        var time = new FakeTimeProvider();
        var swapped = new TaskCompletionSource<PolicyLoad>(TaskCreationOptions.RunContinuationsAsynchronously);
        using var stop = new CancellationTokenSource();
        var running = new PolicyWatch(store, time, swapped.SetResult).RunAsync(stop.Token);
        Put("a.cedar", Reads + Writes);
        while (!swapped.Task.IsCompleted)
        {
            time.Advance(PolicyWatch.DefaultInterval);
            await Task.Yield();
        }
        Assert.Equal(Verdict.Permit, Write(store));
        Assert.Same(store.Current, (await swapped.Task).Loaded);
        await stop.CancelAsync();
        await running;
    }

    [Fact]
    public async Task P22_decisions_during_swaps_are_each_taken_under_one_revision()
    {
        Put("a.cedar", Reads + Writes);
        using var store = Open();
        var action = World.Action(World.Actors(), World.Effect("sql:update", World.Table("orders")), World.Effect("sql:select", World.Table("orders")));
        var verdicts = new Dictionary<string, Verdict> { [store.Current.Id.ContentHash] = Verdict.Permit };
        Put("a.cedar", Reads);
        var other = store.Reload().Loaded!.Id.ContentHash;
        verdicts.Add(other, Verdict.Deny);

        var done = false;
        var deciders = Enumerable.Range(0, 2).Select(_ => Task.Run(() =>
        {
            var seen = new HashSet<string>();
            do
            {
                var decision = World.Decide(store, action);
                Assert.Equal(verdicts[decision.Revision.ContentHash], decision.Verdict);
                Assert.NotEqual(ReasonCodes.PolicyUnavailable, decision.ReasonCode);
                seen.Add(decision.Revision.ContentHash);
            } while (!Volatile.Read(ref done) || seen.Count == 0);
            return seen;
        })).ToArray();
        for (var i = 0; i < 10; i++)
        {
            Put("a.cedar", i % 2 == 0 ? Reads + Writes : Reads);
            Assert.NotNull(store.Reload().Loaded);
        }
        Volatile.Write(ref done, true);
        Assert.All(await Task.WhenAll(deciders), seen => Assert.NotEmpty(seen));
    }
}
