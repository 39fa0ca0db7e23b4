-- +goose Up
-- How loud a notice is: normal; urgent (also at night, and by another way when it
-- is not read); insist (again and again until somebody says that he knows).
-- chase_at is when a notice that is still unread goes out again, 0 never.
ALTER TABLE notifications ADD COLUMN class TEXT NOT NULL DEFAULT 'normal';
ALTER TABLE notifications ADD COLUMN chase_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE notifications ADD COLUMN chased BIGINT NOT NULL DEFAULT 0;
UPDATE notifications SET class = 'urgent' WHERE urgent = 1;
CREATE INDEX notifications_chase ON notifications (chase_at) WHERE chase_at > 0;

-- The ways out of the house as the administrator has set them up. Robots post
-- into a group, so there may be one for each department (0: for everybody).
-- recent holds the times of the last messages, for the limits of the platforms.
CREATE TABLE notice_channels (
	id            IDENTITY_KEY,
	kind          TEXT     NOT NULL,
	name          TEXT     NOT NULL DEFAULT '',
	department_id BIGINT   NOT NULL DEFAULT 0,
	enabled       SMALLINT NOT NULL DEFAULT 0 CHECK (enabled IN (0, 1)),
	settings      TEXT     NOT NULL DEFAULT '{}', -- JSON
	secret_sealed BYTES, -- JSON: passwords, keys, addresses of robots
	paused_until  BIGINT   NOT NULL DEFAULT 0,
	trouble       TEXT     NOT NULL DEFAULT '',
	troubles      BIGINT   NOT NULL DEFAULT 0, -- in a row
	recent        TEXT     NOT NULL DEFAULT '[]',
	version       BIGINT   NOT NULL DEFAULT 1,
	created_at    BIGINT   NOT NULL,
	updated_at    BIGINT   NOT NULL,
	UNIQUE (kind, department_id)
);

-- What a person wants: nothing here means what the administrator proposes.
CREATE TABLE notice_people (
	user_id    BIGINT PRIMARY KEY REFERENCES users (id),
	choices    TEXT   NOT NULL DEFAULT '{}', -- JSON: event -> way -> wanted
	quiet_from BIGINT NOT NULL DEFAULT -1,   -- minutes of the day; -1: no quiet hours
	quiet_to   BIGINT NOT NULL DEFAULT -1,
	digest     TEXT   NOT NULL DEFAULT 'off' CHECK (digest IN ('off', 'hourly', 'daily')),
	digest_at  BIGINT NOT NULL DEFAULT 540,
	addresses  TEXT   NOT NULL DEFAULT '{}', -- JSON: way -> his own address
	version    BIGINT NOT NULL DEFAULT 1,
	updated_at BIGINT NOT NULL
);

-- Browsers that take messages although the product is not open.
CREATE TABLE push_subscriptions (
	id              IDENTITY_KEY,
	user_id         BIGINT NOT NULL REFERENCES users (id),
	endpoint_hash   TEXT   NOT NULL UNIQUE,
	endpoint_sealed BYTES  NOT NULL,
	keys_sealed     BYTES  NOT NULL,
	device          TEXT   NOT NULL DEFAULT '',
	created_at      BIGINT NOT NULL,
	used_at         BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX push_subscriptions_user ON push_subscriptions (user_id, id);

-- One line for each notice, person, way and round: its unique key is what keeps a
-- message from being sent twice. doubtful: an attempt before this one may have
-- arrived. together: may travel with others of the same person.
CREATE TABLE notice_deliveries (
	id          IDENTITY_KEY,
	notice_id   BIGINT   NOT NULL, -- 0: a test
	user_id     BIGINT   NOT NULL REFERENCES users (id),
	channel     TEXT     NOT NULL,
	through     BIGINT   NOT NULL, -- notice_channels.id
	round       BIGINT   NOT NULL DEFAULT 0,
	state       TEXT     NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sending', 'sent', 'failed', 'skipped', 'uncertain')),
	why         TEXT     NOT NULL DEFAULT '',
	together    SMALLINT NOT NULL DEFAULT 0,
	doubtful    SMALLINT NOT NULL DEFAULT 0,
	attempt     BIGINT   NOT NULL DEFAULT 0,
	next_at     BIGINT   NOT NULL,
	lease_until BIGINT   NOT NULL DEFAULT 0,
	last_error  TEXT     NOT NULL DEFAULT '',
	answer      TEXT     NOT NULL DEFAULT '',
	created_at  BIGINT   NOT NULL,
	sent_at     BIGINT   NOT NULL DEFAULT 0,
	UNIQUE (notice_id, user_id, channel, round)
);
CREATE INDEX notice_deliveries_due ON notice_deliveries (through, next_at, id) WHERE state = 'waiting';
CREATE INDEX notice_deliveries_leased ON notice_deliveries (through, lease_until) WHERE state = 'sending';
CREATE INDEX notice_deliveries_trouble ON notice_deliveries (state, id) WHERE state IN ('waiting', 'failed', 'uncertain');
CREATE INDEX notice_deliveries_user ON notice_deliveries (user_id, channel, id);
CREATE INDEX notice_deliveries_age ON notice_deliveries (created_at);

-- +goose Down
SELECT 1;
