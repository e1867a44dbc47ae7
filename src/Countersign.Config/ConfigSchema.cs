namespace Countersign.Config;

/// <summary>The JSON schema of `countersign.yaml` (draft 2020-12), for editors; `init` writes it beside the file.</summary>
public static class ConfigSchema
{
    public const string FileName = "countersign.schema.json";

    public static string Text
    {
        get
        {
            using var stream = typeof(ConfigSchema).Assembly.GetManifestResourceStream(FileName)!;
            using var reader = new StreamReader(stream);
            return reader.ReadToEnd();
        }
    }
}
