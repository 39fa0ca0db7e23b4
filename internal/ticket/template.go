package ticket

import (
	"context"
	"slices"
	"strings"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/setting"
)

// Templates are the words in which the customer is told of his ticket, by what
// he is told: "received" or the purpose of a delivery. An administrator may
// change them; words in braces are replaced.
type Templates map[string]string

// TemplatePurposes are what there are templates for, in the order of a
// ticket's life; names are ticket.purpose.<purpose>.
var TemplatePurposes = []string{"received", "question", "reply", "confirmation", "reminder", "cancelled"}

// templateWords may stand in braces; ticket.word.<word> says what each is.
var templateWords = []string{"customer", "number", "title", "text", "code", "link"}

const templateSetting = "ticket.templates"

// MessageTemplates returns the templates in force: the company's own, else those
// of language l.
func MessageTemplates(ctx context.Context, q db.Querier, l i18n.Lang) (Templates, error) {
	t := Templates{}
	for _, p := range TemplatePurposes {
		t[p] = i18n.T(l, "ticket.template."+p)
	}
	own := Templates{}
	if err := setting.Read(ctx, q, templateSetting, &own); err != nil {
		return nil, err
	}
	for p, s := range own {
		if s != "" {
			t[p] = s
		}
	}
	return t, nil
}

// Say fills a template for a ticket. text is the message itself, link the
// customer's page.
func (ts Templates) Say(purpose string, t Ticket, text, code, link string) string {
	return strings.TrimSpace(strings.NewReplacer("{customer}", t.CustomerName, "{number}", t.Number, "{title}", t.Title, "{text}", text, "{code}", code, "{link}", link).Replace(ts[purpose]))
}

// SetTemplates changes the templates; an empty one goes back to the default.
func (s *Service) SetTemplates(ctx context.Context, actor authz.Actor, in Templates) error {
	return s.configure(ctx, actor, "ticket.set_templates", "ticket.templates_changed", 0, func(ctx context.Context, a *action.Action) (out []event.Change, err error) {
		e := fault.Invalidf("ticket.invalid")
		old, err := MessageTemplates(ctx, a, i18n.ZhCN)
		if err != nil {
			return nil, err
		}
		keep := Templates{}
		for _, p := range TemplatePurposes {
			v := strings.TrimSpace(strings.ReplaceAll(in[p], "\r\n", "\n"))
			if len([]rune(v)) > 1000 {
				e.Field(p, "ticket.too_long", 1000)
			}
			for rest := v; ; {
				i := strings.IndexByte(rest, '{')
				if i < 0 {
					break
				}
				word, after, ok := strings.Cut(rest[i+1:], "}")
				if !ok || !slices.Contains(templateWords, word) {
					e.Field(p, "ticket.template_word", "{"+strings.Join(templateWords, "} {")+"}")
					break
				}
				rest = after
			}
			if v != "" && v != i18n.T(i18n.ZhCN, "ticket.template."+p) && v != i18n.T(i18n.En, "ticket.template."+p) {
				keep[p] = v
			}
			now := v
			if now == "" {
				now = i18n.T(i18n.ZhCN, "ticket.template."+p)
			}
			if now != old[p] {
				out = append(out, event.Change{Field: "template." + p, Old: old[p], New: now})
			}
		}
		if err := e.OrNil(); err != nil {
			return nil, err
		}
		if err := setting.Write(ctx, a.Tx, templateSetting, keep); err != nil {
			return nil, err
		}
		return out, nil
	})
}
