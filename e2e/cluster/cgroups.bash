# Sourced: the cluster's cgroups, made below the caller's own so that the caller's limits still hold. $state/cgroups has a
# line `CONTROLLERS DIRECTORY` for each, written before it is made, so that an interruption loses none. Version 1 has a
# hierarchy per controller; version 2 one for all (controllers `unified`).

# make_cgroups: version 1 (also the hybrid form, whose version 2 hierarchy has no controllers), else version 2.
make_cgroups() {
  if findmnt -n -t cgroup > /dev/null; then make_cgroups_v1; else make_cgroup_v2; fi
}

make_cgroups_v1() {
  local controllers path mounted directory file
  while IFS=: read -r _ controllers path; do
    [ -n "$controllers" ] || continue
    mounted=$(findmnt -n -t cgroup -O "${controllers%%,*}" -o TARGET | head -n 1)
    [ -n "$mounted" ] || continue
    directory=$mounted${path%/}/$cgroup_name
    echo "$controllers $directory" >> "$state/cgroups"
    mkdir -p "$directory"
    case ,$controllers, in *,cpuset,*)       # a new cpuset is empty, and no process can enter an empty one
      for file in cpuset.cpus cpuset.mems; do cat "${directory%/*}/$file" > "$directory/$file"; done
      echo 1 > "$directory/cgroup.clone_children" ;;
    esac
  done < /proc/self/cgroup
  [ -s "$state/cgroups" ] || fail "no cgroup hierarchy found in /proc/self/cgroup"
}

# A cgroup with processes of its own cannot give controllers to children, so ours is a child of the nearest ancestor that
# gives them already: on a systemd machine a slice or the root. Nothing of the host is changed.
make_cgroup_v2() {
  local mounted path directory parent controller
  mounted=$(findmnt -n -t cgroup2 -o TARGET | head -n 1)
  [ -n "$mounted" ] || fail "no cgroup file system is mounted: mount -t cgroup2 none /sys/fs/cgroup"
  path=$(sed -n 's/^0:://p' /proc/self/cgroup)
  parent=$mounted${path%/}
  while ! gives_controllers "$parent"; do
    [ "$parent" != "$mounted" ] ||
      fail "no cgroup above this process gives cpu, cpuset, memory and pids to its children; as root: echo '+cpu +cpuset +memory +pids' > $mounted/cgroup.subtree_control"
    parent=${parent%/*}
  done
  directory=$parent/$cgroup_name
  echo "unified $directory" >> "$state/cgroups"
  mkdir -p "$directory/node"
  for controller in cpu cpuset memory pids io; do
    ! grep -qw "$controller" "$directory/cgroup.controllers" || echo "+$controller" > "$directory/cgroup.subtree_control"
  done
}

gives_controllers() {
  local controller
  for controller in cpu cpuset memory pids; do grep -qsw "$controller" "$1/cgroup.subtree_control" || return 1; done
}

# enter_cgroups CHILD: moves the calling shell. It must be the root of the cgroup namespace that is unshared next, which
# version 2 allows only while no process is left in it: `launch` moves on into the child `node`.
enter_cgroups() {
  local controllers directory
  while read -r controllers directory; do
    [ "$controllers" != unified ] || [ -z "$1" ] || directory=$directory/$1
    echo "$BASHPID" > "$directory/cgroup.procs"
  done < "$state/cgroups"
}

# mount_cgroups: inside, after unshare --cgroup: each hierarchy shows our cgroup as its root.
mount_cgroups() {
  local controllers options directory
  if grep -q '^unified ' "$state/cgroups"; then
    mount -n -t cgroup2 cgroup2 /sys/fs/cgroup
    return
  fi
  mount -n -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
  while read -r controllers _; do
    directory=/sys/fs/cgroup/${controllers#name=}
    options=$controllers
    [ "${controllers#name=}" = "$controllers" ] || options=none,$controllers
    mkdir "$directory"
    mount -n -t cgroup -o "$options" cgroup "$directory"
  done < "$state/cgroups"
}

# remove_cgroups: every process in them dies first; fails when one cannot be removed within ten seconds.
remove_cgroups() {
  local directory round pids
  [ -e "$state/cgroups" ] || return 0
  while read -r _ directory; do
    for ((round = 0; round < 500; round++)); do
      [ -d "$directory" ] || continue 2
      pids=$(find "$directory" -name cgroup.procs -exec cat {} + 2> /dev/null) || :
      # shellcheck disable=SC2086  # one word per pid
      [ -z "$pids" ] || kill -KILL $pids 2> /dev/null || :
      find "$directory" -depth -type d -exec rmdir {} + 2> /dev/null || :
      [ ! -d "$directory" ] || sleep 0.02
    done
    echo "$program: $directory cannot be removed; processes in it: ${pids:-none}" >&2
    return 1
  done < "$state/cgroups"
}
