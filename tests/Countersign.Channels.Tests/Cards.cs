using Countersign.Core;
using Countersign.Gateway.Tests;
using Countersign.Reviews;

namespace Countersign.Channels.Tests;

/// <summary>Reviews as data.</summary>
internal static class Cards
{
    public static Review Review(Func<Review, Review>? with = null)
    {
        var review = new Review
        {
            Id = ReviewId.New(),
            State = ReviewState.Pending,
            Action = ActionId.New(),
            JoinKey = new JoinKey("k"),
            Salt = new byte[16],
            Digest = new string('d', 64),
            Agent = new PrincipalRef(PrincipalKind.Agent, OpaqueId.NewAgent(), "robo"),
            Owner = new PrincipalRef(PrincipalKind.User, OpaqueId.NewUser(), "olga"),
            OnBehalfOf = new PrincipalRef(PrincipalKind.User, OpaqueId.NewUser(), "uwe"),
            Target = Given.Shop,
            Effects = [ShownEffect.Of(Given.Update("customers", ("where", true)))],
            Operation = "query",
            Statement = "update customers set name = 'x' where id = 1",
            Parameters = [],
            Settings = new Dictionary<string, string>(),
            Intent = new Intent("refund for order 42", "T-1", null, null),
            Notes = [],
            Requirements = [Rules.Requirement(1, "dba")],
            Policies = [new MatchedPolicy("customers-need-a-dba", "main.cedar:1", "Customer data is changed only with a DBA's consent.", ["SOC2:CC8.1"])],
            Revision = Rules.First,
            CreatedAt = Given.Noon,
            ExpiresAt = Given.Noon + TimeSpan.FromMinutes(15),
        };
        return with is null ? review : with(review);
    }
}
