-- +goose Up
-- Work that several people or tickets share: deferrals, links, merges, splits,
-- conferences (TKT-11, 13, 14, 17).
ALTER TABLE tickets ADD COLUMN merged_into BIGINT NOT NULL DEFAULT 0;   -- the ticket that goes on for this one
ALTER TABLE tickets ADD COLUMN deferral_id BIGINT NOT NULL DEFAULT 0;   -- the request for a deferral that waits
ALTER TABLE tickets ADD COLUMN deferred_from BIGINT NOT NULL DEFAULT 0; -- first promise of this round, before it was deferred
ALTER TABLE tickets ADD COLUMN due_fixed SMALLINT NOT NULL DEFAULT 0;   -- people agreed on the deadline; policies leave it alone
ALTER TABLE tickets ADD COLUMN conference TEXT NOT NULL DEFAULT '';     -- '' none, planned, needed, held
ALTER TABLE tickets ADD COLUMN joined SMALLINT NOT NULL DEFAULT 0;      -- 1: others were merged into it
CREATE INDEX tickets_merged ON tickets (merged_into) WHERE merged_into > 0;

-- Entries move to the ticket they are read in, and name the one they were
-- written on; so a timeline stays one walk along one index.
ALTER TABLE entries ADD COLUMN origin_id BIGINT NOT NULL DEFAULT 0; -- ticket it was written on, when that was merged
ALTER TABLE entries ADD COLUMN split_to BIGINT NOT NULL DEFAULT 0;  -- ticket made of it
CREATE INDEX entries_origin ON entries (origin_id, id) WHERE origin_id > 0;

-- Why somebody watches: '' by his own will, conference, merged.
ALTER TABLE ticket_watchers ADD COLUMN reason TEXT NOT NULL DEFAULT '';

CREATE TABLE deferrals (
	id                IDENTITY_KEY,
	ticket_id         BIGINT NOT NULL REFERENCES tickets (id),
	round             BIGINT NOT NULL,
	approval_id       BIGINT NOT NULL,
	reason            TEXT   NOT NULL,
	old_due           BIGINT NOT NULL,
	new_due           BIGINT NOT NULL,
	state             TEXT   NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'approved', 'refused', 'withdrawn', 'lapsed', 'settled')),
	requested_by      BIGINT NOT NULL,
	requested_by_name TEXT   NOT NULL,
	requested_at      BIGINT NOT NULL,
	decided_by_name   TEXT   NOT NULL DEFAULT '',
	decided_at        BIGINT NOT NULL DEFAULT 0,
	comment           TEXT   NOT NULL DEFAULT ''
);
CREATE INDEX deferrals_ticket ON deferrals (ticket_id, id);
CREATE UNIQUE INDEX deferrals_approval ON deferrals (approval_id);
CREATE UNIQUE INDEX deferrals_pending ON deferrals (ticket_id) WHERE state = 'pending';

CREATE TABLE ticket_merges (
	id             IDENTITY_KEY,
	merged_id      BIGINT NOT NULL REFERENCES tickets (id),
	survivor_id    BIGINT NOT NULL REFERENCES tickets (id),
	kept           TEXT   NOT NULL, -- JSON: what undoing gives back
	reason         TEXT   NOT NULL DEFAULT '',
	merged_by      BIGINT NOT NULL,
	merged_by_name TEXT   NOT NULL,
	merged_at      BIGINT NOT NULL,
	undone_at      BIGINT NOT NULL DEFAULT 0,
	undone_by_name TEXT   NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX ticket_merges_merged ON ticket_merges (merged_id) WHERE undone_at = 0;
CREATE INDEX ticket_merges_survivor ON ticket_merges (survivor_id, id);

CREATE TABLE conferences (
	id              IDENTITY_KEY,
	ticket_id       BIGINT NOT NULL REFERENCES tickets (id),
	subject         TEXT   NOT NULL CHECK (subject <> ''),
	starts_at       BIGINT NOT NULL,
	place           TEXT   NOT NULL DEFAULT '', -- a room, or the address of a call
	state           TEXT   NOT NULL DEFAULT 'planned' CHECK (state IN ('planned', 'held', 'cancelled')),
	minutes         TEXT   NOT NULL DEFAULT '',
	answer          TEXT   NOT NULL DEFAULT '', -- what everybody says to the customer
	open_points     TEXT   NOT NULL DEFAULT '',
	planned_by      BIGINT NOT NULL,
	planned_by_name TEXT   NOT NULL,
	created_at      BIGINT NOT NULL,
	ended_at        BIGINT NOT NULL DEFAULT 0, -- minutes written, or cancelled
	ended_by_name   TEXT   NOT NULL DEFAULT '',
	version         BIGINT NOT NULL DEFAULT 1
);
CREATE INDEX conferences_ticket ON conferences (ticket_id, id);

CREATE TABLE conference_people (
	conference_id BIGINT NOT NULL REFERENCES conferences (id),
	user_id       BIGINT NOT NULL REFERENCES users (id),
	PRIMARY KEY (conference_id, user_id)
);
CREATE INDEX conference_people_user ON conference_people (user_id);

-- More kinds of links, and who made them.
CREATE TABLE ticket_relations (
	ticket_id  BIGINT NOT NULL REFERENCES tickets (id),
	other_id   BIGINT NOT NULL REFERENCES tickets (id),
	kind       TEXT   NOT NULL CHECK (kind IN ('related', 'duplicate', 'caused_by', 'follow_up', 'split')),
	created_at BIGINT NOT NULL,
	created_by BIGINT NOT NULL DEFAULT 0,
	PRIMARY KEY (ticket_id, other_id, kind)
);
INSERT INTO ticket_relations (ticket_id, other_id, kind, created_at) SELECT ticket_id, other_id, kind, created_at FROM ticket_links;
DROP TABLE ticket_links;
CREATE INDEX ticket_relations_other ON ticket_relations (other_id);

-- +goose Down
SELECT 1;
