package app_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/app"
	"bihuan/internal/app/apptest"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/cnid"
	"bihuan/internal/crypt"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/keyring"
	"bihuan/internal/ticket"
)

// someone is the n-th customer of these tests.
func someone(n int) customer.Input {
	return customer.Input{Type: customer.Company, Name: fmt.Sprintf("轮换第%d有限公司", n), Source: "phone", Address: fmt.Sprintf("深圳市南山区科苑路%d号", n),
		Contacts: []customer.ContactInput{{Name: fmt.Sprintf("联系人%d", n), Phone: cnid.SamplePhone(n), Email: fmt.Sprintf("p%d@example.cn", n), Wechat: fmt.Sprintf("wx_rotate_%d", n)}}}
}

func register(t *testing.T, h *apptest.House, from, n int) {
	t.Helper()
	for n > 0 {
		rows := make([]customer.ImportRow, min(n, 400))
		for i := range rows {
			rows[i].Input = someone(from + i)
			rows[i].DepartmentID = h.Departments["客服部"]
		}
		err := h.Run.Do(t.Context(), authz.System("importer"), "customer.import", func(ctx context.Context, a *action.Action) error {
			out, err := h.Customers.Import(ctx, a, rows)
			for _, o := range out {
				err = errors.Join(err, o.Err)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		from, n = from+len(rows), n-len(rows)
	}
}

// found says by which values customer n is not found, and which do not open.
func found(ctx context.Context, a *app.App, by authz.Actor, n int) error {
	in := someone(n)
	c := in.Contacts[0]
	var id, contact int64
	for _, q := range []string{c.Phone, c.Email, c.Wechat, c.Phone[len(c.Phone)-4:], c.Phone[len(c.Phone)-8:]} {
		fs, err := a.Customers.Search(ctx, customer.View(by), q, 200)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(fs, func(f customer.Found) bool { return f.Name == in.Name })
		if i < 0 {
			return fmt.Errorf("customer %d is not found by %s", n, q)
		}
		id, contact = fs[i].ID, fs[i].Contacts[0].ID
	}
	for f, want := range map[customer.Field]string{customer.Phone: c.Phone, customer.Email: c.Email, customer.Wechat: c.Wechat, customer.Address: in.Address} {
		var got string
		var err error
		if f == customer.Address {
			got, err = a.Customers.RevealAddress(ctx, by, id, "测试")
		} else {
			got, err = a.Customers.Reveal(ctx, by, contact, f, "测试")
		}
		if p, perr := cnid.ParsePhone(want); perr == nil && f == customer.Phone {
			want = p.String()
		}
		if err != nil || got != want {
			return fmt.Errorf("%s of customer %d is %q, want %q: %w", f, n, got, want, err)
		}
	}
	return nil
}

func rotation(a *app.App) keyring.Options {
	return keyring.Options{Tables: app.SealedTables(a), Run: a.Run, By: "test", Rows: 17, Patience: 20 * time.Second}
}

func failing(o keyring.Options, at func(step string) error) keyring.Options {
	o.FailAt = at
	return o
}

// beside opens the product on the same data once more, as another process does.
func beside(t *testing.T, h *apptest.House) *app.App {
	t.Helper()
	a, err := app.Open(t.Context(), h.Config, app.Options{Clock: h.DB.Clock(), Log: slog.New(slog.DiscardHandler), Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

// follow lets a process take up new keys, quicker than Follow does.
func follow(t *testing.T, a *app.App) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_ = a.Ring.Tick(ctx)
			time.Sleep(20 * time.Millisecond)
		}
	}()
	t.Cleanup(func() { stop(); <-done })
}

// columns returns all sealed values and indexes there are.
func columns(t *testing.T, a *app.App) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for _, tab := range app.SealedTables(a) {
		for _, col := range tab.Columns {
			rows, err := a.DB.Read().Query(t.Context(), `SELECT id, `+col+` FROM `+tab.Name+` WHERE `+col+` IS NOT NULL`)
			if err != nil {
				t.Fatal(err)
			}
			for rows.Next() {
				var id int64
				var v []byte
				if err := rows.Scan(&id, &v); err != nil {
					t.Fatal(err)
				}
				out[fmt.Sprintf("%s/%d/%s", tab.Name, id, col)] = v
			}
			rows.Close()
		}
	}
	return out
}

// CUS-17: keys are changed while a server answers and people write; at every
// moment everybody finds and reads everything; afterwards nothing needs the old
// key, and what was sent to customers before still works.
func TestRotateWhileEverybodyWorks(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Clock: clock.Real()}, func(t *testing.T, h *apptest.House) {
		ctx, stop := context.WithCancel(t.Context())
		const before = 60
		register(t, h, 0, before)
		old := columns(t, h.App)
		oldMark := h.Keys.Fingerprint()
		admin := h.Actor(authz.RoleAdmin)
		tk := aTicket(t, h)
		link, code := h.Tickets.Link(tk), h.Tickets.LookupCode(tk)

		server := beside(t, h)
		follow(t, server)
		follow(t, h.App)
		var wg sync.WaitGroup
		var last, reads atomic.Int64
		last.Store(before)
		for w, a := range []*app.App{h.App, server} {
			wg.Go(func() { // registers new customers, and changes old ones
				for n := before + w; ctx.Err() == nil; n += 2 {
					c, err := a.Customers.Create(ctx, admin, someone(n))
					if err == nil && n%3 == 0 {
						in := customer.Input{Name: c.Name, Source: "phone", Contacts: []customer.ContactInput{{ID: c.Primary().ID, Name: c.Primary().Name, Wechat: fmt.Sprintf("wx_rotate_%d", n)}}}
						_, err = a.Customers.Update(ctx, admin, c.ID, c.Version, in, "核对")
					}
					if err != nil && ctx.Err() == nil {
						t.Errorf("write: %v", err)
						return
					}
					last.Add(1)
				}
			})
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(1, uint64(w)))
				for ctx.Err() == nil {
					if err := found(ctx, a, admin, rnd.IntN(before)); err != nil && ctx.Err() == nil {
						t.Error(err)
						return
					}
					reads.Add(1)
				}
			})
		}
		rotator := beside(t, h)
		res, err := rotator.Ring.Rotate(ctx, rotation(rotator))
		if err != nil {
			t.Error(err)
		}
		during := last.Load()
		time.Sleep(300 * time.Millisecond) // and go on with one key
		stop()
		wg.Wait()
		if during == before || reads.Load() == 0 {
			t.Errorf("nobody worked meanwhile: %d written, %d read", during-before, reads.Load())
		}
		t.Logf("%d rows sealed again beside %d writes and %d reads", res.Rows, during-before, reads.Load())
		if !res.Retired || len(res.Lost) > 0 || len(res.Marks) != 1 || res.Marks[0] == oldMark || res.Rows < before*2 {
			t.Errorf("%+v", res)
		}

		// Everybody knows the new key only, and so does whoever starts now.
		late := beside(t, h)
		for i, a := range []*app.App{h.App, server, rotator, late} {
			if err := a.Ring.Tick(t.Context()); err != nil {
				t.Error(err)
			}
			if !slices.Equal(a.Keys.Marks(), res.Marks) {
				t.Errorf("process %d knows %v, want %v", i, a.Keys.Marks(), res.Marks)
			}
		}
		for n := range before {
			if err := found(t.Context(), late, admin, n); err != nil {
				t.Fatal(err)
			}
		}
		now := columns(t, late)
		for k, v := range old {
			if bytes.Equal(now[k], v) {
				t.Errorf("%s is what it was", k)
			}
		}
		for _, tab := range app.SealedTables(late) {
			if n, err := tab.Stale(t.Context(), late.DB.Read()); n != 0 || err != nil {
				t.Errorf("%s: %d rows of the old key, %v", tab.Name, n, err)
			}
		}
		if got, _, err := late.Tickets.ByLink(t.Context(), link); err != nil || got.ID != tk.ID {
			t.Errorf("a link sent before: %v", err)
		}
		if got, err := late.Tickets.Lookup(t.Context(), tk.Number, code); err != nil || got.ID != tk.ID {
			t.Errorf("a code given before: %v", err)
		}
		if facts := kinds(t, late); facts != "keys.change_started keys.changed" {
			t.Errorf("facts %q", facts)
		}
	})
}

func aTicket(t *testing.T, h *apptest.House) ticket.Ticket {
	t.Helper()
	agent := h.Actor(authz.RoleAgent)
	c, err := h.Customers.Create(t.Context(), agent, customer.Input{Type: customer.Person, Name: "何小姐", Source: "phone", Contacts: []customer.ContactInput{{Name: "何小姐", Phone: "13922223333"}}})
	if err != nil {
		t.Fatal(err)
	}
	tk, err := h.Tickets.Register(t.Context(), agent, ticket.RegisterInput{CustomerID: c.ID, Title: "无法开机", Description: "按电源键没有反应", Type: "consultation", Urgency: "normal", Channel: "phone"})
	if err != nil {
		t.Fatal(err)
	}
	return tk
}

func kinds(t *testing.T, a *app.App) string {
	t.Helper()
	evs, err := event.List(t.Context(), a.DB.Read(), event.Filter{Subject: event.Subject{Type: "keys"}})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range slices.Backward(evs) {
		out = append(out, e.Kind)
	}
	return strings.Join(out, " ")
}

// A change that is cut short anywhere leaves everything readable, for processes
// that run and for those that start, and goes on when it is started again.
func TestRotateIsCutShort(t *testing.T) {
	t.Parallel()
	dead := errors.New("killed")
	apptest.Each(t, apptest.Options{Clock: clock.Real()}, func(t *testing.T, h *apptest.House) {
		ctx := t.Context()
		const n = 24
		register(t, h, 0, n)
		admin := h.Actor(authz.RoleAdmin)
		follow(t, h.App)
		for _, at := range []string{"announce", "promote", "promoting", "seal", "customers", "contacts", "count", "retire", "retiring"} {
			first := h.Keys.Fingerprint()
			a := beside(t, h)
			calls := 0
			_, err := a.Ring.Rotate(ctx, failing(rotation(a), func(step string) error {
				if step == at {
					if calls++; calls == 2 || at != "customers" && at != "contacts" {
						return dead
					}
				}
				return nil
			}))
			if !errors.Is(err, dead) {
				t.Fatalf("%s: %v", at, err)
			}
			a.Close()
			if err := h.Ring.Tick(ctx); err != nil {
				t.Errorf("%s: %v", at, err)
			}
			b := beside(t, h)
			for _, x := range []*app.App{h.App, b} {
				for _, i := range []int{0, n / 2, n - 1} {
					if err := found(ctx, x, admin, i); err != nil {
						t.Errorf("after a death at %s: %v", at, err)
					}
				}
			}
			if at == "contacts" { // it goes on where it was
				if p, err := keyring.Under(ctx, b.DB.Read()); err != nil || !p.Running || p.Sealed < n {
					t.Errorf("%+v, %v", p, err)
				}
			}
			res, err := b.Ring.Rotate(ctx, rotation(b))
			if err != nil || !res.Retired || len(res.Marks) != 1 || res.Marks[0] == first {
				t.Fatalf("after a death at %s: %+v, %v", at, res, err)
			}
			for i := range n {
				if err := found(ctx, b, admin, i); err != nil {
					t.Fatalf("after a death at %s and a second run: %v", at, err)
				}
			}
			b.Close()
			if err := h.Ring.Tick(ctx); err != nil || h.Keys.Fingerprint() != res.Marks[0] {
				t.Errorf("%s: %v", at, err)
			}
		}
	})
}

// What the program says when the keys are not those of the data.
func TestKeysThatDoNotFit(t *testing.T) {
	t.Parallel()
	h := apptest.Open(t, apptest.Options{Clock: clock.Real()})
	ctx := t.Context()
	register(t, h, 0, 3)
	path := h.Config.KeyFile()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	open := func(o app.Options) string {
		o.Offline, o.Log = true, slog.New(slog.DiscardHandler)
		a, err := app.Open(ctx, h.Config, o)
		if err != nil {
			return err.Error()
		}
		a.Close()
		return ""
	}
	other, err := crypt.New()
	if err != nil {
		t.Fatal(err)
	}
	if got := open(app.Options{Keys: other}); !strings.Contains(got, "do not belong to this data") {
		t.Errorf("%q", got)
	}
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	if got := open(app.Options{}); !strings.Contains(got, path+" is missing: put it back") {
		t.Errorf("%q", got)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a new key file beside old data")
	}
	if err := other.Save(path); err != nil {
		t.Fatal(err)
	}
	if got := open(app.Options{}); !strings.Contains(got, "does not belong to this data") || !strings.Contains(got, h.Keys.Fingerprint()) {
		t.Errorf("%q", got)
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	// Keys from the environment cannot be changed by a program.
	inMemory, err := crypt.Parse(string(before))
	if err != nil {
		t.Fatal(err)
	}
	env, err := app.Open(ctx, h.Config, app.Options{Offline: true, Log: slog.New(slog.DiscardHandler), Keys: inMemory})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := env.Ring.Rotate(ctx, rotation(env)); !fault.Is(err, fault.Invalid) {
		t.Errorf("keys in memory: %v", err)
	}
	// A process that does not follow the file holds the change up, and nothing is lost.
	a := beside(t, h)
	o := rotation(a)
	o.Patience = time.Second
	follow(t, h.App)
	if _, err := a.Ring.Rotate(ctx, o); !fault.Is(err, fault.Conflict) || !strings.Contains(app.Explain("en", err), "have not taken up the new key") {
		t.Errorf("%v", err)
	}
	env.Close()
	// Somebody else leads the change at the same time.
	b := beside(t, h)
	follow(t, b)
	entered, leave := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(leave)
		if _, err := a.Ring.Rotate(ctx, failing(rotation(a), func(step string) error {
			if step == "seal" {
				close(entered)
				<-leave
			}
			return nil
		})); err != nil {
			t.Error(err)
		}
	}()
	<-entered
	if _, err := b.Ring.Rotate(ctx, rotation(b)); !fault.Is(err, fault.Conflict) || !strings.Contains(app.Explain("en", err), "already") {
		t.Errorf("%v", err)
	}
	leave <- struct{}{}
	<-leave

	// An older copy of the data needs the key that was retired, and says where it is.
	if err := os.WriteFile(path+".now", mustRead(t, path), 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := crypt.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	oldKey, _ := crypt.Parse(string(before))
	err = h.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE settings SET value = $1 WHERE name = 'crypt.fingerprint'`, oldKey.Fingerprint())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	kept := path + ".retired-" + oldKey.Fingerprint()
	if got := open(app.Options{}); !strings.Contains(got, "it is in "+kept) || k.Fingerprint() == oldKey.Fingerprint() {
		t.Errorf("%q", got)
	}
	if err := os.Rename(kept, path); err != nil {
		t.Fatal(err)
	}
	if got := open(app.Options{}); got != "" {
		t.Errorf("%q", got)
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A value that no key opens is named, and keeps the old key until somebody says
// that it is given up.
func TestRotateWithLostValues(t *testing.T) {
	t.Parallel()
	apptest.Each(t, apptest.Options{Clock: clock.Real()}, func(t *testing.T, h *apptest.House) {
		ctx := t.Context()
		register(t, h, 0, 5)
		var id int64
		if err := h.DB.Read().QueryRow(ctx, `SELECT MIN(id) FROM contacts`).Scan(&id); err != nil {
			t.Fatal(err)
		}
		err := h.DB.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			// As it happens when a column is copied from another row.
			_, err := tx.Exec(ctx, `UPDATE contacts SET email_sealed = (SELECT email_sealed FROM contacts WHERE id = $1) WHERE id = $2`, id+1, id)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		res, err := h.Ring.Rotate(ctx, rotation(h.App))
		if want := fmt.Sprintf("contacts/%d", id); !fault.Is(err, fault.Conflict) || strings.Join(res.Lost, " ") != want || res.Retired || len(h.Keys.Marks()) != 2 {
			t.Errorf("%+v, %v", res, err)
		}
		o := rotation(h.App)
		o.GiveUp, o.VoidLinks = true, true
		if res, err = h.Ring.Rotate(ctx, o); err != nil || !res.Retired || len(h.Keys.Marks()) != 1 {
			t.Errorf("%+v, %v", res, err)
		}
	})
}

// What a key protects and nobody seals again is lost with that key.
func TestNoSealedColumnIsForgotten(t *testing.T) {
	t.Parallel()
	h := apptest.Open(t, apptest.Options{})
	known := map[string]bool{
		// Hashes without a key, chance, and the lookup of tickets, which is derived anew.
		"api_tokens.token_hash": true, "user_sessions.token_hash": true, "events.prev_hash": true, "events.hash": true, "events.salt": true, "tickets.lookup_index": true,
	}
	for _, tab := range app.SealedTables(h.App) {
		for _, c := range tab.Columns {
			known[tab.Name+"."+c] = true
		}
	}
	rows, err := h.DB.Read().Query(t.Context(), `
		SELECT m.name, c.name, c.type FROM sqlite_master m JOIN pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'search_%' AND m.name NOT LIKE 'sqlite_%' AND (c.type = 'BLOB' OR c.name LIKE '%\_sealed' ESCAPE '\')`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		var table, column, kind string
		if err := rows.Scan(&table, &column, &kind); err != nil {
			t.Fatal(err)
		}
		if n++; !known[table+"."+column] {
			t.Errorf("%s.%s (%s) holds bytes: if keys made them, its room must list it in Sealed; if not, say so here", table, column, kind)
		}
	}
	if n < 10 {
		t.Errorf("only %d columns", n)
	}
}
