package rule

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/crypt"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/job"
	"bihuan/internal/keyring"
	"bihuan/internal/outbound"
	"bihuan/internal/setting"
)

const (
	webhookJob   = "webhook"
	hookAttempts = 8
	maxAnswer    = 64 << 10
)

// hookCall is the job of calling a web address.
type hookCall struct {
	URL      string          `json:"url"`
	Rule     int64           `json:"rule"`
	Delivery string          `json:"delivery"`
	Body     json.RawMessage `json:"body"`
}

// allowed is the list of the company's own hosts that may be called.
func (s *Service) allowed(ctx context.Context, q db.Querier) outbound.Allow {
	return outbound.Allowed(ctx, q)
}

func newDelivery() string {
	var b [12]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

func hostOf(text string) string {
	if u, err := url.Parse(text); err == nil {
		return u.Host
	}
	return ""
}

// payload tells the receiver what happened; words of the customer are not in it.
func (s *Service) payload(r *Rule, m *moment) json.RawMessage {
	raw, _ := json.Marshal(map[string]any{
		"rule": map[string]any{"id": r.ID, "name": r.Name}, "event": m.e.Kind, "event_id": m.e.ID, "at": m.now.UTC().Format(time.RFC3339),
		"ticket": map[string]any{"number": m.t.Number, "title": m.t.Title, "type": m.t.Type, "state": string(m.t.State), "priority": m.t.Priority, "urgency": m.t.Urgency,
			"channel": m.t.Channel, "round": m.t.Round, "overdue": m.t.Overdue, "customer_id": m.t.CustomerID, "department_id": m.t.DepartmentID, "assignee_id": m.t.AssigneeID,
			"url": s.url + "/tickets/" + m.t.Number},
	})
	return raw
}

func (s *Service) callWebhook(ctx context.Context, j *job.Job) error {
	var c hookCall
	if err := j.Decode(&c); err != nil {
		return job.Discard(err)
	}
	u, err := outbound.Parse(c.URL)
	if err != nil {
		return job.Discard(err)
	}
	secret, err := s.secret(ctx, s.db().Read())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, outbound.Timeout+5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(c.Body))
	if err != nil {
		return job.Discard(err)
	}
	at := strconv.FormatInt(s.db().Clock().Now().Unix(), 10)
	for k, v := range map[string]string{"Content-Type": "application/json; charset=utf-8", "User-Agent": "Bihuan", "X-Bihuan-Delivery": c.Delivery, "X-Bihuan-Timestamp": at, "X-Bihuan-Signature": outbound.Sign(secret, at, c.Body)} {
		req.Header.Set(k, v)
	}
	res, err := s.net.Client(u.Hostname(), s.allowed(ctx, s.db().Read())).Do(req)
	if errors.Is(err, outbound.ErrPrivate) {
		return job.Discard(fmt.Errorf("%w: %s", outbound.ErrPrivate, u.Host))
	}
	if err != nil {
		return fmt.Errorf("rule: call %s: %w", u.Host, err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer))
	switch {
	case res.StatusCode < 300:
		return nil
	case res.StatusCode < 400:
		return job.Discard(fmt.Errorf("rule: %s answered %s: redirects are not followed", u.Host, res.Status))
	case res.StatusCode == http.StatusGone:
		return job.Discard(fmt.Errorf("rule: %s answered %s", u.Host, res.Status))
	}
	return fmt.Errorf("rule: %s answered %s", u.Host, res.Status)
}

// Hooks are the settings of webhooks.
type Hooks struct {
	Allow   []string `json:"allow"`
	Version int64    `json:"version"`
}

func readHooks(ctx context.Context, q db.Querier) (h Hooks, err error) {
	err = setting.Read(ctx, q, outbound.AllowSetting, &h)
	return h, err
}

// Hooks returns the settings of webhooks, and when the secret was made (zero:
// there is none).
func (s *Service) Hooks(ctx context.Context) (h Hooks, secret time.Time, err error) {
	if h, err = readHooks(ctx, s.db().Read()); err != nil {
		return h, secret, err
	}
	var at int64
	err = s.db().Read().QueryRow(ctx, `SELECT COALESCE(MAX(created_at), 0) FROM rule_secrets`).Scan(&at)
	return h, db.FromMicros(at), err
}

// SetAllow changes which hosts of the company's own may be called.
func (s *Service) SetAllow(ctx context.Context, actor authz.Actor, h Hooks) error {
	if err := actor.Check(PermManage); err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "rule.set_hooks", func(ctx context.Context, a *action.Action) error {
		old, err := readHooks(ctx, a)
		if err != nil {
			return err
		}
		if h.Version != old.Version {
			return stale()
		}
		e := fault.Invalidf("rule.invalid")
		h.Allow = outbound.CheckAllow(e, "allow", h.Allow)
		if err := e.OrNil(); err != nil {
			return err
		}
		if slices.Equal(old.Allow, h.Allow) {
			a.Nothing()
			return nil
		}
		h.Version++
		if err := setting.Write(ctx, a.Tx, outbound.AllowSetting, h); err != nil {
			return err
		}
		a.Record(event.Event{Kind: HookChange, Subject: event.Subject{Type: subjectType}, Data: Facts{Changes: []event.Change{{Field: "rule.allow", Old: strings.Join(old.Allow, ", "), New: strings.Join(h.Allow, ", ")}}}})
		return nil
	})
}

// MakeSecret makes a new secret for signing; it is returned this once. The former
// one is no longer used.
func (s *Service) MakeSecret(ctx context.Context, actor authz.Actor) (plain string, err error) {
	if err := actor.Check(PermManage); err != nil {
		return "", err
	}
	var raw [32]byte
	_, _ = rand.Read(raw[:])
	plain = "whsec_" + hex.EncodeToString(raw[:])
	err = s.run.Do(ctx, actor, "rule.make_secret", func(ctx context.Context, a *action.Action) error {
		if _, err := a.Exec(ctx, `DELETE FROM rule_secrets`); err != nil {
			return fmt.Errorf("rule: secret: %w", err)
		}
		var id int64
		if err := a.QueryRow(ctx, `INSERT INTO rule_secrets (secret_sealed, created_at) VALUES ($1, $2) RETURNING id`, []byte{}, a.NowMicros()).Scan(&id); err != nil {
			return fmt.Errorf("rule: secret: %w", err)
		}
		sealed, err := s.keys.Seal(crypt.Place("rule_secrets", id, "secret"), plain)
		if err != nil {
			return fmt.Errorf("rule: secret: %w", err)
		}
		if _, err := a.Exec(ctx, `UPDATE rule_secrets SET secret_sealed = $1 WHERE id = $2`, sealed, id); err != nil {
			return fmt.Errorf("rule: secret: %w", err)
		}
		a.Record(event.Event{Kind: NewSecret, Subject: event.Subject{Type: subjectType}})
		return nil
	})
	return plain, err
}

// secret returns what webhooks are signed with; a Conflict when there is none.
func (s *Service) secret(ctx context.Context, q db.Querier) (string, error) {
	var id int64
	var sealed []byte
	err := q.QueryRow(ctx, `SELECT id, secret_sealed FROM rule_secrets ORDER BY id DESC LIMIT 1`).Scan(&id, &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return "", fault.New(fault.Conflict, "rule.hook.no_secret")
	}
	if err != nil {
		return "", fmt.Errorf("rule: secret: %w", err)
	}
	return s.keys.Open(crypt.Place("rule_secrets", id, "secret"), sealed)
}

// Sealed returns the table of the secret, for changing the keys.
func (s *Service) Sealed() []keyring.Table {
	return []keyring.Table{keyring.Values(s.db(), s.keys, "rule_secrets", "secret")}
}
