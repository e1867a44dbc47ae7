using Npgsql;

namespace Countersign.Demo;

/// <summary>What came of one statement of the agent.</summary>
internal abstract record Answered
{
    private Answered() { }

    public sealed record Rows(IReadOnlyList<string> Columns, IReadOnlyList<IReadOnlyList<string>> Values) : Answered;
    public sealed record Changed(int Count) : Answered;
    public sealed record Refused(string SqlState, string Message, string? Detail, string? Hint) : Answered;
}

/// <summary>
/// The agent: an ordinary program with an ordinary driver. All that it has is its own connection string to the gateway. It
/// knows neither the database's password nor anybody's session.
/// </summary>
internal sealed class PlayedAgent(NpgsqlDataSource source, NpgsqlConnection connection) : IAsyncDisposable
{
    public static async Task<PlayedAgent> ConnectAsync(Uri url, Action<string> notice, CancellationToken ct)
    {
        var user = url.UserInfo.Split(':', 2);
        var settings = new NpgsqlDataSourceBuilder(new NpgsqlConnectionStringBuilder
        {
            Host = url.Host, Port = url.Port, Username = user[0], Password = user[1], Database = Uri.UnescapeDataString(url.AbsolutePath.TrimStart('/')),
            Pooling = false, SslMode = SslMode.Disable, CommandTimeout = 0, ApplicationName = "support-bot", IncludeErrorDetail = true,
        }.ConnectionString);
        settings.ConfigureTypeLoading(static types => types.EnableTypeLoading(false)); // the journal of the demo shows what the agent does, not its driver
        var source = settings.Build();
        var connection = source.CreateConnection();
        connection.Notice += (_, e) => notice(e.Notice.MessageText);
        await connection.OpenAsync(ct).ConfigureAwait(false);
        return new PlayedAgent(source, connection);
    }

    /// <summary>Says why, as agents may: claims, shown as such.</summary>
    public async Task ExplainItselfAsync(string reason, string ticket, CancellationToken ct)
    {
        foreach (var (name, value) in new[] { ("reason", reason), ("ticket", ticket) })
        {
            await using var set = new NpgsqlCommand($"SET countersign.{name} = '{value}'", connection);
            await set.ExecuteNonQueryAsync(ct).ConfigureAwait(false);
        }
    }

    public async Task<Answered> RunAsync(string sql, object[] values, CancellationToken ct)
    {
        try
        {
            await using var command = new NpgsqlCommand(sql, connection);
            foreach (var value in values) command.Parameters.Add(new NpgsqlParameter { Value = value });
            await using var reader = await command.ExecuteReaderAsync(ct).ConfigureAwait(false);
            if (reader.FieldCount == 0) return new Answered.Changed(reader.RecordsAffected);
            var columns = Enumerable.Range(0, reader.FieldCount).Select(reader.GetName).ToArray();
            var rows = new List<IReadOnlyList<string>>();
            while (await reader.ReadAsync(ct).ConfigureAwait(false)) rows.Add(Enumerable.Range(0, columns.Length).Select(i => $"{reader.GetValue(i)}").ToArray());
            return new Answered.Rows(columns, rows);
        }
        catch (PostgresException e)
        {
            return new Answered.Refused(e.SqlState, e.MessageText, e.Detail, e.Hint);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await connection.DisposeAsync().ConfigureAwait(false);
        await source.DisposeAsync().ConfigureAwait(false);
    }
}
