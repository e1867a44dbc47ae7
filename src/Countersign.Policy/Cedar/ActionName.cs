namespace Countersign.Policy.Cedar;

/// <summary>
/// How an effect names its action, and how Cedar does. `sql:update` is <c>Action::"sql:update"</c>; what MCP servers offer has a namespace
/// of its own, so that no tool can be named like anything else: `mcp:files/write_file` is <c>Mcp::Action::"files/write_file"</c>.
/// </summary>
static class ActionName
{
    public const string Type = "Action";
    const string McpType = "Mcp::Action", McpPrefix = "mcp:";

    public static string Of(string type, string id) => type == McpType ? McpPrefix + id : id;

    public static (string Type, string Id) ToCedar(string name) =>
        name.StartsWith(McpPrefix, StringComparison.Ordinal) ? (McpType, name[McpPrefix.Length..]) : (Type, name);
}
