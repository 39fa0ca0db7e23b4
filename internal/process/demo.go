package process

import (
	"context"
	"fmt"

	"bihuan/internal/action"
)

// RemoveDemo deletes the processes of the sample data, after its tickets. One that
// a real ticket follows stays, and is the company's from then on.
func RemoveDemo(ctx context.Context, a *action.Action) error {
	for _, q := range []string{
		`UPDATE processes SET demo = 0 WHERE demo = 1 AND id IN (SELECT t.process_id FROM tickets t WHERE t.process_id > 0)`,
		`DELETE FROM process_versions WHERE process_id IN (SELECT p.id FROM processes p WHERE p.demo = 1)`,
		`DELETE FROM processes WHERE demo = 1`,
	} {
		if _, err := a.Exec(ctx, q); err != nil {
			return fmt.Errorf("process: remove sample data: %w", err)
		}
	}
	return nil
}
