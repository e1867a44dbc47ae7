namespace Countersign.Gateway.Mcp.Upstream;

/// <summary>The way to one server: a process, or an address. Messages that come are handed to whoever made it, one after another.</summary>
internal interface IUpstream : IAsyncDisposable
{
    /// <summary>
    /// Sends one message, complete when it has been sent. The task that it gives ends when no answer can come to it any more; it throws
    /// <see cref="UpstreamException"/> where that is known to be a failure.
    /// </summary>
    /// <exception cref="UpstreamException">It could not be sent.</exception>
    Task<Task> SendAsync(ReadOnlyMemory<byte> message, bool isRequest, CancellationToken ct);

    /// <summary>The revision that was agreed on, for headers.</summary>
    void Agreed(string version);

    /// <summary>Listens for what the server says unasked, from now on.</summary>
    void Listen();
}

/// <summary>A server that can not be reached, or does not answer as one. The words are for an agent: no address, no credential.</summary>
/// <param name="sent">Whether it may have received the message: then nobody knows what it did (P23).</param>
internal sealed class UpstreamException(string message, bool sent, Exception? inner = null) : Exception(message, inner)
{
    public bool Sent { get; } = sent;
}
