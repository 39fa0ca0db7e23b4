// Package mailtest is a mail server on this machine for tests: it speaks real SMTP,
// with TLS from the start or by STARTTLS, checks who signs in, and misbehaves as
// it is told.
package mailtest

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"math/big"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"
)

// Mail is what the server has taken.
type Mail struct {
	From, To string
	Raw      string
	Header   mail.Header
	TLS      bool
	User     string // who had signed in
}

// Server takes mails. Fields may be changed between mails.
type Server struct {
	Host  string
	Port  int
	Roots *x509.CertPool

	mu       sync.Mutex
	mails    []Mail
	sessions int
	l        net.Listener
	conf     *tls.Config
	plan     Plan
}

// Plan is how the server behaves; the zero value takes everything.
type Plan struct {
	TLS, NoStartTLS bool
	User, Password  string            // "": nobody needs to sign in
	Reply           map[string]string // "RCPT" -> "550 5.1.1 no such user": instead of what it would say
	DropAfterData   bool              // takes the content and hangs up without a word; the mail is kept
	DropAfterTaken  bool              // says 250 and hangs up at once
}

// New starts a server for t.
func New(t testing.TB, p Plan) *Server {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(4e9, 0), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Host: "127.0.0.1", Roots: x509.NewCertPool(), plan: p, conf: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}}
	s.Roots.AddCert(cert)
	if s.l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	s.Port = s.l.Addr().(*net.TCPAddr).Port
	t.Cleanup(func() { s.l.Close() })
	go func() {
		for {
			c, err := s.l.Accept()
			if err != nil {
				return
			}
			go s.talk(c)
		}
	}()
	return s
}

// Set changes how the server behaves from the next session on.
func (s *Server) Set(f func(p *Plan)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.plan)
}

// Mails returns what was taken so far.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.mails...)
}

// Sessions counts connections.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions
}

func (s *Server) talk(c net.Conn) {
	defer func() { c.Close() }()
	s.mu.Lock()
	p := s.plan
	s.sessions++
	s.mu.Unlock()
	secure := false
	if p.TLS {
		c = tls.Server(c, s.conf)
		secure = true
	}
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(c)
	say := func(line string) { _, _ = io.WriteString(c, line+"\r\n") }
	answer := func(verb, line string) bool {
		if other := p.Reply[verb]; other != "" {
			say(other)
			return other[0] < '4'
		}
		say(line)
		return true
	}
	line := func() (string, bool) { l, err := r.ReadString('\n'); return strings.TrimRight(l, "\r\n"), err == nil }
	if !answer("CONNECT", "220 mailtest ESMTP") {
		return
	}
	m := Mail{}
	for {
		l, ok := line()
		if !ok {
			return
		}
		verb := strings.ToUpper(strings.Fields(l + " ")[0:][0])
		switch verb {
		case "EHLO":
			say("250-mailtest")
			if !secure && !p.NoStartTLS {
				say("250-STARTTLS")
			}
			if p.User != "" {
				say("250-AUTH LOGIN PLAIN")
			}
			say("250-8BITMIME")
			say("250 ENHANCEDSTATUSCODES")
		case "STARTTLS":
			say("220 go ahead")
			t := tls.Server(c, s.conf)
			c, r, secure = t, bufio.NewReader(t), true
		case "AUTH":
			user, pass := "", ""
			if f := strings.Fields(l); f[1] == "PLAIN" {
				raw := ""
				if len(f) > 2 {
					raw = f[2]
				} else {
					say("334 ")
					raw, _ = line()
				}
				b, _ := base64.StdEncoding.DecodeString(raw)
				if parts := strings.Split(string(b), "\x00"); len(parts) == 3 {
					user, pass = parts[1], parts[2]
				}
			} else {
				say("334 VXNlcm5hbWU6")
				a, _ := line()
				say("334 UGFzc3dvcmQ6")
				b, _ := line()
				ra, _ := base64.StdEncoding.DecodeString(a)
				rb, _ := base64.StdEncoding.DecodeString(b)
				user, pass = string(ra), string(rb)
			}
			if user != p.User || pass != p.Password {
				say("535 5.7.8 authentication failed")
				continue
			}
			m.User = user
			say("235 2.7.0 welcome")
		case "MAIL":
			if p.User != "" && m.User == "" {
				say("530 5.7.0 sign in first")
				continue
			}
			m.From = address(l)
			answer("MAIL", "250 2.1.0 ok")
		case "RCPT":
			m.To = address(l)
			answer("RCPT", "250 2.1.5 ok")
		case "DATA":
			if !answer("DATA", "354 go on") {
				continue
			}
			var b strings.Builder
			for {
				l, ok := line()
				if !ok {
					return
				}
				if l == "." {
					break
				}
				b.WriteString(strings.TrimPrefix(l, ".") + "\r\n")
			}
			if end := p.Reply["END"]; end != "" {
				say(end)
				continue
			}
			m.Raw, m.TLS = b.String(), secure
			if parsed, err := mail.ReadMessage(strings.NewReader(m.Raw)); err == nil {
				m.Header = parsed.Header
			}
			s.mu.Lock()
			s.mails = append(s.mails, m)
			s.mu.Unlock()
			if p.DropAfterData {
				return
			}
			say("250 2.0.0 taken as 1234")
			if p.DropAfterTaken {
				return
			}
		case "RSET", "NOOP":
			say("250 ok")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("502 5.5.1 what?")
		}
	}
}

func address(l string) string {
	_, rest, _ := strings.Cut(l, "<")
	a, _, _ := strings.Cut(rest, ">")
	return a
}
