-- +goose Up
-- Changes of level of many customers that one request asks for (CUS-6, GOV-2):
-- those of a bulk change, or those an import brought.
CREATE TABLE customer_level_batches (
	id            IDENTITY_KEY,
	source        TEXT     NOT NULL CHECK (source IN ('bulk', 'import')),
	source_id     BIGINT   NOT NULL,
	state         TEXT     NOT NULL CHECK (state IN ('gathering', 'asked', 'settling', 'settled')),
	reason        TEXT     NOT NULL,
	department_id BIGINT   NOT NULL,            -- of all of them; -1 several
	request_id    BIGINT   NOT NULL DEFAULT 0,
	agreed        SMALLINT NOT NULL DEFAULT 0,
	note          TEXT     NOT NULL DEFAULT '', -- why the levels change, or stay
	total         BIGINT   NOT NULL DEFAULT 0,
	changed       BIGINT   NOT NULL DEFAULT 0,
	skipped       BIGINT   NOT NULL DEFAULT 0,
	last          BIGINT   NOT NULL DEFAULT 0,  -- customer settled last
	created_by    BIGINT   NOT NULL,
	created_at    BIGINT   NOT NULL,
	finished_at   BIGINT   NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX customer_level_batches_source ON customer_level_batches (source, source_id);

CREATE TABLE customer_level_wishes (
	batch_id    BIGINT NOT NULL REFERENCES customer_level_batches (id),
	customer_id BIGINT NOT NULL,
	old_level   TEXT   NOT NULL,
	new_level   TEXT   NOT NULL,
	outcome     TEXT   NOT NULL DEFAULT '', -- changed, meanwhile, kept
	PRIMARY KEY (batch_id, customer_id)
);

-- +goose Down
SELECT 1;
