package bench

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// usage is the CPU time of processes, s; the first of pids is the server, the
// others are the database working for it.
type usage struct {
	server int
	by     map[int]float64
}

// ticks per second of the kernel's accounting: USER_HZ, 100 on Linux.
const ticks = 100

func cpuOf(pids []int) usage {
	u := usage{by: map[int]float64{}}
	for i, p := range pids {
		if i == 0 {
			u.server = p
		}
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p))
		if err != nil {
			continue
		}
		f := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
		if len(f) > 12 {
			user, _ := strconv.ParseFloat(f[11], 64)
			system, _ := strconv.ParseFloat(f[12], 64)
			u.by[p] = (user + system) / ticks
		}
	}
	return u
}

// since returns the time spent since before, by the server and by its database.
func (u usage) since(before usage) (server, store float64) {
	for p, s := range u.by {
		if d := s - before.by[p]; p == u.server {
			server += d
		} else {
			store += d
		}
	}
	return server, store
}

// Memory of a process, MiB.
type Memory struct {
	Resident float64 `json:"resident"` // all of it
	Own      float64 `json:"own"`      // without pages of files, which the system takes back when it needs them
	Share    float64 `json:"share"`    // proportional share, as smaps_rollup counts
}

func memoryOf(pid int) (m Memory) {
	read := func(file string, want map[string]*float64) {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
		if err != nil {
			return
		}
		for _, line := range strings.Split(string(raw), "\n") {
			if f := strings.Fields(line); len(f) > 1 && want[f[0]] != nil {
				kb, _ := strconv.ParseFloat(f[1], 64)
				*want[f[0]] = kb / 1024
			}
		}
	}
	read("status", map[string]*float64{"VmRSS:": &m.Resident, "RssAnon:": &m.Own})
	read("smaps_rollup", map[string]*float64{"Pss:": &m.Share})
	return m
}

// backends returns the processes that work for connections to the database
// name, when it runs on this machine.
func backends(ctx context.Context, admin *sql.DB, name string) []int {
	rows, err := admin.QueryContext(ctx, `SELECT pid FROM pg_stat_activity WHERE datname = $1`, name)
	if err != nil {
		return nil
	}
	defer rows.Close()
	var out []int
	for rows.Next() {
		var p int
		if rows.Scan(&p) == nil {
			out = append(out, p)
		}
	}
	return out
}
