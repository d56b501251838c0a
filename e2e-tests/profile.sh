#!/bin/sh
# Where a speed worker spends its time: samples the workers of the benchmark's group `speed` with perf, and draws a flame graph.
#
#     e2e-tests/profile.sh [FILE]      # writes docs/profile-speed.svg, unless another file is named
#
# The benchmark has been built in release. What perf recorded lies in target/profile/. At the bottom of the graph are threads:
# `read-…` reads and decodes, `rdk:…` fetches, `tokio-rt-worker` counts and applies.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
graph=${1:-$here/docs/profile-speed.svg}
target=${CARGO_TARGET_DIR:-$here/target}
work=$target/profile
PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"

main() {
    cd "$here"
    rm -rf "$work"
    mkdir -p "$work"
    if ! record "$work/probe.data" -- true 2> "$work/probe.log"; then
        cat "$work/probe.log" >&2
        echo "perf cannot sample here. As root: sysctl kernel.perf_event_paranoid=1; in a container: --cap-add PERFMON." >&2
        exit 1
    fi
    rm "$work/probe.data"
    "$target/release/bench" speed &
    bench=$!
    trap 'kill "$bench" 2> /dev/null || true' EXIT
    sample_workers
    wait "$bench"
    trap - EXIT
    for data in "$work"/*.data; do
        perf script --no-inline --input "$data" 2> /dev/null | inferno-collapse-perf >> "$work/stacks"
    done
    inferno-flamegraph --title "Speed layer, $(git -C "$here" describe --always)" "$work/stacks" > "$graph"
    echo "wrote $graph"
}

# One worker after the other, each until it ends.
sample_workers() {
    workers=0
    while kill -0 "$bench" 2> /dev/null; do
        worker=$(pgrep --parent "$bench" --exact speed-layer || true)
        if [ -n "$worker" ]; then
            workers=$((workers + 1))
            record "$work/worker-$workers.data" --pid "$worker" || true
        else
            sleep 0.1
        fi
    done
}

# Release builds keep no frame pointers, so perf copies a piece of the stack and unwinds it later.
record() { # file arguments…
    file=$1
    shift
    perf record --quiet --freq 199 --call-graph dwarf,16384 --output "$file" "$@"
}

main
