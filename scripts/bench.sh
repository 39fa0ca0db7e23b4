#!/bin/sh
# Speed and cost of the daily paths, beside bare statements on the same data, on
# the embedded database and, when PostgreSQL is installed, on a cluster of its
# own that syncs like a real one. 10 k and 100 k tickets take about ten minutes;
# BENCH_FULL=1 adds a million, which takes half an hour and 10 GB of disk.
# More flags go to `bihuan bench run`, e.g. --seconds 10 --rate 50 --out bench.json.
set -eu
cd "$(dirname "$0")/.."

sizes=10000,100000
[ -z "${BENCH_FULL:-}" ] || sizes=$sizes,1000000
engines=sqlite
if [ -n "${BIHUAN_TEST_POSTGRES:-}" ]; then
	engines=sqlite,postgres
else
	found=$(./scripts/setup.sh)
	eval "$found"
	if [ -n "$PG_BIN" ]; then
		started=$(DURABLE=on ./scripts/postgres.sh start "$PG_BIN")
		eval "$started"
		trap './scripts/postgres.sh stop "$PG_BIN" "$DIR"' EXIT
		trap 'exit 130' INT TERM HUP
		export BIHUAN_TEST_POSTGRES="$URL"
		engines=sqlite,postgres
	fi
fi
./bin/bihuan bench run --tickets "$sizes" --engines "$engines" "$@"
