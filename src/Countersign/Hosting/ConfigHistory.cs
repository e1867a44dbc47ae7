using System.Text.Json;
using System.Text.Json.Serialization;
using Countersign.Config;
using Countersign.Core;
using Countersign.Journal;
using Countersign.Policy.Loading;

namespace Countersign.Hosting;

/// <summary>What the file said when it was last journalled, and the commit that was checked out then.</summary>
internal sealed record ConfigSeen(string? Commit, IReadOnlyDictionary<string, string> Settings);

/// <summary>
/// Journals how the configuration differs from that of the last start, with its author where the file lies in git (I11): who is a
/// user, in which group, who owns which workload, is decided there. Nothing serves before it is written.
/// </summary>
internal static class ConfigHistory
{
    private const string Collection = "governance";
    private const string Key = "config";

    /// <exception cref="StartFailure">It could not be written.</exception>
    public static async Task RecordAsync(CountersignConfig config, PolicyAuthors authors, IStateReader reader, JournalAppender journal, TimeProvider time)
    {
        var known = reader.Get(Collection, Key);
        var before = known is null ? null : JsonSerializer.Deserialize(known.Value, ConfigHistoryJson.Default.ConfigSeen)!;
        var old = before?.Settings ?? new Dictionary<string, string>();
        var keys = old.Keys.Union(config.Settings.Keys, StringComparer.Ordinal).Where(k => old.GetValueOrDefault(k) != config.Settings.GetValueOrDefault(k)).Order(StringComparer.Ordinal).ToArray();
        if (before is not null && keys.Length == 0) return;

        var commit = GitHistory.Head(config.File);
        var mails = GitHistory.Authors(config.File, before?.Commit, time.GetUtcNow() - config.Governance.Cooling);
        var entry = new EntryDraft("config-changed",
            CanonicalJson.Object(
                ("commit", commit), ("authors", CanonicalJson.Strings(authors.Users(mails).Select(static u => u.Value).Order(StringComparer.Ordinal))), ("first", before is null),
                ("added", keys.Count(k => !old.ContainsKey(k))), ("changed", keys.Count(k => old.ContainsKey(k) && config.Settings.ContainsKey(k))), ("removed", keys.Count(k => !config.Settings.ContainsKey(k)))),
            CanonicalJson.Object(
                ("authors", CanonicalJson.Strings(mails)),
                ("changes", CanonicalJson.Array(keys.Select(k => (CanonicalJson)CanonicalJson.Object(("key", k), ("before", old.GetValueOrDefault(k)), ("after", config.Settings.GetValueOrDefault(k))))))));
        var seen = new ConfigSeen(commit, config.Settings);
        var result = await journal.WriteAsync(new WriteSet([entry],
            [new StateChange.Put(Collection, Key, known?.Version ?? 0, null, JsonSerializer.SerializeToUtf8Bytes(seen, ConfigHistoryJson.Default.ConfigSeen))])).ConfigureAwait(false);
        if (result.Status != WriteStatus.Committed) throw new StartFailure(Exit.Failed, [$"the change of the configuration could not be journalled, so it does not serve: {result.Detail ?? result.Status.ToString()}"]);
    }
}

[JsonSerializable(typeof(ConfigSeen))]
internal sealed partial class ConfigHistoryJson : JsonSerializerContext;
