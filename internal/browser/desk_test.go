package browser

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"bihuan/internal/app/apptest"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/customer"
	"bihuan/internal/journal"
	"bihuan/internal/ticket"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// js runs a script that answers nothing.
func (p *tab) js(script string) {
	p.t.Helper()
	call(p, chromedp.Evaluate[chromedp.Void](`void (() => { `+script+` })()`))
}

// says is the text of what matches sel, "" for nothing.
func (p *tab) says(sel string) string {
	p.t.Helper()
	return call(p, chromedp.Evaluate[string](`(document.querySelector('`+sel+`')?.innerText || '')`))
}

// deskHouse is a house with n tickets of the agent, each in progress, and their
// numbers in the order of the queue.
func deskHouse(t *testing.T, n int) (*apptest.House, []ticket.Ticket) {
	t.Helper()
	h := apptest.Open(t, apptest.Options{Clock: clock.Real()})
	return h, desk(t, h, n)
}

// desk gives the agent of a house n tickets of one customer, each in progress.
func desk(t *testing.T, h *apptest.House, n int) (out []ticket.Ticket) {
	t.Helper()
	ctx, agent := context.Background(), h.Actor(authz.RoleAgent)
	c, err := h.Customers.Create(ctx, agent, customer.Input{Type: customer.Company, Name: "上海云帆科技有限公司", Source: "phone", Contacts: []customer.ContactInput{{Name: "周敏", Phone: "13812345678", Primary: true}}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		x, err := h.Tickets.Register(ctx, agent, ticket.RegisterInput{Title: fmt.Sprintf("第 %02d 张：打印机卡纸", i+1), Type: "after_sales", Urgency: "normal", Channel: "phone", CustomerID: c.ID, DepartmentID: h.Departments["客服部"], AssigneeID: agent.ID})
		if err == nil {
			x, err = h.Tickets.Do(ctx, agent, x.ID, ticket.Acknowledge, ticket.Input{})
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, x)
	}
	if err := h.Follower.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	return out
}

// 只用键盘走完一张工单：登记、受理、改优先级、备注、提问、记录答复、跟进、请求确认、代客户确认、归档。
// Not once is the mouse used (behaviours 2, 9; TKT-18).
func TestKeyboardAlone(t *testing.T) {
	t.Parallel()
	b := launch(t)
	h, _ := deskHouse(t, 1)
	b.t = t
	p := b.person(h, h.Serve(), authz.RoleAgent)
	p.open("/tickets")
	rest := func() { p.js(`document.activeElement?.blur()`) }
	dialog := func(field string) {
		t.Helper()
		p.until(`document.querySelector('dialog[open] ` + field + `')`)
		p.until(`document.activeElement?.closest('dialog[open]')`)
	}
	send := func() {
		t.Helper()
		p.press(kb.Enter, chromedp.ModifierCtrl)
		p.until(`!document.querySelector('#movebox dialog[open]')`)
		rest()
	}
	state := func(s string) {
		t.Helper()
		p.until(`document.querySelector('.tk-t')?.innerText.includes('` + s + `')`)
	}

	p.press("i")
	p.until(`location.pathname === '/tickets/new' && document.activeElement?.name === 'customer_text'`)
	p.write("云帆")
	p.until(`document.querySelector('[data-pick] [role=option]')`)
	p.press(kb.Enter)
	p.tabTo(`[name="title"]`)
	p.write("扫描仪无法联网")
	p.tabTo(`[name="description"]`)
	p.write("三楼的扫描仪从昨天起连不上网络。")
	p.press(kb.Enter, chromedp.ModifierCtrl)
	p.until(`/^\/tickets\/TASK/.test(location.pathname) && document.readyState === 'complete'`)
	state("待处理")
	rest()
	if call(p, chromedp.Evaluate[bool](`!!document.querySelector('[data-key=a]')`)) {
		p.press("a")
	} else {
		p.press("t")
	}
	state("处理中")
	rest()
	p.press("p")
	dialog(`[name=priority]`)
	p.tabTo(`dialog[open] [name=priority]`)
	p.press("高")
	p.js(`const s = document.querySelector('dialog[open] [name=priority]'); s.value = 'high'`) // an input method opens no list
	p.tabTo(`dialog[open] [name=priority_reason]`)
	p.write("客户当天要用")
	send()
	p.until(`document.querySelector('.tk-t')?.innerText.includes('高')`)
	p.press("n")
	p.until(`document.activeElement?.matches('textarea.for-note')`)
	p.write("已通知机房同事一起看。")
	p.press(kb.Enter, chromedp.ModifierCtrl)
	p.sees("已通知机房同事一起看。")
	p.until(`document.activeElement?.matches('textarea.for-note') && document.activeElement.value === ''`) // emptied, and the next word may be typed
	rest()
	p.press("q")
	dialog(`[name=body]`)
	p.tabTo(`dialog[open] [name=body]`)
	p.write("请问扫描仪的型号是什么？")
	send()
	state("待客户补充")
	p.press("y")
	dialog(`[name=body]`)
	p.tabTo(`dialog[open] [name=body]`)
	p.write("型号是 DS-870。")
	send()
	state("处理中")
	p.press("f")
	p.until(`document.activeElement?.matches('textarea.for-followup')`)
	p.write("电话指导周敏重设网络参数，扫描三页正常，约定明天上午十点回访。")
	p.press(kb.Enter, chromedp.ModifierCtrl)
	p.sees("电话指导周敏重设网络参数")
	p.until(`document.activeElement?.matches('textarea.for-followup') && document.activeElement.value === ''`)
	rest()
	p.press("c")
	dialog(`[name=solution]`)
	p.tabTo(`dialog[open] [name=solution]`)
	p.write("重设了扫描仪的网络参数。")
	send()
	state("待客户确认")
	p.press("y")
	dialog(`[name=stars]`)
	p.tabTo(`dialog[open] .rating input`)
	p.press("5")
	send()
	state("已完成")
	p.press("z")
	state("已关闭")
	p.keep("closed")
	for _, s := range p.took() {
		if !strings.Contains(s, "Failed to load resource") {
			t.Errorf("trouble: %s", s)
		}
	}
}

// The palette, the tabs, going on over the end of a page, ticking, dragging,
// putting off, copying, the quick look, and keys that can be turned off
// (behaviours 1, 3, 10, 11, 15, 21, 24, 25).
func TestDesk(t *testing.T) {
	t.Parallel()
	b := launch(t)
	h, all := deskHouse(t, 30)
	b.t = t
	base := h.Serve()
	ctx := context.Background()
	p := b.person(h, base, authz.RoleHead)
	p.open("/tickets?view=open")
	rest := func() { p.js(`document.activeElement?.blur()`) }

	// The palette: a ticket by the end of its number, then a move by its name.
	p.press("k", chromedp.ModifierCtrl)
	p.until(`document.querySelector('#palette[open] [role=option]')`)
	p.write(strings.TrimPrefix(all[3].Number, "TASK"))
	p.until(`document.querySelector('#palette [aria-selected=true]')?.innerText.includes('` + all[3].Number + `')`)
	p.keep("palette")
	p.press(kb.Enter)
	p.until(`location.pathname === '/tickets/` + all[3].Number + `' && document.querySelector('#tabs li.on')`)
	p.press("k", chromedp.ModifierCtrl)
	p.until(`document.querySelector('#palette[open] [role=option]')`)
	p.write("优先级")
	p.until(`document.querySelector('#palette [aria-selected=true] kbd')?.innerText === 'P'`)
	p.press(kb.Enter)
	p.until(`document.querySelector('#fielddialog[open]')`)
	p.press(kb.Escape)
	p.until(`!document.querySelector('#fielddialog[open]')`)

	// Tabs: three, over a reload; what happens elsewhere is marked; closing goes on.
	p.open("/tickets?view=open")
	for i := range 3 {
		p.js(fmt.Sprintf(`document.querySelectorAll('.queue .row')[%d].click()`, i))
		p.until(fmt.Sprintf(`document.querySelectorAll('.queue .row')[%d].getAttribute('href').startsWith(location.pathname) && document.querySelector('#tabs li.on span')?.innerText === document.querySelector('.tk h1').innerText`, i))
	}
	p.open(p.path())
	p.until(`document.querySelectorAll('#tabs li').length >= 3`)
	other := call(p, chromedp.Evaluate[string](`document.querySelector('#tabs li:not(.on) a').title.split(' ')[0]`))
	x, err := h.Tickets.ByNumber(ctx, ticket.View(h.Actor(authz.RoleAdmin)), other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Tickets.Note(ctx, h.Actor(authz.RoleAdmin), x.ID, "另一位同事的备注", nil, nil); err != nil {
		t.Fatal(err)
	}
	p.until(fmt.Sprintf(`document.querySelector('#tab%d .pip')`, x.ID))
	p.keep("tabs")
	n := call(p, chromedp.Evaluate[int](`document.querySelectorAll('#tabs li').length`))
	rest()
	p.press("w", chromedp.ModifierAlt)
	p.until(fmt.Sprintf(`document.querySelectorAll('#tabs li').length === %d`, n-1))

	// Going on over the end of the first page.
	p.open("/tickets?view=open")
	p.js(`document.querySelectorAll('.queue .row')[24].click()`)
	p.until(`document.querySelectorAll('.queue .row')[24].getAttribute('href').startsWith(location.pathname) && document.querySelector('.tk [data-key="]"]')`)
	rest()
	p.press("]")
	p.until(`document.querySelectorAll('.queue .row').length === 30 && document.querySelectorAll('.queue .row')[25].getAttribute('href').startsWith(location.pathname)`)
	rest()
	p.press("[")
	p.until(`document.querySelectorAll('.queue .row')[24].getAttribute('href').startsWith(location.pathname)`)
	// A ticket that stands beyond the page is opened by its address: its neighbours are known.
	far := call(p, chromedp.Evaluate[string](`document.querySelectorAll('.queue .row')[28].getAttribute('href')`))
	want := call(p, chromedp.Evaluate[string](`document.querySelectorAll('.queue .row')[29].getAttribute('href')`))
	p.open(far)
	rest()
	p.press("]")
	p.until(`(location.pathname + location.search) === '` + want + `'`)

	// Ticking with the keyboard, and one change for both.
	p.open("/tickets?view=open")
	p.press("jxjx")
	p.until(`document.querySelector('[data-picked]').innerText === '2'`)
	p.press(".")
	p.until(`document.querySelector('#bulkdialog[open] [name=kind]')`)
	p.js(`const k = document.querySelector('#bulkdialog [name=kind]'); k.value = 'urgency'; k.dispatchEvent(new Event('change', { bubbles: true })); document.querySelector('#bulkdialog [name=urgency]').value = 'low'`)
	p.keep("bulk")
	p.press(kb.Enter, chromedp.ModifierCtrl)
	p.sees("已处理 2 张工单")

	// Dragging a row onto a colleague asks for the reason and hands it over.
	p.open("/tickets?view=open")
	row := call(p, chromedp.Evaluate[string](`document.querySelectorAll('.queue .row .no')[5].innerText`))
	p.js(`window.dt = new DataTransfer(); const r = document.querySelectorAll('.queue .row')[5]; r.dispatchEvent(new DragEvent('dragstart', { bubbles: true, dataTransfer: dt }))`)
	p.until(`document.querySelector('#drops [data-drop^=assignee]')`)
	p.keep("drag")
	p.js(`const t = [...document.querySelectorAll('#drops [data-drop^=assignee]')].find(e => e.innerText.includes('张工')); for (const e of ['dragover', 'drop']) t.dispatchEvent(new DragEvent(e, { bubbles: true, cancelable: true, dataTransfer: dt })); document.querySelectorAll('.queue .row')[5].dispatchEvent(new DragEvent('dragend', { bubbles: true }))`)
	p.until(`document.querySelector('#bulkdialog[open] [name=assignee]')?.selectedOptions[0]?.text.includes('张工')`)
	p.fill(`#bulkdialog [name=reason]`, "需要现场检查")
	p.press(kb.Enter, chromedp.ModifierCtrl)
	p.until(`!document.querySelector('#bulkdialog[open]')`)
	p.sees("张工")
	got, err := h.Tickets.ByNumber(ctx, ticket.View(h.Actor(authz.RoleAdmin)), row)
	if err != nil || got.AssigneeName != "张工" {
		t.Errorf("%s is with %q (%v)", row, got.AssigneeName, err)
	}

	// The quick look, and a change from there.
	p.open("/tickets?view=open")
	p.press("jv")
	p.until(`document.querySelector('.peekbox[open] .pen')`)
	p.keep("peek")
	p.js(`document.querySelector('.peekbox .pen[href*="/class"]').click()`)
	p.until(`document.querySelector('#fielddialog[open] [name=class]')`)
	p.js(`document.querySelector('#fielddialog [name=class]').value = 'support'`)
	p.press(kb.Enter, chromedp.ModifierCtrl)
	p.until(`!document.querySelector('dialog[open]')`)

	// Putting off: it leaves the own queue and stands in a view of its own.
	agent := b.person(h, base, authz.RoleAgent)
	agent.open("/tickets")
	agent.js(`document.querySelector('.queue .row').click()`)
	agent.until(`document.querySelector('.tk')`)
	title := agent.says(".tk h1")
	agent.press(";")
	agent.until(`document.activeElement?.matches('.picks button')`)
	agent.keep("snooze")
	agent.press(kb.Enter)
	agent.sees("已设为稍后处理")
	agent.until(`![...document.querySelectorAll('.queue .ttl')].some(e => e.innerText === '` + title + `')`)
	agent.open("/tickets?view=snoozed")
	agent.sees(title, "稍后处理至")

	// Keys that can be turned off, and on again.
	agent.press("?")
	agent.until(`document.querySelector('#keys[open]')`)
	agent.keep("keys")
	agent.click(`.keysform button`)
	agent.until(`document.body.dataset.keys === 'off' && document.readyState === 'complete'`)
	agent.press("i")
	agent.press("k", chromedp.ModifierCtrl)
	agent.until(`document.querySelector('#palette[open]')`)
	if agent.path() != "/tickets?view=snoozed" {
		t.Errorf("a letter still works: %s", agent.path())
	}
	for _, x := range []*tab{p, agent} {
		for _, s := range x.took() {
			t.Errorf("trouble: %s", s)
		}
	}
}

// Two people on one ticket: each sees that the other is there and writing, a
// field both change is chosen between two values, and what one types stays while
// the other's words arrive (behaviours 5, 17, 25).
func TestTwoOnOneTicket(t *testing.T) {
	t.Parallel()
	b := launch(t)
	h, all := deskHouse(t, 1)
	b.t = t
	base := h.Serve()
	one, two := b.person(h, base, authz.RoleAgent), b.person(h, base, authz.RoleAdmin)
	at := "/tickets/" + all[0].Number
	one.open(at)
	two.open(at)
	one.until(`document.querySelector('.here .who')?.ariaLabel.includes('郑管理')`)
	two.until(`document.querySelector('.here .who')?.ariaLabel.includes('王小美')`)
	one.press("n")
	one.until(`document.activeElement?.matches('textarea.for-note')`)
	one.write("我正在写的备注，还没有写完")
	// People go on typing; one sign of it may be overtaken by another that he is there.
	one.js(`window.going = setInterval(() => document.activeElement.dispatchEvent(new InputEvent('input', {bubbles: true})), 500)`)
	two.until(`document.querySelector('.here .who.typing')`)
	one.js(`clearInterval(window.going)`)
	two.press("n")
	two.until(`document.activeElement?.matches('textarea.for-note')`)
	two.write("另一位先发出的备注")
	two.press(kb.Enter, chromedp.ModifierCtrl)
	one.sees("另一位先发出的备注")
	if got := call(one, chromedp.Evaluate[string](`document.querySelector('textarea.for-note').value`)); got != "我正在写的备注，还没有写完" {
		t.Errorf("what was typed has become %q", got)
	}
	one.keep("presence")
	pen := `.cust .pen[href*="/fields/urgency"]`
	for _, p := range []*tab{one, two} {
		p.js(`document.activeElement?.blur(); document.querySelector('` + pen + `').click()`)
		p.until(`document.querySelector('#fielddialog[open] [name=urgency]')`)
	}
	set := func(p *tab, v string) {
		p.js(`const r = document.querySelector('#fielddialog [name=urgency]'); r.value = '` + v + `'`)
		p.click(`#fielddialog [type=submit]`)
	}
	set(two, "urgent")
	two.until(`!document.querySelector('#fielddialog[open]')`)
	set(one, "low")
	one.until(`document.querySelector('#fielddialog [role=alert]')`)
	text := one.says("#fielddialog")
	for _, w := range []string{"郑管理", "现在的值", "紧急", "您填写的值", "低"} {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in %q", w, text)
		}
	}
	one.keep("choice")
	one.click(`#fielddialog [type=submit]`)
	one.until(`!document.querySelector('#fielddialog[open]')`)
	two.until(`document.querySelector('` + pen + `')?.innerText === '低'`)
	for _, p := range []*tab{one, two} {
		for _, s := range p.took() {
			if !strings.Contains(s, "409") {
				t.Errorf("trouble: %s", s)
			}
		}
	}
}

// A long ticket is read both ways: back from the newest and on from an entry an
// address leads to, which is marked.
func TestLongTicket(t *testing.T) {
	t.Parallel()
	b := launch(t)
	h, all := deskHouse(t, 1)
	b.t = t
	ctx, agent := context.Background(), h.Actor(authz.RoleAgent)
	for i := range 100 {
		if _, err := h.Tickets.Note(ctx, agent, all[0].ID, fmt.Sprintf("备注 %03d", i), nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	es, _, err := journal.Of(ctx, h.DB.Read(), journal.Place{Ticket: all[0].ID}, journal.Page{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	p := b.person(h, h.Serve(), authz.RoleAgent)
	p.open("/tickets/" + all[0].Number)
	p.sees("备注 099")
	for range 4 {
		if call(p, chromedp.Evaluate[bool](`!!document.querySelector('#tlearlier a')`)) {
			n := call(p, chromedp.Evaluate[int](`document.querySelectorAll('#tl > li').length`))
			p.js(`document.querySelector('#timeline').scrollTop = 0; document.querySelector('#tlearlier a').click()`)
			p.until(fmt.Sprintf(`document.querySelectorAll('#tl > li').length > %d || !document.querySelector('#tlearlier a')`, n))
		}
	}
	p.sees("备注 000", "备注 099")
	middle := es[40] // of the newest hundred: not on the first page
	p.open(fmt.Sprintf("/tickets/%s#e%d", all[0].Number, middle.ID))
	p.until(fmt.Sprintf(`document.querySelector('#e%d.meant')`, middle.ID))
	p.sees(middle.Body)
	p.keep("entry")
	for range 8 {
		if !call(p, chromedp.Evaluate[bool](`!!document.querySelector('#tllater a')`)) {
			break
		}
		n := call(p, chromedp.Evaluate[int](`document.querySelectorAll('#tl > li').length`))
		p.js(`document.querySelector('#tllater a').click()`)
		p.until(fmt.Sprintf(`document.querySelectorAll('#tl > li').length > %d`, n))
	}
	p.sees("备注 099")
	for _, s := range p.took() {
		t.Errorf("trouble: %s", s)
	}
}

// When the way to the server is cut a banner says so; when it is back the banner
// goes and what has happened meanwhile is there without a reload (behaviour 23).
func TestConnectionLost(t *testing.T) {
	t.Parallel()
	b := launch(t)
	h, all := deskHouse(t, 1)
	b.t = t
	way := newWay(t, strings.TrimPrefix(h.Serve(), "http://"))
	p := b.person(h, "http://"+way.addr, authz.RoleAgent)
	p.open("/tickets/" + all[0].Number)
	p.js(`window.same = true`)
	time.Sleep(300 * time.Millisecond) // the stream has begun
	way.cut()
	p.until(`document.querySelector('#offline').hidden === false`)
	p.keep("lost")
	if _, err := h.Tickets.Note(context.Background(), h.Actor(authz.RoleAdmin), all[0].ID, "断线期间写下的备注", nil, nil); err != nil {
		t.Fatal(err)
	}
	way.mend()
	p.until(`document.querySelector('#offline').hidden === true`)
	p.sees("断线期间写下的备注")
	if !call(p, chromedp.Evaluate[bool](`window.same === true`)) {
		t.Error("the page was loaded anew")
	}
}

// way is a connection that can be cut.
type way struct {
	addr, to string
	mu       sync.Mutex
	open     map[net.Conn]bool
	down     bool
}

func newWay(t *testing.T, to string) *way {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &way{addr: l.Addr().String(), to: to, open: map[net.Conn]bool{}}
	t.Cleanup(func() { l.Close(); w.cut() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s, err := net.Dial("tcp", to)
			w.mu.Lock()
			if err != nil || w.down {
				w.mu.Unlock()
				c.Close()
				if s != nil {
					s.Close()
				}
				continue
			}
			w.open[c], w.open[s] = true, true
			w.mu.Unlock()
			go func() { io.Copy(s, c); s.Close() }()
			go func() { io.Copy(c, s); c.Close() }()
		}
	}()
	return w
}

func (w *way) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = true
	for c := range w.open {
		c.Close()
	}
	clear(w.open)
}

func (w *way) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = false
}
