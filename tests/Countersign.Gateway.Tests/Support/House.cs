using System.Security.Cryptography;
using System.Text.Json;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Identity.Passkeys;
using Countersign.Journal;
using Countersign.Reviews;
using Countersign.Storage;
using Countersign.Tests.Passkeys;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Countersign.Gateway.Tests;

/// <summary>
/// Everything between a protocol and policy, real, over a store in a folder of its own. One agent, `bot`, owned by `olga`
/// and acting for `uwe`.
/// </summary>
internal sealed class House : IAsyncDisposable
{
    private readonly string folder;
    private readonly SqliteStore sqlite;
    private bool stopped;

    private House(string folder, SqliteStore sqlite, FakeTimeProvider time, Rules rules)
    {
        this.folder = folder;
        this.sqlite = sqlite;
        Time = time;
        Rules = rules;
        Store = new FaultyStore(sqlite);
        Journal = JournalAppender.Start(Store, time, NullLogger<JournalAppender>.Instance, "1.2.3");
    }

    public FakeTimeProvider Time { get; }
    public Rules Rules { get; }
    public FaultyStore Store { get; }
    public JournalAppender Journal { get; }
    public ReviewFeed Feed { get; } = new();
    public ReviewLimits Limits { get; private set; } = new();
    public UserDirectory Users { get; private set; } = null!;
    public AgentRegistry Agents { get; private set; } = null!;
    public HumanSessions Sessions { get; private set; } = null!;
    public PasskeyRegistry Passkeys { get; private set; } = null!;
    public AgentBrake Brake { get; private set; } = null!;
    public Delegations Delegations { get; private set; } = null!;
    public List<OnCallSchedule> OnCall { get; } = [];
    public ReviewDesk Desk { get; private set; } = null!;
    public Spine Spine { get; private set; } = null!;
    public ActorChain Bot { get; private set; } = null!;

    public static Task<House> OpenAsync(Rules? rules = null, ReviewLimits? limits = null, Dictionary<string, string[]>? people = null, PolicyQuestions? policy = null) =>
        OpenAsync(Path.Combine(Path.GetTempPath(), "countersign-gateway-" + RandomNumberGenerator.GetHexString(12, lowercase: true)), new FakeTimeProvider(Given.Noon), rules ?? new Rules(), limits, people, policy);

    private static async Task<House> OpenAsync(string folder, FakeTimeProvider time, Rules rules, ReviewLimits? limits, Dictionary<string, string[]>? people, PolicyQuestions? policy)
    {
        var house = new House(folder, SqliteStore.Open(folder, NullLogger<SqliteStore>.Instance), time, rules);
        await house.FurnishAsync(limits ?? new ReviewLimits(), people ?? Given.People, policy ?? rules.Questions);
        return house;
    }

    private async Task FurnishAsync(ReviewLimits limits, Dictionary<string, string[]> people, PolicyQuestions policy)
    {
        Limits = limits;
        Users = await UserDirectory.LoadAsync(people.ToDictionary(static p => p.Key, static p => (IReadOnlySet<string>)p.Value.ToHashSet(StringComparer.Ordinal)), Store, Journal, new DirectoryOptions { Time = Time });
        Agents = new AgentRegistry(Store, Journal, Users, Time, sqlite.GetOrCreateSecret("scram-mock-salt"));
        Sessions = new HumanSessions(Store, Journal, Users, Time, new LoginLimits());
        Passkeys = new PasskeyRegistry(Store, Journal, Users, Sessions, Time, static origin => origin == "http://localhost:8080", new PasskeyLimits());
        Delegations = new Delegations(Store, Journal, Users, Time) { NamedOnlyInBrowser = limits.ApprovesOnlyInBrowser };
        Desk = new ReviewDesk(Store, Journal, Users, policy, new Voices(Users, Delegations, OnCall, Time), Time, limits, sqlite.GetOrCreateSecret(SqliteStore.JoinKey), Feed) { SecurityGroup = "security", Passkeys = Passkeys, Channels = [.. ReviewDesk.OwnChannels, "slack", "teams"] };
        await Desk.RecoverAsync();
        Brake = new AgentBrake(Store, Journal, Time, new BrakeLimits { Denials = 5, RequestsPerMinute = 600 });
        Spine = new Spine(policy, Desk, Brake, Journal, Time);
        if (Agents.Find("bot") is null) Assert.Equal(AgentChangeStatus.Done, (await Agents.AddAsync("bot", "olga", "uwe", ["agents"], User("olga").Ref)).Status);
        Bot = Agents.ChainOf(Agents.Find("bot")!)!;
    }

    /// <summary>What a start finds when this process is killed now: the very files, and nothing else of it.</summary>
    public async Task<House> CrashAsync(Dictionary<string, string[]>? people = null, TimeSpan later = default)
    {
        var copy = folder + "-" + RandomNumberGenerator.GetHexString(4, lowercase: true);
        Directory.CreateDirectory(copy);
        foreach (var file in Directory.GetFiles(folder, "countersign.db*").Where(static f => !f.EndsWith("-shm", StringComparison.Ordinal))) File.Copy(file, Path.Combine(copy, Path.GetFileName(file)));
        return await OpenAsync(copy, new FakeTimeProvider(Time.GetUtcNow() + later), Rules, Limits, people, null);
    }

    public UserEntry User(string name) => Users.Find(name)!;

    public GatewayAction Action(string sql = "update customers set name = 'x' where id = 1", params Effect[] effects) => Given.Action(Bot, sql, effects);

    /// <summary>A connection that presents an action and waits.</summary>
    public Held Hold(GatewayAction action, Func<ValueTask<Rederived>>? deriveAfresh = null)
    {
        var opened = new TaskCompletionSource<Review>(TaskCreationOptions.RunContinuationsAsynchronously);
        var told = new List<Review>();
        var waiter = new Waiter(action, deriveAfresh ?? (() => new(new Rederived.As(action))), review =>
        {
            lock (told) told.Add(review);
            opened.TrySetResult(review);
        });
        return new Held(waiter, Task.Run(() => Desk.HoldAsync(waiter, Rules.Decide(action))), opened.Task, told);
    }

    /// <summary>Holds and waits until the review is open or joined.</summary>
    public async Task<Held> HoldOpenAsync(GatewayAction? action = null, Func<ValueTask<Rederived>>? deriveAfresh = null)
    {
        var held = Hold(action ?? Action(), deriveAfresh);
        if (await Task.WhenAny(held.Opened, held.End).WaitAsync(Given.Patience) == held.End) Assert.Fail($"not held: {await held.End}");
        return held;
    }

    public async Task<AnswerResult> AnswerAsync(ReviewId id, string user, AnswerKind kind = AnswerKind.Approve, string? comment = null, string channel = "cli", GrantWish? grant = null, Func<string, PasskeyAssertion>? sign = null)
    {
        var (statement, refused) = Desk.Draft(id, User(user), kind, channel, comment, grant);
        return refused ?? await Desk.AnswerAsync(id, User(user), channel, statement!, sign?.Invoke(statement!)).WaitAsync(Given.Patience);
    }

    /// <summary>A browser's session of somebody who has just signed in.</summary>
    public async Task<HumanSession> SignInAsync(string user)
    {
        var code = "";
        Assert.True(Sessions.BeginWeb(user, "browser-1", (_, c) => code = c));
        return Sessions.Find((await Sessions.CompleteWebAsync(user, code, "browser-1", null, null)).Token, SessionKind.Web)!;
    }

    public async Task<Passkey> RegisterAsync(string user, TestAuthenticator authenticator, string name = "phone")
    {
        var session = await SignInAsync(user);
        var (wish, refused) = Passkeys.Begin(session, authenticator.RpId);
        Assert.Null(refused);
        var (client, attestation) = authenticator.Create(wish!.Challenge);
        var change = await Passkeys.RegisterAsync(session, name, client, attestation);
        Assert.Equal((null, null), (change.ReasonCode, change.Detail));
        return change.Passkey!;
    }

    public async Task<Review> ApproveAsync(Held held, string user, string? comment = null, GrantWish? grant = null)
    {
        var result = await AnswerAsync((await held.Opened).Id, user, AnswerKind.Approve, comment, grant: grant);
        Assert.Equal(ReasonCodes.Approved, result.ReasonCode);
        return result.Review!;
    }

    /// <summary>Waits until the review is so.</summary>
    public async Task UntilAsync(ReviewId id, Func<Review, bool> condition)
    {
        // Subscribed before the first look: a change in between is seen twice rather than not at all.
        using var stop = new CancellationTokenSource(Given.Patience);
        await using var changes = Feed.WatchAsync(stop.Token).GetAsyncEnumerator(stop.Token);
        var next = changes.MoveNextAsync();
        while (!(Desk.Find(id) is { } review && condition(review)))
        {
            await next;
            next = changes.MoveNextAsync();
        }

        await stop.CancelAsync();
        await next.AsTask().ContinueWith(static _ => { }, TaskScheduler.Default);
    }

    /// <summary>Types of all durable entries, in order.</summary>
    public IReadOnlyList<string> Types => Store.ReadEntries(0, int.MaxValue).Select(static e => e.TryParse(out var c) ? c.Type : "?").ToArray();

    public int Count(string type) => Types.Count(t => t == type);

    /// <summary>The last entry of a type.</summary>
    public JsonElement Entry(string type)
    {
        foreach (var entry in Store.ReadEntries(0, int.MaxValue).Reverse())
        {
            if (entry.TryParse(out var content) && content.Type == type) return content.Root;
        }

        throw new InvalidOperationException($"no entry `{type}`");
    }

    /// <summary>All that the journal holds, entries and bodies, as text.</summary>
    public (string Entries, string Bodies) Text
    {
        get
        {
            var entries = Store.ReadEntries(0, int.MaxValue);
            return (string.Join('\n', entries.Select(static e => System.Text.Encoding.UTF8.GetString(e.Bytes))),
                string.Join('\n', entries.Select(e => Store.GetBody(e.Index)?.Bytes).OfType<byte[]>().Select(System.Text.Encoding.UTF8.GetString)));
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (stopped) return;
        stopped = true;
        Store.Heal();
        await Journal.DisposeAsync();
        sqlite.Dispose();
        Directory.Delete(folder, recursive: true);
    }
}

/// <summary>One waiting connection of a test.</summary>
internal sealed record Held(Waiter Waiter, Task<HoldEnd> End, Task<Review> Opened, List<Review> Told)
{
    /// <summary>Of the review, once it is open.</summary>
    public ReviewId Id => Opened.Result.Id;

    public async Task<HoldEnd.Released> ReleasedAsync()
    {
        var end = await End.WaitAsync(Given.Patience);
        return Assert.IsType<HoldEnd.Released>(end);
    }

    public async Task<HoldEnd.Refused> RefusedAsync(string reason)
    {
        var refused = Assert.IsType<HoldEnd.Refused>(await End.WaitAsync(Given.Patience));
        Assert.Equal(reason, refused.ReasonCode);
        return refused;
    }

    /// <summary>Leaves, and waits until that is written.</summary>
    public async Task<HoldEnd.Refused> LeaveAsync(LeaveReason reason)
    {
        Waiter.Leave(reason);
        return Assert.IsType<HoldEnd.Refused>(await End.WaitAsync(Given.Patience));
    }
}
