# Sourced by what runs commands for a while (clusters, tests, the demo): nothing stays when this process is interrupted, nor when it
# is killed. A keeper in a session of its own reads what we note here, and acts on it when the pipe ends without the word `done`.
# Commands run in a process group of their own, without the pipe, so that the keeper can end them.
guard_directory=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
running=          # process group of the command that runs
beside=           # process group of what goes on beside it
outcome=0         # exit status of the last one; not returned, as a caller that tests it with || would switch off `set -e` in it

guard_start() { exec {guard}> >(exec setsid "$guard_directory/keeper"); }

# guard_note cluster NAME | scratch DIRECTORY | cgroup NAME | running GROUP | beside GROUP | idle | done: what would have to be taken away, and when nothing.
# A subshell, because a keeper that is gone would end us by SIGPIPE.
guard_note() { (trap '' PIPE; echo "$*" >&"$guard") 2> /dev/null || :; }

# start_guarded COMMAND...: in the background, as $running. It notes itself: killed before that, we still have a holder of the pipe.
start_guarded() {
  set -m
  (guard_note "running $BASHPID"; exec {guard}>&-; set -e; "$@") < /dev/null &
  running=$!
  set +m
}

await_guarded() {
  outcome=0
  wait "$running" || outcome=$?
  running=
  guard_note idle
}

# start_beside COMMAND...: goes on, as $beside, while others run, with what they leave of the processors. One at a time.
start_beside() {
  set -m
  (guard_note "beside $BASHPID"; exec {guard}>&-; exec nice -n 19 "$@") < /dev/null &
  beside=$!
  set +m
}

# hasten_beside: gives it its share of the processors.
hasten_beside() { [ -z "$beside" ] || renice -n 0 -g "$beside" > /dev/null 2>&1 || true; }

stop_beside() {
  [ -n "$beside" ] || return 0
  end_group "$beside"
  wait "$beside" 2> /dev/null || true
  beside=
  guard_note beside
}

run_guarded() { start_guarded "$@"; await_guarded; }

# stop_running: ends the command with everything that it started; for traps.
stop_running() {
  [ -n "$running" ] || return 0
  end_group "$running"
  wait "$running" 2> /dev/null || true
  running=
  guard_note idle
}

# end_group GROUP: asks its processes to end, and kills after ten seconds those that have not.
end_group() {
  local i
  kill -TERM -- "-$1" 2> /dev/null || true
  for i in {1..100}; do
    kill -0 -- "-$1" 2> /dev/null || return 0
    sleep 0.1
  done
  kill -KILL -- "-$1" 2> /dev/null || true
}

# remove_cgroups NAME...: those that a command has left, in whatever hierarchy and below whatever parent.
remove_cgroups() {
  local name
  for name; do find /sys/fs/cgroup -depth -type d -path "*/$name*" -exec rmdir {} + 2> /dev/null || true; done
}
