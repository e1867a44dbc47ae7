using System.Buffers.Text;
using Countersign.Identity.Passkeys;

namespace Countersign.Pages.Card;

/// <summary>How this reader could sign an answer with a passkey, on the page that he is on.</summary>
/// <param name="Place">Where passkeys work.</param>
/// <param name="Mine">His passkeys that do, on this page.</param>
/// <param name="Others">Hosts for which he has others.</param>
public sealed record Signing(PasskeyPlace Place, IReadOnlyList<Passkey> Mine, IReadOnlyList<string> Others)
{
    public bool CanSign => Mine.Count > 0;

    /// <summary>Their ids as the script reads them.</summary>
    public string Ids => string.Join(' ', Mine.Select(static p => Base64Url.EncodeToString(p.CredentialId)));

    public static Signing Of(Reader reader, PasskeyPlace place, PasskeyRegistry passkeys)
    {
        var all = passkeys.Of(reader.User.Ref.Id).Where(static p => p.LockedAt is null).ToArray();
        return new Signing(place, all.Where(p => p.RpId == place.RpId).ToArray(), all.Where(p => p.RpId != place.RpId).Select(static p => p.RpId).Distinct(StringComparer.Ordinal).ToArray());
    }
}
