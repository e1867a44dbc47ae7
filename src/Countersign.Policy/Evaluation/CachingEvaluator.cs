using System.Collections.Concurrent;
using Countersign.Core;

namespace Countersign.Policy.Evaluation;

/// <summary>Limits of the decision cache.</summary>
public sealed record DecisionCacheLimits
{
    /// <summary>Most answers kept. Default 20,000: agents times tables times statement shapes of a busy team, at about a kilobyte each.</summary>
    public int Entries { get; init; } = 20_000;
}

/// <summary>
/// An answer that cannot differ is not computed twice. The key is the request's projection onto what the policies mention
/// (<see cref="RequestKey"/>); the cache belongs to one revision and dies with it. Two generations: when the young one is full it
/// becomes the old one, and what is asked for again moves back.
/// </summary>
sealed class CachingEvaluator(IPolicyEvaluator inner, Func<PolicyRequest, string?> keyOf, DecisionCacheLimits limits) : IPolicyEvaluator
{
    ConcurrentDictionary<string, PolicyAnswer> young = new(StringComparer.Ordinal), old = new(StringComparer.Ordinal);
    readonly Lock turn = new();
    long hits, misses;

    /// <summary>Answers found.</summary>
    public long Hits => Interlocked.Read(ref hits);

    /// <summary>Answers computed, those that are not to be kept included.</summary>
    public long Misses => Interlocked.Read(ref misses);

    /// <summary>Answers kept now; never more than the limit.</summary>
    public int Count => young.Count + old.Count;

    public async ValueTask<IReadOnlyList<PolicyAnswer>> EvaluateAsync(IReadOnlyList<PolicyRequest> requests, CancellationToken cancellation)
    {
        var answers = new PolicyAnswer[requests.Count];
        var keys = new string?[requests.Count];
        List<int>? open = null;
        for (var i = 0; i < answers.Length; i++)
        {
            keys[i] = keyOf(requests[i]);
            if (keys[i] is { } key && Find(key) is { } answer) answers[i] = answer;
            else (open ??= []).Add(i);
        }
        Interlocked.Add(ref hits, requests.Count - (open?.Count ?? 0));
        if (open is null) return answers;

        Interlocked.Add(ref misses, open.Count);
        var computed = await inner.EvaluateAsync([.. open.Select(i => requests[i])], cancellation);
        for (var n = 0; n < open.Count; n++)
        {
            answers[open[n]] = computed[n];
            if (keys[open[n]] is { } key && IsLasting(computed[n])) Keep(key, computed[n]);
        }
        return answers;
    }

    /// <summary>A failure of the moment (a guest that trapped, a busy pool) says nothing about the next request.</summary>
    static bool IsLasting(PolicyAnswer answer) => answer.ReasonCode is not (ReasonCodes.PolicyUnavailable or CedarEvaluator.Drained);

    PolicyAnswer? Find(string key)
    {
        if (young.TryGetValue(key, out var answer)) return answer;
        if (!old.TryGetValue(key, out answer)) return null;
        Keep(key, answer);
        return answer;
    }

    void Keep(string key, PolicyAnswer answer)
    {
        if (limits.Entries < 2) return;
        lock (turn)
        {
            if (young.Count >= limits.Entries / 2)
            {
                old = young;
                young = new ConcurrentDictionary<string, PolicyAnswer>(StringComparer.Ordinal);
            }
            young[key] = answer;
        }
    }
}
