#!/bin/sh
# Builds each overlay of deploy/kubernetes with Kustomize, and holds it to Kubernetes' own schemas and to the rules of manifests.py.
#
#     e2e-tests/manifests.sh
#     e2e-tests/manifests.sh --install        only fetches both tools, and prints their folder
#
# Kustomize is built by Go 1.25 or newer, or one that fetches that by itself, and the schemas come with a Python package, once per user and
# version. NO_INSTALL=1 only prints the commands, and fails if there are no such tools. Python has to be 3.11 or newer.
set -eu

kustomize=sigs.k8s.io/kustomize/kustomize/v5@v5.8.2
# All of them, those that the others need included, so that every machine has the same.
packages="kubernetes-validate==1.37.0 attrs==26.1.0 importlib_resources==7.1.0 jsonschema==4.26.0 jsonschema-specifications==2025.9.1 \
packaging==26.4 PyYAML==6.0.4 referencing==0.37.0 rpds-py==2026.9.1 typing_extensions==4.16.0"
# Beside Kafka's jars; see deploy/kafka-jars.sh. Other packages, or another Python, need another environment.
key=$({ echo "$kustomize $packages" && python3 --version; } 2>&1 | cksum | cut -d ' ' -f 1)
app=${XDG_CACHE_HOME:-$HOME/.cache}/braid/manifests-$key
# Next to it, so that it can be renamed once it is whole. Its interpreter finds its packages wherever it lies.
fresh=$app.fetching.$$
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/fetched.sh
. "$here/../deploy/fetched.sh"
overlays="single production production-cluster"

main() {
    is_fetched || fetch
    if [ "${1:-}" = --install ]; then
        echo "$app"
        return
    fi
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    for overlay in $overlays; do
        "$app/bin/kustomize" build "$here/../deploy/kubernetes/$overlay" >"$folder/$overlay.yaml"
    done
    cd "$folder"
    for overlay in $overlays; do
        "$app/bin/python" "$here/manifests.py" "$overlay.yaml" "$here/.."
    done
}

is_fetched() {
    [ -d "$app" ]
}

fetch() {
    command -v go >/dev/null 2>&1 || {
        echo "ERROR: Go 1.25 or newer is missing here. Please install it and repeat" >&2
        exit 1
    }
    trap 'rm -rf "$fresh"' EXIT
    python_with "$fresh" "$packages"
    # Keeps standard output free for the folder's name.
    run env GOBIN="$fresh/bin" GOFLAGS=-mod=mod go install "$kustomize" >&2
    # Another process may have made it meanwhile.
    is_fetched || mv "$fresh" "$app"
    trap - EXIT
}

main "$@"
