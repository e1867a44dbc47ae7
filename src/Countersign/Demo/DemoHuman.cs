using Countersign.Api;
using Countersign.Client;

namespace Countersign.Demo;

/// <summary>A human at the gateway's API, signed in as everybody is: with a code from its terminal.</summary>
internal sealed class DemoHuman(ApiClient client) : IDisposable
{
    public ApiClient Client { get; } = client;

    public static async Task<DemoHuman> SignInAsync(DemoStage stage, string user, CancellationToken ct)
    {
        var code = await CodeAsync(stage, user, ct).ConfigureAwait(false);
        using var anonymous = new ApiClient(stage.Gateway.Http, null);
        var session = await anonymous.PostAsync("/api/v1/login/complete", new LoginComplete(user, code), ApiJson.Default.LoginComplete, ApiJson.Default.Session, ct).ConfigureAwait(false);
        return new DemoHuman(new ApiClient(stage.Gateway.Http, session.Token));
    }

    /// <summary>Has a code shown for this user, and reads it off the terminal.</summary>
    public static async Task<string> CodeAsync(DemoStage stage, string user, CancellationToken ct)
    {
        var code = stage.NextCode(user);
        using var anonymous = new ApiClient(stage.Gateway.Http, null);
        await anonymous.PostAsync("/api/v1/login/begin", new LoginBegin(user), ApiJson.Default.LoginBegin, ApiJson.Default.LoginBegun, ct).ConfigureAwait(false);
        return await code.WaitAsync(ct).ConfigureAwait(false);
    }

    public Task<ReviewCard> CardAsync(string id, CancellationToken ct) => Client.GetAsync($"/api/v1/reviews/{id}", ApiJson.Default.ReviewCard, ct);

    public async Task<AnswerDone> ApproveAsync(ReviewCard card, string comment, CancellationToken ct)
    {
        var draft = await Client.PostAsync($"/api/v1/reviews/{card.Id}/statements", new StatementRequest("approve", comment), ApiJson.Default.StatementRequest, ApiJson.Default.StatementDraft, ct).ConfigureAwait(false);
        return await Client.PostAsync($"/api/v1/reviews/{card.Id}/answers", new AnswerRequest(draft.Statement), ApiJson.Default.AnswerRequest, ApiJson.Default.AnswerDone, ct).ConfigureAwait(false);
    }

    public void Dispose() => Client.Dispose();
}
