package customer

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/cnid"
	"bihuan/internal/crypt"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
	"bihuan/internal/search"
)

// PermMerge is the right to make one profile of two, and to take that back.
const PermMerge authz.Permission = "customer.merge"

func init() {
	authz.Register(authz.Def{Permission: PermMerge, Area: area, Scoped: true, Default: map[string]authz.Level{
		authz.RoleAdmin: authz.All, authz.RoleHead: authz.Below, authz.RoleSupervisor: authz.Below}})
	Kinds = append(Kinds, MergedKind, MergedInto, MergeUndone, ToldApart, PairReopened)
}

// The facts of merging.
const (
	MergedKind   = "customer.merged"        // of the profile that stays
	MergedInto   = "customer.merged_into"   // of the one that goes
	MergeUndone  = "customer.merge_undone"  // of both
	ToldApart    = "customer.told_apart"    // of both: they are not the same
	PairReopened = "customer.pair_reopened" // of both
)

// MergeData is the data of these facts: the other profile.
type MergeData struct {
	Merge  int64          `json:"merge,omitempty"`
	Other  int64          `json:"other"`
	Number string         `json:"number"`
	Moved  map[string]int `json:"moved,omitempty"`
	Args   []string       `json:"args"` // of the sentence: the number
}

// merging returns the data of a fact about another profile.
func merging(merge, other int64, number string) MergeData {
	return MergeData{Merge: merge, Other: other, Number: number, Args: []string{number}}
}

// UndoFor is how long a merge can be taken back.
const UndoFor = 30 * 24 * time.Hour

// mergedVersions keeps the versions of a merged profile apart from those before
// and after it: a form opened on it cannot be saved once the merge is undone.
const mergedVersions = 1_000_000

// Which of two values a merged profile gets.
const (
	OfKept   = "keep"
	OfMerged = "drop"
	OfBoth   = "both"
)

// MergeField is a value the two profiles may differ in. Kept and Merged are as
// the columns have them, codes and ids among them; sensitive ones are masked.
type MergeField struct {
	Name   string // of the form: name, contact.7.name, field.size
	Label  string // of a custom field; "" for the others, which have locale keys
	Kept   string
	Merged string
	Choice string
	Both   bool // both can be kept
}

// Differs reports whether there is something to choose.
func (f MergeField) Differs() bool { return f.Kept != f.Merged }

// MergeContact is a person who is in both profiles.
type MergeContact struct {
	Kept, Merged Contact
	Fields       []MergeField
}

// MergePlan is what a merge would make of two profiles.
type MergePlan struct {
	Keep, Drop Customer
	Fields     []MergeField
	United     []MergeContact
	Moving     []Contact      // of the profile that goes, and in this one only
	Rows       map[string]int // how many rows of which table will move
	Pair       Pair           // what they were suspected by; zero when they were not
}

// MergeInput says which profiles become one.
type MergeInput struct {
	Keep, Drop               int64
	KeepVersion, DropVersion int64             // as they were looked at
	Choices                  map[string]string // by MergeField.Name; what is missing is preselected
	Reason                   string
}

// columnsOfField says where the fields of a profile are stored, in the order
// they are shown.
var columnsOfField = []struct {
	name    string
	columns []string
}{
	{"type", []string{"type"}}, {"name", []string{"name"}}, {"uscc", []string{"uscc"}}, {"level", []string{"level"}}, {"grade", []string{"grade"}},
	{"stage", []string{"stage", "stage_at"}}, {"industry", []string{"industry"}}, {"source", []string{"source"}}, {"region", []string{"region"}},
	{"address", nil}, {"website", []string{"website"}}, {"owner", []string{"owner_id"}}, {"department", []string{"department_id"}},
	{"parent", []string{"parent_id"}}, {"first_contact_at", []string{"first_contact_at"}}, {"remark", []string{"remark"}},
}

var stageRank = map[string]int{Active: 5, Interested: 4, Potential: 3, Dormant: 2, Lost: 1}

func profileField(c Customer, name string) string {
	id := func(n int64) string {
		if n == 0 {
			return ""
		}
		return strconv.FormatInt(n, 10)
	}
	switch name {
	case "type":
		return string(c.Type)
	case "name":
		return c.Name
	case "uscc":
		return c.USCC
	case "level":
		return string(c.Level)
	case "grade":
		return c.Grade
	case "stage":
		return c.Stage
	case "industry":
		return c.Industry
	case "source":
		return c.Source
	case "region":
		return c.Region
	case "address":
		return c.Address
	case "website":
		return c.Website
	case "owner":
		return id(c.OwnerID)
	case "department":
		return id(c.DepartmentID)
	case "parent":
		return id(c.ParentID)
	case "first_contact_at":
		return day(c.FirstContactAt)
	}
	return c.Remark
}

// preselect is the better of two values: the one there is, the more complete, the
// higher, or that of the profile changed last.
func preselect(name string, keep, drop Customer) string {
	k, d := profileField(keep, name), profileField(drop, name)
	longer := func() string {
		if utf8.RuneCountInString(d) > utf8.RuneCountInString(k) {
			return OfMerged
		}
		return OfKept
	}
	switch {
	case d == "" || k == d:
		return OfKept
	case k == "":
		return OfMerged
	}
	switch name {
	case "level":
		if slices.Index(Levels, drop.Level) > slices.Index(Levels, keep.Level) {
			return OfMerged
		}
	case "grade":
		if d < k {
			return OfMerged
		}
	case "stage":
		if stageRank[d] > stageRank[k] {
			return OfMerged
		}
	case "name", "region", "address":
		return longer()
	case "first_contact_at", "source":
		if !drop.FirstContactAt.IsZero() && drop.FirstContactAt.Before(keep.FirstContactAt) {
			return OfMerged
		}
	case "industry":
		if len(d) > len(k) && strings.HasPrefix(d, k) || !strings.HasPrefix(k, d) && drop.UpdatedAt.After(keep.UpdatedAt) {
			return OfMerged
		}
	case "website":
		if drop.UpdatedAt.After(keep.UpdatedAt) {
			return OfMerged
		}
	case "remark":
		if strings.Contains(k, d) {
			return OfKept
		}
		if strings.Contains(d, k) {
			return OfMerged
		}
		return OfBoth
	}
	return OfKept
}

// contactFields are the values of a contact one may choose between.
var contactFields = []struct {
	name    string
	columns []string
	get     func(Contact) string
}{
	{"name", []string{"name", "initials"}, func(c Contact) string { return c.Name }},
	{"gender", []string{"gender"}, func(c Contact) string { return c.Gender }},
	{"position", []string{"position"}, func(c Contact) string { return c.Position }},
	{"role", []string{"role"}, func(c Contact) string { return c.Role }},
	{"phone", []string{"phone_sealed", "phone_masked", "phone_index", "phone4_index", "phone8_index"}, func(c Contact) string { return c.Phone }},
	{"email", []string{"email_sealed", "email_masked", "email_index"}, func(c Contact) string { return c.Email }},
	{"wechat", []string{"wechat_sealed", "wechat_masked", "wechat_index"}, func(c Contact) string { return c.Wechat }},
}

// PlanMerge shows what merging drop into keep would do. choices lay over what is
// preselected.
func (s *Service) PlanMerge(ctx context.Context, actor authz.Actor, lang i18n.Lang, keep, drop int64, choices map[string]string) (p MergePlan, err error) {
	q := s.db().Read()
	if err := s.mayMerge(ctx, q, actor, keep, drop); err != nil {
		return p, err
	}
	if p, err = s.planMerge(ctx, q, lang, keep, drop, choices); err != nil {
		return p, err
	}
	p.Rows = map[string]int{}
	for _, h := range holdings {
		if h.Customer == "" {
			continue
		}
		var n int
		if err := q.QueryRow(ctx, `SELECT COUNT(*) FROM `+h.Table+` WHERE `+h.where(h.Customer+` = $1`), drop).Scan(&n); err != nil {
			return p, fmt.Errorf("customer: count %s: %w", h.Table, err)
		}
		if n > 0 {
			p.Rows[h.Table] += n
		}
	}
	k := pairOf(keep, drop)
	err = q.QueryRow(ctx, `SELECT id, score, reasons, state FROM customer_pairs WHERE a_id = $1 AND b_id = $2`, k.a, k.b).Scan(&p.Pair.ID, &p.Pair.Score, (*words)(&p.Pair.Reasons), &p.Pair.State)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return p, fmt.Errorf("customer: pair: %w", err)
	}
	return p, nil
}

// mayMerge checks that the actor may merge both profiles; one he does not see is
// not found.
func (s *Service) mayMerge(ctx context.Context, q db.Querier, actor authz.Actor, ids ...int64) error {
	for _, id := range ids {
		if err := s.visible(ctx, q, View(actor), id); err != nil {
			return err
		}
	}
	if err := actor.Check(PermMerge); err != nil {
		return err
	}
	for _, id := range ids {
		if err := s.covers(ctx, q, authz.For(actor, PermMerge), id, PermMerge); err != nil {
			return err
		}
	}
	if len(ids) == 2 && ids[0] == ids[1] {
		return fault.Invalidf("merge.same")
	}
	return nil
}

func (s *Service) planMerge(ctx context.Context, q db.Querier, lang i18n.Lang, keep, drop int64, choices map[string]string) (p MergePlan, err error) {
	if p.Keep, err = s.load(ctx, q, keep); err != nil {
		return p, err
	}
	if p.Drop, err = s.load(ctx, q, drop); err != nil {
		return p, err
	}
	choose := func(f *MergeField) {
		switch c := choices[f.Name]; {
		case c == OfKept, c == OfMerged, c == OfBoth && f.Both:
			f.Choice = c
		}
	}
	for _, c := range columnsOfField {
		f := MergeField{Name: c.name, Kept: profileField(p.Keep, c.name), Merged: profileField(p.Drop, c.name), Choice: preselect(c.name, p.Keep, p.Drop), Both: c.name == "remark"}
		if c.name == "parent" { // neither can be its own parent
			if p.Keep.ParentID == drop {
				f.Kept = ""
			}
			if p.Drop.ParentID == keep {
				f.Merged = ""
			}
			if f.Kept == "" && f.Merged != "" {
				f.Choice = OfMerged
			} else if f.Merged == "" {
				f.Choice = OfKept
			}
		}
		choose(&f)
		p.Fields = append(p.Fields, f)
	}
	// Custom fields.
	values, err := s.fields.Values(ctx, q, field.Customer, []int64{keep, drop}, nil)
	if err != nil {
		return p, err
	}
	defs, err := s.fields.DefsIn(ctx, q, lang, field.Customer)
	if err != nil {
		return p, err
	}
	for _, d := range defs {
		k, ok1 := values[keep][d.ID]
		v, ok2 := values[drop][d.ID]
		if !ok1 && !ok2 {
			continue
		}
		f := MergeField{Name: "field." + d.Code, Label: d.Label, Choice: OfKept}
		if ok1 {
			f.Kept = k.Text(lang)
		}
		if ok2 {
			f.Merged = v.Text(lang)
		}
		if f.Kept == "" || f.Merged != "" && f.Merged != f.Kept && p.Drop.UpdatedAt.After(p.Keep.UpdatedAt) {
			f.Choice = OfMerged
		}
		choose(&f)
		p.Fields = append(p.Fields, f)
	}
	return p, s.planContacts(ctx, q, &p, choose)
}

// planContacts finds who is in both profiles: the same number makes one person,
// and so do the same name and an address, or the same name and no other number.
func (s *Service) planContacts(ctx context.Context, q db.Querier, p *MergePlan, choose func(*MergeField)) error {
	type signs struct{ phone, email, wechat string }
	of := map[int64]signs{}
	rows, err := q.Query(ctx, `SELECT id, phone_index, email_index, wechat_index FROM contacts WHERE customer_id IN ($1, $2) AND active = 1`, p.Keep.ID, p.Drop.ID)
	if err != nil {
		return fmt.Errorf("customer: merge contacts: %w", err)
	}
	for rows.Next() {
		var id int64
		var phone, email, wechat []byte
		if err := rows.Scan(&id, &phone, &email, &wechat); err != nil {
			rows.Close()
			return fmt.Errorf("customer: merge contacts: %w", err)
		}
		of[id] = signs{string(phone), string(email), string(wechat)}
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return fmt.Errorf("customer: merge contacts: %w", err)
	}
	taken := map[int64]bool{}
	for _, d := range p.Drop.Contacts {
		i := slices.IndexFunc(p.Keep.Contacts, func(k Contact) bool {
			x, y := of[k.ID], of[d.ID]
			name := cnid.NormalizeName(k.Name) == cnid.NormalizeName(d.Name)
			meets := func(a, b string) bool { return a != "" && a == b }
			return !taken[k.ID] && (meets(x.phone, y.phone) || name && (meets(x.email, y.email) || meets(x.wechat, y.wechat) || y.phone == "" || x.phone == ""))
		})
		if i < 0 {
			p.Moving = append(p.Moving, d)
			continue
		}
		k := p.Keep.Contacts[i]
		taken[k.ID] = true
		m := MergeContact{Kept: k, Merged: d}
		for _, c := range contactFields {
			f := MergeField{Name: fmt.Sprintf("contact.%d.%s", d.ID, c.name), Kept: c.get(k), Merged: c.get(d), Choice: OfKept}
			unnamed := c.name == "name" && (f.Kept == "联系人" || utf8.RuneCountInString(f.Merged) > utf8.RuneCountInString(f.Kept) && strings.HasPrefix(f.Merged, f.Kept))
			if f.Merged != "" && (f.Kept == "" || unnamed) {
				f.Choice = OfMerged
			}
			choose(&f)
			m.Fields = append(m.Fields, f)
		}
		p.United = append(p.United, m)
	}
	return nil
}

// Merge makes one profile of two: drop goes, what belongs to it moves to keep, its
// number and id lead there from now on (CUS-14). Every row it touches is kept as
// it was, so that [Service.Unmerge] gives both back.
func (s *Service) Merge(ctx context.Context, actor authz.Actor, in MergeInput) (id int64, err error) {
	err = s.run.Do(ctx, actor, "customer.merge", func(ctx context.Context, a *action.Action) error {
		id, err = s.merge(ctx, a, in)
		return err
	})
	return id, err
}

// MergeIn is Merge inside another action.
func (s *Service) MergeIn(ctx context.Context, a *action.Action, in MergeInput) (id int64, err error) {
	return s.merge(ctx, a, in)
}

func (s *Service) merge(ctx context.Context, a *action.Action, in MergeInput) (int64, error) {
	if err := s.mayMerge(ctx, a, a.Actor, in.Keep, in.Drop); err != nil {
		return 0, err
	}
	in.Reason = line(in.Reason)
	e := fault.Invalidf("customer.invalid")
	limit(e, "reason", "merge.reason", in.Reason, maxLine)
	if err := e.OrNil(); err != nil {
		return 0, err
	}
	ids := []int64{min(in.Keep, in.Drop), max(in.Keep, in.Drop)}
	for _, id := range ids { // one after the other, in one order
		want := in.KeepVersion
		if id == in.Drop {
			want = in.DropVersion
		}
		var now int64
		if err := a.QueryRow(ctx, `SELECT version FROM customers WHERE id = $1`+a.ForUpdate(), id).Scan(&now); err != nil {
			return 0, fmt.Errorf("customer: merge %d: %w", id, err)
		}
		if want != 0 && now != want {
			return 0, fault.New(fault.Conflict, "merge.stale")
		}
	}
	for _, v := range vetoes {
		if err := v(ctx, a, in.Keep, in.Drop); err != nil {
			return 0, err
		}
	}
	p, err := s.planMerge(ctx, a, i18n.ZhCN, in.Keep, in.Drop, in.Choices)
	if err != nil {
		return 0, err
	}
	drops, err := wholeRows(ctx, a, "customers", "id = $1", in.Drop)
	if err != nil || len(drops) != 1 {
		return 0, fmt.Errorf("customer: merge %d: %w", in.Drop, errors.Join(err, notFound()))
	}
	keeps, err := wholeRows(ctx, a, "customers", "id = $1", in.Keep)
	if err != nil || len(keeps) != 1 {
		return 0, fmt.Errorf("customer: merge %d: %w", in.Keep, errors.Join(err, notFound()))
	}
	keep, drop := keeps[0], drops[0]
	by := int64(0)
	if a.Actor.Kind == authz.User {
		by = a.Actor.ID
	}
	l := &ledger{ctx: ctx, tx: a.Tx, moved: map[string]int{}, rows: map[string][]int64{}}
	err = a.QueryRow(ctx, `
		INSERT INTO customer_merges (survivor_id, merged_id, leads_to, merged_number, merged_external, merged_key, merged_name, reason, merged_at, merged_by, merged_by_name, undo_until)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING id`,
		in.Keep, in.Drop, in.Keep, p.Drop.Number, drop.text("external_id"), drop.text("import_key"), p.Drop.Name, in.Reason, a.NowMicros(), by, a.Actor.Name,
		db.Micros(a.Now.Add(UndoFor))).Scan(&l.merge)
	if err != nil {
		return 0, fmt.Errorf("customer: merge: %w", err)
	}
	after, changes, err := s.mergedProfile(ctx, a, p, keep, drop, l.merge)
	if err != nil {
		return 0, err
	}
	if err := s.moveAll(ctx, l, p, after); err != nil {
		return 0, fmt.Errorf("customer: merge %d into %d: %w", in.Drop, in.Keep, err)
	}
	if _, err := l.set("customers", "id = $1", []any{in.Keep}, after); err != nil {
		return 0, fmt.Errorf("customer: merge: %w", err)
	}
	if err := l.delete("customers", drops, "id"); err != nil {
		return 0, fmt.Errorf("customer: merge: %w", err)
	}
	if _, err := l.set("customer_merges", "leads_to = $1", []any{in.Drop}, cells{"leads_to": in.Keep}); err != nil {
		return 0, fmt.Errorf("customer: merge: %w", err)
	}
	moved, err := json.Marshal(l.moved)
	if err != nil {
		return 0, err
	}
	k := pairOf(in.Keep, in.Drop)
	_, err1 := a.Exec(ctx, `UPDATE customer_merges SET moved = $1 WHERE id = $2`, string(moved), l.merge)
	_, err2 := a.Exec(ctx, `UPDATE customer_pairs SET state = 'merged', decided_at = $1, decided_by = $2, decided_by_name = $3 WHERE a_id = $4 AND b_id = $5`, a.NowMicros(), by, a.Actor.Name, k.a, k.b)
	_, err3 := a.Exec(ctx, `DELETE FROM customer_blocks WHERE customer_id = $1`, in.Drop)
	if err := errors.Join(err1, err2, err3); err != nil {
		return 0, fmt.Errorf("customer: merge: %w", err)
	}
	if err := s.afterMerge(ctx, a, Moved{Merge: l.merge, Keep: in.Keep, Drop: in.Drop, Rows: l.rows}); err != nil {
		return 0, err
	}
	if err := search.Customers.Delete(ctx, a.Tx, in.Drop); err != nil {
		return 0, err
	}
	if err := s.reindex(ctx, a.Tx, in.Keep); err != nil {
		return 0, err
	}
	if len(changes) > 0 {
		a.Record(event.Event{Kind: Changed, Subject: Subject(in.Keep), Reason: in.Reason, Data: ChangedData{changes}})
	}
	data := merging(l.merge, in.Drop, p.Drop.Number)
	data.Moved = l.moved
	a.Record(event.Event{Kind: MergedKind, Subject: Subject(in.Keep), Reason: in.Reason, Data: data})
	a.Record(event.Event{Kind: MergedInto, Subject: Subject(in.Drop), Reason: in.Reason, Data: merging(l.merge, in.Keep, p.Keep.Number)})
	return l.merge, nil
}

// mergedProfile returns the columns of the profile that stays as they will be,
// and what that changes.
func (s *Service) mergedProfile(ctx context.Context, a *action.Action, p MergePlan, keep, drop cells, merge int64) (cells, []Change, error) {
	after := cells{}
	result := map[string]string{}
	for i, c := range columnsOfField {
		f := p.Fields[i]
		result[c.name] = f.Kept
		if f.Choice == OfMerged {
			result[c.name] = f.Merged
			for _, col := range c.columns {
				after[col] = drop[col]
			}
		}
		switch {
		case c.name == "remark" && f.Choice == OfBoth:
			result[c.name] = text(f.Kept + "\n" + f.Merged)
			if n := utf8.RuneCountInString(result[c.name]); n > maxRemark {
				return nil, nil, fault.Invalidf("customer.invalid").Field("remark", "merge.remark.long", maxRemark, n)
			}
			after["remark"] = result[c.name]
		case c.name == "parent":
			id, _ := strconv.ParseInt(result[c.name], 10, 64)
			after["parent_id"] = id
		case c.name == "address" && f.Choice == OfMerged:
			sealed, _ := drop["address_sealed"].([]byte)
			again, err := s.reseal(sealed, crypt.Place("customers", p.Drop.ID, string(Address)), crypt.Place("customers", p.Keep.ID, string(Address)))
			if err != nil {
				return nil, nil, err
			}
			after["address_sealed"], after["address_masked"] = again, drop["address_masked"]
		}
	}
	typ := Type(result["type"])
	if typ == Person && result["uscc"] != "" {
		return nil, nil, fault.Invalidf("customer.invalid").Field("type", "merge.person_uscc")
	}
	name := result["name"]
	after["name"], after["name_key"], after["pinyin"], after["initials"] = name, nameKey(typ, name), cnid.Pinyin(name), cnid.Initials(name)
	for _, c := range []string{"open_tickets", "total_tickets", "ratings", "rating_sum"} {
		after[c] = keep.int(c) + drop.int(c)
	}
	after["activity_at"] = max(keep.int("activity_at"), drop.int("activity_at"))
	after["verified_at"] = max(keep.int("verified_at"), drop.int("verified_at"))
	for _, c := range []string{"planned_at", "verify_at"} { // the nearer one
		after[c] = min(keep.int(c), drop.int(c))
		if after[c] == int64(0) {
			after[c] = max(keep.int(c), drop.int(c))
		}
	}
	after["version"], after["updated_at"] = keep.int("version")+merge*mergedVersions, a.NowMicros()
	// What it changes, for the change log.
	var out []Change
	for i, c := range columnsOfField {
		from, to := p.Fields[i].Kept, result[c.name]
		if c.name == "parent" {
			from = profileField(p.Keep, "parent")
		}
		if from == to {
			continue
		}
		switch c.name {
		case "name":
			if p.Keep.Type == Person {
				from, to = cnid.MaskName(from), cnid.MaskName(to)
			}
		case "owner":
			from, to = p.Keep.OwnerName, p.Drop.OwnerName
		case "department":
			from, to = p.Keep.DepartmentName, p.Drop.DepartmentName
		}
		out = append(out, Change{Change: event.Change{Field: c.name, Old: from, New: to}})
	}
	return after, out, nil
}

// reseal binds a sealed value to another place; nil stays nil.
func (s *Service) reseal(sealed []byte, from, to string) (any, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	clear, err := s.keys.Open(from, sealed)
	if err != nil {
		return nil, fmt.Errorf("customer: merge: %w", err)
	}
	return s.keys.Seal(to, clear)
}

// moveAll gives the rows of the profile that goes to the one that stays.
func (s *Service) moveAll(ctx context.Context, l *ledger, p MergePlan, after cells) error {
	keep, drop := p.Keep.ID, p.Drop.ID
	for _, m := range p.United {
		if err := s.unite(ctx, l, m); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(p.Keep.Contacts, func(c Contact) bool { return c.Primary }) {
		if _, err := l.set("contacts", "customer_id = $1 AND is_primary = 1", []any{drop}, cells{"is_primary": int64(0)}); err != nil {
			return err
		}
	}
	n, err := l.set("contacts", "customer_id = $1", []any{drop}, cells{"customer_id": keep})
	if err != nil {
		return err
	}
	l.moved["contacts"] = n
	if _, err := l.set("customers", "parent_id > 0 AND parent_id = $1 AND id <> $2", []any{drop, keep}, cells{"parent_id": keep}); err != nil {
		return err
	}
	for _, h := range holdings {
		if h.Customer == "" {
			continue
		}
		if h.Table == "field_values" {
			if err := s.moveFields(ctx, l, p); err != nil {
				return err
			}
			continue
		}
		if err := h.move(ctx, l, keep, drop, after); err != nil {
			return err
		}
	}
	return nil
}

// moveFields moves the custom fields that are chosen of the profile that goes;
// the others are kept with it. Values of fields that are switched off move where
// the other has none.
func (s *Service) moveFields(ctx context.Context, l *ledger, p MergePlan) error {
	rows, err := wholeRows(ctx, l.tx, "field_values", "object = 'customer' AND record_id IN ($1, $2) ORDER BY record_id, field_id, ord", p.Keep.ID, p.Drop.ID)
	if err != nil {
		return err
	}
	defs, err := s.fields.DefsIn(ctx, l.tx, i18n.ZhCN, field.Customer)
	if err != nil {
		return err
	}
	choice := map[int64]string{}
	for _, d := range defs {
		for _, f := range p.Fields {
			if f.Name == "field."+d.Code {
				choice[d.ID] = f.Choice
			}
		}
	}
	kept := map[int64]bool{}
	for _, r := range rows {
		if r.int("record_id") == p.Keep.ID {
			kept[r.int("field_id")] = true
		}
	}
	for _, r := range rows {
		f, mine := r.int("field_id"), r.int("record_id") == p.Keep.ID
		moves := choice[f] == OfMerged || choice[f] == "" && !kept[f]
		var err error
		switch {
		case mine && moves, !mine && !moves:
			err = l.delete("field_values", []cells{r}, fieldKey...)
		}
		if err != nil {
			return err
		}
	}
	for _, r := range rows {
		f, mine := r.int("field_id"), r.int("record_id") == p.Keep.ID
		if !mine && (choice[f] == OfMerged || choice[f] == "" && !kept[f]) {
			if err := l.change("field_values", r, cells{"record_id": p.Keep.ID}, fieldKey...); err != nil {
				return err
			}
			l.moved["field_values"]++
		}
	}
	return nil
}

var fieldKey = []string{"object", "record_id", "field_id", "ord"}

// unite makes one contact of two.
func (s *Service) unite(ctx context.Context, l *ledger, m MergeContact) error {
	rows, err := wholeRows(ctx, l.tx, "contacts", "id = $1", m.Merged.ID)
	if err != nil {
		return err
	}
	if len(rows) != 1 {
		return notFound()
	}
	drop := rows[0]
	after := cells{}
	for i, c := range contactFields {
		if m.Fields[i].Choice != OfMerged {
			continue
		}
		for _, col := range c.columns {
			after[col] = drop[col]
		}
		if sealed, ok := drop[c.name+"_sealed"].([]byte); ok {
			if after[c.name+"_sealed"], err = s.reseal(sealed, crypt.Place("contacts", m.Merged.ID, c.name), crypt.Place("contacts", m.Kept.ID, c.name)); err != nil {
				return err
			}
		}
	}
	if len(after) > 0 {
		kept, err := wholeRows(ctx, l.tx, "contacts", "id = $1", m.Kept.ID)
		if err != nil || len(kept) != 1 {
			return errors.Join(err, notFound())
		}
		after["updated_at"], after["version"] = l.tx.NowMicros(), kept[0].int("version")+l.merge*mergedVersions
		if _, err := l.set("contacts", "id = $1", []any{m.Kept.ID}, after); err != nil {
			return err
		}
	}
	for _, h := range holdings {
		if h.Contact == "" {
			continue
		}
		if err := h.moveContact(ctx, l, m.Merged.CustomerID, m.Kept.ID, m.Merged.ID); err != nil {
			return err
		}
	}
	return l.delete("contacts", rows, "id")
}

// words scans texts separated by blanks.
type words []string

// Scan implements sql.Scanner.
func (w *words) Scan(v any) error {
	switch v := v.(type) {
	case string:
		*w = strings.Fields(v)
	case []byte:
		*w = strings.Fields(string(v))
	}
	return nil
}
