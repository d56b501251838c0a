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
exec "$here/java-program.sh" "$source/pom.xml" opensearch.version opensearch "$source/Search.java"
