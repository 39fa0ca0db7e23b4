package ticket

import (
	"context"
	"crypto/subtle"
	"encoding/base32"
	"fmt"
	"strconv"
	"strings"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
)

const linkPurpose = "ticket link"

// Link returns the token of the customer's page of t: /c/{token}. It needs no
// login, cannot be guessed, and is void once the ticket's link key changes.
func (s *Service) Link(t Ticket) string {
	return s.keys.Sign(linkPurpose, strconv.FormatInt(t.ID, 36)+"."+t.LinkKey)
}

// ByLink returns the ticket a token was made for, and the customer as the
// actor of what he does there. A token that is forged, void or of a sub-ticket
// is NotFound.
func (s *Service) ByLink(ctx context.Context, token string) (Ticket, authz.Actor, error) {
	payload, err := s.keys.Verify(linkPurpose, token)
	if err != nil {
		return Ticket{}, authz.Actor{}, notFound()
	}
	ref, key, _ := strings.Cut(payload, ".")
	id, err := strconv.ParseInt(ref, 36, 64)
	if err != nil {
		return Ticket{}, authz.Actor{}, notFound()
	}
	t, err := get(ctx, s.DB().Read(), authz.For(authz.System(""), PermView), "t.id", id, "")
	if err != nil {
		return t, authz.Actor{}, err
	}
	if t.LinkKey != key || t.ParentID != 0 {
		return Ticket{}, authz.Actor{}, notFound()
	}
	t, err = s.forCustomer(ctx, t)
	return t, customerOf(t), err
}

func customerOf(t Ticket) authz.Actor {
	return authz.Actor{Kind: authz.Customer, ID: t.ContactID, CustomerID: t.CustomerID, Name: t.CustomerName}
}

// lookupAlphabet has no characters that are mistaken for each other.
var lookupAlphabet = base32.NewEncoding("23456789ABCDEFGHJKLMNPQRSTUVWXYZ").WithPadding(base32.NoPadding)

// LookupCode is what a customer types beside the number to see his request:
// eight characters, derived, so that nothing needs to be stored and staff can
// read it to him again.
func (s *Service) LookupCode(t Ticket) string { return s.lookupCodes(t.Number)[0] }

// lookupCodes are the codes of a number that are good; those after the first
// were given out before the keys were changed.
func (s *Service) lookupCodes(number string) []string {
	var out []string
	for _, raw := range s.keys.Codes("ticket lookup", number) {
		out = append(out, lookupAlphabet.EncodeToString(raw)[:8])
	}
	return out
}

// Lookup returns the ticket with that number if code is its code; else NotFound,
// whichever of the two is wrong, and after the same work.
func (s *Service) Lookup(ctx context.Context, number, code string) (Ticket, error) {
	number = strings.ToUpper(strings.TrimSpace(number))
	t, err := get(ctx, s.DB().Read(), authz.For(authz.System(""), PermView), "t.number", number, "")
	if err != nil && !fault.Is(err, fault.NotFound) {
		return Ticket{}, err
	}
	code = strings.ToUpper(strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' {
			return -1
		}
		return r
	}, code))
	right := false
	for _, c := range s.lookupCodes(number) {
		right = subtle.ConstantTimeCompare([]byte(code), []byte(c)) == 1 || right
	}
	if err != nil || t.ParentID != 0 || !right {
		return Ticket{}, fault.New(fault.NotFound, "ticket.lookup_wrong")
	}
	return s.forCustomer(ctx, t)
}

// Delivery is a message on its way to the customer.
type Delivery struct {
	ID        int64
	EntryID   int64
	Purpose   string // question, reply, confirmation, reminder, cancelled
	State     string // waiting, told, failed
	CreatedAt int64
}

// Waiting returns what the customer has not been told yet, oldest first; the
// caller has checked that the ticket may be seen.
func (s *Service) Waiting(ctx context.Context, id int64) ([]Delivery, error) {
	rows, err := s.DB().Read().Query(ctx, `SELECT id, entry_id, purpose, state, created_at FROM deliveries WHERE ticket_id = $1 AND state = 'waiting' ORDER BY id`, id)
	if err != nil {
		return nil, fmt.Errorf("ticket: deliveries: %w", err)
	}
	defer rows.Close()
	var out []Delivery
	for rows.Next() {
		var d Delivery
		if err := rows.Scan(&d.ID, &d.EntryID, &d.Purpose, &d.State, &d.CreatedAt); err != nil {
			return nil, fmt.Errorf("ticket: deliveries: %w", err)
		}
		out = append(out, d)
	}
	return out, rows.Err()
}

// Told marks everything waiting for the customer of ticket id as told: staff
// passed it on, or he opened his page. Nothing waiting is no error.
func (s *Service) Told(ctx context.Context, actor authz.Actor, id int64) error {
	return s.run.Do(ctx, actor, "ticket.told", func(ctx context.Context, a *action.Action) error {
		t, err := s.load(ctx, a, id)
		if err != nil {
			return err
		}
		by := int64(0)
		if actor.Kind == authz.User {
			by = actor.ID
		}
		res, err := a.Exec(ctx, `UPDATE deliveries SET state = 'told', told_at = $1, told_by = $2 WHERE ticket_id = $3 AND state = 'waiting'`, a.NowMicros(), by, id)
		if err != nil {
			return fmt.Errorf("ticket: told: %w", err)
		}
		n, err := res.RowsAffected()
		if err != nil || n == 0 {
			a.Nothing()
			return err
		}
		f := fact(t, t)
		f.From, f.Args = "", []string{strconv.FormatInt(n, 10)}
		a.Record(event.Event{Kind: "ticket.customer_told", Subject: Subject(id), Data: f})
		return nil
	})
}

// Indexer keeps the search index of tickets up to date; a listener.
func (s *Service) Indexer() event.Listener {
	return event.Listener{Name: "ticket.search", Kinds: []string{past[Register], "ticket.edited", past[RequestConfirmation]}, Handle: func(ctx context.Context, tx *db.Tx, evs []event.Stored) error {
		var ids []int64
		for _, e := range evs {
			ids = append(ids, e.Subject.ID)
		}
		return Reindex(ctx, tx, ids)
	}}
}
