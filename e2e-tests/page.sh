#!/bin/sh
# Looks at the web page with a real Chromium, on platforms that it starts: see page/run.mjs.
#
#     e2e-tests/page.sh [BRAID]          BRAID: the program; default target/debug/braid
#     e2e-tests/page.sh --install        only fetches the Node packages, and prints their folder
#
# Chromium, Node and a Redis are the system's; CHROMIUM names another browser. playwright-core and axe-core are fetched from the npm registry once
# per user, as page/package-lock.json names them. NO_INSTALL=1 only prints the commands, and fails if they are not there.
#
# ONLY=redis runs the scenarios with that in their names. Screenshots and figures are left in target/page.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/fetched.sh
. "$here/../deploy/fetched.sh"
# Beside Kafka's jars; see deploy/kafka-jars.sh. Other packages need another folder.
key=$(cat "$here/page/package.json" "$here/page/package-lock.json" | cksum | cut -d ' ' -f 1)
app=${XDG_CACHE_HOME:-$HOME/.cache}/braid/page-$key
# Next to it, so that it can be renamed once it is whole.
fresh=$app.fetching.$$
target=${CARGO_TARGET_DIR:-$here/../target}
braid=${1:-$target/debug/braid}

main() {
    is_fetched || fetch
    if [ "${1:-}" = --install ]; then
        echo "$app"
        return
    fi
    mkdir -p "$target/page"
    BRAID=$(cd "$(dirname "$braid")" && pwd)/$(basename "$braid") BRAID_PAGE_MODULES=$app/node_modules \
        BRAID_PAGE_OUT=$(cd "$target/page" && pwd) exec node "$here/page/run.mjs"
}

is_fetched() {
    [ -d "$app/node_modules" ]
}

fetch() {
    trap 'rm -rf "$fresh"' EXIT
    run mkdir -p "$fresh" >&2
    cp "$here/page/package.json" "$here/page/package-lock.json" "$fresh"
    # No package runs a script of its own, and none brings a browser.
    run npm ci --prefix "$fresh" --ignore-scripts --no-audit --no-fund >&2
    # Another process may have fetched them meanwhile.
    is_fetched || mv "$fresh" "$app"
    trap - EXIT
}

main "$@"
