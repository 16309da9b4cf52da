# Sourced by test: what a cluster could leave on the machine.

# snapshot FILE: the machine's network, rules, mounts and settings as text in FILE, and in FILE.files what files there are, both without
# what changes by itself. Of a home directory what Go itself writes below ~/.config does not count, of mounts those in the state of
# other clusters and in other people's temporary directories.
snapshot() {
  {
    echo "--- links"; ip -o link | sed -E 's/(state|mode|qlen) [^ ]+//g'
    echo "--- addresses"; ip -o addr | awk '{print $2, $3, $4}'
    echo "--- routes"; ip route show table all
    echo "--- nftables"; nft list ruleset 2> /dev/null | sed -E 's/counter packets [0-9]+ bytes [0-9]+//'
    echo "--- iptables"; iptables-save 2> /dev/null | grep -v '^[#:]'
    echo "--- mounts"; awk '{print $5, $9, $10}' /proc/self/mountinfo | sort | not_of_others
    echo "--- host name"; cat /proc/sys/kernel/hostname
    echo "--- settings"
    sysctl -a 2> /dev/null | grep -vE '^(kernel\.(random|pty|ns_last_pid|sched_domain)|fs\.(dentry-state|inode|file-nr|aio-nr|quota)|net\.netfilter\.nf_conntrack_count|vm\.stat|user\.)'
  } > "$1"
  find /run /etc /var/lib /var/log /usr/libexec /opt /dev/shm "$HOME" -xdev -not -path '/var/lib/apt/*' \
    -not -path '/var/lib/dpkg/*' -not -path '/var/log/apt/*' -not -path "$HOME/.config" -not -path "$HOME/.config/go*" 2> /dev/null |
    not_of_others | LC_ALL=C sort > "$1.files"
}

# not_of_others: a filter of lines that begin with a path. Others work on this machine too, with clusters, temporary files and
# shared memory of their own: there, only what has a name of ours counts.
not_of_others() {
  awk -v names="${names[*]}" -v state="$state_root/" -v work="$work" '
    BEGIN { count = split(names, ours, " ") }
    {
      if (index($0, work) == 1) { print; next }
      shared = index($0, state) == 1 || /^\/(dev\/shm|tmp|var\/tmp|run\/user)\// || /^\/run(\/lock)?\/\.?tmp[^\/]*/
      if (!shared) { print; next }
      for (each = 1; each <= count; each++) if (index($0, ours[each])) { print; next }
    }'
}

# belongings NAME: processes, cgroups and files of the cluster of that name. Pods' processes are in its cgroups; the others name
# its state in their arguments, or have its environment and are in another pid namespace than this one.
belongings() {
  local file process own namespace
  own=$(readlink /proc/self/ns/pid)
  find /sys/fs/cgroup -type d -name "portolan-$1" 2> /dev/null
  ls -d "$state_root/$1" 2> /dev/null
  {
    grep -slF -f - /proc/[0-9]*/cmdline <<< "$state_root/$1"
    for file in $(grep -slzxF -f - /proc/[0-9]*/environ <<< "PORTOLAN_CLUSTER_NAME=$1"); do
      namespace=$(readlink "${file%/*}/ns/pid") || continue      # it has ended meanwhile
      [ "$namespace" = "$own" ] || echo "$file"
    done
  } | while read -r file; do
    process=${file%/*}
    [ ! -e "$process" ] || echo "process ${process#/proc/}: $(tr '\0' ' ' < "$process/cmdline")"
  done | sort -u
}

# nothing_left NAME...: fails, and shows what there is.
nothing_left() {
  local each found result=0
  for each; do
    found=$(belongings "$each")
    [ -z "$found" ] || { echo "of cluster $each there is still:"; echo "$found"; result=1; }
  done
  return $result
}

# machine_unchanged [BEFORE]: the machine is as it was at that snapshot, but for files that others have removed meanwhile.
machine_unchanged() {
  local before=${1:-$work/before}
  snapshot "$work/after"
  LC_ALL=C comm -13 "$before.files" "$work/after.files" > "$work/added"
  diff "$before" "$work/after" && [ ! -s "$work/added" ] || { cat "$work/added"; return 1; }
}

# leftovers_are_seen: each kind of thing that a cluster could leave makes machine_unchanged fail, and what others do beside it does
# not. In namespaces with directories of their own, so that this machine never has them.
leftovers_are_seen() {
  unshare --mount --net --uts --propagation private bash -c '
    . "$0"
    names=('"${names[*]}"') work=$1 state_root=/var/lib/state
    for directory in /run /dev/shm /var/lib; do mount -n -t tmpfs tmpfs "$directory" || exit 1; done
    mkdir /dev/shm/upper /dev/shm/work
    mount -n -t overlay -o lowerdir=/etc,upperdir=/dev/shm/upper,workdir=/dev/shm/work overlay /etc || exit 1
    ip link set lo up
    seen() { # WHAT COMMAND...
      snapshot "$work/first"
      eval "$2" || { echo "cannot be tried: $1"; exit 1; }
      ! machine_unchanged "$work/first" > /dev/null || { echo "not seen: $1"; exit 1; }
    }
    beside() { # WHAT COMMAND
      snapshot "$work/first"
      eval "$2" || { echo "cannot be tried: $1"; exit 1; }
      machine_unchanged "$work/first" || { echo "counted: $1"; exit 1; }
    }
    seen "a link" "ip link add left0 type bridge"
    seen "a link that is gone" "ip link del left0"
    seen "an address" "ip address add 198.51.100.9/32 dev lo"
    seen "a route" "ip route add 198.18.0.0/16 dev lo"
    seen "a rule" "nft add table inet left"
    seen "a mount" "mkdir /run/netns && mount -n -t tmpfs left /run/netns"
    seen "a mount of our state" "mkdir -p $state_root/${names[0]} && mount -n -t tmpfs left $state_root/${names[0]}"
    seen "a host name" "hostname left"
    seen "a setting" "sysctl -q -w net.ipv4.conf.lo.route_localnet=1"
    seen "a file in /run" "touch /run/left.sock"
    seen "a directory in /var/lib" "mkdir /var/lib/kubelet"
    seen "a file in /etc" "touch /etc/left"
    seen "shared memory" "touch /dev/shm/portolan-${names[0]}"
    seen "a file in the home directory" "touch \"\$HOME/left\""
    rm "$HOME/left"
    beside "shared memory of others that comes" "mkdir /dev/shm/.tmpABCDEF"
    beside "shared memory of others that goes" "rmdir /dev/shm/.tmpABCDEF"
    beside "a temporary file of others" "touch /run/.tmpABCDEF"
    beside "a file of others that goes" "rm /run/left.sock"
    beside "a mount of another cluster" "mkdir -p $state_root/another && mount -n -t tmpfs another $state_root/another"
  ' "$here/checks/leftovers.bash" "$work"
}
