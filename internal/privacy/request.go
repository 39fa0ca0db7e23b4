package privacy

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/calendar"
	"bihuan/internal/cnid"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/job"
	"bihuan/internal/number"
	"bihuan/internal/setting"
	"bihuan/internal/ticket"
)

// What a person may ask for; named privacy.right.<kind>.
const (
	Access   = "access"   // see and have a copy of his data
	Correct  = "correct"  // have wrong data corrected
	Erase    = "erase"    // be forgotten
	Restrict = "restrict" // not be used any further
	Withdraw = "withdraw" // take consent back
)

// Rights in the order they are offered.
var Rights = []string{Access, Correct, Erase, Restrict, Withdraw}

// States of a request; named privacy.request.state.<state>.
const (
	Open    = "open"
	Running = "running"
	Done    = "done"
	Refused = "refused"
)

// RequestStates in the order of life.
var RequestStates = []string{Open, Running, Done, Refused}

// CameBy says on which way a request came; named privacy.came_by.<way>.
var CameBy = []string{"phone", "email", "letter", "visit", "portal", "authority"}

// Request is a person's request about his own data (GOV-4).
type Request struct {
	ID           int64
	Number       string
	Kind         string
	State        string
	Person       string // masked
	CameBy       string
	Words        string
	IdentityBy   string // how we know that it is he
	IdentityAt   time.Time
	DueAt        time.Time
	Found        *Found // nil: nobody has looked yet
	Customers    []int64
	Contacts     []int64
	Outcome      string
	Working      string // find, export, erase; "" nothing goes on
	Failure      string
	FileID       int64
	ExpiresAt    time.Time
	ErasureID    int64
	CreatedBy    int64
	CreatedName  string
	CreatedAt    time.Time
	ClosedByName string
	ClosedAt     time.Time
	Version      int64

	sealed []byte
}

// Busy reports whether a job works on the request.
func (r Request) Busy() bool { return r.Working != "" }

// Ended reports whether it is closed.
func (r Request) Ended() bool { return r.State == Done || r.State == Refused }

// Late reports whether the deadline is over.
func (r Request) Late(now time.Time) bool { return !r.Ended() && now.After(r.DueAt) }

// Found is what a search for the person has brought up.
type Found struct {
	At     time.Time            `json:"at"`
	People []customer.PersonHit `json:"people,omitempty"`
	Places []Place              `json:"places,omitempty"` // texts that name him
	Files  []FoundFile          `json:"files,omitempty"`
	Events int                  `json:"events"`
	Rows   int64                `json:"rows"` // looked at
	Shared int                  `json:"shared,omitempty"`
}

// FoundFile is a file that holds something of the person, or belongs to his
// records.
type FoundFile struct {
	ID    int64  `json:"id"`
	Name  string `json:"name"`
	Owner string `json:"owner"`
	Ref   int64  `json:"ref"`
}

// Total is how many places there are.
func (f *Found) Total() int {
	n := len(f.Files) + f.Events + len(f.People)
	for _, p := range f.Places {
		n += p.Rows
	}
	return n
}

// Wanted is the person as he is registered: what he is found by.
type Wanted struct {
	Values  Values   `json:"values"`
	Numbers []string `json:"numbers,omitempty"` // of customers
}

// masked names the person without saying who he is.
func (w Wanted) masked() string {
	var parts []string
	for _, n := range w.Values.Names {
		parts = append(parts, cnid.MaskName(n))
	}
	for _, p := range w.Values.Phones {
		parts = append(parts, cnid.MaskPhone(p))
	}
	for _, e := range w.Values.Emails {
		parts = append(parts, cnid.MaskEmail(e))
	}
	parts = append(parts, w.Numbers...)
	if len(parts) > 3 {
		parts = parts[:3]
	}
	if len(parts) == 0 {
		return cnid.Hidden
	}
	return strings.Join(parts, " ")
}

// RequestInput is a request as it was typed. Each field may hold several values,
// one a line or parted by commas.
type RequestInput struct {
	Kind, CameBy, Words                               string
	Names, Phones, Emails, Handles, Addresses, Others string
	Numbers                                           string
	Identity                                          string
}

func several(s string) (out []string) {
	for _, v := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune("\n\r;；,，、", r) }) {
		if v = line(v); v != "" && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// DeadlineSetting is how many working days a request may take.
const (
	DeadlineSetting = "privacy.deadline_days"
	DefaultDeadline = 15
)

func (s *Service) deadline(ctx context.Context, q db.Querier) (days int, err error) {
	days = DefaultDeadline
	err = setting.Read(ctx, q, DeadlineSetting, &days)
	return days, err
}

// Register takes a person's request in.
func (s *Service) Register(ctx context.Context, actor authz.Actor, in RequestInput) (r Request, err error) {
	err = s.run.Do(ctx, actor, "privacy.register_request", func(ctx context.Context, a *action.Action) error {
		r, err = s.RegisterIn(ctx, a, in)
		return err
	})
	return r, err
}

// RegisterIn is Register inside another action.
func (s *Service) RegisterIn(ctx context.Context, a *action.Action, in RequestInput) (r Request, err error) {
	if err := a.Actor.Check(PermRegister); err != nil {
		return r, err
	}
	w := Wanted{Values: Values{Names: several(in.Names), Phones: several(in.Phones), Emails: several(in.Emails), Handles: several(in.Handles), Others: several(in.Others)}, Numbers: several(in.Numbers)}
	for _, addr := range strings.Split(in.Addresses, "\n") {
		if addr = line(addr); addr != "" {
			w.Values.Addresses = append(w.Values.Addresses, addr)
		}
	}
	e := fault.Invalidf("privacy.request.invalid")
	if !slices.Contains(Rights, in.Kind) {
		e.Field("kind", "privacy.request.kind_required")
	}
	if !slices.Contains(CameBy, in.CameBy) {
		e.Field("came_by", "privacy.request.came_by_required")
	}
	if len(w.Values.Phones)+len(w.Values.Emails)+len(w.Values.Handles)+len(w.Numbers) == 0 && len(w.Values.Names) == 0 {
		e.Field("phones", "privacy.request.person_required")
	}
	for _, p := range w.Values.Phones {
		if _, err := cnid.ParsePhone(p); err != nil {
			e.Field("phones", "privacy.request.phone_invalid", p)
		}
	}
	for _, m := range w.Values.Emails {
		if cnid.CheckEmail(m) != nil {
			e.Field("emails", "privacy.request.email_invalid", m)
		}
	}
	in.Words, in.Identity = strings.TrimSpace(in.Words), line(in.Identity)
	if utf8.RuneCountInString(in.Words) > 2000 {
		e.Field("words", "privacy.too_long", 2000)
	}
	if utf8.RuneCountInString(in.Identity) > 500 {
		e.Field("identity", "privacy.too_long", 500)
	}
	if err := e.OrNil(); err != nil {
		return r, err
	}
	// What he says may name himself; it is kept without.
	in.Words, _ = wordsOf(w.Values, false).blacken(in.Words)
	in.Identity, _ = wordsOf(w.Values, false).blacken(in.Identity)
	num, err := number.Next(ctx, a.Tx, "person_request", "GR{yyyyMMdd}{3}", a.Now)
	if err != nil {
		return r, err
	}
	days, err := s.deadline(ctx, a)
	if err != nil {
		return r, err
	}
	var identityAt int64
	if in.Identity != "" {
		identityAt = a.NowMicros()
	}
	book, err := calendar.Load(ctx, a)
	if err != nil {
		return r, err
	}
	r = Request{Number: num, Kind: in.Kind, State: Open, Person: w.masked(), CameBy: in.CameBy, Words: in.Words, IdentityBy: in.Identity, IdentityAt: db.FromMicros(identityAt),
		DueAt: workingDays(book, a.Now, days), CreatedBy: a.Actor.ID, CreatedName: a.Actor.Name, CreatedAt: a.Now, Version: 1}
	err = a.QueryRow(ctx, `
		INSERT INTO person_requests (number, kind, person_masked, came_by, words, identity_by, identity_at, due_at, created_by, created_by_name, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id`,
		r.Number, r.Kind, r.Person, in.CameBy, in.Words, in.Identity, identityAt, db.Micros(r.DueAt), a.Actor.ID, a.Actor.Name, a.NowMicros()).Scan(&r.ID)
	if err != nil {
		return r, fmt.Errorf("privacy: register: %w", err)
	}
	sealed, err := s.seal("person_requests", r.ID, "person", w)
	if err != nil {
		return r, err
	}
	if _, err := a.Exec(ctx, `UPDATE person_requests SET person_sealed = $1 WHERE id = $2`, sealed, r.ID); err != nil {
		return r, fmt.Errorf("privacy: register: %w", err)
	}
	a.Record(event.Event{Kind: RequestRegistered, Subject: aboutRequest(r.ID), Data: s.factOf(r)})
	return r, nil
}

func (s *Service) factOf(r Request, more ...string) Fact {
	return Fact{Args: append([]string{r.Number, "@privacy.right." + r.Kind, r.Person}, more...)}
}

const requestColumns = `r.id, r.number, r.kind, r.state, r.person_sealed, r.person_masked, r.came_by, r.words, r.identity_by, r.identity_at, r.due_at, r.found, r.customers, r.contacts, r.outcome,
	r.working, r.failure, r.file_id, r.expires_at, r.erasure_id, r.created_by, r.created_by_name, r.created_at, r.closed_by_name, r.closed_at, r.version`

func scanRequest(row interface{ Scan(...any) error }) (r Request, err error) {
	var identity, due, expires, created, closed int64
	var found, customers, contacts string
	if err = row.Scan(&r.ID, &r.Number, &r.Kind, &r.State, &r.sealed, &r.Person, &r.CameBy, &r.Words, &r.IdentityBy, &identity, &due, &found, &customers, &contacts, &r.Outcome,
		&r.Working, &r.Failure, &r.FileID, &expires, &r.ErasureID, &r.CreatedBy, &r.CreatedName, &created, &r.ClosedByName, &closed, &r.Version); err != nil {
		return r, err
	}
	r.IdentityAt, r.DueAt, r.ExpiresAt, r.CreatedAt, r.ClosedAt = db.FromMicros(identity), db.FromMicros(due), db.FromMicros(expires), db.FromMicros(created), db.FromMicros(closed)
	if found != "" {
		r.Found = &Found{}
		err = json.Unmarshal([]byte(found), r.Found)
	}
	return r, errors.Join(err, json.Unmarshal([]byte(customers), &r.Customers), json.Unmarshal([]byte(contacts), &r.Contacts))
}

// requestsOf is the condition on requests the actor may see: all for who serves
// them or sees the register, else what he took in himself.
func requestsOf(a *db.Args, actor authz.Actor) string {
	switch {
	case actor.Can(PermManage), actor.Level(PermView) == authz.All:
		return "1 = 1"
	case actor.Kind == authz.User && actor.ID != 0 && (actor.Can(PermView) || actor.Can(PermRegister)):
		return "r.created_by = " + a.Add(actor.ID)
	}
	return "1 = 0"
}

// Requests returns at most limit requests older than before (0: the newest).
func (s *Service) Requests(ctx context.Context, actor authz.Actor, state string, before int64, limit int) ([]Request, error) {
	var a db.Args
	where := requestsOf(&a, actor)
	if state != "" {
		where += " AND r.state = " + a.Add(state)
	}
	if before > 0 {
		where += " AND r.id < " + a.Add(before)
	}
	rows, err := s.db().Read().Query(ctx, `SELECT `+requestColumns+` FROM person_requests r WHERE `+where+` ORDER BY r.id DESC LIMIT `+strconv.Itoa(limit), a.Values...)
	if err != nil {
		return nil, fmt.Errorf("privacy: requests: %w", err)
	}
	defer rows.Close()
	var out []Request
	for rows.Next() {
		r, err := scanRequest(rows)
		if err != nil {
			return nil, fmt.Errorf("privacy: requests: %w", err)
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// Late returns how many open requests are past their deadline.
func (s *Service) Late(ctx context.Context) (n int, err error) {
	err = s.db().Read().QueryRow(ctx, `SELECT COUNT(*) FROM person_requests WHERE state = 'open' AND due_at < $1`, db.Micros(s.db().Clock().Now())).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("privacy: late: %w", err)
	}
	return n, nil
}

// Request returns one the actor may see.
func (s *Service) Request(ctx context.Context, actor authz.Actor, id int64) (Request, error) {
	return s.request(ctx, s.db().Read(), actor, id, "")
}

func (s *Service) request(ctx context.Context, q db.Querier, actor authz.Actor, id int64, lock string) (Request, error) {
	var a db.Args
	r, err := scanRequest(q.QueryRow(ctx, `SELECT `+requestColumns+` FROM person_requests r WHERE r.id = `+a.Add(id)+` AND `+requestsOf(&a, actor)+lock, a.Values...))
	if errors.Is(err, sql.ErrNoRows) {
		return r, notFound()
	}
	if err != nil {
		return r, fmt.Errorf("privacy: request %d: %w", id, err)
	}
	return r, nil
}

// Wanted returns who the person is, in clear, for who serves the request; that
// he looked is recorded with what he does then.
func (s *Service) wanted(r Request) (w Wanted, err error) {
	return w, s.unseal("person_requests", r.ID, "person", r.sealed, &w)
}

// serve loads an open request of which nothing goes on, for who may serve it.
func (s *Service) serve(ctx context.Context, a *action.Action, id int64) (Request, error) {
	if err := a.Actor.Check(PermManage); err != nil {
		return Request{}, err
	}
	r, err := s.request(ctx, a, a.Actor, id, a.ForUpdate())
	switch {
	case err != nil:
		return r, err
	case r.Ended():
		return r, fault.New(fault.Conflict, "privacy.request.ended")
	case r.Busy() || r.State == Running:
		return r, fault.New(fault.Conflict, "privacy.request.busy")
	}
	return r, nil
}

// identified refuses to go on while nobody has checked who asks: his data must
// not be handed to, nor erased for, somebody else.
func identified(r Request) error {
	if r.IdentityAt.IsZero() {
		return fault.New(fault.Conflict, "privacy.request.identity_first")
	}
	return nil
}

// Identify notes how it was made sure that the person is who he says.
func (s *Service) Identify(ctx context.Context, actor authz.Actor, id int64, how string) error {
	how = line(how)
	if n := utf8.RuneCountInString(how); n < 4 || n > 500 {
		return fault.Invalidf("privacy.request.invalid").Field("identity", "privacy.request.identity_required")
	}
	return s.run.Do(ctx, actor, "privacy.identify", func(ctx context.Context, a *action.Action) error {
		if err := a.Actor.Check(PermRegister); err != nil {
			return err
		}
		r, err := s.request(ctx, a, a.Actor, id, a.ForUpdate())
		if err != nil {
			return err
		}
		if r.Ended() {
			return fault.New(fault.Conflict, "privacy.request.ended")
		}
		w, err := s.wanted(r)
		if err != nil {
			return err
		}
		how, _ = wordsOf(w.Values, false).blacken(how)
		if _, err := a.Exec(ctx, `UPDATE person_requests SET identity_by = $1, identity_at = $2, version = version + 1 WHERE id = $3`, how, a.NowMicros(), id); err != nil {
			return fmt.Errorf("privacy: identify: %w", err)
		}
		a.Record(event.Event{Kind: RequestChecked, Subject: aboutRequest(id), Data: s.factOf(r)})
		return nil
	})
}

// Search looks for everything about the person, in the background.
func (s *Service) Search(ctx context.Context, actor authz.Actor, id int64) error {
	return s.run.Do(ctx, actor, "privacy.search", func(ctx context.Context, a *action.Action) error {
		r, err := s.serve(ctx, a, id)
		if err != nil {
			return err
		}
		if err := s.enqueue(ctx, a, id, "find", jobFind); err != nil {
			return err
		}
		a.Record(event.Event{Kind: RequestSearched, Subject: aboutRequest(id), Data: s.factOf(r)})
		return nil
	})
}

func (s *Service) enqueue(ctx context.Context, a *action.Action, id int64, working, kind string) error {
	jobID, err := s.Jobs.Enqueue(ctx, a.Tx, kind, jobArgs{id}, job.Opts{UniqueKey: fmt.Sprintf("%s:%d", kind, id), By: a.Actor.ID, MaxAttempts: 5})
	if err != nil {
		return err
	}
	if _, err := a.Exec(ctx, `UPDATE person_requests SET working = $1, job_id = $2, failure = '', version = version + 1 WHERE id = $3`, working, jobID, id); err != nil {
		return fmt.Errorf("privacy: request %d: %w", id, err)
	}
	return nil
}

// workFind finds everything about the person of a request.
func (s *Service) workFind(ctx context.Context, j *job.Job) error {
	return s.onRequest(ctx, j, func(ctx context.Context, r Request, w Wanted) (set map[string]any, err error) {
		people, err := s.Rooms.Customers.FindPerson(ctx, s.db().Read(), customer.Wanted{Names: w.Values.Names, Phones: w.Values.Phones, Emails: w.Values.Emails, Wechats: w.Values.Handles, Numbers: w.Numbers})
		if err != nil {
			return nil, err
		}
		var customers, contacts []int64
		for _, h := range people {
			// Who has only the name may be somebody else: a person decides.
			if len(h.By) == 1 && h.By[0] == "name" && len(w.Values.Phones)+len(w.Values.Emails)+len(w.Values.Handles)+len(w.Numbers) > 0 {
				continue
			}
			if h.ContactID != 0 {
				contacts = append(contacts, h.ContactID)
			} else if h.Customer.Type == customer.Person || slices.Contains(h.By, "number") {
				customers = append(customers, h.Customer.ID)
			}
		}
		who, err := s.gather(ctx, s.db().Read(), customers, contacts, w.Values)
		if err != nil {
			return nil, err
		}
		p, err := s.ready(ctx, who)
		if err != nil {
			return nil, err
		}
		got, err := s.texts(ctx, p, false)
		if err != nil {
			return nil, err
		}
		files, _, err := s.contents(ctx, p)
		if err != nil {
			return nil, err
		}
		events, _, err := s.trail(ctx, p, r.Number, false)
		if err != nil {
			return nil, err
		}
		for i := range people { // names stay out of the row: they are read when they are shown
			people[i].Customer.Name, people[i].ContactName = cnid.MaskName(people[i].Customer.Name), cnid.MaskName(people[i].ContactName)
		}
		f := Found{At: s.db().Clock().Now().UTC(), People: people, Places: got.places, Events: events, Rows: got.rows, Shared: len(who.Shared)}
		for _, h := range files {
			name, _ := p.own.blacken(h.Name)
			f.Files = append(f.Files, FoundFile{ID: h.ID, Name: name, Owner: h.Owner.Type, Ref: h.Owner.ID})
		}
		return map[string]any{"found": text(f), "customers": ids(customers), "contacts": ids(contacts)}, nil
	})
}

func ids(l []int64) string {
	if l == nil {
		l = []int64{}
	}
	slices.Sort(l)
	return text(slices.Compact(l))
}

// onRequest lets do work on the request of a job, and writes down what it
// returns. A failure that stays is shown on the request's page.
func (s *Service) onRequest(ctx context.Context, j *job.Job, do func(ctx context.Context, r Request, w Wanted) (map[string]any, error)) error {
	var args jobArgs
	if err := j.Decode(&args); err != nil {
		return job.Discard(err)
	}
	r, err := s.request(ctx, s.db().Read(), worker(), args.ID, "")
	if err != nil {
		return err
	}
	w, err := s.wanted(r)
	if err != nil {
		return err
	}
	set, err := do(ctx, r, w)
	if err != nil {
		if j.Attempt < j.MaxAttempts {
			return err
		}
		set = map[string]any{"failure": "privacy.request.failed"}
	}
	return errors.Join(err, s.db().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		var a db.Args
		q := "working = ''"
		for _, k := range []string{"found", "customers", "contacts", "failure", "file_id", "expires_at"} {
			if v, ok := set[k]; ok {
				q += ", " + k + " = " + a.Add(v)
			}
		}
		_, err := tx.Exec(ctx, `UPDATE person_requests SET `+q+`, version = version + 1 WHERE id = `+a.Add(r.ID), a.Values...)
		return err
	}))
}

// Choose says which of the records that were found are the person's.
func (s *Service) Choose(ctx context.Context, actor authz.Actor, id int64, customers, contacts []int64) error {
	return s.run.Do(ctx, actor, "privacy.choose", func(ctx context.Context, a *action.Action) error {
		r, err := s.serve(ctx, a, id)
		if err != nil {
			return err
		}
		return s.choose(ctx, a, r, customers, contacts)
	})
}

// choose writes down the choice; only what the search has brought up can be
// chosen.
func (s *Service) choose(ctx context.Context, a *action.Action, r Request, customers, contacts []int64) error {
	if r.Found == nil {
		return fault.New(fault.Conflict, "privacy.request.search_first")
	}
	may := func(customer, contact int64) bool {
		return slices.ContainsFunc(r.Found.People, func(h customerHit) bool {
			return h.ContactID == contact && (customer == 0 || h.Customer.ID == customer)
		})
	}
	for _, c := range customers {
		if !may(c, 0) {
			return notFound()
		}
	}
	for _, c := range contacts {
		if c == 0 || !may(0, c) {
			return notFound()
		}
	}
	a.Nothing()
	if _, err := a.Exec(ctx, `UPDATE person_requests SET customers = $1, contacts = $2, version = version + 1 WHERE id = $3`, ids(slices.Clone(customers)), ids(slices.Clone(contacts)), r.ID); err != nil {
		return fmt.Errorf("privacy: choose: %w", err)
	}
	return nil
}

type customerHit = customer.PersonHit

// Erase forgets the person in the records chosen, and everywhere else by his
// values; in the background. It cannot be taken back.
func (s *Service) Erase(ctx context.Context, actor authz.Actor, id int64, customers, contacts []int64, outcome string) error {
	return s.run.Do(ctx, actor, "privacy.erase_request", func(ctx context.Context, a *action.Action) error {
		r, err := s.serve(ctx, a, id)
		if err != nil {
			return err
		}
		if r.Kind != Erase {
			return fault.New(fault.Conflict, "privacy.request.not_erase")
		}
		if err := identified(r); err != nil {
			return err
		}
		if err := s.choose(ctx, a, r, customers, contacts); err != nil {
			return err
		}
		w, err := s.wanted(r)
		if err != nil {
			return err
		}
		who, err := s.gather(ctx, a, customers, contacts, w.Values)
		if err != nil {
			return err
		}
		eid, err := s.begin(ctx, a, causeRequest, r.ID, r.Number, r.Person, a.Actor.Name, who)
		if err != nil {
			return err
		}
		outcome, _ := wordsOf(who.Values, false).blacken(limit(line(outcome), 1000))
		_, err = a.Exec(ctx, `
			UPDATE person_requests SET state = 'running', working = 'erase', erasure_id = $1, outcome = $2, closed_by_name = $3, found = '', version = version + 1 WHERE id = $4`,
			eid, outcome, a.Actor.Name, r.ID)
		if err != nil {
			return fmt.Errorf("privacy: erase: %w", err)
		}
		return nil
	})
}

// Close ends a request that is done: corrected, handed over.
func (s *Service) Close(ctx context.Context, actor authz.Actor, id int64, outcome string) error {
	return s.close(ctx, actor, id, Done, RequestClosed, outcome, nil)
}

// Refuse ends a request without doing what it asks for, with the reason the
// person is told.
func (s *Service) Refuse(ctx context.Context, actor authz.Actor, id int64, why string) error {
	return s.close(ctx, actor, id, Refused, RequestRefused, why, nil)
}

// Restrict ends a request by marking the customers chosen: their data is not
// given to others any more, and their page says so.
func (s *Service) Restrict(ctx context.Context, actor authz.Actor, id int64, customers []int64, outcome string) error {
	return s.close(ctx, actor, id, Done, Restricted, outcome, func(ctx context.Context, a *action.Action, r Request) error {
		if r.Kind != Restrict && r.Kind != Withdraw {
			return fault.New(fault.Conflict, "privacy.request.not_restrict")
		}
		if len(customers) == 0 {
			return fault.Invalidf("privacy.request.invalid").Field("customers", "privacy.request.choose_customers")
		}
		if err := identified(r); err != nil {
			return err
		}
		if err := s.choose(ctx, a, r, customers, nil); err != nil {
			return err
		}
		for _, c := range customers {
			_, err := a.Exec(ctx, `INSERT INTO restrictions (customer_id, kind, request_id, since) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`, c, r.Kind, r.ID, a.NowMicros())
			if err != nil {
				return fmt.Errorf("privacy: restrict: %w", err)
			}
		}
		return nil
	})
}

func (s *Service) close(ctx context.Context, actor authz.Actor, id int64, state, kind, outcome string, do func(ctx context.Context, a *action.Action, r Request) error) error {
	outcome = strings.TrimSpace(outcome)
	if n := utf8.RuneCountInString(outcome); n < 4 || n > 1000 {
		return fault.Invalidf("privacy.request.invalid").Field("outcome", "privacy.request.outcome_required")
	}
	return s.run.Do(ctx, actor, "privacy.close_request", func(ctx context.Context, a *action.Action) error {
		r, err := s.serve(ctx, a, id)
		if err != nil {
			return err
		}
		if state == Done && r.Kind == Erase && do == nil {
			return fault.New(fault.Conflict, "privacy.request.erase_first")
		}
		if do != nil {
			if err := do(ctx, a, r); err != nil {
				return err
			}
		}
		w, err := s.wanted(r)
		if err != nil {
			return err
		}
		outcome, _ := wordsOf(w.Values, false).blacken(outcome)
		_, err = a.Exec(ctx, `
			UPDATE person_requests SET state = $1, outcome = $2, closed_by_name = $3, closed_at = $4, person_sealed = NULL, found = '', version = version + 1 WHERE id = $5`,
			state, outcome, a.Actor.Name, a.NowMicros(), id)
		if err != nil {
			return fmt.Errorf("privacy: close: %w", err)
		}
		f := s.factOf(r)
		f.Number, f.Title, f.Tell, f.Link = r.Number, r.Person, []int64{r.CreatedBy}, fmt.Sprintf("/privacy/requests/%d", id)
		a.Record(event.Event{Kind: kind, Subject: aboutRequest(id), Data: f})
		return nil
	})
}

// Restriction says since when a customer's data must not be used.
type Restriction struct {
	CustomerID int64
	Kind       string // restrict, withdraw
	RequestID  int64
	Since      time.Time
}

// Restrictions returns those of a customer the caller has checked to be in the
// reader's view.
func (s *Service) Restrictions(ctx context.Context, customerID int64) ([]Restriction, error) {
	return s.restrictionsWhere(ctx, `customer_id = $1`, customerID)
}

// RestrictionsBy returns those a request has brought, of those that still hold.
func (s *Service) RestrictionsBy(ctx context.Context, requestID int64) ([]Restriction, error) {
	return s.restrictionsWhere(ctx, `request_id = $1`, requestID)
}

func (s *Service) restrictionsWhere(ctx context.Context, where string, id int64) ([]Restriction, error) {
	rows, err := s.db().Read().Query(ctx, `SELECT customer_id, kind, request_id, since FROM restrictions WHERE `+where+` ORDER BY customer_id, kind`, id)
	if err != nil {
		return nil, fmt.Errorf("privacy: restrictions: %w", err)
	}
	defer rows.Close()
	var out []Restriction
	for rows.Next() {
		var r Restriction
		var since int64
		if err := rows.Scan(&r.CustomerID, &r.Kind, &r.RequestID, &since); err != nil {
			return nil, fmt.Errorf("privacy: restrictions: %w", err)
		}
		r.Since = db.FromMicros(since)
		out = append(out, r)
	}
	return out, rows.Err()
}

// Lift ends a restriction.
func (s *Service) Lift(ctx context.Context, actor authz.Actor, customerID int64, kind string) error {
	if err := actor.Check(PermManage); err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "privacy.lift_restriction", func(ctx context.Context, a *action.Action) error {
		res, err := a.Exec(ctx, `DELETE FROM restrictions WHERE customer_id = $1 AND kind = $2`, customerID, kind)
		if err != nil {
			return fmt.Errorf("privacy: lift: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, notFound())
		}
		a.Record(event.Event{Kind: RestrictionLifted, Subject: customer.Subject(customerID), Data: Fact{Args: []string{"@privacy.right." + kind}}})
		return nil
	})
}

// restricted returns how many of the customers must not be used.
func (s *Service) restricted(ctx context.Context, q db.Querier, customers []int64) (n int, err error) {
	err = db.EachIn(customers, func(in string, args []any) error {
		var some int
		err := q.QueryRow(ctx, `SELECT COUNT(DISTINCT customer_id) FROM restrictions WHERE customer_id IN (`+in+`)`, args...).Scan(&some)
		n += some
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("privacy: restricted: %w", err)
	}
	return n, nil
}

// TicketNumbers returns the numbers of tickets that a search has named.
func (s *Service) TicketNumbers(ctx context.Context, ids []int64) ([]string, error) {
	m, err := ticket.Numbers(ctx, s.db().Read(), ids)
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, len(ids))
	for _, id := range ids {
		if n := m[id]; n != "" {
			out = append(out, n)
		}
	}
	return out, nil
}

// CustomerRefs returns the customers that a search has named, of those who are
// still there.
func (s *Service) CustomerRefs(ctx context.Context, ids []int64) ([]customer.Ref, error) {
	return customer.Refs(ctx, s.db().Read(), ids)
}
