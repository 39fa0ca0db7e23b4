// Package event keeps the facts: what happened, to what, by whom. The events
// are at once the audit trail, the outbox that listeners follow, and a hash
// chain in which tampering shows (GOV-1).
//
// What always holds: an event is written in the transaction of the change it
// tells of; seq grows by one in the order of commits; nothing here deletes a
// sealed event, or changes what happened, when and by whom. The one change there
// is takes a person's data out of its words and leaves a fact of its own in the
// chain ([Redact]).
package event

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"bihuan/internal/authz"
	"bihuan/internal/db"
)

// Subject is what an event is about.
type Subject struct {
	Type string `json:"type"` // ticket, customer, user …
	ID   int64  `json:"id"`
}

// Change is one field before and after. Sensitive values are masked by whoever
// records them.
type Change struct {
	Field string `json:"field"`
	Old   string `json:"old"`
	New   string `json:"new"`
}

// Event is a fact to be recorded.
type Event struct {
	Kind    string // past tense: ticket.state_changed
	Subject Subject
	Reason  string // in the actor's words, when he was asked for one
	Data    any    // becomes JSON; nil is {}
}

// Stored is a recorded event. Seq is 0 until it is sealed.
type Stored struct {
	ID, Seq   int64
	At        int64 // µs
	Kind      string
	Subject   Subject
	ActorKind authz.Kind
	ActorID   int64
	ActorName string
	Action    string
	IP        string
	Session   string
	UserAgent string
	Reason    string
	Data      json.RawMessage
	PrevHash  []byte
	Hash      []byte
	Salt      []byte // keeps the hash from being guessed once the words are gone; nil when redacted
	Redacted  bool   // a person's data has been taken out
}

// Decode reads Data into v.
func (s Stored) Decode(v any) error {
	if err := json.Unmarshal(s.Data, v); err != nil {
		return fmt.Errorf("event: data of %d (%s): %w", s.ID, s.Kind, err)
	}
	return nil
}

// Append writes e inside tx.
func Append(ctx context.Context, tx *db.Tx, actor authz.Actor, action string, e Event) error {
	data := []byte("{}")
	if e.Data != nil {
		var err error
		if data, err = json.Marshal(e.Data); err != nil {
			return fmt.Errorf("event: %s: %w", e.Kind, err)
		}
	}
	err := tx.Later(ctx, `
		INSERT INTO events (at, kind, subject_type, subject_id, actor_kind, actor_id, actor_name, action, ip, session, user_agent, reason, data, salt)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		tx.NowMicros(), e.Kind, e.Subject.Type, e.Subject.ID, string(actor.Kind), actor.ID, actor.Name, action,
		actor.IP, actor.Session, actor.UserAgent, masked(e.Reason), string(data), newSalt())
	if err != nil {
		return fmt.Errorf("event: record %s: %w", e.Kind, err)
	}
	return nil
}

const columns = `id, COALESCE(seq, 0), at, kind, subject_type, subject_id, actor_kind, actor_id, actor_name, action, ip, session, user_agent, reason, data, prev_hash, hash, salt, redacted`

func scan(rows db.Rows) (Stored, error) {
	var s Stored
	var data string
	var redacted int
	err := rows.Scan(&s.ID, &s.Seq, &s.At, &s.Kind, &s.Subject.Type, &s.Subject.ID, (*string)(&s.ActorKind), &s.ActorID, &s.ActorName,
		&s.Action, &s.IP, &s.Session, &s.UserAgent, &s.Reason, &data, &s.PrevHash, &s.Hash, &s.Salt, &redacted)
	s.Data, s.Redacted = json.RawMessage(data), redacted != 0
	return s, err
}

func query(ctx context.Context, q db.Querier, where string, args ...any) ([]Stored, error) {
	rows, err := q.Query(ctx, "SELECT "+columns+" FROM events WHERE "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("event: read: %w", err)
	}
	defer rows.Close()
	var out []Stored
	for rows.Next() {
		s, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("event: read: %w", err)
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// Limits stand in the statements themselves: SQLite looks at a bound one while it
// plans, and prepares the statement again for the next.

// After returns at most limit sealed events behind seq, oldest first.
func After(ctx context.Context, q db.Querier, seq int64, limit int) ([]Stored, error) {
	return query(ctx, q, "seq > $1 ORDER BY seq LIMIT "+strconv.Itoa(limit), seq)
}

// Of returns at most limit events about s with id below before (0: the newest),
// newest first.
func Of(ctx context.Context, q db.Querier, s Subject, before int64, limit int) ([]Stored, error) {
	if before == 0 {
		before = 1 << 62
	}
	return query(ctx, q, "subject_type = $1 AND subject_id = $2 AND id < $3 ORDER BY id DESC LIMIT "+strconv.Itoa(limit), s.Type, s.ID, before)
}

// OfKinds returns at most limit events about s of those kinds, newest first.
func OfKinds(ctx context.Context, q db.Querier, s Subject, kinds []string, limit int) ([]Stored, error) {
	a := db.Args{}
	where := "subject_type = " + a.Add(s.Type) + " AND subject_id = " + a.Add(s.ID)
	in := make([]string, len(kinds))
	for i, k := range kinds {
		in[i] = a.Add(k)
	}
	return query(ctx, q, where+" AND kind IN ("+strings.Join(in, ", ")+") ORDER BY id DESC LIMIT "+strconv.Itoa(limit), a.Values...)
}

// Filter selects events for the audit page; zero fields select all.
type Filter struct {
	Kind      string // exact
	ActorID   int64
	Subject   Subject
	From, To  int64 // µs, [From, To)
	BeforeID  int64 // keyset: older than this id
	Limit     int   // 0: 50
	ActorName string
}

// List returns events for an auditor, newest first.
func List(ctx context.Context, q db.Querier, f Filter) ([]Stored, error) {
	var a db.Args
	where := "1 = 1"
	and := func(cond string, v any) { where += " AND " + cond + a.Add(v) }
	if f.Kind != "" {
		and("kind = ", f.Kind)
	}
	if f.ActorID != 0 {
		and("actor_id = ", f.ActorID)
	}
	if f.ActorName != "" {
		and("actor_name = ", f.ActorName)
	}
	if f.Subject.Type != "" {
		and("subject_type = ", f.Subject.Type)
		if f.Subject.ID != 0 {
			and("subject_id = ", f.Subject.ID)
		}
	}
	if f.From != 0 {
		and("at >= ", f.From)
	}
	if f.To != 0 {
		and("at < ", f.To)
	}
	if f.BeforeID != 0 {
		and("id < ", f.BeforeID)
	}
	if f.Limit == 0 {
		f.Limit = 50
	}
	return query(ctx, q, where+" ORDER BY id DESC LIMIT "+a.Add(f.Limit), a.Values...)
}

// sum is the link of the chain: every field with its length, so that nothing
// can move from one field into the next, and the hash before it.
func (s Stored) sum(prev []byte) []byte {
	h := sha256.New()
	num := func(n int64) { var b [8]byte; binary.BigEndian.PutUint64(b[:], uint64(n)); h.Write(b[:]) }
	str := func(v string) { num(int64(len(v))); h.Write([]byte(v)) }
	num(int64(len(prev)))
	h.Write(prev)
	for _, n := range []int64{s.Seq, s.ID, s.At, s.Subject.ID, s.ActorID} {
		num(n)
	}
	for _, v := range []string{s.Kind, s.Subject.Type, string(s.ActorKind), s.ActorName, s.Action, s.IP, s.Session, s.UserAgent, s.Reason, string(s.Data)} {
		str(v)
	}
	if len(s.Salt) > 0 {
		str(string(s.Salt))
	}
	return h.Sum(nil)
}

// sealBatch bounds the length of one sealing transaction; from sealTogether on
// events are written with common statements.
const (
	sealBatch    = 1000
	sealTogether = 8
)

// Seal gives every committed event without one its place in the chain, and
// returns them, at most sealBatch. On SQLite it runs at the end of each batch of
// writes, on PostgreSQL in a transaction of its own, where the lock on the lease
// row lets one node at a time through.
func Seal(ctx context.Context, tx *db.Tx) ([]Stored, error) {
	if tx.Dialect() == db.Postgres {
		if err := tx.Later(ctx, `INSERT INTO leases (name, holder, fence, expires_at) VALUES ('seal', '', 0, 0) ON CONFLICT (name) DO UPDATE SET fence = leases.fence + 1`); err != nil {
			return nil, fmt.Errorf("event: seal: %w", err)
		}
	}
	open, err := query(ctx, tx, "seq IS NULL ORDER BY id LIMIT "+strconv.Itoa(sealBatch))
	if err != nil || len(open) == 0 {
		return nil, err
	}
	var seq int64
	var prev []byte
	err = tx.QueryRow(ctx, `SELECT seq, hash FROM events WHERE seq IS NOT NULL ORDER BY seq DESC LIMIT 1`).Scan(&seq, &prev)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("event: head of chain: %w", err)
	}
	values := make([]any, 0, 4*len(open))
	for i := range open {
		s := &open[i]
		seq++
		s.Seq, s.PrevHash = seq, prev
		s.Hash = s.sum(prev)
		values = append(values, s.ID, seq, prev, s.Hash)
		prev = s.Hash
	}
	if len(open) < sealTogether {
		for ; len(values) > 0; values = values[4:] {
			if err := tx.Later(ctx, `UPDATE events SET seq = $1, prev_hash = $2, hash = $3 WHERE id = $4 AND seq IS NULL`, values[1], values[2], values[3], values[0]); err != nil {
				return nil, fmt.Errorf("event: seal %d: %w", values[0], err)
			}
		}
		return open, nil
	}
	bytes := tx.Dialect().Bytes()
	if err := tx.UpdateMany(ctx, `UPDATE events SET seq = v.column2, prev_hash = v.column3, hash = v.column4`, "events.id = v.column1 AND events.seq IS NULL", []string{"BIGINT", "BIGINT", bytes, bytes}, values); err != nil {
		return nil, fmt.Errorf("event: seal %d: %w", len(open), err)
	}
	return open, nil
}

// heads returns the newest sealed seq and whether events wait to be sealed.
func heads(ctx context.Context, q db.Querier) (head int64, open bool, err error) {
	var n int
	err = q.QueryRow(ctx, `SELECT COALESCE(MAX(seq), 0), (SELECT COUNT(*) FROM (SELECT 1 FROM events WHERE seq IS NULL LIMIT 1) o) FROM events`).Scan(&head, &n)
	if err != nil {
		return 0, false, fmt.Errorf("event: head: %w", err)
	}
	return head, n > 0, nil
}

// Head returns the newest sealed seq; 0 when there is none.
func Head(ctx context.Context, q db.Querier) (int64, error) {
	var seq int64
	err := q.QueryRow(ctx, `SELECT COALESCE(MAX(seq), 0) FROM events`).Scan(&seq)
	if err != nil {
		return 0, fmt.Errorf("event: head: %w", err)
	}
	return seq, nil
}

// Report is the outcome of Verify.
type Report struct {
	Events   int64  // how many were checked
	Head     []byte // hash of the newest; keep it elsewhere to notice a cut tail
	BrokenAt int64  // seq of the first event that does not fit; 0: the chain is whole
	Why      string
	Unsealed int64 // recorded but not yet in the chain
	Redacted int64 // out of which a person's data was taken, each with a fact that says so
}

// Verify recomputes the whole chain.
func Verify(ctx context.Context, q db.Querier) (Report, error) {
	var r Report
	var prev []byte
	redacted, vouched := map[int64]string{}, map[int64]string{}
	for {
		evs, err := After(ctx, q, r.Events, 1000)
		if err != nil {
			return r, err
		}
		for _, s := range evs {
			switch {
			case s.Seq != r.Events+1:
				r.BrokenAt, r.Why = r.Events+1, "missing"
			case !bytes.Equal(s.PrevHash, prev):
				r.BrokenAt, r.Why = s.Seq, "does not follow the one before"
			case s.Redacted:
				// Its words are gone, so its hash cannot be computed; the next event
				// still builds on it, and a later one vouches for what is left.
				redacted[s.Seq] = s.digest()
			case !bytes.Equal(s.Hash, s.sum(prev)):
				r.BrokenAt, r.Why = s.Seq, "changed after it was recorded"
			}
			if r.BrokenAt != 0 {
				return r, nil
			}
			r.Events++
			prev = s.Hash
			if s.Kind == RedactedKind && !s.Redacted {
				if err := vouch(s, vouched); err != nil {
					return r, err
				}
			}
		}
		if len(evs) == 0 {
			break
		}
	}
	for seq, digest := range redacted {
		if r.Redacted++; vouched[seq] != digest && (r.BrokenAt == 0 || seq < r.BrokenAt) {
			r.BrokenAt, r.Why = seq, "changed after it was recorded"
		}
	}
	if r.BrokenAt != 0 {
		return r, nil
	}
	r.Head = prev
	err := q.QueryRow(ctx, `SELECT COUNT(*) FROM events WHERE seq IS NULL`).Scan(&r.Unsealed)
	return r, err
}
