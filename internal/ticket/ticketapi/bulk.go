package ticketapi

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/api"
	"bihuan/internal/fault"
	"bihuan/internal/org/orgapi"
	"bihuan/internal/sheet"
	"bihuan/internal/ticket"
	"bihuan/internal/web"

	"github.com/danielgtaylor/huma/v2"
)

const exporting = "tickets:export"

// bulkRoutes adds what is done with many tickets at once: changes, exports, and
// handing over somebody's work.
func (s *service) bulkRoutes(a *api.API) {
	api.Handle(a, api.Op{ID: "list-ticket-bulks", Method: "GET", Path: "/ticket-bulks", Tag: tag, Perm: ticket.PermNote, Scope: write,
		Summary: "List changes of many tickets", Description: "Those the caller asked for, the newest first, 50 at most."}, s.bulks)
	api.Handle(a, api.Op{ID: "change-tickets", Method: "POST", Path: "/ticket-bulks", Tag: tag, Perm: ticket.PermNote, Scope: write, Status: 201,
		Example: `{"filter":{"view":"unassigned","priority":"high"},"change":"assign","department":"技术支持部","reason":"归口处理"}`,
		Summary: "Change many tickets", Description: "The `tickets` named, or all within the data scope that fulfil `filter`, 10,000 at most. Up to 20 are changed at once; more in the background: read the change at its `Location` until it is no longer `running`. " +
			"Each ticket goes the way of a single one: same rules, same checks. Those that are refused stand among the results. Sent again under its key, the answer is the same change as it is by then."}, s.changeMany)
	api.Handle(a, api.Op{ID: "get-ticket-bulk", Method: "GET", Path: "/ticket-bulks/{id}", Tag: tag, Perm: ticket.PermNote, Scope: write, Errors: []int{404},
		Summary: "Read a change of many tickets", Description: "How far it is and what has come of it; only whoever asked for it may. `results` are a page of the tickets that were refused, by `cursor`. It is kept for 30 days."}, s.bulk)
	api.Handle(a, api.Op{ID: "turn-ticket-bulk", Method: "POST", Path: "/ticket-bulks/{id}/{turn}", Tag: tag, Perm: ticket.PermNote, Scope: write, Errors: []int{404, 409},
		Summary: "Pause, resume or stop a change of many tickets", Description: "What is done stays done. A paused one goes on behind the last ticket. One that is over is a 409."}, s.turnBulk)
	api.Handle(a, api.Op{ID: "export-tickets", Method: "POST", Path: "/ticket-exports", Tag: tag, Perm: ticket.PermExport, Scope: exporting, File: "application/octet-stream",
		Example: `{"filter":{"view":"all","from":"2026-11-01T00:00:00+08:00"},"columns":["number","title","state","assignee"],"format":"xlsx"}`,
		Summary: "Export tickets", Description: "The answer is the file, written completely before it is sent. That it was made is recorded."}, s.export)
	api.Handle(a, api.Op{ID: "start-handover", Method: "POST", Path: "/handovers", Tag: tag, Perm: ticket.PermPassOn, Scope: write, Status: 201, Errors: []int{409},
		Example: `{"from":"hejunjie","to":"linxiaowen","reason":"休假"}`,
		Summary: "Hand over somebody's work", Description: "All of his open tickets go to a colleague, or are spread by routing (without `to`), in the background: read it at its `Location` until it is `done`. From the request on nothing new is given to him. One's own work needs the permission to pass tickets on, that of others the permission to assign in their department."}, s.handOver)
	api.Handle(a, api.Op{ID: "get-handover", Method: "GET", Path: "/handovers/{id}", Tag: tag, Perm: ticket.PermView, Scope: read, Errors: []int{404},
		Summary: "Read a handover", Description: "For whoever asked for it, whom it concerns, and who may hand over that person's work."}, s.handover)
}

// BulkPath names a change of many tickets.
type BulkPath struct {
	ID int64 `path:"id" minimum:"1" doc:"Id of the change" example:"12"`
}

// macroChange is the change that the room of macros brings along.
const macroChange = "macro"

// BulkChange is what becomes of many tickets; each kind of change takes what
// concerns it.
type BulkChange struct {
	Change     string `json:"change" enum:"assign,priority,urgency,category,tag,untag,watcher,close,cancel,macro" doc:"What is changed"`
	Assignee   string `json:"assignee,omitempty" doc:"Login: assign; watcher: who is to watch" example:"hejunjie"`
	Department string `json:"department,omitempty" doc:"Name: assign; without assignee the department's routing finds the person"`
	Priority   string `json:"priority,omitempty" enum:",urgent,high,medium,low" doc:"priority; empty: by urgency and customer level"`
	Urgency    string `json:"urgency,omitempty" enum:"urgent,normal,low" doc:"urgency"`
	CategoryID int64  `json:"category_id,omitempty" doc:"category; absent: none"`
	Code       string `json:"code,omitempty" enum:"withdrawn,spam,mistake" doc:"cancel: why"`
	Tag        string `json:"tag,omitempty" doc:"Name: tag, untag" example:"夜间"`
	MacroID    int64  `json:"macro_id,omitempty" doc:"macro: run as on each ticket alone, all of its steps or none" example:"3"`
	Reason     string `json:"reason,omitempty" doc:"assign of tickets in progress, priority: needed"`
}

// NewBulk is a change of many tickets.
type NewBulk struct {
	Tickets []string `json:"tickets,omitempty" doc:"Their numbers; instead of filter" example:"TASK20261121001"`
	Filter  *Filter  `json:"filter,omitempty" doc:"Conditions; instead of tickets"`
	BulkChange
}

// Bulk is a change of many tickets, as far as it is.
type Bulk struct {
	ID    int64  `json:"id"`
	State string `json:"state" enum:"running,paused,finished,failed,cancelled"`
	BulkChange
	Total      int64        `json:"total"`
	Done       int64        `json:"done" doc:"Those gone through so far"`
	Changed    int64        `json:"changed"`
	Same       int64        `json:"same" doc:"Those it would not have changed"`
	Refused    int64        `json:"refused"`
	CreatedAt  *time.Time   `json:"created_at"`
	FinishedAt *time.Time   `json:"finished_at,omitempty"`
	Results    []BulkResult `json:"results,omitempty" doc:"Tickets that were refused; not in lists"`
	Next       string       `json:"next,omitempty" doc:"Cursor of the next page of results; absent at the end"`
}

// BulkResult is a ticket that was refused.
type BulkResult struct {
	Number  string `json:"number,omitempty" doc:"Absent for a ticket beyond the caller's data scope"`
	Title   string `json:"title,omitempty"`
	Outcome string `json:"outcome" enum:"forbidden,hidden,failed"`
	Reason  string `json:"reason,omitempty" doc:"In the language of the request"`
}

// Bulks is the list of changes of many tickets.
type Bulks struct {
	Items []Bulk `json:"items"`
}

type bulkOutput struct{ Body Bulk }

type newBulkOutput struct {
	Location string `header:"Location" doc:"Address of the change"`
	Replayed string `header:"Idempotent-Replayed" doc:"true when an earlier request has begun it"`
	Body     Bulk
}

func (s *service) bulkChange(ctx context.Context, b BulkChange) (c ticket.BulkChange, err error) {
	c = ticket.BulkChange{Kind: b.Change, Priority: b.Priority, Urgency: b.Urgency, Category: b.CategoryID, Code: b.Code, Of: b.MacroID, Reason: b.Reason}
	e := fault.Invalidf("api.invalid")
	for _, m := range []struct {
		name          string
		given, wanted bool
	}{{"assignee", b.Assignee != "", b.Change == "assign" || b.Change == "watcher"}, {"department", b.Department != "", b.Change == "assign"}, {"priority", b.Priority != "", b.Change == "priority"},
		{"urgency", b.Urgency != "", b.Change == "urgency"}, {"category_id", b.CategoryID != 0, b.Change == "category"}, {"code", b.Code != "", b.Change == "cancel"}, {"tag", b.Tag != "", b.Change == "tag" || b.Change == "untag"}, {"macro_id", b.MacroID != 0, b.Change == macroChange}} {
		if m.given && !m.wanted {
			e.Field(m.name, "api.pick_change", b.Change)
		}
	}
	if b.Change == macroChange && b.MacroID == 0 {
		e.Field("macro_id", "ticket.need_choice")
	}
	if err := e.OrNil(); err != nil {
		return c, err
	}
	if c.Assignee, err = s.people.PersonID(ctx, "assignee", b.Assignee); err != nil {
		return c, err
	}
	if b.Tag != "" {
		ids, err := ticket.TagIDs(ctx, s.tickets.DB().Read(), "tag", []string{b.Tag})
		if err != nil {
			return c, err
		}
		c.Tag = ids[0]
	}
	c.Department, err = s.people.DepartmentID(ctx, "department", b.Department)
	return c, err
}

// selection returns the tickets a change is for.
func (s *service) selection(ctx context.Context, b NewBulk) ([]int64, error) {
	if (len(b.Tickets) > 0) == (b.Filter != nil) {
		return nil, fault.Invalidf("api.invalid").Field("tickets", "api.tickets_or_filter")
	}
	if b.Filter == nil {
		if len(b.Tickets) > ticket.MaxBulk {
			return nil, fault.New(fault.Limited, "ticket.bulk.many", ticket.MaxBulk)
		}
		return s.numbered(ctx, "tickets", b.Tickets)
	}
	f, err := s.filter(ctx, *b.Filter)
	if err != nil {
		return nil, api.Prefixed(err, "filter")
	}
	ids, more, err := s.tickets.Select(ctx, ticket.View(api.Actor(ctx)), f)
	if err == nil && more {
		err = fault.New(fault.Limited, "ticket.bulk.many", ticket.MaxBulk)
	}
	return ids, api.Prefixed(err, "filter")
}

func (s *service) changeMany(ctx context.Context, in *struct {
	api.Idempotency
	Body api.JSON[NewBulk]
}) (*newBulkOutput, error) {
	b, actor := in.Body.Value(), api.Actor(ctx)
	c, err := s.bulkChange(ctx, b.BulkChange)
	if err != nil {
		return nil, err
	}
	ids, err := s.selection(ctx, b)
	if err != nil {
		return nil, err
	}
	id, replayed, err := api.Once(ctx, s.run, in.Key, "ticket.bulk", b, func(ctx context.Context, a *action.Action) (int64, error) {
		x, err := s.tickets.ChangeIn(ctx, a, ids, c)
		return x.ID, err
	})
	if err != nil {
		return nil, err
	}
	x, err := s.tickets.Bulk(ctx, actor, id)
	if err == nil && replayed == "" {
		x, err = s.tickets.CarryOut(ctx, actor, x)
	}
	if err != nil {
		return nil, err
	}
	v, err := s.bulkResults(ctx, x, 0, api.FirstPage)
	return &newBulkOutput{fmt.Sprintf("%s/ticket-bulks/%d", api.Prefix, id), replayed, v}, err
}

func (s *service) bulkView(ctx context.Context, b ticket.Bulk) Bulk {
	c := b.Change
	v := Bulk{ID: b.ID, State: b.State, BulkChange: BulkChange{Change: c.Kind, Department: s.people.Department(ctx, nil, c.Department), Priority: c.Priority, Urgency: c.Urgency, CategoryID: c.Category, Code: c.Code, MacroID: c.Of, Reason: c.Reason},
		Total: b.Total, Done: b.Done, Changed: b.Changed, Same: b.Same, Refused: b.Refused, CreatedAt: api.At(ctx, b.CreatedAt), FinishedAt: api.At(ctx, b.FinishedAt)}
	v.Tag, _ = s.tagName(ctx, c.Tag)
	if p := s.people.Person(ctx, nil, c.Assignee); p != nil {
		v.Assignee = p.Login
	}
	return v
}

// bulkResults is b with a page of its results.
func (s *service) bulkResults(ctx context.Context, b ticket.Bulk, after int64, limit int) (Bulk, error) {
	v := s.bulkView(ctx, b)
	lines, err := s.tickets.BulkLines(ctx, api.Actor(ctx), b.ID, after, limit+1)
	if err != nil {
		return v, err
	}
	if len(lines) > limit {
		lines = lines[:limit]
		v.Next = strconv.FormatInt(lines[limit-1].N, 10)
	}
	for _, l := range lines {
		v.Results = append(v.Results, BulkResult{l.Number, l.Title, l.Outcome, l.Say(web.From(ctx).Lang)})
	}
	return v, nil
}

func (s *service) bulks(ctx context.Context, _ *struct{}) (*struct{ Body Bulks }, error) {
	list, err := s.tickets.Bulks(ctx, api.Actor(ctx), 50)
	if err != nil {
		return nil, err
	}
	out := &struct{ Body Bulks }{Bulks{Items: make([]Bulk, 0, len(list))}}
	for _, b := range list {
		out.Body.Items = append(out.Body.Items, s.bulkView(ctx, b))
	}
	return out, nil
}

func (s *service) bulk(ctx context.Context, in *struct {
	BulkPath
	api.Page
}) (*bulkOutput, error) {
	b, err := s.tickets.Bulk(ctx, api.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	after, _ := strconv.ParseInt(in.Cursor, 10, 64)
	v, err := s.bulkResults(ctx, b, after, in.Limit)
	return &bulkOutput{v}, err
}

func (s *service) turnBulk(ctx context.Context, in *struct {
	BulkPath
	Turn string `path:"turn" enum:"pause,resumption,cancellation" doc:"What is to become of it"`
}) (*bulkOutput, error) {
	actor, turn := api.Actor(ctx), s.tickets.CancelBulk
	switch in.Turn {
	case "pause":
		turn = s.tickets.PauseBulk
	case "resumption":
		turn = s.tickets.ResumeBulk
	}
	if err := turn(ctx, actor, in.ID); err != nil {
		return nil, err
	}
	b, err := s.tickets.Bulk(ctx, actor, in.ID)
	if err != nil {
		return nil, err
	}
	return &bulkOutput{s.bulkView(ctx, b)}, nil
}

// NewExport says which tickets go into a file.
type NewExport struct {
	Filter  Filter   `json:"filter,omitzero" doc:"Conditions; everything the caller may export when left out"`
	Columns []string `json:"columns" doc:"number, title, state, type, priority, urgency, channel, customer, level, department, assignee, round, escalation, stars, tags, due, created, activity; fields of your own fields.<code>" example:"number"`
	Format  string   `json:"format" enum:"xlsx,csv"`
}

func (s *service) export(ctx context.Context, in *struct{ Body api.JSON[NewExport] }) (*huma.StreamResponse, error) {
	e := in.Body.Value()
	f, err := s.filter(ctx, e.Filter)
	if err != nil {
		return nil, api.Prefixed(err, "filter")
	}
	file, content, err := s.tickets.ExportFile(ctx, api.Actor(ctx), f, e.Columns, sheet.Format(e.Format))
	if err != nil {
		return nil, err
	}
	return api.Send(file, content), nil
}

// NewHandover asks for somebody's work to be handed over.
type NewHandover struct {
	From    string `json:"from" doc:"Login of whose work it is" example:"hejunjie"`
	To      string `json:"to,omitempty" doc:"Login of who gets it; by routing when left out"`
	Reason  string `json:"reason" doc:"At most 500 characters"`
	OffDuty bool   `json:"off_duty,omitempty" doc:"Also set him offline"`
}

// Handover is somebody's work on its way to others.
type Handover struct {
	ID         int64          `json:"id"`
	From       *orgapi.Person `json:"from"`
	To         *orgapi.Person `json:"to,omitempty" doc:"Absent: spread by routing"`
	Reason     string         `json:"reason"`
	Done       bool           `json:"done"`
	Total      int            `json:"total" doc:"Open tickets when it was asked for"`
	Moved      int            `json:"moved"`
	Unassigned int            `json:"unassigned" doc:"Of those, for which nobody was free: with the supervisor"`
	Receivers  []Receiver     `json:"receivers"`
	By         *orgapi.Person `json:"by,omitempty" doc:"Who asked for it"`
	CreatedAt  *time.Time     `json:"created_at"`
	FinishedAt *time.Time     `json:"finished_at,omitempty"`
}

// Receiver is somebody who got tickets of a handover.
type Receiver struct {
	Person  orgapi.Person `json:"person"`
	Tickets int           `json:"tickets"`
}

type newHandoverOutput struct {
	Location string `header:"Location" doc:"Address of the handover"`
	Replayed string `header:"Idempotent-Replayed" doc:"true when an earlier request has begun it"`
	Body     Handover
}

func (s *service) handOver(ctx context.Context, in *struct {
	api.Idempotency
	Body api.JSON[NewHandover]
}) (*newHandoverOutput, error) {
	n := in.Body.Value()
	hi := ticket.HandoverInput{Reason: n.Reason, OffDuty: n.OffDuty}
	var err error
	if hi.FromID, err = s.people.PersonID(ctx, "from", n.From); err != nil {
		return nil, err
	}
	if hi.FromID == 0 {
		return nil, fault.Invalidf("api.invalid").Field("from", "api.need_member", "from")
	}
	if hi.ToID, err = s.people.PersonID(ctx, "to", n.To); err != nil {
		return nil, err
	}
	id, replayed, err := api.Once(ctx, s.run, in.Key, "ticket.hand_over", n, func(ctx context.Context, a *action.Action) (int64, error) {
		return s.tickets.StartHandoverIn(ctx, a, hi)
	})
	if err != nil {
		return nil, err
	}
	v, err := s.handoverView(ctx, id)
	return &newHandoverOutput{fmt.Sprintf("%s/handovers/%d", api.Prefix, id), replayed, v}, err
}

func (s *service) handover(ctx context.Context, in *struct {
	ID int64 `path:"id" minimum:"1" doc:"Id of the handover" example:"3"`
}) (*struct{ Body Handover }, error) {
	v, err := s.handoverView(ctx, in.ID)
	return &struct{ Body Handover }{v}, err
}

func (s *service) handoverView(ctx context.Context, id int64) (v Handover, err error) {
	h, err := s.tickets.HandoverOf(ctx, api.Actor(ctx), id)
	if err != nil {
		return v, err
	}
	v = Handover{ID: h.ID, From: s.people.Person(ctx, nil, h.FromID), To: s.people.Person(ctx, nil, h.ToID), Reason: h.Reason, Done: h.Done, Total: h.Total, Moved: h.Moved, Unassigned: h.Unassigned,
		Receivers: []Receiver{}, By: s.people.Person(ctx, nil, h.ByID), CreatedAt: api.At(ctx, h.CreatedAt), FinishedAt: api.At(ctx, h.FinishedAt)}
	for _, user := range slices.Sorted(maps.Keys(h.Receivers)) {
		if p := s.people.Person(ctx, nil, user); p != nil {
			v.Receivers = append(v.Receivers, Receiver{*p, h.Receivers[user]})
		}
	}
	return v, nil
}
