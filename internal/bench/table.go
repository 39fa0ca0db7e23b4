package bench

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
)

func unzip(raw []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

func ratio(a, b float64) string {
	if a == 0 || b == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1fx", a/b)
}

// table prints a report for people.
func (r Report) table(w io.Writer) {
	fmt.Fprintf(w, "\n%s, %d tickets (seeded in %.0f s, ready after %.0f ms)\n", r.Engine, r.Tickets, r.Seeding, r.StartMS)
	fmt.Fprintf(w, "  %-11s %9s %8s %8s %8s %9s %9s %7s %7s\n", "operation", "ops/s", "p50 ms", "p95 ms", "p99 ms", "CPU ms", "bare CPU", "ratio", "KB")
	line := func(name string, p, f Result) {
		if p.N == 0 {
			return
		}
		fmt.Fprintf(w, "  %-11s %9.1f %8.2f %8.2f %8.2f %9.3f %9.3f %7s %7.1f", name, p.PerSec, p.P50, p.P95, p.P99, p.CPU, f.CPU, ratio(p.CPU, f.CPU), float64(p.Bytes)/1000)
		if p.Errors > 0 {
			fmt.Fprintf(w, "  %d ERRORS: %s", p.Errors, p.Error)
		}
		fmt.Fprintln(w)
	}
	for _, n := range names {
		line(n, r.Product[n], r.Floor[n])
	}
	line("the minute", r.Minute, r.FloorMin)
	if r.Rate != nil {
		line("at a rate", *r.Rate, Result{})
	}
	fmt.Fprintf(w, "  bare handler %.3f ms CPU, %.0f/s\n", r.Hello.CPU, r.Hello.PerSec)
	fmt.Fprintf(w, "  memory after the minute %.0f MiB (own %.0f, with shared files by share %.0f); idle %.2f %% of a core; first page %.1f KB in %d requests\n",
		r.Memory.Resident, r.Memory.Own, r.Memory.Share, r.Idle, float64(r.FirstPage.Bytes)/1000, r.FirstPage.Requests)
}

// summary compares sizes of one engine with each other and with the goals.
func (a Reports) summary(w io.Writer) {
	for _, e := range []string{"sqlite", "postgres"} {
		var first, last *Report
		for i := range a.Reports {
			if r := &a.Reports[i]; r.Engine == e {
				if first == nil {
					first = r
				}
				last = r
			}
		}
		if first == nil {
			continue
		}
		fmt.Fprintf(w, "\n%s: minute %s bare statements (goal 2x, at most 4x)", e, ratio(last.Minute.CPU, last.FloorMin.CPU))
		if last != first {
			fmt.Fprintf(w, "; queue p95 at %d %s that at %d (at most 1.5x)", last.Tickets, ratio(last.Product["queue"].P95, first.Product["queue"].P95), first.Tickets)
		}
		fmt.Fprintln(w)
	}
}
