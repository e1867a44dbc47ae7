using System.Collections.Frozen;

namespace Countersign.Core;

/// <summary>
/// The words that a SQL dialect emits and policies read: action ids with their verb group, and fact names. They equal the
/// shipped Cedar schema's (a test of the policy room keeps the two so); meanings are in docs/spec/policy.md. A request with
/// any other word is denied.
/// </summary>
public static class SqlVocabulary
{
    /// <summary>Every action id, with the verb group that it is in.</summary>
    public static readonly FrozenDictionary<string, Verb> Actions = new Dictionary<string, Verb>(StringComparer.Ordinal)
    {
        ["sql:select"] = Verb.Read,
        ["sql:explain"] = Verb.Read,
        ["sql:show"] = Verb.Read,
        ["sql:session"] = Verb.Read,

        ["sql:export"] = Verb.Export,
        ["sql:copy-out"] = Verb.Export,

        ["sql:insert"] = Verb.Write,
        ["sql:update"] = Verb.Write,
        ["sql:delete"] = Verb.Write,
        ["sql:copy-in"] = Verb.Write,
        ["sql:lock"] = Verb.Write,
        ["sql:refresh"] = Verb.Write,
        ["sql:call"] = Verb.Write,
        ["sql:notify"] = Verb.Write,
        ["sql:create-temporary"] = Verb.Write,

        ["sql:drop"] = Verb.Destroy,
        ["sql:truncate"] = Verb.Destroy,

        ["sql:create"] = Verb.Administer,
        ["sql:alter"] = Verb.Administer,
        ["sql:grant"] = Verb.Administer,
        ["sql:revoke"] = Verb.Administer,
        ["sql:role"] = Verb.Administer,
        ["sql:set-role"] = Verb.Administer,
        ["sql:maintain"] = Verb.Administer,
        ["sql:configure"] = Verb.Administer,
        ["sql:server-file"] = Verb.Administer,
        ["sql:opaque"] = Verb.Administer,
    }.ToFrozenDictionary(StringComparer.Ordinal);

    /// <summary>Entity types that a SQL effect's resource may have.</summary>
    public static readonly FrozenSet<string> ResourceTypes =
        new[] { "Database", "Schema", "Table", "Sequence", "Function", "SqlObject", "Role" }.ToFrozenSet(StringComparer.Ordinal);

    /// <summary>Every fact name, with the kind of its value. Each is optional.</summary>
    public static readonly FrozenDictionary<string, Type> Facts = new Dictionary<string, Type>(StringComparer.Ordinal)
    {
        ["statement"] = typeof(FactValue.Text),
        ["where"] = typeof(FactValue.Flag),
        ["unbounded"] = typeof(FactValue.Flag),
        ["limit"] = typeof(FactValue.Number),
        ["columns"] = typeof(FactValue.Set),
        ["functions"] = typeof(FactValue.Set),
        ["opaque"] = typeof(FactValue.Flag),
        ["in_transaction"] = typeof(FactValue.Flag),
        ["cte"] = typeof(FactValue.Flag),
        ["explain"] = typeof(FactValue.Flag),
        ["object"] = typeof(FactValue.Text),
        ["temporary"] = typeof(FactValue.Flag),
        ["cascade"] = typeof(FactValue.Flag),
        ["privileges"] = typeof(FactValue.Set),
        ["grantees"] = typeof(FactValue.Set),
        ["settings"] = typeof(FactValue.Set),
        ["triggers"] = typeof(FactValue.Flag),
        ["unresolved"] = typeof(FactValue.Flag),
        ["locking"] = typeof(FactValue.Flag),
        ["statements"] = typeof(FactValue.Number),
    }.ToFrozenDictionary(StringComparer.Ordinal);
}
