package customer

import (
	"context"
	"fmt"

	"bihuan/internal/action"
	"bihuan/internal/approval"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
)

// KindExport is the kind of request that asks for a large export.
const KindExport approval.Kind = "export"

// exportAsk asks the approval room about large exports.
type exportAsk struct {
	s         *Service
	approvals *approval.Service
}

// AskExportApprovals makes large exports wait for somebody's consent (CUS-18).
func (s *Service) AskExportApprovals(approvals *approval.Service) {
	x := exportAsk{s, approvals}
	approvals.Register(approval.Definition{Kind: KindExport, Steps: []approval.StepKind{approval.Head, approval.Admin}, Describe: x.describe, Decided: x.decided})
	s.ApproveExports(x)
}

// AskExport implements ExportApproval.
func (x exportAsk) AskExport(ctx context.Context, a *action.Action, e Export) error {
	_, err := x.approvals.Ask(ctx, a, approval.New{Kind: KindExport, Subject: ExportSubject(e.ID), Title: fmt.Sprintf("%s (%d)", e.Name, e.Total), DepartmentID: e.DepartmentID, Reason: e.Reason})
	return err
}

// WithdrawExport implements ExportApproval.
func (x exportAsk) WithdrawExport(ctx context.Context, actor authz.Actor, id int64) error {
	r, ok, err := x.approvals.Pending(ctx, x.s.db().Read(), KindExport, ExportSubject(id))
	if err != nil {
		return err
	}
	if !ok {
		return fault.New(fault.Conflict, "customer.export.over")
	}
	_, err = x.approvals.Withdraw(ctx, actor, r.ID, "")
	return err
}

// describe shows what would leave: how many, which columns, by which conditions,
// and whether anything of it in clear.
func (x exportAsk) describe(ctx context.Context, q db.Querier, r approval.Request, l i18n.Lang) ([]approval.Line, error) {
	e, err := x.s.ExportAsked(ctx, q, r.Subject.ID)
	if err != nil {
		return nil, err
	}
	columns, err := x.s.columnsIn(ctx, q, l)
	if err != nil {
		return nil, err
	}
	names := ""
	for _, code := range e.Columns {
		for _, c := range columns {
			if c.Code == code {
				if names != "" {
					names += i18n.T(l, "customer.query.comma")
				}
				names += c.Label
			}
		}
	}
	clear := "customer.export.masked"
	if e.Clear {
		clear = "customer.export.is_clear"
	}
	out := []approval.Line{
		{Label: i18n.T(l, "customer.export.rows"), Value: fmt.Sprint(e.Total)},
		{Label: i18n.T(l, "customer.export.columns"), Value: names},
		{Label: i18n.T(l, "customer.export.values"), Value: i18n.T(l, clear)},
	}
	// Names people typed into conditions are masked: deciders may not see them.
	says, err := x.s.Words(ctx, l, x.s.masked(e.Query), nil)
	if err != nil {
		return nil, err
	}
	if says != "" {
		out = append(out, approval.Line{Label: i18n.T(l, "customer.query.conditions"), Value: says})
	}
	return out, nil
}

func (x exportAsk) decided(ctx context.Context, a *action.Action, r approval.Request) error {
	comment := ""
	if n := len(r.History); n > 0 {
		comment = r.History[n-1].Comment
	}
	switch r.State {
	case approval.Approved:
		return x.s.DecideExport(ctx, a, r.Subject.ID, true, comment)
	case approval.Withdrawn:
		return x.s.endExport(ctx, a, r.Subject.ID, "cancelled", comment)
	}
	return x.s.DecideExport(ctx, a, r.Subject.ID, false, comment)
}
