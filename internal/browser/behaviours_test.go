package browser

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"bihuan/internal/app/apptest"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/field"
	"bihuan/internal/ticket"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// The behaviours people who come from the best desks expect, and where each is
// tried. What they bring beside the browser is tried in the rooms.
//
//	 1 palette with every action and its key        TestDesk
//	 2 single-letter keys on a ticket               TestKeyboardAlone
//	 3 ? shows the keys; they can be turned off     TestDesk
//	 4 / canned reply; @ colleague; ?? article      TestWriting; TestWritingTogether; the room of articles
//	 5 who is viewing, who is writing               TestTwoOnOneTicket
//	 6 drafts on the server, with attachments       TestWritingTogether
//	 7 shared draft with review by @mention         TestWritingTogether
//	 8 undo send without losing the draft           TestWriting
//	 9 send and set status                          TestKeyboardAlone, TestWritingTogether
//	10 previous and next inside the view            TestDesk
//	11 tabs that survive reload, with marks         TestDesk
//	12 shared views, live counts, AND/OR            TestSavedViews, TestColumnsAndViews (over HTTP)
//	13 waiting longest as default order             TestDeskAtAGlance
//	14 countdown in row and header, all clocks      TestDeskAtAGlance
//	15 bulk edit; drag onto a person                TestDesk, TestSupervisorsDesk
//	16 macros shown before they run                 TestWriting
//	17 side panel, each part editable in place      TestTwoOnOneTicket, TestDeskAtAGlance
//	18 panel and fields follow the type             TestDeskAtAGlance
//	19 hover card, similar tickets                  TestDeskAtAGlance
//	20 duplicate warning while writing              TestDeskAtAGlance
//	21 snooze until a picked time                   TestDesk
//	22 assign to me when answering                  TestWritingTogether
//	23 connection lost, resync                      TestConnectionLost
//	24 copy number, title, link by one key          TestDeskAtAGlance
//	25 quick look and edit; a choice on conflict    TestDesk, TestTwoOnOneTicket

// hover rests the mouse over what matches sel until what that shows is there. What
// lay under the mouse may just have been drawn anew: then it is moved once more.
func (p *tab) hover(sel, shown string) {
	p.t.Helper()
	p.until(`document.querySelector('` + sel + `')`)
	for range 8 {
		x, y := p.middle(sel)
		for _, to := range [][2]float64{{1, 1}, {x, y}} {
			if _, err := chromedp.Call(p.ctx, input.DispatchMouseEvent, input.DispatchMouseEventParams{Type: input.DispatchMouseEventTypeMouseMoved, X: to[0], Y: to[1]}); err != nil {
				p.t.Fatal(err)
			}
		}
		for range 60 {
			if call(p, chromedp.Evaluate[bool](`!!(`+shown+`)`)) {
				return
			}
			time.Sleep(40 * time.Millisecond)
		}
	}
	p.until(shown)
}

// looks keeps a part as it is seen on a desk, in the dark, and on a phone.
func (p *tab) looks(name string) {
	p.t.Helper()
	p.keep(name)
	p.dark(true)
	p.keep(name + "-dark")
	p.size(390, 844)
	p.keep(name + "-phone")
	p.dark(false)
	p.size(1440, 900)
}

// attach chooses a file in the composer, as the dialog of the system would.
func (p *tab) attach(name, text string) {
	p.t.Helper()
	p.js(fmt.Sprintf(`const i = document.querySelector('.composer input[type=file]'), d = new DataTransfer(); d.items.add(new File([%q], %q, {type: 'text/plain'})); i.files = d.files; i.dispatchEvent(new Event('change', {bubbles: true}))`, text, name))
	p.sees(name)
}

// Behaviours 6, 7 and 22: drafts of each person and kind stand on the server with
// their attachments; a draft is shared and reviewed by a colleague who is named
// with @; answering an unassigned ticket takes it.
func TestWritingTogether(t *testing.T) {
	t.Parallel()
	b := launch(t)
	apptest.Each(t, apptest.Options{Clock: clock.Real()}, func(t *testing.T, h *apptest.House) {
		b.t = t
		all := desk(t, h, 1)
		ctx, at := context.Background(), "/tickets/"+all[0].Number
		if err := h.Tickets.SetChain(ctx, h.Actor(authz.RoleAdmin), h.Departments["客服部"], []ticket.Strategy{ticket.Pull}); err != nil {
			t.Fatal(err)
		}
		base := h.Serve()
		agent, head := b.person(h, base, authz.RoleAgent), b.person(h, base, authz.RoleHead)
		area := func(kind string) string {
			return `document.querySelector('.composer textarea.for-` + kind + `').value`
		}
		saved := func(p *tab) {
			t.Helper()
			p.until(`document.querySelector('[data-draft-status]').innerText.includes('草稿已保存')`)
		}
		writes := func(p *tab, key, kind, text string) {
			t.Helper()
			p.js(`document.activeElement?.blur()`)
			p.press(key)
			p.until(`document.activeElement?.matches('textarea.for-` + kind + `')`)
			p.write(text)
		}

		// 6: a note with a file and a reply, each kept apart; gone from nobody's screen but the others'.
		agent.open(at)
		writes(agent, "n", "note", "内部：先查保修期")
		agent.attach("保修卡.txt", "2026-11")
		saved(agent)
		agent.js(`document.querySelector('[data-draft-status]').textContent = ''`)
		writes(agent, "r", "reply", "您好，我们正在核对")
		saved(agent)
		agent.looks("drafts")
		agent.open("/tickets")
		agent.open(at)
		agent.until(area("note") + ` === '内部：先查保修期' && ` + area("reply") + ` === '您好，我们正在核对'`)
		agent.until(`document.querySelector('.composer ul.for-note').textContent.includes('保修卡.txt') && !document.querySelector('.composer ul.for-reply').textContent.includes('保修卡.txt')`)
		head.open(at)
		head.until(area("note") + ` === '' && ` + area("reply") + ` === ''`)

		// 7: shared, with a colleague named by @, who is told, improves it, and it is sent.
		agent.js(`document.activeElement?.blur()`)
		agent.press("r")
		agent.until(`document.activeElement?.matches('textarea.for-reply')`)
		agent.click(`.composer .more.for-reply`)
		agent.js(`document.querySelector('#sendmore button[value=share]').click()`)
		agent.until(`location.pathname.endsWith('/shared/new') && document.readyState === 'complete' && document.querySelector('[name=body]').value === '您好，我们正在核对'`)
		agent.fill(`[name=note]`, "请帮忙看一下措辞 @陈")
		agent.until(`document.querySelector('.mentions [role=option][aria-selected=true]')?.innerText.includes('陈')`)
		agent.keep("mention")
		agent.press(kb.Enter)
		agent.until(`/@陈\S+ $/.test(document.querySelector('[name=note]').value)`)
		agent.looks("share")
		agent.send(`main form.card`)
		if err := h.Settle(ctx); err != nil {
			t.Fatal(err)
		}
		head.open("/notifications")
		head.sees(all[0].Number)
		head.open(at)
		head.click(`.sharedline a`)
		head.until(`location.pathname.includes('/shared/') && document.querySelector('[name=body]')`)
		head.set(`main form.card`, "body", "您好，我们正在核对保修信息，今天 17 点前答复您。")
		head.send(`main form.card`)
		agent.open(at)
		agent.until(`document.querySelector('.sharedline')?.innerText.includes('17 点前')`)
		agent.looks("shared")
		agent.click(`.sharedline a`)
		agent.until(`document.querySelector('[name=body]')?.value.includes('17 点前')`)
		agent.js(`window.before = true; document.querySelector('main form.card').requestSubmit(document.querySelector('main form.card button[value=send]'))`)
		agent.until(`!window.before && document.readyState === 'complete'`)
		agent.sees("17 点前答复您")
		agent.until(`!document.querySelector('.sharedline')`)

		// 22: nobody has it; whoever answers takes it, and is told so before.
		x, err := h.Tickets.Register(ctx, h.Actor(authz.RoleAdmin), ticket.RegisterInput{Title: "没有人受理的咨询", Type: "consultation", Urgency: "normal", Channel: "phone", CustomerID: all[0].CustomerID, DepartmentID: h.Departments["客服部"]})
		if err != nil {
			t.Fatal(err)
		}
		agent.open("/tickets/" + x.Number)
		agent.sees("发送时由您领取")
		agent.looks("take")
		writes(agent, "r", "reply", "您好，您的咨询由我处理。")
		agent.press(kb.Enter, chromedp.ModifierCtrl)
		agent.until(`document.querySelector('.tk-t')?.innerText.includes('处理中') && !document.querySelector('.claim')?.checkVisibility() && document.querySelector('.composer .split .primary').innerText.trim() === '发送'`)
		got, err := h.Tickets.Get(ctx, ticket.View(h.Actor(authz.RoleAdmin)), x.ID)
		if err != nil || got.AssigneeID != h.Users[authz.RoleAgent] {
			t.Errorf("it is with %q (%v)", got.AssigneeName, err)
		}
		for who, p := range map[string]*tab{"agent": agent, "head": head} {
			for _, s := range p.took() {
				t.Errorf("trouble of the %s: %s", who, s)
			}
		}
	})
}

// Behaviours 13, 14, 17 to 20 and 24: what one sees without opening anything,
// and what the page says by itself.
func TestDeskAtAGlance(t *testing.T) {
	t.Parallel()
	b := launch(t)
	apptest.Each(t, apptest.Options{Clock: clock.Real()}, func(t *testing.T, h *apptest.House) {
		b.t = t
		all := desk(t, h, 3)
		ctx := context.Background()
		ok := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		_, err := h.Customers.Fields().Save(ctx, h.Actor(authz.RoleAdmin), field.Field{Object: field.Ticket, Code: "serial", Kind: field.Text, Label: field.Words{Zh: "设备序列号", En: "Serial"}, Types: []string{"after_sales"}, Active: true})
		ok(err)
		ok(h.Tickets.SetChain(ctx, h.Actor(authz.RoleAdmin), h.Departments["客服部"], []ticket.Strategy{ticket.Pull}))
		for i := range 3 {
			_, err := h.Tickets.Register(ctx, h.Actor(authz.RoleAdmin), ticket.RegisterInput{Title: fmt.Sprintf("待领取 %d", i+1), Type: "consultation", Urgency: []string{"low", "normal", "urgent"}[i], Channel: "phone", CustomerID: all[0].CustomerID, DepartmentID: h.Departments["客服部"]})
			ok(err)
		}
		ok(h.Settle(ctx))
		base := h.Serve()
		p := b.person(h, base, authz.RoleAgent)
		rest := func() { p.js(`document.activeElement?.blur()`) }

		// 13: the queue of what nobody has begins with who has waited longest, however urgent the others are.
		p.open("/tickets?view=unassigned")
		p.until(`document.querySelector('.sortbtn[popovertarget]')?.innerText.includes('等待最久')`)
		p.until(`[...document.querySelectorAll('.queue .ttl')].map(e => e.innerText).join() === '待领取 1,待领取 2,待领取 3'`)
		p.looks("waiting")
		// Another order can be kept for a view, and is there the next time.
		p.open("/tickets?view=open&sort=newest")
		p.js(`window.before = true; document.querySelector('#qsort form[action="/orders"]').requestSubmit()`)
		p.until(`!window.before && document.readyState === 'complete'`)
		p.open("/tickets?view=open")
		p.until(`document.querySelector('.sortbtn[popovertarget]')?.innerText.includes('最新登记')`)

		// 14: the countdown in the row shows all clocks when the mouse rests on it; the one in the head does too.
		p.open("/tickets?view=mine")
		p.until(`document.querySelector('.queue [data-card*="/clocks"] time, .queue [data-card*="/clocks"] .timer, .queue [data-card*="/clocks"] *')`)
		p.hover(`.queue .rowbox [data-card*="/clocks"]`, `document.querySelector('#hovercard:popover-open')?.innerText.includes('首次响应') && document.querySelectorAll('#hovercard li').length > 1`)
		p.keep("clocks")
		p.press(kb.Escape)
		p.open("/tickets/" + all[0].Number)
		p.hover(`.slabox [data-card*="/clocks"]`, `document.querySelectorAll('#hovercard:popover-open li').length > 1`)
		p.looks("clocks-head")
		p.press(kb.Escape)

		// 19: the customer's open tickets over his name; similar tickets at the side.
		p.open("/tickets?view=mine")
		p.hover(`.queue .rowbox .cname[data-card]`, `document.querySelector('#hovercard:popover-open')?.innerText.includes('`+all[1].Title+`')`)
		p.keep("customer-card")
		p.press(kb.Escape)
		p.open("/tickets/" + all[0].Number)
		p.click(`#similar summary`)
		p.until(`document.querySelector('#similar .sim')?.innerText.includes('打印机卡纸')`)
		p.looks("similar")

		// 24: number, number with title, address, by one key each.
		p.js(`window.copied = []; Object.defineProperty(navigator, 'clipboard', {value: {writeText: async t => { window.copied.push(t) }}})`)
		rest()
		p.press("123")
		p.until(`copied.join('|') === '` + all[0].Number + `|` + all[0].Number + ` ` + all[0].Title + `|' + location.origin + '/tickets/` + all[0].Number + `'`)

		// 18 and 17: fields and panel follow the type, in place.
		p.open("/tickets/" + all[0].Number)
		p.until(`document.querySelector('.cust').innerText.includes('设备序列号') && !document.querySelector('.cust').innerText.includes('投诉处理')`)
		p.js(`document.querySelector('.cust .pen[href*="/fields/type"]').click()`)
		p.until(`document.querySelector('#fielddialog[open] [name=type]')`)
		p.js(`const r = document.querySelector('#fielddialog [name=type][value=complaint]'); if (r) r.click(); else document.querySelector('#fielddialog [name=type]').value = 'complaint'`)
		p.press(kb.Enter, chromedp.ModifierCtrl)
		p.until(`!document.querySelector('dialog[open]')`)
		p.until(`!document.querySelector('.cust').innerText.includes('设备序列号') && document.querySelector('.cust').innerText.includes('投诉处理')`)
		p.looks("complaint-panel")
		p.open("/tickets/new")
		serial := `[...document.querySelectorAll('.newform label')].find(l => l.innerText.includes('设备序列号'))?.checkVisibility()`
		p.js(`document.querySelector('.newform [name=type][value=complaint]').click()`)
		p.until(`!(` + serial + `) && document.querySelector('.newform [name=mood]')?.closest('.field, fieldset').checkVisibility()`)
		p.js(`document.querySelector('.newform [name=type][value=after_sales]').click()`)
		p.until(serial + ` && !document.querySelector('.newform [name=mood]')?.closest('.field, fieldset').checkVisibility()`)
		p.looks("form-by-type")

		// 20: while it is written one sees that it may be there already.
		p.open(fmt.Sprintf("/tickets/new?customer=%d", all[0].CustomerID))
		p.sees("登记") // the page is there
		p.fill(`[name=title]`, "打印机卡纸")
		p.until(`document.querySelector('#similar')?.innerText.includes('可能已经登记过') && document.querySelector('#similar').innerText.includes('` + all[1].Number + `')`)
		p.looks("duplicate")
		for _, s := range p.took() {
			if !strings.Contains(s, "beforeunload") { // it asks whether to leave what is half written
				t.Errorf("trouble: %s", s)
			}
		}
	})
}
