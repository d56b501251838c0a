#!/bin/sh
# Drives a running platform by its OpenAPI document with Schemathesis: no answer may break the document, and none may be a 5xx but the
# documented 503.
#
#     e2e-tests/schemathesis.sh [BRAID]          BRAID: the program; default target/debug/braid
#     e2e-tests/schemathesis.sh --install        only makes the Python environment, and prints its folder
#
# It starts `braid up` with the catalog that we ship and sample traffic, in a folder of its own, and ends it again. The environment is made
# with pip, once per user and version. NO_INSTALL=1 only prints the commands, and fails if there is no such environment. Python has to be
# 3.11 or newer.
#
# EXAMPLES=200 tries more requests for each operation. SEED=7 takes others, of that seed.
set -eu

# All of them, those that the others need included, so that every machine has the same.
packages="schemathesis==4.32.5 anyio==4.16.0 certifi==2026.10.19.post1 charset-normalizer==3.5.3 click==8.5.1 graphql-core==3.3.2 \
harfile==0.6.0 hypothesis==6.170.17 hypothesis-graphql==0.13.5 idna==3.20 iniconfig==2.3.1 jsonschema_rs==0.60.3 markdown-it-py==4.3.0 \
MarkupSafe==3.0.4 mdurl==0.1.2 packaging==26.4 pluggy==1.7.0 Pygments==2.21.0 pyrate-limiter==4.5.1 pytest==9.2.0 PyYAML==6.0.4 \
requests==2.34.2 rich==15.0.0 sortedcontainers==2.4.0 typing_extensions==4.16.0 urllib3==2.8.0 Werkzeug==3.1.9"
# Beside Kafka's jars; see deploy/kafka-jars.sh. Other packages, or another Python, need another environment.
key=$({ echo "$packages" && python3 --version; } 2>&1 | cksum | cut -d ' ' -f 1)
app=${XDG_CACHE_HOME:-$HOME/.cache}/braid/schemathesis-$key
# Next to it, so that it can be renamed once it is whole. Its interpreter finds its packages wherever it lies.
fresh=$app.fetching.$$
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/fetched.sh
. "$here/../deploy/fetched.sh"
braid=${1:-${CARGO_TARGET_DIR:-$here/../target}/debug/braid}
# How long the platform may take to answer.
ready_within=120

main() {
    is_fetched || fetch
    if [ "${1:-}" = --install ]; then
        echo "$app"
        return
    fi
    braid=$(cd "$(dirname "$braid")" && pwd)/$(basename "$braid")
    folder=$(mktemp -d)
    platform=
    trap 'end $?' EXIT
    trap 'exit 130' INT TERM
    "$braid" up --catalog "$here/../catalog.toml" --data "$folder/data" --kafka in-process --http 127.0.0.1:0 \
        >"$folder/up.out" 2>"$folder/up.log" &
    platform=$!
    url=http://$(address)
    until_answered "$url/readyz"
    # Rows of tables are there once the speed layer has looked at their topics.
    until_answered "$url/v1/tables/users/u-1"
    echo "schemathesis on $url"
    # The same requests on every machine, unless the caller names a seed.
    if [ -n "${SEED:-}" ]; then set -- --seed "$SEED"; else set -- --generation-deterministic; fi
    # It leaves files where it runs.
    cd "$folder"
    "$app/bin/python" -m schemathesis.cli --config-file "$here/schemathesis.toml" run "$url/openapi.json" "$@" \
        --max-examples "${EXAMPLES:-25}" --workers 2 --request-timeout 30 --continue-on-failure --warnings off
}

# Where the platform listens, from the line that says that it serves.
address() {
    waited=0
    until line=$(grep -o '^ready http=[^ ]*' "$folder/up.out"); do
        still_waits "the platform does not start"
    done
    echo "${line#ready http=}"
}

until_answered() { # url
    waited=0
    until curl --silent --fail --max-time 5 --output /dev/null "$1"; do
        still_waits "$1 is not answered"
    done
}

still_waits() { # what
    if [ "$waited" -ge "$ready_within" ] || ! kill -0 "$platform" 2>/dev/null; then
        echo "ERROR: $1; the end of its log:" >&2
        tail -n 20 "$folder/up.log" >&2
        exit 1
    fi
    waited=$((waited + 1))
    sleep 1
}

# Ends the platform. After a failure its log is shown.
end() { # exit code
    trap - EXIT
    if [ -n "$platform" ]; then
        kill "$platform" 2>/dev/null || true
        wait "$platform" 2>/dev/null || true
    fi
    [ "$1" -eq 0 ] || grep -E ' (ERROR|WARN) ' "$folder/up.log" 2>/dev/null | tail -n 20 >&2 || true
    rm -rf "$folder"
    exit "$1"
}

is_fetched() {
    [ -d "$app" ]
}

fetch() {
    trap 'rm -rf "$fresh"' EXIT
    python_with "$fresh" "$packages"
    # Another process may have made it meanwhile.
    is_fetched || mv "$fresh" "$app"
    trap - EXIT
}

main "$@"
