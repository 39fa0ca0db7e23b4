package process

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/complaint"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
	"bihuan/internal/journal"
	"bihuan/internal/sla"
	"bihuan/internal/ticket"
)

// position is where t stands, as far as its process asks.
func position(t *ticket.Ticket) Position { return Position{t.Stage, t.State, t.DepartmentID} }

// open reports whether a department takes tickets.
func (s *Service) open(ctx context.Context, q db.Querier) func(int64) bool {
	return func(id int64) bool {
		d, ok, err := s.org.Department(ctx, q, id)
		return err == nil && ok && d.Active
	}
}

// narrow refuses verbs that a stage leaves out. What customers and the program
// do, no process forbids.
func (s *Service) narrow(ctx context.Context, q db.Querier, actor authz.Actor, t *ticket.Ticket, v ticket.Verb) error {
	if t.ProcessVersion == 0 || actor.Kind != authz.User {
		return nil
	}
	ver, err := s.version(ctx, q, t.ProcessVersion)
	if err != nil {
		return err
	}
	return ver.Definition.Refuses(position(t), v)
}

// gate asks for what a final stage requires before the customer gets an answer.
func (s *Service) gate(ctx context.Context, a *action.Action, t *ticket.Ticket, v ticket.Verb, in *ticket.Input) error {
	if t.ProcessVersion == 0 || v != ticket.RequestConfirmation {
		return nil
	}
	ver, err := s.version(ctx, a, t.ProcessVersion)
	if err != nil {
		return err
	}
	filled := *t
	for _, f := range []struct {
		dst *string
		v   string
	}{{&filled.Solution, in.Solution}, {&filled.Cause, in.Cause}, {&filled.Corrective, in.Corrective}, {&filled.DelayReason, in.DelayReason}} {
		if strings.TrimSpace(f.v) != "" {
			*f.dst = f.v
		}
	}
	return s.complete(ctx, a, &filled, &ver.Definition)
}

// complete refuses while something is missing that the stage of t requires, and
// names all of it.
func (s *Service) complete(ctx context.Context, q db.Querier, t *ticket.Ticket, d *Definition) error {
	missing, err := s.missing(ctx, q, t, d)
	if err != nil || len(missing) == 0 {
		return err
	}
	w, err := s.words(ctx, q, i18n.ZhCN)
	if err != nil {
		return err
	}
	st, _ := d.Stage(t.Stage)
	e := fault.Invalidf("process.missing", st.Name, namesOf(missing, w))
	for _, r := range missing {
		e.Field(r, "process.fill_in", nameOf(r, w))
	}
	return e
}

// nameOf is a requirement as an argument of a sentence, said in the reader's
// language as far as the product itself has a word for it.
func nameOf(r string, w Words) any {
	if _, ok := own(r); ok {
		return w.Requirement(r)
	}
	return i18n.Key(requirementKey(r))
}

// namesOf joins several; a sentence takes one argument for all.
func namesOf(rs []string, w Words) any {
	if len(rs) == 1 {
		return nameOf(rs[0], w)
	}
	return w.Requirements(rs)
}

func (s *Service) missing(ctx context.Context, q db.Querier, t *ticket.Ticket, d *Definition) ([]string, error) {
	st, _ := d.Stage(t.Stage)
	have, err := s.have(ctx, q, t, st.Required)
	if err != nil {
		return nil, err
	}
	return d.Missing(t.Stage, func(r string) bool { return have[r] }), nil
}

// have says which of the requirements t meets. Records and answers count since
// the stage began. It reads no more than is asked for.
func (s *Service) have(ctx context.Context, q db.Querier, t *ticket.Ticket, required []string) (map[string]bool, error) {
	out := map[string]bool{}
	said := func(k journal.Kind) (bool, error) {
		es, _, err := journal.Of(ctx, q, journal.Place{Ticket: t.ID}, journal.Page{Kinds: []journal.Kind{k}, Limit: 1})
		return err == nil && len(es) > 0 && !es[0].CreatedAt.Before(t.StageAt), err
	}
	asked := false // the company's own fields have been read
	var c *complaint.Complaint
	for _, r := range required {
		var err error
		if step, ok := recordOf(r); ok {
			if s.records == nil || !complaint.Is(t) {
				continue
			}
			if c == nil {
				x, err := s.records.In(ctx, q, *t)
				if err != nil {
					return nil, err
				}
				c = &x
			}
			out[r] = c.Done(step)
			continue
		}
		switch r {
		case "solution":
			out[r] = filled(t.Solution)
		case "cause":
			out[r] = filled(t.Cause)
		case "corrective":
			out[r] = filled(t.Corrective)
		case "delay_reason":
			out[r] = filled(t.DelayReason)
		case "class":
			out[r] = t.Class != ""
		case "category":
			out[r] = t.CategoryID != 0
		case "record":
			out[r], err = said(journal.FollowUp)
		case "reply":
			out[r], err = said(journal.Reply)
		case "attachment":
			fs, ferr := s.files.Of(ctx, q, "ticket", t.ID)
			out[r], err = len(fs) > 0, ferr
		default:
			if asked {
				continue
			}
			asked = true
			values, verr := s.tickets.FieldValues(ctx, q, t.ID)
			err = verr
			for _, v := range values {
				out[v.Name()] = !v.Empty()
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func filled(s string) bool { return strings.TrimSpace(s) != "" }

// after follows what happens to a ticket: it enters a process when it is
// registered, its stage's clock rests and ends with it, and a second handling
// begins where the process says.
func (s *Service) after(ctx context.Context, a *action.Action, _ ticket.Ticket, t *ticket.Ticket, v ticket.Verb, _ ticket.Input) error {
	if v == ticket.Register {
		if t.ParentID != 0 {
			return nil // parts follow their main ticket
		}
		live, err := s.current(ctx, a)
		if err != nil {
			return err
		}
		ver := live.match(t.Type, t.Class, t.CategoryID)
		if ver == nil {
			return nil
		}
		p := position(t)
		return s.enter(ctx, a, t, ver, ver.Definition.Begin(p, s.open(ctx, a)), "registered")
	}
	if t.ProcessVersion == 0 {
		return nil
	}
	var err error
	switch v {
	case ticket.Ask:
		err = sla.Pause(ctx, a, t.ID, "asked", sla.Stage)
	case ticket.Answer:
		err = sla.Resume(ctx, a, t.ID, "answered", sla.Stage)
	case ticket.Resume:
		err = sla.Resume(ctx, a, t.ID, "resumed", sla.Stage)
	case ticket.RequestConfirmation:
		_, err = sla.Meet(ctx, a, t.ID, "resolved", sla.Stage)
	case ticket.Withdraw:
		err = sla.Revive(ctx, a, t.ID, sla.Stage, t.Round, "withdrawn")
	case ticket.Dispute, ticket.Reopen:
		ver, verr := s.version(ctx, a, t.ProcessVersion)
		if verr != nil {
			return verr
		}
		return s.enter(ctx, a, t, ver, ver.Definition.Restart(position(t), s.open(ctx, a)), map[ticket.Verb]string{ticket.Dispute: "disputed", ticket.Reopen: "reopened"}[v])
	}
	if err == nil && !t.State.Open() {
		err = leave(ctx, a, t.ID)
	}
	return err
}

// enter puts t, which is about to be saved, at p.
func (s *Service) enter(ctx context.Context, a *action.Action, t *ticket.Ticket, ver *Version, p Position, why string) error {
	if _, err := s.tickets.EnterStage(ctx, a, t, staged(ver, p, t.DepartmentID), why); err != nil {
		return err
	}
	return stand(ctx, a, t)
}

// brought lets open tickets that were imported follow the process in force for
// their kind from its first stage on, as those registered here do. They stay with
// whom the table gave them to: somebody works on them already.
func (s *Service) brought(ctx context.Context, a *action.Action, ts []ticket.Ticket) error {
	live, err := s.current(ctx, a)
	if err != nil || len(live.of) == 0 {
		return err
	}
	by := map[int64][]ticket.Ticket{}
	of := map[int64]*Version{}
	for _, t := range ts {
		if t.ParentID != 0 || t.State != ticket.Pending && t.State != ticket.InProgress {
			continue
		}
		v := live.match(t.Type, t.Class, t.CategoryID)
		if v == nil {
			continue
		}
		if st, _ := v.Definition.Stage(v.Definition.Start); slices.Contains(st.States, t.State) {
			by[v.ID], of[v.ID] = append(by[v.ID], t), v
		}
	}
	for _, id := range slices.Sorted(maps.Keys(by)) {
		v := of[id]
		st, _ := v.Definition.Stage(v.Definition.Start)
		if err := s.tickets.EnterStages(ctx, a, by[id], ticket.Staged{Process: v.ProcessID, Version: v.ID, Code: st.Code, Name: st.Name, Limit: st.Limit(), Policy: v.Name}); err != nil {
			return err
		}
		rows := make([]any, 0, 4*len(by[id]))
		for _, t := range by[id] {
			rows = append(rows, t.ID, st.Code, t.Round, a.NowMicros())
		}
		if err := a.InsertMany(ctx, `INSERT INTO ticket_stages (ticket_id, stage, round, entered_at)`, "", 4, rows); err != nil {
			return fmt.Errorf("process: way of imported tickets: %w", err)
		}
	}
	return nil
}

// staged is position p of a process for a ticket that is in department from.
func staged(ver *Version, p Position, from int64) ticket.Staged {
	st, _ := ver.Definition.Stage(p.Stage)
	out := ticket.Staged{Process: ver.ProcessID, Version: ver.ID, Code: st.Code, Name: st.Name, Limit: st.Limit(), Policy: ver.Name}
	if p.Department != from {
		out.Department = p.Department
	}
	return out
}

// stand keeps the way of t: it left where it stood and entered its stage.
func stand(ctx context.Context, a *action.Action, t *ticket.Ticket) error {
	if err := leave(ctx, a, t.ID); err != nil {
		return err
	}
	by := int64(0)
	if a.Actor.Kind == authz.User {
		by = a.Actor.ID
	}
	_, err := a.Exec(ctx, `INSERT INTO ticket_stages (ticket_id, stage, round, entered_at, entered_by) VALUES ($1, $2, $3, $4, $5)`, t.ID, t.Stage, t.Round, a.NowMicros(), by)
	if err != nil {
		return fmt.Errorf("process: way of ticket %d: %w", t.ID, err)
	}
	return nil
}

func leave(ctx context.Context, a *action.Action, id int64) error {
	if _, err := a.Exec(ctx, `UPDATE ticket_stages SET left_at = $1 WHERE ticket_id = $2 AND left_at = 0`, a.NowMicros(), id); err != nil {
		return fmt.Errorf("process: way of ticket %d: %w", id, err)
	}
	return nil
}

// is reports whether actor is one of the parties to t.
func is(actor authz.Actor, t *ticket.Ticket, who []Party) bool {
	if actor.Kind == authz.Worker {
		return true
	}
	if actor.Kind != authz.User {
		return false
	}
	for _, p := range who {
		switch p {
		case Assignee:
			if t.AssigneeID == actor.ID && actor.Can(ticket.PermHandle) {
				return true
			}
		case Supervisor:
			if t.InScope(authz.For(actor, ticket.PermSupervise)) {
				return true
			}
		case Department:
			if slices.Contains(actor.Teams, t.DepartmentID) && actor.Can(ticket.PermHandle) {
				return true
			}
		}
	}
	return false
}

// Move takes a step of the process of a ticket: what it carries is filled in,
// what the stage requires is asked for, and a ticket that belongs to another
// department from here on is given to it.
func (s *Service) Move(ctx context.Context, actor authz.Actor, id int64, move string, in ticket.StageInput) (t ticket.Ticket, err error) {
	err = s.run.Do(ctx, actor, "process.move", func(ctx context.Context, a *action.Action) error {
		t, err = s.MoveIn(ctx, a, id, move, in)
		return err
	})
	return t, err
}

// MoveIn is Move inside an action under way.
func (s *Service) MoveIn(ctx context.Context, a *action.Action, id int64, move string, in ticket.StageInput) (ticket.Ticket, error) {
	t, err := s.tickets.ToStage(ctx, a, id, in, func(t *ticket.Ticket, fill func(ticket.StageInput) error) (ticket.Staged, error) {
		return s.step(ctx, a, t, move, in, fill)
	})
	if err != nil {
		return t, err
	}
	return t, stand(ctx, a, &t)
}

func (s *Service) step(ctx context.Context, a *action.Action, t *ticket.Ticket, move string, in ticket.StageInput, fill func(ticket.StageInput) error) (out ticket.Staged, err error) {
	if t.ProcessVersion == 0 {
		return out, fault.New(fault.Conflict, "process.none")
	}
	ver, err := s.version(ctx, a, t.ProcessVersion)
	if err != nil {
		return out, err
	}
	d := &ver.Definition
	m, ok := d.Move(move)
	if !ok {
		return out, fault.New(fault.NotFound, "process.no_move")
	}
	if m.From != t.Stage {
		return out, fault.New(fault.Conflict, "process.not_here")
	}
	if !is(a.Actor, t, m.Who) {
		return out, fault.New(fault.Forbidden, "process.not_yours", m.Name)
	}
	next, err := d.Go(position(t), m, s.open(ctx, a))
	if err != nil {
		return out, err
	}
	from, _ := d.Stage(t.Stage)
	if in, err = s.asked(ctx, a, from, in); err != nil {
		return out, err
	}
	if err := fill(in); err != nil {
		return out, err
	}
	var bad error
	if m.Reason && !filled(in.Reason) {
		bad = fault.Invalidf("ticket.need_reason").Field("reason", "ticket.need_reason")
	}
	if !m.Free {
		err := s.complete(ctx, a, t, d)
		if fe, ok := fault.As(err); err != nil && (!ok || fe.Kind != fault.Invalid) {
			return out, err
		}
		bad = fault.Both(err, bad)
	}
	if bad != nil {
		return out, bad
	}
	out = staged(ver, next, t.DepartmentID)
	out.Step = m.Name
	return out, nil
}

// asked leaves of in what the stage requires: a step is no way around the right
// to edit a ticket.
func (s *Service) asked(ctx context.Context, q db.Querier, st Stage, in ticket.StageInput) (ticket.StageInput, error) {
	want := func(r string) bool { return slices.Contains(st.Required, r) }
	for r, v := range map[string]*string{"solution": &in.Solution, "cause": &in.Cause, "corrective": &in.Corrective, "delay_reason": &in.DelayReason, "class": &in.Class} {
		if !want(r) {
			*v = ""
		}
	}
	if !want("category") {
		in.CategoryID = 0
	}
	if len(in.Fields) == 0 {
		return in, nil
	}
	defs, err := s.fields.DefsIn(ctx, q, i18n.ZhCN, field.Ticket)
	own := field.Input{}
	for _, d := range defs {
		if texts, ok := in.Fields[d.ID]; ok && want(d.Name()) {
			own[d.ID] = texts
		}
	}
	in.Fields = own
	return in, err
}

// Start lets a ticket that follows no process follow the one in force for its
// kind: it was registered before, or was something else then.
func (s *Service) Start(ctx context.Context, actor authz.Actor, id int64) (t ticket.Ticket, err error) {
	err = s.run.Do(ctx, actor, "process.start", func(ctx context.Context, a *action.Action) error {
		t, err = s.StartIn(ctx, a, id, 0)
		return err
	})
	return t, err
}

// StartIn is Start inside an action under way; process 0 is the one in force for
// the ticket's kind, else any that is in force.
func (s *Service) StartIn(ctx context.Context, a *action.Action, id, process int64) (ticket.Ticket, error) {
	live, err := s.current(ctx, a)
	if err != nil {
		return ticket.Ticket{}, err
	}
	t, err := s.tickets.ToStage(ctx, a, id, ticket.StageInput{}, func(t *ticket.Ticket, _ func(ticket.StageInput) error) (out ticket.Staged, err error) {
		if t.ProcessVersion != 0 {
			return out, fault.New(fault.Conflict, "process.has_one")
		}
		if !is(a.Actor, t, []Party{Assignee, Supervisor}) {
			return out, fault.New(fault.Forbidden, "ticket.only_assignee_or_supervisor")
		}
		if t.ParentID != 0 || t.State != ticket.Pending && t.State != ticket.InProgress {
			return out, fault.New(fault.Conflict, "process.start_later")
		}
		ver := live.match(t.Type, t.Class, t.CategoryID)
		if process != 0 {
			ver = nil
			for _, o := range live.of {
				if o.version.ProcessID == process {
					ver = o.version
				}
			}
		}
		if ver == nil {
			return out, fault.New(fault.Conflict, "process.none_for")
		}
		next := ver.Definition.Begin(position(t), s.open(ctx, a))
		if st, _ := ver.Definition.Stage(next.Stage); !slices.Contains(st.States, next.State) {
			return out, fault.New(fault.Conflict, "process.start_later")
		}
		return staged(ver, next, t.DepartmentID), nil
	})
	if err != nil {
		return t, err
	}
	return t, stand(ctx, a, &t)
}

// Quit takes a ticket out of its process: the way out when reality does not fit.
// A supervisor does so, and says why.
func (s *Service) Quit(ctx context.Context, actor authz.Actor, id, version int64, reason string) (t ticket.Ticket, err error) {
	err = s.run.Do(ctx, actor, "process.quit", func(ctx context.Context, a *action.Action) error {
		t, err = s.tickets.ToStage(ctx, a, id, ticket.StageInput{Version: version, Reason: reason}, func(t *ticket.Ticket, _ func(ticket.StageInput) error) (ticket.Staged, error) {
			switch {
			case t.ProcessVersion == 0:
				return ticket.Staged{}, fault.New(fault.Conflict, "process.none")
			case !is(a.Actor, t, []Party{Supervisor}):
				return ticket.Staged{}, fault.New(fault.Forbidden, "ticket.only_supervisor")
			case !filled(reason):
				return ticket.Staged{}, fault.Invalidf("ticket.need_reason").Field("reason", "ticket.need_reason")
			}
			ver, err := s.version(ctx, a, t.ProcessVersion)
			if err != nil {
				return ticket.Staged{}, err
			}
			return ticket.Staged{Step: ver.Name}, nil
		})
		if err != nil {
			return err
		}
		return leave(ctx, a, id)
	})
	return t, err
}

// Offer is a step somebody may take now.
type Offer struct {
	Move    Move
	To      Stage
	Missing []string // what the stage still asks for
	Passes  bool     // to another department
	Refusal error    // why it cannot be taken as things stand, though it is his; nil: it can
}

// Past is a stretch a ticket stood in a stage.
type Past struct {
	Stage             string
	Round             int
	EnteredAt, LeftAt time.Time // LeftAt zero: it stands there
	EnteredBy         int64
}

// Standing is where a ticket stands in its process, for somebody who sees it.
type Standing struct {
	Version *Version
	Stage   Stage
	Way     []Past
	Clock   *sla.Clock // of the stage; nil: it has no limit, or its time is over with
	Missing []string
	Offers  []Offer // of the reader
	MayQuit bool
}

// Of returns where t stands; ok is false when it follows no process.
func (s *Service) Of(ctx context.Context, actor authz.Actor, t *ticket.Ticket) (st Standing, ok bool, err error) {
	if t.ProcessVersion == 0 {
		return st, false, nil
	}
	q := s.db().Read()
	if st.Version, err = s.version(ctx, q, t.ProcessVersion); err != nil {
		return st, false, err
	}
	d := &st.Version.Definition
	st.Stage, _ = d.Stage(t.Stage)
	if st.Way, err = way(ctx, q, t.ID); err != nil {
		return st, false, err
	}
	if !t.State.Open() {
		return st, true, nil
	}
	if st.Stage.Minutes > 0 {
		cs, err := sla.Open(ctx, q, t.ID)
		if err != nil {
			return st, false, err
		}
		for _, c := range cs {
			if c.Kind == sla.Stage {
				st.Clock = &c
			}
		}
	}
	if st.Missing, err = s.missing(ctx, q, t, d); err != nil {
		return st, false, err
	}
	st.Offers = d.offers(position(t), st.Missing, s.open(ctx, q), func(m Move) bool { return is(actor, t, m.Who) })
	st.MayQuit = is(actor, t, []Party{Supervisor})
	return st, true, nil
}

// offers are the steps out of p that mine lets through.
func (d *Definition) offers(p Position, missing []string, open func(int64) bool, mine func(Move) bool) (out []Offer) {
	if !slices.Contains(Dwellings, p.State) {
		return nil
	}
	for _, m := range d.From(p.Stage) {
		if !mine(m) {
			continue
		}
		o := Offer{Move: m}
		o.To, _ = d.Stage(m.To)
		o.Passes = passes(p, o.To, open)
		if !m.Free {
			o.Missing = missing
		}
		_, o.Refusal = d.Go(p, m, open)
		out = append(out, o)
	}
	return out
}

func way(ctx context.Context, q db.Querier, id int64) ([]Past, error) {
	rows, err := q.Query(ctx, `SELECT stage, round, entered_at, left_at, entered_by FROM ticket_stages WHERE ticket_id = $1 ORDER BY id LIMIT 500`, id)
	if err != nil {
		return nil, fmt.Errorf("process: way of ticket %d: %w", id, err)
	}
	defer rows.Close()
	var out []Past
	for rows.Next() {
		var p Past
		var in, left int64
		if err := rows.Scan(&p.Stage, &p.Round, &in, &left, &p.EnteredBy); err != nil {
			return nil, fmt.Errorf("process: way of ticket %d: %w", id, err)
		}
		p.EnteredAt, p.LeftAt = db.FromMicros(in), db.FromMicros(left)
		out = append(out, p)
	}
	return out, rows.Err()
}

// Startable returns the name of the process in force that t could follow, "" for
// none. It asks the store at most every few seconds.
func (s *Service) Startable(ctx context.Context, t *ticket.Ticket) (Version, bool, error) {
	if t.ProcessVersion != 0 || t.ParentID != 0 || t.State != ticket.Pending && t.State != ticket.InProgress {
		return Version{}, false, nil
	}
	live, err := s.current(ctx, s.db().Read())
	if err != nil {
		return Version{}, false, err
	}
	if v := live.match(t.Type, t.Class, t.CategoryID); v != nil {
		return *v, true, nil
	}
	return Version{}, false, nil
}

// StageName is the name of a stage of a version in l, "" when it is not known
// here; it asks the store at most once for each version.
func (s *Service) StageName(ctx context.Context, l i18n.Lang, version int64, code string) string {
	v, err := s.version(ctx, s.db().Read(), version)
	if err != nil {
		return ""
	}
	st, _ := v.Definition.Stage(code)
	return st.In(l)
}

// InForce returns the versions new tickets follow, by process; it asks the store
// at most every few seconds.
func (s *Service) InForce(ctx context.Context) ([]Version, error) {
	return s.InForceIn(ctx, s.db().Read())
}

// InForceIn is InForce inside a transaction.
func (s *Service) InForceIn(ctx context.Context, q db.Querier) ([]Version, error) {
	live, err := s.current(ctx, q)
	if err != nil {
		return nil, err
	}
	out := make([]Version, 0, len(live.of))
	for _, o := range live.of {
		out = append(out, *o.version)
	}
	slices.SortFunc(out, func(a, b Version) int { return cmp.Compare(a.ProcessID, b.ProcessID) })
	return out, nil
}
