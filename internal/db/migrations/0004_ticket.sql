-- +goose Up
CREATE TABLE categories (
	id        IDENTITY_KEY,
	parent_id BIGINT REFERENCES categories (id),
	name      TEXT     NOT NULL,
	position  BIGINT   NOT NULL DEFAULT 0,
	active    SMALLINT NOT NULL DEFAULT 1
);
CREATE UNIQUE INDEX categories_name ON categories (COALESCE(parent_id, 0), name);

-- Priority = urgency x customer level (TKT-3).
CREATE TABLE priority_matrix (
	urgency  TEXT NOT NULL,
	level    TEXT NOT NULL,
	priority TEXT NOT NULL CHECK (priority IN ('urgent', 'high', 'medium', 'low')),
	PRIMARY KEY (urgency, level)
);

-- To which department a request goes: the most particular row wins; '' matches any.
CREATE TABLE routes (
	id            IDENTITY_KEY,
	type          TEXT   NOT NULL DEFAULT '',
	class         TEXT   NOT NULL DEFAULT '',
	department_id BIGINT NOT NULL REFERENCES departments (id),
	UNIQUE (type, class)
);

CREATE TABLE tickets (
	id              IDENTITY_KEY,
	number          TEXT     NOT NULL UNIQUE,
	parent_id       BIGINT REFERENCES tickets (id),
	title           TEXT     NOT NULL CHECK (title <> ''),
	type            TEXT     NOT NULL CHECK (type IN ('consultation', 'complaint', 'after_sales', 'other')),
	class           TEXT     NOT NULL DEFAULT '',
	category_id     BIGINT   NOT NULL DEFAULT 0,
	urgency         TEXT     NOT NULL CHECK (urgency IN ('urgent', 'normal', 'low')),
	priority        TEXT     NOT NULL CHECK (priority IN ('urgent', 'high', 'medium', 'low')),
	priority_reason TEXT     NOT NULL DEFAULT '',
	channel         TEXT     NOT NULL,
	description     TEXT     NOT NULL DEFAULT '',
	customer_id     BIGINT   NOT NULL REFERENCES customers (id),
	customer_name   TEXT     NOT NULL DEFAULT '', -- copied for lists
	customer_level  TEXT     NOT NULL DEFAULT 'normal',
	contact_id      BIGINT   NOT NULL DEFAULT 0,
	department_id   BIGINT   NOT NULL REFERENCES departments (id),
	assignee_id     BIGINT   NOT NULL DEFAULT 0,
	assignee_name   TEXT     NOT NULL DEFAULT '',
	supervisor_id   BIGINT   NOT NULL DEFAULT 0, -- on whose desk it lies: escalated or second handling; 0 nobody's
	state           TEXT     NOT NULL CHECK (state IN ('pending', 'in_progress', 'waiting_customer', 'awaiting_confirmation', 'completed', 'closed', 'cancelled')),
	is_open         SMALLINT NOT NULL DEFAULT 1 CHECK (is_open IN (0, 1)),
	round           BIGINT   NOT NULL DEFAULT 1,
	escalation      BIGINT   NOT NULL DEFAULT 0,
	overdue         SMALLINT NOT NULL DEFAULT 0,
	open_children   BIGINT   NOT NULL DEFAULT 0,
	solution        TEXT     NOT NULL DEFAULT '',
	cause           TEXT     NOT NULL DEFAULT '',
	corrective      TEXT     NOT NULL DEFAULT '',
	delay_reason    TEXT     NOT NULL DEFAULT '',
	summary         TEXT     NOT NULL DEFAULT '',
	outcome         TEXT     NOT NULL DEFAULT '' CHECK (outcome IN ('', 'confirmed', 'phone', 'silence', 'imported', 'cancelled')),
	cancel_reason   TEXT     NOT NULL DEFAULT '',
	duplicate_of    BIGINT   NOT NULL DEFAULT 0,
	follows_id      BIGINT   NOT NULL DEFAULT 0,
	rating          BIGINT   NOT NULL DEFAULT 0,
	lookup_index    BYTES, -- keyed hash of the code given to the customer
	link_key        TEXT     NOT NULL DEFAULT '', -- random part of the signed link; changing it makes old links void
	due_at          BIGINT   NOT NULL DEFAULT 0, -- nearest due time of a running clock; 0 none
	due_clock       TEXT     NOT NULL DEFAULT '',
	due_total       BIGINT   NOT NULL DEFAULT 0, -- length of that clock, s
	created_by      BIGINT   NOT NULL DEFAULT 0,
	created_by_name TEXT     NOT NULL DEFAULT '',
	created_at      BIGINT   NOT NULL,
	updated_at      BIGINT   NOT NULL,
	activity_at     BIGINT   NOT NULL,
	customer_at     BIGINT   NOT NULL DEFAULT 0, -- newest word of the customer not yet answered; 0 none
	assigned_at     BIGINT   NOT NULL DEFAULT 0,
	acknowledged_at BIGINT   NOT NULL DEFAULT 0,
	responded_at    BIGINT   NOT NULL DEFAULT 0,
	resolved_at     BIGINT   NOT NULL DEFAULT 0,
	completed_at    BIGINT   NOT NULL DEFAULT 0,
	closed_at       BIGINT   NOT NULL DEFAULT 0,
	import_key      TEXT UNIQUE,
	external_id     TEXT     NOT NULL DEFAULT '', -- number in the system it was imported from, when ours differs
	demo            SMALLINT NOT NULL DEFAULT 0,
	version         BIGINT   NOT NULL DEFAULT 1,
	CHECK ((is_open = 1) = (state IN ('pending', 'in_progress', 'waiting_customer', 'awaiting_confirmation'))),
	CHECK (state NOT IN ('completed', 'closed') OR outcome <> '')
);
-- One index per default order of each view; the open ones are partial, so they
-- stay small while closed tickets pile up. A condition of a partial index never
-- compares a column with a value that queries bind (assignee_id = 0): SQLite
-- would plan each of those queries anew at every execution.
CREATE INDEX tickets_assignee_due ON tickets (assignee_id, due_at, id) WHERE is_open = 1;
CREATE INDEX tickets_assignee_activity ON tickets (assignee_id, activity_at, id) WHERE is_open = 1;
CREATE INDEX tickets_department_due ON tickets (department_id, due_at, id) WHERE is_open = 1;
CREATE INDEX tickets_department_activity ON tickets (department_id, activity_at, id) WHERE is_open = 1;
CREATE INDEX tickets_open_due ON tickets (due_at, id) WHERE is_open = 1;
CREATE INDEX tickets_open_activity ON tickets (activity_at, id) WHERE is_open = 1;
CREATE INDEX tickets_supervisor ON tickets (supervisor_id, due_at, id) WHERE supervisor_id > 0 AND is_open = 1;
CREATE INDEX tickets_open_state ON tickets (state, due_at, id) WHERE is_open = 1;
CREATE INDEX tickets_second ON tickets (department_id, due_at, id) WHERE round > 1 AND is_open = 1;
CREATE INDEX tickets_second_assignee ON tickets (assignee_id, due_at, id) WHERE round > 1 AND is_open = 1;
CREATE INDEX tickets_second_created ON tickets (created_by, due_at, id) WHERE round > 1 AND is_open = 1;
CREATE INDEX tickets_department_assignee ON tickets (department_id, assignee_id, due_at, id) WHERE is_open = 1;
CREATE INDEX tickets_department_type ON tickets (department_id, type, due_at, id) WHERE is_open = 1;
CREATE INDEX tickets_department_closed ON tickets (department_id, activity_at, id) WHERE is_open = 0;
CREATE INDEX tickets_closed ON tickets (activity_at, id) WHERE is_open = 0;
CREATE INDEX tickets_assignee_state ON tickets (assignee_id, state, due_at, id) WHERE is_open = 1;
CREATE INDEX tickets_created_due ON tickets (created_by, due_at, id) WHERE is_open = 1;
CREATE INDEX tickets_parted ON tickets (assignee_id) WHERE open_children > 0 AND is_open = 1;
CREATE INDEX tickets_activity ON tickets (activity_at, id);
CREATE INDEX tickets_department_all ON tickets (department_id, activity_at, id);
CREATE INDEX tickets_assignee_all ON tickets (assignee_id, activity_at, id);
CREATE INDEX tickets_created_by ON tickets (created_by, activity_at, id);
CREATE INDEX tickets_state_all ON tickets (state, activity_at, id) WHERE is_open = 0;
CREATE INDEX tickets_customer ON tickets (customer_id, id);
CREATE INDEX tickets_external ON tickets (external_id) WHERE external_id <> '';
CREATE INDEX tickets_parent ON tickets (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX tickets_lookup ON tickets (lookup_index) WHERE lookup_index IS NOT NULL;

CREATE TABLE ticket_watchers (
	ticket_id BIGINT NOT NULL REFERENCES tickets (id),
	user_id   BIGINT NOT NULL REFERENCES users (id),
	PRIMARY KEY (ticket_id, user_id)
);
CREATE INDEX ticket_watchers_user ON ticket_watchers (user_id, ticket_id);

CREATE TABLE ticket_links (
	ticket_id  BIGINT NOT NULL REFERENCES tickets (id),
	other_id   BIGINT NOT NULL REFERENCES tickets (id),
	kind       TEXT   NOT NULL CHECK (kind IN ('related', 'duplicate', 'follow_up')),
	created_at BIGINT NOT NULL,
	PRIMARY KEY (ticket_id, other_id, kind)
);
CREATE INDEX ticket_links_other ON ticket_links (other_id);

-- Questions put to the customer and their answers (TKT-9).
CREATE TABLE deliveries (
	id         IDENTITY_KEY,
	ticket_id  BIGINT NOT NULL REFERENCES tickets (id),
	entry_id   BIGINT NOT NULL DEFAULT 0,
	purpose    TEXT   NOT NULL, -- question, reply, confirmation, reminder, cancelled
	channel    TEXT   NOT NULL,
	state      TEXT   NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'told', 'failed')),
	created_at BIGINT NOT NULL,
	told_at    BIGINT NOT NULL DEFAULT 0,
	told_by    BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX deliveries_ticket ON deliveries (ticket_id, id);

CREATE TABLE ratings (
	id         IDENTITY_KEY,
	ticket_id  BIGINT   NOT NULL REFERENCES tickets (id),
	round      BIGINT   NOT NULL,
	stars      BIGINT   NOT NULL CHECK (stars BETWEEN 0 AND 5), -- 0: "not solved" without stars
	speed      BIGINT   NOT NULL DEFAULT 0,
	quality    BIGINT   NOT NULL DEFAULT 0,
	attitude   BIGINT   NOT NULL DEFAULT 0,
	solved     SMALLINT NOT NULL DEFAULT 1,
	comment    TEXT     NOT NULL DEFAULT '',
	suggestion TEXT     NOT NULL DEFAULT '',
	via        TEXT     NOT NULL, -- link, phone
	by_user    BIGINT   NOT NULL DEFAULT 0,
	created_at BIGINT   NOT NULL,
	updated_at BIGINT   NOT NULL,
	UNIQUE (ticket_id, round)
);
CREATE INDEX ratings_created ON ratings (created_at);

CREATE TABLE drafts (
	user_id    BIGINT NOT NULL REFERENCES users (id),
	place      TEXT   NOT NULL, -- ticket:17:reply
	body       TEXT   NOT NULL,
	updated_at BIGINT NOT NULL,
	PRIMARY KEY (user_id, place)
);

CREATE TABLE saved_views (
	id         IDENTITY_KEY,
	owner_id   BIGINT NOT NULL REFERENCES users (id),
	name       TEXT   NOT NULL,
	filter     TEXT   NOT NULL,
	position   BIGINT NOT NULL DEFAULT 0,
	created_at BIGINT NOT NULL
);
CREATE INDEX saved_views_owner ON saved_views (owner_id, position);

-- How many open tickets each person has; routing reads it instead of counting.
CREATE TABLE ticket_load (
	user_id BIGINT PRIMARY KEY,
	open    BIGINT NOT NULL
);

-- +goose Down
SELECT 1;
