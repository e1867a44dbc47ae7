using Microsoft.Extensions.Logging;

namespace Countersign.Journal;

/// <summary>Event ids 3000–3499; an id is never reused.</summary>
public sealed partial class JournalAppender
{
    [LoggerMessage(3000, LogLevel.Information, "journal started with {Entries} entries (unclean: {Unclean})")]
    private partial void LogStarted(long entries, bool unclean);

    [LoggerMessage(3001, LogLevel.Information, "journal stopped with {Entries} entries")]
    private partial void LogStopped(long entries);

    [LoggerMessage(3002, LogLevel.Error, "journal did not stop within {Timeout}: the next start will say unclean")]
    private partial void LogStopTimedOut(TimeSpan timeout);

    [LoggerMessage(3010, LogLevel.Critical, "journal cannot write, actions stop: {Fault}: {Detail}")]
    private partial void LogUnavailable(StoreFault fault, string detail, Exception exception);

    [LoggerMessage(3011, LogLevel.Debug, "journal still cannot write: {Fault}: {Detail}")]
    private partial void LogStillUnavailable(StoreFault fault, string detail);

    [LoggerMessage(3012, LogLevel.Warning, "journal writes again, at {Entries} entries")]
    private partial void LogRecovered(long entries);

    [LoggerMessage(3013, LogLevel.Critical, "journal entries {First} to {Last} were reported as not written and are there")]
    private partial void LogUncertain(long first, long last);

    [LoggerMessage(3014, LogLevel.Error, "journal batch failed unexpectedly")]
    private partial void LogBug(Exception exception);

    [LoggerMessage(3015, LogLevel.Error, "a watcher of the journal's health failed")]
    private partial void LogWatcherFailed(Exception exception);

    [LoggerMessage(3016, LogLevel.Warning, "journal housekeeping failed")]
    private partial void LogSettleFailed(Exception exception);
}
