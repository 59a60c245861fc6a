#!/bin/sh
# Run a program inside a container until it ends, or whoever started the container does.
#
#   boot.sh PROGRAM [ARGUMENT]...
#
# Stdin is the lifeline: at its end the program is ended, and for a line "signal N" it and all that it has started get
# that signal, once: a runtime's own command reaches the program alone, and R waits for what it has started. The watcher
# is nobody's child but the init's: a kernel waits for its children when it is shut down. It needs an init, because
# process 1 cannot be killed from inside.
exec 9<&0 </dev/null
# IPython runs `!command` by $SHELL, and the one of the machine outside may not be here.
SHELL=/bin/sh
[ ! -x /bin/bash ] || SHELL=/bin/bash
# ipykernel neither looks after a parent that is process 1 nor tells people how to connect.
JPY_PARENT_PID=1
export SHELL JPY_PARENT_PID
started_by() {
  for children in /proc/"$1"/task/*/children; do
    found=
    read -r found 2>/dev/null <"$children" || [ -n "$found" ] || continue
    for child in $found; do
      printf '%s ' "$child"
      (started_by "$child")
    done
  done
}
(
  (
    while read -r word number <&9; do
      # shellcheck disable=SC2046  # several numbers
      [ "$word" != signal ] || kill -"$number" $(started_by $$) $$
    done
    kill -TERM $$ 2>/dev/null
    sleep 1
    kill -KILL $$ 2>/dev/null
  ) >/dev/null 2>&1 &
)
exec "$@" 9<&-
