using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace Countersign.Policy.Loading;

/// <summary>
/// Commits and trees of a repository, read from its files: loose objects (gitformat-loose(5)) and packs with their deltas
/// (gitformat-pack(5), index version 2). No git is run. What is not there, or not understood, is null.
/// </summary>
sealed class GitObjects(string common)
{
    const int LargestObject = 16 << 20;
    const int DeepestDelta = 64;

    public (string Type, byte[] Bytes)? Read(string id)
    {
        try
        {
            return Loose(id) ?? Packed(id, 0);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidDataException or ArgumentException or OverflowException or IndexOutOfRangeException)
        {
            return null;
        }
    }

    (string, byte[])? Loose(string id)
    {
        var path = Path.Combine(common, "objects", id[..2], id[2..]);
        if (!File.Exists(path)) return null;
        using var file = File.OpenRead(path);
        using var inflated = new ZLibStream(file, CompressionMode.Decompress);
        var all = Take(inflated, LargestObject + 64, exactly: false);
        var end = Array.IndexOf(all, (byte)0);
        if (end < 0) return null;
        var header = Encoding.ASCII.GetString(all, 0, end);
        return (header[..header.IndexOf(' ', StringComparison.Ordinal)], all[(end + 1)..]);
    }

    (string, byte[])? Packed(string id, int depth)
    {
        var folder = Path.Combine(common, "objects", "pack");
        if (!Directory.Exists(folder)) return null;
        foreach (var index in Directory.EnumerateFiles(folder, "*.idx").Order(StringComparer.Ordinal))
        {
            if (Offset(index, Convert.FromHexString(id)) is not { } offset) continue;
            using var pack = File.OpenRead(Path.ChangeExtension(index, ".pack"));
            return At(pack, offset, id.Length / 2, depth);
        }
        return null;
    }

    /// <summary>Where an object stands in the pack of an index, by the fan-out table and a binary search.</summary>
    static long? Offset(string index, byte[] id)
    {
        using var file = File.OpenRead(index);
        if (!Bytes(file, 0, 8).AsSpan().SequenceEqual<byte>([0xff, (byte)'t', (byte)'O', (byte)'c', 0, 0, 0, 2])) return null;
        long Number(long at) => BinaryPrimitives.ReadUInt32BigEndian(Bytes(file, at, 4));
        const long Fan = 8, Names = Fan + 1024;
        var count = Number(Fan + 255 * 4);
        long low = id[0] == 0 ? 0 : Number(Fan + (id[0] - 1) * 4), high = Number(Fan + id[0] * 4);
        while (low < high)
        {
            var middle = (low + high) / 2;
            var order = Bytes(file, Names + middle * id.Length, id.Length).AsSpan().SequenceCompareTo(id);
            if (order == 0)
            {
                var offsets = Names + count * (id.Length + 4);
                var offset = Number(offsets + middle * 4);
                return (offset & 0x8000_0000) == 0 ? offset : (long)BinaryPrimitives.ReadUInt64BigEndian(Bytes(file, offsets + count * 4 + (offset & 0x7fff_ffff) * 8, 8));
            }
            if (order < 0) low = middle + 1;
            else high = middle;
        }
        return null;
    }

    (string, byte[])? At(FileStream pack, long offset, int hash, int depth)
    {
        if (depth > DeepestDelta) return null;
        pack.Position = offset;
        int first = pack.ReadByte(), type = first >> 4 & 7, shift = 4;
        long size = first & 15;
        for (var b = first; (b & 0x80) != 0; shift += 7)
        {
            b = pack.ReadByte();
            size |= (long)(b & 0x7f) << shift;
        }
        if (first < 0 || size is < 0 or > LargestObject) return null;
        (string Type, byte[] Bytes)? below = null;
        if (type == 6)
        {
            int b = pack.ReadByte();
            long back = b & 0x7f;
            while ((b & 0x80) != 0)
            {
                b = pack.ReadByte();
                back = (back + 1) << 7 | (long)(b & 0x7f);
            }
            var here = pack.Position;
            if (back <= 0 || back >= offset) return null;
            below = At(pack, offset - back, hash, depth + 1);
            pack.Position = here;
        }
        else if (type == 7)
        {
            var name = Convert.ToHexStringLower(Bytes(pack, pack.Position, hash));
            below = Loose(name) ?? Packed(name, depth + 1);
        }
        var start = pack.Position;
        pack.Position = start;
        using var inflated = new ZLibStream(pack, CompressionMode.Decompress, leaveOpen: true);
        var bytes = Take(inflated, (int)size, exactly: true);
        return type switch
        {
            1 => ("commit", bytes),
            2 => ("tree", bytes),
            3 => ("blob", bytes),
            4 => ("tag", bytes),
            6 or 7 when below is { } known => (known.Type, Apply(known.Bytes, bytes)),
            _ => null,
        };
    }

    /// <summary>A delta: sizes of source and result, then copies from the source and insertions.</summary>
    static byte[] Apply(byte[] source, byte[] delta)
    {
        var at = 0;
        if (Size() != source.Length) throw new InvalidDataException();
        var result = new byte[Size() is >= 0 and <= LargestObject and var length ? length : throw new InvalidDataException()];
        var filled = 0;
        while (at < delta.Length)
        {
            var op = delta[at++];
            if (op == 0) throw new InvalidDataException();
            if ((op & 0x80) == 0)
            {
                Array.Copy(delta, at, result, filled, op);
                (at, filled) = (at + op, filled + op);
                continue;
            }
            int from = 0, count = 0;
            for (var i = 0; i < 4; i++) if ((op >> i & 1) != 0) from |= delta[at++] << (8 * i);
            for (var i = 0; i < 3; i++) if ((op >> (4 + i) & 1) != 0) count |= delta[at++] << (8 * i);
            if (count == 0) count = 0x10000;
            Array.Copy(source, from, result, filled, count);
            filled += count;
        }
        return filled == result.Length ? result : throw new InvalidDataException();

        long Size()
        {
            long size = 0;
            for (var shift = 0; shift < 35; shift += 7)
            {
                var b = delta[at++];
                size |= (long)(b & 0x7f) << shift;
                if ((b & 0x80) == 0) return size;
            }
            throw new InvalidDataException();
        }
    }

    static byte[] Take(Stream from, int most, bool exactly)
    {
        if (exactly)
        {
            var whole = new byte[most];
            from.ReadExactly(whole);
            return whole;
        }
        using var taken = new MemoryStream();
        var buffer = new byte[8192];
        for (int read; (read = from.Read(buffer)) > 0;)
        {
            taken.Write(buffer, 0, read);
            if (taken.Length > most) throw new InvalidDataException();
        }
        return taken.ToArray();
    }

    static byte[] Bytes(FileStream file, long at, int count)
    {
        var bytes = new byte[count];
        file.Position = at;
        file.ReadExactly(bytes);
        return bytes;
    }
}
