-- +goose Up
-- Who wants no single-letter keys (they get in the way of some helpers for
-- typing and reading).
ALTER TABLE users ADD COLUMN keys_off SMALLINT NOT NULL DEFAULT 0;

-- The tickets somebody has open; seen_at is when he last looked at each.
CREATE TABLE ticket_tabs (
	user_id   BIGINT NOT NULL REFERENCES users (id),
	ticket_id BIGINT NOT NULL REFERENCES tickets (id),
	opened_at BIGINT NOT NULL,
	seen_at   BIGINT NOT NULL,
	PRIMARY KEY (user_id, ticket_id)
);

-- Put off by somebody for himself. It ends at until_at or when the customer
-- writes after set_at, and is forgotten when he opens the ticket then.
CREATE TABLE ticket_snoozes (
	user_id   BIGINT NOT NULL REFERENCES users (id),
	ticket_id BIGINT NOT NULL REFERENCES tickets (id),
	until_at  BIGINT NOT NULL,
	set_at    BIGINT NOT NULL,
	told_at   BIGINT NOT NULL DEFAULT 0, -- when he was told that it is over
	PRIMARY KEY (user_id, ticket_id)
);
CREATE INDEX ticket_snoozes_due ON ticket_snoozes (until_at) WHERE told_at = 0;

-- The order in which somebody wants a view ('mine', or the id of a saved one).
CREATE TABLE ticket_orders (
	user_id BIGINT NOT NULL REFERENCES users (id),
	view    TEXT   NOT NULL,
	sort    TEXT   NOT NULL,
	PRIMARY KEY (user_id, view)
);

-- What has to be done on a ticket, item by item.
CREATE TABLE ticket_checks (
	id            IDENTITY_KEY,
	ticket_id     BIGINT NOT NULL REFERENCES tickets (id),
	body          TEXT   NOT NULL CHECK (body <> ''),
	created_by    BIGINT NOT NULL,
	created_at    BIGINT NOT NULL,
	done_at       BIGINT NOT NULL DEFAULT 0, -- 0: not yet
	done_by       BIGINT NOT NULL DEFAULT 0,
	done_by_name  TEXT   NOT NULL DEFAULT ''
);
CREATE INDEX ticket_checks_ticket ON ticket_checks (ticket_id, id);

-- A change of many tickets at once. done moves in the transaction of each.
CREATE TABLE ticket_bulks (
	id              IDENTITY_KEY,
	state           TEXT   NOT NULL CHECK (state IN ('running', 'paused', 'finished', 'failed', 'cancelled')),
	change          TEXT   NOT NULL, -- JSON
	ids             TEXT   NOT NULL, -- JSON, as they stood when it was asked for
	total           BIGINT NOT NULL,
	done            BIGINT NOT NULL DEFAULT 0,
	changed         BIGINT NOT NULL DEFAULT 0,
	same            BIGINT NOT NULL DEFAULT 0,
	refused         BIGINT NOT NULL DEFAULT 0,
	job_id          BIGINT NOT NULL DEFAULT 0,
	created_by      BIGINT NOT NULL,
	created_by_name TEXT   NOT NULL,
	created_at      BIGINT NOT NULL,
	updated_at      BIGINT NOT NULL,
	finished_at     BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX ticket_bulks_created_by ON ticket_bulks (created_by, id);
CREATE INDEX ticket_bulks_updated ON ticket_bulks (updated_at);

-- The tickets that a bulk change refused, and why.
CREATE TABLE ticket_bulk_lines (
	bulk_id   BIGINT NOT NULL REFERENCES ticket_bulks (id),
	n         BIGINT NOT NULL, -- its place in the bulk change
	ticket_id BIGINT NOT NULL,
	outcome   TEXT   NOT NULL, -- forbidden, hidden, failed
	reason    TEXT   NOT NULL DEFAULT '', -- JSON: locale key and its arguments
	PRIMARY KEY (bulk_id, n)
);

-- Views that a team shares: 0 the owner's alone, -1 everybody's, else a department's.
ALTER TABLE saved_views ADD COLUMN shared_with BIGINT NOT NULL DEFAULT 0;
CREATE INDEX saved_views_shared ON saved_views (shared_with, position, id) WHERE shared_with <> 0;

-- +goose Down
SELECT 1;
