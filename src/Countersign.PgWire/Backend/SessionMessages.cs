using System.Collections.Immutable;

namespace Countersign.PgWire;

/// <summary>State of the transaction that ReadyForQuery reports; the values are the protocol's.</summary>
public enum TransactionStatus : byte
{
    /// <summary>Not in a transaction block.</summary>
    Idle = (byte)'I',
    /// <summary>In a transaction block.</summary>
    InTransaction = (byte)'T',
    /// <summary>In a failed one: everything is refused until it ends.</summary>
    Failed = (byte)'E',
}

/// <summary>The server waits for a query.</summary>
/// <param name="Status">State of the transaction.</param>
public readonly record struct ReadyForQuery(TransactionStatus Status)
{
    /// <summary>Reads the body of a <see cref="BackendTag.ReadyForQuery"/>.</summary>
    public static bool TryRead(ReadOnlyMemory<byte> body, out ReadyForQuery message, out WireFault fault)
    {
        var reader = new BodyReader(body);
        byte status = reader.Byte();
        if (status is not ((byte)'I' or (byte)'T' or (byte)'E'))
            reader.Fail(WireFault.UnknownKind);
        message = new ReadyForQuery((TransactionStatus)status);
        return Outcome.Of(ref reader, ref message, out fault);
    }
}

/// <summary>A setting of the session has this value now.</summary>
/// <param name="Name">Name of the setting.</param>
/// <param name="Value">Its value.</param>
public readonly record struct ParameterStatus(WireText Name, WireText Value)
{
    /// <summary>Reads the body of a <see cref="BackendTag.ParameterStatus"/>.</summary>
    public static bool TryRead(ReadOnlyMemory<byte> body, out ParameterStatus message, out WireFault fault)
    {
        var reader = new BodyReader(body);
        message = new ParameterStatus(reader.Text(), reader.Text());
        return Outcome.Of(ref reader, ref message, out fault);
    }
}

/// <summary>What a client needs to cancel.</summary>
public readonly struct BackendKeyData
{
    /// <summary>Process id of the backend.</summary>
    public int ProcessId { get; private init; }

    /// <summary>The secret: 4 bytes in protocol 3.0, 4 to 256 in 3.2. Copy it to keep it.</summary>
    public ReadOnlyMemory<byte> Key { get; private init; }

    /// <summary>Reads the body of a <see cref="BackendTag.KeyData"/>.</summary>
    public static bool TryRead(ReadOnlyMemory<byte> body, out BackendKeyData message, out WireFault fault)
    {
        var reader = new BodyReader(body);
        message = new BackendKeyData { ProcessId = reader.Int32(), Key = reader.Rest() };
        if (!reader.Failed && message.Key.Length is < CancelRequest.LeastKeyBytes or > CancelRequest.MostKeyBytes)
            reader.Fail(WireFault.BadCancelKey);
        return Outcome.Of(ref reader, ref message, out fault);
    }

    /// <summary>The key is a secret: it is withheld.</summary>
    public override string ToString() => $"BackendKeyData {{ ProcessId = {ProcessId}, Key = (withheld) }}";
}

/// <summary>A NOTIFY of another session.</summary>
/// <param name="ProcessId">Backend that notified.</param>
/// <param name="Channel">Channel.</param>
/// <param name="Payload">Payload; may be empty.</param>
public readonly record struct NotificationMessage(int ProcessId, WireText Channel, WireText Payload)
{
    /// <summary>Reads the body of a <see cref="BackendTag.Notification"/>.</summary>
    public static bool TryRead(ReadOnlyMemory<byte> body, out NotificationMessage message, out WireFault fault)
    {
        var reader = new BodyReader(body);
        message = new NotificationMessage(reader.Int32(), reader.Text(), reader.Text());
        return Outcome.Of(ref reader, ref message, out fault);
    }
}

/// <summary>The server speaks an older minor version, or does not know some protocol options.</summary>
public readonly struct NegotiateProtocolVersion
{
    /// <summary>Newest version that it speaks.</summary>
    public ProtocolVersion Newest { get; private init; }

    /// <summary>Options that it does not know.</summary>
    public ImmutableArray<string> UnknownOptions { get; private init; }

    /// <summary>Reads the body of a <see cref="BackendTag.NegotiateProtocolVersion"/>.</summary>
    public static bool TryRead(ReadOnlyMemory<byte> body, out NegotiateProtocolVersion message, out WireFault fault)
    {
        var reader = new BodyReader(body);
        var newest = new ProtocolVersion(reader.Int32());
        int count = reader.Count32(leastBytesEach: 1);
        var options = ImmutableArray.CreateBuilder<string>();
        for (int i = 0; i < count && !reader.Failed; i++)
            options.Add(reader.Text().ToString());
        message = new NegotiateProtocolVersion { Newest = newest, UnknownOptions = options.ToImmutable() };
        return Outcome.Of(ref reader, ref message, out fault);
    }
}
