package app

import (
	"context"

	"bihuan/internal/approval"
	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/customer/customerui"
	"bihuan/internal/i18n"
)

// customerNotes says on a customer's page what waits for somebody's consent. The
// request itself opens for those it concerns.
func (a *App) customerNotes(ctx context.Context, actor authz.Actor, lang i18n.Lang, c customer.Customer) ([]customerui.Note, error) {
	page, err := a.Approvals.Of(ctx, customer.Subject(c.ID), approval.Filter{State: approval.Pending, Limit: 10})
	if err != nil {
		return nil, err
	}
	var out []customerui.Note
	for _, r := range page.Requests {
		n := customerui.Note{Text: i18n.T(lang, "approval.awaits", i18n.Key(r.Kind.Key()), r.RequestedByName)}
		if _, err := a.Approvals.Get(ctx, actor, r.ID); err == nil {
			n.Href = r.Link()
		}
		out = append(out, n)
	}
	more, err := a.restrictionNotes(ctx, actor, lang, c.ID)
	return append(out, more...), err
}
