namespace Countersign.Sandbox;

/// <summary>How a call into a guest ended. Everything but <see cref="Ok"/> means: there is no answer, and the caller fails closed.</summary>
public enum GuestOutcome
{
    /// <summary>The guest answered.</summary>
    Ok,

    /// <summary>The guest trapped, aborted, or did what the host forbids. It is thrown away.</summary>
    Trapped,

    /// <summary>The guest ran longer than its time limit and was interrupted. It is thrown away.</summary>
    TimedOut,

    /// <summary>The guest failed while holding at least half of its memory cap, or the host refused it memory. It is thrown away.</summary>
    OutOfMemory,

    /// <summary>No guest became free within <see cref="GuestPoolLimits.Wait"/>.</summary>
    Busy,

    /// <summary>The pool has been drained: there is a newer one.</summary>
    Drained,
}

/// <summary>The answer of a guest, or why there is none.</summary>
/// <param name="Outcome">How the call ended.</param>
/// <param name="Value">The answer; default unless <paramref name="Outcome"/> is <see cref="GuestOutcome.Ok"/>.</param>
/// <param name="Detail">For the operator's log, never for the agent: what the guest or Wasmtime said; null when ok.</param>
public readonly record struct GuestResult<T>(GuestOutcome Outcome, T? Value, string? Detail)
{
    /// <summary>Whether there is an answer.</summary>
    public bool IsOk => Outcome == GuestOutcome.Ok;

    internal static GuestResult<T> Answer(T value) => new(GuestOutcome.Ok, value, null);

    internal static GuestResult<T> Refused(GuestOutcome outcome, string? detail) => new(outcome, default, detail);
}

/// <summary>Thrown by a host function to end the guest's call: an abort, an assertion, an exit, memory refused. It surfaces as an outcome, never as an exception to the caller.</summary>
public sealed class GuestFaultException(GuestOutcome outcome, string message) : Exception(message)
{
    /// <summary>The outcome that the call ends with: <see cref="GuestOutcome.Trapped"/> or <see cref="GuestOutcome.OutOfMemory"/>.</summary>
    public GuestOutcome Outcome { get; } = outcome;
}
