// Package imap fetches mails from a server (RFC 9051, RFC 3501): it lists what is
// new in a folder, reads it without marking it, marks it when the caller says that
// it is safe, and waits with IDLE for more. Nothing is ever deleted there.
package imap

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// Ways a connection is protected.
const (
	TLS      = "tls"
	StartTLS = "starttls"
	None     = "none"
)

// Account is where a mailbox is, and how to get in.
type Account struct {
	Host     string
	Port     int // 0: 993 or 143, as TLS says
	TLS      string
	User     string
	Password string
	Token    string // of OAuth2; instead of the password
	Folder   string // "": INBOX
	Roots    *x509.CertPool
	Timeout  time.Duration // of one step; 0: 30 s
}

// Item is a mail on the server.
type Item struct {
	UID  uint32
	Size int64
}

// Conn is a folder that is open.
type Conn interface {
	// Validity is the number under which UIDs mean something.
	Validity() uint32
	// Next is the UID that the next mail will get at the earliest.
	Next() uint32
	// After lists mails with UIDs above uid, in their order.
	After(uid uint32) ([]Item, error)
	// Unread lists mails of the last days that nobody has read; all says that those
	// that were read are wanted too.
	Unread(since time.Time, all bool) ([]Item, error)
	// Fetch reads a mail without marking it.
	Fetch(uid uint32) ([]byte, error)
	// Seen marks mails as read.
	Seen(uids ...uint32) error
	// Wait returns when something may have come, or after d.
	Wait(ctx context.Context, d time.Duration) error
	Close()
}

// Dialer opens a folder; Dial is the real one.
type Dialer func(ctx context.Context, a Account) (Conn, error)

// Kinds of failures, for who has to mend them.
var (
	ErrConnect = errors.New("imap: the server does not answer")
	ErrLogin   = errors.New("imap: the server refuses the user or his password")
	ErrFolder  = errors.New("imap: there is no such folder")
)

type conn struct {
	c       *imapclient.Client
	data    *imap.SelectData
	arrived chan struct{}
	timeout time.Duration
	raw     net.Conn
}

// Dial connects, signs in and opens the folder.
func Dial(ctx context.Context, a Account) (Conn, error) {
	if a.Port == 0 {
		a.Port = 993
		if a.TLS != TLS && a.TLS != "" {
			a.Port = 143
		}
	}
	if a.Folder == "" {
		a.Folder = "INBOX"
	}
	if a.Timeout == 0 {
		a.Timeout = 30 * time.Second
	}
	x := &conn{arrived: make(chan struct{}, 1), timeout: a.Timeout}
	d := net.Dialer{Timeout: a.Timeout}
	raw, err := d.DialContext(ctx, "tcp", net.JoinHostPort(a.Host, strconv.Itoa(a.Port)))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConnect, err)
	}
	// Who says nothing does not hold this side for ever.
	_ = raw.SetDeadline(time.Now().Add(a.Timeout))
	x.raw = raw
	conf := &tls.Config{ServerName: a.Host, RootCAs: a.Roots, MinVersion: tls.VersionTLS12}
	opts := &imapclient.Options{TLSConfig: conf, UnilateralDataHandler: &imapclient.UnilateralDataHandler{Mailbox: func(*imapclient.UnilateralDataMailbox) { x.wake() }}}
	switch a.TLS {
	case StartTLS:
		x.c, err = imapclient.NewStartTLS(raw, opts)
	case None:
		x.c = imapclient.New(raw, opts)
	default:
		t := tls.Client(raw, conf)
		if err = t.HandshakeContext(ctx); err == nil {
			x.c = imapclient.New(t, opts)
		}
	}
	if err != nil {
		raw.Close()
		return nil, fmt.Errorf("%w: %w", ErrConnect, err)
	}
	if err := x.c.WaitGreeting(); err != nil {
		x.c.Close()
		return nil, fmt.Errorf("%w: %w", ErrConnect, err)
	}
	if a.Token != "" {
		err = x.c.Authenticate(xoauth2{a.User, a.Token})
	} else {
		err = x.c.Login(a.User, a.Password).Wait()
	}
	if err != nil {
		x.c.Close()
		return nil, fmt.Errorf("%w: %w", ErrLogin, err)
	}
	if x.data, err = x.c.Select(a.Folder, nil).Wait(); err != nil {
		x.c.Close()
		return nil, fmt.Errorf("%w: %w", ErrFolder, err)
	}
	return x, nil
}

// xoauth2 is the way of Google, Microsoft and Tencent to sign in with a token.
type xoauth2 struct{ user, token string }

func (x xoauth2) Start() (string, []byte, error) {
	return "XOAUTH2", []byte("user=" + x.user + "\x01auth=Bearer " + x.token + "\x01\x01"), nil
}

// Next answers the explanation of a refusal with nothing, as the protocol wants.
func (x xoauth2) Next([]byte) ([]byte, error) { return []byte{}, nil }

func (x *conn) wake() {
	select {
	case x.arrived <- struct{}{}:
	default:
	}
}

func (x *conn) Validity() uint32 { return x.data.UIDValidity }
func (x *conn) Next() uint32     { return uint32(x.data.UIDNext) }

// step gives one exchange its time.
func (x *conn) step() { _ = x.raw.SetDeadline(time.Now().Add(x.timeout)) }

func (x *conn) After(uid uint32) ([]Item, error) {
	var set imap.UIDSet
	set.AddRange(imap.UID(uid+1), 0)
	return x.search(&imap.SearchCriteria{UID: []imap.UIDSet{set}}, uid)
}

func (x *conn) Unread(since time.Time, all bool) ([]Item, error) {
	c := &imap.SearchCriteria{Since: since}
	if !all {
		c.NotFlag = []imap.Flag{imap.FlagSeen}
	}
	return x.search(c, 0)
}

func (x *conn) search(c *imap.SearchCriteria, above uint32) ([]Item, error) {
	x.step()
	if err := x.c.Noop().Wait(); err != nil {
		return nil, fmt.Errorf("imap: %w", err)
	}
	found, err := x.c.UIDSearch(c, nil).Wait()
	if err != nil {
		return nil, fmt.Errorf("imap: search: %w", err)
	}
	uids := slices.DeleteFunc(found.AllUIDs(), func(u imap.UID) bool { return uint32(u) <= above }) // "n:*" always names the last one
	slices.Sort(uids)
	if len(uids) == 0 {
		return nil, nil
	}
	const most = 500
	uids = uids[:min(most, len(uids))]
	x.step()
	got, err := x.c.Fetch(imap.UIDSetNum(uids...), &imap.FetchOptions{UID: true, RFC822Size: true}).Collect()
	if err != nil {
		return nil, fmt.Errorf("imap: sizes: %w", err)
	}
	var out []Item
	for _, m := range got {
		out = append(out, Item{uint32(m.UID), m.RFC822Size})
	}
	slices.SortFunc(out, func(a, b Item) int { return int(a.UID) - int(b.UID) })
	return out, nil
}

func (x *conn) Fetch(uid uint32) ([]byte, error) {
	_ = x.raw.SetDeadline(time.Now().Add(10 * x.timeout)) // large mails over slow lines
	whole := &imap.FetchItemBodySection{Peek: true}
	got, err := x.c.Fetch(imap.UIDSetNum(imap.UID(uid)), &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{whole}}).Collect()
	if err != nil {
		return nil, fmt.Errorf("imap: fetch %d: %w", uid, err)
	}
	for _, m := range got {
		if b := m.FindBodySection(whole); b != nil {
			return b, nil
		}
	}
	return nil, nil // somebody has deleted it meanwhile
}

func (x *conn) Seen(uids ...uint32) error {
	if len(uids) == 0 {
		return nil
	}
	x.step()
	var set imap.UIDSet
	for _, u := range uids {
		set.AddNum(imap.UID(u))
	}
	if err := x.c.Store(set, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagSeen}}, nil).Close(); err != nil {
		return fmt.Errorf("imap: mark as read: %w", err)
	}
	return nil
}

func (x *conn) Wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	caps := x.c.Caps()
	if !caps.Has(imap.CapIdle) && !caps.Has(imap.CapIMAP4rev2) {
		select {
		case <-t.C:
		case <-ctx.Done():
		case <-x.c.Closed():
			return ErrConnect
		}
		return ctx.Err()
	}
	_ = x.raw.SetDeadline(time.Now().Add(d + x.timeout))
	idle, err := x.c.Idle()
	if err != nil {
		return fmt.Errorf("imap: idle: %w", err)
	}
	select {
	case <-x.arrived:
	case <-t.C:
	case <-ctx.Done():
	case <-x.c.Closed():
		return ErrConnect
	}
	if err := idle.Close(); err != nil {
		return fmt.Errorf("imap: idle: %w", err)
	}
	if err := idle.Wait(); err != nil {
		return fmt.Errorf("imap: idle: %w", err)
	}
	return ctx.Err()
}

func (x *conn) Close() {
	_ = x.raw.SetDeadline(time.Now().Add(2 * time.Second))
	_ = x.c.Logout().Wait()
	_ = x.c.Close()
}
