package sim

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"bihuan/internal/app"
	"bihuan/internal/clock"
)

var (
	seeds    = flag.Int("seeds", 0, "how many seeds to walk through on SQLite; 0: a few")
	pgSeeds  = flag.Int("pg-seeds", 0, "how many seeds on PostgreSQL, when BIHUAN_TEST_POSTGRES names a server; 0: a few")
	first    = flag.Uint64("seed", 1, "the first seed")
	days     = flag.Int("days", 30, "how many days each seed lasts")
	failures = flag.Int("failures", 3, "after how many broken seeds to stop")
)

func TestMain(m *testing.M) {
	flag.Parse()
	slog.SetDefault(quiet)
	code := m.Run()
	if server := os.Getenv("BIHUAN_TEST_POSTGRES"); server != "" {
		dropTemplate(server)
	}
	os.Exit(code)
}

// play runs a seed and returns what broke, "" when nothing did.
func play(seed uint64, days int, server string) (w *world, report string) {
	dir, err := os.MkdirTemp("", "bihuan-sim-")
	must(err)
	defer os.RemoveAll(dir)
	w = &world{seed: seed, ctx: context.Background(), clk: clock.NewFake(start), cfg: app.Config{Data: dir, MaxUpload: 1, Grace: time.Second}, model: model{}}
	if server != "" {
		address, drop := postgresCopy(server)
		defer drop()
		w.cfg.Database = address
	} else {
		must(os.WriteFile(filepath.Join(dir, "bihuan.db"), sqliteTemplate(), 0o600))
	}
	func() {
		defer func() {
			if p := recover(); p != nil {
				b, ok := p.(broken)
				if !ok {
					buf := make([]byte, 16<<10)
					b = broken{"simulation", fmt.Sprintf("%v\n%s", p, buf[:runtime.Stack(buf, false)])}
				}
				report = w.report(b)
			}
			if w.app != nil {
				w.app.Close()
			}
		}()
		w.run(days)
	}()
	return w, report
}

var numbers = regexp.MustCompile(`[A-Z]+[0-9]{8,}`)

// report says all that is known of what broke.
func (w *world) report(b broken) string {
	var s strings.Builder
	fmt.Fprintf(&s, "seed %d, step %d, %s: invariant %q is broken\n  %s\n\nthe last actions:\n", w.seed, w.step, w.clk.Now().In(zone).Format("2006-01-02 15:04:05.000000"), b.invariant, b.what)
	for _, l := range w.log {
		s.WriteString("  " + l + "\n")
	}
	number := numbers.FindString(b.what)
	if number == "" || w.app == nil {
		return s.String() + w.again()
	}
	dump := func(title, query string, args ...any) {
		rows, err := w.app.DB.Read().Query(w.ctx, query, args...)
		if err != nil {
			fmt.Fprintf(&s, "%s: %v\n", title, err)
			return
		}
		defer rows.Close()
		names, _ := rows.Columns()
		fmt.Fprintf(&s, "\n%s:\n", title)
		for rows.Next() {
			vals := make([]any, len(names))
			for i := range vals {
				vals[i] = new(any)
			}
			if rows.Scan(vals...) == nil {
				s.WriteString(" ")
				for i, n := range names {
					if v := fmt.Sprint(*vals[i].(*any)); v != "" && v != "0" && v != "<nil>" {
						fmt.Fprintf(&s, " %s=%s", n, v)
					}
				}
				s.WriteString("\n")
			}
		}
	}
	id := w.count(`SELECT COALESCE(MAX(id), 0) FROM tickets WHERE number = $1`, number)
	dump("ticket", `SELECT `+rowColumns+` FROM tickets WHERE id = $1`, id)
	dump("clocks", `SELECT id, kind, round, state, target, started_at, due_at, used, segment_at, step, next_at, missed, ended_at, end_reason, calendar_id FROM clocks WHERE ticket_id = $1 ORDER BY id`, id)
	dump("firings", `SELECT f.clock_id, f.step, f.rung, f.name, f.due_at, f.fired_at, f.told FROM clock_firings f JOIN clocks c ON c.id = f.clock_id WHERE c.ticket_id = $1 ORDER BY f.clock_id, f.step`, id)
	dump("newest events", `SELECT id, seq, at, kind, actor_kind, actor_id, action, reason, data FROM (SELECT * FROM events WHERE subject_type = 'ticket' AND subject_id = $1 ORDER BY id DESC LIMIT 12) e ORDER BY id`, id)
	return s.String() + w.again()
}

func (w *world) again() string {
	return fmt.Sprintf("\nagain: go test ./internal/sim -run Seeds -seed %d -seeds 1 -days %d\n", w.seed, *days)
}

// walk plays n seeds side by side.
func walk(t *testing.T, n int, server string) {
	t.Helper()
	var mu sync.Mutex
	var sum figures
	bad, done, next := 0, 0, 0
	begun := time.Now()
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				mu.Lock()
				if next >= n || bad >= *failures {
					mu.Unlock()
					return
				}
				seed := *first + uint64(next)
				next++
				mu.Unlock()
				w, report := play(seed, *days, server)
				mu.Lock()
				done++
				sum.add(w.fig)
				if report != "" {
					bad++
					t.Error(report)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	took := time.Since(begun)
	t.Logf("%d seeds (%d broken) in %.1f s, %.0f a minute: %d virtual days, %d tickets, %d moves, %d refusals, %d deadlines fired (%d after a fault), %d notices, %d mails, %d faults, %d restarts, %d steps",
		done, bad, took.Seconds(), float64(done)/took.Minutes(), sum.micros/day, sum.tickets, sum.moves, sum.refused, sum.fired, sum.late, sum.notices, sum.mails, sum.faults, sum.restarts, sum.steps)
}

// Months of a company's life, each with its own people, faults and luck.
func TestSeeds(t *testing.T) {
	n := *seeds
	if n == 0 {
		n = 12
	}
	walk(t, n, "")
}

// The same on PostgreSQL.
func TestSeedsPostgres(t *testing.T) {
	server := os.Getenv("BIHUAN_TEST_POSTGRES")
	if server == "" {
		t.Skip("BIHUAN_TEST_POSTGRES names no server")
	}
	n := *pgSeeds
	if n == 0 {
		n = 2
	}
	walk(t, n, server)
}

// A seed takes the same way each time, or what it found could not be looked at.
func TestReplay(t *testing.T) {
	a, report := play(*first, 10, "")
	if report != "" {
		t.Fatal(report)
	}
	b, _ := play(*first, 10, "")
	if a.trace != b.trace || a.fig != b.fig {
		t.Errorf("the second run of seed %d differs:\n%+v\n%+v", *first, a.fig, b.fig)
	}
}
