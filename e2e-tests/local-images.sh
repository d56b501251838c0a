#!/bin/sh
# Stand-ins for the base images, where there is an engine but no registry to pull from: so that the very same Dockerfile
# and compose file can be tried. Prints the variables that both take, each with the name of its stand-in:
#
#     eval "$(e2e-tests/local-images.sh)"
#
# Everything comes from this system: Debian from its apt mirror, the Rust toolchain that is installed here, Redis and
# Java from its packages, Kafka from Maven artifacts. Needs Debian, root, docker, debootstrap, mvn and rustc.
# REBUILD=1 makes them anew.
set -eu
cd "$(dirname "$0")"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

main() {
    stand_in BASE_IMAGE debian
    stand_in RUST_IMAGE rust
    stand_in REDIS_IMAGE redis
    stand_in KAFKA_IMAGE kafka
}

stand_in() { # variable name
    image=braid-local/$2
    if [ -n "${REBUILD:-}" ] || ! docker image inspect "$image" >/dev/null 2>&1; then
        echo "building $image" >&2
        mkdir "$work/$2"
        "$2" "$work/$2" >&2
    fi
    echo "export $1=$image"
}

debian() { # folder
    # shellcheck disable=SC1091 # the system's own description
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    debootstrap --variant=minbase "$codename" "$1" "$(mirror)" >/dev/null
    # What Debian's own slim images leave out as well.
    rm -rf "$1"/usr/share/doc/* "$1"/usr/share/man/* "$1"/usr/share/locale/* "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/*
    tar -C "$1" -c . | docker import --change 'CMD ["bash"]' - braid-local/debian
}

# Where this system takes its packages from.
mirror() {
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
        sed -n 's/^URIs: *\([^ ]*\).*/\1/p; s/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\).*/\2/p' | grep '/debian/*$' | head -n 1
}

rust() { # folder
    # Whom this system trusts, and where its cargo gets crates from.
    cp /etc/ssl/certs/ca-certificates.crt "$1/"
    config=${CARGO_HOME:-$HOME/.cargo}/config.toml
    if [ -e "$config" ]; then cp "$config" "$1/"; else : >"$1/config.toml"; fi
    cat >"$1/Dockerfile" <<'END'
FROM braid-local/debian
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates g++ libssl-dev make pkg-config \
    && rm -rf /var/lib/apt/lists/*
COPY ca-certificates.crt /etc/ssl/certs/
COPY config.toml /usr/local/cargo/
COPY bin /usr/local/bin
COPY lib /usr/local/lib
ENV CARGO_HOME=/usr/local/cargo
END
    tar -C "$1" -c . -C "$(rustc --print sysroot)" bin lib | docker build -t braid-local/rust -
}

# As the official image: what is in /data stays, and nobody is root.
redis() { # folder
    docker build -t braid-local/redis - <<'END'
FROM braid-local/debian
RUN apt-get update && apt-get install -y --no-install-recommends redis-server && rm -rf /var/lib/apt/lists/* \
    && mkdir /data && chown redis:redis /data
VOLUME /data
WORKDIR /data
USER redis
CMD ["redis-server", "--protected-mode", "no"]
END
}

# As the official image: settings in KAFKA_… variables, which Kafka's own wrapper reads; data in /var/lib/kafka/data.
kafka() { # folder
    mkdir "$1/libs"
    cp "$(../deploy/kafka-jars.sh)"/*.jar "$1/libs/"
    cp ../braid/kafka/log4j2.yaml "$1/"
    cat >"$1/run" <<'END'
#!/bin/bash
set -e
# Refuses a folder that it has formatted before, as every start but the first finds it.
said=$(java -cp '/opt/kafka/libs/*' kafka.docker.KafkaDockerWrapper setup --default-configs-dir /etc/kafka/docker \
    --mounted-configs-dir /mnt/shared/config --final-configs-dir /opt/kafka/config 2>&1) \
    || grep -q 'already formatted' <<<"$said" || { echo "$said"; exit 1; }
# shellcheck disable=SC2086 # a list of options
exec java ${KAFKA_HEAP_OPTS:--Xmx1G} -Dlog4j2.configurationFile=/etc/kafka/docker/log4j2.yaml -cp '/opt/kafka/libs/*' \
    kafka.Kafka /opt/kafka/config/server.properties
END
    chmod +x "$1/run"
    cat >"$1/Dockerfile" <<'END'
FROM braid-local/debian
RUN apt-get update && apt-get install -y --no-install-recommends openjdk-17-jre-headless && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home appuser && mkdir -p /var/lib/kafka/data /opt/kafka/config /mnt/shared/config \
    && chown -R appuser /var/lib/kafka /opt/kafka
COPY libs /opt/kafka/libs
COPY log4j2.yaml /etc/kafka/docker/log4j2.yaml
COPY log4j2.yaml /etc/kafka/docker/tools-log4j2.yaml
COPY run /etc/kafka/docker/run
RUN touch /etc/kafka/docker/server.properties
VOLUME ["/var/lib/kafka/data", "/mnt/shared/config"]
USER appuser
CMD ["/etc/kafka/docker/run"]
END
    docker build -t braid-local/kafka "$1"
}

main
