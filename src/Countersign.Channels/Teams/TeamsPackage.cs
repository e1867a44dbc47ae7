using System.IO.Compression;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Countersign.Channels.Teams;

/// <summary>
/// The app package that a Teams administrator uploads: a zip of the manifest and two icons. The same bot makes the same
/// bytes, so that two of them can be compared.
/// </summary>
public static class TeamsPackage
{
    /// <summary>Version of the manifest's schema. 1.17: what every tenant takes today.</summary>
    private const string Schema = "1.17";
    private const string Folder = "Countersign.Channels.Teams.Package";

    private static readonly DateTimeOffset Epoch = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero); // a zip has no time zone, and no earlier year than 1980
    private static readonly JsonSerializerOptions Readable = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <param name="appId">The bot's app id; the app has the same.</param>
    /// <param name="console">Where the console is: its pages are what the cards link to.</param>
    /// <param name="version">Of the app, three numbers.</param>
    /// <param name="to">Gets the zip.</param>
    public static void Write(string appId, Uri console, string version, Stream to)
    {
        using var zip = new ZipArchive(to, ZipArchiveMode.Create, leaveOpen: true);
        Add(zip, "manifest.json", s => JsonSerializer.Serialize(s, Manifest(appId, console, version), Readable));
        foreach (var icon in (string[])["color.png", "outline.png"])
        {
            Add(zip, icon, s =>
            {
                using var image = typeof(TeamsPackage).Assembly.GetManifestResourceStream($"{Folder}.{icon}")!;
                image.CopyTo(s);
            });
        }
    }

    public static JsonObject Manifest(string appId, Uri console, string version)
    {
        var address = console.GetLeftPart(UriPartial.Authority);
        return new JsonObject
        {
            ["$schema"] = $"https://developer.microsoft.com/json-schemas/teams/v{Schema}/MicrosoftTeams.schema.json",
            ["manifestVersion"] = Schema,
            ["version"] = version,
            ["id"] = appId,
            ["developer"] = new JsonObject { ["name"] = "Countersign", ["websiteUrl"] = address, ["privacyUrl"] = address, ["termsOfUseUrl"] = address },
            ["name"] = new JsonObject { ["short"] = "Countersign", ["full"] = "Countersign: approve what agents do" },
            ["description"] = new JsonObject
            {
                ["short"] = "Reviews of what AI agents want to do, to be approved or denied here.",
                ["full"] = "Countersign holds the privileged actions of AI agents until somebody who may do so approves them. It posts each review to the channels and people that your configuration names, keeps the message up to date, and takes the answers of people who have linked their account by signing in once.",
            },
            ["icons"] = new JsonObject { ["color"] = "color.png", ["outline"] = "outline.png" },
            ["accentColor"] = "#2450C8",
            ["bots"] = new JsonArray(new JsonObject
            {
                ["botId"] = appId,
                ["scopes"] = new JsonArray("personal", "team"),
                ["isNotificationOnly"] = false,
                ["supportsFiles"] = false,
                ["supportsCalling"] = false,
                ["supportsVideo"] = false,
            }),
            ["permissions"] = new JsonArray("identity", "messageTeamMembers"),
            ["validDomains"] = new JsonArray(console.IdnHost),
        };
    }

    private static void Add(ZipArchive zip, string name, Action<Stream> write)
    {
        var entry = zip.CreateEntry(name, CompressionLevel.Optimal);
        entry.LastWriteTime = Epoch;
        using var stream = entry.Open();
        write(stream);
    }
}
