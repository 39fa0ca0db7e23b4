package blob

import (
	"context"
	"fmt"
	"time"

	"bihuan/internal/db"
)

// After returns at most limit files of all records with ids above id, for
// whoever has to look through all of them.
func (s *Files) After(ctx context.Context, q db.Querier, id int64, limit int) ([]File, error) {
	return list(ctx, q, fmt.Sprintf("id > $1 AND id <= (SELECT COALESCE(MAX(x.id), 0) FROM (SELECT id FROM files WHERE id > $2 ORDER BY id LIMIT %d) x)", limit), id, id)
}

// Drop removes content that no file uses any more at once, and not with the next
// [Files.SweepContent]: it must not be left lying.
func (s *Files) Drop(ctx context.Context, sums []string) error {
	if len(sums) == 0 {
		return nil
	}
	used, err := s.used(ctx, sums)
	if err != nil {
		return err
	}
	for _, sum := range sums {
		if !used[sum] {
			if err := s.store.Delete(ctx, sum, s.run.DB().Clock().Now().Add(time.Microsecond)); err != nil {
				return err
			}
		}
	}
	return nil
}

// RemoveOf takes the files of records that are gone away; their content goes with
// [Files.SweepContent].
func RemoveOf(ctx context.Context, tx *db.Tx, ownerType string, owners []int64) error {
	return db.EachIn(owners, func(in string, args []any) error {
		a := db.Args{Values: args}
		if _, err := tx.Exec(ctx, `DELETE FROM files WHERE owner_id IN (`+in+`) AND owner_type = `+a.Add(ownerType), a.Values...); err != nil {
			return fmt.Errorf("blob: remove of %s: %w", ownerType, err)
		}
		return nil
	})
}
