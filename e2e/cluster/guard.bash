# Sourced by what runs commands for a while (clusters, tests, the demo): nothing stays when this process is interrupted, nor when it
# is killed. A keeper in a session of its own reads what we note here, and acts on it when the pipe ends without the word `done`.
# Commands run in a process group of their own, without the pipe, so that the keeper can end them.
guard_directory=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
running=          # process group of the command that runs
beside=           # process group of what goes on beside it, with what it leaves of the processors
ahead=            # process group of a command that was started before its turn
outcome=0         # exit status of the last one; not returned, as a caller that tests it with || would switch off `set -e` in it

guard_start() { exec {guard}> >(exec setsid "$guard_directory/keeper"); }

# guard_note cluster NAME | scratch DIRECTORY | cgroup NAME | group NAME [GROUP] | done: what would have to be taken away, and when nothing.
# A subshell, because a keeper that is gone would end us by SIGPIPE.
guard_note() { (trap '' PIPE; echo "$*" >&"$guard") 2> /dev/null || :; }

# start_group VARIABLE COMMAND...: in the background; its process group is left in VARIABLE, one of the three above. It notes itself:
# killed before that, we still have a holder of the pipe.
start_group() {
  set -m
  (guard_note "group $1 $BASHPID"; exec {guard}>&-; set -e; "${@:2}") < /dev/null &
  printf -v "$1" %s $!
  set +m
}

# stop_group VARIABLE: ends it with everything that it started.
stop_group() {
  [ -n "${!1}" ] || return 0
  end_group "${!1}"
  wait "${!1}" 2> /dev/null || true
  printf -v "$1" %s ""
  guard_note "group $1"
}

start_guarded() { start_group running "$@"; }

await_guarded() {
  outcome=0
  wait "$running" || outcome=$?
  running=
  guard_note group running
}

# start_ahead COMMAND...: its turn comes later, and then `running_ahead` makes it the one that runs, to be awaited.
start_ahead() { start_group ahead "$@"; }
running_ahead() {
  running=$ahead ahead=
  guard_note "group running $running"
  guard_note group ahead
}

# start_beside COMMAND...: goes on while others run, with what they leave of the processors. One at a time.
start_beside() { start_group beside nice -n 19 "$@"; }

# hasten_beside: gives it its share of the processors.
hasten_beside() { [ -z "$beside" ] || renice -n 0 -g "$beside" > /dev/null 2>&1 || true; }

run_guarded() { start_guarded "$@"; await_guarded; }

# For traps, too.
stop_running() { stop_group running; }
stop_all() { local group; for group in running ahead beside; do stop_group "$group"; done; }
stop_beside() { stop_group beside; }

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
