using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using MailKit;
using MailKit.Net.Smtp;
using MailKit.Security;
using MimeKit;

namespace Countersign.Channels.Mail;

/// <summary>
/// Gives one mail to the relay. A connection for each: there are few mails, and one that was kept open has gone by the next.
/// The name and the certificate of the relay are checked; credentials go to it over TLS or not at all.
/// </summary>
internal sealed class MailSender(MailRelay relay)
{
    /// <summary>Null when the relay has taken it, for every recipient.</summary>
    public async Task<MailFault?> SendAsync(MimeMessage mail, CancellationToken ct)
    {
        try
        {
            using var client = new SmtpClient
            {
                Timeout = (int)relay.Timeout.TotalMilliseconds,
                CheckCertificateRevocation = false, // as for every other connection of ours: a list that can not be fetched must not stop the mail
                SslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
            };
            if (relay.CaFile is not null) client.ServerCertificateValidationCallback = IsTrusted;
            await client.ConnectAsync(relay.Host, relay.Port, relay.Tls switch
            {
                MailTls.Implicit => SecureSocketOptions.SslOnConnect,
                MailTls.StartTls => SecureSocketOptions.StartTls,
                _ => SecureSocketOptions.None,
            }, ct).ConfigureAwait(false);
            if (relay.User is not null) await client.AuthenticateAsync(relay.User, relay.Password!.Reveal(), ct).ConfigureAwait(false);
            await client.SendAsync(mail, ct).ConfigureAwait(false);
            try
            {
                await client.DisconnectAsync(true, ct).ConfigureAwait(false);
            }
            catch (Exception e) when (e is IOException or ProtocolException or SocketException)
            {
                // It has taken the mail; how it says goodbye is its own affair.
            }

            return null;
        }
        catch (Exception e) when (Fault(e, ct) is not null)
        {
            return Fault(e, ct);
        }
    }

    private static MailFault? Fault(Exception e, CancellationToken ct) => e switch
    {
        MailKit.Security.AuthenticationException => new MailFault(false, "the mail server refused the user name or the password; look at `user` and `password`"),
        SslHandshakeException => new MailFault(true, "the mail server's certificate is not for its name or not from a trusted authority; look at `host` and `ca-file`"),

        // RFC 5321 §4.2.1: 4yz may pass, 5yz does not.
        SmtpCommandException smtp => new MailFault((int)smtp.StatusCode < 500, smtp.ErrorCode switch
        {
            SmtpErrorCode.RecipientNotAccepted => $"the mail server refused a recipient ({(int)smtp.StatusCode})",
            SmtpErrorCode.SenderNotAccepted => $"the mail server refused the sender ({(int)smtp.StatusCode}); look at `from`",
            _ => $"the mail server refused the message ({(int)smtp.StatusCode})",
        }),
        NotSupportedException => new MailFault(false, "the mail server offers no STARTTLS, or no way to sign in that we know; look at `tls` and `user`"),
        SmtpProtocolException or IOException or SocketException or ProtocolException => new MailFault(true, "the mail server can not be reached, or ended the connection"),
        TimeoutException => new MailFault(true, "the mail server did not answer in time"),
        OperationCanceledException when !ct.IsCancellationRequested => new MailFault(true, "the mail server did not answer in time"),
        _ => null,
    };

    private bool IsTrusted(object sender, X509Certificate? certificate, X509Chain? sent, SslPolicyErrors errors)
    {
        if (certificate is null || (errors & (SslPolicyErrors.RemoteCertificateNameMismatch | SslPolicyErrors.RemoteCertificateNotAvailable)) != 0) return false;
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.ImportFromPemFile(relay.CaFile!);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.DisableCertificateDownloads = true;
        if (sent is not null) chain.ChainPolicy.ExtraStore.AddRange(sent.ChainPolicy.ExtraStore);
        using var copy = X509CertificateLoader.LoadCertificate(certificate.GetRawCertData());
        return chain.Build(copy);
    }
}
