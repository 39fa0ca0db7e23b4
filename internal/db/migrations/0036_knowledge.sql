-- +goose Up
-- Knowledge articles. The plain columns are what editors work on; live_ ones are
-- what readers see, from the version that was published last.
CREATE TABLE article_categories (
	id         IDENTITY_KEY,
	parent_id  BIGINT NOT NULL DEFAULT 0,
	name       TEXT   NOT NULL,
	position   BIGINT NOT NULL DEFAULT 0,
	created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX article_categories_name ON article_categories (parent_id, name);

CREATE TABLE articles (
	id               IDENTITY_KEY,
	category_id      BIGINT   NOT NULL DEFAULT 0,
	state            TEXT     NOT NULL CHECK (state IN ('draft', 'review', 'published', 'expired')),
	title            TEXT     NOT NULL,
	body             TEXT     NOT NULL,
	keywords         TEXT     NOT NULL DEFAULT '',
	audience         TEXT     NOT NULL CHECK (audience IN ('public', 'customers', 'staff', 'chosen')),
	departments      TEXT     NOT NULL DEFAULT '', -- " 1 2 "
	roles            TEXT     NOT NULL DEFAULT '',
	files            TEXT     NOT NULL DEFAULT '',
	faq              SMALLINT NOT NULL DEFAULT 0,
	owner_id         BIGINT   NOT NULL,
	department_id    BIGINT   NOT NULL DEFAULT 0,
	created_by       BIGINT   NOT NULL,
	written_by       BIGINT   NOT NULL, -- of the latest version
	review_at        BIGINT   NOT NULL DEFAULT 0,
	expires_at       BIGINT   NOT NULL DEFAULT 0,
	reminded_at      BIGINT   NOT NULL DEFAULT 0,
	live_version     BIGINT   NOT NULL DEFAULT 0, -- 0: readers see nothing
	live_title       TEXT     NOT NULL DEFAULT '',
	live_body        TEXT     NOT NULL DEFAULT '',
	live_keywords    TEXT     NOT NULL DEFAULT '',
	live_audience    TEXT     NOT NULL DEFAULT '',
	live_departments TEXT     NOT NULL DEFAULT '',
	live_roles       TEXT     NOT NULL DEFAULT '',
	live_files       TEXT     NOT NULL DEFAULT '',
	live_length      BIGINT   NOT NULL DEFAULT 0,
	lookup           TEXT     NOT NULL DEFAULT '', -- title, keywords, pinyin and initials of the working copy
	published_at     BIGINT   NOT NULL DEFAULT 0,
	views            BIGINT   NOT NULL DEFAULT 0,
	uses             BIGINT   NOT NULL DEFAULT 0,
	helpful          BIGINT   NOT NULL DEFAULT 0,
	unhelpful        BIGINT   NOT NULL DEFAULT 0,
	created_at       BIGINT   NOT NULL,
	updated_at       BIGINT   NOT NULL,
	version          BIGINT   NOT NULL DEFAULT 1,
	demo             SMALLINT NOT NULL DEFAULT 0
);
CREATE INDEX articles_recent ON articles (updated_at, id);
CREATE INDEX articles_category ON articles (category_id, updated_at, id);
CREATE INDEX articles_state ON articles (state, updated_at, id);
CREATE INDEX articles_owner ON articles (owner_id, updated_at, id);
CREATE INDEX articles_read ON articles (live_audience, views, id) WHERE live_version > 0;
CREATE INDEX articles_review ON articles (review_at) WHERE review_at > 0;
CREATE INDEX articles_expiry ON articles (expires_at) WHERE expires_at > 0;

CREATE TABLE article_versions (
	article_id   BIGINT NOT NULL REFERENCES articles (id) ON DELETE CASCADE,
	version      BIGINT NOT NULL,
	title        TEXT   NOT NULL,
	body         TEXT   NOT NULL,
	keywords     TEXT   NOT NULL DEFAULT '',
	audience     TEXT   NOT NULL,
	departments  TEXT   NOT NULL DEFAULT '',
	roles        TEXT   NOT NULL DEFAULT '',
	files        TEXT   NOT NULL DEFAULT '',
	note         TEXT   NOT NULL DEFAULT '',
	user_id      BIGINT NOT NULL,
	at           BIGINT NOT NULL,
	published_by BIGINT NOT NULL DEFAULT 0,
	published_at BIGINT NOT NULL DEFAULT 0,
	PRIMARY KEY (article_id, version)
);

-- What published articles are found by; weight is ten times how often, in titles more.
CREATE TABLE article_terms (
	term       TEXT   NOT NULL,
	article_id BIGINT NOT NULL REFERENCES articles (id) ON DELETE CASCADE,
	weight     BIGINT NOT NULL,
	PRIMARY KEY (term, article_id)
);
CREATE INDEX article_terms_article ON article_terms (article_id);

-- Words that mean the same, in blanks.
CREATE TABLE article_synonyms (
	id    IDENTITY_KEY,
	words TEXT   NOT NULL,
	at    BIGINT NOT NULL
);

-- What people looked for: how often, and how often nothing was found.
CREATE TABLE article_searches (
	words   TEXT   NOT NULL,
	place   TEXT   NOT NULL CHECK (place IN ('help', 'staff')),
	times   BIGINT NOT NULL,
	misses  BIGINT NOT NULL,
	last_at BIGINT NOT NULL,
	PRIMARY KEY (words, place)
);
CREATE INDEX article_searches_misses ON article_searches (misses, last_at);

CREATE TABLE article_feedback (
	id         IDENTITY_KEY,
	article_id BIGINT   NOT NULL REFERENCES articles (id) ON DELETE CASCADE,
	visitor    TEXT     NOT NULL,
	helpful    SMALLINT NOT NULL,
	comment    TEXT     NOT NULL DEFAULT '',
	version    BIGINT   NOT NULL,
	at         BIGINT   NOT NULL,
	done_by    BIGINT   NOT NULL DEFAULT 0,
	done_at    BIGINT   NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX article_feedback_visitor ON article_feedback (article_id, visitor);
CREATE INDEX article_feedback_open ON article_feedback (id) WHERE comment <> '' AND done_at = 0;

-- Which articles helped to solve what.
CREATE TABLE ticket_articles (
	ticket_id  BIGINT NOT NULL REFERENCES tickets (id) ON DELETE CASCADE,
	article_id BIGINT NOT NULL REFERENCES articles (id) ON DELETE CASCADE,
	how        TEXT   NOT NULL CHECK (how IN ('linked', 'inserted', 'source')),
	user_id    BIGINT NOT NULL,
	at         BIGINT NOT NULL,
	PRIMARY KEY (ticket_id, article_id)
);
CREATE INDEX ticket_articles_article ON ticket_articles (article_id, at);

-- +goose Down
SELECT 1;
