-- +goose Up
-- What a complaint (投诉) has beside its ticket: how far its steps are, who is
-- responsible at which level, and what lists select by. The records below are
-- the truth; this row follows them.
CREATE TABLE complaints (
	ticket_id    BIGINT   PRIMARY KEY REFERENCES tickets (id),
	is_open      SMALLINT NOT NULL DEFAULT 1 CHECK (is_open IN (0, 1)), -- as its ticket
	step         TEXT     NOT NULL DEFAULT 'receive', -- the one due; '' all are done
	mood         TEXT     NOT NULL DEFAULT '',
	wish         TEXT     NOT NULL DEFAULT '', -- the remedy the complainant asks for
	wish_note    TEXT     NOT NULL DEFAULT '',
	level        BIGINT   NOT NULL DEFAULT 1 CHECK (level BETWEEN 1 AND 4),
	level_user   BIGINT   NOT NULL DEFAULT 0, -- responsible at that level; 0: the assignee
	level_at     BIGINT   NOT NULL DEFAULT 0,
	severity     TEXT     NOT NULL DEFAULT '',
	answer       TEXT     NOT NULL DEFAULT '', -- accepted, rejected, silent
	reviewed     SMALLINT NOT NULL DEFAULT 0, -- 1: also of one that was never to be reviewed
	created_at   BIGINT   NOT NULL
);
CREATE INDEX complaints_open ON complaints (level DESC, ticket_id) WHERE is_open = 1;
CREATE INDEX complaints_review ON complaints (ticket_id) WHERE is_open = 0 AND reviewed = 0;
CREATE INDEX complaints_created ON complaints (created_at, ticket_id);

-- What was recorded in each step, when and by whom. Rows are added and never
-- changed: an amendment is a further row that names the one it corrects.
CREATE TABLE complaint_records (
	id        IDENTITY_KEY,
	ticket_id BIGINT NOT NULL REFERENCES tickets (id),
	step      TEXT   NOT NULL,
	round     BIGINT NOT NULL,
	amends_id BIGINT NOT NULL DEFAULT 0,
	data      TEXT   NOT NULL, -- JSON: field -> value
	reason    TEXT   NOT NULL DEFAULT '', -- of an amendment, or of an upgrade
	by_kind   TEXT   NOT NULL,
	by_id     BIGINT NOT NULL,
	by_name   TEXT   NOT NULL,
	at        BIGINT NOT NULL
);
CREATE INDEX complaint_records_ticket ON complaint_records (ticket_id, id);

-- Those there were before. Nobody is asked to review what had ended.
INSERT INTO complaints (ticket_id, is_open, reviewed, created_at)
SELECT id, is_open, 1 - is_open, created_at FROM tickets WHERE type = 'complaint' AND parent_id IS NULL;

-- +goose Down
SELECT 1;
