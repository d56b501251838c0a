#!/bin/sh
# Finds packages that are missing for `make run`, `make test`, `make test-s3`, `make test-cdc`, `make test-cluster`, `make test-page`,
# `make test-compose`, `make lint`, `make lint-deploy`, `make fuzz`, `make bench-peers` or `make profile`, and installs them, printing each command. It does not install Docker or Go.
#
#     deploy/install.sh run|test|test-s3|test-cdc|test-cluster|test-page|test-compose|lint|lint-deploy|fuzz|bench-peers|profile
#
# NO_INSTALL=1 only prints the commands, and fails if something is missing. Packages are installed with apt-get; on a system
# without it, the script lists the missing ones. Rust is updated with rustup, if that is installed. `make run` works without Java,
# Maven and Kafka's jars, so there it is no failure if they cannot be had.
set -eu

purpose=${1:?"usage: deploy/install.sh run|test|test-s3|test-cdc|test-cluster|test-page|test-compose|lint|lint-deploy|fuzz|bench-peers|profile"}
here=$(cd "$(dirname "$0")" && pwd)
# Cargo.toml names the oldest Rust version that works.
rust_version=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$here/../Cargo.toml")
cargo_deny_version=0.20
cargo_fuzz_version=0.13
inferno_version=0.12

# This shell's path may not yet include a Rust that was just installed.
PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"

main() {
    packages=""
    if [ "$purpose" = test-compose ]; then
        need curl curl
        need jq jq
        need openssl openssl
        install_packages
        return
    fi
    if [ "$purpose" = lint-deploy ]; then
        need_python
        need promtool prometheus
        install_packages
        "$here/../e2e-tests/manifests.sh" --install >/dev/null || missing=1
        return
    fi
    # For the build: librdkafka and zstd are compiled from source; OpenSSL is the system's.
    need gcc gcc
    need g++ g++
    need make make
    need curl curl
    [ -e /etc/ssl/certs/ca-certificates.crt ] || packages="$packages ca-certificates"
    need pkg-config pkg-config
    need_header openssl libssl-dev
    case $purpose in
    run) need redis-server redis-server ;;
    test-page)
        need redis-server redis-server
        need_python
        # A stream is shown as it arrives only where a real Kafka runs.
        need_java
        need mvn maven
        need node nodejs
        need npm npm
        need chromium chromium
        ;;
    test | test-s3 | test-cdc | test-cluster | bench-peers | profile)
        need redis-server redis-server
        need_java
        need mvn maven
        # It ties what a test starts to the test's own life.
        [ "$(uname -s)" != Linux ] || need setpriv util-linux
        [ "$purpose" != profile ] || need perf linux-perf
        [ "$purpose" != profile ] || need pgrep procps
        [ "$purpose" != test ] || need_python
        [ "$purpose" != test ] || need promtool prometheus
        [ "$purpose" != test ] || need_javac
        [ "$purpose" != bench-peers ] || need_javac
        [ "$purpose" != test-cdc ] || need_postgres
        ;;
    lint | fuzz) ;;
    *)
        echo "deploy/install.sh: unknown purpose $purpose" >&2
        exit 2
        ;;
    esac

    install_packages
    install_rust
    case $purpose in
    run) try_kafka ;;
    test)
        "$here/kafka-jars.sh" >/dev/null || not_fetched
        "$here/search-jars.sh" >/dev/null || not_fetched
        "$here/../e2e-tests/schema-registry.sh" >/dev/null || not_fetched
        "$here/../e2e-tests/second-observer.sh" >/dev/null || not_fetched
        ;;
    test-s3)
        "$here/kafka-jars.sh" >/dev/null || not_fetched
        "$here/../e2e-tests/s3-server.sh" >/dev/null || missing=1
        ;;
    test-cdc)
        "$here/kafka-jars.sh" >/dev/null || not_fetched
        "$here/../e2e-tests/connect-jars.sh" >/dev/null || missing=1
        ;;
    test-cluster) "$here/kafka-jars.sh" >/dev/null || not_fetched ;;
    test-page)
        "$here/kafka-jars.sh" >/dev/null || not_fetched
        "$here/../e2e-tests/page.sh" --install >/dev/null || missing=1
        "$here/../e2e-tests/schemathesis.sh" --install >/dev/null || missing=1
        ;;
    bench-peers)
        "$here/kafka-jars.sh" >/dev/null || not_fetched
        "$here/../e2e-tests/peer-jars.sh" flink >/dev/null || missing=1
        "$here/../e2e-tests/peer-jars.sh" streams >/dev/null || missing=1
        ;;
    profile)
        "$here/kafka-jars.sh" >/dev/null || not_fetched
        install_flame_graphs
        ;;
    lint) install_linters ;;
    fuzz) install_fuzzer ;;
    esac
}

need() { # program package
    command -v "$1" >/dev/null 2>&1 || packages="$packages $2"
}

need_header() { # pkg-config-name package
    pkg-config --exists "$1" 2>/dev/null || packages="$packages $2"
}

# The broker runs on any Java from 17 on.
need_java() {
    major=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1)
    [ "${major:-0}" -ge 17 ] || packages="$packages openjdk-17-jre-headless"
}

# The program that starts the search server is compiled where it runs.
need_javac() {
    need javac openjdk-17-jdk-headless
}

# The second observer of the tables is a Python program, with packages in an environment of its own.
need_python() {
    python3 -c 'import ensurepip, tomllib' 2>/dev/null || packages="$packages python3-venv"
}

# The server's programs lie where e2e-tests/src/cdc/postgres.rs looks for them, not in the path.
need_postgres() {
    ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || packages="$packages postgresql"
    need setpriv util-linux
}

# What `braid up` needs to run a real Kafka.
try_kafka() {
    packages=""
    need_java
    NO_INSTALL=1 "$here/kafka-jars.sh" >/dev/null 2>&1 || need mvn maven
    # In a shell of its own, so that what ends it does not end this one.
    (install_packages && "$here/kafka-jars.sh" >/dev/null) ||
        echo "Kafka cannot be run here: see above. \`braid up\` uses a broker inside its process, which forgets on exit." >&2
}

# Without Kafka's jars, tests use the in-process broker; without those, the search server, the schema registry or the second
# observer, they name what they could not test.
not_fetched() {
    [ -z "${NO_INSTALL:-}" ] || missing=1
}

install_packages() {
    [ -n "$packages" ] || return 0
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "Missing here, by their Debian names:$packages. Please install them and repeat." >&2
        exit 1
    fi
    # Keeps standard output free for the program that is run afterwards, which prints lines such as `ready …`.
    [ -n "$updated" ] || as_root apt-get update -qq >&2
    updated=1
    # shellcheck disable=SC2086 # a list of words
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $packages >&2
}

install_rust() {
    have=$(rustc --version 2>/dev/null | sed 's/^rustc \([0-9.]*\).*/\1/')
    oldest=$(printf '%s\n%s\n' "${have:-0}" "$rust_version" | sort -V | head -n 1)
    if [ "$oldest" = "$rust_version" ]; then
        return 0
    fi
    if command -v rustup >/dev/null 2>&1; then
        run rustup update stable
        run rustup default stable
    elif [ -n "$have" ]; then
        echo "Rust $have is installed without rustup; Braid needs $rust_version or newer. Please update it." >&2
        exit 1
    else
        echo "Rust $rust_version or newer is missing here. Please install it with rustup and repeat." >&2
        exit 1
    fi
}

install_linters() {
    for component in clippy rustfmt; do
        cargo "${component#rust}" --version >/dev/null 2>&1 || run rustup component add "$component"
    done
    if ! cargo deny --version 2>/dev/null | grep -q " $cargo_deny_version\."; then
        # Once; some 40 s on two cores. It runs for seconds only, so it is not worth two minutes of optimising.
        run env CARGO_PROFILE_DEV_DEBUG=false cargo install --debug --locked cargo-deny --version "^$cargo_deny_version"
    fi
}

install_fuzzer() {
    if ! cargo fuzz --version 2>/dev/null | grep -q " $cargo_fuzz_version\."; then
        # Takes less than a minute on two cores, once.
        run cargo install --locked cargo-fuzz --version "^$cargo_fuzz_version"
    fi
}

install_flame_graphs() {
    # A minute on two cores, once.
    command -v inferno-flamegraph >/dev/null 2>&1 || run cargo install --locked inferno --version "^$inferno_version"
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        run "$@"
    else
        run sudo "$@"
    fi
}

# Prints a command and runs it, or only prints it.
run() {
    if [ -n "${NO_INSTALL:-}" ]; then
        echo "missing; would run: $*" >&2
        missing=1
        return 0
    fi
    echo "+ $*" >&2
    "$@"
}

missing=0
updated=""
main
exit "$missing"
