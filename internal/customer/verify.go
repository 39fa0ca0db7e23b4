package customer

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/cnid"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/setting"
)

// What can be said of a field that is verified, and of a verification as a
// whole; named customer.verify.<answer>.
const (
	Confirmed = "confirmed"
	Corrected = "corrected"
	Unknown   = "unknown" // it could not be found out
)

// Answers in the order they are offered.
var Answers = []string{Confirmed, Corrected, Unknown}

// VerifyField is one thing to be confirmed. Input is what [Input] and its
// faults call it, Key what stays its name when contacts come and go.
type VerifyField struct {
	Key       string // name, contact.12.phone
	Input     string // name, contacts.0.phone
	Name      string // of the field alone: phone
	Value     string // as stored; masked where Sensitive
	Contact   Contact
	Sensitive bool
}

// VerifyFields lists what is to be confirmed of a profile, in order.
func VerifyFields(c Customer) []VerifyField {
	var out []VerifyField
	add := func(name, value string, sensitive bool) {
		out = append(out, VerifyField{Key: name, Input: name, Name: name, Value: value, Sensitive: sensitive})
	}
	add("name", c.Name, false)
	if c.Type == Company {
		add("uscc", c.USCC, false)
		add("industry", c.Industry, false)
		add("website", c.Website, false)
	}
	add("region", c.Region, false)
	add("address", c.Address, true)
	for i, k := range c.Contacts {
		of := func(name, value string, sensitive bool) {
			out = append(out, VerifyField{Key: fmt.Sprintf("contact.%d.%s", k.ID, name), Input: fmt.Sprintf("contacts.%d.%s", i, name), Name: name, Value: value, Contact: k, Sensitive: sensitive})
		}
		if c.Type == Company {
			of("name", k.Name, false)
			of("position", k.Position, false)
		}
		of("phone", k.Phone, true)
		of("email", k.Email, true)
		if k.Wechat != "" {
			of("wechat", k.Wechat, true)
		}
	}
	return out
}

// VerifyInput is the outcome of a verification; Answers and Values go by
// [VerifyField].Input.
type VerifyInput struct {
	Version         int64
	Answers         map[string]string
	Values          map[string]string // of the corrected ones; "" empties the field
	Note            string
	DuplicateReason string
}

// InputOf is the profile as an [Service.Update] that changes nothing takes it.
func InputOf(c Customer) Input {
	in := Input{Type: c.Type, Name: c.Name, USCC: c.USCC, Industry: c.Industry, Level: c.Level, Source: c.Source, Region: c.Region, Website: c.Website,
		Remark: c.Remark, OwnerID: c.OwnerID, DepartmentID: c.DepartmentID, FirstContactAt: c.FirstContactAt}
	for _, k := range c.Contacts {
		in.Contacts = append(in.Contacts, ContactInput{ID: k.ID, Name: k.Name, Gender: k.Gender, Position: k.Position, Role: k.Role, Primary: k.Primary})
	}
	return in
}

// correct puts a corrected value into the input.
func (in *Input) correct(f VerifyField, v string) {
	if f.Contact.ID == 0 {
		switch f.Name {
		case "name":
			in.Name = v
		case "uscc":
			in.USCC = v
		case "industry":
			in.Industry = v
		case "website":
			in.Website = v
		case "region":
			in.Region = v
		case "address":
			in.Address, in.ClearAddress = v, v == ""
		}
		return
	}
	i := slices.IndexFunc(in.Contacts, func(c ContactInput) bool { return c.ID == f.Contact.ID })
	c := &in.Contacts[i]
	switch f.Name {
	case "name":
		c.Name = v
	case "position":
		c.Position = v
	case "phone":
		c.Phone = v
	case "email":
		c.Email, c.ClearEmail = v, v == ""
	case "wechat":
		c.Wechat, c.ClearWechat = v, v == ""
	}
}

// VerifiedData is the data of VerifiedKind. What was corrected stands in the
// Changed fact beside it.
type VerifiedData struct {
	Result  string   `json:"result"`
	Unknown []string `json:"unknown,omitempty"` // fields, without whose
	Next    string   `json:"next,omitempty"`    // day
}

// Verify records that the profile was gone through field by field: what was
// confirmed, corrected, or could not be found out. Corrections go the way of
// every change; the next date follows from the level.
func (s *Service) Verify(ctx context.Context, actor authz.Actor, id int64, in VerifyInput) (result string, err error) {
	err = s.run.Do(ctx, actor, "customer.verify", func(ctx context.Context, a *action.Action) error {
		if err := s.may(ctx, a, id, PermEdit); err != nil {
			return err
		}
		old, err := s.load(ctx, a, id)
		if err != nil {
			return err
		}
		if old.Version != in.Version {
			return fault.New(fault.Conflict, "customer.stale")
		}
		e := fault.Invalidf("customer.invalid")
		in.Note = line(in.Note)
		limit(e, "note", "customer.verify.note", in.Note, maxLine)
		answers := map[string]string{}
		change := InputOf(old)
		var unknown []string
		result = Confirmed
		for _, f := range VerifyFields(old) {
			answer := in.Answers[f.Input]
			if !slices.Contains(Answers, answer) {
				e.Field("a."+f.Input, "customer.verify.answer")
				continue
			}
			answers[f.Key] = answer
			switch v := strings.TrimSpace(in.Values[f.Input]); answer {
			case Corrected:
				result = Corrected
				if v == "" && (f.Name == "name" || f.Name == "phone") {
					e.Field(f.Input, "customer.verify.value")
				}
				change.correct(f, v)
			case Unknown:
				unknown = append(unknown, f.Name)
				if result == Confirmed {
					result = Unknown
				}
			}
		}
		if err := e.OrNil(); err != nil {
			return err
		}
		if result == Corrected {
			reason := in.Note
			if reason == "" {
				reason = i18n.T(a.Actor.Lang, "customer.verify.reason")
			}
			change.DuplicateReason = in.DuplicateReason
			if _, err := s.update(ctx, a, id, in.Version, change, reason); err != nil {
				return err
			}
		}
		care, err := s.care(ctx, a)
		if err != nil {
			return err
		}
		next := nextVerification(care, old.Level, a.Now)
		fields, err := json.Marshal(answers)
		if err != nil {
			return fmt.Errorf("customer: verify: %w", err)
		}
		by := int64(0)
		if a.Actor.Kind == authz.User {
			by = a.Actor.ID
		}
		_, err = a.Exec(ctx, `UPDATE customers SET verified_at = $1, verify_at = $2 WHERE id = $3`, a.NowMicros(), db.Micros(next), id)
		if err == nil {
			_, err = a.Exec(ctx, `INSERT INTO verifications (customer_id, due_at, result, fields, note, next_at, by_id, by_name, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
				id, db.Micros(old.VerifyAt), result, string(fields), in.Note, db.Micros(next), by, a.Actor.Name, a.NowMicros())
		}
		if err != nil {
			return fmt.Errorf("customer: verify %d: %w", id, err)
		}
		slices.Sort(unknown)
		a.Record(event.Event{Kind: VerifiedKind, Subject: Subject(id), Reason: in.Note, Data: VerifiedData{result, slices.Compact(unknown), day(next)}})
		return nil
	})
	return result, err
}

// nextVerification is the day on which a profile of the level, right at from, is
// to be confirmed again; the zero time when never.
func nextVerification(care Care, l Level, from time.Time) time.Time {
	months := care.Levels[l].VerifyMonths
	if months <= 0 {
		return time.Time{}
	}
	return dayOf(from.In(dayOf(from).Location()).AddDate(0, months, 0))
}

// schedule is when a profile is to be confirmed, from what is known of it now.
// Nobody becomes due at once, and many that should have been long ago are
// spread over their rhythm, so that a table of old customers is not due on one
// day.
func schedule(care Care, l Level, id int64, base, now time.Time) time.Time {
	next := nextVerification(care, l, base)
	tomorrow := dayOf(now).AddDate(0, 0, 1)
	if next.IsZero() || !next.Before(tomorrow) {
		return next
	}
	return tomorrow.AddDate(0, 0, int(id%int64(30*care.Levels[l].VerifyMonths)))
}

// scheduleMissing sets the dates of those customers who have none; with all,
// of everybody who is not overdue already.
func (s *Service) scheduleMissing(ctx context.Context, tx *db.Tx, care Care, ids []int64, all bool) error {
	var values []any
	err := db.EachIn(ids, func(in string, args []any) error {
		rows, err := tx.Query(ctx, `SELECT id, level, created_at, verified_at, verify_at FROM customers WHERE id IN (`+in+`)`, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id, created, verified, at int64
			var l Level
			if err := rows.Scan(&id, (*string)(&l), &created, &verified, &at); err != nil {
				return err
			}
			if at != 0 && (!all || at <= tx.NowMicros()) {
				continue
			}
			next := db.Micros(schedule(care, l, id, db.FromMicros(max(created, verified)), tx.Now))
			if next != at {
				values = append(values, id, next)
			}
		}
		return rows.Err()
	})
	if err == nil && len(values) > 0 {
		err = tx.UpdateMany(ctx, `UPDATE customers SET verify_at = v.column2`, `customers.id = v.column1`, []string{"BIGINT", "BIGINT"}, values)
	}
	if err != nil {
		return fmt.Errorf("customer: dates of verification: %w", err)
	}
	return nil
}

// reschedule sets the date anew after the level has changed.
func (s *Service) reschedule(ctx context.Context, tx *db.Tx, id int64, l Level) error {
	care, err := s.care(ctx, tx)
	if err != nil {
		return err
	}
	var created, verified int64
	if err := tx.QueryRow(ctx, `SELECT created_at, verified_at FROM customers WHERE id = $1`, id).Scan(&created, &verified); err != nil {
		return fmt.Errorf("customer: verification of %d: %w", id, err)
	}
	next := nextVerification(care, l, db.FromMicros(max(created, verified)))
	if soon := dayOf(tx.Now).AddDate(0, 0, 7); !next.IsZero() && next.Before(soon) {
		next = soon
	}
	if _, err := tx.Exec(ctx, `UPDATE customers SET verify_at = $1 WHERE id = $2`, db.Micros(next), id); err != nil {
		return fmt.Errorf("customer: verification of %d: %w", id, err)
	}
	return nil
}

// Leads says who answers for a department and who stands in for somebody.
// *org.Service does; the program hands it in with [Service.AskLeads].
type Leads interface {
	SupervisorOf(ctx context.Context, q db.Querier, departmentID int64) (userID int64, err error)
	StandIn(ctx context.Context, q db.Querier, userID int64) (int64, error)
}

// AskLeads lets profiles without an owner be verified by the supervisor of
// their department, and supervisors hear of what is overdue.
func (s *Service) AskLeads(l Leads) { s.leads = l }

// VerificationFilter selects among the profiles that are to be confirmed.
type VerificationFilter struct {
	Mine    bool // the reader's own to do; else all he may edit
	Overdue bool // only those whose day has passed; else those of the coming two weeks too
	After   string
	Limit   int // 0: 25
}

const verifyAhead = 14 // days

// Verifications returns the profiles that are to be confirmed, the longest due
// first, and the cursor of what follows.
func (s *Service) Verifications(ctx context.Context, actor authz.Actor, f VerificationFilter) (rows []Row, next string, err error) {
	if f.Limit <= 0 || f.Limit > 200 {
		f.Limit = 25
	}
	query, args, err := s.verifications(ctx, actor, f, f.Limit+1)
	if err != nil || query == "" {
		return nil, "", err
	}
	q := s.db().Read()
	found, err := q.Query(ctx, query+` ORDER BY k, id LIMIT `+strconv.Itoa(f.Limit+1), args...)
	if err != nil {
		return nil, "", fmt.Errorf("customer: verifications: %w", err)
	}
	defer found.Close()
	var ids, keys []int64
	for found.Next() {
		var id, k int64
		if err := found.Scan(&id, &k); err != nil {
			return nil, "", fmt.Errorf("customer: verifications: %w", err)
		}
		ids, keys = append(ids, id), append(keys, k)
	}
	if err := found.Err(); err != nil {
		return nil, "", fmt.Errorf("customer: verifications: %w", err)
	}
	if len(ids) > f.Limit {
		ids = ids[:f.Limit]
		next = cursorOf(keys[f.Limit-1], ids[f.Limit-1])
	}
	rows, err = s.rows(ctx, q, ids)
	return rows, next, err
}

// VerificationsWaiting counts what [Service.Verifications] would list, at most
// most.
func (s *Service) VerificationsWaiting(ctx context.Context, actor authz.Actor, f VerificationFilter, most int) (n int, err error) {
	query, args, err := s.verifications(ctx, actor, f, most)
	if err != nil || query == "" {
		return 0, err
	}
	if err := s.db().Read().QueryRow(ctx, `SELECT COUNT(*) FROM (`+query+` LIMIT `+strconv.Itoa(most)+`) n`, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("customer: verifications: %w", err)
	}
	return n, nil
}

// verifications is the query of both; "" when there is nothing to look for.
func (s *Service) verifications(ctx context.Context, actor authz.Actor, f VerificationFilter, limit int) (string, []any, error) {
	sc := authz.For(actor, PermEdit)
	if sc.Empty() {
		return "", nil, nil
	}
	now := s.db().Clock().Now()
	until := db.Micros(now)
	if !f.Overdue {
		until = db.Micros(now.AddDate(0, 0, verifyAhead))
	}
	var a db.Args
	at, last, paged := parseCursor(f.After)
	arm := func(of string) string {
		where := `c.verify_at > 0 AND c.verify_at <= ` + a.Add(until) + ` AND ` + of + ` AND ` + within(sc, &a)
		if paged {
			where += " AND (c.verify_at, c.id) > (" + a.Add(at) + ", " + a.Add(last) + ")"
		}
		return `SELECT c.id AS id, c.verify_at AS k FROM customers c WHERE ` + where + ` ORDER BY c.verify_at, c.id LIMIT ` + strconv.Itoa(limit)
	}
	var arms []string
	add := func(cond string) {
		arms = append(arms, `SELECT id, k FROM (`+arm(cond)+`) b`+strconv.Itoa(len(arms)))
	}
	switch {
	case f.Mine:
		add("c.owner_id = " + a.Add(actor.ID))
		led, err := s.led(ctx, actor)
		if err != nil {
			return "", nil, err
		}
		for _, d := range led {
			add("c.owner_id = 0 AND c.department_id = " + a.Add(d))
		}
	case sc.Everything() || len(sc.Departments())+2 > maxBranches:
		add("1 = 1")
	default:
		for _, d := range sc.Departments() {
			add("c.department_id = " + a.Add(d))
		}
		add("c.owner_id = " + a.Add(sc.User()))
	}
	return `SELECT id, k FROM (` + strings.Join(arms, ` UNION `) + `) u`, a.Values, nil
}

// led are the departments the actor answers for.
func (s *Service) led(ctx context.Context, actor authz.Actor) ([]int64, error) {
	if s.leads == nil {
		return nil, nil
	}
	var out []int64
	for _, d := range actor.Under {
		lead, err := s.leads.SupervisorOf(ctx, s.db().Read(), d)
		if err != nil {
			return nil, err
		}
		if lead == actor.ID && len(out) < maxBranches {
			out = append(out, d)
		}
	}
	return out, nil
}

// Verification is one that was done.
type Verification struct {
	DueAt, At, NextAt time.Time
	Result            string
	Fields            map[string]string // by VerifyField.Key
	Note, By          string
}

// Count returns how many fields got the answer.
func (v Verification) Count(answer string) (n int) {
	for _, a := range v.Fields {
		if a == answer {
			n++
		}
	}
	return n
}

// VerificationHistory returns the verifications of a customer the reader may
// see, newest first.
func (s *Service) VerificationHistory(ctx context.Context, sc authz.Scope, id int64) ([]Verification, error) {
	q := s.db().Read()
	if err := s.visible(ctx, q, sc, id); err != nil {
		return nil, err
	}
	rows, err := q.Query(ctx, `SELECT due_at, at, next_at, result, fields, note, by_name FROM verifications WHERE customer_id = $1 ORDER BY id DESC LIMIT 50`, id)
	if err != nil {
		return nil, fmt.Errorf("customer: verifications of %d: %w", id, err)
	}
	defer rows.Close()
	var out []Verification
	for rows.Next() {
		var v Verification
		var due, at, next int64
		var fields string
		if err := rows.Scan(&due, &at, &next, &v.Result, &fields, &v.Note, &v.By); err != nil {
			return nil, fmt.Errorf("customer: verifications of %d: %w", id, err)
		}
		if err := json.Unmarshal([]byte(fields), &v.Fields); err != nil {
			return nil, fmt.Errorf("customer: verifications of %d: %w", id, err)
		}
		v.DueAt, v.At, v.NextAt = db.FromMicros(due), db.FromMicros(at), db.FromMicros(next)
		out = append(out, v)
	}
	return out, rows.Err()
}

// NoticeData is the data of facts that only tell somebody something: who, in
// which words, and where it leads.
type NoticeData struct {
	Number string   `json:"number"`
	Title  string   `json:"title"`
	Args   []string `json:"args,omitempty"`
	Tell   []int64  `json:"tell"`
	Link   string   `json:"link,omitempty"`
}

const remindHour = 8 // of the company's day: nobody is woken for it

// remind tells, once for each date, who is to confirm which profiles, and
// supervisors what has not been done so many days later. It happens once a day
// and in one notice for each person, however many profiles it is about.
func (s *Service) remind(ctx context.Context, care Care) error {
	now := s.db().Clock().Now()
	today := dayOf(now)
	if now.Before(today.Add(remindHour * time.Hour)) {
		return nil
	}
	var st careState
	if err := setting.Read(ctx, s.db().Read(), careStateSetting, &st); err != nil {
		return err
	}
	if st.Due >= db.Micros(today) {
		return nil
	}
	return s.run.Do(ctx, authz.System(careActor), "customer.care", func(ctx context.Context, a *action.Action) error {
		a.Nothing() // often nobody is due
		var st careState
		if err := setting.Read(ctx, a.Tx, careStateSetting, &st); err != nil {
			return err
		}
		until, late := db.Micros(today), db.Micros(today.AddDate(0, 0, -care.OverdueDays))
		if st.Due >= until {
			return nil // another node was faster
		}
		if err := s.tellDue(ctx, a, VerificationDue, st.Due, until, false); err != nil {
			return err
		}
		if late > st.Overdue {
			if err := s.tellDue(ctx, a, VerificationOverdue, st.Overdue, late, true); err != nil {
				return err
			}
			st.Overdue = late
		}
		st.Due = until
		return setting.Write(ctx, a.Tx, careStateSetting, st)
	})
}

// tellDue records one fact for everybody who is to hear of profiles due in
// (after, until].
func (s *Service) tellDue(ctx context.Context, a *action.Action, kind string, after, until int64, leads bool) error {
	rows, err := a.Query(ctx, `
		SELECT   COALESCE(u.id, 0), c.department_id, c.demo, COUNT(*), MIN(c.id)
		FROM     customers c LEFT JOIN users u ON u.id = c.owner_id AND u.active = 1
		WHERE    c.verify_at > 0 AND c.verify_at > $1 AND c.verify_at <= $2 AND c.gone = 0
		GROUP BY COALESCE(u.id, 0), c.department_id, c.demo
		ORDER BY 1, 2, 3`, after, until)
	if err != nil {
		return fmt.Errorf("customer: due verifications: %w", err)
	}
	type group struct{ owner, department, demo, n, first int64 }
	var groups []group
	for rows.Next() {
		var g group
		if err := rows.Scan(&g.owner, &g.department, &g.demo, &g.n, &g.first); err != nil {
			rows.Close()
			return fmt.Errorf("customer: due verifications: %w", err)
		}
		groups = append(groups, g)
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return fmt.Errorf("customer: due verifications: %w", err)
	}
	type heap struct{ n, first int64 }
	told := map[int64]heap{}
	for _, g := range groups {
		who := g.owner
		if (leads || who == 0) && s.leads != nil {
			if who, err = s.leads.SupervisorOf(ctx, a, g.department); err != nil {
				return err
			}
		}
		if who == 0 || leads && s.leads == nil {
			continue
		}
		if g.demo == 1 { // sample customers are no real person's work
			var sample int64
			if err := a.QueryRow(ctx, `SELECT demo FROM users WHERE id = $1`, who).Scan(&sample); err != nil {
				return fmt.Errorf("customer: due verifications: %w", err)
			}
			if sample == 0 {
				continue
			}
		}
		h := told[who]
		h.n += g.n
		if h.first == 0 || g.first < h.first {
			h.first = g.first
		}
		told[who] = h
	}
	for _, who := range slices.Sorted(maps.Keys(told)) {
		h := told[who]
		var num, name string
		var typ Type
		if err := a.QueryRow(ctx, `SELECT number, name, type FROM customers WHERE id = $1`, h.first).Scan(&num, &name, (*string)(&typ)); err != nil {
			return fmt.Errorf("customer: due verifications: %w", err)
		}
		if typ == Person {
			name = cnid.MaskName(name)
		}
		d := NoticeData{Number: num, Title: name, Args: []string{strconv.FormatInt(h.n, 10)}, Tell: []int64{who}, Link: "/customers/verifications"}
		if leads {
			d.Link += "?of=team"
		}
		if s.leads != nil {
			now, err := s.leads.StandIn(ctx, a, who)
			if err != nil {
				return err
			}
			if now != who {
				d.Tell = append(d.Tell, now)
			}
		}
		a.Record(event.Event{Kind: kind, Subject: event.Subject{Type: "user", ID: who}, Data: d})
	}
	return nil
}
