using Countersign.Core;

namespace Countersign.Gateway.Postgres;

/// <summary>A name that somebody claimed and did not prove, as a log may hold it.</summary>
internal static class ClaimedName
{
    /// <summary>As long as a name may be; what is longer is none.</summary>
    private const int MaxLength = 63;

    /// <summary>Visible, bounded, and never a key that was put where the name belongs (P56).</summary>
    public static string Of(string name)
    {
        if (name.Contains("csk_", StringComparison.Ordinal)) return "(a key in place of a name)";
        return VisibleText.Of(name.Length <= MaxLength ? name : $"{name[..MaxLength]}…", multiline: false);
    }
}
