-- +goose Up
-- Working hours. week is JSON: seven texts like "09:00-12:00, 13:00-18:00",
-- Sunday first; "" is a day off.
CREATE TABLE calendars (
	id         IDENTITY_KEY,
	name       TEXT     NOT NULL UNIQUE,
	week       TEXT     NOT NULL,
	makeup     SMALLINT NOT NULL DEFAULT 1, -- weekday whose hours a make-up workday has
	holidays   SMALLINT NOT NULL DEFAULT 1, -- public holidays are off
	is_default SMALLINT NOT NULL DEFAULT 0,
	active     SMALLINT NOT NULL DEFAULT 1,
	version    BIGINT   NOT NULL DEFAULT 1,
	updated_at BIGINT   NOT NULL
);

-- Days the company has decided on itself; without spans off.
CREATE TABLE calendar_days (
	calendar_id BIGINT NOT NULL REFERENCES calendars (id),
	day         TEXT   NOT NULL, -- 2006-01-02
	name        TEXT   NOT NULL,
	spans       TEXT   NOT NULL DEFAULT '',
	PRIMARY KEY (calendar_id, day)
);

-- Public holidays that were imported; the product brings those of some years.
CREATE TABLE holiday_years (
	year        BIGINT NOT NULL PRIMARY KEY,
	source      TEXT   NOT NULL DEFAULT '',
	days        TEXT   NOT NULL, -- JSON
	by_id       BIGINT NOT NULL,
	by_name     TEXT   NOT NULL,
	imported_at BIGINT NOT NULL
);

-- Promised times (SLA-1): the first whose conditions a ticket meets is its; the
-- one with rest = 1 has none and stands last. Those there were go on in 7x24.
CREATE TABLE service_policies (
	id                 IDENTITY_KEY,
	name               TEXT     NOT NULL UNIQUE,
	rest               SMALLINT NOT NULL DEFAULT 0,
	active             SMALLINT NOT NULL DEFAULT 1,
	position           BIGINT   NOT NULL,
	conditions         TEXT     NOT NULL DEFAULT '{}', -- JSON: field -> values
	targets            TEXT     NOT NULL,              -- JSON: clock -> minutes
	calendars          TEXT     NOT NULL DEFAULT '{}', -- JSON: clock -> calendar; '' the others
	pause_when_waiting SMALLINT NOT NULL DEFAULT 1,
	version            BIGINT   NOT NULL DEFAULT 1
);
INSERT INTO service_policies (name, rest, position, conditions, targets, pause_when_waiting)
SELECT CASE WHEN EXISTS (SELECT 1 FROM sla_policies o WHERE o.name = p.name AND o.id < p.id) THEN p.name || ' ' || p.id ELSE p.name END,
	CASE WHEN type = '' AND urgency = 'normal' THEN 1 ELSE 0 END,
	(CASE WHEN type <> '' AND urgency <> '' THEN 0 WHEN type <> '' THEN 1 WHEN urgency <> 'normal' THEN 2 ELSE 3 END) * 1000 + position,
	CASE WHEN type = '' AND urgency IN ('normal', '') THEN '{}'
	     WHEN type = '' THEN '{"urgency":["' || urgency || '"]}'
	     WHEN urgency = '' THEN '{"type":["' || type || '"]}'
	     ELSE '{"type":["' || type || '"],"urgency":["' || urgency || '"]}' END,
	targets, pause_when_waiting
FROM sla_policies p ORDER BY position, id;
DROP TABLE sla_policies;

-- What a policy said in each of its versions.
CREATE TABLE service_policy_versions (
	policy_id  BIGINT   NOT NULL,
	version    BIGINT   NOT NULL,
	body       TEXT     NOT NULL, -- JSON
	applied    SMALLINT NOT NULL DEFAULT 0, -- to the tickets that ran
	by_name    TEXT     NOT NULL,
	changed_at BIGINT   NOT NULL,
	PRIMARY KEY (policy_id, version)
);

-- Clocks know which promise they keep, and in which calendar: 0 is 7x24.
ALTER TABLE clocks ADD COLUMN policy_id BIGINT NOT NULL DEFAULT 0;
ALTER TABLE clocks ADD COLUMN policy_version BIGINT NOT NULL DEFAULT 0;
ALTER TABLE clocks ADD COLUMN calendar_id BIGINT NOT NULL DEFAULT 0;
ALTER TABLE clock_segments ADD COLUMN used BIGINT NOT NULL DEFAULT 0; -- of one that has ended, µs
UPDATE clock_segments SET used = ended_at - started_at WHERE ended_at > 0;

-- +goose Down
SELECT 1;
