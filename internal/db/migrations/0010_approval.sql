-- +goose Up
-- Requests that somebody else has to agree to (审批). rule is the way through the
-- steps as it was when the request was made; due_at is when a reminder, an
-- escalation or the end of a pending one comes next.
CREATE TABLE approvals (
	id                IDENTITY_KEY,
	kind              TEXT     NOT NULL,
	subject_type      TEXT     NOT NULL,
	subject_id        BIGINT   NOT NULL,
	title             TEXT     NOT NULL,
	department_id     BIGINT   NOT NULL,
	reason            TEXT     NOT NULL,
	data              TEXT     NOT NULL,
	rule              TEXT     NOT NULL,
	same_person       SMALLINT NOT NULL DEFAULT 0,
	state             TEXT     NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'approved', 'refused', 'withdrawn', 'lapsed')),
	requested_by      BIGINT   NOT NULL,
	requested_by_name TEXT     NOT NULL,
	requested_at      BIGINT   NOT NULL,
	step              BIGINT   NOT NULL DEFAULT 0,
	arrived_at        BIGINT   NOT NULL,
	level             BIGINT   NOT NULL DEFAULT 0,
	told              TEXT     NOT NULL DEFAULT '[]',
	asked             TEXT     NOT NULL DEFAULT '[]',
	remind_at         BIGINT   NOT NULL DEFAULT 0,
	escalate_at       BIGINT   NOT NULL DEFAULT 0,
	lapse_at          BIGINT   NOT NULL,
	due_at            BIGINT   NOT NULL DEFAULT 0,
	decided_at        BIGINT   NOT NULL DEFAULT 0,
	demo              SMALLINT NOT NULL DEFAULT 0,
	version           BIGINT   NOT NULL DEFAULT 1
);
-- About one thing at most one request of a kind is open.
CREATE UNIQUE INDEX approvals_open ON approvals (kind, subject_type, subject_id) WHERE state = 'pending' AND subject_id <> 0;
CREATE INDEX approvals_subject ON approvals (subject_type, subject_id, id);
CREATE INDEX approvals_requester ON approvals (requested_by, id);
CREATE INDEX approvals_state ON approvals (state, id);
CREATE INDEX approvals_due ON approvals (due_at, id) WHERE state = 'pending';

-- Whose turn it is; who stands in for them while they are away is known to the
-- organisation.
CREATE TABLE approval_waiting (
	approval_id BIGINT NOT NULL REFERENCES approvals (id),
	user_id     BIGINT NOT NULL,
	PRIMARY KEY (approval_id, user_id)
);
CREATE INDEX approval_waiting_user ON approval_waiting (user_id, approval_id);

-- What happened to a request, step by step. took is how long the step had waited.
CREATE TABLE approval_history (
	id          IDENTITY_KEY,
	approval_id BIGINT NOT NULL REFERENCES approvals (id),
	step        BIGINT NOT NULL,
	what        TEXT   NOT NULL,
	at          BIGINT NOT NULL,
	by_id       BIGINT NOT NULL DEFAULT 0,
	by_name     TEXT   NOT NULL DEFAULT '',
	for_id      BIGINT NOT NULL DEFAULT 0,
	for_name    TEXT   NOT NULL DEFAULT '',
	names       TEXT   NOT NULL DEFAULT '',
	comment     TEXT   NOT NULL DEFAULT '',
	took        BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX approval_history_request ON approval_history (approval_id, id);
CREATE INDEX approval_history_decider ON approval_history (by_id, id);

-- +goose Down
SELECT 1;
