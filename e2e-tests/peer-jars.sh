#!/bin/sh
# Fetches Flink SQL or Kafka Streams with Maven, once per user and version, compiles the program that counts with it, and prints the
# folder that holds both: the jars, and the program in `classes`. `make bench-peers` runs them. They take 205 and 95 MB, and need `javac`.
#
#     e2e-tests/peer-jars.sh flink|streams
#
# NO_INSTALL=1 only prints the commands, and fails if something is missing.
set -eu

peers=$(cd "$(dirname "$0")/peers" && pwd)
case ${1:-} in
flink) set -- flink.version FlinkCounts.java ;;
streams) set -- kafka-streams.version StreamsCounts.java ;;
*)
    echo "usage: e2e-tests/peer-jars.sh flink|streams" >&2
    exit 2
    ;;
esac
peer=${1%%.version}
peer=${peer#kafka-}
exec "$peers/../../deploy/java-program.sh" "$peers/$peer/pom.xml" "$1" "peer-$peer" "$peers/$peer/$2"
