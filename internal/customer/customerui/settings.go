package customerui

import (
	"net/http"

	"bihuan/internal/customer"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

type settingsView struct {
	Form   *web.Form
	Levels []ui.Option
}

func levelChoices(r *web.Request) []ui.Option {
	var out []ui.Option
	for _, l := range customer.Levels {
		out = append(out, ui.Option{Value: string(l), Label: r.T("customer.level." + string(l))})
	}
	return out
}

var settingsPage = ui.NewPage[settingsView](files, "settings.html").Sample(settingsView{&web.Form{}, []ui.Option{{Value: "vip", Label: "VIP"}}})

// SettingsNav is the entry of the settings.
func SettingsNav() ui.Nav {
	return ui.Nav{Key: "customer-settings", Href: "/admin/customers", Icon: "settings", LabelKey: "customer.settings.title", Perm: customer.PermSettings, Group: "org.admin"}
}

func settingsChrome(r *web.Request) ui.Chrome {
	return ui.Chrome{Title: r.T("customer.settings.title"), Nav: "customer-settings", Crumbs: []ui.Crumb{{Label: r.T("org.admin")}, {Label: r.T("customer.settings.title")}}}
}

func (p *pages) settings(w http.ResponseWriter, r *web.Request) error {
	st, err := p.Customers.Settings(r.Context())
	if err != nil {
		return err
	}
	f := r.Blank("number_template", st.NumberTemplate, "reveal_reason", map[bool]string{true: "1"}[st.RevealReason], "export_approval", id(st.ExportApproval))
	for _, l := range st.LevelApproval {
		f.Values.Add("level_approval", string(l))
	}
	return settingsPage.Render(w, r, settingsChrome(r), settingsView{f, levelChoices(r)})
}

func (p *pages) setSettings(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	st := customer.Settings{NumberTemplate: f.String("number_template"), RevealReason: f.Bool("reveal_reason"), ExportApproval: f.Int64("export_approval")}
	for _, l := range f.Strings("level_approval") {
		st.LevelApproval = append(st.LevelApproval, customer.Level(l))
	}
	err := f.Err()
	if err == nil {
		err = p.Customers.SetSettings(r.Context(), r.Actor, st)
	}
	if err != nil {
		return settingsPage.Invalid(w, r, err, f, settingsChrome(r), settingsView{f, levelChoices(r)})
	}
	r.Flash(w, "green", "customer.settings.saved")
	return r.SeeOther(w, "/admin/customers")
}
