package customerui

import (
	"net/http"
	"slices"
	"strings"

	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// ColumnChooser is the page on which somebody chooses the columns of a list and
// their order. It works by addresses, so it needs no script.
type ColumnChooser struct {
	Action string // where the choice is sent: cols, back and do (reset)
	Back   string
	Codes  []string // the chosen ones, in order
	All    []ColumnOption
	Fixed  string // the code that stays first; "" none
	Most   int    // how many there may be beside the fixed one; 0 any number
	Says   string // for what they are chosen
	Group  string // prefix of the locale keys of groups
	// Scopes are for what the choice may count, sent as "scope"; nil: Says says it.
	Scopes []ui.Option
	Form   *web.Form // what was sent; nil at first
	// To is the address of the page with another choice.
	To func(codes []string) string
}

// ColumnOption is a column that can be chosen.
type ColumnOption struct{ Code, Label, Group string }

type columnsView struct {
	ColumnChooser
	Chosen, Other []columnChoice
	Sent          string // the codes
}

type columnChoice struct {
	ColumnOption
	Up, Down, Off, On string // addresses of the page after that step; "" none
}

var columnsPage = ui.NewPage[columnsView](files, "columns.html").Sample(columnsView{ColumnChooser: ColumnChooser{Says: "x", Group: "customer.attr.group.", Scopes: []ui.Option{{Value: "a", Label: "x"}}, Form: &web.Form{}},
	Chosen: []columnChoice{{ColumnOption{"a", "x", "profile"}, "/x", "/x", "/x", ""}, {ColumnOption{"b", "y", "profile"}, "", "", "", ""}},
	Other:  []columnChoice{{ColumnOption{"c", "x", "time"}, "", "", "", "/x"}, {ColumnOption{"d", "x", "time"}, "", "", "", ""}}}, columnsView{ColumnChooser: ColumnChooser{Group: "customer.attr.group."}})

func (c ColumnChooser) view() columnsView {
	v := columnsView{ColumnChooser: c, Sent: strings.Join(c.Codes, ",")}
	swap := func(i, j int) string {
		codes := slices.Clone(c.Codes)
		codes[i], codes[j] = codes[j], codes[i]
		return c.To(codes)
	}
	first, free := 0, len(c.Codes)
	if slices.Contains(c.Codes, c.Fixed) {
		first, free = 1, free-1
	}
	for i, code := range c.Codes {
		k := slices.IndexFunc(c.All, func(o ColumnOption) bool { return o.Code == code })
		if k < 0 {
			continue
		}
		x := columnChoice{ColumnOption: c.All[k]}
		if i >= first {
			if i > first {
				x.Up = swap(i, i-1)
			}
			if i < len(c.Codes)-1 {
				x.Down = swap(i, i+1)
			}
			if free > 1 || first > 0 {
				x.Off = c.To(slices.Delete(slices.Clone(c.Codes), i, i+1))
			}
		}
		v.Chosen = append(v.Chosen, x)
	}
	for _, o := range c.All {
		if slices.Contains(c.Codes, o.Code) {
			continue
		}
		x := columnChoice{ColumnOption: o}
		if c.Most == 0 || free < c.Most {
			x.On = c.To(append(slices.Clone(c.Codes), o.Code))
		}
		v.Other = append(v.Other, x)
	}
	return v
}

// Render shows the page, or the part of it that a step has changed.
func (c ColumnChooser) Render(w http.ResponseWriter, r *web.Request, chrome ui.Chrome) error {
	if c.Form == nil {
		c.Form = r.Blank()
	}
	if r.IsFragment() && r.Target() == "columns" {
		return columnsPage.Fragment(w, r, "choice", c.view())
	}
	return columnsPage.Render(w, r, chrome, c.view())
}

// Invalid shows the page with what is wrong with the choice that was sent.
func (c ColumnChooser) Invalid(w http.ResponseWriter, r *web.Request, err error, chrome ui.Chrome) error {
	return columnsPage.Invalid(w, r, err, c.Form, chrome, c.view())
}
