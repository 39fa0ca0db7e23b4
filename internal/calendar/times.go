package calendar

import (
	"sort"
	"time"

	"bihuan/internal/number"
)

// Zone is the company's time zone; calendars are kept in it.
var Zone = number.Zone

const (
	day  = int64(24 * time.Hour / time.Microsecond)
	week = 7 * day
)

// The years for which each day is known; before and after them the week repeats.
const (
	FirstYear = 2015
	LastYear  = 2044
)

// Times are working hours, compiled: every span of every day in order, with what
// was worked before it. The zero value, and nil, are 7x24: all time counts. It
// never changes and may be shared.
type Times struct {
	rules  Rules
	opens  []int64 // µs
	closes []int64
	before []int64
	begin  int64 // of the years known
	end    int64
	total  int64 // worked in them
	weekly int64 // worked in a week without exceptions
}

// Always is 7x24.
var Always = &Times{}

func (t *Times) always() bool { return t == nil || len(t.opens) == 0 }

// Compile makes the times of r; r is [Always] when it says so. A week without
// any hours has no deadlines and is refused by [Rules.Check].
func Compile(r Rules) *Times {
	if r.Always || r.Week.minutes() == 0 {
		return &Times{rules: r}
	}
	t := &Times{rules: r, weekly: int64(r.Week.minutes()) * minute}
	first, last := dayOf(Date(FirstYear, 1, 1)), dayOf(Date(LastYear+1, 1, 1))
	t.begin, t.end = startOf(first), startOf(last)
	size := int(last-first) * 2
	t.opens, t.closes, t.before = make([]int64, 0, size), make([]int64, 0, size), make([]int64, 0, size)
	for d := first; d < last; d++ {
		start := startOf(d)
		for _, s := range r.on(d).Spans {
			from, to := start+int64(s.From)*minute, start+int64(s.To)*minute
			if n := len(t.closes); n > 0 && t.closes[n-1] == from { // through midnight
				t.total += to - from
				t.closes[n-1] = to
				continue
			}
			t.opens, t.closes, t.before = append(t.opens, from), append(t.closes, to), append(t.before, t.total)
			t.total += to - from
		}
	}
	return t
}

const minute = int64(time.Minute / time.Microsecond)

// Due returns when d of working time from start has passed: the earliest such
// instant, so that the end of a span wins over the beginning of the next. A
// negative d goes back. No time at all has passed at start itself.
func (t *Times) Due(start time.Time, d time.Duration) time.Time {
	if d == 0 || t.always() {
		return start.Add(d)
	}
	return time.UnixMicro(t.when(t.worked(start.UnixMicro()) + d.Microseconds())).In(start.Location())
}

// Elapsed returns the working time from a to b; negative when b is earlier.
func (t *Times) Elapsed(a, b time.Time) time.Duration {
	if t.always() {
		return b.Sub(a)
	}
	return time.Duration(t.worked(b.UnixMicro())-t.worked(a.UnixMicro())) * time.Microsecond
}

// At reports whether at is working time.
func (t *Times) At(at time.Time) bool {
	if t.always() {
		return true
	}
	us := at.UnixMicro()
	return t.worked(us+1) > t.worked(us)
}

// Next returns at when it is working time, else when working time begins.
func (t *Times) Next(at time.Time) time.Time {
	if t.At(at) {
		return at
	}
	// The first microsecond of work ends where the span has begun one before.
	return t.Due(at, time.Microsecond).Add(-time.Microsecond)
}

// worked is the working time from the first known day to us, in µs.
func (t *Times) worked(us int64) int64 {
	switch {
	case us >= t.end:
		n := (us-t.end)/week + 1
		return t.worked(us-n*week) + n*t.weekly
	case us < t.begin:
		n := (t.begin - us + week - 1) / week
		return t.worked(us+n*week) - n*t.weekly
	}
	i := sort.Search(len(t.opens), func(i int) bool { return t.opens[i] > us }) - 1
	if i < 0 {
		return 0
	}
	return t.before[i] + min(us, t.closes[i]) - t.opens[i]
}

// when is the earliest instant at which work µs have been worked.
func (t *Times) when(work int64) int64 {
	switch {
	case work > t.total:
		n := (work - t.total + t.weekly - 1) / t.weekly
		return t.when(work-n*t.weekly) + n*week
	case work <= 0:
		n := -work/t.weekly + 1
		return t.when(work+n*t.weekly) - n*week
	}
	i := sort.Search(len(t.before), func(i int) bool { return t.before[i] >= work }) - 1
	return t.opens[i] + work - t.before[i]
}

// On says what kind of day it is.
func (t *Times) On(d time.Time) Day {
	if t == nil {
		return Day{Kind: KindWeek, Spans: []Span{{0, 24 * 60}}}
	}
	return t.rules.on(dayOf(d))
}

// Works reports whether anybody works on the day of d.
func (t *Times) Works(d time.Time) bool { return len(t.On(d).Spans) > 0 }

// Minutes are those worked on the day of d.
func (t *Times) Minutes(d time.Time) (n int) {
	for _, s := range t.On(d).Spans {
		n += s.To - s.From
	}
	return n
}

// WorkingDay returns the nth day after d on which somebody works; 0: d itself if
// it is one, else the next. The time of day is kept.
func (t *Times) WorkingDay(d time.Time, n int) time.Time {
	at := d.In(Zone)
	if n == 0 {
		n, at = 1, at.AddDate(0, 0, -1)
	}
	for n > 0 {
		if at = at.AddDate(0, 0, 1); t.Works(at) {
			n--
		}
	}
	return at
}

// Date is midnight of a day in the company's zone.
func Date(year int, month time.Month, d int) time.Time {
	return time.Date(year, month, d, 0, 0, 0, 0, Zone)
}

// dayNo counts days from 1970 in the company's zone.
type dayNo int64

func dayOf(t time.Time) dayNo {
	_, off := t.In(Zone).Zone()
	s := t.Unix() + int64(off)
	if s < 0 {
		s -= 86399
	}
	return dayNo(s / 86400)
}

func startOf(d dayNo) int64 {
	return int64(d)*day - offset
}

var offset = func() int64 {
	_, off := time.Unix(0, 0).In(Zone).Zone()
	return int64(off) * 1e6
}()

func (d dayNo) weekday() time.Weekday { return time.Weekday(((d+4)%7 + 7) % 7) }

func (d dayNo) time() time.Time { return time.UnixMicro(startOf(d)).In(Zone) }
