#!/usr/bin/env bash
# Build the images of the containers backend from packages alone, for sites and machines without an image registry:
#   infra/images/build.sh                  all of them (root: mmdebstrap makes the base); needs docker and mmdebstrap
#   infra/images/build.sh cloudcart        the project's image alone, and what it stands on
#   eval "$(infra/images/build.sh --environment)"    lets the containers backend use them
# Kafka needs Maven, too. What exists is built again only where its recipe or sources changed.
set -euo pipefail

here=$(realpath "$(dirname "$0")")
root=$(realpath "$here/../..")
base=local/debian:bookworm
sources=(pyproject.toml README.md LICENSE cloudcart loadtests scenarios infra/images/cloudcart) # see .dockerignore
declare -A image=([postgres]=local/postgres:15 [redis]=local/redis:7 [kafka]=local/kafka:4.4.0
  [prometheus]=local/prometheus:2 [python]=local/python:3.11 [cloudcart]=cloudcart:latest)

environment() {
  local name
  for name in postgres redis kafka prometheus; do
    echo "export CLOUDCART_CONTAINERS__${name^^}=${image[$name]}"
  done
  echo "export CLOUDCART_CONTAINERS__SHOP=${image[cloudcart]}"
}

exists() { docker image inspect "$1" >/dev/null 2>&1; }

timed() { # NAME COMMAND...: run, and say how long it took; say what it printed only if it failed
  local name=$1 began=$SECONDS
  shift
  "$@" >"$work/$name.log" 2>&1 & # not as a condition: there a failed command within would not end it
  if wait $!; then
    echo "$name: $((SECONDS - began)) s"
  else
    tail -40 "$work/$name.log" >&2
    echo "$name: could not be built" >&2
    return 1
  fi
}

build_base() { exists "$base" || "$here/debian/build.sh" "$base"; }

build_simple() { docker build --network host --build-arg "BASE=$base" --tag "${image[$1]}" "$here/$1"; }

build_kafka() {
  cp -r "$here/kafka" "$work/kafka"
  "$root/infra/kafka/fetch.sh" "$work/kafka"
  docker build --network host --build-arg "BASE=$base" --tag "${image[kafka]}" "$work/kafka"
}

build_cloudcart() {
  exists "${image[python]}" || build_simple python
  local arguments=(--build-arg "PYTHON=${image[python]}") name
  cp "${PIP_CERT:-/etc/ssl/certs/ca-certificates.crt}" "$work/certificates.crt"
  arguments+=(--build-arg "PIP_CERT=/source/certificates.crt")
  for name in PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST HTTP_PROXY HTTPS_PROXY NO_PROXY; do
    [ -z "${!name:-}" ] || arguments+=(--build-arg "$name")
  done
  (cd "$root" && git ls-files --cached --others --exclude-standard --deduplicate -z -- "${sources[@]}" |
    tar --create --null --files-from - --ignore-failed-read --directory "$work" certificates.crt) |
    docker build --network host "${arguments[@]}" --tag "${image[cloudcart]}" --file infra/images/cloudcart/Dockerfile -
}

if [ "${1:-}" = --environment ]; then
  environment
  exit
fi

work=$(mktemp -d)
builds=()
set -m # a build is a process group, so that it can be ended with all it has started
begin() { timed "$@" & builds+=($!); }
end_builds() {
  for build in "${builds[@]}"; do kill -- "-$build" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap end_builds EXIT

begin base build_base
wait $!
names=("$@")
[ $# -gt 0 ] || names=(cloudcart kafka postgres prometheus redis)
for name in "${names[@]}"; do # side by side: they wait for downloads more than they compute
  case $name in
    kafka | cloudcart) begin "$name" "build_$name" ;;
    *) begin "$name" build_simple "$name" ;;
  esac
done
for _ in "${names[@]}"; do wait -n; done # the first that fails ends this, and so the others
