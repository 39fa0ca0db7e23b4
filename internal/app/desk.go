package app

import (
	"strconv"

	"bihuan/internal/approval"
	"bihuan/internal/authz"
	"bihuan/internal/task"
	"bihuan/internal/ticket/ticketui"
	"bihuan/internal/web"
)

// deskBlocks are what other rooms put on the supervisor's desk.
func (a *App) deskBlocks() []func(r *web.Request) (*ticketui.DeskBlock, error) {
	return []func(r *web.Request) (*ticketui.DeskBlock, error){a.approvalsOnDesk, a.tasksOnDesk}
}

// approvalsOnDesk are the requests that wait for the reader's word.
func (a *App) approvalsOnDesk(r *web.Request) (*ticketui.DeskBlock, error) {
	if !r.Actor.Can(approval.PermUse) {
		return nil, nil
	}
	n, err := a.Approvals.Waiting(r.Context(), r.Actor, 100)
	if err != nil {
		return nil, err
	}
	b := &ticketui.DeskBlock{ID: "approvals", Icon: "stamp", Title: r.T("ticket.desk.approvals"), None: r.T("ticket.desk.none.approvals"), Count: strconv.Itoa(n), All: "/approvals", Alert: n > 0}
	if n > 99 {
		b.Count = "99+"
	}
	if n == 0 {
		return b, nil
	}
	page, err := a.Approvals.Desk(r.Context(), r.Actor, approval.Filter{Limit: 6})
	if err != nil {
		return nil, err
	}
	for _, x := range page.Requests {
		id := strconv.FormatInt(x.ID, 10)
		b.Rows = append(b.Rows, ticketui.DeskLine{ID: "approval" + id, Href: "/approvals/" + id, Title: x.Title, Note: r.T("approval.kind."+string(x.Kind)) + " · " + x.RequestedByName, At: x.RequestedAt})
	}
	return b, nil
}

// tasksOnDesk are the tasks of the reader's people whose time is past (FLW-2).
func (a *App) tasksOnDesk(r *web.Request) (*ticketui.DeskBlock, error) {
	if !r.Actor.Can(task.PermView) {
		return nil, nil
	}
	ctx, sc := r.Context(), authz.For(r.Actor, task.PermView)
	n, err := task.Overdue(ctx, a.DB.Read(), sc, a.Tasks.Now(), 100)
	if err != nil {
		return nil, err
	}
	b := &ticketui.DeskBlock{ID: "tasks", Icon: "checklist", Title: r.T("ticket.desk.tasks"), None: r.T("ticket.desk.none.tasks"), Count: strconv.Itoa(n), All: "/tasks/list?list=late", Alert: n > 0, Late: true}
	if n > 99 {
		b.Count = "99+"
	}
	if n == 0 {
		return b, nil
	}
	page, err := a.Tasks.List(ctx, sc, task.Filter{Late: true, Team: true, Limit: 6})
	if err != nil {
		return nil, err
	}
	names, err := a.Tasks.Names(ctx, r.Actor, page.Tasks)
	if err != nil {
		return nil, err
	}
	for _, x := range page.Tasks {
		l := ticketui.DeskLine{ID: "task" + strconv.FormatInt(x.ID, 10), Href: x.Link(), Title: x.Title, Note: a.Org.Name(ctx, x.OwnerID), At: x.DueAt}
		if about := names[x.Subject]; about.Label != "" {
			l.Note += " · " + about.Label
		}
		b.Rows = append(b.Rows, l)
	}
	return b, nil
}
