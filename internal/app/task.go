package app

import (
	"context"
	"fmt"
	"html/template"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/event"
	"bihuan/internal/privacy"
	"bihuan/internal/task"
	"bihuan/internal/task/taskui"
	"bihuan/internal/ticket"
	"bihuan/internal/ticket/ticketui"
	"bihuan/internal/web"
)

// tasks tells the room of tasks what it may be about, and the other rooms what
// it keeps.
func (a *App) tasks(s *task.Service) {
	a.Tasks = s
	a.Tasks.AddSubject("ticket", a.Tickets.AsSubject())
	a.Tasks.AddSubject("customer", a.Customers.AsSubject())
	for _, f := range a.Tickets.DayFigures() {
		a.Tasks.AddFigure(f)
	}
	a.Tasks.AddCalendar(a.Tickets.Appointments)
	a.Org.AddWork(a.Tasks.Work())
	a.Follower.Tail(taskui.Live(a.Broker))
	a.Privacy.Hold(privacy.Holder{Name: "tasks", Forget: func(ctx context.Context, act *action.Action, g privacy.Gone) error {
		return task.Forget(ctx, act, g.Customers, g.Tickets)
	}})
	a.Duties.Every("task reminders", 20*time.Second, func(ctx context.Context) error { _, err := a.Tasks.Sweep(ctx); return err })
	a.Duties.Every("close of day", time.Minute, a.Tasks.AskDays)
	a.Duties.Every("return visits", time.Hour, a.Customers.AskVisits)
}

// taskPages is what the pages of tasks need of other rooms.
func (a *App) taskPages() taskui.Config {
	return taskui.Config{Tasks: a.Tasks, Org: a.Org, PublicURL: a.Config.PublicURL, Due: a.dueTickets}
}

// dueTickets are the actor's own tickets with a deadline before to.
func (a *App) dueTickets(ctx context.Context, actor authz.Actor, to time.Time, limit int) ([]taskui.Due, error) {
	if !actor.Can(ticket.PermView) {
		return nil, nil
	}
	open := true
	p, err := a.Tickets.List(ctx, ticket.View(actor), ticket.Filter{Assignee: actor.ID, Open: &open, DueWithin: int(to.Sub(a.DB.Clock().Now()).Minutes()) + 1, Sort: ticket.ByDue, Limit: limit})
	if err != nil {
		return nil, err
	}
	var out []taskui.Due
	for _, r := range p.Rows {
		out = append(out, taskui.Due{Label: r.Number, Title: r.Title, Href: "/tickets/" + r.Number, At: r.DueAt, Total: r.DueTotal})
	}
	return out, nil
}

// ticketTasks stands beside a ticket that has open tasks.
func (a *App) ticketTasks(r *web.Request, t ticket.Ticket) (template.HTML, error) {
	if t.OpenTasks == 0 {
		return "", nil
	}
	return taskui.Panel(r, a.taskPages(), ticket.Subject(t.ID), t.Number, "/tickets/"+t.Number)
}

// customerTasks stands beside a customer who has open tasks.
func (a *App) customerTasks(r *web.Request, c customer.Customer) (template.HTML, error) {
	return taskui.Panel(r, a.taskPages(), event.Subject{Type: "customer", ID: c.ID}, c.Number, fmt.Sprintf("/customers/%d", c.ID))
}

// newTask is the entry of a ticket's menu.
func newTask() ticketui.MenuEntry {
	return ticketui.MenuEntry{Href: "/tasks/new?about={number}&back=/tickets/{number}", Icon: "checklist", LabelKey: "task.new",
		Offered: func(actor authz.Actor, t *ticket.Ticket) bool { return actor.Can(task.PermUse) }}
}

// What tasks keep about a customer moves with him when two profiles are merged.
func init() {
	customer.Holds(customer.Holding{Table: "tasks", Customer: "subject_id", Where: "subject_type = 'customer'"})
}

// tasksBeside shows tasks beside a ticket and lets one be written down there.
func (a *App) tasksBeside(rooms *ticketui.Rooms) {
	rooms.Panels = append(rooms.Panels, a.ticketTasks)
	rooms.Menu = append(rooms.Menu, newTask())
}
