#!/usr/bin/env bash
# Run a command with a Docker engine that has the images of infra/images:
#   infra/images/with-docker.sh cloudcart up --backend containers
# Where DOCKER_HOST names an engine, that one is used. Else one is started (as root), on a socket and with a data folder
# of its own, and afterwards stopped and removed with all it made; containers that the command left make this fail.
# The engine changes no packet filter and no routing. Images are built with the network of this machine, and the
# containers of a lab share it, too: what keeps them from the world is that they listen on 127.0.0.1 alone.
set -euo pipefail

here=$(realpath "$(dirname "$0")")

start_engine() {
  for program in dockerd containerd runc; do
    command -v "$program" >/dev/null || { echo "no $program; apt-get install docker.io containerd runc" >&2; exit 4; }
  done
  folder=$(mktemp -d /tmp/cloudcart-docker-XXXXXX)
  echo '{}' >"$folder/none.json" # not the system's configuration
  setsid dockerd --config-file "$folder/none.json" --data-root "$folder/data" --exec-root "$folder/exec" \
    --pidfile "$folder/pid" --host "unix://$folder/docker.sock" --storage-driver overlay2 --log-level warn \
    --iptables=false --ip6tables=false --ip-masq=false --ip-forward=false --ip 127.0.0.1 --bridge none \
    >"$folder/log" 2>&1 </dev/null &
  engine=$!
  trap stop_engine EXIT
  export DOCKER_HOST=unix://$folder/docker.sock
  for _ in $(seq 300); do
    docker version >/dev/null 2>&1 && return
    kill -0 "$engine" 2>/dev/null || break
    sleep 0.1
  done
  tail -20 "$folder/log" >&2
  echo "the Docker engine did not start" >&2
  exit 4
}

stop_engine() {
  local code=$? left
  mapfile -t left < <(docker ps --all --format '{{.Names}}')
  if [ ${#left[@]} != 0 ]; then
    docker rm --force --volumes "${left[@]}" >/dev/null
    echo "containers were left: ${left[*]}" >&2
    code=1
  fi
  kill "$engine" && wait "$engine" || true
  umount "$folder"/exec/netns/* 2>/dev/null || true
  rm -rf "$folder"
  echo "engine stopped, ${#left[@]} containers were left"
  exit "$code"
}

[ $# -gt 0 ] || { echo "usage: with-docker.sh COMMAND [ARGUMENT...]" >&2; exit 2; }
[ -n "${DOCKER_HOST:-}" ] || start_engine
"$here/build.sh"
eval "$("$here/build.sh" --environment)"
"$@"
