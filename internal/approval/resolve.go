package approval

import (
	"context"
	"fmt"
	"slices"

	"bihuan/internal/db"
	"bihuan/internal/org"
)

// maxDepth bounds the way up a tree of departments.
const maxDepth = 100

// candidates returns whose turn it is at r's step, as the organisation is now:
// never the requester, nor, unless the rule allows it, who decided an earlier
// step or for whom it was decided. It is empty when there is nobody.
//
// Of a line of people one above the other the first who may is asked; with each
// escalation the next one as well; and the next one at once while all of them
// are away and nobody stands in. At the end of the line are the administrators.
func (s *Service) candidates(ctx context.Context, q db.Querier, r Request) ([]int64, error) {
	d, err := s.deciders(ctx, q, r)
	if err != nil {
		return nil, err
	}
	step := r.Rule.Steps[r.Step]
	var out []int64
	reached := false // somebody is there to decide
	want := r.Level + 1
	take := func(id int64) error {
		if id == 0 || slices.Contains(out, id) || !d.may(id) {
			return nil
		}
		p, ok, err := s.org.Person(ctx, q, id)
		if err != nil || !ok || !p.Active {
			return err
		}
		out = append(out, id)
		want--
		reached = reached || !p.Away || d.standIn(ctx, p) != 0
		return nil
	}
	enough := func() bool { return want <= 0 && reached }
	if step.Kind != Admin {
		dep := r.DepartmentID
		if step.Kind == Person {
			if err := take(step.UserID); err != nil {
				return nil, err
			}
			if p, ok, err := s.org.Person(ctx, q, step.UserID); err != nil {
				return nil, err
			} else if ok {
				dep = p.DepartmentID
			}
		}
		for range maxDepth {
			if dep == 0 || enough() {
				break
			}
			at, ok, err := s.org.Department(ctx, q, dep)
			if err != nil {
				return nil, err
			}
			if !ok {
				break
			}
			if step.Kind == Supervisor {
				if err := take(at.SupervisorID); err != nil {
					return nil, err
				}
			}
			if !enough() {
				if err := take(at.HeadID); err != nil {
					return nil, err
				}
			}
			dep = at.ParentID
		}
		if enough() {
			return out, nil
		}
	}
	admins, err := s.org.Holders(ctx, q, PermAdmin)
	if err != nil {
		return nil, err
	}
	for _, id := range admins {
		if err := take(id); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// turns is candidates with those who have been asked and are still on the line:
// who was asked while somebody was away may decide after he has come back.
func (s *Service) turns(ctx context.Context, q db.Querier, r Request) ([]int64, error) {
	ids, err := s.candidates(ctx, q, r)
	if err != nil {
		return nil, err
	}
	asked, err := stored(ctx, q, r.ID)
	if err != nil || subset(asked, ids) {
		return ids, err
	}
	r.Level = maxDepth
	line, err := s.candidates(ctx, q, r)
	if err != nil {
		return nil, err
	}
	for _, id := range asked {
		if slices.Contains(line, id) && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// deciders knows who may not decide a request.
type deciders struct {
	s     *Service
	q     db.Querier
	r     Request
	users []int64 // who holds PermUse
	done  []int64 // who has had his say in an earlier step
}

func (s *Service) deciders(ctx context.Context, q db.Querier, r Request) (*deciders, error) {
	d := &deciders{s: s, q: q, r: r}
	var err error
	if d.users, err = s.org.Holders(ctx, q, PermUse); err != nil {
		return nil, err
	}
	if r.Rule.SamePerson || r.Step == 0 {
		return d, nil
	}
	rows, err := q.Query(ctx, `SELECT by_id, for_id FROM approval_history WHERE approval_id = $1 AND what = 'approved'`, r.ID)
	if err != nil {
		return nil, fmt.Errorf("approval: deciders of %d: %w", r.ID, err)
	}
	defer rows.Close()
	for rows.Next() {
		var by, of int64
		if err := rows.Scan(&by, &of); err != nil {
			return nil, err
		}
		d.done = append(d.done, by, of)
	}
	return d, rows.Err()
}

// may reports whether the person may decide this step at all.
func (d *deciders) may(id int64) bool {
	_, holds := slices.BinarySearch(d.users, id)
	return holds && id != d.r.RequestedBy && !slices.Contains(d.done, id)
}

// standIn returns who acts for p while he is away; 0: nobody. A stand-in who is
// away himself is not replaced by his own: p has not chosen him.
func (d *deciders) standIn(ctx context.Context, p org.Person) int64 {
	if !p.Away || p.DelegateID == 0 || p.DelegateID == p.ID || !d.may(p.DelegateID) {
		return 0
	}
	if by, ok, err := d.s.org.Person(ctx, d.q, p.DelegateID); err != nil || !ok || !by.Active || by.Away {
		return 0
	}
	return p.DelegateID
}

// describe adds names and stand-ins to whose turn it is.
func (s *Service) describe(ctx context.Context, q db.Querier, r Request, ids []int64) ([]Waiting, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	d, err := s.deciders(ctx, q, r)
	if err != nil {
		return nil, err
	}
	var out []Waiting
	for _, id := range ids {
		p, ok, err := s.org.Person(ctx, q, id)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		w := Waiting{UserID: id, Name: p.Name, Away: p.Away}
		if w.StandIn = d.standIn(ctx, p); w.StandIn != 0 {
			by, _, err := s.org.Person(ctx, q, w.StandIn)
			if err != nil {
				return nil, err
			}
			w.StandInName = by.Name
		}
		out = append(out, w)
	}
	return out, nil
}

// audience is who is told that it is his turn: the persons and their stand-ins.
func audience(ws []Waiting) []int64 {
	var out []int64
	for _, w := range ws {
		out = append(out, w.UserID)
		if w.StandIn != 0 {
			out = append(out, w.StandIn)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func waitingIDs(ws []Waiting) []int64 {
	var out []int64
	for _, w := range ws {
		out = append(out, w.UserID)
	}
	return out
}
