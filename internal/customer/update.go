package customer

import (
	"context"
	"fmt"
	"slices"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/cnid"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
)

// important fields change only with a reason (CUS-11).
var important = []string{"name", "uscc", "level", "owner"}

// Update changes a profile from version on. What Input says is what the profile
// is afterwards, but for the fields Input excepts. reason is required when an
// important field changes. When somebody else was faster the fault is a
// Conflict that names at each differing field what is stored now; the caller
// shows it beside what was typed and goes on from the new version.
func (s *Service) Update(ctx context.Context, actor authz.Actor, id, version int64, in Input, reason string) (c Customer, err error) {
	err = s.run.Do(ctx, actor, "customer.update", func(ctx context.Context, a *action.Action) error {
		c, err = s.update(ctx, a, id, version, in, reason)
		return err
	})
	return c, err
}

func (s *Service) update(ctx context.Context, a *action.Action, id, version int64, in Input, reason string) (Customer, error) {
	if err := s.may(ctx, a, id, PermEdit); err != nil {
		return Customer{}, err
	}
	var now int64
	if err := a.QueryRow(ctx, `SELECT version FROM customers WHERE id = $1`+a.ForUpdate(), id).Scan(&now); err != nil {
		return Customer{}, fmt.Errorf("customer: update %d: %w", id, err)
	}
	old, err := s.load(ctx, a, id)
	if err != nil {
		return Customer{}, err
	}
	if in.DepartmentID == 0 {
		in.DepartmentID = old.DepartmentID
	}
	if in.FirstContactAt.IsZero() {
		in.FirstContactAt = old.FirstContactAt
	}
	err = in.check(&old)
	if err := fault.Both(err, s.checkFields(ctx, a, &in, &old)); err != nil {
		return Customer{}, err
	}
	if now != version {
		return Customer{}, s.stale(old, in)
	}
	if err := s.checkPeople(ctx, a, in.OwnerID, in.DepartmentID, &old); err != nil {
		return Customer{}, err
	}
	if in.Level != old.Level && utf8.RuneCountInString(line(reason)) >= 2 {
		asked, err := s.askLevel(ctx, a, LevelChange{CustomerID: id, Number: old.Number, Name: old.Name, DepartmentID: old.DepartmentID, From: old.Level, To: in.Level, Reason: line(reason)})
		if err != nil {
			return Customer{}, err
		}
		if asked { // the rest is changed at once
			in.Level = old.Level
		}
	}
	changes, err := s.differences(ctx, a, old, in)
	if err != nil {
		return Customer{}, err
	}
	if reason = line(reason); utf8.RuneCountInString(reason) < 2 && slices.ContainsFunc(changes, func(c Change) bool { return slices.Contains(important, c.Field) }) {
		return Customer{}, fault.Invalidf("customer.invalid").Field("reason", "customer.reason.required")
	}
	if in.DuplicateReason == "" && s.mayCollide(old, in) {
		if err := s.refuseDuplicates(ctx, a, a.Actor, id, in); err != nil {
			return Customer{}, err
		}
	}
	if in.ClearAddress || in.Address != "" {
		masked, err := s.setAddress(ctx, a, id, in.Address)
		if err != nil {
			return Customer{}, fmt.Errorf("customer: address: %w", err)
		}
		changes = append(changes, Change{Change: event.Change{Field: "address", Old: old.Address, New: masked}})
	}
	own, err := s.setFields(ctx, a.Tx, field.Customer, id, in.values, "")
	if err != nil {
		return Customer{}, err
	}
	changes = append(changes, own...)
	contactChanges, err := s.updateContacts(ctx, a, old, in)
	if err != nil {
		return Customer{}, err
	}
	changes = append(changes, contactChanges...)
	if len(changes) == 0 {
		a.Nothing()
		return old, nil
	}
	var uscc any
	if in.USCC != "" {
		uscc = in.USCC
	}
	keep := old.DuplicateReason
	if in.DuplicateReason != "" {
		keep = in.DuplicateReason
	}
	res, err := a.Exec(ctx, `
		UPDATE customers
		SET    name = $1, name_key = $2, pinyin = $3, initials = $4, uscc = $5, industry = $6, level = $7, source = $8, region = $9, website = $10,
		       remark = $11, owner_id = $12, department_id = $13, first_contact_at = $14, duplicate_reason = $15, updated_at = $16, version = version + 1
		WHERE  id = $17 AND version = $18`,
		in.Name, nameKey(in.Type, in.Name), cnid.Pinyin(in.Name), cnid.Initials(in.Name), uscc, in.Industry, string(in.Level), in.Source, in.Region, in.Website,
		in.Remark, in.OwnerID, in.DepartmentID, db.Micros(in.FirstContactAt), keep, a.NowMicros(), id, version)
	if err != nil {
		return Customer{}, fmt.Errorf("customer: update %d: %w", id, err)
	}
	if n, err := res.RowsAffected(); err == nil && n == 0 {
		return Customer{}, s.stale(old, in)
	}
	if err := s.reindex(ctx, a.Tx, id); err != nil {
		return Customer{}, err
	}
	if in.Level != old.Level {
		if err := s.reschedule(ctx, a.Tx, id, in.Level); err != nil {
			return Customer{}, err
		}
	}
	a.Record(event.Event{Kind: Changed, Subject: Subject(id), Reason: reason, Data: ChangedData{changes}})
	return s.load(ctx, a, id)
}

// mayCollide reports whether the change brings a new credit code or number.
func (s *Service) mayCollide(old Customer, in Input) bool {
	return in.USCC != "" && in.USCC != old.USCC || slices.ContainsFunc(in.Contacts, func(c ContactInput) bool { return c.Phone != "" && !c.Remove })
}

// stale is the fault for a profile that was changed meanwhile: at each field
// that differs, what it is now.
func stale(now Customer, in Input) error {
	e := fault.New(fault.Conflict, "customer.stale")
	differs := func(field, stored, typed string, shown any) {
		if stored != typed {
			if stored == "" {
				e.Field(field, "customer.stale.empty")
			} else {
				e.Field(field, "customer.stale.field", shown)
			}
		}
	}
	differs("name", now.Name, in.Name, now.Name)
	differs("uscc", now.USCC, in.USCC, now.USCC)
	industry, _ := cnid.IndustryByCode(now.Industry)
	differs("industry", now.Industry, in.Industry, industry.Name)
	differs("level", string(now.Level), string(in.Level), i18n.Key("customer.level."+string(now.Level)))
	differs("source", now.Source, in.Source, i18n.Key("customer.source."+now.Source))
	differs("region", now.Region, in.Region, now.Region)
	differs("website", now.Website, in.Website, now.Website)
	differs("remark", now.Remark, in.Remark, now.Remark)
	if now.OwnerID != in.OwnerID {
		differs("owner_id", now.OwnerName, "\x00", now.OwnerName)
	}
	if now.DepartmentID != in.DepartmentID {
		differs("department_id", now.DepartmentName, "\x00", now.DepartmentName)
	}
	if in.Address != "" {
		differs("address", now.Address, "\x00", now.Address)
	}
	for i, c := range in.Contacts {
		k := slices.IndexFunc(now.Contacts, func(o Contact) bool { return o.ID == c.ID })
		if c.ID == 0 || k < 0 {
			continue
		}
		o, f := now.Contacts[k], fmt.Sprintf("contacts.%d.", i)
		differs(f+"name", o.Name, c.Name, o.Name)
		differs(f+"position", o.Position, c.Position, o.Position)
		if c.Phone != "" {
			differs(f+"phone", o.Phone, cnid.MaskPhone(c.phone.String()), o.Phone)
		}
		if c.Email != "" {
			differs(f+"email", o.Email, cnid.MaskEmail(c.Email), o.Email)
		}
	}
	return e
}

// differences lists what in changes on the profile itself. Names of persons are
// masked: see events.go.
func (s *Service) differences(ctx context.Context, q db.Querier, old Customer, in Input) ([]Change, error) {
	var out []Change
	add := func(field, from, to string) {
		if from != to {
			out = append(out, Change{Change: event.Change{Field: field, Old: from, New: to}})
		}
	}
	if old.Name != in.Name {
		from, to := old.Name, in.Name
		if old.Type == Person {
			from, to = cnid.MaskName(from), cnid.MaskName(to)
		}
		out = append(out, Change{Change: event.Change{Field: "name", Old: from, New: to}})
	}
	add("uscc", old.USCC, in.USCC)
	add("industry", old.Industry, in.Industry)
	add("level", string(old.Level), string(in.Level))
	add("source", old.Source, in.Source)
	add("region", old.Region, in.Region)
	add("website", old.Website, in.Website)
	add("remark", old.Remark, in.Remark)
	if old.OwnerID != in.OwnerID {
		name := ""
		if in.OwnerID != 0 {
			if err := q.QueryRow(ctx, `SELECT name FROM users WHERE id = $1`, in.OwnerID).Scan(&name); err != nil {
				return nil, fmt.Errorf("customer: owner: %w", err)
			}
		}
		out = append(out, Change{Change: event.Change{Field: "owner", Old: old.OwnerName, New: name}})
	}
	if old.DepartmentID != in.DepartmentID {
		var name string
		if err := q.QueryRow(ctx, `SELECT name FROM departments WHERE id = $1`, in.DepartmentID).Scan(&name); err != nil {
			return nil, fmt.Errorf("customer: department: %w", err)
		}
		add("department", old.DepartmentName, name)
	}
	if !old.FirstContactAt.Equal(in.FirstContactAt) {
		add("first_contact_at", day(old.FirstContactAt), day(in.FirstContactAt))
	}
	return out, nil
}

// updateContacts writes the rows in names and returns what changed.
func (s *Service) updateContacts(ctx context.Context, a *action.Action, old Customer, in Input) ([]Change, error) {
	var out []Change
	fail := func(err error) ([]Change, error) { return nil, fmt.Errorf("customer: contacts of %d: %w", old.ID, err) }
	chosen, moved := slices.ContainsFunc(in.Contacts, func(c ContactInput) bool { return c.Primary }), false
	for i, c := range in.Contacts {
		if c.blank() {
			continue
		}
		k := slices.IndexFunc(old.Contacts, func(o Contact) bool { return o.ID == c.ID })
		add := func(field, from, to string, always bool) {
			if always || from != to {
				of := c.Name
				if k >= 0 {
					of = old.Contacts[k].Name
				}
				out = append(out, Change{Change: event.Change{Field: "contact." + field, Old: from, New: to}, Of: cnid.MaskName(of)})
			}
		}
		if k < 0 {
			if c.Remove {
				continue
			}
			if _, err := s.insertContact(ctx, a.Tx, old.ID, c, i); err != nil {
				return fail(err)
			}
			add("added", "", cnid.MaskName(c.Name), true)
			continue
		}
		o := old.Contacts[k]
		if c.Remove {
			if _, err := a.Exec(ctx, `UPDATE contacts SET active = 0, is_primary = 0, left_at = $1, updated_at = $2, version = version + 1 WHERE id = $3`, a.NowMicros(), a.NowMicros(), o.ID); err != nil {
				return fail(err)
			}
			add("removed", cnid.MaskName(o.Name), "", true)
			if err := noteMove(ctx, a, old.ID, contactMove{kind: "left", contact: o.ID}); err != nil {
				return fail(err)
			}
			continue
		}
		n := len(out)
		if c.Name != o.Name {
			add("name", cnid.MaskName(o.Name), cnid.MaskName(c.Name), true)
		}
		add("gender", o.Gender, c.Gender, false)
		add("position", o.Position, c.Position, false)
		add("role", o.Role, c.Role, false)
		if !chosen {
			c.Primary = o.Primary
		}
		if c.Phone != "" {
			same, err := s.sameIndex(ctx, a, o.ID, "phone_index", s.keys.Indexes(indexPhone, c.phone.Key()))
			if err != nil {
				return fail(err)
			}
			if !same || c.phone.Ext != "" {
				masked, err := s.setPhone(ctx, a, o.ID, c.phone)
				if err != nil {
					return fail(err)
				}
				add("phone", o.Phone, masked, true)
			}
		}
		if c.Email != "" || c.ClearEmail && o.Email != "" {
			same, err := s.sameIndex(ctx, a, o.ID, "email_index", s.keys.Indexes(indexEmail, cnid.EmailKey(c.Email)))
			if err != nil {
				return fail(err)
			}
			if !same {
				masked, err := s.setEmail(ctx, a, o.ID, c.Email)
				if err != nil {
					return fail(err)
				}
				add("email", o.Email, masked, true)
			}
		}
		if c.Wechat != "" || c.ClearWechat && o.Wechat != "" {
			masked, err := s.setWechat(ctx, a, o.ID, c.Wechat)
			if err != nil {
				return fail(err)
			}
			add("wechat", o.Wechat, masked, true)
		}
		own, err := s.setFields(ctx, a.Tx, field.Contact, o.ID, c.values, cnid.MaskName(o.Name))
		if err != nil {
			return fail(err)
		}
		out = append(out, own...)
		if len(out) == n && c.Primary == o.Primary {
			continue
		}
		moved = moved || c.Primary != o.Primary
		if _, err := a.Exec(ctx, `UPDATE contacts SET name = $1, initials = $2, gender = $3, position = $4, role = $5, is_primary = $6, updated_at = $7, version = version + 1 WHERE id = $8`,
			c.Name, cnid.Initials(c.Name), c.Gender, c.Position, c.Role, db.Bool(c.Primary), a.NowMicros(), o.ID); err != nil {
			return fail(err)
		}
	}
	if len(out) == 0 && !moved {
		return nil, nil
	}
	if chosen {
		keep := int64(0)
		for _, c := range in.Contacts {
			if c.Primary {
				keep = c.ID // 0: the new one, which has the highest id
			}
		}
		if keep == 0 {
			if err := a.QueryRow(ctx, `SELECT MAX(id) FROM contacts WHERE customer_id = $1 AND is_primary = 1`, old.ID).Scan(&keep); err != nil {
				return fail(err)
			}
		}
		if _, err := a.Exec(ctx, `UPDATE contacts SET is_primary = 0 WHERE customer_id = $1 AND is_primary = 1 AND id <> $2`, old.ID, keep); err != nil {
			return fail(err)
		}
	}
	key, err := s.newKey(ctx, a, old)
	if err != nil {
		return fail(err)
	}
	return append(out, key...), nil
}

// sameIndex reports whether the stored index is one of want: whether the value
// is the same, whichever key it was indexed with.
func (s *Service) sameIndex(ctx context.Context, q db.Querier, contactID int64, column string, want [][]byte) (bool, error) {
	var have []byte
	if err := q.QueryRow(ctx, `SELECT `+column+` FROM contacts WHERE id = $1`, contactID).Scan(&have); err != nil {
		return false, err
	}
	return slices.ContainsFunc(want, func(x []byte) bool { return string(x) == string(have) }), nil
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
