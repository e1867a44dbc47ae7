using System.Globalization;

namespace Countersign.Policy;

/// <summary>What is wrong with a policy set: a stable, kebab-case list (docs/spec/policy.md).</summary>
public static class PolicyFaults
{
    /// <summary>The folder or a file cannot be read, or is too large.</summary>
    public const string Unreadable = "unreadable";
    /// <summary>There is no policy at all.</summary>
    public const string Empty = "empty";
    /// <summary>The text is not Cedar.</summary>
    public const string Syntax = "syntax";
    /// <summary>Cedar's strict validation against the shipped schema failed, or found a policy that can never apply.</summary>
    public const string Validation = "validation";
    /// <summary>A policy template: not part of the language.</summary>
    public const string Template = "template";
    /// <summary>Two policies of one id, or an id of other characters than letters, digits and <c>-_./</c>.</summary>
    public const string Id = "id";
    /// <summary>An annotation that does not exist.</summary>
    public const string UnknownAnnotation = "unknown-annotation";
    /// <summary>An annotation whose value is not of its form.</summary>
    public const string BadAnnotation = "bad-annotation";
    /// <summary>An annotation of the language whose mechanism is not in this build.</summary>
    public const string NotInThisBuild = "not-in-this-build";
    /// <summary>An annotation where it has no meaning: a requirement on a forbid, without <c>@review</c>, or on an approve policy.</summary>
    public const string MisplacedAnnotation = "misplaced-annotation";
    /// <summary>The policy guest gave no answer.</summary>
    public const string Unavailable = "unavailable";
}

/// <summary>An error of a policy set, where it stands, and what to do next. Every one keeps the set from loading.</summary>
/// <param name="Code">One of <see cref="PolicyFaults"/>.</param>
/// <param name="Message">What is wrong: lower case, no full stop.</param>
/// <param name="Help">What to do; may be null.</param>
/// <param name="File">Path relative to the folder, with <c>/</c>; null when it is about the whole set.</param>
/// <param name="Line">From 1; 0 when it is about a whole file.</param>
/// <param name="Column">From 1, in characters (code points); 0 when it is about a whole file.</param>
public sealed record PolicyDiagnostic(string Code, string Message, string? Help = null, string? File = null, int Line = 0, int Column = 0)
{
    /// <summary><c>file:line:column: code: message; help</c>.</summary>
    public override string ToString()
    {
        var place = File is null ? "" : Line == 0 ? File + ": " : string.Create(CultureInfo.InvariantCulture, $"{File}:{Line}:{Column}: ");
        return Help is null ? $"{place}{Code}: {Message}" : $"{place}{Code}: {Message}; {Help}";
    }
}
