# Sourced by every command here: the cluster's name, where its state is, its addresses. Reads the environment, writes nothing.

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
clone=$(realpath "$here/../..")
program=$(basename "$0")
PATH=$PATH:/usr/sbin:/sbin                 # root by `su` has them not

fail() { echo "$program: $*" >&2; exit 1; }
usage() { echo "usage: $*" >&2; exit 2; }

# Two clones can run one cluster each: the name comes from the clone's real path.
derived=$(printf %s "$clone" | sha256sum)
name=${PORTOLAN_CLUSTER_NAME:-p-${derived:0:8}}
[[ $name =~ ^[a-z0-9]([-a-z0-9]{0,22}[a-z0-9])?$ ]] ||
  fail "PORTOLAN_CLUSTER_NAME is '$name': write at most 24 lower-case letters, digits and inner dashes"

state_root=$(realpath -m "${PORTOLAN_STATE:-/var/tmp/portolan}")
state=$state_root/$name                     # everything that this cluster writes
[ ${#state} -le 60 ] || fail "$state is too long for the sockets in it: set PORTOLAN_STATE to a shorter path"

# Addresses exist only inside the cluster's network namespace, hence the same ones for every cluster.
node=node1
node_address=198.51.100.1
pod_range=198.18.0.0/16
service_range=198.19.0.0/16
api_address=198.19.0.1
dns_address=198.19.0.10

cgroup_name=portolan-$name                  # child of the caller's cgroup, in every hierarchy

# node_pid: prints the pid, as seen from here (outside, or by `in` inside), of the cluster's PID 1; fails when it does not run.
node_pid() {
  local pid
  for pid in $(cat "$state/node.pid" 2> /dev/null) 1; do
    if grep -qzxF "$state" "/proc/$pid/cmdline" 2> /dev/null; then echo "$pid"; return; fi
  done
  return 1
}

# refuse_inside: making and removing clusters needs the host's view.
refuse_inside() {
  if grep -qz '/node-init$' /proc/1/cmdline; then fail "this is inside a cluster (e2e/cluster/in): run it outside"; fi
}

is_ready() { [ -e "$state/ready" ] && node_pid > /dev/null; }

# lock_state: only one command at a time makes or removes this cluster. The lock is on the state directory itself and
# is held by whoever has inherited the descriptor; a directory that was removed meanwhile is not the one to lock.
lock_state() {
  local said=
  while :; do
    mkdir -p "$state" || exit 1
    exec {lock}< "$state"
    if ! flock --nonblock "$lock"; then
      [ -n "$said" ] || echo "$program: another command works on cluster $name: waiting for it" >&2
      said=yes
      flock "$lock"
    fi
    [ "$state" -ef "/proc/self/fd/$lock" ] && return
    exec {lock}<&-
  done
}

# tear_down: kills what runs in the cluster's cgroups, removes them and the state. Needs the lock; idempotent.
tear_down() {
  . "$here/cgroups.bash"
  remove_cgroups || return 1
  rm -rf --one-file-system "$state"
  rmdir "$state_root" 2> /dev/null || :
}
