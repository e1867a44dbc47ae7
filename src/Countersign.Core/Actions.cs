using System.Security.Cryptography;
using System.Text;

namespace Countersign.Core;

/// <summary>A protected system. <see cref="Kind"/> is the protocol family (`postgres`).</summary>
public sealed record TargetRef(string Name, string Kind, string Environment);

/// <summary>What the agent says about its action. Claims, never facts; not part of the digest.</summary>
public sealed record Intent(string? Reason, string? Ticket, string? Task, string? Model)
{
    public static readonly Intent None = new(null, null, null, null);
}

/// <summary>
/// A bound value: declared type, wire format, raw bytes (null is SQL NULL, which is not an empty value), and the text
/// that a human reads. The digest covers type, format and bytes; never the text.
/// </summary>
public sealed record ActionParameter(string Type, string Format, byte[]? Raw, string? Text);

/// <summary>
/// The exact operation. <see cref="Bytes"/> is what would be forwarded, byte for byte; <see cref="Fields"/> are named
/// protocol fields that are forwarded too (result formats, row limit) and therefore part of the digest.
/// </summary>
public sealed record ActionPayload(string Protocol, string Operation, ReadOnlyMemory<byte> Bytes)
{
    public IReadOnlyList<ActionParameter> Parameters { get; init; } = [];
    public IReadOnlyList<(string Name, string Value)> Fields { get; init; } = [];

    /// <summary>
    /// The payload as a human may read it: secret literals masked with a mark (I10). The bytes keep the real ones.
    /// </summary>
    public required string DisplayText { get; init; }
}

/// <summary>One operation as the gateway understood it (DESIGN §1).</summary>
public sealed record GatewayAction
{
    public required ActionId Id { get; init; }
    public required ActorChain Actors { get; init; }
    public required TargetRef Target { get; init; }
    public required IReadOnlyList<Effect> Effects { get; init; }
    public required ActionPayload Payload { get; init; }

    /// <summary>Session settings that carry meaning (`database`, `user`, `role`, `search_path`, …), sorted when hashed.</summary>
    public required IReadOnlyDictionary<string, string> Settings { get; init; }

    public Intent Intent { get; init; } = Intent.None;

    /// <summary>
    /// Facts of the moment that are no property of one effect, for the card (`open transaction holds locks on …`).
    /// </summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    /// <summary>
    /// The canonical form that digest and join key are computed over (docs/spec/digest.md): principal, actor chain,
    /// target, payload, parameters, settings. Not intent, not effects.
    /// </summary>
    public byte[] ToCanonical()
    {
        var settings = new SortedDictionary<string, CanonicalJson>(StringComparer.Ordinal);
        foreach (var (name, value) in Settings) settings.Add(name, value);

        var canonical = CanonicalJson.Object(
            ("v", "countersign/digest/1"),
            ("principal", Actors.Agent.Id.Value),
            ("owner", Actors.Owner.Id.Value),
            ("for", Actors.OnBehalfOf?.Id.Value),
            ("target", CanonicalJson.Object(("name", Target.Name), ("kind", Target.Kind), ("environment", Target.Environment))),
            ("protocol", Payload.Protocol),
            ("operation", Payload.Operation),
            ("payload", CanonicalJson.Bytes(Payload.Bytes.Span)),
            ("parameters", CanonicalJson.Array(Payload.Parameters.Select(static p => (CanonicalJson)CanonicalJson.Object(
                ("type", p.Type),
                ("format", p.Format),
                ("value", p.Raw is null ? CanonicalJson.Nothing.Instance : CanonicalJson.Bytes(p.Raw)))))),
            ("fields", CanonicalJson.Array(Payload.Fields.Select(static f => CanonicalJson.Strings([f.Name, f.Value])))),
            ("settings", new CanonicalJson.Members(settings)));
        if (Actors.Via.Count > 0) canonical.Items.Add("via", CanonicalJson.Strings(Actors.Via.Select(static h => h.Id.Value).Order(StringComparer.Ordinal)));
        if (Actors.Editors.Count > 0) canonical.Items.Add("editors", CanonicalJson.Strings(Actors.Editors.Select(static h => h.Id.Value).Order(StringComparer.Ordinal)));
        return canonical.ToUtf8();
    }

    /// <summary>SHA-256 over a domain tag, a 128-bit salt and the canonical form.</summary>
    public static ActionDigest ComputeDigest(ReadOnlySpan<byte> salt, ReadOnlySpan<byte> canonical)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(salt.Length, SaltBytes);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(DigestDomain);
        hash.AppendData(salt);
        hash.AppendData(canonical);
        Span<byte> result = stackalloc byte[SHA256.HashSizeInBytes];
        hash.GetHashAndReset(result);
        return new ActionDigest(result);
    }

    /// <summary>Length of a salt: 128 bits, as DESIGN §7 asks.</summary>
    public const int SaltBytes = 16;

    private static readonly byte[] DigestDomain = Encoding.ASCII.GetBytes("countersign/digest/1\0");
}
