using System.Diagnostics;
using System.Globalization;
using Countersign.Channels.Accounts;
using Countersign.Channels.Answering;
using Countersign.Channels.Cards;
using Countersign.Channels.Delivery;
using Countersign.Channels.Slack;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Journal;
using Countersign.Reviews;
using Countersign.Storage;
using Countersign.Tests.Slack;
using Microsoft.Extensions.Logging.Abstractions;

namespace Countersign.Benchmarks;

/// <summary>
/// How long the machine takes, people and networks aside: from a held action to its card at Slack, and from a click at Slack
/// to the clearance. Everything real, over loopback, on a store in a temporary folder; Slack is the tests' stand-in.
/// `dotnet run -c Release --project bench/Countersign.Benchmarks -- channels [rounds]`.
/// </summary>
internal static class ChannelTimes
{
    private const string Account = "U0ALICE01";

    public static async Task RunAsync(int rounds)
    {
        var folder = Directory.CreateTempSubdirectory("countersign-bench-").FullName;
        var time = TimeProvider.System;
        await using var slack = await SlackStandIn.StartAsync();
        using var store = SqliteStore.Open(folder, NullLogger<SqliteStore>.Instance);
        await using (var journal = JournalAppender.Start(store, time, NullLogger<JournalAppender>.Instance, "bench"))
        {
            var people = new Dictionary<string, IReadOnlySet<string>>(StringComparer.Ordinal) { ["olga"] = new HashSet<string>(), ["ada"] = new HashSet<string> { "dba" } };
            var users = await UserDirectory.LoadAsync(people, store, journal, new DirectoryOptions { Time = time });
            var agents = new AgentRegistry(store, journal, users, time, store.GetOrCreateSecret("scram-mock-salt"));
            await agents.AddAsync("bot", "olga", null, ["agents"], users.Find("olga")!.Ref);
            var actors = agents.ChainOf(agents.Find("bot")!)!;
            var requirement = new Requirement { Groups = ["dba"], Quorum = 1, Expires = TimeSpan.FromMinutes(15), Policies = ["p"] };
            Decision Decide(GatewayAction action) => Decision.Combine(new Revision(new string('1', 64), null),
                action.Effects.Select(static e => new EffectDecision(e, Verdict.Review, ReasonCodes.ReviewRequired, [new MatchedPolicy("p", null, "Somebody has to look.", [])])).ToArray(), [requirement]);
            var policy = new PolicyQuestions(Decide, static (user, _, _) => user.Groups.Contains("dba"));
            var feed = new ReviewFeed();
            var desk = new ReviewDesk(store, journal, users, policy, new Voices(users, new Delegations(store, journal, users, time), [], time), time, new ReviewLimits(), store.GetOrCreateSecret(SqliteStore.JoinKey), feed) { Channels = [.. ReviewDesk.OwnChannels, "slack"] };

            var cards = new CardMaker(static () => new Uri("https://countersign.example.com"));
            var accounts = new AccountLinks(store, journal, users, time);
            using var app = new SlackApp(
                new SlackOptions { BotToken = SlackStandIn.BotToken, AppToken = SlackStandIn.AppToken, Reach = new ChannelReach(new HashSet<string> { "pii" }, TakesAnswers: true), Api = slack.Api },
                new Clicks(desk, accounts, users, store, journal, cards), accounts, cards, static () => new Uri("https://countersign.example.com"), time, NullLogger<SlackApp>.Instance);
            var outbox = new Outbox([app.Channel], [new Route { Name = "all", To = [new Destination("slack", SlackStandIn.Room)] }], cards, desk, accounts, [], store, journal, feed, time, new OutboxLimits(), NullLogger<Outbox>.Instance);

            using var stop = new CancellationTokenSource();
            var running = Task.WhenAll(outbox.RunAsync(stop.Token), app.RunAsync(stop.Token));
            await LinkAsync(accounts, users, store, journal, time);
            await SlackStandIn.UntilAsync(() => slack.Sockets == 1);

            var (told, done) = (new List<double>(), new List<double>());
            for (var round = 0; round < rounds + 50; round++)
            {
                var action = Action(actors, round);
                var arrived = new TaskCompletionSource<long>(TaskCreationOptions.RunContinuationsAsynchronously);
                slack.Delay = method =>
                {
                    if (method == "chat.postMessage") arrived.TrySetResult(Stopwatch.GetTimestamp());
                    return Task.CompletedTask;
                };
                var waiter = new Waiter(action, () => new(new Rederived.As(action)), static _ => { });
                var began = Stopwatch.GetTimestamp();
                var hold = Task.Run(() => desk.HoldAsync(waiter, Decide(action)));
                var toldAt = await arrived.Task;
                var review = desk.ListOpen().Single();
                await SlackStandIn.UntilAsync(() => new Postings(store).Of(review.Id) is [{ Message: not null }]);
                var card = slack.Cards.Last();
                var click = slack.Click(card, Account, "approve");
                var clicked = Stopwatch.GetTimestamp();
                _ = slack.DeliverAsync(click, wait: false);
                var end = await hold;
                var released = Stopwatch.GetTimestamp();
                if (end is not HoldEnd.Released { Review: var after }) throw new InvalidOperationException($"not released: {end}");
                await desk.RecordOutcomeAsync(after.Id, action.Id, new Outcome(OutcomeStatus.Done, 1, 0, TimeSpan.Zero, null));
                await SlackStandIn.UntilAsync(() => new Postings(store).Of(review.Id)[0].FinishedAt is not null);
                if (round < 50) continue; // warming up
                told.Add(Stopwatch.GetElapsedTime(began, toldAt).TotalMilliseconds);
                done.Add(Stopwatch.GetElapsedTime(clicked, released).TotalMilliseconds);
            }

            Say("hold → slack has the card", told);
            Say("click at slack → clearance durable and the connection woken", done);
            await stop.CancelAsync();
            await running;
        }

        store.Dispose();
        Directory.Delete(folder, recursive: true);
    }

    private static async Task LinkAsync(AccountLinks accounts, UserDirectory users, SqliteStore store, JournalAppender journal, TimeProvider time)
    {
        var sessions = new HumanSessions(store, journal, users, time, new LoginLimits());
        var code = "";
        sessions.BeginWeb("ada", "browser", (_, shown) => code = shown);
        var session = sessions.Find((await sessions.CompleteWebAsync("ada", code, "browser", null, null)).Token, SessionKind.Web)!;
        var (offer, _) = accounts.Begin(new ChatAccount("slack", SlackStandIn.Team, Account), "alice");
        accounts.Open(offer, session);
        if (await accounts.ConfirmAsync(offer, session) is { } why) throw new InvalidOperationException(why);
    }

    private static GatewayAction Action(ActorChain actors, int round)
    {
        var sql = string.Create(CultureInfo.InvariantCulture, $"update customers set credit = {round} where id = 1");
        return new GatewayAction
        {
            Id = ActionId.New(), Actors = actors, Target = new TargetRef("shop", "postgres", "prod"),
            Effects = [new Effect(Verb.Write, "sql:update", new ResourceRef("Table", "shop.public.customers") { DataClasses = ["pii"] })],
            Payload = new ActionPayload("postgres/3", "query", System.Text.Encoding.UTF8.GetBytes(sql)) { DisplayText = sql },
            Settings = new Dictionary<string, string> { ["database"] = "shop" },
            Intent = new Intent("refund", null, null, null),
        };
    }

    private static void Say(string what, List<double> times)
    {
        times.Sort();
        double At(double share) => times[(int)Math.Min(times.Count - 1, Math.Floor(share * times.Count))];
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{what}: {times.Count} rounds, p50 {At(0.5):0.00} ms, p90 {At(0.9):0.00} ms, p99 {At(0.99):0.00} ms, max {times[^1]:0.00} ms"));
    }
}
