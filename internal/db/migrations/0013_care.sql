-- +goose Up
-- What a customer's grade should be by the rules (CUS-6), computed from facts and
-- computed again when they change. It may be thrown away at any time.
CREATE TABLE grade_suggestions (
	customer_id   BIGINT   PRIMARY KEY REFERENCES customers (id),
	grade         TEXT     NOT NULL CHECK (grade IN ('a', 'b', 'c')),
	score         BIGINT   NOT NULL, -- 0 to 100
	reasons       TEXT     NOT NULL, -- JSON: factor, points, what was found
	kept          TEXT     NOT NULL DEFAULT '', -- the suggestion somebody has decided against
	differs       SMALLINT NOT NULL DEFAULT 0,  -- 1: neither the customer's grade nor decided against
	department_id BIGINT   NOT NULL DEFAULT 0,  -- the customer's, to find them by
	owner_id      BIGINT   NOT NULL DEFAULT 0,
	at            BIGINT   NOT NULL
);
CREATE INDEX grade_suggestions_score ON grade_suggestions (score, customer_id) WHERE differs = 1;
CREATE INDEX grade_suggestions_grade ON grade_suggestions (grade, score, customer_id) WHERE differs = 1;
CREATE INDEX grade_suggestions_department ON grade_suggestions (department_id, score, customer_id) WHERE differs = 1;
CREATE INDEX grade_suggestions_owner ON grade_suggestions (owner_id, score, customer_id) WHERE differs = 1;

-- How a customer went through the stages of his life (CUS-12).
CREATE TABLE customer_stages (
	id          IDENTITY_KEY,
	customer_id BIGINT NOT NULL REFERENCES customers (id),
	from_stage  TEXT   NOT NULL,
	to_stage    TEXT   NOT NULL,
	cause       TEXT   NOT NULL DEFAULT '', -- why he was lost, or the rule that moved him; '' by hand
	reason      TEXT   NOT NULL DEFAULT '', -- in words
	actor_kind  TEXT   NOT NULL,
	actor_id    BIGINT NOT NULL DEFAULT 0,
	actor_name  TEXT   NOT NULL,
	at          BIGINT NOT NULL
);
CREATE INDEX customer_stages_customer ON customer_stages (customer_id, id);

-- Confirmations of a profile (CUS-13). What was corrected stands in the facts.
CREATE TABLE verifications (
	id          IDENTITY_KEY,
	customer_id BIGINT NOT NULL REFERENCES customers (id),
	due_at      BIGINT NOT NULL DEFAULT 0, -- when it had been due; 0 before anything was set
	result      TEXT   NOT NULL CHECK (result IN ('confirmed', 'corrected', 'unknown')),
	fields      TEXT   NOT NULL, -- JSON: field -> confirmed, corrected, unknown
	note        TEXT   NOT NULL DEFAULT '',
	next_at     BIGINT NOT NULL DEFAULT 0,
	by_id       BIGINT NOT NULL DEFAULT 0,
	by_name     TEXT   NOT NULL,
	at          BIGINT NOT NULL
);
CREATE INDEX verifications_customer ON verifications (customer_id, id);
CREATE INDEX customers_verify_owner ON customers (owner_id, verify_at, id) WHERE verify_at > 0;
CREATE INDEX customers_verify_department ON customers (department_id, verify_at, id) WHERE verify_at > 0;

-- What customers are to each other, beside parent and subsidiary (CUS-20). from is
-- the supplier, distributor or referrer of to; the others go both ways and stand
-- once, the lower id first. After a merge one may lead to itself; it is not shown.
CREATE TABLE customer_relations (
	id              IDENTITY_KEY,
	from_id         BIGINT NOT NULL REFERENCES customers (id),
	to_id           BIGINT NOT NULL REFERENCES customers (id),
	kind            TEXT   NOT NULL CHECK (kind IN ('partner', 'supplier', 'distributor', 'referrer', 'same_person', 'relative')),
	note            TEXT   NOT NULL DEFAULT '',
	created_by_name TEXT   NOT NULL,
	created_at      BIGINT NOT NULL,
	UNIQUE (from_id, to_id, kind)
);
CREATE INDEX customer_relations_to ON customer_relations (to_id);

-- Who left, who went to another customer, and who became the one to speak to.
CREATE TABLE contact_moves (
	id                IDENTITY_KEY,
	customer_id       BIGINT NOT NULL REFERENCES customers (id),
	contact_id        BIGINT NOT NULL, -- who left or moved; of key: who is it now, 0 nobody
	kind              TEXT   NOT NULL CHECK (kind IN ('left', 'moved', 'key')),
	other_customer_id BIGINT NOT NULL DEFAULT 0, -- moved: where to
	other_contact_id  BIGINT NOT NULL DEFAULT 0, -- moved: who he is there; key: who was it before
	reason            TEXT   NOT NULL DEFAULT '',
	by_name           TEXT   NOT NULL,
	at                BIGINT NOT NULL
);
CREATE INDEX contact_moves_customer ON contact_moves (customer_id, id);
CREATE INDEX contact_moves_other ON contact_moves (other_customer_id, id) WHERE other_customer_id > 0;

-- Follow-up records with what is planned next.
CREATE INDEX entries_follow_up ON entries (customer_id, id) WHERE kind = 'follow_up' AND customer_id > 0;

-- +goose Down
SELECT 1;
