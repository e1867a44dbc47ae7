using System.Text;

namespace Countersign.Pages.Policies;

/// <summary>The id of a policy as a fragment: letters, digits and dashes; distinct enough for a page of policies.</summary>
public static class Anchor
{
    public static string Of(string id)
    {
        var anchor = new StringBuilder("p-");
        foreach (var c in id) anchor.Append(char.IsAsciiLetterOrDigit(c) || c is '-' or '_' ? c : '-');
        return anchor.ToString();
    }
}
