using Countersign.Config.Yaml;

namespace Countersign.Config;

/// <summary>Every key there is. `countersign.schema.json` says the same to editors.</summary>
internal static class ConfigShape
{
    private static readonly Shape Value = Shape.Value.Any;
    private static readonly Shape Names = new Shape.List(Value);

    private static readonly Shape File = Shape.Of("write `{ file: path }`", ("file", Value));

    private static readonly Shape Reference = Shape.Of(
        "a secret is never written in this file: write `{ env: NAME }` or `{ file: path }`",
        ("env", Value), ("file", Value));

    private static readonly Shape Workload = Shape.Of(
        ("match", new Shape.Named(Value)),
        ("owner", Value),
        ("groups", Names),
        ("for", Value),
        ("delegated", Value));

    private static readonly Shape Issuer = Shape.Of(
        ("issuer", Value),
        ("audience", Value),
        ("jwks", Shape.Of("write `{ url: https://… }` or `{ file: path }`", ("url", Value), ("file", Value))),
        ("type", Value),
        ("replay", Value),
        ("max-lifetime", Value),
        ("grace", Value),
        ("agents", new Shape.Named(Workload)),
        ("people", Shape.Of(("claim", Value), ("users", new Shape.Named(Value)))));

    private static readonly Shape Teams = Shape.Of(
        ("app-id", Value),
        ("tenant", Value),
        ("secret", Reference),
        ("cloud", Value),
        ("service-url", Value),
        ("token-url", Value),
        ("metadata-url", Value),
        ("highest-class", Value),
        ("answers", Value));

    private static readonly Shape Mail = Shape.Of(
        ("host", Value),
        ("port", Value),
        ("tls", Value),
        ("user", Value),
        ("password", Reference),
        ("from", Value),
        ("ca", File),
        ("highest-class", Value));

    private static readonly Shape Webhook = Shape.Of(
        ("url", Value),
        ("secrets", new Shape.List(Reference)),
        ("events", Names),
        ("highest-class", Value));

    private static readonly Shape Slack = Shape.Of(
        ("bot-token", Reference),
        ("app-token", Reference),
        ("signing-secret", Reference),
        ("highest-class", Value),
        ("answers", Value),
        ("api", Value));

    private static readonly Shape Runtime = Shape.Of(
        ("issuer", Value),
        ("audience", Value),
        ("jwks", Shape.Of("write `{ url: https://… }` or `{ file: path }`", ("url", Value), ("file", Value))),
        ("max-lifetime", Value),
        ("grace", Value),
        ("agents", Names),
        ("people", Shape.Of(("claim", Value), ("users", new Shape.Named(Value)))));

    public static readonly Shape.Section Root = Shape.Of(
        ("listen", Shape.Of(
            ("http", Value),
            ("postgres", Value),
            ("tls", Shape.Of(("certificate", File), ("key", File))),
            ("insecure", Value),
            ("url", Value))),
        ("channels", Shape.Of(("slack", Slack), ("teams", Teams), ("mail", Mail), ("webhooks", new Shape.Named(Webhook)))),
        ("routing", Shape.Of(
            ("quiet", new Shape.Named(Shape.Of(("from", Value), ("until", Value), ("days", Names), ("zone", Value)))),
            ("routes", new Shape.Named(Shape.Of(
                ("targets", Names),
                ("environments", Names),
                ("classes", Names),
                ("verbs", Names),
                ("groups", Names),
                ("to", Names),
                ("quiet", Value),
                ("quiet-to", Names),
                ("escalation-to", Names)))))),
        ("data", Value),
        ("policies", Value),
        ("hold", Shape.Of(("detached", Value), ("transaction", Value), ("connection", Value), ("notice", Value))),
        ("limits", Shape.Of(
            ("pending-per-agent", Value),
            ("connections", Value),
            ("connections-per-agent", Value),
            ("message-bytes", Value),
            ("held-bytes", Value),
            ("requests-per-minute", Value),
            ("denials", Value),
            ("denials-window", Value))),
        ("governance", Shape.Of(("security", Value), ("cooling", Value), ("authors", new Shape.Named(Value)))),
        ("groups", Names),
        ("oncall", new Shape.Named(Shape.Of(
            ("members", Names),
            ("start", Value),
            ("handover", Value),
            ("period", Value),
            ("zone", Value),
            ("overrides", new Shape.List(Shape.Of(("from", Value), ("until", Value), ("user", Value))))))),
        ("review", Shape.Of(("cli", Value))),
        ("identity", Shape.Of(
            ("sessions", Shape.Of(("idle", Value), ("lifetime", Value))),
            ("oidc", Shape.Of(
                ("issuer", Value),
                ("client-id", Value),
                ("client-secret", Reference),
                ("public-client", Value),
                ("scopes", Names),
                ("groups-claim", Value),
                ("name-claim", Value),
                ("subject-claim", Value),
                ("groups", new Shape.Named(Value)),
                ("groups-max-age", Value))),
            ("scim", Shape.Of(
                ("token", Reference),
                ("match", Value),
                ("groups", new Shape.Named(Value)),
                ("groups-from", Value))),
            ("issuers", new Shape.Named(Issuer)),
            ("runtimes", new Shape.Named(Runtime)),
            ("mtls", Shape.Of(
                ("ca", File),
                ("revoked", Names),
                ("grace", Value),
                ("agents", new Shape.Named(Shape.Of(
                    ("match", Shape.Of(("uri", Value), ("dns", Value))),
                    ("owner", Value),
                    ("groups", Names),
                    ("for", Value)))))),
            ("insecure-loopback", Value))),
        ("users", new Shape.Named(Shape.Of(("groups", Names), ("subject", Value)))),
        ("targets", new Shape.Named(Shape.Of(
            ("kind", Value),
            ("environment", Value),
            ("host", Value),
            ("port", Value),
            ("database", Value),
            ("user", Value),
            ("password", Reference),
            ("tls", Value),
            ("ca", File),
            ("allow-strong-role", Names),
            ("url", Value),
            ("token", Reference),
            ("headers", new Shape.Named(Reference)),
            ("command", Value),
            ("args", new Shape.List(Value)),
            ("pass-env", Names),
            ("secret-env", new Shape.Named(Reference)),
            ("folder", Value),
            ("hold", Value)))),
        ("classification", Shape.Of(
            ("default", Value),
            ("classes", new Shape.Named(Shape.Of(("frameworks", Names)))),
            ("order", Names),
            ("resources", new Shape.Named(Names)),
            ("bounded-rows", Value))),
        ("telemetry", Shape.Of(("otlp", Value))));
}
