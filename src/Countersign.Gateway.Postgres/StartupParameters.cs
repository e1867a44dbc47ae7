using Countersign.Core;
using Countersign.PgWire;

namespace Countersign.Gateway.Postgres;

/// <summary>Start-up parameters are SQL settings in disguise (P14): each is known, or the connection is refused.</summary>
internal static class StartupParameters
{
    /// <summary>How an agent with a token wants to hand it over; answered here, and never forwarded.</summary>
    private const string Method = "countersign.auth";

    /// <summary>The SASL mechanism that the client asked for, taken out of the parameters; null for a password.</summary>
    public static string? TakeMethod(ref IReadOnlyList<StartupParameter> parameters)
    {
        var asked = parameters.Any(static p => p.Name == Method && p.Value == "oauthbearer") ? OAuthBearer.Mechanism : null;
        parameters = parameters.Where(static p => p.Name != Method).ToArray();
        return asked;
    }

    /// <summary>A runtime's signed statement of whom the agent acts for (docs/operate/workloads.md); answered here, and never forwarded.</summary>
    private const string Statement = "countersign.on_behalf_of";

    /// <summary>The statement, taken out of the parameters; null where there is none.</summary>
    public static string? TakeStatement(ref IReadOnlyList<StartupParameter> parameters)
    {
        var statement = parameters.Where(static p => p.Name == Statement).Select(static p => p.Value).FirstOrDefault();
        parameters = parameters.Where(static p => p.Name != Statement).ToArray();
        return statement;
    }

    public static bool TryRead(StartupMessage message, IReadOnlySet<string> forwarded, out IReadOnlyList<StartupParameter> parameters, out Intent intent, out string why)
    {
        var pass = new List<StartupParameter> { new("client_encoding", "UTF8") };
        (parameters, intent, why) = (pass, Intent.None, "");
        if (message.DuplicateName is { } twice)
        {
            why = $"start-up parameter `{VisibleText.Of(twice, multiline: false)}` is given twice";
            return false;
        }

        foreach (var (name, value) in message.Parameters)
        {
            switch (name)
            {
                case "user" or "database":
                    break;
                case var option when option.StartsWith("_pq_.", StringComparison.Ordinal):
                    // Protocol options: none is known here, and the client was told so by NegotiateProtocolVersion (§54.7).
                    break;
                case "replication" when value is "false" or "off" or "no" or "0":
                    break;
                case "replication":
                    why = "replication is not supported";
                    return false;
                case "client_encoding" when IsUtf8(value):
                    break;
                case "client_encoding":
                    why = $"client encoding `{VisibleText.Of(value, multiline: false)}` is refused: UTF8 only";
                    return false;
                case "options":
                    if (!TryOptions(value, forwarded, pass, ref intent, out why)) return false;
                    break;
                default:
                    if (!TrySetting(name, value, forwarded, pass, ref intent, out why)) return false;
                    break;
            }
        }

        return true;
    }

    private static bool IsUtf8(string value) =>
        value.Trim('\'').Equals("UTF8", StringComparison.OrdinalIgnoreCase) || value.Trim('\'').Equals("UTF-8", StringComparison.OrdinalIgnoreCase)
        || value.Trim('\'').Equals("unicode", StringComparison.OrdinalIgnoreCase);

    /// <summary>`-c name=value` and `--name=value`, with the server's backslash escapes (`pg_split_opts`).</summary>
    private static bool TryOptions(string options, IReadOnlySet<string> forwarded, List<StartupParameter> pass, ref Intent intent, out string why)
    {
        why = "";
        var words = Split(options);
        for (var i = 0; i < words.Count; i++)
        {
            string setting;
            if (words[i] == "-c" && i + 1 < words.Count) setting = words[++i];
            else if (words[i].StartsWith("-c", StringComparison.Ordinal) && words[i].Length > 2) setting = words[i][2..];
            else if (words[i].StartsWith("--", StringComparison.Ordinal)) setting = words[i][2..];
            else
            {
                why = $"start-up option `{VisibleText.Of(words[i], multiline: false)}` is not known";
                return false;
            }

            var equals = setting.IndexOf('=', StringComparison.Ordinal);
            if (equals <= 0)
            {
                why = $"start-up option `{VisibleText.Of(setting, multiline: false)}` has no value";
                return false;
            }

            if (!TrySetting(setting[..equals], setting[(equals + 1)..], forwarded, pass, ref intent, out why)) return false;
        }

        return true;
    }

    private static bool TrySetting(string name, string value, IReadOnlySet<string> forwarded, List<StartupParameter> pass, ref Intent intent, out string why)
    {
        why = "";
        if (name == Method && value is "oauthbearer" or "password")
        {
            pass.Add(new StartupParameter(name, value));
            return true;
        }

        if (name == Statement)
        {
            if (pass.Exists(static p => p.Name == Statement))
            {
                why = $"start-up parameter `{Statement}` is given twice";
                return false;
            }

            pass.Add(new StartupParameter(name, value));
            return true;
        }

        if (name.StartsWith(IntentSettings.Prefix, StringComparison.OrdinalIgnoreCase) && IntentSettings.Apply(intent, name, value) is { } said)
        {
            intent = said;
            return true;
        }

        if (forwarded.Contains(name))
        {
            pass.Add(new StartupParameter(name, value));
            return true;
        }

        why = $"start-up parameter `{VisibleText.Of(name, multiline: false)}` is refused";
        return false;
    }

    private static List<string> Split(string options)
    {
        var words = new List<string>();
        var word = new System.Text.StringBuilder();
        var any = false;
        for (var i = 0; i < options.Length; i++)
        {
            var c = options[i];
            if (c == '\\' && i + 1 < options.Length)
            {
                word.Append(options[++i]);
                any = true;
            }
            else if (char.IsWhiteSpace(c))
            {
                if (any) words.Add(word.ToString());
                word.Clear();
                any = false;
            }
            else
            {
                word.Append(c);
                any = true;
            }
        }

        if (any) words.Add(word.ToString());
        return words;
    }
}
