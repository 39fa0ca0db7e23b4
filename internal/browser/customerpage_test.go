package browser

import (
	"context"
	"fmt"
	"testing"

	"bihuan/internal/app/apptest"
	"bihuan/internal/customer"

	"github.com/chromedp/chromedp/kb"
)

// A field is changed where it stands, with the keyboard alone; Escape leaves it as
// it was. The card of a customer opens over his name and closes again (CUS-10).
func TestCustomerInPlace(t *testing.T) {
	b := launch(t)
	h := apptest.Open(t, apptest.Options{})
	base := h.Serve()
	var c customer.Customer
	for i, name := range []string{"广州南粤医疗器械有限公司", "深圳前海物流有限公司"} {
		var err error
		c, err = h.Customers.Create(context.Background(), h.Actor("agent"), customer.Input{Type: customer.Company, Name: name, Region: "广东",
			Contacts: []customer.ContactInput{{Name: "黎嘉敏", Phone: fmt.Sprintf("1371234882%d", i)}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	p := b.person(h, base, "agent")
	p.size(1440, 900)
	p.open(fmt.Sprintf("/customers/%d", c.ID))
	p.tabTo(`#fact-region .pen`)
	p.press(kb.Enter)
	p.until(`document.activeElement.name == 'region'`)
	p.press(kb.Escape)
	p.until(`!document.querySelector('#fact-region form')`)
	p.tabTo(`#fact-region .pen`)
	p.press(kb.Enter)
	p.until(`document.activeElement.name == 'region'`)
	p.fill(`#fact-region [name=region]`, "广东 深圳")
	p.press(kb.Enter)
	p.until(`document.querySelector('#fact-region dd').textContent.includes('广东 深圳') && !document.querySelector('#fact-region form')`)
	// A tab is a fragment with an address of its own.
	p.click(`.tabs a[href$="/changes"]`)
	p.sees("广东 深圳", "原值")
	p.until(`location.pathname.endsWith('/changes')`)

	p.open("/customers")
	p.tabTo(fmt.Sprintf(`a[href="/customers/%d"]`, c.ID))
	p.until(`document.querySelector('#hovercard')?.matches(':popover-open')`)
	p.until(`document.querySelector('#hovercard').textContent.includes('137****8821')`)
	p.press(kb.Escape)
	p.until(`!document.querySelector('#hovercard').matches(':popover-open')`)
}
