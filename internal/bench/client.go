package bench

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"sync"
	"time"
)

// target is a server under load; ops are what its clients do.
type target struct {
	base    string
	cookies []*http.Cookie // one per client; nil: none
	ops     map[string]op
	pids    func() []int // whose CPU time the work costs
}

// op is one gesture with all requests it makes. It returns the bytes received.
type op func(c *client) (int64, error)

// client is one agent at work.
type client struct {
	t      *target
	n      int // from 0
	http   *http.Client
	rnd    *rand.Rand
	cookie *http.Cookie
	asked  int
	found  []int // customers in some of the answers to searches
}

func (t *target) client(n int) *client {
	tr := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 1, DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext}
	c := &client{t: t, n: n, rnd: rand.New(rand.NewPCG(7, uint64(n))), http: &http.Client{Transport: tr, Timeout: 2 * time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	if len(t.cookies) > 0 {
		c.cookie = t.cookies[n%len(t.cookies)]
	}
	return c
}

// get asks for a page, or for a part of it meant for the element target.
func (c *client) get(path, target string) (int64, error) {
	_, n, err := c.do(http.MethodGet, path, target, nil)
	return n, err
}

// find asks for the rows of a search; in one answer of fifty it counts them.
func (c *client) find(path string) (int64, error) {
	if c.asked++; c.asked%50 != 1 {
		return c.get(path, "div#rows")
	}
	var b bytes.Buffer
	_, n, err := c.send(http.MethodGet, path, "div#rows", nil, &b)
	if err != nil {
		return n, err
	}
	z, err := gzip.NewReader(&b)
	if err != nil {
		return n, err
	}
	page, err := io.ReadAll(z)
	c.found = append(c.found, bytes.Count(page, []byte(`<tr id="c`)))
	return n, err
}

// post sends a form and, where the answer sends the browser to another page,
// asks for that too.
func (c *client) post(path, target string, form url.Values) (int64, error) {
	to, n, err := c.do(http.MethodPost, path, target, form)
	if err == nil && to != "" {
		var m int64
		m, err = c.get(to, "")
		n += m
	}
	return n, err
}

func (c *client) do(method, path, target string, form url.Values) (location string, n int64, err error) {
	return c.send(method, path, target, form, io.Discard)
}

// send makes a request and writes the body of the answer to out.
func (c *client) send(method, path, target string, form url.Values, out io.Writer) (location string, n int64, err error) {
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequest(method, c.t.base+path, body)
	if err != nil {
		return "", 0, err
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("Accept-Encoding", "gzip")
	r.Header.Set("Accept-Language", "zh-CN")
	if c.cookie != nil {
		r.AddCookie(c.cookie)
	}
	if target != "" {
		r.Header.Set("HX-Request", "true")
		r.Header.Set("HX-Target", target)
		r.Header.Set("HX-Current-URL", c.t.base+"/tickets")
	}
	res, err := c.http.Do(r)
	if err != nil {
		return "", 0, err
	}
	defer res.Body.Close()
	if res.StatusCode >= 400 {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 300))
		return "", 0, fmt.Errorf("%s %s: %s %q", method, path, res.Status, text)
	}
	n, err = io.Copy(out, res.Body)
	location = res.Header.Get("Location")
	if to := res.Header.Get("HX-Redirect"); to != "" {
		location = to
	}
	return location, n, err
}

// Result is what one kind of operation took.
type Result struct {
	Op       string  `json:"op"`
	N        int     `json:"n"`
	PerSec   float64 `json:"per_s"`
	P50      float64 `json:"p50_ms"`
	P95      float64 `json:"p95_ms"`
	P99      float64 `json:"p99_ms"`
	CPU      float64 `json:"cpu_ms,omitempty"` // per operation, of the server and its database
	CPUStore float64 `json:"cpu_db_ms,omitempty"`
	Bytes    int64   `json:"bytes"`
	Found    float64 `json:"found,omitempty"` // customers shown
	Errors   int     `json:"errors,omitempty"`
	Error    string  `json:"error,omitempty"` // the first
}

// share is how often an operation comes in a mix.
type share struct {
	op     string
	weight int
}

// load lets clients work for d: as fast as they can, or rate operations a
// second. Latency at a rate counts from when the operation was due, so that a
// server that stalls is not flattered.
func (t *target) load(ctx context.Context, clients int, d time.Duration, rate float64, mix []share) (all Result, each map[string]Result, err error) {
	type rec struct {
		op   string
		took time.Duration
	}
	var (
		mu      sync.Mutex
		recs    []rec
		size    int64
		found   []int
		bad     = map[string]int{}
		badWhy  = map[string]string{}
		wg      sync.WaitGroup
		due     = make(chan time.Time, 1<<14)
		total   int
		started = time.Now()
		end     = started.Add(d)
	)
	for _, s := range mix {
		if t.ops[s.op] == nil {
			return all, nil, fmt.Errorf("bench: no operation %q", s.op)
		}
		total += s.weight
	}
	choose := func(r *rand.Rand) string {
		x := r.IntN(total)
		for _, s := range mix {
			if x -= s.weight; x < 0 {
				return s.op
			}
		}
		return mix[0].op
	}
	before := cpuOf(t.pids())
	if rate > 0 {
		wg.Go(func() {
			defer close(due)
			r := rand.New(rand.NewPCG(11, 13))
			for at := started; ; {
				at = at.Add(time.Duration(r.ExpFloat64() / rate * 1e9))
				if at.After(end) || ctx.Err() != nil {
					return
				}
				time.Sleep(time.Until(at))
				due <- at
			}
		})
	}
	for i := range clients {
		wg.Go(func() {
			c := t.client(i)
			defer c.http.CloseIdleConnections()
			var mine []rec
			var got int64
			work := func(at time.Time) {
				k := choose(c.rnd)
				n, err := t.ops[k](c)
				got += n
				mine = append(mine, rec{k, time.Since(at)})
				if err != nil {
					mu.Lock()
					bad[k]++
					if badWhy[k] == "" {
						badWhy[k] = err.Error()
					}
					mu.Unlock()
				}
			}
			if rate > 0 {
				for at := range due {
					work(at)
				}
			} else {
				for ctx.Err() == nil {
					at := time.Now()
					if at.After(end) {
						break
					}
					work(at)
				}
			}
			mu.Lock()
			recs, size, found = append(recs, mine...), size+got, append(found, c.found...)
			mu.Unlock()
		})
	}
	wg.Wait()
	took := time.Since(started).Seconds()
	after := cpuOf(t.pids())
	if len(recs) == 0 {
		return all, nil, errors.New("bench: nothing was done")
	}
	sum := func(name, only string) Result {
		var l []time.Duration
		for _, r := range recs {
			if only == "" || r.op == only {
				l = append(l, r.took)
			}
		}
		if len(l) == 0 {
			return Result{Op: name}
		}
		sort.Slice(l, func(i, j int) bool { return l[i] < l[j] })
		q := func(p float64) float64 { return float64(l[int(p*float64(len(l)-1))].Microseconds()) / 1000 }
		return Result{Op: name, N: len(l), PerSec: float64(len(l)) / took, P50: q(.5), P95: q(.95), P99: q(.99), Errors: bad[only], Error: badWhy[only]}
	}
	name := "minute"
	if len(mix) == 1 {
		name = mix[0].op
	}
	all = sum(name, "")
	all.Errors = 0
	for k, n := range bad {
		all.Errors += n
		all.Error = badWhy[k]
	}
	all.Bytes = size / int64(len(recs))
	for _, n := range found {
		all.Found += float64(n) / float64(len(found))
	}
	own, store := after.since(before)
	all.CPU, all.CPUStore = (own+store)*1000/float64(len(recs)), store*1000/float64(len(recs))
	each = map[string]Result{}
	for _, s := range mix {
		each[s.op] = sum(s.op, s.op)
	}
	return all, each, nil
}
