package customer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/cnid"
	"bihuan/internal/crypt"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/setting"
)

// Field is a sensitive field of a contact, or of a customer.
type Field string

const (
	Phone   Field = "phone"
	Email   Field = "email"
	Wechat  Field = "wechat"
	Address Field = "address" // of a customer
)

// ContactFields lists the sensitive fields of a contact.
var ContactFields = []Field{Phone, Email, Wechat}

// Names of the blind indexes.
const (
	indexPhone  = "contact.phone"
	indexPhone4 = "contact.phone.last4"
	indexPhone8 = "contact.phone.last8"
	indexEmail  = "contact.email"
	indexWechat = "contact.wechat"
)

// sealed is a sensitive value as it is stored.
type sealed struct {
	value  []byte
	masked string
}

func (s *Service) seal(table string, id int64, f Field, plain, masked string) (sealed, error) {
	if plain == "" {
		return sealed{}, nil
	}
	v, err := s.keys.Seal(crypt.Place(table, id, string(f)), plain)
	if err != nil {
		return sealed{}, fmt.Errorf("customer: %w", err)
	}
	return sealed{v, masked}, nil
}

// setPhone, setEmail and setWechat write one sensitive field of a contact with
// its mask and indexes; an empty value clears it.
func (s *Service) setPhone(ctx context.Context, q db.Querier, id int64, p cnid.Phone) (masked string, err error) {
	var clear, key string
	if p.Kind != "" {
		clear, key = p.String(), p.Key()
	}
	v, err := s.seal("contacts", id, Phone, clear, cnid.MaskPhone(clear))
	if err != nil {
		return "", err
	}
	_, err = q.Exec(ctx, `UPDATE contacts SET phone_sealed = $1, phone_masked = $2, phone_index = $3, phone4_index = $4, phone8_index = $5 WHERE id = $6`,
		v.value, v.masked, s.keys.Index(indexPhone, key), s.keys.Index(indexPhone4, cnid.LastFour(p)), s.keys.Index(indexPhone8, cnid.LastEight(p)), id)
	return v.masked, err
}

func (s *Service) setEmail(ctx context.Context, q db.Querier, id int64, email string) (masked string, err error) {
	v, err := s.seal("contacts", id, Email, email, cnid.MaskEmail(email))
	if err != nil {
		return "", err
	}
	_, err = q.Exec(ctx, `UPDATE contacts SET email_sealed = $1, email_masked = $2, email_index = $3 WHERE id = $4`,
		v.value, v.masked, s.keys.Index(indexEmail, cnid.EmailKey(email)), id)
	return v.masked, err
}

func (s *Service) setWechat(ctx context.Context, q db.Querier, id int64, wechat string) (masked string, err error) {
	v, err := s.seal("contacts", id, Wechat, wechat, maskHandle(wechat))
	if err != nil {
		return "", err
	}
	_, err = q.Exec(ctx, `UPDATE contacts SET wechat_sealed = $1, wechat_masked = $2, wechat_index = $3 WHERE id = $4`,
		v.value, v.masked, s.keys.Index(indexWechat, strings.ToLower(wechat)), id)
	return v.masked, err
}

func (s *Service) setAddress(ctx context.Context, q db.Querier, id int64, address string) (masked string, err error) {
	v, err := s.seal("customers", id, Address, address, cnid.MaskAddress(address))
	if err != nil {
		return "", err
	}
	_, err = q.Exec(ctx, `UPDATE customers SET address_sealed = $1, address_masked = $2 WHERE id = $3`, v.value, v.masked, id)
	return v.masked, err
}

// maskHandle leaves the first letter of a WeChat name; of a telephone number
// used as one, what is shown of numbers.
func maskHandle(s string) string {
	if _, err := cnid.ParsePhone(s); err == nil {
		return cnid.MaskPhone(s)
	}
	if r, _ := utf8.DecodeRuneInString(s); utf8.RuneCountInString(s) >= 5 {
		return string(r) + "****"
	}
	return cnid.MaskAll(s)
}

// RevealNeedsReason reports whether the administrator wants to know why values
// are revealed (CUS-17).
func (s *Service) RevealNeedsReason(ctx context.Context) (on bool, err error) {
	err = setting.Read(ctx, s.db().Read(), RevealReasonSetting, &on)
	return on, err
}

// Reveal returns a sensitive field of a contact in clear and records who asked
// for it. A contact of a customer the actor may not see is not found.
func (s *Service) Reveal(ctx context.Context, actor authz.Actor, contactID int64, f Field, reason string) (string, error) {
	return s.reveal(ctx, actor, contactID, 0, f, reason, nil)
}

// RevealAddress is Reveal for the address of a customer.
func (s *Service) RevealAddress(ctx context.Context, actor authz.Actor, customerID int64, reason string) (string, error) {
	return s.reveal(ctx, actor, 0, customerID, Address, reason, nil)
}

// RevealVia is Reveal for somebody who handles a ticket of the customer and may
// see him for that alone. The caller has checked the scope of the ticket and
// that its customer is customerID.
func (s *Service) RevealVia(ctx context.Context, actor authz.Actor, customerID, contactID int64, f Field, reason string, ticket event.Subject) (string, error) {
	var of int64
	err := s.db().Read().QueryRow(ctx, `SELECT customer_id FROM contacts WHERE id = $1`, contactID).Scan(&of)
	if errors.Is(err, sql.ErrNoRows) || err == nil && of != customerID {
		return "", notFound()
	}
	if err != nil {
		return "", fmt.Errorf("customer: reveal: %w", err)
	}
	return s.reveal(ctx, actor, contactID, customerID, f, reason, &ticket)
}

func (s *Service) reveal(ctx context.Context, actor authz.Actor, contactID, customerID int64, f Field, reason string, via *event.Subject) (clear string, err error) {
	if err := actor.Check(PermReveal); err != nil {
		return "", err
	}
	if contactID != 0 && !slices.Contains(ContactFields, f) {
		return "", fault.Invalidf("customer.reveal.field")
	}
	reason = line(reason)
	asks, err := s.RevealNeedsReason(ctx)
	if err != nil {
		return "", err
	}
	if asks && utf8.RuneCountInString(reason) < 2 {
		return "", fault.Invalidf("customer.reveal.reason").Field("reason", "customer.reveal.reason")
	}
	err = s.run.Do(ctx, actor, "customer.reveal", func(ctx context.Context, a *action.Action) error {
		var args db.Args
		table, id := "contacts", contactID
		var query string
		if contactID != 0 {
			query = `SELECT c.id, x.` + string(f) + `_sealed, x.` + string(f) + `_masked FROM contacts x JOIN customers c ON c.id = x.customer_id WHERE x.id = ` + args.Add(contactID)
		} else {
			table, id = "customers", customerID
			query = `SELECT c.id, c.address_sealed, c.address_masked FROM customers c WHERE c.id = ` + args.Add(customerID)
		}
		if via == nil {
			query += ` AND ` + within(View(a.Actor), &args)
		}
		var of int64
		var value []byte
		var masked string
		err := a.QueryRow(ctx, query, args.Values...).Scan(&of, &value, &masked)
		if errors.Is(err, sql.ErrNoRows) {
			return notFound()
		}
		if err != nil {
			return fmt.Errorf("customer: reveal: %w", err)
		}
		if via == nil {
			// In view, but perhaps beyond what he may reveal.
			if err := s.covers(ctx, a, authz.For(a.Actor, PermReveal), of, PermReveal); err != nil {
				return err
			}
		}
		if clear, err = s.keys.Open(crypt.Place(table, id, string(f)), value); err != nil {
			return fmt.Errorf("customer: reveal: %w", err)
		}
		a.Record(event.Event{Kind: FieldRevealed, Subject: Subject(of), Reason: reason,
			Data: RevealedData{Field: string(f), ContactID: contactID, Masked: masked, Via: via}})
		return nil
	})
	if err != nil {
		return "", err
	}
	return clear, nil
}

func notFound() error { return fault.New(fault.NotFound, "customer.not_found") }

// covers returns nil when sc covers the customer, else Forbidden: the caller
// has found him in the actor's view.
func (s *Service) covers(ctx context.Context, q db.Querier, sc authz.Scope, id int64, p authz.Permission) error {
	var args db.Args
	query := `SELECT 1 FROM customers c WHERE c.id = ` + args.Add(id) + ` AND ` + within(sc, &args)
	var one int
	err := q.QueryRow(ctx, query, args.Values...).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return authz.Denied(p)
	}
	if err != nil {
		return fmt.Errorf("customer: scope: %w", err)
	}
	return nil
}
