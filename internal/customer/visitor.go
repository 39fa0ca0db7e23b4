package customer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"bihuan/internal/action"
	"bihuan/internal/cnid"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
)

// Visitor is somebody unknown who fills in a public form; what he says of
// himself is not verified.
type Visitor struct {
	Name         string
	Company      string // may be empty
	Phone        string // one of Phone and Email is needed
	Email        string
	DepartmentID int64  // whose customer he becomes if he is new
	Source       string // one of Sources
	CreatedBy    string // shown as who made a new profile
}

// Welcomed is whose the visitor's request is from now on.
type Welcomed struct {
	CustomerID int64
	ContactID  int64
	New        bool
	// Differs are the fields ("name", "email") in which the visitor's words are
	// not what the profile says.
	Differs []string
}

// WelcomeIn finds the customer with exactly the visitor's telephone number, else
// with his e-mail address, or makes one; inside the action that takes his
// request in, as a system actor. Its result is never shown to the visitor.
//
// A profile that exists is left as it is: whoever knows somebody's number must
// not be able to put his own address beside it. So a visitor who gives an
// address we know together with a number we do not know gets a profile of his
// own, for the staff to merge. The name of a company proves nothing either: when
// it is taken, the visitor becomes a person with the company in his remark.
func (s *Service) WelcomeIn(ctx context.Context, a *action.Action, v Visitor) (Welcomed, error) {
	v.Name, v.Company, v.Phone, v.Email = line(v.Name), line(v.Company), line(v.Phone), line(v.Email)
	if v.Phone == "" && v.Email == "" {
		return Welcomed{}, fault.Invalidf("customer.invalid").Field("phone", "customer.phone.required")
	}
	w, ok, err := s.known(ctx, a, v)
	if err != nil || ok {
		return w, err
	}
	in := Input{Type: Person, Name: v.Name, Source: v.Source, DepartmentID: v.DepartmentID, PhoneOptional: true, CreatedByName: v.CreatedBy,
		Contacts: []ContactInput{{Name: v.Name, Phone: v.Phone, Email: v.Email, Primary: true}}}
	if v.Company != "" {
		var n int
		err := a.QueryRow(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM customers WHERE name_key = $1 AND type = 'company' LIMIT 1) x`, nameKey(Company, v.Company)).Scan(&n)
		if err != nil {
			return Welcomed{}, fmt.Errorf("customer: welcome: %w", err)
		}
		if n == 0 {
			in.Type, in.Name = Company, v.Company
		} else {
			in.Remark = i18n.T(i18n.ZhCN, "customer.visitor.company", v.Company)
		}
	}
	c, err := s.CreateIn(ctx, a, in)
	var dup *DuplicateError
	if errors.As(err, &dup) {
		// The same visitor's other request was a moment quicker.
		if w, ok, err := s.known(ctx, a, v); err != nil || ok {
			return w, err
		}
		in.DuplicateReason = i18n.T(i18n.ZhCN, "customer.visitor.twice")
		c, err = s.CreateIn(ctx, a, in)
	}
	if err != nil {
		return Welcomed{}, err
	}
	return Welcomed{CustomerID: c.ID, ContactID: c.Primary().ID, New: true}, nil
}

// known finds the visitor among the contacts. Of several with the same number,
// the one with his name comes first, else the longest known.
func (s *Service) known(ctx context.Context, q db.Querier, v Visitor) (w Welcomed, ok bool, err error) {
	cs, err := s.FindContacts(ctx, q, v.Phone, "")
	if err == nil && v.Phone == "" {
		cs, err = s.FindContacts(ctx, q, "", v.Email)
	}
	if err != nil || len(cs) == 0 {
		return w, false, err
	}
	same := func(c Contact) bool { return cnid.NormalizeName(c.Name) == cnid.NormalizeName(v.Name) }
	c := cs[max(0, slices.IndexFunc(cs, same))]
	w = Welcomed{CustomerID: c.CustomerID, ContactID: c.ID}
	if !same(c) {
		w.Differs = append(w.Differs, "name")
	}
	if v.Email != "" && v.Phone != "" {
		at, err := s.FindContacts(ctx, q, "", v.Email)
		if err != nil {
			return w, false, err
		}
		if !slices.ContainsFunc(at, func(x Contact) bool { return x.ID == c.ID }) {
			w.Differs = append(w.Differs, "email")
		}
	}
	return w, true, nil
}
