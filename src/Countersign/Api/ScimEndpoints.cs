using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Countersign.Core;
using Countersign.Identity;
using Countersign.Identity.Scim;
using Microsoft.AspNetCore.Mvc;

namespace Countersign.Api;

/// <summary>
/// SCIM 2.0 under `/scim/v2`, for the identity provider alone: its bearer token opens these endpoints and nothing else, and
/// nothing else opens them, no human's session and no agent's key (P35).
/// </summary>
internal static class ScimEndpoints
{
    private const string ContentType = "application/scim+json";
    private const string UserSchema = "urn:ietf:params:scim:schemas:core:2.0:User";
    private const string GroupSchema = "urn:ietf:params:scim:schemas:core:2.0:Group";

    /// <summary>Largest body, bytes: a group of 10,000 members.</summary>
    private const int MaxBodyBytes = 4 << 20;

    public static void Map(IEndpointRouteBuilder app, string token)
    {
        var expected = SHA256.HashData(Encoding.UTF8.GetBytes(token));
        var scim = app.MapGroup("/scim/v2").WithMetadata(AnswersAnybody.Instance, new RequestSizeLimitAttribute(MaxBodyBytes)).ExcludeFromDescription();
        scim.AddEndpointFilter(async (context, next) =>
        {
            if (!IsProvider(context.HttpContext, expected)) return Error(401, null, "the token of `identity.scim.token` is expected");
            try
            {
                return await next(context).ConfigureAwait(false);
            }
            catch (ScimException e)
            {
                return Error(e.Status, e.ScimType, e.Message);
            }
        });

        scim.MapGet("/Users", static (HttpContext http, ScimService s) => List(s.Users(Query(http, "filter"), Number(http, "startIndex", 1), Number(http, "count", 100)), u => View(http, u)));
        scim.MapGet("/Users/{id}", static (HttpContext http, ScimService s, string id) => Json(View(http, s.User(id))));
        scim.MapPost("/Users", static async (HttpContext http, ScimService s) => Created(http, View(http, await s.CreateUserAsync(await BodyAsync(http).ConfigureAwait(false)).ConfigureAwait(false))));
        scim.MapPut("/Users/{id}", static async (HttpContext http, ScimService s, string id) => Json(View(http, await s.ReplaceUserAsync(id, await BodyAsync(http).ConfigureAwait(false)).ConfigureAwait(false))));
        scim.MapPatch("/Users/{id}", static async (HttpContext http, ScimService s, string id) => Json(View(http, await s.PatchUserAsync(id, await BodyAsync(http).ConfigureAwait(false)).ConfigureAwait(false))));
        scim.MapDelete("/Users/{id}", static async (ScimService s, string id) =>
        {
            await s.DeleteUserAsync(id).ConfigureAwait(false);
            return Results.NoContent();
        });
        scim.MapGet("/Groups", static (HttpContext http, ScimService s) => List(s.Groups(Query(http, "filter"), Number(http, "startIndex", 1), Number(http, "count", 100)), g => View(http, g)));
        scim.MapGet("/Groups/{id}", static (HttpContext http, ScimService s, string id) => Json(View(http, s.Group(id))));
        scim.MapPost("/Groups", static async (HttpContext http, ScimService s) => Created(http, View(http, await s.CreateGroupAsync(await BodyAsync(http).ConfigureAwait(false)).ConfigureAwait(false))));
        scim.MapPut("/Groups/{id}", static async (HttpContext http, ScimService s, string id) => Json(View(http, await s.ReplaceGroupAsync(id, await BodyAsync(http).ConfigureAwait(false)).ConfigureAwait(false))));
        scim.MapPatch("/Groups/{id}", static async (HttpContext http, ScimService s, string id) => Json(View(http, await s.PatchGroupAsync(id, await BodyAsync(http).ConfigureAwait(false)).ConfigureAwait(false))));
        scim.MapDelete("/Groups/{id}", static async (ScimService s, string id) =>
        {
            await s.DeleteGroupAsync(id).ConfigureAwait(false);
            return Results.NoContent();
        });
        scim.MapGet("/ServiceProviderConfig", static () => Json(Config()));
        scim.MapGet("/ResourceTypes", static () => Json(ListOf([ResourceType("User", UserSchema), ResourceType("Group", GroupSchema)])));
        scim.MapGet("/ResourceTypes/{name}", static (string name) => name is "User" or "Group" ? Json(ResourceType(name, name == "User" ? UserSchema : GroupSchema)) : Error(404, null, "there is no such resource type"));
        scim.MapGet("/Schemas", static () => Json(ListOf([Schema(UserSchema), Schema(GroupSchema)])));
        scim.MapGet("/Schemas/{id}", static (string id) => id is UserSchema or GroupSchema ? Json(Schema(id)) : Error(404, null, "there is no such schema"));
    }

    private static bool IsProvider(HttpContext http, byte[] expected) =>
        http.Request.Headers.Authorization is [{ } header]
        && header.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase)
        && CryptographicOperations.FixedTimeEquals(SHA256.HashData(Encoding.UTF8.GetBytes(header["Bearer ".Length..].Trim())), expected);

    private static async Task<JsonElement> BodyAsync(HttpContext http)
    {
        try
        {
            using var document = await JsonDocument.ParseAsync(http.Request.Body, new JsonDocumentOptions { AllowDuplicateProperties = false, MaxDepth = 16 }, http.RequestAborted).ConfigureAwait(false);
            return document.RootElement.Clone();
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // The second for a member whose name is no text.
            throw new ScimException(400, "invalidSyntax", "the body is not JSON, or names a member twice");
        }
    }

    private static string? Query(HttpContext http, string name) => http.Request.Query[name] switch
    {
        [] => null,
        [{ } one] => one,
        _ => throw new ScimException(400, "invalidValue", $"`{name}` is given twice"),
    };

    private static int Number(HttpContext http, string name, int otherwise) =>
        Query(http, name) is not { } text ? otherwise
        : int.TryParse(text, System.Globalization.NumberStyles.AllowLeadingSign, System.Globalization.CultureInfo.InvariantCulture, out var number) ? number
        : throw new ScimException(400, "invalidValue", $"`{name}` is a number");

    private static JsonObject View(HttpContext http, ScimUser user) => new()
    {
        ["schemas"] = new JsonArray(UserSchema),
        ["id"] = user.Id,
        ["externalId"] = user.ExternalId,
        ["userName"] = user.UserName,
        ["displayName"] = user.DisplayName,
        ["active"] = user.Active,
        ["meta"] = Meta(http, "User", user.Id, user.CreatedAt, user.ModifiedAt),
    };

    private static JsonObject View(HttpContext http, ScimGroup group)
    {
        var view = new JsonObject
        {
            ["schemas"] = new JsonArray(GroupSchema),
            ["id"] = group.Id,
            ["externalId"] = group.ExternalId,
            ["displayName"] = group.DisplayName,
            ["meta"] = Meta(http, "Group", group.Id, group.CreatedAt, group.ModifiedAt),
        };
        var without = Query(http, "excludedAttributes")?.Split(',', StringSplitOptions.TrimEntries) ?? [];
        if (!without.Contains("members", StringComparer.OrdinalIgnoreCase)) view["members"] = new JsonArray(group.Members.Select(static m => (JsonNode)new JsonObject { ["value"] = m }).ToArray());
        return view;
    }

    private static JsonObject Meta(HttpContext http, string type, string id, DateTimeOffset created, DateTimeOffset modified) => new()
    {
        ["resourceType"] = type,
        ["created"] = created,
        ["lastModified"] = modified,
        ["location"] = $"{http.RequestServices.GetRequiredService<Origins>().LinkBase(http).GetLeftPart(UriPartial.Authority)}/scim/v2/{type}s/{id}",
    };

    private static IResult List<T>(ScimPage<T> page, Func<T, JsonObject> view) => Json(ListOf(page.Items.Select(view).ToArray(), page.Total, page.StartIndex));

    private static JsonObject ListOf(JsonObject[] items, int? total = null, int start = 1) => new()
    {
        ["schemas"] = new JsonArray("urn:ietf:params:scim:api:messages:2.0:ListResponse"),
        ["totalResults"] = total ?? items.Length,
        ["startIndex"] = start,
        ["itemsPerPage"] = items.Length,
        ["Resources"] = new JsonArray(items),
    };

    /// <summary>RFC 7643 §5.</summary>
    private static JsonObject Config() => new()
    {
        ["schemas"] = new JsonArray("urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"),
        ["patch"] = new JsonObject { ["supported"] = true },
        ["bulk"] = new JsonObject { ["supported"] = false, ["maxOperations"] = 0, ["maxPayloadSize"] = 0 },
        ["filter"] = new JsonObject { ["supported"] = true, ["maxResults"] = ScimService.MaxPage },
        ["changePassword"] = new JsonObject { ["supported"] = false },
        ["sort"] = new JsonObject { ["supported"] = false },
        ["etag"] = new JsonObject { ["supported"] = false },
        ["authenticationSchemes"] = new JsonArray(new JsonObject { ["type"] = "oauthbearertoken", ["name"] = "Bearer token", ["description"] = "the secret of `identity.scim.token`" }),
    };

    private static JsonObject ResourceType(string name, string schema) => new()
    {
        ["schemas"] = new JsonArray("urn:ietf:params:scim:schemas:core:2.0:ResourceType"),
        ["id"] = name,
        ["name"] = name,
        ["endpoint"] = $"/{name}s",
        ["schema"] = schema,
    };

    private static JsonObject Schema(string id)
    {
        static JsonObject Attribute(string name, string type, bool required = false, bool exact = false, bool many = false, string uniqueness = "none", JsonArray? inner = null)
        {
            var attribute = new JsonObject
            {
                ["name"] = name, ["type"] = type, ["multiValued"] = many, ["required"] = required, ["caseExact"] = exact, ["mutability"] = "readWrite", ["returned"] = "default", ["uniqueness"] = uniqueness,
            };
            if (inner is not null) attribute["subAttributes"] = inner;
            return attribute;
        }

        return new JsonObject
        {
            ["schemas"] = new JsonArray("urn:ietf:params:scim:schemas:core:2.0:Schema"),
            ["id"] = id,
            ["name"] = id == UserSchema ? "User" : "Group",
            ["attributes"] = id == UserSchema
                ? new JsonArray(Attribute("userName", "string", required: true, uniqueness: "server"), Attribute("externalId", "string", exact: true), Attribute("displayName", "string"), Attribute("active", "boolean"))
                : new JsonArray(Attribute("displayName", "string", required: true, uniqueness: "server"), Attribute("externalId", "string", exact: true), Attribute("members", "complex", many: true, inner: new JsonArray(Attribute("value", "string", exact: true)))),
        };
    }

    private static IResult Json(JsonObject body, int status = 200) => Results.Text(body.ToJsonString(), ContentType, Encoding.UTF8, status);

    private static IResult Created(HttpContext http, JsonObject body)
    {
        http.Response.Headers.Location = body["meta"]!["location"]!.GetValue<string>();
        return Json(body, 201);
    }

    private static IResult Error(int status, string? type, string detail)
    {
        var body = new JsonObject { ["schemas"] = new JsonArray("urn:ietf:params:scim:api:messages:2.0:Error"), ["status"] = status.ToString(System.Globalization.CultureInfo.InvariantCulture), ["detail"] = VisibleText.Of(detail) };
        if (type is not null) body["scimType"] = type;
        return Json(body, status);
    }
}
