package notify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/crypt"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/outbound"
	"bihuan/internal/outbound/push"
)

// vapidSecret is the name under which the product's own keys lie among the secrets
// of the channel. They are made with it and never changed: browsers have
// subscribed to them.
const vapidSecret = "vapid"

// equip fills in what the product makes itself.
func (s *Service) equip(c *Channel, secrets map[string]string) (err error) {
	if c.Kind == Push && secrets[vapidSecret] == "" {
		secrets[vapidSecret], err = push.NewKeys()
	}
	return err
}

// PushKey returns the key browsers subscribe to; "" while the way is not open.
func (s *Service) PushKey(ctx context.Context) (string, error) {
	cs, err := inUse(ctx, s.d.Read())
	if err != nil {
		return "", err
	}
	for _, c := range cs {
		if c.Kind == Push {
			secret, err := s.secrets(c)
			if err != nil {
				return "", err
			}
			k, err := push.ParseKeys(secret[vapidSecret])
			return k.Public, err
		}
	}
	return "", nil
}

// Browser is one that takes messages for a person.
type Browser struct {
	ID        int64
	Device    string // as it called itself
	CreatedAt time.Time
	UsedAt    time.Time // zero: nothing was sent yet
}

// mostBrowsers a person can have; the one used longest ago makes room.
const mostBrowsers = 10

// Subscribe lets a browser take messages for the actor. One that took them for
// somebody else does so no more.
func (s *Service) Subscribe(ctx context.Context, actor authz.Actor, sub push.Subscription) error {
	key, err := s.PushKey(ctx)
	if err != nil {
		return err
	}
	if key == "" {
		return fault.New(fault.Conflict, "notify.push.closed")
	}
	if err := sub.Check(); err != nil {
		return fault.Invalidf("notify.push.bad").Wrap(err)
	}
	if err := s.out.Net.Check(ctx, sub.Endpoint, outbound.Allowed(ctx, s.d.Read())); err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(sub.Endpoint))
	keys, err := json.Marshal([2]string{sub.P256dh, sub.Auth})
	if err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "notify.subscribe", func(ctx context.Context, a *action.Action) error {
		var id int64
		err := a.QueryRow(ctx, `INSERT INTO push_subscriptions (user_id, endpoint_hash, endpoint_sealed, keys_sealed, device, created_at) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (endpoint_hash) DO UPDATE SET user_id = excluded.user_id, device = excluded.device RETURNING id`,
			actor.ID, hex.EncodeToString(sum[:]), []byte{}, []byte{}, outbound.Cut(actor.UserAgent, 300), a.NowMicros()).Scan(&id)
		if err != nil {
			return fmt.Errorf("notify: subscribe: %w", err)
		}
		endpoint, err := s.keys.Seal(crypt.Place("push_subscriptions", id, "endpoint"), sub.Endpoint)
		if err != nil {
			return fmt.Errorf("notify: subscribe: %w", err)
		}
		sealed, err := s.keys.Seal(crypt.Place("push_subscriptions", id, "keys"), string(keys))
		if err != nil {
			return fmt.Errorf("notify: subscribe: %w", err)
		}
		if _, err := a.Exec(ctx, `UPDATE push_subscriptions SET endpoint_sealed = $1, keys_sealed = $2 WHERE id = $3`, endpoint, sealed, id); err != nil {
			return fmt.Errorf("notify: subscribe: %w", err)
		}
		if _, err := a.Exec(ctx, `DELETE FROM push_subscriptions WHERE user_id = $1 AND id NOT IN (SELECT id FROM (SELECT id FROM push_subscriptions WHERE user_id = $2 ORDER BY CASE WHEN used_at > created_at THEN used_at ELSE created_at END DESC, id DESC LIMIT $3) k)`, actor.ID, actor.ID, mostBrowsers); err != nil {
			return fmt.Errorf("notify: subscribe: %w", err)
		}
		a.Record(event.Event{Kind: PushAdded, Subject: event.Subject{Type: "user", ID: actor.ID}})
		return nil
	})
}

// Browsers returns the actor's own.
func (s *Service) Browsers(ctx context.Context, actor authz.Actor) (out []Browser, err error) {
	rows, err := s.d.Read().Query(ctx, `SELECT id, device, created_at, used_at FROM push_subscriptions WHERE user_id = $1 ORDER BY id DESC LIMIT 20`, actor.ID)
	if err != nil {
		return nil, fmt.Errorf("notify: browsers: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var b Browser
		var created, used int64
		if err := rows.Scan(&b.ID, &b.Device, &created, &used); err != nil {
			return nil, fmt.Errorf("notify: browsers: %w", err)
		}
		b.CreatedAt, b.UsedAt = db.FromMicros(created), db.FromMicros(used)
		out = append(out, b)
	}
	return out, rows.Err()
}

// Unsubscribe takes one of the actor's browsers away.
func (s *Service) Unsubscribe(ctx context.Context, actor authz.Actor, id int64) error {
	return s.run.Do(ctx, actor, "notify.unsubscribe", func(ctx context.Context, a *action.Action) error {
		r, err := a.Exec(ctx, `DELETE FROM push_subscriptions WHERE id = $1 AND user_id = $2`, id, actor.ID)
		if err != nil {
			return fmt.Errorf("notify: unsubscribe: %w", err)
		}
		if n, _ := r.RowsAffected(); n == 0 {
			return fault.New(fault.NotFound, "notify.push.gone")
		}
		a.Record(event.Event{Kind: PushRemoved, Subject: event.Subject{Type: "user", ID: actor.ID}})
		return nil
	})
}

// push sends m to every browser of a person; one that has it is enough. Those that
// have gone are forgotten.
func (s *Service) push(ctx context.Context, c Channel, keys string, m outbound.Message, users []int64, allow outbound.Allow) (answer string, err error) {
	k, err := push.ParseKeys(keys)
	if err != nil {
		return "", outbound.Failed(outbound.Settings, "", err)
	}
	svc := push.Service{Keys: k, Contact: "mailto:" + c.Get("contact"), Net: s.out.Net, Allow: allow}
	rows, err := s.d.Read().Query(ctx, `SELECT id, endpoint_sealed, keys_sealed FROM push_subscriptions WHERE user_id = $1 ORDER BY id LIMIT $2`, users[0], mostBrowsers)
	if err != nil {
		return "", outbound.Failed(outbound.Later, "", err)
	}
	type browser struct {
		id  int64
		sub push.Subscription
	}
	var all []browser
	for rows.Next() {
		var b browser
		var endpoint, sealed []byte
		if err = rows.Scan(&b.id, &endpoint, &sealed); err != nil {
			break
		}
		var plain string
		if b.sub.Endpoint, err = s.keys.Open(crypt.Place("push_subscriptions", b.id, "endpoint"), endpoint); err != nil {
			break
		}
		if plain, err = s.keys.Open(crypt.Place("push_subscriptions", b.id, "keys"), sealed); err != nil {
			break
		}
		var two [2]string
		if err = json.Unmarshal([]byte(plain), &two); err != nil {
			break
		}
		b.sub.P256dh, b.sub.Auth = two[0], two[1]
		all = append(all, b)
	}
	rows.Close()
	if err == nil {
		err = rows.Err()
	}
	if err != nil {
		return "", outbound.Failed(outbound.Later, "", err)
	}
	p := push.Payload{Title: m.Subject, URL: "/notifications", Tag: m.ID, Urgent: m.Urgent, Lang: m.Lang}
	if len(m.Items) == 1 {
		i := m.Items[0]
		if p.URL = i.Path; i.Path == "" {
			p.URL = "/account/notices"
		}
		if i.Title != "" || i.Number != "" {
			p.Body = i.Text
		} else if i.Text != m.Subject {
			p.Body = i.Text
		}
	} else {
		for _, i := range m.Items {
			p.Body += i.Line() + "\n"
		}
	}
	err = outbound.Failed(outbound.Address, "", errNoAddress)
	sent := false
	for _, b := range all {
		a, serr := svc.Send(ctx, b.sub, p, m.At)
		werr := s.d.Write(context.WithoutCancel(ctx), func(ctx context.Context, tx *db.Tx) error {
			if errors.Is(serr, push.ErrGone) {
				_, err := tx.Exec(ctx, `DELETE FROM push_subscriptions WHERE id = $1`, b.id)
				return err
			}
			if serr == nil {
				_, err := tx.Exec(ctx, `UPDATE push_subscriptions SET used_at = $1 WHERE id = $2`, tx.NowMicros(), b.id)
				return err
			}
			return nil
		})
		switch {
		case werr != nil:
			return "", outbound.Failed(outbound.Unsure, "", werr)
		case serr == nil:
			sent, answer = true, a
		case !errors.Is(serr, push.ErrGone):
			err = outbound.FailOf(serr)
		}
	}
	if sent {
		return answer, nil
	}
	return "", err
}
