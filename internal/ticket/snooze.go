package ticket

import (
	"context"
	"fmt"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
)

// Snoozed is a ticket somebody has put off for himself: it leaves the views of
// his own work and no clock of it stops. It ends when its time has come or when
// the customer writes.
type Snoozed struct {
	Until time.Time
	Over  bool // it has ended, and he has not looked at it since
}

// maxSnooze is how far ahead one may put off.
const maxSnooze = 90 * 24 * time.Hour

// asleep is the condition that the reader has put ticket t off.
func asleep(a *db.Args, user int64, now time.Time) string {
	return "EXISTS (SELECT 1 FROM ticket_snoozes z WHERE z.user_id = " + a.Add(user) + " AND z.ticket_id = t.id AND z.until_at > " + a.Add(db.Micros(now)) + " AND z.set_at >= t.customer_at)"
}

// snoozing holds whether a user has put anything off: hardly anybody has, and
// who has not is spared looking for it in every list and count.
type snoozing int64

// awake reports whether the user has put nothing off.
func (s *Service) awake(ctx context.Context, user int64) (bool, error) {
	q := s.DB().Read()
	n, err := db.Held(ctx, q, snoozing(user), func() (n int, err error) {
		err = q.QueryRow(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM ticket_snoozes WHERE user_id = $1 LIMIT 1) z`, user).Scan(&n)
		return n, err
	})
	if err != nil {
		return false, fmt.Errorf("ticket: put off: %w", err)
	}
	return n == 0, nil
}

// Snooze puts ticket id off for the actor until a time; the zero time takes that
// back. It is his own affair: nobody is told and no clock stops.
func (s *Service) Snooze(ctx context.Context, actor authz.Actor, id int64, until time.Time) error {
	if err := actor.Check(PermView); err != nil {
		return err
	}
	return s.DB().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		t, err := get(ctx, tx, View(actor), "t.id", id, "")
		if err != nil {
			return err
		}
		tx.Drop(snoozing(actor.ID))
		if until.IsZero() {
			_, err := tx.Exec(ctx, `DELETE FROM ticket_snoozes WHERE user_id = $1 AND ticket_id = $2`, actor.ID, id)
			return err
		}
		switch {
		case !t.State.Open():
			return fault.New(fault.Conflict, "ticket.snooze.over")
		case !until.After(tx.Now):
			return fault.Invalidf("ticket.snooze.past").Field("until", "ticket.snooze.past")
		case until.After(tx.Now.Add(maxSnooze)):
			return fault.Invalidf("ticket.snooze.far", int(maxSnooze/(24*time.Hour))).Field("until", "ticket.snooze.far", int(maxSnooze/(24*time.Hour)))
		}
		_, err = tx.Exec(ctx, `INSERT INTO ticket_snoozes (user_id, ticket_id, until_at, set_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (user_id, ticket_id) DO UPDATE SET until_at = excluded.until_at, set_at = excluded.set_at, told_at = 0`, actor.ID, id, db.Micros(until), tx.NowMicros())
		if err != nil {
			return fmt.Errorf("ticket: put off %d: %w", id, err)
		}
		return nil
	})
}

// Snoozes returns what the actor has put off, by ticket; rows tell when their
// customers wrote. One read for a whole page.
func (s *Service) Snoozes(ctx context.Context, actor authz.Actor, rows ...Row) (map[int64]Snoozed, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	if awake, err := s.awake(ctx, actor.ID); err != nil || awake {
		return nil, err
	}
	found, err := s.DB().Read().Query(ctx, `SELECT ticket_id, until_at, set_at FROM ticket_snoozes WHERE user_id = $1`, actor.ID)
	if err != nil {
		return nil, fmt.Errorf("ticket: put off: %w", err)
	}
	defer found.Close()
	now := s.DB().Clock().Now()
	var out map[int64]Snoozed
	for found.Next() {
		var id, until, set int64
		if err := found.Scan(&id, &until, &set); err != nil {
			return nil, fmt.Errorf("ticket: put off: %w", err)
		}
		for _, r := range rows {
			if r.ID == id {
				if out == nil {
					out = map[int64]Snoozed{}
				}
				x := Snoozed{Until: db.FromMicros(until)}
				x.Over = !x.Until.After(now) || db.Micros(r.CustomerAt) > set
				out[id] = x
			}
		}
	}
	return out, found.Err()
}

// Wake tells people that what they put off is back; a duty.
func (s *Service) Wake(ctx context.Context) error {
	for {
		n := 0
		err := s.run.Do(ctx, authz.System("put off"), "ticket.wake", func(ctx context.Context, a *action.Action) error {
			a.Nothing()
			rows, err := a.Query(ctx, `SELECT user_id, ticket_id FROM ticket_snoozes WHERE told_at = 0 AND until_at <= $1 ORDER BY until_at LIMIT 100`, a.NowMicros())
			if err != nil {
				return fmt.Errorf("ticket: wake: %w", err)
			}
			type due struct{ user, ticket int64 }
			var all []due
			for rows.Next() {
				var d due
				if err := rows.Scan(&d.user, &d.ticket); err != nil {
					rows.Close()
					return fmt.Errorf("ticket: wake: %w", err)
				}
				all = append(all, d)
			}
			rows.Close()
			if err := rows.Err(); err != nil {
				return fmt.Errorf("ticket: wake: %w", err)
			}
			n = len(all)
			for _, d := range all {
				if _, err := a.Exec(ctx, `UPDATE ticket_snoozes SET told_at = $1 WHERE user_id = $2 AND ticket_id = $3`, a.NowMicros(), d.user, d.ticket); err != nil {
					return fmt.Errorf("ticket: wake: %w", err)
				}
				t, err := get(ctx, a, authz.For(authz.System(""), PermView), "t.id", d.ticket, "")
				if err != nil {
					return err
				}
				if !t.State.Open() {
					continue
				}
				f := fact(t, t)
				f.From, f.Entry, f.Tell = "", -1, tell(d.user)
				a.Record(event.Event{Kind: "ticket.put_off_ended", Subject: Subject(t.ID), Data: f})
			}
			return nil
		})
		if err != nil || n < 100 {
			return err
		}
	}
}
