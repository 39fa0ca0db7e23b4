package mailbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/crypt"
	"bihuan/internal/db"
	"bihuan/internal/eml"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/journal"
	"bihuan/internal/outbound"
	"bihuan/internal/outbound/mail"
	"bihuan/internal/ticket"
)

// Out is an answer that leaves, or has left, by mail.
type Out struct {
	ID, TicketID, EntryID, BoxID int64
	MessageID                    string
	To                           eml.Address
	State                        string // waiting, sent, unsure, failed, bounced
	Attempts                     int
	Answer                       string // of the server
	CreatedAt, SentAt            time.Time

	sealed []byte
}

const outColumns = `id, ticket_id, entry_id, mailbox_id, message_id, to_sealed, state, attempts, answer, created_at, sent_at`

func (s *Service) outs(ctx context.Context, q db.Querier, where string, args ...any) ([]Out, error) {
	rows, err := q.Query(ctx, `SELECT `+outColumns+` FROM mail_out WHERE `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("mailbox: answers: %w", err)
	}
	defer rows.Close()
	var out []Out
	for rows.Next() {
		var o Out
		var made, sent int64
		if err := rows.Scan(&o.ID, &o.TicketID, &o.EntryID, &o.BoxID, &o.MessageID, &o.sealed, &o.State, &o.Attempts, &o.Answer, &made, &sent); err != nil {
			return nil, fmt.Errorf("mailbox: answers: %w", err)
		}
		o.CreatedAt, o.SentAt = db.FromMicros(made), db.FromMicros(sent)
		text, err := s.keys.Open(crypt.Place("mail_out", o.ID, "to"), o.sealed)
		if err == nil {
			err = json.Unmarshal([]byte(text), &o.To)
		}
		if err != nil {
			return nil, fmt.Errorf("mailbox: receiver of %d: %w", o.ID, err)
		}
		out = append(out, o)
	}
	return out, rows.Err()
}

// Sent returns the answers of a ticket that left by mail, newest first. The caller
// has checked that the ticket may be seen.
func (s *Service) Sent(ctx context.Context, ticketID int64) ([]Out, error) {
	return s.outs(ctx, s.run.DB().Read(), `ticket_id = $1 ORDER BY id DESC LIMIT 50`, ticketID)
}

// Answers lets what is said to a customer who wrote a mail leave by mail: each
// entry once, with the facts that said so.
func (s *Service) Answers() event.Listener {
	return event.Listener{
		Name:  "mail answers",
		Kinds: []string{"ticket.replied", "ticket.asked", "ticket.confirmation_requested"},
		Handle: func(ctx context.Context, tx *db.Tx, evs []event.Stored) error {
			for _, e := range evs {
				var f ticket.Fact
				if err := e.Decode(&f); err != nil {
					return err
				}
				if e.Subject.Type == "ticket" && f.Entry > 0 && f.Parent == 0 {
					if err := s.answer(ctx, tx, e.Subject.ID, f.Entry); err != nil {
						return err
					}
				}
			}
			return nil
		},
	}
}

// answer puts an entry in line when the customer of its ticket wrote a mail to a
// mailbox that answers.
func (s *Service) answer(ctx context.Context, tx *db.Tx, ticketID, entry int64) error {
	ms, err := s.mailsWhere(ctx, tx, `ticket_id = $1 AND state = 'done' AND kind = '' ORDER BY id DESC LIMIT 1`, ticketID)
	if err != nil || len(ms) == 0 {
		return err
	}
	var said int
	if err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM entries WHERE id = $1 AND ticket_id = $2 AND kind IN ('reply', 'question')`, entry, ticketID).Scan(&said); err != nil {
		return fmt.Errorf("mailbox: answer: %w", err)
	}
	if said == 0 {
		return nil
	}
	b, err := s.box(ctx, tx, ms[0].BoxID)
	if err != nil {
		return err
	}
	to := answerTo(ms[0].Head)
	if !b.Settings.Answer || !b.Active || !valid(to.Addr) {
		return nil
	}
	raw, err := json.Marshal(to)
	if err != nil {
		return err
	}
	_, domain, _ := strings.Cut(b.Address, "@")
	var id int64
	err = tx.QueryRow(ctx, `
		INSERT INTO mail_out (ticket_id, entry_id, mailbox_id, message_id, to_sealed, state, next_at, created_at) VALUES ($1, $2, $3, $4, $5, 'waiting', $6, $6)
		ON CONFLICT DO NOTHING RETURNING id`, ticketID, entry, b.ID, s.MessageID(ticketID, domain), []byte{0}, tx.NowMicros()).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // it is in line already
	}
	if err != nil {
		return fmt.Errorf("mailbox: answer: %w", err)
	}
	sealed, err := s.keys.Seal(crypt.Place("mail_out", id, "to"), string(raw))
	if err != nil {
		return fmt.Errorf("mailbox: answer: %w", err)
	}
	if _, err := tx.Exec(ctx, `UPDATE mail_out SET to_sealed = $1 WHERE id = $2`, sealed, id); err != nil {
		return fmt.Errorf("mailbox: answer: %w", err)
	}
	return nil
}

// answerTo is where the answer goes: where its sender wants it, else to him; of a
// mail that a colleague forwarded, to the customer.
func answerTo(h Head) eml.Address {
	if h.Original.Addr != "" {
		return h.Original
	}
	if len(h.ReplyTo) > 0 && valid(h.ReplyTo[0].Addr) {
		a := h.ReplyTo[0]
		if a.Name == "" {
			a.Name = h.From.Name
		}
		return a
	}
	return h.From
}

const sendAttempts = 8

// SendDue hands over the answers whose time has come.
func (s *Service) SendDue(ctx context.Context) error {
	now := db.Micros(s.run.DB().Clock().Now())
	os, err := s.outs(ctx, s.run.DB().Read(), `state = 'waiting' AND next_at <= $1 ORDER BY next_at, id LIMIT 50`, now)
	if err != nil {
		return err
	}
	for _, o := range os {
		if ctx.Err() != nil {
			return nil
		}
		if err := s.send(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) send(ctx context.Context, o Out) error {
	l, server, err := s.letter(ctx, o)
	answer := ""
	if err == nil {
		answer, err = s.Send(ctx, server, l)
	}
	if err != nil && ctx.Err() != nil {
		return nil
	}
	gone := false
	werr := s.run.DB().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		state, next, said := "sent", int64(0), answer
		if err != nil {
			f := outbound.FailOf(err)
			said = f.Detail()
			wait := min(time.Minute<<min(o.Attempts, 8), 2*time.Hour)
			switch {
			case f.Kind == outbound.Unsure: // it may have arrived: sent twice would be worse than asked for
				state = "unsure"
			case f.Kind == outbound.Refused || f.Kind == outbound.Address || o.Attempts+1 >= sendAttempts || fault.Is(err, fault.NotFound):
				state = "failed"
			default:
				state, next = "waiting", db.Micros(tx.Now.Add(max(wait, f.Retry)))
			}
		}
		sentAt := int64(0)
		if state == "sent" || state == "unsure" {
			sentAt = tx.NowMicros()
		}
		if _, err := tx.Exec(ctx, `UPDATE mail_out SET state = $1, attempts = attempts + 1, next_at = $2, answer = $3, sent_at = $4 WHERE id = $5 AND state = 'waiting'`, state, next, cut(said, 500), sentAt, o.ID); err != nil {
			return fmt.Errorf("mailbox: send %d: %w", o.ID, err)
		}
		gone = state == "sent"
		return nil
	})
	if werr == nil && gone {
		return s.tickets.Told(ctx, authz.System(actorName), o.TicketID)
	}
	return werr
}

// letter writes the mail of an answer.
func (s *Service) letter(ctx context.Context, o Out) (l mail.Letter, server mail.Server, err error) {
	q := s.run.DB().Read()
	b, err := s.box(ctx, q, o.BoxID)
	if err != nil {
		return l, server, err
	}
	sec, err := s.secrets(b)
	if err != nil {
		return l, server, err
	}
	t, err := s.tickets.Get(ctx, authz.For(authz.System(actorName), ticket.PermView), o.TicketID)
	if err != nil {
		return l, server, err
	}
	text, err := journal.Body(ctx, q, o.EntryID)
	if err != nil {
		return l, server, err
	}
	ms, err := s.mailsWhere(ctx, q, `ticket_id = $1 AND state = 'done' AND kind = '' ORDER BY id LIMIT 100`, o.TicketID)
	if err != nil {
		return l, server, err
	}
	set := b.Settings
	server = mail.Server{Host: set.SMTPHost, Port: set.SMTPPort, TLS: set.SMTPTLS, User: set.User, Password: sec.Password, From: b.Address, FromName: set.FromName}
	l = mail.Letter{ID: o.MessageID, To: o.To.Addr, Name: o.To.Name, ReplyTo: b.Address, At: o.CreatedAt, Subject: "Re: " + eml.BareSubject(t.Title) + " [#" + t.Number + "]"}
	for _, m := range ms {
		if m.MessageID != "" {
			l.References, l.InReplyTo = append(l.References, m.MessageID), m.MessageID
		}
	}
	earlier, err := s.outs(ctx, q, `ticket_id = $1 AND id < $2 AND state = 'sent' ORDER BY id DESC LIMIT 10`, o.TicketID, o.ID)
	if err != nil {
		return l, server, err
	}
	for i := len(earlier) - 1; i >= 0; i-- {
		l.References = append(l.References, earlier[i].MessageID)
	}
	var body strings.Builder
	body.WriteString(word("mailbox.out.above") + "\n\n" + text + "\n")
	if s.Link != nil {
		if link := s.Link(ctx, t); link != "" {
			body.WriteString("\n" + word("mailbox.out.link") + "\n" + link + "\n")
		}
	}
	if sig := strings.TrimSpace(set.Signature); sig != "" {
		body.WriteString("\n-- \n" + sig + "\n")
	}
	l.Text = body.String()
	files, err := s.files.OfEntries(ctx, q, []int64{o.EntryID})
	if err != nil {
		return l, server, err
	}
	total := int64(0)
	for _, f := range files[o.EntryID] {
		if total += f.Size; f.Owner.Internal || total > maxOut {
			continue
		}
		l.Files = append(l.Files, mail.Attachment{Name: f.Name, Type: f.MIME, Open: s.opener(ctx, f)})
	}
	return l, server, nil
}

// maxOut bounds what a mail of ours carries: more is refused by most servers. What
// does not fit is on the customer's page.
const maxOut = 18 << 20

func (s *Service) opener(ctx context.Context, f blob.File) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return s.files.Store().Open(ctx, f.SHA256) }
}

// Again sends an answer that failed once more.
func (s *Service) Again(ctx context.Context, actor authz.Actor, id int64) (ticketID int64, err error) {
	err = s.run.Do(ctx, actor, "mailbox.send_again", func(ctx context.Context, a *action.Action) error {
		os, err := s.outs(ctx, a, `id = $1`, id)
		if err != nil {
			return err
		}
		if len(os) == 0 {
			return fault.New(fault.NotFound, "mailbox.mail.not_found")
		}
		ticketID = os[0].TicketID
		t, err := s.tickets.Get(ctx, ticket.View(actor), ticketID)
		if err != nil {
			return fault.New(fault.NotFound, "mailbox.mail.not_found")
		}
		if err := actor.Check(ticket.PermHandle); err != nil {
			return err
		}
		if os[0].State == "waiting" || os[0].State == "sent" {
			return fault.New(fault.Conflict, "mailbox.decided")
		}
		// Another mail: the same Message-ID would be taken for the first one.
		b, err := s.box(ctx, a, os[0].BoxID)
		if err != nil {
			return err
		}
		_, domain, _ := strings.Cut(b.Address, "@")
		if _, err := a.Exec(ctx, `UPDATE mail_out SET state = 'waiting', attempts = 0, next_at = $1, answer = '', message_id = $2 WHERE id = $3`, a.NowMicros(), s.MessageID(t.ID, domain), id); err != nil {
			return fmt.Errorf("mailbox: send again: %w", err)
		}
		a.Record(event.Event{Kind: SentAgain, Subject: event.Subject{Type: "ticket", ID: t.ID}, Data: Facts{Args: []string{t.Number}}})
		return nil
	})
	return ticketID, err
}
