package app_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"bihuan/internal/app/apptest"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/customer"
	"bihuan/internal/fault"
	"bihuan/internal/journal"
	"bihuan/internal/task"
	"bihuan/internal/ticket"
)

// FLW-2: tasks are made, moved, given on and ended by those who may; reminders
// and being late are told once; the supervisor sees those of his people only.
func TestTasks(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, h *apptest.House) {
		c := h.DB.Clock().(*clock.Fake)
		ctx := context.Background()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		agent, engineer, boss, auditor := h.Actor(authz.RoleAgent), h.Actor(authz.RoleEngineer), h.Actor(authz.RoleSupervisor), h.Actor(authz.RoleAuditor)
		now := c.Now()
		mine, err := h.Tasks.Create(ctx, engineer, task.New{Title: "更换 3 号机电源 13812345678", DueAt: now.Add(2 * time.Hour), Remind: 30})
		must(err)
		other, err := h.Tasks.Create(ctx, agent, task.New{Title: "整理台账", DueAt: now.Add(time.Hour), Remind: task.NoReminder})
		must(err)
		if _, err := h.Tasks.Create(ctx, auditor, task.New{Title: "x"}); !fault.Is(err, fault.Forbidden) {
			t.Errorf("an auditor wrote a task down: %v", err)
		}
		if _, err := h.Tasks.Create(ctx, agent, task.New{Title: " "}); !fault.Is(err, fault.Invalid) {
			t.Errorf("a task without words: %v", err)
		}
		if _, err := h.Tasks.Create(ctx, agent, task.New{Title: "x", OwnerID: auditor.ID}); !fault.Is(err, fault.Invalid) {
			t.Errorf("a task was given to somebody who has none: %v", err)
		}

		// Who sees and changes what.
		for _, x := range []struct {
			name string
			by   authz.Actor
			id   int64
			see  bool
			may  bool
		}{{"own", engineer, mine.ID, true, true}, {"a stranger's", agent, mine.ID, false, false}, {"supervisor's engineer", boss, mine.ID, true, true},
			{"another department", boss, other.ID, false, false}, {"auditor", auditor, mine.ID, true, false}} {
			got, err := h.Tasks.Get(ctx, task.View(x.by), x.id)
			if (err == nil) != x.see || err != nil && !fault.Is(err, fault.NotFound) {
				t.Errorf("%s: seen %v (%v)", x.name, err == nil, err)
				continue
			}
			if may, err := h.Tasks.May(ctx, h.DB.Read(), x.by, got); x.see && (err != nil || may != x.may) {
				t.Errorf("%s: may %v (%v)", x.name, may, err)
			}
		}
		if _, err := h.Tasks.Move(ctx, agent, mine.ID, 0, now.Add(9*time.Hour), false); !fault.Is(err, fault.NotFound) {
			t.Errorf("a stranger moved it: %v", err)
		}
		if _, err := h.Tasks.Move(ctx, auditor, mine.ID, 0, now.Add(9*time.Hour), false); !fault.Is(err, fault.Forbidden) {
			t.Errorf("an auditor moved it: %v", err)
		}

		// Reminded once, late once.
		unread := func(a authz.Actor) int {
			t.Helper()
			must(h.Settle(ctx))
			n, err := h.Notify.Unread(ctx, a.ID, 100)
			must(err)
			return n
		}
		before := unread(engineer)
		c.Advance(89 * time.Minute)
		if n, err := h.Tasks.Sweep(ctx); err != nil || n != 1 { // the agent's is late
			t.Fatalf("told %d (%v)", n, err)
		}
		c.Advance(2 * time.Minute)
		for i, want := range []int{1, 0, 0} {
			if n, err := h.Tasks.Sweep(ctx); err != nil || n != want {
				t.Errorf("sweep %d told %d (%v)", i, n, err)
			}
		}
		c.Advance(31 * time.Minute)
		for i, want := range []int{1, 0} {
			if n, err := h.Tasks.Sweep(ctx); err != nil || n != want {
				t.Errorf("late: sweep %d told %d (%v)", i, n, err)
			}
		}
		if got := unread(engineer) - before; got != 2 {
			t.Errorf("%d notices", got)
		}
		for _, x := range []struct {
			by   authz.Actor
			want int
		}{{boss, 1}, {agent, 0}, {engineer, 0}, {h.Actor(authz.RoleAdmin), 2}} {
			if n, err := task.Overdue(ctx, h.DB.Read(), task.View(x.by), c.Now(), 100); err != nil || n != x.want {
				t.Errorf("%s sees %d overdue (%v), want %d", x.by.Name, n, err, x.want)
			}
		}
		page := h.Call("GET", "/tasks/list?list=late", "", h.Cookie(authz.RoleSupervisor)).Body.String()
		if !strings.Contains(page, "更换 3 号机电源") || strings.Contains(page, "整理台账") {
			t.Error("the team's overdue tasks are not those of the team")
		}
		// The day of the calendar is the company's day.
		day := c.Now().In(h.Tasks.Zone()).AddDate(0, 0, 3).Format(time.DateOnly)
		if rec := h.Call("POST", "/tasks/"+strconv.FormatInt(mine.ID, 10)+"/day", "date="+day, h.Cookie(authz.RoleEngineer)); rec.Code != 303 {
			t.Fatalf("a task let go over a day: %d %s", rec.Code, rec.Body)
		}
		if x, err := h.Tasks.Get(ctx, task.View(engineer), mine.ID); err != nil || x.DueAt.In(h.Tasks.Zone()).Format(time.DateOnly) != day {
			t.Errorf("let go over %s it is due %s (%v)", day, x.DueAt, err)
		}
		// A new date winds it anew; an old version is refused.
		moved, err := h.Tasks.MoveDay(ctx, engineer, mine.ID, 0, c.Now().AddDate(0, 0, 2))
		must(err)
		if want := mine.DueAt.AddDate(0, 0, 2); !moved.DueAt.Equal(want) {
			t.Errorf("moved to %s, want %s", moved.DueAt, want)
		}
		if _, err := h.Tasks.Edit(ctx, engineer, mine.ID, mine.Version, task.New{Title: "y"}); !fault.Is(err, fault.Conflict) {
			t.Errorf("an old version was saved: %v", err)
		}
		if _, err := h.Tasks.Reassign(ctx, boss, mine.ID, 0, boss.ID, ""); !fault.Is(err, fault.Invalid) {
			t.Errorf("given on without a reason: %v", err)
		}
		_, err = h.Tasks.Reassign(ctx, boss, mine.ID, 0, boss.ID, "张工请假")
		must(err)
		_, err = h.Tasks.Complete(ctx, boss, mine.ID, 0)
		must(err)
		if _, err := h.Tasks.Cancel(ctx, boss, mine.ID, 0, "不需要了"); !fault.Is(err, fault.Conflict) {
			t.Errorf("a task that is done was cancelled: %v", err)
		}
		back, err := h.Tasks.Reopen(ctx, boss, mine.ID, 0, "又坏了")
		must(err)
		if back.State != task.Open || !back.ClosedAt.IsZero() {
			t.Errorf("reopened: %+v", back)
		}

		// The calendar for other programs: a secret address, no telephone numbers, void
		// once it is changed.
		set := task.DefaultSettings()
		set.Feed = task.FeedTitle
		must(h.Tasks.SetSettings(ctx, h.Actor(authz.RoleAdmin), set))
		token, err := h.Tasks.MakeFeed(ctx, boss)
		must(err)
		ics := h.Call("GET", "/calendar/"+token+".ics", "", nil)
		if body := ics.Body.String(); ics.Code != 200 || !strings.Contains(body, "更换 3 号机电源") || strings.Contains(body, "13812345678") || !strings.HasPrefix(ics.Header().Get("Content-Type"), "text/calendar") {
			t.Errorf("calendar: %d %s", ics.Code, body)
		}
		set.Feed = task.FeedMinimal
		must(h.Tasks.SetSettings(ctx, h.Actor(authz.RoleAdmin), set))
		if body := h.Call("GET", "/calendar/"+token+".ics", "", nil).Body.String(); strings.Contains(body, "更换") || !strings.Contains(body, "UID:task-"+strconv.FormatInt(mine.ID, 10)) {
			t.Errorf("the calendar says too much: %s", body)
		}
		must(h.Tasks.RevokeFeed(ctx, boss))
		if got := h.Call("GET", "/calendar/"+token+".ics", "", nil); got.Code != 404 {
			t.Errorf("a calendar that was closed: %d", got.Code)
		}
	})
}

// FLW-4: what is left of a day is counted and listed, asked about once at its
// time, and the mark is kept; a supervisor sees his people.
func TestCloseOfDay(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, h *apptest.House) {
		c := h.DB.Clock().(*clock.Fake) // it is Thursday, 9:00 in China
		ctx := context.Background()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		engineer, boss := h.Actor(authz.RoleEngineer), h.Actor(authz.RoleSupervisor)
		cust, err := h.Customers.Create(ctx, h.Actor(authz.RoleAgent), customer.Input{Type: customer.Company, Name: "广州南粤医疗器械股份有限公司", Contacts: []customer.ContactInput{{Name: "黎嘉敏", Phone: "13812345678", Primary: true}}})
		must(err)
		tk, err := h.Tickets.Register(ctx, boss, ticket.RegisterInput{Title: "电源异响", Description: "x", Type: "after_sales", Class: "problem", Urgency: "normal", Channel: "phone", CustomerID: cust.ID, AssigneeID: engineer.ID, DepartmentID: h.Departments["售后部"]})
		must(err)
		_, err = h.Tickets.Do(ctx, engineer, tk.ID, ticket.Acknowledge, ticket.Input{})
		must(err)
		_, err = h.Tasks.Create(ctx, engineer, task.New{Title: "寄备件", DueAt: c.Now().Add(3 * time.Hour), Remind: task.NoReminder})
		must(err)
		left := func() map[string]int {
			t.Helper()
			cs, err := h.Tasks.CloseOf(ctx, []int64{engineer.ID})
			must(err)
			return cs[engineer.ID].Figures
		}
		if f := left(); f["no_record"] != 1 || f["tasks"] != 1 || f["reaction"] != 0 || f["unanswered"] != 0 {
			t.Errorf("before: %v", f)
		}
		_, err = h.Tickets.FollowUp(ctx, engineer, tk.ID, "更换风扇，噪声消失", journal.Record{Method: "visit"}, nil)
		must(err)
		f := left()
		if f["no_record"] != 0 || f["reaction"] != 1 {
			t.Errorf("after a record without reaction: %v", f)
		}
		for key, n := range f { // each figure opens its list
			lines, err := h.Tasks.Lines(ctx, boss, key, engineer.ID, 10)
			must(err)
			if len(lines) != n {
				t.Errorf("%s: %d lines of %d", key, len(lines), n)
			}
			if _, err := h.Tasks.Lines(ctx, h.Actor(authz.RoleAgent), key, engineer.ID, 10); !fault.Is(err, fault.NotFound) {
				t.Errorf("a stranger reads %s: %v", key, err)
			}
		}
		notices := func(a authz.Actor) int {
			t.Helper()
			must(h.Settle(ctx))
			n, err := h.Notify.Unread(ctx, a.ID, 100)
			must(err)
			return n
		}
		e0 := notices(engineer)
		must(h.Tasks.AskDays(ctx)) // not yet
		if n := notices(engineer) - e0; n != 0 {
			t.Errorf("%d asked in the morning", n)
		}
		c.Advance(8*time.Hour + 31*time.Minute) // 17:31
		e0 = notices(engineer)
		b0 := notices(boss)
		must(h.Tasks.AskDays(ctx))
		must(h.Tasks.AskDays(ctx))
		if n, m := notices(engineer)-e0, notices(boss)-b0; n != 1 || m != 1 {
			t.Errorf("asked %d times, the supervisor heard %d times", n, m)
		}
		page := h.Call("GET", "/day?list=team", "", h.Cookie(authz.RoleSupervisor)).Body.String()
		if !strings.Contains(page, "张工") || strings.Contains(page, "王小美") {
			t.Error("the team's page does not show the team")
		}
		must(h.Tasks.CloseDay(ctx, engineer))
		if at, figures, ok, err := h.Tasks.Closed(ctx, engineer.ID, "2026-11-19"); err != nil || !ok || at.IsZero() || figures["tasks"] != 1 {
			t.Errorf("the mark: %v %v %v %v", at, figures, ok, err)
		}
		c.Advance(48 * time.Hour) // Saturday
		e0 = notices(engineer)
		must(h.Tasks.AskDays(ctx))
		if n := notices(engineer) - e0; n != 0 {
			t.Errorf("asked on a Saturday")
		}
	})
}
