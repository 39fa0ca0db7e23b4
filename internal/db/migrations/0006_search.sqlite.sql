-- +goose Up
CREATE VIRTUAL TABLE search_ticket USING fts5 (doc, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 0');
CREATE VIRTUAL TABLE search_customer USING fts5 (doc, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 0');

-- +goose Down
SELECT 1;
