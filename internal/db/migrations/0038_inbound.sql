-- +goose Up
-- Where other systems hand in requests of customers with signed calls (CHN-6).
-- key names the source in its address. trouble is why the last call was turned
-- away before it was read, for whoever sets it up.
CREATE TABLE inbound_sources (
	id            IDENTITY_KEY,
	name          TEXT     NOT NULL,
	key           TEXT     NOT NULL UNIQUE,
	secret_sealed BYTES,
	secret_at     BIGINT   NOT NULL DEFAULT 0,
	enabled       SMALLINT NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
	channel       TEXT     NOT NULL DEFAULT 'api',
	type          TEXT     NOT NULL DEFAULT 'consultation', -- of calls that name none
	trouble       TEXT     NOT NULL DEFAULT '',             -- locale key
	trouble_at    BIGINT   NOT NULL DEFAULT 0,
	version       BIGINT   NOT NULL DEFAULT 1,
	created_at    BIGINT   NOT NULL,
	updated_at    BIGINT   NOT NULL
);

-- One line for each call that was signed rightly. What was taken in has a
-- delivery id that comes only once.
CREATE TABLE inbound_deliveries (
	id        IDENTITY_KEY,
	source_id BIGINT NOT NULL REFERENCES inbound_sources (id),
	delivery  TEXT   NOT NULL,
	digest    TEXT   NOT NULL, -- SHA-256 of the body
	at        BIGINT NOT NULL,
	outcome   TEXT   NOT NULL CHECK (outcome IN ('created', 'added', 'refused')),
	ticket_id BIGINT NOT NULL DEFAULT 0,
	number    TEXT   NOT NULL DEFAULT '',
	reference TEXT   NOT NULL DEFAULT '', -- the sender's own number
	reason    TEXT   NOT NULL DEFAULT ''  -- JSON: why it was refused
);
CREATE UNIQUE INDEX inbound_deliveries_once ON inbound_deliveries (source_id, delivery) WHERE outcome <> 'refused';
CREATE INDEX inbound_deliveries_reference ON inbound_deliveries (source_id, reference, id) WHERE outcome <> 'refused' AND reference <> '';
CREATE INDEX inbound_deliveries_source ON inbound_deliveries (source_id, id);
CREATE INDEX inbound_deliveries_old ON inbound_deliveries (at);
