using Countersign.Config;
using Microsoft.Extensions.Logging;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Countersign.Hosting;

/// <summary>Traces and metrics of every room by OTLP, and logs as JSON lines on stderr.</summary>
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

    public static void JsonOnStandardError(ILoggingBuilder logging)
    {
        logging.SetMinimumLevel(LogLevel.Information)
            .AddFilter("Microsoft", LogLevel.Warning)
            .AddFilter("Microsoft.AspNetCore.Server.Kestrel", LogLevel.Error) // a client that breaks off is no event of ours
            .AddFilter("OpenTelemetry", LogLevel.Warning)
            .AddJsonConsole(static o =>
            {
                o.UseUtcTimestamp = true;
                o.TimestampFormat = "yyyy-MM-dd'T'HH:mm:ss.fff'Z'";
                o.IncludeScopes = false; // scopes of the server hold paths and ids of connections
            });
        logging.Services.Configure<Microsoft.Extensions.Logging.Console.ConsoleLoggerOptions>(static o => o.LogToStandardErrorThreshold = LogLevel.Trace);
    }
}
