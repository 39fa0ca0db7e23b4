-- +goose Up
-- Mailboxes that are fetched: settings is JSON (host, port, folder, …), the secret
-- is JSON too (password, OAuth2). validity and last_uid say how far it was read.
CREATE TABLE mailboxes (
	id            IDENTITY_KEY,
	name          TEXT     NOT NULL,
	address       TEXT     NOT NULL,
	active        SMALLINT NOT NULL DEFAULT 0 CHECK (active IN (0, 1)),
	department_id BIGINT   NOT NULL DEFAULT 0, -- 0: by routing
	type          TEXT     NOT NULL,
	urgency       TEXT     NOT NULL,
	settings      TEXT     NOT NULL DEFAULT '{}',
	secret_sealed BYTES,
	validity      BIGINT   NOT NULL DEFAULT 0,
	last_uid      BIGINT   NOT NULL DEFAULT 0,
	checked_at    BIGINT   NOT NULL DEFAULT 0,
	trouble       TEXT     NOT NULL DEFAULT '',
	version       BIGINT   NOT NULL DEFAULT 1,
	created_at    BIGINT   NOT NULL,
	updated_at    BIGINT   NOT NULL
);
CREATE UNIQUE INDEX mailboxes_address ON mailboxes (address);

-- Every mail that ever came, kept as it was sent (its source is a file of owner
-- type mail) before anything is made of it. A row stays when its mail is
-- discarded: so it does not come back. A copy is the same mail once more, by
-- another mailbox or under another number.
CREATE TABLE mails (
	id          IDENTITY_KEY,
	mailbox_id  BIGINT   NOT NULL REFERENCES mailboxes (id),
	validity    BIGINT   NOT NULL,
	uid         BIGINT   NOT NULL,
	digest      TEXT     NOT NULL,
	state       TEXT     NOT NULL CHECK (state IN ('stored', 'done', 'quarantine', 'discarded', 'copy')),
	reason      TEXT     NOT NULL DEFAULT '',
	detail      TEXT     NOT NULL DEFAULT '',
	kind        TEXT     NOT NULL DEFAULT '',
	message_id  TEXT     NOT NULL DEFAULT '',
	subject     TEXT     NOT NULL DEFAULT '',
	head_sealed BYTES,
	size        BIGINT   NOT NULL DEFAULT 0,
	file_id     BIGINT   NOT NULL DEFAULT 0,
	copy_of     BIGINT   NOT NULL DEFAULT 0,
	ticket_id   BIGINT   NOT NULL DEFAULT 0,
	entry_id    BIGINT   NOT NULL DEFAULT 0,
	other_topic SMALLINT NOT NULL DEFAULT 0, -- joined a ticket under a new subject
	attempts    BIGINT   NOT NULL DEFAULT 0,
	next_at     BIGINT   NOT NULL DEFAULT 0,
	created_at  BIGINT   NOT NULL,
	handled_at  BIGINT   NOT NULL DEFAULT 0,
	UNIQUE (mailbox_id, validity, uid)
);
CREATE UNIQUE INDEX mails_digest ON mails (digest) WHERE state <> 'copy';
CREATE INDEX mails_waiting ON mails (next_at, id) WHERE state = 'stored';
CREATE INDEX mails_quarantine ON mails (id) WHERE state = 'quarantine';
CREATE INDEX mails_message ON mails (message_id) WHERE message_id <> '';
CREATE INDEX mails_ticket ON mails (ticket_id, id) WHERE ticket_id > 0;

-- Answers that go out by mail, one row for each receiver.
CREATE TABLE mail_out (
	id         IDENTITY_KEY,
	ticket_id  BIGINT   NOT NULL,
	entry_id   BIGINT   NOT NULL,
	mailbox_id BIGINT   NOT NULL,
	message_id TEXT     NOT NULL,
	to_sealed  BYTES    NOT NULL,
	state      TEXT     NOT NULL CHECK (state IN ('waiting', 'sent', 'unsure', 'failed', 'bounced')),
	attempts   BIGINT   NOT NULL DEFAULT 0,
	next_at    BIGINT   NOT NULL DEFAULT 0,
	answer     TEXT     NOT NULL DEFAULT '',
	created_at BIGINT   NOT NULL,
	sent_at    BIGINT   NOT NULL DEFAULT 0,
	UNIQUE (message_id)
);
CREATE UNIQUE INDEX mail_out_entry ON mail_out (entry_id) WHERE entry_id > 0;
CREATE INDEX mail_out_waiting ON mail_out (next_at, id) WHERE state = 'waiting';
CREATE INDEX mail_out_ticket ON mail_out (ticket_id, id);

-- +goose Down
SELECT 1;
