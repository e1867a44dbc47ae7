using System.Globalization;
using Countersign.Core;

namespace Countersign.Policy.Language;

/// <summary>Values that annotations take when they are not written, and the bounds of those that are (docs/spec/policy.md).</summary>
static class AnnotationLimits
{
    /// <summary>Expiry of a review whose policies say none: long enough to walk to a desk, short enough that the context is still known.</summary>
    public static readonly TimeSpan DefaultExpiry = TimeSpan.FromMinutes(15);

    /// <summary>Below this nobody can read a card.</summary>
    public static readonly TimeSpan ShortestExpiry = TimeSpan.FromSeconds(10);

    /// <summary>Beyond this nobody knows any more what was asked.</summary>
    public static readonly TimeSpan LongestExpiry = TimeSpan.FromDays(7);

    /// <summary>Larger quorums are typing errors: no such review was ever met.</summary>
    public const int LargestQuorum = 16;

    /// <summary>Groups in one list.</summary>
    public const int MostGroups = 32;

    /// <summary>Characters of one group's name.</summary>
    public const int LongestGroup = 128;

    /// <summary>Terms of one `@review`, all stages together: more people than that never meet.</summary>
    public const int MostTerms = 8;

    /// <summary>Characters of a pattern: what a person can still read.</summary>
    public const int LongestPattern = 200;

    /// <summary>Shortest grant: below it the approver is asked again before he has looked away.</summary>
    public static readonly TimeSpan ShortestGrant = TimeSpan.FromMinutes(1);

    /// <summary>Longest grant: one working day. What is wanted for longer is a policy, not a grant.</summary>
    public static readonly TimeSpan LongestGrant = TimeSpan.FromHours(12);

    /// <summary>Uses of a grant whose policy says no number.</summary>
    public const int DefaultGrantUses = 10;

    /// <summary>Most uses of a grant.</summary>
    public const int MostGrantUses = 1000;

    /// <summary>Characters of a reason: it is shown whole on every card.</summary>
    public const int LongestReason = 500;

    /// <summary>Characters of an id.</summary>
    public const int LongestId = 128;
}

/// <summary>What the annotations of one policy say, checked.</summary>
sealed record PolicyAnnotations(string? Id, string? Reason, IReadOnlyList<string> Controls, IReadOnlyList<Requirement> Requirements);

/// <summary>The annotation language: a closed set, each with its form and its place. Anything else is an error at load.</summary>
static class AnnotationLanguage
{
    static readonly string[] Requirements = ["quorum", "expires", "escalate", "justify", "ticket", "stepup", "grant", "edit"];
    static readonly string[] NotInThisBuild = ["preview", "maxrows"];
    static readonly string[] Known = ["id", "reason", "control", "review", .. Requirements];

    /// <summary>
    /// Reads the annotations of one policy; every fault goes to <paramref name="fault"/> as (annotation, code, message, help).
    /// The requirements carry no policy id yet.
    /// </summary>
    public static PolicyAnnotations Read(IReadOnlyDictionary<string, string> annotations, bool isForbid, bool namesDeciding, Action<string, string, string, string?> fault)
    {
        foreach (var name in annotations.Keys.Order(StringComparer.Ordinal))
        {
            if (NotInThisBuild.Contains(name))
                fault(name, PolicyFaults.NotInThisBuild, $"the mechanism of `@{name}` is not in this build", "remove the annotation: a requirement that nothing enforces would be a lie");
            else if (!Known.Contains(name))
                fault(name, PolicyFaults.UnknownAnnotation, $"`@{name}` is not an annotation", Nearest(name) is { } near ? $"did you mean `@{near}`?" : $"the annotations are {string.Join(", ", Known.Select(k => "@" + k))}");
            else if (name is not ("id" or "reason" or "control"))
            {
                if (isForbid) fault(name, PolicyFaults.MisplacedAnnotation, $"`@{name}` is on a forbid, which nobody can approve", "put it on a permit, or remove it");
                else if (namesDeciding) fault(name, PolicyFaults.MisplacedAnnotation, $"`@{name}` is on a policy about what people decide (`Action::\"approve\"` and its kin), which is not itself reviewed", "write a policy of its own for that");
                else if (name != "review" && !annotations.ContainsKey("review"))
                    fault(name, PolicyFaults.MisplacedAnnotation, $"`@{name}` has no meaning without `@review`", "add @review with the groups that may approve, or remove it");
            }
        }

        void Bad(string name, string message, string? help = null) => fault(name, PolicyFaults.BadAnnotation, message, help);

        var id = annotations.GetValueOrDefault("id");
        if (id is not null && !IsId(id))
        {
            fault("id", PolicyFaults.Id, $"`{id}` is not a policy id", "use 1 to 128 letters, digits and -_./");
            id = null;
        }

        var reason = annotations.GetValueOrDefault("reason");
        if (reason is not null && (string.IsNullOrWhiteSpace(reason) || reason.Length > AnnotationLimits.LongestReason || reason.Any(char.IsControl)))
            Bad("reason", $"`@reason` must be a text of 1 to {AnnotationLimits.LongestReason} characters without control characters");

        string[] controls = [];
        if (annotations.TryGetValue("control", out var control))
        {
            controls = control.Split(',', StringSplitOptions.TrimEntries);
            if (controls.Any(c => !IsControl(c))) Bad("control", $"`{control}` is not a list of controls", "write `FRAMEWORK:CONTROL`, as in \"SOC2:CC8.1\"; a comma separates several");
        }

        if (!annotations.TryGetValue("review", out var review) || isForbid || namesDeciding) return new PolicyAnnotations(id, reason, controls, []);
        return new PolicyAnnotations(id, reason, controls, ReadRequirements(review, annotations, Bad));
    }

    static Requirement[] ReadRequirements(string review, IReadOnlyDictionary<string, string> annotations, Action<string, string, string?> bad)
    {
        // `>` reads "then", `&` reads "and", a comma reads "or", and binds closest.
        var stages = review.Split('>', StringSplitOptions.TrimEntries).Select(static s => s.Split('&', StringSplitOptions.TrimEntries)).ToArray();
        var terms = stages.SelectMany((stage, n) => stage.Select(list => (Stage: n, Groups: TryGroups(list, ',', out var groups) ? groups : null))).ToArray();
        if (terms.Length > AnnotationLimits.MostTerms) bad("review", $"`@review` has more than {AnnotationLimits.MostTerms} terms", "nobody will wait for so many people; ask fewer");
        else if (terms.Any(static t => t.Groups is null)) bad("review", $"`{review}` is not a list of groups", "name at least one group: `dba, sre` asks either, `dba & sre` both, `dba > sre` the second when the first has approved");
        else if (terms.GroupBy(static t => (t.Stage, string.Join(',', t.Groups!))).Any(static g => g.Count() > 1)) bad("review", $"`{review}` asks the same groups twice in one stage", "write @quorum to ask several of them");

        var quorums = Quorums(stages, annotations.GetValueOrDefault("quorum"), bad);
        var expires = AnnotationLimits.DefaultExpiry;
        if (annotations.TryGetValue("expires", out var e)
            && (!Duration.TryParse(e, out expires) || expires < AnnotationLimits.ShortestExpiry || expires > AnnotationLimits.LongestExpiry))
        {
            bad("expires", $"`{e}` is not an expiry", "write a number and s, m, h or d, from 10s to 7d");
            expires = AnnotationLimits.LongestExpiry;
        }

        var escalations = Escalations(annotations.GetValueOrDefault("escalate"), expires, bad);
        var justify = annotations.TryGetValue("justify", out var j);
        var justified = j is null or "" or "required" ? [] : Pattern("justify", j, bad, "write @justify, @justify(\"required\"), or @justify(\"/[A-Z]+-[0-9]+/\") for a comment that holds a match");
        var ticketed = !annotations.TryGetValue("ticket", out var t) ? []
            : t is "" or "required" ? ["(?s).*\\S.*"]
            : Pattern("ticket", t, bad, "write @ticket for any ticket, or @ticket(\"/OPS-[0-9]+/\") for one that matches as a whole");
        var stepUp = annotations.TryGetValue("stepup", out var s) ? StepUp.Passkey : StepUp.None;
        if (s is not (null or "passkey")) bad("stepup", $"`{s}` is not a step-up", "write @stepup(\"passkey\"): each approver signs what he approves with his passkey");
        else if (s is null && stepUp != StepUp.None) bad("stepup", "`@stepup` does not say by what", "write @stepup(\"passkey\")");
        var grant = Grant(annotations.GetValueOrDefault("grant"), bad);

        var edit = annotations.TryGetValue("edit", out var allowed);
        if (edit && allowed != "allowed") bad("edit", $"`{allowed}` is not what `@edit` says", "write @edit(\"allowed\"), or leave it out: then nobody edits");

        return [.. terms.Select((term, n) => new Requirement
        {
            Stage = term.Stage,
            Groups = term.Groups ?? [],
            Quorum = quorums[n],
            Expires = expires,
            Justify = justify,
            JustifyPatterns = justified,
            TicketPatterns = ticketed,
            StepUp = stepUp,
            Grant = grant,
            Edit = edit && allowed == "allowed",
            Escalations = escalations,
        })];
    }

    /// <summary>One number for every term, or one for each in the same form as `@review`.</summary>
    static int[] Quorums(string[][] stages, string? text, Action<string, string, string?> bad)
    {
        var terms = stages.Sum(static s => s.Length);
        if (text is null) return [.. Enumerable.Repeat(1, terms)];
        if (text.AsSpan().IndexOfAny('>', '&') < 0)
        {
            if (TryQuorum(text, out var one)) return [.. Enumerable.Repeat(one, terms)];
        }
        else
        {
            var numbers = text.Split('>').Select(static s => s.Split('&', StringSplitOptions.TrimEntries)).ToArray();
            if (numbers.Select(static s => s.Length).SequenceEqual(stages.Select(static s => s.Length)))
            {
                var each = numbers.SelectMany(static s => s).Select(static n => TryQuorum(n, out var q) ? q : 0).ToArray();
                if (!each.Contains(0)) return each;
            }
        }

        bad("quorum", $"`{text}` is not a quorum", $"write a number from 1 to {AnnotationLimits.LargestQuorum}, or one for each term in the form of @review, as in \"2 & 1 > 1\"");
        return [.. Enumerable.Repeat(1, terms)];

        static bool TryQuorum(string text, out int quorum) =>
            int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out quorum) && quorum is >= 1 and <= AnnotationLimits.LargestQuorum;
    }

    static Escalation[] Escalations(string? text, TimeSpan expires, Action<string, string, string?> bad)
    {
        var escalations = new List<Escalation>();
        foreach (var step in text?.Split(',', StringSplitOptions.TrimEntries) ?? [])
        {
            var at = step.LastIndexOf('@');
            if (at < 0 || !TryGroups(step[..at], '|', out var more) || !Duration.TryParse(step[(at + 1)..], out var after))
                bad("escalate", $"`{step}` is not an escalation", "write `group@time`, as in \"sre-leads@10m\"; `a|b@10m` adds either group, a comma separates several steps");
            else if (after >= expires)
                bad("escalate", $"`{step}` comes when the review has expired (after {Duration.Format(expires)})", "escalate earlier, or raise @expires");
            else escalations.Add(new Escalation(more, after));
        }
        return [.. escalations.DistinctBy(x => (x.After, string.Join('\0', x.Groups))).OrderBy(x => x.After).ThenBy(x => string.Join('\0', x.Groups), StringComparer.Ordinal)];
    }

    static string[] Pattern(string name, string text, Action<string, string, string?> bad, string help)
    {
        if (text is ['/', _, .., '/'] && text.Length - 2 <= AnnotationLimits.LongestPattern && !text.Any(char.IsControl) && PolicyPattern.IsWellFormed(text[1..^1])) return [text[1..^1]];
        bad(name, $"`{text}` is not a value of `@{name}`", $"{help}; patterns are .NET regular expressions without look-around and back-references, at most {AnnotationLimits.LongestPattern} characters");
        return [];
    }

    static GrantTerms? Grant(string? text, Action<string, string, string?> bad)
    {
        if (text is null) return null;
        var parts = text.Split(',', StringSplitOptions.TrimEntries);
        var uses = AnnotationLimits.DefaultGrantUses;
        if (parts.Length <= 2 && Duration.TryParse(parts[0], out var time) && time >= AnnotationLimits.ShortestGrant && time <= AnnotationLimits.LongestGrant
            && (parts.Length == 1 || (int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out uses) && uses is >= 1 and <= AnnotationLimits.MostGrantUses)))
            return new GrantTerms(time, uses);
        bad("grant", $"`{text}` is not a grant", $"write the longest time from 1m to 12h, and the most uses (default {AnnotationLimits.DefaultGrantUses}), as in \"30m, 20\"");
        return null;
    }

    static bool IsId(string id) =>
        id.Length is > 0 and <= AnnotationLimits.LongestId && id.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' or '/');

    static bool IsControl(string control)
    {
        var colon = control.IndexOf(':', StringComparison.Ordinal);
        return colon > 0 && colon < control.Length - 1 && !control.Any(c => char.IsControl(c) || char.IsWhiteSpace(c));
    }

    static bool TryGroups(string list, char separator, out string[] groups)
    {
        groups = list.Split(separator, StringSplitOptions.TrimEntries);
        if (groups.Length > AnnotationLimits.MostGroups || groups.Any(g => g.Length is 0 or > AnnotationLimits.LongestGroup || g.Any(c => char.IsControl(c) || c is ',' or '|' or '@' or '&' or '>')))
        {
            groups = [];
            return false;
        }
        groups = [.. groups.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
        return true;
    }

    static string? Nearest(string name) =>
        Known.Concat(NotInThisBuild).Select(k => (k, d: Distance(name, k))).Where(x => x.d <= 2).OrderBy(x => x.d).Select(x => x.k).FirstOrDefault();

    static int Distance(string a, string b)
    {
        if (Math.Abs(a.Length - b.Length) > 2) return int.MaxValue;
        var row = Enumerable.Range(0, b.Length + 1).ToArray();
        for (var i = 1; i <= a.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= b.Length; j++)
            {
                var next = Math.Min(Math.Min(row[j], row[j - 1]) + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1));
                diagonal = row[j];
                row[j] = next;
            }
        }
        return row[^1];
    }
}

/// <summary>Durations as policies write them: a number and one of s, m, h, d.</summary>
static class Duration
{
    public static bool TryParse(string text, out TimeSpan value)
    {
        value = default;
        if (text.Length is < 2 or > 8) return false;
        if (!int.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.None, CultureInfo.InvariantCulture, out var number)) return false;
        var seconds = text[^1] switch { 's' => 1L, 'm' => 60, 'h' => 3600, 'd' => 86400, _ => 0 };
        if (seconds == 0) return false;
        value = TimeSpan.FromSeconds(number * seconds);
        return true;
    }

    public static string Format(TimeSpan value)
    {
        var seconds = (long)value.TotalSeconds;
        return seconds switch
        {
            _ when seconds % 86400 == 0 => $"{seconds / 86400}d",
            _ when seconds % 3600 == 0 => $"{seconds / 3600}h",
            _ when seconds % 60 == 0 => $"{seconds / 60}m",
            _ => $"{seconds}s",
        };
    }
}
