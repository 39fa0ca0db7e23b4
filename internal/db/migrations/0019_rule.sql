-- +goose Up
-- Since when a ticket is in its state: what "48 hours in this state" counts from.
ALTER TABLE tickets ADD COLUMN state_at BIGINT NOT NULL DEFAULT 0;
UPDATE tickets SET state_at = activity_at;

-- What happens by itself (AUT-1): when, if, then. expr is the condition as it is
-- evaluated; conditions is the form it was made with, '' when it was written by
-- hand.
CREATE TABLE rules (
	id          IDENTITY_KEY,
	name        TEXT     NOT NULL UNIQUE CHECK (name <> ''),
	note        TEXT     NOT NULL DEFAULT '',
	position    BIGINT   NOT NULL DEFAULT 0,
	enabled     SMALLINT NOT NULL DEFAULT 0 CHECK (enabled IN (0, 1)),
	stop_after  SMALLINT NOT NULL DEFAULT 0 CHECK (stop_after IN (0, 1)),
	occasion    TEXT     NOT NULL, -- JSON: when
	conditions  TEXT     NOT NULL DEFAULT '', -- JSON: if
	expr        TEXT     NOT NULL DEFAULT '',
	actions     TEXT     NOT NULL, -- JSON: then
	off_reason  TEXT     NOT NULL DEFAULT '', -- why the program switched it off
	failures    BIGINT   NOT NULL DEFAULT 0,  -- firings in a row that could do nothing
	fired       BIGINT   NOT NULL DEFAULT 0,
	fired_at    BIGINT   NOT NULL DEFAULT 0,
	demo        SMALLINT NOT NULL DEFAULT 0,
	version     BIGINT   NOT NULL DEFAULT 1,
	created_at  BIGINT   NOT NULL,
	updated_at  BIGINT   NOT NULL
);
CREATE INDEX rules_order ON rules (position, id);

-- What each firing did. rule_id 0 is the automatic answer on receipt.
CREATE TABLE rule_firings (
	id         IDENTITY_KEY,
	rule_id    BIGINT NOT NULL,
	version    BIGINT NOT NULL DEFAULT 0, -- of the rule
	ticket_id  BIGINT NOT NULL,
	event_id   BIGINT NOT NULL DEFAULT 0, -- 0: a matter of time
	occasion   TEXT   NOT NULL DEFAULT '', -- the event, or what time was counted from
	outcome    TEXT   NOT NULL CHECK (outcome IN ('done', 'partly', 'refused', 'failed', 'loop', 'limited')),
	detail     TEXT   NOT NULL DEFAULT '{}', -- JSON: conditions that held, actions with what came of them
	at         BIGINT NOT NULL
);
CREATE INDEX rule_firings_rule ON rule_firings (rule_id, id);
CREATE INDEX rule_firings_ticket ON rule_firings (ticket_id, at);
CREATE INDEX rule_firings_hour ON rule_firings (rule_id, at);
CREATE INDEX rule_firings_at ON rule_firings (at);

-- The unique row is what makes a matter of time, and an automatic answer, happen
-- once: at is when, occasion what it was counted from.
CREATE TABLE rule_occasions (
	rule_id   BIGINT NOT NULL,
	ticket_id BIGINT NOT NULL,
	occasion  BIGINT NOT NULL DEFAULT 0,
	at        BIGINT NOT NULL,
	PRIMARY KEY (rule_id, ticket_id, occasion)
);
CREATE INDEX rule_occasions_ticket ON rule_occasions (ticket_id, rule_id, at);
CREATE INDEX rule_occasions_at ON rule_occasions (at);

-- What webhooks are signed with.
CREATE TABLE rule_secrets (
	id            IDENTITY_KEY,
	secret_sealed BYTES  NOT NULL,
	created_at    BIGINT NOT NULL
);

CREATE INDEX tickets_open_created ON tickets (created_at, id) WHERE is_open = 1;
CREATE INDEX tickets_open_customer ON tickets (customer_at, id) WHERE is_open = 1 AND customer_at > 0;
CREATE INDEX tickets_in_state ON tickets (state, state_at, id);

-- +goose Down
SELECT 1;
