using System.Text;
using Countersign.Journal;

namespace Countersign.Hosting;

/// <summary>What the host itself remembers from run to run, as text.</summary>
internal static class HostState
{
    public const string Collection = "host";

    /// <summary>Content hash of the policy revision that was last journalled.</summary>
    public const string Policy = "policy";

    /// <summary>Index of the first entry whose actions may still lack an outcome.</summary>
    public const string Settled = "settled";

    public static string Text(StateDocument document) => Encoding.UTF8.GetString(document.Value);

    public static StateChange Put(IStateReader reader, string key, string value) =>
        new StateChange.Put(Collection, key, reader.Get(Collection, key)?.Version ?? 0, null, Encoding.UTF8.GetBytes(value));
}
