namespace Countersign.Channels.Mail;

/// <summary>How the connection to the relay is encrypted.</summary>
public enum MailTls
{
    /// <summary>TLS from the first byte (RFC 8314 §3.3). The default.</summary>
    Implicit,

    /// <summary>STARTTLS (RFC 3207), which the relay must offer: there is no falling back.</summary>
    StartTls,

    /// <summary>Plain text; on this machine only.</summary>
    None,
}

/// <summary>The SMTP server that takes our mail, complete.</summary>
public sealed record MailRelay
{
    public required string Host { get; init; }
    public required int Port { get; init; }
    public required MailTls Tls { get; init; }

    /// <summary>Null where the relay asks for none.</summary>
    public string? User { get; init; }
    public Credential? Password { get; init; }

    /// <summary>`From`, an address such as `countersign@example.com`; its domain stands in message ids.</summary>
    public required string From { get; init; }

    /// <summary>Full path of a PEM file of the authorities to trust instead of the system's; null for the system's.</summary>
    public string? CaFile { get; init; }

    /// <summary>Time for one step of the conversation. 10 s.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(10);
}

/// <summary>Why a mail was not taken, in words for an operator; nothing of a password is in it.</summary>
/// <param name="MayPass">Trying again later may help.</param>
internal sealed record MailFault(bool MayPass, string Words);
