package customer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/cnid"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
	"bihuan/internal/number"
)

// Create registers a customer.
func (s *Service) Create(ctx context.Context, actor authz.Actor, in Input) (c Customer, err error) {
	err = s.run.Do(ctx, actor, "customer.create", func(ctx context.Context, a *action.Action) error {
		c, err = s.CreateIn(ctx, a, in)
		return err
	})
	return c, err
}

// CreateIn registers a customer inside another action, such as the registration
// of a ticket (TKT-1). The error is a *[DuplicateError] when there may be one
// already and in gives no reason.
func (s *Service) CreateIn(ctx context.Context, a *action.Action, in Input) (Customer, error) {
	if err := a.Actor.Check(PermCreate); err != nil {
		return Customer{}, err
	}
	err := in.check(nil)
	if err := fault.Both(err, s.checkFields(ctx, a, &in, nil)); err != nil {
		return Customer{}, err
	}
	if in.DepartmentID == 0 {
		in.DepartmentID = a.Actor.DepartmentID
	}
	if err := s.checkPeople(ctx, a, in.OwnerID, in.DepartmentID, nil); err != nil {
		return Customer{}, err
	}
	// The number comes first: on PostgreSQL its counter row lets one registration
	// through at a time, so that two of the same customer see each other below.
	if in.Number == "" {
		var err error
		if in.Number, err = s.nextNumber(ctx, a.Tx); err != nil {
			return Customer{}, err
		}
	}
	if in.DuplicateReason == "" {
		if err := s.refuseDuplicates(ctx, a, a.Actor, 0, in); err != nil {
			return Customer{}, err
		}
	}
	wanted := in.Level
	if wanted != Normal {
		if needs, err := s.levelNeedsApproval(ctx, a, a.Actor, wanted); err != nil {
			return Customer{}, err
		} else if needs {
			in.Level = Normal // until somebody has agreed
		}
	}
	id, err := s.insert(ctx, a, in)
	if err != nil {
		return Customer{}, err
	}
	contacts := 0
	for i, c := range in.Contacts {
		if c.blank() {
			continue
		}
		if _, err := s.insertContact(ctx, a.Tx, id, c, i); err != nil {
			return Customer{}, err
		}
		contacts++
	}
	if _, err := s.setFields(ctx, a.Tx, field.Customer, id, in.values, ""); err != nil {
		return Customer{}, err
	}
	if !in.Need.blank() {
		if _, err := s.insertNeed(ctx, a, id, in.Need); err != nil {
			return Customer{}, err
		}
	}
	if err := s.linkTags(ctx, a.Tx, id, in.TagIDs); err != nil {
		return Customer{}, err
	}
	if err := s.reindex(ctx, a.Tx, id); err != nil {
		return Customer{}, err
	}
	a.Record(event.Event{Kind: Created, Subject: Subject(id), Reason: in.DuplicateReason, Data: CreatedData{
		Number: in.Number, Type: in.Type, Level: in.Level, Source: in.Source, OwnerID: in.OwnerID,
		DepartmentID: in.DepartmentID, Contacts: contacts, DuplicateReason: in.DuplicateReason}})
	if wanted != in.Level {
		if _, err := s.askLevel(ctx, a, LevelChange{CustomerID: id, Number: in.Number, Name: in.Name, DepartmentID: in.DepartmentID, From: in.Level, To: wanted,
			Reason: i18n.T(i18n.ZhCN, "customer.level.on_registration")}); err != nil {
			return Customer{}, err
		}
	}
	return s.load(ctx, a, id)
}

func (s *Service) nextNumber(ctx context.Context, tx *db.Tx) (string, error) {
	template, err := number.Setting(ctx, tx, NumberSetting, NumberTemplate)
	if err != nil {
		return "", err
	}
	for {
		n, err := number.Next(ctx, tx, "customer", template, tx.Now)
		if err != nil {
			return "", err
		}
		// An import may have brought a number of the same shape.
		var taken int
		if err := tx.QueryRow(ctx, `SELECT (SELECT COUNT(*) FROM customers WHERE number = $1) + (SELECT COUNT(*) FROM customer_merges WHERE merged_number = $2 AND undone_at = 0)`, n, n).Scan(&taken); err != nil {
			return "", fmt.Errorf("customer: number: %w", err)
		}
		if taken == 0 {
			return n, nil
		}
	}
}

// checkPeople refuses an owner or department that does not exist or has ended,
// unless old had it already.
func (s *Service) checkPeople(ctx context.Context, q db.Querier, owner, department int64, old *Customer) error {
	e := fault.Invalidf("customer.invalid")
	var n int
	if old == nil || old.DepartmentID != department {
		if err := q.QueryRow(ctx, `SELECT COUNT(*) FROM departments WHERE id = $1 AND active = 1`, department).Scan(&n); err != nil {
			return fmt.Errorf("customer: department: %w", err)
		}
		if n == 0 {
			e.Field("department_id", "customer.department.unknown")
		}
	}
	if owner != 0 && (old == nil || old.OwnerID != owner) {
		if err := q.QueryRow(ctx, `SELECT COUNT(*) FROM users WHERE id = $1 AND active = 1`, owner).Scan(&n); err != nil {
			return fmt.Errorf("customer: owner: %w", err)
		}
		if n == 0 {
			e.Field("owner_id", "customer.owner.unknown")
		}
	}
	return e.OrNil()
}

func nameKey(t Type, name string) string {
	if t == Company {
		return cnid.NormalizeCompany(name)
	}
	return cnid.NormalizeName(name)
}

func (s *Service) insert(ctx context.Context, a *action.Action, in Input) (int64, error) {
	if taken, err := takenByMerge(ctx, a, in.Number); err != nil {
		return 0, fmt.Errorf("customer: number: %w", err)
	} else if taken {
		return 0, fault.New(fault.Conflict, "customer.number.taken", in.Number)
	}
	now, created := a.NowMicros(), a.NowMicros()
	if !in.CreatedAt.IsZero() {
		created = db.Micros(in.CreatedAt)
	}
	first := db.Micros(in.FirstContactAt)
	if first == 0 {
		first = created
	}
	var by int64
	byName := in.CreatedByName
	if byName == "" {
		byName = a.Actor.Name
		if a.Actor.Kind == authz.User {
			by = a.Actor.ID
		}
	}
	var uscc, importKey any
	if in.USCC != "" {
		uscc = in.USCC
	}
	if in.ImportKey != "" {
		importKey = in.ImportKey
	}
	var id int64
	err := a.QueryRow(ctx, `
		INSERT INTO customers (number, type, name, name_key, pinyin, initials, uscc, industry, level, source, region, website, remark,
			owner_id, department_id, first_contact_at, created_by, created_by_name, created_at, updated_at, activity_at, duplicate_reason, import_key, demo, stage_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25)
		RETURNING id`,
		in.Number, string(in.Type), in.Name, nameKey(in.Type, in.Name), cnid.Pinyin(in.Name), cnid.Initials(in.Name), uscc, in.Industry,
		string(in.Level), in.Source, in.Region, in.Website, in.Remark, in.OwnerID, in.DepartmentID, first, by, byName, created, now, created,
		in.DuplicateReason, importKey, db.Bool(in.Demo), created).Scan(&id)
	switch {
	case db.IsUnique(err, "import_key"):
		return 0, fault.New(fault.Conflict, "customer.imported_before").Wrap(err)
	case db.IsUnique(err, "number"):
		return 0, fault.New(fault.Conflict, "customer.number.taken", in.Number).Wrap(err)
	case err != nil:
		return 0, fmt.Errorf("customer: insert: %w", err)
	}
	if in.Address != "" {
		if _, err := s.setAddress(ctx, a, id, in.Address); err != nil {
			return 0, fmt.Errorf("customer: address: %w", err)
		}
	}
	care, err := s.care(ctx, a)
	if err != nil {
		return 0, err
	}
	return id, s.scheduleMissing(ctx, a.Tx, care, []int64{id}, false)
}

// insertContact writes a checked contact; row is where it stands in the form.
func (s *Service) insertContact(ctx context.Context, tx *db.Tx, customerID int64, c ContactInput, row int) (int64, error) {
	var id int64
	err := tx.QueryRow(ctx, `
		INSERT INTO contacts (customer_id, name, initials, gender, position, role, is_primary, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id`,
		customerID, c.Name, cnid.Initials(c.Name), c.Gender, c.Position, c.Role, db.Bool(c.Primary), tx.NowMicros(), tx.NowMicros()).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("customer: contact %d: %w", row, err)
	}
	var phone string
	if c.phone.Kind != "" {
		phone = c.phone.String()
	}
	sp, err1 := s.seal("contacts", id, Phone, phone, cnid.MaskPhone(phone))
	se, err2 := s.seal("contacts", id, Email, c.Email, cnid.MaskEmail(c.Email))
	sw, err3 := s.seal("contacts", id, Wechat, c.Wechat, maskHandle(c.Wechat))
	if err := errors.Join(err1, err2, err3); err != nil {
		return 0, err
	}
	_, err = tx.Exec(ctx, `
		UPDATE contacts
		SET    phone_sealed = $1, phone_masked = $2, phone_index = $3, phone4_index = $4, phone8_index = $5,
		       email_sealed = $6, email_masked = $7, email_index = $8, wechat_sealed = $9, wechat_masked = $10, wechat_index = $11
		WHERE  id = $12`,
		sp.value, sp.masked, s.keys.Index(indexPhone, c.phone.Key()), s.keys.Index(indexPhone4, cnid.LastFour(c.phone)), s.keys.Index(indexPhone8, cnid.LastEight(c.phone)),
		se.value, se.masked, s.keys.Index(indexEmail, cnid.EmailKey(c.Email)), sw.value, sw.masked, s.keys.Index(indexWechat, strings.ToLower(c.Wechat)), id)
	if err != nil {
		return 0, fmt.Errorf("customer: contact %d: %w", row, err)
	}
	_, err = s.setFields(ctx, tx, field.Contact, id, c.values, "")
	return id, err
}

// AddContactIn adds a contact to a customer inside another action: somebody new
// calls about a ticket. The caller has checked that the actor may see the
// customer.
func (s *Service) AddContactIn(ctx context.Context, a *action.Action, customerID int64, c ContactInput) (int64, error) {
	old, err := s.load(ctx, a, customerID)
	if err != nil {
		return 0, err
	}
	c.ID, c.Primary = 0, len(old.Contacts) == 0
	in := Input{Name: old.Name, Contacts: []ContactInput{c}, PhoneOptional: true}
	err = in.check(&old)
	if err := fault.Both(err, s.checkFields(ctx, a, &in, &old)); err != nil {
		return 0, err
	}
	c = in.Contacts[0]
	if c.blank() {
		return 0, fault.Invalidf("customer.invalid").Field("contacts.0.name", "customer.contact.name.required")
	}
	id, err := s.insertContact(ctx, a.Tx, customerID, c, 0)
	if err != nil {
		return 0, err
	}
	if _, err := a.Exec(ctx, `UPDATE customers SET updated_at = $1, version = version + 1 WHERE id = $2`, a.NowMicros(), customerID); err != nil {
		return 0, fmt.Errorf("customer: add contact: %w", err)
	}
	if err := s.reindex(ctx, a.Tx, customerID); err != nil {
		return 0, err
	}
	a.Record(event.Event{Kind: Changed, Subject: Subject(customerID), Data: ChangedData{Changes: []Change{
		{Change: event.Change{Field: "contact.added", New: cnid.MaskName(c.Name)}, Of: cnid.MaskName(c.Name)}}}})
	return id, nil
}

func (s *Service) insertNeed(ctx context.Context, a *action.Action, id int64, n NeedInput) (needID int64, err error) {
	by := int64(0)
	if a.Actor.Kind == authz.User {
		by = a.Actor.ID
	}
	err = a.QueryRow(ctx, `
		INSERT INTO needs (customer_id, product, description, period, budget, delivery, special, urgency, created_by, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id`,
		id, n.Product, n.Description, n.Period, n.Budget, n.Delivery, n.Special, n.Urgency, by, a.NowMicros()).Scan(&needID)
	if err != nil {
		return 0, fmt.Errorf("customer: need: %w", err)
	}
	return needID, nil
}

// AddNeed notes a further need of a customer (CUS-2).
func (s *Service) AddNeed(ctx context.Context, actor authz.Actor, id int64, n NeedInput) error {
	return s.run.Do(ctx, actor, "customer.add_need", func(ctx context.Context, a *action.Action) error {
		if err := s.may(ctx, a, id, PermEdit); err != nil {
			return err
		}
		e := fault.Invalidf("customer.invalid")
		n.check(e)
		if n.blank() {
			e.Field("need.description", "customer.need.required")
		}
		if err := e.OrNil(); err != nil {
			return err
		}
		needID, err := s.insertNeed(ctx, a, id, n)
		if err != nil {
			return err
		}
		a.Record(event.Event{Kind: NeedAdded, Subject: Subject(id), Data: EntryData{needID}})
		return Touch(ctx, a.Tx, id, a.Now)
	})
}

// may checks that the actor sees the customer, else he is not found, and that p
// covers him, else it is forbidden.
func (s *Service) may(ctx context.Context, a *action.Action, id int64, p authz.Permission) error {
	if err := s.visible(ctx, a, View(a.Actor), id); err != nil {
		return err
	}
	if err := a.Actor.Check(p); err != nil {
		return err
	}
	return s.covers(ctx, a, authz.For(a.Actor, p), id, p)
}

func (s *Service) visible(ctx context.Context, q db.Querier, sc authz.Scope, id int64) error {
	if err := s.covers(ctx, q, sc, id, PermView); fault.Is(err, fault.Forbidden) {
		return notFound()
	} else if err != nil {
		return err
	}
	return nil
}

func (s *Service) linkTags(ctx context.Context, tx *db.Tx, id int64, tags []int64) error {
	slices.Sort(tags)
	for _, t := range slices.Compact(tags) {
		res, err := tx.Exec(ctx, `INSERT INTO customer_tags (customer_id, tag_id) SELECT $1, id FROM tags WHERE id = $2 ON CONFLICT DO NOTHING`, id, t)
		if err != nil {
			return fmt.Errorf("customer: tag: %w", err)
		}
		if n, err := res.RowsAffected(); err == nil && n == 0 {
			return fault.Invalidf("customer.invalid").Field("tags", "customer.tag.unknown")
		}
	}
	return nil
}
