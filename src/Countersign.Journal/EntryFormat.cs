using System.Buffers;
using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using Countersign.Core;

namespace Countersign.Journal;

/// <summary>An entry, parsed. <see cref="Root"/> is the whole object, with the type's own fields.</summary>
public readonly record struct EntryContent(LeafIndex Index, DateTimeOffset Time, string Type, byte[]? BodySha256, JsonElement Root);

/// <summary>
/// Entry format v1 (docs/spec/journal.md): one canonical JSON object with `v`, `index`, `time`, `type`, the type's own
/// fields, and `body` when there is one.
/// </summary>
public static class EntryFormat
{
    /// <summary>The version that is written, and the only one that is read.</summary>
    public const int Version = 1;

    /// <summary>Length of a body's salt: 128 bits (DESIGN §7).</summary>
    public const int SaltBytes = 16;

    public const string TypeStart = "start";
    public const string TypeStop = "stop";
    public const string TypeUncertain = "uncertain";

    private const int MaxTypeLength = 64;
    private const string TimeFormat = "yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'";
    private static readonly SearchValues<char> TypeCharacters = SearchValues.Create("abcdefghijklmnopqrstuvwxyz0123456789.-");
    private static readonly string[] Reserved = ["v", "index", "time", "type", "body"];

    /// <summary>The bytes of an entry. Leaf hash: SHA-256(0x00 || these bytes), RFC 6962 §2.1.</summary>
    public static byte[] Write(LeafIndex index, DateTimeOffset time, string type, CanonicalJson.Members fields, ReadOnlySpan<byte> bodySha256)
    {
        var items = new SortedDictionary<string, CanonicalJson>(StringComparer.Ordinal)
        {
            ["v"] = Version,
            ["index"] = index.Value,
            ["time"] = CanonicalJson.Time(time),
            ["type"] = type,
        };
        if (!bodySha256.IsEmpty) items["body"] = CanonicalJson.Object(("sha256", CanonicalJson.Bytes(bodySha256)));
        foreach (var (name, value) in fields.Items) items.Add(name, value);
        return new CanonicalJson.Members(items).ToUtf8();
    }

    /// <summary>SHA-256(salt || body): what `body.sha256` holds. The salt has a fixed length, so the two cannot be shifted.</summary>
    public static byte[] CommitToBody(ReadOnlySpan<byte> salt, ReadOnlySpan<byte> body)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(salt.Length, SaltBytes);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(salt);
        hash.AppendData(body);
        return hash.GetHashAndReset();
    }

    /// <summary>
    /// Reads an entry. The bytes come from a disk that may have been tampered with: everything that a reader relies on is
    /// checked, duplicate members are refused (P25).
    /// </summary>
    public static bool TryParse(ReadOnlyMemory<byte> bytes, out EntryContent content, out string error)
    {
        try
        {
            using var document = JsonDocument.Parse(bytes, new JsonDocumentOptions { AllowDuplicateProperties = false });
            return TryRead(document.RootElement.Clone(), out content, out error);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // JsonDocument looks at the bytes of a string only when it is asked for: bad UTF-8 shows then.
            (content, error) = (default, "not JSON in UTF-8");
            return false;
        }
    }

    private static bool TryRead(JsonElement root, out EntryContent content, out string error)
    {
        content = default;
        if (root.ValueKind != JsonValueKind.Object
            || !root.TryGetProperty("v", out var v) || v.ValueKind != JsonValueKind.Number || !v.TryGetInt32(out var version))
        {
            error = "not an entry";
            return false;
        }

        if (version != Version)
        {
            error = string.Create(CultureInfo.InvariantCulture, $"format version {version} is not known");
            return false;
        }

        if (!root.TryGetProperty("index", out var i) || i.ValueKind != JsonValueKind.Number || !i.TryGetInt64(out var index) || index < 0)
        {
            error = "`index` is missing or no count";
            return false;
        }

        if (!root.TryGetProperty("time", out var t) || t.ValueKind != JsonValueKind.String
            || !DateTimeOffset.TryParseExact(t.GetString(), TimeFormat, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time))
        {
            error = "`time` is missing or no instant";
            return false;
        }

        if (!root.TryGetProperty("type", out var y) || y.ValueKind != JsonValueKind.String || y.GetString() is not { } type || !IsType(type))
        {
            error = "`type` is missing or malformed";
            return false;
        }

        byte[]? sha256 = null;
        if (root.TryGetProperty("body", out var b))
        {
            if (b.ValueKind != JsonValueKind.Object || !b.TryGetProperty("sha256", out var h) || h.ValueKind != JsonValueKind.String
                || h.GetString() is not { Length: 2 * SHA256.HashSizeInBytes } hex || !TryHex(hex, out sha256))
            {
                error = "`body.sha256` is malformed";
                return false;
            }
        }

        content = new EntryContent(new LeafIndex(index), time, type, sha256, root);
        error = "";
        return true;
    }

    internal static string CheckedType(string type) =>
        !IsType(type) ? throw new ArgumentException($"`{type}` is no entry type", nameof(type))
        : type is TypeStart or TypeStop or TypeUncertain ? throw new ArgumentException($"`{type}` is written by the journal itself", nameof(type))
        : type;

    internal static CanonicalJson.Members CheckedFields(CanonicalJson.Members fields)
    {
        foreach (var name in Reserved)
        {
            if (fields.Items.ContainsKey(name)) throw new ArgumentException($"`{name}` is the entry's own member", nameof(fields));
        }

        return fields;
    }

    private static bool IsType(string type) =>
        type.Length is > 0 and <= MaxTypeLength && char.IsAsciiLetterLower(type[0]) && !type.AsSpan().ContainsAnyExcept(TypeCharacters);

    private static bool TryHex(string hex, out byte[]? bytes)
    {
        bytes = new byte[hex.Length / 2];
        if (Convert.FromHexString(hex, bytes, out _, out _) == OperationStatus.Done) return true;
        bytes = null;
        return false;
    }
}
