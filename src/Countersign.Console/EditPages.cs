using Countersign.Core;
using Countersign.Pages.Card;
using Countersign.Reviews;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Countersign.Pages;

public static partial class ConsolePages
{
    private static void MapEdits(RouteGroupBuilder pages)
    {
        pages.MapGet("/reviews/{id}/edit", EditOf);
        pages.MapPost("/reviews/{id}/edit", EditAsync);
    }

    private static IResult EditOf(HttpContext http, ReviewDesk desk, string id)
    {
        var reader = Reader.Of(http);
        if (Find(reader, desk, id) is not { } review) return NoReview(reader);
        return desk.MayEdit(reader.User, review, reader.Channel)
            ? Edit(reader, review, review.Statement, review.Parameters.Select(static p => p.Text).ToArray(), null, null)
            : new SeeOther($"/reviews/{review.Id}");
    }

    private static Microsoft.AspNetCore.Http.HttpResults.RazorComponentResult<EditPage> Edit(Reader reader, Review review, string statement, IReadOnlyList<string?> values, string? comment, string? notice) => Page<EditPage>(
        notice is null ? 200 : 409, (nameof(EditPage.Reader), reader), (nameof(EditPage.Review), review), (nameof(EditPage.Statement), statement),
        (nameof(EditPage.Values), values), (nameof(EditPage.Comment), comment), (nameof(EditPage.Notice), notice));

    private static async Task<IResult> EditAsync(HttpContext http, ReviewDesk desk, string id)
    {
        var reader = Reader.Of(http);
        var form = await http.Request.ReadFormAsync(http.RequestAborted).ConfigureAwait(false);
        if (Find(reader, desk, id) is not { } review) return NoReview(reader);
        if (!review.IsOpen) return new SeeOther($"/reviews/{review.EditedInto ?? review.Id}");

        // A browser writes line ends its own way: what differs in nothing else is what it was.
        var statement = Same(form["statement"].ToString(), review.Statement);
        var values = review.Parameters.Select((p, i) => form[$"null-{i + 1}"] == "yes" ? null : form.TryGetValue($"value-{i + 1}", out var said) ? Same(said.ToString(), p.Text) : p.Text).ToArray();
        var changed = new Dictionary<int, string?>();
        for (var i = 0; i < values.Length; i++)
        {
            if (values[i] != review.Parameters[i].Text) changed[i + 1] = values[i];
        }

        var comment = Said(form["comment"].ToString());

        // What was changed is what was looked at (I10): not the same review with other effects or another statement.
        if (form["digest"] != review.Digest) return Edit(reader, review, statement, values, comment, "this review has changed since you opened it; look at it again");
        var result = await desk.EditAsync(review.Id, reader.User, reader.Channel, new EditWish(statement, changed, comment)).ConfigureAwait(false);
        return result.Accepted ? new SeeOther($"/reviews/{result.Review!.Id}") : Edit(reader, review, statement, values, comment, result.Message);

        static string Same(string said, string? was) => was is not null && said.ReplaceLineEndings("\n") == was.ReplaceLineEndings("\n") ? was : said.ReplaceLineEndings("\n");
    }
}
