package privacy

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/setting"
	"bihuan/internal/ticket"
)

// Rules are how long personal data is kept, in months; 0 is for ever. The audit
// trail is excepted: the law wants it kept.
type Rules struct {
	Tickets   int `json:"tickets"`   // closed ones: then personal data leaves them
	Customers int `json:"customers"` // without any business: then they become tombstones
	Imports   int `json:"imports"`   // tables that were imported, and their result files
	Exports   int `json:"exports"`   // files of exports and disclosures
	Deadline  int `json:"deadline"`  // working days a person's request may take
}

// RulesSetting keeps them.
const RulesSetting = "privacy.retention"

// maxMonths is as long as a rule may say; longer is for ever.
const maxMonths = 240

// Rules returns what is in force.
func (s *Service) Rules(ctx context.Context) (r Rules, err error) {
	if err = setting.Read(ctx, s.db().Read(), RulesSetting, &r); err != nil {
		return r, err
	}
	r.Deadline, err = s.deadline(ctx, s.db().Read())
	return r, err
}

func (r Rules) check() error {
	e := fault.Invalidf("privacy.retention.invalid")
	for _, x := range []struct {
		field string
		n     int
		least int
	}{{"tickets", r.Tickets, 6}, {"customers", r.Customers, 12}, {"imports", r.Imports, 1}, {"exports", r.Exports, 1}} {
		if x.n != 0 && (x.n < x.least || x.n > maxMonths) {
			e.Field(x.field, "privacy.retention.months", x.least, maxMonths)
		}
	}
	if r.Deadline < 1 || r.Deadline > 60 {
		e.Field("deadline", "privacy.retention.deadline_range", 60)
	}
	return e.OrNil()
}

// SetRules changes them; they are carried out from the next night on.
func (s *Service) SetRules(ctx context.Context, actor authz.Actor, r Rules) error {
	if err := actor.Check(PermManage); err != nil {
		return err
	}
	if err := r.check(); err != nil {
		return err
	}
	old, err := s.Rules(ctx)
	if err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "privacy.set_retention", func(ctx context.Context, a *action.Action) error {
		var changes []event.Change
		for _, c := range []struct {
			field    string
			old, now int
		}{{"retention_tickets", old.Tickets, r.Tickets}, {"retention_customers", old.Customers, r.Customers}, {"retention_imports", old.Imports, r.Imports}, {"retention_exports", old.Exports, r.Exports}, {"privacy_deadline", old.Deadline, r.Deadline}} {
			if c.old != c.now {
				changes = append(changes, event.Change{Field: c.field, Old: strconv.Itoa(c.old), New: strconv.Itoa(c.now)})
			}
		}
		if len(changes) == 0 {
			a.Nothing()
			return nil
		}
		a.Record(event.Event{Kind: RetentionChanged, Subject: event.Subject{Type: "setting"}, Data: Fact{Changes: changes}})
		return errors.Join(setting.Write(ctx, a.Tx, RulesSetting, r), setting.Write(ctx, a.Tx, DeadlineSetting, r.Deadline))
	})
}

// before is the moment a rule reaches back to.
func (s *Service) before(months int) time.Time {
	return s.db().Clock().Now().UTC().AddDate(0, -months, 0)
}

// Preview is what rules would do tonight; -1 for a rule that is off.
type Preview struct {
	Tickets, Customers, Imports, Exports int
}

// previewMost is as far as a preview counts.
const previewMost = 10_000

// Preview counts what r would reach.
func (s *Service) Preview(ctx context.Context, r Rules) (p Preview, err error) {
	p = Preview{-1, -1, -1, -1}
	if err := r.check(); err != nil {
		return p, err
	}
	q := s.db().Read()
	if r.Tickets > 0 {
		ids, err := ticket.Retired(ctx, q, db.Micros(s.before(r.Tickets)), previewMost)
		if err != nil {
			return p, err
		}
		p.Tickets = len(ids)
	}
	if r.Customers > 0 {
		ids, err := customer.Forgettable(ctx, q, db.Micros(s.before(r.Customers)), previewMost)
		if err != nil {
			return p, err
		}
		p.Customers = len(ids)
	}
	for _, x := range []struct {
		months int
		owners []string
		into   *int
	}{{r.Imports, importOwners, &p.Imports}, {r.Exports, s.exportOwners(), &p.Exports}} {
		if x.months > 0 {
			fs, err := s.oldFiles(ctx, x.owners, s.before(x.months), previewMost)
			if err != nil {
				return p, err
			}
			*x.into = len(fs)
		}
	}
	return p, nil
}

var importOwners = []string{"import"}

func (s *Service) exportOwners() []string {
	return append([]string{subjectDisclosure, subjectRequest}, s.exports...)
}

func (s *Service) oldFiles(ctx context.Context, owners []string, before time.Time, limit int) (out []blob.File, err error) {
	for after := int64(0); len(out) < limit; {
		fs, err := s.Files.After(ctx, s.db().Read(), after, 500)
		if err != nil {
			return nil, err
		}
		if len(fs) == 0 {
			break
		}
		for _, f := range fs {
			after = f.ID
			if slices.Contains(owners, f.Owner.Type) && f.CreatedAt.Before(before) && len(out) < limit {
				out = append(out, f)
			}
		}
	}
	return out, nil
}

// How much one night does at most; the rest follows the next.
const (
	nightTickets   = 2000
	batchTickets   = 20
	nightCustomers = 200
	nightFiles     = 2000
)

// Retain carries the rules out: a nightly duty. It does nothing by day.
func (s *Service) Retain(ctx context.Context) error {
	if untilNight(s.db().Clock().Now()) > 0 {
		return nil
	}
	return s.retain(ctx)
}

func (s *Service) retain(ctx context.Context) error {
	r, err := s.Rules(ctx)
	if err != nil {
		return err
	}
	var errs []error
	if r.Tickets > 0 {
		errs = append(errs, s.retireTickets(ctx, s.before(r.Tickets)))
	}
	if r.Customers > 0 {
		errs = append(errs, s.forgetCustomers(ctx, s.before(r.Customers)))
	}
	if r.Imports > 0 {
		errs = append(errs, s.dropFiles(ctx, "imports", importOwners, s.before(r.Imports)))
	}
	if r.Exports > 0 {
		errs = append(errs, s.dropFiles(ctx, "exports", s.exportOwners(), s.before(r.Exports)))
	}
	return errors.Join(errs...)
}

func (s *Service) applied(ctx context.Context, rule string, count int, do func(ctx context.Context, a *action.Action) error) error {
	return s.run.Do(ctx, authz.System("retention"), "privacy.retain", func(ctx context.Context, a *action.Action) error {
		a.Record(event.Event{Kind: RetentionApplied, Subject: event.Subject{Type: "setting"}, Data: Fact{Args: []string{"@privacy.retention." + rule, strconv.Itoa(count)}, Count: count}})
		if do == nil {
			return nil
		}
		return do(ctx, a)
	})
}

func (s *Service) dropFiles(ctx context.Context, rule string, owners []string, before time.Time) error {
	fs, err := s.oldFiles(ctx, owners, before, nightFiles)
	if err != nil || len(fs) == 0 {
		return err
	}
	if err := s.removeFiles(ctx, fs, "privacy.retain"); err != nil {
		return err
	}
	return s.applied(ctx, rule, len(fs), nil)
}

func (s *Service) forgetCustomers(ctx context.Context, before time.Time) error {
	ids, err := customer.Forgettable(ctx, s.db().Read(), db.Micros(before), nightCustomers)
	if err != nil || len(ids) == 0 {
		return err
	}
	return s.applied(ctx, "customers", len(ids), func(ctx context.Context, a *action.Action) error {
		w, err := s.gather(ctx, a, ids, nil, Values{})
		if err != nil {
			return err
		}
		day := a.Now.Format("20060102")
		_, err = s.begin(ctx, a, causeRetention, 0, "BL"+day, strconv.Itoa(len(ids)), "@actor.retention", w)
		return err
	})
}

// retireTickets takes personal data out of tickets that ended long ago: what is
// known of their customers, what has the shape of personal data, and the files.
func (s *Service) retireTickets(ctx context.Context, before time.Time) error {
	tables, err := s.db().Tables(ctx)
	if err != nil {
		return err
	}
	done := 0
	for done < nightTickets {
		ids, err := ticket.Retired(ctx, s.db().Read(), db.Micros(before), batchTickets)
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			break
		}
		for _, id := range ids {
			if err := s.retireTicket(ctx, tables, id); err != nil {
				return fmt.Errorf("privacy: retire ticket %d: %w", id, err)
			}
		}
		err = s.db().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			return errors.Join(ticket.Anonymised(ctx, tx, ids), ticket.Reindex(ctx, tx, ids))
		})
		if err != nil {
			return err
		}
		done += len(ids)
	}
	if done == 0 {
		return nil
	}
	return s.applied(ctx, "tickets", done, nil)
}

func (s *Service) retireTicket(ctx context.Context, tables []db.Table, id int64) error {
	t, err := s.Tickets.Get(ctx, ticket.View(authz.System("retention")), id)
	if err != nil {
		return err
	}
	k, err := s.Rooms.Customers.KnownOf(ctx, s.db().Read(), []int64{t.CustomerID}, nil)
	if err != nil {
		return err
	}
	w := wordsOf(Values{Names: k.Names, Phones: k.Phones, Emails: k.Emails, Handles: k.Wechats, Addresses: k.Addresses}, false)
	w.shapes = true
	p := &person{own: w, tickets: set([]int64{id}), customers: map[int64]bool{}, whole: map[int64]bool{}, contacts: map[int64]bool{}, erased: set([]int64{id})}
	out := &swept{tickets: map[int64]bool{}, customers: map[int64]bool{}}
	for _, tab := range tables {
		where, args := "", []any{id}
		switch {
		case notOfPersons[tab.Name] != "" || len(tab.Texts) == 0:
			continue
		case tab.Name == "tickets":
			where = "id = $1"
		case tab.Has("ticket_id"):
			where = "ticket_id = $1"
		case tab.Has("subject_type") && tab.Has("subject_id"):
			where = "subject_type = 'ticket' AND subject_id = $1"
		case tab.Has("owner_type") && tab.Has("owner_id"):
			where = "owner_type = 'ticket' AND owner_id = $1"
		case tab.Has("object") && tab.Has("record_id"):
			where = "object = 'ticket' AND record_id = $1"
		default:
			continue
		}
		if err := s.table(ctx, tab, p, true, where, args, &Place{}, out); err != nil {
			return err
		}
	}
	fs, err := s.Files.Of(ctx, s.db().Read(), "ticket", id)
	if err != nil {
		return err
	}
	if err := s.removeFiles(ctx, fs, "privacy.retain"); err != nil {
		return err
	}
	// The trail of the ticket: its events are found by their subject.
	for beforeID := int64(0); ; {
		evs, err := event.Of(ctx, s.db().Read(), ticket.Subject(id), beforeID, 200)
		if err != nil || len(evs) == 0 {
			return err
		}
		var change []event.Stored
		for _, e := range evs {
			beforeID = e.ID
			if now, n := p.redact(e); n > 0 && e.Seq > 0 {
				change = append(change, now)
			}
		}
		err = s.db().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			return event.Redact(ctx, tx, authz.System("retention"), "privacy.retain", ticket.Subject(id), []string{t.Number, strconv.Itoa(len(change))}, change)
		})
		if err != nil {
			return err
		}
	}
}

// What has the shape of personal data, whoever it belongs to.
var shapes = []*regexp.Regexp{
	regexp.MustCompile(`(?:\+?86[\s-]?)?\b1[3-9]\d[\s-]?\d{4}[\s-]?\d{4}\b`),
	regexp.MustCompile(`\b[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+\b`),
	regexp.MustCompile(`\b[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])\d{3}[0-9Xx]\b`),
}

func blackenShapes(s string) (string, int) {
	if !strings.ContainsAny(s, "@0123456789") {
		return s, 0
	}
	n := 0
	for _, re := range shapes {
		s = re.ReplaceAllStringFunc(s, func(string) string { n++; return Blackened })
	}
	return s, n
}

// Applied returns the newest facts of rules that were carried out.
func (s *Service) Applied(ctx context.Context, limit int) ([]event.Stored, error) {
	return event.List(ctx, s.db().Read(), event.Filter{Kind: RetentionApplied, Limit: limit})
}
