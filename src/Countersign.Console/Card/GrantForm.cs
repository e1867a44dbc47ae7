using System.Globalization;
using Countersign.Reviews;
using Microsoft.AspNetCore.Http;

namespace Countersign.Pages.Card;

/// <summary>The grant that a form wishes for. Whether it is within what policy allows is for reviews to say.</summary>
public static class GrantForm
{
    /// <summary>False where the form says something that is no number.</summary>
    public static bool TryRead(IFormCollection form, int parameters, out GrantWish? wish)
    {
        wish = null;
        if (form["grant"] != "yes") return true;
        if (!Whole(form["grant-minutes"], out var minutes) || !Whole(form["grant-uses"], out var uses)) return false;
        var free = new List<FreeParameter>();
        for (var n = 1; n <= parameters; n++)
        {
            var key = n.ToString(CultureInfo.InvariantCulture);
            switch (form[$"free-{key}"].ToString())
            {
                case "":
                    break;
                case "range":
                    if (!Number(form[$"min-{key}"], out var min) || !Number(form[$"max-{key}"], out var max)) return false;
                    free.Add(new FreeParameter(n, min, max, null, null));
                    break;
                default:
                    if (!Whole(form[$"length-{key}"], out var length)) return false;
                    free.Add(new FreeParameter(n, null, null, null, length));
                    break;
            }
        }

        wish = new GrantWish(TimeSpan.FromMinutes(minutes), uses, free);
        return true;
    }

    private static bool Whole(string? text, out int number) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number);

    private static bool Number(string? text, out decimal number) => decimal.TryParse(text, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out number);
}
