-- +goose Up
-- What administrators add to customers, contacts and tickets. A field is never
-- deleted, only switched off: its values stay.
CREATE TABLE fields (
	id            IDENTITY_KEY,
	object        TEXT     NOT NULL CHECK (object IN ('customer', 'contact', 'ticket')),
	code          TEXT     NOT NULL CHECK (code <> ''),
	kind          TEXT     NOT NULL CHECK (kind IN ('text', 'number', 'money', 'date', 'choice', 'multi', 'user', 'bool', 'link')),
	label         TEXT     NOT NULL CHECK (label <> ''),
	label_en      TEXT     NOT NULL DEFAULT '',
	help          TEXT     NOT NULL DEFAULT '',
	help_en       TEXT     NOT NULL DEFAULT '',
	required      SMALLINT NOT NULL DEFAULT 0,
	types         TEXT     NOT NULL DEFAULT '',   -- "company,person"; '' all
	preset        TEXT     NOT NULL DEFAULT '',   -- what a new record begins with
	options       TEXT     NOT NULL DEFAULT '[]', -- JSON: code, zh, en, off
	position      BIGINT   NOT NULL DEFAULT 0,
	searchable    SMALLINT NOT NULL DEFAULT 0,
	filterable    SMALLINT NOT NULL DEFAULT 0,
	active        SMALLINT NOT NULL DEFAULT 1,
	demo          SMALLINT NOT NULL DEFAULT 0, -- of the sample data
	version       BIGINT   NOT NULL DEFAULT 1,
	created_at    BIGINT   NOT NULL,
	updated_at    BIGINT   NOT NULL,
	UNIQUE (object, code)
);
CREATE INDEX fields_order ON fields (object, position, id);

-- One row per value, several for a multiple choice. The key serves the fields of
-- a page of records, the two indexes serve filters: fold holds text made
-- comparable and codes of options, num everything that has an order.
CREATE TABLE field_values (
	object    TEXT   NOT NULL,
	record_id BIGINT NOT NULL,
	field_id  BIGINT NOT NULL REFERENCES fields (id),
	ord       BIGINT NOT NULL DEFAULT 0,
	text      TEXT   NOT NULL DEFAULT '',
	fold      TEXT,
	num       BIGINT,
	PRIMARY KEY (object, record_id, field_id, ord)
);
CREATE INDEX field_values_num ON field_values (field_id, num, record_id) WHERE num IS NOT NULL;
CREATE INDEX field_values_fold ON field_values (field_id, fold, record_id) WHERE fold IS NOT NULL;

-- +goose Down
SELECT 1;
