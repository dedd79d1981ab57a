#!/bin/sh
# Joins a workerpool of the iExec network with a worker in a container, and takes it away again.
# Made by the scheduler of the pool from its own settings: see CORE_URL/join for how to check it before it runs.
set -euf
umask 077

POOL='@@POOL@@'
CORE_URL='@@CORE_URL@@'
WORKERPOOL='@@WORKERPOOL@@'
IMAGE='@@IMAGE@@'
# Stake a worker of this pool needs, in nRLC, and coins for gas, in wei.
DEPOSIT='@@DEPOSIT@@'
GAS='@@GAS@@'

LEAST_CPUS=2
LEAST_FREE_MIB=4096
MOST_CLOCK_SECONDS=60
JOIN_SECONDS=120
DRAIN=30m
BASE=/tmp/iexec-worker

# Exit codes, as of iexec-worker: 0 done, 1 failed, 2 wrong words, 3 a person must act, 4 temporary, 5 refused.
usage() {
  cat <<TEXT
Joins the workerpool $POOL ($WORKERPOOL) with a worker in a container.

  sh worker.sh                 join: checks this machine, makes or takes a wallet, starts the worker
  sh worker.sh --status        what the worker does, and its money
  sh worker.sh --update        the newest image: finishes its tasks first, goes back to the old one when the new one fails
  sh worker.sh --remove        finishes its tasks, then removes everything but the wallet

  --wallet FILE                take this wallet, a keystore file, instead of making one
  --key-file FILE              take the private key in this file
  --password-file FILE         password of the wallet; otherwise it is asked for, unseen
  --name NAME                  name of the worker; $POOL-worker unless told
  --home FOLDER                where wallet, password and settings are kept; ~/.iexec-worker/$POOL unless told
  --set NAME=VALUE             one more setting of the worker, such as IEXEC_GAS_PRICE_CAP=22000000000
  --image IMAGE                another image than $IMAGE
  --no-deposit                 join without depositing stake
  --withdraw                   with --remove: first withdraw the free stake to the wallet
  --forget-wallet              with --remove: also delete the wallet, refused while anything is in it
  --yes                        ask nothing
TEXT
}

say() { printf '%s\n' "$*"; }
warn() { printf '! %s\n' "$*" >&2; }
# die CODE WHAT [WHAT TO DO]
die() {
  printf 'x %s\n' "$2" >&2
  [ $# -lt 3 ] || printf '  -> %s\n' "$3" >&2
  exit "$1"
}

# --- what to undo when it ends half way ---

made_container='' made_volume='' made_image='' made_home='' made_copy='' old_container='' drained='' echo_off='' errors=''
undo() {
  code=$?
  trap - EXIT INT TERM HUP
  [ -z "$echo_off" ] || stty echo
  [ -z "$errors" ] || rm -f "$errors"
  if [ "$code" -ne 0 ]; then
    [ -z "$made_container" ] || docker rm -f "$made_container" >/dev/null 2>&1 || warn "remove it yourself: docker rm -f $made_container"
    if [ -n "$old_container" ]; then
      if docker rename "$old_container" "$NAME" >/dev/null && docker update --restart unless-stopped "$NAME" >/dev/null && docker start "$NAME" >/dev/null; then
        say "The worker runs again with the image it had."
      else warn "the former worker is the container $old_container: docker start $old_container"; fi
    elif [ -n "$drained" ]; then
      docker update --restart unless-stopped "$drained" >/dev/null && docker start "$drained" >/dev/null && say "The worker runs again as before."
    fi
    [ -z "$made_copy" ] || rm -f "$made_copy" "$HOME_DIR/password"
    [ -z "$made_volume" ] || docker volume rm "$made_volume" >/dev/null 2>&1 || true
    [ -z "$made_image" ] || docker rmi "$made_image" >/dev/null 2>&1 || true
    if [ -n "$made_home" ]; then
      if [ -f "$HOME_DIR/wallet.json" ]; then
        warn "kept: $HOME_DIR/wallet.json and its password, used when this script runs again"
      else
        rm -rf "$HOME_DIR"
        rmdir "$(dirname "$HOME_DIR")" 2>/dev/null || true
      fi
    fi
  fi
  exit "$code"
}

# --- asking ---

can_ask() { [ -z "$YES" ] && [ -t 0 ]; }

# ask QUESTION FLAG: prints the answer
ask() {
  can_ask || die 2 "$1" "nobody can be asked here; use $2 (or --yes)"
  printf '%s ' "$1" >&2
  read -r answer || answer=''
  printf '%s' "$answer"
}

# agree QUESTION: yes, or --yes
agree() {
  [ -z "$YES" ] || return 0
  answer=$(ask "$1 [y/N]" --yes)
  case $answer in y | Y | yes) return 0 ;; *) return 1 ;; esac
}

# Reads a line unseen into the variable named.
ask_unseen() {
  echo_off=1
  # Before the question: whoever answers at once is not shown either.
  stty -echo
  printf '%s ' "$2" >&2
  IFS= read -r "$1" || true
  stty echo
  echo_off=''
  printf '\n' >&2
}

# --- checks ---

fetch() {
  if command -v curl >/dev/null 2>&1; then
    curl -fsS --max-time 20 "$1"
  elif command -v wget >/dev/null 2>&1; then
    wget -q -T 20 -O - "$1"
  else
    die 3 "Neither curl nor wget is installed." "on Debian or Ubuntu: sudo apt-get install curl"
  fi
}

check_docker() {
  case $(uname -s) in
    Linux | Darwin) ;;
    *) die 3 "This script knows Linux and macOS." "on Windows run it inside WSL 2 with Docker Desktop" ;;
  esac
  command -v docker >/dev/null 2>&1 ||
    die 3 "Docker is not installed." "https://docs.docker.com/engine/install/ ; on Debian or Ubuntu: sudo apt-get install docker.io"
  if ! problem=$(docker version --format '{{.Server.Version}}' 2>&1); then
    case $problem in
      *"permission denied"*) die 3 "This user may not use Docker (SBX-1003)." "sudo usermod -aG docker $(id -un), then log in again" ;;
      *) die 3 "The Docker Engine does not answer (SBX-1001)." "start it: sudo systemctl start docker, or Docker Desktop" ;;
    esac
  fi
}

check_machine() {
  cpus=$(docker info --format '{{.NCPU}}')
  if command -v nproc >/dev/null 2>&1 && [ "$(nproc)" -lt "$cpus" ]; then cpus=$(nproc); fi
  [ "$cpus" -ge $LEAST_CPUS ] ||
    die 3 "This machine has $cpus CPU; a worker needs at least $LEAST_CPUS (WRK-1002)." "give it more CPUs"
  say "ok $cpus CPUs"
  place=$(docker info --format '{{.DockerRootDir}}')
  [ -d "$place" ] || place=/
  free=$(df -Pk "$place" | awk 'NR == 2 { print int($4 / 1024) }')
  [ "$free" -ge $LEAST_FREE_MIB ] ||
    die 3 "Only $free MiB are free in $place; $LEAST_FREE_MIB MiB are needed (WRK-1003)." "free some disk, for example: docker system prune"
  say "ok $free MiB of free disk"
}

check_pool() {
  theirs=$(fetch "$CORE_URL/join/time") ||
    die 4 "The scheduler of the pool, $CORE_URL, does not answer." "check this machine's network, or try again later"
  case $theirs in '' | *[!0-9]*) die 4 "$CORE_URL does not answer as a scheduler does." "ask the pool for its address" ;; esac
  off=$(($(date +%s) - theirs))
  [ "$off" -ge 0 ] || off=$((-off))
  [ "$off" -le $MOST_CLOCK_SECONDS ] ||
    die 3 "The clock of this machine is $off s off." "set it, for example: sudo timedatectl set-ntp true"
  say "ok pool $CORE_URL answers, clock $off s off"
}

# --- the image and its commands ---

get_image() {
  if docker image inspect "$IMAGE" >/dev/null 2>&1; then
    [ -n "$1" ] || return 0
    docker pull -q "$IMAGE" >/dev/null 2>&1 || warn "$IMAGE could not be pulled; the one that is here is used"
  else
    say ".. pulling $IMAGE"
    docker pull -q "$IMAGE" >/dev/null || die 4 "$IMAGE could not be pulled." "check this machine's network, or try again later"
    made_image=$IMAGE
  fi
}

# What every container of ours gets: settings by file, so that no value is seen in a list of processes.
with_wallet() {
  docker run --rm -i --env-file "$HOME_DIR/worker.env" --env NO_COLOR=1 -v "$HOME_DIR:/iexec-wallet" -v "$VOLUME:/var/lib/iexec-worker" "$@"
}
iexec_worker() { with_wallet "$IMAGE" "$@"; }

# One setting in the file of settings.
keep_setting() {
  file=$HOME_DIR/worker.env
  [ ! -f "$file" ] || grep -v "^${1%%=*}=" "$file" >"$file.new" || true
  printf '%s\n' "$1" >>"$file.new"
  mv "$file.new" "$file"
}

# The number NAME in a line of JSON.
number_of() { printf '%s' "$balance" | sed -n "s/.*\"$1\":\"\([0-9]*\)\".*/\1/p"; }
# Numbers of the chain are longer than those of a shell.
less() {
  [ ${#1} -lt ${#2} ] || { [ ${#1} -eq ${#2} ] && [ "$1" != "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | LC_ALL=C sort | head -n 1)" = "$1" ]; }
}
rlc() { printf '%d.%09d' $(($1 / 1000000000)) $(($1 % 1000000000)) | sed 's/0*$//; s/[.]$//'; }

# --- the wallet ---

provide_password() {
  file=$HOME_DIR/password
  if [ -n "$PASSWORD_FILE" ]; then
    [ -r "$PASSWORD_FILE" ] || die 2 "The password file $PASSWORD_FILE cannot be read."
    head -n 1 "$PASSWORD_FILE" >"$file"
  elif [ -f "$file" ]; then
    return 0
  elif can_ask; then
    ask_unseen password "Password of the wallet (not shown):"
    [ -n "$password" ] || die 2 "A wallet needs a password."
    if [ "$1" = new ]; then
      ask_unseen again "The same again:"
      [ "$password" = "$again" ] || die 2 "The two passwords differ (WRK-2013)." "run the script again"
    fi
    printf '%s\n' "$password" >"$file"
    unset password again
  elif [ "$1" = new ] && [ -n "$YES" ]; then
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$file"
    say "   made a password, in $file: keep a copy with the wallet's"
  else
    die 2 "The password of the wallet is missing." "use --password-file FILE"
  fi
}

provide_wallet() {
  wallet=$HOME_DIR/wallet.json
  if [ -f "$wallet" ]; then
    [ -z "$WALLET$KEY_FILE" ] || die 5 "There is a wallet already: $wallet" "a worker has one wallet; move it away yourself if it is not wanted any more"
    provide_password old
  elif [ -n "$WALLET" ]; then
    [ -r "$WALLET" ] || die 2 "The wallet $WALLET cannot be read (SVC-1303)."
    provide_password old
    made_copy=$wallet
    cp "$WALLET" "$wallet"
  else
    how=create
    if [ -n "$KEY_FILE" ]; then
      [ -r "$KEY_FILE" ] || die 2 "The key file $KEY_FILE cannot be read."
      how=import
    elif can_ask; then
      how=$(ask "No wallet yet. Type create for a new one, or import for one you have as a private key:" --wallet)
    fi
    case $how in create | import) ;; *) die 2 "Neither create nor import was typed." ;; esac
    provide_password new
    # As this user, so that the file is this user's.
    set -- with_wallet --user "$(id -u):$(id -g)" "$IMAGE" wallet "$how"
    if [ "$how" = create ]; then "$@" </dev/null
    elif [ -n "$KEY_FILE" ]; then "$@" <"$KEY_FILE"
    else
      ask_unseen key "Private key (not shown):"
      printf '%s\n' "$key" | "$@"
      unset key
    fi || die 1 "The wallet could not be made."
  fi
  chmod 600 "$wallet" "$HOME_DIR/password"
}

# The worker's own look at pool and wallet: the address of the pool, the password.
check_wallet() {
  errors=$(mktemp)
  code=0
  iexec_worker init --no-input --output /tmp/worker.json 2>"$errors" || code=$?
  if grep -q '^[A-Z][A-Z]*-[0-9]*: ' "$errors"; then
    cat "$errors" >&2
    # A password that does not open the wallet must be asked for again.
    if grep -q '^SVC-1302: ' "$errors"; then rm -f "$HOME_DIR/password"; fi
    die 3 "The worker cannot use this wallet or this pool, see above."
  fi
  [ "$code" -eq 0 ] || [ "$code" -eq 3 ] || { cat "$errors" >&2 && die "$code" "The worker's checks did not end well, see above."; }
  rm -f "$errors"
  errors='' made_copy=''
}

check_funds() {
  while :; do
    balance=$(iexec_worker wallet balance --json) || die 4 "The balances could not be read." "try again later"
    wallet_address=$(printf '%s' "$balance" | sed -n 's/.*"wallet":"\(0x[0-9a-fA-F]*\)".*/\1/p')
    native=$(number_of nativeWei) in_wallet=$(number_of rlcNano) free=$(number_of freeNano) locked=$(number_of lockedNano)
    missing=$((DEPOSIT - free - locked))
    needs=''
    if less "$native" "$GAS"; then needs="coins for gas (at least $GAS wei, there are $native)"; fi
    if [ -z "$NO_DEPOSIT" ] && [ "$missing" -gt "$in_wallet" ]; then
      needs="${needs:+$needs and }$(rlc $((missing - in_wallet))) RLC"
    fi
    [ -n "$needs" ] || break
    say "   The wallet $wallet_address needs $needs."
    can_ask || die 3 "The wallet $wallet_address has to be funded first: $needs." "send it, then run this script again"
    answer=$(ask "Send it, then press Enter to look again (q to leave):" --yes)
    [ "$answer" != q ] || die 3 "The wallet $wallet_address has to be funded first: $needs." "send it, then run this script again"
  done
  say "ok wallet $wallet_address: $(rlc "$free") RLC free stake, $(rlc "$locked") RLC locked, $(rlc "$in_wallet") RLC in the wallet"
  if [ -z "$NO_DEPOSIT" ] && [ "$missing" -gt 0 ]; then
    if agree "Deposit $(rlc "$missing") RLC as stake? Some of it is lost when the worker answers wrongly or not at all."; then
      iexec_worker wallet deposit "$(rlc "$missing")" --yes || die 1 "The deposit did not succeed, see above."
    else die 3 "Without a deposit of $(rlc "$missing") RLC the worker gets no task." "run the script again, or use --no-deposit"; fi
  fi
}

# --- the worker ---

# Some clients print an empty line when there is none.
state_of() { if state=$(docker inspect -f '{{.State.Status}}' "$1" 2>/dev/null); then printf '%s' "$state"; else printf none; fi; }
image_of() { docker inspect -f '{{.Image}}' "$1" 2>/dev/null; }

start_worker() {
  socket=/var/run/docker.sock
  case ${DOCKER_HOST:-} in unix://*) socket=${DOCKER_HOST#unix://} ;; esac
  docker create --name "$NAME" --hostname "$NAME" --restart unless-stopped --stop-timeout 30 \
    --log-opt max-size=10m --log-opt max-file=3 --label "iexec.pool=$POOL" --env-file "$HOME_DIR/worker.env" \
    -v "$HOME_DIR/wallet.json:/iexec-wallet/wallet.json:ro" -v "$HOME_DIR/password:/iexec-wallet/password:ro" \
    -v "$VOLUME:/var/lib/iexec-worker" -v "$BASE:$BASE" -v "$socket:/var/run/docker.sock" "$IMAGE" >/dev/null
  made_container=$NAME
  docker start "$NAME" >/dev/null
  say ".. starting the worker"
  tries=0
  until docker logs "$NAME" 2>&1 | grep -q 'your iexec-worker is all set'; do
    tries=$((tries + 1))
    if [ "$(docker inspect -f '{{.State.Running}}{{.RestartCount}}' "$NAME")" != true0 ] || [ $tries -ge $JOIN_SECONDS ]; then
      docker logs --tail 20 "$NAME" >&2
      die 1 "The worker did not join the pool, see above." "docs/run/troubleshooting.md explains each code"
    fi
    sleep 1
  done
  made_container=''
  say "ok your worker is all set: $NAME"
}

# Finishes what is under way: reveals are mined, results uploaded.
drain() {
  [ "$(state_of "$NAME")" = running ] || return 0
  drained=$NAME
  # Otherwise the engine would start it again.
  docker update --restart no "$NAME" >/dev/null
  say ".. finishing its tasks (at most $DRAIN)"
  # The container ends with its worker, under the feet of this command.
  docker exec "$NAME" iexec-worker stop --drain --timeout $DRAIN >/dev/null 2>&1 || true
  docker stop "$NAME" >/dev/null
}

join_pool() {
  say "ok Docker $(docker version --format '{{.Server.Version}}')"
  case $(state_of "$NAME") in
    running)
      say "ok the worker $NAME runs already; see --status, --update, --remove"
      return 0
      ;;
    none) ;;
    *)
      say ".. the worker $NAME is there and stopped: starting it"
      docker update --restart unless-stopped "$NAME" >/dev/null
      docker start "$NAME" >/dev/null
      say "ok started"
      return 0
      ;;
  esac
  check_machine
  check_pool
  get_image ''
  [ -d "$HOME_DIR" ] || { made_home=1 && mkdir -p "$HOME_DIR"; }
  keep_setting "IEXEC_WORKER_NAME=$NAME"
  keep_setting "IEXEC_CORE_URL=$CORE_URL"
  keep_setting "POOL_ADDRESS=$WORKERPOOL"
  keep_setting "IEXEC_WORKER_WALLET_PATH=/iexec-wallet/wallet.json"
  keep_setting "IEXEC_WORKER_WALLET_PASSWORD_FILE=/iexec-wallet/password"
  for each in $SETTINGS; do keep_setting "$each"; done
  if ! docker volume inspect "$VOLUME" >/dev/null 2>&1; then
    docker volume create "$VOLUME" >/dev/null
    made_volume=$VOLUME
  fi
  provide_wallet
  check_wallet
  check_funds
  start_worker
  say "   what it does: sh $0 --status      its log: docker logs -f $NAME"
  say "   back up $HOME_DIR/wallet.json and the password, apart from each other"
}

show_status() {
  state=$(state_of "$NAME")
  [ "$state" != none ] || die 3 "There is no worker $NAME here." "sh $0"
  if [ "$state" = running ]; then
    docker exec "$NAME" iexec-worker status
  else
    say "The worker $NAME is $state."
    docker logs --tail 5 "$NAME" 2>&1
    exit 3
  fi
}

update_worker() {
  [ "$(state_of "$NAME")" != none ] || die 3 "There is no worker $NAME here." "sh $0"
  get_image always
  if [ "$(image_of "$NAME")" = "$(docker image inspect -f '{{.Id}}' "$IMAGE")" ]; then
    say "ok the worker has the newest image already"
    return 0
  fi
  check_pool
  drain
  docker rename "$NAME" "$NAME-before"
  old_container=$NAME-before drained=''
  start_worker
  docker rm "$old_container" >/dev/null
  old_container=''
  say "ok updated"
}

can_look() { [ -f "$HOME_DIR/wallet.json" ] && [ -f "$HOME_DIR/worker.env" ] && docker image inspect "$IMAGE" >/dev/null 2>&1; }

# What a worker that was killed left in the engine, by its wallet.
sweep() {
  can_look || return 0
  wallet=$(iexec_worker wallet show --json | sed -n 's/.*"address":"\(0x[0-9a-fA-F]*\)".*/\1/p' | tr A-F a-f) || return 0
  [ -n "$wallet" ] || return 0
  docker ps -aq --filter "label=iexec.worker=$wallet" | while read -r id; do docker rm -f -v "$id" >/dev/null 2>&1 || true; done
  docker network ls -q --filter "label=iexec.worker=$wallet" | while read -r id; do docker network rm "$id" >/dev/null 2>&1 || true; done
}

remove_worker() {
  if [ "$(state_of "$NAME")" != none ]; then
    agree "Remove the worker $NAME from this machine?" || die 5 "Nothing was removed."
    # Images of apps that this worker pulled.
    docker exec "$NAME" iexec-worker image prune --yes >/dev/null 2>&1 || true
    drain
  fi
  sweep
  # What its tasks need is settled; the money is safe to look at now.
  if can_look && [ -n "$WITHDRAW$FORGET" ]; then
    balance=$(iexec_worker wallet balance --json) || die 4 "The balances could not be read, nothing was removed." "try again later"
    free=$(number_of freeNano)
    if [ -n "$WITHDRAW" ] && [ "$free" -gt 0 ]; then
      iexec_worker wallet withdraw "$(rlc "$free")" --yes || die 1 "The withdrawal did not succeed, see above."
      balance=$(iexec_worker wallet balance --json)
    fi
    if [ -n "$FORGET" ] && [ "$(number_of freeNano)$(number_of lockedNano)$(number_of rlcNano)" != 000 ]; then
      die 5 "The wallet holds RLC and is not deleted; nothing was removed." "withdraw and transfer it first (docs/run/wallet.md), or leave --forget-wallet out"
    fi
  fi
  [ "$(state_of "$NAME")" = none ] || docker rm "$NAME" >/dev/null
  drained=''
  if docker image inspect "$IMAGE" >/dev/null 2>&1; then
    # shellcheck disable=SC2016 # for the shell in the container
    docker run --rm --entrypoint /bin/sh -v /tmp:/host "$IMAGE" -c '
      rm -rf "/host/iexec-worker/$1"
      [ "$(ls -A /host/iexec-worker 2>/dev/null)" != isolation.json ] || rm -f /host/iexec-worker/isolation.json
      rmdir /host/iexec-worker 2>/dev/null || true' sh "$NAME"
    docker rmi "$IMAGE" >/dev/null 2>&1 || warn "the image $IMAGE is kept: something else uses it"
  fi
  docker volume rm "$VOLUME" >/dev/null 2>&1 || true
  rm -f "$HOME_DIR/worker.env" "$HOME_DIR/worker.env.new"
  [ -z "$FORGET" ] || rm -f "$HOME_DIR/wallet.json" "$HOME_DIR/password"
  if [ -f "$HOME_DIR/wallet.json" ]; then
    say "ok removed; kept: $HOME_DIR with the wallet and its password"
  else
    rmdir "$HOME_DIR" 2>/dev/null || true
    rmdir "$(dirname "$HOME_DIR")" 2>/dev/null || true
    say "ok removed, nothing is kept"
  fi
}

# --- the words of the command ---

password='' again='' key=''
NAME=$POOL-worker HOME_DIR=${HOME:-/root}/.iexec-worker/$POOL
WALLET='' KEY_FILE='' PASSWORD_FILE='' YES='' NO_DEPOSIT='' WITHDRAW='' FORGET='' SETTINGS='' what=join_pool
while [ $# -gt 0 ]; do
  case $1 in
    --wallet | --key-file | --password-file | --name | --home | --set | --image)
      [ $# -ge 2 ] || die 2 "$1 needs a value." "see --help"
      case $1 in
        --wallet) WALLET=$2 ;;
        --key-file) KEY_FILE=$2 ;;
        --password-file) PASSWORD_FILE=$2 ;;
        --name) NAME=$2 ;;
        --home) HOME_DIR=$2 ;;
        --image) IMAGE=$2 ;;
        --set)
          case $2 in
            *[[:space:]]*) die 2 "A setting may hold no blanks: $2" ;;
            [A-Z]*=*) SETTINGS="$SETTINGS $2" ;;
            *) die 2 "--set wants NAME=VALUE, not $2" ;;
          esac
          ;;
      esac
      shift
      ;;
    --yes) YES=1 ;;
    --no-deposit) NO_DEPOSIT=1 ;;
    --withdraw) WITHDRAW=1 ;;
    --forget-wallet) FORGET=1 ;;
    --status) what=show_status ;;
    --update) what=update_worker ;;
    --remove) what=remove_worker ;;
    -h | --help)
      usage
      exit 0
      ;;
    *)
      usage >&2
      die 2 "There is no $1."
      ;;
  esac
  shift
done
case $NAME in '' | *[!A-Za-z0-9_.-]* | [!A-Za-z0-9]*) die 2 "The name may hold letters, digits, dots, dashes and underscores only: $NAME" ;; esac
case $HOME_DIR in /*) ;; *) HOME_DIR=$PWD/$HOME_DIR ;; esac
VOLUME=$NAME-state
trap undo EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
check_docker
$what
