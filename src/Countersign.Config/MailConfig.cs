namespace Countersign.Config;

/// <summary>How the connection to the mail server is encrypted.</summary>
public enum MailTls
{
    /// <summary>From the first byte. The default.</summary>
    Implicit,

    /// <summary>By STARTTLS, which the server must offer.</summary>
    StartTls,

    /// <summary>Not at all; on this machine only.</summary>
    None,
}

/// <summary>The server that takes mail, complete.</summary>
public sealed record MailConfig
{
    public required string Host { get; init; }
    public required int Port { get; init; }
    public required MailTls Tls { get; init; }

    /// <summary>Null where the server asks for none; then there is no password either.</summary>
    public string? User { get; init; }
    public Secret? Password { get; init; }

    /// <summary>The sender's address.</summary>
    public required string From { get; init; }

    /// <summary>Full path of a PEM file of the authorities to trust instead of the system's; null for the system's.</summary>
    public string? CaFile { get; init; }

    /// <summary>Data classes that it may show.</summary>
    public required IReadOnlySet<string> Carries { get; init; }
}
