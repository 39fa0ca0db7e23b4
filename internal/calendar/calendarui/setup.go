package calendarui

import (
	"bihuan/internal/authz"
	"bihuan/internal/calendar"
	"bihuan/internal/web"
)

// Tab is one of the pages on which deadlines are set up.
type Tab struct {
	Href, Label string
	Current     bool
}

// Setup are the steps of setting deadlines up, in the order somebody takes them:
// when there is work, what is promised, what happens near and after a deadline,
// and what all of it comes to. The rooms above draw them too; each step is shown
// to whoever may open it.
func Setup(r *web.Request, current string) (out []Tab) {
	for _, s := range []struct {
		href, key string
		perm      authz.Permission
	}{
		{"/admin/calendars", "sla.setup.calendars", calendar.PermManage},
		{"/admin/tickets/policies", "sla.setup.policies", "ticket.configure"},
		{"/admin/ladders", "sla.setup.ladders", "sla.ladder"},
		{"/admin/ladders/preview", "sla.setup.preview", "sla.ladder"},
	} {
		if r.Actor.Can(s.perm) {
			out = append(out, Tab{s.href, r.T(s.key), s.href == current})
		}
	}
	return out
}
