#!/bin/sh
# Speed and cost of the daily paths at 10 k, 100 k and 1 M tickets (SIZES), on
# the embedded database and, when PostgreSQL is installed, on a cluster of its
# own. A full run takes about half an hour; SIZES=10000 is the quick look.
set -eu
cd "$(dirname "$0")/.."

for n in ${SIZES:-10000 100000 1000000}; do
	./bin/bihuan bench run --tickets "$n" "$@"
done
