package customer

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/number"
	"bihuan/internal/setting"
)

// Naming is how the company calls a level or a grade. Empty members are the
// product's own.
type Naming struct {
	Name    string `json:"name,omitempty"`
	English string `json:"english,omitempty"`
	Colour  string `json:"colour,omitempty"` // one of Colours
}

// LevelCare is what an administrator decides about a level.
type LevelCare struct {
	Naming
	VerifyMonths int `json:"verify_months"` // how often profiles are to be confirmed (CUS-13); 0 never
}

// Care is what an administrator decides about levels and grades, the stages of
// a customer's life and the verification of profiles.
type Care struct {
	Levels  map[Level]LevelCare `json:"levels"`
	Grades  map[string]Naming   `json:"grades"`
	Factors []Factor            `json:"factors"` // as of DefaultCare, in that order
	GradeA  int                 `json:"grade_a"` // from so many points of 100
	GradeB  int                 `json:"grade_b"`
	Months  int                 `json:"months"` // of which tickets count

	ActiveByBusiness bool `json:"active_by_business"` // the first completed ticket makes a customer 正式
	DormantDays      int  `json:"dormant_days"`       // without business and plan; 0 never

	OverdueDays int `json:"overdue_days"` // after which a supervisor hears of a verification nobody has done
}

const careSetting = "customer.care"

// DefaultCare is what holds until somebody decides otherwise.
func DefaultCare() Care {
	return Care{
		Levels:  map[Level]LevelCare{Normal: {VerifyMonths: 6}, VIP: {VerifyMonths: 3}, Strategic: {VerifyMonths: 1}},
		Grades:  map[string]Naming{"a": {}, "b": {}, "c": {}},
		Factors: slices.Clone(defaultFactors),
		GradeA:  60, GradeB: 30, Months: 12,
		ActiveByBusiness: true, DormantDays: 365, OverdueDays: 7,
	}
}

// Named reports whether the company calls or colours anything in its own way.
func (c Care) Named() bool {
	for _, l := range c.Levels {
		if l.Naming != (Naming{}) {
			return true
		}
	}
	for _, g := range c.Grades {
		if g != (Naming{}) {
			return true
		}
	}
	return false
}

// Care returns what is in force.
func (s *Service) Care(ctx context.Context) (Care, error) { return s.care(ctx, s.db().Read()) }

func (s *Service) care(ctx context.Context, q db.Querier) (Care, error) {
	c := DefaultCare()
	if err := setting.Read(ctx, q, careSetting, &c); err != nil {
		return c, err
	}
	// A later version may know further factors.
	known := c.Factors
	c.Factors = slices.Clone(defaultFactors)
	for i, f := range c.Factors {
		if k := slices.IndexFunc(known, func(o Factor) bool { return o.Code == f.Code }); k >= 0 {
			c.Factors[i] = known[k]
		} else {
			c.Factors[i].Weight = 0
		}
	}
	return c, nil
}

const maxNaming = 12

func (c *Care) check() error {
	e := fault.Invalidf("customer.invalid")
	naming := func(field string, n *Naming) {
		n.Name, n.English = line(n.Name), line(n.English)
		for name, v := range map[string]string{field + ".name": n.Name, field + ".english": n.English} {
			if utf8.RuneCountInString(v) > maxNaming {
				e.Field(name, "customer.care.name.long", maxNaming)
			}
		}
		if n.Colour != "" && !slices.Contains(Colours, n.Colour) {
			e.Field(field+".colour", "customer.care.colour.bad")
		}
	}
	between := func(field string, v, from, to int) {
		if v < from || v > to {
			e.Field(field, "customer.care.between", from, to)
		}
	}
	for _, l := range Levels {
		x := c.Levels[l]
		naming("level."+string(l), &x.Naming)
		between("level."+string(l)+".months", x.VerifyMonths, 0, 60)
		c.Levels[l] = x
	}
	for _, g := range Grades {
		x := c.Grades[g]
		naming("grade."+g, &x)
		c.Grades[g] = x
	}
	sum := 0
	for i, f := range c.Factors {
		field := "factor." + f.Code
		between(field+".weight", f.Weight, 0, 100)
		sum += max(f.Weight, 0)
		if defaultFactors[i].Full > 0 {
			between(field+".full", f.Full, 1, 1_000_000_000)
		}
	}
	if sum == 0 && len(c.Factors) > 0 {
		e.Field("factor."+c.Factors[0].Code+".weight", "customer.care.weights")
	}
	between("grade_a", c.GradeA, 1, 100)
	between("grade_b", c.GradeB, 1, 100)
	if c.GradeB >= c.GradeA {
		e.Field("grade_b", "customer.care.thresholds")
	}
	between("months", c.Months, 1, 60)
	between("dormant_days", c.DormantDays, 0, 3650)
	between("overdue_days", c.OverdueDays, 0, 365)
	return e.OrNil()
}

// said puts the parts of c that are recorded when they change into words.
func (c Care) said() []event.Change {
	var names, rhythm, grades, rules []string
	for _, l := range Levels {
		x := c.Levels[l]
		names = append(names, strings.TrimSpace(string(l)+" "+x.Name+" "+x.English+" "+x.Colour))
		rhythm = append(rhythm, fmt.Sprintf("%s %d", l, x.VerifyMonths))
	}
	for _, g := range Grades {
		x := c.Grades[g]
		grades = append(grades, strings.TrimSpace(g+" "+x.Name+" "+x.English+" "+x.Colour))
	}
	for _, f := range c.Factors {
		rules = append(rules, fmt.Sprintf("%s %d/%d", f.Code, f.Weight, f.Full))
	}
	join := func(v []string) string { return strings.Join(v, ", ") }
	return []event.Change{
		{Field: "level_names", New: join(names)}, {Field: "level_rhythm", New: join(rhythm)}, {Field: "grade_names", New: join(grades)},
		{Field: "grade_rules", New: fmt.Sprintf("%s; A %d, B %d; %d", join(rules), c.GradeA, c.GradeB, c.Months)},
		{Field: "active_by_business", New: yesNo(c.ActiveByBusiness)}, {Field: "dormant_days", New: fmt.Sprint(c.DormantDays)},
		{Field: "overdue_days", New: fmt.Sprint(c.OverdueDays)},
	}
}

// SetCare changes them. Suggestions and dates of verification follow in the
// background.
func (s *Service) SetCare(ctx context.Context, actor authz.Actor, c Care) error {
	if err := actor.Check(PermSettings); err != nil {
		return err
	}
	c.Levels, c.Grades, c.Factors = maps.Clone(c.Levels), maps.Clone(c.Grades), slices.Clone(c.Factors)
	if err := c.check(); err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "customer.set_care", func(ctx context.Context, a *action.Action) error {
		old, err := s.care(ctx, a)
		if err != nil {
			return err
		}
		var changes []event.Change
		was := old.said()
		for i, now := range c.said() {
			if was[i].New != now.New {
				changes = append(changes, event.Change{Field: now.Field, Old: was[i].New, New: now.New})
			}
		}
		if len(changes) == 0 {
			a.Nothing()
			return nil
		}
		if err := setting.Write(ctx, a.Tx, careSetting, c); err != nil {
			return err
		}
		var st careState
		if err := setting.Read(ctx, a.Tx, careStateSetting, &st); err != nil {
			return err
		}
		st.Day, st.Cursor = "", 0 // walk through everybody anew
		st.Reschedule = st.Reschedule || slices.ContainsFunc(changes, func(c event.Change) bool { return c.Field == "level_rhythm" })
		if err := setting.Write(ctx, a.Tx, careStateSetting, st); err != nil {
			return err
		}
		a.Record(event.Event{Kind: "customer.settings_changed", Subject: event.Subject{Type: "setting"}, Data: map[string]any{"changes": changes}})
		return nil
	})
}

// careState is how far what the room does by itself has come.
type careState struct {
	Day        string `json:"day"`        // the last day on which everybody was walked through
	Cursor     int64  `json:"cursor"`     // the last customer of the walk under way
	Reschedule bool   `json:"reschedule"` // the walk sets the dates of verification anew
	Due        int64  `json:"due"`        // µs: who is due until then has been told
	Overdue    int64  `json:"overdue"`    // µs: supervisors know of those due until then
}

const (
	careStateSetting = "customer.care_state"
	careActor        = "customer care"
	careBatch        = 500
	careBatches      = 100 // of one sweep, so that other duties have their turn
)

// dayOf is the day of t in the company's time zone.
func dayOf(t time.Time) time.Time {
	y, m, d := t.In(number.Zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, number.Zone)
}

// CareSweep does what is done by itself: customers without business fall
// asleep, verifications that are due are told, and once a day everybody's
// suggestion is computed anew. It may be interrupted and goes on where it was;
// done too often it does nothing.
func (s *Service) CareSweep(ctx context.Context) error {
	care, err := s.Care(ctx)
	if err != nil {
		return err
	}
	if err := s.sleep(ctx, care); err != nil {
		return err
	}
	if err := s.remind(ctx, care); err != nil {
		return err
	}
	return s.walk(ctx, care)
}

// walk goes through all customers once a day: see [Service.CareSweep].
func (s *Service) walk(ctx context.Context, care Care) error {
	var st careState
	if err := setting.Read(ctx, s.db().Read(), careStateSetting, &st); err != nil {
		return err
	}
	now := s.db().Clock().Now()
	today := dayOf(now).Format(time.DateOnly)
	if st.Day == today {
		return nil
	}
	for range careBatches {
		ids, err := queryIDs(ctx, s.db().Read(), fmt.Sprintf(`SELECT id FROM customers WHERE id > $1 AND gone = 0 ORDER BY id LIMIT %d`, careBatch), st.Cursor)
		if err != nil {
			return fmt.Errorf("customer: care: %w", err)
		}
		var changed []Suggestion
		if len(ids) > 0 {
			if changed, err = s.suggest(ctx, s.db().Read(), care, now, ids); err != nil {
				return err
			}
		}
		err = s.run.Do(ctx, authz.System(careActor), "customer.care", func(ctx context.Context, a *action.Action) error {
			a.Nothing() // nothing here is a decision
			var at careState
			if err := setting.Read(ctx, a.Tx, careStateSetting, &at); err != nil {
				return err
			}
			if at.Cursor != st.Cursor || at.Reschedule != st.Reschedule {
				st = at // the settings were changed meanwhile
				return nil
			}
			if err := saveSuggestions(ctx, a.Tx, changed); err != nil {
				return err
			}
			if len(ids) == 0 {
				at.Day, at.Cursor, at.Reschedule = today, 0, false
			} else {
				if err := s.scheduleMissing(ctx, a.Tx, care, ids, at.Reschedule); err != nil {
					return err
				}
				at.Cursor = ids[len(ids)-1]
			}
			st = at
			return setting.Write(ctx, a.Tx, careStateSetting, at)
		})
		if err != nil || st.Day == today {
			return err
		}
	}
	return nil
}

// CareFacts computes the suggestion of a customer anew when what it rests on
// has changed, and makes him 正式 with his first completed ticket. Imports are
// left to the walk of the night.
func (s *Service) CareFacts() event.Listener {
	concerns := func(e event.Stored) (id int64, completed bool) {
		switch {
		case e.Subject.Type == subjectType && slices.Contains([]string{Created, Changed, NeedAdded}, e.Kind):
			return e.Subject.ID, false
		case e.Subject.Type == "ticket" && bytes.Contains(e.Data, []byte(`"completed"`)):
			var d struct {
				Customer int64  `json:"customer"`
				From     string `json:"from"`
				To       string `json:"to"`
			}
			if e.Decode(&d) == nil && d.To == "completed" && d.From != d.To {
				return d.Customer, true
			}
		}
		return 0, false
	}
	return event.Listener{Name: "customer care", Wants: func(e event.Stored) bool { id, _ := concerns(e); return id != 0 },
		Handle: func(ctx context.Context, tx *db.Tx, evs []event.Stored) error {
			care, err := s.care(ctx, tx)
			if err != nil {
				return err
			}
			var ids []int64
			for _, e := range evs {
				id, completed := concerns(e)
				if id == 0 {
					continue
				}
				if !slices.Contains(ids, id) {
					ids = append(ids, id)
				}
				if completed && care.ActiveByBusiness {
					if err := moveByRule(ctx, tx, id, []string{Potential, Interested}, Active, causeBusiness); err != nil {
						return err
					}
				}
			}
			changed, err := s.suggest(ctx, tx, care, tx.Now, ids)
			if err != nil {
				return err
			}
			return saveSuggestions(ctx, tx, changed)
		}}
}
