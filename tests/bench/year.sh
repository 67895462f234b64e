#!/usr/bin/env bash
# How large the history of a year is: what is kept of every check when a year has passed (answers, hours, days, incidents), written into a
# database that the program made, in the quantities of its default settings, and looked at by the program. Prints megabytes.
#   tests/bench/year.sh [CHECKS]       PROFILE of the build (release)
# 24 organisations, each with a host of its own, Nextcloud, WordPress and Radicale, have about 1,100 checks; by what their templates say,
# these are asked every nine minutes on the average.
set -euo pipefail
cd "$(dirname "$0")/../.."
checks=${1:-1100} profile=${PROFILE:-release}
work=$(mktemp -d /tmp/allmende-bench-XXXXXX)
trap 'rm -rf "$work"' EXIT
cargo build --profile "$profile" -p allmende 2>/dev/null
allmende=${CARGO_TARGET_DIR:-target}/${profile/#dev/debug}/allmende
export ALLMENDE_DATA_DIR=$work/data
"$allmende" init > /dev/null
default() { sed -n "s/^ *$1: \([0-9]*\),$/\1/p" controller/src/settings.rs; }
answers=$(default keep_answers_days) hours=$(default keep_hours_days)
database=$work/data/allmende.db
[ -e "$database" ] || database=$(find "$work/data" -name '*.db' | head -n 1)
before=$(stat -c %s "$database")

# Figures with as many digits as real ones. An incident a month for each check is
# far more than anybody would bear.
sqlite3 "$database" > /dev/null <<SQL
PRAGMA synchronous = OFF;
BEGIN;
CREATE TEMP TABLE clock AS SELECT CAST(strftime('%s', 'now') AS INTEGER) * 1000 AS now;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $checks)
INSERT INTO watched (id, subject, name, title, availability, state, answer, asked_at, took_ms)
SELECT i, 'kita-sonne-' || i || '/cloud', 'page', '{"de":"Die Seite erscheint","en":"The page appears"}', 1,
       '{"status":"ok","since":"2026-01-01T00:00:00Z","bad":0,"good":5,"recent":"000000000000000000000"}',
       json_object('status', 'ok', 'sentence', printf('%.*c', 300, 'x')), now, 12 FROM n, clock;
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < $answers * 160 - 1)
INSERT INTO results SELECT w.id, now - i * 540000 - w.id * 211, 0, abs(random() % 100000) / 7.0, abs(random() % 3000) FROM watched w, n, clock;
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < $hours * 24 - 1)
INSERT INTO rollups SELECT w.id, 1, (now / 3600000 - i) * 3600000, 7, 0, 0, 0, abs(random() % 100000) / 7.0,
       abs(random() % 100000) / 7.0, abs(random() % 100000) / 7.0 FROM watched w, n, clock;
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 364)
INSERT INTO rollups SELECT w.id, 2, (now / 86400000 - i) * 86400000, 160, 0, 0, 0, abs(random() % 100000) / 7.0,
       abs(random() % 100000) / 7.0, abs(random() % 100000) / 7.0 FROM watched w, n, clock;
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 11)
INSERT INTO incidents (subject, name, title, severity, first_bad_at, opened_at, recovered_at)
SELECT subject, name, title, 'critical', now - i * 2600000000, now - i * 2600000000, now - i * 2600000000 + 600000 FROM watched, n, clock;
INSERT INTO incident_events (incident_id, at, kind, severity, sentence)
SELECT i.id, i.opened_at, kind, 'critical', json_object('de', printf('%.*c', 100, 'x'), 'en', printf('%.*c', 100, 'x'))
FROM incidents i, (SELECT 'opened' AS kind UNION SELECT 'recovered');
COMMIT;
SQL
after=$(stat -c %s "$database")
printf '%s checks: %s answers of %s days, %s hours, %s days, %s incidents: %s MB\n' "$checks" \
  "$(sqlite3 "$database" 'SELECT COUNT(*) FROM results')" "$answers" \
  "$(sqlite3 "$database" 'SELECT COUNT(*) FROM rollups WHERE span = 1')" \
  "$(sqlite3 "$database" 'SELECT COUNT(*) FROM rollups WHERE span = 2')" \
  "$(sqlite3 "$database" 'SELECT COUNT(*) FROM incidents')" "$(((after - before) / 1000000))"
