-- +goose Up
CREATE TABLE sla_policies (
	id         IDENTITY_KEY,
	name       TEXT     NOT NULL,
	type       TEXT     NOT NULL DEFAULT '',
	urgency    TEXT     NOT NULL DEFAULT '',
	targets    TEXT     NOT NULL, -- JSON: clock -> minutes
	pause_when_waiting SMALLINT NOT NULL DEFAULT 1,
	position   BIGINT   NOT NULL DEFAULT 0,
	version    BIGINT   NOT NULL DEFAULT 1,
	UNIQUE (type, urgency)
);

-- One running, paused or ended clock of a ticket. used is the time spent in
-- ended segments, µs; the running segment counts from segment_at.
CREATE TABLE clocks (
	id           IDENTITY_KEY,
	ticket_id    BIGINT NOT NULL REFERENCES tickets (id),
	kind         TEXT   NOT NULL,
	round        BIGINT NOT NULL DEFAULT 1,
	state        TEXT   NOT NULL CHECK (state IN ('running', 'paused', 'met', 'stopped')),
	policy       TEXT   NOT NULL DEFAULT '',
	target       BIGINT NOT NULL, -- µs
	started_at   BIGINT NOT NULL,
	due_at       BIGINT NOT NULL, -- 0 while paused
	used         BIGINT NOT NULL DEFAULT 0,
	segment_at   BIGINT NOT NULL DEFAULT 0,
	step         BIGINT NOT NULL DEFAULT 0, -- next step of its ladder to fire
	next_at      BIGINT NOT NULL DEFAULT 0, -- when; 0 nothing more to fire
	missed       SMALLINT NOT NULL DEFAULT 0,
	ended_at     BIGINT NOT NULL DEFAULT 0,
	end_reason   TEXT   NOT NULL DEFAULT ''
);
CREATE INDEX clocks_next ON clocks (next_at, id) WHERE state = 'running' AND next_at > 0;
CREATE INDEX clocks_ticket ON clocks (ticket_id, kind, id);

CREATE TABLE clock_segments (
	id         IDENTITY_KEY,
	clock_id   BIGINT NOT NULL REFERENCES clocks (id),
	started_at BIGINT NOT NULL,
	ended_at   BIGINT NOT NULL DEFAULT 0,
	start_reason TEXT NOT NULL,
	end_reason TEXT   NOT NULL DEFAULT ''
);
CREATE INDEX clock_segments_clock ON clock_segments (clock_id, id);

-- The unique row is what makes a firing happen exactly once.
CREATE TABLE clock_firings (
	clock_id BIGINT NOT NULL REFERENCES clocks (id),
	step     BIGINT NOT NULL,
	due_at   BIGINT NOT NULL,
	fired_at BIGINT NOT NULL,
	PRIMARY KEY (clock_id, step)
);

CREATE TABLE notifications (
	id         IDENTITY_KEY,
	user_id    BIGINT   NOT NULL REFERENCES users (id),
	kind       TEXT     NOT NULL,
	urgent     SMALLINT NOT NULL DEFAULT 0,
	ticket_id  BIGINT   NOT NULL DEFAULT 0,
	event_seq  BIGINT   NOT NULL,
	args       TEXT     NOT NULL DEFAULT '[]',
	created_at BIGINT   NOT NULL,
	read_at    BIGINT   NOT NULL DEFAULT 0,
	UNIQUE (event_seq, user_id, kind)
);
CREATE INDEX notifications_user ON notifications (user_id, id);
CREATE INDEX notifications_unread ON notifications (user_id, id) WHERE read_at = 0;

-- +goose Down
SELECT 1;
