package customer

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"bihuan/internal/authz"
	"bihuan/internal/cnid"
	"bihuan/internal/db"
	"bihuan/internal/fault"
)

// Candidate is what is known of somebody who is about to be registered.
type Candidate struct {
	ID     int64 // leave this customer out: he is being edited
	Type   Type
	Name   string
	USCC   string
	Phones []string
	Emails []string
}

// What a Match matched by, in falling weight; locale keys customer.match.<what>.
const (
	ByUSCC        = "uscc"
	ByPhone       = "phone"
	ByEmail       = "email"
	ByName        = "name"
	BySimilarName = "similar_name"
)

// Match is a customer who may be the candidate.
type Match struct {
	// Customer is zero for a customer beyond the reader's scope: then Department
	// is all he learns, to know whom to ask.
	Customer   Ref
	Department string
	Matched    []string
	Sure       bool // same credit code or telephone number: going on needs a reason
}

// Visible reports whether the reader may open the customer.
func (m Match) Visible() bool { return m.Customer.ID != 0 }

// Ref names a customer on other pages.
type Ref struct {
	ID     int64
	Number string
	Name   string
	Type   Type
	Level  Level
}

// DuplicateError refuses a second profile until a reason is given. It is a
// fault of kind Conflict at the field duplicate_reason.
type DuplicateError struct {
	Matches []Match
	fault   *fault.Error
}

func (e *DuplicateError) Error() string { return e.fault.Error() }

// Unwrap returns the fault.
func (e *DuplicateError) Unwrap() error { return e.fault }

// maxProbed bounds how many numbers, and how many addresses, are looked for at
// once: more than a profile has contacts. Without it one question with ten
// thousand numbers would tell which of them are customers of other departments.
const maxProbed = 60

// perBranch bounds how many customers one telephone number or name brings up.
const perBranch = 20

// Duplicates returns who of the customers may be the candidate, the surest
// first (CUS-5). Customers beyond the actor's scope are reduced to their
// department, one Match per department, and only for credit code, telephone,
// e-mail and the full name of a company: names of persons prove nothing.
func (s *Service) Duplicates(ctx context.Context, actor authz.Actor, c Candidate) ([]Match, error) {
	if !actor.Can(PermView) && !actor.Can(PermCreate) {
		return nil, authz.Denied(PermView)
	}
	return s.duplicates(ctx, s.db().Read(), actor, c, true)
}

func (s *Service) duplicates(ctx context.Context, q db.Querier, actor authz.Actor, c Candidate, similar bool) ([]Match, error) {
	sc := View(actor)
	found := map[int64]*hit{}
	var order []*hit
	look := func(by, cond string, args ...any) error {
		var a db.Args
		a.Values = args
		rows, err := q.Query(ctx, `
			SELECT DISTINCT c.id, c.number, c.name, c.type, c.level, c.owner_id, c.created_by, c.department_id, d.name
			FROM   customers c JOIN departments d ON d.id = c.department_id
			WHERE  `+cond+`
			  AND  c.id <> `+a.Add(c.ID)+`
			ORDER BY c.id LIMIT `+a.Add(perBranch), a.Values...)
		if err != nil {
			return fmt.Errorf("customer: duplicates by %s: %w", by, err)
		}
		defer rows.Close()
		for rows.Next() {
			var h hit
			if err := rows.Scan(&h.ID, &h.Number, &h.Name, (*string)(&h.Type), (*string)(&h.Level), &h.owner, &h.creator, &h.department, &h.departmentName); err != nil {
				return fmt.Errorf("customer: duplicates by %s: %w", by, err)
			}
			o := found[h.ID]
			if o == nil {
				o = &h
				found[h.ID] = o
				order = append(order, o)
			}
			if !slices.Contains(o.matched, by) {
				o.matched = append(o.matched, by)
			}
		}
		return rows.Err()
	}
	var phones, emails db.Args
	probed := 0
	for _, p := range c.Phones {
		for _, piece := range cnid.SplitPhones(p) {
			if probed++; probed > maxProbed {
				break
			}
			if n, err := cnid.ParsePhone(piece); err == nil && n.Kind != cnid.Short {
				for _, x := range s.keys.Indexes(indexPhone, n.Key()) {
					phones.Add(x)
				}
			}
		}
	}
	for _, e := range c.Emails[:min(len(c.Emails), maxProbed)] {
		if cnid.CheckEmail(e) == nil {
			for _, x := range s.keys.Indexes(indexEmail, cnid.EmailKey(e)) {
				emails.Add(x)
			}
		}
	}
	if uscc := cnid.NormalizeUSCC(c.USCC); cnid.CheckUSCC(uscc) == nil {
		if err := look(ByUSCC, `c.uscc = $1`, uscc); err != nil {
			return nil, err
		}
	}
	if n := len(phones.Values); n > 0 {
		cond := `c.id IN (SELECT customer_id FROM contacts WHERE active = 1 AND phone_index IN (` + placeholders(n) + `))`
		if err := look(ByPhone, cond, phones.Values...); err != nil {
			return nil, err
		}
	}
	if n := len(emails.Values); n > 0 {
		cond := `c.id IN (SELECT customer_id FROM contacts WHERE active = 1 AND email_index IN (` + placeholders(n) + `))`
		if err := look(ByEmail, cond, emails.Values...); err != nil {
			return nil, err
		}
	}
	name := line(c.Name)
	if name != "" {
		if err := look(ByName, `c.name_key = $1`, nameKey(c.Type, name)); err != nil {
			return nil, err
		}
	}
	var out []Match
	away := map[string]int{} // department -> place in out
	for _, h := range order {
		sure := slices.Contains(h.matched, ByUSCC) || slices.Contains(h.matched, ByPhone)
		if sc.Matches([]int64{h.owner, h.creator}, h.department) {
			out = append(out, Match{Customer: h.Ref, Department: h.departmentName, Matched: h.matched, Sure: sure})
			continue
		}
		if h.Type == Person && !slices.ContainsFunc(h.matched, func(m string) bool { return m != ByName }) {
			continue
		}
		i, ok := away[h.departmentName]
		if !ok {
			i = len(out)
			away[h.departmentName] = i
			out = append(out, Match{Department: h.departmentName})
		}
		m := &out[i]
		m.Sure = m.Sure || sure
		for _, by := range h.matched {
			if !slices.Contains(m.Matched, by) {
				m.Matched = append(m.Matched, by)
			}
		}
	}
	if similar && c.Type == Company && len([]rune(name)) >= 2 {
		near, err := s.similar(ctx, q, sc, name)
		if err != nil {
			return nil, err
		}
		for _, r := range near {
			if found[r.ID] == nil && r.ID != c.ID {
				out = append(out, r.match())
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Match) int { return weight(b) - weight(a) })
	return out, nil
}

type hit struct {
	Ref
	owner, creator, department int64
	departmentName             string
	matched                    []string
}

func weight(m Match) int {
	w := 0
	for i, by := range []string{BySimilarName, ByName, ByEmail, ByPhone, ByUSCC} {
		if slices.Contains(m.Matched, by) {
			w += 1 << i
		}
	}
	return w
}

func placeholders(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "$%d", i+1)
	}
	return b.String()
}

// refuseDuplicates returns a *DuplicateError when somebody has the same credit
// code or telephone number.
func (s *Service) refuseDuplicates(ctx context.Context, q db.Querier, actor authz.Actor, id int64, in Input) error {
	c := Candidate{ID: id, Type: in.Type, Name: in.Name, USCC: in.USCC}
	for _, x := range in.Contacts {
		if !x.Remove {
			c.Phones, c.Emails = append(c.Phones, x.Phone), append(c.Emails, x.Email)
		}
	}
	ms, err := s.duplicates(ctx, q, actor, c, false)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(ms, func(m Match) bool { return m.Sure }) {
		return nil
	}
	return &DuplicateError{Matches: ms, fault: fault.New(fault.Conflict, "customer.duplicate").
		Field("duplicate_reason", "customer.duplicate.reason")}
}
