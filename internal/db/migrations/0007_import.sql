-- +goose Up
-- One row per table somebody imports. line is how far it is: it moves in the
-- transaction of each batch, so an import that was killed goes on behind it.
CREATE TABLE imports (
	id              IDENTITY_KEY,
	kind            TEXT     NOT NULL CHECK (kind IN ('customers', 'tickets')),
	state           TEXT     NOT NULL CHECK (state IN ('draft', 'checking', 'checked', 'running', 'finished', 'failed', 'cancelled')),
	name            TEXT     NOT NULL,
	size            BIGINT   NOT NULL DEFAULT 0,
	file_id         BIGINT   NOT NULL DEFAULT 0, -- what was uploaded; 0: a file on the command line, or removed
	result_id       BIGINT   NOT NULL DEFAULT 0, -- the table with the outcome of each row
	setup           TEXT     NOT NULL,           -- JSON: sheet, columns, defaults
	counts          TEXT     NOT NULL DEFAULT '{}',
	line            BIGINT   NOT NULL DEFAULT 0, -- last line done; 0 none
	job_id          BIGINT   NOT NULL DEFAULT 0,
	failure         TEXT     NOT NULL DEFAULT '', -- JSON: why it failed as a whole
	created_by      BIGINT   NOT NULL DEFAULT 0,
	created_by_name TEXT     NOT NULL,
	department_id   BIGINT   NOT NULL DEFAULT 0,
	created_at      BIGINT   NOT NULL,
	updated_at      BIGINT   NOT NULL,
	finished_at     BIGINT   NOT NULL DEFAULT 0
);
CREATE INDEX imports_department ON imports (department_id, id);
CREATE INDEX imports_creator ON imports (created_by, id);
CREATE INDEX imports_finished ON imports (finished_at);

-- The lines that were not simply taken in, and why; the others were.
CREATE TABLE import_lines (
	import_id BIGINT NOT NULL REFERENCES imports (id),
	line      BIGINT NOT NULL,
	outcome   TEXT   NOT NULL CHECK (outcome IN ('warned', 'skipped', 'failed')),
	reasons   TEXT   NOT NULL, -- JSON: locale keys with their arguments
	PRIMARY KEY (import_id, line)
);

-- +goose Down
SELECT 1;
