package app

import (
	"fmt"
	"os"
	"runtime/pprof"

	"bihuan/internal/bench"
)

type benchCmd struct {
	Seed benchSeedCmd `cmd:"" help:"Fill an empty store with a company of any size, for measuring."`
}

type benchSeedCmd struct {
	Config  `embed:""`
	Tickets int    `help:"How many tickets." default:"10000"`
	Seed    uint64 `help:"The same seed makes the same data." default:"1"`
	Profile string `help:"Write a CPU profile of the command." hidden:"" type:"path"`
}

func (c *benchSeedCmd) Run(e *env) error {
	if c.Profile != "" {
		f, err := os.Create(c.Profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	a, err := Open(e.ctx, c.Config, Options{Log: logger(c.Config, e.errOut), Bulk: true})
	if err != nil {
		return err
	}
	defer a.Close()
	s, err := bench.Seed(e.ctx, a.benchRooms(), bench.Options{Tickets: c.Tickets, Seed: c.Seed, Progress: e.errOut})
	if err != nil {
		return said(err)
	}
	fmt.Fprintf(e.out, "%d tickets, %d customers, %d journal entries in %.1f s\nsign-in %s to %s, password %s\n",
		c.Tickets, s.Customers, s.Entries, s.Took.Seconds(), bench.Login(1), bench.Login(bench.Agents), s.Password)
	return nil
}

func (a *App) benchRooms() bench.Rooms {
	return bench.Rooms{DB: a.DB, Run: a.Run, Org: a.Org, Customers: a.Customers, Tickets: a.Tickets}
}
