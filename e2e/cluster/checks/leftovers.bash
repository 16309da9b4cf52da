# Sourced by test: what a cluster could leave on the machine.

# snapshot: the machine's network, rules, mounts, settings and files as text, without what changes by itself.
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
  find /run /etc /var/lib /var/log /usr/libexec /opt /dev/shm ~/.kube ~/.config ~/.docker -xdev \
    -not -path '/var/lib/apt/*' -not -path '/var/lib/dpkg/*' -not -path '/var/log/apt/*' 2> /dev/null | sort
}

# belongings NAME: processes, cgroups and files of the cluster of that name.
belongings() {
  local process
  find /sys/fs/cgroup -type d -name "portolan-$1" 2> /dev/null
  ls -d "$state_root/$1" 2> /dev/null
  for process in /proc/[0-9]*; do
    if { tr '\0' '\n' < "$process/cmdline" | grep -qF "$state_root/$1"; } 2> /dev/null ||
      { [ "$process" != "/proc/$$" ] && [[ $(readlink "$process/exe") != */bash ]] &&
        tr '\0' '\n' < "$process/environ" | grep -qxF "PORTOLAN_CLUSTER_NAME=$1" &&
        [[ $(readlink "$process/ns/pid") != $(readlink /proc/self/ns/pid) ]]; } 2> /dev/null; then
      echo "process ${process#/proc/}: $(tr '\0' ' ' < "$process/cmdline" 2> /dev/null)"
    fi
  done
  return 0
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
