package app_test

import (
	"context"
	"testing"

	"bihuan/internal/app/apptest"
	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/ticket"
)

// A large bulk change runs in the background: it can be halted and goes on where
// it stood, and whoever asked for it is told of the end (TKT-18).
func TestBulkInTheBackground(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{}, func(t *testing.T, h *apptest.House) {
		ctx, head := context.Background(), h.Actor(authz.RoleHead)
		ok := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		c, err := h.Customers.Create(ctx, h.Actor(authz.RoleAgent), customer.Input{Type: customer.Company, Name: "上海云帆科技有限公司", Source: "phone", Contacts: []customer.ContactInput{{Name: "周敏", Phone: "13812345678", Primary: true}}})
		ok(err)
		for range 60 {
			_, err := h.Tickets.Register(ctx, h.Actor(authz.RoleAgent), ticket.RegisterInput{Title: "打印机卡纸", Type: "consultation", Urgency: "normal", Channel: "phone", CustomerID: c.ID, DepartmentID: h.Departments["客服部"]})
			ok(err)
		}
		ids, more, err := h.Tickets.Select(ctx, ticket.View(head), ticket.Filter{View: "open"})
		ok(err)
		if len(ids) != 60 || more {
			t.Fatalf("%d selected", len(ids))
		}
		b, err := h.Tickets.ChangeMany(ctx, head, ids, ticket.BulkChange{Kind: ticket.BulkUrgency, Urgency: "urgent"})
		ok(err)
		if b.State != "running" || b.Done != 0 {
			t.Fatalf("at once: %+v", b)
		}
		ok(h.Tickets.PauseBulk(ctx, head, b.ID))
		_, err = h.Queue.RunDue(ctx)
		ok(err)
		b, err = h.Tickets.Bulk(ctx, head, b.ID)
		ok(err)
		if b.State != "paused" || b.Done != 0 {
			t.Fatalf("halted: %+v", b)
		}
		ok(h.Tickets.ResumeBulk(ctx, head, b.ID))
		_, err = h.Queue.RunDue(ctx)
		ok(err)
		b, err = h.Tickets.Bulk(ctx, head, b.ID)
		ok(err)
		if b.State != "finished" || b.Changed != 60 || b.Refused != 0 {
			t.Errorf("at the end: %+v", b)
		}
		ok(h.Follower.Drain(ctx))
		notices, err := h.Notify.List(ctx, head.ID, 0, 10)
		ok(err)
		if len(notices) == 0 || notices[0].Kind != "ticket.bulk_finished" {
			t.Errorf("told: %+v", notices)
		}
		if err := h.Tickets.CancelBulk(ctx, head, b.ID); err == nil {
			t.Error("what has ended was stopped")
		}
	})
}
