-- +goose Up
-- What somebody has to do, until when (FLW-2). due_at is the last moment that is
-- in time; of a task without a date it is far away, so that it sorts last. once
-- names what a task was made of by the program, so that it is made once.
CREATE TABLE tasks (
	id              IDENTITY_KEY,
	title           TEXT     NOT NULL CHECK (title <> ''),
	details         TEXT     NOT NULL DEFAULT '',
	owner_id        BIGINT   NOT NULL,
	due_at          BIGINT   NOT NULL,
	all_day         SMALLINT NOT NULL DEFAULT 0,
	remind          BIGINT   NOT NULL, -- minutes before; -1 not at all
	remind_at       BIGINT   NOT NULL DEFAULT 0,  -- when it will be reminded of; 0 it has been, or will not be
	late_at         BIGINT   NOT NULL DEFAULT 0,  -- when its owner hears that it is late; 0 he has, or will not
	next_at         BIGINT   NOT NULL DEFAULT 0,  -- the nearer of the two
	subject_type    TEXT     NOT NULL DEFAULT '',
	subject_id      BIGINT   NOT NULL DEFAULT 0,
	origin          TEXT     NOT NULL,
	once            TEXT     NOT NULL DEFAULT '',
	entry_id        BIGINT   NOT NULL DEFAULT 0, -- the follow-up record whose plan it is
	state           TEXT     NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'cancelled')),
	reason          TEXT     NOT NULL DEFAULT '', -- why it was cancelled, reopened or given on
	created_by      BIGINT   NOT NULL DEFAULT 0,
	created_by_name TEXT     NOT NULL,
	created_at      BIGINT   NOT NULL,
	updated_at      BIGINT   NOT NULL,
	closed_at       BIGINT   NOT NULL DEFAULT 0,
	closed_by       BIGINT   NOT NULL DEFAULT 0,
	closed_by_name  TEXT     NOT NULL DEFAULT '',
	demo            SMALLINT NOT NULL DEFAULT 0,
	version         BIGINT   NOT NULL DEFAULT 1
);
CREATE INDEX tasks_owner ON tasks (owner_id, state, due_at, id);
CREATE INDEX tasks_creator ON tasks (created_by, state, due_at, id);
CREATE INDEX tasks_state ON tasks (state, due_at, id);
CREATE INDEX tasks_closed ON tasks (owner_id, closed_at) WHERE closed_at > 0;
CREATE INDEX tasks_subject ON tasks (subject_type, subject_id, state, due_at, id) WHERE subject_id > 0;
CREATE INDEX tasks_next ON tasks (next_at, id) WHERE next_at > 0;
CREATE INDEX tasks_entry ON tasks (entry_id) WHERE entry_id > 0;
CREATE UNIQUE INDEX tasks_once ON tasks (once) WHERE once <> '';

-- The calendar somebody reads in another program. The address holds a secret of
-- which only the hash is kept.
CREATE TABLE task_feeds (
	user_id    BIGINT PRIMARY KEY,
	token_hash TEXT   NOT NULL UNIQUE,
	created_at BIGINT NOT NULL,
	read_at    BIGINT NOT NULL DEFAULT 0
);

-- Who has looked through his day before leaving, and what was left (FLW-4).
CREATE TABLE day_checks (
	user_id BIGINT NOT NULL,
	day     TEXT   NOT NULL, -- 2026-11-22
	figures TEXT   NOT NULL, -- JSON: figure -> how many
	at      BIGINT NOT NULL,
	PRIMARY KEY (user_id, day)
);
CREATE INDEX day_checks_day ON day_checks (day, user_id);

-- How many open tasks are about a ticket: one without any costs no look-up.
ALTER TABLE tickets ADD COLUMN open_tasks BIGINT NOT NULL DEFAULT 0;
-- A record may correct an earlier one, which then says so.
CREATE INDEX entries_corrects ON entries (corrects_id) WHERE corrects_id > 0;
CREATE INDEX entries_author_day ON entries (author_id, created_at) WHERE kind = 'follow_up';

-- +goose Down
SELECT 1;
