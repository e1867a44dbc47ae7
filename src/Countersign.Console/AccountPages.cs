using Countersign.Core;
using Countersign.Identity;
using Countersign.Pages.Layout;
using Countersign.Pages.People;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Countersign.Pages;

/// <summary>A message about a review somewhere else.</summary>
public sealed record DeliveryView(string Channel, string Place, string State, bool IsGood, DateTimeOffset At);

/// <summary>A chat account that a person has linked.</summary>
public sealed record AccountView(string Id, string Channel, string Shown, DateTimeOffset LinkedAt);

/// <summary>What is asked before an account is linked.</summary>
public sealed record LinkQuestion(string Channel, string Shown, string Word);

/// <summary>Chat accounts, as the console's pages reach them.</summary>
/// <param name="Of">Those of a person.</param>
/// <param name="Open">What a code asks in this session; null where it asks nothing.</param>
/// <param name="Confirm">Links; null when it is done, else a reason code.</param>
/// <param name="Remove">Unlinks one that is the person's own.</param>
public sealed record AccountSeams(
    Func<OpaqueId, IReadOnlyList<AccountView>> Of, Func<string?, HumanSession, LinkQuestion?> Open,
    Func<string?, HumanSession, Task<string?>> Confirm, Func<OpaqueId, string, Task<bool>> Remove)
{
    public static readonly AccountSeams None = new(static _ => [], static (_, _) => null, static (_, _) => Task.FromResult<string?>(ReasonCodes.CodeInvalid), static (_, _) => Task.FromResult(true));
}

public static partial class ConsolePages
{
    private static void MapAccounts(IEndpointRouteBuilder pages)
    {
        pages.MapGet("/me/accounts/link", static (HttpContext http, ConsoleSeams seams, string? code) => Ask(http, seams, code));
        pages.MapPost("/me/accounts/link", LinkAsync);
        pages.MapPost("/me/accounts/{id}/unlink", UnlinkAsync);
    }

    private static IResult Ask(HttpContext http, ConsoleSeams seams, string? code)
    {
        var reader = Reader.Of(http);
        return seams.Accounts.Open(code, reader.Session) is { } question
            ? Page<LinkAccountPage>((nameof(LinkAccountPage.Reader), reader), (nameof(LinkAccountPage.Question), question), (nameof(LinkAccountPage.Code), code))
            : NoLink(reader);
    }

    private static async Task<IResult> LinkAsync(HttpContext http, ConsoleSeams seams)
    {
        var reader = Reader.Of(http);

        // A bearer session links nothing: the click in a browser is the point.
        if (reader.FormToken is null) return NoLink(reader);
        var form = await http.Request.ReadFormAsync(http.RequestAborted).ConfigureAwait(false);
        return await seams.Accounts.Confirm(form["code"].ToString(), reader.Session).ConfigureAwait(false) switch
        {
            null => new SeeOther("/me"),
            ReasonCodes.JournalUnavailable => NotLinked(reader, "Not linked", "The journal can not be written, so nothing was linked. Click in the chat again for another link."),
            _ => NoLink(reader),
        };
    }

    private static async Task<IResult> UnlinkAsync(HttpContext http, ConsoleSeams seams, string id)
    {
        var reader = Reader.Of(http);
        return await seams.Accounts.Remove(reader.User.Ref.Id, id).ConfigureAwait(false)
            ? new SeeOther("/me")
            : NotLinked(reader, "Not unlinked", "The journal can not be written, so the account is still linked. Try again.");
    }

    private static IResult NoLink(Reader reader) =>
        NotLinked(reader, "This link is of no use", "It was used already, it is older than ten minutes, or another browser opened it first. Click in the chat again for another.");

    private static IResult NotLinked(Reader reader, string title, string text) =>
        Page<Message>(409, (nameof(Message.Reader), reader), (nameof(Message.Title), title), (nameof(Message.Text), text));
}
