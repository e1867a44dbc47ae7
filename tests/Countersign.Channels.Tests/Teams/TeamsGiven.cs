using Countersign.Tests.Teams;
using Countersign.Channels.Teams;
using Countersign.Channels;

namespace Countersign.Channels.Tests.Teams;

/// <summary>What tests of the Teams channel begin with.</summary>
internal static class TeamsGiven
{
    public static TeamsBot Bot(PlayedTeams teams) => new()
    {
        AppId = PlayedTeams.AppId,
        TenantId = PlayedTeams.Tenant,
        AppSecret = new Credential(PlayedTeams.AppSecret),
        ServiceUrl = new Uri(teams.ServiceUrl),
        TokenEndpoint = new Uri(teams.TokenEndpoint),
        OpenIdMetadata = new Uri(teams.OpenIdMetadata),
    };
}
