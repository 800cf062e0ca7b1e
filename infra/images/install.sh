#!/usr/bin/env bash
# Make sure that this machine has what a Docker engine of our own and the images need. What lacks is installed where that
# is possible (root, on Debian and its kin); else a sentence says how, and the exit code is 4.
set -euo pipefail

declare -A package=([docker]=docker.io [mmdebstrap]=mmdebstrap [mvn]=maven [java]=default-jre-headless)
[ -n "${DOCKER_HOST:-}" ] || package+=([dockerd]=docker.io [containerd]=containerd [runc]=runc)

missing() {
  local program
  for program in "${!package[@]}"; do
    [ -n "$(PATH="$PATH:/usr/sbin:/sbin" command -v "$program")" ] || echo "${package[$program]}"
  done | sort -u
}

mapfile -t lacking < <(missing)
[ ${#lacking[@]} -gt 0 ] || exit 0
install=(apt-get install --no-install-recommends --yes "${lacking[@]}")
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "containers need ${lacking[*]}, which cannot be installed from here; on Debian: sudo ${install[*]}" >&2
  exit 4
fi
echo "installing ${lacking[*]}"
apt-get update --quiet --quiet
DEBIAN_FRONTEND=noninteractive "${install[@]}" >/dev/null
if [[ " ${lacking[*]} " == *" docker.io "* ]]; then # what the package started by itself is not wanted
  for service in docker containerd; do service "$service" stop >/dev/null 2>&1 || true; done
fi
[ -z "$(missing)" ] || { echo "still missing: $(missing | tr '\n' ' ')" >&2; exit 4; }
