-- +goose Up
-- What happens before, at and after a deadline (SLA-3), for each kind of clock,
-- or for it under one policy (by name; '' any). A change makes a new row: clocks
-- that run go on with the one they began with, unless they are told to change.
CREATE TABLE sla_ladders (
	id         IDENTITY_KEY,
	kind       TEXT     NOT NULL,
	policy     TEXT     NOT NULL DEFAULT '',
	steps      TEXT     NOT NULL, -- JSON, in order
	current    SMALLINT NOT NULL DEFAULT 1 CHECK (current IN (0, 1)),
	by_name    TEXT     NOT NULL DEFAULT '',
	created_at BIGINT   NOT NULL
);
CREATE UNIQUE INDEX sla_ladders_current ON sla_ladders (kind, policy) WHERE current = 1;

-- The ladder of a clock (0: the one the product brings), how often its last rung
-- has been repeated, how many firings there were, since when somebody knows, and
-- the promise before it was deferred.
ALTER TABLE clocks ADD COLUMN ladder_id BIGINT NOT NULL DEFAULT 0;
ALTER TABLE clocks ADD COLUMN repeats BIGINT NOT NULL DEFAULT 0;
ALTER TABLE clocks ADD COLUMN fired BIGINT NOT NULL DEFAULT 0;
ALTER TABLE clocks ADD COLUMN known_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE clocks ADD COLUMN first_target BIGINT NOT NULL DEFAULT 0;
ALTER TABLE clocks ADD COLUMN counted SMALLINT NOT NULL DEFAULT 0;
UPDATE clocks SET fired = (SELECT COUNT(*) FROM clock_firings f WHERE f.clock_id = clocks.id);
CREATE INDEX clocks_uncounted ON clocks (id) WHERE counted = 0 AND (missed = 1 OR ended_at > 0);

-- A firing knows what it did. step is now its number among those of the clock.
ALTER TABLE clock_firings ADD COLUMN rung BIGINT NOT NULL DEFAULT 0;
ALTER TABLE clock_firings ADD COLUMN repeat_no BIGINT NOT NULL DEFAULT 0;
ALTER TABLE clock_firings ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE clock_firings ADD COLUMN told TEXT NOT NULL DEFAULT ''; -- JSON
UPDATE clock_firings SET rung = step;

-- When somebody works (ORG-5): minutes of the day, weekday 1 is Monday. Nobody's
-- hours are known who has none.
CREATE TABLE user_hours (
	user_id     BIGINT   NOT NULL REFERENCES users (id),
	weekday     SMALLINT NOT NULL CHECK (weekday BETWEEN 1 AND 7),
	from_minute BIGINT   NOT NULL,
	to_minute   BIGINT   NOT NULL,
	PRIMARY KEY (user_id, weekday, from_minute),
	CHECK (0 <= from_minute AND from_minute < to_minute AND to_minute <= 1440)
);

-- Who is on duty when: every week (weekday 1 to 7, from minute to minute), or
-- once (weekday 0, from and to as times). department_id 0: the whole company.
CREATE TABLE duty_turns (
	id            IDENTITY_KEY,
	department_id BIGINT   NOT NULL DEFAULT 0,
	user_id       BIGINT   NOT NULL REFERENCES users (id),
	weekday       SMALLINT NOT NULL DEFAULT 0 CHECK (weekday BETWEEN 0 AND 7),
	from_minute   BIGINT   NOT NULL DEFAULT 0,
	to_minute     BIGINT   NOT NULL DEFAULT 0,
	from_at       BIGINT   NOT NULL DEFAULT 0,
	to_at         BIGINT   NOT NULL DEFAULT 0,
	created_at    BIGINT   NOT NULL,
	CHECK (weekday > 0 AND from_minute < to_minute OR weekday = 0 AND from_at < to_at)
);
CREATE INDEX duty_turns_user ON duty_turns (user_id);

-- How each promise ended (SLA-6), with those who answered for it then. met and
-- met_first say it for the deadline in force and for the one before a deferral.
CREATE TABLE sla_results (
	clock_id      BIGINT   PRIMARY KEY REFERENCES clocks (id),
	ticket_id     BIGINT   NOT NULL,
	at            BIGINT   NOT NULL, -- when it was met or missed
	day           BIGINT   NOT NULL, -- of at, days since 1970 in the company's zone
	kind          TEXT     NOT NULL,
	policy        TEXT     NOT NULL,
	department_id BIGINT   NOT NULL,
	assignee_id   BIGINT   NOT NULL,
	channel       TEXT     NOT NULL,
	met           SMALLINT NOT NULL,
	met_first     SMALLINT NOT NULL,
	used          BIGINT   NOT NULL, -- µs
	target        BIGINT   NOT NULL
);
CREATE INDEX sla_results_kind ON sla_results (kind, at, clock_id);
CREATE INDEX sla_results_department ON sla_results (department_id, kind, at, clock_id);
CREATE INDEX sla_results_assignee ON sla_results (assignee_id, kind, at, clock_id);
CREATE INDEX sla_results_ticket ON sla_results (ticket_id);

-- The same, added up by day: what a report reads.
CREATE TABLE sla_days (
	day           BIGINT NOT NULL,
	kind          TEXT   NOT NULL,
	policy        TEXT   NOT NULL,
	department_id BIGINT NOT NULL,
	assignee_id   BIGINT NOT NULL,
	channel       TEXT   NOT NULL,
	met           BIGINT NOT NULL DEFAULT 0,
	met_first     BIGINT NOT NULL DEFAULT 0,
	missed        BIGINT NOT NULL DEFAULT 0,
	PRIMARY KEY (day, kind, policy, department_id, assignee_id, channel)
);

-- +goose Down
SELECT 1;
