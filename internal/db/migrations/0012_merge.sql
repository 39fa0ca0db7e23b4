-- +goose Up
-- Pairs of customers that may be one and the same (CUS-5). a_id is the smaller id.
CREATE TABLE customer_pairs (
	id              IDENTITY_KEY,
	a_id            BIGINT NOT NULL,
	b_id            BIGINT NOT NULL,
	score           BIGINT NOT NULL, -- how surely, in percent
	reasons         TEXT   NOT NULL, -- what matched, in falling weight, separated by blanks
	state           TEXT   NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'merged', 'distinct')),
	note            TEXT   NOT NULL DEFAULT '', -- why they are not the same
	found_at        BIGINT NOT NULL,
	decided_at      BIGINT NOT NULL DEFAULT 0,
	decided_by      BIGINT NOT NULL DEFAULT 0,
	decided_by_name TEXT   NOT NULL DEFAULT '',
	UNIQUE (a_id, b_id)
);
CREATE INDEX customer_pairs_state ON customer_pairs (state, score, id);
CREATE INDEX customer_pairs_b ON customer_pairs (b_id);

-- Hashes of the parts of companies' names by which similar ones are found.
CREATE TABLE customer_blocks (
	key         BIGINT NOT NULL,
	customer_id BIGINT NOT NULL,
	PRIMARY KEY (key, customer_id)
);
CREATE INDEX customer_blocks_customer ON customer_blocks (customer_id);

-- Customers to be compared with all others; n counts how often that was asked for.
CREATE TABLE customer_checks (
	customer_id BIGINT PRIMARY KEY,
	n           BIGINT NOT NULL DEFAULT 1
);

-- One row per merge (CUS-14). The merged profile is in no other table any more.
CREATE TABLE customer_merges (
	id              IDENTITY_KEY,
	survivor_id     BIGINT NOT NULL,
	merged_id       BIGINT NOT NULL,
	leads_to        BIGINT NOT NULL, -- where its number leads now: the survivor, or who that was merged into since; 0 undone
	merged_number   TEXT   NOT NULL,
	merged_external TEXT   NOT NULL DEFAULT '',
	merged_key      TEXT   NOT NULL DEFAULT '', -- of an import
	merged_name     TEXT   NOT NULL,
	reason          TEXT   NOT NULL DEFAULT '',
	moved           TEXT   NOT NULL DEFAULT '{}', -- JSON: table -> how many rows
	merged_at       BIGINT NOT NULL,
	merged_by       BIGINT NOT NULL DEFAULT 0,
	merged_by_name  TEXT   NOT NULL,
	undo_until      BIGINT NOT NULL, -- 0: what it takes is gone
	undone_at       BIGINT NOT NULL DEFAULT 0,
	undone_by       BIGINT NOT NULL DEFAULT 0,
	undone_by_name  TEXT   NOT NULL DEFAULT ''
);
CREATE INDEX customer_merges_survivor ON customer_merges (survivor_id, id);
CREATE INDEX customer_merges_merged ON customer_merges (merged_id, id);
CREATE INDEX customer_merges_leads ON customer_merges (leads_to);
CREATE INDEX customer_merges_number ON customer_merges (merged_number);
CREATE INDEX customer_merges_external ON customer_merges (merged_external);
CREATE INDEX customer_merges_key ON customer_merges (merged_key);
CREATE INDEX customer_merges_undo ON customer_merges (undo_until);

-- What each merge changed, row by row, with the exact values before: JSON.
-- Sealed values stay sealed.
CREATE TABLE customer_merge_steps (
	merge_id BIGINT NOT NULL REFERENCES customer_merges (id),
	seq      BIGINT NOT NULL,
	body     TEXT   NOT NULL,
	PRIMARY KEY (merge_id, seq)
);

CREATE INDEX contacts_moved ON contacts (moved_to) WHERE moved_to > 0;

-- +goose Down
SELECT 1;
