using System.Text;
using System.Text.Json;
using CsCheck;

namespace Countersign.Core.Tests;

public sealed class CanonicalJsonTests
{
    [Fact]
    public void Members_are_sorted_by_utf16_and_no_white_space_is_written()
    {
        // RFC 8785 §3.2.3: U+1F600 is the surrogate D83D, which sorts before U+FB33.
        var json = CanonicalJson.Object(("\ufb33", 1), ("\U0001F600", 2), ("b", CanonicalJson.Strings(["x", "y"])), ("a", true), ("10", 3), ("1", 4));
        Assert.Equal("{\"1\":4,\"10\":3,\"a\":true,\"b\":[\"x\",\"y\"],\"\U0001F600\":2,\"\ufb33\":1}", json.ToString());
    }

    [Fact]
    public void Only_what_json_must_escape_is_escaped()
    {
        // RFC 8785 §3.2.2.2.
        Assert.Equal("\"\\u0000\\b\\t\\n\\u000b\\f\\r\\u001f\\\"\\\\/\u007f\u00a0é\u200b\u2028\ue000\U0001F600<>&'+\"", Text("\0\b\t\n\v\f\r\u001f\"\\/\u007f\u00a0é\u200b\u2028\ue000\U0001F600<>&'+"));
    }

    [Fact]
    public void P25_Absent_null_and_empty_members_are_three_objects()
    {
        string?[] values = [CanonicalJson.Object(("a", (CanonicalJson?)null)).ToString(), CanonicalJson.Object(("a", (string?)null)).ToString(), CanonicalJson.Object(("a", "")).ToString()];
        Assert.Equal(["{}", "{\"a\":null}", "{\"a\":\"\"}"], values);
    }

    [Fact]
    public void P25_Halves_of_surrogates_stay_different_from_each_other_and_from_the_replacement_character()
    {
        string[] texts = ["\ud800", "\ud801", "\udc00", "\ufffd", "\udc00\ud800", "\\ud800"];
        Assert.Equal(texts.Length, texts.Select(static t => Encoding.UTF8.GetString(((CanonicalJson)t).ToUtf8())).Distinct().Count());
    }

    [Fact]
    public void P25_Look_alikes_and_normal_forms_are_different()
    {
        Assert.NotEqual(Text("é"), Text("e\u0301"));
        Assert.NotEqual(Text("admin"), Text("аdmin")); // Cyrillic
    }

    [Fact]
    public void P25_Member_said_twice_is_a_bug_that_throws() =>
        Assert.Throws<ArgumentException>(static () => CanonicalJson.Object(("a", 1), ("a", 2)));

    [Fact]
    public void Every_text_survives_the_way_through_json_and_no_two_are_written_alike()
    {
        var text = Gen.String[Gen.OneOf(Gen.Char['\0', '\u00ff'], Gen.Char['\u2000', '\u2fff'], Gen.Char['\ud7f0', '\ue00f'], Gen.Char), 0, 8];
        Gen.Select(text, text).Sample((a, b) =>
        {
            var written = Encoding.UTF8.GetString(((CanonicalJson)a).ToUtf8());
            var valid = a.EnumerateRunes().All(r => r.Value != 0xfffd);
            return (!valid || JsonSerializer.Deserialize<string>(written) == a) && (Text(a) == Text(b)) == (a == b);
        });
    }

    [Fact]
    public void Integers_are_written_without_exponent_or_fraction()
    {
        Assert.Equal("[-9223372036854775808,0,9223372036854775807]", CanonicalJson.Array([long.MinValue, 0L, long.MaxValue]).ToString());
    }

    [Fact]
    public void Equal_instants_are_equal_text()
    {
        var utc = new DateTimeOffset(2026, 11, 22, 12, 0, 0, TimeSpan.Zero).AddTicks(1234567 * 10);
        Assert.Equal("\"2026-11-22T12:00:01.234567Z\"", CanonicalJson.Time(utc).ToString());
        Assert.Equal(CanonicalJson.Time(utc).ToString(), CanonicalJson.Time(utc.ToOffset(TimeSpan.FromHours(5.5))).ToString());
    }

    private static string Text(string value) => ((CanonicalJson)value).ToString();
}
