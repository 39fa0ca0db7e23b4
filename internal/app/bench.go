package app

import (
	"fmt"
	"net"
	"os"
	"runtime/pprof"

	"bihuan/internal/bench"
	"bihuan/internal/db"
)

type benchCmd struct {
	Seed      benchSeedCmd      `cmd:"" help:"Fill an empty store with a company of any size, for measuring."`
	Run       benchRunCmd       `cmd:"" help:"Measure the daily paths over HTTP, beside bare statements on the same data."`
	Customers benchCustomersCmd `cmd:"" help:"Measure the search for customers over HTTP, at several sizes side by side."`
	Deadlines benchDeadlinesCmd `cmd:"" help:"Let many deadlines fall due at one moment while people work, and measure both."`
	Floor     benchFloorCmd     `cmd:"" help:"Serve the bare statements." hidden:""`
}

type benchSeedCmd struct {
	Config    `embed:""`
	Tickets   int    `help:"How many tickets." default:"10000"`
	Customers int    `help:"How many customers; 0: a fifth of the tickets." default:"0"`
	Seed      uint64 `help:"The same seed makes the same data." default:"1"`
	Open      bool   `help:"Make open tickets only."`
	Profile   string `help:"Write a CPU profile of the command." hidden:"" type:"path"`
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
	s, err := bench.Seed(e.ctx, a.benchRooms(), bench.Options{Tickets: c.Tickets, Customers: c.Customers, Seed: c.Seed, Open: c.Open, Progress: e.errOut})
	if err != nil {
		return said(err)
	}
	fmt.Fprintf(e.out, "%d tickets, %d customers, %d journal entries in %.1f s\nsign-in %s to %s, password %s\n",
		c.Tickets, s.Customers, s.Entries, s.Took.Seconds(), bench.Login(1), bench.Login(bench.Agents), s.Password)
	return nil
}

func (a *App) benchRooms() bench.Rooms {
	r := bench.Rooms{DB: a.DB, Run: a.Run, Org: a.Org, Customers: a.Customers, Tickets: a.Tickets}
	for _, l := range a.Follower.Listeners() {
		r.Listeners = append(r.Listeners, l.Name)
	}
	return r
}

type benchRunCmd struct {
	Tickets  []int    `help:"Sizes." default:"10000,100000"`
	Engines  []string `help:"sqlite, postgres." default:"sqlite" enum:"sqlite,postgres"`
	Postgres string   `help:"Server for the engine postgres, of a user who may create databases." env:"BIHUAN_TEST_POSTGRES"`
	Seconds  float64  `help:"How long each operation is measured." default:"5"`
	Clients  int      `help:"How many agents work at once." default:"4"`
	Rate     float64  `help:"Also measure the minute at so many operations a second." default:"0"`
	Out      string   `help:"Write the figures as JSON into this file." type:"path"`
	Only     []string `help:"Only these operations." hidden:""`
	Reuse    string   `help:"Folder of a store seeded before." hidden:"" type:"path"`
	Database string   `help:"Address of that store on PostgreSQL." hidden:""`
	Password string   `help:"Password of its agents." hidden:""`
}

func (c *benchRunCmd) Run(e *env) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	r, err := bench.Run(e.ctx, bench.RunOptions{Program: program, Tickets: c.Tickets, Engines: c.Engines, Postgres: c.Postgres, Seconds: c.Seconds, Clients: c.Clients,
		Rate: c.Rate, Reuse: c.Reuse, Database: c.Database, Password: c.Password, Only: c.Only, Out: e.out, Progress: e.errOut})
	if err != nil {
		return err
	}
	if c.Out == "" {
		return nil
	}
	f, err := os.Create(c.Out)
	if err != nil {
		return err
	}
	if err := r.WriteJSON(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

type benchCustomersCmd struct {
	Customers []int    `help:"Sizes." default:"10000,1000000"`
	Engines   []string `help:"sqlite, postgres." default:"sqlite" enum:"sqlite,postgres"`
	Postgres  string   `help:"Server for the engine postgres, of a user who may create databases." env:"BIHUAN_TEST_POSTGRES"`
	Seconds   float64  `help:"How long each search is measured, three times." default:"4"`
	Clients   int      `help:"How many agents search at once." default:"2"`
	Only      []string `help:"Only these searches." hidden:""`
	Keep      string   `help:"Folder to leave the stores of SQLite in, and to find them again." type:"path"`
}

func (c *benchCustomersCmd) Run(e *env) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	_, err = bench.RunCustomers(e.ctx, bench.CustomerOptions{Program: program, Customers: c.Customers, Engines: c.Engines, Postgres: c.Postgres,
		Seconds: c.Seconds, Clients: c.Clients, Only: c.Only, Keep: c.Keep, Out: e.out, Progress: e.errOut})
	return err
}

type benchDeadlinesCmd struct {
	Deadlines int     `help:"How many fall due at the same moment." default:"100000"`
	Engine    string  `help:"sqlite or postgres." default:"sqlite" enum:"sqlite,postgres"`
	Postgres  string  `help:"Server for the engine postgres, of a user who may create databases." env:"BIHUAN_TEST_POSTGRES"`
	Seconds   float64 `help:"How long pages are measured before." default:"30"`
	Clients   int     `help:"How many agents work at once." default:"4"`
	Rate      float64 `help:"Gestures a second, before and meanwhile." default:"10"`
	Reuse     string  `help:"Folder of a store seeded before." hidden:"" type:"path"`
	Password  string  `help:"Password of its agents." hidden:""`
	Slack     float64 `help:"Seconds for starting and signing in." default:"30" hidden:""`
	Profile   string  `help:"Write a CPU profile of the server meanwhile." hidden:"" type:"path"`
}

func (c *benchDeadlinesCmd) Run(e *env) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	_, err = bench.RunDeadlines(e.ctx, bench.DeadlineOptions{Program: program, Deadlines: c.Deadlines, Engine: c.Engine, Postgres: c.Postgres,
		Seconds: c.Seconds, Slack: c.Slack, Clients: c.Clients, Rate: c.Rate, Reuse: c.Reuse, Password: c.Password, Profile: c.Profile, Out: e.out, Progress: e.errOut})
	return err
}

// benchFloorCmd is the server of bare statements that run compares with.
type benchFloorCmd struct {
	Config `embed:""`
}

func (c *benchFloorCmd) Run(e *env) error {
	d, err := db.Open(e.ctx, db.Config{URL: c.Database, Dir: c.Data})
	if err != nil {
		return err
	}
	defer d.Close()
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.out, "http://%s\n", l.Addr())
	return bench.Floor(e.ctx, l, d)
}
