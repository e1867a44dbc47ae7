namespace Countersign.Architecture.Tests;

public sealed class ArrowTests
{
    /// <summary>
    /// Which room may reference which: the table of ARCHITECTURE.md, and nothing else. A new line here is a design
    /// decision and needs a note in docs/design.
    /// </summary>
    private static readonly Dictionary<string, string[]> May = new(StringComparer.Ordinal)
    {
        ["Core"] = [],
        ["Tlog"] = [],
        ["PgWire"] = [],
        ["Sandbox"] = [],
        ["Config"] = ["Core"],
        ["Policy"] = ["Core", "Sandbox"],
        ["Sql"] = ["Core", "Sandbox"],
        ["Journal"] = ["Core", "Tlog"],
        ["Identity"] = ["Core", "Journal"],
        ["Reviews"] = ["Core", "Identity", "Policy", "Journal"],
        ["Gateway"] = ["Core", "Config", "Policy", "Identity", "Reviews", "Journal"],
        ["Gateway.Postgres"] = ["Core", "Config", "Identity", "Gateway", "PgWire", "Reviews", "Sql"],
        ["Channels"] = ["Core", "Identity", "Journal", "Reviews"],
        ["Gateway.Mcp"] = ["Core", "Config", "Identity", "Gateway", "Journal", "Reviews"],
        ["Console"] = ["Core", "Gateway", "Policy", "Identity", "Reviews", "Journal"],
        ["Storage"] = ["Core", "Journal", "Reviews", "Identity"],
    };

    private static readonly string[] Pure = ["Core", "Tlog", "PgWire"];

    public static TheoryData<string> AllRooms => new(House.Rooms.Select(static r => r.Name));

    public static TheoryData<string> PureRooms => new(Pure.Select(static p => $"Countersign.{p}"));

    [Theory]
    [MemberData(nameof(AllRooms))]
    public void Room_references_only_what_the_design_allows(string name)
    {
        var room = House.Rooms.Single(r => r.Name == name);
        var allowed = name == "Countersign"
            ? House.Rooms.Select(static r => r.Name).ToHashSet()
            : May[name["Countersign.".Length..]].Select(static m => $"Countersign.{m}").ToHashSet();

        None.Of(room.Drawn.Except(allowed));
        None.Of(room.References.Where(static r => r == "countersign" || r.StartsWith("Countersign", StringComparison.Ordinal)).Except(allowed));
    }

    [Fact]
    public void Every_room_of_the_table_exists_and_every_room_is_in_the_table() =>
        Assert.Equal(May.Keys.Select(static m => $"Countersign.{m}").Append("Countersign").Order(StringComparer.Ordinal), House.Rooms.Select(static r => r.Name));

    [Fact]
    public void Architecture_page_draws_the_same_arrows()
    {
        var rows = House.Read("ARCHITECTURE.md").Split('\n')
            .Where(static line => line.StartsWith("| `Countersign.", StringComparison.Ordinal))
            .Select(static line => line.Split('|', StringSplitOptions.TrimEntries))
            .ToDictionary(
                static cells => cells[1].Trim('`')["Countersign.".Length..],
                static cells => cells[3] == "—" ? [] : cells[3].Split(", ").Order(StringComparer.Ordinal).ToArray());

        Assert.Equal(May.Keys.Order(StringComparer.Ordinal), rows.Keys.Order(StringComparer.Ordinal));
        foreach (var (room, arrows) in May) Assert.Equal((room, string.Join(' ', arrows.Order(StringComparer.Ordinal))), (room, string.Join(' ', rows[room])));
    }

    [Theory]
    [MemberData(nameof(PureRooms))]
    public void Pure_room_has_no_io_no_logger_no_clock_and_no_mutable_statics(string name)
    {
        var room = House.Rooms.Single(r => r.Name == name);
        string[] forbidden =
        [
            "System.IO.File", "System.IO.FileStream", "System.IO.Directory", "System.IO.FileInfo", "System.Console", "System.Net.Dns",
            "System.Diagnostics.Process", "System.Diagnostics.Stopwatch", "System.TimeProvider", "System.Threading.Timer", "System.Threading.Thread",
        ];

        None.Of(room.ForeignTypes.Intersect(forbidden));
        None.Of(room.ForeignTypes.Where(static t => t.StartsWith("System.Net.Sockets.", StringComparison.Ordinal) || t.StartsWith("System.Net.Http.", StringComparison.Ordinal) || t.StartsWith("Microsoft.Extensions.", StringComparison.Ordinal)));
        None.Of(room.References.Where(static r => r != "netstandard" && !r.StartsWith("System.", StringComparison.Ordinal)));
        None.Of(room.MutableStatics);
    }

    [Fact]
    public void Reader_of_assemblies_sees_what_is_there()
    {
        // Guards the tests above against passing because nothing was read.
        var identity = House.Rooms.Single(static r => r.Name == "Countersign.Gateway");
        Assert.Contains("Countersign.Core", identity.References);
        Assert.Contains("Countersign.Core", identity.Drawn);
        Assert.Contains(House.Rooms.Single(static r => r.Name == "Countersign.Core").Types, static t => t is { Name: "GatewayAction", IsClass: true, IsSealed: true });
        Assert.Contains("System.IO.File", House.Rooms.Single(static r => r.Name == "Countersign.Config").ForeignTypes);
    }
}
