-- +goose Up
-- What keeps the hash of an event from being guessed, and whether a person's
-- data has been taken out of it since.
ALTER TABLE events ADD COLUMN salt BYTES;
ALTER TABLE events ADD COLUMN redacted SMALLINT NOT NULL DEFAULT 0;

-- When the personal data of a closed ticket was taken out of it; 0 not yet.
ALTER TABLE tickets ADD COLUMN anonymised_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX tickets_retention ON tickets (activity_at, id) WHERE is_open = 0 AND anonymised_at = 0;

-- Requests to delete a customer, and what is left of him when it was done (CUS-15).
CREATE TABLE deletions (
	id             IDENTITY_KEY,
	customer_id    BIGINT NOT NULL,
	number         TEXT   NOT NULL,
	type           TEXT   NOT NULL,
	name_masked    TEXT   NOT NULL,
	department_id  BIGINT NOT NULL,
	reason         TEXT   NOT NULL,
	tickets        BIGINT NOT NULL DEFAULT 0,
	state          TEXT   NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'refused', 'withdrawn', 'lapsed', 'running', 'done')),
	approval_id    BIGINT NOT NULL DEFAULT 0,
	asked_by       BIGINT NOT NULL DEFAULT 0,
	asked_by_name  TEXT   NOT NULL,
	asked_at       BIGINT NOT NULL,
	decided_by     TEXT   NOT NULL DEFAULT '', -- names, in the order of the steps
	decided_at     BIGINT NOT NULL DEFAULT 0,
	erasure_id     BIGINT NOT NULL DEFAULT 0,
	executed_at    BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX deletions_customer ON deletions (customer_id, id);
CREATE INDEX deletions_department ON deletions (department_id, id);

-- Customer data given to somebody outside (CUS-16).
CREATE TABLE disclosures (
	id             IDENTITY_KEY,
	number         TEXT   NOT NULL UNIQUE,
	purpose        TEXT   NOT NULL,
	recipient      TEXT   NOT NULL,
	fields         TEXT   NOT NULL, -- JSON: codes
	customers      BIGINT NOT NULL DEFAULT 0,
	days           BIGINT NOT NULL, -- how long the file may be fetched
	state          TEXT   NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'refused', 'withdrawn', 'lapsed', 'running', 'ready', 'expired', 'failed')),
	approval_id    BIGINT NOT NULL DEFAULT 0,
	department_id  BIGINT NOT NULL,
	lang           TEXT   NOT NULL,
	asked_by       BIGINT NOT NULL DEFAULT 0,
	asked_by_name  TEXT   NOT NULL,
	asked_at       BIGINT NOT NULL,
	decided_by     TEXT   NOT NULL DEFAULT '',
	decided_at     BIGINT NOT NULL DEFAULT 0,
	file_id        BIGINT NOT NULL DEFAULT 0, -- 0: not made yet, or removed
	sha256         TEXT   NOT NULL DEFAULT '',
	made_at        BIGINT NOT NULL DEFAULT 0,
	expires_at     BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX disclosures_department ON disclosures (department_id, id);
CREATE INDEX disclosures_asked ON disclosures (asked_by, id);
CREATE INDEX disclosures_expiry ON disclosures (expires_at) WHERE file_id > 0;

CREATE TABLE disclosure_customers (
	disclosure_id BIGINT NOT NULL REFERENCES disclosures (id),
	customer_id   BIGINT NOT NULL,
	PRIMARY KEY (disclosure_id, customer_id)
);
CREATE INDEX disclosure_customers_customer ON disclosure_customers (customer_id);

-- Requests of persons about their own data (GOV-4). The person is sealed: JSON of
-- the values he is found by; it goes when he is erased.
CREATE TABLE person_requests (
	id              IDENTITY_KEY,
	number          TEXT   NOT NULL UNIQUE,
	kind            TEXT   NOT NULL CHECK (kind IN ('access', 'correct', 'erase', 'restrict', 'withdraw')),
	state           TEXT   NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'running', 'done', 'refused')),
	person_sealed   BYTES,
	person_masked   TEXT   NOT NULL,
	came_by         TEXT   NOT NULL,
	words           TEXT   NOT NULL DEFAULT '', -- what he asked for
	identity_by     TEXT   NOT NULL DEFAULT '', -- how we know that it is he; '' not checked yet
	identity_at     BIGINT NOT NULL DEFAULT 0,
	due_at          BIGINT NOT NULL,
	found           TEXT   NOT NULL DEFAULT '', -- JSON: places and counts
	customers       TEXT   NOT NULL DEFAULT '[]', -- JSON: ids that are his
	contacts        TEXT   NOT NULL DEFAULT '[]',
	outcome         TEXT   NOT NULL DEFAULT '', -- what was done, or why it was refused
	job_id          BIGINT NOT NULL DEFAULT 0,
	working         TEXT   NOT NULL DEFAULT '', -- find, export, erase; '' nothing goes on
	failure         TEXT   NOT NULL DEFAULT '',
	file_id         BIGINT NOT NULL DEFAULT 0, -- his data, to be handed over
	expires_at      BIGINT NOT NULL DEFAULT 0,
	erasure_id      BIGINT NOT NULL DEFAULT 0,
	created_by      BIGINT NOT NULL DEFAULT 0,
	created_by_name TEXT   NOT NULL,
	created_at      BIGINT NOT NULL,
	closed_by_name  TEXT   NOT NULL DEFAULT '',
	closed_at       BIGINT NOT NULL DEFAULT 0,
	version         BIGINT NOT NULL DEFAULT 1
);
CREATE INDEX person_requests_state ON person_requests (state, due_at, id);
CREATE INDEX person_requests_creator ON person_requests (created_by, id);
CREATE INDEX person_requests_expiry ON person_requests (expires_at) WHERE file_id > 0;

-- Who must not be used any more: processing is restricted, or consent withdrawn.
CREATE TABLE restrictions (
	customer_id BIGINT NOT NULL,
	kind        TEXT   NOT NULL CHECK (kind IN ('restrict', 'withdraw')),
	request_id  BIGINT NOT NULL REFERENCES person_requests (id),
	since       BIGINT NOT NULL,
	PRIMARY KEY (customer_id, kind)
);

-- One erasure under way or done: for a request, a deletion or a retention rule.
-- who is sealed and goes at the end; report is what was done where, proof the
-- signature over it.
CREATE TABLE erasures (
	id           IDENTITY_KEY,
	cause        TEXT   NOT NULL CHECK (cause IN ('request', 'deletion', 'retention')),
	cause_id     BIGINT NOT NULL DEFAULT 0,
	number       TEXT   NOT NULL, -- of the cause, or of the rule
	masked       TEXT   NOT NULL,
	who_sealed   BYTES,
	ordered_by   TEXT   NOT NULL,
	phase        TEXT   NOT NULL DEFAULT 'records' CHECK (phase IN ('records', 'texts', 'files', 'trail', 'clean', 'check', 'done')),
	report       TEXT   NOT NULL DEFAULT '{}',
	proof        TEXT   NOT NULL DEFAULT '',
	job_id       BIGINT NOT NULL DEFAULT 0,
	begun_at     BIGINT NOT NULL,
	done_at      BIGINT NOT NULL DEFAULT 0
);

-- Each time a file with personal data was fetched.
CREATE TABLE privacy_downloads (
	id         IDENTITY_KEY,
	owner_type TEXT   NOT NULL, -- disclosure, person_request
	owner_id   BIGINT NOT NULL,
	user_id    BIGINT NOT NULL,
	user_name  TEXT   NOT NULL,
	ip         TEXT   NOT NULL DEFAULT '',
	at         BIGINT NOT NULL
);
CREATE INDEX privacy_downloads_owner ON privacy_downloads (owner_type, owner_id, id);

-- +goose Down
SELECT 1;
