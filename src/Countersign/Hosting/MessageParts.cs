using Countersign.Channels;
using Countersign.Channels.Cards;
using Countersign.Channels.Mail;
using Countersign.Channels.Teams;
using Countersign.Channels.Webhooks;
using Countersign.Config;

namespace Countersign.Hosting;

/// <summary>The configuration of Teams, mail and webhooks in the words of their channels.</summary>
internal static class MessageParts
{
    public const string Teams = "teams";
    public const string Mail = "mail";

    public static TeamsBot Bot(TeamsConfig teams) => new()
    {
        AppId = teams.AppId,
        TenantId = teams.Tenant,
        AppSecret = new Credential(teams.Secret.Reveal()),
        ServiceUrl = teams.ServiceUrl,
        TokenEndpoint = teams.TokenUrl,
        OpenIdMetadata = teams.MetadataUrl,
        Scope = teams.Scope,
        Issuer = teams.Issuer,
    };

    public static ChannelReach Reach(TeamsConfig teams) => new(teams.Carries, teams.TakesAnswers);

    public static MailChannel Channel(MailConfig mail, TimeProvider time) => new(Mail, new ChannelReach(mail.Carries, false), new MailRelay
    {
        Host = mail.Host,
        Port = mail.Port,
        Tls = mail.Tls switch { Config.MailTls.Implicit => Channels.Mail.MailTls.Implicit, Config.MailTls.StartTls => Channels.Mail.MailTls.StartTls, _ => Channels.Mail.MailTls.None },
        User = mail.User,
        Password = mail.Password is { } password ? new Credential(password.Reveal()) : null,
        From = mail.From,
        CaFile = mail.CaFile,
    }, time);

    public static WebhookEndpoint Endpoint(WebhookConfig webhook) => new()
    {
        Name = webhook.Name,
        Url = webhook.Url,
        Secrets = webhook.Secrets.Select(static s => WebhookSecret.TryParse(s.Reveal(), out var secret) ? secret! : throw new InvalidOperationException("a secret that the configuration has checked")).ToArray(),
        Events = webhook.Events,
        Carries = webhook.Carries,
    };

    /// <summary>Where a code links an account.</summary>
    public static Uri LinkPage(Uri console, string code) => new(console, $"/me/accounts/link?code={code}");
}
