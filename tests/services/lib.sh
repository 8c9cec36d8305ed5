#!/usr/bin/env bash
# What the scripts of this folder share. Sourced, never run.
#
# Everything lies below one folder of the user's cache and is found again by the next run:
#   bin/  programs   build/  how they were made   data/  state of servers   conf/  keys and configuration
#   log/  one log a server                        run/   NAME.pid: "pid start-time" of what was started here
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
HOME_DIR=${GRIDFLOW_SERVICES:-${XDG_CACHE_HOME:-$HOME/.cache}/gridflow-services}
BIN=$HOME_DIR/bin BUILD=$HOME_DIR/build DATA=$HOME_DIR/data
CONF=$HOME_DIR/conf LOGS=$HOME_DIR/log RUN=$HOME_DIR/run
mkdir -p "$BIN" "$BUILD" "$DATA" "$CONF" "$LOGS" "$RUN"
export PATH=$BIN:$PATH

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }
die() { say "error: $*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# A certificate below $PKI, signed by one that is there, unless it is there itself.
certificate() { # NAME SUBJECT AUTHORITY [NAMES]
  local file=$PKI/$1
  [[ -s $file.crt ]] && return 0
  openssl req -new -newkey rsa:2048 -nodes -keyout "$file.key" -subj "$2" -out "$file.csr" 2>/dev/null
  {
    echo "basicConstraints=CA:FALSE"
    echo "keyUsage=digitalSignature,keyEncipherment"
    echo "extendedKeyUsage=serverAuth,clientAuth"
    [[ -z ${4:-} ]] || echo "subjectAltName=$4"
  } >"$file.ext"
  openssl x509 -req -in "$file.csr" -CA "$PKI/$3.crt" -CAkey "$PKI/$3.key" -CAcreateserial -days 3650 \
    -extfile "$file.ext" -out "$file.crt" 2>/dev/null
  rm -f "$file.csr" "$file.ext"
  chmod 600 "$file.key"
}

# Dispatches to verb_NAME; the file's head is its help.
run_verb() {
  local verb=${1:-}
  if [[ -z $verb ]] || ! declare -F "verb_$verb" >/dev/null; then
    awk 'NR == 1 {next} /^# shellcheck/ || !/^#/ {exit} {sub(/^# ?/, ""); print}' "$0" >&2
    exit 2
  fi
  shift
  "verb_$verb" "$@"
}

# Holds a lock until the shell ends: one installs, or starts, and the others wait and find it done.
only_one() { # NAME
  exec 9>"$RUN/$1.lock"
  flock 9
}

# ---- processes: only what was started here is ever ended, told by its pid and the kernel's start time

start_time() { # PID; field 22 of its stat, counted after the name, which may hold blanks
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  # shellcheck disable=SC2086 # the fields are words
  set -- ${stat##*) }
  echo "${20}"
}

pid_of() { # NAME; nothing unless it runs
  local pid start
  [[ -s $RUN/$1.pid ]] || return 1
  read -r pid start <"$RUN/$1.pid" || true
  [[ -n ${pid:-} && $(start_time "$pid") == "$start" ]] && echo "$pid"
}

is_running() { pid_of "$1" >/dev/null; }

begin() { # NAME COMMAND…: in a session of its own, so that `end` reaches all of it
  local name=$1 pid
  shift
  is_running "$name" && return 0
  rm -f "$RUN/$name.pid.new"
  (
    cd "$DATA"
    # No lock of ours may live on in a server.
    exec 9>&-
    exec setsid bash -c 'echo $$ >"$1.new.part"; mv "$1.new.part" "$1.new"; shift; exec "$@"' _ "$RUN/$name.pid" "$@"
  ) >>"$LOGS/$name.log" 2>&1 </dev/null &
  for _ in $(seq 100); do
    [[ -s $RUN/$name.pid.new ]] && break
    sleep 0.05
  done
  pid=$(cat "$RUN/$name.pid.new") || die "$name did not start"
  rm -f "$RUN/$name.pid.new"
  echo "$pid $(start_time "$pid" || echo gone)" >"$RUN/$name.pid"
}

end() { # NAME [SECONDS until it is killed]
  local name=$1 patience=${2:-15} pid
  if pid=$(pid_of "$name"); then
    kill -TERM -- "-$pid" 2>/dev/null || true
    for ((i = 0; i < patience * 20; i++)); do
      is_running "$name" || break
      sleep 0.05
    done
    kill_now "$name"
  fi
  rm -f "$RUN/$name.pid"
}

kill_now() { # NAME: kill -9, and its end waited for
  local pid
  pid=$(pid_of "$1") || return 0
  kill -KILL -- "-$pid" 2>/dev/null || true
  for _ in $(seq 200); do
    is_running "$1" || return 0
    sleep 0.05
  done
  die "$1 does not end"
}

show() { # NAME…: true only if all run
  local name pid all=0
  for name in "$@"; do
    if pid=$(pid_of "$name"); then
      printf '%-28s runs     pid %-8s %s MiB\n' "$name" "$pid" "$(awk '/VmRSS/{print int($2/1024)}' "/proc/$pid/status")"
    else
      printf '%-28s stopped\n' "$name"
      all=1
    fi
  done
  return $all
}

needs_port() { # HOST PORT NAME: refuses one that somebody else holds
  ! (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null || die "$3: port $1:$2 is taken by something that was not started here"
}

answers() { # URL SECONDS NAME [curl's arguments]
  local url=$1 patience=$2 name=$3
  shift 3
  for ((i = 0; i < patience * 5; i++)); do
    curl -fsS -o /dev/null --max-time 5 "$@" "$url" 2>/dev/null && return 0
    is_running "$name" || { tail -n 20 "$LOGS/$name.log" >&2; die "$name ended while it started"; }
    sleep 0.2
  done
  tail -n 20 "$LOGS/$name.log" >&2
  die "$name: $url does not answer within $patience s"
}

# ---- where programs come from

unpack_debs() { # FOLDER PACKAGE…: unpacked, not installed: no service starts, nothing of the system changes
  local folder=$1 package work
  shift
  for package in "$@"; do
    [[ -e $folder/.done-$package ]] && continue
    have apt-get || die "needs Debian's packages: $package"
    [[ -n ${APT_UPDATED:=} ]] || { apt-get update -qq >/dev/null 2>&1 || true; APT_UPDATED=1; }
    work=$(mktemp -d)
    chmod 755 "$work"
    (cd "$work" && apt-get download -qq "$package" >/dev/null 2>&1) || die "apt-get can't download $package"
    mkdir -p "$folder"
    dpkg-deb -x "$work"/*.deb "$folder"
    rm -rf "$work"
    touch "$folder/.done-$package"
  done
}

# Builds commands of published Go modules; go.mod's lines come by stdin. `go install` refuses a module that has
# `replace`, but any command of a required module can be built from a module of our own, which then has the replaces.
# LINK and TAGS are given to the build.
go_commands() { # NAME PACKAGE…
  local name=$1 folder=$BUILD/go-$1 minor
  shift
  have go || die "needs Go (https://go.dev/dl): $name is built from source"
  mkdir -p "$folder"
  minor=$(go env GOVERSION | sed -E 's/^go([0-9]+\.[0-9]+).*/\1/')
  { printf 'module gridflow.invalid/services/%s\n\ngo %s.0\n\n' "$name" "$minor"; cat; } >"$folder/go.mod.want"
  if ! cmp -s "$folder/go.mod.want" "$folder/go.mod.base"; then
    cp "$folder/go.mod.want" "$folder/go.mod.base"
    cp "$folder/go.mod.want" "$folder/go.mod"
    rm -f "$folder/go.sum"
  fi
  say "building $name (minutes, once)"
  (
    cd "$folder"
    GOFLAGS=-mod=mod GOTOOLCHAIN=local CGO_ENABLED=0 nice go build -trimpath ${TAGS:+-tags "$TAGS"} \
      -ldflags "-s -w ${LINK:-}" -o "$BIN/" "$@"
  ) >"$LOGS/build-$name.log" 2>&1 || { tail -n 40 "$LOGS/build-$name.log" >&2; die "building $name failed"; }
}

go_module() { # NAME MODULE: where the module of an own build lies
  (cd "$BUILD/go-$1" && GOFLAGS=-mod=mod GOTOOLCHAIN=local go list -m -f '{{.Dir}}' "$2")
}
