# Sourced by tests: a program is started with a mark in its environment, and killed; nothing that it started may stay. A cluster has
# an environment of its own, and is known by its name (leftovers.bash). Temporary files are in $work/tmp.

# start_marked COMMAND...: in the background; its id is in $started.
start_marked() {
  mark=$BASHPID-$RANDOM
  mkdir -p "$work/tmp"
  TMPDIR=$work/tmp PORTOLAN_MARK=$mark "$@" < /dev/null &
  started=$!
}

marked() {
  local file
  for file in $(grep -slzxF -f - /proc/[0-9]*/environ <<< "PORTOLAN_MARK=$mark"); do
    file=${file%/*}
    [ ! -e "$file" ] || echo "process ${file#/proc/}: $(tr '\0' ' ' < "$file/cmdline")"
  done 2> /dev/null
}

# until_said FILE TEXT: waits for it while what was started lives.
until_said() {
  until grep -qs -- "$2" "$1"; do
    kill -0 "$started" 2> /dev/null || { echo "it ended before it said '$2'"; return 1; }
    sleep 0.05
  done
}

kill_started() {
  kill -KILL "$started"
  wait "$started" 2> /dev/null || :
}

# all_gone CLUSTER: waits, at most thirty seconds, for the keepers to finish. What compilers leave among temporary files is not ours.
all_gone() {
  local round
  for ((round = 0; round < 150; round++)); do
    [ -n "$(marked; belongings "$1"; ls -d "$work"/tmp/portolan-* 2> /dev/null)" ] || return 0
    sleep 0.2
  done
  marked
  ls "$work/tmp"
  nothing_left "$1"
  return 1
}
