// Package inbound takes requests in that other systems of the company hand over:
// an online shop, a mini programme, a telephone exchange. Each system is a source
// with an address and a secret of its own; its calls are signed the way the
// product's own webhooks are, and the same call twice has one effect (CHN-6).
package inbound

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/crypt"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/keyring"
	"bihuan/internal/org"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
)

// Facts of sources.
const (
	SourceMade    = "inbound.source_made"
	SourceChanged = "inbound.source_changed"
	SecretMade    = "inbound.secret_made"
)

const subjectType = "inbound_source"

// Source is a system that hands in requests.
type Source struct {
	ID       int64
	Name     string
	Key      string // names it in its address; not secret
	SecretAt time.Time
	Enabled  bool
	Channel  string // of its tickets, one of ticket.Channels
	Type     string // of calls that name none, one of ticket.Types
	// Trouble is the locale key of why the last call was turned away unread, ""
	// when the last one was fine.
	Trouble   string
	TroubleAt time.Time
	Version   int64
	sealed    []byte
}

// Service keeps sources and takes their calls. Make it with New.
type Service struct {
	run       *action.Runner
	tickets   *ticket.Service
	customers *customer.Service
	keys      *crypt.Keeper
	calls     *web.Limiter // by source
	wrong     *web.Limiter // calls with a bad signature, by source
	noted     *web.Limiter // troubles written down, by source
}

// New makes the service.
func New(run *action.Runner, tickets *ticket.Service, customers *customer.Service, keys *crypt.Keeper) *Service {
	c := run.DB().Clock()
	return &Service{run, tickets, customers, keys, web.NewLimiter(c, 120, time.Second/2, 1000), web.NewLimiter(c, 20, 3*time.Second, 1000), web.NewLimiter(c, 1, time.Minute, 1000)}
}

// Sealed are the secrets of the sources.
func (s *Service) Sealed() []keyring.Table {
	return []keyring.Table{keyring.Values(s.run.DB(), s.keys, "inbound_sources", "secret")}
}

// Prune forgets refused calls after 30 days and the others after 400: within
// these an id that comes again is known.
func (s *Service) Prune(ctx context.Context) error {
	now := s.clock().Now()
	return s.run.DB().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM inbound_deliveries WHERE at < $1 OR at < $2 AND outcome = 'refused'`,
			db.Micros(now.AddDate(0, 0, -400)), db.Micros(now.AddDate(0, 0, -30)))
		return err
	})
}

func (s *Service) clock() clock.Clock { return s.run.DB().Clock() }

func place(id int64) string { return crypt.Place("inbound_sources", id, "secret") }

const sourceColumns = `id, name, key, secret_sealed, secret_at, enabled, channel, type, trouble, trouble_at, version`

func scanSource(row interface{ Scan(...any) error }) (x Source, err error) {
	var at, trouble int64
	err = row.Scan(&x.ID, &x.Name, &x.Key, &x.sealed, &at, &x.Enabled, &x.Channel, &x.Type, &x.Trouble, &trouble, &x.Version)
	x.SecretAt, x.TroubleAt = db.FromMicros(at), db.FromMicros(trouble)
	return x, err
}

func source(ctx context.Context, q db.Querier, cond string, arg any) (Source, error) {
	x, err := scanSource(q.QueryRow(ctx, `SELECT `+sourceColumns+` FROM inbound_sources WHERE `+cond+` = $1`, arg))
	if errors.Is(err, sql.ErrNoRows) {
		return x, fault.New(fault.NotFound, "inbound.not_found")
	}
	if err != nil {
		return x, fmt.Errorf("inbound: source: %w", err)
	}
	return x, nil
}

// Sources are all, by name; there are a handful.
func (s *Service) Sources(ctx context.Context, actor authz.Actor) (out []Source, err error) {
	if err := actor.Check(org.PermSettings); err != nil {
		return nil, err
	}
	rows, err := s.run.DB().Read().Query(ctx, `SELECT `+sourceColumns+` FROM inbound_sources ORDER BY name, id LIMIT 200`)
	if err != nil {
		return nil, fmt.Errorf("inbound: sources: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		x, err := scanSource(rows)
		if err != nil {
			return nil, fmt.Errorf("inbound: sources: %w", err)
		}
		out = append(out, x)
	}
	return out, rows.Err()
}

// Source returns one.
func (s *Service) Source(ctx context.Context, actor authz.Actor, id int64) (Source, error) {
	if err := actor.Check(org.PermSettings); err != nil {
		return Source{}, err
	}
	return source(ctx, s.run.DB().Read(), "id", id)
}

const maxName = 60

func (x *Source) check() error {
	e := fault.Invalidf("inbound.invalid")
	x.Name = strings.TrimSpace(x.Name)
	switch n := utf8.RuneCountInString(x.Name); {
	case n == 0:
		e.Field("name", "inbound.need.name")
	case n > maxName:
		e.Field("name", "ui.form.too_long", maxName, n)
	}
	if !slices.Contains(ticket.Channels, x.Channel) {
		e.Field("channel", "inbound.need.channel")
	}
	if !slices.Contains(ticket.Types, x.Type) {
		e.Field("type", "inbound.need.type")
	}
	return e.OrNil()
}

// change is a fact about a source.
type change struct {
	Args    []string       `json:"args"`
	Changes []event.Change `json:"changes,omitempty"`
}

// Save adds x (ID 0) or changes it, and returns its id. A new source takes no
// call until a secret is made.
func (s *Service) Save(ctx context.Context, actor authz.Actor, x Source) (id int64, err error) {
	if err := actor.Check(org.PermSettings); err != nil {
		return 0, err
	}
	if err := x.check(); err != nil {
		return 0, err
	}
	id = x.ID
	return id, s.run.Do(ctx, actor, "inbound.save", func(ctx context.Context, a *action.Action) error {
		if x.ID == 0 {
			key := make([]byte, 12)
			rand.Read(key)
			if err := a.QueryRow(ctx, `INSERT INTO inbound_sources (name, key, enabled, channel, type, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6) RETURNING id`,
				x.Name, hex.EncodeToString(key), db.Bool(x.Enabled), x.Channel, x.Type, a.NowMicros()).Scan(&id); err != nil {
				return fmt.Errorf("inbound: save: %w", err)
			}
			a.Record(event.Event{Kind: SourceMade, Subject: event.Subject{Type: subjectType, ID: id}, Data: change{Args: []string{x.Name}}})
			return nil
		}
		old, err := source(ctx, a, "id", x.ID)
		if err != nil {
			return err
		}
		if old.Version != x.Version {
			return fault.New(fault.Conflict, "inbound.stale")
		}
		var changes []event.Change
		for _, c := range []event.Change{{Field: "name", Old: old.Name, New: x.Name}, {Field: "inbound.enabled", Old: yes(old.Enabled), New: yes(x.Enabled)},
			{Field: "channel", Old: "@ticket.channel." + old.Channel, New: "@ticket.channel." + x.Channel}, {Field: "type", Old: "@ticket.type." + old.Type, New: "@ticket.type." + x.Type}} {
			if c.Old != c.New {
				changes = append(changes, c)
			}
		}
		if changes == nil {
			a.Nothing()
			return nil
		}
		if _, err := a.Exec(ctx, `UPDATE inbound_sources SET name = $1, enabled = $2, channel = $3, type = $4, version = version + 1, updated_at = $5 WHERE id = $6`,
			x.Name, db.Bool(x.Enabled), x.Channel, x.Type, a.NowMicros(), x.ID); err != nil {
			return fmt.Errorf("inbound: save: %w", err)
		}
		a.Record(event.Event{Kind: SourceChanged, Subject: event.Subject{Type: subjectType, ID: x.ID}, Data: change{[]string{x.Name}, changes}})
		return nil
	})
}

// yes is the word for b, as a value of a change.
func yes(b bool) string { return "@" + map[bool]string{true: "common.yes", false: "common.no"}[b] }

// MakeSecret gives the source a new secret and returns it: the one time it can
// be read. The one before is void at once.
func (s *Service) MakeSecret(ctx context.Context, actor authz.Actor, id int64) (plain string, err error) {
	if err := actor.Check(org.PermSettings); err != nil {
		return "", err
	}
	raw := make([]byte, 24)
	rand.Read(raw)
	plain = hex.EncodeToString(raw)
	sealed, err := s.keys.Seal(place(id), plain)
	if err != nil {
		return "", fmt.Errorf("inbound: secret: %w", err)
	}
	return plain, s.run.Do(ctx, actor, "inbound.make_secret", func(ctx context.Context, a *action.Action) error {
		x, err := source(ctx, a, "id", id)
		if err != nil {
			return err
		}
		if _, err := a.Exec(ctx, `UPDATE inbound_sources SET secret_sealed = $1, secret_at = $2, trouble = '', version = version + 1, updated_at = $2 WHERE id = $3`, sealed, a.NowMicros(), id); err != nil {
			return fmt.Errorf("inbound: secret: %w", err)
		}
		a.Record(event.Event{Kind: SecretMade, Subject: event.Subject{Type: subjectType, ID: id}, Data: change{Args: []string{x.Name}}})
		return nil
	})
}

// Delivery is a call that was signed rightly.
type Delivery struct {
	ID        int64
	Delivery  string // the sender's id of it
	At        time.Time
	Outcome   string // Created, Added or Refused
	Number    string // of the ticket
	Reference string // the sender's own number
	Why       []fault.FieldError
	Sentence  fault.FieldError // of a refused one: what was wrong as a whole
}

// Outcomes of a delivery.
const (
	Created = "created"
	Added   = "added"
	Refused = "refused"
)

// Outcomes in the order of a list to choose from.
var Outcomes = []string{Created, Added, Refused}

// Deliveries are those of a source, newest first, 30 from before on (0: the
// newest); next is where the following page begins, 0 at the end.
func (s *Service) Deliveries(ctx context.Context, actor authz.Actor, sourceID, before int64) (out []Delivery, next int64, err error) {
	if err := actor.Check(org.PermSettings); err != nil {
		return nil, 0, err
	}
	const page = 30
	var a db.Args
	where := "source_id = " + a.Add(sourceID)
	if before != 0 {
		where += " AND id < " + a.Add(before)
	}
	rows, err := s.run.DB().Read().Query(ctx, `SELECT id, delivery, at, outcome, number, reference, reason FROM inbound_deliveries WHERE `+where+` ORDER BY id DESC LIMIT 31`, a.Values...)
	if err != nil {
		return nil, 0, fmt.Errorf("inbound: deliveries: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var x Delivery
		var at int64
		var reason string
		if err := rows.Scan(&x.ID, &x.Delivery, &at, &x.Outcome, &x.Number, &x.Reference, &reason); err != nil {
			return nil, 0, fmt.Errorf("inbound: deliveries: %w", err)
		}
		x.At = db.FromMicros(at)
		if reason != "" {
			var why refusal
			if err := json.Unmarshal([]byte(reason), &why); err != nil {
				return nil, 0, fmt.Errorf("inbound: delivery %d: %w", x.ID, err)
			}
			x.Sentence, x.Why = fault.FieldError{Key: why.Key, Args: why.Args}, why.Fields
		}
		out = append(out, x)
	}
	if len(out) > page {
		out, next = out[:page], out[page-1].ID
	}
	return out, next, rows.Err()
}
