package taskui

import (
	"testing"
	"time"
)

// The grid of a month begins on a Monday and ends on a Sunday, whole weeks, in
// any zone, also where a day has 23 or 25 hours.
func TestSpan(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	for _, zone := range []*time.Location{time.FixedZone("CST", 8*3600), time.UTC, berlin} {
		for _, c := range []struct {
			view, on, from, to string
			cells              int
		}{
			{"month", "2026-11-22", "2026-10-26", "2026-12-07", 42}, // begins on a Sunday
			{"month", "2027-02-10", "2027-02-01", "2027-03-01", 28}, // four weeks exactly
			{"month", "2026-12-31", "2026-11-30", "2027-01-04", 35},
			{"month", "2026-03-29", "2026-02-23", "2026-04-06", 42}, // clocks go forward
			{"week", "2026-11-22", "2026-11-16", "2026-11-23", 7},   // a Sunday ends its week
			{"week", "2026-11-23", "2026-11-23", "2026-11-30", 7},
			{"week", "2026-10-25", "2026-10-19", "2026-10-26", 7},
			{"day", "2026-10-25", "2026-10-25", "2026-10-26", 1},
			{"day", "2026-12-31", "2026-12-31", "2027-01-01", 1},
		} {
			on, _ := time.ParseInLocation(time.DateOnly, c.on, zone)
			from, to := span(c.view, on.Add(15*time.Hour))
			n := 0
			for d := from; d.Before(to); d = step("day", d, 1) {
				n++
			}
			if from.Format(time.DateOnly) != c.from || to.Format(time.DateOnly) != c.to || n != c.cells {
				t.Errorf("%s %s of %s: %s to %s, %d cells", zone, c.view, c.on, from.Format(time.DateOnly), to.Format(time.DateOnly), n)
			}
		}
		on := time.Date(2026, 1, 31, 0, 0, 0, 0, zone)
		if got := step("month", on, 1).Format(time.DateOnly); got != "2026-02-01" {
			t.Errorf("%s: the month after January is %s", zone, got)
		}
	}
}
