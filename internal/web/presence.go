package web

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/clock"
)

// Presence knows who looks at which ticket and who is typing there, so that two
// people do not answer the same customer. It lives in memory only and forgets
// who falls silent.
type Presence struct {
	broker *Broker
	clock  clock.Clock
	look   func(ctx context.Context, actor authz.Actor, ticketID int64) (Audience, error)

	mu    sync.Mutex
	rooms map[int64]*presenceRoom
	wake  chan struct{}
}

type presenceRoom struct {
	to     Audience
	people map[int64]*present
}

type present struct {
	name        string
	seen, typed time.Time // seen: alive until; typed: typing until
	idle        bool      // his page is open, he has not touched it for a while
}

// Who is one person at a ticket.
type Who struct {
	ID     int64  `json:"id"`
	Name   string `json:"name"`
	Typing bool   `json:"typing,omitempty"`
	Idle   bool   `json:"idle,omitempty"`
}

// Sign is what a page says about its reader.
type Sign string

// The signs.
const (
	Here   Sign = ""
	Typing Sign = "typing"
	Idle   Sign = "idle" // he has not touched the page for some minutes
	Gone   Sign = "gone"
)

const (
	presentFor = 50 * time.Second // a page says every 20 s that it is open
	typingFor  = 6 * time.Second
)

// NewPresence returns an empty presence. look returns who may know of the
// ticket, or the fault the actor gets because he may not.
func NewPresence(b *Broker, c clock.Clock, look func(ctx context.Context, actor authz.Actor, ticketID int64) (Audience, error)) *Presence {
	p := &Presence{broker: b, clock: c, look: look, rooms: map[int64]*presenceRoom{}, wake: make(chan struct{}, 1)}
	if b.others != nil {
		b.others.Hear(presenceHint, p.hear)
	}
	return p
}

// Route adds POST /live/presence {ticket, typing, idle, gone}. The answer is who is
// there: a page that has just been opened may not listen yet when the others are told.
func (p *Presence) Route(rt *Router) {
	rt.Handle("POST /live/presence", SignedIn, func(w http.ResponseWriter, r *Request) error {
		f := r.Input()
		id, sign := f.ID("ticket"), Here
		for _, s := range []Sign{Idle, Typing, Gone} {
			if f.Bool(string(s)) {
				sign = s
			}
		}
		if err := f.Err(); err != nil {
			return err
		}
		if err := p.Beat(r.Context(), r.Actor, id, sign); err != nil {
			return err
		}
		return WriteJSON(w, http.StatusOK, p.At(id))
	})
}

// Beat says that actor has the ticket open, or has left it.
func (p *Presence) Beat(ctx context.Context, actor authz.Actor, ticketID int64, sign Sign) error {
	to, err := p.look(ctx, actor, ticketID)
	if err != nil {
		return err
	}
	p.note(ticketID, actor.ID, actor.Name, sign, to)
	if d := p.broker.others; d != nil {
		if raw, err := json.Marshal(said{ticketID, actor.ID, actor.Name, sign, to}); err == nil {
			d.Tell(presenceHint, string(raw))
		}
	}
	return nil
}

// presenceHint carries a sign to the other nodes.
const presenceHint = "presence"

// said is a sign on its way to another node.
type said struct {
	Ticket int64    `json:"t"`
	User   int64    `json:"u"`
	Name   string   `json:"n"`
	Sign   Sign     `json:"s"`
	To     Audience `json:"to"`
}

func (p *Presence) hear(text string) {
	var s said
	if json.Unmarshal([]byte(text), &s) == nil && s.Ticket != 0 {
		p.note(s.Ticket, s.User, s.Name, s.Sign, s.To)
	}
}

// note takes down a sign and tells those on this node who may know.
func (p *Presence) note(ticketID, userID int64, name string, sign Sign, to Audience) {
	typing, gone := sign == Typing, sign == Gone
	now := p.clock.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	room := p.rooms[ticketID]
	if room == nil {
		room = &presenceRoom{people: map[int64]*present{}}
		p.rooms[ticketID] = room
	}
	room.to = to
	before, known := room.people[userID]
	was := known && before.typed.After(now)
	if gone {
		delete(room.people, userID)
		if len(room.people) == 0 {
			delete(p.rooms, ticketID)
		}
	} else {
		who := &present{name: name, seen: now.Add(presentFor), idle: sign == Idle}
		if typing {
			who.typed = now.Add(typingFor)
		}
		room.people[userID] = who
	}
	if known == gone || was != typing || known && before.idle != (sign == Idle) {
		p.tell(ticketID, room, now)
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *Presence) tell(ticketID int64, room *presenceRoom, now time.Time) {
	p.broker.Publish(Message{Topic: "presence", ID: ticketID, Data: room.list(now), To: room.to})
}

func (room *presenceRoom) list(now time.Time) []Who {
	out := []Who{}
	for id, w := range room.people {
		out = append(out, Who{ID: id, Name: w.name, Typing: w.typed.After(now), Idle: w.idle})
	}
	slices.SortFunc(out, func(a, b Who) int { return int(a.ID - b.ID) })
	return out
}

// At returns who is at the ticket, in the order of their ids.
func (p *Presence) At(ticketID int64) []Who {
	p.mu.Lock()
	defer p.mu.Unlock()
	room := p.rooms[ticketID]
	if room == nil {
		return nil
	}
	return room.list(p.clock.Now())
}

// Expire forgets who has fallen silent and tells the others. It returns how
// long until there is something to forget again; 0 when nobody is there.
func (p *Presence) Expire() (next time.Duration) {
	now := p.clock.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, room := range p.rooms {
		changed := false
		for user, w := range room.people {
			if !w.seen.After(now) {
				delete(room.people, user)
				changed = true
				continue
			}
			until := w.seen
			if !w.typed.IsZero() {
				if w.typed.After(now) {
					until = w.typed
				} else {
					w.typed, changed = time.Time{}, true
				}
			}
			if d := until.Sub(now); next == 0 || d < next {
				next = d
			}
		}
		if changed {
			p.tell(id, room, now)
		}
		if len(room.people) == 0 {
			delete(p.rooms, id)
		}
	}
	return next
}

// Run expires until ctx ends. It sleeps while nobody is there.
func (p *Presence) Run(ctx context.Context) error {
	for {
		var due <-chan time.Time
		if d := p.Expire(); d > 0 {
			due = p.clock.After(d)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		case <-due:
		}
	}
}
