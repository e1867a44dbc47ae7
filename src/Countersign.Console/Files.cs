using System.Security.Cryptography;
using Countersign.Identity;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Countersign.Pages;

/// <summary>The sheet, the script and the icon: parts of the assembly, each named by its content, so that browsers may keep it for good.</summary>
public static class Files
{
    private static readonly Asset SheetAsset = Read("console.css", "text/css; charset=utf-8");
    private static readonly Asset ScriptAsset = Read("console.mjs", "text/javascript; charset=utf-8");
    private static readonly Asset IconAsset = Read("icon.svg", "image/svg+xml");

    private sealed record Asset(string Path, string Type, byte[] Bytes);

    public static string Sheet => SheetAsset.Path;
    public static string Script => ScriptAsset.Path;
    public static string Icon => IconAsset.Path;

    internal static void Map(IEndpointRouteBuilder app)
    {
        foreach (var asset in (Asset[])[SheetAsset, ScriptAsset, IconAsset])
        {
            app.MapGet(asset.Path, (HttpContext http) =>
            {
                http.Response.Headers.CacheControl = "public, max-age=31536000, immutable";
                return Results.Bytes(asset.Bytes, asset.Type);
            }).WithMetadata(AnswersAnybody.Instance).ExcludeFromDescription();
        }
    }

    private static Asset Read(string name, string type)
    {
        using var stream = typeof(Files).Assembly.GetManifestResourceStream($"assets/{name}") ?? throw new InvalidOperationException($"`{name}` is not in the assembly");
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        var hash = Convert.ToHexStringLower(SHA256.HashData(bytes))[..12];
        return new Asset($"/assets/{Path.GetFileNameWithoutExtension(name)}.{hash}{Path.GetExtension(name)}", type, bytes);
    }
}
