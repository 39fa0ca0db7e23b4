package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/fault"
	"bihuan/internal/rule"
	"bihuan/internal/setting"
	"bihuan/internal/ticket"
)

// ticketTags are the tags of the sample's tickets, and the words that ask for them.
var ticketTags = []struct{ name, colour, words string }{
	{"退换货", "orange", "退货 退款 换货 更换"},
	{"物流", "teal", "物流 快递 配送 签收 运输"},
	{"发票", "violet", "发票 开票 抬头"},
	{"校准证书", "blue", "证书 校准"},
	{"重复来电", "red", ""},
	{"非工作时间", "gray", ""},
}

// ticketTagIDs makes the list of tags, and returns the id of each.
func (l *life) ticketTagIDs(ctx context.Context) ([]int64, error) {
	admin, err := l.user(ctx, l.crew.id["admin"])
	if err != nil {
		return nil, err
	}
	ids := make([]int64, len(ticketTags))
	for i, t := range ticketTags {
		known, ok, err := ticket.TagNamed(ctx, l.Run.DB().Read(), t.name)
		if err != nil {
			return nil, err
		}
		if ids[i] = known.ID; ok {
			continue
		}
		if ids[i], err = l.Tickets.SaveTag(ctx, admin, 0, t.name, t.colour); err != nil {
			return nil, err
		}
		err = l.Run.Do(ctx, authz.System(actorName), "demo.fill", func(ctx context.Context, a *action.Action) error {
			a.Nothing()
			return ticket.MarkDemoTag(ctx, a, ids[i])
		})
		if err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// markTickets puts tags on the newer tickets of the sample.
func (l *life) markTickets(ctx context.Context) error {
	ids, err := l.ticketTagIDs(ctx)
	if err != nil {
		return err
	}
	admin, err := l.user(ctx, l.crew.id["admin"])
	if err != nil {
		return err
	}
	rnd := rand.New(rand.NewPCG(20261119, 24)) // its own, so that the rest of the sample stays as it is
	p, err := l.Tickets.List(ctx, ticket.View(admin), ticket.Filter{Sort: ticket.ByNewest, Limit: 150})
	if err != nil {
		return err
	}
	for _, x := range p.Rows {
		if !slices.Contains(l.customers, x.CustomerID) {
			continue
		}
		var add []int64
		for i, t := range ticketTags {
			if slices.ContainsFunc(strings.Fields(t.words), func(w string) bool { return strings.Contains(x.Title, w) }) {
				add = append(add, ids[i])
			}
		}
		if x.Round > 1 || rnd.IntN(12) == 0 {
			add = append(add, ids[4])
		}
		if len(add) == 0 {
			continue
		}
		if _, err := l.Tickets.Tag(ctx, admin, x.ID, add, nil); err != nil {
			l.skipped++
		}
	}
	return nil
}

// routingSetting remembers the departments whose way of giving out work is the
// sample's.
const routingSetting = "demo.chains"

// route says what people are good at and how some departments give out work.
func (l *life) route(ctx context.Context) error {
	admin, err := l.user(ctx, l.crew.id["admin"])
	if err != nil {
		return err
	}
	for _, k := range []struct {
		name   string
		types  []string
		people []string
	}{
		{"投诉处理", []string{"complaint"}, []string{"agent", "heyi", "gaojie"}},
		{"设备维修", []string{"after_sales"}, []string{"engineer", "fanxiao", "penglei", "caoyang"}},
		{"英语服务", []string{"consultation"}, []string{"zhoumin", "engineer"}},
	} {
		id, err := l.Tickets.SaveSkill(ctx, admin, ticket.Skill{Name: k.name, Types: k.types}, true)
		if fault.Is(err, fault.Invalid) || fault.Is(err, fault.Conflict) { // the company has it
			l.skipped++
			continue
		}
		if err != nil {
			return err
		}
		err = l.Run.Do(ctx, authz.System(actorName), "demo.fill", func(ctx context.Context, a *action.Action) error {
			a.Nothing()
			for _, p := range k.people {
				if err := l.Org.GiveSkill(ctx, a, l.crew.id[p], id); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	ways, err := l.Tickets.Routing(ctx)
	if err != nil {
		return err
	}
	var own []int64
	for name, chain := range map[string][]ticket.Strategy{"客服部": {ticket.LastHandler, ticket.BySkill, ticket.LeastLoaded}, "技术支持部": {ticket.BySkill, ticket.RoundRobin}} {
		dep := l.crew.dept[name]
		if _, set := ways.Chains[dep]; set || slices.Contains(own, dep) { // the company has decided
			continue
		}
		if err := l.Tickets.SetChain(ctx, admin, dep, chain); err != nil {
			l.skipped++
			continue
		}
		own = append(own, dep)
	}
	return l.Run.Do(ctx, authz.System(actorName), "demo.fill", func(ctx context.Context, a *action.Action) error {
		a.Nothing()
		return setting.Write(ctx, a.Tx, routingSetting, own)
	})
}

// automate makes rules, most of them at work: what the sample's last day and
// those who try the product bring about is seen in their log.
func (l *life) automate(ctx context.Context) error {
	if l.Rules == nil {
		return nil
	}
	admin, err := l.user(ctx, l.crew.id["admin"])
	if err != nil {
		return err
	}
	ids, err := l.ticketTagIDs(ctx)
	if err != nil {
		return err
	}
	tag := func(name string) string {
		for i, t := range ticketTags {
			if t.name == name {
				return fmt.Sprint(ids[i])
			}
		}
		return ""
	}
	act := func(do string, kv ...string) rule.Act {
		a := rule.Act{Do: do, Values: map[string]string{}}
		for i := 0; i+1 < len(kv); i += 2 {
			a.Values[kv[i]] = kv[i+1]
		}
		return a
	}
	all := func(cs ...rule.Cond) rule.Conditions {
		return rule.Conditions{Groups: []rule.Group{{Conds: cs}}}
	}
	rules := []rule.Rule{
		{Name: "重点客户的紧急工单通知主管", Note: "VIP 和战略客户的紧急工单，登记后立即通知部门主管", Enabled: true, When: rule.When{Events: []string{"registered"}},
			If:   all(rule.Cond{Field: "customer_level", Op: rule.OpIs, Values: []string{"vip", "strategic"}}, rule.Cond{Field: "urgency", Op: rule.OpIs, Values: []string{"urgent"}}),
			Then: []rule.Act{act(rule.DoNotify, "who", "supervisor", "text", "重点客户 {customer} 的紧急工单 {number}：{title}")}},
		{Name: "退换货工单打标签", Enabled: true, When: rule.When{Events: []string{"registered", "customer_wrote"}},
			If:   all(rule.Cond{Field: "words", Op: rule.OpHas, Values: []string{"退货", "退款", "换货"}}),
			Then: []rule.Act{act(rule.DoTag, "add", tag("退换货"))}},
		{Name: "非工作时间的工单打标签", Enabled: true, When: rule.When{Events: []string{"registered"}},
			If:   all(rule.Cond{Field: "office_hours", Op: rule.OpNo}),
			Then: []rule.Act{act(rule.DoTag, "add", tag("非工作时间"))}},
		{Name: "客户不满意，主管当天回访", Note: "两星及以下的评价", Enabled: true, When: rule.When{Events: []string{"rated"}},
			If:   all(rule.Cond{Field: "rating", Op: rule.OpMax, Values: []string{"2"}}, rule.Cond{Field: "rating", Op: rule.OpMin, Values: []string{"1"}}),
			Then: []rule.Act{act(rule.DoTask, "who", "supervisor", "text", "回访 {customer}，了解不满意的原因（{number}）", "amount", "4", "unit", "hours")}},
		{Name: "客户等待两天无人回复，升级", Note: "示例：停用中，启用前请先试运行", When: rule.When{Time: &rule.Timing{Since: "customer", Minutes: 2 * 24 * 60, Once: "each"}},
			If:   all(rule.Cond{Field: "escalation", Op: rule.OpMax, Values: []string{"0"}}),
			Then: []rule.Act{act(rule.DoEscalate), act(rule.DoNote, "text", "客户两天未得到回复，已自动升级")}},
	}
	for _, r := range rules {
		r.Demo = true
		if _, err := l.Rules.Save(ctx, admin, r); fault.Is(err, fault.Invalid) { // the company has one of that name
			l.skipped++
		} else if err != nil {
			return err
		}
	}
	return nil
}

// unroute takes the sample's ways of giving out work away.
func unroute(ctx context.Context, a *action.Action, t *ticket.Service) error {
	var own []int64
	if err := setting.Read(ctx, a, routingSetting, &own); err != nil {
		return err
	}
	if _, err := a.Exec(ctx, `DELETE FROM settings WHERE name = $1`, routingSetting); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	return t.RemoveDemoRouting(ctx, a, own)
}
