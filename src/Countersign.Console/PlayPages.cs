using System.Globalization;
using Countersign.Pages.Activity;
using Countersign.Pages.Layout;
using Countersign.Pages.Policies;
using Countersign.Policy;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;
using Microsoft.AspNetCore.Routing;

namespace Countersign.Pages;

public static partial class ConsolePages
{
    /// <summary>Largest form with a policy set in it, bytes: a folder's four megabytes, each character written out at worst as three.</summary>
    public const int MaxPolicyFormBytes = 16 << 20;

    /// <summary>Recorded actions to choose from: the newest.</summary>
    private const int MaxPicks = 8;

    /// <summary>For whom policy lets administer policies, each time: others do not learn what a set that is not in force would do.</summary>
    private static void MapPlay(IEndpointRouteBuilder pages)
    {
        var play = pages.MapGroup("").AddEndpointFilter(static async (context, next) => Reader.Of(context.HttpContext).MayAdminister(AdministerActions.Policies)
            ? await next(context).ConfigureAwait(false)
            : Page<Message>(403, (nameof(Message.Reader), Reader.Of(context.HttpContext)), (nameof(Message.Title), "Not yours to try"), (nameof(Message.Text), "No policy lets you administer policies (`countersign:policies`).")));
        play.MapGet("/policies/playground", PlaygroundAsync);
        Large(play.MapPost("/policies/playground", PlayAsync));
        play.MapGet("/policies/replay", static (HttpContext http, PolicyStore policies) => Replay(Reader.Of(http), EditedSet.Of(policies.Current.Files), null, null, null));
        Large(play.MapPost("/policies/replay", ReplayAsync));

        static void Large(RouteHandlerBuilder endpoint) => endpoint.WithMetadata(new RequestSizeLimitAttribute(MaxPolicyFormBytes)).WithFormOptions(bufferBodyLengthLimit: MaxPolicyFormBytes, valueLengthLimit: MaxPolicyFormBytes);
    }

    /// <summary>The set in force over one recorded action, where one is named.</summary>
    private static Task<IResult> PlaygroundAsync(HttpContext http, PolicyStore policies, PolicySeams seams, Activities activities) =>
        PlayedAsync(http, EditedSet.Of(policies.Current.Files), http.Request.Query["entry"].ToString(), seams, activities);

    private static async Task<IResult> PlayAsync(HttpContext http, PolicyStore policies, PolicySeams seams, Activities activities)
    {
        var form = await http.Request.ReadFormAsync(http.RequestAborted).ConfigureAwait(false);
        return await PlayedAsync(http, EditedSet.Of(form, policies.Current.Files), form["entry"].ToString(), seams, activities).ConfigureAwait(false);
    }

    private static async Task<IResult> PlayedAsync(HttpContext http, EditedSet set, string entry, PolicySeams seams, Activities activities)
    {
        var reader = Reader.Of(http);
        var recent = activities.Search(new ActivityQuery(), reader).Rows.Take(MaxPicks).ToList();
        long? index = long.TryParse(entry, NumberStyles.None, CultureInfo.InvariantCulture, out var said) && activities.MaySee(said, reader) ? said : null;
        var answer = await seams.Play(new PlayQuestion(set.Files, index), http.RequestAborted).ConfigureAwait(false);
        if (entry.Length > 0 && index is null) answer = answer with { Fault = "there is no such entry that you may see" };
        if (answer.Action is { } action && recent.All(r => r.Index != action.Index))
            recent.Insert(0, new ActivityRow(action.Index, action.At, action.Id, action.Agent, action.Target, "", "", [], [], action.Statement, Ending.Open));
        return Page<PlaygroundPage>(answer.Errors.Count > 0 ? 422 : 200,
            (nameof(PlaygroundPage.Reader), reader), (nameof(PlaygroundPage.Set), set), (nameof(PlaygroundPage.Answer), answer), (nameof(PlaygroundPage.Recent), recent));
    }

    private static async Task<IResult> ReplayAsync(HttpContext http, PolicyStore policies, PolicySeams seams, Activities activities)
    {
        var reader = Reader.Of(http);
        var form = await http.Request.ReadFormAsync(http.RequestAborted).ConfigureAwait(false);
        var set = EditedSet.Of(form, policies.Current.Files);
        var (from, until) = (When("from"), When("until"));
        var answer = await seams.Replay(new ReplayQuestion(set.Files, from, until), http.RequestAborted).ConfigureAwait(false);

        // Counts are of everything; what stands there is for whom it is to be seen.
        answer = answer with { Groups = answer.Groups.Select(g => g with { Examples = g.Examples.Where(e => activities.MaySee(e.Index, reader)).ToArray() }).ToArray() };
        return Replay(reader, set, answer, from, until);

        DateTimeOffset? When(string name) =>
            DateTimeOffset.TryParse(form[name], CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var at) ? at : null;
    }

    private static RazorComponentResult<ReplayPage> Replay(Reader reader, EditedSet set, ReplayAnswer? answer, DateTimeOffset? from, DateTimeOffset? until) =>
        Page<ReplayPage>(answer is { Errors.Count: > 0 } ? 422 : 200,
            (nameof(ReplayPage.Reader), reader), (nameof(ReplayPage.Set), set), (nameof(ReplayPage.Answer), answer), (nameof(ReplayPage.From), from), (nameof(ReplayPage.Until), until));
}
