using System.Collections.Frozen;
using System.Text.Json;
using Countersign.Policy.Cedar;

namespace Countersign.Policy.Loading;

/// <summary>What the scope of a policy says about actions, read from Cedar's JSON form.</summary>
static class Scope
{
    /// <summary>Whether the scope names this action itself, rather than through a group or by naming none.</summary>
    public static bool NamesAction(JsonElement policy, string action) => Named(policy) is { } named && named.Contains(action, StringComparer.Ordinal);

    /// <summary>Whether the scope names a resource of this type, or the type.</summary>
    public static bool NamesResource(JsonElement policy, string type)
    {
        var resource = policy.GetProperty("resource");
        return resource.GetProperty("op").GetString() switch
        {
            "is" => resource.GetProperty("entity_type").GetString() == type,
            "==" => resource.TryGetProperty("entity", out var entity) && (entity.TryGetProperty("__entity", out var inner) ? inner : entity).GetProperty("type").GetString() == type,
            _ => false,
        };
    }

    /// <summary>Whether the policy can apply to an action, which is in <paramref name="groups"/> (itself included). True when in doubt.</summary>
    public static bool CoversAction(JsonElement policy, FrozenSet<string> groups) => Named(policy) is not { } named || named.Any(groups.Contains);

    /// <summary>The actions and groups named; null when every action is meant, or the form is not known.</summary>
    static string[]? Named(JsonElement policy)
    {
        var action = policy.GetProperty("action");
        if (action.GetProperty("op").GetString() is not ("==" or "in")) return null;
        if (action.TryGetProperty("entity", out var one)) return [Id(one)];
        return action.TryGetProperty("entities", out var several) ? [.. several.EnumerateArray().Select(Id)] : null;
    }

    static string Id(JsonElement uid)
    {
        if (uid.TryGetProperty("__entity", out var inner)) uid = inner;
        return ActionName.Of(uid.TryGetProperty("type", out var type) ? type.GetString()! : ActionName.Type, uid.GetProperty("id").GetString()!);
    }
}
