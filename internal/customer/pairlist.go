package customer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
)

// States of a suspected pair.
const (
	PairOpen     = "open"
	PairMerged   = "merged"
	PairDistinct = "distinct"
)

// How surely two customers are one, in words: merge.sure.<code>.
const (
	Surely   = "surely"
	Likely   = "likely"
	Possibly = "possibly"
)

// Sureness in falling order.
var Sureness = []string{Surely, Likely, Possibly}

// PairReasons are what a pair may have in common, in the order they are offered
// as filters.
var PairReasons = []string{ByUSCC, ByPhone, ByEmail, ByWechat, ByName, ByCoreName, BySound, BySimilarName, ByLastEight, BySameContact}

// Pair is two customers who may be one.
type Pair struct {
	ID        int64
	Score     int // percent
	Reasons   []string
	State     string
	Note      string
	DecidedBy string
	DecidedAt time.Time
	FoundAt   time.Time
	A, B      Row
}

// Sure is the sureness in words.
func (p Pair) Sure() string {
	switch {
	case p.Score >= surelyFrom:
		return Surely
	case p.Score >= likelyFrom:
		return Likely
	}
	return Possibly
}

// PairFilter selects pairs; the zero filter selects the open ones.
type PairFilter struct {
	State        string // PairOpen or PairDistinct
	Sure         string
	Reason       string
	Type         Type
	DepartmentID int64
	After        string
	Limit        int // 0: 25
}

// PairPage is a stretch of the work list.
type PairPage struct {
	Rows []Pair
	Next string
}

func pairColumns(alias string) authz.Columns {
	return authz.Columns{Owners: []string{alias + ".owner_id", alias + ".created_by"}, Department: alias + ".department_id"}
}

// pairScope is the condition that both sides are in view.
func pairScope(sc authz.Scope, args *db.Args) string {
	return "(" + sc.Where(args, pairColumns("a")) + ") AND a.gone = 0 AND (" + sc.Where(args, pairColumns("b")) + ") AND b.gone = 0"
}

const pairTables = `customer_pairs p JOIN customers a ON a.id = p.a_id JOIN customers b ON b.id = p.b_id`

// Pairs returns the suspected pairs of which the actor sees both sides, the
// surest first.
func (s *Service) Pairs(ctx context.Context, actor authz.Actor, f PairFilter) (page PairPage, err error) {
	sc := View(actor)
	if sc.Empty() {
		return page, nil
	}
	if f.Limit <= 0 || f.Limit > 100 {
		f.Limit = 25
	}
	if f.State != PairDistinct {
		f.State = PairOpen
	}
	var a db.Args
	cond := `p.state = '` + f.State + `' AND ` + pairScope(sc, &a)
	switch f.Sure {
	case Surely:
		cond += fmt.Sprintf(` AND p.score >= %d`, surelyFrom)
	case Likely:
		cond += fmt.Sprintf(` AND p.score >= %d AND p.score < %d`, likelyFrom, surelyFrom)
	case Possibly:
		cond += fmt.Sprintf(` AND p.score < %d`, likelyFrom)
	}
	if slices.Contains(PairReasons, f.Reason) {
		cond += ` AND ' ' || p.reasons || ' ' LIKE ` + a.Add("% "+f.Reason+" %")
	}
	if f.Type != "" {
		cond += ` AND a.type = ` + a.Add(string(f.Type)) + ` AND b.type = ` + a.Add(string(f.Type))
	}
	if f.DepartmentID != 0 {
		cond += ` AND (a.department_id = ` + a.Add(f.DepartmentID) + ` OR b.department_id = ` + a.Add(f.DepartmentID) + `)`
	}
	if score, id, ok := parseSpot(f.After); ok {
		cond += ` AND (p.score, p.id) < (` + a.Add(score) + `, ` + a.Add(id) + `)`
	}
	page.Rows, err = s.pairs(ctx, s.db().Read(), cond+fmt.Sprintf(` ORDER BY p.score DESC, p.id DESC LIMIT %d`, f.Limit+1), a.Values...)
	if err != nil {
		return page, err
	}
	if len(page.Rows) > f.Limit {
		page.Rows = page.Rows[:f.Limit]
		last := page.Rows[f.Limit-1]
		page.Next = spot(int64(last.Score), last.ID)
	}
	return page, nil
}

func (s *Service) pairs(ctx context.Context, q db.Querier, where string, args ...any) ([]Pair, error) {
	rows, err := q.Query(ctx, `SELECT p.id, p.score, p.reasons, p.state, p.note, p.decided_by_name, p.decided_at, p.found_at, p.a_id, p.b_id FROM `+pairTables+` WHERE `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("customer: pairs: %w", err)
	}
	defer rows.Close()
	var out []Pair
	var ids []int64
	for rows.Next() {
		var p Pair
		var decided, found int64
		if err := rows.Scan(&p.ID, &p.Score, (*words)(&p.Reasons), &p.State, &p.Note, &p.DecidedBy, &decided, &found, &p.A.ID, &p.B.ID); err != nil {
			return nil, fmt.Errorf("customer: pairs: %w", err)
		}
		p.DecidedAt, p.FoundAt = db.FromMicros(decided), db.FromMicros(found)
		for _, id := range []int64{p.A.ID, p.B.ID} {
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
		out = append(out, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("customer: pairs: %w", err)
	}
	rows.Close()
	cs, err := s.rows(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	byID := make(map[int64]Row, len(cs))
	for _, c := range cs {
		byID[c.ID] = c
	}
	for i := range out {
		out[i].A, out[i].B = byID[out[i].A.ID], byID[out[i].B.ID]
	}
	return out, nil
}

// CountPairs is how many open pairs the actor sees, counted up to most.
func (s *Service) CountPairs(ctx context.Context, actor authz.Actor, most int) (n int, err error) {
	sc := View(actor)
	if sc.Empty() || !actor.Can(PermMerge) {
		return 0, nil
	}
	var a db.Args
	query := `SELECT COUNT(*) FROM (SELECT 1 FROM ` + pairTables + ` WHERE p.state = 'open' AND ` + pairScope(sc, &a) + fmt.Sprintf(` LIMIT %d) x`, most)
	if err := s.db().Read().QueryRow(ctx, query, a.Values...).Scan(&n); err != nil {
		return 0, fmt.Errorf("customer: count pairs: %w", err)
	}
	return n, nil
}

// PairsOf are the open pairs of a customer of which the actor sees both sides,
// for his page.
func (s *Service) PairsOf(ctx context.Context, actor authz.Actor, id int64, limit int) ([]Pair, error) {
	sc := View(actor)
	if sc.Empty() {
		return nil, nil
	}
	var a db.Args
	cond := `p.state = 'open' AND (p.a_id = ` + a.Add(id) + ` OR p.b_id = ` + a.Add(id) + `) AND ` + pairScope(sc, &a)
	return s.pairs(ctx, s.db().Read(), cond+fmt.Sprintf(` ORDER BY p.score DESC, p.id DESC LIMIT %d`, limit), a.Values...)
}

// Suspected reports which of the customers have a pair nobody has decided about,
// likely or surer. It knows no scope and is for figures.
func (s *Service) Suspected(ctx context.Context, q db.Querier, ids []int64) (map[int64]bool, error) {
	out := map[int64]bool{}
	err := db.EachIn(ids, func(in string, args []any) error {
		for _, column := range []string{"a_id", "b_id"} {
			found, err := idsOf(ctx, q, fmt.Sprintf(`SELECT `+column+` FROM customer_pairs WHERE state = 'open' AND score >= %d AND `+column+` IN (`+in+`)`, likelyFrom), args...)
			if err != nil {
				return err
			}
			for _, id := range found {
				out[id] = true
			}
		}
		return nil
	})
	return out, err
}

// TellApart remembers that two customers are not the same, with who said so and
// why. The pair does not come back unless something decisive is found that was
// not known.
func (s *Service) TellApart(ctx context.Context, actor authz.Actor, pair int64, why string) error {
	return s.decidePair(ctx, actor, "customer.tell_apart", pair, PairOpen, PairDistinct, why)
}

// Reopen takes TellApart back.
func (s *Service) Reopen(ctx context.Context, actor authz.Actor, pair int64) error {
	return s.decidePair(ctx, actor, "customer.reopen_pair", pair, PairDistinct, PairOpen, "")
}

func (s *Service) decidePair(ctx context.Context, actor authz.Actor, name string, pair int64, from, to, why string) error {
	return s.run.Do(ctx, actor, name, func(ctx context.Context, a *action.Action) error {
		var x, y int64
		var state string
		err := a.QueryRow(ctx, `SELECT a_id, b_id, state FROM customer_pairs WHERE id = $1`+a.ForUpdate(), pair).Scan(&x, &y, &state)
		if errors.Is(err, sql.ErrNoRows) {
			return fault.New(fault.NotFound, "merge.pair.not_found")
		}
		if err != nil {
			return fmt.Errorf("customer: pair %d: %w", pair, err)
		}
		if err := s.mayMerge(ctx, a, a.Actor, x, y); err != nil {
			return err
		}
		why = line(why)
		if to == PairDistinct {
			e := fault.Invalidf("customer.invalid")
			if utf8.RuneCountInString(why) < 2 {
				e.Field("note", "merge.apart.why")
			}
			limit(e, "note", "merge.apart.reason", why, maxLine)
			if err := e.OrNil(); err != nil {
				return err
			}
		}
		if state != from {
			return fault.New(fault.Conflict, "merge.pair.decided")
		}
		by := int64(0)
		if a.Actor.Kind == authz.User {
			by = a.Actor.ID
		}
		_, err = a.Exec(ctx, `UPDATE customer_pairs SET state = $1, note = $2, decided_at = $3, decided_by = $4, decided_by_name = $5 WHERE id = $6`, to, why, a.NowMicros(), by, a.Actor.Name, pair)
		if err != nil {
			return fmt.Errorf("customer: pair %d: %w", pair, err)
		}
		ns, err := Numbers(ctx, a, []int64{x, y})
		if err != nil {
			return err
		}
		kind := ToldApart
		if to == PairOpen {
			kind = PairReopened
		}
		a.Record(event.Event{Kind: kind, Subject: Subject(x), Reason: why, Data: merging(0, y, ns[y])})
		a.Record(event.Event{Kind: kind, Subject: Subject(y), Reason: why, Data: merging(0, x, ns[x])})
		return nil
	})
}

// GetPair returns a pair of which the actor sees both sides.
func (s *Service) GetPair(ctx context.Context, actor authz.Actor, id int64) (Pair, error) {
	var a db.Args
	sc := View(actor)
	if sc.Empty() {
		return Pair{}, fault.New(fault.NotFound, "merge.pair.not_found")
	}
	ps, err := s.pairs(ctx, s.db().Read(), `p.id = `+a.Add(id)+` AND `+pairScope(sc, &a), a.Values...)
	if err == nil && len(ps) == 0 {
		err = fault.New(fault.NotFound, "merge.pair.not_found")
	}
	if err != nil {
		return Pair{}, err
	}
	return ps[0], nil
}

// spot is a place in a list: what it is sorted by, and an id.
func spot(k, id int64) string { return strconv.FormatInt(k, 36) + "." + strconv.FormatInt(id, 36) }

// parseSpot returns ok false for anything spot has not made: such a list begins at
// its beginning.
func parseSpot(s string) (k, id int64, ok bool) {
	a, b, found := strings.Cut(s, ".")
	k, err1 := strconv.ParseInt(a, 36, 64)
	id, err2 := strconv.ParseInt(b, 36, 64)
	return k, id, found && err1 == nil && err2 == nil
}
