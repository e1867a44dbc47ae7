using System.Text;
using Countersign.Channels.Webhooks;

namespace Countersign.Channels.Tests.Webhooks;

/// <summary>Standard Webhooks: what a receiver can rely on.</summary>
public sealed class SignatureTests
{
    private static readonly DateTimeOffset Now = new(2026, 11, 27, 12, 0, 0, TimeSpan.Zero);
    private static readonly byte[] Body = Encoding.UTF8.GetBytes("""{"a":1}""");

    private static WebhookSecret Secret(string text) => WebhookSecret.TryParse(text, out var secret) ? secret! : throw new FormatException();

    [Fact]
    public void Signature_is_what_another_implementation_made()
    {
        // Made with openssl: printf '%s' 'msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}' | openssl dgst -sha256 -mac HMAC -macopt hexkey:… -binary | base64
        var secret = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        var body = Encoding.UTF8.GetBytes("""{"test": 2432232314}""");
        Assert.Equal("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", WebhookSignature.Of("msg_p5jXN8AQM9LWM0D4loKWxJek", DateTimeOffset.FromUnixTimeSeconds(1614265330), body, [secret]));
    }

    [Fact]
    public void Message_signed_with_two_secrets_is_good_for_a_receiver_that_knows_either()
    {
        var (old, next, other) = (Secret(WebhookSecret.NewText()), Secret(WebhookSecret.NewText()), Secret(WebhookSecret.NewText()));
        var header = WebhookSignature.Of("evt_1", Now, Body, [next, old]);
        Assert.Equal(2, header.Split(' ').Length);
        foreach (var known in (WebhookSecret[])[old, next]) Assert.True(WebhookSignature.Verify("evt_1", WebhookSignature.Stamp(Now), header, Body, known, Now));
        Assert.False(WebhookSignature.Verify("evt_1", WebhookSignature.Stamp(Now), header, Body, other, Now));
    }

    [Theory]
    [InlineData(0, true)]
    [InlineData(300, true)]
    [InlineData(301, false)]
    [InlineData(-300, true)]
    [InlineData(-301, false)]
    public void P55_Message_is_good_for_five_minutes(int later, bool good)
    {
        var secret = Secret(WebhookSecret.NewText());
        var header = WebhookSignature.Of("evt_1", Now, Body, [secret]);
        Assert.Equal(good, WebhookSignature.Verify("evt_1", WebhookSignature.Stamp(Now), header, Body, secret, Now.AddSeconds(later)));
    }

    [Fact]
    public void Anything_that_was_changed_is_noticed()
    {
        var secret = Secret(WebhookSecret.NewText());
        var (stamp, header) = (WebhookSignature.Stamp(Now), WebhookSignature.Of("evt_1", Now, Body, [secret]));
        Assert.False(WebhookSignature.Verify("evt_2", stamp, header, Body, secret, Now));
        Assert.False(WebhookSignature.Verify("evt_1", WebhookSignature.Stamp(Now.AddSeconds(1)), header, Body, secret, Now));
        Assert.False(WebhookSignature.Verify("evt_1", stamp, header, Encoding.UTF8.GetBytes("""{"a":2}"""), secret, Now));
        Assert.False(WebhookSignature.Verify("evt_1", stamp, header.Replace("v1,", "v1a,", StringComparison.Ordinal), Body, secret, Now));
        Assert.False(WebhookSignature.Verify("evt_1", stamp, "", Body, secret, Now));
        Assert.False(WebhookSignature.Verify(null, stamp, header, Body, secret, Now));
        Assert.False(WebhookSignature.Verify("evt_1", "999999999999999999999", header, Body, secret, Now));
        Assert.False(WebhookSignature.Verify("evt_1", "-1", header, Body, secret, Now));
    }

    [Fact]
    public void Id_with_a_full_stop_is_never_signed_since_it_could_be_read_as_another_message()
    {
        var secret = Secret(WebhookSecret.NewText());
        Assert.Throws<ArgumentException>(() => WebhookSignature.Of("evt.1", Now, Body, [secret]));
    }

    [Theory]
    [InlineData("")]
    [InlineData("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    [InlineData("whsec_")]
    [InlineData("whsec_c2hvcnQ=")]
    [InlineData("whsec_not base64 at all, however long it may be")]
    [InlineData("whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    public void What_is_no_secret_is_refused(string text) => Assert.False(WebhookSecret.TryParse(text, out _));

    [Fact]
    public void P56_Secret_prints_as_stars() => Assert.Equal("***", Secret(WebhookSecret.NewText()).ToString());
}
