using Countersign.Core;
using Countersign.Identity;
using Countersign.Identity.Oidc;
using Countersign.Identity.Passkeys;
using Countersign.Pages.Layout;
using Countersign.Pages.People;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;

namespace Countersign.Pages;

public static partial class ConsolePages
{
    private static void MapPeople(IEndpointRouteBuilder pages)
    {
        pages.MapGet("/login", static (HttpContext http, ConsoleSeams seams) => Login(http, seams)).WithMetadata(AnswersAnybody.Instance);
        pages.MapGet("/login/link", static () => Page<LinkPage>()).WithMetadata(AnswersAnybody.Instance);
        pages.MapGet("/me", Me);
        pages.MapPost("/me/sessions/{id}/end", EndAsync);
        pages.MapPost("/me/passkeys/{id}/remove", RemovePasskeyAsync);
        MapAccounts(pages);
    }

    /// <summary>Who is signed in already has no business here, unless he came to sign in again.</summary>
    private static IResult Login(HttpContext http, ConsoleSeams seams) => http.Features.Get<SignedIn>() is not null && http.Request.Query["again"] != "true"
        ? new SeeOther("/")
        : Page<LoginPage>((nameof(LoginPage.Return), LocalPath.Or(http.Request.Query["return"])), (nameof(LoginPage.Provider), seams.Provider), (nameof(LoginPage.Passkeys), seams.PasskeysFor(http).RpId is not null), (nameof(LoginPage.Error), http.Request.Query["error"].ToString()));

    private static RazorComponentResult<MePage> Me(HttpContext http, ConsoleSeams seams, HumanSessions sessions, PasskeyRegistry passkeys, PasskeyLimits limits, TimeProvider time)
    {
        var reader = Reader.Of(http);
        return Page<MePage>((nameof(MePage.Reader), reader), (nameof(MePage.Now), time.GetUtcNow()), (nameof(MePage.Accounts), seams.Accounts.Of(reader.User.Ref.Id)),
            (nameof(MePage.Passkeys), passkeys.Of(reader.User.Ref.Id)), (nameof(MePage.Place), seams.PasskeysFor(http)),
            (nameof(MePage.MayRegister), passkeys.MayRegister(reader.Session)), (nameof(MePage.FreshFor), limits.FreshFor),
            (nameof(MePage.Sessions), sessions.Of(reader.User.Ref.Id).OrderByDescending(static s => s.LastSeenAt).ToArray()));
    }

    private static async Task<IResult> RemovePasskeyAsync(HttpContext http, PasskeyRegistry passkeys, string id)
    {
        var reader = Reader.Of(http);
        var change = await passkeys.RemoveAsync(reader.Session, id).ConfigureAwait(false);
        return change.ReasonCode is null or ReasonCodes.UnknownTarget
            ? new SeeOther("/me")
            : Page<Message>(503, (nameof(Message.Reader), reader), (nameof(Message.Title), "Not removed"), (nameof(Message.Text), $"{Words.Capital(change.Detail!)}."));
    }

    private static async Task<IResult> EndAsync(HttpContext http, HumanSessions sessions, string id)
    {
        var reader = Reader.Of(http);

        // Of one's own only: somebody else's does not exist here. A cookie whose session has ended opens nothing, so it may stay.
        if (sessions.Of(reader.User.Ref.Id).FirstOrDefault(s => s.Id == id) is { } session)
        {
            var own = session.Id == reader.Session.Id;
            if (!await sessions.EndAsync(session, own ? SessionEnd.SignedOut : SessionEnd.EndedElsewhere).ConfigureAwait(false))
            {
                return Page<Message>(503, (nameof(Message.Reader), reader), (nameof(Message.Title), "Not ended"), (nameof(Message.Text), "The session could not be ended, because the journal can not be written. Try again."));
            }

            if (own) return new SeeOther("/login");
        }

        return new SeeOther("/me");
    }
}
