-- +goose Up
-- To which department a request goes (TKT-5): rules in order, the first that
-- fits decides. Conditions are JSON; the one with none, '{}', catches the rest.
CREATE TABLE routing_rules (
	id            IDENTITY_KEY,
	position      BIGINT   NOT NULL,
	name          TEXT     NOT NULL DEFAULT '',
	conditions    TEXT     NOT NULL,
	department_id BIGINT   NOT NULL REFERENCES departments (id),
	active        SMALLINT NOT NULL DEFAULT 1 CHECK (active IN (0, 1)),
	version       BIGINT   NOT NULL DEFAULT 1
);
INSERT INTO routing_rules (position, conditions, department_id)
	SELECT ROW_NUMBER() OVER (ORDER BY (CASE WHEN type <> '' THEN 2 ELSE 0 END) + (CASE WHEN class <> '' THEN 1 ELSE 0 END) DESC, id),
	       '{' || CASE WHEN type <> '' THEN '"types":["' || type || '"]' ELSE '' END
	           || CASE WHEN type <> '' AND class <> '' THEN ',' ELSE '' END
	           || CASE WHEN class <> '' THEN '"classes":["' || class || '"]' ELSE '' END || '}',
	       department_id
	FROM   routes;
DROP TABLE routes;

-- How a department gives work to its people: strategies in the order they are
-- asked, with commas. A department without a row takes the least loaded.
CREATE TABLE routing_chains (
	department_id BIGINT PRIMARY KEY REFERENCES departments (id),
	chain         TEXT   NOT NULL
);

-- Whose turn it was last, where people take turns. The row is locked by whoever
-- gives out the next turn.
CREATE TABLE routing_turns (
	department_id BIGINT PRIMARY KEY REFERENCES departments (id),
	last_user     BIGINT NOT NULL DEFAULT 0,
	given         BIGINT NOT NULL DEFAULT 0
);

-- What people are good at, in the company's own words, and who is.
CREATE TABLE skills (
	id         IDENTITY_KEY,
	name       TEXT     NOT NULL UNIQUE CHECK (name <> ''),
	demo       SMALLINT NOT NULL DEFAULT 0,
	created_at BIGINT   NOT NULL
);
CREATE TABLE user_skills (
	user_id  BIGINT NOT NULL REFERENCES users (id),
	skill_id BIGINT NOT NULL REFERENCES skills (id),
	PRIMARY KEY (user_id, skill_id)
);
CREATE INDEX user_skills_skill ON user_skills (skill_id);

-- Which requests a skill serves: types, and categories by id, with commas.
CREATE TABLE routing_skills (
	skill_id   BIGINT PRIMARY KEY REFERENCES skills (id),
	types      TEXT   NOT NULL DEFAULT '',
	categories TEXT   NOT NULL DEFAULT ''
);

-- Somebody's open tickets given to others in one step. While a row is running
-- nothing new is given to from_id.
CREATE TABLE handovers (
	id          IDENTITY_KEY,
	from_id     BIGINT NOT NULL REFERENCES users (id),
	to_id       BIGINT NOT NULL DEFAULT 0, -- 0: spread by routing
	reason      TEXT   NOT NULL,
	state       TEXT   NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done')),
	total       BIGINT NOT NULL,           -- open when it was asked for
	moved       BIGINT NOT NULL DEFAULT 0,
	unassigned  BIGINT NOT NULL DEFAULT 0, -- of those, for which nobody was free
	last_id     BIGINT NOT NULL DEFAULT 0,
	receivers   TEXT   NOT NULL DEFAULT '{}', -- how many each got: JSON by user id
	by_id       BIGINT NOT NULL REFERENCES users (id),
	created_at  BIGINT NOT NULL,
	finished_at BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX handovers_running ON handovers (from_id) WHERE state = 'running';
CREATE INDEX handovers_by ON handovers (by_id, id);

-- The desk: what is escalated, and what nobody has taken up.
ALTER TABLE tickets ADD COLUMN nudged_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX tickets_escalated ON tickets (department_id, due_at, id) WHERE escalation > 0 AND is_open = 1;
CREATE INDEX tickets_unacknowledged ON tickets (department_id, due_at, id) WHERE state = 'pending' AND assigned_at > 0 AND is_open = 1;

INSERT INTO counters (name, n) VALUES ('ticket.routing', 1);

-- +goose Down
SELECT 1;
