package crash

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"bihuan/internal/app/apptest"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/event"
)

// kills is how often the program is killed; `go test ./internal/crash -kills=100`
// is the full form.
var kills = flag.Int("kills", 5, "how often to kill the program")

const writers = 8

// patience bounds every wait.
const patience = 60 * time.Second

var program struct {
	once sync.Once
	path string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if program.path != "" {
		os.RemoveAll(filepath.Dir(program.path))
	}
	os.Exit(code)
}

// binary builds the program as it is shipped, unless BIHUAN_TEST_BINARY names one.
func binary(t *testing.T) string {
	t.Helper()
	if built := os.Getenv("BIHUAN_TEST_BINARY"); built != "" {
		return built
	}
	program.once.Do(func() {
		dir, err := os.MkdirTemp("", "bihuan-crash-")
		if err != nil {
			program.err = err
			return
		}
		program.path = filepath.Join(dir, "bihuan")
		c := exec.Command("go", "build", "-o", program.path, "bihuan/cmd/bihuan")
		c.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := c.CombinedOutput(); err != nil {
			program.err = fmt.Errorf("build: %w\n%s", err, out)
		}
	})
	if program.err != nil {
		t.Fatal(program.err)
	}
	return program.path
}

// place is a store with people in it, and how to reach the program on it.
type place struct {
	t        *testing.T
	data     string // folder
	database string // "" on SQLite
	token    string
	cookie   *http.Cookie // of somebody signed in
	log      string

	mu   sync.Mutex
	cmd  *exec.Cmd
	base string
}

func furnish(t *testing.T, postgres string) *place {
	t.Helper()
	h := apptest.Open(t, apptest.Options{Postgres: postgres, Clock: clock.Real()})
	p := &place{t: t, data: h.Config.Data, database: h.Config.Database, token: h.Token(authz.RoleAdmin), cookie: h.Cookie(authz.RoleHead), log: filepath.Join(t.TempDir(), "log")}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *place) args() []string {
	a := []string{"--data", p.data}
	if p.database != "" {
		a = append(a, "--database", p.database)
	}
	return a
}

var address = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// start runs the program, behind wrapper if there is one, and waits until it
// says where it listens.
func (p *place) start(wrapper ...string) {
	p.t.Helper()
	args := append(append(wrapper, binary(p.t), "serve", "--listen", "127.0.0.1:0"), p.args()...)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that a wrapper dies with it
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	found := make(chan string, 1)
	go func() {
		in := bufio.NewScanner(out)
		for in.Scan() {
			if a := address.FindString(in.Text()); a != "" {
				select {
				case found <- a:
				default:
				}
			}
		}
		close(found)
	}()
	select {
	case base, ok := <-found:
		if !ok {
			text, _ := os.ReadFile(p.log)
			p.t.Fatalf("the program ended at once:\n%s", text)
		}
		p.mu.Lock()
		p.cmd, p.base = cmd, base
		p.mu.Unlock()
	case <-time.After(patience):
		p.t.Fatal("the program does not start")
	}
	p.t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); _ = cmd.Wait() })
}

// kill ends the program like a power cut would.
func (p *place) kill() {
	p.t.Helper()
	p.mu.Lock()
	cmd := p.cmd
	p.mu.Unlock()
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
		p.t.Fatal(err)
	}
	_ = cmd.Wait()
}

// post sends one request. The error is one of the network: no answer was read.
func (p *place) post(ctx context.Context, client *http.Client, path, key string, body any) (status int, answer map[string]any, err error) {
	p.mu.Lock()
	base := p.base
	p.mu.Unlock()
	raw, err := json.Marshal(body)
	if err != nil {
		return 0, nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/api/v1"+path, bytes.NewReader(raw))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Authorization", "Bearer "+p.token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", key)
	res, err := client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, nil, err
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return 0, nil, fmt.Errorf("%d: %w: %.200s", res.StatusCode, err, text)
	}
	return res.StatusCode, answer, nil
}

// ticket registers one and returns its number.
func (p *place) ticket(ctx context.Context, client *http.Client, key, title, phone string) (string, error) {
	status, a, err := p.post(ctx, client, "/tickets", key, map[string]any{
		"title": title, "type": "consultation", "urgency": "normal",
		"new_customer": map[string]any{"type": "person", "name": "客户" + phone, "contacts": []map[string]any{{"name": "客户", "phone": phone}}},
	})
	if err != nil {
		return "", err
	}
	number, _ := a["number"].(string)
	if status != http.StatusCreated || number == "" {
		return "", fmt.Errorf("ticket refused: %d %v", status, a)
	}
	return number, nil
}

// A power cut at any moment takes nothing back that was answered, and a client
// that sends again what it got no answer for does nothing twice.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); killed(t, furnish(t, ""), *kills) })
	if server := os.Getenv("BIHUAN_TEST_POSTGRES"); server != "" {
		t.Run("postgres", func(t *testing.T) { t.Parallel(); killed(t, furnish(t, server), *kills) })
	}
}

func killed(t *testing.T, p *place, kills int) {
	p.start()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var (
		wg       sync.WaitGroup
		progress atomic.Int64
		mu       sync.Mutex
		answered = map[string]bool{} // by marker
		tickets  = map[string]string{}
		sent     = map[string]bool{}
	)
	note := func(m map[string]bool, k string) { mu.Lock(); m[k] = true; mu.Unlock() }
	for w := range writers {
		wg.Go(func() {
			client := &http.Client{Timeout: 20 * time.Second}
			// again repeats a request until it is answered: the same key each time.
			again := func(do func() error) bool {
				for {
					err := do()
					if err == nil {
						return true
					}
					if ctx.Err() != nil {
						return false
					}
					var refused refusal
					if errors.As(err, &refused) {
						t.Errorf("writer %d: %v", w, err)
						return false
					}
					client.CloseIdleConnections()
					time.Sleep(20 * time.Millisecond) // the program is being started again
				}
			}
			number := ""
			for i := 0; ctx.Err() == nil; i++ {
				if i%10 == 0 {
					marker := fmt.Sprintf("request-%d-%d", w, i)
					note(sent, marker)
					ok := again(func() (err error) {
						number, err = p.ticket(ctx, client, marker, marker, fmt.Sprintf("13%d%08d", w, i))
						return refuse(err)
					})
					if !ok {
						return
					}
					mu.Lock()
					tickets[marker] = number
					mu.Unlock()
				}
				marker := fmt.Sprintf("record-%d-%d-", w, i)
				note(sent, marker)
				ok := again(func() error {
					status, a, err := p.post(ctx, client, "/tickets/"+number+"/follow-ups", marker, map[string]any{"method": "phone", "body": marker + "：电话联系客户，约定明天上午上门。"})
					if err == nil && status != http.StatusCreated {
						err = refusal{fmt.Sprintf("%d %v", status, a)}
					}
					return err
				})
				if !ok {
					return
				}
				note(answered, marker)
				progress.Add(1)
			}
		})
	}
	for n := range kills {
		target := progress.Load() + 5 + rand.Int64N(60)
		for began := time.Now(); progress.Load() < target; time.Sleep(time.Millisecond) {
			if time.Since(began) > patience {
				text, _ := os.ReadFile(p.log)
				t.Fatalf("no progress after kill %d:\n%s", n, text[max(0, len(text)-2000):])
			}
			if t.Failed() {
				stop()
				wg.Wait()
				t.FailNow()
			}
		}
		p.kill()
		p.start()
	}
	stop()
	wg.Wait()
	p.kill() // once more, with writes under way that nobody waits for

	d, err := db.Open(context.Background(), db.Config{URL: p.database, Dir: p.data})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	found := count(t, d, `SELECT body FROM entries WHERE kind = 'follow_up'`, regexp.MustCompile(`record-\d+-\d+-`))
	for m := range answered {
		if found[m] == 0 {
			t.Errorf("%s was answered and is lost", m)
		}
	}
	for m, n := range found {
		if n > 1 {
			t.Errorf("%s is there %d times", m, n)
		}
		if !sent[m] {
			t.Errorf("%s was never sent", m)
		}
	}
	found = count(t, d, `SELECT title FROM tickets`, regexp.MustCompile(`request-\d+-\d+`))
	for m, number := range tickets {
		if found[m] != 1 {
			t.Errorf("ticket %s (%s) is there %d times", number, m, found[m])
		}
	}
	for m, n := range found {
		if n > 1 {
			t.Errorf("ticket %s is there %d times", m, n)
		}
	}
	if r, err := event.Verify(context.Background(), d.Read()); err != nil || r.BrokenAt != 0 {
		t.Errorf("the chain of facts does not hold: %+v, %v", r, err)
	}
	if d.Dialect() == db.SQLite {
		var sound string
		if err := d.Read().QueryRow(context.Background(), `PRAGMA integrity_check`).Scan(&sound); err != nil || sound != "ok" {
			t.Errorf("integrity: %s, %v", sound, err)
		}
	}
	out, err := exec.Command(binary(t), append([]string{"audit", "verify"}, p.args()...)...).CombinedOutput()
	if err != nil {
		t.Errorf("audit verify: %v\n%s", err, out)
	}
	t.Logf("%d kills, %d records and %d tickets answered; %s", kills+1, len(answered), len(tickets), bytes.TrimSpace(out))
}

// refusal is an answer that is none of success: trying again would not help.
type refusal struct{ text string }

func (r refusal) Error() string { return "refused: " + r.text }

func refuse(err error) error {
	if err != nil && strings.HasPrefix(err.Error(), "ticket refused") {
		return refusal{err.Error()}
	}
	return err
}

// count returns how often each marker occurs.
func count(t *testing.T, d *db.DB, query string, marker *regexp.Regexp) map[string]int {
	t.Helper()
	rows, err := d.Read().Query(context.Background(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := map[string]int{}
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		if m := marker.FindString(s); m != "" {
			out[m]++
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}
