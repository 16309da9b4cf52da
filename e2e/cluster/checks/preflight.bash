# Sourced by test: what a machine lacks is said in a sentence. Programs that answer otherwise are put first on PATH, files are covered
# in a mount namespace of the check's own.

check_preflight() {
  local ip unshare
  ip=$(command -v ip) unshare=$(command -v unshare)
  check "no root is named" says "needs root" shadow 'id=echo 1000' -- "$here/preflight"
  check "root without CAP_SYS_ADMIN is named" says "no CAP_SYS_ADMIN.*--privileged" setpriv --bounding-set=-sys_admin "$here/preflight"
  check "refused namespaces are named" says "making namespaces is refused" \
    shadow "unshare=[ \"\$1\" != --help ] || exec $unshare --help; exit 1" -- "$here/preflight"
  check "an old util-linux is named" says "2.38 or newer" shadow 'nsenter=exit 0' -- "$here/preflight"
  check "a kernel without overlayfs is named" says "CONFIG_OVERLAY_FS" \
    covered /proc/filesystems shadow 'modprobe=exit 1' -- "$here/preflight"
  check "a kernel without nftables is named" says "CONFIG_NF_TABLES" shadow 'nft=exit 1' 'modprobe=exit 1' -- "$here/preflight"
  check "a kernel without bridges is named" says "CONFIG_BRIDGE" \
    shadow "ip=case \"\$*\" in *bridge) exit 1 ;; esac; exec $ip \"\$@\"" 'modprobe=exit 1' -- "$here/preflight"
  check "a state directory that images cannot be in is named" says "overlayfs.*set PORTOLAN_STATE" \
    shadow 'stat=echo overlayfs' -- "$here/preflight"
  check "a package that cannot be installed is named" says "are missing.*: socat$" lacking socat apt-get -- "$here/preflight"
  check "a missing Go is named" says "Go is not on PATH.*install Go" lacking go -- "$here/../tools/path" crane
  check "an old Go is named" says "needs Go [0-9.]* or newer" \
    shadow 'go=echo go1.20' -- env PORTOLAN_CACHE="$work/empty-cache" "$here/../tools/path" crane
  check "a test run without Go says so" says "no go: install Go" lacking go -- "$clone/.ci/run"
  check "a test run without Rust says so" says "no cargo: install Rust [0-9.]* or newer" lacking cargo -- "$clone/.ci/run"
  check "a test run with an old Rust says so" says "Rust 1.80.0 is too old.* or a newer one" \
    shadow 'rustc=echo "rustc 1.80.0 (today)"' -- "$clone/.ci/run"
}

# says PATTERN COMMAND...: it fails with 1, and its last line matches.
says() {
  local pattern=$1 output status=0
  shift
  output=$("$@" 2>&1) || status=$?
  echo "$output"
  [ $status = 1 ] || { echo "ended with $status"; return 1; }
  tail -n 1 <<< "$output" | grep -q -- "$pattern"
}

# shadow NAME=BODY... -- COMMAND...: with these scripts in place of programs.
shadow() {
  rm -rf "$work/shadow"
  mkdir "$work/shadow"
  while [ "$1" != -- ]; do
    printf '#!/bin/bash\n%s\n' "${1#*=}" > "$work/shadow/${1%%=*}"
    chmod 755 "$work/shadow/${1%%=*}"
    shift
  done
  shift
  PATH=$work/shadow:$PATH "$@"
}

# covered FILE COMMAND...: with an empty file in its place. The command may be a function of here.
covered() {
  local file=$1
  shift
  unshare --mount --propagation private bash -c "$(declare -f shadow); work=$work"'; mount -n --bind /dev/null "$0" && "$@"' "$file" "$@"
}

# lacking PROGRAM... -- COMMAND...: without them wherever they are found.
lacking() {
  local files=()
  while [ "$1" != -- ]; do
    mapfile -t -O ${#files[@]} files < <(PATH=$PATH:/usr/local/go/bin type -aP "$1" | xargs -r -n 1 realpath | sort -u)
    shift
  done
  shift
  mkdir -p "$work/layers"
  unshare --mount --propagation private bash -ec '
    mount -n -t tmpfs layers "$0"
    for file in $1; do
      mkdir -p "$0/upper${file%/*}" "$0/work${file%/*}"
      [ ! -e "$file" ] || mount -n -t overlay -o "lowerdir=${file%/*},upperdir=$0/upper${file%/*},workdir=$0/work${file%/*}" overlay "${file%/*}"
      rm "$file"
    done
    exec "${@:2}"' "$work/layers" "${files[*]}" "$@"
}
