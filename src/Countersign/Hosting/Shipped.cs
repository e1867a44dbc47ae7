using System.Text;

namespace Countersign.Hosting;

/// <summary>Files of the repository that are inside this program: the shop sample and the demo's lock file.</summary>
internal static class Shipped
{
    private static readonly System.Reflection.Assembly Assembly = typeof(Shipped).Assembly;

    /// <summary>Paths below a folder, such as `samples/shop/`.</summary>
    public static IEnumerable<string> Under(string folder) => Assembly.GetManifestResourceNames().Where(n => n.StartsWith(folder, StringComparison.Ordinal)).Order(StringComparer.Ordinal);

    public static byte[] Bytes(string path)
    {
        using var stream = Assembly.GetManifestResourceStream(path) ?? throw new InvalidOperationException($"`{path}` is not in this program");
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }

    public static string Text(string path) => Encoding.UTF8.GetString(Bytes(path));
}
