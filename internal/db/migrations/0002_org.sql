-- +goose Up
CREATE TABLE departments (
	id            IDENTITY_KEY,
	parent_id     BIGINT REFERENCES departments (id),
	name          TEXT     NOT NULL CHECK (name <> ''),
	head_id       BIGINT   NOT NULL DEFAULT 0,
	supervisor_id BIGINT   NOT NULL DEFAULT 0,
	position      BIGINT   NOT NULL DEFAULT 0,
	active        SMALLINT NOT NULL DEFAULT 1 CHECK (active IN (0, 1)),
	demo          SMALLINT NOT NULL DEFAULT 0,
	created_at    BIGINT   NOT NULL,
	version       BIGINT   NOT NULL DEFAULT 1
);
CREATE UNIQUE INDEX departments_name ON departments (COALESCE(parent_id, 0), name);

CREATE TABLE roles (
	id         IDENTITY_KEY,
	code       TEXT     NOT NULL UNIQUE,
	name       TEXT     NOT NULL UNIQUE,
	builtin    SMALLINT NOT NULL DEFAULT 0,
	created_at BIGINT   NOT NULL,
	version    BIGINT   NOT NULL DEFAULT 1
);
-- level is the data scope: own, department, below, all; 'all' for permissions that know no scope.
CREATE TABLE role_permissions (
	role_id    BIGINT NOT NULL REFERENCES roles (id),
	permission TEXT   NOT NULL,
	level      TEXT   NOT NULL CHECK (level IN ('own', 'department', 'below', 'all')),
	PRIMARY KEY (role_id, permission)
);

CREATE TABLE users (
	id              IDENTITY_KEY,
	login           TEXT     NOT NULL UNIQUE,
	name            TEXT     NOT NULL CHECK (name <> ''),
	initials        TEXT     NOT NULL DEFAULT '',
	email           TEXT     NOT NULL DEFAULT '',
	phone           TEXT     NOT NULL DEFAULT '',
	department_id   BIGINT   NOT NULL REFERENCES departments (id),
	password_hash   TEXT     NOT NULL DEFAULT '',
	password_at     BIGINT   NOT NULL DEFAULT 0,
	must_change     SMALLINT NOT NULL DEFAULT 1,
	failed          BIGINT   NOT NULL DEFAULT 0,
	locked_until    BIGINT   NOT NULL DEFAULT 0,
	active          SMALLINT NOT NULL DEFAULT 1 CHECK (active IN (0, 1)),
	availability    TEXT     NOT NULL DEFAULT 'online' CHECK (availability IN ('online', 'busy', 'offline')),
	capacity        BIGINT   NOT NULL DEFAULT 30,
	delegate_id     BIGINT   NOT NULL DEFAULT 0,
	away_from       BIGINT   NOT NULL DEFAULT 0,
	away_until      BIGINT   NOT NULL DEFAULT 0,
	lang            TEXT     NOT NULL DEFAULT 'zh-CN',
	demo            SMALLINT NOT NULL DEFAULT 0,
	last_sign_in_at BIGINT   NOT NULL DEFAULT 0,
	created_at      BIGINT   NOT NULL,
	version         BIGINT   NOT NULL DEFAULT 1
);
CREATE INDEX users_department ON users (department_id, active);

CREATE TABLE user_roles (
	user_id BIGINT NOT NULL REFERENCES users (id),
	role_id BIGINT NOT NULL REFERENCES roles (id),
	PRIMARY KEY (user_id, role_id)
);
CREATE INDEX user_roles_role ON user_roles (role_id);

-- Further departments a person works in beside his own.
CREATE TABLE user_teams (
	user_id       BIGINT NOT NULL REFERENCES users (id),
	department_id BIGINT NOT NULL REFERENCES departments (id),
	PRIMARY KEY (user_id, department_id)
);
CREATE INDEX user_teams_department ON user_teams (department_id);

CREATE TABLE user_sessions (
	id           IDENTITY_KEY,
	token_hash   BYTES  NOT NULL UNIQUE,
	user_id      BIGINT NOT NULL REFERENCES users (id),
	created_at   BIGINT NOT NULL,
	last_seen_at BIGINT NOT NULL,
	expires_at   BIGINT NOT NULL,
	ip           TEXT   NOT NULL DEFAULT '',
	user_agent   TEXT   NOT NULL DEFAULT ''
);
CREATE INDEX user_sessions_user ON user_sessions (user_id);

CREATE TABLE api_tokens (
	id           IDENTITY_KEY,
	token_hash   BYTES  NOT NULL UNIQUE,
	user_id      BIGINT NOT NULL REFERENCES users (id),
	name         TEXT   NOT NULL,
	scopes       TEXT   NOT NULL,
	created_at   BIGINT NOT NULL,
	expires_at   BIGINT NOT NULL DEFAULT 0,
	last_used_at BIGINT NOT NULL DEFAULT 0,
	revoked_at   BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX api_tokens_user ON api_tokens (user_id);

-- +goose Down
SELECT 1;
