using System.Collections.Frozen;

namespace Countersign.Sql.Analysis;

enum SettingClass
{
    /// <summary>Any other, custom ones included.</summary>
    Session,

    /// <summary>Changes how text is read, on the server or on the way to it: only the value that we assume may be set (P2, P17).</summary>
    Parsing,

    /// <summary>Changes who acts: role and session_authorization.</summary>
    Identity,

    /// <summary>Changes what is enforced or loaded: triggers, catalogue protection, libraries.</summary>
    Server,
}

/// <summary>Settings by what they do to a session's safety. Names in lower case, as the server compares them.</summary>
static class Settings
{
    static readonly FrozenDictionary<string, SettingClass> classes = new Dictionary<string, SettingClass>(StringComparer.Ordinal)
    {
        ["standard_conforming_strings"] = SettingClass.Parsing,
        ["client_encoding"] = SettingClass.Parsing,
        ["backslash_quote"] = SettingClass.Parsing,
        ["escape_string_warning"] = SettingClass.Parsing,
        ["transform_null_equals"] = SettingClass.Parsing,
        ["role"] = SettingClass.Identity,
        ["session_authorization"] = SettingClass.Identity,
        ["session_replication_role"] = SettingClass.Server,
        ["allow_system_table_mods"] = SettingClass.Server,
        ["event_triggers"] = SettingClass.Server,
        ["lo_compat_privileges"] = SettingClass.Server,
        ["dynamic_library_path"] = SettingClass.Server,
        ["extension_control_path"] = SettingClass.Server,
        ["local_preload_libraries"] = SettingClass.Server,
        ["session_preload_libraries"] = SettingClass.Server,
        ["jit_provider"] = SettingClass.Server,
        ["zero_damaged_pages"] = SettingClass.Server,
        ["ignore_checksum_failure"] = SettingClass.Server,
        ["ignore_system_indexes"] = SettingClass.Server,
        ["createrole_self_grant"] = SettingClass.Server,
    }.ToFrozenDictionary(StringComparer.Ordinal);

    public static SettingClass Class(string name) => classes.GetValueOrDefault(name);

    /// <summary>
    /// Whether a setting that changes parsing is given the value that the parser assumes. Only literal spellings are known; the rest is refused.
    /// </summary>
    public static bool IsSafe(string name, string value) => name switch
    {
        "standard_conforming_strings" => IsOn(value),
        "client_encoding" => value.Replace("-", "", StringComparison.Ordinal).Equals("utf8", StringComparison.OrdinalIgnoreCase) || value.Equals("unicode", StringComparison.OrdinalIgnoreCase),
        "backslash_quote" => value.Equals("safe_encoding", StringComparison.OrdinalIgnoreCase),
        "escape_string_warning" => IsOn(value),
        "transform_null_equals" => value.ToLowerInvariant() is "off" or "false" or "no" or "0",
        _ => false,
    };

    static bool IsOn(string value) => value.ToLowerInvariant() is "on" or "true" or "yes" or "1";

    /// <summary>Whether a value is likely a secret by the setting's name, so that it is masked on display.</summary>
    public static bool IsSecret(string name) =>
        name.Contains("conninfo", StringComparison.Ordinal) || name.Contains("password", StringComparison.Ordinal) && name != "password_encryption"
        || name.Contains("secret", StringComparison.Ordinal) || name.Contains("passphrase", StringComparison.Ordinal)
        || name.Contains("api_key", StringComparison.Ordinal) || name.Contains("token", StringComparison.Ordinal);
}
