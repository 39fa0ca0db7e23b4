package processui

import (
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/process"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

type (
	need struct {
		Name, Href string
		Met        bool
	}
	button    struct{ Name, Href, To, Who, Why string }
	trialView struct {
		P                                                      process.Process
		Form                                                   *web.Form
		Drawing                                                template.HTML
		Stage, Hint, Department, Limit, Total, Refused, Ticket string
		State                                                  ticket.State
		Needs                                                  []need
		Moves, Verbs                                           []button
		Ended                                                  bool
		First                                                  string
		Steps                                                  []string
		Undo, Again                                            string
	}
)

var trialPage = ui.NewPage[trialView](files, "trial.html").Sample(
	trialView{Form: &web.Form{}, Stage: "x", Hint: "x", Limit: "x", Total: "x", Refused: "x", Ended: true, Ticket: "x", State: ticket.Pending, Needs: []need{{"x", "/x", false}, {"y", "", true}},
		Moves: []button{{"x", "/x", "y", "z", ""}, {"x", "", "y", "z", "w"}}, Verbs: []button{{"x", "/x", "", "", ""}, {"x", "", "", "", "w"}}, Steps: []string{"x"}, Undo: "/x", Again: "/x"},
	trialView{Form: &web.Form{}, State: ticket.Closed})

// maxSteps bounds the walk an address holds.
const maxSteps = 80

// trial walks through the draft: the address holds the way, so that each step is
// a link and going back is going back.
func (p *pages) trial(w http.ResponseWriter, r *web.Request) error {
	x, err := p.open(r)
	if err != nil {
		return err
	}
	if _, ok := x.Draft.Stage(x.Draft.Start); !ok {
		r.Flash(w, "amber", "process.trial.no_start")
		return r.SeeOther(w, "%s", path(x))
	}
	q := r.URL.Query()
	number := strings.TrimSpace(q.Get("number"))
	f := r.Blank("number", number)
	try, tk, err := p.s.TrialOf(r.Context(), r.Actor, x, number)
	var unknown error
	if fault.Is(err, fault.NotFound) {
		unknown = fault.Invalidf("process.trial.unknown").Field("number", "process.trial.unknown")
		number = ""
		try, tk, err = p.s.TrialOf(r.Context(), r.Actor, x, "")
	}
	if err != nil {
		return err
	}
	first := try.Pos
	v := trialView{P: x, Form: f}
	script := strings.FieldsFunc(q.Get("walk"), func(c rune) bool { return c == ',' })
	script = script[:min(len(script), maxSteps)]
	for i, s := range script {
		if err := try.Step(s); err != nil { // the draft has changed since
			v.Refused = p.why(r, err)
			script = script[:i]
			break
		}
	}
	link := func(steps []string) string {
		k := url.Values{}
		if len(steps) > 0 {
			k.Set("walk", strings.Join(steps, ","))
		}
		if number != "" {
			k.Set("number", number)
		}
		if len(k) == 0 {
			return path(x, "trial")
		}
		return path(x, "trial") + "?" + k.Encode()
	}
	with := func(s string) string {
		if len(script) >= maxSteps {
			return ""
		}
		return link(append(slices.Clone(script), s))
	}
	words, err := p.s.Words(r.Context(), r.Lang)
	if err != nil {
		return err
	}
	st, _ := x.Draft.Stage(try.Pos.Stage)
	v.Stage, v.Hint, v.State, v.Department = st.In(r.Lang), st.Hint, try.Pos.State, r.T("process.trial.routed")
	if try.Pos.Department != 0 {
		v.Department = words.Department(try.Pos.Department)
	}
	if st.Minutes > 0 {
		v.Limit = i18n.Duration(r.Lang, st.Limit())
	}
	if number != "" {
		v.Ticket = r.T("process.trial.of", tk.Number, tk.Title)
	}
	for _, q := range st.Required {
		v.Needs = append(v.Needs, need{words.Requirement(q), with("h:" + q), try.Have[q]})
	}
	for _, m := range try.Moves() {
		to, _ := x.Draft.Stage(m.To)
		b := button{Name: m.In(r.Lang), To: to.In(r.Lang), Who: who(r, m)}
		if err := try.Could("m:" + m.Code); err != nil {
			b.Why = p.explain(r, err, words, try.Missing())
		} else {
			b.Href = with("m:" + m.Code)
		}
		v.Moves = append(v.Moves, b)
	}
	for _, vb := range try.Verbs() {
		b := button{Name: r.T("ticket.verb." + string(vb))}
		if err := try.Could("v:" + string(vb)); err != nil {
			b.Why = p.explain(r, err, words, try.Missing())
		} else {
			b.Href = with("v:" + string(vb))
		}
		v.Verbs = append(v.Verbs, b)
	}
	v.Ended = !try.Pos.State.Open()
	// The way so far, in words; and how long the stages may take together.
	name := func(code string) string { s, _ := x.Draft.Stage(code); return s.In(r.Lang) }
	v.First = name(first.Stage)
	s, _ := x.Draft.Stage(first.Stage)
	total, done := s.Limit(), map[string]bool{first.Stage: true}
	before := first
	for _, t := range try.Steps {
		_, code, _ := strings.Cut(t.Script, ":")
		text := r.T("ticket.verb."+code) + " → " + r.T("ticket.state."+string(t.At.State))
		switch t.Script[0] {
		case 'h':
			text = r.T("process.trial.filled", words.Requirement(code))
		case 'm':
			text = t.Move.In(r.Lang) + " → " + name(t.At.Stage)
		}
		if t.At.Stage != before.Stage {
			s, _ := x.Draft.Stage(t.At.Stage)
			total += s.Limit()
			done[t.At.Stage] = true
			if t.Script[0] == 'v' {
				text += " → " + name(t.At.Stage)
			}
		}
		if t.Passed {
			text += r.T("process.trial.passed", words.Department(t.At.Department))
		}
		before = t.At
		v.Steps = append(v.Steps, text)
	}
	if total > 0 {
		v.Total = i18n.Duration(r.Lang, total.Round(time.Minute))
	}
	if len(script) > 0 {
		v.Undo, v.Again = link(script[:len(script)-1]), link(nil)
	}
	v.Drawing = draw(&x.Draft, look{Lang: r.Lang, Words: words, Current: try.Pos.Stage, Done: done})
	c := chrome(r, at(x), ui.Crumb{Label: r.T("process.trial")})
	if unknown != nil {
		return trialPage.Invalid(w, r, unknown, f, c, v)
	}
	return trialPage.Render(w, r, c, v)
}

// why is a refusal in words.
func (p *pages) why(r *web.Request, err error) string {
	if f, ok := fault.As(err); ok {
		return r.T(f.Key, f.Args...)
	}
	return ""
}

// explain is why, with the names of what is missing.
func (p *pages) explain(r *web.Request, err error, words process.Words, missing []string) string {
	if f, ok := fault.As(err); ok && f.Key == "process.missing" {
		return r.T("process.lacks", words.Requirements(missing))
	}
	return p.why(r, err)
}
