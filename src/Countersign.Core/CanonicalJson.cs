using System.Buffers;
using System.Buffers.Text;
using System.Globalization;
using System.Text;
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

    /// <summary>An object with a text for each key.</summary>
    public static Members Map(IReadOnlyDictionary<string, string> texts)
    {
        var members = Object();
        foreach (var (name, value) in texts) members.Items.Add(name, value);
        return members;
    }

    /// <summary>RFC 3339 in UTC with microseconds: fixed width, so that equal instants are equal text.</summary>
    public static CanonicalJson Time(DateTimeOffset value) =>
        new Text(value.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'", CultureInfo.InvariantCulture));

    /// <summary>What parsed JSON says, in this form; null where it says something that this form can not: a number that is no count, a member twice, half a character.</summary>
    public static CanonicalJson? Of(JsonElement json)
    {
        try
        {
            switch (json.ValueKind)
            {
                case JsonValueKind.String: return new Text(json.GetString()!);
                case JsonValueKind.Number: return json.TryGetInt64(out var number) && json.GetRawText() == number.ToString(CultureInfo.InvariantCulture) ? new Integer(number) : null;
                case JsonValueKind.True or JsonValueKind.False: return new Flag(json.ValueKind == JsonValueKind.True);
                case JsonValueKind.Null: return Nothing.Instance;
                case JsonValueKind.Array:
                    var items = json.EnumerateArray().Select(Of).ToArray();
                    return items.Contains(null) ? null : new List(items!);
                case JsonValueKind.Object:
                    var members = Object();
                    foreach (var member in json.EnumerateObject())
                    {
                        if (Of(member.Value) is not { } value || !members.Items.TryAdd(member.Name, value)) return null;
                    }

                    return members;
                default: return null;
            }
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }

    public byte[] ToUtf8()
    {
        var buffer = new ArrayBufferWriter<byte>(512);
        Write(buffer, this);
        return buffer.WrittenSpan.ToArray();
    }

    public sealed override string ToString() => Encoding.UTF8.GetString(ToUtf8());

    private static void Write(ArrayBufferWriter<byte> output, CanonicalJson value)
    {
        switch (value)
        {
            case Text t: WriteString(output, t.Value); break;
            case Integer i:
                var digits = output.GetSpan(20);
                Utf8Formatter.TryFormat(i.Value, digits, out var length);
                output.Advance(length);
                break;
            case Flag f: output.Write(f.Value ? "true"u8 : "false"u8); break;
            case Nothing: output.Write("null"u8); break;
            case List l:
                output.Write("["u8);
                for (var n = 0; n < l.Items.Count; n++)
                {
                    if (n > 0) output.Write(","u8);
                    Write(output, l.Items[n]);
                }

                output.Write("]"u8);
                break;
            case Members m:
                output.Write("{"u8);
                var first = true;
                foreach (var (name, item) in m.Items)
                {
                    if (!first) output.Write(","u8);
                    first = false;
                    WriteString(output, name);
                    output.Write(":"u8);
                    Write(output, item);
                }

                output.Write("}"u8);
                break;
        }
    }

    /// <summary>
    /// RFC 8785 §3.2.2.2: quote, backslash and controls are escaped, everything else is itself. Half of a surrogate pair has
    /// no UTF-8; it is written as the escape that JSON allows for it, so that two different strings never look alike.
    /// </summary>
    private static void WriteString(ArrayBufferWriter<byte> output, string text)
    {
        output.Write("\""u8);
        var start = 0;
        for (var i = 0; i < text.Length; i++)
        {
            var c = text[i];
            if (c is >= ' ' and not ('"' or '\\') && !char.IsSurrogate(c)) continue;
            if (char.IsHighSurrogate(c) && i + 1 < text.Length && char.IsLowSurrogate(text[i + 1]))
            {
                i++;
                continue;
            }

            Encoding.UTF8.GetBytes(text.AsSpan(start, i - start), output);
            start = i + 1;
            output.Write(c switch
            {
                '"' => "\\\""u8,
                '\\' => "\\\\"u8,
                '\b' => "\\b"u8,
                '\t' => "\\t"u8,
                '\n' => "\\n"u8,
                '\f' => "\\f"u8,
                '\r' => "\\r"u8,
                _ => Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}")),
            });
        }

        Encoding.UTF8.GetBytes(text.AsSpan(start), output);
        output.Write("\""u8);
    }
}
