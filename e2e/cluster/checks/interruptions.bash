# Sourced by test: `up` and `run` are interrupted and killed at several moments.

check_interruptions() {
  local milestone
  check "up that is killed while it makes certificates leaves nothing" killed_early_leaves_nothing
  for milestone in certificates "namespaces, mounts" containerd "kube-apiserver ready" "node Ready"; do
    check "up that is killed after '$milestone' leaves nothing" killed_up_leaves_nothing "$milestone"
  done
  check "down removes what is left when up's keeper was killed with it" down_after_kill_of_both
  check "up removes what is left when up's keeper was killed with it" up_after_kill_of_both
  for milestone in "namespaces, mounts" "kube-apiserver ready"; do
    check "Ctrl-C at '$milestone' leaves nothing" interrupted_up_leaves_nothing INT "$milestone" 130
  done
  check "SIGTERM leaves nothing" interrupted_up_leaves_nothing TERM "namespaces, mounts" 143
  check "run passes the exit status on and leaves nothing" run_passes_status
  check "run that is killed leaves nothing" killed_run_leaves_nothing
  check "the machine is as before" machine_unchanged
}

# up_until MILESTONE [OPTION]: starts `up` in a process group of its own (its id in $started), as a terminal does, and returns when
# the milestone is reported.
up_until() {
  local line
  rm -f "$work/fifo"
  mkfifo "$work/fifo"
  set -m
  # A shell without job control would have it ignore SIGINT, and so would whoever runs this test in the background.
  env --default-signal=INT,TERM "$here/up" ${2:+"$2"} 2> "$work/fifo" > /dev/null &
  set +m
  started=$!
  exec {output}< "$work/fifo"
  while read -r -u "$output" line; do
    echo "$line"
    case $line in *"$1"*) return 0 ;; esac
  done
  echo "up ended before it reported '$1'"
  return 1
}

# gone NAME: waits, at most ten seconds, for the keeper to finish.
gone() {
  local round
  for ((round = 0; round < 50; round++)); do
    [ -z "$(belongings "$1")" ] && return 0
    sleep 0.2
  done
  nothing_left "$1"
}

killed_early_leaves_nothing() {
  "$here/up" &
  started=$!
  until [ -e "$state/pki/ca.key" ]; do kill -0 "$started" || return 1; done
  kill -KILL "$started"
  wait "$started"
  gone "$PORTOLAN_CLUSTER_NAME"
}

killed_up_leaves_nothing() { # MILESTONE
  up_until "$1" || return 1
  kill -KILL "$started"
  wait "$started"
  exec {output}<&-
  gone "$PORTOLAN_CLUSTER_NAME"
}

kill_both_at() {
  local keeper
  up_until "$1" --api || return 1
  keeper=$(pid_of_keeper "$started") || return 1
  kill -KILL "$keeper" "$started"
  wait "$started"
  exec {output}<&-
  [ -n "$(belongings "$PORTOLAN_CLUSTER_NAME")" ] || { echo "nothing was left to be removed: the check proves nothing"; return 1; }
}

# pid_of_keeper PARENT: the child of `up` that guards it.
pid_of_keeper() {
  local process
  for process in /proc/[0-9]*; do
    if { tr '\0' ' ' < "$process/cmdline" | grep -q '/keeper locked $'; } 2> /dev/null &&
      grep -q "^PPid:[[:space:]]$1\$" "$process/status" 2> /dev/null; then echo "${process#/proc/}"; return; fi
  done
  echo "up has no keeper" >&2
  return 1
}

down_after_kill_of_both() {
  kill_both_at "namespaces, mounts" && "$here/down" && nothing_left "$PORTOLAN_CLUSTER_NAME"
}

up_after_kill_of_both() {
  kill_both_at "namespaces, mounts" && "$here/up" --api && "$here/status" && "$here/down" && nothing_left "$PORTOLAN_CLUSTER_NAME"
}

interrupted_up_leaves_nothing() { # SIGNAL MILESTONE STATUS
  local result
  up_until "$2" || return 1
  kill "-$1" -- "-$started"                  # the group, as a terminal does
  wait "$started"
  result=$?
  exec {output}<&-
  [ $result = "$3" ] || { echo "up ended with $result instead of $3"; return 1; }
  nothing_left "$PORTOLAN_CLUSTER_NAME"
}

run_passes_status() {
  "$here/run" --api bash -c 'kubectl get --raw /readyz && exit 41'
  [ $? = 41 ] && nothing_left "$PORTOLAN_CLUSTER_NAME"
}

killed_run_leaves_nothing() {
  local line
  rm -f "$work/fifo"
  mkfifo "$work/fifo"
  "$here/run" --api bash -c 'echo inside; sleep 600' > "$work/fifo" &
  started=$!
  read -r line < "$work/fifo"
  [ "$line" = inside ] || return 1
  kill -KILL "$started"
  wait "$started"
  gone "$PORTOLAN_CLUSTER_NAME"
}
