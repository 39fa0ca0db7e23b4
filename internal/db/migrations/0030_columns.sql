-- +goose Up
-- The columns somebody wants in a view, codes with commas between; '' those of
-- the view. The view '*' stands for all that nothing particular is chosen for.
ALTER TABLE ticket_orders ADD COLUMN columns TEXT NOT NULL DEFAULT '';

-- +goose Down
SELECT 1;
