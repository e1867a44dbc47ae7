using System.Globalization;
using Countersign.Identity;
using Countersign.Pages.Away;
using Countersign.Policy;
using Countersign.Reviews;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;

namespace Countersign.Pages;

/// <summary>A delegate as it was asked for in the form.</summary>
public sealed record AwayWish(string User, string Delegate, string From, string Until);

public static partial class ConsolePages
{
    private static void MapAway(IEndpointRouteBuilder pages)
    {
        pages.MapGet("/away", static (HttpContext http, Delegations delegations, UserDirectory users, TimeProvider time) => Away(Reader.Of(http), delegations, users, time));
        pages.MapPost("/away", NameAsync);
        pages.MapPost("/away/end", EndAwayAsync);
    }

    private static RazorComponentResult<AwayPage> Away(Reader reader, Delegations delegations, UserDirectory users, TimeProvider time, string? notice = null, AwayWish? wish = null)
    {
        var all = reader.MayAdminister(AdministerActions.Delegates);
        var me = reader.User.Ref.Id;
        return Page<AwayPage>(notice is null ? 200 : 422,
            (nameof(AwayPage.Reader), reader), (nameof(AwayPage.Now), time.GetUtcNow()), (nameof(AwayPage.All), all), (nameof(AwayPage.Notice), notice), (nameof(AwayPage.Wish), wish),
            (nameof(AwayPage.Items), delegations.List().Where(d => all || d.Away.Id == me || d.To.Id == me).OrderBy(static d => d.Away.Name, StringComparer.Ordinal).ToArray()),

            // Colleagues: whoever shares a group with the reader stands beside him on each review that asks it.
            (nameof(AwayPage.People), users.All.Where(u => u.Ref.Id != me && (all || u.Groups.Overlaps(reader.User.Groups))).Select(static u => u.Ref.Name).Order(StringComparer.Ordinal).ToArray()));
    }

    private static async Task<IResult> NameAsync(HttpContext http, Delegations delegations, UserDirectory users, TimeProvider time)
    {
        var reader = Reader.Of(http);
        var form = await http.Request.ReadFormAsync(http.RequestAborted).ConfigureAwait(false);
        var wish = new AwayWish(form["user"].ToString().Trim() is { Length: > 0 } user ? user : reader.Name, form["delegate"].ToString().Trim(), form["from"].ToString(), form["until"].ToString());
        if (Whom(reader, users, wish.User) is not { } away) return Refused("people name their own delegates; only who administers does so for others");
        DateTimeOffset? from = wish.From.Length == 0 ? time.GetUtcNow() : When(wish.From);
        if (from is not { } begins || When(wish.Until) is not { } until) return Refused("`from` and `until` are times, such as 2026-11-22T10:00");
        var change = await delegations.SetAsync(away, wish.Delegate, begins, until, reader.User.Ref, reader.Channel).ConfigureAwait(false);
        return change.ReasonCode is null ? new SeeOther("/away") : Refused(change.Detail!);

        RazorComponentResult<AwayPage> Refused(string why) => Away(reader, delegations, users, time, why, wish);

        static DateTimeOffset? When(string text) =>
            DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var at) ? at : null;
    }

    private static async Task<IResult> EndAwayAsync(HttpContext http, Delegations delegations, UserDirectory users, TimeProvider time)
    {
        var reader = Reader.Of(http);
        var form = await http.Request.ReadFormAsync(http.RequestAborted).ConfigureAwait(false);
        if (Whom(reader, users, form["user"].ToString()) is not { } away) return Away(reader, delegations, users, time, "people end their own absence; only who administers does so for others");
        var change = await delegations.EndAsync(away, reader.User.Ref).ConfigureAwait(false);
        return change.ReasonCode is null ? new SeeOther("/away") : Away(reader, delegations, users, time, change.Detail);
    }

    /// <summary>Whose absence this reader may change: his own, and with `countersign:delegates` anybody's. Null for others and for nobody alike.</summary>
    private static UserEntry? Whom(Reader reader, UserDirectory users, string name) =>
        name == reader.Name || reader.MayAdminister(AdministerActions.Delegates) ? users.Find(name) : null;
}
