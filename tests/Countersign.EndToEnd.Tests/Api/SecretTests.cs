using System.Net.Http.Json;
using System.Text;
using Countersign.Core;
using Countersign.Gateway;
using Countersign.Journal;

namespace Countersign.EndToEnd.Tests.Api;

public sealed class SecretTests
{
    [Fact]
    public async Task P56_No_code_key_session_or_password_is_in_a_log_an_answer_or_the_journal()
    {
        await using var host = await ApiHost.StartAsync();
        using var alice = await host.SignInAsync("alice");
        using var mira = await host.SignInAsync("mira");
        var said = new StringBuilder();
        using var added = await alice.PostAsJsonAsync("/api/v1/agents", new { name = "bot", owner = "alice", groups = new[] { "agents" } });
        var key = (await added.JsonAsync()).GetProperty("key").GetString()!; // the one answer that may hold it

        var held = await host.HoldAsync(host.UpdateCustomer(host.Agents.Find("bot")!));
        using var approved = await mira.AnswerAsync(held.Review.Id, "approve");
        await Assert.IsType<Ruling.Forward>(await held.Ruling).Passage.CompleteAsync(OutcomeStatus.Done, 1, 0, null);
        foreach (var path in new[] { "me", "reviews?state=closed", $"reviews/{held.Review.Id}", "agents", "journal/entries?max=500", "journal/verify", "policy/revision", "nothing" })
        {
            said.AppendLine(await (await alice.GetAsync($"/api/v1/{path}")).Content.ReadAsStringAsync());
        }

        using var begun = await alice.PostAsJsonAsync("/api/v1/login/begin", new { user = "tom" });
        said.AppendLine(await begun.Content.ReadAsStringAsync());
        said.AppendLine(await (await alice.PostAsJsonAsync("/api/v1/login/complete", new { user = "tom", code = host.Codes.Last().Code + "X" })).Content.ReadAsStringAsync());
        said.AppendLine(await (await alice.GetAsync("/openapi/v1.json")).Content.ReadAsStringAsync());
        var reader = host.Get<IStateReader>();
        foreach (var entry in reader.ReadEntries(0, 10_000))
        {
            said.AppendLine(Encoding.UTF8.GetString(entry.Bytes));
            if (reader.GetBody(entry.Index)?.Bytes is { } body) said.AppendLine(Encoding.UTF8.GetString(body));
        }

        foreach (var line in host.Log.Concat(host.Notices)) said.AppendLine(line);
        var everything = said.ToString();
        Assert.Contains("review-opened", everything, StringComparison.Ordinal);
        Assert.NotEmpty(host.Log);
        foreach (var secret in host.Codes.Select(static c => c.Code)
            .Append(key).Append(key[13..])
            .Append(alice.DefaultRequestHeaders.Authorization!.Parameter!).Append(mira.DefaultRequestHeaders.Authorization!.Parameter!)
            .Append(ApiHost.TargetPassword))
        {
            Assert.DoesNotContain(secret, everything, StringComparison.Ordinal);
        }

        // On the disk neither: what is stored can verify a secret, never yield it (I8).
        foreach (var file in Directory.EnumerateFiles(Path.Combine(host.Folder, "data"), "countersign.db*"))
        {
            await using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            var bytes = new byte[stream.Length];
            await stream.ReadExactlyAsync(bytes);
            foreach (var secret in new[] { key, alice.DefaultRequestHeaders.Authorization!.Parameter!, ApiHost.TargetPassword })
            {
                Assert.True(bytes.AsSpan().IndexOf(Encoding.UTF8.GetBytes(secret)) < 0, $"a secret is in {Path.GetFileName(file)}");
            }
        }
    }
}
