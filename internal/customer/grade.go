package customer

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
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
	"bihuan/internal/i18n"

	"golang.org/x/text/unicode/norm"
)

// Factor is one consideration of the suggested grade. Named
// customer.factor.<code>, explained by customer.factor.<code>.hint.
type Factor struct {
	Code   string `json:"code"`
	Weight int    `json:"weight"` // points it may give; 0: it does not count
	Full   int    `json:"full"`   // what earns all of them, in the factor's own unit; 0: it has none
}

var defaultFactors = []Factor{
	{"size", 15, 5},           // contacts beyond the first, and twice each further company of the group
	{"urgency", 10, 0},        // of the needs of the last three months
	{"potential", 20, 500000}, // the largest budget named, in yuan
	{"business", 25, 8},       // tickets of the last months
	{"level", 15, 0},
	{"rating", 5, 0},
	{"recency", 10, 90}, // days since the last business
}

// Why is what one factor gave, and what it found: Args fill the sentence
// customer.factor.<factor>.why.
type Why struct {
	Factor string   `json:"f"`
	Points int      `json:"p"`
	Args   []string `json:"a,omitempty"`
}

// Say puts w into words.
func (w Why) Say(l i18n.Lang) string {
	args := make([]any, len(w.Args))
	for i, a := range w.Args {
		if key, ok := strings.CutPrefix(a, "@"); ok {
			args[i] = i18n.Key(key)
		} else {
			args[i] = a
		}
	}
	key := "customer.factor." + w.Factor + ".why"
	if w.Factor == "size" && len(w.Args) > 1 && w.Args[1] == "0" {
		key += ".alone"
	}
	return i18n.T(l, key, args...) + fmt.Sprintf(" +%d", w.Points)
}

// Suggestion is the grade the rules would give.
type Suggestion struct {
	CustomerID int64
	Grade      string
	Score      int // of 100
	Why        []Why
	Differs    bool // neither the customer's grade nor decided against
	At         time.Time

	departmentID, ownerID int64
	reasons               string
}

// Say puts the reasons into one line.
func (s Suggestion) Say(l i18n.Lang) string {
	words := make([]string, len(s.Why))
	for i, w := range s.Why {
		words[i] = w.Say(l)
	}
	return strings.Join(words, i18n.T(l, "customer.semicolon"))
}

// TicketCounter counts what customers had done for them. The ticket room, which is
// above this one, answers it; the program hands it in with [Service.CountBusiness].
type TicketCounter interface {
	// TicketsSince returns how many tickets each of the customers had since then.
	TicketsSince(ctx context.Context, q db.Querier, customers []int64, since time.Time) (map[int64]int, error)
}

// CountBusiness lets suggestions count tickets. Without it they do not.
func (s *Service) CountBusiness(c TicketCounter) { s.business = c }

// known facts of a customer that his grade rests on.
type gradeFacts struct {
	id, department, owner int64
	typ                   Type
	level                 Level
	grade                 string
	ratings, stars        int64
	activity              time.Time
	parent                int64
	contacts, group       int
	urgency               string
	budget                int64
	tickets               int
	had                   bool // a suggestion is stored
	was                   Suggestion
	kept                  string
}

var amount = regexp.MustCompile(`([0-9]+(?:\.[0-9]+)?)\s*(亿|千万|百万|万|千|[wW]|[kK]|元|¥)?`)

// budget reads an amount of yuan from what somebody wrote about money: 0 when
// there is none. Of several the largest counts.
func budget(s string) int64 {
	s = strings.NewReplacer(",", "", "，", "").Replace(norm.NFKC.String(s))
	var most float64
	for _, m := range amount.FindAllStringSubmatch(s, -1) {
		v, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			continue
		}
		switch m[2] {
		case "亿":
			v *= 1e8
		case "千万":
			v *= 1e7
		case "百万":
			v *= 1e6
		case "万", "w", "W":
			v *= 1e4
		case "千", "k", "K":
			v *= 1e3
		case "":
			if v < 3000 { // a year, a number of pieces
				continue
			}
		}
		most = max(most, v)
	}
	return int64(min(most, 1e12))
}

// facts gathers what the grades of ids rest on, in a few queries for all of
// them.
func (s *Service) facts(ctx context.Context, q db.Querier, months int, now time.Time, ids []int64) (map[int64]*gradeFacts, error) {
	out := make(map[int64]*gradeFacts, len(ids))
	each := func(query string, scan func(rows db.Rows) error) error {
		return db.EachIn(ids, func(in string, args []any) error {
			rows, err := q.Query(ctx, strings.ReplaceAll(query, "(?)", "("+in+")"), args...)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				if err := scan(rows); err != nil {
					return err
				}
			}
			return rows.Err()
		})
	}
	err := each(`
		SELECT c.id, c.type, c.level, c.grade, c.department_id, c.owner_id, c.ratings, c.rating_sum, c.activity_at, c.parent_id,
		       COALESCE(g.grade, ''), COALESCE(g.score, 0), COALESCE(g.reasons, ''), COALESCE(g.kept, ''), COALESCE(g.differs, 0), COALESCE(g.department_id, 0), COALESCE(g.owner_id, 0)
		FROM   customers c LEFT JOIN grade_suggestions g ON g.customer_id = c.id
		WHERE  c.id IN (?) AND c.gone = 0`, func(rows db.Rows) error {
		var f gradeFacts
		var activity, differs int64
		err := rows.Scan(&f.id, (*string)(&f.typ), (*string)(&f.level), &f.grade, &f.department, &f.owner, &f.ratings, &f.stars, &activity, &f.parent,
			&f.was.Grade, &f.was.Score, &f.was.reasons, &f.kept, &differs, &f.was.departmentID, &f.was.ownerID)
		f.activity, f.was.Differs, f.had = db.FromMicros(activity), differs == 1, f.was.Grade != ""
		out[f.id] = &f
		return err
	})
	if err == nil {
		err = each(`SELECT customer_id, COUNT(*) FROM contacts WHERE active = 1 AND customer_id IN (?) GROUP BY customer_id`, func(rows db.Rows) error {
			var id int64
			var n int
			err := rows.Scan(&id, &n)
			if f := out[id]; f != nil {
				f.contacts = n
			}
			return err
		})
	}
	if err == nil {
		err = each(`SELECT parent_id, COUNT(*) FROM customers WHERE parent_id > 0 AND parent_id IN (?) AND gone = 0 GROUP BY parent_id`, func(rows db.Rows) error {
			var id int64
			var n int
			err := rows.Scan(&id, &n)
			if f := out[id]; f != nil {
				f.group = n
			}
			return err
		})
	}
	since := now.AddDate(0, -3, 0)
	if err == nil {
		err = each(`SELECT customer_id, urgency, budget, created_at FROM needs WHERE customer_id IN (?) ORDER BY customer_id, id`, func(rows db.Rows) error {
			var id, at int64
			var urgency, money string
			err := rows.Scan(&id, &urgency, &money, &at)
			if f := out[id]; f != nil {
				f.budget = max(f.budget, budget(money))
				if urgency != "" && db.FromMicros(at).After(since) && (f.urgency == "" || slices.Index(Urgencies, urgency) < slices.Index(Urgencies, f.urgency)) {
					f.urgency = urgency
				}
			}
			return err
		})
	}
	if err == nil && s.business != nil {
		var counted map[int64]int
		counted, err = s.business.TicketsSince(ctx, q, ids, now.AddDate(0, -months, 0))
		for id, n := range counted {
			if f := out[id]; f != nil {
				f.tickets = n
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("customer: facts of grades: %w", err)
	}
	return out, nil
}

// judge is the rule: what f is worth, and why.
func judge(care Care, f gradeFacts, now time.Time) Suggestion {
	total := 0
	for _, x := range care.Factors {
		total += x.Weight
	}
	sg := Suggestion{CustomerID: f.id, departmentID: f.department, ownerID: f.owner, At: now}
	if total == 0 {
		total = 1
	}
	for _, x := range care.Factors {
		var share float64
		var args []string
		full := float64(max(x.Full, 1))
		switch x.Code {
		case "size":
			group := f.group
			if f.parent != 0 {
				group++
			}
			if f.typ == Company {
				share, args = float64(f.contacts-1+2*group)/full, []string{strconv.Itoa(f.contacts), strconv.Itoa(group)}
			}
		case "urgency":
			share = map[string]float64{"urgent": 1, "normal": 0.5, "low": 0.2}[f.urgency]
			args = []string{"@customer.urgency." + f.urgency}
		case "potential":
			share, args = float64(f.budget)/full, []string{yuan(f.budget)}
		case "business":
			share, args = float64(f.tickets)/full, []string{strconv.Itoa(care.Months), strconv.Itoa(f.tickets)}
		case "level":
			share = map[Level]float64{VIP: 0.6, Strategic: 1}[f.level]
			args = []string{"@customer.level." + string(f.level)}
		case "rating":
			if f.ratings > 0 {
				mean := float64(f.stars) / float64(f.ratings)
				share, args = (mean-1)/4, []string{strconv.FormatFloat(mean, 'f', 1, 64)}
			}
		case "recency":
			if days := now.Sub(f.activity).Hours() / 24; f.tickets > 0 && days <= 2*full {
				if share = 1; days > full {
					share = 0.5
				}
				args = []string{strconv.Itoa(int(math.Max(days, 0)))}
			}
		}
		if points := int(math.Round(100 * float64(x.Weight) * math.Max(0, math.Min(1, share)) / float64(total))); points > 0 {
			sg.Why = append(sg.Why, Why{x.Code, points, args})
			sg.Score += points
		}
	}
	slices.SortStableFunc(sg.Why, func(a, b Why) int { return b.Points - a.Points })
	sg.Score = min(sg.Score, 100)
	switch {
	case sg.Score >= care.GradeA:
		sg.Grade = "a"
	case sg.Score >= care.GradeB:
		sg.Grade = "b"
	default:
		sg.Grade = "c"
	}
	sg.Differs = sg.Grade != f.grade && sg.Grade != f.kept
	return sg
}

// yuan writes an amount as people say it.
func yuan(n int64) string {
	switch {
	case n >= 1e8:
		return strconv.FormatFloat(float64(n)/1e8, 'f', -1, 64) + "亿"
	case n >= 1e4:
		return strconv.FormatFloat(math.Round(float64(n)/1e3)/10, 'f', -1, 64) + "万"
	}
	return strconv.FormatInt(n, 10)
}

// suggest computes the suggestions of ids and returns those that are not stored
// like that.
func (s *Service) suggest(ctx context.Context, q db.Querier, care Care, now time.Time, ids []int64) ([]Suggestion, error) {
	facts, err := s.facts(ctx, q, care.Months, now, ids)
	if err != nil {
		return nil, err
	}
	var out []Suggestion
	for _, id := range ids {
		f := facts[id]
		if f == nil {
			continue
		}
		sg := judge(care, *f, now)
		raw, err := json.Marshal(sg.Why)
		if err != nil {
			return nil, fmt.Errorf("customer: suggestion: %w", err)
		}
		sg.reasons = string(raw)
		w := f.was
		if f.had && w.Grade == sg.Grade && w.Score == sg.Score && w.reasons == sg.reasons && w.Differs == sg.Differs && w.departmentID == sg.departmentID && w.ownerID == sg.ownerID {
			continue
		}
		out = append(out, sg)
	}
	return out, nil
}

func saveSuggestions(ctx context.Context, tx *db.Tx, all []Suggestion) error {
	var values []any
	for _, x := range all {
		values = append(values, x.CustomerID, x.Grade, x.Score, x.reasons, db.Bool(x.Differs), x.departmentID, x.ownerID, tx.NowMicros())
	}
	err := tx.InsertMany(ctx, `INSERT INTO grade_suggestions (customer_id, grade, score, reasons, differs, department_id, owner_id, at)`,
		`ON CONFLICT (customer_id) DO UPDATE SET grade = excluded.grade, score = excluded.score, reasons = excluded.reasons, at = excluded.at,
			department_id = excluded.department_id, owner_id = excluded.owner_id,
			differs = CASE WHEN excluded.grade <> grade_suggestions.kept AND excluded.grade <> (SELECT c.grade FROM customers c WHERE c.id = grade_suggestions.customer_id) THEN 1 ELSE 0 END`,
		8, values)
	if err != nil {
		return fmt.Errorf("customer: save suggestions: %w", err)
	}
	return nil
}

// Suggestion returns what the rules say of a customer the reader may see; ok is
// false when they have not been asked yet.
func (s *Service) Suggestion(ctx context.Context, sc authz.Scope, id int64) (sg Suggestion, ok bool, err error) {
	q := s.db().Read()
	if err := s.visible(ctx, q, sc, id); err != nil {
		return sg, false, err
	}
	return s.suggestion(ctx, q, id)
}

func (s *Service) suggestion(ctx context.Context, q db.Querier, id int64) (sg Suggestion, ok bool, err error) {
	var differs, at int64
	sg.CustomerID = id
	err = q.QueryRow(ctx, `SELECT grade, score, reasons, differs, at FROM grade_suggestions WHERE customer_id = $1`, id).Scan(&sg.Grade, &sg.Score, &sg.reasons, &differs, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return Suggestion{}, false, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(sg.reasons), &sg.Why)
	}
	if err != nil {
		return sg, false, fmt.Errorf("customer: suggestion of %d: %w", id, err)
	}
	sg.Differs, sg.At = differs == 1, db.FromMicros(at)
	return sg, true, nil
}

// Suggested is a customer whose grade is not what the rules suggest.
type Suggested struct {
	Row
	Suggestion Suggestion
}

// SuggestionFilter selects among those whose suggestion differs.
type SuggestionFilter struct {
	Grade string // suggested: a, b or c; "" all
	Now   string // the grade he has; "-" not graded, "" all
	After string
	Limit int // 0: 25
}

// Suggestions returns the customers within sc whose suggestion differs from
// their grade, the highest score first, and the cursor of what follows.
func (s *Service) Suggestions(ctx context.Context, sc authz.Scope, f SuggestionFilter) (rows []Suggested, next string, err error) {
	if f.Limit <= 0 || f.Limit > 200 {
		f.Limit = 25
	}
	q := s.db().Read()
	ids, scores, err := s.suggested(ctx, q, sc, f, f.Limit+1)
	if err != nil {
		return nil, "", err
	}
	if len(ids) > f.Limit {
		ids = ids[:f.Limit]
		next = cursorOf(scores[f.Limit-1], ids[f.Limit-1])
	}
	list, err := s.rows(ctx, q, ids)
	if err != nil {
		return nil, "", err
	}
	byID := map[int64]Suggestion{}
	err = db.EachIn(ids, func(in string, args []any) error {
		found, err := q.Query(ctx, `SELECT customer_id, grade, score, reasons, at FROM grade_suggestions WHERE customer_id IN (`+in+`)`, args...)
		if err != nil {
			return err
		}
		defer found.Close()
		for found.Next() {
			sg := Suggestion{Differs: true}
			var at int64
			if err := found.Scan(&sg.CustomerID, &sg.Grade, &sg.Score, &sg.reasons, &at); err != nil {
				return err
			}
			if err := json.Unmarshal([]byte(sg.reasons), &sg.Why); err != nil {
				return err
			}
			sg.At = db.FromMicros(at)
			byID[sg.CustomerID] = sg
		}
		return found.Err()
	})
	if err != nil {
		return nil, "", fmt.Errorf("customer: suggestions: %w", err)
	}
	for _, r := range list {
		rows = append(rows, Suggested{r, byID[r.ID]})
	}
	return rows, next, nil
}

// suggested walks the index of each way of being concerned for as many as are
// wanted.
func (s *Service) suggested(ctx context.Context, q db.Querier, sc authz.Scope, f SuggestionFilter, limit int) (ids, scores []int64, err error) {
	if sc.Empty() {
		return nil, nil, nil
	}
	var a db.Args
	score, last, paged := parseCursor(f.After)
	arm := func(of string) string {
		where := `g.differs = 1 AND ` + of + ` AND ` + within(sc, &a)
		if f.Grade != "" {
			where += " AND g.grade = " + a.Add(f.Grade)
		}
		if f.Now != "" {
			where += " AND c.grade = " + a.Add(strings.TrimPrefix(f.Now, "-"))
		}
		if paged {
			where += " AND (g.score, g.customer_id) < (" + a.Add(score) + ", " + a.Add(last) + ")"
		}
		return `SELECT g.customer_id AS id, g.score AS k FROM grade_suggestions g JOIN customers c ON c.id = g.customer_id WHERE ` + where +
			` ORDER BY g.score DESC, g.customer_id DESC LIMIT ` + strconv.Itoa(limit)
	}
	var query string
	if sc.Everything() || len(sc.Departments())+1 > maxBranches {
		query = arm("1 = 1")
	} else {
		var parts []string
		add := func(cond string) {
			parts = append(parts, `SELECT id, k FROM (`+arm(cond)+`) b`+strconv.Itoa(len(parts)))
		}
		for _, d := range sc.Departments() {
			add("g.department_id = " + a.Add(d))
		}
		add("g.owner_id = " + a.Add(sc.User()))
		query = `SELECT id, k FROM (` + strings.Join(parts, ` UNION `) + `) u ORDER BY k DESC, id DESC LIMIT ` + strconv.Itoa(limit)
	}
	rows, err := q.Query(ctx, query, a.Values...)
	if err != nil {
		return nil, nil, fmt.Errorf("customer: suggestions: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, k int64
		if err := rows.Scan(&id, &k); err != nil {
			return nil, nil, fmt.Errorf("customer: suggestions: %w", err)
		}
		ids, scores = append(ids, id), append(scores, k)
	}
	return ids, scores, rows.Err()
}

// SetGrade gives a customer a grade ("" takes it away) and says why. When the
// rules say something else, they are not listened to until they change their
// mind.
func (s *Service) SetGrade(ctx context.Context, actor authz.Actor, id int64, grade, reason string) error {
	return s.run.Do(ctx, actor, "customer.set_grade", func(ctx context.Context, a *action.Action) error {
		if err := s.may(ctx, a, id, PermEdit); err != nil {
			return err
		}
		e := fault.Invalidf("customer.invalid")
		if grade != "" && !slices.Contains(Grades, grade) {
			e.Field("grade", "customer.grade.unknown")
		}
		reason = line(reason)
		if utf8.RuneCountInString(reason) < 2 {
			e.Field("reason", "customer.grade.reason")
		}
		limit(e, "reason", "customer.reason.was", reason, maxLine)
		if err := e.OrNil(); err != nil {
			return err
		}
		changed, err := s.setGrade(ctx, a, id, grade, reason)
		if err == nil && !changed {
			err = fault.Invalidf("customer.invalid").Field("grade", "customer.grade.same")
		}
		return err
	})
}

func (s *Service) setGrade(ctx context.Context, a *action.Action, id int64, grade, reason string) (changed bool, err error) {
	var old string
	if err := a.QueryRow(ctx, `SELECT grade FROM customers WHERE id = $1`+a.ForUpdate(), id).Scan(&old); err != nil {
		return false, fmt.Errorf("customer: grade of %d: %w", id, err)
	}
	if old == grade {
		return false, nil
	}
	_, err = a.Exec(ctx, `UPDATE customers SET grade = $1, updated_at = $2, version = version + 1 WHERE id = $3`, grade, a.NowMicros(), id)
	if err == nil {
		_, err = a.Exec(ctx, `UPDATE grade_suggestions SET differs = 0, kept = CASE WHEN grade = $1 THEN '' ELSE grade END WHERE customer_id = $2`, grade, id)
	}
	if err != nil {
		return false, fmt.Errorf("customer: grade of %d: %w", id, err)
	}
	a.Record(event.Event{Kind: Changed, Subject: Subject(id), Reason: reason, Data: ChangedData{[]Change{{Change: event.Change{Field: "grade", Old: old, New: grade}}}}})
	return true, nil
}

// AcceptGrades gives those of the customers whose suggestion differs the
// suggested grade, with the reasons as reason; keep decides against the
// suggestions instead. It returns how many; customers the actor may not edit
// are passed over.
func (s *Service) AcceptGrades(ctx context.Context, actor authz.Actor, ids []int64, keep bool) (n int, err error) {
	if len(ids) == 0 {
		return 0, fault.Invalidf("customer.tag.none_selected")
	}
	if len(ids) > maxBulk {
		return 0, fault.New(fault.Limited, "customer.tag.bulk", maxBulk)
	}
	err = s.run.Do(ctx, actor, "customer.accept_grades", func(ctx context.Context, a *action.Action) error {
		n = 0
		if err := a.Actor.Check(PermEdit); err != nil {
			return err
		}
		var args db.Args
		mine, err := queryIDs(ctx, a, `SELECT c.id FROM customers c JOIN grade_suggestions g ON g.customer_id = c.id AND g.differs = 1 WHERE c.id IN (`+args.AddInts(ids)+
			`) AND `+within(View(a.Actor), &args)+` AND `+within(authz.For(a.Actor, PermEdit), &args)+` ORDER BY c.id`, args.Values...)
		if err != nil {
			return fmt.Errorf("customer: accept grades: %w", err)
		}
		for _, id := range mine {
			if keep {
				if _, err := a.Exec(ctx, `UPDATE grade_suggestions SET differs = 0, kept = grade WHERE customer_id = $1`, id); err != nil {
					return fmt.Errorf("customer: keep grade: %w", err)
				}
				a.Record(event.Event{Kind: GradeKept, Subject: Subject(id)})
				n++
				continue
			}
			sg, _, err := s.suggestion(ctx, a, id)
			if err != nil {
				return err
			}
			changed, err := s.setGrade(ctx, a, id, sg.Grade, sg.Say(a.Actor.Lang))
			if err != nil {
				return err
			}
			if changed {
				n++
			}
		}
		if n == 0 {
			a.Nothing()
		}
		return nil
	})
	return n, err
}
