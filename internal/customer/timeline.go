package customer

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/journal"
	"bihuan/internal/task"
)

// Tickets says which tickets a reader may see. The ticket room is above this
// one; the program hands it in with [Service.ShowTickets].
type Tickets interface {
	// TicketRefs returns those of the tickets that the actor may see.
	TicketRefs(ctx context.Context, actor authz.Actor, ids []int64) (map[int64]TicketRef, error)
}

// TicketRef names a ticket on a customer's timeline.
type TicketRef struct {
	ID     int64
	Number string
	Title  string
}

// ShowTickets lets timelines show what happened on tickets. Without it they
// show only what is about the customer himself.
func (s *Service) ShowTickets(t Tickets) { s.tickets = t }

// What a timeline may be narrowed to; locale keys customer.timeline.<what>.
const (
	All       = ""
	Messages  = "message"
	Notes     = "note"
	FollowUps = "follow_up"
	Moves     = "ticket"
	Changes   = "change"
)

// TimelineFilters in the order they are offered.
var TimelineFilters = []string{All, Messages, FollowUps, Notes, Moves, Changes}

var entryKinds = map[string][]journal.Kind{
	All:       nil,
	Messages:  {journal.Customer, journal.Reply, journal.Question},
	Notes:     {journal.Note},
	FollowUps: {journal.FollowUp},
	Moves:     {journal.Move, journal.System},
}

// Item is one line of a timeline: an entry of the journal or a fact.
type Item struct {
	At     time.Time
	Entry  *journal.Entry
	Event  *event.Stored
	Ticket TicketRef // of an entry about a ticket
}

// Changes decodes what a Changed or StageChanged fact changed; nil for other
// items.
func (i Item) Changes() []Change {
	var d ChangedData
	if i.Event != nil && (i.Event.Kind == Changed || i.Event.Kind == StageChanged) {
		_ = i.Event.Decode(&d)
	}
	return d.Changes
}

// Tags decodes a TagsChanged fact.
func (i Item) Tags() (d TagsData) {
	if i.Event != nil && i.Event.Kind == TagsChanged {
		_ = i.Event.Decode(&d)
	}
	return d
}

// Revealed decodes a FieldRevealed fact.
func (i Item) Revealed() (d RevealedData) {
	if i.Event != nil && i.Event.Kind == FieldRevealed {
		_ = i.Event.Decode(&d)
	}
	return d
}

// Timeline returns everything said and done about a customer, newest first, at
// most limit items older than the cursor before ("": the newest), and the
// cursor of what follows ("": nothing does). Entries of tickets the actor may
// not see are left out. Who looked at sensitive values shows under Changes only.
func (s *Service) Timeline(ctx context.Context, actor authz.Actor, id int64, before, filter string, limit int) (items []Item, next string, err error) {
	q := s.db().Read()
	if err := s.visible(ctx, q, View(actor), id); err != nil {
		return nil, "", err
	}
	kinds, ok := entryKinds[filter]
	if !ok && filter != Changes {
		filter, kinds = All, nil
	}
	if limit <= 0 || limit > 100 {
		limit = 30
	}
	entriesBefore, eventsBefore, paged := parseCursor(before)
	wantEntries, wantEvents := filter != Changes, filter == All || filter == Changes
	if paged { // 1 is older than everything: that stream is at its end
		wantEntries, wantEvents = wantEntries && entriesBefore != 1, wantEvents && eventsBefore != 1
	}
	var pool []Item
	moreEntries, moreEvents := false, false
	// How far each stream is known: older items may still come from beyond.
	var entryFloor, eventFloor time.Time
	if wantEntries {
		for round := 0; ; round++ {
			es, more, err := journal.Of(ctx, q, journal.Place{Customer: id}, journal.Page{Before: entriesBefore, Kinds: kinds, Limit: limit})
			if err != nil {
				return nil, "", err
			}
			refs, err := s.ticketRefs(ctx, actor, es)
			if err != nil {
				return nil, "", err
			}
			shown := 0
			for i := range es {
				e := &es[i]
				if e.TicketID != 0 && refs[e.TicketID].ID == 0 {
					continue
				}
				pool = append(pool, Item{At: e.CreatedAt, Entry: e, Ticket: refs[e.TicketID]})
				shown++
			}
			moreEntries = more
			if len(es) > 0 {
				entriesBefore, entryFloor = es[0].ID, es[0].CreatedAt
			}
			if shown > 0 || !more || round == 20 {
				break
			}
		}
	}
	if wantEvents {
		evs, err := s.eventsOf(ctx, q, id, eventsBefore, limit+1)
		if err != nil {
			return nil, "", err
		}
		if moreEvents = len(evs) > limit; moreEvents {
			evs = evs[:limit]
		}
		for i := range evs {
			e := &evs[i]
			eventsBefore, eventFloor = e.ID, db.FromMicros(e.At)
			if e.Kind == FollowUpAdded || e.Kind == EntryFixed || e.Kind == FieldRevealed && filter != Changes {
				continue
			}
			pool = append(pool, Item{At: db.FromMicros(e.At), Event: e})
		}
	}
	sort.SliceStable(pool, func(i, j int) bool { return pool[i].At.After(pool[j].At) })
	// Items older than what is known of the other stream wait for the next page.
	floor := time.Time{}
	if moreEntries && entryFloor.After(floor) {
		floor = entryFloor
	}
	if moreEvents && eventFloor.After(floor) {
		floor = eventFloor
	}
	cut := len(pool)
	if !floor.IsZero() {
		cut = slices.IndexFunc(pool, func(i Item) bool { return i.At.Before(floor) })
		if cut < 0 {
			cut = len(pool)
		}
	}
	items, rest := pool[:cut], pool[cut:]
	// The next page begins behind the oldest item shown of each stream.
	for _, i := range rest {
		if i.Entry != nil {
			entriesBefore, moreEntries = max(entriesBefore, i.Entry.ID+1), true
		} else {
			eventsBefore, moreEvents = max(eventsBefore, i.Event.ID+1), true
		}
	}
	if !moreEntries && !moreEvents {
		return items, "", nil
	}
	if !moreEntries {
		entriesBefore = 1
	}
	if !moreEvents {
		eventsBefore = 1
	}
	return items, cursorOf(entriesBefore, eventsBefore), nil
}

func (s *Service) ticketRefs(ctx context.Context, actor authz.Actor, es []journal.Entry) (map[int64]TicketRef, error) {
	if s.tickets == nil {
		return nil, nil
	}
	var ids []int64
	for _, e := range es {
		if e.TicketID != 0 && !slices.Contains(ids, e.TicketID) {
			ids = append(ids, e.TicketID)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	refs, err := s.tickets.TicketRefs(ctx, actor, ids)
	if err != nil {
		return nil, fmt.Errorf("customer: tickets of timeline: %w", err)
	}
	return refs, nil
}

// RefuseVague lets ask say whether records that say nothing are refused, here as
// on tickets (FLW-3). Without it they are pointed out only.
func (s *Service) RefuseVague(ask func(ctx context.Context, q db.Querier) (bool, error)) {
	s.vague = ask
}

// AddFollowUp writes a follow-up record about a customer (FLW-1).
func (s *Service) AddFollowUp(ctx context.Context, actor authz.Actor, id int64, body string, r journal.Record) (entryID int64, err error) {
	err = s.run.Do(ctx, actor, "customer.add_follow_up", func(ctx context.Context, a *action.Action) error {
		if err := s.may(ctx, a, id, PermFollowUp); err != nil {
			return err
		}
		if strings.TrimSpace(r.NextPlan) != "" && r.NextOwnerID == 0 && a.Actor.Kind == authz.User {
			r.NextOwnerID, r.NextOwnerName = a.Actor.ID, a.Actor.Name
		}
		refuse := false
		if s.vague != nil {
			if refuse, err = s.vague(ctx, a); err != nil {
				return err
			}
		}
		entryID, err = journal.AddFollowUp(ctx, a, 0, id, text(body), r, refuse)
		if err != nil {
			return err
		}
		a.Record(event.Event{Kind: FollowUpAdded, Subject: Subject(id), Data: EntryData{entryID}})
		if r.Spoken() { // he has been in touch with him
			if err := task.Settle(ctx, a, Subject(id), task.Done, "", task.ByVisit); err != nil {
				return err
			}
		}
		return FollowedUp(ctx, a.Tx, id, r)
	})
	return entryID, err
}

// Correct adds to an own follow-up record about a customer what it should have
// said (FLW-6). Records on tickets are corrected there.
func (s *Service) Correct(ctx context.Context, actor authz.Actor, id, entry int64, body string, r journal.Record) (entryID int64, err error) {
	err = s.run.Do(ctx, actor, "customer.correct", func(ctx context.Context, a *action.Action) error {
		if err := s.may(ctx, a, id, PermFollowUp); err != nil {
			return err
		}
		e, err := journal.Get(ctx, a, entry)
		if err != nil {
			return err
		}
		if e.CustomerID != id || e.TicketID != 0 {
			return fault.New(fault.NotFound, "journal.not_found")
		}
		if was := e.Record(); strings.TrimSpace(r.NextPlan) != "" && r.NextOwnerID == 0 {
			r.NextOwnerID, r.NextOwnerName = was.NextOwnerID, was.NextOwnerName
			if r.NextOwnerID == 0 {
				r.NextOwnerID, r.NextOwnerName = a.Actor.ID, a.Actor.Name
			}
		}
		if entryID, err = journal.Correct(ctx, a, e, text(body), r, false); err != nil {
			return err
		}
		a.Record(event.Event{Kind: EntryFixed, Subject: Subject(id), Data: EntryData{entryID}})
		return FollowedUp(ctx, a.Tx, id, r)
	})
	return entryID, err
}

// OwnRecord returns a follow-up record about a customer that actor may correct.
func (s *Service) OwnRecord(ctx context.Context, actor authz.Actor, id, entry int64) (journal.Entry, error) {
	e, err := journal.Get(ctx, s.db().Read(), entry)
	if err != nil {
		return e, err
	}
	if e.CustomerID != id || e.TicketID != 0 || e.Kind != journal.FollowUp {
		return e, fault.New(fault.NotFound, "journal.not_found")
	}
	if !e.Correctable(actor) {
		return e, fault.New(fault.Forbidden, "journal.correct.not_yours")
	}
	return e, nil
}

// CorrectedBy returns which of the entries have been corrected, and by which.
func (s *Service) CorrectedBy(ctx context.Context, ids []int64) (map[int64]int64, error) {
	return journal.CorrectedBy(ctx, s.db().Read(), ids)
}
