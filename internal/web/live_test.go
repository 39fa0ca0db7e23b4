package web

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/fault"
)

const permView authz.Permission = "livetest.view"

func person(id int64, l authz.Level, dept int64) authz.Actor {
	return authz.Actor{Kind: authz.User, ID: id, Name: fmt.Sprint("u", id), DepartmentID: dept, Teams: []int64{dept},
		Levels: map[authz.Permission]authz.Level{permView: l}}
}

func TestMessagesReachOnlyTheirAudience(t *testing.T) {
	t.Parallel()
	b := NewBroker(clock.NewFake(noon))
	people := map[string]authz.Actor{
		"owner": person(1, authz.Own, 10), "colleague": person(2, authz.Own, 10), "supervisor": person(3, authz.Department, 10),
		"other department": person(4, authz.Department, 20), "head": person(5, authz.All, 30), "nobody": person(6, authz.None, 10),
		"customer": {Kind: authz.Customer, ID: 1},
	}
	for _, c := range []struct {
		to   Audience
		want string
	}{
		{Audience{}, ""},
		{Audience{Users: []int64{2}}, "colleague"},
		{Audience{Perm: permView, Owners: []int64{1}, Department: 10}, "head owner supervisor"},
		{Audience{Perm: permView, Department: 20}, "head other department"},
		{Audience{Perm: "other.right", Owners: []int64{1}}, ""},
		{Audience{Staff: true}, "colleague head nobody other department owner supervisor"},
	} {
		subs := map[string]*Subscription{}
		for name, a := range people {
			subs[name] = b.Subscribe(a)
		}
		b.Publish(Message{Topic: "ticket", ID: 5, To: c.to})
		got := ""
		for _, name := range []string{"colleague", "customer", "head", "nobody", "other department", "owner", "supervisor"} {
			if len(subs[name].Take()) > 0 {
				got += " " + name
			}
			subs[name].Close()
		}
		if strings.TrimSpace(got) != c.want {
			t.Errorf("%+v: %q, want %q", c.to, strings.TrimSpace(got), c.want)
		}
	}
}

func TestBurstsComeOnce(t *testing.T) {
	t.Parallel()
	b := NewBroker(clock.NewFake(noon))
	s := b.Subscribe(person(1, authz.All, 1))
	to := Audience{Staff: true}
	for range 50 {
		b.Publish(Message{Topic: "ticket", ID: 5, To: to})
		b.Publish(Message{Topic: "queue", To: to})
	}
	if ms := s.Take(); len(ms) != 2 {
		t.Errorf("%d messages", len(ms))
	}
	for i := range pendingMax + 10 {
		b.Publish(Message{Topic: "ticket", ID: int64(i + 1), To: to})
	}
	if ms := s.Take(); len(ms) != 1 || ms[0].Topic != "resync" {
		t.Errorf("overflow: %d messages", len(ms))
	}
	b.Publish(Message{Topic: "ticket", ID: 1, To: to})
	if ms := s.Take(); len(ms) != 1 || ms[0].ID != 1 {
		t.Errorf("after the overflow: %v", ms)
	}
}

// Something that happens between subscribing and looking back must not stop the
// stream before it has begun.
func TestMissingIsSaidWithoutWaiting(t *testing.T) {
	t.Parallel()
	b := NewBroker(clock.NewFake(noon))
	s := b.subscribe(person(1, authz.All, 1))
	b.Publish(Message{Topic: "queue", To: Audience{Staff: true}})
	s.miss() // returns although there is a wake already
	if ms := s.take(); len(ms) != 1 || ms[0].Topic != "resync" {
		t.Errorf("%v", ms)
	}
}

func TestStreamsOfOnePersonAreBounded(t *testing.T) {
	t.Parallel()
	b := NewBroker(clock.NewFake(noon))
	var last *subscriber
	for range streamsMax {
		s, ok := b.admit(person(1, authz.All, 1))
		if !ok {
			t.Fatal("refused too early")
		}
		last = s
	}
	rt := New(Config{Auth: []Authenticator{as(person(1, authz.All, 1))}})
	b.Route(rt)
	if w := call(rt, "GET", "/live", ""); w.Code != http.StatusTooManyRequests {
		t.Errorf("one stream too many: %d", w.Code)
	}
	if _, ok := b.admit(person(2, authz.All, 1)); !ok {
		t.Error("others are refused as well")
	}
	b.unsubscribe(last)
	if _, ok := b.admit(person(1, authz.All, 1)); !ok {
		t.Error("still refused after a page was closed")
	}
}

func TestEventStream(t *testing.T) {
	t.Parallel()
	c := clock.Real() // the stream itself waits a quarter of a second between two messages
	b := NewBroker(c)
	rt := New(Config{Clock: c, Auth: []Authenticator{as(person(1, authz.All, 1))}})
	b.Route(rt)
	srv := httptest.NewServer(rt)
	defer srv.Close()
	req, _ := http.NewRequestWithContext(t.Context(), "GET", srv.URL+"/live", nil)
	req.Header.Set("Last-Event-ID", "old.3")
	req.Header.Set("Accept-Encoding", "gzip")
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.Header.Get("Content-Encoding") != "" || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("headers %v", res.Header)
	}
	lines := bufio.NewScanner(res.Body)
	next := func(prefix string) string {
		for lines.Scan() {
			if s, ok := strings.CutPrefix(lines.Text(), prefix); ok {
				return s
			}
		}
		return "(end)"
	}
	if got := next("event: "); got != "hello" {
		t.Errorf("first event %q", got)
	}
	next("data: ")
	if got := next("data: "); got != `[{"t":"resync"}]` {
		t.Errorf("a browser that comes back must look again: %s", got)
	}
	b.Publish(Message{Topic: "ticket", ID: 9, To: Audience{Users: []int64{1}}})
	if got := next("data: "); got != `[{"t":"ticket","id":9}]` {
		t.Errorf("message %s", got)
	}
	b.Close()
	for lines.Scan() {
	}
	if err := lines.Err(); err != nil {
		t.Errorf("end: %v", err)
	}
}

func TestPresence(t *testing.T) {
	t.Parallel()
	c := clock.NewFake(noon)
	b := NewBroker(c)
	p := NewPresence(b, c, func(_ context.Context, a authz.Actor, id int64) (Audience, error) {
		if id != 5 {
			return Audience{}, fault.New(fault.NotFound, "ui.error.not_found")
		}
		return Audience{Perm: permView, Department: 10}, nil
	})
	one, two, stranger := person(1, authz.Department, 10), person(2, authz.Department, 10), person(3, authz.Department, 20)
	s, deaf := b.Subscribe(two), b.Subscribe(stranger)
	beat := func(a authz.Actor, ticket int64, sign Sign) error { return p.Beat(t.Context(), a, ticket, sign) }
	if err := beat(one, 6, Here); !fault.Is(err, fault.NotFound) {
		t.Errorf("a ticket out of sight: %v", err)
	}
	heard := func() string { return fmt.Sprint(s.Take()) }
	for _, step := range []struct {
		name string
		do   func() error
		who  string
		told bool
	}{
		{"comes", func() error { return beat(one, 5, Here) }, "[{1 u1 false false}]", true},
		{"stays", func() error { return beat(one, 5, Here) }, "[{1 u1 false false}]", false},
		{"types", func() error { return beat(one, 5, Typing) }, "[{1 u1 true false}]", true},
		{"another comes", func() error { return beat(two, 5, Here) }, "[{1 u1 true false} {2 u2 false false}]", true},
		{"stops typing", func() error { c.Advance(typingFor); p.Expire(); return nil }, "[{1 u1 false false} {2 u2 false false}]", true},
		{"nothing", func() error { p.Expire(); return nil }, "[{1 u1 false false} {2 u2 false false}]", false},
		{"goes for tea", func() error { return beat(two, 5, Idle) }, "[{1 u1 false false} {2 u2 false true}]", true},
		{"drinks it", func() error { return beat(two, 5, Idle) }, "[{1 u1 false false} {2 u2 false true}]", false},
		{"is back", func() error { return beat(two, 5, Here) }, "[{1 u1 false false} {2 u2 false false}]", true},
		{"one leaves", func() error { return beat(one, 5, Gone) }, "[{2 u2 false false}]", true},
		{"leaves again", func() error { return beat(one, 5, Gone) }, "[{2 u2 false false}]", false},
		{"the other falls silent", func() error { c.Advance(presentFor); p.Expire(); return nil }, "[]", true},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got := fmt.Sprint(p.At(5)); got != step.who {
			t.Errorf("%s: %s, want %s", step.name, got, step.who)
		}
		if told := heard() != "[]"; told != step.told {
			t.Errorf("%s: told %v", step.name, told)
		}
	}
	if ms := deaf.Take(); len(ms) > 0 {
		t.Errorf("the other department heard %v", ms)
	}
	if d := p.Expire(); d != 0 {
		t.Errorf("nobody there, but wakes in %v", d)
	}
}

func TestLimiter(t *testing.T) {
	t.Parallel()
	c := clock.NewFake(noon)
	l := NewLimiter(c, 3, time.Minute, 100)
	for i := range 3 {
		if ok, _ := l.Allow("a"); !ok {
			t.Fatalf("attempt %d refused", i)
		}
	}
	if ok, wait := l.Allow("a"); ok || wait != time.Minute {
		t.Errorf("fourth: %v, wait %v", ok, wait)
	}
	if err := l.Check("a"); !fault.Is(err, fault.Limited) {
		t.Errorf("check: %v", err)
	}
	if ok, _ := l.Allow("b"); !ok {
		t.Error("another key is not concerned")
	}
	c.Advance(time.Minute)
	if ok, _ := l.Allow("a"); !ok {
		t.Error("refilled")
	}
	if ok, _ := l.Allow("a"); ok {
		t.Error("only one token came back")
	}
	l.Reset("a")
	if ok, _ := l.Allow("a"); !ok {
		t.Error("reset")
	}
	for i := range 10000 {
		l.Allow(fmt.Sprint("k", i))
	}
	if n := len(l.now) + len(l.old); n > 102 {
		t.Errorf("%d keys kept", n)
	}
}

func TestServeEndsGracefully(t *testing.T) {
	t.Parallel()
	rt := New(Config{})
	started, release := make(chan struct{}), make(chan struct{})
	rt.Handle("GET /slow", Public, func(w http.ResponseWriter, r *Request) error {
		close(started)
		<-release
		_, err := w.Write([]byte("done"))
		return err
	})
	l := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, l, rt, 10*time.Second, rt.cfg.Log) }()
	got := make(chan error, 1)
	go func() {
		res, err := http.Get("http://" + l.Addr().String() + "/slow")
		if err == nil && res.StatusCode != 200 {
			err = errors.New(res.Status)
		}
		got <- err
	}()
	<-started
	cancel()
	close(release)
	if err := <-got; err != nil {
		t.Errorf("running request: %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("serve: %v", err)
	}
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	for ip, want := range map[string]string{
		"203.0.113.7": "203.0.113.7", "::ffff:203.0.113.7": "203.0.113.7", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
		"2001:db8:1:2:ffff::1": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64", "@": "@", "": "",
	} {
		if got := Network(ip); got != want {
			t.Errorf("%s: %s, want %s", ip, got, want)
		}
	}
}
