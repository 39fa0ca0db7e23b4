package mailbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/cnid"
	"bihuan/internal/crypt"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/imap"
	"bihuan/internal/job"
	"bihuan/internal/keyring"
	"bihuan/internal/outbound"
	"bihuan/internal/outbound/mail"
	"bihuan/internal/ticket"
)

// PermManage sets mailboxes up and decides about mails in quarantine.
const PermManage authz.Permission = "mailbox.manage"

func init() {
	authz.Register(authz.Def{Permission: PermManage, Area: "org", Default: map[string]authz.Level{authz.RoleAdmin: authz.All}})
}

// The facts this room records.
const (
	BoxAdded    = "mailbox.added"
	BoxChanged  = "mailbox.changed"
	BoxTested   = "mailbox.tested"
	Quarantined = "mail.quarantined"
	Joined      = "mail.joined"
	Made        = "mail.made_ticket"
	Discarded   = "mail.discarded"
	Undelivered = "mail.undelivered"
	SentAgain   = "mail.sent_again"
)

const (
	boxSubject  = "mailbox"
	mailSubject = "mail"
	// FileOwner is the type under which sources of mails are kept.
	FileOwner = "mail"
	actorName = "mail"
)

// Facts is the data of this room's events.
type Facts struct {
	Args    []string       `json:"args,omitempty"`
	Changes []event.Change `json:"changes,omitempty"`
}

// Service is the room.
type Service struct {
	run       *action.Runner
	tickets   *ticket.Service
	customers *customer.Service
	files     *blob.Files
	keys      *crypt.Keeper
	leases    *job.Leases
	net       outbound.Net
	// Dial opens a folder; tests put a server of their own behind it.
	Dial imap.Dialer
	// Send hands a letter to a server.
	Send func(ctx context.Context, s mail.Server, l mail.Letter) (string, error)
	// Link is the address under which the customer finds his request; nil: none.
	Link    func(ctx context.Context, t ticket.Ticket) string
	mu      sync.Mutex
	running map[int64]int64 // mailbox -> version that is attended
}

// New returns the room.
func New(run *action.Runner, tickets *ticket.Service, customers *customer.Service, files *blob.Files, keys *crypt.Keeper) *Service {
	return &Service{run: run, tickets: tickets, customers: customers, files: files, keys: keys, leases: job.NewLeases(run.DB()), net: outbound.New(), Dial: imap.Dial,
		Send: func(ctx context.Context, s mail.Server, l mail.Letter) (string, error) { return s.Deliver(ctx, l) }, running: map[int64]int64{}}
}

// Box is a mailbox that is fetched.
type Box struct {
	ID           int64
	Name         string
	Address      string
	Active       bool
	DepartmentID int64 // 0: by routing
	Type         string
	Urgency      string
	Settings     Settings
	Has          map[string]bool // which secrets there are
	LastUID      uint32
	Validity     uint32
	CheckedAt    time.Time
	Trouble      string
	Version      int64

	sealed []byte
}

// Settings of a mailbox that are no secrets.
type Settings struct {
	Host     string `json:"host"`
	Port     int    `json:"port,omitempty"`
	TLS      string `json:"tls"`
	User     string `json:"user"`
	Folder   string `json:"folder,omitempty"`
	Auth     string `json:"auth"` // password or oauth2
	TokenURL string `json:"token_url,omitempty"`
	ClientID string `json:"client_id,omitempty"`
	Scope    string `json:"scope,omitempty"`

	Answer    bool   `json:"answer,omitempty"` // answers leave by mail
	SMTPHost  string `json:"smtp_host,omitempty"`
	SMTPPort  int    `json:"smtp_port,omitempty"`
	SMTPTLS   string `json:"smtp_tls,omitempty"`
	FromName  string `json:"from_name,omitempty"`
	Signature string `json:"signature,omitempty"`
}

// Secrets of a mailbox.
type Secrets struct {
	Password     string `json:"password,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
}

type boxesKey struct{}

const boxColumns = `id, name, address, active, department_id, type, urgency, settings, secret_sealed, validity, last_uid, checked_at, trouble, version`

func scanBox(row interface{ Scan(...any) error }) (b Box, err error) {
	var settings string
	var active int
	var checked, validity, last int64
	if err = row.Scan(&b.ID, &b.Name, &b.Address, &active, &b.DepartmentID, &b.Type, &b.Urgency, &settings, &b.sealed, &validity, &last, &checked, &b.Trouble, &b.Version); err != nil {
		return b, err
	}
	b.Active, b.CheckedAt, b.Validity, b.LastUID = active == 1, db.FromMicros(checked), uint32(validity), uint32(last)
	return b, json.Unmarshal([]byte(settings), &b.Settings)
}

func boxes(ctx context.Context, q db.Querier) ([]Box, error) {
	rows, err := q.Query(ctx, `SELECT `+boxColumns+` FROM mailboxes ORDER BY id LIMIT 200`)
	if err != nil {
		return nil, fmt.Errorf("mailbox: list: %w", err)
	}
	defer rows.Close()
	var out []Box
	for rows.Next() {
		b, err := scanBox(rows)
		if err != nil {
			return nil, fmt.Errorf("mailbox: list: %w", err)
		}
		out = append(out, b)
	}
	return out, rows.Err()
}

// held are the mailboxes as they were a moment ago: they hardly ever change.
func held(ctx context.Context, q db.Querier) ([]Box, error) {
	return db.Held(ctx, q, boxesKey{}, func() ([]Box, error) { return boxes(ctx, q) })
}

// Boxes returns the mailboxes.
func (s *Service) Boxes(ctx context.Context, actor authz.Actor) ([]Box, error) {
	if err := actor.Check(PermManage); err != nil {
		return nil, err
	}
	return boxes(ctx, s.run.DB().Read())
}

// Box returns one of them.
func (s *Service) Box(ctx context.Context, actor authz.Actor, id int64) (b Box, err error) {
	if err := actor.Check(PermManage); err != nil {
		return b, err
	}
	if b, err = s.box(ctx, s.run.DB().Read(), id); err != nil {
		return b, err
	}
	sec, err := s.secrets(b)
	b.Has = map[string]bool{"password": sec.Password != "", "client_secret": sec.ClientSecret != "", "refresh_token": sec.RefreshToken != ""}
	return b, err
}

func (s *Service) box(ctx context.Context, q db.Querier, id int64) (Box, error) {
	all, err := boxes(ctx, q)
	if err != nil {
		return Box{}, err
	}
	i := slices.IndexFunc(all, func(b Box) bool { return b.ID == id })
	if i < 0 {
		return Box{}, fault.New(fault.NotFound, "mailbox.not_found")
	}
	return all[i], nil
}

func (s *Service) secrets(b Box) (x Secrets, err error) {
	if len(b.sealed) == 0 {
		return x, nil
	}
	text, err := s.keys.Open(crypt.Place("mailboxes", b.ID, "secret"), b.sealed)
	if err == nil {
		err = json.Unmarshal([]byte(text), &x)
	}
	if err != nil {
		return x, fmt.Errorf("mailbox: secrets of %d: %w", b.ID, err)
	}
	return x, nil
}

// Sealed are the places where this room keeps sealed values.
func (s *Service) Sealed() []keyring.Table {
	d := s.run.DB()
	return []keyring.Table{keyring.Values(d, s.keys, "mailboxes", "secret"), keyring.Values(d, s.keys, "mails", "head"), keyring.Values(d, s.keys, "mail_out", "to")}
}

func (b *Box) check(sec Secrets) error {
	e := fault.Invalidf("ui.form.invalid")
	set := &b.Settings
	for _, f := range []struct {
		name string
		v    *string
		max  int
		need bool
	}{{"name", &b.Name, 60, true}, {"host", &set.Host, 200, true}, {"user", &set.User, 200, true}, {"folder", &set.Folder, 200, false}, {"from_name", &set.FromName, 60, false},
		{"smtp_host", &set.SMTPHost, 200, set.Answer}, {"token_url", &set.TokenURL, 500, set.Auth == "oauth2"}, {"client_id", &set.ClientID, 300, set.Auth == "oauth2"}, {"scope", &set.Scope, 500, false}} {
		*f.v = strings.TrimSpace(*f.v)
		if n := len([]rune(*f.v)); n > f.max {
			e.Field(f.name, "ui.form.too_long", f.max, n)
		} else if n == 0 && f.need {
			e.Field(f.name, "ui.form.required")
		}
	}
	if n := len([]rune(set.Signature)); n > 1000 {
		e.Field("signature", "ui.form.too_long", 1000, n)
	}
	b.Address = strings.ToLower(strings.TrimSpace(b.Address))
	if cnid.CheckEmail(b.Address) != nil {
		e.Field("address", "mailbox.address.bad")
	}
	for name, p := range map[string]int{"port": set.Port, "smtp_port": set.SMTPPort} {
		if p < 0 || p > 65535 {
			e.Field(name, "ui.form.between", 0, 65535)
		}
	}
	for name, v := range map[string]string{"tls": set.TLS, "smtp_tls": set.SMTPTLS} {
		if !slices.Contains([]string{imap.TLS, imap.StartTLS, imap.None}, v) {
			e.Field(name, "ui.form.required")
		}
	}
	switch {
	case set.Auth != "password" && set.Auth != "oauth2":
		e.Field("auth", "ui.form.required")
	case set.Auth == "password" && sec.Password == "":
		e.Field("password", "ui.form.required")
	case set.Auth == "oauth2" && sec.RefreshToken == "":
		e.Field("refresh_token", "ui.form.required")
	}
	if set.Auth == "oauth2" && set.TokenURL != "" {
		if u, err := outbound.Parse(set.TokenURL); err != nil || u.Scheme != "https" {
			e.Field("token_url", "mailbox.token_url.bad")
		}
	}
	if !slices.Contains(ticket.Types, b.Type) {
		e.Field("type", "ui.form.required")
	}
	if !slices.Contains(ticket.Urgencies, b.Urgency) {
		e.Field("urgency", "ui.form.required")
	}
	return e.OrNil()
}

// Save adds b (ID 0) or changes it. Empty secrets stay as they are. It returns
// the id.
func (s *Service) Save(ctx context.Context, actor authz.Actor, b Box, sec Secrets) (id int64, err error) {
	if err := actor.Check(PermManage); err != nil {
		return 0, err
	}
	err = s.run.Do(ctx, actor, "mailbox.save", func(ctx context.Context, a *action.Action) error {
		id = b.ID
		var old Box
		keep := Secrets{}
		if id != 0 {
			if old, err = s.box(ctx, a, id); err != nil {
				return err
			}
			if old.Version != b.Version {
				return fault.New(fault.Conflict, "mailbox.stale")
			}
			if keep, err = s.secrets(old); err != nil {
				return err
			}
			if old.Settings.Host != b.Settings.Host || old.Settings.User != b.Settings.User {
				keep = Secrets{} // a password is not shown to another server
			}
		}
		for _, x := range []struct{ to, from *string }{{&keep.Password, &sec.Password}, {&keep.ClientSecret, &sec.ClientSecret}, {&keep.RefreshToken, &sec.RefreshToken}} {
			if *x.from != "" {
				*x.to = *x.from
			}
		}
		if err := b.check(keep); err != nil {
			return err
		}
		if b.DepartmentID != 0 {
			var n int
			if err := a.QueryRow(ctx, `SELECT COUNT(*) FROM departments WHERE id = $1 AND active = 1`, b.DepartmentID).Scan(&n); err != nil {
				return fmt.Errorf("mailbox: save: %w", err)
			}
			if n == 0 {
				return fault.Invalidf("ui.form.invalid").Field("department", "ui.form.required")
			}
		}
		settings, err := json.Marshal(b.Settings)
		if err != nil {
			return err
		}
		if id == 0 {
			err = a.QueryRow(ctx, `INSERT INTO mailboxes (name, address, active, department_id, type, urgency, settings, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) RETURNING id`,
				b.Name, b.Address, db.Bool(b.Active), b.DepartmentID, b.Type, b.Urgency, string(settings), a.NowMicros()).Scan(&id)
		} else {
			_, err = a.Exec(ctx, `UPDATE mailboxes SET name = $1, address = $2, active = $3, department_id = $4, type = $5, urgency = $6, settings = $7, trouble = '', version = version + 1, updated_at = $8 WHERE id = $9`,
				b.Name, b.Address, db.Bool(b.Active), b.DepartmentID, b.Type, b.Urgency, string(settings), a.NowMicros(), id)
		}
		if err != nil {
			return fmt.Errorf("mailbox: save: %w", err)
		}
		if id != 0 && (old.Settings.Host != b.Settings.Host || old.Settings.User != b.Settings.User || old.Settings.Folder != b.Settings.Folder) {
			if _, err := a.Exec(ctx, `UPDATE mailboxes SET validity = 0, last_uid = 0 WHERE id = $1`, id); err != nil {
				return fmt.Errorf("mailbox: save: %w", err)
			}
		}
		raw, err := json.Marshal(keep)
		if err != nil {
			return err
		}
		sealed, err := s.keys.Seal(crypt.Place("mailboxes", id, "secret"), string(raw))
		if err != nil {
			return fmt.Errorf("mailbox: save: %w", err)
		}
		if _, err := a.Exec(ctx, `UPDATE mailboxes SET secret_sealed = $1 WHERE id = $2`, sealed, id); err != nil {
			return fmt.Errorf("mailbox: save: %w", err)
		}
		a.Drop(boxesKey{})
		kind := BoxChanged
		if b.ID == 0 {
			kind = BoxAdded
		}
		a.Record(event.Event{Kind: kind, Subject: event.Subject{Type: boxSubject, ID: id}, Data: Facts{Args: []string{b.Name, b.Address}, Changes: changes(old, b, sec)}})
		return nil
	})
	if db.IsUnique(err, "address") {
		err = fault.Invalidf("ui.form.invalid").Field("address", "mailbox.address.twice")
	}
	return id, err
}

// changes are what the audit trail tells of: secrets only that they changed.
func changes(old, b Box, sec Secrets) (out []event.Change) {
	yes := func(v bool) string { return "@" + map[bool]string{true: "common.yes", false: "common.no"}[v] }
	for _, c := range []event.Change{{Field: "mailbox.active", Old: yes(old.Active), New: yes(b.Active)}, {Field: "mailbox.host", Old: old.Settings.Host, New: b.Settings.Host}, {Field: "mailbox.user", Old: old.Settings.User, New: b.Settings.User},
		{Field: "mailbox.answer", Old: yes(old.Settings.Answer), New: yes(b.Settings.Answer)}} {
		if c.Old != c.New {
			out = append(out, c)
		}
	}
	if sec != (Secrets{}) {
		out = append(out, event.Change{Field: "mailbox.secret", New: "••••"})
	}
	return out
}

// Tried is what a test of a mailbox found.
type Tried struct {
	OK     bool
	Key    string // of the sentence
	Detail string // in the words of the server
	Unread int
}

// Test opens the mailbox and counts what is unread there; nothing is fetched.
func (s *Service) Test(ctx context.Context, actor authz.Actor, id int64) (Tried, error) {
	b, err := s.Box(ctx, actor, id)
	if err != nil {
		return Tried{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 25*time.Second)
	defer cancel()
	t := s.try(ctx, b)
	err = s.run.Do(ctx, actor, "mailbox.test", func(ctx context.Context, a *action.Action) error {
		a.Record(event.Event{Kind: BoxTested, Subject: event.Subject{Type: boxSubject, ID: id}, Data: Facts{Args: []string{b.Name, "@" + t.Key}}})
		return nil
	})
	return t, err
}

func (s *Service) try(ctx context.Context, b Box) Tried {
	c, err := s.open(ctx, b)
	if err != nil {
		return Tried{Key: troubleKey(err), Detail: err.Error()}
	}
	defer c.Close()
	items, err := c.Unread(s.run.DB().Clock().Now().Add(-freshDays), false)
	if err != nil {
		return Tried{Key: troubleKey(err), Detail: err.Error()}
	}
	return Tried{OK: true, Key: "mailbox.tried.ok", Unread: len(items)}
}

// troubleKey is the sentence for who has to mend it.
func troubleKey(err error) string {
	switch {
	case errors.Is(err, imap.ErrLogin):
		return "mailbox.trouble.login"
	case errors.Is(err, imap.ErrFolder):
		return "mailbox.trouble.folder"
	case errors.Is(err, errToken):
		return "mailbox.trouble.token"
	}
	return "mailbox.trouble.connect"
}

var errToken = errors.New("mailbox: no token")

// open signs in to the mailbox.
func (s *Service) open(ctx context.Context, b Box) (imap.Conn, error) {
	sec, err := s.secrets(b)
	if err != nil {
		return nil, err
	}
	acc := imap.Account{Host: b.Settings.Host, Port: b.Settings.Port, TLS: b.Settings.TLS, User: b.Settings.User, Password: sec.Password, Folder: b.Settings.Folder, Timeout: 20 * time.Second}
	if b.Settings.Auth == "oauth2" {
		if acc.Token, err = s.token(ctx, b.Settings, sec); err != nil {
			return nil, err
		}
	}
	return s.Dial(ctx, acc)
}

// token exchanges what the provider gave once for a token of an hour (RFC 6749,
// section 6).
func (s *Service) token(ctx context.Context, set Settings, sec Secrets) (string, error) {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {sec.RefreshToken}, "client_id": {set.ClientID}}
	if sec.ClientSecret != "" {
		form.Set("client_secret", sec.ClientSecret)
	}
	if set.Scope != "" {
		form.Set("scope", set.Scope)
	}
	a, err := s.net.Post(ctx, set.TokenURL, outbound.Allowed(ctx, s.run.DB().Read()), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}}, []byte(form.Encode()))
	if err == nil {
		err = a.Judge()
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", errToken, err)
	}
	var x struct {
		AccessToken string `json:"access_token"`
	}
	if json.Unmarshal(a.Body, &x) != nil || x.AccessToken == "" {
		return "", fmt.Errorf("%w: %s", errToken, a.Line())
	}
	return x.AccessToken, nil
}

// word says a key in Chinese, the language in which entries are written.
func word(key string, args ...any) string { return i18n.T(i18n.ZhCN, key, args...) }
