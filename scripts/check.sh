#!/bin/sh
# What every change must pass beside the tests: formatting, vet, staticcheck,
# the guards, and the race detector on the packages that share memory.
set -eu
cd "$(dirname "$0")/.."

step() { printf '== %s\n' "$*"; }

step gofmt
unformatted=$(gofmt -l cmd internal)
if [ -n "$unformatted" ]; then
	echo "not formatted (gofmt -w):" >&2
	echo "$unformatted" >&2
	exit 1
fi

step go vet
go vet ./...

step staticcheck
go tool staticcheck ./...

step guards
./scripts/test.sh ./internal/guard

# The embedded database under the race detector is ten times slower, so here
# only what runs goroutines of its own; `make race` runs everything.
step race detector
go test -race -short -timeout 10m ./internal/db/... ./internal/action/... ./internal/event/... ./internal/job/... \
	./internal/web ./internal/clock/... ./internal/crypt/... ./internal/notify/... ./internal/blob/...
