package browser

import (
	"context"
	"strings"
	"testing"

	"bihuan/internal/app/apptest"
	"bihuan/internal/authz"
	"bihuan/internal/canned"
	"bihuan/internal/clock"
	"bihuan/internal/customer"
	"bihuan/internal/ticket"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Behind a slash a text is called by its pinyin initials, with the keyboard alone,
// and filled from the ticket; what was sent is taken back with its attachment, and
// goes out by itself when it is not (KNB-6).
func TestWriting(t *testing.T) {
	t.Parallel()
	b := launch(t)
	h := apptest.Open(t, apptest.Options{Clock: clock.Real()})
	base := h.Serve()
	ctx, agent := context.Background(), h.Actor(authz.RoleAgent)
	c, err := h.Customers.Create(ctx, agent, customer.Input{Type: customer.Company, Name: "广州南粤医疗器械有限公司", Contacts: []customer.ContactInput{{Name: "黎嘉敏", Gender: "female", Phone: "13712348821"}}})
	if err != nil {
		t.Fatal(err)
	}
	x, err := h.Tickets.Register(ctx, agent, ticket.RegisterInput{Title: "何时发货", Type: "consultation", Urgency: "normal", Channel: "phone", CustomerID: c.ID, AssigneeID: agent.ID})
	if err == nil {
		_, err = h.Tickets.Do(ctx, agent, x.ID, ticket.Acknowledge, ticket.Input{})
	}
	if err != nil {
		t.Fatal(err)
	}
	f, err := h.Files.Upload(ctx, agent, "发货单.txt", strings.NewReader("SF1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Canned.Create(ctx, agent, canned.Input{Title: "附上发货单", Body: "{称呼}，{工单编号}的发货单见附件。", Place: canned.Place{Scope: canned.Own}, Files: []int64{f.ID}}); err != nil {
		t.Fatal(err)
	}
	p := b.person(h, base, authz.RoleAgent)
	p.size(1440, 900)
	p.open("/tickets/" + x.Number)
	const text = `document.querySelector('.composer textarea.for-reply').value`
	p.press("r")
	p.until(`document.activeElement.matches('textarea.for-reply')`)
	p.write("/fsfh")
	p.until(`document.querySelector('#texts [role=option][aria-selected=true]')?.textContent.includes('附上发货单')`)
	p.until(`document.activeElement.getAttribute('aria-activedescendant') == 'text0'`)
	p.press(kb.Escape)
	p.until(`!document.querySelector('#texts')`)
	call(p, chromedp.Evaluate[chromedp.Void](`document.activeElement.select(); void 0`))
	p.write("/发货单")
	p.until(`document.querySelector('#texts [role=option][aria-selected=true]')?.textContent.includes('附上发货单')`)
	p.press(kb.Enter)
	want := "黎女士，" + x.Number + "的发货单见附件。"
	p.until(text + ` == '` + want + `'`)
	p.until(`document.querySelector('.composer ul.for-reply').textContent.includes('发货单.txt')`)

	p.press(kb.Enter, chromedp.ModifierCtrl)
	p.until(`document.querySelector('.outmsg [data-left]')?.textContent.includes('秒后发出') && ` + text + ` == ''`)
	p.click(`.outmsg form[action$="/withdrawal"] button`)
	p.until(text + ` == '` + want + `' && !document.querySelector('.outmsg')`)
	p.until(`document.querySelector('.composer ul.for-reply').textContent.includes('发货单.txt')`)

	// Sent again and left alone: it goes out, and the page says so by itself.
	p.click(`.composer .split [type=submit]`)
	p.until(`document.querySelector('.outmsg')`)
	p.click(`.outmsg form[action$="/sending"] button`)
	p.until(`[...document.querySelectorAll('.tl .msg.reply')].some(m => m.textContent.includes('的发货单见附件') && m.textContent.includes('发货单.txt')) && !document.querySelector('.outmsg')`)

	// A macro is looked at before it runs.
	call(p, chromedp.Evaluate[chromedp.Void](`document.activeElement.blur(); void 0`))
	p.press("m")
	p.until(`document.querySelector('#macrodialog[open]')?.textContent.includes('请客户补充信息')`)
	p.click(`#macrodialog li a`)
	p.until(`document.querySelector('#macrodialog[open] .trysteps')`)
	p.press(kb.Enter)
	p.sees("执行了宏", "待客户补充")
}
