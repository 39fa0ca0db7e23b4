package task

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/org"
	"bihuan/internal/setting"
)

// What a calendar outside the house is told; named task.feed.<detail>.
const (
	FeedOff     = "off"     // there are none
	FeedMinimal = "minimal" // that there is a task, and when
	FeedTitle   = "title"   // its title, without telephone numbers and addresses of mail
)

// FeedDetails in the order they are offered.
var FeedDetails = []string{FeedMinimal, FeedTitle, FeedOff}

// Settings is what an administrator decides about tasks.
type Settings struct {
	Remind      int            `json:"remind"`       // minutes before a plan is due; NoReminder
	Morning     string         `json:"morning"`      // 09:00: when whole days are reminded of
	Feed        string         `json:"feed"`         // one of FeedDetails
	DayCheck    bool           `json:"day_check"`    // whether people are asked to look through their day
	DayCheckAt  string         `json:"day_check_at"` // 17:30
	Weekdays    []int          `json:"weekdays"`     // of work; 0 is Sunday
	NoRecord    bool           `json:"no_record"`    // a task when a ticket goes without a record for a day (FLW-5)
	Unconfirmed bool           `json:"unconfirmed"`  // a task when the customer does not confirm (FLW-5)
	VisitDays   map[string]int `json:"visit_days"`   // customer level -> a return visit after so many days without contact; 0 never
}

const settingName = "task.settings"

// VisitLevels are the levels of customers a rhythm is set for.
var VisitLevels = []string{"normal", "vip", "strategic"}

// DefaultSettings are those of a fresh install.
func DefaultSettings() Settings {
	return Settings{Remind: 30, Morning: "09:00", Feed: FeedMinimal, DayCheck: true, DayCheckAt: "17:30", Weekdays: []int{1, 2, 3, 4, 5}, NoRecord: true, Unconfirmed: true,
		VisitDays: map[string]int{"normal": 0, "vip": 90, "strategic": 30}}
}

// Settings returns what is in force.
func (s *Service) Settings(ctx context.Context) (Settings, error) {
	return readSettings(ctx, s.db().Read())
}

// SettingsIn is Settings inside an action under way, for the rooms that ask for
// follow-ups.
func SettingsIn(ctx context.Context, q db.Querier) (Settings, error) { return readSettings(ctx, q) }

func readSettings(ctx context.Context, q db.Querier) (Settings, error) {
	set := DefaultSettings()
	err := setting.Read(ctx, q, settingName, &set)
	return set, err
}

func clockTime(s string) (h, m int, ok bool) {
	at, err := time.Parse("15:04", strings.TrimSpace(s))
	return at.Hour(), at.Minute(), err == nil
}

// on is the time of the clock s on the day of t.
func on(t time.Time, s string) time.Time {
	h, m, _ := clockTime(s)
	y, mo, d := t.Date()
	return time.Date(y, mo, d, h, m, 0, 0, t.Location())
}

func (set Settings) morning(day time.Time) time.Time { return on(day, set.Morning) }

// Works reports whether the day of t is one of work.
func (set Settings) Works(t time.Time) bool { return slices.Contains(set.Weekdays, int(t.Weekday())) }

func (set *Settings) check() error {
	e := fault.Invalidf("task.invalid")
	if set.Remind != NoReminder && (set.Remind < 0 || set.Remind > maxRemind) {
		e.Field("remind", "task.remind.range")
	}
	for name, v := range map[string]*string{"morning": &set.Morning, "day_check_at": &set.DayCheckAt} {
		h, m, ok := clockTime(*v)
		if *v = fmt.Sprintf("%02d:%02d", h, m); !ok {
			e.Field(name, "task.settings.clock")
		}
	}
	if !slices.Contains(FeedDetails, set.Feed) {
		e.Field("feed", "task.settings.choose")
	}
	slices.Sort(set.Weekdays)
	set.Weekdays = slices.Compact(set.Weekdays)
	if set.DayCheck && len(set.Weekdays) == 0 || slices.ContainsFunc(set.Weekdays, func(d int) bool { return d < 0 || d > 6 }) {
		e.Field("weekdays", "task.settings.weekdays")
	}
	for l, n := range set.VisitDays {
		if !slices.Contains(VisitLevels, l) || n < 0 || n > 1000 {
			e.Field("visit_"+l, "task.settings.visit")
		}
	}
	return e.OrNil()
}

func (set Settings) said() []event.Change {
	var visits, days []string
	for _, l := range VisitLevels {
		visits = append(visits, fmt.Sprintf("%s %d", l, set.VisitDays[l]))
	}
	for _, d := range set.Weekdays {
		days = append(days, time.Weekday(d).String()[:3])
	}
	yes := func(b bool) string {
		if b {
			return "yes"
		}
		return "no"
	}
	return []event.Change{{Field: "task.remind", New: fmt.Sprint(set.Remind)}, {Field: "task.morning", New: set.Morning}, {Field: "task.feed", New: set.Feed},
		{Field: "task.day_check", New: yes(set.DayCheck)}, {Field: "task.day_check_at", New: set.DayCheckAt}, {Field: "task.weekdays", New: strings.Join(days, " ")},
		{Field: "task.no_record", New: yes(set.NoRecord)}, {Field: "task.unconfirmed", New: yes(set.Unconfirmed)}, {Field: "task.visit_days", New: strings.Join(visits, ", ")}}
}

// SetSettings changes them. Tasks that are there keep their reminders.
func (s *Service) SetSettings(ctx context.Context, actor authz.Actor, set Settings) error {
	if err := actor.Check(org.PermSettings); err != nil {
		return err
	}
	set.Weekdays = slices.Clone(set.Weekdays)
	if err := set.check(); err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "task.set_settings", func(ctx context.Context, a *action.Action) error {
		old, err := readSettings(ctx, a)
		if err != nil {
			return err
		}
		var changes []event.Change
		was := old.said()
		for i, now := range set.said() {
			if was[i].New != now.New {
				changes = append(changes, event.Change{Field: now.Field, Old: was[i].New, New: now.New})
			}
		}
		if len(changes) == 0 {
			a.Nothing()
			return nil
		}
		a.Record(event.Event{Kind: SettingsChanged, Subject: event.Subject{Type: "setting"}, Data: Facts{Changes: changes}})
		return setting.Write(ctx, a.Tx, settingName, set)
	})
}
