using System.Text;
using System.Text.Json;

namespace Countersign.Sql.Parsing;

/// <summary>Reads the parser's JSON into nodes, refusing whatever <see cref="NodeType.All"/> does not have.</summary>
ref struct TreeReader(ReadOnlySpan<byte> json, int maxDepth)
{
    Utf8JsonReader reader = new(json, new JsonReaderOptions { MaxDepth = maxDepth });

    /// <summary>The statements of a parse result. Throws <see cref="JsonException"/> for a tree that is too deep or no JSON, <see cref="TreeException"/> for one that is unknown.</summary>
    public List<PgNode> ReadResult(out long version)
    {
        version = 0;
        var statements = new List<PgNode>();
        Next(JsonTokenType.StartObject);
        while (NextField() is { } field)
        {
            switch (field)
            {
                case "version":
                    reader.Read();
                    version = reader.GetInt64();
                    break;
                case "stmts":
                    Next(JsonTokenType.StartArray);
                    while (reader.Read() && reader.TokenType != JsonTokenType.EndArray) statements.Add(ReadFields(NodeType.All["RawStmt"]));
                    break;
                default: throw new TreeException($"unknown member `{field}`");
            }
        }

        return statements;
    }

    void Next(JsonTokenType expected)
    {
        if (!reader.Read() || reader.TokenType != expected) throw new TreeException($"expected {expected}, found {reader.TokenType}");
    }

    string? NextField()
    {
        reader.Read();
        return reader.TokenType == JsonTokenType.PropertyName ? reader.GetString() : null;
    }

    /// <summary>A node with its type beside it: <c>{"RangeVar":{…}}</c>. At its StartObject; leaves at its EndObject. Null for <c>{}</c>, a null in C.</summary>
    PgNode? ReadNode()
    {
        if (reader.TokenType != JsonTokenType.StartObject) throw new TreeException($"a node that is {reader.TokenType}");
        reader.Read();
        if (reader.TokenType == JsonTokenType.EndObject) return null;
        if (!NodeTypeOf(ref reader, out var type)) throw new TreeException($"unknown node type `{reader.GetString()}`");
        Next(JsonTokenType.StartObject);
        var node = ReadFields(type);
        Next(JsonTokenType.EndObject);
        return node;
    }

    static bool NodeTypeOf(ref Utf8JsonReader reader, out NodeType type)
    {
        Span<char> name = stackalloc char[64];
        if (reader.ValueSpan.Length <= name.Length)
        {
            var length = Encoding.UTF8.GetChars(reader.ValueSpan, name);
            return NodeType.All.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(name[..length], out type!);
        }

        type = null!;
        return false;
    }

    /// <summary>The fields of a node whose type is known. At its StartObject; leaves at its EndObject.</summary>
    PgNode ReadFields(NodeType type)
    {
        if (reader.TokenType != JsonTokenType.StartObject) throw new TreeException($"a `{type}` that is {reader.TokenType}");
        var fields = new List<KeyValuePair<string, object>>(8);
        Span<char> name = stackalloc char[64];
        var lookup = type.Fields.GetAlternateLookup<ReadOnlySpan<char>>();
        while (true)
        {
            reader.Read();
            if (reader.TokenType == JsonTokenType.EndObject) break;
            if (reader.ValueSpan.Length > name.Length || !lookup.TryGetValue(name[..Encoding.UTF8.GetChars(reader.ValueSpan, name)], out var field))
                throw new TreeException($"unknown field `{reader.GetString()}` of `{type}`");
            reader.Read();
            object? value = field.Shape switch
            {
                FieldShape.Scalar => ReadScalar(type, field),
                FieldShape.Node => ReadNode(),
                FieldShape.Typed => ReadFields(field.Target!),
                FieldShape.NodeList => ReadList(null),
                _ => ReadList(field.Target),
            };
            if (value is not null) fields.Add(new(field.Name, value));
        }

        return new PgNode(type, [.. fields]);
    }

    object ReadScalar(NodeType type, FieldType field) => reader.TokenType switch
    {
        JsonTokenType.String => reader.GetString()!,
        JsonTokenType.True => true,
        JsonTokenType.False => false,
        JsonTokenType.Number => reader.GetInt64(),
        _ => throw new TreeException($"the field `{field.Name}` of `{type}` is {reader.TokenType}, not a scalar"),
    };

    PgNode?[] ReadList(NodeType? type)
    {
        if (reader.TokenType != JsonTokenType.StartArray) throw new TreeException($"a list that is {reader.TokenType}");
        var items = new List<PgNode?>();
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray) items.Add(type is null ? ReadNode() : ReadFields(type));
        return [.. items];
    }
}

/// <summary>A tree that this build does not know.</summary>
sealed class TreeException(string message) : Exception(message);
