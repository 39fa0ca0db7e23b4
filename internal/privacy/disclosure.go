package privacy

import (
	"bytes"
	"context"
	"database/sql"
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
	"bihuan/internal/approval"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/job"
	"bihuan/internal/number"
)

// KindDisclosure is the approval giving customer data to others needs.
const KindDisclosure approval.Kind = "customer_disclosure"

// Disclosure is a request to give customer data to somebody outside (CUS-16).
type Disclosure struct {
	ID           int64
	Number       string
	Purpose      string
	Recipient    string
	Fields       []string // codes of customer.DisclosureFields
	Customers    int64
	Days         int
	State        string
	ApprovalID   int64
	DepartmentID int64
	Lang         i18n.Lang
	AskedBy      int64
	AskedByName  string
	AskedAt      time.Time
	DecidedBy    string
	DecidedAt    time.Time
	FileID       int64
	SHA256       string
	MadeAt       time.Time
	ExpiresAt    time.Time
}

// DisclosureStates in the order of life; named privacy.disclosure.state.<state>.
var DisclosureStates = []string{"waiting", "running", "ready", "expired", "refused", "withdrawn", "lapsed", "failed"}

// DisclosureInput is a request as it was typed.
type DisclosureInput struct {
	Purpose, Recipient string
	Fields             []string
	Customers          []int64
	Days               int
}

// Bounds of how long a file may be fetched.
const (
	DefaultDays = 7
	MaxDays     = 30
)

type disclosureData struct {
	ID int64 `json:"id"`
}

// AskDisclosure asks for customer data to be given to others.
func (s *Service) AskDisclosure(ctx context.Context, actor authz.Actor, in DisclosureInput) (d Disclosure, err error) {
	err = s.run.Do(ctx, actor, "privacy.ask_disclosure", func(ctx context.Context, a *action.Action) error {
		d, err = s.AskDisclosureIn(ctx, a, in)
		return err
	})
	return d, err
}

// AskDisclosureIn is AskDisclosure inside another action.
func (s *Service) AskDisclosureIn(ctx context.Context, a *action.Action, in DisclosureInput) (d Disclosure, err error) {
	in.Purpose, in.Recipient = line(in.Purpose), line(in.Recipient)
	slices.Sort(in.Customers)
	in.Customers = slices.Compact(in.Customers)
	e := fault.Invalidf("privacy.disclosure.invalid")
	if n := utf8.RuneCountInString(in.Purpose); n < 5 || n > 500 {
		e.Field("purpose", "privacy.disclosure.purpose_required")
	}
	if n := utf8.RuneCountInString(in.Recipient); n < 2 || n > 200 {
		e.Field("recipient", "privacy.disclosure.recipient_required")
	}
	if in.Days < 1 || in.Days > MaxDays {
		e.Field("days", "privacy.disclosure.days_range", MaxDays)
	}
	if len(in.Fields) == 0 {
		e.Field("fields", "customer.disclosure.no_fields")
	}
	if len(in.Customers) == 0 {
		e.Field("customers", "customer.disclosure.none")
	}
	if err := e.OrNil(); err != nil {
		return d, err
	}
	var fields []string // in the order of the columns
	for _, f := range customer.DisclosureFields {
		if slices.Contains(in.Fields, f) {
			fields = append(fields, f)
		}
	}
	if err := s.Rooms.Customers.CheckDisclosure(ctx, a, in.Customers, fields, PermDisclose); err != nil {
		return d, err
	}
	if n, err := s.restricted(ctx, a, in.Customers); err != nil {
		return d, err
	} else if n > 0 {
		return d, fault.Invalidf("privacy.disclosure.invalid").Field("customers", "privacy.disclosure.restricted", n)
	}
	num, err := number.Next(ctx, a.Tx, "disclosure", "PL{yyyyMMdd}{3}", a.Now)
	if err != nil {
		return d, err
	}
	d = Disclosure{Number: num, Purpose: in.Purpose, Recipient: in.Recipient, Fields: fields, Customers: int64(len(in.Customers)), Days: in.Days, State: "waiting",
		DepartmentID: a.Actor.DepartmentID, Lang: a.Actor.Lang, AskedBy: a.Actor.ID, AskedByName: a.Actor.Name, AskedAt: a.Now}
	if d.Lang == "" {
		d.Lang = i18n.ZhCN
	}
	err = a.QueryRow(ctx, `
		INSERT INTO disclosures (number, purpose, recipient, fields, customers, days, department_id, lang, asked_by, asked_by_name, asked_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id`,
		d.Number, d.Purpose, d.Recipient, text(d.Fields), d.Customers, d.Days, d.DepartmentID, string(d.Lang), d.AskedBy, d.AskedByName, a.NowMicros()).Scan(&d.ID)
	if err != nil {
		return d, fmt.Errorf("privacy: ask disclosure: %w", err)
	}
	values := make([]any, 0, 2*len(in.Customers))
	for _, id := range in.Customers {
		values = append(values, d.ID, id)
	}
	if err := a.InsertMany(ctx, `INSERT INTO disclosure_customers (disclosure_id, customer_id)`, "", 2, values); err != nil {
		return d, fmt.Errorf("privacy: ask disclosure: %w", err)
	}
	r, err := s.Approvals.Ask(ctx, a, approval.New{Kind: KindDisclosure, Subject: aboutDisclosure(d.ID), Title: d.Number + " → " + d.Recipient, DepartmentID: d.DepartmentID, Reason: d.Purpose, Data: disclosureData{d.ID}})
	if err != nil {
		return d, err
	}
	d.ApprovalID = r.ID
	if _, err := a.Exec(ctx, `UPDATE disclosures SET approval_id = $1 WHERE id = $2`, r.ID, d.ID); err != nil {
		return d, fmt.Errorf("privacy: ask disclosure: %w", err)
	}
	a.Record(event.Event{Kind: DisclosureAsked, Subject: aboutDisclosure(d.ID), Data: Fact{Args: []string{d.Number, d.Recipient}, Count: len(in.Customers), Fields: d.Fields}})
	return d, nil
}

// OfSegment returns the customers of a segment that the actor may disclose, at
// most as many as one disclosure takes and one more; restricted is how many
// more must not be used.
func (s *Service) OfSegment(ctx context.Context, actor authz.Actor, segment int64) (ids []int64, restricted int, err error) {
	if err := actor.Check(PermDisclose); err != nil {
		return nil, 0, err
	}
	disclosable := authz.For(actor, PermDisclose)
	if customer.View(actor).Level() < disclosable.Level() {
		disclosable = customer.View(actor)
	}
	for id, err := range s.Rooms.Customers.Members(ctx, disclosable, segment, 0) {
		if err != nil {
			return nil, 0, err
		}
		if ids = append(ids, id); len(ids) > customer.MaxDisclosed {
			break
		}
	}
	held := map[int64]bool{}
	err = db.EachIn(ids, func(in string, args []any) error {
		rows, err := s.db().Read().Query(ctx, `SELECT DISTINCT customer_id FROM restrictions WHERE customer_id IN (`+in+`)`, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id int64
			if err := rows.Scan(&id); err != nil {
				return err
			}
			held[id] = true
		}
		return rows.Err()
	})
	if err != nil {
		return nil, 0, fmt.Errorf("privacy: restricted: %w", err)
	}
	return slices.DeleteFunc(ids, func(id int64) bool { return held[id] }), len(held), nil
}

const disclosureColumns = `d.id, d.number, d.purpose, d.recipient, d.fields, d.customers, d.days, d.state, d.approval_id, d.department_id, d.lang, d.asked_by, d.asked_by_name, d.asked_at,
	d.decided_by, d.decided_at, d.file_id, d.sha256, d.made_at, d.expires_at`

func scanDisclosure(r interface{ Scan(...any) error }) (d Disclosure, err error) {
	var asked, decided, made, expires int64
	var fields string
	if err = r.Scan(&d.ID, &d.Number, &d.Purpose, &d.Recipient, &fields, &d.Customers, &d.Days, &d.State, &d.ApprovalID, &d.DepartmentID, (*string)(&d.Lang), &d.AskedBy, &d.AskedByName, &asked,
		&d.DecidedBy, &decided, &d.FileID, &d.SHA256, &made, &expires); err != nil {
		return d, err
	}
	d.AskedAt, d.DecidedAt, d.MadeAt, d.ExpiresAt = db.FromMicros(asked), db.FromMicros(decided), db.FromMicros(made), db.FromMicros(expires)
	return d, json.Unmarshal([]byte(fields), &d.Fields)
}

var disclosureScope = authz.Columns{Owners: []string{"d.asked_by"}, Department: "d.department_id"}

// Disclosures returns at most limit requests older than before (0: the newest).
func (s *Service) Disclosures(ctx context.Context, actor authz.Actor, state string, before int64, limit int) ([]Disclosure, error) {
	var a db.Args
	where := authz.For(actor, PermView).Where(&a, disclosureScope)
	if state != "" {
		where += " AND d.state = " + a.Add(state)
	}
	if before > 0 {
		where += " AND d.id < " + a.Add(before)
	}
	rows, err := s.db().Read().Query(ctx, `SELECT `+disclosureColumns+` FROM disclosures d WHERE `+where+` ORDER BY d.id DESC LIMIT `+strconv.Itoa(limit), a.Values...)
	if err != nil {
		return nil, fmt.Errorf("privacy: disclosures: %w", err)
	}
	defer rows.Close()
	var out []Disclosure
	for rows.Next() {
		d, err := scanDisclosure(rows)
		if err != nil {
			return nil, fmt.Errorf("privacy: disclosures: %w", err)
		}
		out = append(out, d)
	}
	return out, rows.Err()
}

// Disclosure returns one the actor may see.
func (s *Service) Disclosure(ctx context.Context, actor authz.Actor, id int64) (Disclosure, error) {
	var a db.Args
	where := "d.id = " + a.Add(id) + " AND " + authz.For(actor, PermView).Where(&a, disclosureScope)
	return s.disclosure(ctx, s.db().Read(), where, "", a.Values...)
}

func (s *Service) disclosure(ctx context.Context, q db.Querier, where, lock string, args ...any) (Disclosure, error) {
	d, err := scanDisclosure(q.QueryRow(ctx, `SELECT `+disclosureColumns+` FROM disclosures d WHERE `+where+lock, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return d, notFound()
	}
	if err != nil {
		return d, fmt.Errorf("privacy: disclosure: %w", err)
	}
	return d, nil
}

// FieldNames are the columns of a disclosure in l, the clear ones marked.
func FieldNames(l i18n.Lang, fields []string) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = i18n.T(l, "customer.disclosure."+f)
	}
	return strings.Join(names, i18n.T(l, "privacy.comma"))
}

func (s *Service) describeDisclosure(ctx context.Context, q db.Querier, r approval.Request, l i18n.Lang) ([]approval.Line, error) {
	var data disclosureData
	if err := r.Decode(&data); err != nil {
		return nil, err
	}
	d, err := s.disclosure(ctx, q, `d.id = $1`, "", data.ID)
	if err != nil {
		return nil, err
	}
	var clear []string
	for _, f := range d.Fields {
		if slices.Contains(customer.ClearFields, f) {
			clear = append(clear, f)
		}
	}
	lines := []approval.Line{
		{Label: i18n.T(l, "privacy.disclosure.number"), Value: d.Number, Href: fmt.Sprintf("/privacy/disclosures/%d", d.ID)},
		{Label: i18n.T(l, "privacy.disclosure.recipient"), Value: d.Recipient},
		{Label: i18n.T(l, "privacy.disclosure.customers"), Value: i18n.T(l, "privacy.disclosure.customers_n", d.Customers)},
		{Label: i18n.T(l, "privacy.disclosure.fields"), Value: FieldNames(l, d.Fields)},
		{Label: i18n.T(l, "privacy.disclosure.days"), Value: i18n.T(l, "privacy.days_n", d.Days)},
	}
	if len(clear) > 0 {
		lines = append(lines, approval.Line{Label: i18n.T(l, "privacy.disclosure.clear"), Value: FieldNames(l, clear)})
	}
	return lines, nil
}

func (s *Service) disclosureDecided(ctx context.Context, a *action.Action, r approval.Request) error {
	var data disclosureData
	if err := r.Decode(&data); err != nil {
		return err
	}
	d, err := s.disclosure(ctx, a, `d.id = $1`, a.ForUpdate(), data.ID)
	if err != nil {
		return err
	}
	state := string(r.State)
	if r.State == approval.Approved {
		state = "running"
		if _, err := s.Jobs.Enqueue(ctx, a.Tx, jobDisclose, jobArgs{d.ID}, job.Opts{UniqueKey: fmt.Sprintf("privacy.disclose:%d", d.ID), By: d.AskedBy}); err != nil {
			return err
		}
	}
	if _, err := a.Exec(ctx, `UPDATE disclosures SET state = $1, decided_by = $2, decided_at = $3 WHERE id = $4`, state, deciders(r), a.NowMicros(), d.ID); err != nil {
		return fmt.Errorf("privacy: disclosure %d: %w", d.ID, err)
	}
	a.Record(event.Event{Kind: DisclosureEnded, Subject: aboutDisclosure(d.ID), Data: Fact{Args: []string{d.Number, d.Recipient, "@approval.state." + string(r.State)}}})
	return nil
}

// workDisclose makes the file.
func (s *Service) workDisclose(ctx context.Context, j *job.Job) error {
	var args jobArgs
	if err := j.Decode(&args); err != nil {
		return job.Discard(err)
	}
	d, err := s.disclosure(ctx, s.db().Read(), `d.id = $1`, "", args.ID)
	if err != nil {
		return err
	}
	if d.State != "running" {
		return nil
	}
	ids, err := s.disclosed(ctx, d.ID)
	if err != nil {
		return err
	}
	company, err := s.Company(ctx, d.Lang)
	if err != nil {
		return err
	}
	raw, err := s.workbook(ctx, d, ids, company)
	if err != nil {
		return err
	}
	m, err := s.Files.Receive(ctx, d.Number+".xlsx", bytes.NewReader(raw))
	if err != nil {
		return err
	}
	return s.run.Do(ctx, worker(), "privacy.disclose", func(ctx context.Context, a *action.Action) error {
		now, err := s.disclosure(ctx, a, `d.id = $1`, a.ForUpdate(), d.ID)
		if err != nil || now.State != "running" {
			a.Nothing()
			return err
		}
		f, err := s.Files.SaveTo(ctx, a, m, blob.Owner{Type: subjectDisclosure, ID: d.ID, Internal: true})
		if err != nil {
			return err
		}
		_, err = a.Exec(ctx, `UPDATE disclosures SET state = 'ready', file_id = $1, sha256 = $2, made_at = $3, expires_at = $4 WHERE id = $5`,
			f.ID, f.SHA256, a.NowMicros(), db.Micros(a.Now.AddDate(0, 0, d.Days)), d.ID)
		if err != nil {
			return fmt.Errorf("privacy: disclosure %d: %w", d.ID, err)
		}
		customer.NoteDisclosure(a, ids, d.Number, d.Recipient, d.Fields)
		a.Record(event.Event{Kind: DisclosureMade, Subject: aboutDisclosure(d.ID), Data: Fact{Number: d.Number, Title: d.Recipient, Args: []string{d.Number, d.Recipient, strconv.Itoa(len(ids))},
			Tell: []int64{d.AskedBy}, Link: fmt.Sprintf("/privacy/disclosures/%d", d.ID)}})
		return nil
	})
}

// disclosed returns the customers of a disclosure who are still there and may
// still be given to others.
func (s *Service) disclosed(ctx context.Context, id int64) (ids []int64, err error) {
	rows, err := s.db().Read().Query(ctx, `
		SELECT x.customer_id FROM disclosure_customers x
		WHERE  x.disclosure_id = $1 AND EXISTS (SELECT 1 FROM customers c WHERE c.id = x.customer_id AND c.gone = 0)
		  AND  NOT EXISTS (SELECT 1 FROM restrictions r WHERE r.customer_id = x.customer_id) ORDER BY x.customer_id`, id)
	if err != nil {
		return nil, fmt.Errorf("privacy: disclosed: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return nil, fmt.Errorf("privacy: disclosed: %w", err)
		}
		ids = append(ids, n)
	}
	return ids, rows.Err()
}

// Download is one time a file was fetched.
type Download struct {
	UserName, IP string
	At           time.Time
}

// Downloads returns who fetched the file of a disclosure or of a request, newest
// first. The caller has checked that the record may be seen.
func (s *Service) Downloads(ctx context.Context, owner string, id int64) ([]Download, error) {
	rows, err := s.db().Read().Query(ctx, `SELECT user_name, ip, at FROM privacy_downloads WHERE owner_type = $1 AND owner_id = $2 ORDER BY id DESC LIMIT 100`, owner, id)
	if err != nil {
		return nil, fmt.Errorf("privacy: downloads: %w", err)
	}
	defer rows.Close()
	var out []Download
	for rows.Next() {
		var d Download
		var at int64
		if err := rows.Scan(&d.UserName, &d.IP, &at); err != nil {
			return nil, fmt.Errorf("privacy: downloads: %w", err)
		}
		d.At = db.FromMicros(at)
		out = append(out, d)
	}
	return out, rows.Err()
}

// Owners of files that Downloads and fetch know.
const (
	OfDisclosure = subjectDisclosure
	OfRequest    = subjectRequest
)

// FetchDisclosure opens the file for who asked for it, and writes down that he
// fetched it.
func (s *Service) FetchDisclosure(ctx context.Context, actor authz.Actor, id int64) (blob.File, io.ReadSeekCloser, error) {
	d, err := s.Disclosure(ctx, actor, id)
	if err != nil {
		return blob.File{}, nil, err
	}
	if d.AskedBy != actor.ID && !actor.Can(PermManage) {
		return blob.File{}, nil, fault.New(fault.Forbidden, "privacy.disclosure.not_yours")
	}
	if d.State != "ready" || d.FileID == 0 || !s.db().Clock().Now().Before(d.ExpiresAt) {
		return blob.File{}, nil, fault.New(fault.Conflict, "privacy.disclosure.not_ready")
	}
	return s.fetch(ctx, actor, OfDisclosure, id, d.FileID, DisclosureFetched, aboutDisclosure(id), Fact{Args: []string{d.Number, d.Recipient}})
}

func (s *Service) fetch(ctx context.Context, actor authz.Actor, owner string, id, file int64, kind string, about event.Subject, fact Fact) (f blob.File, r io.ReadSeekCloser, err error) {
	err = s.run.Do(ctx, actor, "privacy.fetch", func(ctx context.Context, a *action.Action) error {
		if f, err = s.Files.Get(ctx, a, file); err != nil {
			return err
		}
		if _, err := a.Exec(ctx, `INSERT INTO privacy_downloads (owner_type, owner_id, user_id, user_name, ip, at) VALUES ($1, $2, $3, $4, $5, $6)`,
			owner, id, a.Actor.ID, a.Actor.Name, a.Actor.IP, a.NowMicros()); err != nil {
			return fmt.Errorf("privacy: fetch: %w", err)
		}
		a.Record(event.Event{Kind: kind, Subject: about, Data: fact})
		return nil
	})
	if err != nil {
		return f, nil, err
	}
	r, err = s.Files.Store().Open(ctx, f.SHA256)
	return f, r, err
}

// Expire removes the files whose time is over; a duty.
func (s *Service) Expire(ctx context.Context) error {
	now := db.Micros(s.db().Clock().Now())
	type old struct{ id, file int64 }
	for _, table := range []string{"disclosures", "person_requests"} {
		rows, err := s.db().Read().Query(ctx, `SELECT id, file_id FROM `+table+` WHERE file_id > 0 AND expires_at <= $1 ORDER BY id LIMIT 500`, now)
		if err != nil {
			return fmt.Errorf("privacy: expire: %w", err)
		}
		var olds []old
		for rows.Next() {
			var o old
			if err := rows.Scan(&o.id, &o.file); err != nil {
				rows.Close()
				return fmt.Errorf("privacy: expire: %w", err)
			}
			olds = append(olds, o)
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return fmt.Errorf("privacy: expire: %w", err)
		}
		for _, o := range olds {
			f, err := s.Files.Get(ctx, s.db().Read(), o.file)
			if err == nil {
				err = s.removeFiles(ctx, []blob.File{f}, "privacy.expire")
			} else if fault.Is(err, fault.NotFound) {
				err = nil
			}
			if err != nil {
				return err
			}
			if table != "disclosures" {
				continue
			}
			err = s.run.Do(ctx, worker(), "privacy.expire", func(ctx context.Context, a *action.Action) error {
				d, err := s.disclosure(ctx, a, `d.id = $1`, "", o.id)
				if err != nil {
					return err
				}
				if _, err := a.Exec(ctx, `UPDATE disclosures SET state = 'expired', file_id = 0 WHERE id = $1`, o.id); err != nil {
					return err
				}
				a.Record(event.Event{Kind: DisclosureExpired, Subject: aboutDisclosure(o.id), Data: Fact{Args: []string{d.Number, d.Recipient}}})
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
