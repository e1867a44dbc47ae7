using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Countersign.Core;

/// <summary>
/// Canonical JSON as this product writes it, and the only form that it hashes: UTF-8, no white space, members sorted by
/// ordinal UTF-16 order (RFC 8785 §3.2.3), no duplicate members, no numbers but integers that we count ourselves, no
/// escapes but those JSON requires. Absent, null and empty are three different things.
/// </summary>
public abstract record CanonicalJson
{
    private CanonicalJson() { }

    public sealed record Text(string Value) : CanonicalJson;
    public sealed record Integer(long Value) : CanonicalJson;
    public sealed record Flag(bool Value) : CanonicalJson;
    public sealed record Nothing : CanonicalJson
    {
        public static readonly Nothing Instance = new();
    }

    public sealed record List(IReadOnlyList<CanonicalJson> Items) : CanonicalJson;

    /// <summary>Members in any order; written sorted. A repeated name throws when added.</summary>
    public sealed record Members(SortedDictionary<string, CanonicalJson> Items) : CanonicalJson;

    public static implicit operator CanonicalJson(string? value) => value is null ? Nothing.Instance : new Text(value);
    public static implicit operator CanonicalJson(long value) => new Integer(value);
    public static implicit operator CanonicalJson(int value) => new Integer(value);
    public static implicit operator CanonicalJson(bool value) => new Flag(value);

    /// <summary>Bytes are hex text: one spelling only, unlike base64 with its padding bits.</summary>
    public static CanonicalJson Bytes(ReadOnlySpan<byte> bytes) => new Text(Convert.ToHexStringLower(bytes));

    public static CanonicalJson Array(IEnumerable<CanonicalJson> items) => new List(items.ToArray());

    public static CanonicalJson Strings(IEnumerable<string> items) => new List(items.Select(static i => (CanonicalJson)i).ToArray());

    /// <summary>An object; members whose value is null (C#) are absent.</summary>
    public static Members Object(params ReadOnlySpan<(string Name, CanonicalJson? Value)> members)
    {
        var items = new SortedDictionary<string, CanonicalJson>(StringComparer.Ordinal);
        foreach (var (name, value) in members)
        {
            if (value is not null) items.Add(name, value);
        }

        return new Members(items);
    }

    /// <summary>RFC 3339 in UTC with microseconds: fixed width, so that equal instants are equal text.</summary>
    public static CanonicalJson Time(DateTimeOffset value) =>
        new Text(value.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'", CultureInfo.InvariantCulture));

    public byte[] ToUtf8()
    {
        var buffer = new ArrayBufferWriter<byte>(512);
        using (var writer = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            Write(writer, this);
        }

        return buffer.WrittenSpan.ToArray();
    }

    public sealed override string ToString() => Encoding.UTF8.GetString(ToUtf8());

    private static void Write(Utf8JsonWriter writer, CanonicalJson value)
    {
        switch (value)
        {
            case Text t: writer.WriteStringValue(t.Value); break;
            case Integer i: writer.WriteNumberValue(i.Value); break;
            case Flag f: writer.WriteBooleanValue(f.Value); break;
            case Nothing: writer.WriteNullValue(); break;
            case List l:
                writer.WriteStartArray();
                foreach (var item in l.Items) Write(writer, item);
                writer.WriteEndArray();
                break;
            case Members m:
                writer.WriteStartObject();
                foreach (var (name, item) in m.Items)
                {
                    writer.WritePropertyName(name);
                    Write(writer, item);
                }

                writer.WriteEndObject();
                break;
        }
    }
}
