package keyring

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/job"
	"bihuan/internal/setting"
)

// Facts about the keys.
const (
	eventStarted = "keys.change_started"
	eventChanged = "keys.changed"
)

// stateSetting keeps how far a change of keys is.
const stateSetting = "crypt.rotation"

// retiredSuffix is what the name of a key file kept aside ends with, before the
// mark of the key it was kept for.
const retiredSuffix = ".retired-"

// Table is where a room keeps sealed values or blind indexes.
type Table struct {
	Name string
	// Columns are those made with keys, for the test that none is forgotten.
	Columns []string
	// Next looks at the rows behind after in the order of their ids.
	Next func(ctx context.Context, after int64, most int) (Batch, error)
	// Stale counts the rows with a value that is not sealed with the key in use, by
	// asking the database and nothing else.
	Stale func(ctx context.Context, q db.Querier) (int64, error)
}

// Batch is what Next found. Values are opened, sealed and indexed before the
// transaction that stores them, so that it is short; Write leaves alone what was
// changed in the meantime, the next pass looks at it again.
type Batch struct {
	Last  int64 // id of the last row looked at; 0: there was none left
	Rows  int
	Stale int     // rows that Write brings up to date
	Lost  []int64 // rows with a value that no key opens
	Write func(ctx context.Context, tx *db.Tx) error
}

// Options of Rotate.
type Options struct {
	Tables    []Table
	Run       *action.Runner
	By        string        // account of the machine, for the audit trail
	VoidLinks bool          // links and codes sent so far shall not work any more
	KeepOld   bool          // stop before the old key is retired
	GiveUp    bool          // retire it although some values cannot be opened with any key
	Rows      int           // in a transaction; 0: 250
	Patience  time.Duration // for other processes to take up a key; 0: 3 min
	Say       func(key string, args ...any)

	FailAt func(step string) error // for tests: an error is like a death there
}

// Result of Rotate.
type Result struct {
	Marks   []string // of the keys there are now, the one in use first
	Rows    int64    // sealed again, since the change was started
	Lost    []string // table/id of values that no key opens
	Retired bool
	Kept    string // file with the keys that were retired
}

// state is stored in the transaction of each batch.
type state struct {
	To        string           `json:"to"` // mark of the new key
	StartedAt int64            `json:"started_at"`
	Cursors   map[string]int64 `json:"cursors"` // table: id up to which it has been done in this pass
	Rows      int64            `json:"rows"`    // looked at in this pass
	Sealed    int64            `json:"sealed"`
	Done      bool             `json:"done"`
}

// Progress is how far a change under way is.
type Progress struct {
	Running bool
	Rows    int64 // looked at in the pass under way
	Sealed  int64 // sealed again
}

// Under returns how far the change of keys is.
func Under(ctx context.Context, q db.Querier) (Progress, error) {
	var s state
	err := setting.Read(ctx, q, stateSetting, &s)
	return Progress{s.To != "" && !s.Done, s.Rows, s.Sealed}, err
}

const leaseTime = time.Minute

// rotation is a change being led by this process.
type rotation struct {
	*Ring
	o      Options
	leases *job.Leases
	fence  int64
	s      state
	lost   map[string]bool
}

const lease = "change of keys"

// Rotate changes the keys, or goes on with a change that was cut short.
func (r *Ring) Rotate(ctx context.Context, o Options) (Result, error) {
	if o.Rows == 0 {
		o.Rows = 250
	}
	if o.Patience == 0 {
		o.Patience = 3 * time.Minute
	}
	if o.Say == nil {
		o.Say = func(string, ...any) {}
	}
	path := r.Keys.Path()
	if path == "" {
		return Result{}, fault.Invalidf("keyring.not_in_a_file")
	}
	x := &rotation{Ring: r, o: o, leases: job.NewLeases(r.d), lost: map[string]bool{}}
	var ok bool
	var err error
	if x.fence, ok, err = x.leases.Hold(ctx, lease, leaseTime); err != nil {
		return Result{}, err
	}
	if !ok {
		return Result{}, fault.New(fault.Conflict, "keyring.under_way")
	}
	defer x.leases.Release(context.WithoutCancel(ctx), lease)
	for _, step := range []struct {
		name string
		do   func(ctx context.Context) error
	}{{"announce", x.announce}, {"promote", x.promote}, {"seal", x.seal}, {"count", x.count}} {
		if err = x.fail(step.name); err == nil {
			err = step.do(ctx)
		}
		if err != nil {
			return x.result(), err
		}
	}
	res := x.result()
	if o.KeepOld {
		return res, nil
	}
	if len(res.Lost) > 0 && !o.GiveUp {
		return res, fault.New(fault.Conflict, "keyring.lost", len(res.Lost), strings.Join(res.Lost[:min(5, len(res.Lost))], ", "))
	}
	if err = x.fail("retire"); err == nil {
		res.Kept, err = x.retire(ctx)
	}
	res.Retired, res.Marks = err == nil, r.Keys.Marks()
	return res, err
}

func (x *rotation) result() Result {
	res := Result{Marks: x.Keys.Marks(), Rows: x.s.Sealed}
	for l := range x.lost {
		res.Lost = append(res.Lost, l)
	}
	slices.Sort(res.Lost)
	return res
}

func (x *rotation) fail(step string) error {
	if x.o.FailAt == nil {
		return nil
	}
	return x.o.FailAt(step)
}

// hold makes sure that this is still the only one to lead.
func (x *rotation) hold(ctx context.Context) error {
	fence, ok, err := x.leases.Hold(ctx, lease, leaseTime)
	if err == nil && (!ok || fence != x.fence) {
		err = job.ErrLost
	}
	return err
}

// announce adds a new key that nobody uses yet, unless there is one.
func (x *rotation) announce(ctx context.Context) error {
	if _, err := x.Keys.Refresh(); err != nil {
		return err
	}
	if err := setting.Read(ctx, x.d.Read(), stateSetting, &x.s); err != nil {
		return err
	}
	if len(x.Keys.Marks()) > 1 {
		x.o.Say("keyring.goes_on")
		return nil
	}
	next, err := x.Keys.Announced()
	if err == nil {
		err = next.Save(x.Keys.Path())
	}
	if err == nil {
		_, err = x.Keys.Refresh()
	}
	if err == nil {
		x.o.Say("keyring.announced")
	}
	return err
}

// promote makes everybody use the newest key, once everybody knows it.
func (x *rotation) promote(ctx context.Context) error {
	if x.Keys.Pending() {
		want := x.Keys.Marks()[1] // the newest behind the one in use
		if err := x.wait(ctx, func(h Holder) bool { return slices.Contains(h.Marks, want) }); err != nil {
			return err
		}
		next, err := x.Keys.Promoted()
		if err != nil {
			return err
		}
		// Before the first value is made with it: from here on the data needs both.
		x.s = state{To: next.Fingerprint(), StartedAt: db.Micros(x.d.Clock().Now()), Cursors: map[string]int64{}}
		err = x.o.Run.Do(ctx, authz.System("command line"), "keys.change", func(ctx context.Context, a *action.Action) error {
			a.Record(event.Event{Kind: eventStarted, Subject: event.Subject{Type: "keys"}, Data: map[string]any{"args": []string{x.o.By}}})
			if err := need(ctx, a.Tx, next.Marks()...); err != nil {
				return err
			}
			return setting.Write(ctx, a.Tx, stateSetting, x.s)
		})
		if err == nil {
			err = x.fail("promoting")
		}
		if err == nil {
			err = next.Save(x.Keys.Path())
		}
		if err == nil {
			_, err = x.Keys.Refresh()
		}
		if err != nil {
			return err
		}
	}
	if err := x.resume(ctx); err != nil {
		return err
	}
	use := x.Keys.Fingerprint()
	if err := x.wait(ctx, func(h Holder) bool { return len(h.Marks) > 0 && h.Marks[0] == use }); err != nil {
		return err
	}
	if err := x.settled(ctx); err != nil {
		return err
	}
	x.o.Say("keyring.promoted")
	return nil
}

// resume makes the notes in the database fit the key file, which is what counts,
// also when the database is an older copy than the file.
func (x *rotation) resume(ctx context.Context) error {
	if x.s.To == x.Keys.Fingerprint() && !x.s.Done {
		return nil
	}
	x.s = state{To: x.Keys.Fingerprint(), StartedAt: db.Micros(x.d.Clock().Now()), Cursors: map[string]int64{}}
	return x.d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := need(ctx, tx, x.Keys.Marks()...); err != nil {
			return err
		}
		return setting.Write(ctx, tx, stateSetting, x.s)
	})
}

// wait waits until every process is as far as ready says.
func (x *rotation) wait(ctx context.Context, ready func(Holder) bool) error {
	if err := x.Tick(ctx); err != nil { // this one
		return err
	}
	began := time.Duration(0)
	for {
		hs, err := x.Holders(ctx)
		if err != nil {
			return err
		}
		var behind []string
		for _, h := range hs {
			if !ready(h) {
				behind = append(behind, h.Process)
			}
		}
		if len(behind) == 0 {
			return nil
		}
		if err := x.hold(ctx); err != nil {
			return err
		}
		if began >= x.o.Patience {
			return fault.New(fault.Conflict, "keyring.behind", strings.Join(behind, ", "))
		}
		if began%(10*time.Second) == 5*time.Second {
			x.o.Say("keyring.waits", strings.Join(behind, ", "))
		}
		const pause = 250 * time.Millisecond
		if err := x.pause(ctx, pause); err != nil {
			return err
		}
		began += pause
	}
}

func (x *rotation) pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-x.d.Clock().After(d):
		return nil
	}
}

// settled returns when every transaction has ended that may have sealed
// something with the old key. SQLite writes one after the other.
func (x *rotation) settled(ctx context.Context) error {
	if x.d.Dialect() == db.SQLite {
		return x.d.Write(ctx, func(context.Context, *db.Tx) error { return nil })
	}
	var mine int64
	err := x.d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		return tx.QueryRow(ctx, `SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint)`).Scan(&mine)
	})
	for waited := time.Duration(0); err == nil; {
		var oldest int64
		if err = x.d.Read().QueryRow(ctx, `SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)`).Scan(&oldest); err != nil {
			break
		}
		if oldest > mine {
			return nil
		}
		if waited >= x.o.Patience {
			return fault.New(fault.Conflict, "keyring.long_transaction")
		}
		if err = x.hold(ctx); err == nil {
			const pause = 100 * time.Millisecond
			err = x.pause(ctx, pause)
			waited += pause
		}
	}
	return fmt.Errorf("keyring: transactions under way: %w", err)
}

// maxPasses bounds how often the tables are gone through: the second pass finds
// what was written beside the first, and a third usually nothing.
const maxPasses = 20

// seal goes through all tables until a pass has found nothing to do. Each pass
// opens every value and compares its indexes, so the last one is the proof.
func (x *rotation) seal(ctx context.Context) error {
	for pass := 1; ; pass++ {
		whole := len(x.s.Cursors) == 0 // not the rest of a pass that was cut short
		stale := 0
		clear(x.lost)
		for _, t := range x.o.Tables {
			n, err := x.table(ctx, t)
			if err != nil {
				return err
			}
			stale += n
		}
		x.s.Cursors, x.s.Rows = map[string]int64{}, 0
		if err := x.store(ctx, nil); err != nil {
			return err
		}
		if stale == 0 && whole {
			return nil
		}
		if pass == maxPasses {
			return fault.New(fault.Conflict, "keyring.does_not_end")
		}
	}
}

func (x *rotation) table(ctx context.Context, t Table) (stale int, err error) {
	after, seen, told := x.s.Cursors[t.Name], 0, 0
	if after < 0 {
		return 0, nil // done in the pass that was cut short
	}
	for {
		if err := x.hold(ctx); err != nil {
			return stale, err
		}
		b, err := t.Next(ctx, after, x.o.Rows)
		if err == nil {
			err = x.fail(t.Name)
		}
		if err != nil {
			return stale, err
		}
		for _, id := range b.Lost {
			x.lost[t.Name+"/"+strconv.FormatInt(id, 10)] = true
		}
		after, seen = b.Last, seen+b.Rows
		x.s.Rows += int64(b.Rows)
		x.s.Cursors[t.Name] = after
		if b.Last == 0 {
			x.s.Cursors[t.Name] = -1
			if seen > 0 {
				x.o.Say("keyring.table", t.Name, seen, x.s.Sealed)
			}
			return stale, x.store(ctx, nil)
		}
		if b.Stale > 0 {
			stale += b.Stale
			x.s.Sealed += int64(b.Stale)
			if err := x.store(ctx, b.Write); err != nil {
				return stale, err
			}
		}
		if seen-told >= 50_000 {
			told = seen
			x.o.Say("keyring.progress", t.Name, seen, x.s.Sealed)
		}
	}
}

// store writes a batch together with how far it brings the change.
func (x *rotation) store(ctx context.Context, write func(ctx context.Context, tx *db.Tx) error) error {
	return x.d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := x.leases.Check(ctx, tx, lease, x.fence); err != nil {
			return err
		}
		if write != nil {
			if err := write(ctx, tx); err != nil {
				return err
			}
		}
		return setting.Write(ctx, tx, stateSetting, x.s)
	})
}

// count asks the database whether anything is left of the old key.
func (x *rotation) count(ctx context.Context) error {
	for _, t := range x.o.Tables {
		n, err := t.Stale(ctx, x.d.Read())
		if err != nil {
			return err
		}
		lost := int64(0)
		for l := range x.lost {
			if strings.HasPrefix(l, t.Name+"/") {
				lost++
			}
		}
		if n > lost {
			return fault.New(fault.Conflict, "keyring.left", t.Name, n)
		}
	}
	return nil
}

// retire forgets the old key and keeps a copy of the file for the backups that
// were made before.
func (x *rotation) retire(ctx context.Context) (kept string, err error) {
	path, marks := x.Keys.Path(), x.Keys.Marks()
	kept = path + retiredSuffix + marks[len(marks)-1]
	if err := copyFile(path, kept); err != nil {
		return "", err
	}
	next, err := x.Keys.Retired(x.o.VoidLinks)
	if err != nil {
		return kept, err
	}
	x.s.Done = true
	err = x.o.Run.Do(ctx, authz.System("command line"), "keys.change", func(ctx context.Context, a *action.Action) error {
		if err := x.leases.Check(ctx, a.Tx, lease, x.fence); err != nil {
			return err
		}
		a.Record(event.Event{Kind: eventChanged, Subject: event.Subject{Type: "keys"}, Data: map[string]any{"args": []string{x.o.By, strconv.FormatInt(x.s.Sealed, 10)}}})
		if err := need(ctx, a.Tx, marks[0]); err != nil {
			return err
		}
		return setting.Write(ctx, a.Tx, stateSetting, x.s)
	})
	if err == nil {
		err = x.fail("retiring")
	}
	if err == nil {
		err = next.Save(path)
	}
	if err == nil {
		err = x.Tick(ctx)
	}
	return kept, err
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("keyring: keep the old key: %w", err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("keyring: keep the old key: %w", err)
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	if closed := out.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("keyring: keep the old key: %w", err)
	}
	return nil
}
