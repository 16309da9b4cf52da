# Sourced by test: what a cluster could leave on the machine.

# snapshot: the machine's network, rules, mounts, settings and files as text, without what changes by itself.
# Of a home directory what Go itself writes below ~/.config does not count.
snapshot() {
  echo "--- links"; ip -o link | sed -E 's/(state|mode|qlen) [^ ]+//g'
  echo "--- addresses"; ip -o addr | awk '{print $2, $3, $4}'
  echo "--- routes"; ip route show table all
  echo "--- nftables"; nft list ruleset 2> /dev/null | sed -E 's/counter packets [0-9]+ bytes [0-9]+//'
  echo "--- iptables"; iptables-save 2> /dev/null | grep -v '^[#:]'
  echo "--- mounts"; awk '{print $5, $9, $10}' /proc/self/mountinfo | sort
  echo "--- host name"; cat /proc/sys/kernel/hostname
  echo "--- settings"
  sysctl -a 2> /dev/null | grep -vE '^(kernel\.(random|pty|ns_last_pid|sched_domain)|fs\.(dentry-state|inode|file-nr|aio-nr|quota)|net\.netfilter\.nf_conntrack_count|vm\.stat|user\.)'
  echo "--- files"
  find /run /etc /var/lib /var/log /usr/libexec /opt /dev/shm "$HOME" -xdev -not -path '/var/lib/apt/*' \
    -not -path '/var/lib/dpkg/*' -not -path '/var/log/apt/*' -not -path "$HOME/.config" -not -path "$HOME/.config/go*" 2> /dev/null | sort
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

machine_unchanged() {
  snapshot > "$work/after"
  diff "$work/before" "$work/after"
}
