package app

import (
	"strconv"

	"bihuan/internal/approval"
	"bihuan/internal/ticket/ticketui"
	"bihuan/internal/web"
)

// deskBlocks are what other rooms put on the supervisor's desk.
func (a *App) deskBlocks() []func(r *web.Request) (*ticketui.DeskBlock, error) {
	return []func(r *web.Request) (*ticketui.DeskBlock, error){a.approvalsOnDesk}
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
