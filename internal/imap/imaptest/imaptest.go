// Package imaptest is an IMAP server on this machine for tests, with its mails in
// memory.
package imaptest

import (
	"bytes"
	"net"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
)

// User and Password open the mailbox of a [Server].
const (
	User     = "help@example.com"
	Password = "geheim-2026"
)

// Server holds one mailbox.
type Server struct {
	Host string
	Port int
	user *imapmemserver.User
	t    testing.TB
}

// New starts a server for t.
func New(t testing.TB) *Server {
	t.Helper()
	mem := imapmemserver.New()
	user := imapmemserver.NewUser(User, Password)
	if err := user.Create("INBOX", nil); err != nil {
		t.Fatal(err)
	}
	mem.AddUser(user)
	srv := imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return mem.NewSession(), nil, nil
		},
		InsecureAuth: true,
		Caps:         imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapIdle: {}},
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	return &Server{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, user: user, t: t}
}

type literal struct{ *bytes.Reader }

func (l literal) Size() int64 { return l.Reader.Size() }

// Put delivers a mail.
func (s *Server) Put(raw string) {
	s.t.Helper()
	if _, err := s.user.Append("INBOX", literal{bytes.NewReader([]byte(raw))}, &imap.AppendOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

// Unread counts the mails that nobody has marked.
func (s *Server) Unread() int {
	s.t.Helper()
	d, err := s.user.Status("INBOX", &imap.StatusOptions{NumUnseen: true})
	if err != nil {
		s.t.Fatal(err)
	}
	return int(*d.NumUnseen)
}

// Rebuild gives the folder a new validity: the same mails under other numbers.
func (s *Server) Rebuild(mails ...string) {
	s.t.Helper()
	if err := s.user.Delete("INBOX"); err != nil {
		s.t.Fatal(err)
	}
	if err := s.user.Create("INBOX", nil); err != nil {
		s.t.Fatal(err)
	}
	for _, m := range mails {
		s.Put(m)
	}
}
