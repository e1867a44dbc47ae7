using Countersign.Core;

namespace Countersign.Sql;

/// <summary>Why a text or a statement is not carried out.</summary>
/// <param name="Reason">A reason code of <see cref="ReasonCodes"/>.</param>
/// <param name="Message">For the agent, in our error style. Of `unparseable` it is the parser's own, which may quote a word of the text: not for logs.</param>
/// <param name="Position">Where, 1-based and in characters of the text, as PostgreSQL's error position; 0 when unknown.</param>
public sealed record SqlRefusal(string Reason, string Message, int Position = 0);

/// <summary>What kind of statement: for cards, metrics and the gateway's own paths; policy looks at effects.</summary>
public enum SqlStatementKind
{
    Select,
    Insert,
    Update,
    Delete,
    Merge,
    Truncate,
    Create,
    Alter,
    Drop,
    Grant,
    Role,
    Call,
    Do,
    CopyIn,
    CopyOut,
    Explain,
    Set,
    Show,
    Transaction,
    Prepare,
    Execute,
    Deallocate,
    DeclareCursor,
    Fetch,
    CloseCursor,
    Lock,
    Maintain,
    Listen,
    Notify,
    Discard,
    Server,
    Unknown,
}

/// <summary>One statement of a text, understood.</summary>
public sealed record SqlStatement
{
    public required SqlStatementKind Kind { get; init; }

    /// <summary>Its effects, each (action, resource) once, in the order in which the walk met them.</summary>
    public required IReadOnlyList<Effect> Effects { get; init; }

    /// <summary>What it does to the session that later statements depend on.</summary>
    public required IReadOnlyList<SqlConsequence> Consequences { get; init; }

    /// <summary>The statement's own text, secret literals masked (I10).</summary>
    public required string Display { get; init; }

    /// <summary>Where the statement starts in the UTF-8 text, in bytes.</summary>
    public required int Start { get; init; }

    /// <summary>Its length in bytes.</summary>
    public required int Length { get; init; }

    /// <summary>Why it cannot be governed in this build; null when it can.</summary>
    public SqlRefusal? Refusal { get; init; }

    /// <summary>
    /// Whether the effects come later than the statement: PREPARE reports those of the statement that it prepares, so that what can only be
    /// denied is denied at once; they happen at EXECUTE.
    /// </summary>
    public bool EffectsAreDeferred { get; init; }

    /// <summary>
    /// Whether it means the same whatever the settings, the role and the names of the session are: what drivers send to make a
    /// session as new, in one text (RESET ALL, CLOSE ALL, UNLISTEN, DISCARD, DEALLOCATE, SELECT pg_advisory_unlock_all()).
    /// </summary>
    public bool IsPlainReset { get; init; }

    /// <summary>
    /// What planning it may run, or ask of another server, in words; null when nothing but what is known to be harmless, so that it may be
    /// explained on another connection. Only of SELECT, INSERT, UPDATE, DELETE and MERGE does that mean anything.
    /// </summary>
    public string? PlanRisk { get; init; }

    /// <summary>For PREPARE: what the prepared statement does to the session when it is executed.</summary>
    public IReadOnlyList<SqlConsequence> DeferredConsequences { get; init; } = [];
}

/// <summary>A text, understood or refused. Immutable; may be shared and kept.</summary>
public sealed record SqlUnderstanding
{
    /// <summary>Why the text as a whole, or its first refused statement, is refused; null when all of it is understood.</summary>
    public SqlRefusal? Refusal { get; init; }

    /// <summary>The statements, in order. Empty for a refused text, and for one that holds no statement (PostgreSQL's EmptyQuery).</summary>
    public required IReadOnlyList<SqlStatement> Statements { get; init; }

    /// <summary>The union of the statements' effects.</summary>
    public required IReadOnlyList<Effect> Effects { get; init; }

    /// <summary>The text with secret literals masked. Of a text that did not parse it says only that: what a broken text holds cannot be masked.</summary>
    public required string Display { get; init; }

    /// <summary>The consequences of all statements, in order.</summary>
    public IEnumerable<SqlConsequence> Consequences => Statements.SelectMany(static s => s.Consequences);

    /// <summary>Whether it may be decided upon.</summary>
    public bool IsUnderstood => Refusal is null;

    /// <summary>
    /// Fills in what EXECUTE runs. <paramref name="prepared"/> gives the PREPARE statement of a name, understood from its own text under the
    /// session as it is now (the server analyses it anew when the path has changed), or null when unknown. Its effects take the place
    /// of the opaque one, its consequences are added; an unknown name stays opaque.
    /// </summary>
    public SqlUnderstanding WithPrepared(Func<string, SqlStatement?> prepared)
    {
        ArgumentNullException.ThrowIfNull(prepared);
        var changed = false;
        var refusal = Refusal;
        var statements = new SqlStatement[Statements.Count];
        for (var n = 0; n < statements.Length; n++)
        {
            var statement = statements[n] = Statements[n];
            if (statement.EffectsAreDeferred || statement.Consequences.OfType<SqlConsequence.ExecutesPrepared>().ToArray() is not [var execute]) continue;
            if (prepared(execute.Name) is not { EffectsAreDeferred: true } source) continue;
            changed = true;
            refusal ??= source.Refusal;
            statements[n] = statement with
            {
                Effects = [.. statement.Effects.Where(static e => !IsPlaceholder(e)).Concat(source.Effects).Distinct()],
                Consequences = [.. statement.Consequences, .. source.DeferredConsequences],
                Refusal = statement.Refusal ?? source.Refusal,
            };
        }

        return changed ? this with { Refusal = refusal, Statements = statements, Effects = Union(statements) } : this;
    }

    internal static IReadOnlyList<Effect> Union(IReadOnlyList<SqlStatement> statements) =>
        statements.Count == 1 ? statements[0].Effects : [.. statements.SelectMany(static s => s.Effects).Distinct()];

    /// <summary>The effect that stands for a prepared statement's own.</summary>
    internal const string PreparedObject = "prepared-statement";

    static bool IsPlaceholder(Effect effect) =>
        effect.Action == SqlActions.Opaque && effect.Facts.TryGetValue(SqlFacts.Object, out var value) && value is FactValue.Text { Value: PreparedObject };
}
