namespace Countersign.Pages.Card;

/// <summary>What a stretch of a statement looks like.</summary>
public enum SqlTokenKind
{
    Space,
    Word,
    Keyword,

    /// <summary>A word that destroys: `DROP`, `TRUNCATE`, `DELETE`, …</summary>
    Danger,
    Text,
    Number,
    Comment,
    Parameter,
    Sign,
}

public readonly record struct SqlToken(SqlTokenKind Kind, string Text);

/// <summary>
/// Cuts a statement into coloured stretches: a lexical pass after PostgreSQL's own rules (SQL syntax §4.1), for colour only.
/// Nothing is decided by it, and the stretches put together are the statement, character for character.
/// </summary>
public static class SqlTokens
{
    /// <summary>A longer statement is like none but itself: the inbox is put together with each look at it.</summary>
    private const int LongestShape = 64 << 10;

    private static readonly HashSet<string> Keywords = new(StringComparer.OrdinalIgnoreCase)
    {
        "add", "all", "alter", "analyze", "and", "any", "as", "asc", "begin", "between", "by", "call", "cascade", "case", "cast", "check", "column", "commit",
        "concurrently", "conflict", "constraint", "copy", "create", "cross", "current", "database", "declare", "default", "desc", "distinct", "do", "else", "end",
        "except", "execute", "exists", "explain", "extension", "false", "fetch", "filter", "for", "foreign", "from", "full", "function", "group", "having",
        "if", "in", "index", "inner", "insert", "intersect", "into", "is", "join", "key", "lateral", "left", "like", "limit", "lock", "materialized", "merge",
        "natural", "not", "nothing", "null", "of", "offset", "on", "only", "or", "order", "outer", "over", "owner", "partition", "policy", "prepare", "primary",
        "privileges", "procedure", "recursive", "references", "refresh", "rename", "replace", "restrict", "returning", "right", "role", "rollback", "row",
        "rows", "schema", "select", "sequence", "set", "show", "start", "table", "temp", "temporary", "then", "to", "transaction", "trigger", "true", "union", "unique",
        "update", "user", "using", "values", "view", "when", "where", "window", "with",
    };

    private static readonly HashSet<string> Dangers = new(StringComparer.OrdinalIgnoreCase) { "delete", "drop", "truncate", "grant", "revoke", "program", "superuser", "bypassrls" };

    public static IReadOnlyList<SqlToken> Of(string sql)
    {
        var tokens = new List<SqlToken>();
        for (var i = 0; i < sql.Length;)
        {
            var end = Next(sql, i, out var kind);
            tokens.Add(new SqlToken(kind, sql[i..end]));
            i = end;
        }

        return tokens;
    }

    /// <summary>The statement without its constants: statements of one shape differ in values only.</summary>
    public static string Shape(string sql) => sql.Length > LongestShape ? sql : string.Join(' ', Of(sql)
        .Where(static t => t.Kind is not (SqlTokenKind.Space or SqlTokenKind.Comment))
        .Select(static t => t.Kind switch
        {
            SqlTokenKind.Text or SqlTokenKind.Number or SqlTokenKind.Parameter => "?",
            SqlTokenKind.Keyword or SqlTokenKind.Danger => t.Text.ToUpperInvariant(),
            _ => t.Text,
        }));

    private static int Next(string s, int i, out SqlTokenKind kind)
    {
        var c = s[i];
        var next = i + 1 < s.Length ? s[i + 1] : '\0';
        if (char.IsWhiteSpace(c))
        {
            kind = SqlTokenKind.Space;
            return While(s, i + 1, static c => char.IsWhiteSpace(c));
        }

        if (c == '-' && next == '-')
        {
            kind = SqlTokenKind.Comment;
            return While(s, i, static c => c is not ('\n' or '\r'));
        }

        if (c == '/' && next == '*')
        {
            kind = SqlTokenKind.Comment;
            return CommentEnd(s, i);
        }

        if (c == '\'')
        {
            kind = SqlTokenKind.Text;
            return Quoted(s, i, '\'', backslash: false);
        }

        if (c == '"')
        {
            kind = SqlTokenKind.Word;
            return Quoted(s, i, '"', backslash: false);
        }

        if (c == '$' && char.IsAsciiDigit(next))
        {
            kind = SqlTokenKind.Parameter;
            return While(s, i + 1, char.IsAsciiDigit);
        }

        if (c == '$' && DollarEnd(s, i) is > 0 and var dollar)
        {
            kind = SqlTokenKind.Text;
            return dollar;
        }

        if (char.IsAsciiDigit(c) || (c == '.' && char.IsAsciiDigit(next)))
        {
            kind = SqlTokenKind.Number;
            return While(s, i + 1, static c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_');
        }

        if (!IsWordStart(c))
        {
            kind = SqlTokenKind.Sign;
            return i + 1;
        }

        var end = While(s, i + 1, static c => IsWordStart(c) || char.IsAsciiDigit(c) || c == '$');
        if (end < s.Length && s[end] == '\'' && s[i..end] is { Length: 1 } prefix && prefix[0] is 'e' or 'E' or 'b' or 'B' or 'x' or 'X' or 'n' or 'N')
        {
            kind = SqlTokenKind.Text;
            return Quoted(s, end, '\'', backslash: s[i] is 'e' or 'E');
        }

        var word = s[i..end];
        kind = Dangers.Contains(word) ? SqlTokenKind.Danger : Keywords.Contains(word) ? SqlTokenKind.Keyword : SqlTokenKind.Word;
        return end;
    }

    private static bool IsWordStart(char c) => char.IsAsciiLetter(c) || c == '_' || c > 0x7f;

    private static int While(string s, int i, Func<char, bool> holds)
    {
        while (i < s.Length && holds(s[i])) i++;
        return i;
    }

    /// <summary>The end of what opens at <paramref name="i"/>; a doubled quote stands for itself. The end of the text where it never closes.</summary>
    private static int Quoted(string s, int i, char quote, bool backslash)
    {
        for (i++; i < s.Length; i++)
        {
            if (backslash && s[i] == '\\') i++;
            else if (s[i] == quote)
            {
                if (i + 1 >= s.Length || s[i + 1] != quote) return i + 1;
                i++;
            }
        }

        return s.Length;
    }

    /// <summary>Comments nest.</summary>
    private static int CommentEnd(string s, int i)
    {
        var depth = 0;
        for (; i < s.Length; i++)
        {
            if (s[i] == '/' && i + 1 < s.Length && s[i + 1] == '*')
            {
                depth++;
                i++;
            }
            else if (s[i] == '*' && i + 1 < s.Length && s[i + 1] == '/')
            {
                i++;
                if (--depth == 0) return i + 1;
            }
        }

        return s.Length;
    }

    /// <summary>`$tag$ … $tag$`; 0 where no such quote opens here.</summary>
    private static int DollarEnd(string s, int i)
    {
        var tagEnd = While(s, i + 1, static c => IsWordStart(c) || char.IsAsciiDigit(c));
        if (tagEnd >= s.Length || s[tagEnd] != '$') return 0;
        var tag = s[i..(tagEnd + 1)];
        var close = s.IndexOf(tag, tagEnd + 1, StringComparison.Ordinal);
        return close < 0 ? s.Length : close + tag.Length;
    }
}
