using Countersign.Config.Yaml;
using Countersign.Core;

namespace Countersign.Config.Reading;

/// <summary>
/// Names of people elsewhere in the file. Who is not in `users` is an error, unless a provider may know him: then he is somebody
/// once he has signed in, or was provisioned, and a misspelt name is nobody for ever. So it is said.
/// </summary>
internal sealed class KnownPeople(IReadOnlyList<UserConfig> users, bool hasProvider)
{
    private readonly List<ConfigError> warnings = [];

    public IReadOnlyList<ConfigError> Warnings => warnings;

    /// <summary>True where the name is somebody's, or may be.</summary>
    public bool Check(Cursor at, string name)
    {
        if (!NameReader.Check(at, name, "user")) return false;
        if (users.Any(u => u.Name == name)) return true;
        var hint = DidYouMean.Hint(name, users.Select(static u => u.Name));
        if (!hasProvider || users.Any(u => string.Equals(u.Name, name, StringComparison.OrdinalIgnoreCase)))
        {
            at.Fail($"`{name}` is not in `users`{hint}");
            return false;
        }

        warnings.Add(new ConfigError(at.Path, at.At.Line, at.At.Column, $"`{name}` is not in `users`{hint}; until the identity provider knows somebody of that name, it is nobody"));
        return true;
    }
}
