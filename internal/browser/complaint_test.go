package browser

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"bihuan/internal/action"
	"bihuan/internal/app/apptest"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/customer"
	"bihuan/internal/ticket"

	"github.com/chromedp/chromedp"
)

// set gives fields their values, as choosing and ticking would; a value may hold
// several for boxes to tick, parted by "|".
func (p *tab) set(form string, pairs ...string) {
	p.t.Helper()
	p.until(`document.querySelector('` + form + `')`)
	for i := 0; i+1 < len(pairs); i += 2 {
		call(p, chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`(() => {
			const all = [...document.querySelectorAll(%q)].filter(e => e.name === %q), want = %q.split('|');
			if (!all.length) throw new Error('no field ' + %q);
			for (const e of all) {
				if (e.type === 'radio' || e.type === 'checkbox') { if (want.includes(e.value) !== e.checked && (e.type === 'checkbox' || want.includes(e.value))) e.click() }
				else if (e.tagName === 'SELECT') e.value = [...e.options].find(o => o.value === want[0] || o.text.includes(want[0])).value;
				else e.value = want[0];
				e.dispatchEvent(new Event('change', {bubbles: true}));
			}
		})()`, form+" :is(input, select, textarea)", pairs[i], pairs[i+1], pairs[i])))
	}
}

// send sends a form and waits for the page behind it.
func (p *tab) send(form string) {
	p.t.Helper()
	call(p, chromedp.Evaluate[chromedp.Void](`window.before = true; document.querySelector('`+form+`').requestSubmit(document.querySelector('`+form+` button.primary[type=submit]'))`))
	p.until(`!window.before && document.readyState === 'complete'`)
}

// 管理员从空白设计投诉流程，试运行后发布；坐席登记投诉，按阶段填写投诉记录，转售后部调查；
// 工程师调查后交回；坐席升级，主管改派；客户在手机上看到进度并评价；复盘后归档（TKT-20、TKT-22）。
func TestAComplaintAndItsProcess(t *testing.T) {
	t.Parallel()
	b := launch(t)
	apptest.Each(t, apptest.Options{Clock: clock.Real()}, func(t *testing.T, h *apptest.House) {
		b.t = t
		ctx := context.Background()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(h.Run.Do(ctx, authz.System("test"), "test", func(ctx context.Context, a *action.Action) error {
			a.Nothing()
			return h.Org.Lead(ctx, a, h.Departments["客服部"], h.Users["head"], h.Users["supervisor"])
		}))
		c, err := h.Customers.Create(ctx, h.Actor(authz.RoleAgent), customer.Input{Type: customer.Company, Name: "苏州精测仪器有限公司", Source: "phone", Contacts: []customer.ContactInput{{Name: "周启明", Phone: "13912345678", Primary: true}}})
		must(err)
		base := h.Serve()

		// From nothing to a process in force.
		admin := b.person(h, base, authz.RoleAdmin)
		admin.open("/admin/processes/new")
		form := `form.card.form[action="/admin/processes"]`
		admin.set(form, "name", "投诉办理", "type", "complaint")
		admin.send(form)
		admin.sees("还没有阶段")
		at := strings.Split(admin.path(), "?")[0]
		for i, s := range [][]string{
			{"name", "受理安抚", "limit", "2", "required", "complaint.receive|complaint.calm|complaint.classify"},
			{"name", "调查核实", "department", "售后部", "limit", "8", "required", "complaint.investigate"},
			{"name", "落实答复", "department", "客服部", "required", "complaint.propose|complaint.resolve", "final", "1"},
		} {
			admin.open(at + "/stages/new")
			admin.set(`form[action$="/stages"]`, s...)
			admin.keep(fmt.Sprintf("stage-%d", i))
			admin.send(`form[action$="/stages"]`)
		}
		admin.sees("阶段之间还没有流转")
		admin.keep("loose")
		admin.send(`form[action$="/sequence"]`)
		admin.sees("转调查核实", "转落实答复", "检查通过")
		admin.open(at + "/trial")
		admin.sees("现在在：受理安抚", "投诉记录：分级")
		admin.open(at)
		admin.set(`#publish form`, "note", "第一版")
		admin.send(`#publish form[action$="/publication"]`)
		admin.sees("第 1 版")
		admin.keep("published")

		// An agent registers a complaint and goes through its first stage.
		agent := b.person(h, base, authz.RoleAgent)
		agent.open(fmt.Sprintf("/tickets/new?customer=%d", c.ID))
		agent.set("form.newform", "title", "检测仪到货即故障", "type", "complaint", "urgency", "normal", "channel", "phone", "mood", "angry", "wish", "replacement", "assignee", fmt.Sprint(h.Users[authz.RoleAgent]))
		agent.send("form.newform")
		agent.sees("检测仪到货即故障", "按「投诉办理」办理，现在在「受理安抚」阶段")
		number := strings.TrimPrefix(strings.Split(agent.path(), "?")[0], "/tickets/")
		here := "/tickets/" + number
		agent.move("acknowledge", "", "处理中")
		record := func(p *tab, step string, pairs ...string) {
			t.Helper()
			p.open(here + "/complaint")
			for i := 0; i < len(pairs); i += 2 {
				pairs[i] = step + "." + pairs[i]
			}
			p.set("#s-"+step+" form", pairs...)
			p.send("#s-" + step + " form")
			p.sees("已记录")
		}
		record(agent, "receive", "product", "检测仪 JC-200")
		record(agent, "calm", "means", "phone", "said", "致歉，约定今天 17 点前回电", "mood", "unhappy")
		agent.sees("本阶段还要完成的记录", "「调查核实」阶段要求")
		agent.keep("records")
		record(agent, "classify", "severity", "high", "complexity", "simple", "impact", "single", "safety", "none", "immediate", "not_needed")
		agent.sees("本阶段的记录已齐")
		agent.click(".cways a.btn")
		agent.until(`document.querySelector('main form[action*="/stage/"]')`)
		agent.send(`main form[action*="/stage/"]`)

		// The other department investigates and gives it back.
		engineer := b.person(h, base, authz.RoleEngineer)
		engineer.open(here)
		engineer.sees("现在在「调查核实」阶段")
		engineer.move("acknowledge", "", "处理中")
		record(engineer, "investigate", "facts", "主板电容虚焊，运输震动后开路", "justified", "justified")
		engineer.click(".cways a.btn")
		engineer.until(`document.querySelector('main form[action*="/stage/"]')`)
		engineer.send(`main form[action*="/stage/"]`)

		// It is raised to the supervisor, who sees to it that somebody has it.
		agent.open(here + "/complaint/upgrade")
		agent.set(`main form[action$="/upgrade"]`, "level", "2", "reason", "客户要求主管处理")
		agent.send(`main form[action$="/upgrade"]`)
		boss := b.person(h, base, authz.RoleSupervisor)
		boss.open("/desk")
		boss.sees("检测仪到货即故障", "升级 1 级")
		boss.keep("desk")
		tk, err := h.Tickets.ByNumber(ctx, ticket.View(h.Actor(authz.RoleAdmin)), number)
		must(err)
		verb := "assign"
		if tk.State == ticket.InProgress {
			verb = "reassign"
		}
		boss.open(here)
		boss.move(verb, "select[name=assignee]")
		boss.set("#movedialog", "assignee", fmt.Sprint(h.Users[authz.RoleAgent]), "reason", "由原坐席答复客户")
		boss.submit()

		// The agent settles it and asks the customer.
		agent.open(here)
		agent.move("acknowledge", "", "处理中")
		record(agent, "propose", "remedies", "replacement", "offer", "三日内更换新机", "at_once", "yes")
		record(agent, "resolve", "done", "新机已送达并验收", "cause", "主板虚焊", "corrective", "出厂增加震动测试")
		agent.open(here)
		agent.move("request_confirmation", "textarea[name=solution]")
		agent.set("#movedialog", "solution", "已更换新机", "cause", "主板虚焊", "corrective", "出厂增加震动测试")
		agent.submit()
		agent.sees("待客户确认")

		// The customer follows it on his phone, and rates what came of it and how it
		// was handled.
		tk, err = h.Tickets.ByNumber(ctx, ticket.View(h.Actor(authz.RoleAdmin)), number)
		must(err)
		guest := b.tab(base, nil)
		guest.size(390, 844)
		guest.open("/c/" + h.Tickets.Link(tk))
		guest.sees("您对我们处理这次投诉的过程满意吗", "已更换新机")
		guest.set("#rate form", "solved", "yes", "stars", "5", "handling", "3")
		guest.keep("rating")
		if over := call(guest, chromedp.Evaluate[string](overflow)); over != "" {
			t.Errorf("the customer's page scrolls sideways because of %s", over)
		}
		guest.send("#rate form")

		// Nobody archives it before the review, which knows his answer already.
		agent.open(here)
		agent.sees("已完成", "这件投诉还没有做「复盘」", "对投诉处理过程的评价")
		agent.open(here + "/complaint")
		agent.sees("处理过程 3 星")
		if v := call(agent, chromedp.Evaluate[string](`document.querySelector('[name="review.satisfaction"]:checked, select[name="review.satisfaction"]').value`)); v != "3" {
			t.Errorf("the review begins with satisfaction %q", v)
		}
		record(agent, "review", "outcome", "accepted", "analysis", "single")
		agent.open(here)
		agent.move("close", "", "已关闭")
		agent.open(here + "/complaint/file")
		agent.sees("投诉档案", "处理过程 3 星", "主板电容虚焊", "出厂增加震动测试")
		agent.keep("file")
		for who, p := range map[string]*tab{"admin": admin, "agent": agent, "engineer": engineer, "supervisor": boss, "customer": guest} {
			for _, m := range p.took() {
				t.Errorf("console of %s: %s", who, m)
			}
		}
	})
}
