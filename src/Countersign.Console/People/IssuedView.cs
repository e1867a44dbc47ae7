namespace Countersign.Pages.People;

/// <summary>A key on its one page.</summary>
public sealed record IssuedView(string Agent, string Secret, IReadOnlyList<string> Connections)
{
    /// <summary>Never prints the secret (P56).</summary>
    public override string ToString() => $"key of {Agent} ***";
}
