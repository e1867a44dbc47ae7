using Countersign.Config;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Countersign.Hosting;

/// <summary>Traces and metrics of every room by OTLP, and logs as lines on stderr.</summary>
internal static class Telemetry
{
    private const string Everything = "Countersign.*";

    public static void Add(WebApplicationBuilder builder, TelemetryConfig config)
    {
        if (config.Otlp is not { } endpoint) return;
        builder.Services.AddOpenTelemetry()
            .ConfigureResource(static r => r.AddService("countersign", serviceVersion: GatewayHost.Version))
            .WithTracing(t => t.AddSource(Everything).AddAspNetCoreInstrumentation().AddOtlpExporter(o => o.Endpoint = endpoint))
            .WithMetrics(m => m.AddMeter(Everything).AddAspNetCoreInstrumentation().AddOtlpExporter(o => o.Endpoint = endpoint));
    }

    /// <param name="logging">The host's logging.</param>
    /// <param name="text">Short lines for people; else JSON lines.</param>
    public static void OnStandardError(ILoggingBuilder logging, bool text)
    {
        logging.SetMinimumLevel(LogLevel.Information)
            .AddFilter("Microsoft", LogLevel.Warning)
            .AddFilter("Microsoft.AspNetCore.Server.Kestrel", LogLevel.Error) // a client that breaks off is no event of ours
            .AddFilter("Microsoft.Extensions.Hosting.Internal.Host", LogLevel.Critical) // why a start failed is said once, by us
            .AddFilter("OpenTelemetry", LogLevel.Warning)
            .AddConsole(o =>
            {
                o.FormatterName = text ? TelemetryLines.Text.FormatterName : TelemetryLines.Json.FormatterName;
                o.LogToStandardErrorThreshold = LogLevel.Trace;
            })
            .AddConsoleFormatter<TelemetryLines.Text, ConsoleFormatterOptions>()
            .AddConsoleFormatter<TelemetryLines.Json, ConsoleFormatterOptions>();
    }
}
