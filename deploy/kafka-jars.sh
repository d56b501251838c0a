#!/bin/sh
# Fetches Apache Kafka as Java archives with Maven, once per user and version, and prints the folder that holds them. `braid up`
# and the tests run Kafka from that folder. It takes 54 MB, and Maven's own cache 80 MB.
#
#     deploy/kafka-jars.sh
#
# BRAID_KAFKA_JARS names another folder, such as `libs` of an unpacked Kafka; then nothing is fetched. NO_INSTALL=1 only prints
# the command, and fails if there are no jars.
set -eu

if [ -n "${BRAID_KAFKA_JARS:-}" ]; then
    echo "$BRAID_KAFKA_JARS"
    exit
fi
here=$(cd "$(dirname "$0")" && pwd)
# The same folder as in braid/src/embedded/kafka/runtime.rs.
exec "$here/maven-jars.sh" "$(cd "$here/../braid/kafka" && pwd)/pom.xml" kafka.version kafka
