using System.Text;
using CsCheck;

namespace Countersign.PgWire.Tests;

public sealed class ScramTests
{
    // RFC 7677 §3.
    const string ClientNonce = "rOprNGfwEbeRWgbNEkqO";
    const string ServerNonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const string ClientFirst = "n,,n=user,r=" + ClientNonce;
    const string ServerFirst = "r=" + ClientNonce + ServerNonce + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const string ClientFinal = "c=biws,r=" + ClientNonce + ServerNonce + ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    const string ServerFinal = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
    static readonly byte[] Salt = Convert.FromBase64String("W22ZaJ0SNY7soEsUEjb6gQ==");
    static readonly PgWireLimits Limits = PgWireLimits.Default;

    static byte[] B(string text) => Encoding.UTF8.GetBytes(text);

    static string S(byte[] bytes) => Encoding.UTF8.GetString(bytes);

    static ScramVerifier Verifier(params string[] keys) => new(Salt, 4096, [.. keys.Select(k => ScramKeys.Derive(k, Salt, 4096))]);

    static ScramServer Server(params string[] keys) => new(Verifier(keys), ServerNonce);

    static ScramServer Challenged(params string[] keys)
    {
        var server = Server(keys);
        Assert.True(server.TryFirst(B(ClientFirst), out _, out _));
        return server;
    }

    [Fact]
    public void Server_agrees_with_the_vector_of_rfc_7677()
    {
        var server = Server("pencil");
        Assert.True(server.TryFirst(B(ClientFirst), out byte[] challenge, out _));
        Assert.Equal(ServerFirst, S(challenge));
        Assert.True(server.TryFinal(B(ClientFinal), out byte[] signature, out _));
        Assert.Equal(ServerFinal, S(signature));
        Assert.Equal(0, server.MatchedCandidate);
    }

    [Fact]
    public void Client_agrees_with_the_vector_of_rfc_7677()
    {
        var client = new ScramClient("pencil", "user", ClientNonce, Limits);
        Assert.True(client.TryFirst(out byte[] first));
        Assert.Equal(ClientFirst, S(first));
        Assert.True(client.TryChallenge(B(ServerFirst), out byte[] proof, out _));
        Assert.Equal(ClientFinal, S(proof));
        Assert.False(client.IsDone);
        Assert.True(client.TryFinish(B(ServerFinal), out _));
        Assert.True(client.IsDone);
    }

    [Theory]
    [InlineData("first", 0)]
    [InlineData("second", 1)]
    [InlineData("third", 2)]
    public void Server_accepts_any_of_several_keys_and_signs_with_the_one_proved(string key, int index)
    {
        var server = new ScramServer(Verifier("first", "second", "third"), new byte[18]);
        var client = new ScramClient(key, new byte[18], Limits);
        client.TryFirst(out byte[] first);
        Assert.True(server.TryFirst(first, out byte[] challenge, out _));
        Assert.True(client.TryChallenge(challenge, out byte[] proof, out _));
        Assert.True(server.TryFinal(proof, out byte[] signature, out _));
        Assert.Equal(index, server.MatchedCandidate);
        Assert.True(client.TryFinish(signature, out _));
    }

    [Fact]
    public void Server_accepts_the_last_of_more_keys_than_the_least_rounds()
    {
        string[] keys = [.. Enumerable.Range(0, ScramVerifier.LeastRounds + 2).Select(i => $"key{i}")];
        var server = new ScramServer(Verifier(keys), new byte[18]);
        var client = new ScramClient(keys[^1], new byte[18], Limits);
        client.TryFirst(out byte[] first);
        server.TryFirst(first, out byte[] challenge, out _);
        client.TryChallenge(challenge, out byte[] proof, out _);
        Assert.True(server.TryFinal(proof, out _, out _));
        Assert.Equal(keys.Length - 1, server.MatchedCandidate);
    }

    [Fact]
    public void Server_refuses_a_wrong_key_without_a_signature()
    {
        var server = Challenged("another", "and another");
        Assert.False(server.TryFinal(B(ClientFinal), out byte[] signature, out var failure));
        Assert.Equal(ScramFailure.WrongProof, failure);
        Assert.Empty(signature);
        Assert.Equal(-1, server.MatchedCandidate);
    }

    [Fact]
    public void Server_with_a_mock_verifier_goes_the_same_way_and_never_succeeds()
    {
        byte[] secret = [.. Enumerable.Range(0, 32).Select(i => (byte)i)];
        var mock = ScramVerifier.Mock(secret, "nobody", 4096);
        Assert.Equal(mock.Salt.ToArray(), ScramVerifier.Mock(secret, "nobody", 4096).Salt.ToArray());
        Assert.NotEqual(mock.Salt.ToArray(), ScramVerifier.Mock(secret, "somebody", 4096).Salt.ToArray());
        Gen.String.Select(p => p.Replace("\0", "")).Sample(password =>
        {
            var server = new ScramServer(mock, new byte[18]);
            var client = new ScramClient(password, new byte[18], Limits);
            client.TryFirst(out byte[] first);
            Assert.True(server.TryFirst(first, out byte[] challenge, out _));
            Assert.Matches("^r=[^,]+,s=[A-Za-z0-9+/]{22}==,i=4096$", S(challenge));
            Assert.True(client.TryChallenge(challenge, out byte[] proof, out _));
            Assert.False(server.TryFinal(proof, out _, out var failure));
            Assert.Equal(ScramFailure.WrongProof, failure);
        }, iter: 20);
    }

    [Fact]
    public void Server_with_a_mock_verifier_refuses_the_proof_that_fits_its_dummy()
    {
        // The dummy StoredKey is all zero: a client that knows so could try to make a proof for it.
        var server = new ScramServer(new ScramVerifier(Salt, 4096, []), ServerNonce);
        server.TryFirst(B(ClientFirst), out _, out _);
        string withoutProof = "c=biws,r=" + ClientNonce + ServerNonce;
        byte[] proof = System.Security.Cryptography.HMACSHA256.HashData(new byte[32], B($"{ClientFirst[3..]},{ServerFirst},{withoutProof}"));
        Assert.False(server.TryFinal(B($"{withoutProof},p={Convert.ToBase64String(proof)}"), out _, out var failure));
        Assert.Equal(ScramFailure.WrongProof, failure);
    }

    [Theory]
    [InlineData("n,,n=,r=abc", ScramFailure.None)]
    [InlineData("y,,n=,r=abc", ScramFailure.None)]
    [InlineData("n,,n=,r=abc,x=later", ScramFailure.None)]
    [InlineData("p=tls-server-end-point,,n=,r=abc", ScramFailure.ChannelBindingNotOffered)]
    [InlineData("n,a=root,n=,r=abc", ScramFailure.AuthorizationIdentity)]
    [InlineData("n,,m=must,n=,r=abc", ScramFailure.MandatoryExtension)]
    [InlineData("z,,n=,r=abc", ScramFailure.Malformed)]
    [InlineData("n,n=,r=abc", ScramFailure.Malformed)]
    [InlineData("n,,r=abc,n=", ScramFailure.Malformed)]
    [InlineData("n,,n=", ScramFailure.Malformed)]
    [InlineData("n,,n=,r=", ScramFailure.Malformed)]
    [InlineData("n,,n=,r=a b", ScramFailure.Malformed)]
    [InlineData("n,,n=,r=abc,", ScramFailure.Malformed)]
    [InlineData("n,,n=,r=abc,1=x", ScramFailure.Malformed)]
    [InlineData("n,", ScramFailure.Malformed)]
    [InlineData("", ScramFailure.Malformed)]
    public void Server_first_message_is_strict(string message, ScramFailure expected)
    {
        Assert.Equal(expected == ScramFailure.None, Server("pencil").TryFirst(B(message), out _, out var failure));
        Assert.Equal(expected, failure);
    }

    [Theory]
    [InlineData("c=eSws,r=%N,p=%P", ScramFailure.ChannelBindingMismatch)]
    [InlineData("c=biws,r=%Nx,p=%P", ScramFailure.NonceMismatch)]
    [InlineData("c=biws,r=" + ClientNonce + ",p=%P", ScramFailure.NonceMismatch)]
    [InlineData("c=biws,r=%N", ScramFailure.Malformed)]
    [InlineData("c=biws,r=%N,p=", ScramFailure.Malformed)]
    [InlineData("c=biws,r=%N,p=AAAA", ScramFailure.Malformed)]
    [InlineData("c=biws,r=%N,p= %P", ScramFailure.Malformed)]
    [InlineData("c=biws,r=%N,,p=%P", ScramFailure.Malformed)]
    [InlineData("r=%N,c=biws,p=%P", ScramFailure.Malformed)]
    [InlineData("c=biws,r=%N,x=1,p=%P", ScramFailure.WrongProof)]
    public void Server_final_message_is_strict(string message, ScramFailure expected)
    {
        message = message.Replace("%N", ClientNonce + ServerNonce).Replace("%P", "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        Assert.False(Challenged("pencil").TryFinal(B(message), out _, out var failure));
        Assert.Equal(expected, failure);
    }

    [Fact]
    public void Server_exchange_cannot_be_repeated()
    {
        var server = Challenged("pencil");
        Assert.False(server.TryFirst(B(ClientFirst), out _, out var failure));
        Assert.Equal(ScramFailure.OutOfOrder, failure);
        Assert.False(server.TryFinal(B(ClientFinal), out _, out failure));
        Assert.Equal(ScramFailure.OutOfOrder, failure);

        server = Challenged("pencil");
        Assert.True(server.TryFinal(B(ClientFinal), out _, out _));
        Assert.False(server.TryFinal(B(ClientFinal), out _, out failure));
        Assert.Equal(ScramFailure.OutOfOrder, failure);
        Assert.False(Server("pencil").TryFinal(B(ClientFinal), out _, out _));
    }

    [Fact]
    public void Server_binds_the_proof_to_the_flag_of_the_first_message()
    {
        var server = Server("pencil");
        Assert.True(server.TryFirst(B("y" + ClientFirst[1..]), out _, out _));
        Assert.False(server.TryFinal(B(ClientFinal), out _, out var failure));
        Assert.Equal(ScramFailure.ChannelBindingMismatch, failure);
    }

    [Theory]
    [InlineData("r=%C,s=AAAA,i=4096", ScramFailure.NonceMismatch)]
    [InlineData("r=other%S,s=AAAA,i=4096", ScramFailure.NonceMismatch)]
    [InlineData("r=%C%S,s=AAAA,i=1000001", ScramFailure.TooManyIterations)]
    [InlineData("r=%C%S,s=AAAA,i=99999999999999999999", ScramFailure.TooManyIterations)]
    [InlineData("r=%C%S,s=AAAA,i=4095", ScramFailure.TooFewIterations)]
    [InlineData("r=%C%S,s=AAAA,i=1", ScramFailure.TooFewIterations)]
    [InlineData("r=%C%S,s=AAAA,i=0", ScramFailure.Malformed)]
    [InlineData("r=%C%S,s=AAAA,i=-1", ScramFailure.Malformed)]
    [InlineData("r=%C%S,s=AAAA,i=04096", ScramFailure.Malformed)]
    [InlineData("r=%C%S,s=AAAA,i=4096x", ScramFailure.Malformed)]
    [InlineData("r=%C%S,s=,i=4096", ScramFailure.Malformed)]
    [InlineData("r=%C%S,s=A,i=4096", ScramFailure.Malformed)]
    [InlineData("r=%C%S,s=AAAA", ScramFailure.Malformed)]
    [InlineData("m=x,r=%C%S,s=AAAA,i=4096", ScramFailure.MandatoryExtension)]
    [InlineData("e=other-error", ScramFailure.ServerError)]
    [InlineData("", ScramFailure.Malformed)]
    public void P14_Client_refuses_a_challenge_out_of_bounds_before_any_hashing(string challenge, ScramFailure expected)
    {
        var client = new ScramClient("pencil", "user", ClientNonce, Limits);
        client.TryFirst(out _);
        challenge = challenge.Replace("%C", ClientNonce).Replace("%S", ServerNonce);
        Assert.False(client.TryChallenge(B(challenge), out byte[] proof, out var failure));
        Assert.Equal(expected, failure);
        Assert.Empty(proof);
    }

    [Theory]
    [InlineData("v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", ScramFailure.WrongServerSignature)]
    [InlineData("v=AAAA", ScramFailure.WrongServerSignature)]
    [InlineData("v=", ScramFailure.WrongServerSignature)]
    [InlineData("e=invalid-proof", ScramFailure.ServerError)]
    [InlineData("", ScramFailure.Malformed)]
    [InlineData("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4= ", ScramFailure.Malformed)]
    public void P35_Client_refuses_a_server_that_cannot_sign(string final, ScramFailure expected)
    {
        var client = new ScramClient("pencil", "user", ClientNonce, Limits);
        client.TryFirst(out _);
        client.TryChallenge(B(ServerFirst), out _, out _);
        Assert.False(client.TryFinish(B(final), out var failure));
        Assert.Equal(expected, failure);
        Assert.False(client.IsDone);
        Assert.False(client.TryFinish(B(ServerFinal), out failure));
        Assert.Equal(ScramFailure.OutOfOrder, failure);
    }

    [Fact]
    public void P35_Client_skipping_the_proof_never_finishes()
    {
        var client = new ScramClient("pencil", "user", ClientNonce, Limits);
        client.TryFirst(out _);
        Assert.False(client.TryFinish("v="u8, out var failure));
        Assert.Equal(ScramFailure.OutOfOrder, failure);
    }

    [Fact]
    public void Nonce_of_too_few_random_bytes_is_a_bug()
    {
        Assert.Throws<ArgumentException>(() => new ScramClient("x", new byte[17], Limits));
        Assert.Throws<ArgumentException>(() => new ScramServer(Verifier(), new byte[17]));
        Assert.Throws<ArgumentException>(() => ScramVerifier.Mock(new byte[31], "x", 4096));
        Assert.Throws<ArgumentException>(() => new ScramVerifier(Salt, 4096, [new ScramKeys(new byte[31], new byte[32])]));
    }

    [Theory]
    [InlineData("pencil\t~", "pencil\t~")]
    [InlineData("I\u00ADX", "IX")]
    [InlineData("a\u00A0ä", "a ä")]
    [InlineData("\u0627\u0031\u00AD", "\u0627\u0031\u00AD")]
    [InlineData("\u0007é\u00AD", "\u0007é\u00AD")]
    [InlineData("\u00AD", "\u00AD")]
    [InlineData("\u0627\u00AD\u0628", "\u0627\u0628")]
    public void Password_is_prepared_as_postgresql_does(string password, string expected) =>
        Assert.Equal(expected, S(SaslPrep.Prepare(password)));

    [Fact]
    public void Md5_answer_is_what_postgresql_expects() =>
        // printf pencilbot | md5sum, then md5sum of that with the salt appended.
        Assert.Equal("md57ee553b00fbe5159c2220fbadbe0c6ab", PasswordAnswer.Md5("bot", "pencil", [1, 2, 3, 4]));

    [Fact]
    public void I8_Cleartext_answer_is_given_over_tls_only()
    {
        Assert.False(PasswordAnswer.TryCleartext("hunter2", channelIsTls: false, out string answer));
        Assert.Equal("", answer);
        Assert.True(PasswordAnswer.TryCleartext("hunter2", channelIsTls: true, out answer));
        Assert.Equal("hunter2", answer);
    }

    [Fact]
    public void P56_Keys_do_not_print_themselves() => Assert.Equal("ScramKeys (withheld)", ScramKeys.Derive("x", Salt, 1).ToString());
}
