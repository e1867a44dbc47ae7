using Countersign.Pages.Card;
using Countersign.Pages.Layout;

namespace Countersign.Console.Tests;

public sealed class TextTests
{
    [Theory]
    [InlineData("UPDATE t SET a = 'it''s' WHERE b = $1 -- end")]
    [InlineData("SELECT E'\\'' ; DROP TABLE victim; --'")]
    [InlineData("SELECT $$ ' -- $$, $tag$ $$ /* $tag$, \"a\"\"b\" /* nested /* deeper */ still */ , 1.5e3, U&'\\0041'")]
    [InlineData("'never closed")]
    [InlineData("/* never closed")]
    [InlineData("$x$ never closed $$")]
    [InlineData("a$b $1x é \ud83d\ude00 \ud83d")]
    [InlineData("")]
    public void Tokens_put_together_are_the_statement(string sql) => Assert.Equal(sql, string.Concat(SqlTokens.Of(sql).Select(static t => t.Text)));

    [Fact]
    public void Parameter_inside_a_text_or_a_comment_is_none()
    {
        var tokens = SqlTokens.Of("UPDATE t SET a = '$1', b = $$ $1 $$, c = $1 /* $1 */ -- $1");
        Assert.Single(tokens, static t => t.Kind == SqlTokenKind.Parameter);
    }

    [Theory]
    [InlineData("UPDATE t SET a = 1 WHERE id = 2", "update t set a = 10   where id = 3 -- other", true)]
    [InlineData("UPDATE t SET a = 1 WHERE id = 2", "UPDATE t SET a = 1", false)]
    [InlineData("SELECT 'a; DROP TABLE t'", "SELECT 'b'", true)]
    public void Shape_is_that_of_the_statement_without_its_constants(string one, string other, bool alike) =>
        Assert.Equal(alike, SqlTokens.Shape(one) == SqlTokens.Shape(other));

    [Fact]
    public void Letters_that_look_like_others_are_marked_only_where_they_can_fool()
    {
        Assert.False(OddText.HasOdd("Müller and Ångström, Ελληνικά, Привет"));
        Assert.True(OddText.HasOdd("p\u0430ypal"));
        Assert.True(OddText.HasOdd("\u0430", ascii: true));
        Assert.True(OddText.HasOdd("a\u202eb"));
        Assert.Equal("a⟦U+202E⟧b", string.Concat(OddText.Parts("a\u202eb").Select(static p => p.Text)));
    }

    [Theory]
    [InlineData(0, "0 s")]
    [InlineData(59, "59 s")]
    [InlineData(60, "1 min 0 s")]
    [InlineData(600, "10 min")]
    [InlineData(3660, "1 h 1 min")]
    [InlineData(90000, "1 d 1 h")]
    public void Span_is_said_in_few_words(int seconds, string said) => Assert.Equal(said, Words.Span(TimeSpan.FromSeconds(seconds)));
}
