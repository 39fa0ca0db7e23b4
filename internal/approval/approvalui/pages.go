// Package approvalui shows requests that wait for somebody's word: the desk of
// who decides, what one asked for oneself, each request with its way, and the
// rules.
package approvalui

import (
	"context"
	"embed"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"bihuan/internal/approval"
	"bihuan/internal/authz"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/org"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

//go:embed *.html approval.css
var files embed.FS

var (
	_ = ui.AddAssets(files, "approval.css")
	_ = []struct{}{ui.SetTone("approval.pending", "amber"), ui.SetTone("approval.approved", "green"), ui.SetTone("approval.refused", "red"),
		ui.SetTone("approval.withdrawn", "gray"), ui.SetTone("approval.lapsed", "gray")}
)

type tab struct {
	Href, Label string
	Count       string
	Current     bool
}

type row struct {
	approval.Request
	Department string
	Waits      string // whom it waits for; "" when nobody may decide, or it has ended
	Steps      int
}

type listView struct {
	Tab     string // desk, mine, all
	Tabs    []tab
	Rows    []row
	Filter  *web.Form
	Kinds   []ui.Option
	States  []ui.Option
	Pager   ui.Pager
	Address string // of this list, to look again
	Empty   string // locale key
}

type stepView struct {
	N       int
	Label   string
	State   string // done, refused, current, stuck, coming, ended
	Who     string
	At      time.Time
	Took    string
	Comment string
	Waits   []string
	Since   time.Time
}

type entryView struct {
	What, Who, Names, Comment string
	At                        time.Time
	Step                      int
}

type showView struct {
	approval.Request
	Department string
	Lines      []approval.Line
	Way        []stepView
	Entries    []entryView
	Form       *web.Form
	Decide     bool
	For        string // whom the reader stands in for
	Own        bool
	Nobody     bool
	More       int // further requests waiting for the reader
}

var (
	aRequest = approval.Request{ID: 7, Kind: "level", Title: "C202611210001", Reason: "r", State: approval.Pending, RequestedByName: "n", RequestedAt: time.Unix(1, 0), LapseAt: time.Unix(2, 0),
		RemindAt: time.Unix(2, 0), Rule: approval.Rule{Steps: []approval.Step{{Kind: approval.Head}, {Kind: approval.Admin}}}}
	listPage = ui.NewPage[listView](files, "list.html").Sample(
		listView{Tab: "desk", Tabs: []tab{{"/a", "l", "3", true}, {"/b", "l", "", false}}, Rows: []row{{Request: aRequest, Department: "d", Waits: "w", Steps: 2}, {Request: aRequest}, {Request: approval.Request{State: approval.Approved, Kind: "level"}}}, Pager: ui.Pager{Next: "/x"}},
		listView{Tab: "all", Empty: "approval.empty.all", Filter: &web.Form{}})
	showPage = ui.NewPage[showView](files, "show.html").Sample(
		showView{Request: aRequest, Department: "d", Lines: []approval.Line{{Label: "l", Value: "v", Href: "/x"}, {Label: "l"}}, Decide: true, For: "f", Form: &web.Form{}, More: 2,
			Way:     []stepView{{N: 1, Label: "l", State: "done", Who: "w", At: time.Unix(1, 0), Took: "t", Comment: "c"}, {N: 2, State: "current", Waits: []string{"a"}, Since: time.Unix(1, 0)}, {N: 3, State: "coming"}, {N: 4, State: "ended"}, {N: 5, State: "stuck"}},
			Entries: []entryView{{What: "asked", Who: "w", Comment: "c", At: time.Unix(1, 0)}, {What: "arrived", Names: "n", Step: 1}}},
		showView{Request: aRequest, Own: true, Nobody: true, Form: &web.Form{}})
)

const pageSize = 30

type pages struct {
	s   *approval.Service
	org *org.Service
}

// Nav is the entry of the rail, with how much waits for the reader.
func Nav(s *approval.Service) ui.Nav {
	return ui.Nav{Key: "approvals", Href: "/approvals", Icon: "stamp", LabelKey: "approval.nav", Perm: approval.PermUse, Letter: "a", Live: "approval",
		Count: func(ctx context.Context, a authz.Actor) int {
			n, err := s.Waiting(ctx, a, 100)
			if err != nil {
				slog.Warn("approvalui: count", "err", err)
			}
			return n
		}}
}

// Routes of the approvals.
func Routes(rt *web.Router, s *approval.Service, o *org.Service) {
	p := &pages{s, o}
	rt.Handle("GET  /approvals", approval.PermUse, p.list)
	rt.Handle("GET  /approvals/{id}", web.SignedIn, p.show)
	rt.Handle("POST /approvals/decisions", approval.PermUse, p.decideMany)
	rt.Handle("POST /approvals/{id}/decision", approval.PermUse, p.decide)
	rt.Handle("POST /approvals/{id}/withdrawal", approval.PermUse, p.withdraw)
	rt.Handle("GET  /admin/approvals", org.PermSettings, p.rules)
	rt.Handle("GET  /admin/approvals/{kind}", org.PermSettings, p.editRule)
	rt.Handle("POST /admin/approvals/{kind}", org.PermSettings, p.setRule)
}

// Live turns what happened to requests into "look again" for those concerned.
func Live(s *approval.Service, broker *web.Broker) event.Tail {
	return func(ctx context.Context, evs []event.Stored) {
		if len(broker.Online()) == 0 {
			return
		}
		seen := map[int64]bool{}
		for _, e := range evs {
			if e.Subject.Type != approval.SubjectType || seen[e.Subject.ID] {
				continue
			}
			seen[e.Subject.ID] = true
			users, department, err := s.Audience(ctx, e.Subject.ID)
			if err != nil {
				slog.Warn("approvalui: live", "event", e.ID, "err", err)
				continue
			}
			broker.Publish(web.Message{Topic: "approval", ID: e.Subject.ID, To: web.Audience{Users: users, Perm: approval.PermView, Department: department}})
		}
	}
}

func (p *pages) list(w http.ResponseWriter, r *web.Request) error {
	ctx, q := r.Context(), r.URL.Query()
	v := listView{Tab: q.Get("tab"), Filter: r.Blank("kind", q.Get("kind"), "state", q.Get("state"), "tab", q.Get("tab"))}
	if v.Tab != "mine" && (v.Tab != "all" || !r.Actor.Can(approval.PermView)) {
		v.Tab = "desk"
	}
	v.Empty = "approval.empty." + v.Tab
	waiting, err := p.s.Waiting(ctx, r.Actor, 100)
	if err != nil {
		return err
	}
	v.Tabs = []tab{{"/approvals", r.T("approval.tab.desk"), count(waiting), v.Tab == "desk"}, {"/approvals?tab=mine", r.T("approval.tab.mine"), "", v.Tab == "mine"}}
	if r.Actor.Can(approval.PermView) {
		v.Tabs = append(v.Tabs, tab{"/approvals?tab=all", r.T("approval.tab.all"), "", v.Tab == "all"})
	}
	for _, k := range p.s.Registered() {
		v.Kinds = append(v.Kinds, ui.Option{Value: string(k), Label: r.T(k.Key())})
	}
	for _, st := range approval.States {
		v.States = append(v.States, ui.Option{Value: string(st), Label: r.T("approval.state." + string(st))})
	}
	f := approval.Filter{Kind: approval.Kind(q.Get("kind")), State: approval.State(q.Get("state")), Limit: pageSize}
	at, _ := strconv.ParseInt(q.Get("from"), 10, 64)
	var page approval.Page
	switch v.Tab {
	case "desk":
		f.After, f.State = at, ""
		page, err = p.s.Desk(ctx, r.Actor, f)
	case "mine":
		f.Before = at
		page, err = p.s.Mine(ctx, r.Actor, f)
	default:
		f.Before = at
		page, err = p.s.All(ctx, approval.View(r.Actor), f)
	}
	if err != nil {
		return err
	}
	q.Del("from")
	base := "/approvals?" + q.Encode()
	if at != 0 {
		v.Pager.Prev = strings.TrimSuffix(base, "?")
	}
	q.Set("from", strconv.FormatInt(page.Next, 10))
	if page.Next != 0 {
		v.Pager.Next = "/approvals?" + q.Encode()
	}
	v.Address = r.URL.RequestURI()
	_, department, err := p.org.Names(ctx)
	if err != nil {
		return err
	}
	for _, x := range page.Requests {
		v.Rows = append(v.Rows, row{Request: x, Department: department(x.DepartmentID), Waits: waits(r, x.Waiting), Steps: len(x.Rule.Steps)})
	}
	if r.IsFragment() {
		return listPage.Fragment(w, r, "rows", v)
	}
	return listPage.Render(w, r, ui.Chrome{Title: r.T("approval.nav"), Nav: "approvals", Assets: []string{"approval.css"}}, v)
}

func count(n int) string {
	switch {
	case n > 99:
		return "99+"
	case n > 0:
		return strconv.Itoa(n)
	}
	return ""
}

// waits says whom a request waits for, in the reader's language.
func waits(r *web.Request, ws []approval.Waiting) string {
	return strings.Join(names(r, ws), r.T("approval.comma"))
}

func names(r *web.Request, ws []approval.Waiting) []string {
	var out []string
	for _, x := range ws {
		switch {
		case x.StandIn != 0:
			out = append(out, r.T("approval.stand_in", x.Name, x.StandInName))
		case x.Away:
			out = append(out, r.T("approval.away", x.Name))
		default:
			out = append(out, x.Name)
		}
	}
	return out
}

func (p *pages) open(r *web.Request) (v showView, err error) {
	id, err := r.PathID("id")
	if err != nil {
		return v, err
	}
	x, err := p.s.Get(r.Context(), r.Actor, id)
	if err != nil {
		return v, err
	}
	v = showView{Request: x, Department: p.org.DepartmentName(r.Context(), x.DepartmentID), Form: r.Blank(), Own: x.RequestedBy == r.Actor.ID, Nobody: x.State == approval.Pending && len(x.Waiting) == 0}
	v.For, v.Decide = x.MayDecide(r.Actor)
	if v.Lines, err = p.s.Describe(r.Context(), x, r.Lang); err != nil {
		return v, err
	}
	v.Way = p.way(r, x)
	for _, e := range x.History {
		who := e.ByName
		if e.ForName != "" {
			who = r.T("approval.for_name", e.ByName, e.ForName)
		}
		v.Entries = append(v.Entries, entryView{What: string(e.What), Who: who, Names: e.Names, Comment: e.Comment, At: e.At, Step: e.Step + 1})
	}
	if v.More, err = p.s.Waiting(r.Context(), r.Actor, 100); err != nil {
		return v, err
	}
	if v.Decide {
		v.More--
	}
	return v, nil
}

// way is the request's steps with what came of each.
func (p *pages) way(r *web.Request, x approval.Request) []stepView {
	var out []stepView
	for i, st := range x.Rule.Steps {
		s := stepView{N: i + 1, Label: p.label(r, st), State: "coming"}
		if x.State != approval.Pending {
			s.State = "ended"
		}
		for _, e := range x.Decisions() {
			if e.Step != i {
				continue
			}
			s.State, s.Who, s.At, s.Comment = "done", e.ByName, e.At, e.Comment
			s.Took = i18n.Duration(r.Lang, e.Took)
			if e.ForName != "" {
				s.Who = r.T("approval.for_name", e.ByName, e.ForName)
			}
			if e.What == approval.DidRefuse {
				s.State = "refused"
			}
		}
		if x.State == approval.Pending && i == x.Step {
			s.State, s.Since, s.Waits = "current", x.ArrivedAt, names(r, x.Waiting)
			if len(s.Waits) == 0 {
				s.State = "stuck"
			}
		}
		out = append(out, s)
	}
	return out
}

func (p *pages) label(r *web.Request, st approval.Step) string {
	l := r.T("approval.step." + string(st.Kind))
	if st.Kind == approval.Person {
		if name := p.org.Name(r.Context(), st.UserID); name != "" {
			return name
		}
	}
	return l
}

func chrome(r *web.Request, v showView) ui.Chrome {
	return ui.Chrome{Title: r.T(v.Kind.Key()) + " " + v.Number(), Nav: "approvals", Assets: []string{"approval.css"},
		Crumbs: []ui.Crumb{{Label: r.T("approval.nav"), Href: "/approvals"}, {Label: v.Number()}}}
}

func (p *pages) show(w http.ResponseWriter, r *web.Request) error {
	v, err := p.open(r)
	if err != nil {
		return err
	}
	if r.IsFragment() {
		return showPage.Fragment(w, r, "request", v)
	}
	return showPage.Render(w, r, chrome(r, v), v)
}

func (p *pages) decide(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	f := r.Input()
	d := approval.Decision{Approve: f.Choice("decision", "approve", "refuse") == "approve", Comment: f.String("comment"), Version: f.Int64("version")}
	var x approval.Request
	if err = f.Err(); err == nil {
		x, err = p.s.Decide(r.Context(), r.Actor, id, d)
	}
	if err != nil {
		return p.again(w, r, err, f)
	}
	if d.Approve {
		r.Flash(w, "green", "approval.done.approved", x.Title)
	} else {
		r.Flash(w, "amber", "approval.done.refused", x.Title)
	}
	return r.SeeOther(w, "/approvals/%d", id)
}

// decideMany takes one decision on all that were ticked, each at the version that
// was shown. Those that have changed meanwhile are left for a second look.
func (p *pages) decideMany(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	d := approval.Decision{Approve: f.Choice("decision", "approve", "refuse") == "approve", Comment: f.String("comment")}
	picked := f.Strings("pick")
	if err := f.Err(); err != nil {
		return err
	}
	if !d.Approve && utf8.RuneCountInString(strings.TrimSpace(d.Comment)) < 2 {
		r.Flash(w, "red", "approval.comment_required")
		return r.SeeOther(w, "/approvals")
	}
	done, left := 0, 0
	for _, x := range picked[:min(len(picked), pageSize)] {
		number, version, _ := strings.Cut(x, ".")
		id, _ := strconv.ParseInt(number, 10, 64)
		d.Version, _ = strconv.ParseInt(version, 10, 64)
		_, err := p.s.Decide(r.Context(), r.Actor, id, d)
		switch _, refused := fault.As(err); {
		case err == nil:
			done++
		case refused:
			left++
		default:
			return err
		}
	}
	switch {
	case done+left == 0:
		r.Flash(w, "amber", "approval.many.none")
	case left > 0:
		r.Flash(w, "amber", "approval.many.left", done, left)
	case d.Approve:
		r.Flash(w, "green", "approval.many.approved", done)
	default:
		r.Flash(w, "amber", "approval.many.refused", done)
	}
	return r.SeeOther(w, "/approvals")
}

func (p *pages) withdraw(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	f := r.Input()
	x, err := p.s.Withdraw(r.Context(), r.Actor, id, f.String("why"))
	if err != nil {
		return p.again(w, r, err, f)
	}
	r.Flash(w, "amber", "approval.done.withdrawn", x.Title)
	return r.SeeOther(w, "/approvals/%d", id)
}

// again shows the request as it is now with what was wrong.
func (p *pages) again(w http.ResponseWriter, r *web.Request, err error, f *web.Form) error {
	v, verr := p.open(r)
	if verr != nil {
		return verr
	}
	v.Form = f
	return showPage.Invalid(w, r, err, f, chrome(r, v), v)
}
