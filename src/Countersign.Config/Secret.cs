using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;

namespace Countersign.Config;

/// <summary>
/// A secret that was resolved from a file or the environment. It prints as `***` everywhere (records, logs, debuggers,
/// serialisers); only <see cref="Reveal"/> gives the value, so that every use can be found by one search (I8, P56).
/// </summary>
[DebuggerDisplay("***")]
public sealed class Secret : IEquatable<Secret>
{
    private readonly string value;

    public Secret(string value)
    {
        ArgumentException.ThrowIfNullOrEmpty(value);
        this.value = value;
    }

    /// <summary>The value itself. Give it to the target and to nothing else.</summary>
    public string Reveal() => value;

    /// <summary>Fixed-time for values of equal length, so that a reload can tell whether a secret changed.</summary>
    public bool Equals(Secret? other) =>
        other is not null && CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(value), Encoding.UTF8.GetBytes(other.value));

    public override bool Equals(object? obj) => Equals(obj as Secret);

    /// <summary>The same for every secret: a hash code ends up in dumps and tells about the value.</summary>
    public override int GetHashCode() => 0;

    public override string ToString() => "***";
}
