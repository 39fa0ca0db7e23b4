package demo

import (
	"context"
	"strconv"

	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/fault"
)

// keepLists makes segments and a shared view, so that the lists of customers
// show what they are for.
func (l *life) keepLists(ctx context.Context, admin authz.Actor) error {
	tags, err := l.Customers.TagList(ctx)
	if err != nil {
		return err
	}
	quiet := customer.Node{Field: "activity", Op: customer.OpOlder, Values: []string{"14"}}
	key := customer.Is("level", string(customer.VIP), string(customer.Strategic))
	segments := []customer.Segment{
		{Name: "年度回访名单", Note: "VIP 与战略客户，两周没有往来的优先", Query: customer.AllOf(key, quiet)},
		{Name: "潜在大客户", Note: "企业客户，阶段为潜在或意向", Query: customer.AllOf(customer.Is("type", string(customer.Company)), customer.Is("stage", customer.Potential, customer.Interested))},
	}
	for _, t := range tags {
		if t.Name == "医疗行业" {
			segments = append(segments, customer.Segment{Name: "医疗行业客户", Note: "打了行业标签的客户", Query: customer.AllOf(customer.Is("tag", strconv.FormatInt(t.ID, 10)))})
		}
	}
	for _, g := range segments {
		if _, err := l.Customers.SaveSegment(ctx, admin, g); err != nil && !fault.Is(err, fault.Conflict) {
			return err
		}
	}
	views, err := l.Customers.Views(ctx, admin)
	if err != nil || len(views) > 0 {
		return err
	}
	_, err = l.Customers.SaveView(ctx, admin, customer.SavedView{Name: "重点客户待跟进", Shared: true, Sort: customer.ByIdle, Columns: []string{"name", "contact", "level", "stage", "owner", "planned", "activity"},
		Query: customer.AllOf(key, customer.Node{Any: []customer.Node{{Field: "owner", Op: customer.OpEmpty}, quiet, {Field: "open_tickets", Op: customer.OpMin, Values: []string{"2"}}}})})
	return err
}
