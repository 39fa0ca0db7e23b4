package ticketui

import (
	"context"
	"html/template"
	"net/http"
	"strconv"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/i18n"
	"bihuan/internal/org"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// whyView is how a ticket came to whom it came, newest first.
type whyView struct {
	T     ticket.Ticket
	Steps []whyStep
}

type whyStep struct {
	Sentence string
	Who      string
	Reason   string
	At       time.Time
	Route    *decision // nil: it was said by hand
}

// decision is a decision of routing in words.
type decision struct {
	Department string
	Rule       string // why this department
	Tried      []string
	People     []considered
	Of         int
	Outcome    string
}

type considered struct {
	Name           string
	Open, Capacity int64
	Skills         int
	Chosen         bool
	Free           bool
	Why            string
}

var whyPage = ui.NewPage[whyView](files, "why.html", "decision.html").Sample(whyView{Steps: []whyStep{{Sentence: "s", Who: "w", Reason: "r", At: time.Unix(1, 0), Route: &sampleDecision}, {Sentence: "s"}}})

var decisionPage = ui.NewPage[decision](files, "decision.html").Sample(sampleDecision)

var sampleDecision = decision{Department: "d", Rule: "r", Tried: []string{"t"}, Of: 50, Outcome: "o",
	People: []considered{{Name: "n", Open: 1, Capacity: 2, Skills: 1, Chosen: true}, {Name: "m", Free: true}, {Name: "o", Why: "away"}}}

// Explain returns what draws a decision of routing for the try-out of the
// settings.
func Explain(tickets *ticket.Service, o *org.Service) func(r *web.Request, d ticket.Decision) (template.HTML, error) {
	return func(r *web.Request, d ticket.Decision) (template.HTML, error) {
		v, err := decisionOf(r, tickets, o, d)
		if err != nil {
			return "", err
		}
		s, err := decisionPage.String(r, "decision", *v)
		return template.HTML(s), err
	}
}

func decisionOf(r *web.Request, tickets *ticket.Service, o *org.Service, d ticket.Decision) (*decision, error) {
	user, department, err := o.Names(r.Context())
	if err != nil {
		return nil, err
	}
	v := &decision{Department: department(d.Department), Of: d.Of}
	if v.Rule, err = ruleSays(r, tickets, d); err != nil {
		return nil, err
	}
	for _, t := range d.Tried {
		name := user(t.User)
		if t.Result == "chosen" {
			name = user(d.Chosen)
		}
		says := r.T("routing.result."+t.Result, name)
		if t.Result == "not_free" {
			for _, p := range d.People {
				if p.User == t.User && p.Why != "" {
					says = r.T("routing.result.not_free_why", name, r.T("routing.why."+p.Why))
				}
			}
		}
		v.Tried = append(v.Tried, r.T("routing.strategy."+string(t.Strategy))+r.T("routing.colon")+says)
	}
	for _, p := range d.People {
		v.People = append(v.People, considered{Name: user(p.User), Open: p.Open, Capacity: p.Capacity, Skills: p.Skills, Chosen: p.User == d.Chosen, Free: p.Why == "", Why: p.Why})
	}
	pulled := len(d.Tried) > 0 && d.Tried[len(d.Tried)-1].Result == "queue"
	switch {
	case d.Chosen != 0:
		v.Outcome = r.T("routing.outcome.chosen", user(d.Chosen))
	case pulled:
		v.Outcome = r.T("routing.outcome.queue", v.Department)
	case d.Supervisor != 0:
		v.Outcome = r.T("routing.outcome.supervisor", user(d.Supervisor))
	default:
		v.Outcome = r.T("routing.outcome.nobody")
	}
	return v, nil
}

// ruleSays says why a request went to its department.
func ruleSays(r *web.Request, tickets *ticket.Service, d ticket.Decision) (string, error) {
	switch {
	case d.Given:
		return r.T("routing.by.given"), nil
	case d.Rule == 0:
		return r.T("routing.by.first"), nil
	case len(d.Hits) == 0:
		return r.T("routing.by.rest"), nil
	}
	hits := ""
	for i, h := range d.Hits {
		if i > 0 {
			hits += r.T("routing.and")
		}
		value := h.Value
		switch h.Field {
		case "category":
			n, _ := strconv.ParseInt(h.Value, 10, 64)
			name, err := categoryName(r.Context(), tickets, n)
			if err != nil {
				return "", err
			}
			value = name
		case "keyword":
		default:
			value = r.T("ticket." + h.Field + "." + h.Value)
		}
		hits += r.T("routing.hit."+h.Field, value)
	}
	if d.Name != "" {
		return r.T("routing.by.named", d.Name, hits), nil
	}
	return r.T("routing.by.rule", hits), nil
}

func categoryName(ctx context.Context, tickets *ticket.Service, id int64) (string, error) {
	cs, _, err := ticket.AllCategories(ctx, tickets.DB().Read())
	if err != nil {
		return "", err
	}
	names := map[int64]string{}
	for _, c := range cs {
		names[c.ID] = c.Name
		if c.ParentID != 0 {
			names[c.ID] = names[c.ParentID] + " / " + c.Name
		}
	}
	return names[id], nil
}

// whyPanel stands beside every ticket and asks nothing of the store: what it
// says is fetched when it is opened.
func whyPanel(r *web.Request, t ticket.Ticket) (template.HTML, error) {
	path := template.HTMLEscapeString("/tickets/" + t.Number + "/routing")
	return template.HTML(`<details id="why" hx-get="` + path + `" hx-trigger="toggle once" hx-target="find .whybox" hx-swap="innerHTML"><summary>` +
		template.HTMLEscapeString(r.T("routing.why.title")) + `</summary><div class="whybox"><p><a href="` + path + `">` + template.HTMLEscapeString(r.T("routing.why.open")) + `</a></p></div></details>`), nil
}

// showWhy says how the ticket came to whom.
func (p *pages) showWhy(w http.ResponseWriter, r *web.Request) error {
	t, err := p.open(r)
	if err != nil {
		return err
	}
	gs, err := p.Tickets.Given(r.Context(), t.ID)
	if err != nil {
		return err
	}
	v := whyView{T: t}
	for _, g := range gs {
		s := whyStep{Sentence: g.Stored.Sentence(r.Lang), Who: g.ActorName, Reason: g.Reason, At: db.FromMicros(g.Stored.At)}
		if g.ActorKind == authz.Worker {
			s.Who = i18n.T(r.Lang, "journal.kind.system")
		}
		if g.Route != nil {
			if s.Route, err = decisionOf(r, p.Tickets, p.Org, *g.Route); err != nil {
				return err
			}
		}
		v.Steps = append(v.Steps, s)
	}
	if r.IsFragment() {
		return whyPage.Fragment(w, r, "why", v)
	}
	return whyPage.Render(w, r, sheet(r, r.T("routing.why.title"), ui.Crumb{Label: t.Number, Href: "/tickets/" + t.Number}), v)
}
