#!/bin/sh
# Fetches Apicurio Registry with Maven, once per user and version, and prints the jar that starts it. It speaks the API of
# Confluent's Schema Registry, and scenarios run it.
#
#     e2e-tests/schema-registry.sh
#
# NO_INSTALL=1 only prints the command, and fails if there is no registry.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/fetched.sh
. "$here/../deploy/fetched.sh"
version=3.0.9
artifact=io.apicurio:apicurio-registry-app:$version:tar.gz:all
# Newer ones also read the artifact's descriptor and its parents, which are not needed, and not in every mirror.
copy=org.apache.maven.plugins:maven-dependency-plugin:2.8:copy
# Beside Kafka's jars; see deploy/kafka-jars.sh.
app=${XDG_CACHE_HOME:-$HOME/.cache}/braid/apicurio-registry-$version
# Next to it, so that it can be renamed once it is whole.
fresh=$app.fetching.$$

main() {
    is_fetched || fetch
    echo "$app/apicurio-registry-app-$version-runner.jar"
}

is_fetched() {
    [ -d "$app" ]
}

fetch() {
    trap 'rm -rf "$fresh"' EXIT
    # Keeps standard output free for the jar's name.
    run mvn -q -B "$copy" "-Dartifact=$artifact" "-DoutputDirectory=$fresh/archive" >&2
    mkdir "$fresh/app"
    tar -xzf "$fresh/archive"/*.tar.gz -C "$fresh/app"
    # Another process may have fetched it meanwhile.
    is_fetched || mv "$fresh/app" "$app"
}

main
