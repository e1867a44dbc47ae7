using YamlDotNet.Core;
using YamlDotNet.Core.Events;
using Event = YamlDotNet.Core.Events.ParsingEvent;

namespace Countersign.Config.Yaml;

/// <summary>
/// Parser events to a tree with exact positions. What makes YAML mean more than it shows is refused: anchors, aliases,
/// merge keys, tags, several documents, keys that are not text, a key said twice. Depth and node count are bounded
/// while reading, so that a hostile file costs no more than its bytes.
/// </summary>
internal sealed class YamlReader
{
    private readonly Parser parser;
    private readonly Problems problems;
    private int nodes;

    private YamlReader(TextReader text, Problems problems)
    {
        parser = new Parser(text);
        this.problems = problems;
    }

    /// <summary>Null where the text is no YAML, or is empty; the problems say why.</summary>
    public static YamlNode? Read(string text, Problems problems)
    {
        using var reader = new StringReader(text);
        try
        {
            return new YamlReader(reader, problems).Document();
        }
        catch (Refused e)
        {
            problems.Add("", e.At, e.Message);
        }
        catch (YamlException e)
        {
            // The parser's text names what it met by kind or single character, never by content (P56).
            problems.Add("", PositionOf(e.Start), $"not valid YAML: {Lower(e.Message)}");
        }

        return null;
    }

    private YamlNode? Document()
    {
        Next<StreamStart>();
        var first = Next();
        if (first is StreamEnd)
        {
            problems.Add("", new Position(1, 1), "the file is empty");
            return null;
        }

        var root = Node(Next(), "", 0);
        Next<DocumentEnd>();
        var after = Next();
        if (after is not StreamEnd) throw new Refused(PositionOf(after.Start), "the file has a second YAML document; only one is allowed");
        return root;
    }

    private YamlNode Node(Event at, string path, int depth)
    {
        var position = PositionOf(at.Start);
        if (depth > ConfigLimits.Depth) throw new Refused(position, $"nested more than {ConfigLimits.Depth} levels deep");
        if (++nodes > ConfigLimits.Nodes) throw new Refused(position, $"more than {ConfigLimits.Nodes} values");

        if (at is AnchorAlias) throw new Refused(position, "YAML aliases (`*name`) are not allowed; repeat the value");
        if (at is NodeEvent { Anchor.IsEmpty: false }) throw new Refused(position, "YAML anchors (`&name`) are not allowed; repeat the value");
        if (at is NodeEvent { Tag.IsEmpty: false }) throw new Refused(position, "YAML tags (`!name`) are not allowed; write the plain value");

        return at switch
        {
            YamlDotNet.Core.Events.Scalar s => new YamlNode.Scalar(position, s.Value, s.Style == ScalarStyle.Plain),
            SequenceStart => List(position, path, depth),
            MappingStart => Map(position, path, depth),
            _ => throw new Refused(position, "not valid YAML here"),
        };
    }

    private YamlNode.List List(Position position, string path, int depth)
    {
        var items = new List<YamlNode>();
        for (var next = Next(); next is not SequenceEnd; next = Next())
            items.Add(Node(next, YamlPath.Index(path, items.Count), depth + 1));
        return new YamlNode.List(position, items);
    }

    private YamlNode.Map Map(Position position, string path, int depth)
    {
        var entries = new List<MapEntry>();
        var seen = new Dictionary<string, Position>(StringComparer.Ordinal);
        for (var next = Next(); next is not MappingEnd; next = Next())
        {
            if (Node(next, path, depth + 1) is not YamlNode.Scalar key) throw new Refused(PositionOf(next.Start), "a key must be text");
            if (key is { Value: "<<", Plain: true }) throw new Refused(key.At, "YAML merge keys (`<<`) are not allowed; repeat the values");
            var inner = YamlPath.Key(path, key.Value);
            var value = Node(Next(), inner, depth + 1);
            if (seen.TryAdd(key.Value, key.At)) entries.Add(new MapEntry(key, value));
            else problems.Add(inner, key.At, $"key `{Shown.Text(key.Value)}` was already given on line {seen[key.Value].Line}; keep one of them");
        }

        return new YamlNode.Map(position, entries);
    }

    private void Next<T>()
        where T : Event
    {
        var next = Next();
        if (next is not T) throw new Refused(PositionOf(next.Start), "not valid YAML here");
    }

    private Event Next() =>
        parser.MoveNext() && parser.Current is { } current ? current : throw new Refused(new Position(1, 1), "the file ends too early");

    private static Position PositionOf(Mark mark) => new(checked((int)mark.Line), checked((int)mark.Column));

    private static string Lower(string message) =>
        message.Length == 0 ? "unreadable" : string.Concat(char.ToLowerInvariant(message[0]).ToString(), message.AsSpan(1).TrimEnd('.'));

    /// <summary>Reading cannot go on; caught in <see cref="Read"/>.</summary>
    private sealed class Refused(Position at, string message) : Exception(message)
    {
        public Position At { get; } = at;
    }
}
