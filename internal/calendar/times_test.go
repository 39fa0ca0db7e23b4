package calendar

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func weekdays(spans ...Span) (w Week) {
	for d := time.Monday; d <= time.Friday; d++ {
		w[d] = spans
	}
	return w
}

func office(spans ...Span) Rules {
	return Rules{Week: weekdays(spans...), Makeup: time.Monday, Holidays: Holidays(Shipped())}
}

func at(s string) time.Time {
	t, err := time.ParseInLocation("2006-01-02 15:04", s, Zone)
	if err != nil {
		panic(err)
	}
	return t
}

// SLA-2: deadlines across holidays, make-up workdays and the ends of days.
func TestDue(t *testing.T) {
	t.Parallel()
	plain := Compile(office(Span{540, 1080}))
	lunch := Compile(office(Span{540, 720}, Span{780, 1080}))
	night := Compile(Rules{Week: Week{{{0, 360}, {1320, 1440}}, {{0, 360}, {1320, 1440}}, {{0, 360}, {1320, 1440}}, {{0, 360}, {1320, 1440}}, {{0, 360}, {1320, 1440}}, {{0, 360}, {1320, 1440}}, {{0, 360}, {1320, 1440}}}})
	own := office(Span{540, 1080})
	own.Own = map[dayNo]Entry{
		dayOf(at("2026-03-02 00:00")): {Name: "台风"},                            // a Monday off
		dayOf(at("2026-03-03 00:00")): {Name: "半天", Spans: []Span{{540, 720}}}, // shortened
		dayOf(at("2026-02-28 00:00")): {Name: "不调休"},                           // make-up workday after all off
		dayOf(at("2026-05-01 00:00")): {Name: "值班", Spans: []Span{{600, 660}}}, // a holiday worked
		dayOf(at("2026-03-07 00:00")): {Name: "盘点", Spans: []Span{{540, 600}}}, // a Saturday worked
	}
	company := Compile(own)
	h := time.Hour
	for _, c := range []struct {
		cal   *Times
		start string
		d     time.Duration
		want  string
	}{
		{plain, "2026-02-13 17:30", 4 * h, "2026-02-14 12:30"},
		{lunch, "2026-02-13 17:30", 4 * h, "2026-02-14 13:30"},
		{plain, "2026-02-14 17:00", 2 * h, "2026-02-24 10:00"},
		{plain, "2025-09-30 17:00", 8 * h, "2025-10-09 16:00"},
		{plain, "2024-10-11 17:00", 3 * h, "2024-10-12 11:00"},
		{plain, "2025-12-31 17:00", 10 * h, "2026-01-04 18:00"},
		{plain, "2026-05-01 10:00", h, "2026-05-06 10:00"},
		{plain, "2026-09-19 10:00", h, "2026-09-20 10:00"},
		{plain, "2026-11-20 18:00", time.Minute, "2026-11-23 09:01"},
		{plain, "2026-11-20 18:00", -time.Minute, "2026-11-20 17:59"},
		{plain, "2026-11-23 09:00", -9 * h, "2026-11-19 18:00"},
		{plain, "2026-11-21 10:00", 0, "2026-11-21 10:00"},
		{Always, "2026-11-21 10:00", 50 * h, "2026-11-23 12:00"},
		{nil, "2026-11-21 10:00", -h, "2026-11-21 09:00"},
		{night, "2026-11-20 23:00", 3 * h, "2026-11-21 02:00"},
		{night, "2026-11-20 05:00", 3 * h, "2026-11-21 00:00"},
		{company, "2026-02-27 17:00", 2 * h, "2026-03-03 10:00"},
		{company, "2026-03-03 11:00", 2 * h, "2026-03-04 10:00"},
		{company, "2026-04-30 17:30", h, "2026-05-01 10:30"},
		{company, "2026-03-06 17:30", h, "2026-03-07 09:30"},
		{plain, "2010-01-04 09:00", 45 * h, "2010-01-08 18:00"}, // a Monday before the years known
		{plain, "2060-01-05 09:00", 46 * h, "2060-01-12 10:00"}, // and one after
		{plain, "2044-12-26 09:00", 90 * h, "2045-01-06 18:00"},
	} {
		if got := c.cal.Due(at(c.start), c.d); !got.Equal(at(c.want)) {
			t.Errorf("Due(%s, %v) = %s, want %s", c.start, c.d, got.In(Zone).Format("2006-01-02 15:04"), c.want)
		}
	}
}

func TestElapsed(t *testing.T) {
	t.Parallel()
	plain, lunch := Compile(office(Span{540, 1080})), Compile(office(Span{540, 720}, Span{780, 1080}))
	for _, c := range []struct {
		cal  *Times
		a, b string
		want int
	}{
		{plain, "2026-02-13 17:00", "2026-02-24 10:00", 660},
		{plain, "2026-04-30 09:00", "2026-05-06 09:00", 540},
		{lunch, "2025-01-26 08:00", "2025-02-05 20:00", 1440},
		{plain, "2026-02-24 10:00", "2026-02-13 17:00", -660},
		{Always, "2026-02-13 17:00", "2026-02-14 17:00", 1440},
		{plain, "2005-01-03 09:00", "2005-01-10 09:00", 5 * 540},
		{plain, "2050-01-03 09:00", "2050-01-10 09:00", 5 * 540},
	} {
		if got := c.cal.Elapsed(at(c.a), at(c.b)); got != time.Duration(c.want)*time.Minute {
			t.Errorf("Elapsed(%s, %s) = %v, want %d min", c.a, c.b, got, c.want)
		}
	}
}

// oracle counts minutes one by one, 2024 to 2026.
type oracle struct {
	start time.Time
	sum   []int32 // worked before each minute
}

func newOracle(r Rules) *oracle {
	o := &oracle{start: Date(2024, 1, 1)}
	n := int(Date(2027, 1, 1).Sub(o.start) / time.Minute)
	o.sum = make([]int32, n+1)
	var spans []Span
	for i := range n {
		o.sum[i+1] = o.sum[i]
		at := i % 1440
		for _, s := range spansAt(r, o, i, &spans) {
			if at >= s.From && at < s.To {
				o.sum[i+1]++
				break
			}
		}
	}
	return o
}

// spansAt are the spans of the day of minute i; today remembers them.
func spansAt(r Rules, o *oracle, i int, today *[]Span) []Span {
	if i%1440 == 0 {
		m := o.start.Add(time.Duration(i) * time.Minute)
		var spans []Span
		date := m.Format(time.DateOnly)
		if e, ok := r.Own[dayOf(m)]; ok {
			spans = e.Spans
		} else if found := find(date); found != nil && r.Holidays != nil {
			if !found.IsOff {
				spans = r.Week[r.Makeup]
			}
		} else {
			spans = r.Week[m.Weekday()]
		}
		*today = spans
	}
	return *today
}

var byDate = func() map[string]*Holiday {
	m := map[string]*Holiday{}
	for _, y := range Shipped() {
		for _, h := range y.Days {
			m[h.Date] = &h
		}
	}
	return m
}()

func find(date string) *Holiday { return byDate[date] }

var genSpans = rapid.Custom(func(t *rapid.T) (out []Span) {
	from := 0
	for range rapid.IntRange(0, 3).Draw(t, "spans") {
		a := rapid.IntRange(from, 1439).Draw(t, "from")
		b := rapid.IntRange(a+1, 1440).Draw(t, "to")
		out = append(out, Span{a, b})
		if from = b; from >= 1440 {
			break
		}
	}
	return out
})

// Whatever the calendar, Due and Elapsed agree with counting minute by minute
// and with each other.
func TestOracle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := Rules{Makeup: time.Weekday(rapid.IntRange(0, 6).Draw(t, "makeup")), Own: map[dayNo]Entry{}}
		for d := range r.Week {
			r.Week[d] = genSpans.Draw(t, "day")
		}
		if r.Week.minutes() == 0 {
			r.Week[1] = []Span{{540, 541}}
		}
		if rapid.Bool().Draw(t, "holidays") {
			r.Holidays = Holidays(Shipped())
		}
		for range rapid.IntRange(0, 8).Draw(t, "own") {
			r.Own[dayOf(Date(2024, 1, 1))+dayNo(rapid.IntRange(0, 1095).Draw(t, "date"))] = Entry{Spans: genSpans.Draw(t, "spans")}
		}
		cal, o := Compile(r), newOracle(r)
		n := len(o.sum) - 1
		for range 40 {
			i, j := rapid.IntRange(0, n).Draw(t, "a"), rapid.IntRange(0, n).Draw(t, "b")
			a, b := o.start.Add(time.Duration(i)*time.Minute), o.start.Add(time.Duration(j)*time.Minute)
			want := time.Duration(o.sum[j]-o.sum[i]) * time.Minute
			if got := cal.Elapsed(a, b); got != want {
				t.Fatalf("Elapsed(%v, %v) = %v, counted %v", a, b, got, want)
			}
			if want <= 0 {
				continue
			}
			// The earliest minute by which as much has been worked.
			due := cal.Due(a, want)
			k := int(due.Sub(o.start) / time.Minute)
			if o.sum[k]-o.sum[i] != o.sum[j]-o.sum[i] || o.sum[k] == o.sum[k-1] || due.After(b) {
				t.Fatalf("Due(%v, %v) = %v; by the minute it is another", a, want, due)
			}
			// Each undoes the other, to the microsecond.
			d := time.Duration(rapid.Int64Range(-1e9, 1e12).Draw(t, "d")) * time.Microsecond
			if got := cal.Elapsed(a, cal.Due(a, d)); got != d {
				t.Fatalf("Elapsed(a, Due(%v, %v)) = %v", a, d, got)
			}
			if x := cal.Due(cal.Due(a, d), -d); cal.Elapsed(x, a) != 0 {
				t.Fatalf("%v there and back from %v is %v", d, a, x)
			}
			if half := (d / 2).Truncate(time.Microsecond); half > 0 {
				if x, y := cal.Due(a, d), cal.Due(cal.Due(a, half), d-half); !x.Equal(y) {
					t.Fatalf("in two steps %v, in one %v", y, x)
				}
			}
			if next := cal.Next(a); !cal.At(next) || cal.Elapsed(a, next) != 0 {
				t.Fatalf("Next(%v) = %v", a, next)
			}
		}
	})
}

func TestNoAllocation(t *testing.T) {
	cal, a, b := Compile(office(Span{540, 1080})), at("2026-02-13 17:00"), at("2026-02-24 10:00")
	if n := testing.AllocsPerRun(100, func() { cal.Due(a, time.Hour); cal.Elapsed(a, b) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkDue(b *testing.B) {
	cal, a := Compile(office(Span{540, 720}, Span{780, 1080})), at("2026-02-13 17:00")
	for b.Loop() {
		cal.Due(a, 30*time.Hour)
	}
}

func BenchmarkCompile(b *testing.B) {
	r := office(Span{540, 720}, Span{780, 1080})
	for b.Loop() {
		Compile(r)
	}
}

func TestSpans(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want, key string }{
		{"09:00-12:00, 13:30-18:00", "09:00-12:00, 13:30-18:00", ""},
		{"13：30—18：00；9：00～12：00", "09:00-12:00, 13:30-18:00", ""},
		{"9至12、14到24", "09:00-12:00, 14:00-24:00", ""},
		{"", "", ""},
		{"09:00-12:00, 11:00-18:00", "", "calendar.spans_overlap"},
		{"18:00-09:00", "", "calendar.bad_span"},
		{"09:00-25:00", "", "calendar.bad_span"},
		{"09:60-10:00", "", "calendar.bad_span"},
		{"nine", "", "calendar.bad_span"},
		{"1-2,3-4,5-6,7-8,9-10,11-12,13-14", "", "calendar.too_many_spans"},
	} {
		got, key := ParseSpans(c.in)
		if key != c.key || key == "" && FormatSpans(got) != c.want {
			t.Errorf("%q: %q %s, want %q %s", c.in, FormatSpans(got), key, c.want, c.key)
		}
	}
}

func TestShipped(t *testing.T) {
	t.Parallel()
	for n, want := range map[int][2]int{2024: {28, 8}, 2025: {28, 5}, 2026: {33, 6}, 2027: {13, 0}} {
		y := Shipped()[n]
		if y.Off() != want[0] || y.Work() != want[1] || y.Statutory != (n == 2027) {
			t.Errorf("%d: %d off, %d worked, statutory %v", n, y.Off(), y.Work(), y.Statutory)
		}
		if n == 2027 {
			continue
		}
		if _, key, args := y.checked(); key != "" {
			t.Errorf("%d cannot be imported: %s %v", n, key, args)
		}
	}
	cal := Compile(office(Span{540, 1080}))
	for day, kind := range map[string]Kind{"2026-02-14": KindMakeup, "2026-02-16": KindHoliday, "2026-02-13": KindWeek, "2026-02-07": KindWeek} {
		if d := cal.On(at(day + " 12:00")); d.Kind != kind || cal.Works(at(day+" 12:00")) != (day == "2026-02-14" || day == "2026-02-13") {
			t.Errorf("%s: %+v", day, d)
		}
	}
	if got := cal.WorkingDay(at("2026-09-30 15:00"), 1); !got.Equal(at("2026-10-08 15:00")) {
		t.Errorf("first working day after 30 September: %v", got)
	}
	if got := cal.WorkingDay(at("2026-10-03 15:00"), 0); !got.Equal(at("2026-10-08 15:00")) {
		t.Errorf("the working day of a holiday: %v", got)
	}
}

func TestParseYear(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, want string }{
		{"lines", "2027-01-01 元旦 休\n2027/2/5，春节，休\n2027.2.6 春节 休\n2027-02-07 春节 放假\n2027-02-08 春节 休\n2027-02-09 春节 休\n2027-02-10 春节 休\n2027-02-13 春节 班\n# x\n", "2027 7 1 "},
		{"December is set by the next year's notice", `{"year":2027,"days":[{"name":"元旦","date":"2026-12-31","isOffDay":true},{"name":"a","date":"2027-01-01","isOffDay":true},{"name":"a","date":"2027-01-02","isOffDay":true},{"name":"a","date":"2027-01-03","isOffDay":true},{"name":"a","date":"2027-01-04","isOffDay":true},{"name":"a","date":"2027-01-05","isOffDay":true},{"name":"a","date":"2027-01-06","isOffDay":true}]}`, "2027 7 0 "},
		{"nothing", "", "calendar.import.empty"},
		{"no JSON", "{", "calendar.import.unreadable"},
		{"neither off nor worked", "2027-01-01 元旦", "calendar.import.line"},
		{"no date", "2027-02-30 x 休", "calendar.import.date"},
		{"twice", "2027-01-01 元旦 休\n2027-01-01 元旦 休", "calendar.import.twice"},
		{"a Monday that is made up for", "2027-01-04 元旦 班", "calendar.import.weekday"},
		{"too few", "2027-01-01 元旦 休", "calendar.import.implausible"},
		{"another year", `{"year":2028,"days":[{"name":"a","date":"2027-01-01","isOffDay":true}]}`, "calendar.import.other_year"},
		{"two years", "2027-01-01 a 休\n2027-01-02 a 休\n2028-01-01 a 休", "calendar.import.other_date"},
	} {
		y, key, _ := ParseYear(c.in)
		got := key
		if key == "" {
			got = fmt.Sprintf("%d %d %d ", y.Year, y.Off(), y.Work())
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
