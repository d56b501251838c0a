# shellcheck shell=sh
# Not run, but read by scripts that fetch something once per user, here and in e2e-tests:
#
#     . "$here/../deploy/fetched.sh"

# Prints a command and runs it, or only prints it.
run() {
    if [ -n "${NO_INSTALL:-}" ]; then
        echo "missing; would run: $*" >&2
        exit 1
    fi
    echo "+ $*" >&2
    "$@"
}

# Makes a Python environment of these packages, and of no others that they need. Standard output stays free for what the script prints.
python_with() { # folder packages
    python3 -c 'import tomllib' 2>/dev/null || {
        echo "ERROR: there is no python3 of version 3.11 or newer" >&2
        exit 1
    }
    run python3 -m venv "$1" >&2
    # shellcheck disable=SC2086 # a list of words
    run "$1/bin/python" -m pip install --quiet --no-deps --only-binary :all: $2 >&2
}
