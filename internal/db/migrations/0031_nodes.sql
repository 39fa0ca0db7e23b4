-- +goose Up
-- The processes that serve on this store, each with its last sign of life.
CREATE TABLE nodes (
	name       TEXT   PRIMARY KEY, -- as in leases.holder
	version    TEXT   NOT NULL,
	address    TEXT   NOT NULL,
	ahead      BIGINT NOT NULL DEFAULT 0, -- how much its clock is ahead of the store's, µs
	started_at BIGINT NOT NULL,
	seen_at    BIGINT NOT NULL
);
