using System.Text.Json;
using Countersign.Channels.Accounts;
using Countersign.Channels.Answering;
using Countersign.Channels.Delivery;
using Countersign.Core;

namespace Countersign.Channels.Slack;

/// <summary>The workspace that the bot token is for, by Slack's own ids.</summary>
internal sealed record SlackTeam(string Id, string? Enterprise, string Name);

/// <summary>Who people are in the workspace: asked of Slack each time, since an account changes while a card stands there (P32). Thread-safe.</summary>
internal sealed class SlackWorkspace(SlackApi api, SlackOptions options)
{
    /// <summary>How long an account is asked about. 10 s: past that it is a no, and the person has been told to wait.</summary>
    private static readonly TimeSpan CheckLimit = TimeSpan.FromSeconds(10);

    private SlackTeam? team;

    /// <summary>The workspace of the token; null while Slack can not say. It never changes for a token, so it is asked for once.</summary>
    public async Task<SlackTeam?> TeamAsync(CancellationToken ct)
    {
        if (Volatile.Read(ref team) is { } known) return known;
        var reply = await api.ReadAsync("auth.test", options.BotToken, ct).ConfigureAwait(false);
        if (!reply.Ok || reply.Text("team_id") is not { Length: > 0 } id) return null;
        var found = new SlackTeam(id, reply.Text("enterprise_id"), reply.Text("team") ?? id);
        Volatile.Write(ref team, found);
        return found;
    }

    /// <summary>Whether an account may answer, as Slack says now. What Slack does not say clearly is a no.</summary>
    public async Task<AccountCheck> CheckAsync(ChatAccount account, CancellationToken ct)
    {
        using var late = CancellationTokenSource.CreateLinkedTokenSource(ct);
        late.CancelAfter(CheckLimit);
        try
        {
            return await CheckedAsync(account, late.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            return Unavailable(account, null);
        }
    }

    private async Task<AccountCheck> CheckedAsync(ChatAccount account, CancellationToken ct)
    {
        if (await TeamAsync(ct).ConfigureAwait(false) is not { } ours) return Unavailable(account, null);
        var reply = await api.ReadAsync("users.info", options.BotToken, ct, ("user", account.Account)).ConfigureAwait(false);
        if (!reply.Ok)
        {
            return reply.Error is "user_not_found" or "user_not_visible" or "users_not_found"
                ? new AccountCheck(ReasonCodes.AccountForeign, "Slack does not know your account in this workspace, so your click did not count. Decide in the console.", account.Account)
                : Unavailable(account, reply.Error);
        }

        if (!reply.Body.TryGetProperty("user", out var user) || user.ValueKind != JsonValueKind.Object || Text(user, "id") != account.Account) return Unavailable(account, "not-understood");
        var shown = $"{Text(user, "real_name") ?? Text(user, "name") ?? account.Account} (@{Text(user, "name") ?? "?"}, {account.Account}) in {ours.Name}";
        if (Is(user, "deleted")) return new AccountCheck(ReasonCodes.AccountInactive, "This Slack account is deactivated, so the click did not count.", shown);
        if (Is(user, "is_bot") || Is(user, "is_workflow_bot") || account.Account == "USLACKBOT") return new AccountCheck(ReasonCodes.AccountInactive, "Only people decide, and this Slack account is a program's.", shown);

        // Somebody of another organisation in a shared conversation, whatever he is called there.
        var sameTeam = Text(user, "team_id") == ours.Id && account.Team == ours.Id;
        var sameEnterprise = ours.Enterprise is { Length: > 0 } enterprise && user.TryGetProperty("enterprise_user", out var grid) && grid.ValueKind == JsonValueKind.Object && Text(grid, "enterprise_id") == enterprise;
        if (Is(user, "is_stranger") || !(sameTeam || sameEnterprise)) return new AccountCheck(ReasonCodes.AccountForeign, $"Your Slack account belongs to another workspace than {ours.Name}, so your click did not count. Whoever is asked there has to decide.", shown);
        if (Is(user, "is_restricted") || Is(user, "is_ultra_restricted")) return new AccountCheck(ReasonCodes.AccountRestricted, "Guests of a workspace do not decide in Slack, so your click did not count. If you are asked, decide in the console.", shown);
        return AccountCheck.Good(shown);
    }

    private static AccountCheck Unavailable(ChatAccount account, string? why) => new(ReasonCodes.ProviderUnavailable, $"Slack could not say who you are just now{(why is null ? "" : $" ({SlackErrors.Explain(why)})")}, so your click did not count. Try again, or decide in the console.", account.Account);

    private static string? Text(JsonElement json, string name) => json.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static bool Is(JsonElement json, string name) => json.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.True;
}
