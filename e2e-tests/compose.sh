#!/bin/sh
# `docker compose up`, tried: builds the image, brings the very compose file up, and holds every answer to the true counts
# of what was sent: before and after a reconcile, while services are killed, after a restart of everything, with an older copy
# of the tables, with two workers, and over TLS. Takes everything down again, volumes included.
#
#     e2e-tests/compose.sh              # make test-compose
#     COMPOSE=docker-compose e2e-tests/compose.sh
#     BRAID_IMAGE=some/image e2e-tests/compose.sh       # tries that image and builds none
#     WITH_CLUSTER=1 e2e-tests/compose.sh               # with the profile `cluster`, whose image compiles DataFusion as well
#
# Exit code 3: this machine has no engine to try it with; the reason is printed.
set -eu
cd "$(dirname "$0")/.."

# A project of its own beside whatever runs here.
project=braid-test
HTTP_PORT=${HTTP_PORT:-18080}
KAFKA_PORT=${KAFKA_PORT:-19092}
export HTTP_PORT KAFKA_PORT
http=http://127.0.0.1:$HTTP_PORT
files="-f docker-compose.yml"
# The longest that answers may take to become right after a fault.
within_s=120

begun=$(date +%s)

main() {
    engine
    work=$(mktemp -d)
    trap down EXIT
    base_images
    settings
    if [ -n "${WITH_CLUSTER:-}" ]; then
        export BRAID_TARGET=braid-cluster RUST_LOG=warn,ballista_executor=info
    fi

    if [ -z "${BRAID_IMAGE:-}" ]; then
        step "building the image"
        BRAID_IMAGE=braid-test && export BRAID_IMAGE
        compose build init
        other_builder
    fi
    echo "   the image has $(($(docker image inspect -f '{{.Size}}' "$BRAID_IMAGE") / 1000000)) MB"

    step "starting, without a schedule"
    compose up -d archive speed serving
    ready

    step "before a reconcile, speed alone answers"
    produce 1 --events 20000
    exact
    ask total | jq -e '.provenance.batch.values.views == 0' >/dev/null || fail "the batch view already holds something"

    step "after a reconcile, batch alone answers"
    reconcile
    exact
    ask total | jq -e '.authoritative' >/dev/null || fail "the speed view still adds something"

    step "more events: both together answer"
    produce 2 --events 20000
    exact
    ask total | jq -e '[.provenance[].values.views > 0] | all' >/dev/null || fail "one layer gives nothing"

    step "killing each service under load, with a reconcile every 10 s"
    compose up -d schedule
    load_begins 3 --rate 1000
    for service in speed archive schedule serving redis kafka; do
        sleep 5
        echo "   kill -9 $service"
        crash "$(compose ps -q $service)"
    done
    load_ends
    ready
    exact

    step "stopping everything and starting it again"
    compose down
    compose up -d archive speed schedule serving
    ready
    exact
    produce 4 --events 20000
    exact

    step "an older copy of the tables comes back"
    compose stop archive schedule
    compose run --rm -T --no-deps init tar -C /data -cz . >"$work/tables.tgz"
    compose start archive schedule
    produce 5 --events 20000
    exact
    compose stop archive speed schedule serving
    compose run --rm -T --no-deps init sh -c 'find /data -mindepth 1 -delete && tar -C /data -xz' <"$work/tables.tgz"
    compose start archive speed schedule serving
    ready
    exact

    step "two workers, and one again"
    compose up -d --no-recreate --scale speed=2 archive speed schedule serving
    load_begins 6 --rate 1000
    until_true both_count
    compose up -d --no-recreate --scale speed=1 archive speed schedule serving
    load_ends
    exact

    if [ -n "${WITH_CLUSTER:-}" ]; then
        a_cluster_counts
    fi

    step "sample traffic"
    compose --profile demo up -d --no-recreate demo
    until_true more_views

    # shellcheck disable=SC2046 # one word a container
    docker stats --no-stream --format '-- {{.Name}} {{.MemUsage}}' $(compose ps -q)

    step "over TLS, with a login"
    compose --profile demo --profile cluster down -v
    rm "$work"/[0-9]*.json
    tls
    compose up -d archive speed serving
    ready
    produce 7 --events 20000
    exact
    reconcile
    exact

    step "done: every answer was exact"
}

engine() {
    missing=""
    if ! command -v docker >/dev/null; then
        missing="there is no docker"
    elif ! said=$(docker version --format '{{.Server.Version}}' 2>&1); then
        missing="docker reaches no engine: $(echo "$said" | tail -n 1)"
    elif [ -z "${COMPOSE:-}" ]; then
        if docker compose version >/dev/null 2>&1; then
            COMPOSE="docker compose"
        elif command -v docker-compose >/dev/null; then
            COMPOSE=docker-compose
        else
            missing="there is neither docker compose nor docker-compose"
        fi
    fi
    if [ -n "$missing" ]; then
        echo "test-compose was not run: $missing" >&2
        exit 3
    fi
}

# Where both are installed, the old docker-compose has to build the image as well: with its own builder, not with BuildKit, which
# takes what that one refuses. It is as long again, since the two share no layers.
other_builder() {
    if [ "$COMPOSE" = "docker compose" ] && command -v docker-compose >/dev/null; then
        step "building it with the builder of docker-compose"
        (COMPOSE=docker-compose BRAID_IMAGE=braid-test-other DOCKER_BUILDKIT=0 COMPOSE_DOCKER_CLI_BUILD=0 compose build init)
    fi
}

# Base images come from a registry, or stand-ins are made from this system's packages.
base_images() {
    for image in ${BASE_IMAGE:-debian:bookworm-slim} ${RUST_IMAGE:-rust:1.95-bookworm} $(images_of_services); do
        if ! docker image inspect "$image" >/dev/null 2>&1 && ! docker pull -q "$image"; then
            step "no registry gives $image: making stand-ins"
            stand_ins=$(e2e-tests/local-images.sh)
            eval "$stand_ins"
            return
        fi
    done
}

# The defaults in docker-compose.yml, unless others are named.
images_of_services() {
    echo "${REDIS_IMAGE:-$(sed -n 's/.*{REDIS_IMAGE:-\(.*\)}/\1/p' docker-compose.yml)}"
    echo "${KAFKA_IMAGE:-$(sed -n 's/.*{KAFKA_IMAGE:-\(.*\)}/\1/p' docker-compose.yml)}"
}

# Read in place of a .env that may lie here. The containers' user writes to the folder, and reads the catalog.
settings() {
    chmod 777 "$work"
    sed 's|^reconcile = .*|reconcile = "*/10 * * * * *"|' catalog.toml >"$work/catalog.toml"
    echo "BRAID_CATALOG=$work/catalog.toml" >"$work/env"
}

# Certificates of an authority of our own, and the settings that name them.
tls() {
    mkdir "$work/tls"
    (
        cd "$work/tls"
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem
        openssl req -newkey rsa:2048 -nodes -subj /CN=server -keyout server.key -out server.csr
        echo "subjectAltName = DNS:kafka, DNS:redis" >names
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem
        cat server.key server.pem >server-with-key.pem
        chmod 644 ./*
    ) 2>/dev/null
    cat >>"$work/env" <<END
BRAID_TLS=$work/tls
BRAID_CA_FILE=/etc/braid/tls/ca.pem
BRAID__KAFKA__CLIENT__SECURITY_PROTOCOL=sasl_ssl
BRAID__KAFKA__CLIENT__SASL_MECHANISM=PLAIN
BRAID__KAFKA__CLIENT__SASL_USERNAME=braid
BRAID__KAFKA__CLIENT__SASL_PASSWORD=only-a-test
BRAID__REDIS__URL=rediss://:only-a-test@redis:6379
REDIS_PASSWORD=only-a-test
END
    files="$files -f e2e-tests/compose-tls.yml"
}

# shellcheck disable=SC2086 # a list of flags
compose() {
    $COMPOSE --env-file "$work/env" -p $project $files "$@" 2>>"$work/compose.log" ||
        { tail -n 20 "$work/compose.log" >&2 && fail "$COMPOSE $*"; }
}

# Kills a service's process as a fault does, and not as an operator, after whom nothing is restarted: the engine has to start
# it again.
crash() { # container
    process=$(docker inspect -f '{{.State.Pid}}' "$1")
    docker run --rm --pid host --user 0 --entrypoint sh "$BRAID_IMAGE" -c "kill -9 $process"
    until_true is_restarted "$1"
}

is_restarted() { # container
    [ "$(docker inspect -f '{{.RestartCount}} {{.State.Running}}' "$1")" = "1 true" ]
}

# Sends records and keeps their true counts, under a number of their own.
produce() { # number flags…
    number=$1
    shift
    said=$(compose run --rm -T --no-deps -v "$work:/truth" init \
        braid produce --seed "$number" --expected "/truth/$number.json" "$@")
    echo "   $said"
}

# The same in the background, for as long as something else is going on.
load_begins() { # number flags…
    produce "$@" &
    load=$!
}

load_ends() {
    # It ends in order: what it sent is acknowledged, and its counts are written.
    docker stop -t 60 "$(docker ps -q --filter label=com.docker.compose.project=$project \
        --filter label=com.docker.compose.oneoff=True)" >/dev/null
    wait $load || fail "the load did not get through"
}

reconcile() {
    said=$(compose run --rm -T --no-deps schedule batch-layer reconcile)
    echo "   $said" | tail -n 1
}

# Two executors count everything anew, and once more while one of them is started again.
a_cluster_counts() {
    step "a cluster of two executors counts everything anew"
    compose stop schedule
    compose --profile cluster up -d --no-recreate scheduler executor
    reconcile
    rebuilds
    echo "   kill -9 executor"
    crash "$(compose ps -q executor | head -n 1)"
    rebuilds
}

# A rebuild that the cluster counts.
rebuilds() {
    before=$(tasks_ended)
    compose run --rm -T --no-deps -e BRAID__RECONCILE__ENGINE=ballista://scheduler:50050 -e BRAID__CLUSTER__ROWS_MIN=1 \
        schedule batch-layer rebuild views
    tasks=$(($(tasks_ended) - before))
    [ $tasks -gt 0 ] || fail "the cluster was not asked"
    echo "   rebuilt by $tasks tasks"
    exact
    ask total | jq -e '.authoritative' >/dev/null || fail "the speed view still adds something"
}

tasks_ended() {
    compose logs executor | grep -c 'Finished task' || true
}

ask() { # total|series [parameters]
    curl -sS "$http/v1/metrics/views/$1${2:-}"
}

# All of what was sent, added up: the whole, each video, each hour; in the order in which `answers` asks.
truths() {
    jq -s '
        def sum: {views: (map(.views) | add), dwell_ms: (map(.dwell_ms) | add)};
        [.[].metrics.views] |
        ([.[].overall.values] | sum),
        ([.[].overall.points[]] | group_by(.start[:13]) | map({(.[0].start[:13]): (map(.values) | sum)}) | add),
        ([.[].keys[]] | group_by(.key.video_id) | sort_by(.[0].key.video_id) | .[] | map(.values) | sum)
    ' "$work"/[0-9]*.json
}

# The same from the serving layer; null where an answer is not complete.
answers() {
    {
        echo "url = $http/v1/metrics/views/total"
        echo "url = $http/v1/metrics/views/series?from=-200h&to=now&step=1h"
        jq -rs --arg http "$http" '[.[].metrics.views.keys[].key.video_id] | unique | .[] |
            "url = \($http)/v1/metrics/views/total?video_id=\(.)"' "$work"/[0-9]*.json
    } >"$work/urls"
    curl -sS --config "$work/urls" 2>/dev/null | jq '
        def counts: {views, dwell_ms};
        if .complete != true then null
        elif .points then [.points[] | select(.values.views > 0) | {(.start[:13]): (.values | counts)}] | add
        else .values | counts end'
}

# How many rejected records the archive knows, and how many were sent.
rejects_are_right() {
    sent=$(jq -s 'map(.rejected) | add' "$work"/[0-9]*.json)
    kept=$(curl -sS "$http/v1/status" | jq '[.sources[] | select(.name == "views") | .rejects[].count] | add // 0')
    [ "$sent" = "$kept" ]
}

right() {
    truths | jq -S . >"$work/truths" && answers | jq -S . >"$work/answers" && cmp -s "$work/truths" "$work/answers" &&
        [ -s "$work/truths" ]
}

exact() {
    until_true right
    until_true rejects_are_right
    echo "   exact: $(jq -sc '.[0]' "$work/answers"), over $(wc -l <"$work/urls") questions; $kept rejected"
}

both_count() {
    for container in $(compose ps -q speed); do
        # `health` prints what it was answered.
        docker exec "$container" braid health http://127.0.0.1:9100/metrics | grep -q '^braid_speed_cursor' || return 1
    done
    [ "$(compose ps -q speed | wc -l)" = 2 ]
}

more_views() {
    now=$(ask total | jq '.values.views')
    [ "$now" -gt "$(jq -sc '.[0].views' "$work/truths")" ]
}

ready() {
    until_true curl -sSf -o /dev/null "$http/readyz"
}

until_true() { # command
    deadline=$(($(date +%s) + within_s))
    until "$@" 2>/dev/null; do
        if [ "$(date +%s)" -gt "$deadline" ]; then
            fail "not within $within_s s: $*"
        fi
        sleep 0.5
    done
}

step() {
    echo "$(($(date +%s) - begun)) s: $1"
}

fail() {
    echo "FAILED: $1" >&2
    diff "$work/truths" "$work/answers" 2>/dev/null | head -n 40 >&2 || true
    # shellcheck disable=SC2086 # a list of flags
    $COMPOSE --env-file "$work/env" -p $project $files logs --tail 15 >&2 || true
    exit 1
}

down() {
    # shellcheck disable=SC2086 # a list of flags
    $COMPOSE --env-file "$work/env" -p $project $files --profile demo --profile cluster down -v --remove-orphans -t 5 >/dev/null 2>&1 || true
    rm -rf "$work"
}

main
