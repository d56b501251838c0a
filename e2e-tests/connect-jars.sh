#!/bin/sh
# Fetches Kafka Connect and Debezium's connector for PostgreSQL with Maven, once per user and version, and prints the folder that holds
# their jars. `make test-cdc` runs them. They take 38 MB.
#
#     e2e-tests/connect-jars.sh
#
# NO_INSTALL=1 only prints the command, and fails if there are no jars.
set -eu

pom=$(cd "$(dirname "$0")" && pwd)/cdc/pom.xml
version=$(sed -n 's/.*<debezium\.version>\(.*\)<.*/\1/p' "$pom")
# Beside Kafka's jars; see deploy/kafka-jars.sh.
jars=${XDG_CACHE_HOME:-$HOME/.cache}/braid/connect-$version
# Next to it, so that it can be renamed once it is whole.
fresh=$jars.fetching.$$

main() {
    is_fetched || fetch
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
