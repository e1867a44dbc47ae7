using System.Buffers.Text;

namespace Countersign.PgWire;

/// <summary>A statement is done.</summary>
/// <param name="Tag">Its tag, such as <c>UPDATE 3</c>.</param>
public readonly record struct CommandComplete(WireText Tag)
{
    /// <summary>
    /// Rows that the tag counts, or null for a command that counts none. The count is the last word
    /// (<c>INSERT 0 5</c>, <c>SELECT 2</c>, <c>COPY 7</c>, <c>MERGE 1</c>).
    /// </summary>
    public long? Rows
    {
        get
        {
            var tag = Tag.Utf8.Span;
            int space = tag.LastIndexOf((byte)' ');
            if (space < 0)
                return null;
            var word = tag[(space + 1)..];
            return !word.IsEmpty && word.IndexOfAnyExceptInRange((byte)'0', (byte)'9') < 0
                && Utf8Parser.TryParse(word, out long rows, out int used) && used == word.Length
                ? rows
                : null;
        }
    }

    /// <summary>Reads the body of a <see cref="BackendTag.CommandComplete"/>.</summary>
    public static bool TryRead(ReadOnlyMemory<byte> body, out CommandComplete message, out WireFault fault)
    {
        var reader = new BodyReader(body);
        message = new CommandComplete(reader.Text());
        return Outcome.Of(ref reader, ref message, out fault);
    }
}
