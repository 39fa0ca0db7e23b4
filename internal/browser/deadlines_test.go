package browser

import (
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"bihuan/internal/app/apptest"
	"bihuan/internal/authz"
	"bihuan/internal/clock"

	"github.com/chromedp/chromedp"
)

// choose writes a value into a field of any kind, as somebody who typed or chose it.
func (p *tab) choose(name, value string) {
	p.t.Helper()
	p.until(`document.querySelector('main [name="` + name + `"]')`)
	p.js(`const f = [...document.querySelectorAll('main [name="` + name + `"]')].find(x => x.offsetParent); f.value = '` + value + `'; f.dispatchEvent(new Event('input', { bubbles: true })); f.dispatchEvent(new Event('change', { bubbles: true }))`)
}

// TestDeadlinesSetUp is an administrator of a fresh install who sets up a calendar,
// a policy and a ladder, and sees on one page what will happen when: every firing
// in the working time of his calendar, each repetition, and whom by name.
func TestDeadlinesSetUp(t *testing.T) {
	t.Parallel()
	chromium(t)
	start := time.Date(2026, 2, 12, 10, 0, 0, 0, time.FixedZone("CST", 8*3600)) // the Thursday before the Spring Festival
	apptest.Each(t, apptest.Options{Business: true, Clock: clock.NewFake(start)}, func(t *testing.T, h *apptest.House) {
		server := httptest.NewServer(h.Router)
		t.Cleanup(server.Close)
		b := launch(t)
		p := b.person(h, server.URL, authz.RoleAdmin)

		// What a fresh install promises: urgent around the clock, the rest in working time.
		p.open("/admin/tickets/policies")
		p.sees("紧急工单", "7×24 小时", "工作日全天", "工作时间")

		// A calendar: Monday to Friday with a lunch break, holidays off.
		p.open("/admin/calendars")
		p.click(`a[href="/admin/calendars/new"]`)
		p.choose("name", "售后班次")
		for _, d := range []string{"1", "2", "3", "4", "5"} {
			p.choose("d"+d, "09:00-12:00, 13:30-18:00")
		}
		p.click(`main form button[type=submit]`)
		p.sees("售后班次")

		// A policy for strategic customers, counted in it.
		p.open("/admin/calendars")
		p.click(`nav[aria-label="服务时限的设置"] a[href="/admin/tickets/policies"]`)
		p.click(`a[href="/admin/tickets/policies/new"]`)
		p.choose("name", "战略客户")
		p.js(`document.querySelector('input[name=level][value=strategic]').click()`)
		p.js(`const s = document.querySelector('[name="calendar."]'); s.value = [...s.options].find(o => o.text == '售后班次').value`)
		p.choose("first_response", "60")
		p.choose("resolution", "480")
		p.click(`main form button[type=submit]`)
		p.sees("战略客户", "8 小时")

		// A ladder for its resolution: the duty officer, again every half hour, three times.
		p.open("/admin/ladders/resolution")
		p.js(`const s = document.querySelector('[name=policy]'); s.value = '战略客户'`)
		p.choose("every.2", "30")
		p.choose("times.2", "5")
		p.js(`document.querySelector('[name="tell.2"][value=duty]').click()`)
		p.click(`form[data-dirty] button[type=submit]`)
		p.sees("升级步骤已保存")

		// What will happen when: one page.
		dep := h.Departments["售后部"]
		p.open("/admin/ladders/preview")
		p.choose("level", "strategic")
		p.choose("department", strconv.FormatInt(dep, 10))
		p.choose("start", "2026-02-13T17:00")
		p.sees("适用「战略客户」", "售后班次")
		// Eight hours of work from Friday 17:00: one that day, the make-up Saturday's seven
		// and a half take it to 17:30 on 14 February; its repetitions run on behind the holidays.
		p.until(`[...document.querySelectorAll('#clocks tr')].some(r => r.innerText.includes('解决') && r.innerText.includes('2026-02-14 17:30'))`)
		p.sees("到期时", "第 3 次重复", "之后每 30 分钟再提醒一次，共再 2 次", "李主管", "系统内")
		day := call(p, chromedp.Evaluate[string](`[...document.querySelectorAll('#timeline .aheadday')].find(d => d.innerText.includes('第 2 次重复'))?.innerText || ''`))
		if !strings.Contains(day, "2026-02-24") {
			t.Errorf("the second repetition is not on the first working day behind the festival: %q", day)
		}
		if bad := p.took(); len(bad) > 0 {
			t.Errorf("troubles: %v", bad)
		}
		p.keep("preview")
		axe, err := os.ReadFile("testdata/axe.min.js")
		if err != nil {
			t.Fatal(err)
		}
		p.check(string(axe), "1440 px, light")
		p.size(390, 844)
		p.dark(true)
		p.keep("preview-phone-dark")
		p.check(string(axe), "390 px, dark")
		if wide := call(p, chromedp.Evaluate[bool](`document.documentElement.scrollWidth > innerWidth`)); wide {
			t.Error("the page is wider than a phone")
		}
	})
}
