using System.Diagnostics;

namespace Countersign.Channels;

/// <summary>A secret that a service gave us. It prints as `***`; only <see cref="Reveal"/> gives it (I8, P56).</summary>
[DebuggerDisplay("***")]
public sealed class Credential(string value)
{
    private readonly string value = value;

    public string Reveal() => value;

    public override string ToString() => "***";
}
