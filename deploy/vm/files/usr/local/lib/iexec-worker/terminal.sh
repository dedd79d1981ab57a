# shellcheck shell=sh
# How the icons talk to the person at the terminal.

say() { printf '%s\n' "$*"; }

# Sets $answer.
ask() {
  printf '%s ' "$1"
  IFS= read -r answer
}

# The same, without showing what is typed.
ask_unseen() {
  trap 'stty echo' EXIT
  trap 'exit 130' INT TERM HUP
  # Before the question: whoever answers at once is not shown either.
  stty -echo
  printf '%s ' "$1"
  IFS= read -r answer
  stty echo
  trap - EXIT INT TERM HUP
  printf '\n'
}

# Only for this user, and only in memory. printf is built in: nothing shows in the list of processes.
keep_in_memory() {
  (
    umask 077
    printf '%s' "$answer" >"$1"
  )
  answer=
}
