#!/usr/bin/env bash
# Fetch Apache Kafka's published jars (44 files, 43 MB) with Maven into FOLDER/libs. Then
#   export CLOUDCART_KAFKA_HOME=FOLDER
# makes the embedded backend run the real broker in place of the mock one. A release of Kafka unpacked serves as well.
set -euo pipefail

folder=${1:?usage: fetch.sh FOLDER}
mkdir -p "$folder/libs"
mvn --quiet --batch-mode --file "$(dirname "$0")/pom.xml" \
  dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$(realpath "$folder")/libs"
