package mailbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"bihuan/internal/db"
	"bihuan/internal/imap"
)

const (
	// freshDays is how far back unread mails are taken when a mailbox is set up, and
	// all mails when the numbers of its folder have changed: what was stored before
	// is known by its digest.
	freshDays = 7 * 24 * time.Hour
	lease     = 90 * time.Second
	idle      = 25 * time.Second // a slow poll as net: some servers forget to say that something came
	rest      = 30 * time.Second // after a failure, doubled up to restMost
	restMost  = 10 * time.Minute
)

// Run attends to all mailboxes in use until ctx ends: each on one node at a time.
func (s *Service) Run(ctx context.Context, log *slog.Logger) {
	t := time.NewTicker(5 * time.Second)
	defer t.Stop()
	for {
		bs, err := boxes(ctx, s.run.DB().Read())
		if err != nil && ctx.Err() == nil {
			log.Warn("mailboxes cannot be read", "err", err)
		}
		for _, b := range bs {
			if b.Active && s.begin(b) {
				go func() {
					defer s.end(b)
					s.attend(ctx, b, log)
				}()
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

func (s *Service) begin(b Box) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, on := s.running[b.ID]; on {
		return false
	}
	s.running[b.ID] = b.Version
	return true
}

func (s *Service) end(b Box) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, b.ID)
}

// attend holds one mailbox as long as this node may and its settings stay.
func (s *Service) attend(ctx context.Context, b Box, log *slog.Logger) {
	name := fmt.Sprintf("mailbox:%d", b.ID)
	if _, ok, err := s.leases.Hold(ctx, name, lease); err != nil || !ok {
		return
	}
	defer func() { _ = s.leases.Release(context.WithoutCancel(ctx), name) }()
	pause := rest
	for ctx.Err() == nil {
		err := s.session(ctx, b, name)
		if errors.Is(err, errGone) || ctx.Err() != nil {
			return
		}
		if err != nil {
			log.Warn("mailbox", "id", b.ID, "err", err)
			_ = s.trouble(ctx, b.ID, err)
		}
		for end := time.Now().Add(pause); time.Now().Before(end) && ctx.Err() == nil; {
			select {
			case <-ctx.Done():
				return
			case <-time.After(10 * time.Second):
			}
			if !s.same(ctx, b, name) {
				return
			}
		}
		pause = min(2*pause, restMost)
	}
}

// same reports whether this node still attends to b as it was.
func (s *Service) same(ctx context.Context, b Box, name string) bool {
	_, ok, err := s.leases.Hold(ctx, name, lease)
	if err != nil || !ok {
		return false
	}
	now, err := s.box(ctx, s.run.DB().Read(), b.ID)
	return err == nil && now.Active && now.Version == b.Version
}

// session fetches what is there, waits for more and goes on, until something
// breaks or the settings change.
func (s *Service) session(ctx context.Context, b Box, name string) error {
	c, err := s.open(ctx, b)
	if err != nil {
		return err
	}
	defer c.Close()
	for {
		if !s.same(ctx, b, name) {
			return errGone
		}
		if err := s.fetch(ctx, b.ID, c); err != nil {
			return err
		}
		if err := c.Wait(ctx, idle); err != nil {
			return err
		}
	}
}

// Fetch takes what is new in a mailbox, once.
func (s *Service) Fetch(ctx context.Context, id int64) error {
	b, err := s.box(ctx, s.run.DB().Read(), id)
	if err != nil {
		return err
	}
	c, err := s.open(ctx, b)
	if err != nil {
		return errors.Join(err, s.trouble(ctx, id, err))
	}
	defer c.Close()
	return s.fetch(ctx, id, c)
}

// fetch stores what is new and marks it on the server afterwards: a mail that is
// stored and not marked comes once more and is known; one that is marked and not
// stored cannot be.
func (s *Service) fetch(ctx context.Context, id int64, c imap.Conn) error {
	for ctx.Err() == nil {
		b, err := s.box(ctx, s.run.DB().Read(), id)
		if err != nil {
			return err
		}
		var items []imap.Item
		from := b.LastUID
		fresh := b.Validity != c.Validity()
		if fresh {
			// A new folder, or new numbers: by what is unread, and by what was read too when
			// we had been here before.
			items, err = c.Unread(s.run.DB().Clock().Now().Add(-freshDays), b.Validity != 0)
			from = max(c.Next(), 1) - 1
		} else {
			items, err = c.After(b.LastUID)
		}
		if err != nil {
			return err
		}
		for _, i := range items {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if i.Size > MaxMail {
				if err := s.Oversized(ctx, id, c.Validity(), i.UID, i.Size); err != nil {
					return err
				}
			} else {
				raw, err := c.Fetch(i.UID)
				if err != nil {
					return err
				}
				if raw != nil {
					if _, err := s.Take(ctx, id, c.Validity(), i.UID, raw); err != nil {
						return err
					}
				}
			}
			if err := c.Seen(i.UID); err != nil {
				return err
			}
			from = max(from, i.UID)
			if !fresh {
				if err := s.reached(ctx, id, c.Validity(), from); err != nil {
					return err
				}
			}
		}
		if fresh || len(items) == 0 {
			if err := s.reached(ctx, id, c.Validity(), from); err != nil {
				return err
			}
		}
		if len(items) == 0 {
			return nil
		}
	}
	return ctx.Err()
}

// reached notes how far a mailbox was read. It is no fact: it can be found out
// again, and changes with every look.
func (s *Service) reached(ctx context.Context, id int64, validity, uid uint32) error {
	return s.run.DB().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE mailboxes SET validity = $1, last_uid = $2, checked_at = $3, trouble = '' WHERE id = $4`, int64(validity), int64(uid), tx.NowMicros(), id)
		if err != nil {
			return fmt.Errorf("mailbox: reached: %w", err)
		}
		return nil
	})
}

// trouble shows the administrator why a mailbox is not fetched.
func (s *Service) trouble(ctx context.Context, id int64, why error) error {
	return s.run.DB().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE mailboxes SET trouble = $1, checked_at = $2 WHERE id = $3`, troubleKey(why)+"\n"+cut(why.Error(), 500), tx.NowMicros(), id)
		if err != nil {
			return fmt.Errorf("mailbox: trouble: %w", err)
		}
		return nil
	})
}
