namespace Countersign.Sql;

/// <summary>
/// Text to understanding, with a memory of what was understood before. Thread-safe. This is what the gateway calls.
/// </summary>
/// <remarks>
/// An understanding is kept under the exact text, the session's fingerprint, the catalogue's version and the classification; when any of
/// them differs the text is understood anew, so that nothing has to be invalidated. Refusals are kept too, but for those that say that no
/// parser was free. The memory is bounded by bytes, by estimate; when it is full the older half goes.
/// </remarks>
public sealed class SqlDialect(SqlParser parser)
{
    /// <summary>What an effect takes, by estimate: its facts, its resource, its strings.</summary>
    const int BytesPerEffect = 1_500;

    /// <summary>What an entry takes besides its text and effects, by estimate.</summary>
    const int BytesPerEntry = 1_000;

    readonly record struct Key(string Text, string Session, long Catalog, SqlClassify Classify);

    readonly SqlAnalyzer analyzer = new(parser);
    readonly Lock gate = new();
    Dictionary<Key, SqlUnderstanding> young = [], old = [];
    long youngBytes;
    long hits, misses;

    /// <summary>Texts that were found in memory so far.</summary>
    public long Hits => Interlocked.Read(ref hits);

    /// <summary>Texts that had to be understood so far.</summary>
    public long Misses => Interlocked.Read(ref misses);

    /// <summary>
    /// Understands <paramref name="text"/>. Give the same delegate for the same classification, and another for another: it is part of
    /// what an understanding is found by.
    /// </summary>
    public SqlUnderstanding Understand(string text, SqlSession session, SqlCatalog catalog, SqlClassify classify)
    {
        ArgumentNullException.ThrowIfNull(text);
        ArgumentNullException.ThrowIfNull(session);
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(classify);
        var key = new Key(text, session.Fingerprint, catalog.Version, classify);
        lock (gate)
        {
            if (Find(key) is { } known)
            {
                hits++;
                return known;
            }

            misses++;
        }

        var parse = parser.Parse(text);
        var understanding = parse.Text is { } parsed ? analyzer.Understand(parsed, session, catalog, classify) : SqlAnalyzer.Refused(parse.Refusal!);
        if (understanding.Refusal?.Reason != Core.ReasonCodes.SandboxUnavailable && text.Length <= parser.Limits.CachedTextLength)
        {
            lock (gate) Keep(key, understanding);
        }

        return understanding;
    }

    SqlUnderstanding? Find(in Key key)
    {
        if (young.TryGetValue(key, out var found)) return found;
        if (!old.Remove(key, out found)) return null;
        Keep(key, found);
        return found;
    }

    void Keep(in Key key, SqlUnderstanding understanding)
    {
        if (!young.TryAdd(key, understanding)) return;
        var effects = understanding.Effects.Count + understanding.Statements.Sum(static s => s.Effects.Count);
        youngBytes += BytesPerEntry + (6L * key.Text.Length) + (2L * key.Session.Length) + ((long)BytesPerEffect * effects);
        if (youngBytes < parser.Limits.CacheBytes / 2) return;
        // Two generations: the old one is dropped whole, what is used is carried over. No list to keep in order on the hot path.
        old = young;
        young = [];
        youngBytes = 0;
    }
}
