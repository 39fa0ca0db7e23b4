-- +goose Up
-- Processes (流程): what an administrator lays over the states of a kind of
-- ticket. draft is the definition being worked on; new tickets follow the newest
-- version while live = 1.
CREATE TABLE processes (
	id              IDENTITY_KEY,
	name            TEXT     NOT NULL CHECK (name <> ''),
	name_en         TEXT     NOT NULL DEFAULT '',
	type            TEXT     NOT NULL,
	class           TEXT     NOT NULL DEFAULT '',
	category_id     BIGINT   NOT NULL DEFAULT 0,
	draft           TEXT     NOT NULL,
	latest          BIGINT   NOT NULL DEFAULT 0, -- number of the newest version; 0 none
	live            SMALLINT NOT NULL DEFAULT 0 CHECK (live IN (0, 1)),
	demo            SMALLINT NOT NULL DEFAULT 0,
	created_at      BIGINT   NOT NULL,
	updated_at      BIGINT   NOT NULL,
	updated_by_name TEXT     NOT NULL DEFAULT '',
	version         BIGINT   NOT NULL DEFAULT 1
);
CREATE UNIQUE INDEX processes_name ON processes (name);
-- Of two processes for the same tickets only one can be meant.
CREATE UNIQUE INDEX processes_live ON processes (type, class, category_id) WHERE live = 1;

-- A published definition; never changed, for tickets under way follow it to
-- their end.
CREATE TABLE process_versions (
	id                IDENTITY_KEY,
	process_id        BIGINT NOT NULL REFERENCES processes (id),
	number            BIGINT NOT NULL,
	name              TEXT   NOT NULL,
	name_en           TEXT   NOT NULL DEFAULT '',
	definition        TEXT   NOT NULL,
	note              TEXT   NOT NULL DEFAULT '',
	published_at      BIGINT NOT NULL,
	published_by_name TEXT   NOT NULL DEFAULT '',
	UNIQUE (process_id, number)
);

-- The way each ticket went through its process; left_at 0: stands there.
CREATE TABLE ticket_stages (
	id         IDENTITY_KEY,
	ticket_id  BIGINT NOT NULL REFERENCES tickets (id) ON DELETE CASCADE,
	stage      TEXT   NOT NULL,
	round      BIGINT NOT NULL,
	entered_at BIGINT NOT NULL,
	left_at    BIGINT NOT NULL DEFAULT 0,
	entered_by BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX ticket_stages_ticket ON ticket_stages (ticket_id, id);

-- Where in its process a ticket stands; 0 and '': it has none.
ALTER TABLE tickets ADD COLUMN process_id BIGINT NOT NULL DEFAULT 0;
ALTER TABLE tickets ADD COLUMN process_version BIGINT NOT NULL DEFAULT 0; -- id of the version it began with
ALTER TABLE tickets ADD COLUMN stage TEXT NOT NULL DEFAULT '';
ALTER TABLE tickets ADD COLUMN stage_name TEXT NOT NULL DEFAULT ''; -- copied for lists
ALTER TABLE tickets ADD COLUMN stage_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX tickets_stage ON tickets (process_id, stage, due_at, id) WHERE is_open = 1 AND process_id > 0;

-- +goose Down
SELECT 1;
