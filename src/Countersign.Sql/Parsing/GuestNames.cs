using System.Text.Json;

namespace Countersign.Sql.Parsing;

/// <summary>
/// The minified names of the guest's imports and exports, as the build read them from the package's own loader
/// (guests/map-imports.mjs), and the hash of the module that they are true of.
/// </summary>
sealed record GuestNames(string ImportModule, IReadOnlyDictionary<string, string> ImportByMinified, IReadOnlyDictionary<string, string> ExportByReal, string Sha256)
{
    public static GuestNames Read(Stream json)
    {
        using var document = JsonDocument.Parse(json);
        var root = document.RootElement;
        var imports = root.GetProperty("imports").EnumerateObject().ToDictionary(static p => p.Name, static p => p.Value.GetString()!, StringComparer.Ordinal);
        var exports = root.GetProperty("exports").EnumerateObject().ToDictionary(static p => p.Value.GetString()!, static p => p.Name, StringComparer.Ordinal);
        return new GuestNames(root.GetProperty("importModule").GetString()!, imports, exports, root.GetProperty("sha256").GetString()!);
    }

    /// <summary>The minified name of the export <paramref name="real"/>. An upgrade that lost it fails here, at start.</summary>
    public string Export(string real) =>
        ExportByReal.TryGetValue(real, out var minified) ? minified : throw new InvalidOperationException($"the parser's module has no export `{real}`");
}
