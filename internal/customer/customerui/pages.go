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
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/blob"
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
	ID        int64
	Href      string
	Number    string
	Title     string
	State     string // in the reader's language
	StateTone string
	Type      string // in the reader's language
	Owner     string // who handles it
	Open      bool
	CreatedAt time.Time
	At        time.Time
}

// TicketList shows a customer's tickets as far as the reader may see them, the
// newest first, older than the ticket before (0: the newest). The ticket room has
// it; the program hands it in.
type TicketList interface {
	OfCustomer(ctx context.Context, actor authz.Actor, lang i18n.Lang, customerID, before int64, limit int) ([]TicketRow, error)
	// OpenOfCustomer returns those that are open, the newest first.
	OpenOfCustomer(ctx context.Context, actor authz.Actor, lang i18n.Lang, customerID int64, limit int) ([]TicketRow, error)
}

// Org answers who there is to own a customer. *org.Service does.
type Org interface {
	Tree(ctx context.Context) ([]org.Node, error)
	Colleagues(ctx context.Context, actor authz.Actor, text string, departmentID int64, perm authz.Permission, limit int) ([]org.Person, error)
	Names(ctx context.Context) (user, department func(id int64) string, err error)
}

// Config is what the pages need. Tickets, NewTicket and what follows may be left
// out.
type Config struct {
	Customers *customer.Service
	Org       Org
	Tickets   TicketList
	NewTicket string // address of the form of a new ticket; it gets ?customer=<id>
	PermNew   authz.Permission
	Files     *blob.Files
	Actions   []PageAction // further things to do with a customer
	Together  []PageAction // and with those ticked on the list: their ids are posted as "id"

	// Notes says what is to be said on top of a customer's page.
	Notes func(ctx context.Context, actor authz.Actor, lang i18n.Lang, c customer.Customer) ([]Note, error)

	// Panels are what other rooms show at the side of a customer's page; each
	// returns "" when there is nothing.
	Panels []func(r *web.Request, c customer.Customer) (template.HTML, error)

	// CustomerOfTicket returns the customer of a ticket the reader sees; who has
	// PermTicket may ask.
	CustomerOfTicket func(ctx context.Context, actor authz.Actor, number string) (customer.Customer, error)
	PermTicket       authz.Permission
}

type pages struct {
	Config
	suspected suspectedCounts
}

// Routes adds the pages.
func Routes(rt *web.Router, c Config) {
	p := &pages{Config: c}
	p.listRoutes(rt)
	rt.Handle("GET /customers/suggest", customer.PermView, p.suggest, web.JSON())
	rt.Handle("GET /customers/new", customer.PermCreate, p.showNew)
	rt.Handle("POST /customers", customer.PermCreate, p.create)
	rt.Handle("POST /customers/check", customer.PermView, p.check)
	rt.Handle("POST /customers/contacts", customer.PermView, p.moreContacts)
	rt.Handle("GET /customers/quality", customer.PermQuality, p.quality)
	rt.Handle("GET /customers/quality/records", customer.PermQuality, p.qualityRecords)
	p.mergeRoutes(rt)
	careRoutes(rt, p)
	rt.Handle("GET /customers/{id}", customer.PermView, p.follow(p.show))
	for _, t := range []string{tabTimeline, tabTickets, tabContacts, tabNeeds, tabRelations, tabCare, tabChanges} {
		rt.Handle("GET /customers/{id}/"+t, customer.PermView, p.tab(t))
	}
	rt.Handle("GET /customers/{id}/card", customer.PermView, p.card)
	rt.Handle("GET /customers/{id}/fields/{field}", customer.PermEdit, p.showField)
	rt.Handle("POST /customers/{id}/fields/{field}", customer.PermEdit, p.saveField)
	rt.Handle("GET /customers/{id}/people/{contact}", customer.PermEdit, p.showContact)
	rt.Handle("POST /customers/{id}/people", customer.PermEdit, p.saveContact)
	rt.Handle("POST /customers/{id}/people/{contact}", customer.PermEdit, p.saveContact)
	rt.Handle("POST /customers/{id}/people/{contact}/reach", customer.PermFollowUp, p.markContact)
	if p.Files != nil {
		upload := web.MaxBody(p.Files.MaxBytes() + 1<<20)
		rt.Handle("POST /customers/files", customer.PermFollowUp, p.uploadFile, upload, web.JSON())
		rt.Handle("GET /customers/{id}/files", customer.PermView, p.tab(tabFiles))
		rt.Handle("POST /customers/{id}/files", customer.PermFollowUp, p.addFiles, upload)
		rt.Handle("GET /customers/{id}/files/{file}", customer.PermView, p.preview)
		rt.Handle("POST /customers/{id}/files/{file}", customer.PermView, p.changeFile)
		rt.Handle("GET /customers/{id}/files/{file}/pdf", customer.PermView, p.pdf, web.Slow(10*time.Minute))
	}
	if p.CustomerOfTicket != nil {
		rt.Handle("GET /tickets/{number}/card", p.PermTicket, p.ticketCard)
	}
	rt.Handle("GET /customers/{id}/edit", customer.PermEdit, p.showEdit)
	rt.Handle("POST /customers/{id}", customer.PermEdit, p.save)
	rt.Handle("POST /customers/{id}/values", customer.PermReveal, p.reveal)
	rt.Handle("POST /customers/{id}/follow-ups", customer.PermFollowUp, p.addFollowUp)
	rt.Handle("POST /customers/{id}/entries/{entry}/correction", customer.PermFollowUp, p.correct)
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

// row is a customer in the list.
type row struct {
	customer.Found
	IndustryName string
}

func rowOf(f customer.Found) row { return row{f, industryName(f.Industry)} }

var sample = customer.Found{By: customer.ByPhone, Row: customer.Row{Customer: customer.Customer{ID: 7, Number: "C202611190001", Type: customer.Company, Name: "x", Level: customer.VIP, Stage: customer.Active, Grade: "a",
	Source: "phone", Industry: "C39", OwnerName: "x", DepartmentName: "x", OpenTickets: 2, TotalTickets: 12, ActivityAt: time.Unix(1.7e9, 0),
	Contacts: []customer.Contact{{ID: 3, Name: "x", Gender: "female", Phone: "138****5678"}}, Tags: []customer.Tag{{ID: 1, Name: "x", Colour: "red"}}}}}

func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64) // a filter nobody made selects nothing more
	return n
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
