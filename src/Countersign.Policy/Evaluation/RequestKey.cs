using System.Globalization;
using System.Text;
using Countersign.Core;
using Countersign.Policy.Cedar;

namespace Countersign.Policy.Evaluation;

/// <summary>
/// The projection of a request onto what the policies of one set mention: two requests of one key cannot be told apart by any of them.
/// Every text carries its length and every set its count, so that no two projections are written alike.
/// </summary>
static class RequestKey
{
    /// <summary>
    /// Longest key, in characters. 1,024: ordinary ones have some hundred, and a full cache of the longest is 40 MB, however an agent
    /// blows up what policies read of it.
    /// </summary>
    public const int Longest = 1_024;

    /// <summary>The key, or null when the request must not be cached.</summary>
    public static string? Of(PolicyRequest request, Mentions mentions)
    {
        if (mentions.WholeContext || mentions.Time) return null;
        var (actors, target, intent, effect, context) = request;
        var key = new StringBuilder(256);
        Text(key, effect.Action);
        Text(key, actors.Agent.Name);
        Set(key, actors.Groups);
        Human(actors.Owner);
        if (actors.OnBehalfOf is { } other) Human(other);
        else key.Append('-');
        key.Append('[').Append(actors.Via.Count);
        foreach (var human in actors.Via.OrderBy(static h => h.Name, StringComparer.Ordinal)) Human(human);
        Text(key, effect.Resource.Type);
        Text(key, effect.Resource.Id);
        var ancestors = RequestWriter.Ancestors(target, effect.Resource, context);
        key.Append('[').Append(ancestors.Count);
        foreach (var (type, id) in ancestors.OrderBy(a => a.Type, StringComparer.Ordinal).ThenBy(a => a.Id, StringComparer.Ordinal))
        {
            Text(key, type);
            Text(key, id);
        }
        Text(key, target.Name);
        Text(key, target.Kind);
        Text(key, target.Environment);
        Fact(key, effect.Facts.GetValueOrDefault("untyped")); // read by the gateway itself, whatever policies mention
        foreach (var path in mentions.Context.Order(StringComparer.Ordinal))
        {
            switch (path)
            {
                case "target" or "target.name" or "target.kind" or "target.environment": break; // above
                case "intent":
                    Optional(key, intent.Reason);
                    Optional(key, intent.Ticket);
                    Optional(key, intent.Task);
                    Optional(key, intent.Model);
                    break;
                case "intent.reason": Optional(key, intent.Reason); break;
                case "intent.ticket": Optional(key, intent.Ticket); break;
                case "intent.task": Optional(key, intent.Task); break;
                case "intent.model": Optional(key, intent.Model); break;
                default:
                    Fact(key, Find(effect.Facts, path));
                    break;
            }
            if (key.Length > Longest) return null;
        }
        return key.Length > Longest ? null : key.ToString();

        void Human(PrincipalRef human)
        {
            Text(key, human.Name);
            if (!mentions.Humans) return;
            if (context.HumanGroups.TryGetValue(human.Id, out var groups)) Set(key, groups);
            else key.Append('?');
        }
    }

    /// <summary>A fact, or the member of one: a path has two levels at most (<see cref="Mentions"/>), and a dot in the second is part of its name.</summary>
    static FactValue? Find(IReadOnlyDictionary<string, FactValue> facts, string path)
    {
        if (facts.TryGetValue(path, out var whole)) return whole;
        var dot = path.IndexOf('.', StringComparison.Ordinal);
        return dot > 0 && facts.GetValueOrDefault(path[..dot]) is FactValue.Record record ? record.Members.GetValueOrDefault(path[(dot + 1)..]) : null;
    }

    static void Fact(StringBuilder key, FactValue? value)
    {
        switch (value)
        {
            case null: key.Append('-'); break;
            case FactValue.Flag f: key.Append(f.Value ? 'T' : 'F'); break;
            case FactValue.Number n: key.Append('#').Append(CultureInfo.InvariantCulture, $"{n.Value};"); break;
            case FactValue.Text t: Text(key, t.Value); break;
            case FactValue.Set s: Set(key, s.Values); break;
            case FactValue.Record r:
                key.Append('{').Append(r.Members.Count);
                foreach (var (name, member) in r.Members.OrderBy(m => m.Key, StringComparer.Ordinal))
                {
                    Text(key, name);
                    Fact(key, member);
                }
                break;
            default: throw new InvalidOperationException("a fact value of no known kind");
        }
    }

    static void Optional(StringBuilder key, string? value)
    {
        if (value is null) key.Append('-');
        else Text(key, value);
    }

    static void Set(StringBuilder key, IReadOnlyList<string> values)
    {
        var distinct = values.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToArray();
        key.Append('[').Append(distinct.Length);
        foreach (var value in distinct) Text(key, value);
    }

    static void Text(StringBuilder key, string value) => key.Append('"').Append(value.Length).Append(':').Append(value);
}
