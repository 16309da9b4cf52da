# Sourced by build and path: where a tool's programs are kept, and what they are keyed by.

tools=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
cache=${PORTOLAN_CACHE:-${HOME:?HOME is not set; set PORTOLAN_CACHE to a directory for built programs}/.cache/portolan}/tools
common_ldflags="-s -w"

# What a build must not inherit from the caller's Go settings. GOTOOLCHAIN=local: never download a prebuilt Go.
export CGO_ENABLED=0 GOFLAGS="-mod=readonly -buildvcs=false -trimpath" GOTOOLCHAIN=local GOWORK=off GOOS=linux
unset GOEXPERIMENT GOBIN

fail() { echo "$(basename "$0"): $*" >&2; exit 1; }

known_tools() { (cd "$tools" && printf '%s\n' */recipe | sed 's#/recipe##' | tr '\n' ' '); }

# check_names TOOL...: exits 2 with the list of tools when a name is not one of them.
check_names() {
  local tool
  [ $# -gt 0 ] || { echo "usage: $(basename "$0") TOOL...   (tools: $(known_tools))" >&2; exit 2; }
  for tool; do
    [ -f "$tools/$tool/recipe" ] || { echo "$(basename "$0"): no tool '$tool'; there are: $(known_tools)" >&2; exit 2; }
  done
}

# find_go: sets go_version, or says what to install. Go's usual installation directory is tried when PATH has none.
find_go() {
  command -v go > /dev/null || PATH=$PATH:/usr/local/go/bin
  command -v go > /dev/null ||
    fail "Go is not on PATH. Kubernetes and its parts are built from source: install Go 1.26 or newer (https://go.dev/doc/install)."
  go_version=$(cd / && go env GOVERSION)
}

# check_go TOOL: the tool's go.mod states the oldest Go that can build it.
check_go() {
  local wants
  wants=$(sed -n 's/^go //p' "$tools/$1/go.mod")
  [ "$(printf '%s\n' "$wants" "${go_version#go}" | sort -V | head -n 1)" = "$wants" ] ||
    fail "$1 needs Go $wants or newer, but $(command -v go) is ${go_version#go}: install a newer one (https://go.dev/doc/install)."
}

# tool_directory TOOL: the cache directory of this build; another file of the tool, flag or Go version gives another one.
tool_directory() {
  local hash
  hash=$({
    (cd "$tools/$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum)
    echo "$go_version $(uname -m) $CGO_ENABLED $GOFLAGS $common_ldflags"
  } | sha256sum)
  echo "$cache/$1-${hash:0:16}"
}
