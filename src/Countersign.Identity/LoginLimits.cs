namespace Countersign.Identity;

/// <summary>Limits of signing in.</summary>
public sealed record LoginLimits
{
    /// <summary>How long a one-time code works. 5 minutes: long enough to walk to the other terminal.</summary>
    public TimeSpan CodeLifetime { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Wrong codes before all codes of a user are void. 5: forty random bits leave a guesser nothing.</summary>
    public int MaxAttempts { get; init; } = 5;

    /// <summary>Codes that may be open at once for one user; asking for more voids the oldest. 3: anybody may ask, so the terminal must not be flooded.</summary>
    public int MaxOpenCodes { get; init; } = 3;

    /// <summary>Codes a minute for all users together. 20: a flood would hide the code that a person waits for.</summary>
    public int MaxCodesPerMinute { get; init; } = 20;

    /// <summary>How long a session lives, however busy. 12 hours: one working day.</summary>
    public TimeSpan SessionLifetime { get; init; } = TimeSpan.FromHours(12);

    /// <summary>How long a browser's session lives without a request. 1 hour: NIST SP 800-63B-4 §2.2.3 for AAL2.</summary>
    public TimeSpan IdleLifetime { get; init; } = TimeSpan.FromHours(1);

    /// <summary>
    /// How far the stored time of the last request may lag behind. 5 minutes: a click costs no write, and a restart ends a
    /// session at most that much too early.
    /// </summary>
    public TimeSpan LastSeenLag { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Time between two searches for sessions that are over. They are refused at once in any case.</summary>
    public TimeSpan SweepEvery { get; init; } = TimeSpan.FromMinutes(1);
}
