package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"bihuan/internal/crypt"
	"bihuan/internal/db"
	"bihuan/internal/i18n"
	"bihuan/internal/keyring"

	"github.com/prometheus/client_golang/prometheus"
)

// openKeys joins those who work on the data and loads the keys.
func openKeys(ctx context.Context, d *db.DB, cfg Config, o Options) (*keyring.Ring, error) {
	r, err := keyring.Open(ctx, d, func(fresh bool) (keys *crypt.Keeper, err error) {
		switch {
		case o.Keys != nil:
			return o.Keys, nil
		case cfg.Key != "":
			return crypt.Parse(cfg.Key)
		case fresh:
			keys, _, err = crypt.LoadOrCreate(cfg.KeyFile())
			return keys, err
		}
		keys, err = crypt.Load(cfg.KeyFile())
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("the key file %s is missing: put it back from where its copy is kept; without it the sealed values of this data cannot be read", cfg.KeyFile())
		}
		return keys, err
	})
	if err != nil {
		return nil, fmt.Errorf("app: %w", err)
	}
	return r, nil
}

// sealedTables are all places with values that keys protect. What is not among
// them would be lost with the old key; a test compares the list with the schema.
func (a *App) sealedTables() []keyring.Table {
	return slices.Concat(a.Customers.Sealed(), a.Privacy.Sealed(), a.Rules.Sealed(), a.Notify.Sealed(), a.Inbound.Sealed(), a.Mails.Sealed())
}

// keyGauges show a change of keys to whoever watches.
func (a *App) keyGauges() {
	gauge := func(name, help string, value func(ctx context.Context) float64) {
		a.Metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			return value(ctx)
		}))
	}
	gauge("bihuan_keys_known", "Keys this process can open values with; two while they are changed.", func(context.Context) float64 {
		return float64(len(a.Keys.Marks()))
	})
	gauge("bihuan_keys_change_rows", "Values that the change of keys under way has sealed again; 0 when there is none.", func(ctx context.Context) float64 {
		p, err := keyring.Under(ctx, a.DB.Read())
		switch {
		case err != nil:
			return -1
		case !p.Running:
			return 0
		}
		return float64(p.Sealed)
	})
}

type keysCmd struct {
	Rotate keysRotateCmd `cmd:"" help:"Change the keys: seal every value again with a new key, also while the server runs. What was cut short goes on where it was."`
	Status keysStatusCmd `cmd:"" help:"Say which keys there are, who knows them and what is left of old ones."`
}

type keysRotateCmd struct {
	store
	VoidLinks bool          `help:"Links and codes sent to customers so far shall not work any more, because the key file got into wrong hands."`
	KeepOld   bool          `help:"Do not retire the old key yet; the next run does."`
	GiveUp    bool          `help:"Retire the old key although some values cannot be opened with any key; they stay unreadable."`
	Patience  time.Duration `help:"How long to wait for other processes to take up the new key." default:"3m"`
}

func (c *keysRotateCmd) Run(e *env) error {
	a, err := c.open(e)
	if err != nil {
		return err
	}
	defer a.Close()
	l := terminalLang()
	began := time.Now()
	r, err := a.Ring.Rotate(e.ctx, keyring.Options{Tables: a.sealedTables(), Run: a.Run, By: machineAccount(), VoidLinks: c.VoidLinks, KeepOld: c.KeepOld, GiveUp: c.GiveUp, Patience: c.Patience,
		Say: func(key string, args ...any) { fmt.Fprintln(e.errOut, i18n.T(l, key, args...)) }})
	if err != nil {
		return said(err)
	}
	fmt.Fprintln(e.out, i18n.T(l, "keyring.done", r.Rows, time.Since(began).Round(time.Second).String()))
	if !r.Retired {
		fmt.Fprintln(e.out, i18n.T(l, "keyring.old_stays"))
		return nil
	}
	fmt.Fprintln(e.out, i18n.T(l, "keyring.retired", r.Marks[0]))
	fmt.Fprintln(e.out, i18n.T(l, "keyring.kept", r.Kept))
	if len(r.Lost) > 0 {
		fmt.Fprintln(e.out, i18n.T(l, "keyring.given_up", len(r.Lost), strings.Join(r.Lost, ", ")))
	}
	return nil
}

type keysStatusCmd struct{ store }

func (c *keysStatusCmd) Run(e *env) error {
	a, err := c.open(e)
	if err != nil {
		return err
	}
	defer a.Close()
	l := terminalLang()
	fmt.Fprintln(e.out, i18n.T(l, "keyring.status.keys", strings.Join(a.Keys.Marks(), ", ")))
	p, err := keyring.Under(e.ctx, a.DB.Read())
	if err != nil {
		return err
	}
	if p.Running || len(a.Keys.Marks()) > 1 {
		fmt.Fprintln(e.out, i18n.T(l, "keyring.status.under_way", p.Sealed))
	}
	for _, t := range a.sealedTables() {
		n, err := t.Stale(e.ctx, a.DB.Read())
		if err != nil {
			return err
		}
		fmt.Fprintln(e.out, i18n.T(l, "keyring.status.table", t.Name, n))
	}
	hs, err := a.Ring.Holders(e.ctx)
	if err != nil {
		return err
	}
	for _, h := range hs {
		fmt.Fprintln(e.out, i18n.T(l, "keyring.status.process", h.Process, strings.Join(h.Marks, ", ")))
	}
	kept, _ := filepath.Glob(a.Config.KeyFile() + ".retired-*")
	for _, f := range kept {
		fmt.Fprintln(e.out, i18n.T(l, "keyring.status.kept", f))
	}
	return nil
}
