package notify

import (
	"context"
	"fmt"
	"slices"
	"time"

	"bihuan/internal/db"
	"bihuan/internal/job"
)

// deliverJob is the job of sending what waits for a channel.
const deliverJob = "deliver notices"

type deliverArgs struct {
	Channel int64 `json:"channel"`
}

// wake has what waits for a channel sent.
func (s *Service) wake(ctx context.Context, tx *db.Tx, channel int64) error {
	return s.wakeAt(ctx, tx, channel, time.Time{})
}

func (s *Service) wakeAt(ctx context.Context, tx *db.Tx, channel int64, at time.Time) error {
	if s.jobs == nil {
		return nil
	}
	o := job.Opts{At: at}
	if !at.IsZero() {
		o.UniqueKey = fmt.Sprintf("%s/%d/%d", deliverJob, channel, at.Unix())
	}
	_, err := s.jobs.Enqueue(ctx, tx, deliverJob, deliverArgs{channel}, o)
	return err
}

// through returns the channel by which way reaches a department: the robot of the
// department itself, of one above it, or that for everybody.
func (s *Service) through(ctx context.Context, q db.Querier, cs []Channel, department int64, way string) (Channel, bool, error) {
	if !slices.ContainsFunc(cs, func(c Channel) bool { return c.Kind == way }) {
		return Channel{}, false, nil
	}
	for range 20 {
		for _, c := range cs {
			if c.Kind == way && c.DepartmentID == department {
				return c, true, nil
			}
		}
		if department == 0 {
			break
		}
		if s.org == nil {
			department = 0
			continue
		}
		d, ok, err := s.org.Department(ctx, q, department)
		if err != nil {
			return Channel{}, false, err
		}
		if department = d.ParentID; !ok {
			department = 0
		}
	}
	return Channel{}, false, nil
}

// reaches reports whether the person can be reached by way.
func reaches(p *person, way string) bool {
	switch way {
	case Mail, SMS:
		return p.address(way) != ""
	case Push:
		return p.Push
	}
	return true
}

// plan puts down what of a notice goes out by which ways; those of tx's other
// notices are not looked at, and none goes before wait has passed. It returns the
// channels to be woken.
func (s *Service) plan(ctx context.Context, tx *db.Tx, cs []Channel, t Table, l Line, c Class, p *person, notice int64, wait time.Duration) (wake []int64, err error) {
	for _, way := range Ways {
		if !t.wants(l, c, p, way) || !reaches(p, way) {
			continue
		}
		ch, ok, err := s.through(ctx, tx, cs, p.DepartmentID, way)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		when, why, together := p.due(c, tx.Now)
		if way == Webhook {
			when, why, together = tx.Now, "", false
		}
		if at := tx.Now.Add(wait); when.Before(at) {
			when, why = at, "digest"
		}
		if err := add(ctx, tx, notice, p.ID, ch, 0, when, why, together); err != nil {
			return nil, err
		}
		if why == "" {
			wake = append(wake, ch.ID)
		}
	}
	return wake, nil
}

func add(ctx context.Context, tx *db.Tx, notice, user int64, c Channel, round int, when time.Time, why string, together bool) error {
	err := tx.Later(ctx, `
		INSERT INTO notice_deliveries (notice_id, user_id, channel, through, round, why, together, next_at, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (notice_id, user_id, channel, round) DO NOTHING`,
		notice, user, c.Kind, c.ID, round, why, db.Bool(together), db.Micros(when), tx.NowMicros())
	if err != nil {
		return fmt.Errorf("notify: notice %d to %d by %s: %w", notice, user, c.Kind, err)
	}
	return nil
}

// chase sends out again what is urgent and still unread: by a way it has not taken
// yet, and when there is none left, what insists once more by all of them.
func (s *Service) chase(ctx context.Context, cs []Channel) (n int, err error) {
	rows, err := s.d.Read().Query(ctx, `SELECT id FROM notifications WHERE chase_at > 0 AND chase_at <= $1 ORDER BY chase_at LIMIT 200`, db.Micros(s.d.Clock().Now()))
	if err != nil {
		return 0, fmt.Errorf("notify: chase: %w", err)
	}
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			rows.Close()
			return 0, fmt.Errorf("notify: chase: %w", err)
		}
		ids = append(ids, id)
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return 0, err
	}
	for _, id := range ids {
		if err := s.d.Write(ctx, func(ctx context.Context, tx *db.Tx) error { return s.chaseOne(ctx, tx, cs, id) }); err != nil {
			return n, fmt.Errorf("notify: chase %d: %w", id, err)
		}
		n++
	}
	return n, nil
}

func (s *Service) chaseOne(ctx context.Context, tx *db.Tx, cs []Channel, id int64) error {
	var user, chaseAt, chased, read int64
	var kind, class string
	err := tx.QueryRow(ctx, `SELECT user_id, kind, class, chase_at, chased, read_at FROM notifications WHERE id = $1`+tx.ForUpdate(), id).Scan(&user, &kind, &class, &chaseAt, &chased, &read)
	if err != nil {
		return err
	}
	if chaseAt == 0 || chaseAt > tx.NowMicros() {
		return nil // another node was faster
	}
	t, err := readTable(ctx, tx)
	if err != nil {
		return err
	}
	ps, err := people(ctx, tx, []int64{user})
	if err != nil {
		return err
	}
	p, l := ps[user], t.Line(kind)
	next := time.Time{}
	if read == 0 && p != nil && p.Active && !l.Off {
		used := map[string]int{}
		rows, err := tx.Query(ctx, `SELECT channel, MAX(round) FROM notice_deliveries WHERE notice_id = $1 AND user_id = $2 GROUP BY channel`, id, user)
		if err != nil {
			return err
		}
		for rows.Next() {
			var way string
			var round int
			if err := rows.Scan(&way, &round); err != nil {
				rows.Close()
				return err
			}
			used[way] = round
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return err
		}
		sent := false
		for _, way := range Ways {
			if _, was := used[way]; was || way == Webhook || l.Modes[way] == Never || !reaches(p, way) {
				continue
			}
			c, ok, err := s.through(ctx, tx, cs, p.DepartmentID, way)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			if err := add(ctx, tx, id, user, c, 0, tx.Now, "chase", false); err != nil {
				return err
			}
			if err := s.wake(ctx, tx, c.ID); err != nil {
				return err
			}
			sent = true
			break
		}
		switch {
		case sent:
			next = tx.Now.Add(time.Duration(max(t.ChaseAfter, 1)) * time.Minute)
		case Class(class) == Insist && chased < int64(t.Repeats):
			for way, round := range used {
				if way == Webhook {
					continue
				}
				c, ok, err := s.through(ctx, tx, cs, p.DepartmentID, way)
				if err != nil {
					return err
				}
				if !ok || !reaches(p, way) {
					continue
				}
				if err := add(ctx, tx, id, user, c, round+1, tx.Now, "insist", false); err != nil {
					return err
				}
				if err := s.wake(ctx, tx, c.ID); err != nil {
					return err
				}
			}
			chased++
			next = tx.Now.Add(time.Duration(max(t.Repeat, 1)) * time.Minute)
		}
	}
	nextAt := int64(0)
	if !next.IsZero() {
		nextAt = db.Micros(next)
	}
	_, err = tx.Exec(ctx, `UPDATE notifications SET chase_at = $1, chased = $2 WHERE id = $3`, nextAt, chased, id)
	return err
}
