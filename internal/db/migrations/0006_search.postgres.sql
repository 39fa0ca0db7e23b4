-- +goose Up
CREATE TABLE search_ticket (id BIGINT PRIMARY KEY, doc TSVECTOR NOT NULL);
CREATE INDEX search_ticket_doc ON search_ticket USING GIN (doc);
CREATE TABLE search_customer (id BIGINT PRIMARY KEY, doc TSVECTOR NOT NULL);
CREATE INDEX search_customer_doc ON search_customer USING GIN (doc);

-- +goose Down
SELECT 1;
