package rule

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/crypt"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/job"
	"bihuan/internal/keyring"
	"bihuan/internal/setting"
)

const (
	webhookJob   = "webhook"
	hookAttempts = 8
	hookTimeout  = 10 * time.Second
	maxURL       = 1000
	maxAnswer    = 64 << 10
)

// outbound calls web addresses. Whoever may write a rule must not reach with it
// what only this machine reaches.
type outbound struct {
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	dial   func(ctx context.Context, network, address string) (net.Conn, error) // behind the check; nil: the real one
}

func newOutbound() outbound {
	return outbound{lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	}}
}

// forbidden are addresses that are not the public internet: RFC 6890 and what
// carries an IPv4 address inside an IPv6 one.
var forbidden = func() (out []netip.Prefix) {
	for _, p := range []string{"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24",
		"192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "100.100.100.200/32",
		"::/96", "::1/128", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"} {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}()

// never are addresses no list allows: the metadata of clouds, and what is no
// address of a host.
var never = func() (out []netip.Prefix) {
	for _, p := range []string{"0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "100.100.100.200/32", "fe80::/10", "ff00::/8", "fd00:ec2::254/128", "::/128"} {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}()

func within(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Public reports whether a is on the public internet.
func Public(a netip.Addr) bool {
	a = a.WithZone("")
	if a.Is4In6() {
		a = a.Unmap()
	}
	return a.IsValid() && !within(forbidden, a)
}

// allowed is the list of the company's own hosts that may be called although
// they are not public: names, addresses and networks.
type allowList []string

func (s *Service) allowed(ctx context.Context, q db.Querier) allowList {
	h, err := readHooks(ctx, q)
	if err != nil {
		return nil // nothing is allowed while it cannot be read
	}
	return h.Allow
}

func (l allowList) host(host string) bool {
	return slices.ContainsFunc(l, func(x string) bool { return strings.EqualFold(x, strings.TrimSuffix(host, ".")) })
}

func (l allowList) addr(a netip.Addr) bool {
	for _, x := range l {
		if p, err := netip.ParsePrefix(x); err == nil && p.Contains(a) {
			return true
		}
		if b, err := netip.ParseAddr(x); err == nil && b.Unmap() == a {
			return true
		}
	}
	return false
}

// may reports whether address a of host may be connected to.
func (l allowList) may(host string, a netip.Addr) bool {
	a = a.WithZone("")
	if a.Is4In6() {
		a = a.Unmap()
	}
	if !a.IsValid() || within(never, a) {
		return false
	}
	return Public(a) || l.host(host) || l.addr(a)
}

// parseURL reads an address of the web; what is wrong is a fault.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || len(text) > maxURL || u.Host == "" || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || strings.ContainsAny(u.Hostname(), "%\\ "):
		return nil, fault.Invalidf("rule.hook.url")
	case u.User != nil:
		return nil, fault.Invalidf("rule.hook.user")
	}
	return u, nil
}

// check says whether text may be called: every address its host has now.
func (o outbound) check(ctx context.Context, text string, allow allowList) error {
	u, err := parseURL(text)
	if err != nil {
		return err
	}
	host := u.Hostname()
	addrs := []netip.Addr{}
	if a, err := netip.ParseAddr(host); err == nil {
		addrs = append(addrs, a)
	} else {
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		if addrs, err = o.lookup(ctx, host); err != nil || len(addrs) == 0 {
			return fault.Invalidf("rule.hook.unknown_host", host)
		}
	}
	for _, a := range addrs {
		if !allow.may(host, a) {
			return fault.Invalidf("rule.hook.private", host)
		}
	}
	return nil
}

var errPrivate = errors.New("rule: the address is not outside of the company's network")

// client connects only to what may be called. The address is judged when the
// connection is made, so that a name that means something else by then is
// refused; redirects are not followed, and no proxy of the environment is asked.
func (o outbound) client(host string, allow allowList) *http.Client {
	d := &net.Dialer{Timeout: 5 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil || !allow.may(host, ap.Addr()) {
			return errPrivate
		}
		return nil
	}}
	dial := d.DialContext
	if o.dial != nil {
		dial = o.dial
	}
	return &http.Client{
		Timeout:       hookTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{DialContext: dial, DisableKeepAlives: true, TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: hookTimeout, MaxResponseHeaderBytes: 64 << 10},
	}
}

// hookCall is the job of calling a web address.
type hookCall struct {
	URL      string          `json:"url"`
	Rule     int64           `json:"rule"`
	Delivery string          `json:"delivery"`
	Body     json.RawMessage `json:"body"`
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

// Signature is what a webhook carries in X-Bihuan-Signature: HMAC-SHA256 with the
// secret over the time, a dot and the body.
func Signature(secret, timestamp string, body []byte) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(timestamp + "."))
	h.Write(body)
	return "sha256=" + hex.EncodeToString(h.Sum(nil))
}

func (s *Service) callWebhook(ctx context.Context, j *job.Job) error {
	var c hookCall
	if err := j.Decode(&c); err != nil {
		return job.Discard(err)
	}
	u, err := parseURL(c.URL)
	if err != nil {
		return job.Discard(err)
	}
	secret, err := s.secret(ctx, s.db().Read())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, hookTimeout+5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(c.Body))
	if err != nil {
		return job.Discard(err)
	}
	at := strconv.FormatInt(s.db().Clock().Now().Unix(), 10)
	for k, v := range map[string]string{"Content-Type": "application/json; charset=utf-8", "User-Agent": "Bihuan", "X-Bihuan-Delivery": c.Delivery, "X-Bihuan-Timestamp": at, "X-Bihuan-Signature": Signature(secret, at, c.Body)} {
		req.Header.Set(k, v)
	}
	res, err := s.net.client(u.Hostname(), s.allowed(ctx, s.db().Read())).Do(req)
	if errors.Is(err, errPrivate) {
		return job.Discard(fmt.Errorf("%w: %s", errPrivate, u.Host))
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

const hookSetting = "rule.webhooks"

func readHooks(ctx context.Context, q db.Querier) (h Hooks, err error) {
	err = setting.Read(ctx, q, hookSetting, &h)
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

const maxAllow = 50

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
		if len(h.Allow) > maxAllow {
			e.Field("allow", "rule.hook.allow_many", maxAllow)
		}
		for i, x := range h.Allow {
			x = strings.ToLower(strings.TrimSpace(x))
			h.Allow[i] = x
			p, perr := netip.ParsePrefix(x)
			addr, aerr := netip.ParseAddr(x)
			switch {
			case perr == nil && (p.Bits() < 8 || p != p.Masked()):
				e.Field("allow", "rule.hook.allow_net", x)
			case aerr == nil && within(never, addr.Unmap()):
				e.Field("allow", "rule.hook.allow_never", x)
			case perr != nil && aerr != nil && !hostLike(x):
				e.Field("allow", "rule.hook.allow_bad", x)
			}
		}
		if err := e.OrNil(); err != nil {
			return err
		}
		if slices.Equal(old.Allow, h.Allow) {
			a.Nothing()
			return nil
		}
		h.Version++
		if err := setting.Write(ctx, a.Tx, hookSetting, h); err != nil {
			return err
		}
		a.Record(event.Event{Kind: HookChange, Subject: event.Subject{Type: subjectType}, Data: Facts{Changes: []event.Change{{Field: "rule.allow", Old: strings.Join(old.Allow, ", "), New: strings.Join(h.Allow, ", ")}}}})
		return nil
	})
}

func hostLike(s string) bool {
	return s != "" && len(s) <= 253 && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_')
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
