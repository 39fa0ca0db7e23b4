package customerui

import (
	"html/template"
	"net/http"
	"unicode/utf8"

	"bihuan/internal/customer"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// networkView is to whom a customer belongs, what others are to him, and who
// speaks for him. It is a tab of his page.
type networkView struct {
	C         customer.Customer
	Group     customer.Group
	IsGroup   bool
	Relations []customer.Relation
	Map       mapView
	Former    []customer.Former
	History   []customer.ContactLine
	CanEdit   bool

	ParentForm   *web.Form
	ParentName   string
	RelationForm *web.Form
	Kinds        []ui.Option
	MoveForm     *web.Form
	Moving       int64 // the contact whose form failed
}

var sampleNetwork = networkView{C: sample.Customer, CanEdit: true, IsGroup: true, Kinds: []ui.Option{{Value: "partner", Label: "x"}}, Moving: 3,
	Group:     customer.Group{Open: 2, Total: 3, More: true, Nodes: []customer.GroupNode{{Ref: sampleRef, Children: 2}, {Hidden: true, Depth: 1}, {Ref: sampleRef, Self: true, Depth: 2, Open: 1, Total: 2}}},
	Relations: []customer.Relation{{ID: 1, Kind: "supplier", Way: "out", Other: sampleRef, Note: "x", By: "x"}, {ID: 2, Kind: "partner", Way: "both", Other: sampleRef}},
	Map:       mapOf(customer.Customer{ID: 7, Name: "x", ParentID: 9}, sampleGroup, []customer.Relation{{Kind: "supplier", Way: "in", Other: sampleRef}, {Kind: "partner", Way: "both", Other: sampleRef}}),
	Former:    []customer.Former{{Contact: sample.Contacts[0], Reason: "x", To: sampleRef}, {Contact: sample.Contacts[0]}},
	History: []customer.ContactLine{{Kind: "key", Name: "x", Before: "y", By: "x"}, {Kind: "moved", Name: "x", Other: sampleRef, Reason: "x"}, {Kind: "came", Name: "x", Other: sampleRef},
		{Kind: "left", Name: "x"}}}

var (
	sampleRef   = customer.Ref{ID: 9, Number: "C2", Name: "x", Type: customer.Company, Level: customer.VIP}
	sampleGroup = customer.Group{Nodes: []customer.GroupNode{{Ref: sampleRef, Children: 1}, {Ref: customer.Ref{ID: 7, Name: "x"}, ParentID: 9, Self: true, Depth: 1, Children: 1}, {Ref: customer.Ref{ID: 8, Name: "x"}, ParentID: 7, Depth: 2}}}
)

// nameOf is what a company of the group is called.
func nameOf(r *web.Request, n customer.GroupNode) string {
	if n.Hidden {
		return r.T("customer.group.hidden")
	}
	return n.Name
}

var networkPage = ui.NewPage[networkView](files, "network.html", "map.html").Sample(sampleNetwork, networkView{C: customer.Customer{ID: 1, Type: customer.Company}})

// networkAgain shows the customer's page with a form of this tab that failed.
func (p *pages) networkAgain(w http.ResponseWriter, r *web.Request, n int64, cause error, f *web.Form, put func(v *networkView)) error {
	f.Explain(cause)
	x, err := p.networkOf(r, n)
	if err != nil {
		return err
	}
	put(&x)
	drawn, err := networkPage.String(r, "network.html", x)
	if err != nil {
		return err
	}
	return p.again(w, r, n, tabRelations, cause, f, func(v *showView) { v.Inner = template.HTML(drawn) })
}

func (p *pages) networkOf(r *web.Request, n int64) (v networkView, err error) {
	ctx, sc := r.Context(), customer.View(r.Actor)
	if v.C, err = p.Customers.Get(ctx, sc, n); err != nil {
		return v, err
	}
	v.CanEdit = r.Actor.Can(customer.PermEdit)
	if v.Group, err = p.Customers.Group(ctx, sc, n); err != nil {
		return v, err
	}
	v.IsGroup = len(v.Group.Nodes) > 1
	if v.Relations, err = p.Customers.Relations(ctx, sc, n); err != nil {
		return v, err
	}
	if v.Former, err = p.Customers.FormerContacts(ctx, sc, n); err != nil {
		return v, err
	}
	if v.History, err = p.Customers.ContactHistory(ctx, sc, n); err != nil {
		return v, err
	}
	for i := range v.Group.Nodes {
		x := &v.Group.Nodes[i]
		x.Name = nameOf(r, *x)
		if x.ID != 0 && x.ID == v.C.ParentID {
			v.ParentName = x.Name
		}
	}
	v.Map = mapOf(v.C, v.Group, v.Relations)
	for i := range v.Map.Nodes {
		if k := v.Map.Nodes[i].Kind; k != "" {
			v.Map.Nodes[i].Note = r.T(k)
		}
	}
	v.ParentForm = r.Blank()
	if v.C.ParentID != 0 && v.ParentName != "" {
		v.ParentForm.Set("parent", v.C.ParentID)
	}
	v.RelationForm, v.MoveForm = r.Blank(), r.Blank()
	for _, k := range customer.RelationKinds {
		label := r.T("customer.relation." + k)
		v.Kinds = append(v.Kinds, ui.Option{Value: k, Label: label})
	}
	return v, nil
}

func (p *pages) setParent(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	f := r.Input()
	parent := f.ID("parent")
	if f.String("parent_text") == "" {
		parent = 0 // emptied
	} else if parent == 0 {
		f.Fail("parent", "customer.parent.unknown")
	}
	if err = f.Err(); err == nil {
		err = p.Customers.SetParent(r.Context(), r.Actor, n, parent, f.String("reason"))
	}
	if err != nil {
		return p.networkAgain(w, r, n, err, f, func(v *networkView) { v.ParentForm = f })
	}
	r.Flash(w, "green", "customer.parent.done")
	return r.SeeOther(w, "%s", back(r, n, tabRelations))
}

func (p *pages) relate(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	f := r.Input()
	other := f.ID("other")
	if err = f.Err(); err == nil {
		err = p.Customers.Relate(r.Context(), r.Actor, n, other, f.Get("kind"), f.String("note"))
	}
	if err != nil {
		return p.networkAgain(w, r, n, err, f, func(v *networkView) { v.RelationForm = f })
	}
	r.Flash(w, "green", "customer.relation.done")
	return r.SeeOther(w, "%s", back(r, n, tabRelations))
}

func (p *pages) unrelate(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	relation, err := r.PathID("relation")
	if err != nil {
		return err
	}
	if err := p.Customers.Unrelate(r.Context(), r.Actor, n, relation); err != nil {
		return err
	}
	r.Flash(w, "green", "customer.relation.removed")
	return r.SeeOther(w, "%s", back(r, n, tabRelations))
}

func (p *pages) letContactGo(w http.ResponseWriter, r *web.Request) error {
	return p.contactLeaves(w, r, func(n, contact int64, f *web.Form) error {
		return p.Customers.LetContactGo(r.Context(), r.Actor, n, contact, f.String("reason"))
	}, "customer.contact.left.done")
}

func (p *pages) moveContact(w http.ResponseWriter, r *web.Request) error {
	return p.contactLeaves(w, r, func(n, contact int64, f *web.Form) error {
		to := f.ID("to")
		if err := f.Err(); err != nil {
			return err
		}
		_, err := p.Customers.MoveContact(r.Context(), r.Actor, n, contact, to, f.String("position"), f.String("reason"))
		return err
	}, "customer.contact.moved.done")
}

func (p *pages) contactLeaves(w http.ResponseWriter, r *web.Request, do func(n, contact int64, f *web.Form) error, done string) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	contact, err := r.PathID("contact")
	if err != nil {
		return err
	}
	f := r.Input()
	if err := do(n, contact, f); err != nil {
		return p.networkAgain(w, r, n, err, f, func(v *networkView) { v.MoveForm, v.Moving = f, contact })
	}
	r.Flash(w, "green", done)
	return r.SeeOther(w, "%s", back(r, n, tabRelations))
}

// roleOptions are the roles of contacts, with the way to none.
func roleOptions(r *web.Request) []ui.Option {
	return append([]ui.Option{{Value: customer.RoleNone, Label: r.T("customer.role.")}}, options(r, "customer.role.", customer.Roles)...)
}

// mapView is the picture of a customer's neighbourhood: the parent above, the
// subsidiaries below, whom he deals with on both sides.
type mapView struct {
	Width, Height int
	Nodes         []mapNode
	Edges         []mapEdge
	More          int // neighbours without room
}

// Any reports whether there is more than the customer himself to be seen.
func (m mapView) Any() bool { return len(m.Nodes) > 1 }

type mapNode struct {
	X, Y, W, H int
	Name       string
	Note       string // what he is to the customer, in the reader's language
	Kind       string // locale key of Note
	Href       string // "" for the customer himself and for hidden ones
	Class      string // self, parent, child, other
}

// TextX and the others are where the words stand.
func (n mapNode) TextX() int { return n.X + n.W/2 }

// TextY is the base line of the name.
func (n mapNode) TextY() int {
	if n.Note == "" {
		return n.Y + n.H/2 + 4
	}
	return n.Y + n.H/2 - 2
}

// NoteY is the base line of the note.
func (n mapNode) NoteY() int { return n.Y + n.H/2 + 13 }

type mapEdge struct{ X1, Y1, X2, Y2 int }

const (
	mapW, mapH   = 150, 44 // of a box
	mapGapX      = 40
	mapGapY      = 34
	mapMostBelow = 8
	mapMostSide  = 4
)

func mapOf(c customer.Customer, g customer.Group, rel []customer.Relation) mapView {
	var m mapView
	var above []customer.GroupNode
	var below []customer.GroupNode
	for _, x := range g.Nodes {
		switch {
		case x.Self:
		case c.ParentID != 0 && x.ID == c.ParentID:
			above = append(above, x)
		case x.ParentID == c.ID:
			below = append(below, x)
		}
	}
	if len(below) > mapMostBelow {
		m.More += len(below) - mapMostBelow
		below = below[:mapMostBelow]
	}
	if len(rel) > 2*mapMostSide {
		m.More += len(rel) - 2*mapMostSide
		rel = rel[:2*mapMostSide]
	}
	left, right := rel[:len(rel)/2], rel[len(rel)/2:]
	const columns = 4
	m.Width = columns*mapW + (columns-1)*mapGapX/2 + 20
	sideRows := max(len(left), len(right), 1)
	y := 10
	if len(above) > 0 {
		y += mapH + mapGapY
	}
	middle := y + (sideRows*(mapH+12)-12)/2 - mapH/2
	self := mapNode{X: m.Width/2 - mapW/2, Y: middle, W: mapW, H: mapH, Name: short(c.Name), Class: "self"}
	edge := func(n mapNode, x1, y1, x2, y2 int) {
		m.Edges = append(m.Edges, mapEdge{x1, y1, x2, y2})
		m.Nodes = append(m.Nodes, n)
	}
	m.Nodes = append(m.Nodes, self)
	for _, x := range above {
		n := groupNode(x, "parent", "customer.group.parent")
		n.X, n.Y = self.X, 10
		edge(n, self.X+mapW/2, n.Y+mapH, self.X+mapW/2, self.Y)
	}
	side := func(rs []customer.Relation, x int, atRight bool) {
		top := y + (sideRows*(mapH+12)-12)/2 - (len(rs)*(mapH+12)-12)/2
		for i, r := range rs {
			n := mapNode{X: x, Y: top + i*(mapH+12), W: mapW, H: mapH, Name: short(r.Other.Name), Kind: r.Key(), Href: "/customers/" + id(r.Other.ID), Class: "other"}
			if atRight {
				edge(n, self.X+mapW, self.Y+mapH/2, n.X, n.Y+mapH/2)
			} else {
				edge(n, self.X, self.Y+mapH/2, n.X+mapW, n.Y+mapH/2)
			}
		}
	}
	side(left, 10, false)
	side(right, m.Width-mapW-10, true)
	bottom := y + sideRows*(mapH+12) - 12 + mapGapY
	m.Height = bottom - mapGapY + 10
	for i, x := range below {
		row, col := i/columns, i%columns
		inRow := min(columns, len(below)-row*columns)
		total := inRow*mapW + (inRow-1)*mapGapX/2
		n := groupNode(x, "child", "customer.group.child")
		n.X, n.Y = m.Width/2-total/2+col*(mapW+mapGapX/2), bottom+row*(mapH+mapGapY/2)
		edge(n, self.X+mapW/2, self.Y+mapH, n.X+mapW/2, n.Y)
		m.Height = n.Y + mapH + 10
	}
	return m
}

func groupNode(x customer.GroupNode, class, kind string) mapNode {
	n := mapNode{W: mapW, H: mapH, Name: short(x.Name), Class: class, Kind: kind}
	if !x.Hidden {
		n.Href = "/customers/" + id(x.ID)
	}
	return n
}

// short cuts a name to what a box holds: wide letters count twice.
func short(s string) string {
	width := 0
	for i, c := range s {
		if width++; c > 0x2e80 {
			width++
		}
		if width > 20 && i+utf8.RuneLen(c) < len(s) {
			return s[:i] + "…"
		}
	}
	return s
}
