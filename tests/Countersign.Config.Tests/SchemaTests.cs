using System.Text.Json;
using Countersign.Config.Yaml;

namespace Countersign.Config.Tests;

public sealed class SchemaTests
{
    [Fact]
    public void Schema_and_validator_know_the_same_keys()
    {
        using var schema = JsonDocument.Parse(ConfigSchema.Text);
        var inSchema = new SortedSet<string>(StringComparer.Ordinal);
        Collect(schema.RootElement, schema.RootElement, "", inSchema);
        var inValidator = new SortedSet<string>(StringComparer.Ordinal);
        Collect(ConfigShape.Root, "", inValidator);

        Assert.Equal(inValidator, inSchema);
        Assert.Contains("targets.*.password.env", inSchema);
    }

    [Fact]
    public void Schema_refuses_unknown_keys_wherever_it_names_keys()
    {
        using var schema = JsonDocument.Parse(ConfigSchema.Text);
        var open = new List<string>();
        Visit(schema.RootElement, "");
        Assert.Empty(open);

        void Visit(JsonElement element, string path)
        {
            if (element.ValueKind != JsonValueKind.Object) return;
            if (element.TryGetProperty("properties", out _)
                && !(element.TryGetProperty("additionalProperties", out var more) && more.ValueKind == JsonValueKind.False)) open.Add(path);
            foreach (var property in element.EnumerateObject()) Visit(property.Value, $"{path}/{property.Name}");
        }
    }

    [Fact]
    public void Schema_states_the_bounds_and_defaults_of_the_validator()
    {
        using var schema = JsonDocument.Parse(ConfigSchema.Text);
        var limits = schema.RootElement.GetProperty("properties").GetProperty("limits").GetProperty("properties");
        foreach (var (key, limit) in (IEnumerable<(string, NumberLimit)>)
            [
                ("pending-per-agent", ConfigLimits.PendingPerAgent), ("connections", ConfigLimits.Connections),
                ("connections-per-agent", ConfigLimits.ConnectionsPerAgent), ("message-bytes", ConfigLimits.MessageBytes),
                ("held-bytes", ConfigLimits.HeldBytes), ("requests-per-minute", ConfigLimits.RequestsPerMinute), ("denials", ConfigLimits.Denials),
            ])
        {
            var stated = limits.GetProperty(key);
            Assert.Equal(
                (limit.Minimum, limit.Maximum, limit.Default),
                (stated.GetProperty("minimum").GetInt32(), stated.GetProperty("maximum").GetInt32(), stated.GetProperty("default").GetInt32()));
        }

        var hold = schema.RootElement.GetProperty("properties").GetProperty("hold").GetProperty("properties");
        foreach (var (key, limit) in (IEnumerable<(string, DurationLimit)>)
            [
                ("detached", ConfigLimits.Detached), ("transaction", ConfigLimits.Transaction),
                ("connection", ConfigLimits.Connection), ("notice", ConfigLimits.Notice),
            ])
        {
            Assert.True(Durations.TryParse(hold.GetProperty(key).GetProperty("default").GetString(), out var stated));
            Assert.Equal(limit.Default, stated);
        }
    }

    [Fact]
    public void Example_of_the_documentation_loads_and_uses_every_key_but_files()
    {
        using var stream = typeof(SchemaTests).Assembly.GetManifestResourceStream("countersign.example.yaml")!;
        using var reader = new StreamReader(stream);
        var text = reader.ReadToEnd();

        var result = ConfigFile.Parse(System.Text.Encoding.UTF8.GetBytes(text), "/etc/countersign/countersign.yaml", static name => name is "SLACK_BOT_TOKEN" ? "xoxb-1" : name is "SLACK_APP_TOKEN" ? "xapp-1" : name is "SIEM_SECRET" ? "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" : name is "TEAMS_SECRET" or "MAIL_PASSWORD" ? "x" : name is "TICKETS_TOKEN" or "TICKETS_WORKSPACE" or "FILES_KEY" or "SHOP_PASSWORD" or "OIDC_CLIENT_SECRET" or "SCIM_TOKEN" ? new string('x', 32) : null);
        Assert.True(result.TryGet(out var config), string.Join('\n', result.Errors));
        Assert.Equal(["payment", "pii"], config.Classification.ClassesOf("shop", "public", "payments"));

        var used = new SortedSet<string>(StringComparer.Ordinal);
        Collect(ConfigShape.Root, YamlReader.Read(text, new Problems())!, "", used);
        var all = new SortedSet<string>(StringComparer.Ordinal);
        Collect(ConfigShape.Root, "", all);
        string[] left = ["channels.mail.ca", "channels.mail.ca.file", "channels.mail.password.file", "channels.slack.app-token.file", "channels.slack.bot-token.file", "channels.slack.signing-secret", "channels.slack.signing-secret.env", "channels.slack.signing-secret.file", "channels.teams.secret.file", "channels.webhooks.*.secrets.file", "identity.issuers.*.jwks.file",
            .. ((string[])["", ".agents", ".agents.*.for", ".agents.*.groups", ".agents.*.match", ".agents.*.match.dns", ".agents.*.match.uri", ".agents.*.owner", ".ca", ".ca.file", ".grace", ".revoked"]).Select(static k => "identity.mtls" + k), // need TLS
            "identity.oidc.client-secret.file", "identity.runtimes.*.jwks.file", "identity.scim.token.file", "listen.insecure", "listen.tls", "listen.tls.certificate", "listen.tls.certificate.file", "listen.tls.key", "listen.tls.key.file", "targets.*.ca", "targets.*.ca.file", "targets.*.headers.*.file", "targets.*.password.file", "targets.*.secret-env.*.file", "targets.*.token.file"];
        Assert.Equal(left, all.Except(used));
    }

    [Theory]
    [InlineData("samples/shop/countersign.yaml")]
    public void Sample_configuration_loads(string path)
    {
        var result = ConfigFile.Load(Path.Combine(Root(), path), static _ => "x");
        Assert.True(result.TryGet(out _), string.Join('\n', result.Errors));
    }

    private static string Root()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder!.FullName, "Countersign.slnx"))) folder = folder.Parent;
        return folder.FullName;
    }

    private static void Collect(Shape shape, string path, SortedSet<string> keys)
    {
        switch (shape)
        {
            case Shape.Section section:
                foreach (var (key, inner) in section.Keys)
                {
                    keys.Add($"{path}{key}");
                    Collect(inner, $"{path}{key}.", keys);
                }

                break;
            case Shape.Named named: Collect(named.Item, $"{path}*.", keys); break;
            case Shape.List list: Collect(list.Item, path, keys); break;
        }
    }

    private static void Collect(Shape shape, YamlNode node, string path, SortedSet<string> keys)
    {
        switch (shape, node)
        {
            case (Shape.Section section, YamlNode.Map map):
                foreach (var (key, value) in map.Entries)
                {
                    keys.Add($"{path}{key.Value}");
                    Collect(section.Keys[key.Value], value, $"{path}{key.Value}.", keys);
                }

                break;
            case (Shape.Named named, YamlNode.Map map):
                foreach (var (_, value) in map.Entries) Collect(named.Item, value, $"{path}*.", keys);
                break;
            case (Shape.List list, YamlNode.List items):
                foreach (var item in items.Items) Collect(list.Item, item, path, keys);
                break;
        }
    }

    private static void Collect(JsonElement root, JsonElement element, string path, SortedSet<string> keys)
    {
        if (element.ValueKind != JsonValueKind.Object) return;
        if (element.TryGetProperty("$ref", out var reference))
            Collect(root, root.GetProperty("$defs").GetProperty(reference.GetString()!["#/$defs/".Length..]), path, keys);
        if (element.TryGetProperty("properties", out var properties))
        {
            foreach (var property in properties.EnumerateObject())
            {
                keys.Add($"{path}{property.Name}");
                Collect(root, property.Value, $"{path}{property.Name}.", keys);
            }
        }

        if (element.TryGetProperty("additionalProperties", out var named)) Collect(root, named, $"{path}*.", keys);
        if (element.TryGetProperty("items", out var items)) Collect(root, items, path, keys);
    }
}
