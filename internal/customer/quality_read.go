package customer

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/fault"
)

// QualityGroup is how good the data of a department or of a person's customers
// are.
type QualityGroup struct {
	DepartmentID int64
	Department   string
	OwnerID      int64 // 0: nobody, or the group is a department
	Owner        string
	N            int64            // customers
	Flawed       map[string]int64 // by code of measure or dimension: how many do not meet it
}

// Share returns the part of the customers without a flaw in code, in percent;
// 100 when there are none.
func (g QualityGroup) Share(code string) float64 {
	if g.N == 0 {
		return 100
	}
	return float64(g.N-g.Flawed[code]) / float64(g.N) * 100
}

// QualityMonth is a month of the trend.
type QualityMonth struct {
	Month string // 2026-11
	QualityGroup
}

// QualityReport is the figures of what an actor answers for.
type QualityReport struct {
	Total       QualityGroup
	Departments []QualityGroup
	People      []QualityGroup // the largest first; at most maxQualityPeople
	Months      []QualityMonth // the oldest first, at most twelve
	CheckedAt   time.Time      // of the last nightly pass; zero: none yet
}

const maxQualityPeople = 200

// qualityArms is how many departments a list walks one by one; beyond it one scan
// of the whole measure is no dearer.
const qualityArms = 12

// qualityScope is whose figures an actor sees: those of his departments and of
// his own customers.
func qualityScope(sc authz.Scope, a *db.Args, prefix string) string {
	return sc.Where(a, authz.Columns{Owners: []string{prefix + "owner_id"}, Department: prefix + "department_id"})
}

// Quality returns the figures for what the actor answers for. It reads counts
// that are kept, not customers.
func (s *Service) Quality(ctx context.Context, actor authz.Actor) (r QualityReport, err error) {
	if err := actor.Check(PermQuality); err != nil {
		return r, err
	}
	sc := authz.For(actor, PermQuality)
	codes := map[int64]string{}
	for i, d := range Dimensions {
		codes[int64(i+1)] = string(d)
	}
	for _, m := range Measures {
		codes[int64(m.ID)] = m.Code
	}
	group := func() QualityGroup { return QualityGroup{Flawed: map[string]int64{}} }
	count := func(g *QualityGroup, measure, n int64) {
		if measure == 0 {
			g.N += n
		} else if code := codes[measure]; code != "" {
			g.Flawed[code] += n
		}
	}
	q := s.db().Read()
	var a db.Args
	rows, err := q.Query(ctx, `
		SELECT x.department_id, COALESCE(d.name, ''), x.owner_id, COALESCE(u.name, ''), x.measure, x.n
		FROM   quality_counts x LEFT JOIN departments d ON d.id = x.department_id LEFT JOIN users u ON u.id = x.owner_id
		WHERE  x.n <> 0 AND `+qualityScope(sc, &a, "x."), a.Values...)
	if err != nil {
		return r, fmt.Errorf("customer: quality: %w", err)
	}
	defer rows.Close()
	r.Total = group()
	departments, people := map[int64]*QualityGroup{}, map[int64]*QualityGroup{}
	for rows.Next() {
		var dep, owner, measure, n int64
		var depName, ownerName string
		if err := rows.Scan(&dep, &depName, &owner, &ownerName, &measure, &n); err != nil {
			return r, fmt.Errorf("customer: quality: %w", err)
		}
		if departments[dep] == nil {
			g := group()
			g.DepartmentID, g.Department = dep, depName
			departments[dep] = &g
		}
		if people[owner] == nil {
			g := group()
			g.OwnerID, g.Owner = owner, ownerName
			people[owner] = &g
		}
		count(&r.Total, measure, n)
		count(departments[dep], measure, n)
		count(people[owner], measure, n)
	}
	if err := rows.Err(); err != nil {
		return r, fmt.Errorf("customer: quality: %w", err)
	}
	rows.Close()
	sorted := func(m map[int64]*QualityGroup) (out []QualityGroup) {
		for _, id := range slices.Sorted(maps.Keys(m)) {
			out = append(out, *m[id])
		}
		slices.SortStableFunc(out, func(a, b QualityGroup) int { return cmp.Compare(b.N, a.N) })
		return out
	}
	r.Departments, r.People = sorted(departments), sorted(people)
	r.People = r.People[:min(len(r.People), maxQualityPeople)]

	var done int64
	if err := q.QueryRow(ctx, `SELECT done_at FROM quality_pass WHERE id = 1`).Scan(&done); err != nil {
		return r, fmt.Errorf("customer: quality: %w", err)
	}
	r.CheckedAt = db.FromMicros(done)

	var b db.Args
	where := "1 = 1"
	if !sc.Everything() {
		if where = "1 = 0"; len(sc.Departments()) > 0 {
			where = "department_id IN (" + b.AddInts(sc.Departments()) + ")"
		}
	}
	months, err := q.Query(ctx, `
		SELECT month, measure, SUM(n) FROM quality_months
		WHERE  month IN (SELECT DISTINCT month FROM quality_months ORDER BY month DESC LIMIT 12) AND `+where+`
		GROUP BY month, measure ORDER BY month, measure`, b.Values...)
	if err != nil {
		return r, fmt.Errorf("customer: quality trend: %w", err)
	}
	defer months.Close()
	for months.Next() {
		var month string
		var measure, n int64
		if err := months.Scan(&month, &measure, &n); err != nil {
			return r, fmt.Errorf("customer: quality trend: %w", err)
		}
		if k := len(r.Months); k == 0 || r.Months[k-1].Month != month {
			r.Months = append(r.Months, QualityMonth{month, group()})
		}
		count(&r.Months[len(r.Months)-1].QualityGroup, measure, n)
	}
	return r, months.Err()
}

// QualityFilter selects the records behind a figure.
type QualityFilter struct {
	Code         string // of a measure or a dimension
	DepartmentID int64
	OwnerID      int64 // -1: those without an owner
	After        string
	Limit        int // 0: 25
}

// FlawedCustomer is a customer with everything that is wrong with him.
type FlawedCustomer struct {
	Row
	Flaws []Measure
}

// Flawed returns the customers a figure counts, the latest registered first, and
// the cursor of what follows.
func (s *Service) Flawed(ctx context.Context, actor authz.Actor, f QualityFilter) (out []FlawedCustomer, next string, err error) {
	if err := actor.Check(PermQuality); err != nil {
		return nil, "", err
	}
	m, ok := MeasureByCode(f.Code)
	if !ok {
		return nil, "", fault.New(fault.NotFound, "quality.measure.unknown")
	}
	if f.Limit <= 0 || f.Limit > 200 {
		f.Limit = 25
	}
	sc, view := authz.For(actor, PermQuality), View(actor)
	if sc.Empty() || view.Empty() {
		return nil, "", nil
	}
	var a db.Args
	after, paged := int64(0), false
	if f.After != "" {
		if after, err = strconv.ParseInt(f.After, 36, 64); err == nil && after > 0 {
			paged = true
		}
	}
	arm := func(cond string) string {
		where := cond + " AND f.measure = " + a.Add(m.ID) + " AND " + within(view, &a)
		if f.DepartmentID != 0 {
			where += " AND f.department_id = " + a.Add(f.DepartmentID)
		}
		if f.OwnerID != 0 {
			where += " AND f.owner_id = " + a.Add(max(f.OwnerID, 0))
		}
		if paged {
			where += " AND f.customer_id < " + a.Add(after)
		}
		return `SELECT f.customer_id AS id FROM customer_flaws f JOIN customers c ON c.id = f.customer_id WHERE ` + where + ` ORDER BY f.customer_id DESC LIMIT ` + a.Add(f.Limit+1)
	}
	var query string
	if narrow := f.DepartmentID != 0 || f.OwnerID != 0; sc.Everything() || narrow || len(sc.Departments()) > qualityArms {
		query = arm(qualityScope(sc, &a, "f."))
	} else {
		var arms []string
		add := func(cond string) { arms = append(arms, `SELECT id FROM (`+arm(cond)+`) b`+strconv.Itoa(len(arms))) }
		for _, d := range sc.Departments() {
			add("f.department_id = " + a.Add(d))
		}
		add("f.owner_id = " + a.Add(sc.User()))
		query = `SELECT id FROM (` + strings.Join(arms, ` UNION `) + `) u ORDER BY id DESC LIMIT ` + a.Add(f.Limit+1)
	}
	q := s.db().Read()
	ids, err := queryIDs(ctx, q, query, a.Values...)
	if err != nil {
		return nil, "", fmt.Errorf("customer: flawed: %w", err)
	}
	if len(ids) > f.Limit {
		ids = ids[:f.Limit]
		next = strconv.FormatInt(ids[len(ids)-1], 36)
	}
	rows, err := s.rows(ctx, q, ids)
	if err != nil {
		return nil, "", err
	}
	marks, err := s.judgedAs(ctx, q, ids)
	if err != nil {
		return nil, "", err
	}
	for _, r := range rows {
		x := FlawedCustomer{Row: r}
		for _, m := range Measures {
			if marks[r.ID].mask&(1<<m.ID) != 0 {
				x.Flaws = append(x.Flaws, m)
			}
		}
		out = append(out, x)
	}
	return out, next, nil
}

// Flaws returns what is wrong with one customer the caller may see, as it was
// when he was last looked at: after his last change or the last night.
func (s *Service) Flaws(ctx context.Context, id int64) ([]Measure, error) {
	j, err := s.judgedAs(ctx, s.db().Read(), []int64{id})
	if err != nil {
		return nil, err
	}
	var out []Measure
	for _, m := range Measures {
		if j[id].mask&(1<<m.ID) != 0 {
			out = append(out, m)
		}
	}
	return out, nil
}
