using System.Buffers.Binary;
using System.Text;

namespace Countersign.PgWire.Tests;

public sealed class ParameterTextTests
{
    static string Binary(uint oid, string hex, bool understood = true)
    {
        Assert.Equal(understood, ParameterText.TryRender(oid, WireFormat.Binary, Wire.Hex(hex), out string text));
        return text;
    }

    [Fact]
    public void P25_Int8_that_a_double_cannot_hold_is_shown_exactly()
    {
        Assert.Equal("9007199254740993", Binary(PgTypes.Int8, "0020000000000001"));
        Assert.Equal("9007199254740992", Binary(PgTypes.Int8, "0020000000000000"));
        Assert.True(ParameterText.TryRender(PgTypes.Int8, WireFormat.Text, "9007199254740993"u8, out string text));
        Assert.Equal("9007199254740993", text);
    }

    [Theory]
    [InlineData(PgTypes.Bool, "00", "false")]
    [InlineData(PgTypes.Bool, "01", "true")]
    [InlineData(PgTypes.Bool, "02", "true")]
    [InlineData(PgTypes.Int2, "8000", "-32768")]
    [InlineData(PgTypes.Int4, "7fffffff", "2147483647")]
    [InlineData(PgTypes.Int8, "8000000000000000", "-9223372036854775808")]
    [InlineData(PgTypes.Oid, "ffffffff", "4294967295")]
    [InlineData(PgTypes.Float4, "3dcccccd", "0.1")]
    [InlineData(PgTypes.Float8, "3fb999999999999a", "0.1")]
    [InlineData(PgTypes.Float8, "4415af1d78b58c40", "1e+20")]
    [InlineData(PgTypes.Float8, "7ff0000000000000", "Infinity")]
    [InlineData(PgTypes.Float4, "ff800000", "-Infinity")]
    [InlineData(PgTypes.Float8, "7ff8000000000000", "NaN")]
    [InlineData(PgTypes.Float8, "8000000000000000", "-0")]
    [InlineData(PgTypes.Text, "61c3a4", "aä")]
    [InlineData(PgTypes.Varchar, "", "")]
    [InlineData(PgTypes.Json, "7b7d", "{}")]
    [InlineData(PgTypes.Jsonb, "017b7d", "{}")]
    [InlineData(PgTypes.Bytea, "00ff", "\\x00ff")]
    [InlineData(PgTypes.Char, "61", "a")]
    [InlineData(PgTypes.Char, "ff", "\\377")]
    [InlineData(PgTypes.Uuid, "0123456789abcdef0123456789abcdef", "01234567-89ab-cdef-0123-456789abcdef")]
    [InlineData(PgTypes.Inet, "02200004c0a80001", "192.168.0.1")]
    [InlineData(PgTypes.Inet, "02180004c0a80001", "192.168.0.1/24")]
    [InlineData(PgTypes.Cidr, "02180104c0a80000", "192.168.0.0/24")]
    [InlineData(PgTypes.Inet, "0340001020010db8000000000000000000000001", "2001:db8::1/64")]
    public void Binary_scalar_is_shown_as_the_server_takes_it(uint oid, string hex, string expected) => Assert.Equal(expected, Binary(oid, hex));

    [Theory]
    [InlineData("0002 0000 0000 0002 0001 09c4", "1.25")]
    [InlineData("0002 0000 4000 0002 0001 09c4", "-1.25")]
    [InlineData("0000 0000 0000 0000", "0")]
    [InlineData("0000 0000 0000 0003", "0.000")]
    [InlineData("0000 0000 4000 0000", "0")]
    [InlineData("0001 0001 0000 0000 0001", "10000")]
    [InlineData("0001 ffff 0000 0004 0001", "0.0001")]
    [InlineData("0001 fffe 0000 0008 0001", "0.00000001")]
    [InlineData("0003 0002 0000 0002 0001 0000 0005", "100000005.00")]
    [InlineData("0000 0000 c000 0000", "NaN")]
    [InlineData("0000 0000 d000 0000", "Infinity")]
    [InlineData("0000 0000 f000 0000", "-Infinity")]
    public void Numeric_is_exact(string hex, string expected) => Assert.Equal(expected, Binary(PgTypes.Numeric, hex));

    [Theory]
    [InlineData("0002 0000 0000 0000 0001 1388", "1")]
    [InlineData("0002 0000 0000 0001 0001 1388", "1.5")]
    [InlineData("0001 ffff 4000 0000 1388", "0")]
    public void P7_Numeric_digits_that_the_server_drops_are_not_shown(string hex, string expected) => Assert.Equal(expected, Binary(PgTypes.Numeric, hex));

    [Fact]
    public void P14_Numeric_of_a_few_bytes_never_makes_a_long_text()
    {
        Assert.Equal("1e+131068", Binary(PgTypes.Numeric, "0001 7fff 0000 0000 0001"));
        Assert.Equal("-12345e-16380", Binary(PgTypes.Numeric, "0002 f002 4000 3fff 0001 0929"));
        Assert.Equal("0", Binary(PgTypes.Numeric, "0000 0000 0000 3fff"));
    }

    [Theory]
    [InlineData("0001 0000 0000 0000")]
    [InlineData("0001 0000 0000 0000 2710")]
    [InlineData("0001 0000 1234 0000 0001")]
    [InlineData("0001 0000 0000 4000 0001")]
    [InlineData("0000 0000 0000 0000 0001")]
    [InlineData("ffff 0000 0000 0000 0001")]
    [InlineData("0000")]
    public void Numeric_that_the_server_would_refuse_is_hex(string hex) =>
        Assert.EndsWith("(binary numeric, type oid 1700, not readable)", Binary(PgTypes.Numeric, hex, understood: false), StringComparison.Ordinal);

    [Theory]
    [InlineData(0, "2000-01-01")]
    [InlineData(9826, "2026-11-26")]
    [InlineData(59, "2000-02-29")]
    [InlineData(-1, "1999-12-31")]
    [InlineData(-730119, "0001-01-01")]
    [InlineData(-730120, "0001-12-31 BC")]
    [InlineData(2921939, "9999-12-31")]
    [InlineData(2921940, "10000-01-01")]
    [InlineData(-2451545, "4714-11-24 BC")]
    [InlineData(int.MaxValue, "infinity")]
    [InlineData(int.MinValue, "-infinity")]
    public void Date_is_reckoned_beyond_the_calendar_of_net(int days, string expected) =>
        Assert.Equal(expected, Binary(PgTypes.Date, Convert.ToHexString(Wire.I32(days))));

    [Fact]
    public void Date_agrees_with_net_on_every_day_that_it_knows()
    {
        byte[] bytes = new byte[4];
        int epoch = new DateOnly(2000, 1, 1).DayNumber;
        for (int day = 0; day <= DateOnly.MaxValue.DayNumber; day += 13)
        {
            BinaryPrimitives.WriteInt32BigEndian(bytes, day - epoch);
            ParameterText.TryRender(PgTypes.Date, WireFormat.Binary, bytes, out string text);
            Assert.Equal(DateOnly.FromDayNumber(day).ToString("yyyy-MM-dd", System.Globalization.CultureInfo.InvariantCulture), text);
        }
    }

    [Theory]
    [InlineData(PgTypes.Timestamp, 0L, "2000-01-01 00:00:00")]
    [InlineData(PgTypes.Timestamp, -1L, "1999-12-31 23:59:59.999999")]
    [InlineData(PgTypes.Timestamptz, 1500000L, "2000-01-01 00:00:01.5+00")]
    [InlineData(PgTypes.Timestamptz, long.MaxValue, "infinity")]
    [InlineData(PgTypes.Timestamp, long.MinValue, "-infinity")]
    [InlineData(PgTypes.Timestamptz, -63082281600000001L, "0001-12-31 23:59:59.999999+00 BC")]
    [InlineData(PgTypes.Timestamp, 9223371331199999999L, "294276-12-31 23:59:59.999999")]
    [InlineData(PgTypes.Time, 86400000000L, "24:00:00")]
    [InlineData(PgTypes.Time, 1L, "00:00:00.000001")]
    public void Time_is_exact_to_the_microsecond(uint oid, long micros, string expected)
    {
        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteInt64BigEndian(bytes, micros);
        Assert.Equal(expected, Binary(oid, Convert.ToHexString(bytes)));
    }

    [Theory]
    [InlineData(PgTypes.Timestamp, "7fffffffffffff00")]
    [InlineData(PgTypes.Time, "ffffffffffffffff")]
    [InlineData(PgTypes.Date, "80000001")]
    [InlineData(PgTypes.Timetz, "0000000000000000 0000e100")]
    [InlineData(PgTypes.Int8, "00")]
    [InlineData(PgTypes.Bool, "")]
    [InlineData(PgTypes.Text, "ff")]
    [InlineData(PgTypes.Text, "6100")]
    [InlineData(PgTypes.Jsonb, "027b7d")]
    [InlineData(PgTypes.Inet, "02210004c0a80001")]
    [InlineData(PgTypes.Cidr, "02180104c0a80001")]
    [InlineData(PgTypes.Uuid, "00")]
    public void Binary_that_is_no_value_of_its_type_is_hex(uint oid, string hex)
    {
        string text = Binary(oid, hex, understood: false);
        Assert.StartsWith("\\x" + hex.Replace(" ", "") + " (", text, StringComparison.Ordinal);
        Assert.Contains($"type oid {oid}", text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("0000000000000000 00000000 00000000", "00:00:00")]
    [InlineData("0000000000000001 00000003 0000000e", "1 year 2 mons 3 days 00:00:00.000001")]
    [InlineData("ffffffffffffffff 00000000 ffffffff", "-1 mons -00:00:00.000001")]
    [InlineData("0000000000000001 00000003 ffffffff", "-1 mons +3 days 00:00:00.000001")]
    [InlineData("0000000000000001 fffffffd 00000000", "-3 days +00:00:00.000001")]
    public void Interval_keeps_its_three_numbers_apart(string hex, string expected) => Assert.Equal(expected, Binary(PgTypes.Interval, hex));

    [Fact]
    public void Timetz_has_its_zone() => Assert.Equal("00:00:00+05:30", Binary(PgTypes.Timetz, "0000000000000000 ffffb2a8"));

    [Fact]
    public void Array_of_one_dimension_is_shown_as_a_literal()
    {
        Assert.Equal("{}", Binary(1007, "00000000 00000000 00000017"));
        Assert.Equal("{1,NULL,-1}", Binary(1007, "00000001 00000001 00000017 00000003 00000001 00000004 00000001 ffffffff 00000004 ffffffff"));
        Assert.Equal("[0:0]={9007199254740993}", Binary(1016, "00000001 00000000 00000014 00000001 00000000 00000008 0020000000000001"));
    }

    [Fact]
    public void Array_element_cannot_pass_for_null_or_for_two()
    {
        byte[][] elements = ["NULL"u8.ToArray(), "a,b"u8.ToArray(), "\"\\"u8.ToArray(), [], "plain"u8.ToArray()];
        byte[] array = Wire.Cat([Wire.I32(1), Wire.I32(0), Wire.I32(25), Wire.I32(elements.Length), Wire.I32(1),
            .. elements.Select(e => Wire.Cat(Wire.I32(e.Length), e))]);
        Assert.True(ParameterText.TryRender(1009, WireFormat.Binary, array, out string text));
        Assert.Equal("""{"NULL","a,b","\"\\","",plain}""", text);
    }

    [Theory]
    [InlineData("00000001 00000000 00000017 7fffffff 00000001")]
    [InlineData("00000001 00000000 00000017 ffffffff 00000001")]
    [InlineData("00000001 00000000 00000017 00000001 7fffffff 00000004 00000001")]
    [InlineData("00000001 00000000 00000017 00000001 7fffffff 00000004 00000001 00")]
    [InlineData("00000001 00000000 00000014 00000001 00000001 00000008 0000000000000001")]
    [InlineData("00000001 00000002 00000017 00000001 00000001 00000004 00000001")]
    [InlineData("00000002 00000000 00000017 00000001 00000001 00000001 00000001 00000004 00000001")]
    [InlineData("00000001 00000000 00000017 00000002 00000001 00000004 00000001")]
    [InlineData("00000001 00000000 00000017 00000001 00000001 00000004 00000001 00")]
    [InlineData("00000001 00000000 00000017 00000001 00000001 fffffffe")]
    public void P14_Array_that_does_not_add_up_is_hex(string hex) => Binary(1007, hex, understood: false);

    [Fact]
    public void Unknown_type_is_hex_with_its_oid() => Assert.Equal("\\x0102 (binary, type oid 99999)", Binary(99999, "0102", understood: false));

    [Fact]
    public void Text_of_any_type_is_shown_as_sent_and_broken_text_as_hex()
    {
        Assert.True(ParameterText.TryRender(0, WireFormat.Text, "'; drop\u202E"u8, out string text));
        Assert.Equal("'; drop\u202E", text);
        Assert.False(ParameterText.TryRender(25, WireFormat.Text, [0xFF], out text));
        Assert.Equal("\\xff (not valid UTF-8 text)", text);
    }

    [Fact]
    public void Null_is_shown_as_null()
    {
        Assert.True(ParameterText.TryRender(PgTypes.Int4, new BoundParameter(WireFormat.Binary, null), out string text));
        Assert.Equal("NULL", text);
    }

    [Fact]
    public void Type_names_are_as_sql_spells_them()
    {
        Assert.Equal("bigint", PgTypes.NameOf(20));
        Assert.Equal("timestamp with time zone[]", PgTypes.NameOf(1185));
        Assert.Null(PgTypes.NameOf(99999));
        Assert.True(PgTypes.TryGetElement(1231, out uint element));
        Assert.Equal(PgTypes.Numeric, element);
    }
}
