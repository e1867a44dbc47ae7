using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Security.Cryptography;

namespace Countersign.Gateway.Postgres;

/// <summary>
/// Our own cancel keys: a client never learns the target's. Keys are compared in fixed time, and a wrong one looks like a
/// right one to who sends it (the protocol has no answer).
/// </summary>
internal sealed class CancelKeys
{
    private readonly ConcurrentDictionary<int, (byte[] Key, Func<Task> Cancel)> sessions = new();

    public (int ProcessId, byte[] Key) Add(Func<Task> cancel)
    {
        var key = RandomNumberGenerator.GetBytes(4);
        while (true)
        {
            var id = (int)(BinaryPrimitives.ReadUInt32BigEndian(RandomNumberGenerator.GetBytes(4)) & int.MaxValue);
            if (id != 0 && sessions.TryAdd(id, (key, cancel))) return (id, key);
        }
    }

    public void Remove(int processId) => sessions.TryRemove(processId, out _);

    public Task CancelAsync(int processId, ReadOnlyMemory<byte> key) =>
        sessions.TryGetValue(processId, out var session) && CryptographicOperations.FixedTimeEquals(session.Key, key.Span)
            ? session.Cancel()
            : Task.CompletedTask;
}
