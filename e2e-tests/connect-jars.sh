#!/bin/sh
# Fetches Kafka Connect and Debezium's connector for PostgreSQL with Maven, once per user and version, and prints the folder that holds
# their jars. `make test-cdc` runs them. They take 38 MB.
#
#     e2e-tests/connect-jars.sh
#
# NO_INSTALL=1 only prints the command, and fails if there are no jars.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
exec "$here/../deploy/maven-jars.sh" "$here/cdc/pom.xml" debezium.version connect
