// Package demo fills a fresh installation with sample data, so that whoever
// tries the product sees every screen with life in it: staff of every role,
// customers with their needs, tickets in all states with what was said about
// them. It plays the company's last weeks through the services of the rooms with
// a clock that walks through the past; nothing is written beside them, so all
// that holds of real data holds of this.
//
// What always holds: everything made here is marked, and [Remove] takes it away
// again and touches nothing else. The audit trail alone keeps it: it keeps
// everything. Nobody gets a password that is known beforehand.
package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/approval"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/complaint"
	"bihuan/internal/crypt"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/notify"
	"bihuan/internal/org"
	"bihuan/internal/privacy"
	"bihuan/internal/process"
	"bihuan/internal/rule"
	"bihuan/internal/setting"
	"bihuan/internal/sla"
	"bihuan/internal/task"
	"bihuan/internal/ticket"
)

// Rooms are the services the past is played through. All of them stand on one
// store whose clock is Clock.
type Rooms struct {
	Run        *action.Runner
	Follower   *event.Follower
	Org        *org.Service
	Customers  *customer.Service
	Tickets    *ticket.Service
	Complaints *complaint.Service // nil: complaints have no steps
	Clocks     *sla.Service
	Notify     *notify.Service   // nil: nobody is told
	Approvals  *approval.Service // nil: nobody asks for consent
	Privacy    *privacy.Service  // nil: nobody asks about his data
	Processes  *process.Service  // nil: requests follow no process
	Tasks      *task.Service     // nil: nobody does what he has planned
	Rules      *rule.Service     // nil: nothing happens by itself
	Clock      *clock.Fake
}

// Size of the sample data.
type Size struct{ Customers, Tickets, Days int }

// Full is what `bihuan serve --demo` makes.
var Full = Size{Customers: 200, Tickets: 600, Days: 60}

// Counts says how much sample data there is, or was removed.
type Counts struct{ Users, Customers, Tickets int }

// Any reports whether there is some.
func (c Counts) Any() bool { return c.Users+c.Customers+c.Tickets > 0 }

// Filled is what Fill has made.
type Filled struct {
	Counts
	Logins   []Login
	Password string // of all of them; kept nowhere else
	Skipped  int    // steps the rules of this company refused
}

const (
	actorName = "demo"
	// setting says how far the filling got: "filling" or "done".
	settingName = "demo"
)

// The facts of this package; kinds of the audit trail.
const (
	EventFilled  = "demo.filled"
	EventRemoved = "demo.removed"
)

// Present returns what sample data there is.
func Present(ctx context.Context, q db.Querier) (c Counts, err error) {
	var e1, e2, e3 error
	c.Users, e1 = org.DemoUsers(ctx, q)
	c.Customers, e2 = customer.DemoCustomers(ctx, q)
	c.Tickets, e3 = ticket.DemoTickets(ctx, q)
	return c, errors.Join(e1, e2, e3)
}

// Complete reports whether the sample data is there to its end; a filling that
// was interrupted is not.
func Complete(ctx context.Context, q db.Querier) (bool, error) {
	var v string
	err := setting.Read(ctx, q, settingName, &v)
	return v == "done", err
}

func mark(ctx context.Context, a *action.Action, v string) error {
	return setting.Write(ctx, a.Tx, settingName, v)
}

// Fill plays the weeks before end. The clock of r stands at end afterwards.
func Fill(ctx context.Context, r Rooms, size Size, end time.Time) (Filled, error) {
	f := Filled{Password: crypt.GeneratePassword()}
	hash, err := crypt.HashPassword(ctx, f.Password)
	if err != nil {
		return f, err
	}
	l := newLife(r, size, end)
	r.Clock.Set(l.start)
	err = r.Run.Do(ctx, authz.System(actorName), "demo.fill", func(ctx context.Context, a *action.Action) error {
		a.Nothing()
		return mark(ctx, a, "filling")
	})
	if err != nil {
		return f, err
	}
	if err := l.play(ctx, hash); err != nil {
		return f, err
	}
	f.Logins, f.Skipped = l.crew.logins, l.skipped
	if f.Counts, err = Present(ctx, r.Run.DB().Read()); err != nil {
		return f, err
	}
	err = r.Run.Do(ctx, authz.System(actorName), "demo.fill", func(ctx context.Context, a *action.Action) error {
		a.Record(event.Event{Kind: EventFilled, Subject: event.Subject{Type: "setting"}, Data: about(f.Counts)})
		return mark(ctx, a, "done")
	})
	if err != nil {
		return f, err
	}
	return f, r.Follower.Drain(ctx)
}

func about(c Counts) map[string]any {
	return map[string]any{"args": []string{fmt.Sprint(c.Users), fmt.Sprint(c.Customers), fmt.Sprint(c.Tickets)}}
}

// Remove takes the sample data away in one step and returns what it was. What
// real people have made of it stays: a customer for whom they registered a
// ticket becomes a real one, and their tickets in the hands of sample staff go
// to actor, or to an administrator.
func Remove(ctx context.Context, run *action.Runner, o *org.Service, c *customer.Service, t *ticket.Service, p *privacy.Service, rules *rule.Service, actor authz.Actor) (n Counts, err error) {
	if err := actor.Check(org.PermManage); err != nil {
		return n, err
	}
	err = run.Do(ctx, actor, "demo.remove", func(ctx context.Context, a *action.Action) (err error) {
		heir, err := o.Heir(ctx, a, actor)
		if err != nil {
			return err
		}
		if heir == 0 {
			return fault.New(fault.Conflict, "demo.no_heir")
		}
		names := make([]string, len(tagNames))
		for i, t := range tagNames {
			names[i] = t.name
		}
		if err := approval.RemoveDemo(ctx, a); err != nil {
			return err
		}
		if err := complaint.RemoveDemo(ctx, a); err != nil {
			return err
		}
		if err := rules.RemoveDemo(ctx, a); err != nil {
			return err
		}
		if err := task.RemoveDemo(ctx, a); err != nil {
			return err
		}
		if err := unroute(ctx, a, t); err != nil {
			return err
		}
		if n.Tickets, err = t.RemoveDemo(ctx, a); err != nil {
			return err
		}
		if err := process.RemoveDemo(ctx, a); err != nil {
			return err
		}
		if err := p.RemoveDemo(ctx, a); err != nil {
			return err
		}
		if n.Customers, err = c.RemoveDemo(ctx, a, names); err != nil {
			return err
		}
		if err := c.Fields().RemoveDemo(ctx, a); err != nil {
			return err
		}
		if n.Users, err = o.RemoveDemo(ctx, a, heir); err != nil {
			return err
		}
		if _, err := a.Exec(ctx, `DELETE FROM settings WHERE name = $1`, settingName); err != nil {
			return fmt.Errorf("demo: %w", err)
		}
		if n.Any() {
			a.Record(event.Event{Kind: EventRemoved, Subject: event.Subject{Type: "setting"}, Data: about(n)})
		} else {
			a.Nothing()
		}
		return nil
	})
	return n, err
}
