# shellcheck shell=bash
# Finds a Docker Engine, or brings one up. Sourced by ./run; stops at exit only what it started itself.

ENGINE_SOCKET=/var/run/docker.sock
ENGINE_PIDFILE=out/dockerd.pid
ENGINE_LOG=out/dockerd.log
ENGINE_WAIT_SECONDS=60
ENGINE_STARTED=""

engine_is_ours() { [ -n "$ENGINE_STARTED" ]; }

# Asks the engine of DOCKER_HOST (or the usual socket) whether it is there. Prints why not.
engine_ping() {
  "$NODE" -e '
    const host = process.env.DOCKER_HOST ?? "unix:///var/run/docker.sock";
    const url = new URL(host.replace(/^tcp:/, process.env.DOCKER_TLS_VERIFY ? "https:" : "http:"));
    if (url.protocol === "https:" || url.protocol === "ssh:") process.exit(0); // the client itself will say what is wrong
    const where = url.protocol === "unix:" ? { socketPath: url.pathname } : { host: url.hostname, port: url.port };
    const request = require("node:http").get({ ...where, path: "/_ping", timeout: 5000 }, (answer) => {
      answer.resume();
      process.exit(answer.statusCode === 200 ? 0 : 1);
    });
    request.on("timeout", () => request.destroy(new Error("no answer in 5 s")));
    request.on("error", (error) => { console.error(error.code ?? error.message); process.exit(1); });
  ' 2>&1
}

is_debian_like() { [ -f /etc/debian_version ] && command -v apt-get >/dev/null; }
is_root() { [ "$(id -u)" -eq 0 ]; }
has_systemd() { [ -d /run/systemd/system ]; }

# A package that was removed but not purged is still known, and not there.
is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

apt_install() {
  say "installing $*"
  {
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" ||
      { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; }
  } >&2 || die "$EX_UNAVAILABLE" "apt-get could not install $*; its messages are above"
}

# busybox is the file system of the demo images, the registry serves them as a real one would.
engine_helpers() {
  is_debian_like || return 0
  local missing=()
  is_installed busybox-static || missing+=(busybox-static)
  is_installed docker-registry || missing+=(docker-registry)
  command -v htpasswd >/dev/null || missing+=(apache2-utils)
  [ ${#missing[@]} -gt 0 ] || return 0
  if is_root; then apt_install "${missing[@]}"; else say "some tests need: sudo apt-get install ${missing[*]}"; fi
}

engine_stop() {
  case $ENGINE_STARTED in
    systemd)
      systemctl stop docker.socket docker.service >&2 || say "the Docker Engine did not stop"
      ;;
    [0-9]*)
      kill -TERM "$ENGINE_STARTED" 2>/dev/null || true
      local tries=0
      while kill -0 "$ENGINE_STARTED" 2>/dev/null && [ $tries -lt 300 ]; do
        sleep 0.1
        tries=$((tries + 1))
      done
      ;;
  esac
  ENGINE_STARTED=""
}

engine_wait() {
  local until=$((SECONDS + ENGINE_WAIT_SECONDS))
  while ! engine_ping >/dev/null; do
    if [ -n "${1:-}" ] && ! kill -0 "$1" 2>/dev/null; then return 1; fi
    [ $SECONDS -lt $until ] || return 1
    sleep 0.1
  done
}

# Nothing of this script runs after a SIGKILL: a shell of its own ends the engine then.
engine_watch() {
  # shellcheck disable=SC2016
  setsid sh -c 'while kill -0 "$1" 2>/dev/null; do kill -0 "$2" 2>/dev/null || exit 0; sleep 0.5; done; kill -TERM "$2"' \
    engine-watch $$ "$1" >/dev/null 2>&1 </dev/null &
}

engine_start() {
  if has_systemd && systemctl cat docker.service >/dev/null 2>&1; then
    say "starting the Docker Engine (systemctl start docker)"
    ENGINE_STARTED=systemd
    systemctl start docker >&2 && engine_wait && return
    die "$EX_UNAVAILABLE" "the Docker Engine did not start: journalctl -u docker"
  fi
  say "starting the Docker Engine (dockerd, log in $ENGINE_LOG)"
  mkdir -p out /var/run
  # After a kill the pid file stays, and dockerd refuses to start beside it; nothing answers, so it belongs to nobody.
  rm -f $ENGINE_PIDFILE
  setsid dockerd --pidfile $ENGINE_PIDFILE -H "unix://$ENGINE_SOCKET" >$ENGINE_LOG 2>&1 </dev/null &
  ENGINE_STARTED=$!
  engine_watch "$ENGINE_STARTED"
  engine_wait "$ENGINE_STARTED" && return
  tail -n 20 $ENGINE_LOG >&2
  die "$EX_UNAVAILABLE" "the Docker Engine did not start; the end of $ENGINE_LOG is above"
}

# Leaves with 69 and what to do when there is no engine and none can be started here.
engine_up() {
  local reason
  if reason=$(engine_ping); then
    engine_helpers
    return
  fi
  if [ -n "${DOCKER_HOST:-}" ]; then die "$EX_UNAVAILABLE" "no Docker Engine answers at DOCKER_HOST=$DOCKER_HOST ($reason): start it, or unset DOCKER_HOST"; fi
  case $reason in
    *EACCES* | *EPERM*)
      die "$EX_UNAVAILABLE" "this user may not use $ENGINE_SOCKET: sudo usermod -aG docker \$USER, then log in again"
      ;;
  esac
  if ! is_root; then
    die "$EX_UNAVAILABLE" "no Docker Engine answers ($reason). Start Docker Desktop, or on Linux: sudo systemctl start docker (not installed: sudo apt-get install docker.io)"
  fi
  if ! command -v dockerd >/dev/null; then
    is_debian_like || die "$EX_UNAVAILABLE" "no Docker Engine answers ($reason) and this is not Debian or Ubuntu: install one (https://docs.docker.com/engine/install/) and run this again"
    apt_install docker.io
  fi
  # The package may have started it.
  engine_ping >/dev/null || engine_start
  engine_helpers
}

# gVisor (runsc) beside runc, so that the tests can run their apps under both. Never fails: what needs it says SKIP and why.
# Only on Debian as root with the engine of this machine, and only where no daemon.json is there: other settings are the operator's.
ENGINE_SETTINGS=/etc/docker/daemon.json

engine_runtimes() { "$NODE" -e '
  require("node:http").get({ socketPath: "/var/run/docker.sock", path: "/info", timeout: 5000 }, (answer) => {
    let text = "";
    answer.on("data", (part) => (text += part)).on("end", () => console.log(Object.keys(JSON.parse(text).Runtimes ?? {}).join(" ")));
  }).on("error", () => undefined);
' 2>/dev/null; }

# Arguments under which gVisor runs here: its own platform and network stack where they work, else what needs less of the kernel.
gvisor_arguments() {
  local network=$1 platform
  for platform in "" --platform=systrap --platform=ptrace; do
    # shellcheck disable=SC2086
    if timeout 20 runsc $platform $network do /bin/true >/dev/null 2>&1; then
      printf '%s\n' "$platform $network"
      return
    fi
  done
  return 1
}

quoted() { printf '%s\n' "$@" | sed 's/.*/"&"/' | paste -sd, -; }

engine_gvisor() {
  [ -z "${DOCKER_HOST:-}" ] && is_debian_like && is_root || return 0
  case " $(engine_runtimes) " in *" runsc "*) return 0 ;; esac
  if [ -e $ENGINE_SETTINGS ]; then
    say "gVisor is not registered: add runsc to $ENGINE_SETTINGS (docs/security.md) to run the tests under it too"
    return 0
  fi
  if ! command -v runsc >/dev/null; then
    (apt_install runsc) || { say "gVisor could not be installed: its tests will be skipped"; return 0; }
  fi
  local own none host
  if own=$(gvisor_arguments ""); then
    # shellcheck disable=SC2086
    own=$(quoted $own)
    none='"runsc": { "path": "/usr/bin/runsc", "runtimeArgs": ['${own/\"\"/}'] }'
  else
    none=$(gvisor_arguments --network=none) && host=$(gvisor_arguments --network=host) ||
      { say "gVisor does not run on this machine: its tests will be skipped"; return 0; }
    # shellcheck disable=SC2086
    none='"runsc": { "path": "/usr/bin/runsc", "runtimeArgs": ['$(quoted $none)'] },
    "runsc-hostnet": { "path": "/usr/bin/runsc", "runtimeArgs": ['$(quoted $host)'] }'
  fi
  say "registering gVisor in $ENGINE_SETTINGS"
  mkdir -p "$(dirname $ENGINE_SETTINGS)"
  printf '{\n  "runtimes": {\n    %s\n  }\n}\n' "$none" >$ENGINE_SETTINGS
  # The engine reads its runtimes again on SIGHUP; running containers go on.
  local pid
  for pid in $(cat $ENGINE_PIDFILE /var/run/docker.pid 2>/dev/null); do kill -HUP "$pid" 2>/dev/null || true; done
  local tries=0
  until case " $(engine_runtimes) " in *" runsc "*) true ;; *) false ;; esac; do
    tries=$((tries + 1))
    [ $tries -lt 50 ] || { say "the engine did not take gVisor up: its tests will be skipped"; return 0; }
    sleep 0.1
  done
}
