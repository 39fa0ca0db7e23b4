package process

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
	"bihuan/internal/ticket"
)

// Perm is what designing processes needs: they are part of how tickets are
// handled.
const Perm = ticket.PermConfigure

// The facts of this room about processes themselves.
const (
	EventCreated   = "process.created"
	EventChanged   = "process.changed" // its draft, name or purpose
	EventPublished = "process.published"
	EventEnabled   = "process.enabled"
	EventDisabled  = "process.disabled"
	EventDeleted   = "process.deleted"
)

// Bounds of a definition.
const (
	maxStages  = 40
	maxMoves   = 120
	maxName    = 20
	maxHint    = 200
	maxMinutes = 365 * 24 * 60
)

// List returns all processes, those in force first.
func (s *Service) List(ctx context.Context, actor authz.Actor) ([]Process, error) {
	if err := actor.Check(Perm); err != nil {
		return nil, err
	}
	return list(ctx, s.db().Read())
}

// Get returns process id.
func (s *Service) Get(ctx context.Context, actor authz.Actor, id int64) (Process, error) {
	if err := actor.Check(Perm); err != nil {
		return Process{}, err
	}
	return get(ctx, s.db().Read(), id, "")
}

// Versions returns the published versions of process id, the newest first.
func (s *Service) Versions(ctx context.Context, actor authz.Actor, id int64) ([]Version, error) {
	if err := actor.Check(Perm); err != nil {
		return nil, err
	}
	rows, err := s.db().Read().Query(ctx, `SELECT `+versionColumns+`, (SELECT COUNT(*) FROM tickets t WHERE t.process_id = v.process_id AND t.process_id > 0 AND t.process_version = v.id AND t.is_open = 1)
		FROM process_versions v WHERE v.process_id = $1 ORDER BY v.number DESC LIMIT 200`, id)
	if err != nil {
		return nil, fmt.Errorf("process: versions of %d: %w", id, err)
	}
	defer rows.Close()
	var out []Version
	for rows.Next() {
		var running int
		v, err := scanVersion(rows, &running)
		if err != nil {
			return nil, fmt.Errorf("process: versions of %d: %w", id, err)
		}
		v.Running = running
		out = append(out, v)
	}
	return out, rows.Err()
}

// Fresh is what a process begins with.
type Fresh struct {
	Name, NameEn string
	Type, Class  string
	CategoryID   int64
	Example      string // key of one of Examples; "" nothing
	CopyOf       int64  // or the draft of another process
	Draft        *Definition
	Demo         bool
}

// Create makes a process with a draft.
func (s *Service) Create(ctx context.Context, actor authz.Actor, in Fresh) (p Process, err error) {
	err = s.do(ctx, actor, "process.create", func(ctx context.Context, a *action.Action) error {
		p, err = s.CreateIn(ctx, a, in)
		return err
	})
	return p, err
}

// CreateIn is Create inside an action under way; the caller has checked the right.
func (s *Service) CreateIn(ctx context.Context, a *action.Action, in Fresh) (Process, error) {
	p := Process{Name: in.Name, NameEn: in.NameEn, Type: in.Type, Class: in.Class, CategoryID: in.CategoryID, Version: 1, UpdatedAt: a.Now, UpdatedByName: a.Actor.Name}
	if err := s.checkPurpose(ctx, a, &p); err != nil {
		return p, err
	}
	switch {
	case in.Draft != nil:
		p.Draft = in.Draft.Clone()
		if err := p.Draft.shape(); err != nil {
			return p, err
		}
	case in.CopyOf != 0:
		o, err := get(ctx, a, in.CopyOf, "")
		if err != nil {
			return p, err
		}
		p.Draft = o.Draft
	case in.Example != "":
		i := slices.IndexFunc(Examples, func(e Example) bool { return e.Key == in.Example })
		if i < 0 {
			return p, fault.Invalidf("process.invalid").Field("example", "ticket.need_choice")
		}
		var failed error
		p.Draft = Examples[i].Make(func(name string) int64 {
			d, _, err := s.org.DepartmentByName(ctx, a, name)
			if err != nil {
				failed = err
			}
			return d.ID
		})
		if failed != nil {
			return p, failed
		}
	}
	var n int
	if err := a.QueryRow(ctx, `SELECT COUNT(*) FROM processes`).Scan(&n); err != nil {
		return p, fmt.Errorf("process: create: %w", err)
	}
	if max, _ := strconv.Atoi(maxProcesses); n >= max {
		return p, fault.New(fault.Limited, "process.too_many", max)
	}
	raw, err := json.Marshal(p.Draft)
	if err != nil {
		return p, fmt.Errorf("process: create: %w", err)
	}
	err = a.QueryRow(ctx, `
		INSERT INTO processes (name, name_en, type, class, category_id, draft, demo, created_at, updated_at, updated_by_name)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id`,
		p.Name, p.NameEn, p.Type, p.Class, p.CategoryID, string(raw), db.Bool(in.Demo), a.NowMicros(), a.NowMicros(), a.Actor.Name).Scan(&p.ID)
	if err != nil {
		return p, fmt.Errorf("process: create: %w", err)
	}
	record(a, EventCreated, p, nil)
	return p, nil
}

func (s *Service) do(ctx context.Context, actor authz.Actor, name string, fn func(ctx context.Context, a *action.Action) error) error {
	if err := actor.Check(Perm); err != nil {
		return err
	}
	return s.run.Do(ctx, actor, name, fn)
}

// record writes the fact of kind about p.
func record(a *action.Action, kind string, p Process, changes []event.Change, args ...string) {
	a.Record(event.Event{Kind: kind, Subject: Subject(p.ID), Data: map[string]any{"args": append([]string{p.Name}, args...), "title": p.Name, "changes": changes}})
}

// checkPurpose checks what p is called and for.
func (s *Service) checkPurpose(ctx context.Context, a *action.Action, p *Process) error {
	e := fault.Invalidf("process.invalid")
	p.Name, p.NameEn = clean(p.Name), clean(p.NameEn)
	if n := len([]rune(p.Name)); n == 0 {
		e.Field("name", "process.need_name")
	} else if n > 2*maxName {
		e.Field("name", "ticket.too_long", 2*maxName)
	}
	if len([]rune(p.NameEn)) > 3*maxName {
		e.Field("name_en", "ticket.too_long", 3*maxName)
	}
	if !slices.Contains(ticket.Types, p.Type) {
		e.Field("type", "ticket.need_choice")
	}
	if p.Class != "" && !slices.Contains(ticket.Classes, p.Class) {
		e.Field("class", "ticket.need_choice")
	}
	if p.CategoryID != 0 {
		cs, err := ticket.Categories(ctx, a)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(cs, func(c ticket.Category) bool { return c.ID == p.CategoryID }) {
			e.Field("category", "ticket.need_choice")
		}
	}
	var other int64
	err := a.QueryRow(ctx, `SELECT COALESCE(MAX(id), 0) FROM processes WHERE name = $1 AND id <> $2`, p.Name, p.ID).Scan(&other)
	if err != nil {
		return fmt.Errorf("process: name: %w", err)
	}
	if other != 0 {
		e.Field("name", "process.name_taken")
	}
	return e.OrNil()
}

func clean(s string) string { return strings.Join(strings.Fields(s), " ") }

// edit changes what an administrator works on; version 0 is not checked.
func (s *Service) edit(ctx context.Context, actor authz.Actor, name string, id, version int64, fn func(ctx context.Context, a *action.Action, p *Process) error) (p Process, err error) {
	err = s.do(ctx, actor, name, func(ctx context.Context, a *action.Action) error {
		old, err := get(ctx, a, id, a.ForUpdate())
		if err != nil {
			return err
		}
		if version != 0 && version != old.Version {
			return fault.New(fault.Conflict, "process.changed_meanwhile", old.UpdatedByName)
		}
		p = old
		p.Draft = old.Draft.Clone()
		if err := fn(ctx, a, &p); err != nil {
			return err
		}
		if err := p.Draft.shape(); err != nil {
			return err
		}
		changes, err := s.changes(ctx, a, old, p)
		if err != nil {
			return err
		}
		if len(changes) == 0 {
			a.Nothing()
			return nil
		}
		if err := s.store(ctx, a, &p); err != nil {
			return err
		}
		record(a, EventChanged, p, changes)
		return nil
	})
	return p, err
}

func (s *Service) store(ctx context.Context, a *action.Action, p *Process) error {
	raw, err := json.Marshal(p.Draft)
	if err != nil {
		return fmt.Errorf("process: %d: %w", p.ID, err)
	}
	p.UpdatedAt, p.UpdatedByName = a.Now, a.Actor.Name
	_, err = a.Exec(ctx, `
		UPDATE processes SET name = $1, name_en = $2, type = $3, class = $4, category_id = $5, draft = $6, latest = $7, live = $8, updated_at = $9, updated_by_name = $10, version = version + 1
		WHERE id = $11 AND version = $12`,
		p.Name, p.NameEn, p.Type, p.Class, p.CategoryID, string(raw), p.Latest, db.Bool(p.Live), a.NowMicros(), a.Actor.Name, p.ID, p.Version)
	if db.IsUnique(err, "") {
		return fault.New(fault.Conflict, "process.live_twice")
	}
	if err != nil {
		return fmt.Errorf("process: save %d: %w", p.ID, err)
	}
	p.Version++
	a.AfterCommit(func() { s.live.Store(nil) })
	return nil
}

// changes are the differences for the audit trail, in the company's language.
func (s *Service) changes(ctx context.Context, q db.Querier, old, p Process) (out []event.Change, err error) {
	w, err := s.words(ctx, q, i18n.ZhCN)
	if err != nil {
		return nil, err
	}
	add := func(field, a, b string) {
		if a != b {
			out = append(out, event.Change{Field: field, Old: a, New: b})
		}
	}
	add("name", old.Name, p.Name)
	add("name_en", old.NameEn, p.NameEn)
	add("type", old.Type, p.Type)
	add("class", old.Class, p.Class)
	add("category", fmt.Sprint(old.CategoryID), fmt.Sprint(p.CategoryID))
	for _, d := range p.Draft.Diff(old.Draft, w) {
		pre := ""
		if d.Name != "" {
			pre = d.Name
		}
		if d.Field != "" {
			pre += " · " + i18n.T(w.Lang, "process.field."+d.Field)
		}
		side := func(t string) string {
			if t == "" || pre == "" {
				return t
			}
			return i18n.T(w.Lang, "process.pair", pre, t)
		}
		add("process."+d.What, side(d.Old), side(d.New))
	}
	return out, nil
}

// words are what definitions are told with in l.
func (s *Service) words(ctx context.Context, q db.Querier, l i18n.Lang) (Words, error) {
	defs, err := s.fields.DefsIn(ctx, q, l, field.Ticket)
	if err != nil {
		return Words{}, err
	}
	labels := map[string]string{}
	for _, d := range defs {
		labels[d.Code] = d.Label
	}
	return Words{Lang: l, Field: func(code string) string { return labels[code] }, Department: func(id int64) string {
		d, _, err := s.org.Department(ctx, q, id)
		if err != nil || d.Name == "" {
			return i18n.T(l, "process.department_gone")
		}
		return d.Name
	}}, nil
}

// Words are what definitions are told with in the reader's language.
func (s *Service) Words(ctx context.Context, l i18n.Lang) (Words, error) {
	return s.words(ctx, s.db().Read(), l)
}

// known is what a definition of tickets of the type is checked against.
func (s *Service) known(ctx context.Context, q db.Querier, d *Definition, typ string) (Known, error) {
	k := Known{Departments: map[int64]string{}, Fields: map[string]string{}, Types: map[string][]string{}, Type: typ}
	for _, st := range d.Stages {
		if st.Department == 0 {
			continue
		}
		dep, ok, err := s.org.Department(ctx, q, st.Department)
		if err != nil {
			return k, err
		}
		if ok && dep.Active {
			k.Departments[dep.ID] = dep.Name
		}
	}
	defs, err := s.fields.DefsIn(ctx, q, i18n.ZhCN, field.Ticket)
	if err != nil {
		return k, err
	}
	for _, f := range defs {
		k.Fields[f.Code], k.Types[f.Code] = f.Label, f.Types
	}
	if typ == "complaint" && s.records != nil {
		st, err := s.records.SettingsIn(ctx, q)
		if err != nil {
			return k, err
		}
		k.Records = st.Required
	}
	return k, nil
}

// Problems returns what is wrong with the draft of p.
func (s *Service) Problems(ctx context.Context, p Process) ([]Problem, error) {
	k, err := s.known(ctx, s.db().Read(), &p.Draft, p.Type)
	if err != nil {
		return nil, err
	}
	return p.Draft.Check(k), nil
}

// Purpose is what a process is called and for.
type Purpose struct {
	Name, NameEn, Type, Class string
	CategoryID                int64
}

// SetPurpose changes what process id is called and for; new tickets follow it at
// once.
func (s *Service) SetPurpose(ctx context.Context, actor authz.Actor, id, version int64, in Purpose) (Process, error) {
	return s.edit(ctx, actor, "process.set_purpose", id, version, func(ctx context.Context, a *action.Action, p *Process) error {
		return s.setPurpose(ctx, a, p, in)
	})
}

// Replace changes what process id is called and for, and its whole draft when
// there is one, in one step.
func (s *Service) Replace(ctx context.Context, actor authz.Actor, id, version int64, in Purpose, draft *Definition) (Process, error) {
	return s.edit(ctx, actor, "process.replace", id, version, func(ctx context.Context, a *action.Action, p *Process) error {
		if draft != nil {
			p.Draft = draft.Clone()
		}
		return s.setPurpose(ctx, a, p, in)
	})
}

func (s *Service) setPurpose(ctx context.Context, a *action.Action, p *Process, in Purpose) error {
	p.Name, p.NameEn, p.Type, p.Class, p.CategoryID = in.Name, in.NameEn, in.Type, in.Class, in.CategoryID
	if err := s.checkPurpose(ctx, a, p); err != nil {
		return err
	}
	if p.Live {
		return s.alone(ctx, a, *p)
	}
	return nil
}

// SetDraft replaces the whole draft.
func (s *Service) SetDraft(ctx context.Context, actor authz.Actor, id, version int64, d Definition) (Process, error) {
	return s.edit(ctx, actor, "process.set_draft", id, version, func(_ context.Context, _ *action.Action, p *Process) error {
		p.Draft = d.Clone()
		return nil
	})
}

// shape checks what a definition must have to be kept at all, so that its pages
// can be drawn; whether it can be published is another question.
func (d *Definition) shape() error {
	e := fault.Invalidf("process.invalid")
	if len(d.Stages) > maxStages {
		e.Field("stages", "process.many_stages", maxStages)
	}
	if len(d.Moves) > maxMoves {
		e.Field("moves", "process.many_moves", maxMoves)
	}
	seen, names := map[string]bool{}, map[string]bool{}
	for i := range d.Stages {
		s := &d.Stages[i]
		s.Name, s.NameEn, s.Hint = clean(s.Name), clean(s.NameEn), clean(s.Hint)
		switch {
		case !codeLike.MatchString(s.Code) || seen["s."+s.Code]:
			e.Field("code", "process.bad_code", s.Code)
		case s.Name == "":
			e.Field("name", "process.need_stage_name")
		case len([]rune(s.Name)) > maxName:
			e.Field("name", "ticket.too_long", maxName)
		case names[s.Name]:
			e.Field("name", "process.stage_taken", s.Name)
		}
		if len([]rune(s.NameEn)) > 2*maxName {
			e.Field("name_en", "ticket.too_long", 2*maxName)
		}
		if len([]rune(s.Hint)) > maxHint {
			e.Field("hint", "ticket.too_long", maxHint)
		}
		if s.Minutes < 0 || s.Minutes > maxMinutes {
			e.Field("limit", "process.limit_range")
		}
		seen["s."+s.Code], names[s.Name] = true, true
		s.States, s.Verbs = inOrder(Dwellings, s.States), inOrder(Narrowable, s.Verbs)
		if len(s.Required) > 0 {
			slices.Sort(s.Required)
			s.Required = slices.Compact(s.Required)
			slices.SortStableFunc(s.Required, func(a, b string) int { return rank(a) - rank(b) })
		}
	}
	for i := range d.Moves {
		m := &d.Moves[i]
		m.Name, m.NameEn, m.Who = clean(m.Name), clean(m.NameEn), inOrder(Parties, m.Who)
		switch {
		case !codeLike.MatchString(m.Code) || seen["m."+m.Code]:
			e.Field("code", "process.bad_code", m.Code)
		case m.Name == "":
			e.Field("name", "process.need_move_name")
		case len([]rune(m.Name)) > maxName:
			e.Field("name", "ticket.too_long", maxName)
		}
		if len([]rune(m.NameEn)) > 2*maxName {
			e.Field("name_en", "ticket.too_long", 2*maxName)
		}
		seen["m."+m.Code] = true
	}
	return e.OrNil()
}

var codeLike = regexp.MustCompile(`^[a-z][a-z0-9_]{0,19}$`)

// rank puts the records of complaints first, then the ticket's own fields, then
// the company's, then the rest.
func rank(r string) int {
	if i := slices.Index(Records, r); i >= 0 {
		return i - len(Records)
	}
	if i := slices.Index(Requirements, r); i >= 0 {
		return i
	}
	return 5
}

// inOrder keeps those of all that are in some, in the order of all.
func inOrder[T comparable](all, some []T) []T {
	var out []T
	for _, x := range all {
		if slices.Contains(some, x) {
			out = append(out, x)
		}
	}
	return out
}

// SaveStage changes the stage of st.Code, or adds one when that is "". start and
// again make it the one that new tickets, or second handlings, begin with.
func (s *Service) SaveStage(ctx context.Context, actor authz.Actor, id, version int64, st Stage, start, again bool) (p Process, code string, err error) {
	p, err = s.edit(ctx, actor, "process.save_stage", id, version, func(_ context.Context, _ *action.Action, p *Process) error {
		d := &p.Draft
		if code = st.Code; code == "" {
			// A code is never used again: tickets of older versions may stand there.
			code = "st" + strconv.FormatInt(p.Version, 10)
			st.Code = code
			d.Stages = append(d.Stages, st)
		} else {
			i := slices.IndexFunc(d.Stages, func(x Stage) bool { return x.Code == code })
			if i < 0 {
				return notFound()
			}
			d.Stages[i] = st
		}
		set := func(dst *string, on bool) {
			switch {
			case on:
				*dst = code
			case *dst == code:
				*dst = ""
			}
		}
		set(&d.Start, start || len(d.Stages) == 1)
		set(&d.Again, again)
		return nil
	})
	return p, code, err
}

// RemoveStage removes a stage with the steps that lead to and from it.
func (s *Service) RemoveStage(ctx context.Context, actor authz.Actor, id, version int64, code string) (Process, error) {
	return s.edit(ctx, actor, "process.remove_stage", id, version, func(_ context.Context, _ *action.Action, p *Process) error {
		d := &p.Draft
		if _, ok := d.Stage(code); !ok {
			return notFound()
		}
		d.Stages = slices.DeleteFunc(d.Stages, func(x Stage) bool { return x.Code == code })
		d.Moves = slices.DeleteFunc(d.Moves, func(m Move) bool { return m.From == code || m.To == code })
		if d.Start == code {
			d.Start = ""
		}
		if d.Again == code {
			d.Again = ""
		}
		return nil
	})
}

// ShiftStage moves a stage one place up or down among the others.
func (s *Service) ShiftStage(ctx context.Context, actor authz.Actor, id, version int64, code string, up bool) (Process, error) {
	return s.edit(ctx, actor, "process.shift_stage", id, version, func(_ context.Context, _ *action.Action, p *Process) error {
		i := slices.IndexFunc(p.Draft.Stages, func(x Stage) bool { return x.Code == code })
		if i < 0 {
			return notFound()
		}
		j := i + 1
		if up {
			j = i - 1
		}
		if j >= 0 && j < len(p.Draft.Stages) {
			p.Draft.Stages[i], p.Draft.Stages[j] = p.Draft.Stages[j], p.Draft.Stages[i]
		}
		return nil
	})
}

// SaveMove changes the step of m.Code, or adds one when that is "".
func (s *Service) SaveMove(ctx context.Context, actor authz.Actor, id, version int64, m Move) (Process, error) {
	return s.edit(ctx, actor, "process.save_move", id, version, func(_ context.Context, _ *action.Action, p *Process) error {
		d := &p.Draft
		e := fault.Invalidf("process.invalid")
		if _, ok := d.Stage(m.From); !ok {
			e.Field("from", "ticket.need_choice")
		}
		if _, ok := d.Stage(m.To); !ok {
			e.Field("to", "ticket.need_choice")
		} else if m.From == m.To {
			e.Field("to", "process.move_self")
		}
		if len(inOrder(Parties, m.Who)) == 0 {
			e.Field("who", "process.need_who")
		}
		if slices.ContainsFunc(d.Moves, func(x Move) bool { return x.From == m.From && x.Name == clean(m.Name) && x.Code != m.Code }) {
			e.Field("name", "process.move_taken")
		}
		if err := e.OrNil(); err != nil {
			return err
		}
		if m.Code == "" {
			m.Code = "mv" + strconv.FormatInt(p.Version, 10)
			d.Moves = append(d.Moves, m)
			return nil
		}
		i := slices.IndexFunc(d.Moves, func(x Move) bool { return x.Code == m.Code })
		if i < 0 {
			return notFound()
		}
		d.Moves[i] = m
		return nil
	})
}

// Chain leads from each stage that may not be the end, and that nothing leads out
// of, to the one behind it in the list: what a first draft mostly needs.
func (s *Service) Chain(ctx context.Context, actor authz.Actor, id, version int64) (Process, error) {
	return s.edit(ctx, actor, "process.chain", id, version, func(_ context.Context, _ *action.Action, p *Process) error {
		d := &p.Draft
		for i, st := range d.Stages {
			if st.Final || i+1 == len(d.Stages) || len(d.From(st.Code)) > 0 {
				continue
			}
			to := d.Stages[i+1]
			m := Move{Code: "mv" + strconv.FormatInt(p.Version, 10) + "_" + strconv.Itoa(i+1), From: st.Code, To: to.Code, Name: cut(i18n.T(i18n.ZhCN, "process.chain.name", to.Name), maxName), Who: []Party{Assignee, Supervisor}}
			if to.NameEn != "" {
				m.NameEn = cut(i18n.T(i18n.En, "process.chain.name", to.NameEn), 2*maxName)
			}
			d.Moves = append(d.Moves, m)
		}
		return nil
	})
}

// cut returns the first n characters of s.
func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n])
	}
	return s
}

// RemoveMove removes a step.
func (s *Service) RemoveMove(ctx context.Context, actor authz.Actor, id, version int64, code string) (Process, error) {
	return s.edit(ctx, actor, "process.remove_move", id, version, func(_ context.Context, _ *action.Action, p *Process) error {
		if _, ok := p.Draft.Move(code); !ok {
			return notFound()
		}
		p.Draft.Moves = slices.DeleteFunc(p.Draft.Moves, func(m Move) bool { return m.Code == code })
		return nil
	})
}

// alone refuses a second process in force for the same tickets.
func (s *Service) alone(ctx context.Context, a *action.Action, p Process) error {
	var other string
	err := a.QueryRow(ctx, `SELECT COALESCE(MAX(name), '') FROM processes WHERE live = 1 AND type = $1 AND class = $2 AND category_id = $3 AND id <> $4`, p.Type, p.Class, p.CategoryID, p.ID).Scan(&other)
	if err != nil {
		return fmt.Errorf("process: %d: %w", p.ID, err)
	}
	if other != "" {
		return fault.New(fault.Conflict, "process.live_other", other)
	}
	return nil
}

// Publish makes the draft the newest version and puts it in force: tickets
// registered from now on follow it, those under way keep theirs.
func (s *Service) Publish(ctx context.Context, actor authz.Actor, id, version int64, note string) (v Version, err error) {
	err = s.do(ctx, actor, "process.publish", func(ctx context.Context, a *action.Action) error {
		p, err := get(ctx, a, id, a.ForUpdate())
		if err != nil {
			return err
		}
		if version != 0 && version != p.Version {
			return fault.New(fault.Conflict, "process.changed_meanwhile", p.UpdatedByName)
		}
		if note = strings.TrimSpace(note); len([]rune(note)) > 500 {
			return fault.Invalidf("process.invalid").Field("note", "ticket.too_long", 500)
		}
		k, err := s.known(ctx, a, &p.Draft, p.Type)
		if err != nil {
			return err
		}
		if ps := p.Draft.Check(k); Fatal(ps) {
			n := 0
			for _, x := range ps {
				if x.Fatal {
					n++
				}
			}
			return fault.New(fault.Conflict, "process.not_sound", n)
		}
		if err := s.alone(ctx, a, p); err != nil {
			return err
		}
		var newest Version
		if p.Latest > 0 {
			if newest, err = s.newest(ctx, a, p); err != nil {
				return err
			}
			if same(newest.Definition, p.Draft) && newest.Name == p.Name && newest.NameEn == p.NameEn && p.Live {
				return fault.New(fault.Conflict, "process.nothing_new", p.Latest)
			}
		}
		raw, err := json.Marshal(p.Draft)
		if err != nil {
			return fmt.Errorf("process: publish %d: %w", id, err)
		}
		old := p
		p.Latest++
		p.Live = true
		v = Version{ProcessID: p.ID, Number: p.Latest, Name: p.Name, NameEn: p.NameEn, Definition: p.Draft.Clone(), Note: note, PublishedAt: a.Now, PublishedByName: a.Actor.Name}
		err = a.QueryRow(ctx, `
			INSERT INTO process_versions (process_id, number, name, name_en, definition, note, published_at, published_by_name)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id`,
			v.ProcessID, v.Number, v.Name, v.NameEn, string(raw), v.Note, a.NowMicros(), v.PublishedByName).Scan(&v.ID)
		if err != nil {
			return fmt.Errorf("process: publish %d: %w", id, err)
		}
		old.Draft = newest.Definition
		changes, err := s.changes(ctx, a, old, p)
		if err != nil {
			return err
		}
		if err := s.store(ctx, a, &p); err != nil {
			return err
		}
		record(a, EventPublished, p, changes, strconv.Itoa(v.Number))
		return nil
	})
	return v, err
}

// same reports whether two definitions say the same.
func same(a, b Definition) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && string(x) == string(y)
}

// Unpublished reports whether the draft of p differs from what is in force.
func (s *Service) Unpublished(ctx context.Context, p Process) (bool, error) {
	if p.Latest == 0 {
		return true, nil
	}
	v, err := s.newest(ctx, s.db().Read(), p)
	return err == nil && (!same(v.Definition, p.Draft) || v.Name != p.Name || v.NameEn != p.NameEn), err
}

func (s *Service) newest(ctx context.Context, q db.Querier, p Process) (Version, error) {
	v, err := scanVersion(q.QueryRow(ctx, `SELECT `+versionColumns+` FROM process_versions v WHERE v.process_id = $1 AND v.number = $2`, p.ID, p.Latest))
	if err != nil {
		return v, fmt.Errorf("process: newest version of %d: %w", p.ID, err)
	}
	return v, nil
}

// SetLive puts the newest version in force again, or out of force: tickets
// registered from then on follow no process; those under way go on.
func (s *Service) SetLive(ctx context.Context, actor authz.Actor, id, version int64, on bool) error {
	return s.do(ctx, actor, "process.set_live", func(ctx context.Context, a *action.Action) error {
		p, err := get(ctx, a, id, a.ForUpdate())
		if err != nil {
			return err
		}
		if version != 0 && version != p.Version {
			return fault.New(fault.Conflict, "process.changed_meanwhile", p.UpdatedByName)
		}
		if on && p.Latest == 0 {
			return fault.New(fault.Conflict, "process.never_published")
		}
		if p.Live == on {
			a.Nothing()
			return nil
		}
		p.Live = on
		kind := EventDisabled
		if on {
			kind = EventEnabled
			if err := s.alone(ctx, a, p); err != nil {
				return err
			}
		}
		if err := s.store(ctx, a, &p); err != nil {
			return err
		}
		record(a, kind, p, nil)
		return nil
	})
}

// Restore makes version number the draft again.
func (s *Service) Restore(ctx context.Context, actor authz.Actor, id, version int64, number int) (Process, error) {
	return s.edit(ctx, actor, "process.restore", id, version, func(ctx context.Context, a *action.Action, p *Process) error {
		o := *p
		o.Latest = number
		if number < 1 || number > p.Latest {
			return notFound()
		}
		v, err := s.newest(ctx, a, o)
		p.Draft = v.Definition
		return err
	})
}

// Delete removes a process that was never published.
func (s *Service) Delete(ctx context.Context, actor authz.Actor, id, version int64) error {
	return s.do(ctx, actor, "process.delete", func(ctx context.Context, a *action.Action) error {
		p, err := get(ctx, a, id, a.ForUpdate())
		if err != nil {
			return err
		}
		if version != 0 && version != p.Version {
			return fault.New(fault.Conflict, "process.changed_meanwhile", p.UpdatedByName)
		}
		if p.Latest > 0 {
			return fault.New(fault.Conflict, "process.was_published")
		}
		if _, err := a.Exec(ctx, `DELETE FROM processes WHERE id = $1`, id); err != nil {
			return fmt.Errorf("process: delete %d: %w", id, err)
		}
		record(a, EventDeleted, p, nil)
		return nil
	})
}
