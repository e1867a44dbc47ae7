namespace Countersign.Gateway.Mcp.Understanding;

/// <summary>Actions, resources and facts as the shipped schema names them, in the namespace `Mcp`.</summary>
internal static class McpWords
{
    public const string UnknownTool = "mcp:unknown-tool", ReadResource = "mcp:read-resource", SubscribeResource = "mcp:subscribe-resource", GetPrompt = "mcp:get-prompt", Complete = "mcp:complete";
    public const string Tool = "Mcp::Tool", Resource = "Mcp::Resource", Prompt = "Mcp::Prompt";
    public const string Arguments = "arguments", Untyped = "untyped", Uri = "uri";

    /// <summary>The action of a trusted tool.</summary>
    public static string Call(string server, string tool) => $"mcp:{server}/{tool}";
}
