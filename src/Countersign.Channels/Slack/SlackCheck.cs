using System.Text.Json;
using System.Text.Json.Nodes;

namespace Countersign.Channels.Slack;

/// <summary>One thing that was looked at; <see cref="Mend"/> says what to do, and null that it is right.</summary>
public sealed record SlackFinding(string What, string? Mend);

/// <summary>Looks whether an app is set up so that everything works, and says what is missing in words. Changes nothing.</summary>
public static class SlackCheck
{
    /// <summary>What the bot token must be allowed, and for what.</summary>
    public static readonly IReadOnlyList<(string Scope, string For)> Scopes =
    [
        ("chat:write", "to post and rewrite cards"),
        ("users:read", "to look at an account at each click"),
        ("channels:read", "to see whether the app is in a public conversation"),
        ("groups:read", "to see whether the app is in a private conversation"),
        ("channels:history", "to find what an interrupted attempt has posted"),
        ("groups:history", "to find it in private conversations"),
        ("im:write", "to write to a person"),
        ("im:history", "to find what an interrupted attempt has written to a person"),
    ];

    public static async Task<IReadOnlyList<SlackFinding>> RunAsync(SlackOptions options, IEnumerable<string> places, CancellationToken ct)
    {
        using var http = SlackApi.Client();
        http.Timeout = TimeSpan.FromSeconds(15);
        var api = new SlackApi(http, options.Api);
        var found = new List<SlackFinding>();
        var me = await CallAsync(() => api.ReadAsync("auth.test", options.BotToken, ct)).ConfigureAwait(false);
        found.Add(new SlackFinding(me.Ok ? $"the bot token is `{me.Text("user")}` in workspace {me.Text("team")} ({me.Text("team_id")})" : "the bot token", me.Ok ? null : SlackErrors.Explain(me.Error)));
        if (me.Ok)
        {
            if (me.Scopes is not { } scopes) found.Add(new SlackFinding("scopes of the bot token", "slack did not say which it has"));
            else foreach (var (scope, use) in Scopes) found.Add(new SlackFinding($"scope `{scope}`", scopes.Contains(scope, StringComparer.Ordinal) ? null : $"missing, needed {use}: add it to the app under OAuth & Permissions, and install the app again"));
        }

        if (options.AppToken is { } app)
        {
            var opened = await CallAsync(() => api.ReadAsync("apps.connections.open", app, ct)).ConfigureAwait(false);
            found.Add(new SlackFinding("a socket for clicks", opened.Ok ? null : opened.Error switch
            {
                "missing_scope" or "not_allowed_token_type" or "no_permission" => "the app token lacks `connections:write`: make another under Basic Information, App-Level Tokens",
                "socket_mode_not_enabled" or "forbidden" or "link_disabled" => "Socket Mode is off: switch it on in the app's settings",
                _ => SlackErrors.Explain(opened.Error),
            }));
        }
        else if (options.SigningSecret is not null)
        {
            found.Add(new SlackFinding("clicks by HTTP", null));
        }

        foreach (var place in me.Ok ? places.Where(static p => p.Length > 0 && p[0] is 'C' or 'G').Distinct(StringComparer.Ordinal) : [])
        {
            var info = await CallAsync(() => api.ReadAsync("conversations.info", options.BotToken, ct, ("channel", place))).ConfigureAwait(false);
            var channel = info.Ok && info.Body.TryGetProperty("channel", out var there) ? there : default;
            found.Add(new SlackFinding($"conversation {place}", !info.Ok ? SlackErrors.Explain(info.Error)
                : Is(channel, "is_archived") ? "it is archived: name another in `routing`"
                : !Is(channel, "is_member") ? "the app is not in it: write `/invite @Countersign` there"
                : Is(channel, "is_ext_shared") ? "it is shared with another organisation, whose people can read every card: name another in `routing`"
                : null));
        }

        return found;

        static async Task<SlackReply> CallAsync(Func<Task<SlackReply>> call)
        {
            try
            {
                return await call().ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                return new SlackReply(Delivery.DeliveryStatus.NotNow, "unreachable", default);
            }
        }
    }

    private static bool Is(JsonElement json, string name) => json.ValueKind == JsonValueKind.Object && json.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.True;

    /// <summary>The app's manifest, to make the app from. <paramref name="requestUrl"/> null: with Socket Mode.</summary>
    public static string Manifest(Uri? requestUrl)
    {
        var interactivity = new JsonObject { ["is_enabled"] = true };
        if (requestUrl is not null) interactivity["request_url"] = requestUrl.AbsoluteUri;
        return new JsonObject
        {
            ["display_information"] = new JsonObject
            {
                ["name"] = "Countersign",
                ["description"] = "Asks people before an agent does what can not be undone",
                ["background_color"] = "#1f2a37",
            },
            ["features"] = new JsonObject { ["bot_user"] = new JsonObject { ["display_name"] = "Countersign", ["always_online"] = true } },
            ["oauth_config"] = new JsonObject { ["scopes"] = new JsonObject { ["bot"] = new JsonArray([.. Scopes.Select(static s => (JsonNode)s.Scope)]) } },
            ["settings"] = new JsonObject
            {
                ["interactivity"] = interactivity,
                ["org_deploy_enabled"] = false,
                ["socket_mode_enabled"] = requestUrl is null,
                ["token_rotation_enabled"] = false,
            },
        }.ToJsonString(new JsonSerializerOptions { WriteIndented = true });
    }
}
