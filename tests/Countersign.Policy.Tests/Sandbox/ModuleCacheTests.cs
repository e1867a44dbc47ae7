using System.Runtime.Versioning;
using Countersign.Sandbox;
using Wasmtime;

namespace Countersign.Policy.Tests.Sandbox;

[UnsupportedOSPlatform("windows")]
public sealed class ModuleCacheTests : IDisposable
{
    readonly SandboxHost host = new();
    readonly string parent = Directory.CreateTempSubdirectory("countersign-cache-").FullName;
    readonly List<ModuleCacheEvent> events = [];
    static readonly byte[] Wasm = Module.ConvertText(WatGuest.Text);

    string Folder => Path.Combine(parent, "cache");
    string Artefact => Assert.Single(Directory.GetFiles(Folder, "*.cwasm"));

    public void Dispose()
    {
        host.Dispose();
        Directory.Delete(parent, recursive: true);
    }

    ModuleCacheEvent[] Load(byte[]? wasm = null, string? folder = null)
    {
        events.Clear();
        var cache = new ModuleCache(folder ?? Folder, (e, _, _) => events.Add(e));
        using var module = cache.Load(host, "wat", wasm ?? Wasm);
        using var pool = new GuestPool<WatGuest>(() => new WatGuest(module, new GuestLimits()), new GuestPoolLimits { Size = 1 });
        Assert.Equal(5, pool.Call(g => g.Add(2, 3)).Value); // whatever happened to the cache, the right code runs
        return [.. events];
    }

    [Fact]
    public void Module_is_compiled_once_and_then_found()
    {
        Assert.Equal([ModuleCacheEvent.Compiling], Load());
        Assert.Equal([ModuleCacheEvent.Hit], Load());
    }

    [Fact]
    public void Folder_and_files_are_private()
    {
        Load();
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(Folder));
        Assert.All(Directory.GetFiles(Folder), f => Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(f)));
    }

    [Theory]
    [InlineData(0)]    // magic
    [InlineData(25)]   // the HMAC
    [InlineData(60)]   // the head of the artefact
    [InlineData(-1)]   // its end
    public void Altered_artefact_is_compiled_again_and_replaced(int at)
    {
        Load();
        var bytes = File.ReadAllBytes(Artefact);
        bytes[at < 0 ? bytes.Length + at : at] ^= 1;
        File.WriteAllBytes(Artefact, bytes);

        Assert.Equal([ModuleCacheEvent.Rejected, ModuleCacheEvent.Compiling], Load());
        Assert.Equal([ModuleCacheEvent.Hit], Load());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(40)]
    [InlineData(1000)]
    public void Torn_artefact_is_compiled_again(int length)
    {
        Load();
        using (var stream = new FileStream(Artefact, FileMode.Open)) stream.SetLength(length);
        Assert.Equal([ModuleCacheEvent.Rejected, ModuleCacheEvent.Compiling], Load());
    }

    [Fact]
    public void Artefact_of_another_module_put_in_its_place_is_rejected()
    {
        Load();
        var other = Module.ConvertText(WatGuest.Text.Replace("i32.add", "i32.sub", StringComparison.Ordinal));
        events.Clear();
        new ModuleCache(Folder).Load(host, "evil", other).Dispose();
        var evil = Assert.Single(Directory.GetFiles(Folder, "evil-*"));
        File.Copy(evil, Directory.GetFiles(Folder, "wat-*")[0], overwrite: true); // signed by the same key, but it is not this module
        Assert.Equal([ModuleCacheEvent.Rejected, ModuleCacheEvent.Compiling], Load());
    }

    [Fact]
    public void Artefact_signed_under_another_key_is_rejected()
    {
        Load();
        File.WriteAllBytes(Path.Combine(Folder, "cache.key"), new byte[32]);
        Assert.Equal([ModuleCacheEvent.Rejected, ModuleCacheEvent.Compiling], Load());
    }

    [Fact]
    public void Folder_open_to_others_is_not_used()
    {
        Load();
        File.SetUnixFileMode(Folder, (UnixFileMode)0b111_111_111);
        Assert.Equal([ModuleCacheEvent.NotKept, ModuleCacheEvent.Compiling], Load());
    }

    [Fact]
    public void Key_open_to_others_is_not_used()
    {
        Load();
        File.SetUnixFileMode(Path.Combine(Folder, "cache.key"), (UnixFileMode)0b110_100_100);
        Assert.Equal([ModuleCacheEvent.NotKept, ModuleCacheEvent.Compiling], Load());
    }

    [Fact]
    public void Folder_that_is_a_link_is_not_used()
    {
        Load();
        var link = Path.Combine(parent, "link");
        Directory.CreateSymbolicLink(link, Folder);
        Assert.Equal([ModuleCacheEvent.NotKept, ModuleCacheEvent.Compiling], Load(folder: link));
    }

    [Fact]
    public void Path_that_cannot_be_a_folder_still_compiles()
    {
        var file = Path.Combine(parent, "file");
        File.WriteAllText(file, "");
        Assert.Equal([ModuleCacheEvent.NotKept, ModuleCacheEvent.Compiling], Load(folder: file));
    }

    [Fact]
    public void Invalid_module_is_an_error_at_start()
    {
        Assert.Throws<WasmtimeException>(() => new ModuleCache(Folder).Load(host, "bad", [0, 1, 2, 3]));
    }
}
