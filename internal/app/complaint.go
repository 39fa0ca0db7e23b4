package app

import (
	"slices"
	"strings"

	"bihuan/internal/complaint"
	"bihuan/internal/complaint/complaintui"
	"bihuan/internal/ticket"
	"bihuan/internal/ticket/ticketui"
	"bihuan/internal/web"
)

// complaints are shown beside tickets, asked for in their form and said above
// their moves.
func (a *App) complaints(rooms *ticketui.Rooms) {
	rooms.Panels = append(rooms.Panels, complaintui.Panel(a.Complaints, a.Org, a.complaintPath))
	rooms.New = append(rooms.New, ticketui.NewPart{Draw: complaintui.DrawNew, Read: complaintui.ReadNew(a.Complaints)})
	rooms.MoveNotes = append(rooms.MoveNotes, complaintui.MoveNote(a.Complaints))
}

// complaintPath is the process of a complaint as its pages tell of it.
func (a *App) complaintPath(r *web.Request, t ticket.Ticket) (p complaintui.Path, ok bool, err error) {
	st, ok, err := a.Processes.Of(r.Context(), r.Actor, &t)
	if err != nil || !ok {
		return p, false, err
	}
	words, err := a.Processes.Words(r.Context(), r.Lang)
	if err != nil {
		return p, false, err
	}
	p = complaintui.Path{Process: st.Version.In(r.Lang), Stage: st.Stage.In(r.Lang), Asks: map[complaint.Step]string{}}
	for step, stage := range st.Version.Definition.Asks() {
		p.Asks[step] = stage.In(r.Lang)
	}
	var lacks []string
	for _, m := range st.Missing {
		step := complaint.Step(strings.TrimPrefix(m, "complaint."))
		if slices.Contains(complaint.Steps, step) {
			p.Due = append(p.Due, step)
		} else {
			lacks = append(lacks, words.Requirement(m))
		}
	}
	p.Lacks = words.Join(lacks)
	for _, o := range st.Offers {
		if o.Refusal == nil {
			p.Ways = append(p.Ways, complaintui.Way{Name: o.Move.In(r.Lang), To: o.To.In(r.Lang), Href: "/tickets/" + t.Number + "/stage/" + o.Move.Code, Back: o.Move.Free})
		}
	}
	return p, true, nil
}
