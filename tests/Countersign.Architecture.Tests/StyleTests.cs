namespace Countersign.Architecture.Tests;

public sealed class StyleTests
{
    private const int MaxLines = 800;
    private const double SealedShare = 0.9;

    [Fact]
    public void No_type_has_a_name_that_says_nothing()
    {
        string[] banned = ["Manager", "Helper", "Util", "Processor", "Engine"];
        var found = House.Rooms.SelectMany(r => r.Types.Where(t => banned.Any(b => t.Name.Contains(b, StringComparison.Ordinal))).Select(t => $"{r.Name}: {t.Name}"));
        None.Of(found);
    }

    [Fact]
    public void Classes_are_sealed_unless_there_is_a_reason()
    {
        var classes = House.Rooms.SelectMany(static r => r.Types.Select(t => (Room: r.Name, Type: t))).Where(static t => t.Type is { IsClass: true, IsAbstract: false }).ToArray();
        var open = classes.Where(static t => !t.Type.IsSealed).Select(static t => $"{t.Room}: {t.Type.Name}").ToArray();
        Assert.True(classes.Length > 100);
        Assert.True(open.Length <= (1 - SealedShare) * classes.Length, $"of {classes.Length} classes these are open: {string.Join(", ", open)}");
    }

    [Fact]
    public void No_source_file_is_longer_than_one_can_read()
    {
        string[] sources = [".cs", ".mjs", ".js", ".sh", ".cedar", ".cedarschema"];
        var long_ = House.Files().Where(f => sources.Contains(Path.GetExtension(f))).Where(static f => File.ReadLines(Path.Combine(House.Root, f)).Count() > MaxLines);
        None.Of(long_);
    }

    [Fact]
    public void Nothing_names_a_registry_or_a_path_of_the_machine_it_was_written_on()
    {
        // Put together here, so that this file does not name them either.
        string[] forbidden =
        [
            "/work" + "/main", "/work" + "/wt", "/work" + "/shared", "/ro" + "ot/", "registry.npm" + "js", "registry.yarn" + "pkg", "api.nu" + "get.org",
            "nu" + "get.config", "pkgs.dev." + "azure", "\"resol" + "ved\": \"http", "_auth" + "Token", "packageSour" + "ces>",
        ];
        string[] binary = [".wasm", ".png", ".ico", ".db", ".dll"];
        var found = House.Files()
            .Where(f => !binary.Contains(Path.GetExtension(f)))
            .SelectMany(f => File.ReadAllText(Path.Combine(House.Root, f)) is var text
                ? forbidden.Where(bad => text.Contains(bad, StringComparison.OrdinalIgnoreCase)).Select(bad => $"{f}: {bad}")
                : []);
        None.Of(found);
    }

    [Fact]
    public void Every_project_is_in_the_solution()
    {
        var solution = House.Read("Countersign.slnx");
        None.Of(House.Files().Where(static f => f.EndsWith(".csproj", StringComparison.Ordinal)).Where(f => !solution.Contains($"\"{f}\"", StringComparison.Ordinal) && !f.StartsWith("bench/", StringComparison.Ordinal) && !f.StartsWith("samples/", StringComparison.Ordinal)));
    }
}
