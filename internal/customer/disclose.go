package customer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/cnid"
	"bihuan/internal/crypt"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
)

// Disclosed is the fact that a customer's data was given to somebody outside.
const Disclosed = "customer.disclosed"

// DisclosureFields are what of a customer may be given to others, in the order of
// the columns; named customer.disclosure.<field>. The clear ones have to be
// granted one by one; their masked likeness stands beside them (CUS-16).
var DisclosureFields = []string{"number", "name", "type", "uscc", "industry", "level", "source", "region", "address", "address_clear", "website", "owner", "department", "created",
	"contact", "gender", "position", "phone", "phone_clear", "email", "email_clear", "wechat", "wechat_clear"}

// ClearFields are those of DisclosureFields that are sensitive.
var ClearFields = []string{"address_clear", "phone_clear", "email_clear", "wechat_clear"}

// MaxDisclosed bounds one disclosure; whoever needs more has a contract to show.
const MaxDisclosed = 5000

// CheckDisclosure reports what is wrong with the customers and fields somebody
// wants to give to others: each customer must be covered by p for the actor.
func (s *Service) CheckDisclosure(ctx context.Context, a *action.Action, ids []int64, fields []string, p authz.Permission) error {
	f := fault.Invalidf("customer.disclosure.invalid")
	if len(ids) == 0 {
		f.Field("customers", "customer.disclosure.none")
	} else if len(ids) > MaxDisclosed {
		f.Field("customers", "customer.disclosure.many", MaxDisclosed)
	}
	if len(fields) == 0 {
		f.Field("fields", "customer.disclosure.no_fields")
	}
	for _, x := range fields {
		if !slices.Contains(DisclosureFields, x) {
			f.Field("fields", "customer.disclosure.no_fields")
		}
	}
	if err := f.OrNil(); err != nil {
		return err
	}
	if err := a.Actor.Check(p); err != nil {
		return err
	}
	seen := 0
	err := db.EachIn(ids, func(in string, args []any) error {
		b := db.Args{Values: args}
		var n int
		err := a.QueryRow(ctx, `SELECT COUNT(*) FROM customers c WHERE c.id IN (`+in+`) AND `+within(View(a.Actor), &b)+` AND `+within(authz.For(a.Actor, p), &b), b.Values...).Scan(&n)
		seen += n
		return err
	})
	if err != nil {
		return fmt.Errorf("customer: disclosure: %w", err)
	}
	if seen != len(ids) {
		return fault.New(fault.NotFound, "customer.disclosure.out_of_scope", len(ids)-seen)
	}
	return nil
}

// Disclose calls row with the values of fields of each contact of the customers,
// in the order of ids; what has been erased since is left out. The caller has an
// approval for just this.
func (s *Service) Disclose(ctx context.Context, q db.Querier, ids []int64, fields []string, l i18n.Lang, row func(values []any) error) (customers int, err error) {
	wants := func(f string) bool { return slices.Contains(fields, f) }
	perContact := slices.ContainsFunc(fields, func(f string) bool {
		return slices.Contains([]string{"contact", "gender", "position", "phone", "phone_clear", "email", "email_clear", "wechat", "wechat_clear"}, f)
	})
	for len(ids) > 0 {
		part := ids[:min(len(ids), 100)]
		ids = ids[len(part):]
		rows, err := s.rows(ctx, q, part)
		if err != nil {
			return customers, err
		}
		sealedOf, err := s.sealedOf(ctx, q, part)
		if err != nil {
			return customers, err
		}
		for _, c := range rows {
			gone, err := Gone(ctx, q, c.ID)
			if err != nil {
				return customers, err
			}
			if gone {
				continue
			}
			customers++
			var address string
			if wants("address_clear") {
				if address, err = s.keys.Open(crypt.Place("customers", c.ID, string(Address)), sealedOf.address[c.ID]); err != nil {
					return customers, fmt.Errorf("customer: disclose: %w", err)
				}
			}
			contacts := sealedOf.contacts[c.ID]
			if !perContact || len(contacts) == 0 {
				contacts = []sealedContact{{}}
			}
			for _, x := range contacts {
				values := make([]any, 0, len(fields))
				for _, f := range fields {
					v, err := s.disclosed(f, c.Customer, address, x, l)
					if err != nil {
						return customers, err
					}
					values = append(values, v)
				}
				if err := row(values); err != nil {
					return customers, err
				}
			}
		}
	}
	return customers, nil
}

func (s *Service) disclosed(f string, c Customer, address string, x sealedContact, l i18n.Lang) (any, error) {
	code := func(prefix, v string) any {
		if v == "" {
			return ""
		}
		return i18n.T(l, prefix+v)
	}
	open := func(field Field, value []byte) (any, error) {
		v, err := s.keys.Open(crypt.Place("contacts", x.ID, string(field)), value)
		if err != nil {
			return nil, fmt.Errorf("customer: disclose: %w", err)
		}
		return v, nil
	}
	switch f {
	case "number":
		return c.Number, nil
	case "name":
		return c.Name, nil
	case "type":
		return code("customer.type.", string(c.Type)), nil
	case "uscc":
		return c.USCC, nil
	case "industry":
		i, _ := cnid.IndustryByCode(c.Industry)
		return i.Name, nil
	case "level":
		return code("customer.level.", string(c.Level)), nil
	case "source":
		return code("customer.source.", c.Source), nil
	case "region":
		return c.Region, nil
	case "address":
		return c.Address, nil
	case "address_clear":
		return address, nil
	case "website":
		return c.Website, nil
	case "owner":
		return c.OwnerName, nil
	case "department":
		return c.DepartmentName, nil
	case "created":
		return day(c.CreatedAt), nil
	case "contact":
		return x.Name, nil
	case "gender":
		return code("customer.gender.", x.Gender), nil
	case "position":
		return x.Position, nil
	case "phone":
		return x.Phone, nil
	case "phone_clear":
		return open(Phone, x.phone)
	case "email":
		return x.Email, nil
	case "email_clear":
		return open(Email, x.email)
	case "wechat":
		return x.Wechat, nil
	case "wechat_clear":
		return open(Wechat, x.wechat)
	}
	return nil, fmt.Errorf("customer: disclose: unknown field %q", f)
}

type sealedContact struct {
	Contact
	phone, email, wechat []byte
}

type sealedValues struct {
	address  map[int64][]byte
	contacts map[int64][]sealedContact
}

func (s *Service) sealedOf(ctx context.Context, q db.Querier, ids []int64) (sealedValues, error) {
	out := sealedValues{map[int64][]byte{}, map[int64][]sealedContact{}}
	err := errors.Join(db.EachIn(ids, func(in string, args []any) error {
		rows, err := q.Query(ctx, `SELECT id, address_sealed FROM customers WHERE id IN (`+in+`)`, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id int64
			var v []byte
			if err := rows.Scan(&id, &v); err != nil {
				return err
			}
			out.address[id] = v
		}
		return rows.Err()
	}), db.EachIn(ids, func(in string, args []any) error {
		rows, err := q.Query(ctx, `
			SELECT   id, customer_id, name, gender, position, phone_masked, email_masked, wechat_masked, phone_sealed, email_sealed, wechat_sealed
			FROM     contacts WHERE active = 1 AND customer_id IN (`+in+`) ORDER BY customer_id, is_primary DESC, id`, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var c sealedContact
			if err := rows.Scan(&c.ID, &c.CustomerID, &c.Name, &c.Gender, &c.Position, &c.Phone, &c.Email, &c.Wechat, &c.phone, &c.email, &c.wechat); err != nil {
				return err
			}
			out.contacts[c.CustomerID] = append(out.contacts[c.CustomerID], c)
		}
		return rows.Err()
	}))
	if err != nil {
		return out, fmt.Errorf("customer: disclose: %w", err)
	}
	return out, nil
}

// DisclosedData is the data of Disclosed. Args fill the sentence: number of the
// disclosure and recipient.
type DisclosedData struct {
	Args   []string `json:"args"`
	Fields []string `json:"fields"`
}

// NoteDisclosure records on each customer to whom his data was given.
func NoteDisclosure(a *action.Action, ids []int64, number, recipient string, fields []string) {
	for _, id := range ids {
		a.Record(event.Event{Kind: Disclosed, Subject: Subject(id), Data: DisclosedData{Args: []string{number, recipient}, Fields: fields}})
	}
}

// OwnData is what a person is told about himself: his profile and how he is
// reached, in clear.
type OwnData struct {
	Customer Customer
	Address  string
	Contacts []OwnContact
}

// OwnContact is a contact in clear.
type OwnContact struct {
	Contact
	Phone, Email, Wechat string
}

// Own returns customers with all their contacts, and of other customers only the
// contacts named. It knows no scope: the caller serves the person's own request.
func (s *Service) Own(ctx context.Context, q db.Querier, customers, contacts []int64) (out []OwnData, err error) {
	whole := len(customers)
	all := slices.Clone(customers)
	for _, id := range contacts {
		c, err := s.Contact(ctx, q, id)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(all, c.CustomerID) {
			all = append(all, c.CustomerID)
		}
	}
	sealed, err := s.sealedOf(ctx, q, all)
	if err != nil {
		return nil, err
	}
	for i, id := range all {
		c, err := s.load(ctx, q, id)
		if err != nil {
			return nil, err
		}
		d := OwnData{Customer: c}
		if i < whole {
			if d.Address, err = s.keys.Open(crypt.Place("customers", id, string(Address)), sealed.address[id]); err != nil {
				return nil, fmt.Errorf("customer: own data: %w", err)
			}
		} else {
			d.Customer = Customer{ID: c.ID, Number: c.Number, Type: c.Type, Name: c.Name}
		}
		for _, x := range sealed.contacts[id] {
			if i >= whole && !slices.Contains(contacts, x.ID) {
				continue
			}
			o := OwnContact{Contact: x.Contact}
			for f, into := range map[Field]*string{Phone: &o.Phone, Email: &o.Email, Wechat: &o.Wechat} {
				value := map[Field][]byte{Phone: x.phone, Email: x.email, Wechat: x.wechat}[f]
				if *into, err = s.keys.Open(crypt.Place("contacts", x.ID, string(f)), value); err != nil {
					return nil, fmt.Errorf("customer: own data: %w", err)
				}
			}
			d.Contacts = append(d.Contacts, o)
		}
		out = append(out, d)
	}
	return out, nil
}
