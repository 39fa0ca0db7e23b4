package mailbox

import (
	"context"
	"fmt"
	"strings"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/db"
	"bihuan/internal/eml"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/ticket"
)

// Held returns mails in quarantine, newest first, below the id before (0: from the
// newest), and whether there are more.
func (s *Service) Held(ctx context.Context, actor authz.Actor, before int64, limit int) (out []Mail, more bool, err error) {
	if err := actor.Check(PermManage); err != nil {
		return nil, false, err
	}
	if before == 0 {
		before = 1 << 62
	}
	out, err = s.mailsWhere(ctx, s.run.DB().Read(), `state = 'quarantine' AND id < $1 ORDER BY id DESC LIMIT $2`, before, limit+1)
	if more = len(out) > limit; more {
		out = out[:limit]
	}
	return out, more, err
}

// Waiting counts mails in quarantine, at most 100.
func (s *Service) Waiting(ctx context.Context) (n int, err error) {
	err = s.run.DB().Read().QueryRow(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM mails WHERE state = 'quarantine' LIMIT 100) x`).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("mailbox: waiting: %w", err)
	}
	return n, nil
}

// Of returns the mails of a ticket, oldest first. The caller has checked that the
// ticket may be seen.
func (s *Service) Of(ctx context.Context, ticketID int64) ([]Mail, error) {
	return s.mailsWhere(ctx, s.run.DB().Read(), `ticket_id = $1 ORDER BY id DESC LIMIT 50`, ticketID)
}

// Open returns a mail as it was sent: to who may see its ticket, or decides about
// those in quarantine.
func (s *Service) Open(ctx context.Context, actor authz.Actor, id int64) (m Mail, msg *eml.Message, err error) {
	q := s.run.DB().Read()
	if m, err = s.mail(ctx, q, id); err != nil {
		return m, nil, err
	}
	if err := s.mayRead(ctx, actor, m); err != nil {
		return Mail{}, nil, err
	}
	raw, err := s.raw(ctx, q, m)
	if err != nil {
		return m, nil, err
	}
	return m, eml.Parse(raw), nil
}

func (s *Service) mayRead(ctx context.Context, actor authz.Actor, m Mail) error {
	if m.TicketID != 0 {
		if _, err := s.tickets.Get(ctx, ticket.View(actor), m.TicketID); err != nil {
			return fault.New(fault.NotFound, "mailbox.mail.not_found")
		}
		return nil
	}
	if !actor.Can(PermManage) {
		return fault.New(fault.NotFound, "mailbox.mail.not_found")
	}
	return nil
}

// MayReadSource decides over the sources of mails.
func (s *Service) MayReadSource(ctx context.Context, actor authz.Actor, f blob.File) error {
	m, err := s.mail(ctx, s.run.DB().Read(), f.Owner.ID)
	if err != nil {
		return err
	}
	if actor.Kind != authz.User {
		return fault.New(fault.NotFound, "mailbox.mail.not_found")
	}
	return s.mayRead(ctx, actor, m)
}

// MakeTicket makes a ticket of a mail in quarantine after all.
func (s *Service) MakeTicket(ctx context.Context, actor authz.Actor, id int64) (t int64, err error) {
	x, err := s.held1(ctx, actor, id)
	if err != nil {
		return 0, err
	}
	if !valid(x.m.From.Addr) {
		return 0, fault.New(fault.Conflict, "mailbox.no_sender")
	}
	err = s.run.Do(ctx, actor, "mailbox.make_ticket", func(ctx context.Context, a *action.Action) error {
		program := a.As(authz.System(actorName))
		if err := s.register(ctx, program, x); err != nil {
			return err
		}
		if err := a.Join(ctx, program); err != nil {
			return err
		}
		m, err := s.mail(ctx, a, id)
		if err != nil {
			return err
		}
		if t = m.TicketID; t == 0 {
			return fault.New(fault.Conflict, "mailbox.no_sender")
		}
		return s.decided(ctx, a, Made, m, "")
	})
	return t, err
}

// JoinTo puts a mail of the quarantine into a ticket the actor may see.
func (s *Service) JoinTo(ctx context.Context, actor authz.Actor, id int64, number string) error {
	x, err := s.held1(ctx, actor, id)
	if err != nil {
		return err
	}
	t, err := s.tickets.ByNumber(ctx, ticket.View(actor), strings.ToUpper(strings.TrimSpace(number)))
	if fault.Is(err, fault.NotFound) {
		return fault.Invalidf("ui.form.invalid").Field("number", "mailbox.join.unknown")
	}
	if err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "mailbox.join", func(ctx context.Context, a *action.Action) error {
		program := a.As(authz.System(actorName))
		member, err := s.takesPart(ctx, a, t, x.m.From.Addr)
		if err != nil {
			return err
		}
		x.m.Kind = eml.Human // a person has decided
		if err := s.join(ctx, program, x, threaded{t: t, how: "person", member: member}); err != nil {
			return err
		}
		if err := a.Join(ctx, program); err != nil {
			return err
		}
		m, err := s.mail(ctx, a, id)
		if err != nil {
			return err
		}
		return s.decided(ctx, a, Joined, m, "")
	})
}

// Discard says that nothing is to be made of a mail; it stays known, so that it
// does not come back.
func (s *Service) Discard(ctx context.Context, actor authz.Actor, id int64, reason string) error {
	if err := actor.Check(PermManage); err != nil {
		return err
	}
	if reason = strings.TrimSpace(reason); reason == "" {
		return fault.Invalidf("ui.form.invalid").Field("reason", "mailbox.discard.why")
	}
	return s.run.Do(ctx, actor, "mailbox.discard", func(ctx context.Context, a *action.Action) error {
		m, err := s.mail(ctx, a, id)
		if err != nil {
			return err
		}
		ok, err := s.settle(ctx, a, id, Quarantine, Dropped, m.Reason, cut(reason, 500), 0, 0, false)
		if err == nil && !ok {
			err = fault.New(fault.Conflict, "mailbox.decided")
		}
		if err != nil {
			return err
		}
		return s.decided(ctx, a, Discarded, m, reason)
	})
}

func (s *Service) decided(ctx context.Context, a *action.Action, kind string, m Mail, reason string) error {
	number := ""
	if m.TicketID != 0 {
		t, err := numberOf(ctx, a, m.TicketID)
		if err != nil {
			return err
		}
		number = t
	}
	if kind == Discarded {
		number = cut(reason, 200)
	}
	a.Record(event.Event{Kind: kind, Subject: event.Subject{Type: mailSubject, ID: m.ID}, Data: Facts{Args: []string{number}}})
	return nil
}

func numberOf(ctx context.Context, q db.Querier, id int64) (number string, err error) {
	if err = q.QueryRow(ctx, `SELECT number FROM tickets WHERE id = $1`, id).Scan(&number); err != nil {
		return "", fmt.Errorf("mailbox: ticket %d: %w", id, err)
	}
	return number, nil
}

// held1 reads a mail in quarantine with its files.
func (s *Service) held1(ctx context.Context, actor authz.Actor, id int64) (x read, err error) {
	if err := actor.Check(PermManage); err != nil {
		return x, err
	}
	if x, err = s.read(ctx, id); err != nil {
		return x, err
	}
	if x.row.State != Quarantine {
		return x, fault.New(fault.Conflict, "mailbox.decided")
	}
	return x, s.store(ctx, &x)
}

// Number is the number of a ticket that the actor may see.
func (s *Service) Number(ctx context.Context, actor authz.Actor, id int64) (string, error) {
	t, err := s.tickets.Get(ctx, ticket.View(actor), id)
	return t.Number, err
}
