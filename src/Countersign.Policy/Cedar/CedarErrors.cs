using System.Text.Json;

namespace Countersign.Policy.Cedar;

/// <summary>An error as Cedar words it; offsets are UTF-8 bytes into the text that was parsed, -1 when it names no place.</summary>
sealed record CedarError(string Message, string? Help, int Start)
{
    /// <summary>The error and those that Cedar puts under it as related.</summary>
    public static IEnumerable<CedarError> Read(JsonElement error)
    {
        var start = -1;
        string? label = null;
        if (error.TryGetProperty("sourceLocations", out var places) && places.ValueKind == JsonValueKind.Array && places.GetArrayLength() > 0)
        {
            start = places[0].GetProperty("start").GetInt32();
            if (places[0].TryGetProperty("label", out var l) && l.ValueKind == JsonValueKind.String) label = l.GetString();
        }
        var help = error.TryGetProperty("help", out var h) && h.ValueKind == JsonValueKind.String ? h.GetString() : label;
        yield return new CedarError(error.GetProperty("message").GetString() ?? "", help, start);
        if (!error.TryGetProperty("related", out var related) || related.ValueKind != JsonValueKind.Array) yield break;
        foreach (var other in related.EnumerateArray())
            foreach (var inner in Read(other)) yield return inner;
    }

    /// <summary>All errors of an answer of <c>"type": "failure"</c>.</summary>
    public static CedarError[] ReadAll(JsonElement answer) =>
        answer.TryGetProperty("errors", out var errors) ? [.. errors.EnumerateArray().SelectMany(Read)] : [new CedarError("cedar refused without saying why", null, -1)];
}
