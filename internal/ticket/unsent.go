package ticket

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/journal"
)

// A message to a customer that is not sent yet is a row: one that can still be
// taken back (sending), and one that colleagues write together (shared). A
// message leaves its row in the transaction that sends it, so it is sent once and
// never lost, whoever is stopped in between; nothing of it depends on a browser
// that stays open.

// UnsentState of a message.
type UnsentState string

const (
	Sending UnsentState = "sending"
	Shared  UnsentState = "shared"
)

// Unsent is a message to a customer that has not gone out.
type Unsent struct {
	ID            int64
	TicketID      int64
	Number, Title string // of the ticket
	State         UnsentState
	UserID        int64 // who sends it
	Body          string
	Verb          Verb // the move it comes with; "" none
	SendAt        time.Time
	CreatedBy     int64
	CreatedAt     time.Time
	UpdatedBy     int64
	UpdatedAt     time.Time
	Version       int64
	origin        string
}

// UnsentFiles is the type under which attachments of unsent messages are kept.
const UnsentFiles = "unsent"

// Outgoing is a message to the customer and the move it comes with, which happen
// together or not at all.
type Outgoing struct {
	Body  string
	Files []int64
	Verb  Verb // "", take, acknowledge, ask or request_confirmation
}

// SendVerbs are the moves a message can come with.
var SendVerbs = []Verb{RequestConfirmation, Ask, Acknowledge, Take}

// sendIn sends o as the action's actor.
func (s *Service) sendIn(ctx context.Context, a *action.Action, id int64, o Outgoing) (t Ticket, err error) {
	if err := a.Actor.Check(PermHandle); err != nil {
		return t, err
	}
	if blank(o.Body) {
		return t, fault.Invalidf("ticket.need_body").Field("body", "ticket.need_body")
	}
	switch o.Verb {
	case "":
		return s.ReplyIn(ctx, a, id, o.Body, o.Files)
	case Take, Acknowledge:
		if _, err = s.DoIn(ctx, a, id, o.Verb, Input{}); err != nil {
			return t, err
		}
		return s.ReplyIn(ctx, a, id, o.Body, o.Files)
	case Ask:
		return s.DoIn(ctx, a, id, Ask, Input{Body: o.Body, Files: o.Files})
	case RequestConfirmation:
		in := Input{Body: o.Body, Files: o.Files}
		now, err := s.load(ctx, a, id)
		if err != nil {
			return t, err
		}
		if blank(now.Solution) {
			in.Solution = o.Body
		}
		return s.DoIn(ctx, a, id, RequestConfirmation, in)
	}
	return t, fault.New(fault.Invalid, "ticket.verb.unknown", string(o.Verb))
}

// errTried ends an attempt that was only to see whether it would succeed.
var errTried = errors.New("ticket: tried")

// Try reports what would happen to fn as an action of actor; nothing of it stays.
func (s *Service) Try(ctx context.Context, actor authz.Actor, name string, fn func(ctx context.Context, a *action.Action) error) error {
	err := s.run.Do(ctx, actor, name, func(ctx context.Context, a *action.Action) error {
		if err := fn(ctx, a); err != nil {
			return err
		}
		return errTried
	})
	if errors.Is(err, errTried) {
		return nil
	}
	return err
}

// Send sends o, or with a delay holds it back that long, so that it can be taken
// back; what would refuse it now refuses it at once. held is the id of the row, 0
// when the message has gone out.
func (s *Service) Send(ctx context.Context, actor authz.Actor, id int64, o Outgoing, delay time.Duration) (held int64, err error) {
	if delay <= 0 {
		return 0, s.run.Do(ctx, actor, "ticket.reply", func(ctx context.Context, a *action.Action) error {
			_, err := s.sendIn(ctx, a, id, o)
			return err
		})
	}
	try := func(ctx context.Context, a *action.Action) error { _, err := s.sendIn(ctx, a, id, o); return err }
	if err := s.Try(ctx, actor, "ticket.reply", try); err != nil {
		return 0, err
	}
	err = s.run.Do(ctx, actor, "ticket.hold", func(ctx context.Context, a *action.Action) error {
		a.Nothing() // nobody has been told anything yet
		at, err := s.sendAt(ctx, a, id, delay)
		if err != nil {
			return err
		}
		err = a.QueryRow(ctx, `INSERT INTO unsent (ticket_id, state, user_id, created_by, body, verb, send_at, created_at, updated_by, updated_at) VALUES ($1, 'sending', $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id`,
			id, actor.ID, actor.ID, strings.TrimSpace(o.Body), string(o.Verb), at, a.NowMicros(), actor.ID, a.NowMicros()).Scan(&held)
		if err != nil {
			return fmt.Errorf("ticket: hold: %w", err)
		}
		_, err = s.files.Attach(ctx, a, o.Files, blob.Owner{Type: UnsentFiles, ID: held, Internal: true})
		return err
	})
	return held, err
}

// sendAt is when a message of the actor goes out: not before those he wrote on
// the ticket earlier.
func (s *Service) sendAt(ctx context.Context, a *action.Action, ticket int64, delay time.Duration) (at int64, err error) {
	err = a.QueryRow(ctx, `SELECT COALESCE(MAX(send_at), 0) FROM unsent WHERE ticket_id = $1 AND user_id = $2 AND state = 'sending'`, ticket, a.Actor.ID).Scan(&at)
	if err != nil {
		return 0, fmt.Errorf("ticket: hold: %w", err)
	}
	return max(at, db.Micros(a.Now.Add(delay))), nil
}

const unsentColumns = `u.id, u.ticket_id, t.number, t.title, u.state, u.user_id, u.body, u.verb, u.send_at, u.created_by, u.created_at, u.updated_by, u.updated_at, u.version, u.origin`

func scanUnsent(row interface{ Scan(...any) error }) (u Unsent, err error) {
	var at, created, updated int64
	err = row.Scan(&u.ID, &u.TicketID, &u.Number, &u.Title, (*string)(&u.State), &u.UserID, &u.Body, (*string)(&u.Verb), &at, &u.CreatedBy, &created, &u.UpdatedBy, &updated, &u.Version, &u.origin)
	u.SendAt, u.CreatedAt, u.UpdatedAt = db.FromMicros(at), db.FromMicros(created), db.FromMicros(updated)
	return u, err
}

// sharedWith is the condition for who sees a shared draft: who began it, who was
// asked, and who handles the ticket.
func sharedWith(a *db.Args, user int64) string {
	u := a.Add(user)
	return "(u.created_by = " + u + " OR t.assignee_id = " + a.Add(user) + " OR EXISTS (SELECT 1 FROM unsent_people p WHERE p.unsent_id = u.id AND p.user_id = " + a.Add(user) + "))"
}

// UnsentOf returns what is on its way from actor, on any ticket, and the drafts
// of ticket id (0: none) that are shared with him, oldest first.
func (s *Service) UnsentOf(ctx context.Context, actor authz.Actor, id int64) (out []Unsent, err error) {
	var a db.Args
	query := `SELECT ` + unsentColumns + ` FROM unsent u JOIN tickets t ON t.id = u.ticket_id WHERE u.user_id = ` + a.Add(actor.ID) + ` AND u.state = 'sending'`
	if id != 0 {
		query += ` UNION ALL SELECT ` + unsentColumns + ` FROM unsent u JOIN tickets t ON t.id = u.ticket_id WHERE u.ticket_id = ` + a.Add(id) + ` AND u.state = 'shared' AND ` + sharedWith(&a, actor.ID)
	}
	rows, err := s.DB().Read().Query(ctx, query+` ORDER BY 1`, a.Values...)
	if err != nil {
		return nil, fmt.Errorf("ticket: unsent: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		u, err := scanUnsent(rows)
		if err != nil {
			return nil, fmt.Errorf("ticket: unsent: %w", err)
		}
		out = append(out, u)
	}
	return out, rows.Err()
}

func (s *Service) unsent(ctx context.Context, a *action.Action, id int64) (Unsent, error) {
	lock := ""
	if a.Dialect() == db.Postgres {
		lock = " FOR UPDATE OF u"
	}
	u, err := scanUnsent(a.QueryRow(ctx, `SELECT `+unsentColumns+` FROM unsent u JOIN tickets t ON t.id = u.ticket_id WHERE u.id = $1`+lock, id))
	if errors.Is(err, sql.ErrNoRows) {
		return u, fault.New(fault.NotFound, "ticket.unsent.gone")
	}
	if err != nil {
		return u, fmt.Errorf("ticket: unsent %d: %w", id, err)
	}
	return u, nil
}

func removeUnsent(ctx context.Context, tx *db.Tx, ids ...int64) error {
	return db.EachIn(ids, func(in string, args []any) error {
		for _, q := range []string{`DELETE FROM unsent_people WHERE unsent_id IN (`, `DELETE FROM unsent_versions WHERE unsent_id IN (`, `DELETE FROM unsent WHERE id IN (`} {
			if _, err := tx.Exec(ctx, q+in+`)`, args...); err != nil {
				return fmt.Errorf("ticket: remove unsent: %w", err)
			}
		}
		return nil
	})
}

// forgetUnsent removes what is not sent on tickets, with its attachments' rows.
func forgetUnsent(ctx context.Context, tx *db.Tx, tickets []int64) error {
	return db.EachIn(tickets, func(in string, args []any) error {
		ids, err := idsOf(ctx, tx, `SELECT id FROM unsent WHERE ticket_id IN (`+in+`) ORDER BY id`, args...)
		if err != nil {
			return err
		}
		if err := blob.RemoveOf(ctx, tx, UnsentFiles, ids); err != nil {
			return err
		}
		return removeUnsent(ctx, tx, ids...)
	})
}

// TakeBack stops a message of the actor's own that has not gone out and returns
// it to his draft, with its attachments; a shared draft is shared again. One that
// has gone out is a Conflict.
func (s *Service) TakeBack(ctx context.Context, actor authz.Actor, id int64) (u Unsent, err error) {
	err = s.run.Do(ctx, actor, "ticket.take_back", func(ctx context.Context, a *action.Action) error {
		a.Nothing()
		u, err = s.unsent(ctx, a, id)
		if fault.Is(err, fault.NotFound) || err == nil && u.State != Sending && u.UserID == actor.ID {
			return fault.New(fault.Conflict, "ticket.unsent.gone")
		}
		if err != nil {
			return err
		}
		if u.UserID != actor.ID {
			return notFound()
		}
		return s.returned(ctx, a, u)
	})
	return u, err
}

// returned gives a message that was not sent back to the action's actor, its
// sender.
func (s *Service) returned(ctx context.Context, a *action.Action, u Unsent) error {
	if u.origin == string(Shared) {
		_, err := a.Exec(ctx, `UPDATE unsent SET state = 'shared', origin = '', send_at = 0, verb = '', user_id = created_by, version = version + 1 WHERE id = $1`, u.ID)
		if err != nil {
			return fmt.Errorf("ticket: share again: %w", err)
		}
		return nil
	}
	files, err := s.files.Release(ctx, a, UnsentFiles, u.ID, a.Now.Add(draftsLast))
	if err != nil {
		return err
	}
	if err := removeUnsent(ctx, a.Tx, u.ID); err != nil {
		return err
	}
	return s.backToDraft(ctx, a.Tx, a.Actor, u.TicketID, "reply", Writing{u.Body, files})
}

// SendNow sends a message of the actor's own without waiting any longer.
func (s *Service) SendNow(ctx context.Context, actor authz.Actor, id int64) (u Unsent, err error) {
	err = s.run.Do(ctx, actor, "ticket.reply", func(ctx context.Context, a *action.Action) error {
		u, err = s.unsent(ctx, a, id)
		if fault.Is(err, fault.NotFound) || err == nil && u.State != Sending && u.UserID == actor.ID {
			a.Nothing() // gone out already: what was wished
			return nil
		}
		if err != nil {
			return err
		}
		if u.UserID != actor.ID {
			return notFound()
		}
		return s.goOut(ctx, a, u)
	})
	return u, err
}

// goOut sends u as the action's actor and removes its row.
func (s *Service) goOut(ctx context.Context, a *action.Action, u Unsent) error {
	files, err := s.files.Release(ctx, a, UnsentFiles, u.ID, a.Now.Add(draftsLast))
	if err != nil {
		return err
	}
	if err := removeUnsent(ctx, a.Tx, u.ID); err != nil {
		return err
	}
	_, err = s.sendIn(ctx, a, u.TicketID, Outgoing{Body: u.Body, Files: files, Verb: u.Verb})
	return err
}

// sendBatch bounds one round of SendDue.
const sendBatch = 200

// SendDue sends what has waited long enough, in the order it was written, each in
// its own transaction. One that is refused meanwhile goes back to its writer, who
// is told. It reports how many have left their rows.
func (s *Service) SendDue(ctx context.Context) (int, error) {
	ids, err := idsOf(ctx, s.DB().Read(), `SELECT id FROM unsent WHERE state = 'sending' AND send_at <= $1 ORDER BY send_at, id LIMIT $2`, db.Micros(s.DB().Clock().Now()), sendBatch)
	if err != nil {
		return 0, err
	}
	n := 0
	var errs []error
	for _, id := range ids {
		if err := s.sendOne(ctx, id); err != nil { // one that fails holds up no other
			errs = append(errs, fmt.Errorf("ticket: send %d: %w", id, err))
		} else {
			n++
		}
	}
	return n, errors.Join(errs...)
}

func (s *Service) sendOne(ctx context.Context, id int64) error {
	var user int64
	err := s.DB().Read().QueryRow(ctx, `SELECT user_id FROM unsent WHERE id = $1 AND state = 'sending'`, id).Scan(&user)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // taken back, or sent by another
	}
	if err != nil {
		return err
	}
	actor, err := s.org.Actor(ctx, user)
	if err == nil {
		err = s.run.Do(ctx, actor, "ticket.reply", func(ctx context.Context, a *action.Action) error {
			u, err := s.unsent(ctx, a, id)
			if fault.Is(err, fault.NotFound) || err == nil && (u.State != Sending || u.UserID != user || u.SendAt.After(a.Now)) {
				a.Nothing()
				return nil
			}
			if err != nil {
				return err
			}
			return s.goOut(ctx, a, u)
		})
	}
	fe, ok := fault.As(err)
	if err == nil || !ok || fe.Kind == fault.Internal {
		return err // the store does not answer: again in a moment
	}
	return s.refused(ctx, id, user, fe)
}

// refused returns a message that could not be sent to its writer and tells him.
// One of somebody who has left the company becomes a shared draft, which whoever
// handles the ticket now sees.
func (s *Service) refused(ctx context.Context, id, user int64, why *fault.Error) error {
	return s.run.Do(ctx, authz.System("outbox"), "ticket.refuse_sending", func(ctx context.Context, a *action.Action) error {
		u, err := s.unsent(ctx, a, id)
		if fault.Is(err, fault.NotFound) || err == nil && u.State != Sending {
			a.Nothing()
			return nil
		}
		if err != nil {
			return err
		}
		if actor, err := s.org.Actor(ctx, user); err == nil {
			part := a.As(actor)
			if err := s.returned(ctx, part, u); err != nil {
				return err
			}
		} else {
			if _, err := a.Exec(ctx, `UPDATE unsent SET state = 'shared', origin = '', send_at = 0, verb = '', version = version + 1 WHERE id = $1`, id); err != nil {
				return fmt.Errorf("ticket: share: %w", err)
			}
		}
		t, err := get(ctx, a, authz.For(a.Actor, PermView), "t.id", u.TicketID, "")
		if err != nil {
			return err
		}
		reason := "@ticket.unsent.refused"
		if len(why.Args) == 0 {
			reason = "@" + why.Key
		}
		f := fact(t, t)
		f.From, f.Args, f.Tell = "", []string{s.org.Name(ctx, user), reason}, tell(user)
		return s.note(ctx, a, "ticket.sending_refused", t, f, "")
	})
}

// Share makes a text a draft that people see, change and send with the actor:
// they watch the ticket from here on and are told; note, what he asks of them,
// stands on the ticket.
func (s *Service) Share(ctx context.Context, actor authz.Actor, id int64, w Writing, note string, people []int64) (draft int64, err error) {
	if err := actor.Check(PermNote); err != nil {
		return 0, err
	}
	err = s.run.Do(ctx, actor, "ticket.share_draft", func(ctx context.Context, a *action.Action) error {
		t, err := s.load(ctx, a, id)
		if err != nil {
			return err
		}
		if err := closedRefused(t); err != nil {
			return err
		}
		bad := checkShared(w.Body)
		if people = slices.DeleteFunc(tell(people...), func(p int64) bool { return p == actor.ID }); len(people) == 0 && t.AssigneeID == actor.ID {
			bad.Field("people", "ticket.shared.need_people")
		}
		if err := bad.OrNil(); err != nil {
			return err
		}
		err = a.QueryRow(ctx, `INSERT INTO unsent (ticket_id, state, user_id, created_by, body, created_at, updated_by, updated_at) VALUES ($1, 'shared', $2, $3, $4, $5, $6, $7) RETURNING id`,
			id, actor.ID, actor.ID, strings.TrimSpace(w.Body), a.NowMicros(), actor.ID, a.NowMicros()).Scan(&draft)
		if err != nil {
			return fmt.Errorf("ticket: share: %w", err)
		}
		if _, err := s.files.Attach(ctx, a, w.Files, blob.Owner{Type: UnsentFiles, ID: draft, Internal: true}); err != nil {
			return err
		}
		if err := writeVersion(ctx, a, draft, 1, w.Body); err != nil {
			return err
		}
		names, err := s.askToLook(ctx, a, t, draft, people)
		if err != nil {
			return err
		}
		if len(people) == 0 { // the ticket's own handler sees it anyway
			people, names = tell(t.AssigneeID), t.AssigneeName
		}
		f := fact(t, t)
		f.From, f.Args, f.Tell = "", []string{names}, people
		if f.Entry, err = s.noted(ctx, a, t, note); err != nil {
			return err
		}
		return s.note(ctx, a, "ticket.draft_shared", t, f, "")
	})
	return draft, err
}

// noted writes what the actor asks of colleagues as an internal note; 0 when it is
// nothing.
func (s *Service) noted(ctx context.Context, a *action.Action, t Ticket, text string) (int64, error) {
	if blank(text) {
		return 0, nil
	}
	return journal.Add(ctx, a, journal.Entry{TicketID: t.ID, CustomerID: t.CustomerID, Kind: journal.Note, Body: strings.TrimSpace(text)})
}

func checkShared(text string) *fault.Error {
	e := fault.Invalidf("ticket.need_body")
	if blank(text) {
		e.Field("body", "ticket.need_body")
	} else if len([]rune(text)) > journal.MaxBody {
		e.Field("body", "journal.too_long", journal.MaxBody)
	}
	return e
}

func (s *Service) askToLook(ctx context.Context, a *action.Action, t Ticket, draft int64, people []int64) (names string, err error) {
	var all []string
	for _, p := range people {
		if err := s.mayHear(ctx, a, p, "people"); err != nil {
			return "", err
		}
		if err := watch(ctx, a, t.ID, p); err != nil {
			return "", err
		}
		if _, err := a.Exec(ctx, `INSERT INTO unsent_people (unsent_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`, draft, p); err != nil {
			return "", fmt.Errorf("ticket: share: %w", err)
		}
		all = append(all, s.org.Name(ctx, p))
	}
	return strings.Join(all, i18n.T(i18n.ZhCN, "ticket.list.comma")), nil
}

func writeVersion(ctx context.Context, a *action.Action, draft, version int64, text string) error {
	_, err := a.Exec(ctx, `INSERT INTO unsent_versions (unsent_id, version, user_id, body, at) VALUES ($1, $2, $3, $4, $5)`, draft, version, a.Actor.ID, strings.TrimSpace(text), a.NowMicros())
	if err != nil {
		return fmt.Errorf("ticket: version of draft %d: %w", draft, err)
	}
	return nil
}

// DraftVersion is what a shared draft said when somebody had changed it.
type DraftVersion struct {
	Version int64
	UserID  int64
	Body    string
	At      time.Time
}

// SharedDraft returns a draft that is shared with actor, with all its versions,
// the newest first, and who was asked to look at it.
func (s *Service) SharedDraft(ctx context.Context, actor authz.Actor, id int64) (u Unsent, versions []DraftVersion, people []int64, err error) {
	q := s.DB().Read()
	var a db.Args
	where := `u.id = ` + a.Add(id) + ` AND u.state = 'shared' AND ` + sharedWith(&a, actor.ID)
	u, err = scanUnsent(q.QueryRow(ctx, `SELECT `+unsentColumns+` FROM unsent u JOIN tickets t ON t.id = u.ticket_id WHERE `+where, a.Values...))
	if errors.Is(err, sql.ErrNoRows) {
		return u, nil, nil, fault.New(fault.NotFound, "ticket.shared.gone")
	}
	if err != nil {
		return u, nil, nil, fmt.Errorf("ticket: shared draft %d: %w", id, err)
	}
	if _, err := s.Get(ctx, View(actor), u.TicketID); err != nil {
		return u, nil, nil, err
	}
	if people, err = idsOf(ctx, q, `SELECT user_id FROM unsent_people WHERE unsent_id = $1 ORDER BY user_id`, id); err != nil {
		return u, nil, nil, err
	}
	rows, err := q.Query(ctx, `SELECT version, user_id, body, at FROM unsent_versions WHERE unsent_id = $1 ORDER BY version DESC LIMIT 50`, id)
	if err != nil {
		return u, nil, nil, fmt.Errorf("ticket: shared draft %d: %w", id, err)
	}
	defer rows.Close()
	for rows.Next() {
		var v DraftVersion
		var at int64
		if err := rows.Scan(&v.Version, &v.UserID, &v.Body, &at); err != nil {
			return u, nil, nil, fmt.Errorf("ticket: shared draft %d: %w", id, err)
		}
		v.At = db.FromMicros(at)
		versions = append(versions, v)
	}
	return u, versions, people, rows.Err()
}

// shared loads a shared draft for a change by the action's actor.
func (s *Service) shared(ctx context.Context, a *action.Action, id, version int64) (Unsent, Ticket, error) {
	u, err := s.unsent(ctx, a, id)
	if err != nil {
		return u, Ticket{}, err
	}
	t, err := s.load(ctx, a, u.TicketID)
	if err != nil {
		return u, t, err
	}
	if u.State != Shared {
		return u, t, fault.New(fault.Conflict, "ticket.shared.gone")
	}
	if u.CreatedBy != a.Actor.ID && t.AssigneeID != a.Actor.ID {
		asked, err := idsOf(ctx, a, `SELECT user_id FROM unsent_people WHERE unsent_id = $1 AND user_id = $2`, id, a.Actor.ID)
		if err != nil {
			return u, t, err
		}
		if len(asked) == 0 {
			return u, t, fault.New(fault.NotFound, "ticket.shared.gone")
		}
	}
	if version != u.Version {
		return u, t, fault.New(fault.Conflict, "ticket.shared.changed")
	}
	return u, t, nil
}

// EditShared changes a shared draft that the actor saw at version; somebody else's
// newer text is a Conflict and stays. further people are asked to look too.
func (s *Service) EditShared(ctx context.Context, actor authz.Actor, id, version int64, w Writing, note string, further []int64) error {
	return s.run.Do(ctx, actor, "ticket.edit_draft", func(ctx context.Context, a *action.Action) error {
		u, t, err := s.shared(ctx, a, id, version)
		if err != nil {
			return err
		}
		if err := checkShared(w.Body).OrNil(); err != nil {
			return err
		}
		if strings.TrimSpace(w.Body) == u.Body && len(w.Files) == 0 && len(further) == 0 && blank(note) {
			a.Nothing()
			return nil
		}
		if _, err := a.Exec(ctx, `UPDATE unsent SET body = $1, updated_by = $2, updated_at = $3, version = version + 1 WHERE id = $4`, strings.TrimSpace(w.Body), actor.ID, a.NowMicros(), id); err != nil {
			return fmt.Errorf("ticket: edit draft %d: %w", id, err)
		}
		if err := writeVersion(ctx, a, id, version+1, w.Body); err != nil {
			return err
		}
		if _, err := s.files.Attach(ctx, a, w.Files, blob.Owner{Type: UnsentFiles, ID: id, Internal: true}); err != nil {
			return err
		}
		if _, err := s.askToLook(ctx, a, t, id, further); err != nil {
			return err
		}
		told := further
		if u.UpdatedBy != actor.ID {
			told = append(told, u.UpdatedBy)
		}
		f := fact(t, t)
		f.From, f.Tell, f.Entry = "", tell(append(told, u.CreatedBy)...), -1 // no line in the journal
		if n, err := s.noted(ctx, a, t, note); err != nil {
			return err
		} else if n != 0 {
			f.Entry = n
		}
		a.Record(event.Event{Kind: "ticket.draft_edited", Subject: Subject(t.ID), Data: f})
		return nil
	})
}

// DropShared throws a shared draft away; who began it does, or who handles the
// ticket.
func (s *Service) DropShared(ctx context.Context, actor authz.Actor, id, version int64) error {
	return s.run.Do(ctx, actor, "ticket.drop_draft", func(ctx context.Context, a *action.Action) error {
		u, t, err := s.shared(ctx, a, id, version)
		if err != nil {
			return err
		}
		if u.CreatedBy != actor.ID && t.AssigneeID != actor.ID {
			return fault.New(fault.Forbidden, "ticket.shared.not_yours")
		}
		fs, err := s.files.Of(ctx, a, UnsentFiles, id)
		if err != nil {
			return err
		}
		for _, f := range fs {
			if err := s.files.Remove(ctx, a, f); err != nil {
				return err
			}
		}
		f := fact(t, t)
		f.From, f.Entry = "", -1
		a.Record(event.Event{Kind: "ticket.draft_dropped", Subject: Subject(t.ID), Data: f})
		return removeUnsent(ctx, a.Tx, id)
	})
}

// SendShared sends a shared draft as the actor, after the time in which he can
// take it back; then it is shared again.
func (s *Service) SendShared(ctx context.Context, actor authz.Actor, id, version int64, v Verb, delay time.Duration) error {
	try := func(ctx context.Context, a *action.Action) error {
		u, _, err := s.shared(ctx, a, id, version)
		if err != nil {
			return err
		}
		u.Verb = v
		return s.goOut(ctx, a, u)
	}
	if delay <= 0 {
		return s.run.Do(ctx, actor, "ticket.reply", try)
	}
	if err := s.Try(ctx, actor, "ticket.reply", try); err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "ticket.hold", func(ctx context.Context, a *action.Action) error {
		u, t, err := s.shared(ctx, a, id, version)
		if err != nil {
			return err
		}
		at, err := s.sendAt(ctx, a, u.TicketID, delay)
		if err != nil {
			return err
		}
		_, err = a.Exec(ctx, `UPDATE unsent SET state = 'sending', origin = 'shared', user_id = $1, verb = $2, send_at = $3, version = version + 1 WHERE id = $4`, actor.ID, string(v), at, id)
		if err != nil {
			return fmt.Errorf("ticket: hold: %w", err)
		}
		f := fact(t, t)
		f.From, f.Entry = "", -1
		a.Record(event.Event{Kind: "ticket.draft_sent", Subject: Subject(t.ID), Data: f}) // it leaves the screens of the others
		return nil
	})
}

// MayReadUnsent decides over the attachments of unsent messages.
func (s *Service) MayReadUnsent(ctx context.Context, actor authz.Actor, f blob.File) error {
	var a db.Args
	where := `u.id = ` + a.Add(f.Owner.ID) + ` AND (u.state = 'sending' AND u.user_id = ` + a.Add(actor.ID) + ` OR u.state = 'shared' AND ` + sharedWith(&a, actor.ID) + `)`
	ids, err := idsOf(ctx, s.DB().Read(), `SELECT u.id FROM unsent u JOIN tickets t ON t.id = u.ticket_id WHERE `+where, a.Values...)
	if err == nil && (len(ids) == 0 || actor.Kind != authz.User) {
		err = notFound()
	}
	return err
}

// UnsentAttachments are the files of a message that is not sent; the caller has
// read the message.
func (s *Service) UnsentAttachments(ctx context.Context, id int64) ([]blob.File, error) {
	return s.files.Of(ctx, s.DB().Read(), UnsentFiles, id)
}

// Preferences are how a person likes to write.
type Preferences struct {
	Undo      time.Duration // how long a message can be taken back; 0: not at all
	AfterSend string        // one of AfterSends
}

// AfterSends are where somebody goes when his message is sent: he stays, goes
// back to the list, or to the next ticket of it.
var AfterSends = []string{"stay", "list", "next"}

// MaxUndo is the longest a message can be held back.
const MaxUndo = 30 * time.Second

// DefaultPreferences are those of who has chosen none.
func DefaultPreferences() Preferences { return Preferences{Undo: 8 * time.Second, AfterSend: "stay"} }

// WritingPreferences returns what actor has chosen.
func (s *Service) WritingPreferences(ctx context.Context, actor authz.Actor) (Preferences, error) {
	p := DefaultPreferences()
	var seconds int64
	err := s.DB().Read().QueryRow(ctx, `SELECT undo_seconds, after_send FROM writing_preferences WHERE user_id = $1`, actor.ID).Scan(&seconds, &p.AfterSend)
	if errors.Is(err, sql.ErrNoRows) {
		return p, nil
	}
	if err != nil {
		return p, fmt.Errorf("ticket: writing preferences: %w", err)
	}
	p.Undo = time.Duration(seconds) * time.Second
	return p, nil
}

// SetWritingPreferences stores them. They are nobody else's business.
func (s *Service) SetWritingPreferences(ctx context.Context, actor authz.Actor, p Preferences) error {
	e := fault.Invalidf("ticket.invalid")
	if p.Undo < 0 || p.Undo > MaxUndo {
		e.Field("undo", "ticket.undo_range", int(MaxUndo/time.Second))
	}
	if !slices.Contains(AfterSends, p.AfterSend) {
		e.Field("after", "ticket.need_choice")
	}
	if err := e.OrNil(); err != nil {
		return err
	}
	return s.DB().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO writing_preferences (user_id, undo_seconds, after_send) VALUES ($1, $2, $3) ON CONFLICT (user_id) DO UPDATE SET undo_seconds = excluded.undo_seconds, after_send = excluded.after_send`,
			actor.ID, int64(p.Undo/time.Second), p.AfterSend)
		return err
	})
}
