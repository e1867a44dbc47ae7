namespace Countersign.Sql;

/// <summary>What a SQL text and its understanding may use. Beyond any of them the text is refused; none is a hint.</summary>
public sealed record SqlLimits
{
    /// <summary>Most bytes of SQL text in UTF-8. Default 1 MiB: a human cannot review more, and the parser's tree is some thirty times its size.</summary>
    public int TextBytes { get; init; } = 1 << 20;

    /// <summary>Most bytes of the parse tree as the parser writes it. Default 32 MiB.</summary>
    public int TreeBytes { get; init; } = 32 << 20;

    /// <summary>
    /// Deepest nesting of the parse tree (each nested expression takes two). Default 1,000: the analysis recurses, and must end far from the
    /// end of the smallest stack (1.5 MiB). Real statements stay under 100.
    /// </summary>
    public int TreeDepth { get; init; } = 1_000;

    /// <summary>Most statements in one text. Default 1,000: a schema migration has hundreds.</summary>
    public int Statements { get; init; } = 1_000;

    /// <summary>Most effects of one statement. Default 512: each is decided by policy and shown to a human.</summary>
    public int Effects { get; init; } = 512;

    /// <summary>
    /// Rows up to which a literal LIMIT bounds a read of classified data, so that it is no export. Default 100, as DESIGN §4 has it.
    /// </summary>
    public long BoundedRows { get; init; } = 100;

    /// <summary>
    /// Partitions and inheritance children that are listed as effects of their own beside the parent. Default 64; a parent with more carries
    /// the fact <c>opaque</c>, for a policy that names a child cannot be applied. Data classes are the union of all in any case.
    /// </summary>
    public int ListedDescendants { get; init; } = 64;

    /// <summary>Bytes that the cache of understandings may hold, by estimate. Default 32 MiB.</summary>
    public long CacheBytes { get; init; } = 32L << 20;

    /// <summary>Longest text in UTF-16 characters whose understanding is cached. Default 16,384: longer texts are one-off loads.</summary>
    public int CachedTextLength { get; init; } = 16 << 10;
}
