namespace Countersign.Sql;

/// <summary>What a statement does to the session, as far as later statements depend on it. The gateway follows the server with these (P11).</summary>
public abstract record SqlConsequence
{
    private SqlConsequence() { }

    /// <summary>BEGIN or START TRANSACTION. Null: as the session's defaults say.</summary>
    public sealed record BeginsTransaction(string? Isolation, bool? ReadOnly) : SqlConsequence;

    /// <summary>COMMIT, ROLLBACK (and PREPARE TRANSACTION, which leaves the session outside one). With AND CHAIN a new one begins at once.</summary>
    public sealed record EndsTransaction(bool Committed, bool Chains) : SqlConsequence;

    /// <summary>SET TRANSACTION within one.</summary>
    public sealed record ChangesTransaction(string? Isolation, bool? ReadOnly) : SqlConsequence;

    public sealed record SetsSavepoint(string Name) : SqlConsequence;

    public sealed record ReleasesSavepoint(string Name) : SqlConsequence;

    /// <summary>Settings and temporary relations go back with it.</summary>
    public sealed record RollsBackToSavepoint(string Name) : SqlConsequence;

    /// <summary>
    /// SET or set_config. <paramref name="Value"/> is null when the text does not tell it (a parameter, an expression): ask the server.
    /// A list (search_path) is given as PostgreSQL would show it.
    /// </summary>
    public sealed record ChangesSetting(string Name, string? Value, bool Local) : SqlConsequence;

    /// <summary>RESET name, or SET name TO DEFAULT.</summary>
    public sealed record ResetsSetting(string Name, bool Local) : SqlConsequence;

    /// <summary>RESET ALL.</summary>
    public sealed record ResetsAllSettings : SqlConsequence;

    /// <summary>SET ROLE, SET SESSION AUTHORIZATION, and their resets (then null).</summary>
    public sealed record ChangesRole(string? Role) : SqlConsequence;

    /// <summary>DISCARD ALL: settings, prepared statements, cursors, temporary relations, LISTEN, advisory locks.</summary>
    public sealed record DiscardsAll : SqlConsequence;

    /// <summary>DISCARD TEMP.</summary>
    public sealed record DiscardsTemporary : SqlConsequence;

    /// <summary>PREPARE. <paramref name="Text"/> is the whole PREPARE statement: its effects are those of the inner one.</summary>
    public sealed record PreparesStatement(string Name, string Text) : SqlConsequence;

    /// <summary>EXECUTE (also under EXPLAIN and CREATE TABLE AS).</summary>
    public sealed record ExecutesPrepared(string Name) : SqlConsequence;

    /// <summary>DEALLOCATE; null: ALL.</summary>
    public sealed record Deallocates(string? Name) : SqlConsequence;

    public sealed record DeclaresCursor(string Name, bool Holds) : SqlConsequence;

    /// <summary>FETCH or MOVE: now what the cursor's query calls is called, which may change the session.</summary>
    public sealed record FetchesCursor(string Name) : SqlConsequence;

    /// <summary>CLOSE; null: ALL.</summary>
    public sealed record ClosesCursor(string? Name) : SqlConsequence;

    /// <summary>A temporary relation comes to be.</summary>
    public sealed record CreatesTemporary(string Name) : SqlConsequence;

    /// <summary>The catalogue may change: read it again before the next understanding that depends on it.</summary>
    public sealed record ChangesCatalog : SqlConsequence;

    public sealed record Listens(string Channel) : SqlConsequence;

    /// <summary>UNLISTEN; null: all.</summary>
    public sealed record Unlistens(string? Channel) : SqlConsequence;
}
