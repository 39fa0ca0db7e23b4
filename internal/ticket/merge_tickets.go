package ticket

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/journal"
	"bihuan/internal/sla"
)

// Two tickets about the same thing become one (TKT-17). The one that goes is
// cancelled as a duplicate; what was said on it is read on the one that stays,
// in order, and keeps the number it was said on. Nothing is copied: undoing
// gives both back, and what was written on the survivor meanwhile stays there.
// Sub-tickets go over to the survivor, and back.

// MergeUndo is how long a merge can be taken back.
const MergeUndo = 30 * 24 * time.Hour

// mergedKept is what undoing gives back.
type mergedKept struct {
	State              State   `json:"state"`
	Supervisor         int64   `json:"supervisor,omitempty"`
	CustomerAt         int64   `json:"customer_at,omitempty"`
	SurvivorCustomerAt int64   `json:"survivor_customer_at,omitempty"`
	Children           []int64 `json:"children,omitempty"`
	Watchers           []int64 `json:"watchers,omitempty"` // who began to watch the survivor with it
	Linked             bool    `json:"linked,omitempty"`   // the link was made with it
	Tags               []int64 `json:"tags,omitempty"`     // that came to the survivor with it
}

// Merging is a merge that can be seen, and perhaps taken back.
type Merging struct {
	ID       int64
	Ticket   Ticket // that went
	Into     int64  // the survivor at that time
	By       string
	At       time.Time
	Reason   string
	Until    time.Time // when it can no longer be taken back
	Undoable bool
}

// lockPair takes both tickets of a merge for writing, always in one order.
func (s *Service) lockPair(ctx context.Context, a *action.Action, id int64, number string) error {
	if a.Dialect() != db.Postgres {
		return nil
	}
	ids := []int64{id}
	if number = strings.ToUpper(strings.TrimSpace(number)); number != "" {
		other, err := idsOf(ctx, a, `SELECT id FROM tickets WHERE number = $1`, number)
		if err != nil {
			return err
		}
		ids = append(ids, other...)
	} else {
		into, err := idsOf(ctx, a, `SELECT merged_into FROM tickets WHERE id = $1 AND merged_into > 0`, id)
		if err != nil {
			return err
		}
		ids = append(ids, into...)
	}
	return lockAll(ctx, a, ids)
}

// CheckMerge says what stands in the way of from going into to, nil when nothing
// does. other reports whether they are of different customers, which has to be
// confirmed.
func (s *Service) CheckMerge(actor authz.Actor, from, to *Ticket) (other bool, err error) {
	field := func(key string, args ...any) error {
		return fault.Invalidf(key, args...).Field("duplicate", key, args...)
	}
	switch {
	case from.ID == to.ID:
		return false, field("ticket.links.itself")
	case from.ParentID != 0:
		return false, fault.New(fault.Conflict, "ticket.merge.sub")
	case to.ParentID != 0:
		return false, field("ticket.merge.into_sub", to.Number)
	case to.MergedInto != 0:
		return false, field("ticket.merge.into_merged", to.Number)
	case !deferrable(to.State):
		return false, field("ticket.merge.into_state", to.Number, i18n.Key("ticket.state."+string(to.State)))
	case !to.InScope(authz.For(actor, PermMerge)):
		return false, field("ticket.merge.into_scope", to.Number)
	}
	return from.CustomerID != to.CustomerID, nil
}

// merge makes the ticket part of the one named by the input.
func (e *effect) merge(ctx context.Context) error {
	s, a := e.s, e.a
	oldTo, err := get(ctx, a, View(a.Actor), "t.number", strings.ToUpper(strings.TrimSpace(e.in.Duplicate)), lockOf(a))
	if fault.Is(err, fault.NotFound) {
		return fault.Invalidf("ticket.duplicate_unknown").Field("duplicate", "ticket.duplicate_unknown")
	} else if err != nil {
		return err
	}
	other, err := s.CheckMerge(a.Actor, &e.old, &oldTo)
	if err != nil {
		return err
	}
	if other && !e.in.OtherToo {
		return fault.Invalidf("ticket.merge.other_customer", e.old.CustomerName, oldTo.CustomerName).Field("other_too", "ticket.merge.other_customer", e.old.CustomerName, oldTo.CustomerName)
	}
	to := oldTo
	kept := mergedKept{State: e.old.State, Supervisor: e.old.SupervisorID, CustomerAt: db.Micros(e.old.CustomerAt), SurvivorCustomerAt: db.Micros(to.CustomerAt)}

	if kept.Children, err = s.rehome(ctx, a, e.old, to); err != nil {
		return err
	}
	to.Joined = true
	to.OpenChildren += e.old.OpenChildren
	e.t.OpenChildren = 0

	if err := journal.Join(ctx, a.Tx, e.old.ID, to.ID); err != nil {
		return err
	}
	if _, err := a.Exec(ctx, `UPDATE deliveries SET ticket_id = $1 WHERE ticket_id = $2 AND entry_id > 0`, to.ID, e.old.ID); err != nil {
		return fmt.Errorf("ticket: deliveries of %d: %w", e.old.ID, err)
	}
	watchers, err := idsOf(ctx, a, `SELECT user_id FROM ticket_watchers WHERE ticket_id = $1 ORDER BY user_id`, e.old.ID)
	if err != nil {
		return err
	}
	for _, u := range tell(append(watchers, e.old.AssigneeID, e.old.CreatedBy)...) {
		fresh, err := watchAs(ctx, a, to.ID, u, "merged")
		if err != nil {
			return err
		}
		if fresh {
			kept.Watchers = append(kept.Watchers, u)
		}
	}
	if to.Tags, kept.Tags, err = joinTags(ctx, a.Tx, &e.old, &to); err != nil {
		return err
	}
	var n int
	if err := a.QueryRow(ctx, `SELECT COUNT(*) FROM ticket_relations WHERE ticket_id = $1 AND other_id = $2 AND kind = 'duplicate'`, e.old.ID, to.ID).Scan(&n); err != nil {
		return fmt.Errorf("ticket: links of %d: %w", e.old.ID, err)
	}
	kept.Linked = n == 0
	if err := link(ctx, a, e.old.ID, to.ID, "duplicate"); err != nil {
		return err
	}
	raw, err := json.Marshal(kept)
	if err != nil {
		return fmt.Errorf("ticket: %w", err)
	}
	if _, err := a.Exec(ctx, `INSERT INTO ticket_merges (merged_id, survivor_id, kept, reason, merged_by, merged_by_name, merged_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		e.old.ID, to.ID, string(raw), strings.TrimSpace(e.in.Reason), userOf(a), a.Actor.Name, a.NowMicros()); err != nil {
		return fmt.Errorf("ticket: merge %d into %d: %w", e.old.ID, to.ID, err)
	}

	e.t.Outcome, e.t.CancelReason, e.t.DuplicateOf, e.t.MergedInto = OutcomeCancelled, "duplicate", to.ID, to.ID
	e.t.SupervisorID, e.t.CustomerAt = 0, time.Time{}
	e.fact.Args = []string{to.Number}
	e.fact.Tell = tell(e.t.AssigneeID)
	if err := sla.Stop(ctx, a, e.old.ID, "merged"); err != nil {
		return err
	}

	if !e.old.CustomerAt.IsZero() && (to.CustomerAt.IsZero() || e.old.CustomerAt.Before(to.CustomerAt)) {
		to.CustomerAt = e.old.CustomerAt
	}
	to.ActivityAt = a.Now
	if err := s.save(ctx, a, oldTo, &to); err != nil {
		return err
	}
	f := fact(oldTo, to)
	f.From, f.Args, f.Tell = "", []string{e.old.Number, e.old.Title}, tell(to.AssigneeID)
	if f.Changes, err = tagChange(ctx, a, oldTo.Tags, to.Tags); err != nil {
		return err
	}
	return s.note(ctx, a, "ticket.merged_in", to, f, e.in.Reason)
}

// rehome gives the sub-tickets of from to another main ticket and returns them.
func (s *Service) rehome(ctx context.Context, a *action.Action, from, to Ticket, only ...int64) ([]int64, error) {
	ids, err := idsOf(ctx, a, `SELECT id FROM tickets WHERE parent_id IS NOT NULL AND parent_id = $1 ORDER BY id`, from.ID)
	if err != nil {
		return nil, err
	}
	if only != nil {
		ids = slices.DeleteFunc(ids, func(id int64) bool { return !slices.Contains(only, id) })
	}
	for _, id := range ids {
		c, err := get(ctx, a, authz.For(authz.System(""), PermView), "t.id", id, lockOf(a))
		if err != nil {
			return nil, err
		}
		if _, err := a.Exec(ctx, `UPDATE tickets SET parent_id = $1, version = version + 1, updated_at = $2 WHERE id = $3`, to.ID, a.NowMicros(), id); err != nil {
			return nil, fmt.Errorf("ticket: move part %d: %w", id, err)
		}
		c.ParentID = to.ID
		f := fact(c, c)
		f.From, f.Args, f.Tell = "", []string{from.Number, to.Number}, tell(c.AssigneeID)
		if err := s.note(ctx, a, "ticket.parent_changed", c, f, ""); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// unmerge gives both tickets back: state, clocks, thread, parts and watchers of
// the one that went.
func (e *effect) unmerge(ctx context.Context) error {
	s, a := e.s, e.a
	var row, survivor, at int64
	var raw string
	err := a.QueryRow(ctx, `SELECT id, survivor_id, kept, merged_at FROM ticket_merges WHERE merged_id = $1 AND undone_at = 0`, e.old.ID).Scan(&row, &survivor, &raw, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return fault.New(fault.Conflict, "ticket.merge.none_left")
	}
	if err != nil {
		return fmt.Errorf("ticket: merge of %d: %w", e.old.ID, err)
	}
	if a.Now.Sub(db.FromMicros(at)) > MergeUndo {
		return fault.New(fault.Conflict, "ticket.merge.over", int(MergeUndo/(24*time.Hour)))
	}
	var kept mergedKept
	if err := json.Unmarshal([]byte(raw), &kept); err != nil {
		return fmt.Errorf("ticket: merge of %d: %w", e.old.ID, err)
	}
	oldTo, err := s.Holder(ctx, a, e.old)
	if err != nil {
		return err
	}
	if oldTo, err = get(ctx, a, authz.For(authz.System(""), PermView), "t.id", oldTo.ID, lockOf(a)); err != nil {
		return err
	}
	to := oldTo

	back, err := under(ctx, a, e.old.ID)
	if err != nil {
		return err
	}
	if err := journal.Part(ctx, a.Tx, to.ID, e.old.ID, back); err != nil {
		return err
	}
	if _, err := a.Exec(ctx, `UPDATE deliveries SET ticket_id = $1 WHERE ticket_id = $2 AND entry_id IN (SELECT x.id FROM entries x WHERE x.ticket_id > 0 AND x.ticket_id = $3)`, e.old.ID, to.ID, e.old.ID); err != nil {
		return fmt.Errorf("ticket: deliveries of %d: %w", e.old.ID, err)
	}
	moved, err := s.rehome(ctx, a, to, e.old, append(kept.Children, 0)...)
	if err != nil {
		return err
	}
	e.t.OpenChildren = 0
	if len(moved) > 0 {
		var args db.Args
		if err := a.QueryRow(ctx, `SELECT COUNT(*) FROM tickets WHERE is_open = 1 AND id IN (`+args.AddInts(moved)+`)`, args.Values...).Scan(&e.t.OpenChildren); err != nil {
			return fmt.Errorf("ticket: parts of %d: %w", e.old.ID, err)
		}
	}
	to.OpenChildren -= e.t.OpenChildren
	for _, u := range kept.Watchers {
		if _, err := a.Exec(ctx, `DELETE FROM ticket_watchers WHERE ticket_id = $1 AND user_id = $2 AND reason = 'merged'`, to.ID, u); err != nil {
			return fmt.Errorf("ticket: unwatch %d: %w", to.ID, err)
		}
	}
	if kept.Linked {
		if _, err := a.Exec(ctx, `DELETE FROM ticket_relations WHERE ticket_id = $1 AND other_id = $2 AND kind = 'duplicate'`, e.old.ID, survivor); err != nil {
			return fmt.Errorf("ticket: unlink %d: %w", e.old.ID, err)
		}
	}
	if to.Tags, err = partTags(ctx, a, survivor, &to, e.old.ID, kept.Tags); err != nil {
		return err
	}
	if _, err := a.Exec(ctx, `UPDATE ticket_merges SET undone_at = $1, undone_by_name = $2 WHERE id = $3`, a.NowMicros(), a.Actor.Name, row); err != nil {
		return fmt.Errorf("ticket: undo merge of %d: %w", e.old.ID, err)
	}

	e.t.State, e.t.Outcome, e.t.CancelReason, e.t.DuplicateOf, e.t.MergedInto = kept.State, "", "", 0, 0
	e.t.SupervisorID, e.t.CustomerAt = kept.Supervisor, db.FromMicros(kept.CustomerAt)
	if p, ok, err := s.org.Person(ctx, a, e.t.AssigneeID); e.t.AssigneeID != 0 && err != nil {
		return err
	} else if e.t.AssigneeID != 0 && (!ok || !p.Active) { // he has left meanwhile
		e.t.AssigneeID, e.t.AssigneeName = 0, ""
	}
	if e.t.AssigneeID == 0 && e.t.SupervisorID == 0 {
		if e.t.SupervisorID, err = s.supervisor(ctx, a, e.t.DepartmentID); err != nil {
			return err
		}
	}
	if err := sla.Restore(ctx, a, e.old.ID, "merged", "unmerged"); err != nil {
		return err
	}
	e.fact.Args = []string{to.Number}
	e.fact.Tell = tell(e.t.AssigneeID, to.AssigneeID)

	if kept.CustomerAt != 0 && db.Micros(to.CustomerAt) == kept.CustomerAt {
		to.CustomerAt = db.FromMicros(kept.SurvivorCustomerAt)
	}
	to.ActivityAt = a.Now
	if err := s.save(ctx, a, oldTo, &to); err != nil {
		return err
	}
	f := fact(oldTo, to)
	f.From, f.Args = "", []string{e.old.Number, e.old.Title}
	if f.Changes, err = tagChange(ctx, a, oldTo.Tags, to.Tags); err != nil {
		return err
	}
	return s.note(ctx, a, "ticket.unmerged_from", to, f, e.in.Reason)
}

// joinTags gives the tags of from to the ticket it is merged into. It returns all
// that one has then, for its row, and which came to it.
func joinTags(ctx context.Context, tx *db.Tx, from, to *Ticket) (all Tags, came []int64, err error) {
	there, err := TagsOf(ctx, tx, from.Tags)
	if err != nil {
		return "", nil, err
	}
	for _, t := range there {
		if !to.Tags.Has(t.ID) {
			came = append(came, t.ID)
		}
	}
	all = to.Tags.With(came, nil)
	return all, came, retag(ctx, tx, to.ID, to.Tags, all)
}

// partTags takes the tags that came with ticket gone off the one it was merged
// into, and off those they went on to from there, up to the holder. A tag that
// another of the merged tickets brings as well stays until that one goes too. It
// returns what the holder has then, for its row.
func partTags(ctx context.Context, a *action.Action, survivor int64, holder *Ticket, gone int64, came []int64) (Tags, error) {
	out := holder.Tags
	for id, below := survivor, gone; len(came) > 0; {
		n := *holder
		var err error
		if id != holder.ID {
			if n, err = get(ctx, a, authz.For(authz.System(""), PermView), "t.id", id, lockOf(a)); err != nil {
				return out, err
			}
		}
		if came, err = heir(ctx, a, id, below, came); err != nil {
			return out, err
		}
		is := n.Tags.With(nil, came)
		if err := retag(ctx, a.Tx, id, n.Tags, is); err != nil {
			return out, err
		}
		if id == holder.ID {
			return is, nil
		}
		if _, err := a.Exec(ctx, `UPDATE tickets SET tags = $1, version = version + 1, updated_at = $2 WHERE id = $3`, string(is), a.NowMicros(), id); err != nil {
			return out, fmt.Errorf("ticket: tags of %d: %w", id, err)
		}
		// What went on from here came to the next one with this ticket.
		err = changeKept(ctx, a, id, func(k *mergedKept) {
			had := k.Tags
			k.Tags = slices.DeleteFunc(slices.Clone(had), func(t int64) bool { return slices.Contains(came, t) })
			came = slices.DeleteFunc(slices.Clone(came), func(t int64) bool { return !slices.Contains(had, t) })
		})
		if err != nil {
			return out, err
		}
		id, below = n.MergedInto, id
	}
	return out, nil
}

// heir leaves those of the tags to another ticket that is merged into id and has
// them too, and returns the rest: what nobody brings but the one that goes.
func heir(ctx context.Context, a *action.Action, id, gone int64, came []int64) ([]int64, error) {
	others, err := idsOf(ctx, a, `SELECT id FROM tickets WHERE merged_into > 0 AND merged_into = $1 AND id <> $2 ORDER BY id`, id, gone)
	if err != nil {
		return nil, err
	}
	for _, o := range others {
		if len(came) == 0 {
			break
		}
		t, err := get(ctx, a, authz.For(authz.System(""), PermView), "t.id", o, "")
		if err != nil {
			return nil, err
		}
		var brings []int64
		came = slices.DeleteFunc(slices.Clone(came), func(tag int64) bool {
			if t.Tags.Has(tag) {
				brings = append(brings, tag)
				return true
			}
			return false
		})
		if len(brings) > 0 {
			if err := changeKept(ctx, a, o, func(k *mergedKept) { k.Tags = append(k.Tags, brings...) }); err != nil {
				return nil, err
			}
		}
	}
	return came, nil
}

// changeKept changes what undoing the merge of a ticket gives back.
func changeKept(ctx context.Context, a *action.Action, merged int64, change func(*mergedKept)) error {
	var row int64
	var raw string
	err := a.QueryRow(ctx, `SELECT id, kept FROM ticket_merges WHERE merged_id = $1 AND undone_at = 0`, merged).Scan(&row, &raw)
	var k mergedKept
	if err == nil {
		err = json.Unmarshal([]byte(raw), &k)
	}
	var next []byte
	if err == nil {
		change(&k)
		next, err = json.Marshal(k)
	}
	if err == nil {
		_, err = a.Exec(ctx, `UPDATE ticket_merges SET kept = $1 WHERE id = $2`, string(next), row)
	}
	if err != nil {
		return fmt.Errorf("ticket: merge of %d: %w", merged, err)
	}
	return nil
}

// under returns id and the tickets that were merged into it, near and far.
func under(ctx context.Context, q db.Querier, id int64) ([]int64, error) {
	out := []int64{id}
	for i := 0; i < len(out); i++ {
		more, err := idsOf(ctx, q, `SELECT id FROM tickets WHERE merged_into > 0 AND merged_into = $1 ORDER BY id`, out[i])
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

// Holder returns the ticket that goes on for t: the survivor of its merge, or of
// that one's. t itself when it was not merged. It knows no scope.
func (s *Service) Holder(ctx context.Context, q db.Querier, t Ticket) (Ticket, error) {
	for t.MergedInto != 0 {
		var err error
		if t, err = get(ctx, q, authz.For(authz.System(""), PermView), "t.id", t.MergedInto, ""); err != nil {
			return t, err
		}
	}
	return t, nil
}

// forCustomer is the ticket a customer is led to by the link or number of t: the
// survivor when t was merged, unless that is somebody else's.
func (s *Service) forCustomer(ctx context.Context, t Ticket) (Ticket, error) {
	if t.MergedInto == 0 {
		return t, nil
	}
	to, err := s.Holder(ctx, s.DB().Read(), t)
	if err != nil || to.CustomerID != t.CustomerID {
		return t, err
	}
	return to, nil
}

// writesToMerged takes the customer's words to a ticket that was merged: they
// land in the survivor. Those of another customer keep the ticket they were
// written to, so that neither reads the other's.
func (s *Service) writesToMerged(ctx context.Context, a *action.Action, old Ticket, text string, files []int64, key string) (Ticket, error) {
	oldTo, err := s.Holder(ctx, a, old)
	if err != nil {
		return oldTo, err
	}
	if oldTo, err = get(ctx, a, authz.For(authz.System(""), PermView), "t.id", oldTo.ID, lockOf(a)); err != nil {
		return oldTo, err
	}
	if oldTo.CustomerID == old.CustomerID {
		return s.customerWritesIn(ctx, a, oldTo, text, files, key)
	}
	if !oldTo.State.Open() {
		return s.writesAnew(ctx, a, old, text, files, key)
	}
	to := oldTo
	entry, err := journal.Add(ctx, a, journal.Entry{TicketID: to.ID, CustomerID: old.CustomerID, OriginID: old.ID, Kind: journal.Customer, Body: strings.TrimSpace(text)})
	if err != nil {
		return to, err
	}
	if err := s.attach(ctx, a, old, entry, files, false); err != nil {
		return to, err
	}
	to.CustomerAt, to.ActivityAt = a.Now, a.Now
	if err := customer.Touch(ctx, a.Tx, old.CustomerID, a.Now); err != nil {
		return to, err
	}
	if err := s.notSilent(ctx, a, to); err != nil {
		return to, err
	}
	if err := s.save(ctx, a, oldTo, &to); err != nil {
		return to, err
	}
	f := fact(oldTo, to)
	f.From, f.Entry, f.Tell = "", entry, tell(to.AssigneeID, to.SupervisorID)
	return old, s.note(ctx, a, "ticket.customer_wrote", to, f, "")
}

// Mergings returns the tickets that were merged into ticket id and have not been
// given back, oldest first, with what can be done about it. The caller has
// checked that the ticket may be seen.
func (s *Service) Mergings(ctx context.Context, id int64) ([]Merging, error) {
	q := s.DB().Read()
	ids, err := under(ctx, q, id)
	if err != nil || len(ids) == 1 {
		return nil, err
	}
	var out []Merging
	for _, m := range ids[1:] {
		x := Merging{}
		var at int64
		if x.Ticket, err = get(ctx, q, authz.For(authz.System(""), PermView), "t.id", m, ""); err != nil {
			return nil, err
		}
		err := q.QueryRow(ctx, `SELECT id, survivor_id, merged_by_name, merged_at, reason FROM ticket_merges WHERE merged_id = $1 AND undone_at = 0`, m).Scan(&x.ID, &x.Into, &x.By, &at, &x.Reason)
		if err != nil {
			return nil, fmt.Errorf("ticket: merge of %d: %w", m, err)
		}
		x.At = db.FromMicros(at)
		x.Until = x.At.Add(MergeUndo)
		x.Undoable = !s.DB().Clock().Now().After(x.Until)
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b Merging) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}
