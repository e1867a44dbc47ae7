using System.Text;
using Countersign.Config;
using Countersign.PgWire;

namespace Countersign.Gateway.Postgres;

/// <summary>Why something could not be asked beside the session, in words for a reviewer; never the server's own, which may quote data.</summary>
internal sealed class BesideException(string why) : Exception(why);

/// <summary>A column of a result: what a client relies on.</summary>
internal readonly record struct ResultColumn(string Name, uint Type, int Modifier);

/// <summary>
/// A connection of the gateway's own to a target, made to be like an agent's session: same role, path and settings, in a READ ONLY
/// transaction with short time-outs. It asks about a held statement and never carries it out; it is thrown away afterwards.
/// </summary>
internal sealed class Beside : IAsyncDisposable
{
    private readonly Upstream upstream;
    private readonly FrameReader frames;
    private readonly PostgresLimits limits;

    private Beside(Upstream upstream, PgWireLimits wire, PostgresLimits limits)
    {
        this.upstream = upstream;
        this.limits = limits;
        frames = FrameReader.Backend(wire);
    }

    private Transport Transport => upstream.Transport;

    public static async Task<Beside> OpenAsync(TargetConfig target, SessionState state, PostgresLimits limits, PgWireLimits wire, CancellationToken ct)
    {
        Upstream upstream;
        try
        {
            upstream = await Upstream.ConnectAsync(target, [new("application_name", "countersign-beside"), new("client_encoding", "UTF8")], wire, ct).ConfigureAwait(false);
        }
        catch (Exception e) when (e is UpstreamException or IOException or WireException)
        {
            throw new BesideException("the target could not be asked");
        }

        var beside = new Beside(upstream, wire, limits);
        try
        {
            // The literals below are read as they are written only under this setting (P2).
            if (upstream.Parameters.GetValueOrDefault("standard_conforming_strings") != "on") throw new BesideException("`standard_conforming_strings` is not `on` there");
            await beside.AskAsync(o => FrontendWriter.WriteQuery(o, Likeness(state, limits)), ct).ConfigureAwait(false);
            return beside;
        }
        catch
        {
            await beside.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>
    /// Makes the connection like the session. What is so already is not set: some settings only a superuser may set, even to what they
    /// are. The path comes last, and everything before it is qualified.
    /// </summary>
    private static string Likeness(SessionState state, PostgresLimits limits)
    {
        var path = string.Join(", ", state.SearchPath.Where(static s => !s.StartsWith("pg_temp", StringComparison.Ordinal)).Select(static s => $"\"{s.Replace("\"", "\"\"", StringComparison.Ordinal)}\""));
        IEnumerable<(string Name, string Value)> settings =
        [
            ("statement_timeout", Milliseconds(limits.Beside)), ("lock_timeout", Milliseconds(limits.BesideLock)), ("role", state.Role),
            .. state.Settings.Where(static s => s.Value != "(unset)" && s.Key is not ("search_path" or "role")).Select(static s => (s.Key, s.Value)),
            ("search_path", path),
        ];
        var text = new StringBuilder("BEGIN READ ONLY; SELECT pg_catalog.set_config(s.n, s.v, true) FROM (VALUES ");
        var n = 0;
        foreach (var (name, value) in settings) text.Append(n == 0 ? "" : ", ").Append('(').Append(n++).Append(", ").Append(Literal(name)).Append(", ").Append(Literal(value)).Append(')');
        return text.Append(") s (i, n, v) WHERE (s.n OPERATOR(pg_catalog.=) 'role' AND s.v OPERATOR(pg_catalog.<>) current_user) OR (s.n OPERATOR(pg_catalog.<>) 'role' AND pg_catalog.current_setting(s.n, true) IS DISTINCT FROM s.v) ORDER BY s.i").ToString();

        static string Milliseconds(TimeSpan span) => ((long)span.TotalMilliseconds).ToString(System.Globalization.CultureInfo.InvariantCulture) + "ms";
        static string Literal(string value) => $"'{value.Replace("'", "''", StringComparison.Ordinal)}'";
    }

    /// <summary>The plan of a statement with these values, as the server writes it in JSON. Planned, and never run.</summary>
    public async Task<string> ExplainAsync(string explain, IReadOnlyList<uint> types, IReadOnlyList<BoundParameter> values, CancellationToken ct)
    {
        string? plan = null;
        await AskAsync(o =>
        {
            FrontendWriter.WriteParse(o, "", explain, types.ToArray());
            FrontendWriter.WriteBind(o, "", "", values.ToArray());
            FrontendWriter.WriteExecute(o, "");
            FrontendWriter.WriteSync(o);
        }, ct, frame =>
        {
            if (frame.Tag != BackendTag.DataRow) return;
            if (frame.Body.Length > limits.PlanBytes) throw new BesideException("its plan is too large");
            if (DataRow.TryRead(frame.Body.Span, out var row, out _) && row.TryNext(out var isNull, out var value) && !isNull) plan = Encoding.UTF8.GetString(value);
        }).ConfigureAwait(false);
        return plan ?? throw new BesideException("the target gave no plan");
    }

    /// <summary>Types of the parameters and columns of the result, of a statement that is only parsed. No columns: null.</summary>
    public async Task<(uint[] Types, ResultColumn[]? Columns)> DescribeAsync(string text, IReadOnlyList<uint> types, CancellationToken ct)
    {
        uint[] resolved = [];
        ResultColumn[]? columns = null;
        await AskAsync(o =>
        {
            FrontendWriter.WriteParse(o, "", text, types.ToArray());
            FrontendWriter.WriteDescribe(o, NamedKind.Statement, "");
            FrontendWriter.WriteSync(o);
        }, ct, frame =>
        {
            if (frame.Tag == BackendTag.ParameterDescription && ParameterDescription.TryRead(frame.Body, out var parameters, out _)) resolved = parameters.Types.ToArray();
            if (frame.Tag != BackendTag.RowDescription || !RowDescription.TryRead(frame.Body, out var row, out _)) return;
            columns = new ResultColumn[row.Columns.Length];
            for (var i = 0; i < columns.Length; i++) columns[i] = new ResultColumn(row.Columns[i].Name.ToString(), row.Columns[i].TypeOid, row.Columns[i].TypeModifier);
        }).ConfigureAwait(false);
        return (resolved, columns);
    }

    /// <summary>Throws where a text is no value of a built-in type.</summary>
    public async Task ReadAsync(int position, uint type, string text, CancellationToken ct)
    {
        try
        {
            await AskAsync(o =>
            {
                FrontendWriter.WriteParse(o, "", "SELECT $1", [type]);
                FrontendWriter.WriteBind(o, "", "", [new BoundParameter(WireFormat.Text, Encoding.UTF8.GetBytes(text))]);
                FrontendWriter.WriteSync(o);
            }, ct).ConfigureAwait(false);
        }
        catch (BesideException)
        {
            throw new BesideException($"the value of ${position.ToString(System.Globalization.CultureInfo.InvariantCulture)} is none of its type, {PgTypes.NameOf(type) ?? "which is not known"}");
        }
    }

    /// <summary>Sends, and reads to the next ReadyForQuery. An error of the target's is told by its code alone.</summary>
    private async Task AskAsync(Action<System.Buffers.IBufferWriter<byte>> write, CancellationToken ct, Action<Frame>? read = null)
    {
        try
        {
            write(Transport.Output);
            await Transport.FlushAsync(ct).ConfigureAwait(false);
            string? failed = null;
            while (await Transport.ReadFrameAsync(frames, ct).ConfigureAwait(false) is { } frame)
            {
                if (frame.Tag == BackendTag.Error) failed = ServerReport.TryRead(frame.Body, out var report, out _) ? report!.SqlState ?? SqlStates.InternalError : SqlStates.InternalError;
                else if (frame.Tag != BackendTag.ReadyForQuery) read?.Invoke(frame);
                else if (failed is null) return;
                else throw new BesideException(Said(failed));
            }
        }
        catch (Exception e) when (e is IOException or WireException or System.Net.Sockets.SocketException)
        {
        }

        throw new BesideException("the target closed the connection");
    }

    private static string Said(string state) => state switch
    {
        "57014" => "the target took too long to plan it",
        "55P03" => "what it touches is locked by somebody, perhaps by this very transaction",
        "42501" => "the target's role may not do it (42501)",
        "42P01" or "42703" or "42883" => $"the target does not know a name in it ({state})",
        _ => $"the target refused to plan it ({state})",
    };

    public ValueTask DisposeAsync() => upstream.DisposeAsync();
}
