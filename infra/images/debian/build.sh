#!/usr/bin/env bash
# The base of the other images: Debian from its packages alone, for machines without an image registry.
# Takes the mirror that apt uses here. Argument: the image's name.
set -euo pipefail

exclusions=()
for folder in man doc info locale i18n; do exclusions+=("--dpkgopt=path-exclude=/usr/share/$folder/*"); done
# shellcheck disable=SC2016 # the hook's "$1" is mmdebstrap's: the folder of the new system
mmdebstrap --quiet --variant=minbase \
  "${exclusions[@]}" \
  --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
  --customize-hook='rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/* "$1"/var/log/*' \
  bookworm - | docker import - "$1" >/dev/null
