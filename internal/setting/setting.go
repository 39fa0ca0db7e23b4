// Package setting keeps what administrators decide: one JSON value per name in
// the table settings. Every name belongs to one room, which checks what it
// writes and records the change; this package only reads and stores.
package setting

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"bihuan/internal/db"
)

// heldKey holds the raw value of a setting.
type heldKey string

// Read fills v from the setting name and leaves it alone when there is none, so
// that v may hold the defaults. A change by another node is seen within seconds.
func Read(ctx context.Context, q db.Querier, name string, v any) error {
	raw, err := db.Held(ctx, q, heldKey(name), func() (raw string, err error) {
		err = q.QueryRow(ctx, `SELECT value FROM settings WHERE name = $1`, name).Scan(&raw)
		if errors.Is(err, sql.ErrNoRows) {
			return "", nil
		}
		return raw, err
	})
	if err == nil && raw != "" {
		err = json.Unmarshal([]byte(raw), v)
	}
	if err != nil {
		return fmt.Errorf("setting %s: %w", name, err)
	}
	return nil
}

// Write stores v as the setting name.
func Write(ctx context.Context, tx *db.Tx, name string, v any) error {
	raw, err := json.Marshal(v)
	if err == nil {
		_, err = tx.Exec(ctx, `
			INSERT INTO settings (name, value, updated_at) VALUES ($1, $2, $3)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at`, name, string(raw), tx.NowMicros())
	}
	if err != nil {
		return fmt.Errorf("setting %s: %w", name, err)
	}
	tx.Drop(heldKey(name))
	return nil
}
