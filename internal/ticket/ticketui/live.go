package ticketui

import (
	"context"
	"log/slog"
	"slices"

	"bihuan/internal/authz"
	"bihuan/internal/event"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
)

// Live turns what happened to tickets into "look again" for whoever may see
// them: the ticket itself, the queues and desks it stands in or has just left,
// and its main ticket and parts, which show how far the others are. Messages
// carry ids only.
func Live(tickets *ticket.Service, broker *web.Broker) event.Tail {
	return func(ctx context.Context, evs []event.Stored) {
		if len(broker.Online()) == 0 {
			return
		}
		relatives, imported := map[int64]bool{}, false
		var ids []int64
		for _, e := range evs {
			if e.Subject.Type == "ticket" && e.Kind != "ticket.imported" {
				ids = append(ids, e.Subject.ID)
			}
		}
		slices.Sort(ids)
		watching, err := tickets.WatchersOf(ctx, slices.Compact(ids))
		if err != nil {
			slog.Warn("ticketui: live", "err", err)
		}
		// A thousand deadlines of one moment say of a queue one thing: look again.
		queues := map[int64][]int64{} // department: who is concerned beside it
		for _, e := range evs {
			if e.Subject.Type != "ticket" {
				continue
			}
			if e.Kind == "ticket.imported" { // a hundred thousand of them say one thing
				imported = true
				continue
			}
			var f ticket.Fact
			if err := e.Decode(&f); err != nil {
				slog.Warn("ticketui: live", "event", e.ID, "err", err)
				continue
			}
			// All of them need the right to see tickets: who watched may have lost it.
			concerned := slices.Concat([]int64{f.Assignee, f.Was, f.CreatedBy, f.Supervisor}, watching[e.Subject.ID], f.Tell)
			if e.ActorKind == authz.User {
				concerned = append(concerned, e.ActorID) // his other tabs
			}
			broker.Publish(web.Message{Topic: "ticket", ID: e.Subject.ID, To: web.Audience{Perm: ticket.PermView, Owners: concerned, Department: f.Department}})
			queues[f.Department] = append(queues[f.Department], concerned...)
			if f.WasDepartment != 0 { // it has left that queue
				queues[f.WasDepartment] = append(queues[f.WasDepartment], concerned...)
			}
			if f.Parent != 0 {
				relatives[f.Parent] = true
			}
			if f.Helped { // the parts say how far the main ticket is
				parts, err := tickets.Children(ctx, e.Subject.ID)
				if err != nil {
					slog.Warn("ticketui: live", "event", e.ID, "err", err)
				}
				for _, c := range parts {
					relatives[c.ID] = true
				}
			}
		}
		for department, concerned := range queues {
			slices.Sort(concerned)
			to := web.Audience{Perm: ticket.PermView, Owners: slices.Compact(concerned), Department: department}
			broker.Publish(web.Message{Topic: "queue", To: to})
			to.Perm = ticket.PermSupervise
			broker.Publish(web.Message{Topic: "desk", To: to})
		}
		if imported {
			broker.Publish(web.Message{Topic: "queue", To: web.Audience{Staff: true}})
		}
		for id := range relatives {
			owners, department, err := tickets.Audience(ctx, ticket.View(authz.System("live")), id)
			if err != nil {
				continue
			}
			broker.Publish(web.Message{Topic: "ticket", ID: id, To: web.Audience{Perm: ticket.PermView, Owners: owners, Department: department}})
		}
	}
}
