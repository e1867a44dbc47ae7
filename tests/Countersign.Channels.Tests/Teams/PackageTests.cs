using Countersign.Tests.Teams;
using System.Buffers.Binary;
using System.IO.Compression;
using System.Text.Json;
using Countersign.Channels.Teams;

namespace Countersign.Channels.Tests.Teams;

/// <summary>The app package, as the Teams administration takes it.</summary>
public sealed class PackageTests
{
    private static byte[] Package()
    {
        using var to = new MemoryStream();
        TeamsPackage.Write(PlayedTeams.AppId, new Uri("https://countersign.example:8443/x"), "0.1.0", to);
        return to.ToArray();
    }

    [Fact]
    public void Package_holds_a_manifest_and_two_icons_of_the_sizes_that_Teams_asks_for()
    {
        using var zip = new ZipArchive(new MemoryStream(Package()));
        Assert.Equal(["manifest.json", "color.png", "outline.png"], zip.Entries.Select(static e => e.FullName));
        foreach (var (name, size) in (ReadOnlySpan<(string, int)>)[("color.png", 192), ("outline.png", 32)])
        {
            using var image = new MemoryStream();
            using (var entry = zip.GetEntry(name)!.Open()) entry.CopyTo(image);
            var bytes = image.ToArray();
            Assert.Equal([0x89, 0x50, 0x4e, 0x47], bytes[..4]);
            Assert.Equal((size, size), (BinaryPrimitives.ReadInt32BigEndian(bytes.AsSpan(16)), BinaryPrimitives.ReadInt32BigEndian(bytes.AsSpan(20))));
        }
    }

    [Fact]
    public void Manifest_keeps_to_the_lengths_of_its_schema_and_names_the_bot()
    {
        using var zip = new ZipArchive(new MemoryStream(Package()));
        using var stream = zip.GetEntry("manifest.json")!.Open();
        using var manifest = JsonDocument.Parse(stream);
        var root = manifest.RootElement;
        Assert.Equal(PlayedTeams.AppId, root.GetProperty("id").GetString());
        Assert.Equal(PlayedTeams.AppId, root.GetProperty("bots")[0].GetProperty("botId").GetString());
        Assert.InRange(root.GetProperty("name").GetProperty("short").GetString()!.Length, 1, 30);
        Assert.InRange(root.GetProperty("name").GetProperty("full").GetString()!.Length, 1, 100);
        Assert.InRange(root.GetProperty("description").GetProperty("short").GetString()!.Length, 1, 80);
        Assert.InRange(root.GetProperty("description").GetProperty("full").GetString()!.Length, 1, 4000);
        Assert.Equal("countersign.example", root.GetProperty("validDomains")[0].GetString());
    }

    [Fact]
    public void Same_bot_makes_the_same_bytes() => Assert.Equal(Package(), Package());
}
