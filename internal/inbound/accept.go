package inbound

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/cnid"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/outbound"
	"bihuan/internal/ticket"
)

// window is how old or how far ahead the time of a call may be: who recorded one
// cannot play it again later, and clocks need not be set to the second.
const window = 5 * time.Minute

// Call is what came over the wire.
type Call struct {
	Key       string // of the source
	Delivery  string // X-Bihuan-Delivery
	Timestamp string // X-Bihuan-Timestamp: Unix seconds
	Signature string // X-Bihuan-Signature, see outbound.Sign
	Body      []byte
	IP        string
}

// Answer tells the sender what became of his call.
type Answer struct {
	Outcome  string // Created or Added
	Repeated bool   // it had been taken in before
	Number   string
	State    ticket.State
	Link     string // under which the customer sees his request: a path
}

// request is the body of a call. The API reference of the product's manual
// describes it.
type request struct {
	Customer struct {
		Name    string `json:"name"`    // the person
		Company string `json:"company"` // of a company's customer
		Phone   string `json:"phone"`
		Email   string `json:"email"`
	} `json:"customer"`
	Title       string `json:"title"`
	Description string `json:"description"`
	Type        string `json:"type"`      // one of ticket.Types; "": the source's
	Urgency     string `json:"urgency"`   // one of ticket.Urgencies; "": normal
	Reference   string `json:"reference"` // the sender's own number of the matter
	// Message goes into the ticket that reference made; without one it is a new
	// ticket's description.
	Message string `json:"message"`
}

const (
	maxDelivery    = 80
	maxTitle       = 100
	maxDescription = 5000
	maxReference   = 80
)

// read takes a body apart. What it does not know is named, so that a slip of the
// pen is found on the first try and not when somebody misses his customer's words.
func (q *request) read(body []byte) error {
	if !utf8.Valid(body) {
		return fault.Invalidf("inbound.not_utf8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(q)
	if err == nil && d.Decode(new(json.RawMessage)) != io.EOF {
		return fault.Invalidf("inbound.not_json")
	}
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &kind) && kind.Field != "":
		return fault.Invalidf("inbound.refused").Field(kind.Field, "inbound.not_text")
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		name, _ := strconv.Unquote(strings.TrimPrefix(err.Error(), "json: unknown field "))
		return fault.Invalidf("inbound.refused").Field(name, "inbound.unknown")
	}
	return fault.Invalidf("inbound.not_json")
}

func (q *request) check(x Source) error {
	e := fault.Invalidf("inbound.refused")
	limit := func(name string, v *string, most int) {
		*v = strings.TrimSpace(*v)
		if n := utf8.RuneCountInString(*v); n > most {
			e.Field(name, "ui.form.too_long", most, n)
		}
	}
	limit("title", &q.Title, maxTitle)
	limit("description", &q.Description, maxDescription)
	limit("message", &q.Message, maxDescription)
	limit("reference", &q.Reference, maxReference)
	if q.Message != "" {
		if q.Reference == "" {
			e.Field("reference", "inbound.need.reference")
		}
		return e.OrNil()
	}
	limit("customer.name", &q.Customer.Name, 60)
	limit("customer.company", &q.Customer.Company, 100)
	if q.Customer.Name == "" {
		e.Field("customer.name", "portal.need.name")
	}
	if q.Customer.Phone == "" && q.Customer.Email == "" {
		e.Field("customer.phone", "portal.need.contact")
	}
	if p := q.Customer.Phone; p != "" {
		if n, err := cnid.ParsePhone(p); err != nil || n.Kind == cnid.Short {
			e.Field("customer.phone", "portal.phone.invalid")
		}
	}
	if m := q.Customer.Email; m != "" && cnid.CheckEmail(m) != nil {
		e.Field("customer.email", "portal.email.invalid")
	}
	if q.Title == "" {
		e.Field("title", "portal.need.title")
	}
	if q.Description == "" {
		e.Field("description", "portal.need.description")
	}
	if q.Type == "" {
		q.Type = x.Type
	}
	if q.Urgency == "" {
		q.Urgency = "normal"
	}
	if !slices.Contains(ticket.Types, q.Type) {
		e.Field("type", "inbound.one_of", strings.Join(ticket.Types, ", "))
	}
	if !slices.Contains(ticket.Urgencies, q.Urgency) {
		e.Field("urgency", "inbound.one_of", strings.Join(ticket.Urgencies, ", "))
	}
	return e.OrNil()
}

// refusal is why a call was refused, as it is kept.
type refusal struct {
	Key    string             `json:"key"`
	Args   []any              `json:"args,omitempty"`
	Fields []fault.FieldError `json:"fields,omitempty"`
}

// Accept takes a call in: its customer is found or made and the ticket
// registered, or its message joins the ticket of its reference, all or nothing.
// The same delivery again has the same answer; another body under its id is a
// Conflict.
func (s *Service) Accept(ctx context.Context, c Call) (out Answer, err error) {
	x, err := source(ctx, s.run.DB().Read(), "key", c.Key)
	if err != nil {
		return out, err
	}
	if !x.Enabled || x.SecretAt.IsZero() {
		return out, fault.New(fault.NotFound, "inbound.not_found")
	}
	if err := s.calls.Check(c.Key); err != nil {
		return out, err
	}
	if err := s.verify(ctx, x, c); err != nil {
		return out, err
	}
	sum := sha256.Sum256(c.Body)
	digest := hex.EncodeToString(sum[:])
	if out, err = s.known(ctx, s.run.DB().Read(), x, c.Delivery, digest); !fault.Is(err, fault.NotFound) {
		return out, err
	}
	var q request
	if err = q.read(c.Body); err == nil {
		err = q.check(x)
	}
	if err == nil {
		out, err = s.take(ctx, x, c, q, digest)
	}
	if f, ok := fault.As(err); ok && f.Kind != fault.Limited && f.Kind != fault.Unavailable {
		if lerr := s.refused(ctx, x, c, digest, q.Reference, f); lerr != nil {
			return out, lerr
		}
	}
	return out, err
}

// verify lets only calls of the source itself and of this moment pass.
func (s *Service) verify(ctx context.Context, x Source, c Call) error {
	key := ""
	secs, err := strconv.ParseInt(c.Timestamp, 10, 64)
	switch {
	case c.Delivery == "" || len(c.Delivery) > maxDelivery || !utf8.ValidString(c.Delivery):
		key = "inbound.bad.delivery"
	case err != nil:
		key = "inbound.bad.timestamp"
	default:
		secret, err := s.keys.Open(place(x.ID), x.sealed)
		if err != nil {
			return fmt.Errorf("inbound: secret of source %d: %w", x.ID, err)
		}
		if !hmac.Equal([]byte(outbound.Sign(secret, c.Timestamp, c.Body)), []byte(c.Signature)) {
			key = "inbound.bad.signature"
		} else if late := s.clock().Now().Sub(time.Unix(secs, 0)); late > window || late < -window {
			key = "inbound.bad.clock"
		}
	}
	if key == "" {
		return nil
	}
	if err := s.wrong.Check(c.Key); err != nil {
		return err
	}
	if s.noted.Check(c.Key) == nil {
		if err := s.trouble(ctx, x, key); err != nil {
			return err
		}
	}
	return fault.New(fault.Unauthenticated, key)
}

// trouble keeps what stands beside the source for its administrator.
func (s *Service) trouble(ctx context.Context, x Source, key string) error {
	return s.run.DB().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE inbound_sources SET trouble = $1, trouble_at = $2 WHERE id = $3`, key, db.Micros(s.clock().Now()), x.ID)
		return err
	})
}

// known is the answer to a delivery that was taken in before, else NotFound.
func (s *Service) known(ctx context.Context, q db.Querier, x Source, delivery, digest string) (out Answer, err error) {
	var id int64
	var was string
	err = q.QueryRow(ctx, `SELECT outcome, ticket_id, digest FROM inbound_deliveries WHERE source_id = $1 AND delivery = $2 AND outcome <> 'refused'`, x.ID, delivery).Scan(&out.Outcome, &id, &was)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return out, fault.New(fault.NotFound, "inbound.not_found")
	case err != nil:
		return out, fmt.Errorf("inbound: known: %w", err)
	case was != digest:
		return out, fault.New(fault.Conflict, "inbound.reused", delivery)
	}
	t, err := s.tickets.Get(ctx, ticket.View(authz.System("inbound")), id)
	if err != nil {
		return out, err
	}
	return s.answer(out.Outcome, true, t), nil
}

func (s *Service) answer(outcome string, again bool, t ticket.Ticket) Answer {
	return Answer{Outcome: outcome, Repeated: again, Number: t.Number, State: t.State, Link: "/c/" + s.tickets.Link(t)}
}

func (s *Service) take(ctx context.Context, x Source, c Call, q request, digest string) (out Answer, err error) {
	system := authz.System("inbound")
	system.IP = c.IP
	again := false
	err = s.run.Do(ctx, system, "inbound.accept", func(ctx context.Context, a *action.Action) error {
		if out, err = s.known(ctx, a, x, c.Delivery, digest); !fault.Is(err, fault.NotFound) {
			again = true
			a.Nothing()
			return err
		}
		outcome, do := Created, s.register
		if q.Message != "" {
			outcome, do = Added, s.add
		}
		t, err := do(ctx, a, x, c, q)
		if err != nil {
			return err
		}
		if _, err := a.Exec(ctx, `INSERT INTO inbound_deliveries (source_id, delivery, digest, at, outcome, ticket_id, number, reference) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			x.ID, c.Delivery, digest, a.NowMicros(), outcome, t.ID, t.Number, q.Reference); err != nil {
			return err
		}
		if x.Trouble != "" {
			if _, err := a.Exec(ctx, `UPDATE inbound_sources SET trouble = '' WHERE id = $1`, x.ID); err != nil {
				return err
			}
		}
		out = s.answer(outcome, false, t)
		return nil
	})
	if !again && (db.IsUnique(err, "inbound_deliveries") || db.IsUnique(err, "import_key")) { // on PostgreSQL both came at once
		return s.known(ctx, s.run.DB().Read(), x, c.Delivery, digest)
	}
	return out, err
}

// register makes the ticket: who the customer is, is the system's finding; what
// he asks for is his own word.
func (s *Service) register(ctx context.Context, a *action.Action, x Source, c Call, q request) (t ticket.Ticket, err error) {
	department, err := s.tickets.DepartmentFor(ctx, a, ticket.Request{Type: q.Type, Channel: x.Channel, Text: q.Title + "\n" + q.Description})
	if err != nil {
		return t, err
	}
	greeting := a.As(a.Actor)
	from := "website"
	if slices.Contains(customer.Sources, x.Channel) {
		from = x.Channel
	}
	who, err := s.customers.WelcomeIn(ctx, greeting, customer.Visitor{Name: q.Customer.Name, Company: q.Customer.Company, Phone: q.Customer.Phone, Email: q.Customer.Email,
		DepartmentID: department, Source: from, CreatedBy: i18n.T(i18n.ZhCN, "inbound.author", x.Name)})
	if err != nil {
		return t, err
	}
	if err := a.Join(ctx, greeting); err != nil {
		return t, err
	}
	his := a.As(authz.Actor{Kind: authz.Customer, ID: who.ContactID, CustomerID: who.CustomerID, Name: q.Customer.Name, IP: c.IP})
	t, err = s.tickets.RegisterIn(ctx, his, ticket.RegisterInput{Title: q.Title, Type: q.Type, Urgency: q.Urgency, Channel: x.Channel,
		Description: q.Description, CustomerID: who.CustomerID, ContactID: who.ContactID, ImportKey: importKey(x, c)})
	if err != nil {
		return t, err
	}
	return t, a.Join(ctx, his)
}

func importKey(x Source, c Call) string {
	sum := sha256.Sum256([]byte(c.Delivery))
	return fmt.Sprintf("inbound:%d:%s", x.ID, hex.EncodeToString(sum[:16]))
}

// add takes the customer's words to the ticket of the reference.
func (s *Service) add(ctx context.Context, a *action.Action, x Source, c Call, q request) (t ticket.Ticket, err error) {
	var id int64
	err = a.QueryRow(ctx, `SELECT ticket_id FROM inbound_deliveries WHERE source_id = $1 AND reference = $2 AND outcome <> 'refused' ORDER BY id DESC LIMIT 1`, x.ID, q.Reference).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return t, fault.Invalidf("inbound.refused").Field("reference", "inbound.no_reference")
	}
	if err != nil {
		return t, fmt.Errorf("inbound: reference: %w", err)
	}
	t, err = s.tickets.Get(ctx, ticket.View(a.Actor), id)
	if err != nil {
		return t, err
	}
	his := a.As(authz.Actor{Kind: authz.Customer, ID: t.ContactID, CustomerID: t.CustomerID, Name: t.CustomerName, IP: c.IP})
	if t, err = s.tickets.CustomerWritesIn(ctx, his, t.ID, q.Message, nil, importKey(x, c)); err != nil {
		return t, err
	}
	return t, a.Join(ctx, his)
}

// refused notes a call of the source that could not be taken in.
func (s *Service) refused(ctx context.Context, x Source, c Call, digest, reference string, f *fault.Error) error {
	why, err := json.Marshal(refusal{f.Key, f.Args, f.Fields})
	if err != nil {
		return err
	}
	if r := []rune(reference); len(r) > maxReference {
		reference = string(r[:maxReference])
	}
	return s.run.DB().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO inbound_deliveries (source_id, delivery, digest, at, outcome, reference, reason) VALUES ($1, $2, $3, $4, 'refused', $5, $6)`,
			x.ID, c.Delivery, digest, db.Micros(s.clock().Now()), reference, string(why))
		return err
	})
}
