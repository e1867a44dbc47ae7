using System.Globalization;
using System.Text;
using Countersign.Policy;

namespace Countersign.Hosting;

/// <summary>
/// The tests of the policy folder under the revision in force. They are run again when that revision or a test file has
/// changed, and not with each look at the page.
/// </summary>
internal sealed class FolderTests(ServingPolicies serving) : IDisposable
{
    private readonly SemaphoreSlim one = new(1, 1);
    private (string Of, PolicyTestReport Report)? last;

    public async Task<PolicyTestReport> RunAsync(CancellationToken ct)
    {
        await one.WaitAsync(ct).ConfigureAwait(false);
        try
        {
            var store = serving.Store;
            var of = Signature(store);
            if (last is { } known && known.Of == of) return known.Report;
            var report = await PolicyTestRunner.RunAsync(store, store.Folder, ct).ConfigureAwait(false);
            last = (of, report);
            return report;
        }
        finally
        {
            one.Release();
        }
    }

    private static string Signature(PolicyStore store)
    {
        var text = new StringBuilder(store.Current.Id.ContentHash);
        foreach (var path in PolicyTestRunner.FilesOf(store.Folder))
        {
            var file = new FileInfo(path);
            text.Append(CultureInfo.InvariantCulture, $"\n{path} {file.LastWriteTimeUtc.Ticks} {(file.Exists ? file.Length : 0)}");
        }

        return text.ToString();
    }

    public void Dispose() => one.Dispose();
}
