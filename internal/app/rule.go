package app

import (
	"context"
	"slices"
	"time"

	"bihuan/internal/rule"
	"bihuan/internal/rule/ruleui"
	"bihuan/internal/web/ui"
)

// rules lets what administrators have decided happen by itself.
func (a *App) rules() {
	a.Rules = rule.New(a.Run, rule.Rooms{Org: a.Org, Customers: a.Customers, Tickets: a.Tickets, Processes: a.Processes, Keys: a.Keys, Jobs: a.Queue, PublicURL: a.Config.PublicURL})
	a.Follower.Listen(a.Rules.Listener())
	a.Duties.Every("rules", 20*time.Second, func(ctx context.Context) error { _, err := a.Rules.Sweep(ctx); return err })
	a.Duties.Every("rule log", 12*time.Hour, a.Rules.Prune)
	ruleui.Routes(a.Router, ruleui.Rooms{Rules: a.Rules, Org: a.Org, Tickets: a.Tickets, Customers: a.Customers})
	at := slices.IndexFunc(a.Shell.Nav, func(n ui.Nav) bool { return n.Key == "ticket-settings" })
	a.Shell.Nav = slices.Insert(a.Shell.Nav, at+1, ruleui.Nav())
}
