package customer

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/cnid"
	"bihuan/internal/crypt"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/field"
	"bihuan/internal/journal"
	"bihuan/internal/search"
)

// The facts about what is gone.
const (
	Erased        = "customer.erased"         // the profile is a tombstone; Data is an ErasedData
	ContactErased = "customer.contact_erased" // Data is an ErasedData
)

// What stands in place of a name that is gone.
const (
	Tombstone        = "已删除的客户"
	TombstoneContact = "已删除的联系人"
)

// ErasedData says by which request.
type ErasedData struct {
	Number string   `json:"number"` // of the customer; it stays
	Args   []string `json:"args,omitempty"`
}

// Known is what customers and contacts are recognised by, in clear. It leaves
// this package for erasing them, and for what a person is told about himself.
type Known struct {
	Names, Phones, Emails, Wechats, Addresses []string
}

// KnownOf returns the values of contacts, and of customers with all their
// contacts, former ones too. Names of companies are not among them: they are
// nobody's personal data.
func (s *Service) KnownOf(ctx context.Context, q db.Querier, customers, contacts []int64) (k Known, err error) {
	var errs []error
	open := func(table string, id int64, f Field, value []byte, into *[]string) {
		plain, err := s.keys.Open(crypt.Place(table, id, string(f)), value)
		if err != nil {
			errs = append(errs, err)
		} else if plain != "" {
			*into = append(*into, plain)
		}
	}
	err = db.EachIn(customers, func(in string, args []any) error {
		rows, err := q.Query(ctx, `SELECT id, type, name, address_sealed FROM customers WHERE id IN (`+in+`)`, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id int64
			var typ, name string
			var address []byte
			if err := rows.Scan(&id, &typ, &name, &address); err != nil {
				return err
			}
			if Type(typ) == Person {
				k.Names = append(k.Names, name)
			}
			open("customers", id, Address, address, &k.Addresses)
		}
		return rows.Err()
	})
	read := func(column string) func(in string, args []any) error {
		return func(in string, args []any) error {
			rows, err := q.Query(ctx, `SELECT id, name, phone_sealed, email_sealed, wechat_sealed FROM contacts WHERE `+column+` IN (`+in+`)`, args...)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var id int64
				var name string
				var phone, email, wechat []byte
				if err := rows.Scan(&id, &name, &phone, &email, &wechat); err != nil {
					return err
				}
				k.Names = append(k.Names, name)
				open("contacts", id, Phone, phone, &k.Phones)
				open("contacts", id, Email, email, &k.Emails)
				open("contacts", id, Wechat, wechat, &k.Wechats)
			}
			return rows.Err()
		}
	}
	err = errors.Join(err, db.EachIn(customers, read("customer_id")), db.EachIn(contacts, read("id")), errors.Join(errs...))
	if err != nil {
		return Known{}, fmt.Errorf("customer: known values: %w", err)
	}
	return k, nil
}

// Wanted is what somebody is looked for by; empty fields match nobody.
type Wanted struct {
	Names, Phones, Emails, Wechats []string
	Numbers                        []string // of customers
}

// Person is where somebody is known: as a customer, or as a contact of one.
type PersonHit struct {
	Customer    Ref
	ContactID   int64 // 0: the customer himself
	ContactName string
	Phone       string // masked
	Tickets     int64
	By          []string // what matched: number, name, phone, email, wechat
}

// maxPersons bounds what a search for a person brings up; whoever is called
// 张伟 has to be looked for by his telephone number.
const maxPersons = 200

// FindPerson returns everybody who may be meant. It knows no scope: whoever
// serves a person's rights has to find all there is (GOV-4).
func (s *Service) FindPerson(ctx context.Context, q db.Querier, w Wanted) ([]PersonHit, error) {
	type key struct{ customer, contact int64 }
	at := map[key]int{}
	var out []PersonHit
	look := func(by, query string, args ...any) error {
		rows, err := q.Query(ctx, query+fmt.Sprintf(` LIMIT %d`, maxPersons), args...)
		if err != nil {
			return fmt.Errorf("customer: find person: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			var h PersonHit
			if err := rows.Scan(&h.Customer.ID, &h.Customer.Number, &h.Customer.Name, (*string)(&h.Customer.Type), (*string)(&h.Customer.Level), &h.Tickets, &h.ContactID, &h.ContactName, &h.Phone); err != nil {
				return fmt.Errorf("customer: find person: %w", err)
			}
			if h.Customer.Type == Person {
				h.ContactID, h.ContactName = 0, "" // the contact of a person is he himself
			}
			k := key{h.Customer.ID, h.ContactID}
			i, known := at[k]
			if !known {
				i, at[k] = len(out), len(out)
				out = append(out, h)
			}
			if n := len(out[i].By); n == 0 || out[i].By[n-1] != by {
				out[i].By = append(out[i].By, by)
			}
		}
		return rows.Err()
	}
	const contacts = `SELECT c.id, c.number, c.name, c.type, c.level, c.total_tickets, x.id, x.name, x.phone_masked FROM contacts x JOIN customers c ON c.id = x.customer_id WHERE c.gone = 0 AND `
	const customers = `SELECT c.id, c.number, c.name, c.type, c.level, c.total_tickets, 0, '', '' FROM customers c WHERE c.gone = 0 AND `
	for _, n := range w.Numbers {
		if err := look("number", customers+`c.number = $1`, line(n)); err != nil {
			return nil, err
		}
	}
	for _, p := range w.Phones {
		n, err := cnid.ParsePhone(p)
		if err != nil {
			continue
		}
		for _, x := range s.keys.Indexes(indexPhone, n.Key()) {
			if err := look("phone", contacts+`x.phone_index = $1`, x); err != nil {
				return nil, err
			}
		}
	}
	for _, e := range w.Emails {
		for _, x := range s.keys.Indexes(indexEmail, cnid.EmailKey(e)) {
			if err := look("email", contacts+`x.email_index = $1`, x); err != nil {
				return nil, err
			}
		}
	}
	for _, v := range w.Wechats {
		for _, x := range s.keys.Indexes(indexWechat, strings.ToLower(line(v))) {
			if err := look("wechat", contacts+`x.wechat_index = $1`, x); err != nil {
				return nil, err
			}
		}
	}
	for _, n := range w.Names {
		if n = line(n); n == "" {
			continue
		}
		if err := look("name", customers+`c.type = 'person' AND c.name_key = $1`, nameKey(Person, n)); err != nil {
			return nil, err
		}
		if err := look("name", contacts+`x.initials = $1 AND x.name = $2`, cnid.Initials(n), n); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Borne returns those of the values of k that a customer, a contact or a member
// of the staff bears who is not among customers and contacts: they mean somebody
// else as well.
func (s *Service) Borne(ctx context.Context, q db.Querier, k Known, customers, contacts []int64) (map[string]bool, error) {
	mine := map[int64]bool{}
	for _, id := range customers {
		mine[id] = true
	}
	own := map[int64]bool{}
	for _, id := range contacts {
		own[id] = true
	}
	out := map[string]bool{}
	others := func(value string, w Wanted) error {
		hits, err := s.FindPerson(ctx, q, w)
		for _, h := range hits {
			if !mine[h.Customer.ID] && !own[h.ContactID] {
				out[value] = true
			}
		}
		return err
	}
	for _, n := range k.Names {
		if err := others(n, Wanted{Names: []string{n}}); err != nil {
			return nil, err
		}
		var staff int
		if err := q.QueryRow(ctx, `SELECT COUNT(*) FROM users WHERE name = $1`, n).Scan(&staff); err != nil {
			return nil, fmt.Errorf("customer: borne: %w", err)
		}
		if staff > 0 {
			out[n] = true
		}
	}
	for _, p := range k.Phones {
		if err := others(p, Wanted{Phones: []string{p}}); err != nil {
			return nil, err
		}
	}
	for _, e := range k.Emails {
		if err := others(e, Wanted{Emails: []string{e}}); err != nil {
			return nil, err
		}
	}
	for _, v := range k.Wechats {
		if err := others(v, Wanted{Wechats: []string{v}}); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Bury makes tombstones of customers: the row stays for old tickets, with its
// number and without anything else; contacts, needs and what was noted of them
// apart from tickets are gone. why is the number of the request, for the
// timeline. The caller has decided that this is allowed.
func (s *Service) Bury(ctx context.Context, a *action.Action, ids []int64, why string) error {
	return db.EachIn(ids, func(in string, args []any) error {
		var b db.Args
		b.Values = append(b.Values, args...)
		name, now := b.Add(Tombstone), b.Add(a.NowMicros())
		rows, err := a.Query(ctx, `
			UPDATE customers SET name = `+name+`, name_key = '', pinyin = '', initials = '', uscc = NULL, industry = '', level = 'normal', grade = '', parent_id = 0, source = '', region = '',
				address_sealed = NULL, address_masked = '', website = '', remark = '', owner_id = 0, planned_at = 0, verified_at = 0, verify_at = 0, duplicate_reason = '', external_id = '',
				gone = 1, updated_at = `+now+`, version = version + 1
			WHERE gone = 0 AND id IN (`+in+`) RETURNING id, number`, b.Values...)
		if err != nil {
			return fmt.Errorf("customer: bury: %w", err)
		}
		type row struct {
			id     int64
			number string
		}
		var gone []row
		for rows.Next() {
			var r row
			if err := rows.Scan(&r.id, &r.number); err != nil {
				rows.Close()
				return fmt.Errorf("customer: bury: %w", err)
			}
			gone = append(gone, r)
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return fmt.Errorf("customer: bury: %w", err)
		}
		if err := s.emptyContacts(ctx, a, "customer_id", ids); err != nil {
			return err
		}
		if err := s.removeFields(ctx, a.Tx, ids); err != nil {
			return err
		}
		for _, query := range []string{
			`DELETE FROM needs WHERE customer_id IN (`, `DELETE FROM customer_tags WHERE customer_id IN (`, `DELETE FROM grade_suggestions WHERE customer_id IN (`,
			`DELETE FROM customer_stages WHERE customer_id IN (`, `DELETE FROM verifications WHERE customer_id IN (`,
			`DELETE FROM customer_relations WHERE from_id IN (`, `DELETE FROM customer_relations WHERE to_id IN (`,
			`DELETE FROM contact_moves WHERE customer_id IN (`, `UPDATE contact_moves SET other_customer_id = 0, other_contact_id = 0 WHERE other_customer_id > 0 AND other_customer_id IN (`,
			`DELETE FROM contact_unreachable WHERE contact_id IN (SELECT x.id FROM contacts x WHERE x.customer_id IN (`,
			`UPDATE customers SET parent_id = 0 WHERE parent_id > 0 AND parent_id IN (`} {
			end := strings.Repeat(")", strings.Count(query, "(")-strings.Count(query, ")"))
			if _, err := a.Exec(ctx, query+in+end, args...); err != nil {
				return fmt.Errorf("customer: bury: %w", err)
			}
		}
		for _, r := range gone {
			if err := search.Customers.Delete(ctx, a.Tx, r.id); err != nil {
				return err
			}
			a.Record(event.Event{Kind: Erased, Subject: Subject(r.id), Data: ErasedData{Number: r.number, Args: []string{why}}})
		}
		ids := make([]int64, len(gone))
		for i, r := range gone {
			ids[i] = r.id
		}
		return journal.RemoveAbout(ctx, a.Tx, ids)
	})
}

// emptyContacts takes everything out of the contacts whose column is one of ids.
func (s *Service) emptyContacts(ctx context.Context, a *action.Action, column string, ids []int64) error {
	return db.EachIn(ids, func(in string, args []any) error {
		var b db.Args
		b.Values = append(b.Values, args...)
		name, left, now := b.Add(TombstoneContact), b.Add(a.NowMicros()), b.Add(a.NowMicros())
		_, err := a.Exec(ctx, `
			UPDATE contacts SET name = `+name+`, initials = '', gender = '', position = '', role = '',
				phone_sealed = NULL, phone_masked = '', phone_index = NULL, phone4_index = NULL, phone8_index = NULL,
				email_sealed = NULL, email_masked = '', email_index = NULL, wechat_sealed = NULL, wechat_masked = '', wechat_index = NULL,
				is_primary = 0, active = 0, left_at = `+left+`, moved_to = 0, updated_at = `+now+`, version = version + 1
			WHERE `+column+` IN (`+in+`)`, b.Values...)
		if err != nil {
			return fmt.Errorf("customer: empty contacts: %w", err)
		}
		return nil
	})
}

// EraseContacts takes people out of the customers they speak for; the customers
// stay. why is as of Bury.
func (s *Service) EraseContacts(ctx context.Context, a *action.Action, ids []int64, why string) error {
	for _, id := range ids {
		var of int64
		var number string
		err := a.QueryRow(ctx, `SELECT c.id, c.number FROM contacts x JOIN customers c ON c.id = x.customer_id WHERE x.id = $1`, id).Scan(&of, &number)
		if err != nil {
			return fmt.Errorf("customer: erase contact %d: %w", id, err)
		}
		if err := s.emptyContacts(ctx, a, "id", []int64{id}); err != nil {
			return err
		}
		if err := s.fields.Remove(ctx, a.Tx, field.Contact, id); err != nil {
			return err
		}
		if _, err := a.Exec(ctx, `DELETE FROM contact_unreachable WHERE contact_id = $1`, id); err != nil {
			return fmt.Errorf("customer: erase contact %d: %w", id, err)
		}
		_, err = a.Exec(ctx, `
			UPDATE contacts SET is_primary = 1
			WHERE  id = (SELECT MIN(id) FROM contacts WHERE customer_id = $1 AND active = 1)
			  AND  NOT EXISTS (SELECT 1 FROM contacts x WHERE x.customer_id = $2 AND x.is_primary = 1 AND x.active = 1)`, of, of)
		if err == nil {
			_, err = a.Exec(ctx, `UPDATE customers SET updated_at = $1, version = version + 1 WHERE id = $2`, a.NowMicros(), of)
		}
		if err != nil {
			return fmt.Errorf("customer: erase contact %d: %w", id, err)
		}
		if err := s.reindex(ctx, a.Tx, of); err != nil {
			return err
		}
		a.Record(event.Event{Kind: ContactErased, Subject: Subject(of), Data: ErasedData{Number: number, Args: []string{why}}})
	}
	return nil
}

// Reindex puts customers into the search index anew, after their words were
// changed by an erasure. One that is gone leaves it.
func (s *Service) Reindex(ctx context.Context, tx *db.Tx, ids []int64) error {
	for _, id := range ids {
		var gone int
		if err := tx.QueryRow(ctx, `SELECT COALESCE(MAX(gone), 1) FROM customers WHERE id = $1`, id).Scan(&gone); err != nil {
			return fmt.Errorf("customer: index %d: %w", id, err)
		}
		var err error
		if gone != 0 {
			err = search.Customers.Delete(ctx, tx, id)
		} else {
			err = s.reindex(ctx, tx, id)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Deletable returns the profile of a customer that the actor, holding p, may ask
// to be deleted or disclosed.
func (s *Service) Deletable(ctx context.Context, a *action.Action, id int64, p authz.Permission) (Customer, error) {
	if err := s.may(ctx, a, id, p); err != nil {
		return Customer{}, err
	}
	return s.load(ctx, a, id)
}

// Gone reports whether a customer is a tombstone.
func Gone(ctx context.Context, q db.Querier, id int64) (bool, error) {
	var gone int
	err := q.QueryRow(ctx, `SELECT COALESCE(MAX(gone), 0) FROM customers WHERE id = $1`, id).Scan(&gone)
	if err != nil {
		return false, fmt.Errorf("customer: gone %d: %w", id, err)
	}
	return gone != 0, nil
}

// Forgettable returns at most limit customers without any business since before, and
// without an open ticket or a plan: who may be forgotten.
func Forgettable(ctx context.Context, q db.Querier, before int64, limit int) (ids []int64, err error) {
	rows, err := q.Query(ctx, fmt.Sprintf(`
		SELECT id FROM customers
		WHERE  activity_at < $1 AND gone = 0 AND open_tickets = 0 AND planned_at < $2 AND updated_at < $3
		ORDER BY activity_at, id LIMIT %d`, limit), before, before, before)
	if err != nil {
		return nil, fmt.Errorf("customer: forgettable: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("customer: forgettable: %w", err)
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// ContactIDs returns the ids of a customer's contacts, former ones too.
func (s *Service) ContactIDs(ctx context.Context, q db.Querier, id int64) (ids []int64, err error) {
	rows, err := q.Query(ctx, `SELECT id FROM contacts WHERE customer_id = $1 ORDER BY id`, id)
	if err != nil {
		return nil, fmt.Errorf("customer: contacts of %d: %w", id, err)
	}
	defer rows.Close()
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return nil, fmt.Errorf("customer: contacts of %d: %w", id, err)
		}
		ids = append(ids, n)
	}
	return ids, rows.Err()
}

// Refs names customers, without those who are gone. It knows no scope.
func Refs(ctx context.Context, q db.Querier, ids []int64) (out []Ref, err error) {
	var a db.Args
	rows, err := q.Query(ctx, `SELECT id, number, name, type, level FROM customers WHERE gone = 0 AND id IN (`+a.AddInts(ids)+`) ORDER BY id`, a.Values...)
	if err != nil {
		return nil, fmt.Errorf("customer: refs: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var r Ref
		if err := rows.Scan(&r.ID, &r.Number, &r.Name, (*string)(&r.Type), (*string)(&r.Level)); err != nil {
			return nil, fmt.Errorf("customer: refs: %w", err)
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// ExportsGone takes note that files of exports were removed.
func ExportsGone(ctx context.Context, a *action.Action, files []int64) error {
	for _, id := range files {
		if _, err := a.Exec(ctx, `UPDATE customer_exports SET state = 'expired', file_id = 0, filter = '' WHERE file_id > 0 AND file_id = $1`, id); err != nil {
			return fmt.Errorf("customer: file %d of an export is gone: %w", id, err)
		}
	}
	return nil
}
