using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Countersign.Api;
using Countersign.Core;
using Countersign.Identity.Passkeys;
using Countersign.Reviews;
using Countersign.Terminal;
using Spectre.Console;

namespace Countersign.Commands;

/// <summary>Answers in a file, verified with nothing but it and a public key.</summary>
internal static class ApprovalFile
{
    /// <summary>Largest file, bytes: a review with the longest statements of many people.</summary>
    private const long MaxBytes = 256 << 20;

    public static async Task<int> VerifyAsync(Output output, FileInfo file, FileInfo? keyFile, string? origin, CancellationToken ct)
    {
        try
        {
            var key = keyFile is null ? null : Key(await ReadAsync(keyFile, ct).ConfigureAwait(false)) ?? throw new CommandFailure(Exit.Usage, $"`{keyFile}` holds no public key that is believed (ES256, EdDSA, RS256): give PEM, or an exported `passkey-added` entry");
            // A person copies it out of the browser's bar.
            if (origin is not null) origin = Uri.TryCreate(origin, UriKind.Absolute, out var at) ? at.GetLeftPart(UriPartial.Authority) : throw new CommandFailure(Exit.Usage, "--origin is an address such as `https://countersign.example`");
            var found = Lines(await ReadAsync(file, ct).ConfigureAwait(false));

            // A single entry is judged whatever it is. Of a whole review the answers are, and of those the ones by this key, if there are any.
            var answers = found.Count == 1 ? found : found.Where(static l => Type(l) == "answer").ToArray();
            var by = key is null ? [] : answers.Where(l => l.GetProperty("entry").TryGetProperty("publicKeySha256", out var sha256) && sha256.ToString() == key.Sha256).ToArray();
            if (by.Length > 0) answers = by;
            if (answers.Count == 0) throw new CommandFailure(Exit.Failed, $"`{file}` holds no `answer` entry; write it with `countersign journal export <review>`");
            var proofs = answers.Select(a => ApprovalProof.Of(a, key, origin)).ToArray();
            foreach (var proof in proofs)
            {
                output.Value(new ApprovalVerdict(proof.Holds, proof.Proven, proof.Flaw, proof.Review, proof.Approver, proof.Decision, proof.Time, proof.StatementSha256, proof.PublicKeySha256, proof.Origin), ApiJson.Default.ApprovalVerdict, console =>
                {
                    foreach (var words in proof.Proven) console.MarkupLine($"[green]✓[/] {Shown.Line(words)}");
                    if (proof.Flaw is { } flaw) console.MarkupLine($"[red]✗[/] {Shown.Line(flaw)}");
                    else if (key is null) console.MarkupLine("[yellow]![/] whose key that is, this does not prove: compare its SHA-256 with `publicKeySha256` of the person's `passkey-added` entry, or give --key");
                });
            }

            return proofs.All(static p => p.Holds) ? Exit.Done : Exit.Failed;
        }
        catch (Exception e) when (e is CommandFailure or IOException or UnauthorizedAccessException or JsonException)
        {
            var (code, message) = e switch
            {
                CommandFailure failure => (failure.ExitCode, failure.Message),
                JsonException => (Exit.Failed, $"`{file}` is no exported entry: it is not JSON, one value a line"),
                _ => (Exit.Failed, e.Message),
            };
            output.Failure(null, message);
            return code;
        }
    }

    private static async Task<string> ReadAsync(FileInfo file, CancellationToken ct) => file is { Exists: true, Length: > MaxBytes }
        ? throw new CommandFailure(Exit.Failed, $"`{file}` is too large to be an exported review")
        : await File.ReadAllTextAsync(file.FullName, new UTF8Encoding(false, throwOnInvalidBytes: false), ct).ConfigureAwait(false);

    /// <summary>One value, over however many lines, or one on each.</summary>
    private static IReadOnlyList<JsonElement> Lines(string text)
    {
        var options = new JsonDocumentOptions { AllowDuplicateProperties = false };
        try
        {
            return [JsonElement.Parse(text, options)];
        }
        catch (JsonException)
        {
            return text.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select(l => JsonElement.Parse(l, options)).ToArray();
        }
    }

    private static string? Type(JsonElement line) => line.ValueKind == JsonValueKind.Object && line.TryGetProperty("entry", out var entry) && entry.ValueKind == JsonValueKind.Object && entry.TryGetProperty("type", out var type) ? type.ToString() : null;

    private static PasskeyKey? Key(string text)
    {
        if (PemEncoding.TryFind(text, out var fields) && text[fields.Label] == "PUBLIC KEY") return PasskeyKey.Read(Convert.FromBase64String(text[fields.Base64Data]));
        try
        {
            return Lines(text).FirstOrDefault(static l => Type(l) == "passkey-added") is { ValueKind: JsonValueKind.Object } added
                && added.GetProperty("body").TryGetProperty("publicKey", out var key) && PasskeyAssertion.Bytes(key.GetString(), PasskeyLimits.LongestAuthenticatorData) is { } spki
                    ? PasskeyKey.Read(spki)
                    : null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException)
        {
            return null;
        }
    }
}
