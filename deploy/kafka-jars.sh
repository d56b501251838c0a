#!/bin/sh
# Fetches Apache Kafka as Java archives with Maven, once per user and version, and prints the folder that holds them. `braid up`
# and the tests run Kafka from that folder. It takes 54 MB, and Maven's own cache 80 MB.
#
#     deploy/kafka-jars.sh
#
# BRAID_KAFKA_JARS names another folder, such as `libs` of an unpacked Kafka; then nothing is fetched. NO_INSTALL=1 only prints
# the command, and fails if there are no jars.
set -eu

pom=$(cd "$(dirname "$0")/../braid/kafka" && pwd)/pom.xml
version=$(sed -n 's/.*<kafka\.version>\(.*\)<.*/\1/p' "$pom")
# The same folder as in braid/src/embedded/kafka/runtime.rs.
jars=${XDG_CACHE_HOME:-$HOME/.cache}/braid/kafka-$version
# Next to it, so that it can be renamed once it is whole.
fresh=$jars.fetching.$$

main() {
    if [ -n "${BRAID_KAFKA_JARS:-}" ]; then
        jars=$BRAID_KAFKA_JARS
    elif ! is_fetched; then
        fetch
    fi
    echo "$jars"
}

# The copy of pom.xml says that these are all of its jars.
is_fetched() {
    cmp -s "$pom" "$jars/pom.xml"
}

fetch() {
    trap 'rm -rf "$fresh"' EXIT
    # Keeps standard output free for the folder's name.
    run mvn -q -B -f "$pom" dependency:copy-dependencies -DincludeScope=runtime "-DoutputDirectory=$fresh" >&2
    cp "$pom" "$fresh/pom.xml"
    # Another process may have fetched them meanwhile.
    is_fetched && return
    rm -rf "$jars"
    mv "$fresh" "$jars"
}

# Prints a command and runs it, or only prints it.
run() {
    if [ -n "${NO_INSTALL:-}" ]; then
        echo "missing; would run: $*" >&2
        exit 1
    fi
    echo "+ $*" >&2
    "$@"
}

main
