package customerui

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"bihuan/internal/cnid"
	"bihuan/internal/customer"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

var _ = ui.AddAssets(files, "merge.css")

var _ = []struct{}{ui.SetTone("sure.surely", "red"), ui.SetTone("sure.likely", "amber"), ui.SetTone("sure.possibly", "gray")}

// Tabs of the work list.
const (
	tabOpen   = "open"
	tabApart  = "apart"
	tabMerged = "merged"
)

type pairView struct {
	customer.Pair
	Keep, Drop int64 // who would stay: the older, with more business
}

type duplicatesView struct {
	Tab       string
	Filter    *web.Form
	Sureness  []ui.Option
	Reasons   []ui.Option
	Types     []ui.Option
	Parts     []ui.Option // departments
	Pairs     []pairView
	Merges    []customer.Merge
	Waiting   int // customers still to be compared
	Pager     ui.Pager
	Back      string
	Apart     *web.Form // the form of the pair that was told apart without a reason
	ApartPair int64
	Whys      []string // usual reasons
}

type mergeFieldView struct {
	Name   string
	Label  string
	Kept   string
	Merged string
	Choice string
	Both   bool
}

type unitedView struct {
	Name   string
	Fields []mergeFieldView
	Same   string // what both have in common
}

type movedView struct {
	Label string
	N     int
}

type mergeView struct {
	Form    *web.Form
	Choose  *web.Form // to pick the other profile
	Keep    customer.Customer
	Drop    customer.Customer
	Fields  []mergeFieldView // that differ
	Same    []mergeFieldView
	United  []unitedView
	Moving  []customer.Contact
	Rows    []movedView
	Pair    customer.Pair
	From    string // list: go on with the list afterwards
	Days    int
	Problem string
}

type undoView struct {
	customer.UndoPlan
	Moved   []movedView
	Since   []movedView
	Changed []string
	Problem string
}

var (
	duplicatesPage = ui.NewPage[duplicatesView](files, "duplicates.html").Sample(sampleDuplicates()...)
	mergePage      = ui.NewPage[mergeView](files, "merge.html").Sample(sampleMerge()...)
	undoPage       = ui.NewPage[undoView](files, "merge_undo.html").Sample(sampleUndo()...)
)

// DuplicatesNav is the entry of the work list of suspected pairs.
func DuplicatesNav() ui.Nav {
	return ui.Nav{Key: "duplicates", Href: "/customers/duplicates", Icon: "merge", LabelKey: "merge.nav", Perm: customer.PermMerge, Menu: true}
}

func (p *pages) mergeRoutes(rt *web.Router) {
	rt.Handle("GET /customers/duplicates", customer.PermMerge, p.duplicates)
	rt.Handle("POST /customer-pairs/{id}/difference", customer.PermMerge, p.tellApart)
	rt.Handle("POST /customer-pairs/{id}/reopening", customer.PermMerge, p.reopenPair)
	rt.Handle("GET /customers/merge", customer.PermMerge, p.showMerge)
	rt.Handle("POST /customers/merge", customer.PermMerge, p.merge)
	rt.Handle("GET /customer-merges/{id}", customer.PermMerge, p.showUndo)
	rt.Handle("POST /customer-merges/{id}/undoing", customer.PermMerge, p.undoMerge)
}

// follow leads from a merged profile to the one it lives on in.
func (p *pages) follow(show func(w http.ResponseWriter, r *web.Request) error) func(w http.ResponseWriter, r *web.Request) error {
	return func(w http.ResponseWriter, r *web.Request) error {
		if id, err := r.PathID("id"); err == nil {
			to, err := p.Customers.SurvivorIn(r.Context(), customer.View(r.Actor), id)
			if err != nil {
				return err
			}
			if to != 0 {
				r.Flash(w, "blue", "merge.led")
				return r.SeeOther(w, "/customers/%d", to)
			}
		}
		return show(w, r)
	}
}

// suspectedCounts keeps for a minute how many pairs wait for each reader: the
// list of customers says it every time.
type suspectedCounts struct {
	mu sync.Mutex
	of map[int64]suspectedCount
}

type suspectedCount struct {
	n  int
	at time.Time
}

// mostSuspected is how far pairs are counted.
const mostSuspected = 100

// suspicions is how many suspected duplicates wait for the reader, as text.
func (p *pages) suspicions(r *web.Request) (string, error) {
	if !r.Actor.Can(customer.PermMerge) {
		return "", nil
	}
	c := &p.suspected
	c.mu.Lock()
	k, ok := c.of[r.Actor.ID]
	c.mu.Unlock()
	if now := r.Now(); !ok || now.Sub(k.at) > time.Minute || now.Before(k.at) {
		n, err := p.Customers.CountPairs(r.Context(), r.Actor, mostSuspected)
		if err != nil {
			return "", err
		}
		k = suspectedCount{n, now}
		c.mu.Lock()
		if c.of == nil || len(c.of) > 10000 {
			c.of = map[int64]suspectedCount{}
		}
		c.of[r.Actor.ID] = k
		c.mu.Unlock()
	}
	switch {
	case k.n == 0:
		return "", nil
	case k.n >= mostSuspected:
		return strconv.Itoa(mostSuspected-1) + "+", nil
	}
	return strconv.Itoa(k.n), nil
}

// forget makes the count of the reader be taken anew.
func (c *suspectedCounts) forget(id int64) {
	c.mu.Lock()
	delete(c.of, id)
	c.mu.Unlock()
}

func mergeChrome(r *web.Request, title string, crumbs ...ui.Crumb) ui.Chrome {
	c := chrome(r, title, append([]ui.Crumb{{Label: r.T("merge.list.title"), Href: "/customers/duplicates"}}, crumbs...)...)
	c.Nav, c.Assets = "customers", append(c.Assets, "merge.css")
	return c
}

func (p *pages) duplicatesView(r *web.Request) (v duplicatesView, err error) {
	q := r.URL.Query()
	v = duplicatesView{Tab: q.Get("tab"), Filter: r.Blank("sure", q.Get("sure"), "reason", q.Get("reason"), "type", q.Get("type"), "department", q.Get("department"), "tab", q.Get("tab"))}
	if v.Tab != tabApart && v.Tab != tabMerged {
		v.Tab = tabOpen
	}
	v.Sureness, v.Reasons = options(r, "merge.sure.", customer.Sureness), options(r, "merge.by.", customer.PairReasons)
	v.Types = options(r, "customer.type.", customer.Types)
	v.Back = r.URL.RequestURI()
	for _, k := range []string{"person", "branch", "shared", "family"} {
		v.Whys = append(v.Whys, r.T("merge.apart.usual."+k))
	}
	tree, err := p.Org.Tree(r.Context())
	if err != nil {
		return v, err
	}
	for _, d := range tree {
		if d.Active {
			v.Parts = append(v.Parts, ui.Option{Value: strconv.FormatInt(d.ID, 10), Label: d.Path})
		}
	}
	if v.Waiting, err = p.Customers.ToCompare(r.Context()); err != nil {
		return v, err
	}
	next := ""
	if v.Tab == tabMerged {
		page, err := p.Customers.Merges(r.Context(), r.Actor, 0, q.Get("after"), 25)
		if err != nil {
			return v, err
		}
		v.Merges, next = page.Rows, page.Next
	} else {
		state := customer.PairOpen
		if v.Tab == tabApart {
			state = customer.PairDistinct
		}
		department, _ := strconv.ParseInt(q.Get("department"), 10, 64)
		page, err := p.Customers.Pairs(r.Context(), r.Actor, customer.PairFilter{State: state, Sure: q.Get("sure"), Reason: q.Get("reason"), Type: customer.Type(q.Get("type")), DepartmentID: department, After: q.Get("after")})
		if err != nil {
			return v, err
		}
		for _, x := range page.Rows {
			pv := pairView{Pair: x, Keep: x.A.ID, Drop: x.B.ID}
			if weight(x.B) > weight(x.A) {
				pv.Keep, pv.Drop = x.B.ID, x.A.ID
				pv.A, pv.B = x.B, x.A
			}
			v.Pairs = append(v.Pairs, pv)
		}
		next = page.Next
	}
	if next != "" {
		q.Set("after", next)
		v.Pager.Next = "/customers/duplicates?" + q.Encode()
	}
	if r.URL.Query().Get("after") != "" {
		q.Del("after")
		v.Pager.Prev = "/customers/duplicates?" + q.Encode()
	}
	return v, nil
}

// weight says which of two profiles is the more complete.
func weight(c customer.Row) int64 {
	n := 10*min(c.TotalTickets, 50) + c.Ratings
	for _, s := range []string{c.USCC, c.Region, c.Address, c.Website, c.Industry, c.Source, c.Remark} {
		if s != "" {
			n += 3
		}
	}
	if c.OwnerID != 0 {
		n += 5
	}
	return n + int64(2*len(c.Tags))
}

func (p *pages) duplicates(w http.ResponseWriter, r *web.Request) error {
	v, err := p.duplicatesView(r)
	if err != nil {
		return err
	}
	if r.IsFragment() && r.Target() == "rows" {
		return duplicatesPage.Fragment(w, r, "rows", v)
	}
	c := mergeChrome(r, r.T("merge.list.title"))
	c.Crumbs = slices.Delete(c.Crumbs, 1, 2)
	return duplicatesPage.Render(w, r, c, v)
}

func backTo(f *web.Form) string { return web.SafeNext(f.Get("back"), "/customers/duplicates") }

func (p *pages) tellApart(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	f := r.Input()
	if err = f.Err(); err == nil {
		err = p.Customers.TellApart(r.Context(), r.Actor, id, f.Get("note"))
	}
	if fault.Is(err, fault.Invalid) {
		v, verr := p.duplicatesView(r)
		if verr != nil {
			return verr
		}
		v.Apart, v.ApartPair, v.Back = f, id, backTo(f)
		c := mergeChrome(r, r.T("merge.list.title"))
		return duplicatesPage.Invalid(w, r, err, f, c, v)
	}
	if err != nil {
		return err
	}
	p.suspected.forget(r.Actor.ID)
	r.Flash(w, "green", "merge.apart.done")
	return r.SeeOther(w, "%s", backTo(f))
}

func (p *pages) reopenPair(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	if err := p.Customers.Reopen(r.Context(), r.Actor, id); err != nil {
		return err
	}
	r.Flash(w, "green", "merge.reopened")
	return r.SeeOther(w, "%s", backTo(r.Input()))
}

// fieldPrefix keeps the choices of a merge apart from other fields of the form.
const fieldPrefix = "f."

func choicesOf(f *web.Form) map[string]string {
	out := map[string]string{}
	for k := range f.Values {
		if name, ok := strings.CutPrefix(k, fieldPrefix); ok {
			out[name] = f.Get(k)
		}
	}
	return out
}

func (p *pages) mergeView(r *web.Request, f *web.Form, keep, drop int64) (v mergeView, err error) {
	v = mergeView{Form: f, From: f.Get("from"), Days: int(customer.UndoFor.Hours() / 24)}
	plan, err := p.Customers.PlanMerge(r.Context(), r.Actor, r.Lang, keep, drop, choicesOf(f))
	if err != nil {
		return v, err
	}
	v.Keep, v.Drop, v.Moving, v.Pair = plan.Keep, plan.Drop, plan.Moving, plan.Pair
	user, department, err := p.Org.Names(r.Context())
	if err != nil {
		return v, err
	}
	shown := func(name, value string) string {
		if value == "" {
			return ""
		}
		id, _ := strconv.ParseInt(value, 10, 64)
		switch name {
		case "type", "level", "grade", "stage", "source":
			return r.T("customer." + name + "." + value)
		case "industry":
			i, _ := cnid.IndustryByCode(value)
			if r.Lang == i18n.En && i.English != "" {
				return i.Code + " " + i.English
			}
			return i.Code + " " + i.Name
		case "owner":
			return user(id)
		case "department":
			return department(id)
		case "parent":
			if c, err := p.Customers.Get(r.Context(), customer.View(r.Actor), id); err == nil {
				return c.Name
			}
			return r.T("merge.hidden")
		case "gender":
			return r.T("customer.gender." + value)
		case "role":
			return r.T("customer.role." + value)
		}
		return value
	}
	view := func(m customer.MergeField, label, kind string) mergeFieldView {
		return mergeFieldView{Name: fieldPrefix + m.Name, Label: label, Kept: shown(kind, m.Kept), Merged: shown(kind, m.Merged), Choice: m.Choice, Both: m.Both}
	}
	for _, m := range plan.Fields {
		label := m.Label
		if label == "" {
			label = r.T("merge.field." + m.Name)
		}
		if m.Differs() {
			v.Fields = append(v.Fields, view(m, label, m.Name))
		} else if m.Kept != "" {
			v.Same = append(v.Same, view(m, label, m.Name))
		}
	}
	for _, u := range plan.United {
		x := unitedView{Name: u.Kept.Name}
		var common []string
		for _, m := range u.Fields {
			kind := m.Name[strings.LastIndexByte(m.Name, '.')+1:]
			if m.Differs() {
				x.Fields = append(x.Fields, view(m, r.T("merge.contact."+kind), kind))
			} else if m.Kept != "" && kind != "name" {
				common = append(common, shown(kind, m.Kept))
			}
		}
		x.Same = strings.Join(common, " · ")
		v.United = append(v.United, x)
	}
	v.Rows = moved(r, plan.Rows)
	return v, nil
}

// tablesSaid are the tables whose rows have a name for people, in the order they
// are told.
var tablesSaid = []string{"tickets", "entries", "needs", "contacts", "files", "customer_tags", "field_values", "approvals"}

func moved(r *web.Request, rows map[string]int) []movedView {
	var out []movedView
	other := 0
	for t, n := range rows {
		if !slices.Contains(tablesSaid, t) {
			other += n
		}
	}
	for _, t := range tablesSaid {
		if rows[t] > 0 {
			out = append(out, movedView{r.T("merge.table." + t), rows[t]})
		}
	}
	if other > 0 {
		out = append(out, movedView{r.T("merge.table.other"), other})
	}
	return out
}

func (p *pages) showMerge(w http.ResponseWriter, r *web.Request) error {
	q := r.URL.Query()
	keep, _ := strconv.ParseInt(q.Get("keep"), 10, 64)
	drop, _ := strconv.ParseInt(q.Get("drop"), 10, 64)
	if drop == 0 {
		if drop, _ = strconv.ParseInt(q.Get("other"), 10, 64); drop == 0 || drop == keep {
			return p.chooseOther(w, r, keep)
		}
	}
	v, err := p.mergeView(r, r.Blank("from", q.Get("from")), keep, drop)
	if err != nil {
		return err
	}
	return mergePage.Render(w, r, mergeChrome(r, r.T("merge.title")), v)
}

// chooseOther asks with whom a customer is to be merged.
func (p *pages) chooseOther(w http.ResponseWriter, r *web.Request, keep int64) error {
	c, err := p.Customers.Get(r.Context(), customer.View(r.Actor), keep)
	if err != nil {
		return err
	}
	v := mergeView{Keep: c, Choose: r.Blank()}
	return mergePage.Render(w, r, mergeChrome(r, r.T("merge.title")), v)
}

func (p *pages) merge(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	in := customer.MergeInput{Keep: f.ID("keep"), Drop: f.ID("drop"), KeepVersion: f.Int64("keep_version"), DropVersion: f.Int64("drop_version"), Choices: choicesOf(f), Reason: f.Get("reason")}
	err := f.Err()
	if err == nil {
		_, err = p.Customers.Merge(r.Context(), r.Actor, in)
	}
	if fault.Is(err, fault.Invalid) || fault.Is(err, fault.Conflict) {
		v, verr := p.mergeView(r, f, in.Keep, in.Drop)
		if verr != nil {
			return err
		}
		return mergePage.Invalid(w, r, err, f, mergeChrome(r, r.T("merge.title")), v)
	}
	if err != nil {
		return err
	}
	p.suspected.forget(r.Actor.ID)
	r.Flash(w, "green", "merge.done", int(customer.UndoFor.Hours()/24))
	if f.Get("from") == "list" {
		return r.SeeOther(w, "/customers/duplicates")
	}
	return r.SeeOther(w, "/customers/%d", in.Keep)
}

func (p *pages) undoView(r *web.Request, id int64) (v undoView, err error) {
	plan, err := p.Customers.PlanUndo(r.Context(), r.Actor, id)
	if err != nil {
		return v, err
	}
	v = undoView{UndoPlan: plan, Moved: moved(r, plan.Merge.Moved), Since: moved(r, plan.Since)}
	for _, c := range plan.Changed {
		v.Changed = append(v.Changed, r.T("merge.field."+c))
	}
	if plan.Problem != nil {
		v.Problem = r.Explain(plan.Problem).Message
	}
	return v, nil
}

func (p *pages) showUndo(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	v, err := p.undoView(r, id)
	if err != nil {
		return err
	}
	return undoPage.Render(w, r, mergeChrome(r, r.T("merge.record.title")), v)
}

func (p *pages) undoMerge(w http.ResponseWriter, r *web.Request) error {
	id, err := r.PathID("id")
	if err != nil {
		return err
	}
	out, err := p.Customers.Unmerge(r.Context(), r.Actor, id)
	if fault.Is(err, fault.Conflict) {
		v, verr := p.undoView(r, id)
		if verr != nil {
			return verr
		}
		return undoPage.Invalid(w, r, err, r.Blank(), mergeChrome(r, r.T("merge.record.title")), v)
	}
	if err != nil {
		return err
	}
	if len(out.Kept) > 0 {
		var names []string
		for _, k := range out.Kept {
			names = append(names, r.T("merge.field."+k))
		}
		r.Flash(w, "amber", "merge.undone.kept", out.Number, strings.Join(names, r.T("merge.comma")))
	} else {
		r.Flash(w, "green", "merge.undone", out.Number)
	}
	return r.SeeOther(w, "/customers/%d", out.Merged)
}
