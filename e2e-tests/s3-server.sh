#!/bin/sh
# Builds SeaweedFS, an S3 server, once per user and version, and prints its program. Scenarios run it; see `make test-s3`.
#
#     e2e-tests/s3-server.sh
#
# It needs Go 1.25 or newer, or one that fetches that by itself. NO_INSTALL=1 only prints the commands, and fails if there is no
# program.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/fetched.sh
. "$here/../deploy/fetched.sh"
version=v0.0.0-20261109003541-7506e5f91cd6
module=github.com/seaweedfs/seaweedfs
# Beside Kafka's jars; see deploy/kafka-jars.sh.
folder=${XDG_CACHE_HOME:-$HOME/.cache}/braid/seaweedfs-$version
# Next to it, so that it can be renamed once it is whole.
fresh=$folder.building.$$

main() {
    is_built || build
    echo "$folder/weed"
}

is_built() {
    [ -x "$folder/weed" ]
}

build() {
    if ! command -v go >/dev/null 2>&1; then
        echo "Go 1.25 or newer is missing here. Please install it and repeat." >&2
        exit 1
    fi
    trap 'rm -rf "$fresh"' EXIT
    mkdir -p "$fresh"
    # A tool of a module that is empty otherwise. Standard output is kept free for the program's name.
    printf 'module tools\ngo 1.25\n' >"$fresh/go.mod"
    run env GOFLAGS=-mod=mod go -C "$fresh" get -tool "$module/weed@$version" >&2
    run env GOFLAGS=-mod=mod go -C "$fresh" build -o weed "$module/weed" >&2
    rm "$fresh/go.mod" "$fresh/go.sum"
    # Another process may have built it meanwhile.
    is_built || mv "$fresh" "$folder"
}

main
