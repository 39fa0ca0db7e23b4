-- +goose Up
-- Working hours. week is JSON: seven texts like "09:00-12:00, 13:00-18:00",
-- Sunday first; "" is a day off.
CREATE TABLE calendars (
	id         IDENTITY_KEY,
	name       TEXT     NOT NULL UNIQUE,
	week       TEXT     NOT NULL,
	makeup     SMALLINT NOT NULL DEFAULT 1, -- weekday whose hours a make-up workday has
	holidays   SMALLINT NOT NULL DEFAULT 1, -- public holidays are off
	is_default SMALLINT NOT NULL DEFAULT 0,
	active     SMALLINT NOT NULL DEFAULT 1,
	version    BIGINT   NOT NULL DEFAULT 1,
	updated_at BIGINT   NOT NULL
);

-- Days the company has decided on itself; without spans off.
CREATE TABLE calendar_days (
	calendar_id BIGINT NOT NULL REFERENCES calendars (id),
	day         TEXT   NOT NULL, -- 2006-01-02
	name        TEXT   NOT NULL,
	spans       TEXT   NOT NULL DEFAULT '',
	PRIMARY KEY (calendar_id, day)
);

-- Public holidays that were imported; the product brings those of some years.
CREATE TABLE holiday_years (
	year        BIGINT NOT NULL PRIMARY KEY,
	source      TEXT   NOT NULL DEFAULT '',
	days        TEXT   NOT NULL, -- JSON
	by_id       BIGINT NOT NULL,
	by_name     TEXT   NOT NULL,
	imported_at BIGINT NOT NULL
);

-- +goose Down
SELECT 1;
