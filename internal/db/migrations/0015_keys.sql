-- +goose Up
-- The processes that work on this data and the keys each knows: while keys are
-- changed, all must know the new one before any uses it.
CREATE TABLE key_holders (
	process TEXT PRIMARY KEY,
	marks   TEXT   NOT NULL, -- names of the keys, the one in use first; '' while it starts
	seen_at BIGINT NOT NULL
);

-- +goose Down
SELECT 1;
