package notify

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/outbound/mail/mailtest"
)

// pass lets the deadlines of n tickets pass in one moment.
func (w *world) pass(n int, to ...int64) {
	w.Helper()
	w.ok(w.run.Do(w.ctx, authz.System("sla timer"), "sla.fire", func(ctx context.Context, a *action.Action) error {
		for i := range n {
			a.Record(event.Event{Kind: "ticket.clock_missed", Subject: event.Subject{Type: "ticket", ID: int64(i + 1)}, Data: map[string]any{"number": "TASK" + strconv.Itoa(i), "title": "x", "tell": to, "args": []string{"@sla.clock.resolution"}}})
		}
		return nil
	}))
	w.ok(w.f.Drain(w.ctx))
}

// heard is what a person was told since the notice id, oldest first, in short.
func (w *world) heard(user int64) (alone, many int, last Notice) {
	w.Helper()
	ns, err := w.s.List(w.ctx, user, 0, 1000)
	w.ok(err)
	for i, n := range ns {
		if n.Many > 0 {
			many += n.Many
		} else {
			alone++
		}
		if i == 0 {
			last = n
		}
	}
	return alone, many, last
}

// NTF-1: five hundred deadlines of one minute are twenty notices and one that
// counts the others; what comes later is told one by one again.
func TestCrowd(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		want := func(user int64, alone, many int) Notice {
			t.Helper()
			a, m, last := w.heard(user)
			if a != alone || m != many {
				t.Fatalf("%d notices and %d in others, want %d and %d", a, m, alone, many)
			}
			return last
		}
		w.pass(15, 1)
		want(1, 15, 0)
		w.pass(300, 1, 3)
		n := want(1, 20, 295)
		if n.Heading("zh-CN") != "另有 295 条：时限已超时" || n.Heading("en") != "295 more: Deadline missed" || n.Link != "/tickets?view=overdue" || n.Class != Urgent || n.Sentence("zh-CN") == "" {
			t.Errorf("%+v: %s", n, n.Heading("zh-CN"))
		}
		want(3, 20, 280)
		w.tell("ticket.assigned", false, 1) // other kinds as ever
		w.pass(200, 1)
		want(1, 21, 495)
		if ns, err := w.s.List(w.ctx, 1, 0, 2); err != nil || ns[1].ID != n.ID || ns[1].Many != 495 {
			t.Errorf("%+v, %v: not in the same notice", ns, err)
		}
		// What he has read counts no more.
		w.ok(w.s.MarkRead(w.ctx, 1, n.ID))
		w.pass(7, 1)
		if n := want(1, 21, 502); n.Many != 7 {
			t.Errorf("%+v", n)
		}
		w.c.Advance(crowdPause + time.Second)
		w.pass(3, 1)
		want(1, 24, 502)
	})
}

// A transaction that is taken back leaves no count behind, and a restart loses
// nobody's notice.
func TestCrowdTakenBack(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.pass(30, 1)
		boom := errors.New("boom")
		evs, err := event.After(w.ctx, w.d.Read(), 0, 100)
		w.ok(err)
		for i := range evs { // as if they were others
			evs[i].Seq += 1000
		}
		err = w.d.Write(w.ctx, func(ctx context.Context, tx *db.Tx) error {
			if err := w.s.handle(ctx, tx, evs); err != nil {
				return err
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Fatal(err)
		}
		w.pass(5, 1)
		if a, m, _ := w.heard(1); a != 20 || m != 15 {
			t.Errorf("%d and %d", a, m)
		}
		w.s.crowds = map[crowdKey]crowd{}
		w.pass(25, 1)
		if a, m, _ := w.heard(1); a != 40 || m != 20 {
			t.Errorf("%d and %d after a restart", a, m)
		}
	})
}

// The notice that counts the others leaves the house once, when the minute is
// over, with the number it has then; a webhook hears of everything.
func TestCrowdLeavesOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		m, _ := w.mail(mailtest.Plan{})
		w.pass(40, 1)
		w.settle()
		if n := len(m.Mails()); n != 20 {
			t.Errorf("%d mails at once", n)
		}
		w.c.Advance(30 * time.Second)
		w.pass(60, 1)
		w.later(31 * time.Second)
		got := subjects(m)
		if len(got) != 21 || got[20] != "he@example.cn 【紧急】另有 80 条：时限已超时：短时间内太多，合并为一条；打开后在工单列表中查看" {
			t.Errorf("%d mails, the last %q", len(got), got[len(got)-1])
		}
		w.channel(Webhook, map[string]string{"url": "https://hooks.example.cn/"}, map[string]string{"secret": "0123456789abcdef"})
		w.c.Advance(time.Hour)
		before, _, _ := w.heard(1)
		w.pass(50, 1)
		if a, _, _ := w.heard(1); a != before+50 {
			t.Errorf("%d of 50 with a webhook", a-before)
		}
	})
}

func ExampleNotice_Heading() {
	fmt.Println(Notice{Kind: "ticket.clock_missed", Many: 480}.Heading("zh-CN"))
	// Output: 另有 480 条：时限已超时
}
