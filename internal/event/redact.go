package event

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"bihuan/internal/authz"
	"bihuan/internal/db"
)

// RedactedKind is the fact that a person's data was taken out of events. It
// names each of them with the digest of what is left, so that the chain can
// still be verified and no other change passes for a redaction (GOV-4).
const RedactedKind = "audit.redacted"

// saltSize is enough that nobody tries them all: with it gone, the hash of an
// event says nothing of the words that were in it.
const saltSize = 16

func newSalt() []byte {
	b := make([]byte, saltSize)
	rand.Read(b)
	return b
}

// digest is what a redacted event is recognised by: all that is left of it.
func (s Stored) digest() string {
	h := sha256.New()
	num := func(n int64) { var b [8]byte; binary.BigEndian.PutUint64(b[:], uint64(n)); h.Write(b[:]) }
	for _, n := range []int64{s.Seq, s.ID, s.At, s.Subject.ID, s.ActorID} {
		num(n)
	}
	for _, v := range []string{s.Kind, s.Subject.Type, string(s.ActorKind), s.ActorName, s.Action, s.IP, s.Session, s.UserAgent, s.Reason, string(s.Data)} {
		num(int64(len(v)))
		h.Write([]byte(v))
	}
	return hex.EncodeToString(h.Sum(nil))
}

type redactedRow struct {
	Seq    int64  `json:"seq"`
	Digest string `json:"digest"`
}

type redactedData struct {
	Args []string      `json:"args,omitempty"`
	Rows []redactedRow `json:"rows"`
}

func vouch(s Stored, into map[int64]string) error {
	var d redactedData
	if err := s.Decode(&d); err != nil {
		return err
	}
	for _, r := range d.Rows {
		into[r.Seq] = r.Digest
	}
	return nil
}

// Redact writes events back without a person's data: of each s, the name and the
// address of the actor, the reason and the data are as the caller has made them;
// nothing else is changed. The fact that it was done, and for what (args, which
// hold no personal data), is recorded in the same transaction. An event that is
// not sealed yet, or tells of a redaction, is refused.
func Redact(ctx context.Context, tx *db.Tx, actor authz.Actor, action string, subject Subject, args []string, events []Stored) error {
	if len(events) == 0 {
		return nil
	}
	d := redactedData{Args: args}
	for _, s := range events {
		if s.Seq == 0 || s.Kind == RedactedKind {
			return fmt.Errorf("event: redact %d (%s)", s.ID, s.Kind)
		}
		if !json.Valid(s.Data) {
			return fmt.Errorf("event: redact %d: %w", s.ID, errors.New("its data is no JSON any more"))
		}
		res, err := tx.Exec(ctx, `
			UPDATE events SET actor_name = $1, ip = $2, user_agent = $3, reason = $4, data = $5, salt = NULL, redacted = 1
			WHERE id = $6 AND seq = $7`, s.ActorName, s.IP, s.UserAgent, s.Reason, string(s.Data), s.ID, s.Seq)
		if err != nil {
			return fmt.Errorf("event: redact %d: %w", s.ID, err)
		}
		if n, err := res.RowsAffected(); err != nil || n != 1 {
			return fmt.Errorf("event: redact %d: %d rows, %w", s.ID, n, err)
		}
		d.Rows = append(d.Rows, redactedRow{s.Seq, s.digest()})
	}
	return Append(ctx, tx, actor, action, Event{Kind: RedactedKind, Subject: subject, Data: d})
}
