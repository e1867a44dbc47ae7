using System.Collections.Frozen;
using System.Globalization;
using System.Text;

namespace Countersign.Sql;

/// <summary>
/// What the server-side session is, as far as it bears on meaning. The gateway fills it from the server's own words (ParameterStatus,
/// <c>current_schemas(true)</c>), never from what it thinks that a SET did.
/// </summary>
public sealed record SqlSession
{
    readonly Lazy<string> fingerprint;

    public SqlSession() => fingerprint = new Lazy<string>(ComputeFingerprint);

    SqlSession(SqlSession other)
    {
        Target = other.Target;
        Database = other.Database;
        SearchPath = other.SearchPath;
        TemporaryNames = other.TemporaryNames;
        OpaqueTemporaries = other.OpaqueTemporaries;
        StandardConformingStrings = other.StandardConformingStrings;
        ServerEncoding = other.ServerEncoding;
        ServerMajor = other.ServerMajor;
        fingerprint = new Lazy<string>(ComputeFingerprint);
    }

    /// <summary>The target's name in the config: the first part of every resource id.</summary>
    public required string Target { get; init; }

    /// <summary>The database that the session is connected to.</summary>
    public required string Database { get; init; }

    /// <summary>
    /// The schemas that unqualified names are looked up in, in order, as <c>select current_schemas(true)</c> answers: with the session's
    /// temporary schema when it has one, and <c>pg_catalog</c> where the server searches it.
    /// </summary>
    public required IReadOnlyList<string> SearchPath { get; init; }

    /// <summary>Names of temporary relations that the session has made (the catalogue is read on another connection and cannot see them as its own).</summary>
    public FrozenSet<string> TemporaryNames { get; init; } = FrozenSet<string>.Empty;

    /// <summary>Those of <see cref="TemporaryNames"/> that are views, or have rules, triggers or children: what using one does is not seen.</summary>
    public FrozenSet<string> OpaqueTemporaries { get; init; } = FrozenSet<string>.Empty;

    /// <summary>ParameterStatus <c>standard_conforming_strings</c>. Anything but on is refused: the parser reads strings as on does (P2).</summary>
    public required bool StandardConformingStrings { get; init; }

    /// <summary>ParameterStatus <c>server_encoding</c>. With another than UTF8 the server folds and cuts non-ASCII names otherwise than the parser: such text is refused (P15).</summary>
    public string ServerEncoding { get; init; } = "UTF8";

    /// <summary>The server's major version. One newer than the grammar (<see cref="SqlParser.GrammarMajor"/>) is refused (P16).</summary>
    public required int ServerMajor { get; init; }

    /// <summary>Equal for sessions in which equal texts mean the same.</summary>
    public string Fingerprint => fingerprint.Value;

    /// <summary>Each part with its length before it, so that no name can be taken for two.</summary>
    string ComputeFingerprint()
    {
        var text = new StringBuilder();
        text.Append(StandardConformingStrings ? '1' : '0').Append(CultureInfo.InvariantCulture, $"{ServerMajor}/{SearchPath.Count}/{TemporaryNames.Count}/{OpaqueTemporaries.Count}");
        foreach (var part in (IEnumerable<string>)[Target, Database, ServerEncoding, .. SearchPath, .. TemporaryNames.Order(StringComparer.Ordinal), .. OpaqueTemporaries.Order(StringComparer.Ordinal)])
            text.Append(CultureInfo.InvariantCulture, $"/{part.Length}:{part}");
        return text.ToString();
    }
}
