package demo

import (
	"context"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/approval"
	"bihuan/internal/customer"
)

// wishes are requests for another level: some decided, the newest still waiting
// for the head. They are asked for by hand: whether the company wants such
// requests is not for sample data to decide.
var wishes = []struct {
	before, decided time.Duration // before the end, and after being asked; 0: still waiting
	to              customer.Level
	reason, comment string
	refuse          bool
}{
	{11 * 24 * time.Hour, 5 * time.Hour, customer.Strategic, "已签订三年战略合作协议，全年采购额预计超过八百万元", "合同已核对，同意。", false},
	{7 * 24 * time.Hour, 26 * time.Hour, customer.VIP, "客户希望享受更快的响应", "采购额未达到标准，请先观察一个季度。", true},
	{4 * 24 * time.Hour, 3 * time.Hour, customer.VIP, "连续两年采购额超过一百万元，且为区域标杆客户", "", false},
	{29 * time.Hour, 0, customer.Strategic, "集团客户，下属五家子公司计划统一采购", "", false},
	{3 * time.Hour, 0, customer.VIP, "新签年度维保合同，承诺四小时到场", "", false},
}

// approvals plans the requests of the last days, and the timer that reminds.
func (l *life) approvals() {
	if l.Approvals == nil {
		return
	}
	l.every(time.Hour, l.end.Add(-12*24*time.Hour), func(ctx context.Context) error { _, err := l.Approvals.Sweep(ctx); return err })
	for _, w := range wishes {
		l.at(l.end.Add(-w.before), func(ctx context.Context) error {
			if len(l.customers) == 0 || len(l.crew.agents) == 0 {
				return nil
			}
			agent, err := l.user(ctx, pick(l, l.crew.agents))
			if err != nil {
				return err
			}
			var c customer.Customer
			for range 20 { // one who has not that level yet
				if c, err = l.Customers.Get(ctx, customer.View(agent), pick(l, l.customers)); err == nil && c.Level != w.to && c.Type == customer.Company {
					break
				}
			}
			if err != nil || c.Level == w.to || c.Type != customer.Company {
				return err
			}
			// Real leads are not bothered with sample data.
			if head, err := l.Org.HeadOf(ctx, l.Run.DB().Read(), c.DepartmentID); err != nil || head != l.crew.id["head"] {
				return err
			}
			var r approval.Request
			err = l.Run.Do(ctx, agent, "demo.ask", func(ctx context.Context, a *action.Action) (err error) {
				r, err = l.Approvals.Ask(ctx, a, approval.New{Kind: customer.KindLevel, Subject: customer.Subject(c.ID), Title: c.Number + " " + c.Name, DepartmentID: c.DepartmentID,
					Reason: w.reason, Data: map[string]customer.Level{"from": c.Level, "to": w.to}, Demo: true})
				return err
			})
			if err != nil || w.decided == 0 {
				return err
			}
			l.after(w.decided, func(ctx context.Context) error {
				head, err := l.user(ctx, l.crew.id["head"])
				if err != nil {
					return err
				}
				_, err = l.Approvals.Decide(ctx, head, r.ID, approval.Decision{Approve: !w.refuse, Comment: w.comment})
				return err
			})
			return nil
		})
	}
}
