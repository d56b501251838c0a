#!/bin/sh
# Do the tests bite? Applies one patch of this folder at a time to a copy of the checkout and expects its tests to go red.
#
#     e2e-tests/mutations/run.sh [NAME…]      # all of them, or those named (a patch without its ending)
#
# A patch says on its line `Test:` which crate's tests should catch it; if these stay green, all of the workspace are run.
# First those tests are run without any patch: what is red anyway catches nothing. Exits with 1 if a patch stays green,
# does not apply or does not compile. What the tests said lies in target/mutants/log/.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
checkout=$(cd "$here/../.." && pwd)
work=$checkout/target/mutants
# Always the same path, so that only what a patch touches is compiled again.
copy=$work/copy
logs=$work/log
export CARGO_TARGET_DIR="$work/target"
# Together with any crate these two select the features that the whole workspace does, so that no dependency is built again.
same_features="-p e2e-tests -p serving-layer"
# A patch that makes a test hang is caught, too; this is when it counts as hanging.
limit=${MUTANT_LIMIT:-30m}
escaped=0

main() {
    if [ $# -eq 0 ]; then
        for patch in "$here"/*.patch; do
            set -- "$@" "$(basename "$patch" .patch)"
        done
    fi
    for name in "$@"; do
        [ -e "$here/$name.patch" ] || { echo "there is no $name.patch" >&2; exit 2; }
    done
    fresh_copy
    green_without "$@"
    for name in "$@"; do
        bites "$name"
    done
    echo "$# changes, $escaped of them not caught"
    [ "$escaped" -eq 0 ]
}

# Tracked files as they lie in the checkout. They are dated now: whatever an earlier run left built is built again.
fresh_copy() {
    rm -rf "$copy"
    mkdir -p "$copy" "$logs" "$CARGO_TARGET_DIR"
    git -C "$checkout" ls-files -z | (cd "$checkout" && tar --create --null --files-from=- --file=-) |
        (cd "$copy" && tar --extract --touch --file=-)
}

# Runs the tests of all named patches on the untouched copy.
green_without() {
    for name in "$@"; do
        tests_of "$name"
    done | sort -u | while read -r tests; do
        began=$(date +%s)
        # shellcheck disable=SC2086 # a list of words
        if ! run "untouched" $tests || ! grep -q '^test result: ok. [1-9]' "$logs/untouched"; then
            tail -n 40 "$logs/untouched" >&2
            echo "red, or without any test, before anything was changed: cargo test $tests" >&2
            exit 1
        fi
        echo "untouched: green ($(since "$began")): cargo test $tests"
    done
}

# Applies a patch, runs its tests, and takes it back.
bites() {
    name=$1
    began=$(date +%s)
    if ! turn "$name" > "$logs/$name" 2>&1; then
        cat "$logs/$name"
        miss "does not apply any more"
        fresh_copy
        return
    fi
    tests=$(tests_of "$name")
    # shellcheck disable=SC2086 # a list of words
    run "$name" $tests && found=0 || found=$?
    if [ "$found" -eq 0 ]; then
        echo "$name: cargo test $tests stays green; running every test"
        run "$name" --workspace && found=0 || found=$?
    fi
    turn "$name" --reverse > /dev/null
    case $found in
    0) miss "stays green" ;;
    2) miss "does not compile, see $logs/$name" ;;
    3) echo "$name: caught ($(since "$began")): tests still ran after $limit" ;;
    *) echo "$name: caught ($(since "$began")) by $(caught_by "$name")" ;;
    esac
}

# The line `Test: CRATE ARGUMENTS` as arguments of `cargo test`.
tests_of() {
    sed -n "s/^Test: /$same_features -p /p" "$here/$1.patch"
}

turn() { # name [--reverse]
    name=$1
    shift
    (cd "$copy" && patch --strip=1 --fuzz=1 --batch --no-backup-if-mismatch "$@" < "$here/$name.patch")
}

# Builds and runs tests; 1: they are red, 2: they do not compile, 3: they hang.
run() { # name-of-log arguments…
    log=$logs/$1
    shift
    case " $* " in
    # Scenarios start the layers' binaries.
    *" e2e "* | " --workspace ") compile build --workspace > "$log" 2>&1 || return 2 ;;
    esac
    compile test "$@" --no-run > "$log" 2>&1 || return 2
    (cd "$copy" && timeout "$limit" cargo test --locked "$@" < /dev/null) > "$log" 2>&1 || return $(($? == 124 ? 3 : 1))
}

compile() { # command arguments…
    command=$1
    shift
    (cd "$copy" && cargo "$command" --locked "$@" < /dev/null)
}

caught_by() { # name-of-log
    names=$(sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p' "$logs/$1" | sort -u | paste -sd ' ')
    echo "${names:-an end that no test foresaw, see $logs/$1}"
}

miss() {
    echo "$name: NOT CAUGHT: $1"
    escaped=$((escaped + 1))
}

since() {
    echo "$(($(date +%s) - $1)) s"
}

main "$@"
