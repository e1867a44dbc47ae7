namespace Countersign.Hosting;

/// <summary>Why the gateway does not start: every error at once, and the exit code that fits.</summary>
internal sealed class StartFailure(int exitCode, IReadOnlyList<string> errors) : Exception(string.Join('\n', errors))
{
    public int ExitCode { get; } = exitCode;
    public IReadOnlyList<string> Errors { get; } = errors;
}
