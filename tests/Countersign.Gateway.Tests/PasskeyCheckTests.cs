using System.Formats.Cbor;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Countersign.Identity.Passkeys;
using Countersign.Tests.Passkeys;

namespace Countersign.Gateway.Tests;

/// <summary>What an authenticator gives is judged by its bytes alone.</summary>
public sealed class PasskeyCheckTests
{
    private static readonly byte[] Challenge = SHA256.HashData("a statement"u8);

    private static PasskeyFault Check(PasskeyAssertion assertion, TestAuthenticator by, byte[]? challenge = null) =>
        PasskeyChecks.Check(assertion, PasskeyKey.Read(by.Spki)!, challenge ?? Challenge, "localhost", static o => o == "http://localhost:8080", out _);

    private static PasskeyFault CheckNew((byte[] Client, byte[] Attestation) made, byte[]? challenge = null) =>
        PasskeyChecks.CheckNew(made.Client, made.Attestation, challenge ?? Challenge, "localhost", static o => o == "http://localhost:8080", out _);

    private sealed record Vector(string Name, Ceremony Registration, Ceremony Authentication);

    private sealed record Ceremony(string Challenge, string ClientData, string? Attestation, string? AuthenticatorData, string? Signature);

    private static readonly Dictionary<string, Vector> Vectors = JsonSerializer.Deserialize<Vector[]>(
        File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "webauthn-vectors.json")), JsonSerializerOptions.Web)!.ToDictionary(static v => v.Name);

    [Theory]
    [InlineData("none-es256", PasskeyFault.NotVerified, PasskeyFault.NotVerified)]
    [InlineData("packed-self-es256", null, PasskeyFault.NotVerified)]
    [InlineData("none-es256-crossOrigin", PasskeyFault.Embedded, PasskeyFault.Embedded)]
    [InlineData("none-es256-topOrigin", PasskeyFault.Embedded, PasskeyFault.Embedded)]
    [InlineData("none-es256-long-credential-id", null, PasskeyFault.None)]
    [InlineData("packed-rs256", null, PasskeyFault.NotVerified)]
    [InlineData("packed-eddsa", null, PasskeyFault.NotVerified)]
    [InlineData("fido-u2f-es256", PasskeyFault.NotVerified, PasskeyFault.NotVerified)]
    [InlineData("apple-es256", null, PasskeyFault.NotVerified)]
    [InlineData("packed-es384", PasskeyFault.Algorithm, null)]
    [InlineData("packed-ed448", PasskeyFault.Algorithm, null)]
    public void Test_vectors_of_the_standard_are_judged_as_their_bytes_say(string name, PasskeyFault? registering, PasskeyFault? signing)
    {
        static byte[] Hex(string? hex) => Convert.FromHexString(hex!);
        var v = Vectors[name];
        var said = PasskeyChecks.CheckNew(Hex(v.Registration.ClientData), Hex(v.Registration.Attestation), Hex(v.Registration.Challenge), "example.org", static o => o == "https://example.org", out var made);

        // Not all of them verify their person; what is wrong else they say, or nothing is.
        if (registering is { } wanted) Assert.True(said == wanted || said == PasskeyFault.NotVerified, said.ToString());
        else Assert.Contains(said, new[] { PasskeyFault.None, PasskeyFault.NotVerified });
        if (signing is not { } fault) return;

        // The key is read out of the attestation whatever is wrong with it.
        var key = made?.Key ?? KeyOf(Hex(v.Registration.Attestation));
        var assertion = new PasskeyAssertion([1], Hex(v.Authentication.AuthenticatorData), Hex(v.Authentication.ClientData), Hex(v.Authentication.Signature));
        Assert.True(key.Verifies([.. assertion.AuthenticatorData, .. SHA256.HashData(assertion.ClientData)], assertion.Signature));
        Assert.Equal(fault, PasskeyChecks.Check(assertion, key, Hex(v.Authentication.Challenge), "example.org", static o => o == "https://example.org", out _));
    }

    private static PasskeyKey KeyOf(byte[] attestation)
    {
        // The same bytes with the flag that its person was verified, on a page that nobody embeds: nothing of it is signed.
        var reader = new CborReader(attestation);
        reader.ReadStartMap();
        while (reader.ReadTextString() != "authData") reader.SkipValue();
        var data = reader.ReadByteString();
        data[32] |= TestAuthenticator.Verified;
        var writer = new CborWriter();
        writer.WriteStartMap(1);
        writer.WriteTextString("authData");
        writer.WriteByteString(data);
        writer.WriteEndMap();
        var page = TestAuthenticator.Es256();
        page.Origin = "https://example.org";
        Assert.Equal(PasskeyFault.None, PasskeyChecks.CheckNew(page.ClientData("webauthn.create", Challenge), writer.Encode(), Challenge, "example.org", static o => o == "https://example.org", out var made));
        return made!.Key;
    }

    [Theory]
    [InlineData(PasskeyAlgorithm.Es256)]
    [InlineData(PasskeyAlgorithm.Rs256)]
    [InlineData(PasskeyAlgorithm.EdDsa)]
    public void What_was_made_verifies_and_every_flipped_bit_of_it_is_refused(PasskeyAlgorithm algorithm)
    {
        var by = TestAuthenticator.Make(algorithm);
        var good = by.Get(Challenge);
        Assert.Equal(PasskeyFault.None, CheckNew(by.Create(Challenge)));
        Assert.Equal(PasskeyFault.None, Check(good, by));
        Assert.Equal(algorithm, PasskeyKey.Read(by.Spki)!.Algorithm);
        foreach (var (bytes, with) in new (byte[], Func<byte[], PasskeyAssertion>)[]
        {
            (good.AuthenticatorData, b => good with { AuthenticatorData = b }), (good.ClientData, b => good with { ClientData = b }), (good.Signature, b => good with { Signature = b }),
        })
        {
            for (var i = 0; i < bytes.Length; i++)
            {
                for (var bit = 0; bit < 8; bit++)
                {
                    var flipped = bytes.ToArray();
                    flipped[i] ^= (byte)(1 << bit);
                    Assert.NotEqual(PasskeyFault.None, Check(with(flipped), by));
                }

                Assert.NotEqual(PasskeyFault.None, Check(with([.. bytes[..i], .. bytes[(i + 1)..]]), by));
            }

            Assert.NotEqual(PasskeyFault.None, Check(with([]), by));
            Assert.NotEqual(PasskeyFault.None, Check(with([.. bytes, 0]), by));
        }

        Assert.Equal(PasskeyFault.Signature, Check(good, TestAuthenticator.Make(algorithm)));
        Assert.Equal(PasskeyFault.Challenge, Check(good, by, SHA256.HashData("another statement"u8)));
    }

    [Fact]
    public void P35_a_registration_is_no_assertion_and_an_assertion_no_registration()
    {
        var by = TestAuthenticator.Es256();
        Assert.Equal(PasskeyFault.Type, Check(by.Get(Challenge, "webauthn.create"), by));
        Assert.Equal(PasskeyFault.Type, Check(by.Get(Challenge, "payment.get"), by));
        Assert.Equal(PasskeyFault.Type, CheckNew(by.Create(Challenge, "webauthn.get")));

        // An authenticator makes no key while it signs, whatever the page says that was asked.
        Assert.Equal(PasskeyFault.Malformed, Check(by.Get(Challenge, data: by.AuthenticatorData(attested: true)), by));
    }

    [Theory]
    [InlineData("http://localhost:9999", PasskeyFault.Origin)]
    [InlineData("https://localhost:8080", PasskeyFault.Origin)]
    [InlineData("http://localhost:8080.evil.example", PasskeyFault.Origin)]
    [InlineData("http://localhost:8080@evil.example", PasskeyFault.Origin)]
    [InlineData("http://LOCALHOST:8080", PasskeyFault.Origin)]
    [InlineData("http://localhost:8080/", PasskeyFault.Origin)]
    [InlineData("https://evil.example", PasskeyFault.Origin)]
    [InlineData("http://127.0.0.1:8080", PasskeyFault.Origin)]
    [InlineData("android:apk-key-hash:x", PasskeyFault.Origin)]
    [InlineData("", PasskeyFault.Origin)]
    public void P35_what_was_signed_on_another_page_is_refused(string origin, PasskeyFault fault)
    {
        var by = TestAuthenticator.Es256();
        by.Origin = origin;
        Assert.Equal(fault, Check(by.Get(Challenge), by));
        Assert.Equal(fault, CheckNew(by.Create(Challenge)));
    }

    [Fact]
    public void P35_what_is_for_another_site_or_embedded_is_refused()
    {
        var by = TestAuthenticator.Es256();
        by.RpId = "evil.example";
        Assert.Equal(PasskeyFault.RelyingParty, Check(by.Get(Challenge), by));
        Assert.Equal(PasskeyFault.RelyingParty, CheckNew(by.Create(Challenge)));
        by.RpId = "localhost";
        by.CrossOrigin = true;
        Assert.Equal(PasskeyFault.Embedded, Check(by.Get(Challenge), by));
        by.CrossOrigin = null; // older browsers say nothing
        Assert.Equal(PasskeyFault.None, Check(by.Get(Challenge), by));
    }

    [Theory]
    [InlineData(0, PasskeyFault.NotPresent)]
    [InlineData(TestAuthenticator.Present, PasskeyFault.NotVerified)]
    [InlineData(TestAuthenticator.Verified, PasskeyFault.NotPresent)]
    [InlineData(TestAuthenticator.Present | TestAuthenticator.Verified | TestAuthenticator.BackedUp, PasskeyFault.Malformed)]
    [InlineData(TestAuthenticator.Present | TestAuthenticator.Verified | 0x02, PasskeyFault.Malformed)]
    [InlineData(TestAuthenticator.Present | TestAuthenticator.Verified | TestAuthenticator.Attested, PasskeyFault.Malformed)]
    [InlineData(TestAuthenticator.Present | TestAuthenticator.Verified | TestAuthenticator.Extensions, PasskeyFault.Malformed)]
    [InlineData(TestAuthenticator.Present | TestAuthenticator.Verified | TestAuthenticator.BackupEligible | TestAuthenticator.BackedUp, PasskeyFault.None)]
    public void Flags_are_taken_at_their_word(byte flags, PasskeyFault fault)
    {
        var by = TestAuthenticator.Es256();
        by.Flags = flags;
        Assert.Equal(fault, Check(by.Get(Challenge), by));
    }

    [Fact]
    public void Every_byte_of_the_authenticator_data_is_accounted_for()
    {
        var by = TestAuthenticator.Es256();
        Assert.Equal(PasskeyFault.Malformed, Check(by.Get(Challenge, data: by.AuthenticatorData(tail: [0])), by));
        by.Flags |= TestAuthenticator.Extensions;
        Assert.Equal(PasskeyFault.None, Check(by.Get(Challenge, data: by.AuthenticatorData(tail: [0xa0])), by));
        foreach (var tail in new byte[][] { [0xa0, 0], [0x80], [0xa1, 0x01], [0xff] }) Assert.Equal(PasskeyFault.Malformed, Check(by.Get(Challenge, data: by.AuthenticatorData(tail: tail)), by));
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{\"type\":\"webauthn.get\",\"challenge\":1,\"origin\":\"x\"}")]
    [InlineData("{\"type\":\"webauthn.get\",\"type\":\"webauthn.get\",\"challenge\":\"a\",\"origin\":\"x\"}")]
    [InlineData("{\"type\":\"webauthn.get\",\"challenge\":\"a\",\"origin\":\"x\"} ,")]
    public void Client_data_that_two_readers_could_read_differently_is_malformed(string json)
    {
        var by = TestAuthenticator.Es256();
        Assert.Equal(PasskeyFault.Malformed, Check(by.Get(Challenge) with { ClientData = Encoding.UTF8.GetBytes(json) }, by));
    }

    [Fact]
    public void Keys_that_are_weak_or_of_no_believed_algorithm_are_none()
    {
        Assert.Equal(PasskeyFault.Algorithm, CheckNew(TestAuthenticator.Rs256(1024).Create(Challenge)));
        Assert.Null(PasskeyKey.Read(TestAuthenticator.Rs256(1024).Spki));
        using var p384 = ECDsa.Create(ECCurve.NamedCurves.nistP384);
        Assert.Null(PasskeyKey.Read(p384.ExportSubjectPublicKeyInfo()));
        var p256 = TestAuthenticator.Es256().Spki;
        p256[^1] ^= 1; // a point beside the curve
        Assert.Null(PasskeyKey.Read(p256));
        Assert.Null(PasskeyKey.Read([]));
        foreach (var spki in new[] { TestAuthenticator.Es256().Spki, TestAuthenticator.EdDsa().Spki, TestAuthenticator.Rs256(2048).Spki })
        {
            Assert.NotNull(PasskeyKey.Read(spki));
            Assert.Null(PasskeyKey.Read([.. spki, 0]));
            Assert.Null(PasskeyKey.Read(spki.AsSpan(0, spki.Length - 1)));
        }
    }

    [Fact]
    public void Registration_of_any_shape_never_throws()
    {
        var (client, attestation) = TestAuthenticator.Es256().Create(Challenge);
        for (var i = 0; i < attestation.Length; i++)
        {
            CheckNew((client, attestation[..i]));
            var changed = attestation.ToArray();
            changed[i] ^= 0xff;
            CheckNew((client, changed));
            CheckNew((client, [.. attestation[..i], 0x9f, .. attestation[i..]]));
        }
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("AA==")]
    [InlineData("AB")] // its last bits are not zero
    [InlineData("A+/_")]
    [InlineData("AA AA")]
    public void Only_one_spelling_of_bytes_is_read(string? text)
    {
        Assert.Null(PasskeyAssertion.Of("AAAA", "AAAA", "AAAA", text));
        Assert.NotNull(PasskeyAssertion.Of("AAAA", "AAAA", "AAAA", "AA"));
    }
}
