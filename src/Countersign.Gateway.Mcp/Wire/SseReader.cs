using System.Buffers;

namespace Countersign.Gateway.Mcp.Wire;

/// <summary>
/// Reads server-sent events (WHATWG HTML §9.2.6) as far as MCP uses them: the data of each event, joined by line feeds. Names, ids and
/// retry times are not looked at. What is longer than the bound ends the reading.
/// </summary>
internal sealed class SseReader(Stream stream, int longest)
{
    private readonly ArrayBufferWriter<byte> data = new();
    private byte[] buffer = new byte[8192];
    private int start;
    private int end;
    private bool swallowLineFeed;

    /// <summary>The data of the next event that has some; null at the end of the stream.</summary>
    /// <exception cref="InvalidDataException">A line or an event is longer than the bound.</exception>
    public async ValueTask<byte[]?> NextAsync(CancellationToken ct)
    {
        data.ResetWrittenCount();
        var has = false;
        while (await LineAsync(ct).ConfigureAwait(false) is { } line)
        {
            if (line.Length == 0)
            {
                if (!has) continue;
                if (data.WrittenCount > 0) return data.WrittenSpan.ToArray();
                has = false;
                continue;
            }

            if (!line.Span.StartsWith("data"u8) || (line.Length > 4 && line.Span[4] != ':')) continue;
            var value = line.Length <= 5 ? [] : line.Span[5..];
            if (value is [(byte)' ', ..]) value = value[1..];
            if (has) data.Write("\n"u8);
            has = true;
            if (data.WrittenCount + value.Length > longest) throw new InvalidDataException("an event is too long");
            data.Write(value);
        }

        return null; // an event that was not ended is none
    }

    private async ValueTask<ReadOnlyMemory<byte>?> LineAsync(CancellationToken ct)
    {
        var scanned = 0;
        while (true)
        {
            if (swallowLineFeed && end > start)
            {
                if (buffer[start] == '\n') start++;
                swallowLineFeed = false;
            }

            var at = buffer.AsSpan(start + scanned, end - start - scanned).IndexOfAny((byte)'\n', (byte)'\r');
            if (at >= 0)
            {
                var line = buffer.AsMemory(start, scanned + at);
                swallowLineFeed = buffer[start + scanned + at] == '\r';
                start += scanned + at + 1;
                return line;
            }

            scanned = end - start;
            if (scanned > longest) throw new InvalidDataException("a line is too long");
            if (start > 0)
            {
                buffer.AsSpan(start, scanned).CopyTo(buffer);
                (start, end) = (0, scanned);
            }

            if (end == buffer.Length) Array.Resize(ref buffer, buffer.Length * 2);
            var read = await stream.ReadAsync(buffer.AsMemory(end), ct).ConfigureAwait(false);
            if (read == 0) return null;
            end += read;
        }
    }
}
