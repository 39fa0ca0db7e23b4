package privacy

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/job"
	"bihuan/internal/number"
	"bihuan/internal/ticket"
)

// Phases of an erasure, in their order; named privacy.phase.<phase>. Each may be
// done again, so an erasure that was killed goes on where it was.
const (
	PhaseRecords = "records" // profiles and contacts become tombstones
	PhaseTexts   = "texts"   // values leave every text
	PhaseFiles   = "files"   // files go
	PhaseTrail   = "trail"   // values leave the audit trail
	PhaseClean   = "clean"   // and the files of the database
	PhaseCheck   = "check"   // everything is looked through once more
	PhaseDone    = "done"
)

// Phases lists them.
var Phases = []string{PhaseRecords, PhaseTexts, PhaseFiles, PhaseTrail, PhaseClean, PhaseCheck, PhaseDone}

// Causes of an erasure.
const (
	causeRequest   = "request"
	causeDeletion  = "deletion"
	causeRetention = "retention"
)

// Report is what was done, and what the proof is signed over. It holds no value
// of the person.
type Report struct {
	Number    string    `json:"number"` // of the request
	Person    string    `json:"person"` // masked
	OrderedBy string    `json:"ordered_by"`
	BegunAt   time.Time `json:"begun_at"`
	DoneAt    time.Time `json:"done_at,omitzero"`

	Customers int     `json:"customers"` // tombstones made
	Contacts  int     `json:"contacts"`
	Texts     []Place `json:"texts,omitempty"` // tables, with how many rows were rewritten
	Files     int     `json:"files"`           // removed
	Events    int     `json:"events"`          // of the audit trail, redacted

	CleanedAt time.Time `json:"cleaned_at,omitzero"` // the database's own files were written anew
	Looked    Looked    `json:"looked"`              // through everything, afterwards
	ChainSeq  int64     `json:"chain_seq,omitempty"` // newest event of the audit trail then
	ChainHash string    `json:"chain_hash,omitempty"`
}

// Looked is what the last look saw.
type Looked struct {
	Rows   int64 `json:"rows"`
	Files  int64 `json:"files"`
	Events int64 `json:"events"`
	Left   int   `json:"left"` // places where something was found; 0 it must be
	Rounds int   `json:"rounds"`
}

// Erasure is one under way or done.
type Erasure struct {
	ID      int64
	Cause   string
	CauseID int64
	Number  string
	Masked  string
	By      string
	Phase   string
	Report  Report
	Raw     string // the report as it was signed
	Hash    string // SHA-256 of Raw
	Proof   string // signature; "" until done
	JobID   int64
	BegunAt time.Time
	DoneAt  time.Time
}

// OfDeletion reports whether it carries out a customer's deletion.
func (e Erasure) OfDeletion() bool { return e.Cause == causeDeletion }

// Done reports whether it is.
func (e Erasure) Done() bool { return e.Phase == PhaseDone }

// begin makes an erasure and the job that carries it out, inside the action that
// decides it.
func (s *Service) begin(ctx context.Context, a *action.Action, cause string, causeID int64, num, masked, by string, w who) (int64, error) {
	if n, numbers, err := ticket.OpenOf(ctx, a, w.Customers); err != nil {
		return 0, err
	} else if n > 0 {
		return 0, openTickets(n, numbers)
	}
	rep := Report{Number: num, Person: masked, OrderedBy: by, BegunAt: a.Now, Customers: len(w.Customers), Contacts: len(w.Contacts)}
	var id int64
	err := a.QueryRow(ctx, `
		INSERT INTO erasures (cause, cause_id, number, masked, ordered_by, report, begun_at) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id`,
		cause, causeID, num, masked, by, text(rep), a.NowMicros()).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("privacy: begin erasure: %w", err)
	}
	sealed, err := s.seal("erasures", id, "who", w)
	if err != nil {
		return 0, err
	}
	jobID, err := s.Jobs.Enqueue(ctx, a.Tx, jobErase, jobArgs{id}, job.Opts{UniqueKey: fmt.Sprintf("privacy.erase:%d", id), By: a.Actor.ID})
	if err != nil {
		return 0, err
	}
	if _, err := a.Exec(ctx, `UPDATE erasures SET who_sealed = $1, job_id = $2 WHERE id = $3`, sealed, jobID, id); err != nil {
		return 0, fmt.Errorf("privacy: begin erasure: %w", err)
	}
	a.Record(event.Event{Kind: ErasureBegun, Subject: aboutErasure(id), Data: Fact{Args: []string{num, masked}}})
	return id, nil
}

func openTickets(n int, numbers []string) error {
	list := ""
	for i, x := range numbers {
		if i > 0 {
			list += "、"
		}
		list += x
	}
	if n > len(numbers) {
		list += " …"
	}
	return fault.New(fault.Conflict, "privacy.open_tickets", n, list)
}

const erasureColumns = `id, cause, cause_id, number, masked, ordered_by, phase, report, proof, job_id, begun_at, done_at`

func scanErasure(r interface{ Scan(...any) error }) (e Erasure, err error) {
	var begun, done int64
	if err = r.Scan(&e.ID, &e.Cause, &e.CauseID, &e.Number, &e.Masked, &e.By, &e.Phase, &e.Raw, &e.Proof, &e.JobID, &begun, &done); err != nil {
		return e, err
	}
	e.BegunAt, e.DoneAt = db.FromMicros(begun), db.FromMicros(done)
	sum := sha256.Sum256([]byte(e.Raw))
	e.Hash = hex.EncodeToString(sum[:])
	return e, json.Unmarshal([]byte(e.Raw), &e.Report)
}

// Erasure returns one by its id, for whoever may see its cause.
func (s *Service) Erasure(ctx context.Context, id int64) (Erasure, error) {
	e, err := scanErasure(s.db().Read().QueryRow(ctx, `SELECT `+erasureColumns+` FROM erasures WHERE id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return e, notFound()
	}
	if err != nil {
		return e, fmt.Errorf("privacy: erasure %d: %w", id, err)
	}
	return e, nil
}

// ErasureFor returns an erasure whose cause the actor may see.
func (s *Service) ErasureFor(ctx context.Context, actor authz.Actor, id int64) (Erasure, error) {
	e, err := s.Erasure(ctx, id)
	if err != nil {
		return e, err
	}
	switch e.Cause {
	case causeDeletion:
		_, err = s.Deletion(ctx, actor, e.CauseID)
	case causeRequest:
		_, err = s.Request(ctx, actor, e.CauseID)
	default:
		if actor.Level(PermView) != authz.All && !actor.Can(PermManage) {
			err = notFound()
		}
	}
	return e, err
}

const proofPurpose = "privacy proof"

// Genuine reports whether the proof was signed by this installation over just
// this report.
func (s *Service) Genuine(e Erasure) bool {
	hash, err := s.Keys.Verify(proofPurpose, e.Proof)
	return err == nil && hash == e.Hash
}

// purgeAtOnce is the size of a store whose files are written anew at any time of
// day; with a larger one, who works would wait too long.
const purgeAtOnce = 256 << 20

// maxRounds is how often an erasure begins again when something was written
// while it went on.
const maxRounds = 4

func (s *Service) workErase(ctx context.Context, j *job.Job) error {
	var args jobArgs
	if err := j.Decode(&args); err != nil {
		return job.Discard(err)
	}
	for {
		var sealed []byte
		e, err := s.Erasure(ctx, args.ID)
		if err == nil {
			err = s.db().Read().QueryRow(ctx, `SELECT who_sealed FROM erasures WHERE id = $1`, e.ID).Scan(&sealed)
		}
		if err != nil {
			return err
		}
		if e.Done() {
			return nil
		}
		var w who
		if err := s.unseal("erasures", e.ID, "who", sealed, &w); err != nil {
			return err
		}
		if err := j.SetProgress(ctx, "@privacy.phase."+e.Phase); err != nil {
			return err
		}
		p, err := s.ready(ctx, w)
		if err != nil {
			return err
		}
		if err := s.phase(ctx, &e, p); err != nil {
			return err
		}
	}
}

// phase does one phase of e and moves it on.
func (s *Service) phase(ctx context.Context, e *Erasure, p *person) error {
	next := Phases[slices.Index(Phases, e.Phase)+1]
	switch e.Phase {
	case PhaseRecords:
		return s.run.Do(ctx, worker(), "privacy.erase_records", func(ctx context.Context, a *action.Action) error {
			a.Nothing()
			return errors.Join(s.bury(ctx, a, p, e.Number), s.advance(ctx, a.Tx, e, next))
		})
	case PhaseTexts:
		got, err := s.texts(ctx, p, true)
		if err != nil {
			return err
		}
		for _, id := range p.Customers {
			got.customers[id] = true
		}
		for _, id := range p.Tickets {
			got.tickets[id] = true
		}
		if err := s.reindex(ctx, got.tickets, got.customers); err != nil {
			return err
		}
		for _, pl := range got.places {
			i := slices.IndexFunc(e.Report.Texts, func(x Place) bool { return x.Name == pl.Name })
			if i < 0 {
				e.Report.Texts = append(e.Report.Texts, Place{Name: pl.Name})
				i = len(e.Report.Texts) - 1
			}
			e.Report.Texts[i].Rows += pl.Rows
		}
	case PhaseFiles:
		hits, _, err := s.contents(ctx, p)
		if err != nil {
			return err
		}
		files := make([]blob.File, len(hits))
		for i, h := range hits {
			files[i] = h.File
		}
		if err := s.removeFiles(ctx, files, "privacy.erase_files"); err != nil {
			return err
		}
		e.Report.Files += len(files)
	case PhaseTrail:
		n, _, err := s.trail(ctx, p, e.Number, true)
		if err != nil {
			return err
		}
		e.Report.Events += n
	case PhaseClean:
		size, err := s.db().Size(ctx)
		if err != nil {
			return err
		}
		if wait := untilNight(s.db().Clock().Now()); size > purgeAtOnce && wait > 0 {
			return job.Snooze(wait)
		}
		if err := s.db().Purge(ctx); err != nil {
			return err
		}
		e.Report.CleanedAt = s.db().Clock().Now().UTC()
	case PhaseCheck:
		left, err := s.look(ctx, e, p)
		if err != nil {
			return err
		}
		if left > 0 {
			if e.Report.Looked.Rounds >= maxRounds {
				return fmt.Errorf("%w: %d places after %d rounds", errLeft, left, e.Report.Looked.Rounds)
			}
			next = PhaseTexts // somebody has written of him meanwhile
			break
		}
		return s.finish(ctx, e)
	}
	return s.db().Write(ctx, func(ctx context.Context, tx *db.Tx) error { return s.advance(ctx, tx, e, next) })
}

func (s *Service) advance(ctx context.Context, tx *db.Tx, e *Erasure, next string) error {
	if _, err := tx.Exec(ctx, `UPDATE erasures SET phase = $1, report = $2 WHERE id = $3`, next, text(e.Report), e.ID); err != nil {
		return fmt.Errorf("privacy: erasure %d: %w", e.ID, err)
	}
	return nil
}

// untilNight is how long it is until two in the morning in China; 0 between two
// and five.
func untilNight(now time.Time) time.Duration {
	t := now.In(number.Zone)
	if t.Hour() >= 2 && t.Hour() < 5 {
		return 0
	}
	night := time.Date(t.Year(), t.Month(), t.Day(), 2, 0, 0, 0, number.Zone)
	if !night.After(t) {
		night = night.AddDate(0, 0, 1)
	}
	return night.Sub(t)
}

// bury makes the tombstones.
func (s *Service) bury(ctx context.Context, a *action.Action, p *person, num string) error {
	if err := s.Rooms.Customers.Bury(ctx, a, p.Customers, num); err != nil {
		return err
	}
	if err := s.Rooms.Customers.EraseContacts(ctx, a, p.Contacts, num); err != nil {
		return err
	}
	if err := ticket.Forget(ctx, a.Tx, p.Customers); err != nil {
		return err
	}
	// What a merge keeps to be undone would bring him back.
	if err := customer.PurgeMerges(ctx, a.Tx, append(slices.Clone(p.Customers), p.Around...)); err != nil {
		return err
	}
	if s.Fields != nil {
		for _, id := range p.Customers {
			if err := s.Fields.Remove(ctx, a.Tx, "customer", id); err != nil {
				return err
			}
		}
		contacts := slices.Clone(p.Contacts)
		for id := range p.whole {
			some, err := s.Rooms.Customers.ContactIDs(ctx, a, id)
			if err != nil {
				return err
			}
			contacts = append(contacts, some...)
		}
		for _, id := range contacts {
			if err := s.Fields.Remove(ctx, a.Tx, "contact", id); err != nil {
				return err
			}
		}
	}
	if err := db.EachIn(p.Customers, func(in string, args []any) error {
		_, err := a.Exec(ctx, `DELETE FROM restrictions WHERE customer_id IN (`+in+`)`, args...)
		return err
	}); err != nil {
		return fmt.Errorf("privacy: restrictions: %w", err)
	}
	g := Gone{Customers: p.Customers, Contacts: p.Contacts}
	for id := range p.erased {
		g.Tickets = append(g.Tickets, id)
	}
	slices.Sort(g.Tickets)
	for _, h := range s.holders {
		if err := h.Forget(ctx, a, g); err != nil {
			return fmt.Errorf("privacy: %s: %w", h.Name, err)
		}
	}
	return nil
}

// look goes through everything without changing it.
func (s *Service) look(ctx context.Context, e *Erasure, p *person) (left int, err error) {
	got, err := s.texts(ctx, p, false)
	if err != nil {
		return 0, err
	}
	hits, files, err := s.contents(ctx, p)
	if err != nil {
		return 0, err
	}
	n, events, err := s.trail(ctx, p, e.Number, false)
	if err != nil {
		return 0, err
	}
	left = got.found() + len(hits) + n
	e.Report.Looked = Looked{Rows: got.rows, Files: files, Events: events, Left: left, Rounds: e.Report.Looked.Rounds + 1}
	return left, nil
}

// finish signs the report, forgets who it was, and closes the cause.
func (s *Service) finish(ctx context.Context, e *Erasure) error {
	head, err := event.Head(ctx, s.db().Read())
	if err != nil {
		return err
	}
	last, err := event.After(ctx, s.db().Read(), head-1, 1)
	if err != nil {
		return err
	}
	return s.run.Do(ctx, worker(), "privacy.erase", func(ctx context.Context, a *action.Action) error {
		e.Report.DoneAt = a.Now
		if len(last) > 0 {
			e.Report.ChainSeq, e.Report.ChainHash = last[0].Seq, hex.EncodeToString(last[0].Hash)
		}
		raw := text(e.Report)
		sum := sha256.Sum256([]byte(raw))
		hash := hex.EncodeToString(sum[:])
		_, err := a.Exec(ctx, `UPDATE erasures SET phase = 'done', report = $1, proof = $2, who_sealed = NULL, done_at = $3 WHERE id = $4`,
			raw, s.Keys.Sign(proofPurpose, hash), a.NowMicros(), e.ID)
		if err != nil {
			return fmt.Errorf("privacy: finish erasure %d: %w", e.ID, err)
		}
		f := Fact{Number: e.Number, Title: e.Masked, Args: []string{e.Number, e.Masked, hash[:16]}}
		switch e.Cause {
		case causeDeletion:
			var by int64
			err = a.QueryRow(ctx, `UPDATE deletions SET state = 'done', executed_at = $1 WHERE id = $2 RETURNING asked_by`, a.NowMicros(), e.CauseID).Scan(&by)
			f.Tell, f.Link = []int64{by}, "/privacy/deletions"
		case causeRequest:
			var by int64
			err = a.QueryRow(ctx, `
				UPDATE person_requests SET state = 'done', working = '', closed_at = $1, person_sealed = NULL, customers = '[]', contacts = '[]', version = version + 1
				WHERE id = $2 RETURNING created_by`, a.NowMicros(), e.CauseID).Scan(&by)
			f.Tell, f.Link = []int64{by}, fmt.Sprintf("/privacy/requests/%d", e.CauseID)
		}
		if err != nil {
			return fmt.Errorf("privacy: finish erasure %d: %w", e.ID, err)
		}
		a.Record(event.Event{Kind: ErasureDone, Subject: aboutErasure(e.ID), Data: f})
		return nil
	})
}

// trailRows are read at a time; of those that have to change, redactRows share a
// fact.
const (
	trailRows  = 1000
	redactRows = 200
)

// trail looks through the audit trail for p and, with rewrite, redacts what it
// finds. It returns how many events held something, and how many there are.
func (s *Service) trail(ctx context.Context, p *person, num string, rewrite bool) (found int, looked int64, err error) {
	if s.db().Dialect() == db.Postgres {
		for n := 1; n > 0; { // what is not in the chain yet cannot be redacted in it
			if err := s.db().Write(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
				evs, err := event.Seal(ctx, tx)
				n = len(evs)
				return err
			}); err != nil {
				return 0, 0, err
			}
		}
	}
	head, err := event.Head(ctx, s.db().Read())
	if err != nil {
		return 0, 0, err
	}
	var wait []event.Stored
	flush := func() error {
		if !rewrite || len(wait) == 0 {
			wait = nil
			return nil
		}
		err := s.db().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			return event.Redact(ctx, tx, worker(), "privacy.redact", event.Subject{Type: "audit"}, []string{num, fmt.Sprint(len(wait))}, wait)
		})
		wait = nil
		return err
	}
	for seq := int64(0); seq < head; {
		evs, err := event.After(ctx, s.db().Read(), seq, trailRows)
		if err != nil {
			return found, looked, err
		}
		if len(evs) == 0 {
			break
		}
		for _, e := range evs {
			seq = e.Seq
			looked++
			if now, n := p.redact(e); n > 0 && e.Kind != event.RedactedKind {
				found++
				if wait = append(wait, now); len(wait) >= redactRows {
					if err := flush(); err != nil {
						return found, looked, err
					}
				}
			}
		}
	}
	return found, looked, flush()
}

// redact takes p out of an event.
func (p *person) redact(e event.Stored) (event.Stored, int) {
	own := e.Subject.Type == "customer" && p.customers[e.Subject.ID] || e.Subject.Type == "ticket" && p.tickets[e.Subject.ID]
	w := p.others
	if own {
		w = p.own
	}
	total := 0
	black := func(s string, w words) string {
		out, n := w.blacken(s)
		total += n
		return out
	}
	e.Reason = black(e.Reason, w)
	e.Data = json.RawMessage(black(string(e.Data), w))
	if e.ActorKind == authz.Customer {
		e.ActorName = black(e.ActorName, w)
		if p.contacts[e.ActorID] || own && p.erased[e.Subject.ID] && e.Subject.Type == "ticket" {
			for _, v := range []*string{&e.IP, &e.UserAgent} {
				if *v != "" {
					*v = ""
					total++
				}
			}
			if e.ActorName != "" && e.ActorName != Blackened {
				e.ActorName = Blackened
				total++
			}
		}
	}
	return e, total
}
