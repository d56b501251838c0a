#!/bin/sh
# Fetches the jars that a pom.xml names with Maven, once per user and version, and prints the folder that holds them:
# `~/.cache/braid/NAME-VERSION`. The version is what that property of pom.xml says.
#
#     deploy/maven-jars.sh POM PROPERTY NAME
#
# NO_INSTALL=1 only prints the command, and fails if there are no jars.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/fetched.sh
. "$here/fetched.sh"
pom=$1
version=$(sed -n "s/.*<$2>\(.*\)<.*/\1/p" "$pom")
jars=${XDG_CACHE_HOME:-$HOME/.cache}/braid/$3-$version
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

main
