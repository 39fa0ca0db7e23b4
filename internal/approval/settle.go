package approval

import (
	"context"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/event"
)

// Settle ends the open request of a kind about a thing because the matter has
// settled itself, in the action that settled it. The kind's Decided is not
// called: who settles it follows by himself. Without an open request nothing
// happens.
func (s *Service) Settle(ctx context.Context, a *action.Action, kind Kind, about event.Subject, comment string) error {
	p, open, err := s.Pending(ctx, a, kind, about)
	if err != nil || !open {
		return err
	}
	r, err := load(ctx, a, p.ID, a.ForUpdate())
	if err != nil || r.State != Pending {
		return err
	}
	told := append([]int64{r.RequestedBy}, r.told...)
	if err := note(ctx, a, r, Entry{What: DidWithdraw, ByID: a.Actor.ID, ByName: a.Actor.Name, Comment: comment, Took: a.Now.Sub(r.ArrivedAt)}); err != nil {
		return err
	}
	a.Record(s.fact(WithdrawnAt, r, told, a.Actor.Name))
	r.State, r.DecidedAt, r.RemindAt, r.EscalateAt, r.Waiting = Withdrawn, a.Now, time.Time{}, time.Time{}, nil
	if err := setWaiting(ctx, a, r.ID, nil); err != nil {
		return err
	}
	return save(ctx, a, &r)
}
