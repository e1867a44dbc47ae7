using System.Collections.Frozen;

namespace Countersign.PgWire;

/// <summary>Oids of PostgreSQL's own types, fixed for ever by <c>pg_type.dat</c>.</summary>
public static class PgTypes
{
    /// <summary>boolean.</summary>
    public const uint Bool = 16;
    /// <summary>bytea.</summary>
    public const uint Bytea = 17;
    /// <summary>"char".</summary>
    public const uint Char = 18;
    /// <summary>name.</summary>
    public const uint Name = 19;
    /// <summary>bigint.</summary>
    public const uint Int8 = 20;
    /// <summary>smallint.</summary>
    public const uint Int2 = 21;
    /// <summary>integer.</summary>
    public const uint Int4 = 23;
    /// <summary>text.</summary>
    public const uint Text = 25;
    /// <summary>oid.</summary>
    public const uint Oid = 26;
    /// <summary>json.</summary>
    public const uint Json = 114;
    /// <summary>xml.</summary>
    public const uint Xml = 142;
    /// <summary>cidr.</summary>
    public const uint Cidr = 650;
    /// <summary>real.</summary>
    public const uint Float4 = 700;
    /// <summary>double precision.</summary>
    public const uint Float8 = 701;
    /// <summary>unknown: an untyped literal.</summary>
    public const uint Unknown = 705;
    /// <summary>inet.</summary>
    public const uint Inet = 869;
    /// <summary>character.</summary>
    public const uint Bpchar = 1042;
    /// <summary>character varying.</summary>
    public const uint Varchar = 1043;
    /// <summary>date.</summary>
    public const uint Date = 1082;
    /// <summary>time without time zone.</summary>
    public const uint Time = 1083;
    /// <summary>timestamp without time zone.</summary>
    public const uint Timestamp = 1114;
    /// <summary>timestamp with time zone.</summary>
    public const uint Timestamptz = 1184;
    /// <summary>interval.</summary>
    public const uint Interval = 1186;
    /// <summary>time with time zone.</summary>
    public const uint Timetz = 1266;
    /// <summary>numeric.</summary>
    public const uint Numeric = 1700;
    /// <summary>uuid.</summary>
    public const uint Uuid = 2950;
    /// <summary>jsonb.</summary>
    public const uint Jsonb = 3802;

    static readonly FrozenDictionary<uint, string> Scalars = new Dictionary<uint, string>
    {
        [Bool] = "boolean",
        [Bytea] = "bytea",
        [Char] = "\"char\"",
        [Name] = "name",
        [Int8] = "bigint",
        [Int2] = "smallint",
        [Int4] = "integer",
        [24] = "regproc",
        [Text] = "text",
        [Oid] = "oid",
        [28] = "xid",
        [Json] = "json",
        [Xml] = "xml",
        [600] = "point",
        [Cidr] = "cidr",
        [Float4] = "real",
        [Float8] = "double precision",
        [Unknown] = "unknown",
        [774] = "macaddr8",
        [790] = "money",
        [829] = "macaddr",
        [Inet] = "inet",
        [Bpchar] = "character",
        [Varchar] = "character varying",
        [Date] = "date",
        [Time] = "time without time zone",
        [Timestamp] = "timestamp without time zone",
        [Timestamptz] = "timestamp with time zone",
        [Interval] = "interval",
        [Timetz] = "time with time zone",
        [1560] = "bit",
        [1562] = "bit varying",
        [Numeric] = "numeric",
        [2205] = "regclass",
        [2249] = "record",
        [2278] = "void",
        [Uuid] = "uuid",
        [3220] = "pg_lsn",
        [3614] = "tsvector",
        [3615] = "tsquery",
        [Jsonb] = "jsonb",
        [3904] = "int4range",
        [3906] = "numrange",
        [3908] = "tsrange",
        [3910] = "tstzrange",
        [3912] = "daterange",
        [3926] = "int8range",
        [4072] = "jsonpath",
        [5069] = "xid8",
    }.ToFrozenDictionary();

    /// <summary>Array oid to the oid of its element.</summary>
    static readonly FrozenDictionary<uint, uint> Elements = new Dictionary<uint, uint>
    {
        [1000] = Bool,
        [1001] = Bytea,
        [1002] = Char,
        [1003] = Name,
        [1016] = Int8,
        [1005] = Int2,
        [1007] = Int4,
        [1009] = Text,
        [1028] = Oid,
        [199] = Json,
        [143] = Xml,
        [651] = Cidr,
        [1021] = Float4,
        [1022] = Float8,
        [1041] = Inet,
        [1014] = Bpchar,
        [1015] = Varchar,
        [1182] = Date,
        [1183] = Time,
        [1115] = Timestamp,
        [1185] = Timestamptz,
        [1187] = Interval,
        [1270] = Timetz,
        [1231] = Numeric,
        [2951] = Uuid,
        [3807] = Jsonb,
    }.ToFrozenDictionary();

    /// <summary>Name of a type as SQL spells it (<c>bigint</c>, <c>integer[]</c>), or null for one that is not listed.</summary>
    public static string? NameOf(uint oid) =>
        Scalars.TryGetValue(oid, out string? name) ? name
        : Elements.TryGetValue(oid, out uint element) ? Scalars[element] + "[]"
        : null;

    /// <summary>Whether a type is a listed array type, and the oid of its element.</summary>
    public static bool TryGetElement(uint arrayOid, out uint elementOid) => Elements.TryGetValue(arrayOid, out elementOid);
}
