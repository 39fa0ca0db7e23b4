-- +goose Up
-- Texts that are written often (快捷回复). search is what they are found by, in
-- lower case; scope says whose they are: one's own, a department's, everybody's.
CREATE TABLE canned_replies (
	id            IDENTITY_KEY,
	title         TEXT   NOT NULL,
	body          TEXT   NOT NULL,
	code          TEXT   NOT NULL DEFAULT '',
	initials      TEXT   NOT NULL DEFAULT '',
	folder        TEXT   NOT NULL DEFAULT '',
	lang          TEXT   NOT NULL DEFAULT '',
	search        TEXT   NOT NULL DEFAULT '',
	scope         TEXT   NOT NULL CHECK (scope IN ('own', 'department', 'all')),
	owner_id      BIGINT NOT NULL DEFAULT 0,
	department_id BIGINT NOT NULL DEFAULT 0,
	types         TEXT   NOT NULL DEFAULT '', -- of tickets it is meant for, in blanks: " complaint other "; '' all
	category_id   BIGINT NOT NULL DEFAULT 0,
	files         BIGINT NOT NULL DEFAULT 0,
	uses          BIGINT NOT NULL DEFAULT 0,
	used_at       BIGINT NOT NULL DEFAULT 0,
	created_at    BIGINT NOT NULL,
	updated_at    BIGINT NOT NULL,
	version       BIGINT NOT NULL DEFAULT 1
);
CREATE UNIQUE INDEX canned_replies_code ON canned_replies (scope, owner_id, department_id, code) WHERE code <> '';
CREATE INDEX canned_replies_used ON canned_replies (uses, id);
CREATE INDEX canned_replies_order ON canned_replies (folder, title, id);

-- Several actions under one name (宏); actions is a list of canned.Step.
CREATE TABLE macros (
	id            IDENTITY_KEY,
	name          TEXT     NOT NULL,
	initials      TEXT     NOT NULL DEFAULT '',
	scope         TEXT     NOT NULL CHECK (scope IN ('own', 'department', 'all')),
	owner_id      BIGINT   NOT NULL DEFAULT 0,
	department_id BIGINT   NOT NULL DEFAULT 0,
	types         TEXT     NOT NULL DEFAULT '',
	states        TEXT     NOT NULL DEFAULT '',
	classes       TEXT     NOT NULL DEFAULT '',
	steps         TEXT     NOT NULL,
	active        SMALLINT NOT NULL DEFAULT 1,
	uses          BIGINT   NOT NULL DEFAULT 0,
	used_at       BIGINT   NOT NULL DEFAULT 0,
	created_at    BIGINT   NOT NULL,
	updated_at    BIGINT   NOT NULL,
	version       BIGINT   NOT NULL DEFAULT 1
);
CREATE INDEX macros_order ON macros (name, id);

-- Messages to customers that are not sent yet: those that can still be taken back
-- (sending, at send_at) and drafts that colleagues write together (shared). origin
-- is shared for one that goes back to being a shared draft when it is taken back.
CREATE TABLE unsent (
	id         IDENTITY_KEY,
	ticket_id  BIGINT NOT NULL REFERENCES tickets (id),
	state      TEXT   NOT NULL CHECK (state IN ('sending', 'shared')),
	origin     TEXT   NOT NULL DEFAULT '',
	user_id    BIGINT NOT NULL, -- who sends it; of a shared one, who began it
	created_by BIGINT NOT NULL,
	body       TEXT   NOT NULL,
	verb       TEXT   NOT NULL DEFAULT '', -- the move it comes with
	send_at    BIGINT NOT NULL DEFAULT 0,
	created_at BIGINT NOT NULL,
	updated_by BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	version    BIGINT NOT NULL DEFAULT 1
);
CREATE INDEX unsent_ticket ON unsent (ticket_id, id);
CREATE INDEX unsent_user ON unsent (user_id, id);
CREATE INDEX unsent_due ON unsent (send_at, id) WHERE state = 'sending';

-- Who was asked to look at a shared draft, and what it said at each version.
CREATE TABLE unsent_people (
	unsent_id BIGINT NOT NULL REFERENCES unsent (id),
	user_id   BIGINT NOT NULL,
	PRIMARY KEY (unsent_id, user_id)
);
CREATE TABLE unsent_versions (
	unsent_id BIGINT NOT NULL REFERENCES unsent (id),
	version   BIGINT NOT NULL,
	user_id   BIGINT NOT NULL,
	body      TEXT   NOT NULL,
	at        BIGINT NOT NULL,
	PRIMARY KEY (unsent_id, version)
);

-- How a person likes to write: how long a message can be taken back, and where he
-- goes when it is sent.
CREATE TABLE writing_preferences (
	user_id      BIGINT NOT NULL PRIMARY KEY,
	undo_seconds BIGINT NOT NULL,
	after_send   TEXT   NOT NULL
);

-- An upload that a draft names waits longer for its form.
ALTER TABLE files ADD COLUMN keep_until BIGINT NOT NULL DEFAULT 0;

-- +goose Down
SELECT 1;
