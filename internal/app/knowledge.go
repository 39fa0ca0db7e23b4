package app

import (
	"context"
	"time"

	"bihuan/internal/knowledge"
	"bihuan/internal/knowledge/knowledgeui"
	"bihuan/internal/ticket/ticketui"
)

// knowledge lets people find what was found out before: beside tickets, behind ??
// while they write, and on the customer's pages.
func (a *App) knowledge(rooms *ticketui.Rooms) {
	rooms.Panels = append(rooms.Panels, knowledgeui.Panel(a.Knowledge))
	rooms.Menu = append(rooms.Menu, knowledgeui.Menu())
	rooms.Articles = knowledgeui.MayCall
}

func (a *App) keepKnowledge() {
	a.Knowledge.PublicURL = a.Config.PublicURL
	a.Files.Authorize(knowledge.FileOwner, a.Knowledge.MayReadFile)
	a.Duties.Every("articles", time.Hour, a.Knowledge.Sweep)
}

// countReaders stores what readers did in this node, also when it stops.
func (a *App) countReaders(ctx context.Context) {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := a.Knowledge.Flush(ctx); err != nil && ctx.Err() == nil {
				a.Log.Warn("readers of articles", "err", err)
			}
		case <-ctx.Done():
			if err := a.Knowledge.Flush(context.WithoutCancel(ctx)); err != nil {
				a.Log.Warn("readers of articles", "err", err)
			}
			return
		}
	}
}

func (a *App) knowledgePages() knowledgeui.Rooms {
	return knowledgeui.Rooms{Knowledge: a.Knowledge, Tickets: a.Tickets, Org: a.Org, Files: a.Files}
}
