using System.Globalization;
using System.Text;
using System.Text.Json;
using Countersign.Terminal;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Logging.Console;

namespace Countersign.Hosting;

/// <summary>The two forms of a log line.</summary>
internal static class TelemetryLines
{
    /// <summary>Of the policies' own notices, which are logged as well.</summary>
    private const string PoliciesNotice = "policies: ";

    /// <summary>Events that a notice tells a person in more words.</summary>
    private static readonly int[] Noticed = [9010, 9011, 9013];

    private static string Now(TimeProvider time) => time.GetUtcNow().ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);

    /// <summary>A notice for the operator among JSON lines. What is logged beside it is not said twice.</summary>
    public static void NoticeAsJson(string text)
    {
        if (text.StartsWith(PoliciesNotice, StringComparison.Ordinal)) return;
        Console.Error.WriteLine(JsonLine(json =>
        {
            json.WriteString("Timestamp", Now(TimeProvider.System));
            json.WriteString("LogLevel", nameof(LogLevel.Information));
            json.WriteString("Message", text);
        }));
    }

    private static string JsonLine(Action<Utf8JsonWriter> write)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            write(json);
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.GetBuffer(), 0, (int)buffer.Length);
    }

    /// <summary>For people: time of day, a mark where it matters, and the sentence.</summary>
    internal sealed class Text() : ConsoleFormatter(FormatterName)
    {
        public const string FormatterName = "countersign-text";

        public override void Write<TState>(in LogEntry<TState> logEntry, IExternalScopeProvider? scopeProvider, TextWriter textWriter)
        {
            if (Noticed.Contains(logEntry.EventId.Id)) return;
            var mark = logEntry.LogLevel switch { LogLevel.Critical or LogLevel.Error => "error: ", LogLevel.Warning => "warning: ", _ => "" };
            var said = logEntry.Formatter(logEntry.State, logEntry.Exception);
            var why = logEntry.Exception is { } e ? $": {e.GetType().Name}: {e.Message}" : "";
            textWriter.WriteLine($"{Shown.Clock(TimeProvider.System.GetUtcNow())}  {mark}{Shown.Safe(said + why, multiline: false)}");
        }
    }

    /// <summary>For programs: one JSON object per line, each value once.</summary>
    internal sealed class Json() : ConsoleFormatter(FormatterName)
    {
        public const string FormatterName = "countersign-json";

        public override void Write<TState>(in LogEntry<TState> logEntry, IExternalScopeProvider? scopeProvider, TextWriter textWriter)
        {
            var entry = logEntry;
            textWriter.WriteLine(JsonLine(json =>
            {
                json.WriteString("Timestamp", Now(TimeProvider.System));
                json.WriteNumber("EventId", entry.EventId.Id);
                json.WriteString("LogLevel", entry.LogLevel.ToString());
                json.WriteString("Category", entry.Category);
                json.WriteString("Message", entry.Formatter(entry.State, entry.Exception));
                if (entry.Exception is { } e) json.WriteString("Exception", e.ToString());
                if (entry.State is not IReadOnlyList<KeyValuePair<string, object?>> values || values.All(static v => v.Key == Template)) return;
                json.WriteStartObject("State");
                foreach (var (name, value) in values.Where(static v => v.Key != Template)) Value(json, name, value);
                json.WriteEndObject();
            }));
        }

        /// <summary>The name under which a log's template comes among its values.</summary>
        private const string Template = "{OriginalFormat}";

        private static void Value(Utf8JsonWriter json, string name, object? value)
        {
            switch (value)
            {
                case null: json.WriteNull(name); break;
                case bool flag: json.WriteBoolean(name, flag); break;
                case int number: json.WriteNumber(name, number); break;
                case long number: json.WriteNumber(name, number); break;
                case double number when double.IsFinite(number): json.WriteNumber(name, number); break;
                default: json.WriteString(name, Convert.ToString(value, CultureInfo.InvariantCulture)); break;
            }
        }
    }
}
