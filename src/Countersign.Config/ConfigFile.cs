using System.Text;
using Countersign.Config.Reading;
using Countersign.Config.Yaml;

namespace Countersign.Config;

/// <summary>
/// `countersign.yaml` to a model: declared, validated whole with every error at once, then immutable. Nothing is
/// watched here; a reload is another call.
/// </summary>
public static class ConfigFile
{
    /// <summary>Reads the file, the secrets and the certificates it names.</summary>
    /// <param name="path">The file; relative paths inside it are relative to its folder.</param>
    /// <param name="environment">Looks an environment variable up; null where it is not set.</param>
    public static ConfigResult Load(string path, Func<string, string?> environment)
    {
        var problems = new Problems();
        var full = Path.GetFullPath(path);
        if (!FileReader.TryRead(full, ConfigLimits.FileBytes, out var bytes, out _, out var why))
        {
            problems.Add("", default, $"can not read `{Shown.Text(full)}`: {why}");
            return new ConfigResult(null, problems.InOrder());
        }

        return Parse(bytes, full, environment);
    }

    /// <summary>The same for bytes that are already here.</summary>
    public static ConfigResult Parse(ReadOnlySpan<byte> yaml, string path, Func<string, string?> environment)
    {
        var problems = new Problems();
        var config = Decode(yaml, problems) is { } text && YamlReader.Read(text, problems) is { } root
            ? ReadModel(root, Path.GetFullPath(path), environment, problems)
            : null;
        return new ConfigResult(config, problems.InOrder());
    }

    private static string? Decode(ReadOnlySpan<byte> yaml, Problems problems)
    {
        if (yaml.Length > ConfigLimits.FileBytes)
        {
            problems.Add("", default, $"the file is larger than {ConfigLimits.FileBytes} bytes");
            return null;
        }

        try
        {
            if (yaml.StartsWith(Encoding.UTF8.Preamble)) yaml = yaml[Encoding.UTF8.Preamble.Length..];
            return new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true).GetString(yaml);
        }
        catch (DecoderFallbackException)
        {
            problems.Add("", default, "the file is not valid UTF-8");
            return null;
        }
    }

    private static CountersignConfig ReadModel(YamlNode node, string path, Func<string, string?> environment, Problems problems)
    {
        ConfigShape.Root.Check(node, "", problems);
        var root = new Cursor(problems, ConfigShape.Root, node, "", node.At);
        var folder = Path.GetDirectoryName(path)!;
        var references = new References(folder, environment);

        var groups = PeopleReader.Groups(root["groups"]);
        var (targets, servers) = TargetReader.Targets(root["targets"], references);
        var listen = ListenReader.Read(root["listen"], references);
        var users = PeopleReader.Users(root["users"], groups, root["identity"]["oidc"].Exists);
        var identity = IdentityReader.Read(root["identity"], references, groups);
        var people = new KnownPeople(users, identity.Oidc is not null || root["identity"]["oidc"].Exists);
        var onCall = OnCallReader.Schedules(root["oncall"], people);
        var classification = ClassificationReader.Read(root["classification"], root["targets"].Entries().Select(static t => t.Key).ToArray());
        var channels = ChannelReader.Channels(root["channels"], references, classification);
        return new CountersignConfig
        {
            File = path,
            Listen = listen,
            DataFolder = Folder(root["data"], folder, "data"),
            PolicyFolder = Folder(root["policies"], folder, "policies"),
            Hold = Hold(root["hold"]),
            Limits = Limits(root["limits"]),
            Groups = groups,
            OnCall = onCall,
            Channels = channels,
            Routes = RoutingReader.Routes(root["routing"], channels, new RoutingReader.Known([.. targets.Keys, .. servers.Keys], [.. targets.Values.Select(static t => t.Environment), .. servers.Values.Select(static s => s.Environment)], classification, onCall)),
            Governance = Governance(root["governance"], people),
            Review = Review(root["review"], root["identity"]["oidc"].Exists),
            Identity = identity,
            Users = users,
            Federation = FederationReader.Read(root["identity"], references, listen, users.Select(static u => u.Name).ToArray(), identity.Oidc),
            Targets = targets,
            McpServers = servers,
            Classification = classification,
            Settings = Settings.Of(node),
            Warnings = people.Warnings,
            Telemetry = new TelemetryConfig(Otlp(root["telemetry"]["otlp"])),
        };
    }

    private static string Folder(Cursor at, string folder, string fallback)
    {
        var text = at.Text ?? fallback;
        if (text.Length > 0 && !text.Any(char.IsControl)) return Path.GetFullPath(text, folder);
        at.Fail($"`{Shown.Text(text)}` is not a path");
        return folder;
    }

    private static HoldConfig Hold(Cursor at)
    {
        var hold = new HoldConfig(
            at["detached"].Duration(ConfigLimits.Detached),
            at["transaction"].Duration(ConfigLimits.Transaction),
            at["connection"].Duration(ConfigLimits.Connection),
            at["notice"].Duration(ConfigLimits.Notice));
        if (hold.Transaction > hold.Connection)
            at["transaction"].Fail($"longer than `hold.connection` ({Durations.Format(hold.Connection)}), which ends every hold; shorten it");
        return hold;
    }

    /// <summary>Where people have a provider to sign in at, their browser is where they approve; the embedded default has but a terminal.</summary>
    private static ReviewConfig Review(Cursor at, bool hasProvider)
    {
        var cli = at["cli"].Text;
        if (cli is not (null or "confirm" or "allow")) at["cli"].Fail($"`{Shown.Text(cli)}` is neither `confirm` nor `allow`");
        return new ReviewConfig(cli is null ? hasProvider : cli != "allow");
    }

    private static GovernanceConfig Governance(Cursor at, KnownPeople people)
    {
        var authors = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var (mail, key, user) in at["authors"].Entries())
        {
            if (user.Text is not { } name || !people.Check(user, name)) continue;
            if (!authors.TryAdd(mail.ToLowerInvariant(), name)) key.Fail($"`{Shown.Text(mail)}` is there twice, in another case");
        }

        var security = at["security"].Text;
        if (security is not null && !NameReader.Check(at["security"], security, "group")) security = null;
        return new GovernanceConfig { Security = security, Cooling = at["cooling"].Duration(ConfigLimits.Cooling), Authors = authors };
    }

    private static LimitsConfig Limits(Cursor at)
    {
        var limits = new LimitsConfig
        {
            PendingPerAgent = at["pending-per-agent"].Number(ConfigLimits.PendingPerAgent),
            Connections = at["connections"].Number(ConfigLimits.Connections),
            ConnectionsPerAgent = at["connections-per-agent"].Number(ConfigLimits.ConnectionsPerAgent),
            MessageBytes = at["message-bytes"].Number(ConfigLimits.MessageBytes),
            HeldBytes = at["held-bytes"].Number(ConfigLimits.HeldBytes),
            RequestsPerMinute = at["requests-per-minute"].Number(ConfigLimits.RequestsPerMinute),
            Denials = at["denials"].Number(ConfigLimits.Denials),
            DenialsWindow = at["denials-window"].Duration(ConfigLimits.DenialsWindow),
        };
        if (at["connections-per-agent"].Exists && limits.ConnectionsPerAgent > limits.Connections)
            at["connections-per-agent"].Fail("larger than `limits.connections`, which is for all agents together");
        return limits;
    }

    private static Uri? Otlp(Cursor at)
    {
        if (at.Text is not { } text) return null;
        if (!Uri.TryCreate(text, UriKind.Absolute, out var uri) || uri.Scheme is not ("http" or "https")) at.Fail("not an `http://…` or `https://…` address");
        else if (uri.UserInfo.Length > 0) at.Fail("must not contain a user or password");
        else return uri;
        return null;
    }
}
