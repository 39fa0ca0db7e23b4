package app

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"bihuan/internal/clock"
	"bihuan/internal/db"
)

// How often the program looks at its unused memory, and how much of it is worth
// a collection to give it back.
const (
	lookAtMemory = 5 * time.Second
	unusedMost   = 12 << 20

	// On SQLite the store's caches are in this process too; a heap that grows to 1.7
	// times what lives in it keeps the whole under 150 MiB at a few percent of the
	// processor.
	growth = 70
)

// tendMemory keeps the process small while it runs. GOGC of the environment is
// respected.
func tendMemory(ctx context.Context, d *db.DB) {
	if d.Dialect() == db.SQLite && os.Getenv("GOGC") == "" {
		debug.SetGCPercent(growth)
	}
	giveBack(ctx, d.Clock())
}

// giveBack returns memory that lies unused to the system. Each password that is
// checked takes 19 MiB for a moment, a page parsed for the first time some; the
// runtime by itself keeps them for minutes.
func giveBack(ctx context.Context, c clock.Clock) {
	unused := []metrics.Sample{{Name: "/memory/classes/heap/free:bytes"}}
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.After(lookAtMemory):
		}
		if metrics.Read(unused); unused[0].Value.Uint64() > unusedMost {
			debug.FreeOSMemory()
		}
	}
}
