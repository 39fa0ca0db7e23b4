package app

import (
	"context"
	"fmt"
	"io"

	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/demo"
	"bihuan/internal/demo/demoui"
	"bihuan/internal/i18n"
)

// sampleData is what the page on sample data works with.
type sampleData struct{ *App }

var _ demoui.Sample = sampleData{}

// Present implements [demoui.Sample].
func (s sampleData) Present(ctx context.Context) (demo.Counts, error) {
	return demo.Present(ctx, s.DB.Read())
}

// Remove implements [demoui.Sample].
func (s sampleData) Remove(ctx context.Context, actor authz.Actor) (demo.Counts, error) {
	return demo.Remove(ctx, s.Run, s.Org, s.Customers, s.Tickets, s.Privacy, s.Rules, actor)
}

// addDemo adds the sample data once and says on out how to sign in.
func (a *App) addDemo(ctx context.Context, out io.Writer) error {
	l := terminalLang()
	if done, err := demo.Complete(ctx, a.DB.Read()); err != nil {
		return err
	} else if done {
		fmt.Fprintln(out, i18n.T(l, "demo.cli.present"))
		return nil
	}
	// What real requests are waiting for happens at its real time, before the
	// clock is turned back.
	if err := a.Settle(ctx); err != nil {
		return err
	}
	for {
		n, err := a.Tickets.Archive(ctx, 200)
		if err != nil {
			return err
		}
		if n < 200 {
			break
		}
	}
	if _, err := (sampleData{a}).Remove(ctx, authz.System("demo")); err != nil { // of a filling that was interrupted
		return said(err)
	}
	now := a.DB.Clock().Now()
	past := clock.NewFake(now)
	b, err := Open(ctx, a.Config, Options{Clock: past, Log: a.Log, Offline: true, Keys: a.Keys, Bulk: true})
	if err != nil {
		return err
	}
	defer b.Close()
	f, err := demo.Fill(ctx, demo.Rooms{Run: b.Run, Follower: b.Follower, Org: b.Org, Customers: b.Customers, Tickets: b.Tickets, Complaints: b.Complaints, Clocks: b.Clocks, Notify: b.Notify, Approvals: b.Approvals, Privacy: b.Privacy, Processes: b.Processes, Tasks: b.Tasks, Rules: b.Rules, Clock: past}, demo.Full, now)
	if err != nil {
		return err
	}
	if f.Skipped > 0 {
		a.Log.Info("sample data: steps refused by this company's rules", "steps", f.Skipped)
	}
	fmt.Fprintf(out, "\n  %s\n  %s\n\n", i18n.T(l, "demo.cli.added", f.Users, f.Customers, f.Tickets), i18n.T(l, "demo.cli.password", f.Password))
	shown := map[string]bool{}
	for _, x := range f.Logins {
		if !shown[x.Role] {
			fmt.Fprintf(out, "    %-16s %s（%s · %s）\n", x.Login, x.Name, i18n.T(l, "org.role."+x.Role), x.Department)
			shown[x.Role] = true
		}
	}
	fmt.Fprintf(out, "\n  %s\n", i18n.T(l, "demo.cli.remove"))
	return nil
}

type demoCmd struct {
	Remove demoRemoveCmd `cmd:"" help:"Remove the sample data; real data stays."`
}

type demoRemoveCmd struct{ store }

func (c *demoRemoveCmd) Run(e *env) error {
	a, err := c.open(e)
	if err != nil {
		return err
	}
	defer a.Close()
	n, err := sampleData{a}.Remove(e.ctx, authz.System("command line"))
	if err != nil {
		return said(err)
	}
	if !n.Any() {
		fmt.Fprintln(e.out, i18n.T(terminalLang(), "demo.cli.nothing"))
		return nil
	}
	fmt.Fprintln(e.out, i18n.T(terminalLang(), "demo.removed", n.Users, n.Customers, n.Tickets))
	return nil
}
