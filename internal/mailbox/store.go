package mailbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/crypt"
	"bihuan/internal/db"
	"bihuan/internal/eml"
	"bihuan/internal/event"
	"bihuan/internal/fault"
)

// MaxMail is the size of a mail that is taken.
const MaxMail = 60 << 20

// State of a mail.
type State string

const (
	Stored     State = "stored"     // nothing has been made of it yet
	Done       State = "done"       // a ticket, or a message in one
	Quarantine State = "quarantine" // waits for somebody to decide
	Dropped    State = "discarded"
	Copy       State = "copy" // the same mail came already
)

// Mail is one that came.
type Mail struct {
	ID         int64
	BoxID      int64
	State      State
	Reason     string // why it is in quarantine: a code
	Detail     string
	Kind       eml.Kind
	MessageID  string
	Subject    string
	Head       Head
	Size       int64
	FileID     int64
	TicketID   int64
	EntryID    int64
	OtherTopic bool
	Attempts   int
	CreatedAt  time.Time

	digest string
	sealed []byte
}

// Head are the people of a mail; personal data, so it is sealed.
type Head struct {
	From     eml.Address   `json:"f"`
	To       []eml.Address `json:"t,omitempty"`
	Cc       []eml.Address `json:"c,omitempty"`
	ReplyTo  []eml.Address `json:"r,omitempty"`
	Original eml.Address   `json:"o,omitzero"`
}

// maxPeople bounds what is kept of each list.
const maxPeople = 50

func headOf(m *eml.Message) Head {
	few := func(as []eml.Address) []eml.Address { return as[:min(len(as), maxPeople)] }
	return Head{From: m.From, To: few(m.To), Cc: few(m.Cc), ReplyTo: few(m.ReplyTo), Original: m.Original}
}

// digest names a mail by its Message-ID and its content, whichever way it came:
// other servers put other lines on top of it. One without a Message-ID is named by
// what else says who wrote what when.
func digest(raw []byte, m *eml.Message) string {
	body := raw
	if i := bytes.Index(raw, []byte("\r\n\r\n")); i >= 0 {
		body = raw[i+4:]
	} else if i := bytes.Index(raw, []byte("\n\n")); i >= 0 {
		body = raw[i+2:]
	}
	h := sha256.New()
	id := m.MessageID
	if id == "" {
		id = "none\n" + strings.ToLower(m.From.Addr) + "\n" + m.Header.Raw("date") + "\n" + m.Subject
	}
	fmt.Fprintf(h, "%s\n", id)
	h.Write(bytes.TrimRight(bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n")), "\n "))
	return hex.EncodeToString(h.Sum(nil))
}

const mailColumns = `id, mailbox_id, state, reason, detail, kind, message_id, subject, head_sealed, size, file_id, ticket_id, entry_id, other_topic, attempts, created_at, digest`

func (s *Service) scanMail(row interface{ Scan(...any) error }) (m Mail, err error) {
	var at int64
	var other int
	if err = row.Scan(&m.ID, &m.BoxID, (*string)(&m.State), &m.Reason, &m.Detail, (*string)(&m.Kind), &m.MessageID, &m.Subject, &m.sealed, &m.Size, &m.FileID, &m.TicketID, &m.EntryID, &other, &m.Attempts, &at, &m.digest); err != nil {
		return m, err
	}
	m.CreatedAt, m.OtherTopic = db.FromMicros(at), other == 1
	if len(m.sealed) > 0 {
		text, err := s.keys.Open(crypt.Place("mails", m.ID, "head"), m.sealed)
		if err == nil {
			err = json.Unmarshal([]byte(text), &m.Head)
		}
		if err != nil {
			return m, fmt.Errorf("mailbox: head of mail %d: %w", m.ID, err)
		}
	}
	return m, nil
}

func (s *Service) mailsWhere(ctx context.Context, q db.Querier, where string, args ...any) ([]Mail, error) {
	rows, err := q.Query(ctx, `SELECT `+mailColumns+` FROM mails WHERE `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("mailbox: mails: %w", err)
	}
	defer rows.Close()
	var out []Mail
	for rows.Next() {
		m, err := s.scanMail(rows)
		if err != nil {
			return nil, fmt.Errorf("mailbox: mails: %w", err)
		}
		out = append(out, m)
	}
	return out, rows.Err()
}

func (s *Service) mail(ctx context.Context, q db.Querier, id int64) (Mail, error) {
	ms, err := s.mailsWhere(ctx, q, `id = $1`, id)
	if err == nil && len(ms) == 0 {
		err = fault.New(fault.NotFound, "mailbox.mail.not_found")
	}
	if err != nil {
		return Mail{}, err
	}
	return ms[0], nil
}

// Take stores a mail as it was sent, before anything is made of it. The same
// number of the same folder is stored once; the same mail under another number is
// noted as a copy. When it returns the mail is on disk and may be marked on the
// server.
func (s *Service) Take(ctx context.Context, box int64, validity, uid uint32, raw []byte) (id int64, err error) {
	var n int
	if err := s.run.DB().Read().QueryRow(ctx, `SELECT COUNT(*) FROM mails WHERE mailbox_id = $1 AND validity = $2 AND uid = $3`, box, int64(validity), int64(uid)).Scan(&n); err != nil {
		return 0, fmt.Errorf("mailbox: take: %w", err)
	}
	if n > 0 {
		return 0, nil
	}
	m := eml.Parse(raw)
	sum := digest(raw, m)
	info, err := s.files.Store().Put(ctx, bytes.NewReader(raw), MaxMail)
	if err != nil {
		return 0, fmt.Errorf("mailbox: take: %w", err)
	}
	take := func() error {
		return s.run.Do(ctx, authz.System(actorName), "mailbox.take", func(ctx context.Context, a *action.Action) error {
			return s.take(ctx, a, box, validity, uid, m, sum, info, &id)
		})
	}
	err = take()
	if db.IsUnique(err, "digest") { // the other mailbox was a moment quicker
		err = take()
	}
	if db.IsUnique(err, "uid") { // another node was
		return 0, nil
	}
	return id, err
}

func (s *Service) take(ctx context.Context, a *action.Action, box int64, validity, uid uint32, m *eml.Message, sum string, info blob.Info, id *int64) error {
	var same int64
	err := a.QueryRow(ctx, `SELECT id FROM mails WHERE digest = $1 AND state <> 'copy'`, sum).Scan(&same)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("mailbox: take: %w", err)
	}
	state := Stored
	if same != 0 {
		state = Copy
	}
	err = a.QueryRow(ctx, `
		INSERT INTO mails (mailbox_id, validity, uid, digest, state, kind, message_id, subject, size, copy_of, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id`,
		box, int64(validity), int64(uid), sum, string(state), string(m.Kind), cut(m.MessageID, 900), cut(m.Subject, 500), info.Size, same, a.NowMicros()).Scan(id)
	if err != nil {
		return fmt.Errorf("mailbox: take: %w", err)
	}
	if state == Copy {
		a.Nothing()
		return nil
	}
	head, err := json.Marshal(headOf(m))
	if err != nil {
		return err
	}
	sealed, err := s.keys.Seal(crypt.Place("mails", *id, "head"), string(head))
	if err != nil {
		return fmt.Errorf("mailbox: take: %w", err)
	}
	f, err := s.files.SaveTo(ctx, a, blob.Meta{Info: info, Name: fmt.Sprintf("mail-%d.eml", *id), MIME: "message/rfc822"}, blob.Owner{Type: FileOwner, ID: *id})
	if err != nil {
		return err
	}
	if _, err := a.Exec(ctx, `UPDATE mails SET head_sealed = $1, file_id = $2 WHERE id = $3`, sealed, f.ID, *id); err != nil {
		return fmt.Errorf("mailbox: take: %w", err)
	}
	return nil
}

// Oversized notes a mail that is too large to be fetched: somebody has to look at
// it where it is.
func (s *Service) Oversized(ctx context.Context, box int64, validity, uid uint32, size int64) error {
	err := s.run.Do(ctx, authz.System(actorName), "mailbox.take", func(ctx context.Context, a *action.Action) error {
		var id int64
		err := a.QueryRow(ctx, `
			INSERT INTO mails (mailbox_id, validity, uid, digest, state, reason, size, created_at) VALUES ($1, $2, $3, $4, 'quarantine', 'too_large', $5, $6) RETURNING id`,
			box, int64(validity), int64(uid), fmt.Sprintf("large:%d:%d:%d", box, validity, uid), size, a.NowMicros()).Scan(&id)
		if err != nil {
			return fmt.Errorf("mailbox: oversized: %w", err)
		}
		a.Record(event.Event{Kind: Quarantined, Subject: event.Subject{Type: mailSubject, ID: id}, Data: Facts{Args: []string{"@mailbox.reason.too_large"}}})
		return nil
	})
	if db.IsUnique(err, "") {
		return nil
	}
	return err
}

// raw reads the source of a mail.
func (s *Service) raw(ctx context.Context, q db.Querier, m Mail) ([]byte, error) {
	if m.FileID == 0 {
		return nil, fault.New(fault.NotFound, "mailbox.source_gone")
	}
	f, err := s.files.Get(ctx, q, m.FileID)
	if err != nil {
		return nil, err
	}
	r, err := s.files.Store().Open(ctx, f.SHA256)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, MaxMail+1))
}

// Forget takes away what is kept of the mails of tickets whose customer is erased.
func (s *Service) Forget(ctx context.Context, a *action.Action, tickets []int64) error {
	return db.EachIn(tickets, func(in string, args []any) error {
		ms, err := s.mailsWhere(ctx, a, `ticket_id IN (`+in+`)`, args...)
		if err != nil {
			return err
		}
		for _, m := range ms {
			if m.FileID == 0 {
				continue
			}
			f, err := s.files.Get(ctx, a, m.FileID)
			if fault.Is(err, fault.NotFound) {
				continue
			}
			if err == nil {
				err = s.files.Remove(ctx, a, f)
			}
			if err != nil {
				return err
			}
		}
		if _, err := a.Exec(ctx, `UPDATE mails SET subject = '', head_sealed = NULL, file_id = 0, message_id = '', detail = '' WHERE ticket_id IN (`+in+`)`, args...); err != nil {
			return fmt.Errorf("mailbox: forget: %w", err)
		}
		if _, err := a.Exec(ctx, `DELETE FROM mail_out WHERE ticket_id IN (`+in+`)`, args...); err != nil {
			return fmt.Errorf("mailbox: forget: %w", err)
		}
		return nil
	})
}

func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n])
	}
	return s
}
