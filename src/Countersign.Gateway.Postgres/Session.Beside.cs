using System.Text;
using Countersign.Core;
using Countersign.PgWire;
using Countersign.Reviews;
using Countersign.Sql;
using Npgsql;

namespace Countersign.Gateway.Postgres;

internal sealed partial class Session
{
    private const string Explain = "EXPLAIN (FORMAT JSON, VERBOSE) ";

    /// <summary>What is asked about a held statement beside the session, as the session was when it was held.</summary>
    private sealed record Question(SqlUnderstanding Understood, string Text, SqlSession Session, SessionState State, Portal? Portal, BoundParameter[] Values, bool IsShadowed);

    private static bool IsExplainable(SqlUnderstanding understood) =>
        understood.Statements is [{ Kind: SqlStatementKind.Select or SqlStatementKind.Insert or SqlStatementKind.Update or SqlStatementKind.Delete or SqlStatementKind.Merge }];

    private Question Asked(Presented presented) => new(presented.Understood, presented.Text, sqlSession!, state, presented.Portal, presented.Values ?? presented.Portal?.Bind.Parameters.ToArray() ?? [], uncommittedDdl);

    /// <summary>Of a review that an edit has opened.</summary>
    private Question? AskedOf(Review review) => edits.FirstOrDefault(e => e.Key.Action.Id == review.Action) is { Key: not null, Value: var edited } ? Asked(edited) : null;

    /// <summary>
    /// How many rows the target's planner expects, asked on a connection of its own while the statement is held, in bounded time. It
    /// changes nothing of the hold: what can not be asked is said on the card.
    /// </summary>
    private async Task EstimateAsync(Question question, ReviewId review, CancellationToken held)
    {
        if (!IsExplainable(question.Understood)) return;
        IReadOnlyList<EstimatedRows> rows = [];
        IReadOnlyList<PlanStep> steps = [];
        string? why = null;
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(held);
        limit.CancelAfter(services.Limits.Beside);
        try
        {
            (rows, steps) = await PlanAsync(question, limit.Token).ConfigureAwait(false);
        }
        catch (BesideException e)
        {
            why = e.Message;
        }
        catch (Exception e) when (e is NpgsqlException or TimeoutException)
        {
            why = "the target could not be asked";
        }
        catch (OperationCanceledException) when (!held.IsCancellationRequested)
        {
            why = "the target took too long to answer";
        }

        held.ThrowIfCancellationRequested();
        await services.Spine.EstimatedAsync(review, new Estimate(rows, steps, why, services.Time.GetUtcNow())).ConfigureAwait(false);
    }

    private async Task<(IReadOnlyList<EstimatedRows> Rows, IReadOnlyList<PlanStep> Steps)> PlanAsync(Question question, CancellationToken ct)
    {
        var statement = question.Understood.Statements[0];
        if (question.IsShadowed) throw new BesideException("the open transaction has changed definitions that nobody else sees yet");
        if (statement.PlanRisk is { } risk) throw new BesideException($"planning it could run {risk}");
        var text = Explain + Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(question.Text), statement.Start, statement.Length);

        // What is sent is an EXPLAIN of one statement to the parser too, not only to whoever put the two texts together (I1).
        var catalog = await services.Catalog.GetAsync(fresh: false).ConfigureAwait(false);
        if (services.Dialect.Understand(text, question.Session, catalog, services.Classify) is not { IsUnderstood: true, Statements: [{ Kind: SqlStatementKind.Explain, PlanRisk: null, Consequences: [] }] })
            throw new BesideException("it can not be explained");

        using var place = await services.Catalog.BesideAsync(ct).ConfigureAwait(false);
        var beside = await Beside.OpenAsync(target, question.State, services.Limits, services.Wire, ct).ConfigureAwait(false);
        await using (beside.ConfigureAwait(false))
        {
            var plan = await beside.ExplainAsync(text, TypesOf(question.Portal), question.Values, ct).ConfigureAwait(false);
            return PlanReader.Read(plan, statement.Kind == SqlStatementKind.Select ? "read" : null, services.Limits.PlanSteps);
        }
    }

    private static uint[] TypesOf(Portal? portal) => portal is null ? [] : portal.Statement.ResolvedTypes ?? portal.Statement.ParameterTypes;
}
