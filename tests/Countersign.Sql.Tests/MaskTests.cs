namespace Countersign.Sql.Tests;

/// <summary>Secret literals never reach a card, a log or the journal (I10, P56).</summary>
public sealed class MaskTests
{
    [Theory]
    [InlineData("alter role joe password 'geheim' valid until '2030-01-01'", "alter role joe password '[masked]' valid until '2030-01-01'")]
    [InlineData("alter role joe with encrypted password $x$geheim$x$ login", "alter role joe with encrypted password '[masked]' login")]
    [InlineData("create role joe login password E'ge\\150eim'", "create role joe login password '[masked]'")]
    [InlineData("create user joe password U&'\\0067eheim' uescape '!'", "create user joe password '[masked]' uescape '!'")]
    [InlineData("create user joe password 'ge'\n'heim' createdb", "create user joe password '[masked]' createdb")]
    [InlineData("create user joe password null", "create user joe password null")]
    [InlineData("alter user \"jö\" password 'geheim'; select 'geheimnis ist keins'", "alter user \"jö\" password '[masked]'; select 'geheimnis ist keins'")]
    [InlineData("create user mapping for joe server s options (user 'u', password 'geheim')", "create user mapping for joe server s options (user 'u', password '[masked]')")]
    [InlineData("alter user mapping for joe server s options (set password 'geheim', drop x, add token 'geheim')", "alter user mapping for joe server s options (set password '[masked]', drop x, add token '[masked]')")]
    [InlineData("create server s foreign data wrapper w options (host 'h', passfile 'geheim', dbname 'd')", "create server s foreign data wrapper w options (host 'h', passfile '[masked]', dbname 'd')")]
    [InlineData("create foreign table t (a int options (key 'geheim')) server s options (table_name 't', secret 'geheim')", "create foreign table t (a int options (key '[masked]')) server s options (table_name 't', secret '[masked]')")]
    [InlineData("create subscription s connection 'host=h password=geheim' publication p", "create subscription s connection '[masked]' publication p")]
    [InlineData("alter subscription s connection 'host=h password=geheim'", "alter subscription s connection '[masked]'")]
    [InlineData("select dblink_connect('c', 'host=h password=geheim')", "select dblink_connect('c', '[masked]')")]
    [InlineData("select * from dblink('postgres://u:geheim@h/d', 'delete from t') x (a int)", "select * from dblink('[masked]', 'delete from t') x (a int)")]
    [InlineData("alter system set primary_conninfo = 'password=geheim'", "alter system set primary_conninfo = '[masked]'")]
    [InlineData("set app.api_key = 'geheim'", "set app.api_key = '[masked]'")]
    [InlineData("select set_config('app.secret', 'geheim', true)", "select set_config('app.secret', '[masked]', true)")]
    [InlineData("set app.token to geheim", "set app.token to '[masked]'")]
    [InlineData("alter role joe password 'geheim'; create role jim password 'geheim'", "alter role joe password '[masked]'; create role jim password '[masked]'")]
    [InlineData("alter role joe set app.token = 'geheim'", "alter role joe set app.token = '[masked]'")]
    [InlineData("insert into orders (note) values (crypt('geheim', gen_salt('bf')))", "insert into orders (note) values (crypt('[masked]', gen_salt('bf')))")]
    [InlineData("select pgp_sym_decrypt(note::bytea, 'geheim') from orders", "select pgp_sym_decrypt(note::bytea, '[masked]') from orders")]
    [InlineData("prepare p as select dblink_exec('password=geheim', 'x')", "prepare p as select dblink_exec('[masked]', 'x')")]
    [InlineData("explain select public.dblink('password=geheim', 'x')", "explain select public.dblink('[masked]', 'x')")]
    public void I10_secret_literals_are_masked_with_a_mark(string sql, string shown)
    {
        var understood = Shop.Understand(sql);
        Assert.Equal(shown, understood.Display);
        Assert.Equal(shown, string.Join(';', understood.Statements.Select(static s => s.Display)).Replace(";select", "; select", StringComparison.Ordinal).Replace(";create", "; create", StringComparison.Ordinal));
        foreach (var effect in understood.Effects) Assert.DoesNotContain("geheim'", effect.ToCanonical().ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void I10_text_without_secrets_is_shown_as_it_is()
    {
        const string sql = "  update orders set note = 'password' /* 'x' */ where id = 1 ;\n";
        Assert.Equal(sql, Shop.Understand(sql).Display);
    }

    [Fact]
    public void I10_text_that_did_not_parse_is_not_shown()
    {
        var understood = Shop.Understand("alter role joe pasword 'geheim'");
        Assert.NotNull(understood.Refusal);
        Assert.DoesNotContain("geheim", understood.Display, StringComparison.Ordinal);
    }
}
