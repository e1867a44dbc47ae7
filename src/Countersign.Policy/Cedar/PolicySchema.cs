namespace Countersign.Policy.Cedar;

/// <summary>
/// A schema that policies are validated against and requests are checked by: the shipped one, or the shipped one with the tools that
/// operators have trusted. Immutable.
/// </summary>
public sealed class PolicySchema
{
    internal PolicySchema(string text, RequestSchema requests)
    {
        Text = text;
        Requests = requests;
    }

    /// <summary>In Cedar's schema language.</summary>
    public string Text { get; }

    internal RequestSchema Requests { get; }
}
