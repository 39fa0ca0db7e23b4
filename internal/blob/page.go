package blob

import (
	"context"
	"fmt"

	"bihuan/internal/db"
)

// Newest returns files of a record, the newest first, older than the file before
// (0: the newest).
func (s *Files) Newest(ctx context.Context, q db.Querier, ownerType string, ownerID, before int64, limit int) ([]File, error) {
	where := ""
	args := []any{ownerType, ownerID}
	if before > 0 {
		where, args = " AND id < $3", append(args, before)
	}
	rows, err := q.Query(ctx, `SELECT `+columns+` FROM files WHERE owner_type = $1 AND owner_id = $2`+where+fmt.Sprintf(` ORDER BY id DESC LIMIT %d`, limit), args...)
	if err != nil {
		return nil, fmt.Errorf("blob: list: %w", err)
	}
	defer rows.Close()
	var out []File
	for rows.Next() {
		f, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("blob: list: %w", err)
		}
		out = append(out, f)
	}
	return out, rows.Err()
}

// Restrict makes a file internal, or no longer so; what that means is the owner's
// authorizer's to say. The action records it.
func (s *Files) Restrict(ctx context.Context, tx *db.Tx, id int64, internal bool) error {
	if _, err := tx.Exec(ctx, `UPDATE files SET internal = $1 WHERE id = $2`, db.Bool(internal), id); err != nil {
		return fmt.Errorf("blob: restrict %d: %w", id, err)
	}
	return nil
}
