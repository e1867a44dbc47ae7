namespace Countersign;

/// <summary>Exit codes of every command.</summary>
internal static class Exit
{
    public const int Done = 0;
    public const int Failed = 1;
    public const int Usage = 2;
    public const int Denied = 3;
    public const int Expired = 4;
}
