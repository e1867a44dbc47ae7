using Countersign.Core;

namespace Countersign.Sql.Analysis;

/// <summary>An effect in the making: facts of the same (action, resource) met twice are merged towards the graver.</summary>
sealed class EffectDraft(string action, ResourceRef resource, string? objectKind)
{
    public string Action => action;
    public ResourceRef Resource { get; set; } = resource;
    public string? ObjectKind => objectKind;

    /// <summary>Starts true and stays so only while every part that made this effect has a WHERE.</summary>
    public bool Where { get; set; } = true;
    public bool Unbounded { get; set; }

    /// <summary>Rows that all bounded reads of the statement together may let out: ten reads of a hundred rows are a thousand.</summary>
    public long Rows { get; set; }
    public bool Triggers { get; set; }
    public bool Unresolved { get; set; }
    public bool Locking { get; set; }
    public bool Temp { get; set; }
    public bool Cascade { get; set; }
    public bool Opaque { get; set; }
    public long? Limit { get; set; }
    public bool LimitSeen { get; set; }
    public SortedSet<string>? Columns { get; private set; }
    public SortedSet<string>? Privileges { get; private set; }
    public SortedSet<string>? Grantees { get; private set; }
    public SortedSet<string>? Settings { get; private set; }

    public void AddColumn(string name) => (Columns ??= new(StringComparer.Ordinal)).Add(name);
    public void AddPrivilege(string name) => (Privileges ??= new(StringComparer.Ordinal)).Add(name);
    public void AddGrantee(string name) => (Grantees ??= new(StringComparer.Ordinal)).Add(name);
    public void AddSetting(string name) => (Settings ??= new(StringComparer.Ordinal)).Add(name);

    /// <summary>The largest literal limit; none as soon as one part has none.</summary>
    public void MergeLimit(long? limit)
    {
        Limit = !LimitSeen ? limit : Limit is { } a && limit is { } b ? Math.Max(a, b) : null;
        LimitSeen = true;
    }
}

/// <summary>The effects of one statement: each (action, resource) once.</summary>
sealed class EffectSet(int most)
{
    readonly Dictionary<(string Action, string Type, string Id, string? Kind), EffectDraft> drafts = [];

    public bool IsOverflowing { get; private set; }

    public IEnumerable<EffectDraft> Drafts => drafts.Values;

    public EffectDraft Add(string action, ResourceRef resource, string? objectKind = null)
    {
        var key = (action, resource.Type, resource.Id, objectKind);
        if (drafts.TryGetValue(key, out var draft)) return draft;
        draft = new EffectDraft(action, resource, objectKind);
        if (drafts.Count >= most) IsOverflowing = true;
        else drafts.Add(key, draft);
        return draft;
    }
}
