package node_test

import (
	"context"
	"testing"
	"time"

	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/job"
	"bihuan/internal/node"
)

func TestNodesSeeEachOther(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		ctx := context.Background()
		leases := job.NewLeases(d)
		a := node.New(d, leases.Holder(), "1.0", t.TempDir())
		b := node.New(d, "other/2/x", "1.1", t.TempDir())
		if _, ok, err := leases.Hold(ctx, "duties", time.Minute); !ok || err != nil {
			t.Fatal(ok, err)
		}
		for _, k := range []*node.Keeper{a, b} {
			if err := k.Beat(ctx); err != nil {
				t.Fatal(err)
			}
		}
		ns, err := a.List(ctx)
		if err != nil || len(ns) == 0 || !ns[0].Self || !ns[0].Alive || len(ns[0].Leases) != 1 {
			t.Fatalf("%+v, %v", ns, err)
		}
		if d.Dialect() == db.SQLite {
			if len(ns) != 1 {
				t.Errorf("%d nodes on an embedded database", len(ns))
			}
			return
		}
		if len(ns) != 2 || ns[1].Host() != "other" || !ns[1].Alive || !ns[1].Apart || ns[1].Version != "1.1" {
			t.Errorf("%+v", ns)
		}
		c.Advance(30 * time.Second)
		if ns, err = a.List(ctx); err != nil || ns[1].Alive {
			t.Errorf("a silent node is believed alive: %+v, %v", ns, err)
		}
		c.Advance(48 * time.Hour)
		if err := node.New(d, "third/3/y", "1.1", t.TempDir()).Beat(ctx); err != nil {
			t.Fatal(err)
		}
		if ns, err = a.List(ctx); err != nil || len(ns) != 2 || ns[1].Host() != "third" {
			t.Errorf("%+v, %v", ns, err)
		}
	})
}
