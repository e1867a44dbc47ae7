namespace Countersign.Core;

/// <summary>
/// The one rule for names of users, agents, groups, targets, environments and data classes: one to 63 of
/// `A-Z a-z 0-9 . _ @ -`, the first a letter or a digit. No comma, no white space, nothing outside ASCII, so that no
/// list, path, connection string or card can be read in two ways (P36, P15).
/// </summary>
public static class Names
{
    /// <summary>Longest name, in characters: what PostgreSQL keeps of an identifier.</summary>
    public const int MaxLength = 63;

    /// <summary>The rule in words, to follow "`x` is not a name: ".</summary>
    public const string Rule = "use 1 to 63 letters, digits and `.` `_` `@` `-`, starting with a letter or a digit";

    public static bool IsWellFormed(ReadOnlySpan<char> name)
    {
        if (name.Length is 0 or > MaxLength || !char.IsAsciiLetterOrDigit(name[0])) return false;
        foreach (var c in name)
        {
            if (!char.IsAsciiLetterOrDigit(c) && c is not ('.' or '_' or '@' or '-')) return false;
        }

        return true;
    }
}
