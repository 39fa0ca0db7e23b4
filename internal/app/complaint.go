package app

import (
	"bihuan/internal/complaint/complaintui"
	"bihuan/internal/ticket/ticketui"
)

// complaints are shown beside tickets, asked for in their form and said above
// their moves.
func (a *App) complaints(rooms *ticketui.Rooms) {
	rooms.Panels = append(rooms.Panels, complaintui.Panel(a.Complaints, a.Org))
	rooms.New = append(rooms.New, ticketui.NewPart{Draw: complaintui.DrawNew, Read: complaintui.ReadNew(a.Complaints)})
	rooms.MoveNotes = append(rooms.MoveNotes, complaintui.MoveNote(a.Complaints))
}
