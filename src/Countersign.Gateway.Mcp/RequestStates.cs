using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Countersign.Core;
using Countersign.Journal;

namespace Countersign.Gateway.Mcp;

/// <summary>What a sealed state says.</summary>
/// <param name="Agent">Whose it is.</param>
/// <param name="Call">SHA-256 of server and governed parameters: of which call.</param>
internal sealed record RequestState(string Agent, string Call, string Review, DateTimeOffset Until, string Nonce);

/// <summary>
/// The `requestState` of a call that still waits (MCP 2026-07-28, multi round-trip requests): sealed with a key of the store, for one
/// principal and one call, for a while, and once. It permits nothing; who shows it waits on. Thread-safe.
/// </summary>
internal sealed class RequestStates(IStateReader reader, JournalAppender journal, byte[] key, TimeProvider time)
{
    private const string Used = "mcp-states";
    private static readonly byte[] Domain = Encoding.ASCII.GetBytes("countersign/mcp-state/1\0");

    private long sweptAt = time.GetTimestamp();

    public string Seal(string agent, string server, byte[] parameters, ReviewId review, TimeSpan lives)
    {
        var state = JsonSerializer.SerializeToUtf8Bytes(new RequestState(agent, CallOf(server, parameters), review.Value, time.GetUtcNow() + lives, IdText.New("st_")), StateJson.Default.RequestState);
        return $"{Base64Url.EncodeToString(state)}.{Base64Url.EncodeToString(Mac(state))}";
    }

    /// <summary>The state, if it is ours, of this principal and this call, not over and not used; using it up. Null with why not.</summary>
    public async Task<(RequestState? State, string? Why)> OpenAsync(string text, string agent, string server, byte[] parameters)
    {
        if (text.Length > 4096 || text.Split('.') is not [var body, var mac]) return (null, "it is not one of ours");
        byte[] state;
        try
        {
            state = Base64Url.DecodeFromChars(body);
            if (!CryptographicOperations.FixedTimeEquals(Mac(state), Base64Url.DecodeFromChars(mac))) return (null, "it is not one of ours");
        }
        catch (FormatException)
        {
            return (null, "it is not one of ours");
        }

        var read = JsonSerializer.Deserialize(state, StateJson.Default.RequestState)!;
        if (read.Agent != agent) return (null, "it is another principal's");
        if (read.Call != CallOf(server, parameters)) return (null, "it is of another call");
        if (read.Until <= time.GetUtcNow()) return (null, "its time is over");

        // Of two that show it at the same moment the store lets one through (I7).
        var used = await journal.WriteAsync(new WriteSet([], [new StateChange.Put(Used, read.Nonce, 0, null, JsonSerializer.SerializeToUtf8Bytes(read, StateJson.Default.RequestState))])).ConfigureAwait(false);
        if (used.Status != WriteStatus.Committed) return (null, used.Status == WriteStatus.Conflict ? "it was used already" : "it can not be recorded now");
        await SweepAsync().ConfigureAwait(false);
        return (read, null);
    }

    private async Task SweepAsync()
    {
        if (time.GetElapsedTime(Interlocked.Read(ref sweptAt)) < TimeSpan.FromMinutes(5)) return;
        Interlocked.Exchange(ref sweptAt, time.GetTimestamp());
        var now = time.GetUtcNow();
        for (string? after = null; ;)
        {
            var page = reader.List(Used, after, 1000);
            if (page.Count == 0) return;
            after = page[^1].Key;
            var over = page.Where(d => JsonSerializer.Deserialize(d.Value, StateJson.Default.RequestState)!.Until < now).Select(static d => (StateChange)new StateChange.Delete(Used, d.Key, d.Version)).ToArray();
            if (over.Length > 0) await journal.WriteAsync(new WriteSet([], over)).ConfigureAwait(false);
        }
    }

    private byte[] Mac(byte[] state)
    {
        byte[] data = [.. Domain, .. state];
        return HMACSHA256.HashData(key, data);
    }

    private static string CallOf(string server, byte[] parameters) => Of([.. Encoding.UTF8.GetBytes(server), 0, .. parameters]);

    private static string Of(byte[] data) => Convert.ToHexStringLower(SHA256.HashData(data));
}

[JsonSerializable(typeof(RequestState))]
internal sealed partial class StateJson : JsonSerializerContext;
