package ticket_test

import (
	"testing"

	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/ticket"
	"bihuan/internal/ticket/tickettest"
)

// GOV-5: the words a customer is told in are the company's to choose.
func TestTemplates(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		tk := h.Register()
		h.Events()
		if err := h.SetTemplates(h.Ctx, h.As("kefu"), ticket.Templates{}); !fault.Is(err, fault.Forbidden) {
			t.Errorf("an agent sets templates: %v", err)
		}
		err := h.SetTemplates(h.Ctx, h.As("guanli"), ticket.Templates{"reply": "您好{name}"})
		if f, ok := fault.As(err); !ok || len(f.Fields) != 1 || f.Fields[0].Field != "reply" {
			t.Errorf("an unknown word: %v", err)
		}
		h.OK(h.SetTemplates(h.Ctx, h.As("guanli"), ticket.Templates{"reply": "{customer}：{text}（{number}）"}))
		if evs := h.Events(); evs != "ticket.templates_changed" {
			t.Errorf("recorded %q", evs)
		}
		ts, err := ticket.MessageTemplates(h.Ctx, h.D.Read(), i18n.ZhCN)
		h.OK(err)
		if got := ts.Say("reply", tk, "{link}已修好", "C0DE", "http://x"); got != "广州南粤医疗器械股份有限公司：{link}已修好（TASK20261119001）" {
			t.Errorf("said %q", got)
		}
		for _, p := range ticket.TemplatePurposes {
			if ts[p] == "" {
				t.Errorf("no words for %s", p)
			}
		}
		h.OK(h.SetTemplates(h.Ctx, h.As("guanli"), ticket.Templates{}))
		if ts, err = ticket.MessageTemplates(h.Ctx, h.D.Read(), i18n.En); err != nil || ts["reply"] != i18n.T(i18n.En, "ticket.template.reply") {
			t.Errorf("an empty template does not go back to the default: %q, %v", ts["reply"], err)
		}
		evs, err := event.List(h.Ctx, h.D.Read(), event.Filter{Kind: "ticket.templates_changed"})
		if err != nil || len(evs) != 2 {
			t.Errorf("%d changes on record (%v)", len(evs), err)
		}
	})
}
