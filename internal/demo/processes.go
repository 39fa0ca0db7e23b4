package demo

import (
	"context"
	"slices"

	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/journal"
	"bihuan/internal/process"
	"bihuan/internal/ticket"
)

// repairs publishes the process of repairs and lets requests under way follow it,
// each a different part of the way. Where the company has requests of its own the
// process is left out of force: sample data does not decide over them.
func (l *life) repairs(ctx context.Context) error {
	if l.Processes == nil {
		return nil
	}
	admin, err := l.user(ctx, l.crew.id["admin"])
	if err != nil {
		return err
	}
	e := process.Examples[1]
	p, err := l.Processes.Create(ctx, admin, process.Fresh{Name: e.Name, NameEn: e.NameEn, Type: e.Type, Example: e.Key, Demo: true})
	if err == nil {
		_, err = l.Processes.Publish(ctx, admin, p.ID, 0, "首次发布")
	}
	if fault.Is(err, fault.Invalid) || fault.Is(err, fault.Conflict) { // the company has one of that name, or one in force
		l.skipped++
		return nil
	}
	if err != nil {
		return err
	}
	open := true
	page, err := l.Tickets.List(ctx, ticket.View(admin), ticket.Filter{Open: &open, Type: e.Type, States: []ticket.State{ticket.Pending, ticket.InProgress}, Sort: ticket.ByNewest, Limit: 40})
	if err != nil {
		return err
	}
	n := 0
	for _, x := range page.Rows {
		if !slices.Contains(l.customers, x.CustomerID) {
			continue
		}
		if _, err := l.Processes.Start(ctx, admin, x.ID); err != nil {
			l.skipped++
			continue
		}
		for range n % 4 {
			t, err := l.Tickets.Get(ctx, ticket.View(admin), x.ID)
			if err != nil {
				return err
			}
			if err := l.onward(ctx, admin.ID, t); err != nil {
				l.skipped++
				break
			}
		}
		n++
	}
	all, err := l.Tickets.List(ctx, ticket.View(admin), ticket.Filter{Sort: ticket.ByNewest, Limit: 200})
	if err != nil {
		return err
	}
	if slices.ContainsFunc(all.Rows, func(x ticket.Row) bool { return !slices.Contains(l.customers, x.CustomerID) }) {
		return l.Processes.SetLive(ctx, admin, p.ID, 0, false)
	}
	return nil
}

// onward takes the first step that leads on, with what it asks for.
func (l *life) onward(ctx context.Context, user int64, t ticket.Ticket) error {
	actor, err := l.user(ctx, user)
	if err != nil {
		return err
	}
	st, _, err := l.Processes.Of(ctx, actor, &t)
	if err != nil {
		return err
	}
	for _, o := range st.Offers {
		if o.Move.Free || o.Refusal != nil {
			continue
		}
		if slices.Contains(o.Missing, "attachment") {
			return fault.New(fault.Conflict, "process.missing")
		}
		if slices.Contains(o.Missing, "record") {
			if _, err := l.Tickets.FollowUp(ctx, actor, t.ID, "与客户电话核对了故障现象和指示灯状态，远程重启后仍复现，怀疑电源模块损坏，建议安排检测", journal.Record{Method: "phone", Reaction: "客户希望尽快恢复使用"}, nil); err != nil {
				return err
			}
		}
		in := ticket.StageInput{Cause: "电源模块老化，输出电压不稳", Solution: "更换电源模块并通电测试正常"}
		if slices.Contains(o.Missing, "category") {
			cs, err := ticket.Categories(ctx, l.Run.DB().Read())
			if err != nil || len(cs) == 0 {
				return err
			}
			in.CategoryID = cs[len(cs)/2].ID
		}
		in.Fields = field.Input{}
		_, err := l.Processes.Move(ctx, actor, t.ID, o.Move.Code, in)
		return err
	}
	return nil
}
