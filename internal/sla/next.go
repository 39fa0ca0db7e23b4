package sla

import (
	"context"
	"fmt"
	"time"

	"bihuan/internal/db"
)

// NextFiring returns when the next step of any clock is due; ok is false when
// none waits.
func (s *Service) NextFiring(ctx context.Context) (at time.Time, ok bool, err error) {
	var us int64
	err = s.run.DB().Read().QueryRow(ctx, `SELECT COALESCE(MIN(next_at), 0) FROM clocks WHERE state = 'running' AND next_at > 0`).Scan(&us)
	if err != nil {
		return at, false, fmt.Errorf("sla: next firing: %w", err)
	}
	return db.FromMicros(us), us > 0, nil
}
