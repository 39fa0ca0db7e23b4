package ticket

import (
	"context"
	"slices"
	"time"

	"bihuan/internal/db"
	"bihuan/internal/journal"
	"bihuan/internal/sla"
)

// Cause is one part of the answer to "why was this late"; said as
// ticket.why.<kind>.
type Cause struct {
	Kind  string // missed, pause, deferred, deferral_refused, handed, second, delay
	At    time.Time
	Until time.Time // of a pause; zero: it goes on
	Took  time.Duration
	Clock sla.Kind
	Who   string
	Text  string // a sentence of the journal, or somebody's words
	Move  journal.Moved
	Old   time.Time // of a deferral
	New   time.Time
}

// handing are the moves that made somebody else begin anew.
var handing = []string{past[Assign], past[Reassign], past[Decline], "ticket.handed_over"}

// Why answers "why was this late" with what the ticket's history knows: missed
// promises, pauses, deferrals, changes of hands, and the reason somebody gave;
// in order of time. The caller has checked that the ticket may be seen.
func Why(ctx context.Context, q db.Querier, t Ticket, now time.Time) ([]Cause, error) {
	clocks, err := sla.Of(ctx, q, t.ID)
	if err != nil {
		return nil, err
	}
	var out []Cause
	for _, c := range clocks {
		if c.Kind.Promise() && (c.Missed || c.State == sla.Running && now.After(c.DueAt)) {
			missed := Cause{Kind: "missed", At: c.DueAt, Clock: c.Kind, Took: c.UsedAt(now) - c.Target}
			if missed.At.IsZero() {
				missed.At = c.StartedAt.Add(c.Target)
			}
			out = append(out, missed)
		}
		if c.Kind != sla.Resolution {
			continue
		}
		segs, err := sla.Segments(ctx, q, c.ID)
		if err != nil {
			return nil, err
		}
		for i, s := range segs {
			if s.EndedAt.IsZero() || i == len(segs)-1 && c.State != sla.Paused {
				continue
			}
			p := Cause{Kind: "pause", At: s.EndedAt, Text: s.EndReason, Took: now.Sub(s.EndedAt)}
			if i+1 < len(segs) {
				p.Until = segs[i+1].StartedAt
				p.Took = p.Until.Sub(p.At)
			}
			if p.Took > 0 {
				out = append(out, p)
			}
		}
	}
	ds, err := Deferrals(ctx, q, t.ID)
	if err != nil {
		return nil, err
	}
	for _, d := range ds {
		c := Cause{At: d.RequestedAt, Who: d.Requester, Text: d.Reason, Old: d.OldDue, New: d.NewDue}
		switch d.State {
		case "approved":
			c.Kind = "deferred"
		case "refused":
			c.Kind = "deferral_refused"
		default:
			continue
		}
		out = append(out, c)
	}
	es, _, err := journal.Of(ctx, q, journal.Place{Ticket: t.ID}, journal.Page{Kinds: []journal.Kind{journal.Move}, Limit: 300})
	if err != nil {
		return nil, err
	}
	for _, e := range es {
		m := e.Moved()
		switch {
		case e.OriginID != 0: // another ticket's story
		case slices.Contains(handing, m.Event):
			out = append(out, Cause{Kind: "handed", At: e.CreatedAt, Who: e.AuthorName, Move: m, Text: m.Reason})
		case m.Event == past[Dispute] || m.Event == past[Reopen]:
			out = append(out, Cause{Kind: "second", At: e.CreatedAt, Who: e.AuthorName, Move: m, Text: m.Reason})
		}
	}
	if t.DelayReason != "" {
		out = append(out, Cause{Kind: "delay", At: t.ResolvedAt, Text: t.DelayReason})
	}
	slices.SortStableFunc(out, func(a, b Cause) int { return a.At.Compare(b.At) })
	return out, nil
}
