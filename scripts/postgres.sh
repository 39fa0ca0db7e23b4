#!/bin/sh
# A PostgreSQL cluster for one run of the tests, in a folder of its own.
#
#   postgres.sh start BINDIR   prints DIR and URL as shell assignments
#   postgres.sh stop BINDIR DIR
#
# It is reached by a socket in that folder, so there is no port to collide with
# and nobody else can reach it. Durability is off, because it lives for minutes,
# unless DURABLE=on.
set -eu

# PostgreSQL refuses to run as root.
as_owner() {
	if [ "$(id -u)" != 0 ]; then "$@"; return; fi
	owner=nobody
	if id postgres >/dev/null 2>&1; then owner=postgres; fi
	if command -v setpriv >/dev/null; then
		(cd / && setpriv --reuid "$owner" --regid "$(id -g "$owner")" --clear-groups "$@")
	else
		(cd / && su -s /bin/sh "$owner" -c "$(printf "'%s' " "$@")")
	fi
}

bin=$2
case $1 in
start)
	dir=$(mktemp -d /tmp/bihuan-pg.XXXXXX)
	if [ "$(id -u)" = 0 ]; then
		owner=nobody
		if id postgres >/dev/null 2>&1; then owner=postgres; fi
		chown "$owner" "$dir"
	fi
	as_owner "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C -N >"$dir.initdb.log" 2>&1 || { cat "$dir.initdb.log" >&2; exit 1; }
	rm -f "$dir.initdb.log"
	as_owner "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -w -t 60 -o "-c listen_addresses='' -c unix_socket_directories=$dir -c fsync=${DURABLE:-off} -c synchronous_commit=${DURABLE:-off} -c full_page_writes=${DURABLE:-off} -c max_connections=400 -c log_min_messages=warning" start >/dev/null || { cat "$dir/log" >&2; exit 1; }
	echo "DIR='$dir'"
	echo "URL='postgres://postgres@/postgres?host=$dir&sslmode=disable'"
	;;
stop)
	dir=$3
	as_owner "$bin/pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null 2>&1 || true
	rm -rf "$dir"
	;;
*)
	echo "usage: postgres.sh start BINDIR | stop BINDIR DIR" >&2
	exit 2
	;;
esac
