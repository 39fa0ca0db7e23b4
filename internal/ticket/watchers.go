package ticket

import (
	"context"

	"bihuan/internal/action"
)

// AddWatcherIn makes a colleague a watcher of ticket id inside an action under
// way; he is told. Whoever watches already stays one.
func (s *Service) AddWatcherIn(ctx context.Context, a *action.Action, id, user int64) error {
	t, err := s.load(ctx, a, id)
	if err != nil {
		return err
	}
	_, err = s.addWatcher(ctx, a, t, user)
	return err
}
