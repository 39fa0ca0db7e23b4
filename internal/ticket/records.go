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
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/journal"
	"bihuan/internal/sla"
)

// change loads a ticket in the actor's view, lets fn change it and records kind.
func (s *Service) change(ctx context.Context, actor authz.Actor, perm authz.Permission, name, kind string, id int64, fn func(ctx context.Context, a *action.Action, old Ticket, t *Ticket, f *Fact) error) (t Ticket, err error) {
	if err := actor.Check(perm); err != nil {
		return t, err
	}
	err = s.run.Do(ctx, actor, name, func(ctx context.Context, a *action.Action) (err error) {
		t, err = s.changeIn(ctx, a, perm, kind, id, fn)
		return err
	})
	return t, err
}

func (s *Service) changeIn(ctx context.Context, a *action.Action, perm authz.Permission, kind string, id int64, fn func(ctx context.Context, a *action.Action, old Ticket, t *Ticket, f *Fact) error) (t Ticket, err error) {
	if err := a.Actor.Check(perm); err != nil {
		return t, err
	}
	old, err := s.load(ctx, a, id)
	if err != nil {
		return t, err
	}
	t = old
	var f Fact
	if err := fn(ctx, a, old, &t, &f); err != nil {
		return t, err
	}
	if err := s.save(ctx, a, old, &t); err != nil {
		return t, err
	}
	out := fact(old, t)
	out.From = "" // no move
	out.Args, out.Tell, out.Entry, out.Changes = f.Args, f.Tell, f.Entry, f.Changes
	return t, s.note(ctx, a, kind, t, out, "")
}

func closedRefused(t Ticket) error {
	if t.MergedInto != 0 {
		return fault.New(fault.Conflict, "ticket.merge.gone")
	}
	if t.State == Closed || t.State == Cancelled {
		return fault.New(fault.Conflict, "ticket.read_only")
	}
	return nil
}

// archivedRefused keeps the archive as it is; of a cancelled ticket colleagues
// may still note what they learn.
func archivedRefused(t Ticket) error {
	if t.MergedInto != 0 {
		return fault.New(fault.Conflict, "ticket.merge.gone")
	}
	if t.State == Closed {
		return fault.New(fault.Conflict, "ticket.read_only")
	}
	return nil
}

// Reply says something to the customer: the first one meets the first response,
// each restarts the progress clock. Only who handles the ticket speaks for it,
// so that two people do not answer the same customer.
func (s *Service) Reply(ctx context.Context, actor authz.Actor, id int64, text string, files []int64) (t Ticket, err error) {
	if err := actor.Check(PermHandle); err != nil {
		return t, err
	}
	err = s.run.Do(ctx, actor, "ticket.reply", func(ctx context.Context, a *action.Action) (err error) {
		t, err = s.ReplyIn(ctx, a, id, text, files)
		return err
	})
	return t, err
}

// ReplyIn is Reply inside an action under way.
func (s *Service) ReplyIn(ctx context.Context, a *action.Action, id int64, text string, files []int64) (Ticket, error) {
	return s.changeIn(ctx, a, PermHandle, "ticket.replied", id, func(ctx context.Context, a *action.Action, old Ticket, t *Ticket, f *Fact) error {
		if err := closedRefused(old); err != nil {
			return err
		}
		if old.AssigneeID != a.Actor.ID && !old.InScope(authz.For(a.Actor, PermSupervise)) {
			return fault.New(fault.Forbidden, "ticket.only_assignee")
		}
		if blank(text) {
			return fault.Invalidf("ticket.need_body").Field("body", "ticket.need_body")
		}
		entry, err := s.sayIn(ctx, a, t, journal.Reply, "reply", text, files)
		if err != nil {
			return err
		}
		f.Entry = entry
		if err := s.tasksDone(ctx, a, t, false); err != nil {
			return err
		}
		return s.progressed(ctx, a, t, "replied")
	})
}

// progressed marks activity and restarts the clock of the next update.
func (s *Service) progressed(ctx context.Context, a *action.Action, t *Ticket, why string) error {
	t.ActivityAt = a.Now
	if t.State == InProgress {
		return s.armUpdate(ctx, a, *t, why)
	}
	return nil
}

// Note writes an internal note; mentioned colleagues begin to watch the ticket
// and are told (TKT-21).
func (s *Service) Note(ctx context.Context, actor authz.Actor, id int64, text string, mentions, files []int64) (t Ticket, err error) {
	if err := actor.Check(PermNote); err != nil {
		return t, err
	}
	err = s.run.Do(ctx, actor, "ticket.note", func(ctx context.Context, a *action.Action) (err error) {
		t, err = s.NoteIn(ctx, a, id, text, mentions, files)
		return err
	})
	return t, err
}

// NoteIn is Note inside an action under way.
func (s *Service) NoteIn(ctx context.Context, a *action.Action, id int64, text string, mentions, files []int64) (Ticket, error) {
	return s.changeIn(ctx, a, PermNote, "ticket.noted", id, func(ctx context.Context, a *action.Action, old Ticket, t *Ticket, f *Fact) error {
		if err := archivedRefused(old); err != nil {
			return err
		}
		if blank(text) && len(files) == 0 {
			return fault.Invalidf("ticket.need_body").Field("body", "ticket.need_body")
		}
		entry, err := journal.Add(ctx, a, journal.Entry{TicketID: id, CustomerID: t.CustomerID, Kind: journal.Note, Body: strings.TrimSpace(text)})
		if err != nil {
			return err
		}
		if err := s.attach(ctx, a, *t, entry, files, true); err != nil {
			return err
		}
		for _, m := range mentions {
			if err := s.mayHear(ctx, a, m, "mentions"); err != nil {
				return err
			}
			if err := watch(ctx, a, id, m); err != nil {
				return err
			}
		}
		f.Entry, f.Tell = entry, tell(mentions...)
		if a.Actor.Kind != authz.Worker { // what the program notes is no sign of life
			t.ActivityAt = a.Now
		}
		return nil
	})
}

// mayHear checks that a colleague who is named on a ticket may see tickets at
// all: the notice that he was named carries its title.
func (s *Service) mayHear(ctx context.Context, a *action.Action, user int64, field string) error {
	p, ok, err := s.org.Person(ctx, a, user)
	if err != nil {
		return err
	} else if !ok || !p.Active {
		return fault.Invalidf("ticket.assignee.unknown").Field(field, "ticket.assignee.unknown")
	}
	if ok, err = s.org.CanBeGiven(ctx, a, user, 0, PermView); err != nil {
		return err
	} else if !ok {
		return fault.Invalidf("ticket.named.no_right", p.Name).Field(field, "ticket.named.no_right", p.Name)
	}
	return nil
}

// FollowUp writes a follow-up record (FLW-1): progress for the clock, and the
// supervisor's word for a second handling.
func (s *Service) FollowUp(ctx context.Context, actor authz.Actor, id int64, text string, r journal.Record, files []int64) (t Ticket, err error) {
	if err := actor.Check(PermNote); err != nil {
		return t, err
	}
	err = s.run.Do(ctx, actor, "ticket.follow_up", func(ctx context.Context, a *action.Action) (err error) {
		t, err = s.FollowUpIn(ctx, a, id, text, r, files)
		return err
	})
	return t, err
}

// FollowUpIn is FollowUp inside an action under way.
func (s *Service) FollowUpIn(ctx context.Context, a *action.Action, id int64, text string, r journal.Record, files []int64) (Ticket, error) {
	return s.changeIn(ctx, a, PermNote, "ticket.followed_up", id, func(ctx context.Context, a *action.Action, old Ticket, t *Ticket, f *Fact) error {
		if err := archivedRefused(old); err != nil {
			return err
		}
		cfg, err := s.config(ctx, a)
		if err != nil {
			return err
		}
		if r.NextOwnerID != 0 {
			if err := s.mayHear(ctx, a, r.NextOwnerID, "next_owner"); err != nil {
				return err
			}
			p, _, err := s.org.Person(ctx, a, r.NextOwnerID)
			if err != nil {
				return err
			}
			r.NextOwnerName = p.Name
		}
		entry, err := journal.AddFollowUp(ctx, a, id, t.CustomerID, text, r, cfg.RefuseVague)
		if err != nil {
			return err
		}
		if err := s.attach(ctx, a, *t, entry, files, true); err != nil {
			return err
		}
		f.Entry = entry
		if err := customer.FollowedUp(ctx, a.Tx, t.CustomerID, r); err != nil {
			return err
		}
		if r.NextOwnerID != 0 && r.NextOwnerID != a.Actor.ID {
			// Who has to go on with it must be able to open it.
			if err := watch(ctx, a, id, r.NextOwnerID); err != nil {
				return err
			}
			f.Tell = tell(r.NextOwnerID)
		}
		if r.Spoken() {
			if err := s.responded(ctx, a, t); err != nil {
				return err
			}
		}
		supervisors := t.Round > 1 && (a.Actor.ID == t.SupervisorID || t.InScope(authz.For(a.Actor, PermSupervise)))
		if supervisors {
			if err := meet(ctx, a, t, "followed_up", sla.FollowUp); err != nil {
				return err
			}
		}
		if err := s.tasksDone(ctx, a, t, supervisors); err != nil {
			return err
		}
		return s.progressed(ctx, a, t, "followed_up")
	})
}

// Edit changes what describes a ticket. Priority follows the matrix unless
// another is given with its reason; changed urgency moves the deadlines
// without losing the time used (SLA-4).
type Edit struct {
	Version        int64
	Title          string
	Type           string
	Class          string
	CategoryID     int64
	Urgency        string
	Priority       string // "": by the matrix
	PriorityReason string
	Fields         field.Input // custom fields; those left out stay as they are
}

// Edit applies in to ticket id.
func (s *Service) Edit(ctx context.Context, actor authz.Actor, id int64, in Edit) (Ticket, error) {
	return s.change(ctx, actor, PermEdit, "ticket.edit", "ticket.edited", id, s.editing(func(context.Context, *action.Action, Ticket) (Edit, error) { return in, nil }))
}

// EditIn is Edit inside an action under way.
func (s *Service) EditIn(ctx context.Context, a *action.Action, id int64, in Edit) (Ticket, error) {
	return s.changeIn(ctx, a, PermEdit, "ticket.edited", id, s.editing(func(context.Context, *action.Action, Ticket) (Edit, error) { return in, nil }))
}

// editing is the change of an edit, which from makes of the ticket as it stands.
func (s *Service) editing(from func(ctx context.Context, a *action.Action, old Ticket) (Edit, error)) func(ctx context.Context, a *action.Action, old Ticket, t *Ticket, f *Fact) error {
	return func(ctx context.Context, a *action.Action, old Ticket, t *Ticket, f *Fact) error {
		id := old.ID
		if err := closedRefused(old); err != nil {
			return err
		}
		if old.AssigneeID != a.Actor.ID && !old.InScope(authz.For(a.Actor, PermEdit)) {
			return authz.Denied(PermEdit)
		}
		in, err := from(ctx, a, old)
		if err != nil {
			return err
		}
		if in.Version != 0 && in.Version != old.Version {
			return changedMeanwhile()
		}
		reg := RegisterInput{Title: in.Title, Type: in.Type, Class: in.Class, Urgency: in.Urgency, Priority: in.Priority, Channel: old.Channel}
		have, err := s.FieldValues(ctx, a, id)
		if err != nil {
			return err
		}
		values, bad := s.checkFields(ctx, a, in.Type, in.Fields, field.Mode{Old: have})
		if err := fault.Both(reg.check().OrNil(), bad); err != nil {
			return err
		}
		if in.CategoryID != 0 {
			if ok, err := exists(ctx, a, "categories", in.CategoryID); err != nil {
				return err
			} else if !ok {
				return fault.Invalidf("ticket.invalid").Field("category", "ticket.need_choice")
			}
		}
		byMatrix, err := Priority(ctx, a, in.Urgency, old.CustomerLevel)
		if err != nil {
			return err
		}
		if in.Priority == "" || in.Priority == byMatrix {
			in.Priority, in.PriorityReason = byMatrix, ""
		} else if blank(in.PriorityReason) {
			return fault.Invalidf("ticket.need_priority_reason").Field("priority_reason", "ticket.need_priority_reason")
		}
		t.Title, t.Type, t.Class, t.CategoryID, t.Urgency, t.Priority, t.PriorityReason = reg.Title, in.Type, in.Class, in.CategoryID, in.Urgency, in.Priority, in.PriorityReason
		for _, c := range []event.Change{{Field: "title", Old: old.Title, New: t.Title}, {Field: "type", Old: old.Type, New: t.Type}, {Field: "class", Old: old.Class, New: t.Class},
			{Field: "category", Old: fmt.Sprint(old.CategoryID), New: fmt.Sprint(t.CategoryID)}, {Field: "urgency", Old: old.Urgency, New: t.Urgency}, {Field: "priority", Old: old.Priority, New: t.Priority}} {
			if c.Old != c.New {
				f.Changes = append(f.Changes, c)
			}
		}
		own, err := s.fields().Set(ctx, a.Tx, field.Ticket, id, values)
		if err != nil {
			return err
		}
		f.Changes = append(f.Changes, own...)
		if len(f.Changes) == 0 {
			return fault.Invalidf("ticket.nothing_changed")
		}
		t.ActivityAt = a.Now
		return nil
	}
}

func watch(ctx context.Context, a *action.Action, id, user int64) error {
	_, err := watchAs(ctx, a, id, user, "")
	return err
}

// watchAs makes a colleague a watcher for a reason; it reports whether he was
// none before.
func watchAs(ctx context.Context, a *action.Action, id, user int64, reason string) (bool, error) {
	res, err := a.Exec(ctx, `INSERT INTO ticket_watchers (ticket_id, user_id, reason) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, id, user, reason)
	if err != nil {
		return false, fmt.Errorf("ticket: watch %d: %w", id, err)
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// Watch makes actor a watcher of the ticket, or no longer one.
func (s *Service) Watch(ctx context.Context, actor authz.Actor, id int64, on bool) error {
	kind := "ticket.watched"
	if !on {
		kind = "ticket.unwatched"
	}
	return s.run.Do(ctx, actor, "ticket.watch", func(ctx context.Context, a *action.Action) error {
		t, err := s.load(ctx, a, id)
		if err != nil {
			return err
		}
		if on {
			err = watch(ctx, a, id, actor.ID)
		} else if _, err = a.Exec(ctx, `DELETE FROM ticket_watchers WHERE ticket_id = $1 AND user_id = $2`, id, actor.ID); err != nil {
			err = fmt.Errorf("ticket: unwatch %d: %w", id, err)
		}
		f := fact(t, t)
		f.From, f.Entry = "", -1 // no line in the journal
		a.Record(event.Event{Kind: kind, Subject: Subject(id), Data: f})
		return err
	})
}

// Watchers returns the ids of who watches ticket id; the caller has checked
// that the ticket may be seen.
func (s *Service) Watchers(ctx context.Context, id int64) ([]int64, error) {
	return s.WatchersIn(ctx, s.DB().Read(), id)
}

// WatchersOf returns who follows each of the tickets.
func (s *Service) WatchersOf(ctx context.Context, ids []int64) (map[int64][]int64, error) {
	out := map[int64][]int64{}
	err := db.EachIn(ids, func(in string, args []any) error {
		rows, err := s.DB().Read().Query(ctx, `SELECT ticket_id, user_id FROM ticket_watchers WHERE ticket_id IN (`+in+`) ORDER BY ticket_id, user_id`, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id, user int64
			if err := rows.Scan(&id, &user); err != nil {
				return err
			}
			out[id] = append(out[id], user)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("ticket: watchers: %w", err)
	}
	return out, nil
}

// WatchersIn is Watchers inside a transaction.
func (s *Service) WatchersIn(ctx context.Context, q db.Querier, id int64) ([]int64, error) {
	rows, err := q.Query(ctx, `SELECT user_id FROM ticket_watchers WHERE ticket_id = $1 ORDER BY user_id`, id)
	if err != nil {
		return nil, fmt.Errorf("ticket: watchers: %w", err)
	}
	defer rows.Close()
	var out []int64
	for rows.Next() {
		var u int64
		if err := rows.Scan(&u); err != nil {
			return nil, fmt.Errorf("ticket: watchers: %w", err)
		}
		out = append(out, u)
	}
	return out, rows.Err()
}

// storeRating writes the rating of a round, once; it returns the stars of an
// earlier answer of the same round.
func (s *Service) storeRating(ctx context.Context, a *action.Action, t Ticket, r Rating) (old int, err error) {
	err = a.QueryRow(ctx, `SELECT stars FROM ratings WHERE ticket_id = $1 AND round = $2`, t.ID, r.Round).Scan(&old)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("ticket: rating: %w", err)
	}
	by := int64(0)
	if a.Actor.Kind == authz.User {
		by = a.Actor.ID
	}
	_, err = a.Exec(ctx, `
		INSERT INTO ratings (ticket_id, round, stars, speed, quality, attitude, handling, solved, comment, suggestion, via, by_user, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
		ON CONFLICT (ticket_id, round) DO UPDATE SET stars = excluded.stars, speed = excluded.speed, quality = excluded.quality, attitude = excluded.attitude, handling = excluded.handling,
			solved = excluded.solved, comment = excluded.comment, suggestion = excluded.suggestion, via = excluded.via, by_user = excluded.by_user, updated_at = excluded.updated_at`,
		t.ID, r.Round, r.Stars, r.Speed, r.Quality, r.Attitude, r.Handling, db.Bool(r.Solved), r.Comment, r.Suggestion, r.Via, by, a.NowMicros(), a.NowMicros())
	if err != nil {
		return 0, fmt.Errorf("ticket: rating: %w", err)
	}
	return old, nil
}

// Ratings returns the ratings of a ticket by round; the caller has checked
// that the ticket may be seen.
func Ratings(ctx context.Context, q db.Querier, id int64) ([]Rating, error) {
	rows, err := q.Query(ctx, `SELECT round, stars, speed, quality, attitude, handling, solved, comment, suggestion, via, created_at, updated_at FROM ratings WHERE ticket_id = $1 ORDER BY round`, id)
	if err != nil {
		return nil, fmt.Errorf("ticket: ratings: %w", err)
	}
	defer rows.Close()
	var out []Rating
	for rows.Next() {
		var r Rating
		var solved int
		var created, updated int64
		if err := rows.Scan(&r.Round, &r.Stars, &r.Speed, &r.Quality, &r.Attitude, &r.Handling, &solved, &r.Comment, &r.Suggestion, &r.Via, &created, &updated); err != nil {
			return nil, fmt.Errorf("ticket: ratings: %w", err)
		}
		r.Solved, r.CreatedAt, r.UpdatedAt = solved == 1, db.FromMicros(created), db.FromMicros(updated)
		out = append(out, r)
	}
	return out, rows.Err()
}

// Rate takes the customer's answer to the survey, whatever state the ticket is
// in: while confirmation is awaited it confirms or disputes; after completion,
// within the window, it is stored or changed, and a bad one reopens (SAT-2, 3).
func (s *Service) Rate(ctx context.Context, actor authz.Actor, id int64, r Rating) (t Ticket, err error) {
	err = s.run.Do(ctx, actor, "ticket.rate", func(ctx context.Context, a *action.Action) error {
		old, err := s.load(ctx, a, id)
		if err != nil {
			return err
		}
		cfg, err := s.config(ctx, a)
		if err != nil {
			return err
		}
		if err := r.check(); err != nil {
			return err
		}
		switch {
		case old.State == AwaitingConfirmation && r.Bad(cfg.BadStars):
			t, err = s.DoIn(ctx, a, id, Dispute, Input{Rating: &r})
			return err
		case old.State == AwaitingConfirmation:
			t, err = s.DoIn(ctx, a, id, Confirm, Input{Rating: &r})
			return err
		case old.State != Completed || a.Now.Sub(old.CompletedAt) > cfg.ReopenWindow:
			return fault.New(fault.Conflict, "ticket.rating_over")
		}
		given, err := Ratings(ctx, a, id)
		if err != nil {
			return err
		}
		r.Round, r.Via = old.Round, "link"
		if actor.Kind == authz.User {
			if err := actor.Check(PermConfirm); err != nil {
				return err
			}
			r.Via = "phone"
		}
		for _, g := range given {
			if g.Round != old.Round {
				continue
			}
			if same := g; func() bool { same.CreatedAt, same.UpdatedAt = r.CreatedAt, r.UpdatedAt; return same == r }() {
				a.Nothing() // the button pressed twice
				t = old
				return nil
			}
			if a.Now.Sub(g.CreatedAt) > cfg.RatingChange {
				return fault.New(fault.Conflict, "ticket.rating_given")
			}
		}
		was, err := s.storeRating(ctx, a, old, r)
		if err != nil {
			return err
		}
		if err := countRating(ctx, a, old, r.Stars, was); err != nil {
			return err
		}
		t = old
		t.Rating, t.ActivityAt = r.Stars, a.Now
		if err := s.save(ctx, a, old, &t); err != nil {
			return err
		}
		f := fact(old, t)
		f.From, f.Args, f.Tell, f.Stars = "", []string{fmt.Sprint(r.Stars)}, tell(t.AssigneeID), r.Stars
		if err := s.note(ctx, a, "ticket.rated", t, f, ""); err != nil {
			return err
		}
		if r.Bad(cfg.BadStars) {
			why := r.Comment
			if blank(why) {
				why = "★" + fmt.Sprint(r.Stars)
			}
			t, err = s.DoIn(ctx, a, id, Reopen, Input{Reason: why, wordsOfCustomer: true, badRating: true})
			return err
		}
		return nil
	})
	return t, err
}

// countRating counts stars for the customer, in place of what he gave before for
// the same round; 0 is none. Words between departments do not count.
func countRating(ctx context.Context, a *action.Action, t Ticket, stars, was int) error {
	if t.ParentID != 0 || stars == 0 && was == 0 {
		return nil
	}
	return customer.AddRating(ctx, a.Tx, t.CustomerID, stars, was)
}

// Draft is unsent text of a person at a place such as "ticket:17:reply".
type Draft struct {
	Place     string
	Body      string
	UpdatedAt time.Time
}

// SaveDraft keeps the actor's unsent text; an empty one is removed. Drafts are
// nobody else's business and leave no trace in the audit.
func (s *Service) SaveDraft(ctx context.Context, actor authz.Actor, place, text string) error {
	if len(place) > 100 || len([]rune(text)) > journal.MaxBody {
		return fault.Invalidf("journal.too_long", journal.MaxBody)
	}
	return s.DB().Write(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		if blank(text) {
			_, err = tx.Exec(ctx, `DELETE FROM drafts WHERE user_id = $1 AND place = $2`, actor.ID, place)
		} else {
			_, err = tx.Exec(ctx, `INSERT INTO drafts (user_id, place, body, updated_at) VALUES ($1, $2, $3, $4)
				ON CONFLICT (user_id, place) DO UPDATE SET body = excluded.body, updated_at = excluded.updated_at`, actor.ID, place, text, tx.NowMicros())
		}
		return err
	})
}

// Drafts returns the actor's drafts whose place begins with prefix, by place.
func (s *Service) Drafts(ctx context.Context, actor authz.Actor, prefix string) (map[string]string, error) {
	rows, err := s.DB().Read().Query(ctx, `SELECT place, body FROM drafts WHERE user_id = $1 AND place >= $2 AND place < $3`, actor.ID, prefix, prefix+"\uffff")
	if err != nil {
		return nil, fmt.Errorf("ticket: drafts: %w", err)
	}
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var place, text string
		if err := rows.Scan(&place, &text); err != nil {
			return nil, fmt.Errorf("ticket: drafts: %w", err)
		}
		out[place] = text
	}
	return out, rows.Err()
}

// Handover moves the open tickets of a person who leaves to a colleague, in the
// action that deactivates him (ORG-7). It returns how many.
func (s *Service) Handover(ctx context.Context, a *action.Action, from, to int64) (int, error) {
	p, ok, err := s.org.Person(ctx, a, to)
	if err != nil {
		return 0, err
	}
	if !ok || !p.Active {
		return 0, fault.Invalidf("ticket.assignee.unknown").Field("to", "ticket.assignee.unknown")
	}
	if can, err := s.org.CanBeGiven(ctx, a, to, 0, PermHandle); err != nil {
		return 0, err
	} else if !can {
		return 0, fault.Invalidf("ticket.assignee.no_right", p.Name).Field("to", "ticket.assignee.no_right", p.Name)
	}
	ids, err := idsOf(ctx, a, `SELECT id FROM tickets WHERE is_open = 1 AND (assignee_id = $1 OR supervisor_id = $2) ORDER BY id`, from, from)
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		old, err := get(ctx, a, authz.For(authz.System(""), PermView), "t.id", id, lockOf(a))
		if err != nil {
			return 0, err
		}
		t := old
		if t.SupervisorID == from {
			t.SupervisorID = to
		}
		if t.AssigneeID == from {
			t.AssigneeID, t.AssigneeName, t.AssignedAt = p.ID, p.Name, a.Now
		}
		if err := s.save(ctx, a, old, &t); err != nil {
			return 0, err
		}
		f := fact(old, t)
		f.Args, f.Tell = []string{old.AssigneeName, p.Name}, tell(p.ID)
		if err := s.note(ctx, a, EventHandedOver, t, f, ""); err != nil {
			return 0, err
		}
	}
	return len(ids), nil
}

// OpenIn reports whether a department has open tickets, so that it is not
// closed over them.
func (s *Service) OpenIn(ctx context.Context, q db.Querier, department int64) (bool, error) {
	ids, err := idsOf(ctx, q, `SELECT id FROM tickets WHERE department_id = $1 AND is_open = 1 LIMIT 1`, department)
	return len(ids) > 0, err
}

func idsOf(ctx context.Context, q db.Querier, query string, args ...any) ([]int64, error) {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("ticket: ids: %w", err)
	}
	defer rows.Close()
	var out []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("ticket: ids: %w", err)
		}
		out = append(out, id)
	}
	return out, rows.Err()
}

// lockAll takes the rows of the tickets ids for writing, always in one order.
func lockAll(ctx context.Context, a *action.Action, ids []int64) error {
	if a.Dialect() != db.Postgres {
		return nil
	}
	return db.EachIn(slices.Sorted(slices.Values(ids)), func(in string, args []any) error {
		_, err := idsOf(ctx, a, `SELECT t.id FROM tickets t WHERE t.id IN (`+in+`) ORDER BY t.id`+lockOf(a), args...)
		return err
	})
}

// Archive closes what has been completed for longer than the reopen window and
// is not kept for another reason; at most limit tickets, and reports how many.
func (s *Service) Archive(ctx context.Context, limit int) (int, error) {
	cfg, err := s.config(ctx, s.DB().Read())
	if err != nil {
		return 0, err
	}
	before := s.DB().Clock().Now().Add(-cfg.ReopenWindow)
	kept, err := s.hooks.kept(ctx, s.DB().Read())
	if err != nil {
		return 0, err
	}
	ids, err := idsOf(ctx, s.DB().Read(), `SELECT t.id FROM tickets t WHERE t.state = 'completed' AND t.is_open = 0 AND t.completed_at < $1`+kept+` ORDER BY t.activity_at, t.id LIMIT $2`, db.Micros(before), limit)
	if err != nil {
		return 0, err
	}
	n := 0
	var errs []error
	for _, id := range ids {
		if _, err := s.Do(ctx, authz.System("archive"), id, Close, Input{}); err == nil {
			n++
		} else if !fault.Is(err, fault.Conflict) { // one that cannot be closed holds up no other
			errs = append(errs, fmt.Errorf("ticket: archive %d: %w", id, err))
		}
	}
	return n, errors.Join(errs...)
}
