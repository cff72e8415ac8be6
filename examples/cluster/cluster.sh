#!/usr/bin/env bash
# Three daemons that share one PostgreSQL, on this machine alone: free ports of loopback, and
# all data in one folder. They publish to a private DHT, which stands for the public network.
#
#   ./cluster.sh up              start everything
#   ./cluster.sh status          which of it runs, and what the daemons say of each other
#   ./cluster.sh N COMMAND …     run a command of ipns at daemon N, 1 to 3
#   ./cluster.sh kill N          kill -9 daemon N
#   ./cluster.sh start N         start it again
#   ./cluster.sh down            stop everything; the data stays
#
# CLUSTER is the folder (default: cluster, here), IPNS the program (default: ipns).
set -euo pipefail
mkdir -p "${CLUSTER:=cluster}"
dir=$(cd "$CLUSTER" && pwd -P)
ipns=${IPNS:-ipns}
daemons="1 2 3"

die() { echo "cluster.sh: $*" >&2; exit 1; }

# The server refuses to run as root: then it runs as user postgres.
server() {
  local bin
  for bin in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV) ""; do
    if [ -z "$bin" ] || [ -x "$bin/initdb" ]; then break; fi
  done
  local program=${bin:+$bin/}$1
  command -v "$program" >/dev/null || die "PostgreSQL is not installed: apt-get install postgresql"
  shift
  if [ "$(id -u)" = 0 ]; then
    # It may not look into the folder of the caller.
    (cd / && exec setpriv --reuid=postgres --regid=postgres --clear-groups "$program" "$@")
  else
    "$program" "$@"
  fi
}

lives() { # PID
  [ -s "$1" ] || return 1
  case "$(ps -o stat= -p "$(cat "$1")")" in
  "" | Z*) return 1 ;; # a process that has ended may stay in the list for a while
  esac
}

# background LOG PID TEXT COMMAND … runs a command in the background until its log has a text.
background() {
  local log=$1 pid=$2 text=$3 i
  shift 3
  : >"$log"
  nohup "$@" >"$log" 2>&1 </dev/null &
  echo $! >"$pid"
  for ((i = 0; i < 1800; i++)); do
    if grep -q "$text" "$log"; then return; fi
    lives "$pid" || break
    sleep 0.1
  done
  cat "$log" >&2
  die "$1 $2 does not start"
}

end() { # PID
  lives "$1" || return 0
  kill -INT "$(cat "$1")"
  while lives "$1"; do sleep 0.1; done
}

database_up() {
  local data=$dir/postgres/data port i
  if [ ! -e "$data/PG_VERSION" ]; then
    mkdir -p "$dir/postgres"
    (umask 077 && head -c 18 /dev/urandom | base64 | tr '+/' '-_' >"$dir/password")
    cp "$dir/password" "$dir/postgres/password"
    chmod 600 "$dir/postgres/password"
    if [ "$(id -u)" = 0 ]; then
      chown -R postgres:postgres "$dir/postgres"
      as_postgres_reaches "$dir/postgres"
    fi
    server initdb -D "$data" -U owner -A scram-sha-256 --pwfile="$dir/postgres/password" -E UTF8 --locale=C >"$dir/initdb.log" 2>&1 ||
      { cat "$dir/initdb.log" >&2; die "initdb failed"; }
  fi
  server pg_ctl status -D "$data" >/dev/null && return
  [ -s "$dir/port" ] || echo $((20000 + RANDOM % 12000)) >"$dir/port"
  for ((i = 0; i < 20; i++)); do # another program may have the port
    port=$(cat "$dir/port")
    if server pg_ctl start -w -t 300 -D "$data" -l "$dir/postgres/log" -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=" >"$dir/start.log" 2>&1; then
      break
    fi
    grep -q "could not bind" "$dir/postgres/log" || break
    [ ! -e "$dir/daemon1/config" ] || break # the daemons know the port
    echo $((20000 + RANDOM % 12000)) >"$dir/port"
  done
  server pg_ctl status -D "$data" >/dev/null || { cat "$dir/start.log" >&2; die "PostgreSQL does not start: see $dir/postgres/log"; }
  [ -e "$dir/daemon1/config" ] || sql "create role ipns login password '$(cat "$dir/password")'" "create database ipns owner ipns"
}

# as_postgres_reaches fails where the user of the server may not enter a folder above.
as_postgres_reaches() {
  (cd / && setpriv --reuid=postgres --regid=postgres --clear-groups test -w "$1") ||
    die "the user postgres cannot reach $1: set CLUSTER to a folder that others may enter"
}

sql() {
  local statement
  for statement; do
    PGPASSWORD=$(cat "$dir/password") psql -q -X -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$(cat "$dir/port")" -U owner -d postgres -c "$statement"
  done
}

daemon_init() { # N
  local repo=$dir/daemon$1
  [ ! -e "$repo/config" ] || return 0
  IPNS_PATH=$repo "$ipns" init --profile=test --store="postgres://ipns:$(cat "$dir/password")@127.0.0.1:$(cat "$dir/port")/ipns" >/dev/null
  # All have the key of the name "site", so that each can publish and renew it.
  if [ "$1" = 1 ]; then
    IPNS_PATH=$repo "$ipns" key gen site >"$dir/name"
  else
    (umask 077 && IPNS_PATH=$dir/daemon1 "$ipns" key export --output="$dir/site.key" site)
    IPNS_PATH=$repo "$ipns" key import site "$dir/site.key" >/dev/null 2>&1
    rm "$dir/site.key"
  fi
}

daemon_up() { # N
  local repo=$dir/daemon$1 server
  [ -e "$repo/config" ] || die "there is no daemon $1: ./cluster.sh up"
  server=$(sed -n 's/.*ipfs swarm connect \([^ ]*\).*/\1/p' "$dir/testnet.log" | head -n 1)
  lives "$repo/pid" || IPNS_PATH=$repo background "$repo/log" "$repo/pid" "Daemon is ready" "$ipns" daemon --bootstrap="$server"
}

up() {
  database_up
  lives "$dir/testnet.pid" || background "$dir/testnet.log" "$dir/testnet.pid" "Testnet is ready" "$ipns" testnet
  local n
  for n in $daemons; do daemon_init "$n"; done
  for n in $daemons; do daemon_up "$n"; done
  echo "three daemons share the database at 127.0.0.1:$(cat "$dir/port"); all have the key site of $(cat "$dir/name")"
}

status() {
  local n
  for n in $daemons; do
    if lives "$dir/daemon$n/pid"; then echo "daemon $n runs: $(cat "$dir/daemon$n/api")"; else echo "daemon $n does not run"; fi
  done
  for n in $daemons; do
    if lives "$dir/daemon$n/pid"; then
      IPNS_PATH=$dir/daemon$n "$ipns" cluster status
      return
    fi
  done
}

down() {
  local n
  for n in $daemons; do end "$dir/daemon$n/pid"; done
  end "$dir/testnet.pid"
  if [ -e "$dir/postgres/data/PG_VERSION" ] && server pg_ctl status -D "$dir/postgres/data" >/dev/null; then
    server pg_ctl stop -m fast -D "$dir/postgres/data" >/dev/null
  fi
  echo "stopped; the data is in $dir"
}

case "${1:-}" in
up | status | down) "$1" ;;
kill) kill -9 "$(cat "$dir/daemon${2:?which daemon}/pid")" ;;
start) daemon_up "${2:?which daemon}" ;;
[1-3])
  export IPNS_PATH=$dir/daemon$1
  shift
  exec "$ipns" "$@"
  ;;
*) sed -n 's/^#   //p' "$0" && exit 1 ;;
esac
