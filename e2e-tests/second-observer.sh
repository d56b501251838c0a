#!/bin/sh
# Makes the Python environment of e2e-tests/second_observer.py, of docs/examples and of the tests of clients/python with pip, once per user and
# version, and prints its interpreter.
#
#     e2e-tests/second-observer.sh
#
# NO_INSTALL=1 only prints the commands, and fails if there is no such environment. Python has to be 3.11 or newer.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/fetched.sh
. "$here/../deploy/fetched.sh"
# All of them, those that the others need included, so that every machine has the same. Polars is for docs/examples, for clients/python, and for
# `make bench`, where it stands beside reports. With pandas, mypy and hatchling, clients/python is tested, checked and packed.
packages="deltalake==1.6.6 duckdb==2.0.1 polars==2.1.0 polars-runtime-32==2.1.0 arro3-core==0.9.1 deprecated==1.3.1 typing-extensions==4.16.0 \
wrapt==2.5.2 pandas==3.1.1 numpy==2.4.6 python-dateutil==4.0.0 tzdata==2026.6 mypy==2.4.1 mypy_extensions==1.2.0 ast_serialize==0.13.1 librt==0.17.0 \
hatchling==1.33.0 packaging==26.4 pathspec==1.1.1 pluggy==1.7.0 tomlkit==0.15.2 trove-classifiers==2026.9.21.13"
# Beside Kafka's jars; see deploy/kafka-jars.sh. Other packages, or another Python, need another environment.
key=$({ echo "$packages" && python3 --version; } 2>&1 | cksum | cut -d ' ' -f 1)
app=${XDG_CACHE_HOME:-$HOME/.cache}/braid/second-observer-$key
# Next to it, so that it can be renamed once it is whole. Its interpreter finds its packages wherever it lies.
fresh=$app.fetching.$$

main() {
    is_fetched || fetch
    echo "$app/bin/python"
}

is_fetched() {
    [ -d "$app" ]
}

fetch() {
    trap 'rm -rf "$fresh"' EXIT
    python_with "$fresh" "$packages"
    # Another process may have made it meanwhile.
    is_fetched || mv "$fresh" "$app"
}

main
