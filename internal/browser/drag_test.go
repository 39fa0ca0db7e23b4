package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"bihuan/internal/app/apptest"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/task"
	"bihuan/internal/ticket"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// middle is where somebody would take hold of what matches sel; it is brought
// into sight first.
func (p *tab) middle(sel string) (x, y float64) {
	p.t.Helper()
	q, _ := json.Marshal(sel)
	at := call(p, chromedp.Evaluate[[]float64](`(() => { const e = document.querySelector(`+string(q)+`); if (!e) return []; e.scrollIntoView({block: 'nearest'}); const r = e.getBoundingClientRect(); return [r.x + Math.min(r.width / 2, 60), r.y + r.height / 2] })()`))
	if len(at) != 2 {
		p.keep("failed")
		p.t.Fatalf("nothing matches %s", sel)
	}
	return at[0], at[1]
}

// drag takes hold of what matches from with the mouse and lets it go over what
// matches to, which may appear only while something is dragged.
func (p *tab) drag(from, to string) {
	p.t.Helper()
	do := func(err error) {
		p.t.Helper()
		if err != nil {
			p.t.Fatal(err)
		}
	}
	intercept := func(on bool) {
		p.t.Helper()
		_, err := chromedp.Call(p.ctx, input.SetInterceptDrags, input.SetInterceptDragsParams{Enabled: on})
		do(err)
	}
	mouse := func(typ input.DispatchMouseEventType, x, y float64) {
		p.t.Helper()
		_, err := chromedp.Call(p.ctx, input.DispatchMouseEvent, input.DispatchMouseEventParams{Type: typ, X: x, Y: y, Button: input.MouseButtonLeft, Buttons: 1, ClickCount: 1})
		do(err)
	}
	p.until(`document.querySelector('` + from + `')`)
	x, y := p.middle(from)
	intercept(true)
	defer intercept(false)
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	events := chromedp.Events(ctx, input.DragIntercepted)
	held := make(chan *input.DragData, 1)
	go func() {
		for e, err := range events {
			if err == nil {
				held <- e.Data
			}
			return
		}
	}()
	mouse(input.DispatchMouseEventTypeMousePressed, x, y)
	for i := range 4 {
		mouse(input.DispatchMouseEventTypeMouseMoved, x+float64(4*(i+1)), y+float64(2*(i+1)))
	}
	var data *input.DragData
	select {
	case data = <-held:
	case <-ctx.Done():
		p.keep("failed")
		p.t.Fatalf("%s cannot be dragged", from)
	}
	p.until(`document.querySelector('` + to + `')`)
	x, y = p.middle(to)
	for _, typ := range []input.DispatchDragEventType{input.DispatchDragEventTypeDragEnter, input.DispatchDragEventTypeDragOver, input.DispatchDragEventTypeDrop} {
		_, err := chromedp.Call(p.ctx, input.DispatchDragEvent, input.DispatchDragEventParams{Type: typ, X: x, Y: y, Data: data})
		do(err)
		if typ == input.DispatchDragEventTypeDragOver {
			p.keep("over")
		}
	}
	mouse(input.DispatchMouseEventTypeMouseReleased, x, y)
}

// The supervisor's desk: a ticket dragged onto a person asks for the reason and
// goes to him, with all that are ticked; whoever thinks better of it finds his
// ticks as they were; the keyboard does the same (behaviour 15, TKT-16).
func TestSupervisorsDesk(t *testing.T) {
	t.Parallel()
	b := launch(t)
	h, _ := deskHouse(t, 0)
	b.t = t
	ctx, agent := context.Background(), h.Actor(authz.RoleAgent)
	c := someone(t, h, authz.RoleAgent, "赵一鸣", "13812340000")
	var all []ticket.Ticket
	for i := range 4 {
		x, err := h.Tickets.Register(ctx, agent, ticket.RegisterInput{Title: fmt.Sprintf("第 %d 张：网络中断", i+1), Type: "after_sales", Urgency: "normal", Channel: "phone", CustomerID: c.ID, DepartmentID: h.Departments["客服部"], AssigneeID: agent.ID})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, x)
	}
	if err := h.Follower.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	p := b.person(h, h.Serve(), authz.RoleHead)
	p.open("/desk")
	row := func(i int) string { return fmt.Sprintf("#d-unacknowledged-%d", all[i].ID) }
	engineer := fmt.Sprintf(`#m%d[data-drop]`, h.Users[authz.RoleEngineer])
	ready := `document.querySelector('#movedialog[open] [name=to]')?.selectedOptions[0]?.text.includes('张工') && document.activeElement?.name === 'reason'`
	with := func(i int, name string) {
		t.Helper()
		got, err := h.Tickets.Get(ctx, ticket.View(h.Actor(authz.RoleAdmin)), all[i].ID)
		if err != nil || got.AssigneeName != name {
			t.Errorf("%s is with %q, want %s (%v)", got.Number, got.AssigneeName, name, err)
		}
	}

	// One ticket onto one person.
	p.drag(row(0)+" .main a", engineer)
	p.until(ready)
	p.keep("dialog")
	p.write("需要上门检查线路")
	p.press(kb.Enter, chromedp.ModifierCtrl)
	p.until(`!document.querySelector('#movedialog[open]') && document.querySelector('#toasts')?.innerText.includes('1')`)
	with(0, "张工")
	p.until(`document.querySelector('` + row(0) + `')?.innerText.includes('张工')`) // the board without a reload

	// Two are ticked, one of them is dragged: Escape leaves all as it was, a second go takes both.
	for _, i := range []int{1, 2} {
		p.click(row(i) + " [name=ticket]")
	}
	p.until(`document.querySelector('#give [data-checked]').innerText === '2'`)
	p.drag(row(1)+" .main a", engineer)
	p.until(ready + ` && document.querySelectorAll('#movedialog .given li').length === 2`)
	p.press(kb.Escape)
	p.until(`!document.querySelector('#movedialog[open]')`)
	if n := call(p, chromedp.Evaluate[int](`document.querySelectorAll('#desk [name=ticket]:checked').length`)); n != 2 {
		t.Errorf("%d tickets are ticked after thinking better of it", n)
	}
	with(1, "王小美")
	p.drag(row(2)+" .main a", engineer)
	p.until(ready)
	p.write("同一路口，一并处理")
	p.press(kb.Enter, chromedp.ModifierCtrl)
	p.until(`document.querySelector('` + row(1) + `')?.innerText.includes('张工') && document.querySelector('` + row(2) + `')?.innerText.includes('张工')`)
	with(1, "张工")
	with(2, "张工")

	// Not onto a person: nothing happens. What is not ticked goes alone.
	p.open("/desk")
	p.click(row(0) + " [name=ticket]")
	p.drag(row(3)+" .main a", `.phead h1`)
	if call(p, chromedp.Evaluate[bool](`!!document.querySelector('#movedialog[open]')`)) {
		t.Error("a ticket let go beside everybody asks to whom it goes")
	}
	p.drag(row(3)+" .main a", engineer)
	p.until(ready + ` && document.querySelectorAll('#movedialog .given li').length === 1`)
	p.press(kb.Escape)
	p.until(`!document.querySelector('#movedialog[open]')`)

	// With the keyboard alone.
	p.open("/desk")
	p.tabTo(row(3) + ` [name=ticket]`)
	p.press(" ")
	p.until(`document.querySelector('#give [data-checked]').innerText === '1'`)
	p.js(`document.activeElement.blur()`)
	p.tabTo(`#give button`)
	p.press(kb.Enter)
	p.until(`document.activeElement?.matches('#movedialog[open] [name=to]')`)
	p.js(fmt.Sprintf(`document.querySelector('#movedialog [name=to]').value = '%d'`, h.Users[authz.RoleEngineer])) // an input method opens no list
	p.press(kb.Tab)
	p.until(`document.activeElement?.name === 'reason'`)
	p.write("键盘转派")
	p.press(kb.Enter, chromedp.ModifierCtrl)
	p.until(`document.querySelector('` + row(3) + `')?.innerText.includes('张工')`)
	with(3, "张工")
	for _, s := range p.took() {
		t.Errorf("trouble: %s", s)
	}
}

// A task is dragged to another day, in the month and in the week; its time of
// day stays. Somebody who was faster is not overwritten (FLW-2).
func TestCalendar(t *testing.T) {
	t.Parallel()
	b := launch(t)
	h := apptest.Open(t, apptest.Options{Clock: clock.Real()})
	b.t = t
	ctx, agent := context.Background(), h.Actor(authz.RoleAgent)
	now := h.DB.Clock().Now().In(h.Tasks.Zone())
	at := time.Date(now.Year(), now.Month(), 15, 10, 30, 0, 0, now.Location()).AddDate(0, 1, 0) // in the middle of the next month
	x, err := h.Tasks.Create(ctx, agent, task.New{Title: "回访打印机客户", DueAt: at, Remind: task.NoReminder})
	if err != nil {
		t.Fatal(err)
	}
	p := b.person(h, h.Serve(), authz.RoleAgent)
	chip := fmt.Sprintf(`.chip[data-task="%d"]`, x.ID)
	day := func(d time.Time) string { return fmt.Sprintf(`td[data-day="%s"]`, d.Format("2006-01-02")) }
	due := func(want time.Time) {
		t.Helper()
		got, err := h.Tasks.Get(ctx, authz.For(h.Actor(authz.RoleAdmin), task.PermView), x.ID)
		if err != nil || !got.DueAt.Equal(want) {
			t.Errorf("due %v, want %v (%v)", got.DueAt, want, err)
		}
	}
	for _, view := range []string{"month", "week"} {
		p.open("/tasks/calendar?view=" + view + "&on=" + at.Format("2006-01-02"))
		to := at.AddDate(0, 0, 2)
		if view == "week" && (to.Weekday() == time.Sunday || to.Weekday() == time.Monday) { // stay within the week shown
			to = at.AddDate(0, 0, -2)
		}
		p.drag(chip, day(to))
		p.until(`document.readyState === 'complete' && document.querySelector('` + day(to) + ` ` + chip + `')`)
		due(to)
		if !strings.Contains(p.path(), "view="+view) {
			t.Errorf("after the move the calendar shows %s", p.path())
		}
		at = to
	}
	// Meanwhile it was moved elsewhere: that stays, and the reader is told.
	p.open("/tasks/calendar?on=" + at.Format("2006-01-02"))
	p.until(`document.body.dataset.live === 'on'`)
	if _, err := h.Tasks.Edit(ctx, agent, x.ID, 0, task.New{Title: "回访扫描仪客户", DueAt: at, Remind: task.NoReminder}); err != nil {
		t.Fatal(err)
	}
	p.sees("回访扫描仪客户") // the page follows
	p.js(`document.querySelector('` + chip + `').dataset.version = '1'`)
	p.drag(chip, day(at.AddDate(0, 0, -3)))
	p.sees("刚刚")
	due(at)
	for _, s := range p.took() {
		if !strings.Contains(s, "409") {
			t.Errorf("trouble: %s", s)
		}
	}
}

// A sub-ticket moves in another department: the main ticket's open page says so
// without a reload, and so does the sub-ticket's when the main one goes on
// (TKT-11, TKT-14).
func TestPartsLive(t *testing.T) {
	t.Parallel()
	b := launch(t)
	h, all := deskHouse(t, 1)
	b.t = t
	ctx, agent, engineer := context.Background(), h.Actor(authz.RoleAgent), h.Actor(authz.RoleEngineer)
	if _, err := h.Tickets.Do(ctx, agent, all[0].ID, ticket.RequestHelp, ticket.Input{DepartmentID: h.Departments["售后部"], AssigneeID: engineer.ID, Title: "协助检查主板", Body: "请硬件同事看一下主板"}); err != nil {
		t.Fatal(err)
	}
	parts, err := h.Tickets.Children(ctx, all[0].ID)
	if err != nil || len(parts) != 1 {
		t.Fatalf("%d parts %v", len(parts), err)
	}
	sub := parts[0]
	base := h.Serve()
	p, q := b.person(h, base, authz.RoleAgent), b.person(h, base, authz.RoleEngineer)
	p.open("/tickets/" + all[0].Number)
	q.open("/tickets/" + sub.Number)
	for _, x := range []*tab{p, q} {
		x.js(`window.same = true`) // gone after a reload
		x.until(`document.querySelector('.cust')`)
	}
	says := func(x *tab, text string) {
		t.Helper()
		x.until(`window.same && document.querySelector('.cust').innerText.includes('` + text + `')`)
	}
	says(p, "待处理")
	says(q, all[0].Title)
	p.keep("before")
	if _, err := h.Tickets.Do(ctx, engineer, sub.ID, ticket.Acknowledge, ticket.Input{}); err != nil {
		t.Fatal(err)
	}
	p.until(`window.same && document.querySelector('.subs')?.innerText.includes('处理中')`)
	if _, err := h.Tickets.Note(ctx, engineer, sub.ID, "主板已送检，明天出结果", nil, nil); err != nil {
		t.Fatal(err)
	}
	says(p, "主板已送检，明天出结果")
	if _, err := h.Tickets.Do(ctx, agent, all[0].ID, ticket.Ask, ticket.Input{Body: "请问序列号是多少？"}); err != nil {
		t.Fatal(err)
	}
	says(q, "待客户补充")
	p.keep("after")
	q.keep("sub")
	for _, x := range []*tab{p, q} {
		for _, s := range x.took() {
			t.Errorf("trouble: %s", s)
		}
	}
}
