using System.Collections.Concurrent;
using Countersign.Channels.Cards;
using Countersign.Channels.Delivery;

namespace Countersign.Channels.Tests;

/// <summary>A channel in memory, whose calls can be made to fail at each step. What a service itself does is not its business: see the stand-ins.</summary>
internal sealed class PlayedChannel(string name = "slack", bool takesAnswers = true, params string[] carries) : IChannel
{
    private int next;

    public string Name => name;
    public ChannelReach Reach { get; } = new(carries.ToHashSet(StringComparer.Ordinal), takesAnswers);

    /// <summary>Asked before each call, by its name; null lets it happen.</summary>
    public Func<string, DeliveryResult?> Before { get; set; } = static _ => null;

    /// <summary>Asked after each call; what it gives is told instead of the truth.</summary>
    public Func<string, DeliveryResult?> After { get; set; } = static _ => null;

    public sealed record Posted(string Id, string Posting, string Place, List<Notice> Versions, List<StoryLine> Story);

    public ConcurrentDictionary<string, Posted> Messages { get; } = new(StringComparer.Ordinal);
    public ConcurrentQueue<string> Calls { get; } = new();

    public Posted Only => Assert.Single(Messages.Values);

    public Task<DeliveryResult> PostAsync(Notice notice, string place, CancellationToken ct) => Do("post", () =>
    {
        var id = $"m{Interlocked.Increment(ref next)}";
        Messages[id] = new Posted(id, notice.Posting, place, [notice], []);
        return DeliveryResult.Done(id);
    });

    public Task<DeliveryResult> FindAsync(string posting, string place, DateTimeOffset since, string? message, string? line, CancellationToken ct) => Do("find", () =>
        DeliveryResult.Done(message is null
            ? Messages.Values.SingleOrDefault(m => m.Posting == posting && m.Place == place)?.Id
            : Messages[message].Story.Any(s => s.Key == line) ? message : null));

    public Task<DeliveryResult> UpdateAsync(Notice notice, string place, string message, CancellationToken ct) => Do("update", () =>
    {
        if (!Messages.TryGetValue(message, out var there)) return new DeliveryResult(DeliveryStatus.Gone);
        there.Versions.Add(notice);
        return DeliveryResult.Done(null);
    });

    public Task<DeliveryResult> TellAsync(string posting, StoryLine line, string place, string message, CancellationToken ct) => Do("tell", () =>
    {
        Messages[message].Story.Add(line);
        return DeliveryResult.Done(null);
    });

    private Task<DeliveryResult> Do(string call, Func<DeliveryResult> work)
    {
        Calls.Enqueue(call);
        if (Before(call) is { } instead) return Task.FromResult(instead);
        var done = work();
        return Task.FromResult(After(call) ?? done);
    }
}
