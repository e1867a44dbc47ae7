using System.Collections.Frozen;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Countersign.Core;
using Countersign.PgWire;
using Countersign.Reviews;
using Countersign.Sql;
using Npgsql;

namespace Countersign.Gateway.Postgres;

internal sealed partial class Session
{
    /// <summary>What the client wants carried out, before it is an action.</summary>
    private sealed record Presented(string Operation, string Text, SqlUnderstanding Understood, Portal? Portal)
    {
        /// <summary>Where a human has edited it: the chain with him in it, the values that he bound, and what it was before.</summary>
        public ActorChain? Actors { get; init; }
        public BoundParameter[]? Values { get; init; }
        public Presented? Before { get; init; }

        /// <summary>What was released in its place, edited.</summary>
        public Presented? Edited { get; set; }
    }

    private volatile Waiter? waiter;
    private SqlSession? sqlSession;

    /// <summary>Odd while what the client has sent is worked on, up to its Sync or the end of its simple query; <see cref="cancelled"/> is the one that it cancelled.</summary>
    private int work;
    private int cancelled;

    private void WorkBegins()
    {
        if ((work & 1) == 0) Interlocked.Increment(ref work);
    }

    private void WorkEnds() => Interlocked.Increment(ref work);

    /// <summary>
    /// The client's cancel request: a held action is withdrawn, a running one is cancelled at the target (P12), and one that is
    /// still being understood or decided is not held: the client has given it up before anybody was asked.
    /// </summary>
    public Task CancelAsync()
    {
        if (Volatile.Read(ref work) is var now && (now & 1) == 1) Interlocked.Exchange(ref cancelled, now);
        if (waiter is { } held)
        {
            held.Leave(LeaveReason.Cancelled);
            return Task.CompletedTask;
        }

        return upstream.CancelAsync(target, services.Stopping);
    }

    // ---- the target's side ----

    private ValueTask FlushTargetAsync() => Target.FlushAsync(sessionEnded);

    /// <summary>Waits until the target has answered everything so far.</summary>
    private async Task DrainAsync()
    {
        if (batchOpen) FrontendWriter.WriteFlush(Target.Output);
        await FlushTargetAsync().ConfigureAwait(false);
        await relay.DrainAsync().ConfigureAwait(false);
    }

    /// <summary>Asks the server what its session is, where something that went by may have changed it.</summary>
    private async Task FreshenAsync()
    {
        // Others may have made or dropped what the path names: the state is never older than the catalogue may be.
        if (stateEpoch != services.Catalog.Epoch || services.Time.GetElapsedTime(stateAt) > services.Limits.CatalogAge) stateIsStale = true;
        if (!stateIsStale)
        {
            if (!inDoubt) return;
            await DrainAsync().ConfigureAwait(false);
            inDoubt = false;
            return;
        }

        await DrainAsync().ConfigureAwait(false);
        inDoubt = false;

        // In a failed transaction nothing can be asked, and nothing but its end is carried out.
        if (relay.BatchFailed || TransactionHasFailed) return;
        var epoch = services.Catalog.Epoch;
        if (await ProbeAsync().ConfigureAwait(false) is not { } row) return;
        state = SessionState.Read(row);
        (stateAt, stateEpoch) = (services.Time.GetTimestamp(), epoch);
        if (namesUnknown) ForgetWhatIsNoLongerSo();
        if (relay.Transaction == TransactionStatus.Idle && !batchExecuted) uncommittedDdl = false;
        sqlSession = null;
        stateIsStale = namesUnknown = false;
    }

    /// <summary>
    /// As of the last ReadyForQuery, unless this batch has ended that transaction since: then what follows is carried out.
    /// </summary>
    private bool TransactionHasFailed => relay.Transaction == TransactionStatus.Failed && !(batchOpen && endsInBatch);

    /// <summary>
    /// Null when it failed and the client was told, or will be by the target. A cancel of the client's may hit the question in
    /// place of a statement: then it is asked again.
    /// </summary>
    private async Task<string?[]?> ProbeAsync()
    {
        string?[]? row = null;
        for (var attempt = 0; attempt < 3; attempt++)
        {
            var shown = batchOpen;
            Owed[] answers =
            [
                new(OwedKind.Close) { Swallow = true, ShowError = shown },
                new(OwedKind.Parse) { Swallow = true, ShowError = shown }, new(OwedKind.Bind) { Swallow = true, ShowError = shown },
                new(OwedKind.Execute) { Swallow = true, ShowError = shown, OnRow = r => row = r },
                new(OwedKind.Close) { Swallow = true, ShowError = shown }, new(OwedKind.Close) { Swallow = true, ShowError = shown },
            ];
            foreach (var answer in answers) relay.TryExpect(answer);
            if (!batchOpen) relay.TryExpect(new Owed(OwedKind.Sync) { Swallow = true });
            SessionState.WriteProbe(Target.Output, SessionState.Question(touchedSettings, namesUnknown), sync: !batchOpen);
            await FlushTargetAsync().ConfigureAwait(false);
            await relay.DrainAsync().ConfigureAwait(false);
            if (relay.BatchFailed || TransactionHasFailed) return null;
            if (row is not null) return row;
        }

        throw new DesyncException("the target did not tell its session state");
    }

    /// <summary>Names that the server no longer has, or has for another text, are forgotten: they are refused until prepared again.</summary>
    private void ForgetWhatIsNoLongerSo()
    {
        foreach (var (name, statement) in statements)
        {
            if (name.Length == 0 || statement.IsOwn) continue;
            var hash = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(Encoding.UTF8.GetBytes(statement.Text)));
            if (state.Prepared?.GetValueOrDefault(name) != hash) statements.TryRemove(name, out _);
        }
    }

    // ---- understanding ----

    private async ValueTask<SqlUnderstanding> UnderstandAsync(string text, bool fresh)
    {
        using var span = SpineTelemetry.Source.StartActivity("understand");
        SqlCatalog catalog;
        try
        {
            catalog = await services.Catalog.GetAsync(fresh).ConfigureAwait(false);
        }
        catch (Exception e) when (e is NpgsqlException or TimeoutException)
        {
            return new SqlUnderstanding { Refusal = new SqlRefusal(ReasonCodes.TargetUnavailable, $"the catalogue of target `{target.Name}` can not be read"), Statements = [], Effects = [], Display = text };
        }

        sqlSession ??= new SqlSession
        {
            Target = target.Name,
            Database = target.Database,
            SearchPath = state.SearchPath,
            TemporaryNames = state.Temporary.Keys.ToFrozenSet(StringComparer.Ordinal),
            OpaqueTemporaries = state.Temporary.Where(static t => t.Value).Select(static t => t.Key).ToFrozenSet(StringComparer.Ordinal),
            StandardConformingStrings = upstream.Parameters.GetValueOrDefault("standard_conforming_strings") == "on",
            ServerEncoding = upstream.Parameters.GetValueOrDefault("server_encoding", "UTF8"),
            ServerMajor = ServerVersion.Major(upstream.Parameters),
        };
        var understood = services.Dialect.Understand(text, sqlSession, catalog, services.Classify);
        if (!understood.IsUnderstood) return understood;
        if (understood.Consequences.Any(static c => c is SqlConsequence.ExecutesPrepared))
        {
            // What a name stands for is certain only when nothing is in flight.
            await DrainAsync().ConfigureAwait(false);
            understood = understood.WithPrepared(name =>
            {
                if (!statements.TryGetValue(name, out var prepared) || prepared.IsOwn) return null;
                var stored = services.Dialect.Understand(prepared.Text, sqlSession, catalog, services.Classify);
                prepared.Display = stored.Display;
                return stored is { IsUnderstood: true, Statements: [var only] } ? only : null;
            });
        }

        return understood;
    }

    /// <summary>Records and words the refusal of what was not understood or can not be governed here; null when there is none.</summary>
    private async Task<(Refusal Refusal, int? Position)?> RefuseUnlessUnderstoodAsync(SqlUnderstanding understood, string text)
    {
        if (understood.Refusal is { } refused)
        {
            var hint = refused.Reason switch
            {
                ReasonCodes.Unparseable => "correct the statement; nothing was sent to the target.",
                ReasonCodes.NotSupported => "this is not supported yet; nothing was sent to the target.",
                ReasonCodes.UnsafeSetting => "leave this setting alone: the gateway could no longer read what you send.",
                _ => "nothing was sent to the target.",
            };
            return (await RefuseAsync(refused.Reason, refused.Message, hint, understood.Display).ConfigureAwait(false), refused.Position);
        }

        if (state.Temporary.Count >= services.Limits.NamedObjects && understood.Consequences.Any(static c => c is SqlConsequence.CreatesTemporary))
        {
            return (await RefuseAsync(ReasonCodes.TooLarge, "the session has too many temporary relations", "drop some, or connect anew.", understood.Display).ConfigureAwait(false), null);
        }

        if (understood.Consequences.Select(NewSetting).OfType<string>().Distinct(StringComparer.OrdinalIgnoreCase).ToArray() is { Length: > 0 } named
            && (touchedSettings.Count + named.Length > services.Limits.NamedSettings || named.Any(static n => n.Length > 256)))
        {
            return (await RefuseAsync(ReasonCodes.TooLarge, "the session names too many settings, or one whose name is too long",
                "do without, or connect anew.", understood.Display).ConfigureAwait(false), null);
        }

        if (understood.Statements.Count > 1 && InTransaction
            && understood.Statements.SkipLast(1).Any(static s => s.Consequences.Any(static c => c is SqlConsequence.EndsTransaction or SqlConsequence.RollsBackToSavepoint)))
        {
            // What the open transaction has set is undone in the middle of the text.
            return (await RefuseAsync(ReasonCodes.NotSupported, "a statement behind the end of the open transaction must be sent by itself",
                "send each statement as a query of its own.", understood.Display).ConfigureAwait(false), null);
        }

        if (understood.Statements.Count > 1 && understood.Consequences.Any(DecidesWhatFollows) && !IsReset(understood))
        {
            // The rest of the text would be carried out under other settings, or other names, than it was understood by.
            return (await RefuseAsync(ReasonCodes.NotSupported, "a statement that changes how the next ones are understood must be sent by itself",
                "send each statement as a query of its own.", understood.Display).ConfigureAwait(false), null);
        }

        if (understood.Consequences.Any(FetchesPortal))
        {
            // It would carry out what was decided for an Execute, perhaps under other settings, or after it was said to be void.
            return (await RefuseAsync(ReasonCodes.NotSupported, "a portal of the protocol is read by Execute, not by FETCH or MOVE", "send Execute for it, or DECLARE a cursor.", understood.Display).ConfigureAwait(false), null);
        }

        var fetched = understood.Statements.TakeWhile(static s => s.Kind != SqlStatementKind.Fetch).Count();
        if (understood.Statements.Skip(fetched).Any(static s => s.Kind is not (SqlStatementKind.Fetch or SqlStatementKind.CloseCursor or SqlStatementKind.Transaction)))
        {
            return (await RefuseAsync(ReasonCodes.NotSupported, "what a FETCH calls may change how the statements behind it are understood", "send what follows it as a query of its own.", understood.Display).ConfigureAwait(false), null);
        }

        return null;

        // A driver's own reset of a session that it gives back to its pool: nothing in it depends on what it undoes.
        static bool IsReset(SqlUnderstanding understood) => understood.Statements.All(static s => s.IsPlainReset);

        static bool DecidesWhatFollows(SqlConsequence c) => c switch
        {
            SqlConsequence.ChangesSetting s => !SessionState.Inert.Contains(s.Name) || s.Name is "search_path" or "role" or "client_encoding",
            SqlConsequence.ResetsSetting s => !SessionState.Inert.Contains(s.Name) || s.Name is "search_path" or "role" or "client_encoding",
            SqlConsequence.ResetsAllSettings or SqlConsequence.ChangesRole or SqlConsequence.DiscardsAll or SqlConsequence.DiscardsTemporary
                or SqlConsequence.PreparesStatement or SqlConsequence.ExecutesPrepared or SqlConsequence.Deallocates => true,
            _ => false,
        };
    }

    private ValueTask<Refusal> RefuseAsync(string reason, string message, string hint, string text) =>
        services.Spine.RefuseAsync(actors, targetRef, reason, message, hint, text);

    /// <summary>A portal of what PREPARE made runs the inner statement; the PREPARE itself it never runs (P11).</summary>
    private static SqlUnderstanding AsExecuted(SqlUnderstanding understood, Portal? portal)
    {
        if (portal is not { Statement.FromSql: true } || !understood.IsUnderstood) return understood;
        return understood.Statements is [{ EffectsAreDeferred: true } only]
            ? understood with { Statements = [only with { EffectsAreDeferred = false, Consequences = only.DeferredConsequences }] }
            : understood with { Refusal = new SqlRefusal(ReasonCodes.NotUnderstood, "what this prepared statement runs is not known") };
    }

    // ---- the action ----

    private bool InTransaction => relay.Transaction != TransactionStatus.Idle || batchExecuted;

    private GatewayAction Build(Presented presented, IReadOnlyList<string> notes)
    {
        var settings = new Dictionary<string, string>(StringComparer.Ordinal)
        {
            ["database"] = target.Database,
            ["user"] = target.User,
            ["role"] = state.Role,
            ["search_path"] = JsonSerializer.Serialize(state.SearchPath),
            ["transaction"] = InTransaction ? "open" : "none",
        };
        foreach (var (name, value) in state.Settings) settings[name] = value;
        var deferred = presented.Understood.Statements is [{ EffectsAreDeferred: true }];
        return new GatewayAction
        {
            Id = ActionId.New(),
            Actors = presented.Actors ?? actors,
            Target = targetRef,
            Effects = deferred ? [SessionEffect()] : Effects(presented.Understood),
            Payload = new ActionPayload("postgres/3", presented.Operation, Encoding.UTF8.GetBytes(presented.Text))
            {
                DisplayText = presented.Understood.Display,
                Parameters = presented.Portal is { } portal ? Parameters(portal, presented.Values ?? portal.Bind.Parameters) : [],
                Fields = presented.Understood.Consequences.OfType<SqlConsequence.ExecutesPrepared>()
                    .Select(e => ("prepared", statements.TryGetValue(e.Name, out var s) ? s.Text : "(unknown)")).ToArray(),
            },
            Settings = settings,
            Intent = intent,
            Notes = notes,
        };
    }

    /// <summary>
    /// The effects as policy sees them. While this session has DDL that is not committed, or DDL stands before other
    /// statements in one text, the catalogue that was read is not the one that the server will use: then every statement has
    /// an opaque effect besides its own. A statement that touches nothing (`SELECT 1`) still reads from the database.
    /// </summary>
    private IReadOnlyList<Effect> Effects(SqlUnderstanding understood)
    {
        var effects = understood.Effects.Count > 0 ? understood.Effects : [new Effect(Verb.Read, SqlActions.Select, DatabaseResource())];
        var shadowed = uncommittedDdl || NamesMayMove(understood) || (understood.Statements.Count > 1 && understood.Consequences.Any(static c => c is SqlConsequence.ChangesCatalog));
        if (shadowed && !understood.Statements.All(static s => s.Kind == SqlStatementKind.Transaction))
        {
            effects = [.. effects, new Effect(Verb.Administer, SqlActions.Opaque, DatabaseResource())
            {
                Facts = new Dictionary<string, FactValue> { [SqlFacts.Opaque] = true },
            }];
        }

        return InTransaction
            ? effects.Select(static e => e with { Facts = new Dictionary<string, FactValue>(e.Facts) { ["in_transaction"] = true } }).ToArray()
            : effects;
    }

    /// <summary>
    /// Whether statements stand behind one that calls what is not known, in one text: it may change the path, or make what shadows a
    /// name, and they were named as the session is before it (P5).
    /// </summary>
    private static bool NamesMayMove(SqlUnderstanding understood) =>
        understood.Statements.Count > 1 && understood.Statements.SkipWhile(static s => !s.Effects.Any(static e => e.Action is SqlActions.Opaque or SqlActions.Call))
            .Skip(1).Any(static s => s.Kind != SqlStatementKind.Transaction);

    private Effect SessionEffect() => new(Verb.Read, SqlActions.Session, DatabaseResource());

    private ResourceRef DatabaseResource() => new(SqlResources.Database, target.Name) { Parents = [(SqlResources.Target, target.Name)] };

    private static ActionParameter[] Parameters(Portal portal, ReadOnlySpan<BoundParameter> bound)
    {
        var result = new ActionParameter[bound.Length];
        for (var i = 0; i < bound.Length; i++)
        {
            var types = portal.Statement.ResolvedTypes ?? portal.Statement.ParameterTypes;
            var oid = i < types.Length ? types[i] : 0;
            var type = oid == 0 ? "unknown" : PgTypes.NameOf(oid) ?? oid.ToString(CultureInfo.InvariantCulture);
            string? text = null;
            if (bound[i].Value is { } value) ParameterText.TryRender(oid, bound[i].Format, value.Span, out text);
            result[i] = new ActionParameter(type, bound[i].Format.ToString().ToLowerInvariant(), bound[i].Value?.ToArray(), text);
        }

        return result;
    }

    // ---- deciding ----

    private async Task<Refusal?> DenyEarlyAsync(Presented presented)
    {
        var action = Build(presented, []);
        if (presented.Understood.Statements is [{ EffectsAreDeferred: true }]) action = action with { Effects = presented.Understood.Effects };
        if (services.Spine.Preview(action).Verdict != Verdict.Deny) return null;
        try
        {
            return await services.Spine.SubmitAsync(action, static () => throw new PolicyMovedException()).ConfigureAwait(false) is Ruling.Refused { Refusal: var refusal } ? refusal : null;
        }
        catch (PolicyMovedException)
        {
            return null;
        }
    }

    /// <summary>The policies were swapped between two looks at one action; nothing has happened yet, so look again.</summary>
    private sealed class PolicyMovedException : Exception;

    /// <summary>Null: the target had failed meanwhile, and has told the client.</summary>
    private async Task<Ruling?> DecideAsync(Presented presented)
    {
        if (presented.Understood.Statements is [{ EffectsAreDeferred: true }] && await DenyEarlyAsync(presented).ConfigureAwait(false) is { } denied) return new Ruling.Refused(denied);
        var action = Build(presented, []);
        if (services.Spine.Preview(action).Verdict != Verdict.Review)
        {
            try
            {
                return await services.Spine.SubmitAsync(action, static () => throw new PolicyMovedException()).ConfigureAwait(false);
            }
            catch (PolicyMovedException)
            {
            }
        }

        // From here on a human will look: everything before must be over, and the card must say all there is to say.
        await DrainAsync().ConfigureAwait(false);
        if (relay.BatchFailed) return null;
        if (TransactionHasFailed && !presented.Understood.Consequences.Any(static c => c is SqlConsequence.EndsTransaction or SqlConsequence.RollsBackToSavepoint))
        {
            return new Ruling.Refused(new Refusal(ReasonCodes.NotSupported, "the transaction has failed, and nothing is carried out until it ends", "send ROLLBACK first."));
        }

        if (presented.Portal is { } portal) await ResolveTypesAsync(portal.Statement).ConfigureAwait(false);
        if (relay.BatchFailed) return null;
        // The name of a prepared statement says nothing to who reads the card: its text does (I10).
        List<string> notes = [.. presented.Understood.Consequences.OfType<SqlConsequence.ExecutesPrepared>().Select(e => $"`{e.Name}` is: {Prepared(e.Name)}")];
        if (NamesMayMove(presented.Understood)) notes.Add("what is not known runs before other statements and may change what their names stand for: the tables named here are those of before");
        if (InTransaction)
        {
            var locks = await services.Catalog.LocksOfAsync(upstream.ProcessId).ConfigureAwait(false);
            notes.Add(locks.Count == 0
                ? "held inside an open transaction, which holds no table locks yet"
                : $"held inside an open transaction, which keeps {string.Join(", ", locks)} locked meanwhile");
        }

        return await HoldAsync(Build(presented, notes), presented).ConfigureAwait(false);
    }

    private string Prepared(string name) => statements.TryGetValue(name, out var statement) ? statement.Display ?? "(not understood)" : "(not known)";

    /// <summary>Parameter types as the server resolved them, so that the card shows values as what they are.</summary>
    private async Task ResolveTypesAsync(PreparedStatement statement)
    {
        if (statement.ResolvedTypes is not null) return;
        uint[]? resolved = null;
        var owed = new Owed(OwedKind.DescribeStatement) { Swallow = true, ShowError = batchOpen, OnTypes = t => resolved = t };
        if (!relay.TryExpect(owed)) return;
        FrontendWriter.WriteDescribe(Target.Output, NamedKind.Statement, statement.Name);
        var idle = !batchOpen;
        if (idle)
        {
            relay.TryExpect(new Owed(OwedKind.Sync) { Swallow = true });
            FrontendWriter.WriteSync(Target.Output);
        }

        await DrainAsync().ConfigureAwait(false);
        statement.ResolvedTypes = resolved;
    }

    private async Task<Ruling> HoldAsync(GatewayAction action, Presented presented)
    {
        Hold? hold = null;
        var question = Asked(presented);
        try
        {
            var ruling = await services.Spine.SubmitAsync(action, () =>
            {
                hold = new Hold(this, told => WaiterOf(action, presented, told), InTransaction ? services.Limits.HoldTransaction : services.Limits.HoldConnection, (review, ended) => EstimateAsync(question, review, ended));
                waiter = hold.Waiter;
                Interlocked.MemoryBarrier(); // either the cancel sees this waiter, or we see the cancel
                if (cancelled == work) hold.Waiter.Leave(LeaveReason.Cancelled);
                return hold.Waiter;
            }).ConfigureAwait(false);
            if (ruling is Ruling.Refused { Refusal: { ReasonCode: ReasonCodes.ShuttingDown, Review: var left } }) HeldReview = left;
            presented.Edited = await EditedAsync(ruling).ConfigureAwait(false);
            return ruling;
        }
        finally
        {
            waiter = null;
            edits.Clear();
            if (hold is not null) await hold.EndAsync().ConfigureAwait(false);
        }
    }

    /// <summary>The same message understood again, with the catalogue and the session's state of now (I5).</summary>
    private async ValueTask<Rederived> RederiveAsync(GatewayAction held, Presented presented)
    {
        try
        {
            switch (services.MayAct())
            {
                case false: return new Rederived.Refused(ReasonCodes.Unauthenticated, "the agent or its key was revoked");
                case null: return new Rederived.Refused(ReasonCodes.JournalUnavailable, "the store can not be read, and who may act is not known");
            }

            stateIsStale = true;
            await FreshenAsync().ConfigureAwait(false);
            if (stateIsStale) return new Rederived.Refused(ReasonCodes.TargetChanged, "the session's state could not be read");
            var understood = AsExecuted(await UnderstandAsync(presented.Text, fresh: true).ConfigureAwait(false), presented.Portal);
            if (understood.Refusal is { } refusal) return new Rederived.Refused(refusal.Reason, refusal.Message);
            if (presented.Before is { } before)
            {
                using var limit = CancellationTokenSource.CreateLinkedTokenSource(sessionEnded);
                limit.CancelAfter(services.Limits.Beside);
                await CompareAsync(before.Text, presented.Text, TypesOf(presented.Portal), new Dictionary<int, string?>(), limit.Token).ConfigureAwait(false);
            }

            if (presented.Portal is { } portal) portal.Understood = understood;
            return new Rederived.As(Build(presented with { Understood = understood }, held.Notes) with { Id = held.Id, Intent = held.Intent });
        }
        catch (Exception e) when (e is ShapeException or BesideException)
        {
            return new Rederived.Refused(ReasonCodes.TargetChanged, "what was edited no longer answers what the client expects, or can not be compared");
        }
        catch (Exception e) when (e is DesyncException or IOException or OperationCanceledException or WireException)
        {
            return new Rederived.Refused(ReasonCodes.TargetUnavailable, "the connection to the target was lost");
        }
    }
}

/// <summary>The server's major version, from what it says of itself.</summary>
internal static class ServerVersion
{
    public static int Major(IReadOnlyDictionary<string, string> parameters)
    {
        var text = parameters.GetValueOrDefault("server_version", "");
        var end = text.AsSpan().IndexOfAnyExceptInRange('0', '9');
        return int.TryParse(end < 0 ? text : text[..end], NumberStyles.None, CultureInfo.InvariantCulture, out var major) ? major : int.MaxValue;
    }
}
