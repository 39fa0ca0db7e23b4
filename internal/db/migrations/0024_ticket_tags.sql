-- +goose Up
-- The tags of tickets: a list the company keeps.
CREATE TABLE ticket_tags (
	id         IDENTITY_KEY,
	name       TEXT     NOT NULL UNIQUE CHECK (name <> ''),
	colour     TEXT     NOT NULL,
	demo       SMALLINT NOT NULL DEFAULT 0,
	created_at BIGINT   NOT NULL
);

-- Which ticket has which: what lists are filtered by.
CREATE TABLE ticket_tagged (
	ticket_id BIGINT NOT NULL REFERENCES tickets (id),
	tag_id    BIGINT NOT NULL REFERENCES ticket_tags (id),
	PRIMARY KEY (ticket_id, tag_id)
);
CREATE INDEX ticket_tagged_tag ON ticket_tagged (tag_id, ticket_id);

-- The same on the ticket itself, ' 3 17 ', so that showing them costs nothing.
-- Tags that are gone from the list may still stand here; they are passed over.
ALTER TABLE tickets ADD COLUMN tags TEXT NOT NULL DEFAULT '';

-- +goose Down
SELECT 1;
