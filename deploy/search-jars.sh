#!/bin/sh
# Fetches OpenSearch as Java archives with Maven, once per user and version, compiles the small program that starts it, and prints
# the folder that holds both: the jars, and the program in `classes`. `braid up --search` and the tests run OpenSearch from that folder.
# It takes 45 MB, and needs `javac`.
#
#     deploy/search-jars.sh
#
# BRAID_SEARCH_JARS names another folder that was made like that; then nothing is fetched. NO_INSTALL=1 only prints the commands, and
# fails if something is missing.
set -eu

if [ -n "${BRAID_SEARCH_JARS:-}" ]; then
    echo "$BRAID_SEARCH_JARS"
    exit
fi
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../braid/search" && pwd)
# The same folder as in braid/src/embedded/search.rs.
jars=$("$here/maven-jars.sh" "$source/pom.xml" opensearch.version opensearch)
# Next to it, so that it can be renamed once it is whole.
fresh=$jars/classes.compiling.$$

main() {
    is_compiled || compile
    echo "$jars"
}

# The copy of the program says that this is what it was compiled from.
is_compiled() {
    cmp -s "$source/Search.java" "$jars/classes/Search.java"
}

compile() {
    trap 'rm -rf "$fresh"' EXIT
    # Keeps standard output free for the folder's name.
    run javac --release 17 -cp "$jars/*" -d "$fresh" "$source/Search.java" >&2
    cp "$source/Search.java" "$fresh/"
    # Another process may have compiled it meanwhile.
    is_compiled && return
    rm -rf "$jars/classes"
    mv "$fresh" "$jars/classes"
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
