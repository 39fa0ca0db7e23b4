package customerui

import (
	"net/url"
	"strings"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/i18n"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// changesView is the tab of the change log (CUS-11).
type changesView struct {
	Rows   []logRow
	Filter *web.Form
	Fields []ui.Option
}

type logRow struct {
	changeView
	At          time.Time
	Who, Reason string
	Kind        string // of a fact that changed no field
}

var sampleChanges = changesView{Rows: []logRow{{changeView{"x", "x", "x", "x"}, time.Unix(1.7e9, 0), "x", "x", ""}, {At: time.Unix(1.7e9, 0), Who: "x", Kind: "x"}}}

// loggedFields are what the log can be narrowed to; a trailing dot is a family.
var loggedFields = []string{"name", "uscc", "industry", "level", "grade", "stage", "owner", "department", "source", "region", "address", "website", "remark", "first_contact_at", "parent", "contact.", "tags"}

func (p *pages) fillChanges(r *web.Request, v *showView) error {
	q := r.URL.Query()
	field := q.Get("field")
	v.Changes.Filter = r.Blank("field", field)
	for _, f := range loggedFields {
		v.Changes.Fields = append(v.Changes.Fields, ui.Option{Value: f, Label: r.T("customer.log." + strings.TrimSuffix(f, "."))})
	}
	lines, next, err := p.Customers.ChangeLog(r.Context(), customer.View(r.Actor), v.C.ID, field, number(q.Get("before")), 50)
	if err != nil {
		return err
	}
	for _, l := range lines {
		x := logRow{At: time.UnixMicro(l.Stored.At), Who: l.Stored.ActorName, Reason: l.Stored.Reason}
		if l.Stored.ActorKind == authz.Worker {
			x.Who = authz.SystemName(r.Lang, x.Who)
		}
		switch c := l.Change; c.Field {
		case "":
			x.Kind = l.Stored.Sentence(r.Lang)
		case "tags":
			x.changeView = changeView{Field: r.T("customer.tag"), Old: c.Old, New: c.New}
		default:
			x.changeView = changeView{Field: p.fieldLabel(r, c), Of: c.Of, Old: say(r, c.Change, c.Old), New: say(r, c.Change, c.New)}
		}
		v.Changes.Rows = append(v.Changes.Rows, x)
	}
	if next != 0 {
		u := url.Values{"before": {id(next)}}
		if field != "" {
			u.Set("field", field)
		}
		v.Next = v.Home() + "/changes?" + u.Encode()
	}
	return nil
}

// fieldLabel names the field of a change: one of the product's own, or of the
// company's.
func (p *pages) fieldLabel(r *web.Request, c customer.Change) string {
	if key := "customer.field." + c.Field; i18n.Has(key) {
		return r.T(key)
	}
	return p.Customers.Fields().LabelOf(r.Context(), r.Lang, c.Field)
}
