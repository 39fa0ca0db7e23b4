#!/bin/sh
# Speed and cost of the daily paths (SIZES, by default 10 k, 100 k and 1 M
# tickets), on the embedded database and on PostgreSQL when it is installed, in a
# cluster of its own that syncs as a real one does. A full run takes the better
# part of an hour; SIZES=10000 is the quick look. Further flags as for
# `bihuan bench run`.
set -eu
cd "$(dirname "$0")/.."

found=$(./scripts/setup.sh)
eval "$found"
engines=${ENGINES:-sqlite,postgres}
case $engines in
*postgres*)
	if [ -z "$PG_BIN" ]; then
		engines=sqlite
	elif [ -z "${BIHUAN_TEST_POSTGRES:-}" ]; then
		started=$(DURABLE=on ./scripts/postgres.sh start "$PG_BIN")
		eval "$started"
		trap './scripts/postgres.sh stop "$PG_BIN" "$DIR"' EXIT
		trap 'exit 130' INT TERM HUP
		export BIHUAN_TEST_POSTGRES="$URL"
	fi
	;;
esac
./bin/bihuan bench run --tickets "${SIZES:-10000,100000,1000000}" --engines "$engines" "$@"
