package crash

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// kill -9 cannot show whether a write was synced: the kernel still has it. The
// system calls can: every record is written to the log of the database, that is
// synced, and only then the answer leaves.
func TestAnswersWaitForTheDisk(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("strace is a tool of Linux")
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("no strace: scripts/setup.sh installs it")
		}
		t.Skip("no strace on this machine (scripts/setup.sh installs it)")
	}
	t.Parallel()
	p := furnish(t, "")
	trace := filepath.Join(t.TempDir(), "trace")
	p.start(strace, "-f", "-y", "-s", "6000", "-o", trace, "-e", "trace=fsync,fdatasync,write,pwrite64,writev,sendto")
	ctx, client := context.Background(), &http.Client{Timeout: patience, Transport: &http.Transport{DisableCompression: true}} // the answers are to be read in the trace
	number, err := p.ticket(ctx, client, "sync", "落盘", "13800000001")
	if err != nil {
		t.Fatal(err)
	}
	const n = 20
	for i := range n {
		marker := fmt.Sprintf("synced-%d-", i)
		status, a, err := p.post(ctx, client, "/tickets/"+number+"/follow-ups", marker, map[string]any{"method": "phone", "body": marker + "：电话联系客户，约定明天上午上门。"})
		if err != nil || status != http.StatusCreated {
			t.Fatal(status, a, err)
		}
	}
	p.mu.Lock()
	cmd := p.cmd
	p.mu.Unlock()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("does not stop")
	}

	// In the order of the calls: where each marker was written to the log, where
	// the log was synced after that, where the answer left.
	f, err := os.Open(trace)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var written, synced, left [n]bool
	in := bufio.NewScanner(f)
	in.Buffer(make([]byte, 1<<20), 1<<20)
	syncing := map[string]bool{} // threads inside a sync of the log
	lines, answers := 0, 0
	for in.Scan() {
		lines++
		line := in.Text()
		thread, _, _ := strings.Cut(line, " ")
		wal := strings.Contains(line, "bihuan.db-wal>")
		call := strings.Contains(line, "sync(")
		switch {
		case call && wal && strings.Contains(line, "<unfinished"):
			syncing[thread] = true
		case call && wal && strings.Contains(line, "= 0"), syncing[thread] && strings.Contains(line, "sync resumed>") && strings.Contains(line, "= 0"):
			delete(syncing, thread)
			for i := range n {
				synced[i] = synced[i] || written[i]
			}
		case wal:
			for i := range n {
				if strings.Contains(line, fmt.Sprintf("synced-%d-", i)) {
					written[i] = true
				}
			}
		case strings.Contains(line, "\"HTTP/1.1 201 "):
			// One client that waits for each answer: the first is the ticket's, the
			// others come in the order of the records.
			if i := answers - 1; i >= 0 && i < n {
				left[i] = true
				if !synced[i] {
					t.Errorf("answer %d left before its record was synced (written: %v)", i, written[i])
				}
			}
			answers++
		}
	}
	if err := in.Err(); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if !left[i] || !written[i] {
			t.Errorf("the trace of %d calls does not show record %d (written %v, answered %v): has strace changed its words?", lines, i, written[i], left[i])
		}
	}
}
