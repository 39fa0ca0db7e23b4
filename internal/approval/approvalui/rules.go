package approvalui

import (
	"net/http"
	"slices"
	"strconv"

	"bihuan/internal/approval"
	"bihuan/internal/org"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// RulesNav is the entry of the rules among the settings.
func RulesNav() ui.Nav {
	return ui.Nav{Key: "approval-rules", Href: "/admin/approvals", Icon: "stamp", LabelKey: "approval.rule.title", Perm: org.PermSettings, Group: "org.admin"}
}

type ruleRow struct {
	Kind approval.Kind
	approval.Rule
	Way []string
}

type rulesView struct{ Rows []ruleRow }

type ruleView struct {
	Kind   approval.Kind
	Form   *web.Form
	Steps  []int
	Kinds  []ui.Option
	People []ui.Option
}

var (
	rulesPage = ui.NewPage[rulesView](files, "rules.html").Sample(rulesView{[]ruleRow{{Kind: "level", Way: []string{"a", "b"}, Rule: approval.Rule{RemindHours: 1, EscalateHours: 2, LapseDays: 3, SamePerson: true}}}})
	rulePage  = ui.NewPage[ruleView](files, "rule.html").Sample(ruleView{Kind: "level", Form: &web.Form{}, Steps: []int{1, 2}, Kinds: []ui.Option{{Value: "head", Label: "l"}}, People: []ui.Option{{Value: "1", Label: "l"}}})
)

// steps is how many steps the form offers.
const steps = 4

func (p *pages) rules(w http.ResponseWriter, r *web.Request) error {
	all, err := p.s.Rules(r.Context(), r.Actor)
	if err != nil {
		return err
	}
	var v rulesView
	for _, k := range p.s.Registered() {
		row := ruleRow{Kind: k, Rule: all[k]}
		for _, st := range row.Rule.Steps {
			row.Way = append(row.Way, p.label(r, st))
		}
		v.Rows = append(v.Rows, row)
	}
	return rulesPage.Render(w, r, ui.Chrome{Title: r.T("approval.rule.title"), Nav: "approval-rules", Crumbs: []ui.Crumb{{Label: r.T("org.admin")}, {Label: r.T("approval.rule.title")}}}, v)
}

func (p *pages) ruleView(r *web.Request, f *web.Form) (v ruleView, err error) {
	v = ruleView{Kind: approval.Kind(r.PathValue("kind")), Form: f}
	for i := range steps {
		v.Steps = append(v.Steps, i+1)
	}
	for _, k := range approval.StepKinds {
		v.Kinds = append(v.Kinds, ui.Option{Value: string(k), Label: r.T("approval.step." + string(k))})
	}
	people, err := p.org.Colleagues(r.Context(), r.Actor, "", 0, approval.PermUse, 0)
	if err != nil {
		return v, err
	}
	for _, x := range people {
		v.People = append(v.People, ui.Option{Value: strconv.FormatInt(x.ID, 10), Label: x.Name + "（" + x.Department + "）"})
	}
	return v, nil
}

func ruleChrome(r *web.Request, v ruleView) ui.Chrome {
	title := r.T(v.Kind.Key())
	return ui.Chrome{Title: title, Nav: "approval-rules", Assets: []string{"approval.css"},
		Crumbs: []ui.Crumb{{Label: r.T("org.admin")}, {Label: r.T("approval.rule.title"), Href: "/admin/approvals"}, {Label: title}}}
}

func (p *pages) editRule(w http.ResponseWriter, r *web.Request) error {
	all, err := p.s.Rules(r.Context(), r.Actor)
	if err != nil {
		return err
	}
	k := approval.Kind(r.PathValue("kind"))
	if !slices.Contains(p.s.Registered(), k) {
		return ui.NoSuchPage()
	}
	rule := all[k]
	pairs := []string{"remind_hours", strconv.Itoa(rule.RemindHours), "escalate_hours", strconv.Itoa(rule.EscalateHours), "lapse_days", strconv.Itoa(rule.LapseDays), "same_person", map[bool]string{true: "1"}[rule.SamePerson]}
	for i, st := range rule.Steps {
		n := strconv.Itoa(i + 1)
		pairs = append(pairs, "step"+n, string(st.Kind))
		if st.UserID != 0 {
			pairs = append(pairs, "user"+n, strconv.FormatInt(st.UserID, 10))
		}
	}
	v, err := p.ruleView(r, r.Blank(pairs...))
	if err != nil {
		return err
	}
	return rulePage.Render(w, r, ruleChrome(r, v), v)
}

func (p *pages) setRule(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	rule := approval.Rule{RemindHours: f.Int("remind_hours"), EscalateHours: f.Int("escalate_hours"), LapseDays: f.Int("lapse_days"), SamePerson: f.Bool("same_person")}
	for i := range steps {
		n := strconv.Itoa(i + 1)
		if k := f.String("step" + n); k != "" {
			rule.Steps = append(rule.Steps, approval.Step{Kind: approval.StepKind(k), UserID: f.ID("user" + n)})
		}
	}
	err := f.Err()
	if err == nil {
		err = p.s.SetRule(r.Context(), r.Actor, approval.Kind(r.PathValue("kind")), rule)
	}
	if err != nil {
		v, verr := p.ruleView(r, f)
		if verr != nil {
			return verr
		}
		return rulePage.Invalid(w, r, err, f, ruleChrome(r, v), v)
	}
	r.Flash(w, "green", "approval.rule.saved")
	return r.SeeOther(w, "/admin/approvals")
}
