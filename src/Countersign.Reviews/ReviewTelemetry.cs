using System.Diagnostics;

namespace Countersign.Reviews;

/// <summary>Traces of a review. No payload, value, intent or name of a person is ever a tag (P56).</summary>
internal static class ReviewTelemetry
{
    public static readonly ActivitySource Source = new("Countersign.Reviews");
}
