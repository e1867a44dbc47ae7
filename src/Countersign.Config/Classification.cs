using System.Collections.Frozen;

namespace Countersign.Config;

/// <summary>A data class and the frameworks that care about it (`SOC2`, `GDPR`).</summary>
public sealed record DataClass(string Name, IReadOnlyList<string> Frameworks);

/// <summary>
/// One line of the classification: target, schema and name, each exact or null for `*`, and the classes it adds. No
/// classes means: listed, and of no class.
/// </summary>
public sealed record ClassificationRule(string? Target, string? Schema, string? Name, IReadOnlyList<string> Classes);

/// <summary>
/// Which data classes a relation belongs to. Every rule that matches adds its classes, so that a rule can never take a
/// class away; what no rule matches takes the default class. Immutable and thread-safe.
/// </summary>
public sealed class Classification
{
    /// <summary>The built-in class of catalogues that hold secrets or other people's values (DESIGN §8).</summary>
    public const string Secrets = "secrets";

    private readonly FrozenDictionary<(string?, string?, string?), string[]> rules;
    private readonly string[] whenUnlisted;

    public Classification(IReadOnlyDictionary<string, DataClass> classes, IEnumerable<ClassificationRule> rules, string? defaultClass, int boundedRows)
    {
        Classes = classes;
        Default = defaultClass;
        BoundedRows = boundedRows;
        whenUnlisted = defaultClass is null ? [] : [defaultClass];
        this.rules = rules
            .Concat(SecretCatalogues.Rules)
            .GroupBy(static r => (r.Target, r.Schema, r.Name))
            .ToFrozenDictionary(static g => g.Key, static g => Sorted(g.SelectMany(static r => r.Classes)));
    }

    /// <summary>Every class by name, the built-in one too.</summary>
    public IReadOnlyDictionary<string, DataClass> Classes { get; }

    /// <summary>Classes from the lowest to the highest, for channels' ceilings; one that is not listed is above all that are.</summary>
    public IReadOnlyList<string> Order { get; init; } = [];

    /// <summary>The class of what is not listed; null for none.</summary>
    public string? Default { get; }

    /// <summary>A read of classified rows that is bounded by a key or by a LIMIT up to this is no export.</summary>
    public int BoundedRows { get; }

    /// <summary>
    /// Classes of a relation, sorted. Names are compared ordinally, as the server resolved them: case matters, and so
    /// does the schema. At most eight look-ups.
    /// </summary>
    public IReadOnlyList<string> ClassesOf(string target, string schema, string name)
    {
        string[]? found = null;
        for (var mask = 0; mask < 8; mask++)
        {
            var key = ((mask & 4) == 0 ? target : null, (mask & 2) == 0 ? schema : null, (mask & 1) == 0 ? name : null);
            if (!rules.TryGetValue(key, out var classes)) continue;
            found = found is null || found.Length == 0 ? classes : classes.Length == 0 ? found : Sorted(found.Concat(classes));
        }

        return found ?? whenUnlisted;
    }

    private static string[] Sorted(IEnumerable<string> classes) => classes.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToArray();
}

/// <summary>
/// Relations of PostgreSQL that show password hashes, connection strings, other sessions' statements, or samples of
/// column values. PostgreSQL documentation, chapters "System Catalogs", "System Views", "The Cumulative Statistics
/// System" and "The Information Schema".
/// </summary>
internal static class SecretCatalogues
{
    private static readonly string[] Classes = [Classification.Secrets];

    private static readonly string[] Catalogue =
    [
        "pg_authid", "pg_shadow",                                            // password hashes
        "pg_user_mapping", "pg_user_mappings", "pg_foreign_server",          // credentials of foreign servers
        "pg_subscription", "pg_stat_wal_receiver",                           // connection strings
        "pg_hba_file_rules", "pg_ident_file_mappings", "pg_file_settings",   // server files, shown as rows
        "pg_db_role_setting",                                                // settings may hold credentials
        "pg_statistic", "pg_stats", "pg_statistic_ext_data", "pg_stats_ext", "pg_stats_ext_exprs", // values of columns
        "pg_stat_activity",                                                  // other sessions' statements
        "pg_largeobject",                                                    // content that no table name shows
    ];

    private static readonly string[] InformationSchema = ["user_mapping_options", "_pg_user_mappings", "foreign_server_options", "_pg_foreign_servers"];

    public static IEnumerable<ClassificationRule> Rules =>
        Catalogue.Select(static name => new ClassificationRule(null, "pg_catalog", name, Classes))
            .Concat(InformationSchema.Select(static name => new ClassificationRule(null, "information_schema", name, Classes)))
            // An extension's view, in whatever schema it was installed.
            .Append(new ClassificationRule(null, null, "pg_stat_statements", Classes));
}
