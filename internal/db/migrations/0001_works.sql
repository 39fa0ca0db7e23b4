-- +goose Up
-- The facts: audit trail, outbox and hash chain are one table. seq and hash are
-- given by the sealer, in commit order and without gaps; before that they are NULL.
CREATE TABLE events (
	id           IDENTITY_KEY,
	seq          BIGINT UNIQUE,
	at           BIGINT   NOT NULL,
	kind         TEXT     NOT NULL,
	subject_type TEXT     NOT NULL,
	subject_id   BIGINT   NOT NULL,
	actor_kind   TEXT     NOT NULL,
	actor_id     BIGINT   NOT NULL DEFAULT 0,
	actor_name   TEXT     NOT NULL,
	action       TEXT     NOT NULL,
	ip           TEXT     NOT NULL DEFAULT '',
	session      TEXT     NOT NULL DEFAULT '',
	user_agent   TEXT     NOT NULL DEFAULT '',
	reason       TEXT     NOT NULL DEFAULT '',
	data         TEXT     NOT NULL,
	prev_hash    BYTES,
	hash         BYTES
);
CREATE INDEX events_unsealed ON events (id) WHERE seq IS NULL;
CREATE INDEX events_subject ON events (subject_type, subject_id, id);
CREATE INDEX events_actor ON events (actor_id, id);
CREATE INDEX events_kind ON events (kind, id);
CREATE INDEX events_at ON events (at);

-- How far each listener has read the chain.
CREATE TABLE listener_cursors (
	name TEXT PRIMARY KEY,
	seq  BIGINT NOT NULL
);

-- Who may do a periodic duty, on one node or many. A higher fence means a newer holder.
CREATE TABLE leases (
	name       TEXT PRIMARY KEY,
	holder     TEXT   NOT NULL,
	fence      BIGINT NOT NULL,
	expires_at BIGINT NOT NULL
);

-- Numbers of tickets and customers, one row per template and day.
CREATE TABLE counters (
	name TEXT PRIMARY KEY,
	n    BIGINT NOT NULL
);

-- Settings an administrator changes in the browser; value is JSON.
CREATE TABLE settings (
	name       TEXT PRIMARY KEY,
	value      TEXT   NOT NULL,
	updated_at BIGINT NOT NULL
);

CREATE TABLE jobs (
	id           IDENTITY_KEY,
	kind         TEXT     NOT NULL,
	args         TEXT     NOT NULL,
	state        TEXT     NOT NULL DEFAULT 'available' CHECK (state IN ('available', 'running', 'completed', 'discarded', 'cancelled')),
	unique_key   TEXT UNIQUE,
	attempt      BIGINT   NOT NULL DEFAULT 0,
	max_attempts BIGINT   NOT NULL DEFAULT 10,
	scheduled_at BIGINT   NOT NULL,
	lease_until  BIGINT   NOT NULL DEFAULT 0,
	fence        BIGINT   NOT NULL DEFAULT 0,
	progress     TEXT     NOT NULL DEFAULT '',
	last_error   TEXT     NOT NULL DEFAULT '',
	created_by   BIGINT   NOT NULL DEFAULT 0,
	created_at   BIGINT   NOT NULL,
	finished_at  BIGINT   NOT NULL DEFAULT 0
);
CREATE INDEX jobs_due ON jobs (scheduled_at, id) WHERE state = 'available';
CREATE INDEX jobs_leased ON jobs (lease_until) WHERE state = 'running';

-- Files: content is stored once per SHA-256 in the blob store; a row is one
-- use of it, and its owner record decides who may read it.
CREATE TABLE files (
	id          IDENTITY_KEY,
	sha256      TEXT     NOT NULL,
	size        BIGINT   NOT NULL,
	mime        TEXT     NOT NULL,
	name        TEXT     NOT NULL,
	owner_type  TEXT     NOT NULL,
	owner_id    BIGINT   NOT NULL DEFAULT 0,
	entry_id    BIGINT   NOT NULL DEFAULT 0,
	internal    SMALLINT NOT NULL DEFAULT 0,
	uploaded_by BIGINT   NOT NULL DEFAULT 0,
	created_at  BIGINT   NOT NULL
);
CREATE INDEX files_owner ON files (owner_type, owner_id, id);
CREATE INDEX files_entry ON files (entry_id);
CREATE INDEX files_sha256 ON files (sha256);

-- Answers already given to a create with this idempotency key.
CREATE TABLE idempotency_keys (
	actor_id   BIGINT NOT NULL,
	name       TEXT   NOT NULL,
	request    TEXT   NOT NULL,
	response   TEXT   NOT NULL,
	created_at BIGINT NOT NULL,
	PRIMARY KEY (actor_id, name)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- +goose Down
SELECT 1;
