-- +goose Up
CREATE TABLE tags (
	id         IDENTITY_KEY,
	name       TEXT   NOT NULL UNIQUE,
	colour     TEXT   NOT NULL DEFAULT 'gray',
	created_at BIGINT NOT NULL
);

-- *_sealed are encrypted; *_index are keyed hashes of the normalised value for exact search.
CREATE TABLE customers (
	id               IDENTITY_KEY,
	number           TEXT     NOT NULL UNIQUE,
	type             TEXT     NOT NULL CHECK (type IN ('person', 'company')),
	name             TEXT     NOT NULL CHECK (name <> ''),
	name_key         TEXT     NOT NULL, -- normalised, for duplicates
	pinyin           TEXT     NOT NULL DEFAULT '',
	initials         TEXT     NOT NULL DEFAULT '',
	uscc             TEXT,
	industry         TEXT     NOT NULL DEFAULT '',
	level            TEXT     NOT NULL DEFAULT 'normal' CHECK (level IN ('normal', 'vip', 'strategic')),
	grade            TEXT     NOT NULL DEFAULT '' CHECK (grade IN ('', 'a', 'b', 'c')), -- value; '' not graded yet
	stage            TEXT     NOT NULL DEFAULT 'potential' CHECK (stage IN ('potential', 'interested', 'active', 'dormant', 'lost')),
	stage_at         BIGINT   NOT NULL DEFAULT 0, -- since when
	parent_id        BIGINT   NOT NULL DEFAULT 0, -- the company it belongs to; 0 none
	source           TEXT     NOT NULL DEFAULT '',
	region           TEXT     NOT NULL DEFAULT '',
	address_sealed   BYTES,
	address_masked   TEXT     NOT NULL DEFAULT '',
	website          TEXT     NOT NULL DEFAULT '',
	remark           TEXT     NOT NULL DEFAULT '',
	owner_id         BIGINT   NOT NULL DEFAULT 0,
	department_id    BIGINT   NOT NULL,
	first_contact_at BIGINT   NOT NULL DEFAULT 0,
	created_by       BIGINT   NOT NULL DEFAULT 0,
	created_by_name  TEXT     NOT NULL DEFAULT '',
	created_at       BIGINT   NOT NULL,
	updated_at       BIGINT   NOT NULL,
	activity_at      BIGINT   NOT NULL,
	planned_at       BIGINT   NOT NULL DEFAULT 0, -- next follow-up that is planned; 0 none
	verified_at      BIGINT   NOT NULL DEFAULT 0, -- when the profile was last confirmed; 0 never
	verify_at        BIGINT   NOT NULL DEFAULT 0, -- when it is to be confirmed next; 0 not set
	gone             SMALLINT NOT NULL DEFAULT 0, -- 1: deleted or erased; what is left stands for old tickets only
	open_tickets     BIGINT   NOT NULL DEFAULT 0,
	total_tickets    BIGINT   NOT NULL DEFAULT 0,
	ratings          BIGINT   NOT NULL DEFAULT 0,
	rating_sum       BIGINT   NOT NULL DEFAULT 0,
	duplicate_reason TEXT     NOT NULL DEFAULT '',
	import_key       TEXT UNIQUE,
	external_id      TEXT     NOT NULL DEFAULT '', -- number in the system he was imported from, when ours differs
	demo             SMALLINT NOT NULL DEFAULT 0,
	version          BIGINT   NOT NULL DEFAULT 1
);
CREATE INDEX customers_uscc ON customers (uscc) WHERE uscc IS NOT NULL;
CREATE INDEX customers_name_key ON customers (name_key);
CREATE INDEX customers_initials ON customers (initials, id);
CREATE INDEX customers_pinyin ON customers (pinyin, id);
CREATE INDEX customers_activity ON customers (activity_at, id);
CREATE INDEX customers_department ON customers (department_id, activity_at, id);
CREATE INDEX customers_owner ON customers (owner_id, activity_at, id);
CREATE INDEX customers_created_by ON customers (created_by, activity_at, id);
CREATE INDEX customers_created ON customers (created_at, id);
CREATE INDEX customers_stage ON customers (stage, activity_at, id);
CREATE INDEX customers_grade ON customers (grade, activity_at, id);
CREATE INDEX customers_verify ON customers (verify_at, id) WHERE verify_at > 0;
CREATE INDEX customers_parent ON customers (parent_id) WHERE parent_id > 0;
CREATE INDEX customers_external ON customers (external_id) WHERE external_id <> '';

CREATE TABLE contacts (
	id            IDENTITY_KEY,
	customer_id   BIGINT   NOT NULL REFERENCES customers (id),
	name          TEXT     NOT NULL CHECK (name <> ''),
	initials      TEXT     NOT NULL DEFAULT '',
	gender        TEXT     NOT NULL DEFAULT '' CHECK (gender IN ('', 'male', 'female')),
	position      TEXT     NOT NULL DEFAULT '',
	role          TEXT     NOT NULL DEFAULT '', -- what he is asked for: decision, business, technical, finance, user; '' unknown
	phone_sealed  BYTES,
	phone_masked  TEXT     NOT NULL DEFAULT '',
	phone_index   BYTES,
	phone4_index  BYTES,
	phone8_index  BYTES,
	email_sealed  BYTES,
	email_masked  TEXT     NOT NULL DEFAULT '',
	email_index   BYTES,
	wechat_sealed BYTES,
	wechat_masked TEXT     NOT NULL DEFAULT '',
	wechat_index  BYTES,
	is_primary    SMALLINT NOT NULL DEFAULT 0,
	active        SMALLINT NOT NULL DEFAULT 1,
	left_at       BIGINT   NOT NULL DEFAULT 0, -- when he stopped being a contact here
	moved_to      BIGINT   NOT NULL DEFAULT 0, -- the contact he is now, at another company
	created_at    BIGINT   NOT NULL,
	updated_at    BIGINT   NOT NULL,
	version       BIGINT   NOT NULL DEFAULT 1
);
CREATE INDEX contacts_customer ON contacts (customer_id, is_primary);
CREATE INDEX contacts_initials ON contacts (initials, customer_id);
CREATE INDEX contacts_phone ON contacts (phone_index) WHERE phone_index IS NOT NULL;
CREATE INDEX contacts_phone4 ON contacts (phone4_index) WHERE phone4_index IS NOT NULL;
CREATE INDEX contacts_phone8 ON contacts (phone8_index) WHERE phone8_index IS NOT NULL;
CREATE INDEX contacts_email ON contacts (email_index) WHERE email_index IS NOT NULL;
CREATE INDEX contacts_wechat ON contacts (wechat_index) WHERE wechat_index IS NOT NULL;

CREATE TABLE customer_tags (
	customer_id BIGINT NOT NULL REFERENCES customers (id),
	tag_id      BIGINT NOT NULL REFERENCES tags (id),
	PRIMARY KEY (customer_id, tag_id)
);
CREATE INDEX customer_tags_tag ON customer_tags (tag_id, customer_id);

-- First needs (CUS-2).
CREATE TABLE needs (
	id           IDENTITY_KEY,
	customer_id  BIGINT NOT NULL REFERENCES customers (id),
	product      TEXT   NOT NULL DEFAULT '',
	description  TEXT   NOT NULL DEFAULT '',
	period       TEXT   NOT NULL DEFAULT '',
	budget       TEXT   NOT NULL DEFAULT '',
	delivery     TEXT   NOT NULL DEFAULT '',
	special      TEXT   NOT NULL DEFAULT '',
	urgency      TEXT   NOT NULL DEFAULT '',
	created_by   BIGINT NOT NULL DEFAULT 0,
	created_at   BIGINT NOT NULL
);
CREATE INDEX needs_customer ON needs (customer_id, id);

-- Everything said and done about a customer or a ticket, in one order: messages,
-- notes, follow-up records, and the moves of tickets. detail is JSON by kind.
CREATE TABLE entries (
	id          IDENTITY_KEY,
	ticket_id   BIGINT   NOT NULL DEFAULT 0,
	customer_id BIGINT   NOT NULL DEFAULT 0,
	kind        TEXT     NOT NULL CHECK (kind IN ('customer', 'reply', 'question', 'note', 'follow_up', 'move', 'system')),
	author_kind TEXT     NOT NULL,
	author_id   BIGINT   NOT NULL DEFAULT 0,
	author_name TEXT     NOT NULL,
	body        TEXT     NOT NULL DEFAULT '',
	detail      TEXT     NOT NULL DEFAULT '',
	corrects_id BIGINT   NOT NULL DEFAULT 0,
	created_at  BIGINT   NOT NULL
);
CREATE INDEX entries_ticket ON entries (ticket_id, id) WHERE ticket_id > 0;
CREATE INDEX entries_customer ON entries (customer_id, id) WHERE customer_id > 0;

-- +goose Down
SELECT 1;
