package customer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/approval"
	"bihuan/internal/authz"
	"bihuan/internal/cnid"
	"bihuan/internal/crypt"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
	"bihuan/internal/journal"
	"bihuan/internal/number"
	"bihuan/internal/search"

	"golang.org/x/text/unicode/norm"
)

// ImportRow is a customer as another system, a table or sample data brings him.
// Of Input, ImportKey makes the import repeatable and DuplicateReason lets a
// second profile pass.
type ImportRow struct {
	Input
	// ExternalID is his number where he comes from. It stays his number here if
	// it looks like one and nobody has it; else he gets a new one and is found by
	// both.
	ExternalID string
	CreatedBy  int64  // user who registered him there; CreatedByName says his name
	History    string // earlier services, becomes a note in the journal
	// TwinReason lets him in though somebody has his credit code or telephone
	// number; that is a warning then.
	TwinReason string
	// ImportID is the import the row stands in: the levels of its rows that wait
	// for approval are asked for together, by [Service.AskImportedLevels].
	ImportID int64

	wish Level // the level that waits; "" none
}

// Imported is what became of an ImportRow.
type Imported struct {
	ID     int64
	Number string
	// Before reports that a row with the same ImportKey was taken in earlier.
	Before bool
	// Warning is what the person should know although the row was taken in.
	Warning *fault.Error
	// Err is why the row was not taken in: Invalid for wrong content, Conflict
	// for a customer there is already.
	Err error
}

// FitNumber returns an id of another system as a number of ours; ok is false
// when it does not look like one: 3 to 32 letters and digits, perhaps with - _ .
// or / between, a digit among them.
func FitNumber(id string) (num string, ok bool) {
	num = strings.ToUpper(strings.TrimSpace(norm.NFKC.String(id)))
	digit := false
	for i, r := range num {
		switch {
		case r >= '0' && r <= '9':
			digit = true
		case r >= 'A' && r <= 'Z':
		case i > 0 && strings.ContainsRune("-_./", r):
		default:
			return num, false
		}
	}
	return num, digit && len(num) >= 3 && len(num) <= 32
}

// known is somebody the rows of an import may collide with.
type known struct {
	id, owner, creator, department int64
	number, name, key, dept        string
	typ                            Type
}

// colliding is what the rows of one batch must not have a second time.
type colliding struct {
	imports, numbers, usccs, phones map[string]known
}

func (k known) said(sc authz.Scope) string {
	if sc.Matches([]int64{k.owner, k.creator}, k.department) {
		return strings.TrimSpace(k.number + " " + k.name)
	}
	return k.dept // beyond the reader's scope he learns only whom to ask
}

// plan checks rows and decides what becomes of each; ins are the cleaned inputs.
// Rows of one call also collide with each other.
func (s *Service) plan(ctx context.Context, q db.Querier, actor authz.Actor, rows []ImportRow) (ins []Input, out []Imported, err error) {
	ins, out = make([]Input, len(rows)), make([]Imported, len(rows))
	defs, err := s.fields.DefsIn(ctx, q, i18n.ZhCN, field.Customer)
	if err != nil {
		return nil, nil, err
	}
	contactDefs, err := s.fields.DefsIn(ctx, q, i18n.ZhCN, field.Contact)
	if err != nil {
		return nil, nil, err
	}
	var keys, numbers, usccs []string
	var phones [][]byte
	for i, r := range rows {
		in := r.Input
		err := in.check(nil)
		if len(defs)+len(contactDefs) > 0 {
			err = fault.Both(err, s.checkFieldsOf(ctx, q, defs, contactDefs, &in, nil, true))
		}
		if err != nil && !fault.Is(err, fault.Invalid) {
			return nil, nil, err
		}
		out[i].Err = err
		ins[i] = in
		if in.ImportKey != "" {
			keys = append(keys, in.ImportKey)
		}
		if n, ok := FitNumber(r.ExternalID); ok && in.Number == "" {
			numbers = append(numbers, n)
		}
		if in.Number != "" {
			numbers = append(numbers, in.Number)
		}
		if in.DuplicateReason != "" {
			continue
		}
		if in.USCC != "" {
			usccs = append(usccs, in.USCC)
		}
		for _, c := range in.Contacts {
			if c.phone.Kind != "" && c.phone.Kind != cnid.Short {
				phones = append(phones, s.keys.Indexes(indexPhone, c.phone.Key())...)
			}
		}
	}
	c, err := collisions(ctx, q, keys, numbers, usccs, phones)
	if err != nil {
		return nil, nil, err
	}
	waits := map[Level]bool{}
	for _, l := range Levels {
		if waits[l], err = s.levelNeedsApproval(ctx, q, actor, l); err != nil {
			return nil, nil, err
		}
	}
	sc := View(actor)
	conflict := func(key string, k known) error { return fault.New(fault.Conflict, key, k.said(sc)) }
	for i := range rows {
		in, o := &ins[i], &out[i]
		if k, ok := c.imports[in.ImportKey]; ok && in.ImportKey != "" {
			if k.id == 0 {
				o.Err = fault.New(fault.Conflict, "customer.import.repeated")
			} else {
				o.ID, o.Number, o.Before, o.Err = k.id, k.number, true, nil
			}
			continue
		}
		if o.Err != nil {
			continue
		}
		me := known{name: in.Name, key: nameKey(in.Type, in.Name), department: in.DepartmentID, creator: rows[i].CreatedBy, owner: in.OwnerID}
		if in.DuplicateReason == "" {
			if k, ok := c.usccs[in.USCC]; ok && in.USCC != "" {
				o.Err = conflict(same("uscc", k), k)
			}
			for _, contact := range in.Contacts {
				if contact.phone.Kind == "" || contact.phone.Kind == cnid.Short {
					continue
				}
				for _, x := range s.keys.Indexes(indexPhone, contact.phone.Key()) {
					if k, ok := c.phones[string(x)]; ok && o.Err == nil {
						o.Err = conflict(same("phone", k), k)
					}
				}
			}
			if f, ok := fault.As(o.Err); ok && rows[i].TwinReason != "" {
				in.DuplicateReason, o.Warning, o.Err = rows[i].TwinReason, f, nil
			}
			if o.Err != nil {
				continue
			}
		}
		if in.Number != "" {
			if k, taken := c.numbers[in.Number]; taken {
				o.Err = conflict(same("number", k), k)
				continue
			}
		} else if n, ok := FitNumber(rows[i].ExternalID); ok {
			k, taken := c.numbers[n]
			switch {
			case !taken:
				in.Number = n
			case k.key == me.key || k.id == 0:
				o.Err = conflict(same("number", k), k)
				continue
			default:
				o.Warning = fault.Invalidf("customer.import.number_taken", n, k.said(sc))
			}
		}
		if waits[in.Level] {
			said := fault.Invalidf("customer.import.level_waits", i18n.Key("customer.level."+string(in.Level)))
			if actor.Can(approval.PermUse) {
				rows[i].wish = in.Level
			} else {
				said = fault.Invalidf("customer.import.level_kept", i18n.Key("customer.level."+string(in.Level)))
			}
			in.Level = Normal // until somebody has agreed
			if o.Warning == nil {
				o.Warning = said
			}
		}
		if in.Number != "" {
			c.numbers[in.Number] = me
		}
		if in.ImportKey != "" {
			c.imports[in.ImportKey] = me
		}
		if in.USCC != "" {
			c.usccs[in.USCC] = me
		}
		for _, contact := range in.Contacts {
			if contact.phone.Kind != "" && contact.phone.Kind != cnid.Short {
				c.phones[string(s.keys.Index(indexPhone, contact.phone.Key()))] = me
			}
		}
	}
	return ins, out, nil
}

// same is the key of a collision: with a customer there is, or with a row before.
func same(what string, k known) string {
	if k.id == 0 {
		return "customer.import.row_same_" + what
	}
	return "customer.import.same_" + what
}

func collisions(ctx context.Context, q db.Querier, keys, numbers, usccs []string, phones [][]byte) (colliding, error) {
	c := colliding{map[string]known{}, map[string]known{}, map[string]known{}, map[string]known{}}
	look := func(into map[string]known, column, join string, in string, args []any) error {
		rows, err := q.Query(ctx, `
			SELECT `+column+`, c.id, c.number, c.name, c.name_key, c.type, c.owner_id, c.created_by, c.department_id, d.name
			FROM   customers c JOIN departments d ON d.id = c.department_id`+join+`
			WHERE  `+column+` IN (`+in+`) ORDER BY c.id DESC`, args...)
		if err != nil {
			return fmt.Errorf("customer: import: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			var key string
			var k known
			var dst any = &key
			var raw []byte
			if join != "" {
				dst = &raw
			}
			if err := rows.Scan(dst, &k.id, &k.number, &k.name, &k.key, (*string)(&k.typ), &k.owner, &k.creator, &k.department, &k.dept); err != nil {
				return fmt.Errorf("customer: import: %w", err)
			}
			if join != "" {
				key = string(raw)
			}
			into[key] = k
		}
		return rows.Err()
	}
	err := errors.Join(
		db.EachIn(keys, func(in string, args []any) error { return look(c.imports, "c.import_key", "", in, args) }),
		db.EachIn(numbers, func(in string, args []any) error { return look(c.numbers, "c.number", "", in, args) }),
		db.EachIn(usccs, func(in string, args []any) error { return look(c.usccs, "c.uscc", "", in, args) }),
		db.EachIn(phones, func(in string, args []any) error {
			return look(c.phones, "x.phone_index", " JOIN contacts x ON x.customer_id = c.id AND x.active = 1", in, args)
		}),
		mergedBefore(ctx, q, "merged_key", keys, c.imports),
		mergedBefore(ctx, q, "merged_number", numbers, c.numbers))
	return c, err
}

// CheckImport says what Import would do with rows, without doing it.
func (s *Service) CheckImport(ctx context.Context, actor authz.Actor, rows []ImportRow) ([]Imported, error) {
	_, out, err := s.plan(ctx, s.db().Read(), actor, rows)
	return out, err
}

// Import takes in many customers in one action, some 500 at a time: those
// without fault, each with its contacts, need, journal note, search entry and
// event; the others are reported. The actor's right to import has been checked
// by the caller. err is for what no row is to blame for; two imports at once may
// collide in a unique value, then the action is to be tried again.
func (s *Service) Import(ctx context.Context, a *action.Action, rows []ImportRow) ([]Imported, error) {
	ins, out, err := s.plan(ctx, a, a.Actor, rows)
	if err != nil {
		return nil, err
	}
	var take []int
	fresh, people := 0, 0
	for i := range rows {
		if out[i].Err != nil || out[i].Before {
			continue
		}
		take = append(take, i)
		if ins[i].Number == "" {
			fresh++
		}
		for _, c := range ins[i].Contacts {
			if !c.blank() {
				people++
			}
		}
	}
	if len(take) == 0 {
		a.Nothing()
		return out, nil
	}
	numbers, err := s.freshNumbers(ctx, a.Tx, fresh)
	if err != nil {
		return nil, err
	}
	ids, err := a.ReserveIDs(ctx, "customers", len(take))
	if err != nil {
		return nil, err
	}
	contactIDs, err := a.ReserveIDs(ctx, "contacts", people)
	if err != nil {
		return nil, err
	}
	const (
		width        = 28
		contactWidth = 23
	)
	var (
		customers = make([]any, 0, len(take)*width)
		contacts  = make([]any, 0, people*contactWidth)
		needs     []any
		entries   []journal.Entry
		docs      = make([]search.Doc, 0, len(take))
		tags      []any
		values    = map[int64][]field.Value{}

		contactValues = map[int64][]field.Value{}
		wishes        = map[int64][]LevelWish{}
	)
	now := a.NowMicros()
	by := int64(0)
	if a.Actor.Kind == authz.User {
		by = a.Actor.ID
	}
	for n, i := range take {
		in, r, id := &ins[i], rows[i], ids[n]
		external := line(r.ExternalID)
		if in.Number == "" {
			in.Number, numbers = numbers[0], numbers[1:]
		}
		if external == in.Number {
			external = ""
		}
		if in.DepartmentID == 0 {
			in.DepartmentID = a.Actor.DepartmentID
		}
		created := now
		if !in.CreatedAt.IsZero() {
			created = db.Micros(in.CreatedAt)
		}
		first := db.Micros(in.FirstContactAt)
		if first == 0 {
			first = created
		}
		creator, creatorName := r.CreatedBy, in.CreatedByName
		if creatorName == "" {
			creator, creatorName = by, a.Actor.Name
		}
		address, err := s.keys.Seal(crypt.Place("customers", id, string(Address)), in.Address)
		if err != nil {
			return nil, fmt.Errorf("customer: import: %w", err)
		}
		masked := ""
		if in.Address != "" {
			masked = cnid.MaskAddress(in.Address)
		}
		customers = append(customers, id, in.Number, string(in.Type), in.Name, nameKey(in.Type, in.Name), cnid.Pinyin(in.Name), cnid.Initials(in.Name),
			orNull(in.USCC), in.Industry, string(in.Level), in.Source, in.Region, address, masked, in.Website, in.Remark, in.OwnerID, in.DepartmentID,
			first, creator, creatorName, created, now, created, in.DuplicateReason, orNull(in.ImportKey), external, db.Bool(in.Demo))
		words, found := []string{in.Number, in.Name}, field.Searchable(in.values)
		if len(in.values) > 0 {
			values[id] = in.values
		}
		if external != "" {
			words = append(words, external)
		}
		count := 0
		for row, c := range in.Contacts {
			if c.blank() {
				continue
			}
			v, err := s.contactValues(contactIDs[0], id, c, row, now)
			if err != nil {
				return nil, err
			}
			if len(c.values) > 0 {
				contactValues[contactIDs[0]] = c.values
				found = append(found, field.Searchable(c.values)...)
			}
			contactIDs = contactIDs[1:]
			contacts = append(append(contacts, v...), in.DepartmentID, in.OwnerID, creator)
			count++
			if words[len(words)-1] != c.Name {
				words = append(words, c.Name)
			}
		}
		if f := in.Need; !f.blank() {
			needs = append(needs, id, f.Product, f.Description, f.Period, f.Budget, f.Delivery, f.Special, f.Urgency, creator, created)
		}
		if h := text(r.History); h != "" {
			if c := []rune(h); len(c) > journal.MaxBody {
				h = string(c[:journal.MaxBody-1]) + "…"
			}
			entries = append(entries, journal.Entry{CustomerID: id, Kind: journal.Note, AuthorKind: a.Actor.Kind, AuthorID: a.Actor.ID, AuthorName: a.Actor.Name,
				Body: h, CreatedAt: db.FromMicros(created)})
		}
		for _, t := range in.TagIDs {
			tags = append(tags, id, t)
		}
		if r.wish != "" {
			wishes[r.ImportID] = append(wishes[r.ImportID], LevelWish{CustomerID: id, From: in.Level, To: r.wish, department: in.DepartmentID})
		}
		docs = append(docs, search.Doc{ID: id, Text: strings.Join(append(words, found...), "\n")})
		out[i].ID, out[i].Number = id, in.Number
		a.Record(event.Event{Kind: ImportedKind, Subject: Subject(id), Reason: in.DuplicateReason, Data: CreatedData{
			Number: in.Number, Type: in.Type, Level: in.Level, Source: in.Source, OwnerID: in.OwnerID,
			DepartmentID: in.DepartmentID, Contacts: count, DuplicateReason: in.DuplicateReason}})
	}
	err = a.InsertMany(ctx, `
		INSERT INTO customers (id, number, type, name, name_key, pinyin, initials, uscc, industry, level, source, region, address_sealed, address_masked, website, remark,
			owner_id, department_id, first_contact_at, created_by, created_by_name, created_at, updated_at, activity_at, duplicate_reason, import_key, external_id, demo)`,
		"", width, customers)
	if err == nil {
		err = a.InsertMany(ctx, `
			INSERT INTO contacts (id, customer_id, name, initials, gender, position, phone_sealed, phone_masked, phone_index, phone4_index, phone8_index,
				email_sealed, email_masked, email_index, wechat_sealed, wechat_masked, wechat_index, is_primary, created_at, updated_at,
				of_department, of_owner, of_creator)`, "", contactWidth, contacts)
	}
	if err == nil {
		err = a.InsertMany(ctx, `INSERT INTO needs (customer_id, product, description, period, budget, delivery, special, urgency, created_by, created_at)`, "", 10, needs)
	}
	if err == nil {
		err = a.InsertMany(ctx, `INSERT INTO customer_tags (customer_id, tag_id)`, "ON CONFLICT DO NOTHING", 2, tags)
	}
	if err != nil {
		return nil, fmt.Errorf("customer: import: %w", err)
	}
	if err := s.fields.SetNew(ctx, a.Tx, field.Customer, values); err != nil {
		return nil, err
	}
	if err := s.fields.SetNew(ctx, a.Tx, field.Contact, contactValues); err != nil {
		return nil, err
	}
	if err := journal.AddMany(ctx, a.Tx, entries); err != nil {
		return nil, err
	}
	for id, of := range wishes {
		if err := s.wishLevels(ctx, a, LevelsOfImport, id, i18n.T(i18n.ZhCN, "customer.levels.imported"), of); err != nil {
			return nil, err
		}
	}
	return out, search.Customers.PutMany(ctx, a.Tx, docs)
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func (s *Service) contactValues(id, customerID int64, c ContactInput, row int, now int64) ([]any, error) {
	var phone string
	if c.phone.Kind != "" {
		phone = c.phone.String()
	}
	sp, err1 := s.seal("contacts", id, Phone, phone, cnid.MaskPhone(phone))
	se, err2 := s.seal("contacts", id, Email, c.Email, cnid.MaskEmail(c.Email))
	sw, err3 := s.seal("contacts", id, Wechat, c.Wechat, maskHandle(c.Wechat))
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, fmt.Errorf("customer: contact %d: %w", row, err)
	}
	return []any{id, customerID, c.Name, cnid.Initials(c.Name), c.Gender, c.Position,
		sp.value, sp.masked, s.keys.Index(indexPhone, c.phone.Key()), s.keys.Index(indexPhone4, cnid.LastFour(c.phone)), s.keys.Index(indexPhone8, cnid.LastEight(c.phone)),
		se.value, se.masked, s.keys.Index(indexEmail, cnid.EmailKey(c.Email)), sw.value, sw.masked, s.keys.Index(indexWechat, strings.ToLower(c.Wechat)),
		db.Bool(c.Primary), now, now}, nil
}

// freshNumbers returns n new numbers; imports may have brought some of the same
// shape, which are passed over.
func (s *Service) freshNumbers(ctx context.Context, tx *db.Tx, n int) ([]string, error) {
	if n == 0 {
		return nil, nil
	}
	template, err := number.Setting(ctx, tx, NumberSetting, NumberTemplate)
	if err != nil {
		return nil, err
	}
	return FreshNumbers(ctx, tx, "customer", "customers", template, n)
}

// FreshNumbers returns n numbers of the counter that no row of table has.
func FreshNumbers(ctx context.Context, tx *db.Tx, counter, table, template string, n int) ([]string, error) {
	var out []string
	for len(out) < n {
		ns, err := number.Block(ctx, tx, counter, template, tx.Now, n-len(out))
		if err != nil {
			return nil, err
		}
		taken := map[string]bool{}
		err = db.EachIn(ns, func(in string, args []any) error {
			rows, err := tx.Query(ctx, `SELECT number FROM `+table+` WHERE number IN (`+in+`)`, args...)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var s string
				if err := rows.Scan(&s); err != nil {
					return err
				}
				taken[s] = true
			}
			return rows.Err()
		})
		if err == nil && table == "customers" {
			err = takenByMerges(ctx, tx, ns, taken)
		}
		if err != nil {
			return nil, fmt.Errorf("customer: fresh numbers: %w", err)
		}
		for _, s := range ns {
			if !taken[s] {
				out = append(out, s)
			}
		}
	}
	return out, nil
}

// Target is a customer somebody else's rows refer to.
type Target struct {
	Ref
	ContactID int64 // to speak to first; 0: nobody
}

// Targets finds the customers in scope that rows name: by number, here or where
// they come from, and by full name. A name may mean several.
func (s *Service) Targets(ctx context.Context, q db.Querier, sc authz.Scope, ids, names []string) (byID, byName map[string][]Target, err error) {
	byID, byName = map[string][]Target{}, map[string][]Target{}
	if sc.Empty() {
		return byID, byName, nil
	}
	type found struct{ number, external, key string }
	look := func(column, in string, args []any, add func(found, Target)) error {
		a := db.Args{Values: args}
		where := within(sc, &a)
		rows, err := q.Query(ctx, `
			SELECT c.id, c.number, c.external_id, c.name_key, c.name, c.type, c.level,
			       COALESCE((SELECT MIN(x.id) FROM contacts x WHERE x.customer_id = c.id AND x.is_primary = 1 AND x.active = 1), 0)
			FROM   customers c
			WHERE  c.`+column+` IN (`+in+`) AND `+where+` ORDER BY c.id`, a.Values...)
		if err != nil {
			return fmt.Errorf("customer: targets: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			var f found
			var t Target
			if err := rows.Scan(&t.ID, &f.number, &f.external, &f.key, &t.Name, (*string)(&t.Type), (*string)(&t.Level), &t.ContactID); err != nil {
				return fmt.Errorf("customer: targets: %w", err)
			}
			t.Number = f.number
			add(f, t)
		}
		return rows.Err()
	}
	var numbers, externals, keys []string
	wantNumber, wantKey := map[string][]string{}, map[string][]string{}
	for _, id := range ids {
		n, ok := FitNumber(id)
		externals = append(externals, id)
		if !ok {
			n = strings.ToUpper(strings.TrimSpace(id))
		}
		numbers = append(numbers, n)
		wantNumber[n] = append(wantNumber[n], id)
	}
	for _, name := range names {
		for _, t := range Types {
			if k := nameKey(t, name); len(wantKey[k]) == 0 || wantKey[k][len(wantKey[k])-1] != name {
				keys = append(keys, k)
				wantKey[k] = append(wantKey[k], name)
			}
		}
	}
	err = errors.Join(
		db.EachIn(externals, func(in string, args []any) error {
			// The partial index is used only where its condition is repeated.
			return look("external_id <> '' AND c.external_id", in, args, func(f found, t Target) { byID[f.external] = append(byID[f.external], t) })
		}),
		db.EachIn(numbers, func(in string, args []any) error {
			return look("number", in, args, func(f found, t Target) {
				for _, id := range wantNumber[f.number] {
					if len(byID[id]) == 0 { // what was imported under that id comes first
						byID[id] = append(byID[id], t)
					}
				}
			})
		}),
		db.EachIn(keys, func(in string, args []any) error {
			return look("name_key", in, args, func(f found, t Target) {
				for _, n := range wantKey[f.key] {
					byName[n] = append(byName[n], t)
				}
			})
		}))
	if err == nil {
		err = mergedTargets(ctx, q, sc, ids, byID)
	}
	return byID, byName, err
}

// Business is what many tickets at once change about a customer.
type Business struct {
	ID          int64
	Open, Total int64 // tickets
	Ratings     int64
	RatingSum   int64
	At          int64 // µs: the newest of it
}

// AddBusiness is AddTicket, AddRating and Touch for many customers.
func AddBusiness(ctx context.Context, tx *db.Tx, bs []Business) error {
	counts := make([]any, 0, len(bs)*5)
	times := make([]any, 0, len(bs)*2)
	for _, b := range bs {
		counts = append(counts, b.ID, b.Open, b.Total, b.Ratings, b.RatingSum)
		times = append(times, b.ID, b.At)
	}
	big := "BIGINT"
	err := tx.UpdateMany(ctx, `
		UPDATE customers SET open_tickets = open_tickets + v.column2, total_tickets = total_tickets + v.column3,
			ratings = ratings + v.column4, rating_sum = rating_sum + v.column5`, `customers.id = v.column1`, []string{big, big, big, big, big}, counts)
	if err == nil { // apart, because activity_at stands in four indexes
		err = tx.UpdateMany(ctx, `UPDATE customers SET activity_at = v.column2`, `customers.id = v.column1 AND customers.activity_at < v.column2`, []string{big, big}, times)
	}
	if err != nil {
		return fmt.Errorf("customer: business of %d: %w", len(bs), err)
	}
	return nil
}

// CompanyName reports whether a name looks like that of a company or an
// institution, for tables that do not say.
func CompanyName(name string) bool {
	name = line(name)
	if cnid.NormalizeCompany(name) != cnid.NormalizeName(name) && strings.ContainsFunc(name, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
		return true
	}
	for _, w := range []string{"公司", "集团", "厂", "医院", "学校", "大学", "中学", "小学", "幼儿园", "银行", "酒店", "宾馆", "商店", "超市", "中心", "研究院", "研究所", "事务所", "委员会", "政府", "协会", "合作社", "工作室", "经营部", "门市", "局", "店", "社"} {
		if strings.HasSuffix(name, w) && utf8.RuneCountInString(name) > 3 {
			return true
		}
	}
	lower := strings.ToLower(name)
	for _, w := range []string{"co.", "ltd", "inc", "corp", "gmbh", "llc", "company", "group", "limited"} {
		if strings.Contains(lower, w) {
			return true
		}
	}
	return strings.Contains(name, "公司")
}
