package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/keyring"
	"bihuan/internal/outbound"
	"bihuan/internal/setting"
)

// Facts is the data of this room's events.
type Facts struct {
	Args    []string       `json:"args,omitempty"`
	Changes []event.Change `json:"changes,omitempty"`
}

type channelsKey struct{}

const channelColumns = `id, kind, name, department_id, enabled, settings, secret_sealed, paused_until, trouble, version`

func scanChannel(row interface{ Scan(...any) error }) (c Channel, err error) {
	var enabled int
	var settings string
	var paused int64
	if err = row.Scan(&c.ID, &c.Kind, &c.Name, &c.DepartmentID, &enabled, &settings, &c.sealed, &paused, &c.Trouble, &c.Version); err != nil {
		return c, err
	}
	c.Enabled, c.PausedUntil = enabled == 1, db.FromMicros(paused)
	if err = json.Unmarshal([]byte(settings), &c.Settings); err != nil {
		return c, fmt.Errorf("notify: channel %d: %w", c.ID, err)
	}
	if c.Settings == nil {
		c.Settings = map[string]string{}
	}
	return c, nil
}

// loadChannels reads all of them; those in use are held, so that a product
// without any asks nothing when somebody is told something.
func loadChannels(ctx context.Context, q db.Querier) ([]Channel, error) {
	rows, err := q.Query(ctx, `SELECT `+channelColumns+` FROM notice_channels ORDER BY kind, department_id, id`)
	if err != nil {
		return nil, fmt.Errorf("notify: channels: %w", err)
	}
	defer rows.Close()
	var out []Channel
	for rows.Next() {
		c, err := scanChannel(rows)
		if err != nil {
			return nil, fmt.Errorf("notify: channels: %w", err)
		}
		out = append(out, c)
	}
	return out, rows.Err()
}

func inUse(ctx context.Context, q db.Querier) ([]Channel, error) {
	return db.Held(ctx, q, channelsKey{}, func() ([]Channel, error) {
		all, err := loadChannels(ctx, q)
		return slices.DeleteFunc(all, func(c Channel) bool { return !c.Enabled }), err
	})
}

// Channels returns the ways as they are set up.
func (s *Service) Channels(ctx context.Context, actor authz.Actor) ([]Channel, error) {
	if err := actor.Check(PermManage); err != nil {
		return nil, err
	}
	all, err := loadChannels(ctx, s.d.Read())
	if err != nil {
		return nil, err
	}
	for i := range all {
		if err := s.fill(&all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// fill notes which secrets there are, not what they are.
func (s *Service) fill(c *Channel) error {
	m, err := s.secrets(*c)
	if err != nil {
		return err
	}
	c.Has = map[string]bool{}
	for k, v := range m {
		c.Has[k] = v != ""
	}
	return nil
}

// Channel returns one of them.
func (s *Service) Channel(ctx context.Context, actor authz.Actor, id int64) (c Channel, err error) {
	if err := actor.Check(PermManage); err != nil {
		return c, err
	}
	if c, err = loadChannel(ctx, s.d.Read(), id); err != nil {
		return c, err
	}
	return c, s.fill(&c)
}

func loadChannel(ctx context.Context, q db.Querier, id int64) (Channel, error) {
	rows, err := q.Query(ctx, `SELECT `+channelColumns+` FROM notice_channels WHERE id = $1`, id)
	if err != nil {
		return Channel{}, fmt.Errorf("notify: channel %d: %w", id, err)
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return Channel{}, err
		}
		return Channel{}, fault.New(fault.NotFound, "notify.channel.not_found")
	}
	return scanChannel(rows)
}

// SaveChannel adds c (ID 0) or changes it. Secrets that are not among secrets
// stay as they are. It returns the id.
func (s *Service) SaveChannel(ctx context.Context, actor authz.Actor, c Channel, secrets map[string]string) (id int64, err error) {
	if err := actor.Check(PermManage); err != nil {
		return 0, err
	}
	if !slices.Contains(Ways, c.Kind) {
		return 0, fault.New(fault.NotFound, "notify.channel.not_found")
	}
	err = s.run.Do(ctx, actor, "notify.save_channel", func(ctx context.Context, a *action.Action) error {
		old := Channel{Kind: c.Kind, Settings: map[string]string{}}
		keep := map[string]string{}
		if c.ID != 0 {
			if old, err = loadChannel(ctx, a, c.ID); err != nil {
				return err
			}
			if old.Version != c.Version || old.Kind != c.Kind {
				return fault.New(fault.Conflict, "notify.stale")
			}
			if keep, err = s.secrets(old); err != nil {
				return err
			}
		}
		changed := []event.Change{}
		for k, v := range secrets {
			if v = strings.TrimSpace(v); v != "" && v != keep[k] {
				keep[k] = v
				changed = append(changed, event.Change{Field: "notify." + k, New: "••••"})
			}
		}
		if err := s.equip(&c, keep); err != nil {
			return err
		}
		if err := fault.Both(c.check(keep), s.reachable(ctx, a, c, keep)); err != nil {
			return err
		}
		if !Robot(c.Kind) {
			c.DepartmentID = 0
		}
		var twice int
		if err := a.QueryRow(ctx, `SELECT COUNT(*) FROM notice_channels WHERE kind = $1 AND department_id = $2 AND id <> $3`, c.Kind, c.DepartmentID, c.ID).Scan(&twice); err != nil {
			return fmt.Errorf("notify: channel: %w", err)
		}
		if twice > 0 {
			return fault.Invalidf("notify.channel.invalid").Field("department", "notify.channel.twice")
		}
		settings, err := json.Marshal(c.Settings)
		if err != nil {
			return err
		}
		id = c.ID
		if id == 0 {
			err = a.QueryRow(ctx, `INSERT INTO notice_channels (kind, name, department_id, enabled, settings, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id`,
				c.Kind, c.Name, c.DepartmentID, db.Bool(c.Enabled), string(settings), a.NowMicros(), a.NowMicros()).Scan(&id)
		} else {
			_, err = a.Exec(ctx, `UPDATE notice_channels SET name = $1, department_id = $2, enabled = $3, settings = $4, paused_until = 0, trouble = '', troubles = 0, version = version + 1, updated_at = $5 WHERE id = $6`,
				c.Name, c.DepartmentID, db.Bool(c.Enabled), string(settings), a.NowMicros(), id)
		}
		if err != nil {
			return fmt.Errorf("notify: channel: %w", err)
		}
		raw, err := json.Marshal(keep)
		if err != nil {
			return err
		}
		sealed, err := s.keys.Seal(place(id), string(raw))
		if err != nil {
			return fmt.Errorf("notify: channel: %w", err)
		}
		if _, err := a.Exec(ctx, `UPDATE notice_channels SET secret_sealed = $1 WHERE id = $2`, sealed, id); err != nil {
			return fmt.Errorf("notify: channel: %w", err)
		}
		a.Drop(channelsKey{})
		for _, f := range Fields(c.Kind) {
			if !f.Secret() && old.Settings[f.Name] != c.Settings[f.Name] {
				changed = append(changed, event.Change{Field: "notify." + f.Name, Old: old.Settings[f.Name], New: c.Settings[f.Name]})
			}
		}
		if old.Enabled != c.Enabled {
			changed = append(changed, event.Change{Field: "notify.enabled", Old: yes(old.Enabled), New: yes(c.Enabled)})
		}
		slices.SortFunc(changed, func(x, y event.Change) int { return strings.Compare(x.Field, y.Field) })
		kind := ChannelChanged
		if c.ID == 0 {
			kind = ChannelMade
		}
		a.Record(event.Event{Kind: kind, Subject: event.Subject{Type: subjectType, ID: id}, Data: Facts{Args: []string{"@notify.way." + c.Kind}, Changes: changed}})
		if c.Enabled {
			return s.wake(ctx, a.Tx, id)
		}
		return nil
	})
	return id, err
}

// yes is the word for b, as a value of a change.
func yes(b bool) string { return "@" + map[bool]string{true: "common.yes", false: "common.no"}[b] }

// reachable complains about addresses that may not be called; whether a host is
// known shows when it is tried.
func (s *Service) reachable(ctx context.Context, q db.Querier, c Channel, secrets map[string]string) error {
	e := fault.Invalidf("notify.channel.invalid")
	for _, f := range Fields(c.Kind) {
		v := c.Settings[f.Name]
		if f.Secret() {
			v = secrets[f.Name]
		}
		if v == "" || f.Name != "url" && f.Name != "endpoint" {
			continue
		}
		if x, ok := fault.As(s.out.Net.Check(ctx, v, outbound.Allowed(ctx, q))); ok && x.Key == "outbound.private" {
			e.Field(f.Name, x.Key, x.Args...)
		}
	}
	return e.OrNil()
}

// RemoveChannel takes a way away; what waits for it is not sent.
func (s *Service) RemoveChannel(ctx context.Context, actor authz.Actor, id int64) error {
	if err := actor.Check(PermManage); err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "notify.remove_channel", func(ctx context.Context, a *action.Action) error {
		c, err := loadChannel(ctx, a, id)
		if err != nil {
			return err
		}
		if _, err := a.Exec(ctx, `DELETE FROM notice_channels WHERE id = $1`, id); err != nil {
			return fmt.Errorf("notify: remove channel %d: %w", id, err)
		}
		if err := skipAll(ctx, a.Tx, id); err != nil {
			return err
		}
		a.Drop(channelsKey{})
		a.Record(event.Event{Kind: ChannelRemoved, Subject: event.Subject{Type: subjectType, ID: id}, Data: Facts{Args: []string{"@notify.way." + c.Kind}}})
		return nil
	})
}

// Table returns the table in force.
func (s *Service) Table(ctx context.Context) (Table, error) { return readTable(ctx, s.d.Read()) }

// SetRule changes a line of the table; a zero Rule gives back what is proposed.
func (s *Service) SetRule(ctx context.Context, actor authz.Actor, kind string, r Rule, version int64) error {
	o, ok := byKind[kind]
	if !ok {
		return fault.New(fault.NotFound, "notify.event_unknown")
	}
	return s.setTable(ctx, actor, version, func(t *Table, e *fault.Error) {
		if r.Off && o.Fixed {
			e.Field("off", "notify.event_fixed")
		}
		if r.Class != "" && !slices.Contains(Classes, r.Class) {
			e.Field("class", "notify.channel.choice")
		}
		for _, w := range r.Also {
			if what, id, named := strings.Cut(w, ":"); !slices.Contains(AlsoWhos, w) && !(named && (what == "role" || what == "user") && isID(id)) {
				e.Field("also", "notify.channel.choice")
			}
		}
		if r.Only && o.Fixed {
			e.Field("proposed", "notify.event_who_fixed")
		} else if r.Only && len(r.Also) == 0 {
			e.Field("also", "notify.event_who_none")
		}
		rules := map[string]Rule{}
		for k, v := range t.Rules {
			rules[k] = v
		}
		if r.Class == o.Class {
			r.Class = ""
		}
		for w, m := range r.Ways {
			if !slices.Contains(Modes, m) {
				e.Field("way_"+w, "notify.channel.choice")
			}
			if m == proposed(o, w) {
				delete(r.Ways, w)
			}
		}
		rules[kind] = r
		if !r.Off && r.Class == "" && len(r.Ways) == 0 && len(r.Also) == 0 {
			delete(rules, kind)
		}
		t.Rules = rules
	}, func(old, now Table) (out []event.Change) {
		a, b := old.Line(kind), now.Line(kind)
		say := func(field, x, y string) {
			if x != y {
				out = append(out, event.Change{Field: field, Old: x, New: y})
			}
		}
		say("notify.off", yes(a.Off), yes(b.Off))
		say("notify.also", strings.Join(a.Also, " "), strings.Join(b.Also, " "))
		say("notify.only", yes(a.Only), yes(b.Only))
		say("notify.class", "@notify.class."+string(a.Class), "@notify.class."+string(b.Class))
		for _, w := range Ways {
			say("notify.way_"+w, "@notify.mode."+string(a.Modes[w]), "@notify.mode."+string(b.Modes[w]))
		}
		return out
	}, "@notify.event."+kind)
}

// AlsoWhos are those beside roles and persons whom the administrator can have told
// of what happens to a ticket: as in the ladders, found when it happens.
var AlsoWhos = []string{"assignee", "supervisor", "head", "duty"}

func isID(s string) bool { n, err := strconv.ParseInt(s, 10, 64); return err == nil && n > 0 }

// SetGeneral changes what holds for all lines.
func (s *Service) SetGeneral(ctx context.Context, actor authz.Actor, in Table) error {
	return s.setTable(ctx, actor, in.Version, func(t *Table, e *fault.Error) {
		in.BaseURL = strings.TrimSuffix(strings.TrimSpace(in.BaseURL), "/")
		if in.BaseURL != "" && !strings.HasPrefix(in.BaseURL, "https://") && !strings.HasPrefix(in.BaseURL, "http://") {
			e.Field("base_url", "notify.channel.url")
		}
		for name, v := range map[string]int{"chase_after": in.ChaseAfter, "repeat": in.Repeat, "repeats": in.Repeats} {
			if v < 0 || v > 24*60 || name == "repeat" && v < 5 || name == "repeats" && v > 20 {
				e.Field(name, "notify.general."+name+".range")
			}
		}
		in.Instant = slices.DeleteFunc(in.Instant, func(w string) bool { return !slices.Contains(Ways, w) })
		// What is not built into this page stays as it is.
		for _, w := range t.Instant {
			if !slices.Contains(Ways, w) {
				in.Instant = append(in.Instant, w)
			}
		}
		t.BaseURL, t.Instant, t.ChaseAfter, t.Repeat, t.Repeats = in.BaseURL, in.Instant, in.ChaseAfter, in.Repeat, in.Repeats
	}, func(old, now Table) (out []event.Change) {
		for _, x := range []struct{ f, a, b string }{{"base_url", old.BaseURL, now.BaseURL}, {"instant", strings.Join(old.Instant, ", "), strings.Join(now.Instant, ", ")},
			{"chase_after", strconv.Itoa(old.ChaseAfter), strconv.Itoa(now.ChaseAfter)}, {"repeat", strconv.Itoa(old.Repeat), strconv.Itoa(now.Repeat)}, {"repeats", strconv.Itoa(old.Repeats), strconv.Itoa(now.Repeats)}} {
			if x.a != x.b {
				out = append(out, event.Change{Field: "notify." + x.f, Old: x.a, New: x.b})
			}
		}
		return out
	}, "@notify.general")
}

func (s *Service) setTable(ctx context.Context, actor authz.Actor, version int64, change func(t *Table, e *fault.Error), say func(old, now Table) []event.Change, what string) error {
	if err := actor.Check(PermManage); err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "notify.set_table", func(ctx context.Context, a *action.Action) error {
		old, err := readTable(ctx, a)
		if err != nil {
			return err
		}
		if old.Version != version {
			return fault.New(fault.Conflict, "notify.stale")
		}
		now := old
		e := fault.Invalidf("notify.channel.invalid")
		change(&now, e)
		if err := e.OrNil(); err != nil {
			return err
		}
		changes := say(old, now)
		if len(changes) == 0 {
			a.Nothing()
			return nil
		}
		now.Version++
		if err := setting.Write(ctx, a.Tx, tableSetting, now); err != nil {
			return err
		}
		a.Record(event.Event{Kind: TableChanged, Subject: event.Subject{Type: subjectType}, Data: Facts{Args: []string{what}, Changes: changes}})
		return nil
	})
}

// Sealed returns the tables with values that keys protect.
func (s *Service) Sealed() []keyring.Table {
	return []keyring.Table{keyring.Values(s.d, s.keys, "notice_channels", "secret"), keyring.Values(s.d, s.keys, "push_subscriptions", "endpoint", "keys")}
}

// Base returns the address links in messages begin with; "" when none is known.
func (s *Service) Base(t Table) string { return s.base(t) }

// NoEvent says that there is no such line.
func NoEvent() error { return fault.New(fault.NotFound, "notify.event_unknown") }

// NoChannel says that there is no such way.
func NoChannel() error { return fault.New(fault.NotFound, "notify.channel.not_found") }
