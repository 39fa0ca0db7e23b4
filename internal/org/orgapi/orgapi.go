// Package orgapi is how people and departments look in the JSON API: people by
// login, departments by name, never by internal ids. It also tells the API who
// bears a token.
package orgapi

import (
	"context"
	"net/http"

	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/org"
)

// Bearer is the [web.Authenticator] of the API.
type Bearer struct{ Org *org.Service }

// Authenticate implements web.Authenticator.
func (b Bearer) Authenticate(r *http.Request) (authz.Actor, bool, error) {
	a, ok, err := org.Bearer{Org: b.Org}.Authenticate(r)
	// The rule that a password has to be changed guards the password. A token is
	// a key of its own, made by somebody who was entitled to.
	a.MustChange = false
	if l, named := i18n.Parse(r.Header.Get("Accept-Language")); named {
		a.Lang = l // a program says what it wants to read; the person's setting is for screens
	}
	return a, ok, err
}

// Person is a colleague.
type Person struct {
	Login string `json:"login" doc:"What he signs in with" example:"hejunjie"`
	Name  string `json:"name" example:"何俊杰"`
}

// Directory says names for ids and ids for names.
type Directory struct{ Org *org.Service }

// Person returns the colleague id, nil for 0 or nobody.
func (d Directory) Person(ctx context.Context, q db.Querier, id int64) *Person {
	if id == 0 {
		return nil
	}
	p, ok, err := d.Org.Person(ctx, q, id)
	if err != nil || !ok {
		return nil
	}
	return &Person{p.Login, p.Name}
}

// Department returns the name of a department, "" when there is none.
func (d Directory) Department(ctx context.Context, q db.Querier, id int64) string {
	p, _, _ := d.Org.Department(ctx, q, id)
	return p.Name
}

// PersonID returns who has the login (or is the only one of that name); 0 for "".
func (d Directory) PersonID(ctx context.Context, field, login string) (int64, error) {
	if login == "" {
		return 0, nil
	}
	p, ok, err := d.Org.PersonByName(ctx, nil, login)
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, fault.Invalidf("api.invalid").Field(field, "api.unknown_person", login)
	}
	return p.ID, nil
}

// DepartmentID returns the department of that name; 0 for "".
func (d Directory) DepartmentID(ctx context.Context, field, name string) (int64, error) {
	if name == "" {
		return 0, nil
	}
	p, ok, err := d.Org.DepartmentByName(ctx, nil, name)
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, fault.Invalidf("api.invalid").Field(field, "api.unknown_department", name)
	}
	return p.ID, nil
}
