using System.Collections.Immutable;
using System.Text;

namespace Countersign.PgWire;

/// <summary>
/// An ErrorResponse or NoticeResponse as a server sent it (PostgreSQL documentation §54.8). No field is sure to be there.
/// The text may be in any encoding, since a server reports some errors before it knows the client's: what is not UTF-8
/// reads as U+FFFD.
/// </summary>
public sealed class ServerReport
{
    /// <summary>Most fields of a report. PostgreSQL defines 18; each costs far more memory than the two bytes that it can be sent in.</summary>
    const int MostFields = 64;

    readonly ImmutableArray<(byte Code, string Value)> _fields;

    ServerReport(ImmutableArray<(byte Code, string Value)> fields) => _fields = fields;

    /// <summary>All fields in the server's order.</summary>
    public ImmutableArray<(byte Code, string Value)> Fields => _fields;

    /// <summary>Value of the first field with this code, or null.</summary>
    public string? this[char code]
    {
        get
        {
            foreach (var (fieldCode, value) in _fields)
            {
                if (fieldCode == code)
                    return value;
            }
            return null;
        }
    }

    /// <summary>Severity in English where the server gives it (field V, since 9.6), else in its own language; null when missing.</summary>
    public string? Severity => this['V'] ?? this['S'];

    /// <summary>The five characters of SQLSTATE; null when missing or not five characters.</summary>
    public string? SqlState => this['C'] is { Length: 5 } code ? code : null;

    /// <summary>The message; empty when missing.</summary>
    public string Message => this['M'] ?? "";

    /// <summary>DETAIL, or null. It often quotes data: keep it from logs and cards.</summary>
    public string? Detail => this['D'];

    /// <summary>HINT, or null.</summary>
    public string? Hint => this['H'];

    /// <summary>Whether the server closes the connection after this.</summary>
    public bool IsFatal => Severity is "FATAL" or "PANIC";

    /// <summary>Reads the body of a <see cref="BackendTag.Error"/> or <see cref="BackendTag.Notice"/>.</summary>
    public static bool TryRead(ReadOnlyMemory<byte> body, out ServerReport? message, out WireFault fault)
    {
        message = null;
        var reader = new BodyReader(body);
        var fields = ImmutableArray.CreateBuilder<(byte, string)>();
        while (true)
        {
            byte code = reader.Byte();
            if (reader.Failed)
            {
                fault = WireFault.MissingTerminator;
                return false;
            }
            if (code == 0)
                break;
            if (fields.Count == MostFields)
            {
                fault = WireFault.BadCount;
                return false;
            }
            var value = reader.RawText();
            if (!reader.Failed)
                fields.Add((code, Encoding.UTF8.GetString(value.Span)));
        }
        if (!reader.Finish(out fault))
            return false;
        message = new ServerReport(fields.ToImmutable());
        return true;
    }

    /// <summary>Severity, SQLSTATE and message, without DETAIL, which may hold data.</summary>
    public override string ToString() => $"{Severity ?? "ERROR"} {SqlState ?? "(no sqlstate)"}: {Message}";
}
