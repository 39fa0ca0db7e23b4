-- +goose Up
-- What is wrong with each profile: one row per customer, mask has a bit per
-- measure. Kept by the customer room from the facts and by a nightly pass.
CREATE TABLE customer_quality (
	customer_id   BIGINT PRIMARY KEY,
	department_id BIGINT NOT NULL,
	owner_id      BIGINT NOT NULL,
	mask          BIGINT NOT NULL
);

-- The same, one row per measure a customer does not meet: the lists behind the figures.
CREATE TABLE customer_flaws (
	measure       SMALLINT NOT NULL,
	customer_id   BIGINT   NOT NULL,
	department_id BIGINT   NOT NULL,
	owner_id      BIGINT   NOT NULL,
	PRIMARY KEY (measure, customer_id)
);
CREATE INDEX customer_flaws_customer ON customer_flaws (customer_id);
CREATE INDEX customer_flaws_department ON customer_flaws (measure, department_id, customer_id);
CREATE INDEX customer_flaws_owner ON customer_flaws (measure, owner_id, customer_id);

-- How many customers there are (measure 0) and how many do not meet each measure.
CREATE TABLE quality_counts (
	department_id BIGINT   NOT NULL,
	owner_id      BIGINT   NOT NULL,
	measure       SMALLINT NOT NULL,
	n             BIGINT   NOT NULL,
	PRIMARY KEY (department_id, owner_id, measure)
);

-- The figures at the last pass of each month.
CREATE TABLE quality_months (
	month         TEXT     NOT NULL,
	department_id BIGINT   NOT NULL,
	measure       SMALLINT NOT NULL,
	n             BIGINT   NOT NULL,
	PRIMARY KEY (month, department_id, measure)
);

-- How far the nightly pass is; its row is also the lock of whoever changes the figures.
CREATE TABLE quality_pass (
	id      SMALLINT PRIMARY KEY CHECK (id = 1),
	day     TEXT     NOT NULL DEFAULT '',
	next_id BIGINT   NOT NULL DEFAULT 0,
	done_at BIGINT   NOT NULL DEFAULT 0
);
INSERT INTO quality_pass (id) VALUES (1);

-- Ways to reach somebody that did not work: the mark holds while the value is what it was.
CREATE TABLE contact_unreachable (
	contact_id     BIGINT NOT NULL,
	field          TEXT   NOT NULL CHECK (field IN ('phone', 'email', 'wechat')),
	masked         TEXT   NOT NULL,
	why            TEXT   NOT NULL,
	marked_by      BIGINT NOT NULL DEFAULT 0,
	marked_by_name TEXT   NOT NULL DEFAULT '',
	marked_at      BIGINT NOT NULL,
	PRIMARY KEY (contact_id, field)
);

-- +goose Down
SELECT 1;
