-- +goose Up
-- How a complaint was handled, asked of its customer apart from what came of it
-- (ISO 10002 8.3); 0: not asked, or not answered.
ALTER TABLE ratings ADD COLUMN handling BIGINT NOT NULL DEFAULT 0;
