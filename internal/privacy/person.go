package privacy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/ticket"
)

// who is somebody to be erased: what he is known by and which records are his.
// It is stored sealed.
type who struct {
	Values    Values   `json:"values"`
	Shared    []string `json:"shared,omitempty"` // values that others bear too
	Customers []int64  `json:"customers,omitempty"`
	Contacts  []int64  `json:"contacts,omitempty"`
	Around    []int64  `json:"around,omitempty"` // customers whose contact he is: their records are his to look through
	Tickets   []int64  `json:"tickets,omitempty"`
}

// person is who, ready to be looked for.
type person struct {
	who
	own, others words // what is looked for in his own records and in those of others
	customers   map[int64]bool
	whole       map[int64]bool
	contacts    map[int64]bool
	tickets     map[int64]bool // all that are his to look through
	erased      map[int64]bool // those of whole customers
}

// gather finds out what customers and contacts are known by and which records
// are theirs. A contact of a person is that person.
func (s *Service) gather(ctx context.Context, q db.Querier, customers, contacts []int64, extra Values) (w who, err error) {
	w.Customers = slices.Clone(customers)
	for _, id := range contacts {
		var of int64
		var typ string
		err := q.QueryRow(ctx, `SELECT c.id, c.type FROM contacts x JOIN customers c ON c.id = x.customer_id WHERE x.id = $1`, id).Scan(&of, &typ)
		if err != nil {
			return w, fmt.Errorf("privacy: contact %d: %w", id, err)
		}
		switch {
		case typ == string(customer.Person):
			w.Customers = append(w.Customers, of)
		case !slices.Contains(customers, of):
			w.Contacts, w.Around = append(w.Contacts, id), append(w.Around, of)
		}
	}
	for _, l := range []*[]int64{&w.Customers, &w.Contacts, &w.Around} {
		slices.Sort(*l)
		*l = slices.Compact(*l)
	}
	k, err := s.Rooms.Customers.KnownOf(ctx, q, w.Customers, w.Contacts)
	if err != nil {
		return w, err
	}
	w.Values.add(Values{Names: k.Names, Phones: k.Phones, Emails: k.Emails, Handles: k.Wechats, Addresses: k.Addresses})
	w.Values.add(extra)
	borne, err := s.Rooms.Customers.Borne(ctx, q, customer.Known{Names: w.Values.Names, Phones: w.Values.Phones, Emails: w.Values.Emails, Wechats: w.Values.Handles}, w.Customers, w.Contacts)
	if err != nil {
		return w, err
	}
	for v := range borne {
		w.Shared = append(w.Shared, v)
	}
	slices.Sort(w.Shared)
	w.Tickets, err = ticket.OfCustomers(ctx, q, append(slices.Clone(w.Customers), w.Around...))
	return w, err
}

func (s *Service) ready(ctx context.Context, w who) (*person, error) {
	p := &person{who: w, own: wordsOf(w.Values, false), customers: set(w.Customers, w.Around), whole: set(w.Customers), contacts: set(w.Contacts), tickets: set(w.Tickets)}
	apart := func(l []string) []string {
		return slices.DeleteFunc(slices.Clone(l), func(v string) bool { return slices.Contains(w.Shared, v) })
	}
	v := w.Values
	v.Names, v.Phones, v.Emails, v.Handles = apart(v.Names), apart(v.Phones), apart(v.Emails), apart(v.Handles)
	p.others = wordsOf(v, true)
	erased, err := ticket.OfCustomers(ctx, s.db().Read(), w.Customers)
	p.erased = set(erased)
	return p, err
}

func set(lists ...[]int64) map[int64]bool {
	m := map[int64]bool{}
	for _, l := range lists {
		for _, id := range l {
			m[id] = true
		}
	}
	return m
}

var errLeft = errors.New("privacy: something was left")
