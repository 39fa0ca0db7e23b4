package field

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/cnid"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
)

// The facts this room records. What changed in the values of a record is part of
// the fact about that record.
const (
	Created = "field.created"
	Changed = "field.changed"
	Moved   = "field.moved"
)

// FactData is the data of the facts.
type FactData struct {
	Name    string         `json:"name"` // of the field
	Object  Object         `json:"object"`
	Code    string         `json:"code"`
	Changes []event.Change `json:"changes,omitempty"`
	Args    []string       `json:"args"` // of the sentence
}

const subjectType = "field"

// Bounds: more fields than that are a database, more options a list nobody reads.
const (
	MaxFields  = 200 // of one object
	MaxOptions = 200
	maxLabel   = 40
	maxHelp    = 200
	maxCode    = 40
)

var codeShape = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// Save adds a field (ID 0) or changes one from its Version on, and returns its id.
// A code that is empty is made of the label. Options that are left out are
// switched off when a record has them, else forgotten.
func (s *Service) Save(ctx context.Context, actor authz.Actor, f Field) (int64, error) {
	id := f.ID
	err := s.run.Do(ctx, actor, "field.save", func(ctx context.Context, a *action.Action) error {
		f := f
		if err := a.Actor.Check(PermManage); err != nil {
			return err
		}
		var old Field
		if f.ID != 0 {
			var err error
			if old, err = s.one(ctx, a.Tx, f.ID); err != nil {
				return err
			}
			f.Object, f.Code, f.Position, f.Active = old.Object, old.Code, old.Position, old.Active
			if f.Version != old.Version {
				return fault.New(fault.Conflict, "field.stale")
			}
		}
		if err := s.check(ctx, a, &f, old); err != nil {
			return err
		}
		var err error
		if id, err = s.store(ctx, a, f, old); err != nil {
			return err
		}
		return s.changed(ctx, a)
	})
	return id, err
}

func (s *Service) one(ctx context.Context, tx *db.Tx, id int64) (Field, error) {
	f, err := scanField(tx.QueryRow(ctx, `SELECT `+fieldColumns+` FROM fields WHERE id = $1`+tx.ForUpdate(), id))
	if errors.Is(err, sql.ErrNoRows) {
		return f, fault.New(fault.NotFound, "field.unknown")
	}
	if err != nil {
		return f, fmt.Errorf("field: load %d: %w", id, err)
	}
	return f, nil
}

// check cleans f and reports everything wrong with it at once.
func (s *Service) check(ctx context.Context, a *action.Action, f *Field, old Field) error {
	e := fault.Invalidf("field.define.invalid")
	if !slices.Contains(Objects, f.Object) {
		return e.Field("object", "field.object.required")
	}
	f.Label.Zh, f.Label.En, f.Help.Zh, f.Help.En = line(f.Label.Zh), line(f.Label.En), line(f.Help.Zh), line(f.Help.En)
	if f.Label.Zh == "" {
		e.Field("label", "field.label.required")
	}
	for _, t := range []struct {
		name, text string
		most       int
	}{{"label", f.Label.Zh, maxLabel}, {"label_en", f.Label.En, maxLabel}, {"help", f.Help.Zh, maxHelp}, {"help_en", f.Help.En, maxHelp}} {
		if n := utf8.RuneCountInString(t.text); n > t.most {
			e.Field(t.name, "field.long", t.most, n)
		}
	}
	if !slices.Contains(Kinds, f.Kind) {
		e.Field("kind", "field.kind.required")
	}
	slices.Sort(f.Types)
	f.Types = slices.Compact(f.Types)
	for _, t := range f.Types {
		if !slices.Contains(Types[f.Object], t) {
			e.Field("types", "field.type.unknown")
		}
	}
	if len(f.Types) == len(Types[f.Object]) {
		f.Types = nil
	}
	if err := s.checkNames(ctx, a, f, old, e); err != nil {
		return err
	}
	if err := s.checkOptions(ctx, a, f, old, e); err != nil {
		return err
	}
	if len(e.Fields) > 0 {
		return e
	}
	return s.checkDefault(ctx, a, f)
}

// checkNames settles the code and refuses a second field of one name.
func (s *Service) checkNames(ctx context.Context, a *action.Action, f *Field, old Field, e *fault.Error) error {
	all, err := load(ctx, a)
	if err != nil {
		return err
	}
	others := all.all[f.Object]
	taken := func(code string) bool {
		return slices.ContainsFunc(others, func(o *Field) bool { return o.ID != f.ID && o.Code == code })
	}
	for _, o := range others {
		if o.ID != f.ID && o.Active && Fold(o.Label.Zh) == Fold(f.Label.Zh) && f.Label.Zh != "" {
			e.Field("label", "field.label.taken", o.Label.Zh)
		}
	}
	if f.ID != 0 {
		return nil
	}
	if len(others) >= MaxFields {
		return fault.New(fault.Limited, "field.many", MaxFields)
	}
	if f.Code = strings.ToLower(line(f.Code)); f.Code == "" {
		base := made(f.Label.En)
		if base == "" {
			base = made(cnid.Pinyin(f.Label.Zh))
		}
		if base == "" {
			base = "field"
		}
		f.Code = base
		for n := 2; taken(f.Code); n++ {
			f.Code = base + "_" + strconv.Itoa(n)
		}
	}
	switch {
	case !codeShape.MatchString(f.Code) || len(f.Code) > maxCode:
		e.Field("code", "field.code.shape", maxCode)
	case taken(f.Code):
		e.Field("code", "field.code.taken", f.Code)
	}
	return nil
}

// made turns a label into a code: "Warranty until" is warranty_until.
func made(label string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(label) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9' && b.Len() > 0:
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "_"):
			b.WriteByte('_')
		}
	}
	s := b.String()
	if len(s) > maxCode-4 {
		s = s[:maxCode-4]
	}
	return strings.Trim(s, "_")
}

// checkOptions settles the options: codes stay with them for good, and those that
// records have are never forgotten.
func (s *Service) checkOptions(ctx context.Context, a *action.Action, f *Field, old Field, e *fault.Error) error {
	if old.ID != 0 && f.Kind != old.Kind {
		used, err := s.used(ctx, a, old.ID)
		if err != nil {
			return err
		}
		if used {
			e.Field("kind", "field.kind.used", i18n.Key("field.kind."+string(old.Kind)))
		}
	}
	if !f.Kind.Chosen() {
		f.Options = nil
		return nil
	}
	var out []Choosable
	names, codes := map[string]bool{}, map[string]bool{}
	for _, o := range old.Options {
		codes[o.Code] = true
	}
	for _, o := range f.Options {
		o.Zh, o.En, o.Code = line(o.Zh), line(o.En), line(o.Code)
		if o.Zh == "" && o.Code == "" {
			continue
		}
		if k := slices.IndexFunc(old.Options, func(x Choosable) bool { return x.Code == o.Code }); o.Code != "" && k < 0 && !codeShape.MatchString(o.Code) {
			e.Field("options", "field.code.shape", maxCode)
		}
		switch name := Fold(o.Zh); {
		case o.Zh == "":
			e.Field("options", "field.options.label")
		case utf8.RuneCountInString(o.Zh) > maxLabel || utf8.RuneCountInString(o.En) > maxLabel:
			e.Field("options", "field.long", maxLabel, max(utf8.RuneCountInString(o.Zh), utf8.RuneCountInString(o.En)))
		case strings.ContainsAny(o.Zh+o.En, ",，;；、|"):
			e.Field("options", "field.options.comma", o.Zh)
		case names[name]:
			e.Field("options", "field.options.twice", o.Zh)
		default:
			names[name] = true
		}
		if o.Code == "" {
			base := made(o.En)
			if base == "" {
				base = made(cnid.Pinyin(o.Zh))
			}
			if base == "" {
				base = "option"
			}
			o.Code = base
			for n := 2; codes[o.Code]; n++ {
				o.Code = base + "_" + strconv.Itoa(n)
			}
			codes[o.Code] = true
		}
		out = append(out, o)
	}
	for _, o := range old.Options {
		if slices.ContainsFunc(out, func(x Choosable) bool { return x.Code == o.Code }) {
			continue
		}
		used, err := s.optionUsed(ctx, a, old.ID, o.Code)
		if err != nil {
			return err
		}
		if used {
			o.Off = true
			out = append(out, o)
		}
	}
	switch n := len(out); {
	case n > MaxOptions:
		e.Field("options", "field.options.many", MaxOptions)
	case !slices.ContainsFunc(out, func(o Choosable) bool { return !o.Off }):
		e.Field("options", "field.options.none")
	}
	f.Options = out
	return nil
}

// checkDefault reads the default as if somebody had typed it.
func (s *Service) checkDefault(ctx context.Context, a *action.Action, f *Field) error {
	d := f.in(i18n.ZhCN)
	d.Required, d.Types = false, nil
	values, err := s.Check(ctx, a, []Def{d}, "", Input{d.ID: {f.Default}}, Mode{})
	if x, ok := fault.As(err); ok && len(x.Fields) > 0 {
		return fault.Invalidf("field.define.invalid").Field("default", x.Fields[0].Key, x.Fields[0].Args...)
	}
	if err != nil {
		return err
	}
	f.Default = ""
	if len(values) > 0 {
		f.Default = values[0].Raw()
	}
	return nil
}

func (s *Service) used(ctx context.Context, q db.Querier, id int64) (bool, error) {
	var n int
	err := q.QueryRow(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM field_values WHERE field_id = $1 AND num IS NOT NULL UNION ALL SELECT 1 FROM field_values WHERE field_id = $2 AND fold IS NOT NULL LIMIT 1) x`, id, id).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("field: used %d: %w", id, err)
	}
	return n > 0, nil
}

func (s *Service) optionUsed(ctx context.Context, q db.Querier, id int64, code string) (bool, error) {
	var n int
	err := q.QueryRow(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM field_values WHERE field_id = $1 AND fold = $2 LIMIT 1) x`, id, code).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("field: option of %d: %w", id, err)
	}
	return n > 0, nil
}

// Used reports whether any record has a value of the field: then its kind stays.
func (s *Service) Used(ctx context.Context, id int64) (bool, error) {
	return s.used(ctx, s.db().Read(), id)
}

func (s *Service) store(ctx context.Context, a *action.Action, f, old Field) (int64, error) {
	options, err := json.Marshal(f.Options)
	if err != nil {
		return 0, fmt.Errorf("field: %w", err)
	}
	if f.Options == nil {
		options = []byte("[]")
	}
	if f.ID == 0 {
		if err := a.QueryRow(ctx, `SELECT COALESCE(MAX(position), 0) + 1 FROM fields WHERE object = $1`, string(f.Object)).Scan(&f.Position); err != nil {
			return 0, fmt.Errorf("field: position: %w", err)
		}
		err = a.QueryRow(ctx, `
			INSERT INTO fields (object, code, kind, label, label_en, help, help_en, required, types, preset, options, position, searchable, filterable, demo, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) RETURNING id`,
			string(f.Object), f.Code, string(f.Kind), f.Label.Zh, f.Label.En, f.Help.Zh, f.Help.En, db.Bool(f.Required), strings.Join(f.Types, ","), f.Default, string(options),
			f.Position, db.Bool(f.Searchable), db.Bool(f.Filterable), db.Bool(f.Demo), a.NowMicros(), a.NowMicros()).Scan(&f.ID)
		if err != nil {
			return 0, fmt.Errorf("field: add: %w", err)
		}
		a.Record(event.Event{Kind: Created, Subject: event.Subject{Type: subjectType, ID: f.ID}, Data: f.fact(f.changes(Field{}))})
		return f.ID, nil
	}
	changes := f.changes(old)
	if len(changes) == 0 {
		a.Nothing()
		return f.ID, nil
	}
	_, err = a.Exec(ctx, `
		UPDATE fields SET kind = $1, label = $2, label_en = $3, help = $4, help_en = $5, required = $6, types = $7, preset = $8, options = $9, searchable = $10, filterable = $11,
		       updated_at = $12, version = version + 1
		WHERE  id = $13`,
		string(f.Kind), f.Label.Zh, f.Label.En, f.Help.Zh, f.Help.En, db.Bool(f.Required), strings.Join(f.Types, ","), f.Default, string(options), db.Bool(f.Searchable), db.Bool(f.Filterable),
		a.NowMicros(), f.ID)
	if err != nil {
		return 0, fmt.Errorf("field: change %d: %w", f.ID, err)
	}
	a.Record(event.Event{Kind: Changed, Subject: event.Subject{Type: subjectType, ID: f.ID}, Data: f.fact(changes)})
	return f.ID, s.searched(ctx, a.Tx, f, old, changes)
}

func (f *Field) fact(changes []event.Change) FactData {
	return FactData{Name: f.Label.Zh, Object: f.Object, Code: f.Code, Changes: changes, Args: []string{"@field.object." + string(f.Object), f.Label.Zh}}
}

func (f *Field) changes(old Field) []event.Change {
	var out []event.Change
	add := func(name, from, to string) {
		if from != to {
			out = append(out, event.Change{Field: "field." + name, Old: from, New: to})
		}
	}
	flag := func(b bool) string {
		if b {
			return "yes"
		}
		return "no"
	}
	add("label", old.Label.Zh, f.Label.Zh)
	add("label_en", old.Label.En, f.Label.En)
	add("kind", string(old.Kind), string(f.Kind))
	add("help", old.Help.Zh, f.Help.Zh)
	add("help_en", old.Help.En, f.Help.En)
	add("required", flag(old.Required), flag(f.Required))
	add("types", strings.Join(old.Types, ", "), strings.Join(f.Types, ", "))
	add("default", old.Default, f.Default)
	add("options", listed(old.Options), listed(f.Options))
	add("searchable", flag(old.Searchable), flag(f.Searchable))
	add("filterable", flag(old.Filterable), flag(f.Filterable))
	return out
}

func listed(options []Choosable) string {
	parts := make([]string, len(options))
	for i, o := range options {
		parts[i] = o.Zh
		if o.En != "" {
			parts[i] += " / " + o.En
		}
		if o.Off {
			parts[i] = "(" + parts[i] + ")"
		}
	}
	return strings.Join(parts, ", ")
}

// SetActive switches a field off, so that it shows nowhere, or on again.
func (s *Service) SetActive(ctx context.Context, actor authz.Actor, id int64, active bool) error {
	return s.run.Do(ctx, actor, "field.switch", func(ctx context.Context, a *action.Action) error {
		if err := a.Actor.Check(PermManage); err != nil {
			return err
		}
		f, err := s.one(ctx, a.Tx, id)
		if err != nil {
			return err
		}
		if f.Active == active {
			a.Nothing()
			return nil
		}
		if _, err := a.Exec(ctx, `UPDATE fields SET active = $1, updated_at = $2, version = version + 1 WHERE id = $3`, db.Bool(active), a.NowMicros(), id); err != nil {
			return fmt.Errorf("field: switch %d: %w", id, err)
		}
		from, to := "yes", "no"
		if active {
			from, to = to, from
		}
		changes := []event.Change{{Field: "field.active", Old: from, New: to}}
		a.Record(event.Event{Kind: Changed, Subject: event.Subject{Type: subjectType, ID: id}, Data: f.fact(changes)})
		if err := s.searched(ctx, a.Tx, f, f, changes); err != nil {
			return err
		}
		return s.changed(ctx, a)
	})
}

// Shift moves a field one place up or down among those of its object.
func (s *Service) Shift(ctx context.Context, actor authz.Actor, id int64, up bool) error {
	return s.run.Do(ctx, actor, "field.move", func(ctx context.Context, a *action.Action) error {
		if err := a.Actor.Check(PermManage); err != nil {
			return err
		}
		f, err := s.one(ctx, a.Tx, id)
		if err != nil {
			return err
		}
		all, err := load(ctx, a)
		if err != nil {
			return err
		}
		row := all.all[f.Object]
		from := slices.IndexFunc(row, func(x *Field) bool { return x.ID == id })
		to := from + 1
		if up {
			to = from - 1
		}
		// Those switched off are listed apart: they are stepped over.
		for to >= 0 && to < len(row) && row[to].Active != f.Active {
			if to++; up {
				to -= 2
			}
		}
		if to < 0 || to >= len(row) {
			a.Nothing()
			return nil
		}
		moved := row[from]
		row = slices.Insert(slices.Delete(slices.Clone(row), from, from+1), to, moved)
		for i, x := range row {
			if x.Position == int64(i+1) {
				continue
			}
			if _, err := a.Exec(ctx, `UPDATE fields SET position = $1 WHERE id = $2`, i+1, x.ID); err != nil {
				return fmt.Errorf("field: move %d: %w", id, err)
			}
		}
		a.Record(event.Event{Kind: Moved, Subject: event.Subject{Type: subjectType, ID: id},
			Data: f.fact([]event.Change{{Field: "field.position", Old: strconv.Itoa(from + 1), New: strconv.Itoa(to + 1)}})})
		return s.changed(ctx, a)
	})
}

// RemoveDemo deletes the fields of the sample data. One that a record still has a
// value in stays, as a field like any other.
func (s *Service) RemoveDemo(ctx context.Context, a *action.Action) error {
	for _, query := range []string{
		`UPDATE fields SET demo = 0 WHERE demo = 1 AND EXISTS (SELECT 1 FROM field_values v WHERE v.object = fields.object AND v.field_id = fields.id)`,
		`DELETE FROM fields WHERE demo = 1`,
	} {
		if _, err := a.Exec(ctx, query); err != nil {
			return fmt.Errorf("field: remove sample data: %w", err)
		}
	}
	return s.changed(ctx, a)
}
