package customer

import (
	"time"

	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
)

// Conditions of the same form on the records of another room: it names its
// attributes, and gets them checked, said and made into SQL.

// NewAttr is an attribute in column, called by the locale key.
func NewAttr(l i18n.Lang, code, group string, kind AttrKind, key, column string, blank bool, options ...Choice) Attr {
	return Attr{Code: code, Group: group, Kind: kind, key: key, Label: i18n.T(l, key), expr: column, Blank: blank, Options: options}
}

// OwnAttr is a field that an administrator has added; ok is false for one that
// cannot be compared.
func OwnAttr(d field.Def) (a Attr, ok bool) { return customAttr(d) }

// Conditions are a Query on other records, checked.
type Conditions struct{ p *plan }

// On checks q on records with attrs; id is the expression of their id, user whom
// "me" means.
func On(attrs []Attr, id string, user int64, now time.Time, q Query) (*Conditions, error) {
	if q.V != queryVersion && q.V != 0 {
		return nil, fault.Invalidf("customer.query.invalid").Field("filter", "customer.query.version", q.V)
	}
	p := &plan{root: q.Node, user: user, now: now, segs: map[int64]Node{}, attrs: byCode(attrs), id: id}
	e := fault.Invalidf("customer.query.invalid")
	p.check(e, p.root, "", 1)
	if p.count > maxConditions {
		e.Field("filter", "customer.query.many", maxConditions)
	}
	if err := e.OrNil(); err != nil {
		return nil, err
	}
	return &Conditions{p}, nil
}

// Where is the condition as SQL; its values are added to a.
func (c *Conditions) Where(a *db.Args) (string, error) { return c.p.where(a) }

// WordsOf says q on records with attrs in l.
func WordsOf(l i18n.Lang, attrs []Attr, q Query, names func(kind AttrKind, value string) string) string {
	return wordsOf(l, byCode(attrs), q, names)
}

func byCode(attrs []Attr) map[string]*Attr {
	m := make(map[string]*Attr, len(attrs))
	for i := range attrs {
		m[attrs[i].Code] = &attrs[i]
	}
	return m
}
