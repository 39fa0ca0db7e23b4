#!/bin/sh
# Runs the tests on SQLite and on a PostgreSQL of its own, and in a browser.
#
#   test.sh                       everything
#   test.sh ./internal/ticket/... [flags]   a part
#
# BIHUAN_TEST_POSTGRES, when set already, is used instead of an own cluster.
# GOTEST_FLAGS are handed to go test.
set -eu
cd "$(dirname "$0")/.."

found=$(./scripts/setup.sh)
eval "$found"
if [ -n "$BIHUAN_TEST_CHROMIUM" ]; then export BIHUAN_TEST_CHROMIUM; else unset BIHUAN_TEST_CHROMIUM; fi

if [ -z "${BIHUAN_TEST_POSTGRES:-}" ] && [ -n "$PG_BIN" ]; then
	started=$(./scripts/postgres.sh start "$PG_BIN")
	eval "$started"
	trap './scripts/postgres.sh stop "$PG_BIN" "$DIR"' EXIT
	trap 'exit 130' INT TERM HUP
	BIHUAN_TEST_POSTGRES=$URL
fi
[ -z "${BIHUAN_TEST_POSTGRES:-}" ] || export BIHUAN_TEST_POSTGRES

[ $# -gt 0 ] || set -- ./...
# shellcheck disable=SC2086  # flags are words
go test -timeout 15m ${GOTEST_FLAGS:-} "$@"
