#!/bin/sh
# Finds what the tests need beside Go: PostgreSQL, Chromium, a Chinese font,
# strace. What is missing is installed when this runs as root on a Debian with
# its package server in reach; otherwise it is said plainly what the tests will
# leave out. With CI=true nothing may be left out.
#
# Prints shell assignments (PG_BIN, BIHUAN_TEST_CHROMIUM) on its output; words
# for people go to the error output.
set -eu

say() { echo "setup: $*" >&2; }

pg_bin() {
	for d in $(ls -d /usr/lib/postgresql/*/bin /opt/homebrew/opt/postgresql*/bin /usr/pgsql-*/bin 2>/dev/null | sort -Vr); do
		if [ -x "$d/initdb" ] && [ -x "$d/postgres" ]; then echo "$d"; return; fi
	done
	if command -v initdb >/dev/null && command -v postgres >/dev/null; then dirname "$(command -v initdb)"; fi
}

find_chromium() {
	if [ -n "${BIHUAN_TEST_CHROMIUM:-}" ]; then echo "$BIHUAN_TEST_CHROMIUM"; return; fi
	for c in chromium chromium-browser google-chrome google-chrome-stable; do
		if command -v "$c" >/dev/null; then command -v "$c"; return; fi
	done
}

# Without a Chinese font the screens are boxes and their widths mean nothing.
cjk_font() { command -v fc-list >/dev/null && fc-list :lang=zh | head -n 1; }

missing=
[ -n "$(pg_bin)" ]   || missing="$missing postgresql"
[ -n "$(find_chromium)" ] || missing="$missing chromium"
[ -n "$(cjk_font)" ] || missing="$missing fontconfig fonts-noto-cjk"
if [ "$(uname -s)" = Linux ] && ! command -v strace >/dev/null; then missing="$missing strace"; fi

if [ -n "$missing" ]; then
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		say "installing$missing"
		export DEBIAN_FRONTEND=noninteractive
		apt-get update -qq >&2 || say "the package server does not answer"
		# One at a time: what can be had is installed even when another cannot.
		for p in $missing; do
			apt-get install -y -qq --no-install-recommends "$p" >/dev/null 2>&1 || say "cannot install $p"
		done
	else
		say "not installed:$missing (this needs root and apt-get; install them by hand)"
	fi
fi

lacking=
pg=$(pg_bin); browser=$(find_chromium)
[ -n "$pg" ]      || { lacking=1; say "no PostgreSQL: tests run on SQLite only"; }
[ -n "$browser" ] || { lacking=1; say "no Chromium: browser tests are skipped"; }
[ -n "$(cjk_font)" ] || { lacking=1; say "no Chinese font: pictures show boxes instead of characters"; }
if [ "$(uname -s)" = Linux ] && ! command -v strace >/dev/null; then
	lacking=1; say "no strace: the test that every answer waits for its fsync is skipped"
fi
if [ -n "$lacking" ] && [ "${CI:-}" = true ]; then
	say "CI=true: nothing may be left out"
	exit 1
fi

echo "PG_BIN='$pg'"
echo "BIHUAN_TEST_CHROMIUM='$browser'"
