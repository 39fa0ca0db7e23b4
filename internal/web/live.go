package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/fault"
)

// Message tells browsers that something has changed. It carries ids only; the
// browser fetches what it shows with the permission of its own reader.
type Message struct {
	Topic string   `json:"t"`            // "ticket", "queue", "notification" …
	ID    int64    `json:"id,omitempty"` // 0: the topic as a whole
	Data  any      `json:"d,omitempty"`  // small, and only what everybody in To may know
	To    Audience `json:"-"`
}

// Audience says who may learn of a message: the named users, and whoever has
// Perm in a scope that covers the record. The zero Audience is nobody.
type Audience struct {
	Users      []int64
	Perm       authz.Permission
	Owners     []int64
	Department int64
	Staff      bool // every member of the staff: nothing but "look again"
}

func (a Audience) includes(actor authz.Actor) bool {
	if actor.Kind != authz.User {
		return false
	}
	if a.Staff || slices.Contains(a.Users, actor.ID) {
		return true
	}
	return a.Perm != "" && authz.For(actor, a.Perm).Matches(a.Owners, a.Department)
}

const (
	heartbeatEvery = 25 * time.Second       // below the minute after which proxies cut a silent stream
	flushEvery     = 250 * time.Millisecond // one browser hears at most four times a second
	writeWithin    = time.Minute            // a reader that takes nothing for so long has gone; well above heartbeatEvery
	streamsMax     = 40                     // of one person: each open page has one
	pendingMax     = 256                    // beyond it the browser is told to look at everything again
)

// Broker hands messages to the event streams of this node. A burst of messages
// reaches a browser as one, each (topic, id) once. Publish never blocks.
type Broker struct {
	clock clock.Clock
	boot  string

	others *db.DB // by which other nodes are told; nil: there are none

	mu     sync.Mutex
	subs   map[*subscriber]struct{}
	seq    uint64
	closed chan struct{}
	once   sync.Once
}

type subscriber struct {
	mu      sync.Mutex
	actor   authz.Actor
	pending []Message
	lost    bool
	wake    chan struct{}
}

// NewBroker returns a broker without subscribers.
func NewBroker(c clock.Clock) *Broker {
	return &Broker{clock: c, boot: strconv.FormatInt(c.Now().UnixMilli(), 36), subs: map[*subscriber]struct{}{}, closed: make(chan struct{})}
}

// Close ends all streams; browsers come back after a moment, to whoever listens
// then.
func (b *Broker) Close() { b.once.Do(func() { close(b.closed) }) }

// liveHint carries a message to the brokers of other nodes.
const liveHint = "live"

// Link joins the broker to those of the other nodes that share d.
func (b *Broker) Link(d *db.DB) *Broker {
	b.others = d
	d.Hear(liveHint, func(text string) {
		if text == "" { // some may have been missed
			b.Publish(Message{Topic: "notification", To: Audience{Staff: true}})
			return
		}
		var x travelling
		if json.Unmarshal([]byte(text), &x) == nil {
			x.Message.To = x.To
			b.Publish(x.Message)
		}
	})
	return b
}

// travelling is a message on its way to another node.
type travelling struct {
	Message
	To Audience `json:"to"`
}

// usersMost is how many persons a message to another node names.
const usersMost = 200

// Everywhere is Publish for what only one node knows of: the others tell their
// browsers too. Whoever follows the events does so on each node and just
// publishes.
func (b *Broker) Everywhere(m Message) {
	b.Publish(m)
	if b.others == nil {
		return
	}
	users := m.To.Users
	for first := true; first || len(users) > 0; first = false {
		x := travelling{m, m.To}
		x.To.Users = users[:min(len(users), usersMost)]
		users = users[len(x.To.Users):]
		if raw, err := json.Marshal(x); err == nil {
			b.others.Tell(liveHint, string(raw))
		}
	}
}

// Publish hands m to everybody in its audience on this node.
func (b *Broker) Publish(m Message) {
	b.mu.Lock()
	b.seq++
	subs := make([]*subscriber, 0, len(b.subs))
	for s := range b.subs {
		subs = append(subs, s)
	}
	b.mu.Unlock()
	for _, s := range subs {
		s.offer(m)
	}
}

func (s *subscriber) offer(m Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !m.To.includes(s.actor) {
		return
	}
	i := slices.IndexFunc(s.pending, func(p Message) bool { return p.Topic == m.Topic && p.ID == m.ID })
	switch {
	case i >= 0:
		s.pending[i] = m // the later one says it all
	case len(s.pending) >= pendingMax:
		s.lost, s.pending = true, nil
	case !s.lost:
		s.pending = append(s.pending, m)
	}
	s.rouse()
}

// rouse never blocks: somebody may have done so already.
func (s *subscriber) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// miss makes the reader look at everything again.
func (s *subscriber) miss() {
	s.mu.Lock()
	s.lost = true
	s.mu.Unlock()
	s.rouse()
}

// take returns what has come in since the last take.
func (s *subscriber) take() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	ms := s.pending
	if s.lost {
		ms = []Message{{Topic: "resync"}}
	}
	s.pending, s.lost = nil, false
	return ms
}

func (b *Broker) subscribe(actor authz.Actor) *subscriber {
	s := &subscriber{actor: actor, wake: make(chan struct{}, 1)}
	b.mu.Lock()
	b.subs[s] = struct{}{}
	b.mu.Unlock()
	return s
}

// admit is subscribe unless the person has too many streams already.
func (b *Broker) admit(actor authz.Actor) (*subscriber, bool) {
	b.mu.Lock()
	n := 0
	for s := range b.subs {
		s.mu.Lock()
		if s.actor.ID == actor.ID {
			n++
		}
		s.mu.Unlock()
	}
	b.mu.Unlock()
	if n >= streamsMax {
		return nil, false
	}
	return b.subscribe(actor), true
}

func (b *Broker) unsubscribe(s *subscriber) {
	b.mu.Lock()
	delete(b.subs, s)
	b.mu.Unlock()
}

// Subscription is the broker's stream for somebody inside the program.
type Subscription struct {
	b *Broker
	s *subscriber
}

// Subscribe returns what actor may hear from now on.
func (b *Broker) Subscribe(actor authz.Actor) *Subscription {
	return &Subscription{b, b.subscribe(actor)}
}

// Wake receives when there is something to take.
func (s *Subscription) Wake() <-chan struct{} { return s.s.wake }

// Take returns the messages since the last Take.
func (s *Subscription) Take() []Message { return s.s.take() }

// Close ends the subscription.
func (s *Subscription) Close() { s.b.unsubscribe(s.s) }

// Online returns the ids of the users who have a page open, in no order.
func (b *Broker) Online() []int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := map[int64]bool{}
	var ids []int64
	for s := range b.subs {
		s.mu.Lock()
		id := s.actor.ID
		s.mu.Unlock()
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids
}

// Route adds the event stream, GET /live.
func (b *Broker) Route(rt *Router) { rt.Handle("GET /live", SignedIn, b.serve, stream()) }

func (b *Broker) serve(w http.ResponseWriter, r *Request) error {
	select {
	case <-b.closed:
		return fault.New(fault.Unavailable, "ui.error.unavailable")
	default:
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Time{})
	send := func() error { // a deadline for each piece: the stream has no end, a reader that hangs has
		_ = c.SetWriteDeadline(time.Now().Add(writeWithin))
		return c.Flush()
	}
	s, ok := b.admit(r.Actor)
	if !ok {
		return fault.New(fault.Limited, "ui.error.limited", time.Minute)
	}
	defer b.unsubscribe(s)

	// A browser that comes back may have missed something; we keep no history,
	// it looks again.
	if last := r.Header.Get("Last-Event-ID"); last != "" && last != b.id() {
		s.miss()
	}
	fmt.Fprintf(w, "retry: 3000\nid: %s\nevent: hello\ndata: {}\n\n", b.id())
	if err := send(); err != nil {
		return nil // gone
	}
	beat := b.clock.After(heartbeatEvery)
	for {
		select {
		case <-r.Context().Done():
			return nil
		case <-b.closed:
			return nil
		case <-beat:
			beat = b.clock.After(heartbeatEvery)
			if !b.stillThere(r, s) {
				return nil
			}
			fmt.Fprint(w, ": \n\n")
		case <-s.wake:
			ms := s.take()
			if len(ms) == 0 {
				continue
			}
			data, err := json.Marshal(ms)
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "id: %s\ndata: %s\n\n", b.id(), data)
		}
		if err := send(); err != nil {
			return nil
		}
		select { // what comes within this time goes out together
		case <-r.Context().Done():
			return nil
		case <-b.closed:
			return nil
		case <-b.clock.After(flushEvery):
		}
	}
}

func (b *Broker) id() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.boot + "." + strconv.FormatUint(b.seq, 36)
}

// stillThere looks whether the reader is still signed in, and takes over rights
// that have changed meanwhile.
func (b *Broker) stillThere(r *Request, s *subscriber) bool {
	actor, err := r.Again()
	if fault.Is(err, fault.Unavailable) {
		return true // nobody can have been signed out meanwhile
	}
	if err != nil || actor.Kind != authz.User {
		return false
	}
	s.mu.Lock()
	s.actor = actor
	s.mu.Unlock()
	return true
}

// Again authenticates the request once more, for answers that last.
func (r *Request) Again() (authz.Actor, error) {
	for _, a := range r.opts.auth {
		if actor, ok, err := a.Authenticate(r.Request); err != nil || ok {
			return actor, err
		}
	}
	return authz.Actor{}, fault.New(fault.Unauthenticated, "ui.error.unauthenticated")
}
