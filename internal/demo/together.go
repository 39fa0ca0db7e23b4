package demo

import (
	"context"
	"slices"
	"time"

	"bihuan/internal/approval"
	"bihuan/internal/authz"
	"bihuan/internal/fault"
	"bihuan/internal/ticket"
)

// togethers plans what several people or tickets share in the last days:
// deferrals, one of which still waits, conferences, and two tickets of one
// matter.
func (l *life) togethers() {
	at := func(before time.Duration, do func(ctx context.Context) error) {
		l.at(l.awake(l.end.Add(-before)), func(ctx context.Context) error { return passOver(do(ctx)) })
	}
	if l.Approvals != nil {
		at(6*24*time.Hour, func(ctx context.Context) error {
			return l.deferOne(ctx, "厂家备件缺货，预计三个工作日后到货", 3*24*time.Hour, "同意，请每天向客户通报进度。")
		})
		at(5*time.Hour, func(ctx context.Context) error {
			return l.deferOne(ctx, "客户现场下周一才开放机房，需要配合改期", 2*24*time.Hour, "")
		})
	}
	at(9*24*time.Hour, func(ctx context.Context) error {
		return l.confer(ctx, "同一批次设备多次返修的处理口径", true)
	})
	at(7*time.Hour, func(ctx context.Context) error {
		return l.confer(ctx, "开票信息变更后如何答复客户", false)
	})
	at(30*time.Hour, l.again)
}

// someTicket is an open ticket of 客服部 that fits; ok is false when there is none.
func (l *life) someTicket(ctx context.Context, fits func(t ticket.Ticket) bool) (t ticket.Ticket, ok bool, err error) {
	sc := ticket.View(authz.System(actorName))
	p, err := l.Tickets.List(ctx, sc, ticket.Filter{States: []ticket.State{ticket.InProgress}, Sort: ticket.ByNewest, Limit: 120})
	if err != nil {
		return t, false, err
	}
	for _, r := range p.Rows {
		if r.ParentID != 0 || r.DepartmentID != l.crew.dept["客服部"] || !slices.Contains(l.crew.agents, r.AssigneeID) {
			continue
		}
		if t, err = l.Tickets.Get(ctx, sc, r.ID); err != nil || fits(t) {
			return t, err == nil, err
		}
	}
	return t, false, nil
}

// deferOne lets an agent ask for a later deadline; without an answer the request
// still waits.
func (l *life) deferOne(ctx context.Context, why string, by time.Duration, answer string) error {
	t, ok, err := l.someTicket(ctx, func(t ticket.Ticket) bool {
		c, ok, err := ticket.Resolution(ctx, l.Run.DB().Read(), t.ID)
		return err == nil && ok && c.DueAt.After(l.Clock.Now().Add(time.Hour)) && t.DeferralID == 0 && t.DeferredFrom.IsZero()
	})
	if err != nil || !ok {
		return err
	}
	who, err := l.user(ctx, t.AssigneeID)
	if err != nil {
		return err
	}
	c, _, err := ticket.Resolution(ctx, l.Run.DB().Read(), t.ID)
	if err != nil {
		return err
	}
	if t, err = l.Tickets.Defer(ctx, who, t.ID, ticket.DeferralInput{Due: c.DueAt.Add(by), Reason: why}); err != nil || answer == "" {
		return err
	}
	request := t.DeferralID
	l.after(90*time.Minute, func(ctx context.Context) error {
		boss, err := l.user(ctx, l.crew.boss[t.DepartmentID])
		if err != nil {
			return err
		}
		_, err = l.Approvals.Decide(ctx, boss, request, approval.Decision{Approve: true, Comment: answer})
		return passOver(err)
	})
	return nil
}

// confer plans a conference of two departments, and holds it or not.
func (l *life) confer(ctx context.Context, subject string, held bool) error {
	t, ok, err := l.someTicket(ctx, func(t ticket.Ticket) bool { return t.Conference == ticket.ConferenceNone })
	if err != nil || !ok {
		return err
	}
	lead, err := l.user(ctx, t.AssigneeID)
	if err != nil {
		return err
	}
	people := []int64{l.crew.id["engineer"], l.crew.boss[t.DepartmentID]}
	at := l.awake(l.Clock.Now().Add(20 * time.Hour))
	if _, err := l.Tickets.PlanConference(ctx, lead, t.ID, ticket.MeetingInput{Subject: subject, StartsAt: at, Place: "3 楼 302 会议室", People: people, Needed: true}); err != nil || !held {
		return err
	}
	l.at(at.Add(time.Hour), func(ctx context.Context) error {
		ms, err := ticket.Conferences(ctx, l.Run.DB().Read(), t.ID)
		if err != nil || len(ms) == 0 {
			return err
		}
		_, err = l.Tickets.WriteMinutes(ctx, lead, t.ID, ms[0].ID, 0, ticket.MinutesInput{
			Answer:     "同批次设备统一免费更换主板，更换前提供备机；请客户本周内确认上门时间。",
			Minutes:    "1. 技术支持部确认该批次电源模块存在缺陷。\n2. 更换费用由公司承担，不向客户收取上门费。\n3. 由客服部统一答复，其他部门不单独联系客户。",
			OpenPoints: "仓库备货 20 套（何俊杰，周五前）\n整理同批次客户名单（林晓雯，本周内）"})
		return passOver(err)
	})
	return nil
}

// again lets a customer call twice about one matter; the second ticket becomes
// part of the first.
func (l *life) again(ctx context.Context) error {
	t, ok, err := l.someTicket(ctx, func(t ticket.Ticket) bool { return t.Type != "complaint" && !t.Joined })
	if err != nil || !ok {
		return err
	}
	who, err := l.user(ctx, t.AssigneeID)
	if err != nil {
		return err
	}
	second, err := l.Tickets.Register(ctx, who, ticket.RegisterInput{Title: t.Title, Type: t.Type, Class: t.Class, CategoryID: t.CategoryID, Urgency: t.Urgency, Channel: "phone",
		Description: "客户再次来电催问，描述与之前一致：" + t.Description, CustomerID: t.CustomerID, ContactID: t.ContactID, AssigneeID: who.ID, Demo: true})
	if err != nil {
		return err
	}
	if _, err := l.Tickets.Note(ctx, who, second.ID, "与前一张工单是同一件事，已在电话里向客户说明进度。", nil, nil); err != nil {
		return err
	}
	l.after(25*time.Minute, func(ctx context.Context) error {
		_, err := l.Tickets.Do(ctx, who, second.ID, ticket.Merge, ticket.Input{Duplicate: t.Number, Reason: "同一客户就同一问题重复来电"})
		if _, refused := fault.As(err); refused {
			return nil
		}
		return err
	})
	return nil
}
