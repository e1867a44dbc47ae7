using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Countersign.Api;
using Countersign.Core;
using Spectre.Console;

namespace Countersign.Terminal;

/// <summary>What a command says: text for people, or one JSON value per line for programs.</summary>
internal sealed class Output(bool json)
{
    public bool Json { get; } = json;

    /// <summary>For people, on standard output.</summary>
    public IAnsiConsole Console { get; } = Create();

    /// <summary>Columns when standard output is no terminal: a file or a pipe does not wrap, so lines are long and still readable.</summary>
    private const int RedirectedWidth = 140;

    private static IAnsiConsole Create()
    {
        var console = AnsiConsole.Console;
        if (System.Console.IsOutputRedirected) console.Profile.Width = RedirectedWidth;
        return console;
    }

    /// <summary>Writes one JSON value as one line.</summary>
    public static void Value<T>(T value, JsonTypeInfo<T> type)
    {
        System.Console.Out.WriteLine(JsonSerializer.Serialize(value, type));
        System.Console.Out.Flush();
    }

    /// <summary>The value for programs, or the rendering of it for people.</summary>
    public void Value<T>(T value, JsonTypeInfo<T> type, Action<IAnsiConsole> people)
    {
        if (Json) Value(value, type);
        else people(Console);
    }

    /// <summary>An error: one line on standard error, and for programs a problem on standard output.</summary>
    public void Failure(string? reason, string message, string? review = null)
    {
        System.Console.Error.WriteLine($"countersign: {VisibleText.Of(message)}{(reason is null ? "" : $" ({reason})")}");
        if (Json) Value(new Problem(reason ?? "failed", 0, message, reason ?? "failed", review), ApiJson.Default.Problem);
    }
}
