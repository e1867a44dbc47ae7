namespace Countersign.Core;

/// <summary>The five verb groups of the policy language, ordered by how much they can break.</summary>
public enum Verb
{
    Read,
    Export,
    Write,
    Destroy,
    Administer,
}

/// <summary>A fact about an effect, as Cedar can hold it: Bool, Long, String, Set of String, or a record of these.</summary>
public abstract record FactValue
{
    private FactValue() { }

    public sealed record Flag(bool Value) : FactValue;
    public sealed record Number(long Value) : FactValue;
    public sealed record Text(string Value) : FactValue;

    /// <summary>A set of strings; equality is by sorted content.</summary>
    public sealed record Set(IReadOnlyList<string> Values) : FactValue
    {
        public bool Equals(Set? other) => other is not null && Values.SequenceEqual(other.Values, StringComparer.Ordinal);

        public override int GetHashCode()
        {
            var hash = default(HashCode);
            foreach (var value in Values) hash.Add(value, StringComparer.Ordinal);
            return hash.ToHashCode();
        }
    }

    /// <summary>Named values; equality is by content.</summary>
    public sealed record Record(IReadOnlyDictionary<string, FactValue> Members) : FactValue
    {
        public bool Equals(Record? other) =>
            other is not null && Members.Count == other.Members.Count && Members.All(m => other.Members.TryGetValue(m.Key, out var value) && value == m.Value);

        public override int GetHashCode()
        {
            var hash = 0;
            foreach (var (name, value) in Members) hash ^= HashCode.Combine(name, value);
            return hash;
        }
    }

    public static implicit operator FactValue(bool value) => new Flag(value);
    public static implicit operator FactValue(long value) => new Number(value);
    public static implicit operator FactValue(string value) => new Text(value);

    public static FactValue Of(IEnumerable<string> values) =>
        new Set(values.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToArray());

    /// <summary>As statements and entries hold it.</summary>
    public CanonicalJson ToCanonical() => this switch
    {
        Flag f => f.Value,
        Number n => n.Value,
        Text t => t.Value,
        Set s => CanonicalJson.Strings(s.Values),
        Record r => new CanonicalJson.Members(new SortedDictionary<string, CanonicalJson>(r.Members.ToDictionary(static m => m.Key, static m => m.Value.ToCanonical()), StringComparer.Ordinal)),
        _ => throw new InvalidOperationException("a fact value of no known kind"),
    };
}

/// <summary>
/// A protected thing, named as policy names it: Cedar entity type and id (`Table`, `shop.public.customers`), with its
/// ancestors in the resource tree (schema, database, target, environment) and its data classes.
/// </summary>
public sealed record ResourceRef(string Type, string Id)
{
    /// <summary>Cedar parents besides data classes: (type, id) pairs, nearest first; the last leads to the target.</summary>
    public IReadOnlyList<(string Type, string Id)> Parents { get; init; } = [];

    /// <summary>Names of data classes from the classification. Empty means the config's default class was empty too.</summary>
    public IReadOnlyList<string> DataClasses { get; init; } = [];

    public bool Equals(ResourceRef? other) =>
        other is not null && Type == other.Type && Id == other.Id
        && DataClasses.SequenceEqual(other.DataClasses, StringComparer.Ordinal) && Parents.SequenceEqual(other.Parents);

    public override int GetHashCode() => HashCode.Combine(Type, Id);

    public override string ToString() => $"{Type}::\"{Id}\"";
}

/// <summary>
/// One (verb, resource) pair of an action. <see cref="Action"/> is the Cedar action id within the verb group
/// (`sql:update` in `write`).
/// </summary>
public sealed record Effect(Verb Verb, string Action, ResourceRef Resource)
{
    /// <summary>Facts for policy and for the card; names as in the shipped schema's context.</summary>
    public IReadOnlyDictionary<string, FactValue> Facts { get; init; } = Empty;

    private static readonly IReadOnlyDictionary<string, FactValue> Empty = new Dictionary<string, FactValue>();

    public bool Equals(Effect? other) =>
        other is not null && Verb == other.Verb && Action == other.Action && Resource == other.Resource
        && Facts.Count == other.Facts.Count
        && Facts.All(f => other.Facts.TryGetValue(f.Key, out var value) && value == f.Value);

    public override int GetHashCode() => HashCode.Combine(Verb, Action, Resource);

    /// <summary>Canonical form: what a statement commits to as "effects as shown", and what is compared at release (I5).</summary>
    public CanonicalJson ToCanonical()
    {
        var facts = new SortedDictionary<string, CanonicalJson>(StringComparer.Ordinal);
        foreach (var (name, value) in Facts) facts.Add(name, value.ToCanonical());

        return CanonicalJson.Object(
            ("verb", Verb.ToString().ToLowerInvariant()),
            ("action", Action),
            ("resource", CanonicalJson.Object(("type", Resource.Type), ("id", Resource.Id))),
            ("classes", CanonicalJson.Strings(Resource.DataClasses)),
            ("facts", new CanonicalJson.Members(facts)));
    }
}
