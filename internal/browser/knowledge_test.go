package browser

import (
	"context"
	"fmt"
	"testing"

	"bihuan/internal/app/apptest"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/customer"
	"bihuan/internal/knowledge"
	"bihuan/internal/ticket"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Behind ?? an article is called while somebody writes: by words or pinyin
// initials, with the keyboard alone, as text or as a link (KNB-5). Beside the
// ticket the same is offered with a click.
func TestArticlesWhileWriting(t *testing.T) {
	t.Parallel()
	b := launch(t)
	h := apptest.Open(t, apptest.Options{Clock: clock.Real()})
	base := h.Serve()
	ctx, agent := context.Background(), h.Actor(authz.RoleAgent)
	var ids []int64
	for _, x := range [][2]string{{"发票抬头开错了怎么办", "请在 **30 天**内申请换开。"}, {"路由器连不上网", "请重启路由器。"}} {
		id, err := h.Knowledge.Create(ctx, agent, knowledge.Input{Text: knowledge.Text{Title: x[0], Body: x[1], Audience: knowledge.Public}})
		if err == nil {
			err = h.Knowledge.Do(ctx, agent, id, knowledge.Submit, 0, "")
		}
		if err == nil {
			err = h.Knowledge.Do(ctx, h.Actor(authz.RoleEditor), id, knowledge.Publish, 0, "")
		}
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	c, err := h.Customers.Create(ctx, agent, customer.Input{Type: customer.Company, Name: "广州南粤医疗器械有限公司", Contacts: []customer.ContactInput{{Name: "黎嘉敏", Phone: "13712348821"}}})
	if err != nil {
		t.Fatal(err)
	}
	x, err := h.Tickets.Register(ctx, agent, ticket.RegisterInput{Title: "发票抬头写错", Type: "consultation", Urgency: "normal", Channel: "phone", CustomerID: c.ID, AssigneeID: agent.ID})
	if err == nil {
		_, err = h.Tickets.Do(ctx, agent, x.ID, ticket.Acknowledge, ticket.Input{})
	}
	if err != nil {
		t.Fatal(err)
	}
	p := b.person(h, base, authz.RoleAgent)
	p.size(1440, 900)
	p.open("/tickets/" + x.Number)
	const text = `document.querySelector('.composer textarea.for-reply').value`
	p.press("r")
	p.until(`document.activeElement.matches('textarea.for-reply')`)
	p.write("您好，??")
	p.until(`document.querySelector('#texts [role=option][aria-selected=true]')?.textContent.includes('发票抬头开错了怎么办')`) // by the ticket's own words
	p.press(kb.Escape)
	p.until(`!document.querySelector('#texts')`)
	call(p, chromedp.Evaluate[chromedp.Void](`document.activeElement.select(); void 0`))
	p.write("您好，请看：？？lyq")
	p.until(`document.querySelector('#texts [role=option][aria-selected=true]')?.textContent.includes('路由器连不上网')`)
	p.press(kb.Enter)
	p.until(text + ` == '您好，请看：请重启路由器。'`)
	p.write("??发票")
	p.until(`document.querySelector('#texts [role=option][aria-selected=true]')?.textContent.includes('发票抬头')`)
	p.press(kb.Enter, chromedp.ModifierAlt)
	p.until(text + fmt.Sprintf(`.endsWith('。《发票抬头开错了怎么办》/help/%d')`, ids[0]))
	// Both belong to the ticket now, and the panel says so.
	p.click(`#kbpanel > summary`)
	p.until(`document.querySelector('#kbpanel .kbin')?.textContent.includes('路由器连不上网')`)
	p.until(`document.querySelectorAll('#kbpanel form[action$="/articles/links"]').length == 2`)
}

// In the editor the toolbar marks what is selected and the preview shows it.
func TestArticleEditor(t *testing.T) {
	t.Parallel()
	b := launch(t)
	h := apptest.Open(t, apptest.Options{Clock: clock.Real()})
	p := b.person(h, h.Serve(), authz.RoleEditor)
	p.size(1440, 900)
	p.open("/knowledge/new")
	call(p, chromedp.Evaluate[chromedp.Void](`document.querySelector('#f-title').value = '标题'; const t = document.querySelector('#f-body'); t.value = '重启设备'; t.focus(); t.select(); void 0`))
	p.click(`[data-md=bold]`)
	p.until(`document.querySelector('#f-body').value == '**重启设备**'`)
	p.click(`[data-md=ol]`)
	p.until(`document.querySelector('#f-body').value == '1. **重启设备**'`)
	p.click(`.kbtools [hx-post]`)
	p.until(`document.querySelector('#kbpreview ol li strong')?.textContent == '重启设备'`)
	// A picture that is pasted goes where the text is, once.
	call(p, chromedp.Evaluate[chromedp.Void](`{ const t = document.querySelector('#f-body'); t.setSelectionRange(t.value.length, t.value.length); const d = new DataTransfer();
		d.items.add(new File([Uint8Array.from(atob('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='), c => c.charCodeAt(0))], 'a.png', { type: 'image/png' }));
		t.dispatchEvent(new ClipboardEvent('paste', { clipboardData: d, bubbles: true, cancelable: true })); } void 0`))
	p.until(`/!\[a\.png\]\(\/files\/\d+\)$/.test(document.querySelector('#f-body').value)`)
	p.click(`.kbform .buttons .btn.primary`)
	p.until(`document.querySelector('.kbbody img')?.naturalWidth == 1`)
}
