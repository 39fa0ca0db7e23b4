package complaint

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/ticket"
)

// Entry is what somebody writes down of a step.
type Entry struct {
	Step   Step
	Values Values
	Amends int64  // the record in force that this one corrects; 0: the step is recorded for the first time
	Reason string // why it is corrected
}

// Record writes a step of the complaint id. A step whose turn has not come is
// refused and names the one that is missing; one that has been recorded is
// amended, never written anew.
func (s *Service) Record(ctx context.Context, actor authz.Actor, id int64, in Entry) (c Complaint, err error) {
	if err := actor.Check(PermRecord); err != nil {
		return c, err
	}
	err = s.run.Do(ctx, actor, "complaint.record", func(ctx context.Context, a *action.Action) (err error) {
		c, err = s.RecordIn(ctx, a, id, in)
		return err
	})
	return c, err
}

// RecordIn is Record inside an action under way; the caller has checked the
// actor's right.
func (s *Service) RecordIn(ctx context.Context, a *action.Action, id int64, in Entry) (c Complaint, err error) {
	kind := EventRecorded
	if in.Amends != 0 {
		kind = EventAmended
	}
	if in.Reason, err = why(in.Reason, in.Amends != 0); err != nil {
		return c, err
	}
	_, err = s.tickets.ActIn(ctx, a, kind, id, in.Reason, func(ctx context.Context, d *ticket.Doing) error {
		if !Is(d.T) {
			return notComplaint()
		}
		if !slices.Contains(Forms, in.Step) {
			return fault.New(fault.NotFound, "complaint.no_step")
		}
		if c, err = full(ctx, a, *d.T); err != nil {
			return err
		}
		if err := recordable(*d.T, in.Step); err != nil {
			return err
		}
		st, err := settings(ctx, a)
		if err != nil {
			return err
		}
		r := Record{Step: in.Step, Round: c.Round, Reason: in.Reason}
		if in.Amends != 0 {
			i := slices.IndexFunc(c.Records, func(o Record) bool { return o.ID == in.Amends && o.Step == in.Step })
			if i < 0 {
				return fault.New(fault.NotFound, "complaint.no_record")
			}
			if slices.ContainsFunc(c.Records, func(o Record) bool { return o.Amends == in.Amends }) {
				return fault.New(fault.Conflict, "complaint.amended_meanwhile")
			}
			r.Amends, r.Round = in.Amends, c.Records[i].Round // it stands in the place of that one
		} else if in.Step != Track && c.Done(in.Step) {
			return fault.New(fault.Conflict, "complaint.recorded_meanwhile", i18n.Key(in.Step.Words()))
		} else if missing := c.Before(in.Step, st.Required); missing != "" {
			return fault.New(fault.Conflict, "complaint.order", i18n.Key(in.Step.Words()), i18n.Key(missing.Words()))
		}
		if r.Values, err = check(in.Step, in.Values, a.Now); err != nil {
			return err
		}
		if r, err = add(ctx, a, *d.T, r); err != nil {
			return err
		}
		c.Records = append(c.Records, r)
		d.Fact.Args = []string{"@" + in.Step.Words()}
		d.Progress = true
		d.Spoken = in.Amends == 0 && (in.Step == Calm || in.Step == Track || in.Step == Respond)
		if r.Round == c.Round || !in.Step.eachRound() {
			if err := s.follows(ctx, a, d, &c, r); err != nil {
				return err
			}
		}
		c.Step = c.Due()
		return save(ctx, a, *d.T, c)
	})
	return c, err
}

// why checks the reason of an amendment.
func why(reason string, needed bool) (string, error) {
	reason = strings.TrimSpace(reason)
	switch n := utf8.RuneCountInString(reason); {
	case needed && n == 0:
		return "", fault.Invalidf("complaint.need_reason").Field("reason", "complaint.need_reason")
	case n > maxText:
		return "", fault.Invalidf("complaint.need_reason").Field("reason", "ui.form.too_long", maxText, n)
	}
	return reason, nil
}

// recordable says in which states of its ticket a step may be recorded: the
// review looks back, also on what has been archived.
func recordable(t ticket.Ticket, s Step) error {
	if t.State == ticket.Cancelled || t.State == ticket.Closed && s != Review {
		return fault.New(fault.Conflict, "ticket.read_only")
	}
	return nil
}

// follows does what a record means for the complaint and its ticket.
func (s *Service) follows(ctx context.Context, a *action.Action, d *ticket.Doing, c *Complaint, r Record) error {
	switch r.Step {
	case Receive:
		c.Wish, c.WishNote = r.Values["wish"], r.Values["wish_note"]
	case Calm:
		c.Mood = r.Values["mood"]
	case Classify:
		c.Severity = r.Values["severity"]
		if c.Severity == "critical" || r.Values["safety"] == "certain" {
			sup, err := s.org.SupervisorOf(ctx, a, d.T.DepartmentID)
			if err != nil {
				return err
			}
			d.Fact.Tell, d.Fact.Urgent = tell(sup, c.LevelUser), true
			d.Fact.Args = append(d.Fact.Args, "@complaint.severity."+c.Severity)
		}
	case Resolve:
		// What the ticket shows, and asks for before it is confirmed.
		for _, x := range []struct {
			field string
			dst   *string
		}{{"cause", &d.T.Cause}, {"corrective", &d.T.Corrective}} {
			if v := r.Values[x.field]; v != *x.dst {
				d.Fact.Changes = append(d.Fact.Changes, event.Change{Field: x.field, Old: *x.dst, New: v})
				*x.dst = v
			}
		}
	case Respond:
		if c.Answer = r.Values["answer"]; c.Answer == "none" {
			c.Answer = ""
		}
		if c.Answer == "rejected" {
			// He stays a complainant: who answers for the department hears of it.
			sup, err := s.org.SupervisorOf(ctx, a, d.T.DepartmentID)
			if err != nil {
				return err
			}
			d.Fact.Tell = tell(sup, c.LevelUser)
			d.Fact.Args = append(d.Fact.Args, "@complaint.answer.rejected")
		}
	case Review:
		c.Reviewed = true
	}
	return nil
}

func tell(ids ...int64) []int64 {
	var out []int64
	for _, id := range ids {
		if id != 0 && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// Wish is the complainant's mood and what he asks for.
type Wish struct {
	Mood, Remedy, Note string
}

func (w Wish) values() Values { return Values{"mood": w.Mood, "wish": w.Remedy, "wish_note": w.Note} }

// Check reports what is wrong with it, each at its field: mood, wish, wish_note.
func (w Wish) Check() error {
	_, err := check(described, w.values(), time.Time{})
	return err
}

// Describe writes down the complainant's mood and what he asks for, as somebody
// understands them now. What was understood before stays among the records.
func (s *Service) Describe(ctx context.Context, actor authz.Actor, id int64, in Wish) (c Complaint, err error) {
	if err := actor.Check(PermRecord); err != nil {
		return c, err
	}
	err = s.run.Do(ctx, actor, "complaint.describe", func(ctx context.Context, a *action.Action) error {
		_, err := s.tickets.ActIn(ctx, a, EventDescribed, id, "", func(ctx context.Context, d *ticket.Doing) error {
			if !Is(d.T) {
				return notComplaint()
			}
			if c, err = full(ctx, a, *d.T); err != nil {
				return err
			}
			if err := recordable(*d.T, described); err != nil {
				return err
			}
			d.Fact.Args = in.names()
			return s.describe(ctx, a, *d.T, &c, in)
		})
		return err
	})
	return c, err
}

// names are the arguments of its sentence.
func (w Wish) names() []string {
	out := []string{"", ""}
	if w.Mood != "" {
		out[0] = "@complaint.mood." + w.Mood
	}
	if w.Remedy != "" {
		out[1] = "@complaint.remedy." + w.Remedy
	}
	return out
}

func (s *Service) describe(ctx context.Context, a *action.Action, t ticket.Ticket, c *Complaint, in Wish) error {
	v, err := check(described, in.values(), a.Now)
	if err != nil {
		return err
	}
	r, err := add(ctx, a, t, Record{Step: described, Round: c.Round, Values: v})
	if err != nil {
		return err
	}
	c.Records = append(c.Records, r)
	c.Mood, c.Wish, c.WishNote = v["mood"], v["wish"], v["wish_note"]
	return save(ctx, a, t, *c)
}

// Registered writes down mood and wish in the step that makes the ticket; of one
// that is no complaint, nothing. It is told by the ticket's own fact.
func (s *Service) Registered(in Wish) func(ctx context.Context, a *action.Action, t *ticket.Ticket) error {
	return func(ctx context.Context, a *action.Action, t *ticket.Ticket) error {
		if !Is(t) || in == (Wish{}) {
			return nil
		}
		c, err := get(ctx, a, *t)
		if err != nil {
			return err
		}
		return s.describe(ctx, a, *t, &c, in)
	}
}
