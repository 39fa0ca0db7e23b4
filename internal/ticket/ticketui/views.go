package ticketui

import (
	"time"

	"bihuan/internal/customer"
	"bihuan/internal/journal"
	"bihuan/internal/sla"
	"bihuan/internal/ticket"
	"bihuan/internal/web/ui"
)

// The pages, each with the samples the tests draw.
var (
	workspacePage = ui.NewPage[workspace](files, "workspace.html").Sample(
		workspace{CanCreate: true, Groups: []viewGroup{{Title: "x", Keep: "/views", Views: []viewLink{{Href: "/tickets", Icon: "user", Name: "x", Count: "99+", Alert: true, Current: true}, {Href: "/x", Icon: "star", Name: "y", Count: "1", Saved: 3}}}},
			Queue: queue{Title: "x", Count: "2", Self: "/tickets", Next: "/tickets?after=x", Sort: ticket.ByDue, Narrowed: true, Sorts: []sortLink{{"x", "/x", true, ticket.ByDue}},
				Keeps: "mine", Says: []string{"x"}, ToFilter: "/x", ToExport: "/x", Filter: "{}", Rows: []row{{Row: sampleRow, Href: "/tickets/x", Current: true, Over: true}, {Row: ticket.Row{ID: 9, Priority: "low", CustomerLevel: "normal", State: ticket.Closed, ActivityAt: sampleTime}, Href: "/x", Until: 1}}}, Pane: samplePane(true), Shares: []ui.Option{{Value: "1", Label: "x"}}, Bulk: true, Drag: true,
			Tabs: tabsView{Live: "ticket:7", Tabs: []tabView{{ticket.Tab{Brief: ticket.Brief{ID: 7, Number: "T7", Title: "x", State: ticket.Pending}, Priority: "low", Fresh: true}, "/x", false}, {ticket.Tab{Brief: ticket.Brief{ID: 8, Number: "T8", Title: "y", State: ticket.Closed}, Priority: "high"}, "/y", true}}}},
		workspace{Queue: queue{Sort: ticket.ByDue, Narrowed: true, Saved: "3", Again: "x"}, Pane: samplePane(false)},
		workspace{Queue: queue{Sort: ticket.ByDue, ToColumns: "/x", Wide: true, Rows: []row{{Row: sampleRow}}, Heads: []heading{{Code: "title", Label: "x"}, {Code: "due", Label: "x", Href: "/x", Current: true}}, Lines: []lineRow{{row{Row: sampleRow, Href: "/x", Current: true, Over: true}, sampleCells}, {row{Row: ticket.Row{ID: 9, State: ticket.Closed, ActivityAt: sampleTime}}, nil}}}})
	clocksPage = ui.NewPage[clocksView](files, "clocks.html").Sample(clocksView{Knows: true, Clocks: []clockLine{sampleClock, {Clock: sla.Clock{Kind: sla.Resolution, State: sla.Paused}, Late: true}}})
	revealPage = ui.NewPage[revealView](files, "reveal.html").Sample(revealView{Clear: "x", Field: "phone"}, revealView{Ask: true, Masked: "x", Field: "phone"})
	movePage   = ui.NewPage[moveView](files, "move.html").Sample(sampleMoves()...)
	editPage   = ui.NewPage[editView](files, "edit.html").Sample(editView{Stale: true, Theirs: []theirs{{Name: "title", Label: "x", Now: "x", Mine: "y", Value: "x"}}, Fields: []ui.Control{{Name: "fields.x", Label: "x", Kind: "money", When: "type=other"}}, T: ticket.Ticket{Type: "other", Urgency: "low", Priority: "low", UpdatedAt: sampleTime}})
	newPage    = ui.NewPage[newView](files, "new.html").Sample(
		newView{CanNew: true, CanFind: true, Follows: "x", Known: &customer.Customer{Name: "x", Level: customer.VIP}, Open: []ticket.Brief{{Number: "TASK1", Title: "x", State: ticket.Pending}}, Contacts: []ui.Option{{Value: "1", Label: "x"}},
			Matches: []customer.Match{{Customer: customer.Ref{ID: 1, Name: "x"}, Matched: []string{"phone"}}, {Department: "x", Matched: []string{"uscc"}}}, Uploads: []uploaded{{1, "x"}}})
	deskPage = ui.NewPage[deskView](files, "desk.html").Sample(
		deskView{Sections: []deskSection{{Key: "second", Icon: "refresh", Rows: []deskRow{{Row: sampleRow, Give: true, Nudge: true, Age: sampleTime}, {Row: sampleRow}}, Count: "2", All: "/x", Alert: true}, {Key: "escalated", Icon: "flag"}, {Key: "unassigned", Icon: "inbox"}, {Key: "overdue", Icon: "alert"}, {Key: "soon", Icon: "clock"}, {Key: "unacknowledged", Icon: "hourglass"}},
			Blocks: []DeskBlock{{ID: "a", Icon: "stamp", Title: "t", Count: "1", All: "/x", Alert: true, Rows: []DeskLine{{ID: "1", Href: "/x", Title: "t", Note: "n", At: sampleTime}}}, {ID: "b", Icon: "stamp", Title: "t", None: "n"}}, Drag: true, Says: "s",
			Teams: []team{{Department: "d", Open: 3, People: []mate{{ID: 1, Name: "x", Duty: "away", Open: 1, Capacity: 2, Pct: 50, Overdue: 1, Soon: 1, Waiting: 1, Hand: true}, {Duty: "online"}}}}}, deskView{Teams: []team{{Department: "d"}}, Unverified: 2})
)

var (
	sampleTime  = time.Unix(1.79e9, 0)
	sampleRow   = ticket.Row{ID: 7, Number: "TASK20261119001", ParentID: 1, Title: "x", Type: "complaint", Priority: "urgent", CustomerName: "x", CustomerLevel: "vip", AssigneeName: "x", State: ticket.Pending, Round: 2, Escalation: 1, Rating: 2, DueAt: sampleTime, DueClock: sla.Resolution, DueTotal: time.Hour, CustomerAt: sampleTime, ActivityAt: sampleTime}
	sampleClock = clockLine{Clock: sla.Clock{Kind: sla.Acknowledge, State: sla.Running, Round: 2, DueAt: sampleTime, Target: time.Hour}, Percent: 50, Segments: []sla.Segment{{StartedAt: sampleTime, EndedAt: sampleTime, StartReason: "asked", EndReason: "answered"}, {StartedAt: sampleTime, StartReason: "registered"}}}
)

// sampleCells are one of each look.
var sampleCells = func() (out []cell) {
	for _, c := range []string{"title", "number", "state", "priority", "level", "due", "stars", "customer", "channel", "fields.x"} {
		out = append(out, cell{heading: heading{Code: c, Class: c, Label: c}, Text: "3", Plain: c != "channel", Of: row{Row: sampleRow, Over: true}})
	}
	return append(out, cell{heading: heading{Code: "created"}, At: sampleTime}, cell{heading: heading{Code: "class"}})
}()

func samplePane(open bool) *pane {
	t := ticket.Ticket{ID: 7, Number: "TASK20261119001", Title: "x", Type: "complaint", Class: "problem", Urgency: "urgent", Priority: "urgent", Channel: "phone", CustomerName: "x", CustomerLevel: "vip",
		State: ticket.InProgress, Round: 2, Escalation: 1, Overdue: true, CreatedAt: sampleTime, UpdatedAt: sampleTime, CreatedByName: "x", PriorityReason: "x", Solution: "x"}
	v := &pane{T: t, Timeline: timeline{T: t}}
	if !open {
		v.T.State, v.T.ParentID, v.T.Outcome, v.T.CancelReason = ticket.Cancelled, 3, ticket.OutcomeCancelled, "spam"
		v.Side2 = side{IsChild: true, Gone: true}
		v.Timeline.Earlier = true
		return v
	}
	met := sampleClock
	met.State, met.Missed = sla.Met, true
	one := act{Name: "x", Icon: "help", Key: "q", Ask: true, To: "/x"}
	v.Main, v.Side, v.More = &act{Name: "x", Icon: "ok", Key: "t", Class: "btn ok", Drawn: true, To: "/x"}, []act{one}, []act{one, {Name: "x", Icon: "x", Ask: true, Bad: true}}
	v.CanEdit, v.CanWrite, v.CanReply, v.CanReveal, v.Watching, v.Clock, v.Ack, v.SubAll, v.Supervisor, v.Prev, v.Next = true, true, true, true, true, &sampleClock, &met, 2, "x", "/x", "/y"
	v.Tell = &tell{Deliveries: []ticket.Delivery{{Purpose: "question"}}, Link: "http://x/c/y", Code: "ABCD", Confirm: true, Answer: true, Dispute: true}
	rec := journal.Record{At: sampleTime, Method: "phone", Contact: "x", Reaction: "x", Agreement: "x", NextPlan: "x", NextAt: sampleTime, NextOwnerName: "x", Done: true}
	v.Timeline.Files = []attachment{{1, "x.png", 12, true}, {2, "x.log", 12, false}}
	v.Timeline.Lines = []line{{ID: 1, Kind: "sys", Author: "x", Text: "x", Reason: "x", At: sampleTime}, {ID: 2, Kind: "customer", Author: "x", Via: "x", At: sampleTime}, {ID: 3, Kind: "followup", Record: &rec, At: sampleTime, CorrectedBy: "#e4"}, {ID: 4, Kind: "followup", Record: &rec, At: sampleTime, Corrects: "#e3", Correct: "/x"}}
	v.Timeline.Later = true
	v.Composer = composer{Kinds: []string{kindReply, kindNote, kindFollowUp}, Kind: kindFollowUp, Methods: []ui.Option{{Value: "phone", Label: "x"}}, People: []ui.Option{{Value: "1", Label: "x"}}, Uploads: map[string][]uploaded{kindReply: {{1, "x"}}}, Vague: []string{"x"},
		Claim: true, Canned: true, Needs: ticket.Ask, Sends: []sendWith{{"", "send"}, {ticket.RequestConfirmation, "ok"}, {ticket.Ask, "help"}, {ticket.Acknowledge, "ok"}}}
	v.Unsent = []ticket.Unsent{{ID: 1, State: ticket.Sending, Verb: ticket.Take, Number: "x", SendAt: sampleTime}, {ID: 2, State: ticket.Sending, TicketID: 7, SendAt: sampleTime}}
	v.Shared = []sharedLine{{ticket.Unsent{ID: 3, Body: "x", UpdatedAt: sampleTime}, "x", "y", "/x"}}
	v.Side2 = side{Customer: customer.Customer{Name: "x", Type: customer.Company, Ratings: 2, RatingSum: 9, USCC: "x", Tags: []customer.Tag{{Name: "x", Colour: "red"}}}, CanOpen: true,
		Contact: customer.Contact{ID: 1, Name: "x", Position: "x", Phone: "x", Email: "x", Wechat: "x"}, Values: []value{{Field: "phone", Label: "x", Masked: "x", URL: to("/x", "action")}}, Others: []other{{Contact: customer.Contact{ID: 2, Name: "y", Phone: "x"}, Values: []value{{Field: "phone", Label: "x", Masked: "x"}}}}, Recent: []ticket.Brief{{Number: "TASK1", Title: "x", State: ticket.Pending}}, Children: []ticket.Row{sampleRow},
		Fields: []ownField{{"fields.x", "x", "x", ""}, {"", "y", "y", "http://x"}, {"fields.z", "z", "", ""}}, Checks: []ticket.Check{{ID: 1, Body: "x", DoneAt: sampleTime, DoneBy: "x"}, {ID: 2, Body: "y"}}, CheckDone: 1,
		Parent: &t, IsChild: true, Links: []ticket.Link{{Kind: "related", Row: sampleRow}}, Watchers: []string{"x"}, Ratings: []ticket.Rating{{Round: 1, Stars: 2, Via: "link", Comment: "x"}, {Round: 2, Via: "phone"}}}
	return v
}

func sampleMoves() []moveView {
	var out []moveView
	for _, v := range ticket.Verbs {
		out = append(out, moveView{Verb: v, Complaint: true, Missed: true, Stale: true, Question: "x", Open: 1, BadStars: 3, T: ticket.Ticket{UpdatedAt: sampleTime}, Codes: []ui.Option{{Value: "spam", Label: "x"}}, Uploads: []uploaded{{1, "x"}}})
	}
	return out
}
