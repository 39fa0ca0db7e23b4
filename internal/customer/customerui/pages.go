// Package customerui is what people see of the customers: the list with its
// filters and bulk tags, the form that checks for duplicates while one types,
// the customer's page with one timeline, and the list of tags.
//
// Every page works before its script has loaded; a form that fails comes back
// as it was typed. Clear values reach the browser only in the answer to a
// reveal, never with a page.
package customerui

import (
	"context"
	"embed"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/cnid"
	"bihuan/internal/customer"
	"bihuan/internal/i18n"
	"bihuan/internal/org"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

//go:embed *.html *.css
var files embed.FS

var _ = ui.AddAssets(files, "customer.css")

// The colours of levels.
var _, _, _ = ui.SetTone("normal", "gray"), ui.SetTone("vip", "violet"), ui.SetTone("strategic", "amber")

// TicketRow is a ticket in the list of a customer's page.
type TicketRow struct {
	Href      string
	Number    string
	Title     string
	State     string // in the reader's language
	StateTone string
	At        time.Time
}

// TicketList shows a customer's tickets as far as the reader may see them. The
// ticket room has it; the program hands it in.
type TicketList interface {
	OfCustomer(ctx context.Context, actor authz.Actor, lang i18n.Lang, customerID int64, limit int) ([]TicketRow, error)
}

// Org answers who there is to own a customer. *org.Service does.
type Org interface {
	Tree(ctx context.Context) ([]org.Node, error)
	Colleagues(ctx context.Context, actor authz.Actor, text string, departmentID int64, perm authz.Permission, limit int) ([]org.Person, error)
}

// Config is what the pages need. Tickets and NewTicket may be left out.
type Config struct {
	Customers *customer.Service
	Org       Org
	Tickets   TicketList
	NewTicket string // address of the form of a new ticket; it gets ?customer=<id>
	PermNew   authz.Permission
}

type pages struct{ Config }

// Routes adds the pages.
func Routes(rt *web.Router, c Config) {
	p := &pages{c}
	rt.Handle("GET /customers", customer.PermView, p.list)
	rt.Handle("GET /customers/suggest", customer.PermView, p.suggest, web.JSON())
	rt.Handle("POST /customers/tags", customer.PermTag, p.bulkTag)
	rt.Handle("GET /customers/new", customer.PermCreate, p.showNew)
	rt.Handle("POST /customers", customer.PermCreate, p.create)
	rt.Handle("POST /customers/check", customer.PermView, p.check)
	rt.Handle("POST /customers/contacts", customer.PermView, p.moreContacts)
	rt.Handle("GET /customers/{id}", customer.PermView, p.show)
	rt.Handle("GET /customers/{id}/edit", customer.PermEdit, p.showEdit)
	rt.Handle("POST /customers/{id}", customer.PermEdit, p.save)
	rt.Handle("POST /customers/{id}/values", customer.PermReveal, p.reveal)
	rt.Handle("POST /customers/{id}/follow-ups", customer.PermFollowUp, p.addFollowUp)
	rt.Handle("POST /customers/{id}/needs", customer.PermEdit, p.addNeed)
	rt.Handle("POST /customers/{id}/tags", customer.PermTag, p.setTags)
	rt.Handle("GET /admin/customers", customer.PermSettings, p.settings)
	rt.Handle("POST /admin/customers", customer.PermSettings, p.setSettings)
	rt.Handle("GET /admin/tags", customer.PermTagsManage, p.showTags)
	rt.Handle("POST /admin/tags", customer.PermTagsManage, p.saveTag)
	rt.Handle("POST /admin/tags/{id}", customer.PermTagsManage, p.saveTag)
	rt.Handle("POST /admin/tags/{id}/deletion", customer.PermTagsManage, p.deleteTag)
}

func chrome(r *web.Request, title string, crumbs ...ui.Crumb) ui.Chrome {
	return ui.Chrome{Title: title, Nav: "customers", Assets: []string{"customer.css"},
		Crumbs: append([]ui.Crumb{{Label: r.T("customer.list.title"), Href: "/customers"}}, append(crumbs, ui.Crumb{Label: title})...)}
}

// options translates codes into choices.
func options[C ~string](r *web.Request, prefix string, codes []C) []ui.Option {
	out := make([]ui.Option, len(codes))
	for i, c := range codes {
		out[i] = ui.Option{Value: string(c), Label: r.T(prefix + string(c))}
	}
	return out
}

func industries(r *web.Request, sectionsOnly bool) []ui.Option {
	var out []ui.Option
	group := ""
	for _, i := range cnid.Industries() {
		name := i.Code + " " + i.Name
		if i.IsSection() {
			if r.Lang == i18n.En && i.English != "" {
				name = i.Code + " " + i.English
			}
			group = name
			if sectionsOnly {
				out = append(out, ui.Option{Value: i.Code, Label: name})
				continue
			}
		} else if sectionsOnly {
			continue
		}
		out = append(out, ui.Option{Value: i.Code, Label: name, Group: group})
	}
	return out
}

func industryName(code string) string {
	if i, ok := cnid.IndustryByCode(code); ok {
		return i.Name
	}
	return code
}

// maxOwners bounds the list of people to choose from.
const maxOwners = 500

func (p *pages) owners(r *web.Request) ([]ui.Option, error) {
	if !r.Actor.Can(org.PermDirectory) {
		return nil, nil
	}
	people, err := p.Org.Colleagues(r.Context(), r.Actor, "", 0, customer.PermView, maxOwners)
	if err != nil {
		return nil, err
	}
	out := make([]ui.Option, len(people))
	for i, x := range people {
		out[i] = ui.Option{Value: id(x.ID), Label: x.Name + " · " + x.Department}
	}
	return out, nil
}

func (p *pages) departments(r *web.Request) ([]ui.Option, error) {
	nodes, err := p.Org.Tree(r.Context())
	if err != nil {
		return nil, err
	}
	var out []ui.Option
	for _, n := range nodes {
		if n.Active {
			out = append(out, ui.Option{Value: id(n.ID), Label: n.Path})
		}
	}
	return out, nil
}

func (p *pages) tagOptions(r *web.Request) ([]ui.Option, error) {
	tags, err := p.Customers.TagList(r.Context())
	if err != nil {
		return nil, err
	}
	out := make([]ui.Option, len(tags))
	for i, t := range tags {
		out[i] = ui.Option{Value: id(t.ID), Label: t.Name}
	}
	return out, nil
}

func id(n int64) string { return strconv.FormatInt(n, 10) }

// listView is the page of all customers.
type listView struct {
	Rows     []row
	Searched bool
	Filter   *web.Form
	Bulk     *web.Form // of the choice of a tag; always empty
	Back     string    // where the list comes back to after a bulk change
	Pager    ui.Pager
	CanNew   bool
	CanTag   bool
	Filtered bool

	Types, Levels, Sources, Industries, Tags, Owners, Departments, Sorts []ui.Option
}

// row is a customer in the list.
type row struct {
	customer.Found
	IndustryName string
}

func rowOf(f customer.Found) row { return row{f, industryName(f.Industry)} }

var sample = customer.Found{By: customer.ByPhone, Row: customer.Row{Customer: customer.Customer{ID: 7, Number: "C202611190001", Type: customer.Company, Name: "x", Level: customer.VIP,
	Source: "phone", Industry: "C39", OwnerName: "x", DepartmentName: "x", OpenTickets: 2, TotalTickets: 12, ActivityAt: time.Unix(1.7e9, 0),
	Contacts: []customer.Contact{{ID: 3, Name: "x", Gender: "female", Phone: "138****5678"}}, Tags: []customer.Tag{{ID: 1, Name: "x", Colour: "red"}}}}}

var listPage = ui.NewPage[listView](files, "list.html").Sample(
	listView{Rows: []row{rowOf(sample)}, CanNew: true, CanTag: true, Tags: []ui.Option{{Value: "1", Label: "x"}}, Pager: ui.Pager{Next: "/x"}},
	listView{Rows: []row{rowOf(sample)}, Searched: true},
	listView{Searched: true, CanNew: true}, listView{Filtered: true})

func (p *pages) list(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	sc := customer.View(r.Actor)
	v := listView{Filter: f, CanNew: r.Actor.Can(customer.PermCreate), CanTag: r.Actor.Can(customer.PermTag)}
	flt := customer.Filter{Type: customer.Type(f.String("type")), Level: customer.Level(f.String("level")), Source: f.String("source"), Industry: f.String("industry"),
		TagID: number(f.String("tag")), OwnerID: number(f.String("owner")), DepartmentID: number(f.String("department")), Sort: f.String("sort"),
		After: f.String("after"), Before: f.String("before")}
	for _, name := range []string{"type", "level", "source", "industry", "tag", "owner", "department"} {
		v.Filtered = v.Filtered || f.String(name) != ""
	}
	if q := f.String("q"); q != "" {
		found, err := p.Customers.Search(r.Context(), sc, q, 50)
		if err != nil {
			return err
		}
		v.Searched = true
		for _, x := range found {
			if selects(flt, x.Customer) {
				v.Rows = append(v.Rows, rowOf(x))
			}
		}
	} else {
		page, err := p.Customers.List(r.Context(), sc, flt)
		if err != nil {
			return err
		}
		for _, x := range page.Rows {
			v.Rows = append(v.Rows, rowOf(customer.Found{Row: x}))
		}
		v.Pager = ui.Pager{Prev: p.turn(f, "before", page.Prev), Next: p.turn(f, "after", page.Next)}
	}
	v.Back = r.URL.RequestURI()
	var err error
	if v.Tags, err = p.tagOptions(r); err != nil {
		return err
	}
	if r.IsFragment() && r.Target() == "rows" {
		return listPage.Fragment(w, r, "rows", v)
	}
	v.Types = options(r, "customer.type.", customer.Types)
	v.Levels = options(r, "customer.level.", customer.Levels)
	v.Sources = options(r, "customer.source.", customer.Sources)
	v.Industries = industries(r, true)
	v.Sorts = []ui.Option{{Value: customer.ByActivity, Label: r.T("customer.sort.activity")}, {Value: customer.ByCreated, Label: r.T("customer.sort.created")}}
	if v.Owners, err = p.owners(r); err != nil {
		return err
	}
	v.Owners = append([]ui.Option{{Value: "-1", Label: r.T("customer.owner.none")}}, v.Owners...)
	if v.Departments, err = p.departments(r); err != nil {
		return err
	}
	return listPage.Render(w, r, ui.Chrome{Title: r.T("customer.list.title"), Nav: "customers", Assets: []string{"customer.css"}}, v)
}

// selects narrows search results, of which there are few, by the filter of the
// list.
func selects(f customer.Filter, c customer.Customer) bool {
	return (f.Type == "" || c.Type == f.Type) && (f.Level == "" || c.Level == f.Level) && (f.Source == "" || c.Source == f.Source) &&
		strings.HasPrefix(c.Industry, f.Industry) && (f.OwnerID == 0 || c.OwnerID == max(f.OwnerID, 0)) &&
		(f.DepartmentID == 0 || c.DepartmentID == f.DepartmentID) &&
		(f.TagID == 0 || slices.ContainsFunc(c.Tags, func(t customer.Tag) bool { return t.ID == f.TagID }))
}

func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64) // a filter nobody made selects nothing more
	return n
}

// turn is the address of a neighbouring page with the same filter.
func (p *pages) turn(f *web.Form, name, cursor string) string {
	if cursor == "" {
		return ""
	}
	q := url.Values{}
	for _, k := range []string{"type", "level", "source", "industry", "tag", "owner", "department", "sort"} {
		if s := f.String(k); s != "" {
			q.Set(k, s)
		}
	}
	q.Set(name, cursor)
	return "/customers?" + q.Encode()
}

// suggestion is what pickers of customers show.
type suggestion struct {
	ID    int64  `json:"id"`
	Label string `json:"label"`
	Note  string `json:"note"`
}

// suggest answers pickers of customers, as on the form of a new ticket.
func (p *pages) suggest(w http.ResponseWriter, r *web.Request) error {
	found, err := p.Customers.Search(r.Context(), customer.View(r.Actor), r.Input().String("q"), 10)
	if err != nil {
		return err
	}
	out := make([]suggestion, 0, len(found))
	for _, f := range found {
		note := []string{f.Number}
		if c := f.Primary(); c.ID != 0 {
			note = append(note, strings.TrimSpace(c.Name+" "+c.Phone))
		}
		if f.By != "" {
			note = append(note, r.T("customer.match."+f.By))
		}
		out = append(out, suggestion{f.ID, f.Name, strings.Join(note, " · ")})
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

func (p *pages) bulkTag(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	ids, tag := f.IDs("id"), f.ID("tag")
	if err := f.Err(); err != nil {
		return err
	}
	var tags []int64
	if tag != 0 {
		tags = []int64{tag}
	}
	add, remove := tags, []int64(nil)
	if f.Get("do") == "remove" {
		add, remove = nil, tags
	}
	n, err := p.Customers.SetTags(r.Context(), r.Actor, ids, add, remove)
	if err != nil {
		e := r.Explain(err)
		if e.Status >= 500 {
			return err
		}
		r.Flash(w, "red", "customer.flash.sentence", e.Message)
	} else {
		r.Flash(w, "green", "customer.tag.bulk.done", n)
	}
	return r.SeeOther(w, "%s", web.SafeNext(f.Get("back"), "/customers"))
}
