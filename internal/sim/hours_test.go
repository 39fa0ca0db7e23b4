package sim

import "time"

// The simulation counts working time by itself: Monday to Friday from nine to
// six in China, with the public holidays and make-up days of 2026.

var zone = time.FixedZone("CST", 8*3600)

// Start is a Monday morning, three weeks before the National Day holiday.
var start = time.Date(2026, 9, 14, 9, 0, 0, 0, zone)

// daysOff and workedDays are those of 2026 until then: what is long overdue was due
// months ago.
var daysOff, workedDays = func() (off, worked map[string]bool) {
	off, worked = map[string]bool{}, map[string]bool{}
	for _, span := range [][2]string{{"2026-01-01", "2026-01-03"}, {"2026-02-15", "2026-02-23"}, {"2026-04-04", "2026-04-06"}, {"2026-05-01", "2026-05-05"},
		{"2026-06-19", "2026-06-21"}, {"2026-09-25", "2026-09-27"}, {"2026-10-01", "2026-10-07"}} {
		d, _ := time.Parse(time.DateOnly, span[0])
		for ; d.Format(time.DateOnly) <= span[1]; d = d.AddDate(0, 0, 1) {
			off[d.Format(time.DateOnly)] = true
		}
	}
	for _, d := range []string{"2026-01-04", "2026-02-14", "2026-02-28", "2026-05-09", "2026-09-20", "2026-10-10"} {
		worked[d] = true
	}
	return off, worked
}()

const (
	second = int64(1_000_000) // µs
	minute = 60 * second
	hour   = 60 * minute
	day    = 24 * hour
)

func works(t time.Time) bool {
	d := t.In(zone)
	s := d.Format("2006-01-02")
	if workedDays[s] {
		return true
	}
	return !daysOff[s] && d.Weekday() != time.Saturday && d.Weekday() != time.Sunday
}

// midnight is the beginning of the day of us in China.
func midnight(us int64) int64 {
	const shift = 8 * hour
	return (us+shift)/day*day - shift
}

// span returns when work begins and ends on the day that begins at d; equal when
// nobody works.
func span(d int64) (from, to int64) {
	if !workday(d) {
		return d, d
	}
	return d + 9*hour, d + 18*hour
}

var known = func() map[int64]bool {
	m := map[int64]bool{}
	for d, i := midnight(start.AddDate(0, -8, 0).UnixMicro()), 0; i < 1000; d, i = d+day, i+1 {
		m[d] = works(time.UnixMicro(d + hour))
	}
	return m
}()

func workday(d int64) bool { return known[d] }

// elapsed is the time between a and b that counts: all of it, or that within
// working hours.
func elapsed(office bool, a, b int64) int64 {
	if !office {
		return b - a
	}
	if b < a {
		return -elapsed(office, b, a)
	}
	var sum int64
	for d := midnight(a); d < b; d += day {
		from, to := span(d)
		if from, to = max(from, a), min(to, b); from < to {
			sum += to - from
		}
	}
	return sum
}

// due is the first moment at which so much time has been used since a.
func due(office bool, a, used int64) int64 {
	if !office || used <= 0 {
		return a + used
	}
	for d := midnight(a); ; d += day {
		from, to := span(d)
		if from = max(from, a); from < to {
			if to-from >= used {
				return from + used
			}
			used -= to - from
		}
	}
}
