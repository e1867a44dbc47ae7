using Countersign.Tests.Teams;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Countersign.Channels.Accounts;
using Countersign.Channels.Answering;
using Countersign.Channels.Cards;
using Countersign.Channels.Teams;
using Countersign.Gateway.Tests;
using Countersign.Identity;
using Countersign.Reviews;
using Microsoft.Extensions.Logging.Abstractions;

namespace Countersign.Channels.Tests.Teams;

/// <summary>A house whose reviews are told in a played Teams, and answered from there.</summary>
internal sealed class TeamsRig : IAsyncDisposable
{
    public const string Page = "https://countersign.example.com/link#";

    private readonly TeamsRoom room;

    private TeamsRig(House house, PlayedTeams teams, ChannelReach reach, string[] to)
    {
        (House, Teams) = (house, teams);
        Accounts = new AccountLinks(house.Store, house.Journal, house.Users, house.Time);
        var cards = new CardMaker(static () => new Uri("https://countersign.example.com"));
        var clicks = new Clicks(house.Desk, Accounts, house.Users, house.Store, house.Journal, cards);
        room = new TeamsRoom("teams", TeamsGiven.Bot(teams), reach, house.Desk, Accounts, clicks, cards, static code => new Uri(Page + code), house.Journal, house.Time, NullLogger<TeamsDoor>.Instance);
        Told = new Told(house, [Channels.Tests.Told.Everything(to)], room.Channel);
        People = new Dictionary<string, Teammate>(StringComparer.Ordinal);
        foreach (var (name, i) in (ReadOnlySpan<(string, int)>)[("ada", 1), ("ben", 2), ("olga", 3), ("nil", 4), ("sue", 5)]) Add(name, new Teammate($"29:{name}", $"{i:D8}-aaaa-4aaa-8aaa-000000000000", PlayedTeams.Tenant));
    }

    public static async Task<TeamsRig> OpenAsync(string[]? carries = null, Rules? rules = null, params string[] to)
    {
        var house = await House.OpenAsync(rules);
        return new TeamsRig(house, await PlayedTeams.StartAsync(house.Time), new ChannelReach((carries ?? ["pii"]).ToHashSet(StringComparer.Ordinal), true), to.Length == 0 ? [$"teams:{PlayedTeams.Channel}"] : to);
    }

    public House House { get; }
    public PlayedTeams Teams { get; }
    public AccountLinks Accounts { get; }
    public Told Told { get; }
    public Dictionary<string, Teammate> People { get; }

    public void Add(string name, Teammate person)
    {
        People[name] = person;
        Teams.People.Add(person);
    }

    /// <summary>Presses the button that links, and agrees in a browser as this user.</summary>
    public async Task LinkAsync(string person, string? user = null)
    {
        var answer = await SayAsync(People[person]);
        var url = answer.Card.GetProperty("actions")[0].GetProperty("url").GetString()!;
        Assert.StartsWith(Page, url, StringComparison.Ordinal);
        var session = Session(user ?? person);
        Assert.NotNull(Accounts.Open(url[Page.Length..], session));
        Assert.Null(await Accounts.ConfirmAsync(url[Page.Length..], session));
    }

    public HumanSession Session(string user) => new($"s-{user}", House.User(user), SessionKind.Web, "code", House.Time.GetUtcNow(), House.Time.GetUtcNow(), House.Time.GetUtcNow().AddHours(1), null);

    /// <summary>Writes to the bot in a chat of one's own, and gives its answer.</summary>
    public async Task<TeamsMessage> SayAsync(Teammate by)
    {
        var before = Teams.Messages.Count;
        var reply = await SendAsync(Teams.Say(by, "hello"));
        Assert.Equal(200, reply.Status);
        return Teams.Messages.Skip(before).Single();
    }

    /// <summary>Holds an action and waits for its card.</summary>
    public async Task<(Held Held, TeamsMessage Message)> HeldAsync(string sql = "update customers set name = 'x' where id = 1")
    {
        var before = Teams.Messages.Count;
        var held = await House.HoldOpenAsync(House.Action(sql));
        var id = (await held.Opened).Id;
        await Told.UntilAsync(() => Told.Postings.Of(id) is [{ Message: not null }], timeGoesOn: false);
        return (held, Teams.Messages[before]);
    }

    /// <summary>Waits until it is so; time goes on, but slowly: a call over HTTP on a busy machine must not seem to take minutes.</summary>
    public async Task UntilAsync(Func<bool> holds)
    {
        for (var n = 1; !holds(); n++)
        {
            Assert.True(n < 3000, "it never came to be so");
            if (n % 10 == 0) House.Time.Advance(TimeSpan.FromSeconds(1));
            await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System);
        }
    }

    public Task<TeamsReply> SendAsync(JsonObject activity, string? token = null) =>
        room.Door.TakeAsync($"Bearer {token ?? Teams.Sign(Teams.Claims())}", Encoding.UTF8.GetBytes(activity.ToJsonString()), TestContext.Current.CancellationToken);

    /// <summary>A click on a button as Teams sends it; the answer as Teams takes it.</summary>
    public async Task<TeamsAnswer> ClickAsync(string person, TeamsMessage on, string verb, string? reason = null, string? reference = null)
    {
        var data = new JsonObject { ["reference"] = reference ?? ReferenceOf(on) };
        if (reason is not null) data["reason"] = reason;
        return Answer(await SendAsync(Teams.Invoke(People[person], on, verb, data)));
    }

    public static TeamsAnswer Answer(TeamsReply reply)
    {
        Assert.Equal(200, reply.Status);
        using var document = JsonDocument.Parse(reply.Body!.ToJsonString());
        var root = document.RootElement.Clone();
        Assert.Equal(["statusCode", "type", "value"], root.EnumerateObject().Select(static m => m.Name));
        var type = root.GetProperty("type").GetString()!;
        var value = root.GetProperty("value");
        switch (type)
        {
            case "application/vnd.microsoft.card.adaptive":
                Assert.Empty(AdaptiveSchema.Faults(value));
                Assert.InRange(AdaptiveSchema.Bytes(value), 1, AdaptiveSchema.MessageBytes);
                return new TeamsAnswer(value, null);
            case "application/vnd.microsoft.activity.message":
                return new TeamsAnswer(null, value.GetString());
            default:
                return new TeamsAnswer(null, value.GetProperty("message").GetString());
        }
    }

    public static string ReferenceOf(TeamsMessage message) =>
        message.Card.GetProperty("actions").EnumerateArray().First(static a => a.GetProperty("type").GetString() == "Action.Execute").GetProperty("data").GetProperty("reference").GetString()!;

    public async ValueTask DisposeAsync()
    {
        await Told.DisposeAsync();
        room.Dispose();
        await Teams.DisposeAsync();
        await House.DisposeAsync();
    }
}

/// <summary>What a click got: a card for the clicker alone, or a sentence.</summary>
internal sealed record TeamsAnswer(JsonElement? Card, string? Said)
{
    /// <summary>All that a person can read of it.</summary>
    public string Text => Said ?? CardText.Of(Card!.Value);

    /// <summary>Titles of buttons that decide, those of a card behind a button among them.</summary>
    public IReadOnlyList<string> Buttons => Card is { } card ? CardText.Buttons(card) : [];
}

/// <summary>A card as text.</summary>
internal static class CardText
{
    public static string Of(JsonElement at)
    {
        var text = new StringBuilder();
        Collect(at, text);
        return text.ToString();
    }

    public static IReadOnlyList<string> Buttons(JsonElement card)
    {
        var titles = new List<string>();
        foreach (var action in card.TryGetProperty("actions", out var actions) ? actions.EnumerateArray() : [])
        {
            if (action.GetProperty("type").GetString() == "Action.Execute") titles.Add(action.GetProperty("title").GetString()!);
            if (action.TryGetProperty("card", out var inner)) titles.AddRange(Buttons(inner));
        }

        return titles;
    }

    private static void Collect(JsonElement at, StringBuilder text)
    {
        if (at.ValueKind == JsonValueKind.Array)
        {
            foreach (var item in at.EnumerateArray()) Collect(item, text);
        }
        else if (at.ValueKind == JsonValueKind.Object)
        {
            if (at.TryGetProperty("text", out var own)) text.Append(own.GetString());
            foreach (var member in at.EnumerateObject().Where(static m => m.Name is "body" or "items" or "inlines" or "columns")) Collect(member.Value, text);
            if (at.TryGetProperty("type", out var type) && type.GetString() is "RichTextBlock" or "TextBlock") text.Append('\n');
        }
    }
}
