package settingsui

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/calendar"
	"bihuan/internal/calendar/calendarui"
	"bihuan/internal/fault"
	"bihuan/internal/sla"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

type (
	policiesView struct {
		Setup []calendarui.Tab
		Rows  []policyRow
		Trial policyTrial
	}
	policyRow struct {
		ID          int64
		N           int
		Name        string
		Says        []said
		Times       []promised
		Off, Rest   bool
		First, Last bool // of those that can be moved
	}
	// promised is one clock of a policy in words.
	promised struct {
		Kind     string
		Time     time.Duration
		Calendar string
	}
	// policyTrial is a ticket tried out, and what would be promised for it.
	policyTrial struct {
		Form                                  *web.Form
		Types, Classes, Urgencies, Priorities []ui.Option
		Levels, Channels, Departments         []ui.Option
		Asked                                 bool
		Number                                string // of the ticket it is about
		Tried                                 []triedPolicy
		Name                                  string
		Dues                                  []dueRow
		Clocks                                []clockRow
	}
	triedPolicy struct {
		Name   string
		Says   []said
		Missed string
		Taken  bool
		Later  bool
	}
	dueRow struct {
		Kind     string
		Time     time.Duration
		Calendar string
		At       time.Time
		Unknown  bool // the holidays of its year are not known
	}
	// clockRow is how a clock of an existing ticket stands.
	clockRow struct {
		Kind, State, Policy, Calendar string
		Version, Newest               int64
		At                            time.Time
	}
	policyView struct {
		Form                                  *web.Form
		ID                                    int64
		New, Rest                             bool
		Types, Classes, Urgencies, Priorities []ui.Option
		Levels, Channels, Departments         []ui.Option
		Calendars, Others                     []ui.Option
		Kinds                                 []kind
		Versions                              []versionRow
	}
	versionRow struct {
		Version int64
		By      string
		At      time.Time
		Applied bool
		Says    []said
		Times   []promised
		Pause   bool
	}
)

var samplePolicy = policyView{Form: &web.Form{}, ID: 1, Kinds: []kind{{"first_response", "sla.clock.first_response"}},
	Versions: []versionRow{{2, "x", time.Unix(1, 0), true, []said{{"type", "x"}}, []promised{{"update", time.Hour, "x"}}, true}}}

var (
	policiesPage = ui.NewPage[policiesView](files, "policies.html").Sample(policiesView{Setup: []calendarui.Tab{{Href: "/x", Label: "x", Current: true}},
		Rows: []policyRow{{ID: 1, N: 1, Name: "A", Says: []said{{"type", "v"}}, Times: []promised{{"update", time.Hour, "x"}}, Off: true, First: true}, {ID: 2, N: 2, Name: "B", Last: true}, {ID: 3, N: 3, Name: "C", Rest: true}},
		Trial: policyTrial{Form: &web.Form{}, Asked: true, Number: "T1", Name: "B", Tried: []triedPolicy{{Name: "A", Missed: "type"}, {Name: "B", Taken: true, Says: []said{{"type", "v"}}}, {Name: "C", Later: true}},
			Dues: []dueRow{{"update", time.Hour, "x", time.Unix(1, 0), true}}, Clocks: []clockRow{{"update", "running", "A", "x", 1, 2, time.Unix(1, 0)}, {"update", "paused", "", "x", 0, 0, time.Time{}}}}},
		policiesView{Trial: policyTrial{Form: &web.Form{}}})
	policyPage = ui.NewPage[policyView](files, "policy.html").Sample(samplePolicy, policyView{Form: &web.Form{}, New: true}, policyView{Form: &web.Form{}, Rest: true})
)

const policiesHref = "/admin/tickets/policies"

func policiesChrome(r *web.Request, sub string) ui.Chrome {
	c := chrome(r, r.T("sla.policies"))
	if sub != "" {
		c.Crumbs[len(c.Crumbs)-1].Href = policiesHref
		c.Title = sub
		c.Crumbs = append(c.Crumbs, ui.Crumb{Label: sub})
	}
	c.Assets = []string{"ticketui.css"}
	return c
}

// policyPrefixes are the words of the values of conditions.
var policyPrefixes = map[string]string{"type": "ticket.type.", "class": "ticket.class.", "urgency": "ticket.urgency.", "priority": "ticket.priority.", "level": "ticket.level.", "channel": "ticket.channel."}

// policySays are a policy's conditions in words.
func (p *pages) policySays(r *web.Request, when sla.Conditions) (out []said) {
	for _, f := range sla.Fields {
		vs := when[f]
		if len(vs) == 0 {
			continue
		}
		var names []string
		for i, v := range vs {
			id, _ := strconv.ParseInt(v, 10, 64)
			switch {
			case i == 8:
				names = append(names, "…")
			case i > 8:
			case f == "department":
				names = append(names, p.org.DepartmentName(r.Context(), id))
			case f == "customer":
				names = append(names, p.tickets.CustomerNumber(r.Context(), id))
			default:
				names = append(names, r.T(policyPrefixes[f]+v))
			}
		}
		out = append(out, said{f, strings.Join(names, r.T("routing.or"))})
	}
	return out
}

func calendarName(r *web.Request, b *calendar.Book, id int64) string {
	if id == 0 {
		return r.T("calendar.always")
	}
	c, _ := b.Get(id)
	return c.Name
}

func promises(r *web.Request, b *calendar.Book, p sla.Policy) (out []promised) {
	for _, k := range sla.Kinds {
		if d := p.Target(k); d > 0 {
			out = append(out, promised{string(k), d, calendarName(r, b, p.CalendarOf(k))})
		}
	}
	return out
}

func (p *pages) departmentOptions(r *web.Request) (out []ui.Option, err error) {
	nodes, err := p.org.Tree(r.Context())
	for _, n := range nodes {
		if n.Active {
			out = append(out, ui.Option{Value: num(n.ID), Label: n.Path})
		}
	}
	return out, err
}

func (p *pages) policies(w http.ResponseWriter, r *web.Request) error {
	ctx, q := r.Context(), p.tickets.DB().Read()
	ps, err := sla.Policies(ctx, q)
	if err != nil {
		return err
	}
	book, err := calendar.Load(ctx, q)
	if err != nil {
		return err
	}
	v := policiesView{Setup: calendarui.Setup(r, policiesHref)}
	movable := 0
	for _, x := range ps {
		if !x.Rest {
			movable++
		}
	}
	for i, x := range ps {
		v.Rows = append(v.Rows, policyRow{ID: x.ID, N: i + 1, Name: x.Name, Says: p.policySays(r, x.When), Times: promises(r, book, x), Off: !x.Active, Rest: x.Rest, First: i == 0, Last: i == movable-1})
	}
	if v.Trial, err = p.tryPolicy(r, ps, book); err != nil {
		return err
	}
	if r.IsFragment() && r.Target() == "trial" {
		return policiesPage.Fragment(w, r, "outcome", v)
	}
	return policiesPage.Render(w, r, policiesChrome(r, ""), v)
}

// tryPolicy answers "which policy would this ticket get, and why" and "when
// would it be due", of what was typed or of a ticket there is.
func (p *pages) tryPolicy(r *web.Request, ps []sla.Policy, book *calendar.Book) (v policyTrial, err error) {
	ctx := r.Context()
	f := r.Input()
	v = policyTrial{Form: f, Types: options(r, "ticket.type.", ticket.Types), Classes: options(r, "ticket.class.", ticket.Classes), Urgencies: options(r, "ticket.urgency.", ticket.Urgencies),
		Priorities: options(r, "ticket.priority.", ticket.Priorities), Levels: options(r, "ticket.level.", ticket.Levels), Channels: options(r, "ticket.channel.", ticket.Channels), Asked: f.Has("type") || f.Get("ticket") != ""}
	if v.Departments, err = p.departmentOptions(r); err != nil {
		return v, err
	}
	if !v.Asked {
		f.Set("type", "consultation").Set("urgency", "normal").Set("level", "normal").Set("channel", "phone").Set("at", r.Now().In(r.Location()).Format("2006-01-02T15:04"))
		return v, nil
	}
	c := sla.Case{Type: f.String("type"), Class: f.String("class"), Urgency: f.String("urgency"), Priority: f.String("priority"), Level: f.String("level"), Channel: f.String("channel"), Department: f.ID("department")}
	start := f.DateTime("at")
	if start.IsZero() {
		start = r.Now()
	}
	if number := f.String("customer"); number != "" {
		ids, unknown, err := p.tickets.CustomersByNumber(ctx, []string{number})
		if err != nil {
			return v, err
		}
		if unknown != "" {
			f.Fail("customer", "sla.policy.no_customer", unknown)
		} else {
			c.Customer = ids[0]
		}
	}
	if number := f.String("ticket"); number != "" {
		t, err := p.tickets.ByNumber(ctx, ticket.View(r.Actor), number)
		switch {
		case fault.Is(err, fault.NotFound):
			f.Fail("ticket", "sla.policy.no_ticket", number)
		case err != nil:
			return v, err
		default:
			c, start, v.Number = t.Case(), t.CreatedAt, t.Number
			if v.Clocks, err = p.clockRows(r, t, ps, book); err != nil {
				return v, err
			}
		}
	}
	if f.Err() != nil {
		v.Asked = false
		return v, nil
	}
	for _, x := range sla.Explain(ps, c) {
		v.Tried = append(v.Tried, triedPolicy{x.Name, p.policySays(r, x.When), x.Missed, x.Taken, x.Later})
	}
	chosen := sla.Chosen(ps, c)
	v.Name = chosen.Name
	for _, d := range chosen.Dues(book, start) {
		v.Dues = append(v.Dues, dueRow{string(d.Kind), d.Target, calendarName(r, book, d.Calendar), d.At, d.Calendar != 0 && !book.Known(d.At.In(calendar.Zone).Year())})
	}
	return v, nil
}

func (p *pages) clockRows(r *web.Request, t ticket.Ticket, ps []sla.Policy, book *calendar.Book) (out []clockRow, err error) {
	cs, err := sla.Open(r.Context(), p.tickets.DB().Read(), t.ID)
	for _, c := range cs {
		row := clockRow{Kind: string(c.Kind), State: string(c.State), Policy: c.Policy, Calendar: calendarName(r, book, c.Calendar), Version: c.PolicyVersion, At: c.DueAt}
		for _, x := range ps {
			if x.ID == c.PolicyID {
				row.Newest = x.Version
			}
		}
		out = append(out, row)
	}
	return out, err
}

func (p *pages) policyView(r *web.Request, id int64, rest bool, f *web.Form) (v policyView, err error) {
	ctx, q := r.Context(), p.tickets.DB().Read()
	book, err := calendar.Load(ctx, q)
	if err != nil {
		return v, err
	}
	v = policyView{Form: f, ID: id, New: id == 0, Rest: rest, Types: options(r, "ticket.type.", ticket.Types), Classes: options(r, "ticket.class.", ticket.Classes), Urgencies: options(r, "ticket.urgency.", ticket.Urgencies),
		Priorities: options(r, "ticket.priority.", ticket.Priorities), Levels: options(r, "ticket.level.", ticket.Levels), Channels: options(r, "ticket.channel.", ticket.Channels)}
	if v.Departments, err = p.departmentOptions(r); err != nil {
		return v, err
	}
	v.Calendars = []ui.Option{{Value: "0", Label: r.T("calendar.always")}}
	for _, c := range book.All() {
		if c.Active || f.Get("calendar.") == num(c.ID) {
			v.Calendars = append(v.Calendars, ui.Option{Value: num(c.ID), Label: c.Name})
		}
	}
	v.Others = append([]ui.Option{{Value: "", Label: r.T("sla.policy.same_calendar")}}, v.Calendars...)
	for _, k := range sla.Kinds {
		v.Kinds = append(v.Kinds, kind{string(k), "sla.clock." + string(k)})
	}
	if id == 0 {
		return v, nil
	}
	vs, err := sla.Versions(ctx, q, id)
	for _, x := range vs {
		v.Versions = append(v.Versions, versionRow{x.Version, authz.SystemName(r.Lang, x.By), x.At, x.Applied, p.policySays(r, x.When), promises(r, book, x.Policy), x.PauseWhenWaiting})
	}
	return v, err
}

func (p *pages) newPolicy(w http.ResponseWriter, r *web.Request) error {
	book, err := calendar.Load(r.Context(), p.tickets.DB().Read())
	if err != nil {
		return err
	}
	f := r.Blank("pause", "1", "active", "1", "calendar.", num(book.DefaultID()))
	for k, n := range sla.Defaults()[2].Targets {
		f.Set(string(k), n)
	}
	v, err := p.policyView(r, 0, false, f)
	if err != nil {
		return err
	}
	return policyPage.Render(w, r, policiesChrome(r, r.T("sla.policy.new")), v)
}

func (p *pages) policy(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	x, err := p.policyOf(r, id)
	if err != nil {
		return err
	}
	yes := map[bool]string{true: "1"}
	f := r.Blank("name", x.Name, "version", num(x.Version), "pause", yes[x.PauseWhenWaiting], "active", yes[x.Active], "calendar.", num(x.CalendarOf("")))
	for k, n := range x.Targets {
		f.Set(string(k), n)
	}
	for k, c := range x.Calendars {
		f.Set("calendar."+string(k), c)
	}
	for _, field := range sla.Fields {
		for _, v := range x.When[field] {
			if field == "customer" {
				continue
			}
			f.Values.Add(field, v)
		}
	}
	var customers []string
	for _, v := range x.When["customer"] {
		n, _ := strconv.ParseInt(v, 10, 64)
		customers = append(customers, p.tickets.CustomerNumber(r.Context(), n))
	}
	f.Set("customer", strings.Join(customers, "\n"))
	v, err := p.policyView(r, id, x.Rest, f)
	if err != nil {
		return err
	}
	return policyPage.Render(w, r, policiesChrome(r, x.Name), v)
}

func (p *pages) policyOf(r *web.Request, id int64) (sla.Policy, error) {
	ps, err := sla.Policies(r.Context(), p.tickets.DB().Read())
	if err != nil {
		return sla.Policy{}, err
	}
	if i := slices.IndexFunc(ps, func(x sla.Policy) bool { return x.ID == id }); i >= 0 {
		return ps[i], nil
	}
	return sla.Policy{}, ui.NoSuchPage()
}

// readPolicy reads the form of a policy.
func (p *pages) readPolicy(r *web.Request, f *web.Form, id int64) (in sla.Policy, err error) {
	in = sla.Policy{ID: id, Name: f.String("name"), Active: f.Bool("active"), PauseWhenWaiting: f.Bool("pause"), Version: f.Int64("version"),
		When: sla.Conditions{}, Targets: map[sla.Kind]int{}, Calendars: map[sla.Kind]int64{"": f.Int64("calendar.")}}
	for _, k := range sla.Kinds {
		if n := f.Int(string(k)); n != 0 {
			in.Targets[k] = n
		}
		if f.Get("calendar."+string(k)) != "" {
			in.Calendars[k] = f.Int64("calendar." + string(k))
		}
	}
	for _, field := range sla.Fields {
		if vs := f.Strings(field); field != "customer" && len(vs) > 0 {
			in.When[field] = vs
		}
	}
	ids, unknown, err := p.tickets.CustomersByNumber(r.Context(), strings.FieldsFunc(f.Get("customer"), func(c rune) bool { return strings.ContainsRune(" \t\r\n,，、;；", c) }))
	if err != nil {
		return in, err
	}
	if unknown != "" {
		f.Fail("customer", "sla.policy.no_customer", unknown)
	}
	for _, n := range ids {
		in.When["customer"] = append(in.When["customer"], num(n))
	}
	return in, f.Err()
}

func (p *pages) setPolicy(w http.ResponseWriter, r *web.Request) error {
	id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64) // 0: a new one
	f := r.Input()
	apply := f.Bool("apply")
	in, err := p.readPolicy(r, f, id)
	if err == nil {
		_, err = p.tickets.SetPolicy(r.Context(), r.Actor, in, apply)
	}
	if err != nil {
		rest := false
		if x, e := p.policyOf(r, id); e == nil {
			rest = x.Rest
		}
		v, verr := p.policyView(r, id, rest, f)
		if verr != nil {
			return errors.Join(err, verr)
		}
		return policyPage.Invalid(w, r, err, f, policiesChrome(r, in.Name), v)
	}
	if apply {
		r.Flash(w, "green", "sla.policy.applied", in.Name)
	} else {
		r.Flash(w, "green", "sla.policy.saved", in.Name)
	}
	return r.SeeOther(w, policiesHref)
}

func (p *pages) movePolicy(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	by := 1
	if r.Input().Int("by") < 0 {
		by = -1
	}
	if err := p.tickets.MovePolicy(r.Context(), r.Actor, id, by); err != nil {
		return err
	}
	return r.SeeOther(w, policiesHref)
}

func (p *pages) removePolicy(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	if err := p.tickets.DeletePolicy(r.Context(), r.Actor, id); err != nil {
		return err
	}
	r.Flash(w, "green", "sla.policy.removed")
	return r.SeeOther(w, policiesHref)
}
