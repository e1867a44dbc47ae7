using System.Security.Cryptography;

namespace Countersign.Journal.Tests;

/// <summary>A folder of its own, gone afterwards.</summary>
internal sealed class TestFolder : IDisposable
{
    public TestFolder() => Directory.CreateDirectory(Path);

    public string Path { get; } = System.IO.Path.Combine(
        System.IO.Path.GetTempPath(), "countersign-journal-" + RandomNumberGenerator.GetHexString(12, lowercase: true));

    public string Data => System.IO.Path.Combine(Path, "data");

    public string Database => System.IO.Path.Combine(Data, "countersign.db");

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
