#!/usr/bin/env bash
# What is to be seen in containers, on an engine that has the images: infra/images/with-docker.sh infra/containers.sh RUNS
# Each part says how long it took. All of them run, also when one fails; the exit code tells.
# shellcheck disable=SC2329 # functions are called by "part"
set -uo pipefail
runs=${1:?usage: containers.sh RUNS}
failed=0

part() {
  local began=$SECONDS
  "$@" || failed=1
  echo "$((SECONDS - began)) s: $*"
}

on_containers() {
  pytest "$@" --cloudcart-backend containers --cloudcart-report-dir "$runs"
}

# A scenario that this machine was too busy to judge gets a second try; a verdict, good or bad, stands.
scenarios() {
  local again
  on_containers scenarios && return
  mapfile -t again < <(python infra/side_by_side.py "$runs" --to-run containers)
  [ ${#again[@]} != 0 ] && on_containers "${again[@]}"
}

contracts() {
  CLOUDCART_CONTRACTS_BACKEND=containers pytest tests/lab/contracts
}

part scenarios
# These two wait more than they compute, and nothing that they claim depends on this machine's speed: side by side.
log=$(mktemp)
contracts >"$log" 2>&1 &
part pytest -s tests/containers.py
wait $! || failed=1
cat "$log" && rm "$log"
part python infra/side_by_side.py "$runs"
exit $failed
