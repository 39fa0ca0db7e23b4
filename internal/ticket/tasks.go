package ticket

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/i18n"
	"bihuan/internal/journal"
	"bihuan/internal/sla"
	"bihuan/internal/task"
)

func init() {
	task.OnCount(subjectType, func(ctx context.Context, tx *db.Tx, id, open int64) error {
		if _, err := tx.Exec(ctx, `UPDATE tickets SET open_tasks = $1 WHERE id = $2`, open, id); err != nil {
			return fmt.Errorf("ticket: open tasks of %d: %w", id, err)
		}
		return nil
	})
}

// How long there is to do what the program asks for.
const (
	supervisorTime = 24 * time.Hour
	noRecordTime   = 4 * time.Hour
	noAnswerTime   = 24 * time.Hour
)

// askTask makes the task of origin for user about t.
func (s *Service) askTask(ctx context.Context, a *action.Action, t *Ticket, user int64, origin task.Origin, once string, due time.Time) error {
	p, ok, err := s.org.Person(ctx, a, user)
	if err != nil || !ok {
		return err
	}
	l := p.Lang
	if l == "" {
		l = i18n.ZhCN
	}
	// The notice of the clock, or of the move, is told already.
	_, err = task.Add(ctx, a, task.Ask{Title: i18n.T(l, "task.title."+string(origin), t.Number), OwnerID: user, DueAt: due, Subject: Subject(t.ID), Origin: origin, Once: once, Quiet: true})
	return err
}

// followTasks keeps the tasks the program made of a ticket true to its life: the
// supervisor's follow-up begins with a second handling, and what a move has
// answered is asked no longer.
func (s *Service) followTasks(ctx context.Context, a *action.Action, old Ticket, t *Ticket, v Verb, in Input) error {
	if old.OpenTasks > 0 {
		about := Subject(t.ID)
		var err error
		switch v {
		case Confirm, Dispute:
			err = task.Settle(ctx, a, about, task.Done, "", task.ByNoAnswer, task.ByNoRecord)
		case Lapse, Withdraw:
			err = task.Settle(ctx, a, about, task.Cancelled, string(v), task.ByNoAnswer)
		case RequestConfirmation, Ask:
			err = task.Settle(ctx, a, about, task.Done, "", task.ByNoRecord)
		case Reassign, Assign, Decline:
			err = task.Settle(ctx, a, about, task.Cancelled, string(v), task.ByNoRecord)
		case Cancel, Close:
			err = task.Settle(ctx, a, about, task.Cancelled, string(v), task.ByNoAnswer, task.ByNoRecord, task.ByDispute)
		}
		if err != nil {
			return err
		}
	}
	if (v == Dispute || v == Reopen && in.badRating) && t.SupervisorID != 0 {
		return s.askTask(ctx, a, t, t.SupervisorID, task.ByDispute, fmt.Sprintf("dispute:%d:%d", t.ID, t.Round), a.Now.Add(supervisorTime))
	}
	return nil
}

// tasksDone ends what the program had asked for, because it stands on record now;
// supervisor says that the record is the supervisor's word.
func (s *Service) tasksDone(ctx context.Context, a *action.Action, t *Ticket, supervisor bool) error {
	if t.OpenTasks == 0 {
		return nil
	}
	done := []task.Origin{task.ByNoRecord}
	if supervisor {
		done = append(done, task.ByDispute)
	}
	return task.Settle(ctx, a, Subject(t.ID), task.Done, "", done...)
}

// askFollowUp makes a task when a clock says that nobody has looked after a
// customer for too long (FLW-5).
func (s *Service) askFollowUp(ctx context.Context, a *action.Action, t Ticket, c sla.Clock, step sla.Step) error {
	asks := map[sla.Kind]string{sla.Update: "miss", sla.Confirmation: "remind"}
	if asks[c.Kind] != step.Name || t.AssigneeID == 0 || t.ParentID != 0 {
		return nil
	}
	set, err := task.SettingsIn(ctx, a)
	if err != nil {
		return err
	}
	switch {
	case c.Kind == sla.Update && set.NoRecord:
		return s.askTask(ctx, a, &t, t.AssigneeID, task.ByNoRecord, fmt.Sprintf("update:%d", c.ID), a.Now.Add(noRecordTime))
	case c.Kind == sla.Confirmation && set.Unconfirmed:
		return s.askTask(ctx, a, &t, t.AssigneeID, task.ByNoAnswer, fmt.Sprintf("confirm:%d:%d", t.ID, t.Round), a.Now.Add(noAnswerTime))
	}
	return nil
}

// AsSubject is what the room of tasks asks of this one.
func (s *Service) AsSubject() task.SubjectKind {
	return task.SubjectKind{
		Named: func(ctx context.Context, actor authz.Actor, ids []int64) (map[int64]task.Named, error) {
			refs, err := s.TicketRefs(ctx, actor, ids)
			if err != nil {
				return nil, err
			}
			out := map[int64]task.Named{}
			for id, r := range refs {
				out[id] = task.Named{Label: r.Number, Title: r.Title, Href: "/tickets/" + r.Number}
			}
			return out, nil
		},
		Find: func(ctx context.Context, actor authz.Actor, text string) (int64, error) {
			ids, err := idsOf(ctx, s.DB().Read(), `SELECT id FROM tickets WHERE number = $1`, strings.ToUpper(strings.TrimSpace(text)))
			if err != nil || len(ids) == 0 {
				return 0, err
			}
			refs, err := s.TicketRefs(ctx, actor, ids)
			return refs[ids[0]].ID, err
		},
		// Who has something to do about a ticket must be able to open it.
		Given: func(ctx context.Context, a *action.Action, id, owner int64) error {
			if err := s.mayHear(ctx, a, owner, "owner"); err != nil {
				return err
			}
			return watch(ctx, a, id, owner)
		},
	}
}

// Correct adds to an own follow-up record or note of the ticket what it should
// have said (FLW-6).
func (s *Service) Correct(ctx context.Context, actor authz.Actor, id, entry int64, text string, r journal.Record) (t Ticket, err error) {
	return s.change(ctx, actor, PermNote, "ticket.correct", "ticket.entry_corrected", id, func(ctx context.Context, a *action.Action, old Ticket, t *Ticket, f *Fact) error {
		if err := archivedRefused(old); err != nil {
			return err
		}
		e, err := journal.Get(ctx, a, entry)
		if err != nil {
			return err
		}
		if e.TicketID != id {
			return notFound()
		}
		cfg, err := s.config(ctx, a)
		if err != nil {
			return err
		}
		if r.NextOwnerID != 0 && e.Kind == journal.FollowUp {
			if err := s.mayHear(ctx, a, r.NextOwnerID, "next_owner"); err != nil {
				return err
			}
			r.NextOwnerName = s.org.Name(ctx, r.NextOwnerID)
			if err := watch(ctx, a, id, r.NextOwnerID); err != nil {
				return err
			}
			if r.NextOwnerID != a.Actor.ID {
				f.Tell = tell(r.NextOwnerID)
			}
		}
		if f.Entry, err = journal.Correct(ctx, a, e, text, r, cfg.RefuseVague); err != nil {
			return err
		}
		t.ActivityAt = a.Now
		return nil
	})
}

// DayFigures are what of tickets is looked at before leaving (FLW-4).
func (s *Service) DayFigures() []task.Figure {
	figure := func(key, where string, args func(from, to time.Time) []any, note func(l i18n.Lang, t dayTicket) string) task.Figure {
		return task.Figure{Key: key,
			Count: func(ctx context.Context, q db.Querier, users []int64, from, to time.Time) (map[int64]int, error) {
				return task.CountBy(ctx, q, `SELECT t.assignee_id, COUNT(*) FROM tickets t WHERE `+where+` AND t.assignee_id IN (`, `) GROUP BY t.assignee_id`, users, args(from, to)...)
			},
			Lines: func(ctx context.Context, q db.Querier, l i18n.Lang, user int64, from, to time.Time, limit int) ([]task.Line, error) {
				a := db.Args{Values: args(from, to)}
				rows, err := q.Query(ctx, `SELECT t.number, t.title, t.type, t.state, t.category_id, t.cause, t.solution FROM tickets t WHERE `+where+` AND t.assignee_id = `+a.Add(user)+` ORDER BY t.activity_at DESC, t.id DESC LIMIT `+strconv.Itoa(limit), a.Values...)
				if err != nil {
					return nil, fmt.Errorf("ticket: day: %w", err)
				}
				defer rows.Close()
				var out []task.Line
				for rows.Next() {
					var t dayTicket
					if err := rows.Scan(&t.number, &t.title, &t.typ, (*string)(&t.state), &t.category, &t.cause, &t.solution); err != nil {
						return nil, fmt.Errorf("ticket: day: %w", err)
					}
					x := task.Line{Label: t.number, Title: t.title, Href: "/tickets/" + t.number}
					if note != nil {
						x.Note = note(l, t)
					}
					out = append(out, x)
				}
				return out, rows.Err()
			}}
	}
	since := func(from, _ time.Time) []any { return []any{db.Micros(from)} }
	return []task.Figure{
		figure("no_record", `t.is_open = 1 AND t.assigned_at >= $1 AND NOT EXISTS (SELECT 1 FROM entries e WHERE e.ticket_id = t.id AND e.ticket_id > 0 AND e.kind = 'follow_up')`, since, nil),
		figure("blank", `t.activity_at >= $1 AND (`+blankFields+`)`, since, missing),
		blankRecords(),
		figure("unanswered", `t.is_open = 1 AND t.customer_at > 0`, func(_, _ time.Time) []any { return nil }, nil),
	}
}

// blankFields is what an agent leaves blank on a ticket he has worked on: what
// it is about, and, once the customer was told of the result, how it came about
// and what was done.
const blankFields = `t.category_id = 0 AND EXISTS (SELECT 1 FROM categories)
	OR t.state IN ('awaiting_confirmation', 'completed') AND t.parent_id IS NULL AND (t.solution = '' OR t.cause = '' AND t.class IN ('problem', 'complaint'))`

type dayTicket struct {
	number, title, typ, cause, solution string
	state                               State
	category                            int64
}

// missing says which fields are blank.
func missing(l i18n.Lang, t dayTicket) string {
	var out []string
	if t.category == 0 {
		out = append(out, i18n.T(l, "ticket.field.category"))
	}
	if t.state == AwaitingConfirmation || t.state == Completed {
		if t.cause == "" {
			out = append(out, i18n.T(l, "ticket.field.cause"))
		}
		if t.solution == "" {
			out = append(out, i18n.T(l, "ticket.field.solution"))
		}
	}
	return i18n.T(l, "day.missing", joined(l, out))
}

func joined(l i18n.Lang, words []string) (s string) {
	for i, w := range words {
		if i > 0 {
			s += i18n.T(l, "ticket.list.comma")
		}
		s += w
	}
	return s
}

// blankRecords are today's records of a conversation that do not say how the
// customer took it.
func blankRecords() task.Figure {
	const where = `e.kind = 'follow_up' AND e.created_at >= $1 AND e.author_kind = 'user' AND e.detail NOT LIKE '%"reaction"%' AND e.detail NOT LIKE '%"method":"system"%' AND e.detail NOT LIKE '%"method":"meeting"%'
		AND NOT EXISTS (SELECT 1 FROM entries c WHERE c.corrects_id = e.id AND c.corrects_id > 0)`
	return task.Figure{Key: "reaction",
		Count: func(ctx context.Context, q db.Querier, users []int64, from, to time.Time) (map[int64]int, error) {
			return task.CountBy(ctx, q, `SELECT e.author_id, COUNT(*) FROM entries e WHERE `+where+` AND e.author_id IN (`, `) GROUP BY e.author_id`, users, db.Micros(from))
		},
		Lines: func(ctx context.Context, q db.Querier, l i18n.Lang, user int64, from, to time.Time, limit int) ([]task.Line, error) {
			rows, err := q.Query(ctx, `SELECT e.id, e.body, e.customer_id, COALESCE(t.number, ''), COALESCE(t.title, '') FROM entries e LEFT JOIN tickets t ON t.id = e.ticket_id WHERE `+where+` AND e.author_id = $2 ORDER BY e.id DESC LIMIT `+strconv.Itoa(limit), db.Micros(from), user)
			if err != nil {
				return nil, fmt.Errorf("ticket: day: %w", err)
			}
			defer rows.Close()
			var out []task.Line
			for rows.Next() {
				var id, customer int64
				var body string
				var x task.Line
				if err := rows.Scan(&id, &body, &customer, &x.Label, &x.Title); err != nil {
					return nil, fmt.Errorf("ticket: day: %w", err)
				}
				x.Note = i18n.T(l, "day.missing", i18n.Key("ticket.record.reaction"))
				x.Href = fmt.Sprintf("/customers/%d", customer)
				if x.Label != "" {
					x.Href = fmt.Sprintf("/tickets/%s?entry=%d#e%d", x.Label, id, id)
				}
				if r := []rune(body); x.Title == "" && len(r) > 40 {
					x.Title = string(r[:40]) + "…"
				} else if x.Title == "" {
					x.Title = body
				}
				out = append(out, x)
			}
			return out, rows.Err()
		}}
}
