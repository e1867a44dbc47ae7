using System.Collections.Frozen;
using Countersign.Sql.Parsing;

namespace Countersign.Sql.Analysis;

/// <summary>What a function of pg_catalog does; the letters of Data/functions.sql, which has the reasons.</summary>
enum BuiltinClass
{
    /// <summary>Not in pg_catalog as far as we know.</summary>
    Unknown,
    Harmless,

    /// <summary>An aggregate that answers one value, whatever it reads.</summary>
    ScalarAggregate,

    /// <summary>An aggregate that collects what it reads into one value: one row of it may hold a whole table.</summary>
    CollectingAggregate,
    Locks,
    Notifies,
    SetConfig,
    RunsSql,
    Server,
    Files,

    /// <summary>An effect that is known: sequences, large objects, waiting.</summary>
    Writes,

    /// <summary>Anything else.</summary>
    Effects,
}

/// <summary>The reviewed catalogue of pg_catalog.</summary>
static class Builtins
{
    static readonly FrozenDictionary<string, BuiltinClass> functions = DataFile.Lines("functions.txt")
        .SelectMany(static line =>
        {
            var words = line.Split(' ');
            var kind = words[0] switch
            {
                "h" => BuiltinClass.Harmless,
                "a" => BuiltinClass.ScalarAggregate,
                "c" => BuiltinClass.CollectingAggregate,
                "l" => BuiltinClass.Locks,
                "n" => BuiltinClass.Notifies,
                "g" => BuiltinClass.SetConfig,
                "o" => BuiltinClass.RunsSql,
                "s" => BuiltinClass.Server,
                "f" => BuiltinClass.Files,
                "w" => BuiltinClass.Writes,
                _ => BuiltinClass.Effects,
            };
            return words.Skip(1).Select(name => (Name: name, Kind: kind));
        })
        .ToFrozenDictionary(static f => f.Name, static f => f.Kind, StringComparer.Ordinal);

    static readonly FrozenSet<string> types = DataFile.Lines("types.txt").ToFrozenSet(StringComparer.Ordinal);

    public static BuiltinClass Function(string name) => functions.GetValueOrDefault(name);

    public static bool IsType(string name) => types.Contains(name);

    /// <summary>
    /// Relations of the system catalogues that hold secrets: password hashes, connection strings, other sessions' queries, sampled values of
    /// other tables, bytes of large objects. A least-privilege role cannot read most of them; they ship classified all the same (DESIGN §8).
    /// </summary>
    static readonly FrozenSet<string> secretRelations = FrozenSet.ToFrozenSet(
    [
        "pg_authid", "pg_shadow", "pg_user_mapping", "pg_user_mappings", "pg_foreign_server", "pg_subscription", "pg_largeobject",
        "pg_statistic", "pg_statistic_ext_data", "pg_stats", "pg_stats_ext", "pg_stats_ext_exprs", "pg_hba_file_rules", "pg_ident_file_mappings",
        "pg_file_settings", "pg_stat_activity", "pg_stat_replication", "pg_stat_wal_receiver", "pg_stat_ssl", "pg_stat_gssapi",
        // information_schema
        "user_mapping_options", "foreign_server_options", "_pg_user_mappings", "_pg_foreign_servers",
    ], StringComparer.Ordinal);

    /// <summary>Views of extensions that show other sessions' queries, in whatever schema.</summary>
    static readonly FrozenSet<string> secretExtensionRelations = FrozenSet.ToFrozenSet(["pg_stat_statements", "pg_store_plans", "pg_stat_monitor"], StringComparer.Ordinal);

    /// <summary>The data class of those.</summary>
    public const string SecretsClass = "secrets";

    public static bool IsSystemSchema(string schema) =>
        schema is "pg_catalog" or "information_schema" or "pg_toast" || schema.StartsWith("pg_toast_temp_", StringComparison.Ordinal);

    public static bool IsSecret(string schema, string name) =>
        (IsSystemSchema(schema) && secretRelations.Contains(name)) || secretExtensionRelations.Contains(name)
        || schema == "pg_toast"; // the long values of other tables

    /// <summary>Volatile functions in C of contributed extensions (uuid-ossp, pgcrypto) that answer something new each time and do nothing else; defaults call them.</summary>
    static readonly FrozenSet<string> reviewedExtension = FrozenSet.ToFrozenSet(
        ["uuid_generate_v1", "uuid_generate_v1mc", "uuid_generate_v4", "gen_random_uuid", "gen_random_bytes", "gen_salt"], StringComparer.Ordinal);

    public static bool IsReviewedExtension(string name) => reviewedExtension.Contains(name);

    /// <summary>Functions of extensions that run SQL that they are given, here or on another server (dblink, tablefunc, xml2, pg_cron, …), in whatever schema.</summary>
    public static bool RunsSqlByName(string name) =>
        name.StartsWith("dblink", StringComparison.Ordinal) || name.StartsWith("crosstab", StringComparison.Ordinal)
        || name is "connectby" or "xpath_table" or "pg_background_launch" or "schedule_in_database";

    /// <summary>
    /// Arguments (0-based) of functions that are secrets by nature, so that a literal there is masked on display.
    /// </summary>
    public static readonly FrozenDictionary<string, int[]> SecretArguments = new Dictionary<string, int[]>(StringComparer.Ordinal)
    {
        ["crypt"] = [0],
        ["hmac"] = [1],
        ["pgp_sym_encrypt"] = [1],
        ["pgp_sym_encrypt_bytea"] = [1],
        ["pgp_sym_decrypt"] = [1],
        ["pgp_sym_decrypt_bytea"] = [1],
        ["pgp_pub_decrypt"] = [1, 2],
        ["pgp_pub_decrypt_bytea"] = [1, 2],
        ["encrypt"] = [1],
        ["decrypt"] = [1],
        ["encrypt_iv"] = [1],
        ["decrypt_iv"] = [1],
    }.ToFrozenDictionary(StringComparer.Ordinal);
}
