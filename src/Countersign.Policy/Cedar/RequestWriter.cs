using System.Buffers;
using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using Countersign.Core;

namespace Countersign.Policy.Cedar;

/// <summary>Writes requests as Cedar reads them. Three entities: principal, resource, action, each with all of its ancestors as parents, which means the same as a chain and costs half.</summary>
static class RequestWriter
{
    /// <summary>Names of the preparsed sets within a guest.</summary>
    public const string DecideSet = "decide", CouldSet = "could", ApproveSet = "approve", BreakGlassSet = "break-glass", AdministerSet = "administer";

    /// <summary>This gateway, as policies name it.</summary>
    const string Gateway = "countersign";

    static readonly JsonWriterOptions Options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true };

    /// <summary>A request about one effect, for <c>statefulIsAuthorized</c>, or for <c>isAuthorized</c> when <paramref name="policies"/> are given.</summary>
    public static ReadOnlyMemory<byte> Effect(RequestSchema schema, PolicyRequest request, IReadOnlyDictionary<string, JsonElement>? policies = null, string set = DecideSet)
    {
        var buffer = new ArrayBufferWriter<byte>(1024);
        using var w = new Utf8JsonWriter(buffer, Options);
        var (actors, target, intent, effect, context) = request;
        w.WriteStartObject();
        var (actionType, actionId) = ActionName.ToCedar(effect.Action);
        Uid(w, "principal", "Agent", actors.Agent.Name);
        Uid(w, "action", actionType, actionId);
        Uid(w, "resource", effect.Resource.Type, effect.Resource.Id);

        w.WriteStartObject("context");
        Target(w, target);
        w.WriteStartObject("intent");
        Optional(w, "reason", intent.Reason);
        Optional(w, "ticket", intent.Ticket);
        Optional(w, "task", intent.Task);
        Optional(w, "model", intent.Model);
        w.WriteEndObject();
        Moment(w, context.Now);
        Facts(w, effect.Facts);
        w.WriteEndObject();

        w.WriteStartArray("entities");
        AgentEntity(w, actors);
        foreach (var human in actors.Humans.DistinctBy(static h => h.Name, StringComparer.Ordinal)) UserEntity(w, human, context);
        Begin(w, effect.Resource.Type, effect.Resource.Id);
        w.WriteStartArray("parents");
        foreach (var (type, id) in Ancestors(target, effect.Resource, context)) Uid(w, null, type, id);
        w.WriteEndArray();
        w.WriteEndObject();
        Begin(w, actionType, actionId);
        w.WriteStartArray("parents");
        foreach (var group in schema.Groups[effect.Action])
        {
            if (group == effect.Action) continue;
            var (groupType, groupId) = ActionName.ToCedar(group);
            Uid(w, null, groupType, groupId);
        }
        w.WriteEndArray();
        w.WriteEndObject();
        w.WriteEndArray();
        Policies(w, policies, set);
        w.WriteEndObject();
        w.Flush();
        return buffer.WrittenMemory;
    }

    static void Facts(Utf8JsonWriter w, IReadOnlyDictionary<string, FactValue> facts)
    {
        foreach (var (name, value) in facts)
        {
            switch (value)
            {
                case FactValue.Flag f: w.WriteBoolean(name, f.Value); break;
                case FactValue.Number n: w.WriteNumber(name, n.Value); break;
                case FactValue.Text t: w.WriteString(name, Valid(t.Value)); break;
                case FactValue.Set s:
                    w.WriteStartArray(name);
                    foreach (var item in s.Values) w.WriteStringValue(Valid(item));
                    w.WriteEndArray();
                    break;
                case FactValue.Record r:
                    w.WriteStartObject(name);
                    Facts(w, r.Members);
                    w.WriteEndObject();
                    break;
                default: throw new InvalidOperationException("a fact value of no known kind");
            }
        }
    }

    /// <summary>A request about one approver.</summary>
    public static ReadOnlyMemory<byte> Approve(ApproveRequest request)
    {
        var buffer = new ArrayBufferWriter<byte>(1024);
        using var w = new Utf8JsonWriter(buffer, Options);
        var review = request.Review;
        w.WriteStartObject();
        Uid(w, "principal", "User", request.User.Name);
        Uid(w, "action", "Action", request.BreakGlass ? "break-glass" : "approve");
        Uid(w, "resource", "Review", review.Id);
        w.WriteStartObject("context");
        w.WriteString("channel", Valid(request.Channel));
        Target(w, review.Target);
        w.WriteStartObject("intent");
        Optional(w, "reason", review.Intent.Reason);
        Optional(w, "ticket", review.Intent.Ticket);
        Optional(w, "task", review.Intent.Task);
        Optional(w, "model", review.Intent.Model);
        w.WriteEndObject();
        Moment(w, request.Now);
        w.WriteEndObject();

        w.WriteStartArray("entities");
        Begin(w, "User", request.User.Name);
        Groups(w, request.Groups);
        w.WriteEndObject();
        AgentEntity(w, review.Actors);
        w.WriteStartObject();
        Uid(w, "uid", "Review", review.Id);
        w.WriteStartObject("attrs");
        w.WriteStartArray("groups");
        foreach (var group in review.Groups) Reference(w, null, "Group", group);
        w.WriteEndArray();
        Reference(w, "requester", "Agent", review.Actors.Agent.Name);
        Reference(w, "owner", "User", review.Actors.Owner.Name);
        if (review.Actors.OnBehalfOf is { } other) Reference(w, "on_behalf_of", "User", other.Name);
        Via(w, review.Actors);
        Target(w, review.Target);
        w.WriteStartArray("verbs");
        foreach (var verb in review.Verbs.Distinct()) w.WriteStringValue(RequestSchema.Name(verb));
        w.WriteEndArray();
        w.WriteStartArray("classes");
        foreach (var name in review.DataClasses) Reference(w, null, "DataClass", name);
        w.WriteEndArray();
        w.WriteEndObject();
        w.WriteStartArray("parents");
        w.WriteEndArray();
        w.WriteEndObject();
        w.WriteEndArray();
        Policies(w, null, request.BreakGlass ? BreakGlassSet : ApproveSet);
        w.WriteEndObject();
        w.Flush();
        return buffer.WrittenMemory;
    }

    /// <summary>A request about one who administers.</summary>
    public static ReadOnlyMemory<byte> Administer(RequestSchema schema, AdministerRequest request)
    {
        var buffer = new ArrayBufferWriter<byte>(1024);
        using var w = new Utf8JsonWriter(buffer, Options);
        w.WriteStartObject();
        Uid(w, "principal", "User", request.User.Name);
        Uid(w, "action", "Action", request.Action);
        Uid(w, "resource", "Gateway", Gateway);
        w.WriteStartObject("context");
        w.WriteString("channel", Valid(request.Channel));
        Target(w, new TargetRef(Gateway, Gateway, Gateway));
        w.WriteStartObject("intent");
        w.WriteEndObject();
        Moment(w, request.Now);
        w.WriteEndObject();

        w.WriteStartArray("entities");
        Begin(w, "User", request.User.Name);
        Groups(w, request.Groups);
        w.WriteEndObject();
        Begin(w, "Action", request.Action);
        w.WriteStartArray("parents");
        foreach (var group in schema.Groups[request.Action])
            if (group != request.Action) Uid(w, null, "Action", group);
        w.WriteEndArray();
        w.WriteEndObject();
        w.WriteEndArray();
        Policies(w, null, AdministerSet);
        w.WriteEndObject();
        w.Flush();
        return buffer.WrittenMemory;
    }

    /// <summary>Everything that the resource is in, without repetition: its own parents, target, environment, data classes and their frameworks.</summary>
    public static HashSet<(string Type, string Id)> Ancestors(TargetRef target, ResourceRef resource, DecisionContext context)
    {
        var ancestors = new HashSet<(string, string)>(resource.Parents) { ("Target", target.Name), ("Environment", target.Environment) };
        foreach (var name in resource.DataClasses)
        {
            ancestors.Add(("DataClass", name));
            if (!context.Frameworks.TryGetValue(name, out var frameworks)) continue;
            foreach (var framework in frameworks) ancestors.Add(("Framework", framework));
        }
        ancestors.Remove((resource.Type, resource.Id));
        return ancestors;
    }

    static void Policies(Utf8JsonWriter w, IReadOnlyDictionary<string, JsonElement>? policies, string set)
    {
        if (policies is null)
        {
            w.WriteString("preparsedPolicySetId", set);
            w.WriteBoolean("validateRequest", false); // done already: see RequestSchema
            return;
        }
        w.WriteStartObject("policies");
        w.WriteStartObject("staticPolicies");
        foreach (var (id, json) in policies)
        {
            w.WritePropertyName(id);
            json.WriteTo(w);
        }
        w.WriteEndObject();
        w.WriteEndObject();
    }

    static void AgentEntity(Utf8JsonWriter w, ActorChain actors)
    {
        w.WriteStartObject();
        Uid(w, "uid", "Agent", actors.Agent.Name);
        w.WriteStartObject("attrs");
        Reference(w, "owner", "User", actors.Owner.Name);
        if (actors.OnBehalfOf is { } user) Reference(w, "on_behalf_of", "User", user.Name);
        Via(w, actors);
        w.WriteEndObject();
        Groups(w, actors.Groups);
        w.WriteEndObject();
    }

    static void Via(Utf8JsonWriter w, ActorChain actors)
    {
        w.WriteStartArray("via");
        foreach (var human in actors.Via) Reference(w, null, "User", human.Name);
        w.WriteEndArray();
    }

    static void UserEntity(Utf8JsonWriter w, PrincipalRef user, DecisionContext context)
    {
        if (!context.HumanGroups.TryGetValue(user.Id, out var groups) || groups.Count == 0) return;
        Begin(w, "User", user.Name);
        Groups(w, groups);
        w.WriteEndObject();
    }

    static void Groups(Utf8JsonWriter w, IReadOnlyList<string> groups)
    {
        w.WriteStartArray("parents");
        foreach (var group in groups.Distinct(StringComparer.Ordinal)) Uid(w, null, "Group", group);
        w.WriteEndArray();
    }

    static void Begin(Utf8JsonWriter w, string type, string id)
    {
        w.WriteStartObject();
        Uid(w, "uid", type, id);
        w.WriteStartObject("attrs");
        w.WriteEndObject();
    }

    static void Target(Utf8JsonWriter w, TargetRef target)
    {
        w.WriteStartObject("target");
        w.WriteString("name", Valid(target.Name));
        w.WriteString("kind", Valid(target.Kind));
        w.WriteString("environment", Valid(target.Environment));
        w.WriteEndObject();
    }

    static void Moment(Utf8JsonWriter w, DateTimeOffset now)
    {
        var utc = now.UtcDateTime;
        w.WriteStartObject("time");
        w.WriteStartObject("now");
        w.WriteStartObject("__extn");
        w.WriteString("fn", "datetime");
        w.WriteString("arg", utc.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture));
        w.WriteEndObject();
        w.WriteEndObject();
        w.WriteNumber("hour", utc.Hour);
        w.WriteString("weekday", utc.DayOfWeek switch
        {
            DayOfWeek.Monday => "mon", DayOfWeek.Tuesday => "tue", DayOfWeek.Wednesday => "wed", DayOfWeek.Thursday => "thu",
            DayOfWeek.Friday => "fri", DayOfWeek.Saturday => "sat", _ => "sun",
        });
        w.WriteEndObject();
    }

    /// <summary>The writer would replace a lone surrogate, and the request would be about another name.</summary>
    static string Valid(string text)
    {
        for (var at = text.AsSpan().IndexOfAnyInRange('\ud800', '\udfff'); at >= 0 && at < text.Length; at++)
        {
            if (!char.IsSurrogate(text[at])) continue;
            if (!char.IsHighSurrogate(text[at]) || at + 1 == text.Length || !char.IsLowSurrogate(text[at + 1])) throw new InvalidTextException();
            at++;
        }
        return text;
    }

    static void Optional(Utf8JsonWriter w, string name, string? value)
    {
        if (value is not null) w.WriteString(name, Valid(value));
    }

    static void Uid(Utf8JsonWriter w, string? property, string type, string id)
    {
        if (property is null) w.WriteStartObject();
        else w.WriteStartObject(property);
        w.WriteString("type", type);
        w.WriteString("id", Valid(id));
        w.WriteEndObject();
    }

    static void Reference(Utf8JsonWriter w, string? property, string type, string id)
    {
        if (property is null) w.WriteStartObject();
        else w.WriteStartObject(property);
        Uid(w, "__entity", type, id);
        w.WriteEndObject();
    }
}

/// <summary>A request holds a text that is not valid Unicode, which no text that was read as UTF-8 does.</summary>
sealed class InvalidTextException : Exception;
