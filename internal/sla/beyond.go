package sla

import (
	"context"
	"fmt"
	"time"

	"bihuan/internal/db"
)

// DueFrom counts the running clocks that are due at or after at.
func (s *Service) DueFrom(ctx context.Context, at time.Time) (n int, err error) {
	if err := s.run.DB().Read().QueryRow(ctx, `SELECT COUNT(*) FROM clocks WHERE state = 'running' AND next_at > 0 AND due_at >= $1`, db.Micros(at)).Scan(&n); err != nil {
		return 0, fmt.Errorf("sla: due from: %w", err)
	}
	return n, nil
}
