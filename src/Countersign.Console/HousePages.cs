using System.Globalization;
using Countersign.Identity;
using Countersign.Pages.Activity;
using Countersign.Pages.Layout;
using Countersign.Pages.People;
using Countersign.Pages.Policies;
using Countersign.Pages.Inbox;
using Countersign.Policy;
using Countersign.Reviews;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;

namespace Countersign.Pages;

public static partial class ConsolePages
{
    /// <summary>Grants that are over, on their page: the newest.</summary>
    private const int MaxClosedGrants = 20;

    private static void MapHouse(IEndpointRouteBuilder pages)
    {
        pages.MapGet("/activity", Activity);
        pages.MapGet("/activity/{id}", Story);
        pages.MapGet("/grants", static (HttpContext http, ReviewDesk desk, TimeProvider time) => Grants(Reader.Of(http), desk, time));
        pages.MapPost("/grants/{id}/revoke", RevokeAsync);
        pages.MapGet("/policies", PoliciesAsync);
        pages.MapGet("/targets", static (HttpContext http, ConsoleSeams seams) =>
            Page<TargetsPage>((nameof(TargetsPage.Reader), Reader.Of(http)), (nameof(TargetsPage.Targets), seams.Targets), (nameof(TargetsPage.Frameworks), seams.Frameworks)));
        pages.MapGet("/agents", static (HttpContext http, AgentRegistry agents, UserDirectory users) => AgentsOf(Reader.Of(http), agents, users));
        pages.MapPost("/agents", AddAgentAsync);
        pages.MapPost("/agents/{name}/keys", static (HttpContext http, AgentRegistry agents, UserDirectory users, ConsoleSeams seams, string name) =>
            ChangeAgentAsync(http, agents, users, seams, author => agents.AddKeyAsync(name, author)));
        pages.MapPost("/agents/{name}/keys/{key}/revoke", static (HttpContext http, AgentRegistry agents, UserDirectory users, ConsoleSeams seams, string name, string key) =>
            ChangeAgentAsync(http, agents, users, seams, author => agents.RevokeAsync(name, key, author)));
        pages.MapPost("/agents/{name}/revoke", static (HttpContext http, AgentRegistry agents, UserDirectory users, ConsoleSeams seams, string name) =>
            ChangeAgentAsync(http, agents, users, seams, author => agents.RevokeAsync(name, null, author)));
    }

    private static RazorComponentResult<ActivityPage> Activity(HttpContext http, Activities activities, ConsoleSeams seams, AgentRegistry agents, UserDirectory users)
    {
        var reader = Reader.Of(http);
        var asked = http.Request.Query;
        var query = new ActivityQuery
        {
            Agent = Said("agent"), User = Said("user"), Target = Said("target"), Class = Said("class"), Decision = Said("decision"),
            From = When("from"), Until = When("until"),
            Before = long.TryParse(asked["before"], NumberStyles.None, CultureInfo.InvariantCulture, out var before) ? before : null,
        };
        return Page<ActivityPage>(
            (nameof(ActivityPage.Reader), reader), (nameof(ActivityPage.Query), query), (nameof(ActivityPage.Found), activities.Search(query, reader)),
            (nameof(ActivityPage.Targets), seams.Targets.Select(static t => t.Name).ToArray()), (nameof(ActivityPage.Classes), seams.Frameworks.Keys.Order(StringComparer.Ordinal).ToArray()),
            (nameof(ActivityPage.Agents), Mine(agents, reader).Select(static a => a.Name).ToArray()),
            (nameof(ActivityPage.Users), reader.IsAdmin ? Names(users) : [reader.Name]));

        string? Said(string name) => asked[name].ToString().Trim() is { Length: > 0 and <= 128 } value ? value : null;

        DateTimeOffset? When(string name) =>
            DateTimeOffset.TryParse(asked[name], CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var at) ? at : null;
    }

    private static IResult Story(HttpContext http, Activities activities, string id, long? at)
    {
        var reader = Reader.Of(http);
        return activities.StoryOf(id, at, reader) is { } story
            ? Page<StoryPage>((nameof(StoryPage.Reader), reader), (nameof(StoryPage.Story), story))
            : Page<Message>(404, (nameof(Message.Reader), reader), (nameof(Message.Title), "No such action"),
                (nameof(Message.Text), "It is not yours to see, or not among the entries that were looked at. Find it in the activity by its time."));
    }

    private static RazorComponentResult<GrantsPage> Grants(Reader reader, ReviewDesk desk, TimeProvider time, string? notice = null)
    {
        return Page<GrantsPage>(notice is null ? 200 : 409,
            (nameof(GrantsPage.Reader), reader), (nameof(GrantsPage.Now), time.GetUtcNow()), (nameof(GrantsPage.Notice), notice),
            (nameof(GrantsPage.Open), desk.ListGrants().Where(g => MaySee(reader, g)).ToArray()), (nameof(GrantsPage.Closed), desk.ListClosedGrants(MaxClosedGrants).Where(g => MaySee(reader, g)).ToArray()));
    }

    private static async Task<IResult> RevokeAsync(HttpContext http, ReviewDesk desk, TimeProvider time, string id)
    {
        var reader = Reader.Of(http);
        if (!GrantId.TryParse(id, out var grantId) || desk.FindGrant(grantId) is not { } grant || !MaySee(reader, grant)) return Grants(reader, desk, time, "there is no such grant");
        var result = await desk.RevokeGrantAsync(grantId, reader.User.Ref, reader.IsAdmin).ConfigureAwait(false);
        return result.ReasonCode == Core.ReasonCodes.GrantRevoked ? new SeeOther("/grants") : Grants(reader, desk, time, result.Message);
    }

    /// <summary>Who administers, who gave it, and those in whose name it is used.</summary>
    private static bool MaySee(Reader reader, Grant grant) =>
        reader.IsAdmin || grant.IsActor(reader.User.Ref.Id) || grant.Approvals.Any(a => a.User == reader.User.Ref.Id);

    private static async Task<IResult> PoliciesAsync(HttpContext http, PolicyStore policies, ConsoleSeams seams, PolicySeams more, AgentRegistry agents)
    {
        var reader = Reader.Of(http);
        var asked = http.Request.Query;
        ExplainQuestion? question = null;
        ExplainAnswer? answer = null;
        if (asked["resource"].ToString() is { Length: > 0 and <= 256 } resource)
        {
            question = new ExplainQuestion(asked["agent"].ToString(), asked["target"].ToString(), asked["action"].ToString(), resource, asked["type"].ToString() is { Length: > 0 } type ? type : "Table");
            answer = await seams.Explain(question, http.RequestAborted).ConfigureAwait(false);
        }

        var revision = policies.Current;
        return Page<PoliciesPage>(
            (nameof(PoliciesPage.Reader), reader), (nameof(PoliciesPage.Revision), revision.Id), (nameof(PoliciesPage.Policies), revision.Policies),
            (nameof(PoliciesPage.Error), seams.PolicyError()), (nameof(PoliciesPage.Agents), agents.List().Where(static a => a.RevokedAt is null).Select(static a => a.Name).ToArray()),
            (nameof(PoliciesPage.Targets), seams.Targets.Select(static t => t.Name).ToArray()), (nameof(PoliciesPage.Question), question), (nameof(PoliciesPage.Answer), answer),
            (nameof(PoliciesPage.Tests), await more.Tests(http.RequestAborted).ConfigureAwait(false)), (nameof(PoliciesPage.MayTry), reader.MayAdminister(AdministerActions.Policies)));
    }

    private static async Task<IResult> AddAgentAsync(HttpContext http, AgentRegistry agents, UserDirectory users, ConsoleSeams seams)
    {
        var form = await http.Request.ReadFormAsync(http.RequestAborted).ConfigureAwait(false);
        return await ChangeAgentAsync(http, agents, users, seams, author => agents.AddAsync(
            form["name"].ToString().Trim(), form["owner"].ToString(), form["for"].ToString() is { Length: > 0 } user ? user : null,
            form["groups"].ToString().Split([',', ' '], StringSplitOptions.RemoveEmptyEntries), author)).ConfigureAwait(false);
    }

    /// <summary>
    /// The page itself is the answer where there is a key: it is nowhere else, and a reload asks before it issues another.
    /// </summary>
    private static async Task<IResult> ChangeAgentAsync(HttpContext http, AgentRegistry agents, UserDirectory users, ConsoleSeams seams, Func<Core.PrincipalRef, Task<AgentChange>> change)
    {
        var reader = Reader.Of(http);
        if (!reader.IsAdmin) return Page<Message>(403, (nameof(Message.Reader), reader), (nameof(Message.Title), "Not yours to change"), (nameof(Message.Text), "No policy lets you change agents (`countersign:agents`)."));
        var changed = await change(reader.User.Ref).ConfigureAwait(false);
        if (changed is { Status: AgentChangeStatus.Done, Key: null }) return new SeeOther("/agents");
        return changed is { Status: AgentChangeStatus.Done, Agent: { } agent, Key: { } key }
            ? AgentsOf(reader, agents, users, null, new IssuedView(agent.Name, key.Secret, seams.Connections(agent.Name, key.Secret)))
            : AgentsOf(reader, agents, users, changed.Detail ?? "the change was refused");
    }

    private static RazorComponentResult<AgentsPage> AgentsOf(Reader reader, AgentRegistry agents, UserDirectory users, string? notice = null, IssuedView? issued = null) =>
        Page<AgentsPage>(notice is null ? 200 : 422,
            (nameof(AgentsPage.Reader), reader), (nameof(AgentsPage.Agents), Mine(agents, reader)), (nameof(AgentsPage.Users), Names(users)),
            (nameof(AgentsPage.Notice), notice), (nameof(AgentsPage.Issued), issued));

    /// <summary>Admins see all agents, others those that act in their name.</summary>
    private static AgentEntry[] Mine(AgentRegistry agents, Reader reader) =>
        agents.List().Where(a => reader.IsAdmin || a.Owner == reader.Name || a.For == reader.Name).OrderBy(static a => a.RevokedAt is not null).ToArray();

    private static string[] Names(UserDirectory users) => users.All.Select(static u => u.Ref.Name).Order(StringComparer.Ordinal).ToArray();
}
