package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/number"
)

// Digests a person can choose.
const (
	NoDigest = "off"
	Hourly   = "hourly"
	Daily    = "daily"
)

// Digests in the order they are shown.
var Digests = []string{NoDigest, Hourly, Daily}

// Choices is what a person wants. The zero value with no quiet hours means: what
// the administrator proposes.
type Choices struct {
	Picks     map[string]map[string]bool // event -> way -> wanted; what is not there is as proposed
	QuietFrom int                        // minutes of the day; -1: no quiet hours
	QuietTo   int
	Digest    string
	DigestAt  int
	Addresses map[string]string // way -> his own address there
	Version   int64
}

// person is somebody to be told, as far as notices care.
type person struct {
	Choices
	ID           int64
	Name         string
	DepartmentID int64
	Lang         i18n.Lang
	Active       bool
	Email, Phone string // of his account
	Push         bool   // has a browser that takes messages
}

// address is where way reaches the person; "" when it does not, or when the way
// itself is the address.
func (p *person) address(way string) string {
	if a := p.Addresses[way]; a != "" {
		return a
	}
	switch way {
	case Mail:
		return p.Email
	case SMS, WeCom, DingTalk, Feishu:
		return p.Phone
	}
	return ""
}

const personColumns = `u.id, u.name, u.department_id, u.lang, u.active, u.email, u.phone, COALESCE(p.choices, '{}'), COALESCE(p.quiet_from, -1), COALESCE(p.quiet_to, -1),
	COALESCE(p.digest, 'off'), COALESCE(p.digest_at, 540), COALESCE(p.addresses, '{}'), COALESCE(p.version, 0), (SELECT COUNT(*) FROM push_subscriptions b WHERE b.user_id = u.id)`

// people loads persons by id; who is not there is left out.
func people(ctx context.Context, q db.Querier, ids []int64) (map[int64]*person, error) {
	out := map[int64]*person{}
	var a db.Args
	in := make([]string, 0, len(ids))
	for _, id := range ids {
		if _, twice := out[id]; !twice {
			out[id] = nil
			in = append(in, a.Add(id))
		}
	}
	clear(out)
	if len(in) == 0 {
		return out, nil
	}
	rows, err := q.Query(ctx, `SELECT `+personColumns+` FROM users u LEFT JOIN notice_people p ON p.user_id = u.id WHERE u.id IN (`+strings.Join(in, ", ")+`)`, a.Values...)
	if err != nil {
		return nil, fmt.Errorf("notify: people: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		p := &person{}
		var choices, addresses string
		var active, browsers int
		if err := rows.Scan(&p.ID, &p.Name, &p.DepartmentID, (*string)(&p.Lang), &active, &p.Email, &p.Phone, &choices, &p.QuietFrom, &p.QuietTo, &p.Digest, &p.DigestAt, &addresses, &p.Version, &browsers); err != nil {
			return nil, fmt.Errorf("notify: people: %w", err)
		}
		p.Active, p.Push = active == 1, browsers > 0
		if err := json.Unmarshal([]byte(choices), &p.Picks); err != nil {
			return nil, fmt.Errorf("notify: choices of %d: %w", p.ID, err)
		}
		if err := json.Unmarshal([]byte(addresses), &p.Addresses); err != nil {
			return nil, fmt.Errorf("notify: addresses of %d: %w", p.ID, err)
		}
		out[p.ID] = p
	}
	return out, rows.Err()
}

// quietUntil returns when the quiet hours end that hold at now; zero when none do.
// From 22:00 to 8:00 goes over midnight.
func (c Choices) quietUntil(now time.Time) time.Time {
	if c.QuietFrom < 0 || c.QuietTo < 0 || c.QuietFrom == c.QuietTo {
		return time.Time{}
	}
	local := now.In(number.Zone)
	m := local.Hour()*60 + local.Minute()
	end := at(local, c.QuietTo)
	switch {
	case c.QuietFrom < c.QuietTo && m >= c.QuietFrom && m < c.QuietTo:
		return end
	case c.QuietFrom > c.QuietTo && m >= c.QuietFrom:
		return end.AddDate(0, 0, 1)
	case c.QuietFrom > c.QuietTo && m < c.QuietTo:
		return end
	}
	return time.Time{}
}

func at(day time.Time, minutes int) time.Time {
	return time.Date(day.Year(), day.Month(), day.Day(), minutes/60, minutes%60, 0, 0, day.Location())
}

// due says when a notice of class c made at now is to go out to the person, why it
// waits ("" when it does not), and whether it may travel with others.
func (c Choices) due(class Class, now time.Time) (when time.Time, why string, together bool) {
	if class != Normal {
		return now, "", false
	}
	when = now
	local := now.In(number.Zone)
	switch c.Digest {
	case Hourly:
		when, why = local.Truncate(time.Hour).Add(time.Hour), "digest"
	case Daily:
		when, why = at(local, c.DigestAt), "digest"
		if !when.After(now) {
			when = when.AddDate(0, 0, 1)
		}
	}
	if end := c.quietUntil(when); !end.IsZero() {
		when, why = end, "quiet"
	}
	return when, why, why != ""
}

// Mine is what a person sees of his own notices' ways.
type Mine struct {
	Choices
	Ways  []MyWay
	Lines []Line
}

// MyWay is a way as it is open to a person.
type MyWay struct {
	Way     string
	Channel int64  // through which it would go
	Address string // in force
	Own     string // what he has filled in himself
	Reach   bool
}

// Mine returns the person's own choices and what they choose from.
func (s *Service) Mine(ctx context.Context, actor authz.Actor) (m Mine, t Table, err error) {
	ps, err := people(ctx, s.d.Read(), []int64{actor.ID})
	if err != nil {
		return m, t, err
	}
	p := ps[actor.ID]
	if p == nil {
		return m, t, fault.New(fault.NotFound, "notify.nobody")
	}
	if t, err = readTable(ctx, s.d.Read()); err != nil {
		return m, t, err
	}
	cs, err := inUse(ctx, s.d.Read())
	if err != nil {
		return m, t, err
	}
	m.Choices = p.Choices
	for _, w := range Ways {
		if w == Webhook {
			continue // reaches a machine, not him
		}
		c, ok, err := s.through(ctx, s.d.Read(), cs, p.DepartmentID, w)
		if err != nil {
			return m, t, err
		}
		if ok {
			m.Ways = append(m.Ways, MyWay{w, c.ID, p.address(w), p.Addresses[w], reaches(p, w)})
		}
	}
	m.Lines = t.Lines()
	return m, t, nil
}

// Wants reports whether the person gets normal notices of the line by way now, and
// whether he can change that.
func (m Mine) Wants(t Table, l Line, way string) (yes, free bool) {
	mode := l.Modes[way]
	return t.wants(l, Normal, &person{Choices: m.Choices}, way), !l.Off && (mode == May || mode == On)
}

// SetMine changes the actor's own choices.
func (s *Service) SetMine(ctx context.Context, actor authz.Actor, in Choices) error {
	e := fault.Invalidf("notify.channel.invalid")
	if (in.QuietFrom < 0) != (in.QuietTo < 0) {
		name := "quiet_from"
		if in.QuietTo < 0 {
			name = "quiet_to"
		}
		e.Field(name, "notify.mine.quiet_both")
	} else if in.QuietFrom >= 0 && in.QuietFrom == in.QuietTo {
		e.Field("quiet_to", "notify.mine.quiet_same")
	}
	if !slices.Contains(Digests, in.Digest) {
		e.Field("digest", "notify.channel.choice")
	}
	for w, a := range in.Addresses {
		a = strings.TrimSpace(a)
		in.Addresses[w] = a
		switch {
		case a == "":
			delete(in.Addresses, w)
		case len(a) > 200 || strings.ContainsAny(a, "\r\n"):
			e.Field("to_"+w, "notify.channel.long")
		case w == Mail:
			if p, err := mail.ParseAddress(a); err != nil || p.Address != a {
				e.Field("to_"+w, "notify.channel.email")
			}
		case w == SMS:
			if strings.Trim(a, "+0123456789 -") != "" || len(a) < 6 {
				e.Field("to_"+w, "notify.mine.phone")
			}
		}
	}
	if err := e.OrNil(); err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "notify.set_choices", func(ctx context.Context, a *action.Action) error {
		ps, err := people(ctx, a, []int64{actor.ID})
		if err != nil {
			return err
		}
		p := ps[actor.ID]
		if p == nil {
			return fault.New(fault.NotFound, "notify.nobody")
		}
		if p.Version != in.Version {
			return fault.New(fault.Conflict, "notify.stale")
		}
		t, err := readTable(ctx, a)
		if err != nil {
			return err
		}
		// Only what is his to choose is kept, and only where it differs from what is
		// proposed: a later proposal of the administrator reaches those who never chose.
		for kind, ways := range in.Picks {
			l, ok := byKind[kind]
			for w, v := range ways {
				mode := t.Line(l.Kind).Modes[w]
				if !ok || mode == Never || mode == Must || v == (mode == On) {
					delete(ways, w)
				}
			}
			if len(ways) == 0 {
				delete(in.Picks, kind)
			}
		}
		choices, err := json.Marshal(in.Picks)
		if err != nil {
			return err
		}
		addresses, err := json.Marshal(in.Addresses)
		if err != nil {
			return err
		}
		if in.Picks == nil {
			choices = []byte("{}")
		}
		if in.Addresses == nil {
			addresses = []byte("{}")
		}
		_, err = a.Exec(ctx, `INSERT INTO notice_people (user_id, choices, quiet_from, quiet_to, digest, digest_at, addresses, version, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8)
			ON CONFLICT (user_id) DO UPDATE SET choices = excluded.choices, quiet_from = excluded.quiet_from, quiet_to = excluded.quiet_to, digest = excluded.digest, digest_at = excluded.digest_at,
				addresses = excluded.addresses, version = notice_people.version + 1, updated_at = excluded.updated_at`,
			actor.ID, string(choices), in.QuietFrom, in.QuietTo, in.Digest, in.DigestAt, string(addresses), a.NowMicros())
		if err != nil {
			return fmt.Errorf("notify: choices of %d: %w", actor.ID, err)
		}
		a.Record(event.Event{Kind: ChoicesChanged, Subject: event.Subject{Type: "user", ID: actor.ID}})
		return nil
	})
}
