using System.Text;
using System.Text.Json;
using Countersign.Core;
using Countersign.Sandbox;
using Countersign.Sql.Parsing;

namespace Countersign.Sql;

/// <summary>A text that parsed: its statements as PostgreSQL's grammar reads them. Immutable.</summary>
public sealed class SqlText
{
    internal SqlText(string text, byte[] utf8, IReadOnlyList<PgNode> statements, int treeBytes)
    {
        Text = text;
        Utf8 = utf8;
        Raw = statements;
        TreeBytes = treeBytes;
    }

    /// <summary>The text as it was given.</summary>
    public string Text { get; }

    /// <summary>How many statements it holds. None: PostgreSQL answers EmptyQueryResponse.</summary>
    public int Count => Raw.Count;

    internal byte[] Utf8 { get; }

    internal IReadOnlyList<PgNode> Raw { get; }

    internal int TreeBytes { get; }

    /// <summary>Start and length of a statement in UTF-8 bytes, as the parser tells them (its separating semicolon is not part of it).</summary>
    internal (int Start, int Length) Span(int index)
    {
        var start = (int)Raw[index].Number("stmt_location");
        var length = (int)Raw[index].Number("stmt_len");
        return (start, length == 0 ? Utf8.Length - start : length);
    }
}

/// <summary>Either a text that parsed, or why there is none.</summary>
public readonly record struct SqlParse(SqlText? Text, SqlRefusal? Refusal);

/// <summary>PostgreSQL's own grammar over a pool of guests. Thread-safe.</summary>
public sealed class SqlParser(GuestPool<PgParserGuest> pool, SqlLimits? limits = null)
{
    /// <summary>The PostgreSQL version whose grammar this is. A server newer than it is refused (P16).</summary>
    public const int GrammarMajor = 18;

    static readonly UTF8Encoding Strict = new(false, true);

    /// <summary>The limits in force.</summary>
    public SqlLimits Limits { get; } = limits ?? new SqlLimits();

    /// <summary>
    /// Parses. Refusals: <c>too-large</c> (text, tree or nesting), <c>not-utf8</c>, <c>unparseable</c> (with the parser's message and
    /// position; also when the parser gave up), <c>not-understood</c> (a tree of another grammar), <c>sandbox-unavailable</c> (no parser was free).
    /// </summary>
    public SqlParse Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text.Length > Limits.TextBytes) return TooLarge();
        if (text.Contains('\0', StringComparison.Ordinal)) return Refused(ReasonCodes.Unparseable, "the text holds a NUL character; remove it");
        byte[] utf8;
        try
        {
            utf8 = Strict.GetBytes(text);
        }
        catch (EncoderFallbackException)
        {
            return Refused(ReasonCodes.NotUtf8, "the text holds half of a surrogate pair; send valid UTF-8");
        }

        if (utf8.Length > Limits.TextBytes) return TooLarge();
        var result = pool.Call(guest => guest.Parse(utf8, Limits.TreeBytes));
        switch (result.Outcome)
        {
            case GuestOutcome.Ok: break;
            case GuestOutcome.Busy or GuestOutcome.Drained: return Refused(ReasonCodes.SandboxUnavailable, "no SQL parser was free; try again");
            case GuestOutcome.OutOfMemory or GuestOutcome.TimedOut or GuestOutcome.Trapped:
            default: return Refused(ReasonCodes.Unparseable, "the SQL parser gave up on the text: it nests too deeply or is too large; split it");
        }

        var raw = result.Value;
        if (raw.Error is not null) return Refused(ReasonCodes.Unparseable, raw.Error, raw.Position);
        if (raw.Tree is null) return Refused(ReasonCodes.TooLarge, $"the parse tree is larger than {Limits.TreeBytes} bytes; split the text");
        try
        {
            var statements = new TreeReader(raw.Tree, Limits.TreeDepth).ReadResult(out var version);
            if (version / 10_000 != GrammarMajor) return Refused(ReasonCodes.NotUnderstood, "the SQL parser is of another version than the gateway knows");
            if (statements.Count > Limits.Statements) return Refused(ReasonCodes.TooLarge, $"the text holds more than {Limits.Statements} statements; split it");
            return new SqlParse(new SqlText(text, utf8, statements, raw.Tree.Length), null);
        }
        catch (JsonException)
        {
            return Refused(ReasonCodes.TooLarge, $"the statement nests deeper than {Limits.TreeDepth} levels; simplify it");
        }
        catch (TreeException e)
        {
            return Refused(ReasonCodes.NotUnderstood, $"the gateway does not know this syntax ({e.Message})");
        }
    }

    SqlParse TooLarge() => Refused(ReasonCodes.TooLarge, $"the text is larger than {Limits.TextBytes} bytes; split it");

    static SqlParse Refused(string reason, string message, int position = 0) => new(null, new SqlRefusal(reason, message, position));

    /// <summary>The tokens of a text that parsed, as byte ranges, and which of them are string constants; null when they cannot be told.</summary>
    internal List<(int Start, int End, bool IsString)>? Tokens(byte[] utf8)
    {
        var result = pool.Call(guest => guest.Scan(utf8, Limits.TreeBytes));
        if (!result.IsOk || result.Value is null) return null;
        var tokens = new List<(int, int, bool)>();
        using var document = JsonDocument.Parse(result.Value);
        foreach (var token in document.RootElement.GetProperty("tokens").EnumerateArray())
        {
            var (start, end) = (token.GetProperty("start").GetInt32(), token.GetProperty("end").GetInt32());
            if (start < 0 || end > utf8.Length || start >= end) return null;
            tokens.Add((start, end, IsString(utf8.AsSpan(start, end - start))));
        }

        return tokens;
    }

    /// <summary>A string constant in any of its spellings: <c>'…'</c>, <c>E'…'</c>, <c>U&amp;'…'</c>, <c>B'…'</c>, <c>N'…'</c>, <c>$tag$…$tag$</c>.</summary>
    static bool IsString(ReadOnlySpan<byte> token) => token switch
    {
        [(byte)'\'', ..] => true,
        [(byte)'$', >= (byte)'0' and <= (byte)'9', ..] => false,
        [(byte)'$', ..] => true,
        [_, (byte)'\'', ..] => true,
        [(byte)'u' or (byte)'U', (byte)'&', (byte)'\'', ..] => true,
        _ => false,
    };
}
