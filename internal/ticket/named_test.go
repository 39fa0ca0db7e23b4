package ticket_test

import (
	"strings"
	"testing"

	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/fault"
	"bihuan/internal/journal"
	"bihuan/internal/org"
	"bihuan/internal/ticket"
	"bihuan/internal/ticket/tickettest"
)

// Whoever is named on a ticket is told its title. So nobody can be named who may
// not see tickets, and who is named may open it (ORG-3, TKT-21).
func TestNamed(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		h := tickettest.New(t, d, c)
		role, err := h.Org.RoleByCode(h.Ctx, nil, authz.RoleEditor)
		h.OK(err)
		editor, _, err := h.Org.CreateUser(h.Ctx, h.As("guanli"), org.UserInput{Login: "bianji", Name: "唐可心", DepartmentID: h.Dept["客服部"], RoleIDs: []int64{role}, Capacity: 1})
		h.OK(err)
		x := h.To(ticket.InProgress)
		h.Events()
		plan := func(owner int64) journal.Record {
			return journal.Record{Method: "phone", NextPlan: "上门更换主板", NextOwnerID: owner, NextAt: c.Now().AddDate(0, 0, 1)}
		}
		const text = "与客户通话，约定周三 10 点上门更换主板。"
		for name, err := range map[string]error{
			"mentions":   second(h.Note(h.Ctx, h.As("kefu"), x.ID, "请看一下", []int64{editor}, nil)),
			"next_owner": second(h.FollowUp(h.Ctx, h.As("kefu"), x.ID, text, plan(editor), nil)),
		} {
			e, ok := fault.As(err)
			if !ok || e.Kind != fault.Invalid || len(e.Fields) != 1 || e.Fields[0].Field != name {
				t.Errorf("%s: %v", name, err)
			}
		}
		if got := h.Events(); strings.Contains(got, "noted") || strings.Contains(got, "followed_up") {
			t.Errorf("a refused record left %q", got)
		}
		see := func(login string) error {
			_, err := h.Get(h.Ctx, ticket.View(h.As(login)), x.ID)
			return err
		}
		for _, login := range []string{"xiaoshou", "gong"} {
			if err := see(login); !fault.Is(err, fault.NotFound) {
				t.Fatalf("%s sees it before he is named: %v", login, err)
			}
		}
		_, err = h.Note(h.Ctx, h.As("kefu"), x.ID, "请看一下", []int64{h.User["xiaoshou"]}, nil)
		h.OK(err)
		_, err = h.FollowUp(h.Ctx, h.As("kefu"), x.ID, text, plan(h.User["gong"]), nil)
		h.OK(err)
		for _, login := range []string{"xiaoshou", "gong"} {
			if err := see(login); err != nil {
				t.Errorf("%s was told of a ticket he cannot open: %v", login, err)
			}
		}
	})
}

func second[T any](_ T, err error) error { return err }
