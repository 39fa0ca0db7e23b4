package demo

import (
	"context"
	"time"

	"bihuan/internal/approval"
	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/privacy"
)

// rights lets persons ask about their data, a colleague ask for a customer to be
// deleted, and customers be given to an auditor: one request that is being served
// and one that is done, a deletion that waits for the head, a disclosure both have
// agreed to. What jobs do for them is done once the product runs.
func (l *life) rights() {
	if l.Privacy == nil || l.Approvals == nil {
		return
	}
	const hour = time.Hour
	at := func(before time.Duration, do func(ctx context.Context) error) {
		l.at(l.awake(l.end.Add(-before)), func(ctx context.Context) error { return passOver(do(ctx)) })
	}
	at(8*24*hour, func(ctx context.Context) error {
		r, admin, err := l.personAsks(ctx, 2, privacy.RequestInput{Kind: privacy.Correct, CameBy: "phone", Words: "登记的电话是以前的号码，请改成现在使用的。", Identity: "回拨登记的电话，核对了姓名和最近一次工单"})
		if err != nil || r.ID == 0 {
			return err
		}
		l.after(5*hour, func(ctx context.Context) error {
			return l.Privacy.Close(ctx, admin, r.ID, "电话已更正，并打电话告知本人。")
		})
		return nil
	})
	at(6*24*hour, l.giveAway)
	at(28*hour, l.askDeletion)
	at(30*hour, func(ctx context.Context) error {
		r, admin, err := l.personAsks(ctx, 5, privacy.RequestInput{Kind: privacy.Access, CameBy: "email", Words: "想知道贵公司保存了我的哪些信息，请提供一份副本。", Identity: "邮件来自登记的邮箱，另打电话核对"})
		if err != nil || r.ID == 0 {
			return err
		}
		return l.Privacy.Search(ctx, admin, r.ID)
	})
}

// personAsks registers what the nth private customer asks for. Without one, or
// without an administrator who may serve it, nothing happens.
func (l *life) personAsks(ctx context.Context, n int, in privacy.RequestInput) (r privacy.Request, admin authz.Actor, err error) {
	agent, err := l.user(ctx, l.crew.id["agent"])
	if err != nil {
		return r, admin, err
	}
	if admin, err = l.user(ctx, l.crew.id["admin"]); err != nil {
		return r, admin, err
	}
	for _, id := range l.customers {
		c, err := l.Customers.Get(ctx, customer.View(admin), id)
		if err != nil {
			return r, admin, err
		}
		if c.Type != customer.Person {
			continue
		}
		if n--; n > 0 {
			continue
		}
		in.Names, in.Numbers = c.Name, c.Number
		r, err = l.Privacy.Register(ctx, agent, in)
		return r, admin, err
	}
	return r, admin, nil
}

// askDeletion asks for a customer without open tickets; the head has not decided
// yet.
func (l *life) askDeletion(ctx context.Context) error {
	by, err := l.user(ctx, l.crew.id["supervisor"])
	if err != nil {
		return err
	}
	for _, id := range l.customers {
		c, err := l.Customers.Get(ctx, customer.View(by), id)
		if err != nil || c.Type != customer.Company || c.OpenTickets > 0 || c.DepartmentID != by.DepartmentID || c.Level != customer.Normal {
			continue
		}
		// Real leads are not bothered with sample data.
		if head, err := l.Org.HeadOf(ctx, l.Run.DB().Read(), c.DepartmentID); err != nil || head != l.crew.id["head"] {
			return err
		}
		_, err = l.Privacy.AskDeletion(ctx, by, c.ID, "客户已注销，来函要求删除其资料，往来款项已结清")
		return err
	}
	return nil
}

// giveAway asks for customers to be given to an auditor; the head and the
// administrator agree.
func (l *life) giveAway(ctx context.Context) error {
	by, err := l.user(ctx, l.crew.id["supervisor"])
	if err != nil {
		return err
	}
	if head, err := l.Org.HeadOf(ctx, l.Run.DB().Read(), by.DepartmentID); err != nil || head != l.crew.id["head"] {
		return err
	}
	in := privacy.DisclosureInput{Purpose: "年度财务审计，核对客户名单与往来余额", Recipient: "信达会计师事务所", Fields: []string{"number", "name", "industry", "region", "contact", "phone"}, Days: privacy.MaxDays}
	for _, id := range l.customers {
		if c, err := l.Customers.Get(ctx, customer.View(by), id); err == nil && c.Type == customer.Company && c.DepartmentID == by.DepartmentID && len(in.Customers) < 8 {
			in.Customers = append(in.Customers, id)
		}
	}
	if len(in.Customers) == 0 {
		return nil
	}
	d, err := l.Privacy.AskDisclosure(ctx, by, in)
	if err != nil {
		return err
	}
	for i, x := range []struct{ login, comment string }{{"head", "审计用途，同意提供，电话保持脱敏。"}, {"admin", "同意。"}} {
		l.after(time.Duration(2+3*i)*time.Hour, func(ctx context.Context) error {
			who, err := l.user(ctx, l.crew.id[x.login])
			if err == nil {
				_, err = l.Approvals.Decide(ctx, who, d.ApprovalID, approval.Decision{Approve: true, Comment: x.comment})
			}
			return err
		})
	}
	return nil
}
