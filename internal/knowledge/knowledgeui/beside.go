package knowledgeui

import (
	"html/template"
	"net/http"
	"strings"

	"bihuan/internal/authz"
	"bihuan/internal/knowledge"
	"bihuan/internal/ticket"
	"bihuan/internal/ticket/ticketui"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

type (
	besideView struct {
		T         ticket.Ticket
		Linked    []knowledge.Linked
		Suggested []knowledge.Found
		Filter    *web.Form
		CanLink   bool
		CanReply  bool
		Problem   string
	}
	fromView struct {
		T      ticket.Ticket
		Form   *web.Form
		Cats   []ui.Option
		Dialog bool
	}
)

var (
	besidePage = ui.NewPage[besideView](files, "beside.html").Sample(besideView{T: ticket.Ticket{Number: "n"}, Filter: &web.Form{}, CanLink: true, CanReply: true, Linked: []knowledge.Linked{{Article: sampleArticle, How: "inserted"}}, Suggested: []knowledge.Found{{Article: sampleArticle, Title: lit, Snippet: lit}}}, besideView{T: ticket.Ticket{Number: "n"}, Filter: &web.Form{}})
	fromPage   = ui.NewPage[fromView](files, "from.html").Sample(fromView{T: ticket.Ticket{Number: "n"}, Form: &web.Form{}, Cats: []ui.Option{{Value: "1", Label: "c"}}})
)

// Panel offers articles beside a ticket. What it shows is fetched when somebody
// opens it: opening a ticket asks the store nothing for it.
func Panel(k *knowledge.Service) ticketui.Panel {
	return func(r *web.Request, t ticket.Ticket) (template.HTML, error) {
		if !r.Actor.Can(knowledge.PermRead) || !k.Any(r.Context()) {
			return "", nil
		}
		s, err := besidePage.String(r, "panel", besideView{T: ticket.Ticket{Number: t.Number}})
		return template.HTML(s), err
	}
}

// Menu offers to make an article of a solution.
func Menu() ticketui.MenuEntry {
	return ticketui.MenuEntry{Href: "/tickets/{number}/article", Icon: "book", LabelKey: "knowledge.from",
		Offered: func(actor authz.Actor, t *ticket.Ticket) bool {
			return actor.Can(knowledge.PermWrite) && t.Solution != ""
		}}
}

// MayCall reports whether somebody who writes may call articles behind ??.
func MayCall(actor authz.Actor) bool { return actor.Can(knowledge.PermRead) }

func (p *pages) ticket(r *web.Request) (ticket.Ticket, error) {
	return p.Tickets.ByNumber(r.Context(), ticket.View(r.Actor), r.PathValue("number"))
}

// option is an article as the list behind ?? shows it.
type option struct {
	ID    int64  `json:"id"`
	Title string `json:"title"`
	Note  string `json:"note"` // category, who may read it
	Text  string `json:"text"` // as it begins
	Link  bool   `json:"link"` // customers can read it themselves
}

const offered = 8

// choose answers the list behind ??, the panel, or, before the script, a page.
func (p *pages) choose(w http.ResponseWriter, r *web.Request) error {
	ctx := r.Context()
	t, err := p.ticket(r)
	if err != nil {
		return err
	}
	q := strings.TrimSpace(r.URL.Query().Get("q"))
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		var found []knowledge.Found
		if q == "" {
			found, err = p.Knowledge.Suggest(ctx, r.Actor, t, offered)
		}
		if err == nil && len(found) == 0 {
			found, err = p.Knowledge.Quick(ctx, r.Actor, q, offered)
		}
		if err != nil {
			return err
		}
		cs, err := p.Knowledge.Tree(ctx)
		if err != nil {
			return err
		}
		out := []option{}
		for _, x := range found {
			o := option{ID: x.ID, Title: x.Article.Title, Note: r.T("knowledge.audience." + string(x.Audience)), Text: brief(knowledge.Plain(x.Body)), Link: x.Audience == knowledge.Public || x.Audience == knowledge.Customers}
			if c := categoryName(cs, x.CategoryID); c != "" {
				o.Note = c + " · " + o.Note
			}
			out = append(out, o)
		}
		return web.WriteJSON(w, http.StatusOK, out)
	}
	v, err := p.beside(r, t, q)
	if err != nil {
		return err
	}
	if r.IsFragment() {
		return besidePage.Fragment(w, r, "inside", v)
	}
	return besidePage.Render(w, r, chrome(r, r.T("knowledge.panel"), ui.Crumb{Label: t.Number, Href: "/tickets/" + t.Number}), v)
}

func (p *pages) beside(r *web.Request, t ticket.Ticket, q string) (v besideView, err error) {
	ctx := r.Context()
	v = besideView{T: t, CanLink: r.Actor.Can(ticket.PermNote), CanReply: t.State != ticket.Closed, Filter: r.Blank("q", q)}
	if v.Linked, err = p.Knowledge.Of(ctx, r.Actor, t.ID); err != nil {
		return v, err
	}
	if q == "" {
		v.Suggested, err = p.Knowledge.Suggest(ctx, r.Actor, t, 5)
	} else {
		v.Suggested, _, err = p.Knowledge.Find(ctx, r.Actor, knowledge.Search{Text: q, Limit: 8})
	}
	for _, l := range v.Linked {
		for i := range v.Suggested {
			if v.Suggested[i].ID == l.ID {
				v.Suggested = append(v.Suggested[:i:i], v.Suggested[i+1:]...)
				break
			}
		}
	}
	return v, err
}

// insert answers with the text of an article; before the script it is added to the
// reader's draft.
func (p *pages) insert(w http.ResponseWriter, r *web.Request) error {
	ctx, f := r.Context(), r.Input()
	t, err := p.ticket(r)
	if err != nil {
		return err
	}
	n := f.ID("id")
	if err := f.Err(); err != nil {
		return err
	}
	x, err := p.Knowledge.Insert(ctx, r.Actor, n, t, f.String("as") == "link")
	if err != nil {
		return err
	}
	kind := ticketui.DraftKind(f.String("kind"))
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		out := struct {
			Text    string    `json:"text"`
			Missing string    `json:"missing,omitempty"`
			Files   []waiting `json:"files"`
		}{Text: x.Text, Files: []waiting{}}
		if x.Internal && kind == "reply" {
			out.Missing = r.T("knowledge.internal_only")
		}
		return web.WriteJSON(w, http.StatusOK, out)
	}
	d, err := p.Tickets.Draft(ctx, r.Actor, t.ID, kind)
	if err != nil {
		return err
	}
	d.Body = strings.TrimSpace(d.Body + "\n\n" + x.Text)
	if err := p.Tickets.KeepDraft(ctx, r.Actor, t.ID, kind, d); err != nil {
		return err
	}
	return r.SeeOther(w, "/tickets/%s#composer", t.Number)
}

// link notes that an article belongs to a ticket, or takes that back.
func (p *pages) link(w http.ResponseWriter, r *web.Request) error {
	t, err := p.ticket(r)
	if err != nil {
		return err
	}
	f := r.Input()
	n := f.ID("id")
	if f.String("do") == "unlink" {
		err = p.Knowledge.Detach(r.Context(), r.Actor, n, t)
	} else {
		err = p.Knowledge.Attach(r.Context(), r.Actor, n, t)
	}
	if err != nil {
		return err
	}
	if !r.IsFragment() {
		return r.SeeOther(w, "/tickets/%s/articles", t.Number)
	}
	v, err := p.beside(r, t, "")
	if err != nil {
		return err
	}
	return besidePage.Fragment(w, r, "inside", v)
}

func (p *pages) fromView(r *web.Request, t ticket.Ticket, f *web.Form) (v fromView, err error) {
	v = fromView{T: t, Form: f}
	cs, err := p.Knowledge.Tree(r.Context())
	for _, c := range cs {
		v.Cats = append(v.Cats, ui.Option{Value: id(c.ID), Label: c.Path})
	}
	return v, err
}

// showFrom asks for the first things of an article that a ticket's solution makes.
func (p *pages) showFrom(w http.ResponseWriter, r *web.Request) error {
	t, err := p.ticket(r)
	if err != nil {
		return err
	}
	in := p.Knowledge.FromTicket(t, [4]string{r.T("knowledge.part.problem"), r.T("knowledge.part.cause"), r.T("knowledge.part.solution"), r.T("knowledge.part.avoid")})
	v, err := p.fromView(r, t, r.Blank("title", in.Title, "body", in.Body))
	if err != nil {
		return err
	}
	if r.IsFragment() {
		return fromPage.Fragment(w, r, "dialog", v)
	}
	return fromPage.Render(w, r, chrome(r, r.T("knowledge.from"), ui.Crumb{Label: t.Number, Href: "/tickets/" + t.Number}), v)
}

func (p *pages) createFrom(w http.ResponseWriter, r *web.Request) error {
	t, err := p.ticket(r)
	if err != nil {
		return err
	}
	f := r.Input()
	in := knowledge.Input{CategoryID: f.ID("category"), Text: knowledge.Text{Title: f.String("title"), Body: f.Text("body"), Audience: knowledge.Staff}}
	var n int64
	if err = f.Err(); err == nil {
		n, err = p.Knowledge.CreateFrom(r.Context(), r.Actor, t, in)
	}
	if err != nil {
		v, verr := p.fromView(r, t, f)
		if verr != nil {
			return verr
		}
		if r.IsFragment() {
			return fromPage.InvalidFragment(w, r, err, f, "dialog", v)
		}
		return fromPage.Invalid(w, r, err, f, chrome(r, r.T("knowledge.from"), ui.Crumb{Label: t.Number, Href: "/tickets/" + t.Number}), v)
	}
	r.Flash(w, "green", "knowledge.from.done")
	return r.SeeOther(w, "/knowledge/%d/edit", n)
}
