-- +goose Up
-- Orders and filters of the customers' list.
CREATE INDEX customers_level ON customers (level, activity_at, id) WHERE level <> 'normal';
CREATE INDEX customers_planned ON customers (planned_at, id) WHERE planned_at > 0;

-- Conditions somebody keeps for his list, and shared ones. filter is JSON,
-- columns are codes with commas between; '' are the reader's own.
CREATE TABLE customer_views (
	id         IDENTITY_KEY,
	owner_id   BIGINT   NOT NULL REFERENCES users (id),
	name       TEXT     NOT NULL CHECK (name <> ''),
	filter     TEXT     NOT NULL DEFAULT '',
	columns    TEXT     NOT NULL DEFAULT '',
	sort       TEXT     NOT NULL DEFAULT '',
	shared     SMALLINT NOT NULL DEFAULT 0 CHECK (shared IN (0, 1)),
	position   BIGINT   NOT NULL DEFAULT 0,
	created_at BIGINT   NOT NULL,
	updated_at BIGINT   NOT NULL,
	version    BIGINT   NOT NULL DEFAULT 1
);
CREATE INDEX customer_views_owner ON customer_views (owner_id, position, id);
CREATE INDEX customer_views_shared ON customer_views (shared, position, id) WHERE shared = 1;

CREATE TABLE customer_list_prefs (
	user_id BIGINT PRIMARY KEY REFERENCES users (id),
	view    TEXT NOT NULL DEFAULT '',
	columns TEXT NOT NULL DEFAULT ''
);

-- Named conditions that campaigns, care plans and reports use.
CREATE TABLE customer_segments (
	id              IDENTITY_KEY,
	name            TEXT   NOT NULL UNIQUE CHECK (name <> ''),
	note            TEXT   NOT NULL DEFAULT '',
	filter          TEXT   NOT NULL,
	created_by      BIGINT NOT NULL DEFAULT 0,
	created_by_name TEXT   NOT NULL,
	created_at      BIGINT NOT NULL,
	updated_at      BIGINT NOT NULL,
	version         BIGINT NOT NULL DEFAULT 1
);

-- A change of many customers at once. last is the id it has come to: it moves in
-- the transaction of each batch.
CREATE TABLE customer_bulks (
	id              IDENTITY_KEY,
	state           TEXT   NOT NULL CHECK (state IN ('running', 'finished', 'failed', 'cancelled')),
	change          TEXT   NOT NULL,            -- JSON
	filter          TEXT   NOT NULL DEFAULT '', -- JSON; '' with ids
	ids             TEXT   NOT NULL DEFAULT '', -- JSON; '' all that fulfil filter
	total           BIGINT NOT NULL DEFAULT 0,
	counts          TEXT   NOT NULL DEFAULT '{}',
	last            BIGINT NOT NULL DEFAULT 0,
	top             BIGINT NOT NULL DEFAULT 0,  -- customers registered later are left alone
	job_id          BIGINT NOT NULL DEFAULT 0,
	created_by      BIGINT NOT NULL,
	created_by_name TEXT   NOT NULL,
	created_at      BIGINT NOT NULL,
	updated_at      BIGINT NOT NULL,
	finished_at     BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX customer_bulks_creator ON customer_bulks (created_by, id);
CREATE INDEX customer_bulks_finished ON customer_bulks (finished_at);

-- Customers that were not simply changed, and why.
CREATE TABLE customer_bulk_lines (
	bulk_id     BIGINT NOT NULL REFERENCES customer_bulks (id),
	customer_id BIGINT NOT NULL,
	outcome     TEXT   NOT NULL,
	reason      TEXT   NOT NULL DEFAULT '',
	PRIMARY KEY (bulk_id, customer_id)
);

CREATE TABLE customer_exports (
	id              IDENTITY_KEY,
	state           TEXT     NOT NULL CHECK (state IN ('waiting', 'refused', 'running', 'finished', 'failed', 'cancelled', 'expired')),
	name            TEXT     NOT NULL,
	format          TEXT     NOT NULL CHECK (format IN ('xlsx', 'csv')),
	filter          TEXT     NOT NULL DEFAULT '', -- JSON; emptied when it has expired
	columns         TEXT     NOT NULL,
	clear           SMALLINT NOT NULL DEFAULT 0,
	lang            TEXT     NOT NULL,
	reason          TEXT     NOT NULL DEFAULT '',
	total           BIGINT   NOT NULL DEFAULT 0, -- when it was asked for
	done            BIGINT   NOT NULL DEFAULT 0,
	revealed        BIGINT   NOT NULL DEFAULT 0, -- rows with clear values
	file_id         BIGINT   NOT NULL DEFAULT 0,
	size            BIGINT   NOT NULL DEFAULT 0,
	downloads       BIGINT   NOT NULL DEFAULT 0,
	job_id          BIGINT   NOT NULL DEFAULT 0,
	created_by      BIGINT   NOT NULL,
	created_by_name TEXT     NOT NULL,
	department_id   BIGINT   NOT NULL DEFAULT 0,
	created_at      BIGINT   NOT NULL,
	updated_at      BIGINT   NOT NULL,
	finished_at     BIGINT   NOT NULL DEFAULT 0,
	expires_at      BIGINT   NOT NULL DEFAULT 0
);
CREATE INDEX customer_exports_creator ON customer_exports (created_by, id);
CREATE INDEX customer_exports_expiry ON customer_exports (expires_at) WHERE expires_at > 0;

-- +goose Down
SELECT 1;
