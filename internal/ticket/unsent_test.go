package ticket_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/fault"
	"bihuan/internal/ticket"
	"bihuan/internal/ticket/tickettest"
)

func unsentHouse(t *testing.T, f func(t *testing.T, h *tickettest.House)) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) { f(t, tickettest.New(t, d, c)) })
}

func count(t *testing.T, h *tickettest.House, query string, args ...any) (n int) {
	t.Helper()
	h.OK(h.D.Read().QueryRow(h.Ctx, query, args...).Scan(&n))
	return n
}

func replies(t *testing.T, h *tickettest.House, id int64) int {
	t.Helper()
	return count(t, h, `SELECT COUNT(*) FROM entries WHERE ticket_id = $1 AND kind = 'reply'`, id)
}

// A message that is held back goes out once, at its time, whoever looks for it
// and however often, also after the program was stopped in between.
func TestSendIsHeldBack(t *testing.T) {
	unsentHouse(t, func(t *testing.T, h *tickettest.House) {
		tk := h.To(ticket.InProgress)
		kefu := h.As("kefu")
		file, err := h.Files.Upload(h.Ctx, kefu, "单号.txt", strings.NewReader("SF1"))
		h.OK(err)
		events := count(t, h, `SELECT COUNT(*) FROM events`)
		held, err := h.Send(h.Ctx, kefu, tk.ID, ticket.Outgoing{Body: "已发货", Files: []int64{file.ID}}, 8*time.Second)
		h.OK(err)
		if held == 0 || replies(t, h, tk.ID) != 0 || count(t, h, `SELECT COUNT(*) FROM events`) != events {
			t.Fatal("it went out at once")
		}
		if mine, err := h.UnsentOf(h.Ctx, kefu, 0); err != nil || len(mine) != 1 || mine[0].Number != tk.Number {
			t.Errorf("%+v %v", mine, err)
		}
		if others, err := h.UnsentOf(h.Ctx, h.As("zhuguan"), tk.ID); err != nil || len(others) != 0 {
			t.Errorf("shown to others: %+v %v", others, err)
		}
		h.Clock.Advance(7 * time.Second)
		if n, err := h.SendDue(h.Ctx); n != 0 || err != nil {
			t.Errorf("sent early: %d %v", n, err)
		}
		h.Restart() // stopped and started again
		h.Clock.Advance(time.Second)
		for i := range 3 {
			n, err := h.SendDue(h.Ctx)
			if h.OK(err); n != map[int]int{0: 1}[i] {
				t.Errorf("round %d sent %d", i, n)
			}
		}
		if replies(t, h, tk.ID) != 1 || count(t, h, `SELECT COUNT(*) FROM unsent`) != 0 {
			t.Error("not exactly once")
		}
		fs, err := h.Files.Of(h.Ctx, h.D.Read(), "ticket", tk.ID)
		if h.OK(err); len(fs) != 1 || fs[0].Owner.EntryID == 0 || fs[0].Owner.Internal {
			t.Errorf("attachment: %+v", fs)
		}
		if _, err := h.TakeBack(h.Ctx, kefu, held); !fault.Is(err, fault.Conflict) {
			t.Errorf("taken back after it went out: %v", err)
		}
		if _, err := h.SendNow(h.Ctx, kefu, held); err != nil || replies(t, h, tk.ID) != 1 {
			t.Errorf("sent again: %v", err)
		}
	})
}

// A sending that is cut off before its transaction ends leaves the message where
// it was: neither lost nor sent.
func TestCutOffSending(t *testing.T) {
	unsentHouse(t, func(t *testing.T, h *tickettest.House) {
		tk := h.To(ticket.Pending)
		_, err := h.Send(h.Ctx, h.As("kefu"), tk.ID, ticket.Outgoing{Body: "已发货", Verb: ticket.Acknowledge}, time.Second)
		h.OK(err)
		h.Clock.Advance(2 * time.Second)
		cut := false
		h.AddAfter(func(context.Context, *action.Action, ticket.Ticket, *ticket.Ticket, ticket.Verb, ticket.Input) error {
			if !cut { // the row of the message is gone already
				cut = true
				return fmt.Errorf("the machine stops")
			}
			return nil
		})
		n, err := h.SendDue(h.Ctx)
		if n != 0 || err == nil || count(t, h, `SELECT COUNT(*) FROM unsent WHERE state = 'sending'`) != 1 || replies(t, h, tk.ID) != 0 {
			t.Fatalf("sent %d, %v", n, err)
		}
		if n, err := h.SendDue(h.Ctx); n != 1 || err != nil || replies(t, h, tk.ID) != 1 {
			t.Errorf("then sent %d, %v", n, err)
		}
	})
}

// Taken back, the text is in the draft again with its attachment, in front of
// what its writer has begun since.
func TestTakeBack(t *testing.T) {
	unsentHouse(t, func(t *testing.T, h *tickettest.House) {
		tk := h.To(ticket.InProgress)
		kefu := h.As("kefu")
		file, err := h.Files.Upload(h.Ctx, kefu, "单号.txt", strings.NewReader("SF1"))
		h.OK(err)
		held, err := h.Send(h.Ctx, kefu, tk.ID, ticket.Outgoing{Body: "已发货😀", Files: []int64{file.ID}}, 5*time.Second)
		h.OK(err)
		h.OK(h.KeepDraft(h.Ctx, kefu, tk.ID, "reply", ticket.Writing{Body: "另外"}))
		if _, err := h.TakeBack(h.Ctx, h.As("zhuguan"), held); !fault.Is(err, fault.NotFound) {
			t.Errorf("taken back by another: %v", err)
		}
		_, err = h.TakeBack(h.Ctx, kefu, held)
		h.OK(err)
		d, err := h.Draft(h.Ctx, kefu, tk.ID, "reply")
		if h.OK(err); d.Body != "已发货😀\n\n另外" || len(d.Files) != 1 || d.Files[0] != file.ID {
			t.Errorf("%+v", d)
		}
		h.Clock.Advance(20 * 24 * time.Hour)
		h.OK(h.Files.Sweep(h.Ctx)) // a draft's attachment waits with it
		if x, err := h.Files.Get(h.Ctx, h.D.Read(), file.ID); err != nil || !x.WaitsFor(kefu) {
			t.Errorf("attachment: %+v %v", x, err)
		}
		if n, err := h.SendDue(h.Ctx); n != 0 || err != nil || replies(t, h, tk.ID) != 0 {
			t.Errorf("sent all the same: %d %v", n, err)
		}
		h.Clock.Advance(20 * 24 * time.Hour)
		h.OK(h.Files.Sweep(h.Ctx))
		if _, err := h.Files.Get(h.Ctx, h.D.Read(), file.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("it waits for ever: %v", err)
		}
	})
}

// Words and move happen together, at the time of sending; what would be refused is
// refused when it is written, and what is refused only later comes back.
func TestSendWithMove(t *testing.T) {
	unsentHouse(t, func(t *testing.T, h *tickettest.House) {
		kefu := h.As("kefu")
		for _, c := range []struct {
			from ticket.State
			verb ticket.Verb
			want ticket.State
		}{{ticket.InProgress, ticket.RequestConfirmation, ticket.AwaitingConfirmation}, {ticket.InProgress, ticket.Ask, ticket.WaitingCustomer}, {ticket.Pending, ticket.Acknowledge, ticket.InProgress}} {
			for _, delay := range []time.Duration{0, 3 * time.Second} {
				tk := h.To(c.from)
				_, err := h.Send(h.Ctx, kefu, tk.ID, ticket.Outgoing{Body: "请看", Verb: c.verb}, delay)
				h.OK(err)
				if delay > 0 {
					if now, _ := h.Get(h.Ctx, ticket.View(kefu), tk.ID); now.State != c.from {
						t.Errorf("%s moved before it was sent", c.verb)
					}
					h.Clock.Advance(delay)
					_, err := h.SendDue(h.Ctx)
					h.OK(err)
				}
				now, err := h.Get(h.Ctx, ticket.View(kefu), tk.ID)
				if h.OK(err); now.State != c.want || count(t, h, `SELECT COUNT(*) FROM entries WHERE ticket_id = $1 AND kind IN ('reply', 'question')`, tk.ID) != 1 {
					t.Errorf("%s after %s: %s", c.verb, delay, now.State)
				}
			}
		}
		free := h.Register(func(in *ticket.RegisterInput) { in.AssigneeID, in.DepartmentID = 0, h.Dept["技术支持部"] })
		if free.AssigneeID == 0 {
			_, err := h.Send(h.Ctx, h.As("gong"), free.ID, ticket.Outgoing{Body: "我来", Verb: ticket.Take}, 0)
			h.OK(err)
			if now, _ := h.Get(h.Ctx, ticket.View(h.As("gong")), free.ID); now.AssigneeID != h.User["gong"] || replies(t, h, free.ID) != 1 {
				t.Errorf("taken: %+v", now)
			}
		}
		complaint := h.To(ticket.InProgress, func(in *ticket.RegisterInput) { in.Type = "complaint" })
		if _, err := h.Send(h.Ctx, kefu, complaint.ID, ticket.Outgoing{Body: "已查清", Verb: ticket.RequestConfirmation}, 5*time.Second); !fault.Is(err, fault.Invalid) || count(t, h, `SELECT COUNT(*) FROM unsent`) != 0 {
			t.Errorf("a complaint without its cause: %v", err)
		}
		if replies(t, h, complaint.ID) != 0 {
			t.Error("the trial left its words")
		}
		// Reassigned while it waits: the writer gets it back and is told.
		tk := h.To(ticket.InProgress)
		_, err := h.Send(h.Ctx, kefu, tk.ID, ticket.Outgoing{Body: "马上好"}, 5*time.Second)
		h.OK(err)
		h.Move("zhuguan", tk, ticket.Reassign, ticket.Input{AssigneeID: h.User["kefu2"], Reason: "请接手"})
		h.Clock.Advance(5 * time.Second)
		_, err = h.SendDue(h.Ctx)
		h.OK(err)
		d, err := h.Draft(h.Ctx, kefu, tk.ID, "reply")
		if h.OK(err); d.Body != "马上好" || replies(t, h, tk.ID) != 0 || count(t, h, `SELECT COUNT(*) FROM events WHERE kind = 'ticket.sending_refused'`) != 1 || count(t, h, `SELECT COUNT(*) FROM unsent`) != 0 {
			t.Errorf("%+v", d)
		}
	})
}

// Two who write on one draft never lose a word: the slower is told and his text
// stays with him.
func TestSharedDraft(t *testing.T) {
	unsentHouse(t, func(t *testing.T, h *tickettest.House) {
		tk := h.To(ticket.InProgress)
		kefu, gong := h.As("kefu"), h.As("gong")
		if _, err := h.Share(h.Ctx, kefu, tk.ID, ticket.Writing{Body: "初稿"}, "看看", nil); !fault.Is(err, fault.Invalid) {
			t.Errorf("shared with nobody: %v", err)
		}
		id, err := h.Share(h.Ctx, kefu, tk.ID, ticket.Writing{Body: "初稿"}, "@何俊杰 看看", []int64{gong.ID})
		h.OK(err)
		for who, want := range map[string]int{"kefu": 1, "gong": 1, "kefu2": 0, "zhuguan": 0} {
			seen, err := h.UnsentOf(h.Ctx, h.As(who), tk.ID)
			if h.OK(err); len(seen) != want {
				t.Errorf("%s sees %d", who, len(seen))
			}
		}
		if _, _, _, err := h.SharedDraft(h.Ctx, h.As("kefu2"), id); !fault.Is(err, fault.NotFound) {
			t.Errorf("read by who was not asked: %v", err)
		}
		if err := h.EditShared(h.Ctx, h.As("kefu2"), id, 1, ticket.Writing{Body: "x"}, "", nil); !fault.Is(err, fault.NotFound) {
			t.Errorf("changed by who was not asked: %v", err)
		}
		h.OK(h.EditShared(h.Ctx, gong, id, 1, ticket.Writing{Body: "技术部分已核对"}, "", nil))
		if err := h.EditShared(h.Ctx, kefu, id, 1, ticket.Writing{Body: "我改的"}, "", nil); !fault.Is(err, fault.Conflict) {
			t.Errorf("overwritten: %v", err)
		}
		if err := h.SendShared(h.Ctx, kefu, id, 1, "", 0); !fault.Is(err, fault.Conflict) {
			t.Errorf("sent what was not seen: %v", err)
		}
		u, versions, people, err := h.SharedDraft(h.Ctx, kefu, id)
		if h.OK(err); u.Body != "技术部分已核对" || len(versions) != 2 || versions[0].UserID != gong.ID || versions[1].Body != "初稿" || len(people) != 1 {
			t.Errorf("%+v %+v %v", u, versions, people)
		}
		if err := h.DropShared(h.Ctx, gong, id, 2); !fault.Is(err, fault.Forbidden) {
			t.Errorf("thrown away by a guest: %v", err)
		}
		if err := h.SendShared(h.Ctx, gong, id, 2, "", 0); !fault.Is(err, fault.Forbidden) {
			t.Errorf("sent by who may not answer: %v", err)
		}
		h.OK(h.SendShared(h.Ctx, kefu, id, 2, "", 5*time.Second))
		if seen, _ := h.UnsentOf(h.Ctx, gong, tk.ID); len(seen) != 0 {
			t.Error("still shared while it is being sent")
		}
		_, err = h.TakeBack(h.Ctx, kefu, id)
		h.OK(err)
		if seen, _ := h.UnsentOf(h.Ctx, gong, tk.ID); len(seen) != 1 || seen[0].CreatedBy != kefu.ID {
			t.Error("taken back, it is not shared again")
		}
		u, _, _, err = h.SharedDraft(h.Ctx, kefu, id)
		h.OK(err)
		h.OK(h.SendShared(h.Ctx, kefu, id, u.Version, ticket.Ask, 5*time.Second))
		h.Clock.Advance(5 * time.Second)
		_, err = h.SendDue(h.Ctx)
		h.OK(err)
		if now, _ := h.Get(h.Ctx, ticket.View(kefu), tk.ID); now.State != ticket.WaitingCustomer || count(t, h, `SELECT COUNT(*) FROM unsent_versions`) != 0 {
			t.Errorf("%s", now.State)
		}
	})
}

// A draft of one is nobody else's.
func TestDraftsAreOnesOwn(t *testing.T) {
	unsentHouse(t, func(t *testing.T, h *tickettest.House) {
		tk := h.To(ticket.InProgress)
		kefu := h.As("kefu")
		f, err := h.Files.Upload(h.Ctx, kefu, "a.txt", strings.NewReader("a"))
		h.OK(err)
		h.OK(h.KeepDraft(h.Ctx, kefu, tk.ID, "reply", ticket.Writing{Body: "回复"}))
		h.OK(h.KeepDraft(h.Ctx, kefu, tk.ID, "note", ticket.Writing{Body: "备注", Files: []int64{f.ID}}))
		for _, c := range []struct {
			who  authz.Actor
			kind string
			want string
		}{{kefu, "reply", "回复 []"}, {kefu, "note", fmt.Sprintf("备注 [%d]", f.ID)}, {h.As("zhuguan"), "note", " []"}} {
			d, err := h.Draft(h.Ctx, c.who, tk.ID, c.kind)
			if h.OK(err); fmt.Sprint(d.Body, " ", d.Files) != c.want {
				t.Errorf("%s: %+v", c.kind, d)
			}
		}
		if p, err := h.WritingPreferences(h.Ctx, kefu); err != nil || p != ticket.DefaultPreferences() {
			t.Errorf("%+v %v", p, err)
		}
		if err := h.SetWritingPreferences(h.Ctx, kefu, ticket.Preferences{Undo: time.Minute, AfterSend: "x"}); !fault.Is(err, fault.Invalid) {
			t.Error(err)
		}
		want := ticket.Preferences{Undo: 30 * time.Second, AfterSend: "next"}
		h.OK(h.SetWritingPreferences(h.Ctx, kefu, want))
		if p, _ := h.WritingPreferences(h.Ctx, kefu); p != want {
			t.Errorf("%+v", p)
		}
	})
}
