package field_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
)

var admin = authz.Actor{Kind: authz.User, ID: 1, Name: "郑管理", Levels: map[authz.Permission]authz.Level{field.PermManage: authz.All}}

type world struct {
	testing.TB
	ctx context.Context
	d   *db.DB
	s   *field.Service
	run *action.Runner
}

func newWorld(t testing.TB, d *db.DB) *world {
	run := action.NewRunner(d, nil)
	w := &world{t, context.Background(), d, field.New(run), run}
	w.write(func(ctx context.Context, tx *db.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO departments (id, name, created_at) VALUES (1, '客服部', 0)`); err != nil {
			return err
		}
		for i, n := range []string{"王小美", "李主管", "李主管"} {
			if _, err := tx.Exec(ctx, `INSERT INTO users (login, name, department_id, created_at) VALUES ($1, $2, 1, 0)`, fmt.Sprint("u", i+1), n); err != nil {
				return err
			}
		}
		return nil
	})
	return w
}

func (w *world) write(f func(ctx context.Context, tx *db.Tx) error) {
	w.Helper()
	if err := w.d.Write(w.ctx, f); err != nil {
		w.Fatal(err)
	}
}

func (w *world) add(f field.Field) field.Def {
	w.Helper()
	if f.Object == "" {
		f.Object = field.Customer
	}
	if f.Label.Zh == "" {
		f.Label.Zh = "字段" + f.Code
	}
	id, err := w.s.Save(w.ctx, admin, f)
	if err != nil {
		w.Fatal(err)
	}
	return w.def(f.Object, id)
}

func (w *world) def(obj field.Object, id int64) field.Def {
	w.Helper()
	defs, err := w.s.Defs(w.ctx, i18n.ZhCN, obj)
	if err != nil {
		w.Fatal(err)
	}
	for _, d := range defs {
		if d.ID == id {
			return d
		}
	}
	w.Fatalf("no field %d", id)
	return field.Def{}
}

// put gives record 1, 2 … texts of the field.
func (w *world) put(d field.Def, texts ...string) {
	w.Helper()
	w.write(func(ctx context.Context, tx *db.Tx) error {
		for i, text := range texts {
			vs, err := w.s.Check(ctx, tx, []field.Def{d}, "", field.Input{d.ID: {text}}, field.Mode{})
			if err != nil {
				return fmt.Errorf("%q: %w", text, err)
			}
			if _, err := w.s.Set(ctx, tx, d.Object, int64(i+1), vs); err != nil {
				return err
			}
		}
		return nil
	})
}

var options = []field.Choosable{{Code: "gold", Zh: "金牌", En: "Gold"}, {Code: "silver", Zh: "银牌", En: "Silver"}, {Zh: "铜牌"}}

func TestValuesAreReadAndShown(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		w := newWorld(t, d)
		defs := map[field.Kind]field.Def{}
		for _, k := range field.Kinds {
			f := field.Field{Code: string(k), Kind: k}
			if k.Chosen() {
				f.Options = options
			}
			defs[k] = w.add(f)
		}
		for _, c := range []struct {
			kind           field.Kind
			in             []string
			raw, text, bad string
		}{
			{field.Text, []string{" 东 区 ｗ "}, "东 区 ｗ", "东 区 ｗ", ""},
			{field.Text, []string{strings.Repeat("字", 501)}, "", "", "field.long"},
			{field.Number, []string{"１,２３４.50"}, "1234.5", "1,234.5", ""},
			{field.Number, []string{"-0.0001"}, "-0.0001", "-0.0001", ""},
			{field.Number, []string{"0.00001"}, "", "", "field.decimals"},
			{field.Number, []string{"12a"}, "", "", "field.number"},
			{field.Number, []string{"."}, "", "", "field.number"},
			{field.Number, []string{"99999999999999999999"}, "", "", "field.large"},
			{field.Money, []string{"￥1,200元"}, "1200.00", "¥1,200.00", ""},
			{field.Money, []string{"0.005"}, "", "", "field.decimals"},
			{field.Date, []string{"2026年1月2日"}, "2026-01-02", "2026-01-02", ""},
			{field.Date, []string{"2026/13/2"}, "", "", "field.date"},
			{field.Date, []string{"0026-01-02"}, "", "", "field.date.far"},
			{field.Choice, []string{"gold"}, "gold", "金牌", ""},
			{field.Choice, []string{"SILVER"}, "silver", "银牌", ""},
			{field.Choice, []string{"铁牌"}, "", "", "field.option"},
			{field.Choice, []string{"gold", "silver"}, "", "", "field.one"},
			{field.Multi, []string{"铜牌、金牌"}, "gold,tongpai", "金牌、铜牌", ""},
			{field.Multi, []string{"silver", "gold", "gold"}, "gold,silver", "金牌、银牌", ""},
			{field.Multi, []string{"金牌,x"}, "", "", "field.option"},
			{field.User, []string{"王小美"}, "1", "王小美", ""},
			{field.User, []string{"1"}, "1", "王小美", ""},
			{field.User, []string{"u3"}, "3", "李主管", ""},
			{field.User, []string{"李主管"}, "", "", "field.user.several"},
			{field.User, []string{"无名氏"}, "", "", "field.user.unknown"},
			{field.Bool, []string{"是"}, "1", "是", ""},
			{field.Bool, []string{"no"}, "0", "否", ""},
			{field.Bool, []string{"也许"}, "", "", "field.bool"},
			{field.Link, []string{"example.com/a?b=1"}, "https://example.com/a?b=1", "https://example.com/a?b=1", ""},
			{field.Link, []string{"javascript:alert(1)"}, "", "", "field.link"},
			{field.Link, []string{"http://x"}, "", "", "field.link"},
			{field.Text, []string{"  "}, "", "", ""},
		} {
			def := defs[c.kind]
			var got field.Value
			err := d.Write(w.ctx, func(ctx context.Context, tx *db.Tx) error {
				vs, err := w.s.Check(ctx, tx, []field.Def{def}, "", field.Input{def.ID: c.in}, field.Mode{})
				if err != nil {
					return err
				}
				if _, err := w.s.Set(ctx, tx, field.Customer, 7, vs); err != nil {
					return err
				}
				m, err := w.s.Values(ctx, tx, field.Customer, []int64{7, 8}, []int64{def.ID})
				got = m[7][def.ID]
				return err
			})
			if c.bad != "" {
				if e, ok := fault.As(err); !ok || len(e.Fields) != 1 || e.Fields[0].Key != c.bad || e.Fields[0].Field != "fields."+string(c.kind) {
					t.Errorf("%s %q: %v, want %s", c.kind, c.in, err, c.bad)
				}
				continue
			}
			if err != nil || got.Raw() != c.raw || got.Text(i18n.ZhCN) != c.text {
				t.Errorf("%s %q: %q %q %v, want %q %q", c.kind, c.in, got.Raw(), got.Text(i18n.ZhCN), err, c.raw, c.text)
			}
		}
	})
}

func TestCheckKnowsTypesDefaultsAndWhatIsRequired(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		w := newWorld(t, d)
		must := w.add(field.Field{Code: "must", Kind: field.Text, Required: true, Types: []string{"company"}})
		kind := w.add(field.Field{Code: "kind", Kind: field.Choice, Options: options, Default: "银牌", Required: true})
		if kind.Default != "silver" {
			t.Errorf("default %q", kind.Default)
		}
		for _, c := range []struct {
			name, typ string
			in        field.Input
			mode      field.Mode
			bad       string
			values    string
		}{
			{"required is missing", "company", nil, field.Mode{New: true}, "fields.must", ""},
			{"nobody was asked", "company", nil, field.Mode{New: true, Lax: true}, "", ",silver"},
			{"not of this type", "person", field.Input{must.ID: {"x"}}, field.Mode{New: true}, "", "silver"},
			{"given", "company", field.Input{must.ID: {"x"}, kind.ID: {"gold"}}, field.Mode{New: true}, "", "x,gold"},
			{"an old record stays as it is", "company", field.Input{}, field.Mode{}, "", ""},
			{"emptied", "company", field.Input{must.ID: {""}}, field.Mode{Prefix: "contacts.1."}, "contacts.1.fields.must", ""},
			{"default emptied", "company", field.Input{must.ID: {"x"}, kind.ID: {""}}, field.Mode{New: true}, "fields.kind", ""},
		} {
			vs, err := w.s.Check(w.ctx, d.Read(), []field.Def{must, kind}, c.typ, c.in, c.mode)
			var raws []string
			for _, v := range vs {
				raws = append(raws, v.Raw())
			}
			bad := ""
			if e, ok := fault.As(err); ok {
				bad = e.Fields[0].Field
			}
			if bad != c.bad || bad == "" && strings.Join(raws, ",") != c.values {
				t.Errorf("%s: %q %q, want %q %q", c.name, bad, raws, c.bad, c.values)
			}
		}
	})
}

func TestSetSaysWhatChanged(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		w := newWorld(t, d)
		note := w.add(field.Field{Code: "note", Kind: field.Text, Label: field.Words{Zh: "备用联系", En: "Spare"}, Searchable: true})
		many := w.add(field.Field{Code: "many", Kind: field.Multi, Options: options, Label: field.Words{Zh: "等级"}, Searchable: true})
		set := func(in field.Input) (out []string) {
			w.write(func(ctx context.Context, tx *db.Tx) error {
				out = nil
				vs, err := w.s.Check(ctx, tx, []field.Def{note, many}, "", in, field.Mode{})
				if err != nil {
					return err
				}
				cs, err := w.s.Set(ctx, tx, field.Customer, 1, vs)
				for _, c := range cs {
					out = append(out, c.Field+":"+c.Old+">"+c.New)
				}
				return err
			})
			return out
		}
		for _, c := range []struct {
			in   field.Input
			want string
		}{
			{field.Input{note.ID: {"打 138 1234 5678 找 a.b@example.com"}, many.ID: {"gold", "tongpai"}}, "备用联系:>打 **** 找 ****|等级:>金牌、铜牌"},
			{field.Input{note.ID: {"打 138 1234 5678 找 a.b@example.com"}, many.ID: {"铜牌", "金牌"}}, ""},
			{field.Input{many.ID: {"gold"}}, "等级:金牌、铜牌>金牌"},
			{field.Input{note.ID: {""}}, "备用联系:打 **** 找 ****>"},
		} {
			if got := strings.Join(set(c.in), "|"); got != c.want {
				t.Errorf("%v: %q, want %q", c.in, got, c.want)
			}
		}
		words, err := w.s.Words(w.ctx, d.Read(), field.Customer, 1, 2)
		if err != nil || words != "金牌 Gold" {
			t.Errorf("words %q %v", words, err)
		}
	})
}

func TestRemoveAndMove(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		w := newWorld(t, d)
		a := w.add(field.Field{Code: "a", Kind: field.Text})
		b := w.add(field.Field{Code: "b", Kind: field.Multi, Options: options})
		c := w.add(field.Field{Code: "c", Kind: field.Number})
		w.put(a, "one", "two")
		w.put(b, "gold,silver", "tongpai")
		w.put(c, "", "2")
		show := func(id int64) string {
			m, err := w.s.Values(w.ctx, d.Read(), field.Customer, []int64{id}, nil)
			if err != nil {
				t.Fatal(err)
			}
			return m[id][a.ID].Raw() + "|" + m[id][b.ID].Raw() + "|" + m[id][c.ID].Raw()
		}
		move := func(from, to int64, fields []int64) {
			w.write(func(ctx context.Context, tx *db.Tx) error { return w.s.Move(ctx, tx, field.Customer, from, to, fields) })
		}
		move(1, 2, []int64{b.ID})
		if show(1) != "one||" || show(2) != "two|gold,silver|2" {
			t.Errorf("moved one: %s and %s", show(1), show(2))
		}
		move(1, 2, nil)
		if show(1) != "||" || show(2) != "one|gold,silver|2" {
			t.Errorf("moved all: %s and %s", show(1), show(2))
		}
		w.write(func(ctx context.Context, tx *db.Tx) error { return w.s.Remove(ctx, tx, field.Customer, 2) })
		if show(2) != "||" {
			t.Errorf("removed: %s", show(2))
		}
	})
}

func TestWhere(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		w := newWorld(t, d)
		text := w.add(field.Field{Code: "t", Kind: field.Text})
		num := w.add(field.Field{Code: "n", Kind: field.Number})
		money := w.add(field.Field{Code: "m", Kind: field.Money})
		date := w.add(field.Field{Code: "d", Kind: field.Date})
		choice := w.add(field.Field{Code: "c", Kind: field.Choice, Options: options})
		multi := w.add(field.Field{Code: "x", Kind: field.Multi, Options: options})
		user := w.add(field.Field{Code: "u", Kind: field.User})
		yes := w.add(field.Field{Code: "b", Kind: field.Bool})
		site := w.add(field.Field{Code: "l", Kind: field.Link})
		w.put(text, "东区 100%", "西区", "", "ＡＢＣ_1")
		w.put(num, "1", "2.5", "-3", "")
		w.put(money, "1200", "99.99", "", "0")
		w.put(date, "2026-01-01", "2026-11-21", "2026-12-31", "")
		w.put(choice, "gold", "silver", "", "gold")
		w.put(multi, "gold,silver", "silver", "tongpai", "")
		w.put(user, "1", "2", "", "1")
		w.put(yes, "1", "0", "", "1")
		w.put(site, "example.com", "b.example.com/x", "", "")
		for _, c := range []struct {
			d     field.Def
			op    field.Op
			value string
			want  string
		}{
			{text, field.Is, "东区 100%", "1"},
			{text, field.Is, "abc_1", "4"},
			{text, field.Not, "西区", "134"},
			{text, field.Has, "区", "12"},
			{text, field.Has, "%", "1"},
			{text, field.Has, "c_", "4"},
			{text, field.Empty, "", "3"},
			{text, field.Set, "", "124"},
			{num, field.Is, "2.5", "2"},
			{num, field.Not, "1", "234"},
			{num, field.Less, "1", "3"},
			{num, field.Greater, "1", "2"},
			{num, field.Between, "-3..1", "13"},
			{num, field.Between, "1..", "12"},
			{num, field.Between, "..0", "3"},
			{money, field.Is, "1,200", "1"},
			{money, field.Less, "100", "24"},
			{date, field.Between, "2026-11-01..2026-12-31", "23"},
			{date, field.Greater, "2026-11-21", "3"},
			{choice, field.Is, "gold", "14"},
			{choice, field.Is, "gold,银牌", "124"},
			{choice, field.Not, "gold", "23"},
			{multi, field.Has, "silver", "12"},
			{multi, field.Has, "gold,tongpai", "13"},
			{multi, field.Not, "silver", "34"},
			{multi, field.Empty, "", "4"},
			{user, field.Is, "1", "14"},
			{user, field.Is, "1,2", "124"},
			{yes, field.Is, "1", "14"},
			{yes, field.Not, "是", "23"},
			{site, field.Is, "example.com", "1"},
			{site, field.Has, "example", "12"},
			{text, field.Less, "a", "field.filter.op"},
			{text, field.Is, " ", "field.filter.value"},
			{num, field.Is, "x", "field.filter.value"},
			{num, field.Between, "..", "field.filter.value"},
			{choice, field.Is, "iron", "field.option"},
		} {
			name := fmt.Sprintf("%s %s %q", c.d.Kind, c.op, c.value)
			var a db.Args
			cond, err := field.Where(&a, c.d, "c.id", c.op, c.value)
			if e, ok := fault.As(err); ok {
				if e.Key != c.want {
					t.Errorf("%s: %v, want %s", name, err, c.want)
				}
				continue
			}
			got := w.ids(`SELECT c.id FROM (SELECT 1 AS id UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4) c WHERE `+cond+` ORDER BY c.id`, a.Values)
			if err != nil || got != c.want {
				t.Errorf("%s: %s %v, want %s", name, got, err, c.want)
			}
			a = db.Args{}
			query, ok, err := field.Match(&a, c.d, c.op, c.value)
			if err != nil || ok == (c.op == field.Not || c.op == field.Empty) {
				t.Errorf("%s: match %v %v", name, ok, err)
			}
			if ok {
				if got := w.ids(`SELECT DISTINCT x.record_id FROM (`+query+`) x ORDER BY 1`, a.Values); got != c.want {
					t.Errorf("%s: matched %s, want %s", name, got, c.want)
				}
			}
		}
	})
}

func (w *world) ids(query string, args []any) string {
	w.Helper()
	rows, err := w.d.Read().Query(w.ctx, query, args...)
	if err != nil {
		w.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	out := ""
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			w.Fatal(err)
		}
		out += fmt.Sprint(id)
	}
	return out
}

func TestFieldsAreGoverned(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		w := newWorld(t, d)
		stored := func(id int64) field.Field {
			fs, err := w.s.Fields(w.ctx, field.Customer)
			if err != nil {
				t.Fatal(err)
			}
			return fs[slices.IndexFunc(fs, func(f field.Field) bool { return f.ID == id })]
		}
		refused := func(name, key string, err error) {
			t.Helper()
			e, ok := fault.As(err)
			if !ok || e.Key != key && (len(e.Fields) == 0 || e.Fields[0].Key != key) {
				t.Errorf("%s: %v, want %s", name, err, key)
			}
		}
		if _, err := w.s.Save(w.ctx, authz.Actor{Kind: authz.User, ID: 2}, field.Field{Object: field.Customer, Kind: field.Text, Label: field.Words{Zh: "x"}}); !fault.Is(err, fault.Forbidden) {
			t.Errorf("anybody may add fields: %v", err)
		}
		save := func(f field.Field) error { f.Object = field.Customer; _, err := w.s.Save(w.ctx, admin, f); return err }
		refused("no name", "field.label.required", save(field.Field{Kind: field.Text}))
		refused("no kind", "field.kind.required", save(field.Field{Label: field.Words{Zh: "a"}}))
		refused("bad code", "field.code.shape", save(field.Field{Label: field.Words{Zh: "a"}, Kind: field.Text, Code: "1x"}))
		refused("no options", "field.options.none", save(field.Field{Label: field.Words{Zh: "a"}, Kind: field.Choice}))
		refused("options twice", "field.options.twice", save(field.Field{Label: field.Words{Zh: "a"}, Kind: field.Choice, Options: []field.Choosable{{Zh: "甲"}, {Zh: "甲"}}}))
		refused("comma", "field.options.comma", save(field.Field{Label: field.Words{Zh: "a"}, Kind: field.Choice, Options: []field.Choosable{{Zh: "甲,乙"}}}))
		refused("bad default", "field.option", save(field.Field{Label: field.Words{Zh: "a"}, Kind: field.Choice, Options: options, Default: "铁牌"}))
		refused("type", "field.type.unknown", save(field.Field{Label: field.Words{Zh: "a"}, Kind: field.Text, Types: []string{"complaint"}}))

		a := w.add(field.Field{Label: field.Words{Zh: "会员等级", En: "Member level"}, Kind: field.Choice, Options: options})
		if a.Code != "member_level" || a.Options[2].Code != "tongpai" {
			t.Errorf("codes %q %+v", a.Code, a.Options)
		}
		b := w.add(field.Field{Label: field.Words{Zh: "年产值"}, Kind: field.Money, Types: []string{"person", "company"}})
		if b.Code != "nianchanzhi" || b.Types != nil {
			t.Errorf("code %q types %v", b.Code, b.Types)
		}
		refused("same name", "field.label.taken", save(field.Field{Label: field.Words{Zh: "年产值"}, Kind: field.Text}))
		refused("same code", "field.code.taken", save(field.Field{Label: field.Words{Zh: "b"}, Kind: field.Text, Code: "nianchanzhi"}))

		// The kind may change as long as nobody has a value.
		f := stored(b.ID)
		f.Kind = field.Number
		if _, err := w.s.Save(w.ctx, admin, f); err != nil {
			t.Error(err)
		}
		refused("stale", "field.stale", func() error { _, err := w.s.Save(w.ctx, admin, f); return err }())
		b = w.def(field.Customer, b.ID)
		w.put(b, "5")
		f = stored(b.ID)
		f.Kind = field.Text
		refused("kind of a used field", "field.kind.used", func() error { _, err := w.s.Save(w.ctx, admin, f); return err }())

		// An option somebody has is switched off, others are forgotten.
		w.put(a, "gold")
		f = stored(a.ID)
		f.Options = []field.Choosable{{Code: "silver", Zh: "白银"}}
		if _, err := w.s.Save(w.ctx, admin, f); err != nil {
			t.Fatal(err)
		}
		a = w.def(field.Customer, a.ID)
		if len(a.Options) != 2 || a.Options[0].Label != "白银" || a.Options[1].Code != "gold" || !a.Options[1].Off {
			t.Errorf("options %+v", a.Options)
		}
		check := func(old map[int64]field.Value) error {
			_, err := w.s.Check(w.ctx, d.Read(), []field.Def{a}, "", field.Input{a.ID: {"gold"}}, field.Mode{Old: old})
			return err
		}
		if check(nil) == nil {
			t.Error("an option switched off can be chosen")
		}
		m, err := w.s.Values(w.ctx, d.Read(), field.Customer, []int64{1}, nil)
		if err != nil || check(m[1]) != nil || m[1][a.ID].Text(i18n.ZhCN) != "金牌" {
			t.Errorf("an option switched off does not stay: %v", err)
		}

		// Switched off, a field shows nowhere; on again, its values are there.
		if err := w.s.SetActive(w.ctx, admin, a.ID, false); err != nil {
			t.Fatal(err)
		}
		if m, _ := w.s.Values(w.ctx, d.Read(), field.Customer, []int64{1}, nil); len(m[1]) != 1 {
			t.Errorf("values of a field switched off: %v", m)
		}
		if err := w.s.SetActive(w.ctx, admin, a.ID, true); err != nil {
			t.Fatal(err)
		}
		if m, _ := w.s.Values(w.ctx, d.Read(), field.Customer, []int64{1}, nil); len(m[1]) != 2 {
			t.Errorf("values of a field switched on again: %v", m)
		}

		c := w.add(field.Field{Label: field.Words{Zh: "丙"}, Kind: field.Bool})
		order := func() (s string) {
			defs, _ := w.s.Defs(w.ctx, i18n.ZhCN, field.Customer)
			for _, d := range defs {
				s += d.Label + " "
			}
			return s
		}
		for _, step := range []struct {
			up   bool
			want string
		}{{true, "会员等级 丙 年产值 "}, {true, "丙 会员等级 年产值 "}, {true, "丙 会员等级 年产值 "}, {false, "会员等级 丙 年产值 "}} {
			if err := w.s.Shift(w.ctx, admin, c.ID, step.up); err != nil || order() != step.want {
				t.Errorf("order %q %v, want %q", order(), err, step.want)
			}
		}
		var kinds string
		rows, err := d.Read().Query(w.ctx, `SELECT kind FROM events ORDER BY id`)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var k string
			_ = rows.Scan(&k)
			kinds += strings.TrimPrefix(k, "field.") + " "
		}
		if want := "created created changed changed changed changed created moved moved moved "; kinds != want {
			t.Errorf("facts %q, want %q", kinds, want)
		}
	})
}

// A change by another node shows after the time of trust, one's own at once.
func TestNodesAgree(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		w := newWorld(t, d)
		other := field.New(w.run)
		count := func(s *field.Service) int {
			defs, err := s.Defs(w.ctx, i18n.En, field.Ticket)
			if err != nil {
				t.Fatal(err)
			}
			return len(defs)
		}
		if count(other) != 0 {
			t.Fatal("not empty")
		}
		w.add(field.Field{Object: field.Ticket, Code: "a", Kind: field.Text})
		if count(w.s) != 1 || count(other) != 0 {
			t.Errorf("at once: %d here, %d there", count(w.s), count(other))
		}
		c.Advance(6e9)
		if count(other) != 1 {
			t.Error("the other node never notices")
		}
	})
}
