package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/job"
	"bihuan/internal/outbound"
)

// How what is sent is never sent twice, as far as that can be had. The row of a
// notice, person, way and round is unique, and it is marked "sending" with a lease
// before anything leaves the house. Of two nodes one gets it. If the node dies
// before it has written down how it went, or the connection breaks when the other
// side may have the message already, nobody knows whether it arrived: it is sent
// once more, marked doubtful and with the same id (the Message-ID of a mail, the
// delivery id of a webhook, the OutId of a short message), by which who knows
// ids sees that it is the same. A second time of not knowing ends as "uncertain".
// So there is at most one duplicate, and the log says that there may be one.

const (
	lease       = 2 * time.Minute
	maxAttempts = 8
	tooOld      = 24 * time.Hour // what could not be sent until then is news no more
	groupMost   = 30             // notices in one message
	busyMost    = 200            // messages in one job
	keepLog     = 90 * 24 * time.Hour
)

// piece is a delivery that was claimed.
type piece struct {
	id, notice, user   int64
	way                string
	round, attempt     int64
	together, doubtful bool
	created            time.Time

	kind   string
	class  Class
	urgent bool
	args   stored
}

type group struct {
	channel Channel
	pieces  []piece
	people  map[int64]*person
}

// Deliver sends what is due by a channel. Only one goroutine of a node is at a
// channel; who finds it busy leaves, and the busy one looks again.
func (s *Service) Deliver(ctx context.Context, channel int64) error {
	s.mu.Lock()
	if _, busy := s.busy[channel]; busy {
		s.busy[channel] = true
		s.mu.Unlock()
		return nil
	}
	s.busy[channel] = false
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.busy, channel)
		s.mu.Unlock()
	}()
	for n := 0; ctx.Err() == nil; n++ {
		g, more, err := s.claim(ctx, channel)
		if err != nil {
			return err
		}
		if more {
			continue
		}
		if g == nil {
			s.mu.Lock()
			again := s.busy[channel]
			s.busy[channel] = false
			s.mu.Unlock()
			if again {
				continue
			}
			return nil
		}
		answer, serr := s.sendGroup(ctx, g)
		if err := s.settle(context.WithoutCancel(ctx), g, answer, serr); err != nil {
			return err
		}
		if n == busyMost { // others want the worker, too
			return s.d.Write(ctx, func(ctx context.Context, tx *db.Tx) error { return s.wake(ctx, tx, channel) })
		}
	}
	return ctx.Err()
}

func (s *Service) work(ctx context.Context, j *job.Job) error {
	var a deliverArgs
	if err := j.Decode(&a); err != nil {
		return job.Discard(err)
	}
	return s.Deliver(ctx, a.Channel)
}

func skipAll(ctx context.Context, tx *db.Tx, channel int64) error {
	_, err := tx.Exec(ctx, `UPDATE notice_deliveries SET state = 'skipped', why = 'off' WHERE through = $1 AND state = 'waiting'`, channel)
	if err != nil {
		return fmt.Errorf("notify: skip what waits for channel %d: %w", channel, err)
	}
	return nil
}

// claim takes the next message of a channel; nil when there is none, or none may
// be sent now. more: what was looked at need not be sent, but there may be others.
func (s *Service) claim(ctx context.Context, channel int64) (g *group, more bool, err error) {
	err = s.d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		g, more = nil, false
		now := tx.NowMicros()
		var recent string
		if err := tx.QueryRow(ctx, `SELECT recent FROM notice_channels WHERE id = $1`+tx.ForUpdate(), channel).Scan(&recent); err != nil && !isNone(err) {
			return fmt.Errorf("notify: claim: %w", err)
		}
		c, err := loadChannel(ctx, tx, channel)
		if fault.Is(err, fault.NotFound) || err == nil && !c.Enabled {
			return skipAll(ctx, tx, channel)
		}
		if err != nil {
			return err
		}
		// Who died while sending: see above.
		for _, q := range []string{
			`UPDATE notice_deliveries SET state = 'uncertain', why = 'unsure', lease_until = 0 WHERE through = $1 AND state = 'sending' AND lease_until <= $2 AND doubtful = 1`,
			`UPDATE notice_deliveries SET state = 'waiting', doubtful = 1, lease_until = 0, next_at = $2 WHERE through = $1 AND state = 'sending' AND lease_until <= $2`} {
			if _, err := tx.Exec(ctx, q, channel, now); err != nil {
				return fmt.Errorf("notify: claim: %w", err)
			}
		}
		if c.PausedUntil.After(tx.Now) {
			return nil
		}
		var times []int64
		if err := json.Unmarshal([]byte(recent), &times); err != nil {
			times = nil
		}
		budget, free := left(ways[c.Kind].limits, &times, tx.Now)
		ps, err := due(ctx, tx, channel)
		if err != nil || len(ps) == 0 {
			return err
		}
		if budget <= 0 {
			return s.wakeAt(ctx, tx, channel, free)
		}
		if ps, err = s.sift(ctx, tx, ps); err != nil || len(ps) == 0 {
			more = true
			return err
		}
		pieces := pick(ps, c.Kind, budget)
		var a db.Args
		until, at := a.Add(db.Micros(tx.Now.Add(lease))), []string{}
		for _, p := range pieces {
			at = append(at, a.Add(p.id))
		}
		if _, err := tx.Exec(ctx, `UPDATE notice_deliveries SET state = 'sending', attempt = attempt + 1, lease_until = `+until+` WHERE state = 'waiting' AND id IN (`+strings.Join(at, ", ")+`)`, a.Values...); err != nil {
			return fmt.Errorf("notify: claim: %w", err)
		}
		if len(ways[c.Kind].limits) > 0 {
			raw, err := json.Marshal(append(times, now))
			if err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `UPDATE notice_channels SET recent = $1 WHERE id = $2`, string(raw), channel); err != nil {
				return fmt.Errorf("notify: claim: %w", err)
			}
		}
		var ids []int64
		for _, p := range pieces {
			ids = append(ids, p.user)
		}
		g = &group{channel: c, pieces: pieces}
		g.people, err = people(ctx, tx, ids)
		return err
	})
	return g, more, err
}

// left says how many messages may leave now and, when none may, from when on.
// times loses what no limit looks at any more.
func left(limits []limit, times *[]int64, now time.Time) (n int, free time.Time) {
	n = groupMost
	longest := time.Duration(0)
	for _, l := range limits {
		longest = max(longest, l.per)
		var in []int64
		for _, t := range *times {
			if t > db.Micros(now.Add(-l.per)) {
				in = append(in, t)
			}
		}
		if rest := l.n - len(in); rest < n {
			n = rest
		}
		if len(in) >= l.n {
			if f := db.FromMicros(in[len(in)-l.n]).Add(l.per); f.After(free) {
				free = f
			}
		}
	}
	*times = slices.DeleteFunc(*times, func(t int64) bool { return t <= db.Micros(now.Add(-longest)) })
	return n, free
}

func due(ctx context.Context, tx *db.Tx, channel int64) (out []piece, err error) {
	lock := tx.Dialect().SkipLocked()
	if lock != "" {
		lock = " FOR UPDATE OF d SKIP LOCKED"
	}
	rows, err := tx.Query(ctx, `
		SELECT d.id, d.notice_id, d.user_id, d.channel, d.round, d.attempt, d.together, d.doubtful, d.created_at, n.kind, n.class, n.urgent, n.args, n.read_at
		FROM notice_deliveries d JOIN notifications n ON n.id = d.notice_id
		WHERE d.through = $1 AND d.state = 'waiting' AND d.next_at <= $2 ORDER BY d.next_at, d.id LIMIT $3`+lock, channel, tx.NowMicros(), 2*groupMost)
	if err != nil {
		return nil, fmt.Errorf("notify: due: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var p piece
		var together, doubtful, urgent int
		var created, read int64
		var args string
		if err := rows.Scan(&p.id, &p.notice, &p.user, &p.way, &p.round, &p.attempt, &together, &doubtful, &created, &p.kind, (*string)(&p.class), &urgent, &args, &read); err != nil {
			return nil, fmt.Errorf("notify: due: %w", err)
		}
		p.together, p.doubtful, p.urgent, p.created = together == 1, doubtful == 1, urgent == 1, db.FromMicros(created)
		if err := json.Unmarshal([]byte(args), &p.args); err != nil {
			return nil, fmt.Errorf("notify: notice %d: %w", p.notice, err)
		}
		if read > 0 {
			p.args.read = true
		}
		out = append(out, p)
	}
	return out, rows.Err()
}

// sift takes out what need not be sent any more and says so in the log.
func (s *Service) sift(ctx context.Context, tx *db.Tx, ps []piece) (out []piece, err error) {
	for _, p := range ps {
		state, why := "", ""
		switch {
		case p.args.read && p.way != Webhook:
			state, why = "skipped", "read"
		case p.way == SMS:
			until, err := s.smsFree(ctx, tx, p.user)
			if err != nil {
				return nil, err
			}
			if until.IsZero() {
				out = append(out, p)
				continue
			}
			if _, err := tx.Exec(ctx, `UPDATE notice_deliveries SET next_at = $1, why = 'rate', together = 1 WHERE id = $2`, db.Micros(until), p.id); err != nil {
				return nil, fmt.Errorf("notify: delivery %d: %w", p.id, err)
			}
			continue
		case tx.Now.Sub(p.created) > tooOld && p.attempt > 0:
			state, why = "failed", "old"
		default:
			out = append(out, p)
			continue
		}
		if _, err := tx.Exec(ctx, `UPDATE notice_deliveries SET state = $1, why = $2 WHERE id = $3`, state, why, p.id); err != nil {
			return nil, fmt.Errorf("notify: delivery %d: %w", p.id, err)
		}
	}
	return out, nil
}

// smsFree returns until when a person gets no further short message, zero when he
// does: platforms take one a minute, five an hour and ten a day for a number, and
// give no second chance to what comes too soon. What waits goes together.
func (s *Service) smsFree(ctx context.Context, tx *db.Tx, user int64) (until time.Time, err error) {
	rows, err := tx.Query(ctx, `SELECT sent_at FROM notice_deliveries WHERE user_id = $1 AND channel = 'sms' AND sent_at > $2 ORDER BY id DESC LIMIT 50`, user, db.Micros(tx.Now.Add(-24*time.Hour)))
	if err != nil {
		return until, fmt.Errorf("notify: short messages to %d: %w", user, err)
	}
	defer rows.Close()
	var times []int64
	for rows.Next() {
		var at int64
		if err := rows.Scan(&at); err != nil {
			return until, fmt.Errorf("notify: short messages to %d: %w", user, err)
		}
		if !slices.Contains(times, at) { // notices that went together
			times = append(times, at)
		}
	}
	slices.Sort(times)
	_, until = left([]limit{{1, time.Minute}, {5, time.Hour}, {10, 24 * time.Hour}}, &times, tx.Now)
	return until, rows.Err()
}

// pick chooses what goes into the next message: the oldest; with it what may
// travel with it to the same person; and when a robot has more to say than it may,
// everything, in one message.
func pick(ps []piece, way string, budget int) []piece {
	first := ps[0]
	var out []piece
	for _, p := range ps {
		switch {
		case p.id == first.id,
			first.together && p.together && p.user == first.user && p.doubtful == first.doubtful,
			Robot(way) && len(ps) > budget && !p.doubtful && !first.doubtful:
			out = append(out, p)
		}
		if len(out) == groupMost {
			break
		}
	}
	return out
}

func (s *Service) sendGroup(ctx context.Context, g *group) (answer string, err error) {
	t, err := readTable(ctx, s.d.Read())
	if err != nil {
		return "", outbound.Failed(outbound.Later, "", err)
	}
	var who []*person
	var ids []int64
	for _, p := range g.pieces {
		if x := g.people[p.user]; x != nil && x.Active && !slices.Contains(ids, p.user) {
			who, ids = append(who, x), append(ids, p.user)
		}
	}
	if len(who) == 0 {
		return "", outbound.Failed(outbound.Address, "", errors.New("the person has left"))
	}
	if !slices.ContainsFunc(who, func(p *person) bool { return reaches(p, g.channel.Kind) }) {
		return "", outbound.Failed(outbound.Address, "", errNoAddress)
	}
	m := s.message(t, g, who)
	defer func() {
		if p := recover(); p != nil { // a client that falls over must not take the queue with it
			slog.Error("notify: panic", "channel", g.channel.Kind, "panic", p)
			err = outbound.Failed(outbound.Refused, "", fmt.Errorf("notify: %v", p))
		}
	}()
	return s.send(ctx, g.channel, m, ids)
}

var errNoAddress = errors.New("the person has no address on this way")

// message says the notices of a group in the language of the first receiver.
func (s *Service) message(t Table, g *group, who []*person) outbound.Message {
	l := who[0].Lang
	base := s.base(t)
	m := outbound.Message{ID: fmt.Sprintf("notice.%d.%d", g.pieces[0].id, g.pieces[0].round), Lang: string(l), At: s.d.Clock().Now()}
	var names, to []string
	for _, p := range who {
		names = append(names, p.Name)
		if a := p.address(g.channel.Kind); a != "" {
			to = append(to, a)
		}
	}
	m.Name, m.To = strings.Join(names, "、"), strings.Join(to, ",")
	seen := map[string]bool{}
	for _, p := range g.pieces {
		i := outbound.Item{Lang: string(l), Number: p.args.Number, Kind: p.kind, Title: heading(l, p.kind, p.args.Title, p.args.Many), Text: sentence(l, p.kind, p.args.Args, p.args.Many), Short: i18n.T(l, "notify.event."+occasion(p.kind).Kind), Path: fmt.Sprintf("/notifications/%d", p.notice), Urgent: p.class != Normal}
		if base != "" {
			i.Link = base + i.Path
			if len(who) > 1 { // each has a notice of his own; the page is the same
				i.Link = base + p.args.Link
			}
		}
		m.Urgent = m.Urgent || i.Urgent
		if len(who) > 1 && seen[i.Line()+i.Link] {
			continue // the same fact for several people of the group
		}
		seen[i.Line()+i.Link] = true
		m.Items = append(m.Items, i)
	}
	switch {
	case len(m.Items) > 1:
		m.Subject = i18n.T(l, "notify.message.several", len(m.Items))
	case m.Urgent:
		m.Subject = i18n.T(l, "notify.message.urgent", m.Items[0].Line())
	default:
		m.Subject = m.Items[0].Line()
	}
	if g.channel.Get("brief") != "" && len(m.Items) == 1 {
		i := m.Items[0]
		i.Title = ""
		m.Subject = i.Line()
		if m.Urgent {
			m.Subject = i18n.T(l, "notify.message.urgent", m.Subject)
		}
	}
	if g.channel.Kind == Mail {
		m.Foot = i18n.T(l, "notify.message.foot")
	}
	return m
}

// settle writes down how an attempt went.
func (s *Service) settle(ctx context.Context, g *group, answer string, serr error) error {
	return s.d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		c := g.channel
		if serr == nil {
			if c.Trouble != "" {
				if _, err := tx.Exec(ctx, `UPDATE notice_channels SET trouble = '', troubles = 0, paused_until = 0 WHERE id = $1`, c.ID); err != nil {
					return fmt.Errorf("notify: settle: %w", err)
				}
			}
			for _, p := range g.pieces {
				if err := s.mark(ctx, tx, p, "sent", "", answer, "", tx.Now, p.doubtful, false); err != nil {
					return err
				}
			}
			return nil
		}
		f := outbound.FailOf(serr)
		text := shorten(f.Detail())
		pause := time.Duration(0)
		if f.Kind == outbound.Down || f.Kind == outbound.Settings || f.Kind == outbound.Throttled {
			var troubles int
			if err := tx.QueryRow(ctx, `UPDATE notice_channels SET troubles = troubles + 1, trouble = $1 WHERE id = $2 RETURNING troubles`, text, c.ID).Scan(&troubles); err != nil && !isNone(err) {
				return fmt.Errorf("notify: settle: %w", err)
			}
			pause = min(job.Backoff(max(troubles, 1), c.ID, tx.Now), 15*time.Minute)
			if f.Retry > 0 {
				pause = f.Retry
			}
			if _, err := tx.Exec(ctx, `UPDATE notice_channels SET paused_until = $1 WHERE id = $2`, db.Micros(tx.Now.Add(pause)), c.ID); err != nil {
				return fmt.Errorf("notify: settle: %w", err)
			}
		}
		wakeAt := time.Time{}
		for _, p := range g.pieces {
			state, next, doubtful, uncounted := "waiting", tx.Now.Add(job.Backoff(int(p.attempt)+1, p.id, tx.Now)), p.doubtful, false
			switch {
			case f.Kind == outbound.Refused || f.Kind == outbound.Address:
				state = "failed"
			case f.Kind == outbound.Unsure && p.doubtful:
				state = "uncertain"
			case f.Kind == outbound.Unsure:
				doubtful = true
			case f.Kind == outbound.Later && f.Retry > 0:
				next = tx.Now.Add(f.Retry)
			case pause > 0: // the fault of the way, not of the message
				next, uncounted = tx.Now.Add(pause), true
			case p.attempt+1 >= maxAttempts:
				state = "failed"
			}
			if state == "waiting" && (wakeAt.IsZero() || next.Before(wakeAt)) {
				wakeAt = next
			}
			why := "retry"
			if state != "waiting" {
				why = string(f.Kind)
			}
			if err := s.mark(ctx, tx, p, state, why, f.Answer, text, next, doubtful, uncounted); err != nil {
				return err
			}
		}
		if !wakeAt.IsZero() {
			return s.wakeAt(ctx, tx, c.ID, wakeAt)
		}
		return nil
	})
}

func (s *Service) mark(ctx context.Context, tx *db.Tx, p piece, state, why, answer, text string, next time.Time, doubtful, uncounted bool) error {
	sent, minus := int64(0), 0
	if state == "sent" {
		sent = tx.NowMicros()
	}
	if uncounted {
		minus = 1
	}
	_, err := tx.Exec(ctx, `UPDATE notice_deliveries SET state = $1, why = $2, answer = $3, last_error = $4, next_at = $5, doubtful = $6, attempt = attempt - $7, lease_until = 0, sent_at = $8 WHERE id = $9 AND state = 'sending' AND attempt = $10`,
		state, why, shorten(answer), text, db.Micros(next), db.Bool(doubtful), minus, sent, p.id, p.attempt+1)
	if err != nil {
		return fmt.Errorf("notify: delivery %d: %w", p.id, err)
	}
	return nil
}

func shorten(s string) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "�")
	return outbound.Cut(s, 1000)
}

// Sweep chases what is unread and wakes the channels for which something has
// become due: a duty of every 20 seconds. It costs nothing while no way is set up.
func (s *Service) Sweep(ctx context.Context) error {
	cs, err := inUse(ctx, s.d.Read())
	if err != nil || len(cs) == 0 {
		return err
	}
	if _, err := s.chase(ctx, cs); err != nil {
		return err
	}
	for _, c := range cs {
		var n int
		now := db.Micros(s.d.Clock().Now())
		err := s.d.Read().QueryRow(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM notice_deliveries WHERE through = $1 AND state = 'waiting' AND next_at <= $2 LIMIT 1) w`, c.ID, now).Scan(&n)
		if err == nil && n == 0 {
			err = s.d.Read().QueryRow(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM notice_deliveries WHERE through = $1 AND state = 'sending' AND lease_until <= $2 LIMIT 1) w`, c.ID, now).Scan(&n)
		}
		if err != nil {
			return fmt.Errorf("notify: sweep: %w", err)
		}
		if n > 0 && !c.PausedUntil.After(s.d.Clock().Now()) {
			if err := s.Deliver(ctx, c.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// Prune forgets old lines of the log: a daily duty.
func (s *Service) Prune(ctx context.Context) error {
	return s.d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM notice_deliveries WHERE created_at < $1`, db.Micros(tx.Now.Add(-keepLog)))
		if err != nil {
			return fmt.Errorf("notify: prune: %w", err)
		}
		return nil
	})
}
