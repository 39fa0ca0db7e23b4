package field

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
)

// Values returns what the records ids have, by record and field, in one query for
// every 128 of them. fields chooses the columns; nil is all. Fields switched off
// are left out. Whoever calls has checked that the reader may see the records.
func (s *Service) Values(ctx context.Context, q db.Querier, obj Object, ids []int64, fields []int64) (map[int64]map[int64]Value, error) {
	out := map[int64]map[int64]Value{}
	o, err := s.current(ctx, q)
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 || len(o.defs[i18n.ZhCN][obj]) == 0 || fields != nil && len(fields) == 0 {
		return out, nil
	}
	active := func(f *Field) bool { return f.Active }
	if err := read(ctx, q, o, obj, ids, fields, active, out); err != nil {
		return nil, err
	}
	return out, names(ctx, q, out)
}

// read fills out with the stored values of the fields keep lets through.
func read(ctx context.Context, q db.Querier, o *snapshot, obj Object, ids, fields []int64, keep func(*Field) bool, out map[int64]map[int64]Value) error {
	return db.EachIn(ids, func(in string, args []any) error {
		a := db.Args{Values: args}
		query := `SELECT record_id, field_id, text, COALESCE(fold, ''), COALESCE(num, 0) FROM field_values WHERE object = ` + a.Add(string(obj)) + ` AND record_id IN (` + in + `)`
		if fields != nil {
			query += ` AND field_id IN (` + a.AddInts(fields) + `)`
		}
		rows, err := q.Query(ctx, query+` ORDER BY record_id, field_id, ord`, a.Values...)
		if err != nil {
			return fmt.Errorf("field: values: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			var record, id, num int64
			var text, fold string
			if err := rows.Scan(&record, &id, &text, &fold, &num); err != nil {
				return fmt.Errorf("field: values: %w", err)
			}
			f := o.byID[id]
			if f == nil || !keep(f) {
				continue
			}
			m := out[record]
			if m == nil {
				m = map[int64]Value{}
				out[record] = m
			}
			v := m[id]
			v.FieldID, v.Kind, v.field, v.set = id, f.Kind, f, true
			switch {
			case f.Kind == Multi:
				v.Codes = append(v.Codes, fold)
			case f.Kind == Choice:
				v.Str = fold
			default:
				v.Str, v.Num = text, num
			}
			m[id] = v
		}
		return rows.Err()
	})
}

// names fills in the names of colleagues.
func names(ctx context.Context, q db.Querier, values map[int64]map[int64]Value) error {
	var users []int64
	for _, m := range values {
		for _, v := range m {
			if v.Kind == User && !slices.Contains(users, v.Num) {
				users = append(users, v.Num)
			}
		}
	}
	if len(users) == 0 {
		return nil
	}
	names := map[int64]string{}
	err := db.EachIn(users, func(in string, args []any) error {
		rows, err := q.Query(ctx, `SELECT id, name FROM users WHERE id IN (`+in+`)`, args...)
		if err != nil {
			return fmt.Errorf("field: colleagues: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			var id int64
			var name string
			if err := rows.Scan(&id, &name); err != nil {
				return fmt.Errorf("field: colleagues: %w", err)
			}
			names[id] = name
		}
		return rows.Err()
	})
	for _, m := range values {
		for id, v := range m {
			if v.Kind == User {
				v.name = names[v.Num]
				m[id] = v
			}
		}
	}
	return err
}

// Input is what was typed, by field id: one text, several for a multiple choice,
// none or blanks to empty the field. Fields that are missing stay as they are.
type Input map[int64][]string

// Blank reports whether nothing was typed.
func (in Input) Blank() bool {
	for _, texts := range in {
		for _, t := range texts {
			if strings.TrimSpace(t) != "" {
				return false
			}
		}
	}
	return true
}

// Mode says how strictly [Service.Check] looks.
type Mode struct {
	New    bool            // of a new record: missing fields take their default, required ones must be there
	Lax    bool            // a channel that did not ask for all: required fields may be missing
	Prefix string          // before the names of fields in faults: "contacts.0."
	Old    map[int64]Value // of the record, so that options switched off may stay
}

// Check reads what was typed for a record of the type and returns the values to
// [Service.Set], or a fault that names each field. Fields that do not apply to
// the type are passed over.
func (s *Service) Check(ctx context.Context, q db.Querier, defs []Def, typ string, in Input, m Mode) ([]Value, error) {
	e := fault.Invalidf("field.invalid")
	var out []Value
	for _, d := range defs {
		texts, given := in[d.ID]
		if !d.Applies(typ) || !given && !m.New {
			continue
		}
		if !given && d.Default != "" {
			texts = strings.Split(d.Default, ",")
			if d.Kind != Multi {
				texts = []string{d.Default}
			}
		}
		v, err := d.field.parse(texts, m.Old[d.ID])
		if err == nil && v.set && v.Kind == User {
			v, err = s.colleague(ctx, q, v, line(texts[0]), m.Old[d.ID])
		}
		var w *wrong
		switch {
		case errors.As(err, &w):
			e.Field(m.Prefix+d.Name(), w.key, w.args...)
		case err != nil:
			return nil, err
		case v.Empty() && d.Required && (given || !m.Lax):
			e.Field(m.Prefix+d.Name(), "field.required", d.Label)
		default:
			out = append(out, v)
		}
	}
	return out, e.OrNil()
}

// colleague finds the person meant by an id, a name or a login.
func (s *Service) colleague(ctx context.Context, q db.Querier, v Value, text string, old Value) (Value, error) {
	rows, err := q.Query(ctx, `SELECT id, name, active FROM users WHERE id = $1 OR name = $2 OR login = $3 ORDER BY id LIMIT 5`, v.Num, text, strings.ToLower(text))
	if err != nil {
		return v, fmt.Errorf("field: colleague: %w", err)
	}
	defer rows.Close()
	found := 0
	for rows.Next() {
		var id int64
		var name string
		var active int
		if err := rows.Scan(&id, &name, &active); err != nil {
			return v, fmt.Errorf("field: colleague: %w", err)
		}
		if active == 0 && (!old.set || old.Num != id) {
			continue
		}
		found++
		v.Num, v.name = id, name
	}
	if err := rows.Err(); err != nil {
		return v, fmt.Errorf("field: colleague: %w", err)
	}
	switch found {
	case 0:
		return v, no("field.user.unknown", text)
	case 1:
		return v, nil
	}
	return v, no("field.user.several", text)
}

// Set writes the values of a record in the caller's transaction and returns what
// changed, for the fact the caller records.
func (s *Service) Set(ctx context.Context, tx *db.Tx, obj Object, id int64, values []Value) ([]event.Change, error) {
	if len(values) == 0 {
		return nil, nil
	}
	o, err := s.current(ctx, tx)
	if err != nil {
		return nil, err
	}
	fields := make([]int64, len(values))
	for i, v := range values {
		fields[i] = v.FieldID
	}
	stored := map[int64]map[int64]Value{}
	if err := read(ctx, tx, o, obj, []int64{id}, fields, func(*Field) bool { return true }, stored); err != nil {
		return nil, err
	}
	if err := names(ctx, tx, stored); err != nil {
		return nil, err
	}
	var changes []event.Change
	var gone []int64
	var rows []any
	for _, v := range values {
		old := stored[id][v.FieldID]
		if v.equal(old) {
			continue
		}
		if old.set {
			gone = append(gone, v.FieldID)
		}
		rows = append(rows, v.rows(obj, id)...)
		changes = append(changes, event.Change{Field: v.field.Label.Zh, Old: recorded(old), New: recorded(v)})
	}
	if len(gone) > 0 {
		var a db.Args
		query := `DELETE FROM field_values WHERE object = ` + a.Add(string(obj)) + ` AND record_id = ` + a.Add(id) + ` AND field_id IN (` + a.AddInts(gone) + `)`
		if _, err := tx.Exec(ctx, query, a.Values...); err != nil {
			return nil, fmt.Errorf("field: set: %w", err)
		}
	}
	return changes, insert(ctx, tx, rows)
}

// SetNew writes the values of records that had none, many at once; it says
// nothing of changes.
func (s *Service) SetNew(ctx context.Context, tx *db.Tx, obj Object, values map[int64][]Value) error {
	ids := make([]int64, 0, len(values))
	for id := range values {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	var rows []any
	for _, id := range ids {
		for _, v := range values[id] {
			rows = append(rows, v.rows(obj, id)...)
		}
	}
	return insert(ctx, tx, rows)
}

func insert(ctx context.Context, tx *db.Tx, rows []any) error {
	if err := tx.InsertMany(ctx, `INSERT INTO field_values (object, record_id, field_id, ord, text, fold, num)`, "", 7, rows); err != nil {
		return fmt.Errorf("field: insert: %w", err)
	}
	return nil
}

// rows is the value as it is stored: object, record, field, order, text, fold, num.
func (v Value) rows(obj Object, id int64) []any {
	if !v.set {
		return nil
	}
	row := func(ord int, text string, fold, num any) []any {
		return []any{string(obj), id, v.FieldID, int64(ord), text, fold, num}
	}
	switch {
	case v.Kind == Multi:
		var out []any
		for i, c := range v.Codes {
			out = append(out, row(i, "", c, nil)...)
		}
		return out
	case v.Kind == Choice:
		return row(0, "", v.Str, nil)
	case v.Kind.Numeric():
		return row(0, "", nil, v.Num)
	}
	return row(0, v.Str, Fold(v.Str), nil)
}

// clear are the numbers and addresses somebody may have typed into a text field.
var clear = regexp.MustCompile(`[\w.+-]+@[\w-]+(\.[\w-]+)+|\+?\d(?:[ -]?\d){6,}`)

// maxRecorded is how much of a text a fact keeps, in characters.
const maxRecorded = 80

// recorded is the value as facts keep it. The chain outlives a person's wish to
// be forgotten, so numbers and addresses in free text are hidden (GOV-4).
func recorded(v Value) string {
	text := v.Text(i18n.ZhCN)
	if v.Kind == Text || v.Kind == Link {
		text = clear.ReplaceAllString(text, "****")
	}
	if r := []rune(text); len(r) > maxRecorded {
		text = string(r[:maxRecorded]) + "…"
	}
	return text
}

// Remove deletes all values of records, those of fields switched off too.
func (s *Service) Remove(ctx context.Context, tx *db.Tx, obj Object, ids ...int64) error {
	return db.EachIn(ids, func(in string, args []any) error {
		a := db.Args{Values: args}
		query := `DELETE FROM field_values WHERE record_id IN (` + in + `) AND object = ` + a.Add(string(obj))
		if _, err := tx.Exec(ctx, query, a.Values...); err != nil {
			return fmt.Errorf("field: remove: %w", err)
		}
		return nil
	})
}

// Move gives the values of one record to another, for a merge: of the chosen
// fields, or of all when fields is nil. What the other had there is replaced;
// what it has in fields that from lacks stays.
func (s *Service) Move(ctx context.Context, tx *db.Tx, obj Object, from, to int64, fields []int64) error {
	if from == to || fields != nil && len(fields) == 0 {
		return nil
	}
	only := func(a *db.Args) string {
		if fields == nil {
			return ""
		}
		return ` AND field_id IN (` + a.AddInts(fields) + `)`
	}
	var a db.Args
	query := `DELETE FROM field_values WHERE object = ` + a.Add(string(obj)) + ` AND record_id = ` + a.Add(to) +
		` AND field_id IN (SELECT x.field_id FROM field_values x WHERE x.object = ` + a.Add(string(obj)) + ` AND x.record_id = ` + a.Add(from) + `)` + only(&a)
	if _, err := tx.Exec(ctx, query, a.Values...); err != nil {
		return fmt.Errorf("field: move: %w", err)
	}
	a = db.Args{}
	query = `UPDATE field_values SET record_id = ` + a.Add(to) + ` WHERE object = ` + a.Add(string(obj)) + ` AND record_id = ` + a.Add(from) + only(&a)
	if _, err := tx.Exec(ctx, query, a.Values...); err != nil {
		return fmt.Errorf("field: move: %w", err)
	}
	return nil
}

// Words is the text the records are found by: their searchable fields, "" when
// there are none.
func (s *Service) Words(ctx context.Context, q db.Querier, obj Object, ids ...int64) (string, error) {
	o, err := s.current(ctx, q)
	if err != nil {
		return "", err
	}
	texts, err := words(ctx, q, o, obj, ids)
	var parts []string
	for _, id := range ids {
		if texts[id] != "" {
			parts = append(parts, texts[id])
		}
	}
	return strings.Join(parts, " "), err
}

// WordsByRecord is Words of many records, by record.
func (s *Service) WordsByRecord(ctx context.Context, q db.Querier, obj Object, ids []int64) (map[int64]string, error) {
	o, err := s.current(ctx, q)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	return words(ctx, q, o, obj, ids)
}

// WordsOf is Words of many records, by record, for those who have no service at
// hand: it reads the definitions first.
func WordsOf(ctx context.Context, q db.Querier, obj Object, ids []int64) (map[int64]string, error) {
	o, err := load(ctx, q)
	if err != nil {
		return nil, err
	}
	return words(ctx, q, o, obj, ids)
}

func words(ctx context.Context, q db.Querier, o *snapshot, obj Object, ids []int64) (map[int64]string, error) {
	var fields []int64
	for _, d := range o.defs[i18n.ZhCN][obj] {
		if d.Searchable {
			fields = append(fields, d.ID)
		}
	}
	if len(fields) == 0 || len(ids) == 0 {
		return nil, nil
	}
	values := map[int64]map[int64]Value{}
	if err := read(ctx, q, o, obj, ids, fields, func(f *Field) bool { return f.Active }, values); err != nil {
		return nil, err
	}
	if err := names(ctx, q, values); err != nil {
		return nil, err
	}
	out := map[int64]string{}
	for id, m := range values {
		var parts []string
		for _, f := range fields {
			if v := m[f]; v.set {
				parts = append(parts, v.words())
			}
		}
		out[id] = strings.Join(parts, " ")
	}
	return out, nil
}

// Searchable are the texts of values that a record may be found by.
func Searchable(values []Value) []string {
	var out []string
	for _, v := range values {
		if v.set && v.field.Searchable {
			out = append(out, v.words())
		}
	}
	return out
}

// words is the value as somebody may search for it.
func (v Value) words() string {
	switch v.Kind {
	case Number, Money, Date:
		return v.Raw()
	case Choice, Multi:
		if zh, en := v.Text(i18n.ZhCN), v.Text(i18n.En); zh != en {
			return zh + " " + en
		}
	}
	return v.Text(i18n.ZhCN)
}

// LabelOf is what a recorded change calls a field, in l: facts keep the Chinese
// label. It is returned as it is when no field is called that any more.
func (s *Service) LabelOf(ctx context.Context, l i18n.Lang, label string) string {
	if l == i18n.ZhCN {
		return label
	}
	o, err := s.current(ctx, s.db().Read())
	if err != nil {
		return label
	}
	for _, defs := range o.defs[i18n.ZhCN] {
		for _, d := range defs {
			if d.Label == label {
				return d.LabelIn(l)
			}
		}
	}
	return label
}
