using System.Collections.Immutable;
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;
using System.Text.Json;

namespace Countersign.Architecture.Tests;

/// <summary>The repository as files: sources, documents, and the assemblies that this build made of them.</summary>
static class House
{
    /// <summary>Folders that are made, not written.</summary>
    private static readonly HashSet<string> Made = new(StringComparer.Ordinal)
    {
        ".git", ".build", "bin", "obj", "node_modules", "generated", "artifacts", "TestResults", "BenchmarkDotNet.Artifacts",
    };

    public static string Root { get; } = FindRoot();

    public static string Read(string path) => File.ReadAllText(Path.Combine(Root, path));

    /// <summary>Paths relative to the root, with `/`.</summary>
    public static IEnumerable<string> Files(string under = "") =>
        Walk(Path.Combine(Root, under)).Select(static f => Path.GetRelativePath(Root, f).Replace('\\', '/')).Order(StringComparer.Ordinal);

    public static IEnumerable<Room> Rooms { get; } = Directory.GetFiles(Path.Combine(Root, "src"), "*.csproj", SearchOption.AllDirectories)
        .Select(static p => new Room(Path.GetFileNameWithoutExtension(p)))
        .OrderBy(static r => r.Name, StringComparer.Ordinal).ToArray();

    /// <summary>Every package that the exe restores: what is shipped.</summary>
    public static IEnumerable<string> ShippedPackages()
    {
        using var json = JsonDocument.Parse(Read("src/Countersign/packages.lock.json"));
        return json.RootElement.GetProperty("dependencies").EnumerateObject()
            .SelectMany(static framework => framework.Value.EnumerateObject())
            .Where(static package => package.Value.GetProperty("type").GetString() != "Project")
            .Select(static package => package.Name).Distinct().Order(StringComparer.Ordinal).ToArray();
    }

    private static IEnumerable<string> Walk(string folder)
    {
        foreach (var file in Directory.EnumerateFiles(folder))
        {
            // A worktree's `.git` is a file.
            if (!Made.Contains(Path.GetFileName(file))) yield return file;
        }

        foreach (var inner in Directory.EnumerateDirectories(folder))
        {
            if (Made.Contains(Path.GetFileName(inner))) continue;
            foreach (var file in Walk(inner)) yield return file;
        }
    }

    private static string FindRoot()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "Countersign.slnx"))) return folder.FullName;
        }

        throw new InvalidOperationException("Countersign.slnx is in no folder above the tests");
    }
}

/// <summary>A type of an assembly, as far as the house rules care.</summary>
sealed record TypeFacts(string Name, bool IsClass, bool IsAbstract, bool IsSealed);

/// <summary>A project and the assembly that was built of it, read without loading.</summary>
sealed class Room(string name)
{
    public string Name { get; } = name;

    /// <summary>Project references as somebody drew them.</summary>
    public IReadOnlyList<string> Drawn =>
        System.Xml.Linq.XDocument.Load(Path.Combine(House.Root, "src", Name, $"{Name}.csproj")).Descendants("ProjectReference")
            .Select(static r => Path.GetFileNameWithoutExtension(r.Attribute("Include")!.Value.Replace('\\', '/'))).ToArray();

    /// <summary>Names of referenced assemblies, as the compiler wrote them.</summary>
    public IReadOnlyList<string> References => Read(static m => m.AssemblyReferences.Select(r => m.GetString(m.GetAssemblyReference(r).Name)).ToArray());

    /// <summary>Full names of the foreign types that the code mentions.</summary>
    public IReadOnlySet<string> ForeignTypes => Read(static m => m.TypeReferences.Select(m.GetTypeReference).Select(t => $"{m.GetString(t.Namespace)}.{m.GetString(t.Name)}").ToHashSet(StringComparer.Ordinal));

    public IReadOnlyList<TypeFacts> Types => Read(static m => m.TypeDefinitions.Select(m.GetTypeDefinition)
        .Where(t => !IsGenerated(m, t))
        .Select(t => new TypeFacts(
            m.GetString(t.Name),
            t.Attributes.HasFlag(System.Reflection.TypeAttributes.Class) && BaseOf(m, t) is not ("System.ValueType" or "System.Enum" or "System.MulticastDelegate" or ""),
            t.Attributes.HasFlag(System.Reflection.TypeAttributes.Abstract),
            t.Attributes.HasFlag(System.Reflection.TypeAttributes.Sealed)))
        .ToArray());

    /// <summary>Static fields that somebody could write, as `Type.field`.</summary>
    public IReadOnlyList<string> MutableStatics => Read(static m => m.TypeDefinitions.Select(m.GetTypeDefinition)
        .Where(t => !IsGenerated(m, t))
        .SelectMany(t => t.GetFields().Select(m.GetFieldDefinition)
            .Where(f => f.Attributes.HasFlag(System.Reflection.FieldAttributes.Static)
                && (f.Attributes & (System.Reflection.FieldAttributes.InitOnly | System.Reflection.FieldAttributes.Literal)) == 0)
            .Select(f => $"{m.GetString(t.Name)}.{m.GetString(f.Name)}"))
        .ToArray());

    private T Read<T>(Func<MetadataReader, T> read)
    {
        // The tests run from bin/<configuration>/<framework>; so do the rooms.
        var framework = new DirectoryInfo(AppContext.BaseDirectory.TrimEnd('/'));
        var file = Name == "Countersign" ? "countersign.dll" : $"{Name}.dll";
        using var stream = File.OpenRead(Path.Combine(House.Root, "src", Name, "bin", framework.Parent!.Name, framework.Name, file));
        using var image = new PEReader(stream, PEStreamOptions.Default);
        return read(image.GetMetadataReader());
    }

    /// <summary>Compilers put `&lt;` into names that people can not write; source generators mark theirs.</summary>
    private static bool IsGenerated(MetadataReader m, TypeDefinition type)
    {
        for (var t = type; ; t = m.GetTypeDefinition(t.GetDeclaringType()))
        {
            if (m.GetString(t.Name).Contains('<', StringComparison.Ordinal) || AttributesOf(m, t).Contains("GeneratedCodeAttribute") || AttributesOf(m, t).Contains("CompilerGeneratedAttribute")) return true;
            if (t.GetDeclaringType().IsNil) return false;
        }
    }

    private static ImmutableArray<string> AttributesOf(MetadataReader m, TypeDefinition type) =>
        type.GetCustomAttributes().Select(m.GetCustomAttribute)
            .Where(static a => a.Constructor.Kind == HandleKind.MemberReference)
            .Select(a => m.GetMemberReference((MemberReferenceHandle)a.Constructor).Parent)
            .Where(static p => p.Kind == HandleKind.TypeReference)
            .Select(p => m.GetString(m.GetTypeReference((TypeReferenceHandle)p).Name)).ToImmutableArray();

    private static string BaseOf(MetadataReader m, TypeDefinition type) => type.BaseType switch
    {
        { IsNil: true } => "",
        { Kind: HandleKind.TypeReference } handle when m.GetTypeReference((TypeReferenceHandle)handle) is var t => $"{m.GetString(t.Namespace)}.{m.GetString(t.Name)}",
        _ => "other",
    };
}
