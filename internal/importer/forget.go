package importer

import (
	"context"
	"fmt"

	"bihuan/internal/action"
)

// FilesGone takes note that files were removed: somebody's data was in them, or
// they were kept long enough. The imports stay, without table and result.
func (s *Service) FilesGone(ctx context.Context, a *action.Action, files []int64) error {
	for _, id := range files {
		for _, column := range []string{"file_id", "result_id"} {
			if _, err := a.Exec(ctx, `UPDATE imports SET `+column+` = 0 WHERE `+column+` = $1`, id); err != nil {
				return fmt.Errorf("importer: file %d is gone: %w", id, err)
			}
		}
	}
	return nil
}
