// Package tickettest builds a small company around the ticket room for tests:
// departments, people of every role, a customer. Time is turned by hand.
package tickettest

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/approval"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/clock"
	"bihuan/internal/crypt"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/org"
	"bihuan/internal/sla"
	"bihuan/internal/ticket"
)

// House is a company with its tickets.
type House struct {
	*ticket.Service
	T         testing.TB
	Ctx       context.Context
	D         *db.DB
	Clock     *clock.Fake
	Run       *action.Runner
	Follower  *event.Follower
	Org       *org.Service
	Customers *customer.Service
	Clocks    *sla.Service
	Approvals *approval.Service
	Files     *blob.Files
	Keys      *crypt.Keeper
	store     *blob.Folder

	Dept map[string]int64  // by name
	User map[string]int64  // by sign-in name, see People
	Cust customer.Customer // a company with a telephone number
}

// People of the company: sign-in name, role, department. 客服主管 leads both
// 客服部 and 技术支持部; jiaoliu belongs to neither.
var People = []struct{ Login, Name, Role, Dept string }{
	{"kefu", "林晓雯", authz.RoleAgent, "客服部"},
	{"kefu2", "周敏", authz.RoleAgent, "客服部"},
	{"zhuguan", "陈思远", authz.RoleSupervisor, "客服部"},
	{"gong", "何俊杰", authz.RoleEngineer, "技术支持部"},
	{"jizhu", "吴涛", authz.RoleSupervisor, "技术支持部"},
	{"zongjian", "黎嘉敏", authz.RoleHead, "客户服务中心"},
	{"xiaoshou", "赵立", authz.RoleSales, "销售部"},
	{"shenji", "钱审", authz.RoleAuditor, "客户服务中心"},
	{"guanli", "孙管", authz.RoleAdmin, "客户服务中心"},
}

// New builds the house on d.
func New(t testing.TB, d *db.DB, c *clock.Fake) *House {
	t.Helper()
	h := &House{T: t, Ctx: context.Background(), D: d, Clock: c, Dept: map[string]int64{}, User: map[string]int64{}}
	keys, err := crypt.New()
	h.OK(err)
	h.Keys = keys
	store, err := blob.OpenFolder(filepath.Join(t.TempDir(), "blobs"), c)
	h.OK(err)
	h.store = store
	h.Restart()

	h.OK(h.Run.Do(h.Ctx, authz.System("setup"), "setup", func(ctx context.Context, a *action.Action) error {
		if err := h.Org.Seed(ctx, a); err != nil {
			return err
		}
		if err := sla.Seed(ctx, a); err != nil {
			return err
		}
		// Around the clock: tests say what passes in hours, not in working days.
		if _, err := a.Exec(ctx, `UPDATE service_policies SET calendars = '{}'`); err != nil {
			return err
		}
		for _, name := range []string{"客户服务中心", "客服部", "技术支持部", "售后部", "销售部", "物流部"} {
			dep, ok, err := h.Org.DepartmentByName(ctx, a, name)
			if err != nil || !ok {
				return fmt.Errorf("department %s: %v", name, err)
			}
			h.Dept[name] = dep.ID
		}
		if err := ticket.Seed(ctx, a, h.Dept); err != nil {
			return err
		}
		for _, p := range People {
			role, err := h.Org.RoleByCode(ctx, a, p.Role)
			if err != nil {
				return err
			}
			id, err := h.Org.AddUser(ctx, a, org.UserInput{Login: p.Login, Name: p.Name, DepartmentID: h.Dept[p.Dept], RoleIDs: []int64{role}, Capacity: 1000}, "", false)
			if err != nil {
				return err
			}
			h.User[p.Login] = id
		}
		for dep, who := range map[string]string{"客服部": "zhuguan", "技术支持部": "jizhu"} {
			if _, err := a.Exec(ctx, `UPDATE departments SET supervisor_id = $1 WHERE id = $2`, h.User[who], h.Dept[dep]); err != nil {
				return err
			}
		}
		if _, err := a.Exec(ctx, `UPDATE departments SET head_id = $1 WHERE id = $2`, h.User["zongjian"], h.Dept["客户服务中心"]); err != nil {
			return err
		}
		// The users made here have no password to change.
		_, err := a.Exec(ctx, `UPDATE users SET must_change = 0, availability = 'online'`)
		a.Nothing()
		return err
	}))
	h.Clock.Advance(6 * time.Second) // the organisation is cached for 5 s
	cust, err := h.Customers.Create(h.Ctx, h.As("kefu"), customer.Input{Type: customer.Company, Name: "广州南粤医疗器械股份有限公司", Level: customer.VIP, Source: "phone",
		Contacts: []customer.ContactInput{{Name: "黎嘉敏", Phone: "13812345678", Primary: true}}})
	h.OK(err)
	h.Cust = cust
	return h
}

// Restart puts the services together anew over the same store, as a program does
// that was stopped and started again.
func (h *House) Restart() {
	h.Follower = event.NewFollower(h.D)
	h.Run = action.NewRunner(h.D, nil)
	h.Files = blob.NewFiles(h.Run, h.store, 0)
	h.Org = org.New(h.Run)
	h.Customers = customer.New(h.Run, h.Keys)
	h.Clocks = sla.New(h.Run)
	h.Service = ticket.New(h.Run, h.Org, h.Customers, h.Files, h.Keys, h.Clocks)
	h.Approvals = approval.NewService(h.Run, h.Org)
	h.Service.AskDeferrals(h.Approvals)
	h.Customers.ShowTickets(h.Service)
	h.Org.AddWork(h.Service.Work())
	h.Files.Authorize("ticket", h.Service.MayRead)
	h.Follower.Listen(h.Service.Indexer())
}

// OK ends the test when err is not nil.
func (h *House) OK(err error) {
	h.T.Helper()
	if err != nil {
		h.T.Fatal(err)
	}
}

// As returns the actor with that sign-in name.
func (h *House) As(login string) authz.Actor {
	h.T.Helper()
	a, err := h.Org.Actor(h.Ctx, h.User[login])
	h.OK(err)
	return a
}

// The returns the customer of t as an actor.
func (h *House) The(t ticket.Ticket) authz.Actor {
	return authz.Actor{Kind: authz.Customer, ID: t.ContactID, CustomerID: t.CustomerID, Name: t.CustomerName}
}

// Input is a request that passes; change what a test is about.
func (h *House) Input() ticket.RegisterInput {
	return ticket.RegisterInput{Title: "设备校准证书与实物编号不一致", Type: "consultation", Urgency: "normal", Channel: "email", CustomerID: h.Cust.ID}
}

// Register registers a request as kefu for kefu.
func (h *House) Register(change ...func(*ticket.RegisterInput)) ticket.Ticket {
	h.T.Helper()
	in := h.Input()
	in.AssigneeID = h.User["kefu"]
	for _, f := range change {
		f(&in)
	}
	t, err := h.Service.Register(h.Ctx, h.As("kefu"), in)
	h.OK(err)
	return t
}

// Move makes a move as login and returns the ticket as it is then.
func (h *House) Move(login string, t ticket.Ticket, v ticket.Verb, in ticket.Input) ticket.Ticket {
	h.T.Helper()
	out, err := h.Do(h.Ctx, h.As(login), t.ID, v, in)
	h.OK(err)
	return out
}

// To brings a fresh ticket of kefu into state s.
func (h *House) To(s ticket.State, change ...func(*ticket.RegisterInput)) ticket.Ticket {
	h.T.Helper()
	t := h.Register(change...)
	if s == ticket.Pending {
		return t
	}
	if s == ticket.Cancelled {
		return h.Move("zhuguan", t, ticket.Cancel, ticket.Input{Code: "withdrawn"})
	}
	t = h.Move("kefu", t, ticket.Acknowledge, ticket.Input{})
	if s == ticket.InProgress {
		return t
	}
	if s == ticket.WaitingCustomer {
		return h.Move("kefu", t, ticket.Ask, ticket.Input{Body: "请提供设备编号"})
	}
	t = h.Move("kefu", t, ticket.RequestConfirmation, ticket.Input{Solution: "已更换证书", Cause: "打印错误", Corrective: "增加复核"})
	if s == ticket.AwaitingConfirmation {
		return t
	}
	t = h.Move("kefu", t, ticket.Confirm, ticket.Input{})
	if s == ticket.Completed {
		return t
	}
	return h.Move("kefu", t, ticket.Close, ticket.Input{})
}

// Events returns the kinds of the facts recorded since the last call, joined by
// spaces, and delivers them.
func (h *House) Events() string {
	h.T.Helper()
	var since int64
	h.OK(h.D.Read().QueryRow(h.Ctx, `SELECT COALESCE(MAX(seq), 0) FROM listener_cursors WHERE name = 'test'`).Scan(&since))
	h.OK(h.Follower.Drain(h.Ctx))
	evs, err := event.After(h.Ctx, h.D.Read(), since, 1000)
	h.OK(err)
	var kinds []string
	for _, e := range evs {
		kinds = append(kinds, e.Kind)
		since = e.Seq
	}
	h.OK(h.D.Write(h.Ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO listener_cursors (name, seq) VALUES ('test', $1) ON CONFLICT (name) DO UPDATE SET seq = excluded.seq`, since)
		return err
	}))
	return strings.Join(kinds, " ")
}

// Sweep fires what is due and returns how many steps that was.
func (h *House) Sweep() int {
	h.T.Helper()
	n, err := h.Clocks.Sweep(h.Ctx)
	h.OK(err)
	return n
}
