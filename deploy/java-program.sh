#!/bin/sh
# Fetches the jars that a pom.xml names (see maven-jars.sh), compiles a Java program of one file with them, and prints the folder that
# holds both: the jars, and the program in `classes`. Each is done once per user and version. It needs `javac`.
#
#     deploy/java-program.sh POM PROPERTY NAME SOURCE
#
# NO_INSTALL=1 only prints the commands, and fails if something is missing.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/fetched.sh
. "$here/fetched.sh"
source=$4
program=$(basename "$source")
jars=$("$here/maven-jars.sh" "$1" "$2" "$3")
# Next to it, so that it can be renamed once it is whole.
fresh=$jars/classes.compiling.$$

main() {
    is_compiled || compile
    echo "$jars"
}

# The copy of the program says that this is what it was compiled from.
is_compiled() {
    cmp -s "$source" "$jars/classes/$program"
}

compile() {
    trap 'rm -rf "$fresh"' EXIT
    # Keeps standard output free for the folder's name.
    run javac --release 17 -cp "$jars/*" -d "$fresh" "$source" >&2
    cp "$source" "$fresh/"
    # Another process may have compiled it meanwhile.
    is_compiled && return
    rm -rf "$jars/classes"
    mv "$fresh" "$jars/classes"
}

main
