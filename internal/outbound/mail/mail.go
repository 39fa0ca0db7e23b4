// Package mail sends messages by SMTP (RFC 5321), encrypted unless the
// administrator says otherwise, one receiver a message, so that the answer of the
// server is about him. Mails are marked as made by a program (RFC 3834), so that
// nobody's holiday notice answers them, and they ask for no delivery reports.
//
// A message keeps its Message-ID over all attempts. When the connection breaks
// after the content and before the answer, nobody knows whether it arrived: that is
// outbound.Unsure.
package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/outbound"

	gomail "github.com/wneessen/go-mail"
)

// Server is where mails are handed over.
type Server struct {
	Host     string
	Port     int    // 0: 465, 587 or 25, as TLS says
	TLS      string // "tls" from the first byte, "starttls", or "none"
	User     string // "": without signing in
	Password string
	From     string // the address
	FromName string
	ReplyTo  string
	Roots    *x509.CertPool // nil: those of the machine
	Timeout  time.Duration  // 0: 20 s
}

// Ways a connection is protected.
const (
	TLS      = "tls"
	StartTLS = "starttls"
	None     = "none"
)

func (s Server) port() int {
	switch {
	case s.Port != 0:
		return s.Port
	case s.TLS == StartTLS:
		return 587
	case s.TLS == None:
		return 25
	}
	return 465
}

// Send hands m over and returns what the server said. Its errors are Fails.
func (s Server) Send(ctx context.Context, m outbound.Message) (answer string, err error) {
	msg, err := s.compose(m)
	if err != nil {
		return "", err
	}
	return s.hand(ctx, msg)
}

// hand gives msg to the server.
func (s Server) hand(ctx context.Context, msg *gomail.Msg) (answer string, err error) {
	if s.Timeout == 0 {
		s.Timeout = 20 * time.Second
	}
	opts := []gomail.Option{gomail.WithPort(s.port()), gomail.WithTimeout(s.Timeout), gomail.WithHELO(helo(s.From)), gomail.WithoutNoop(),
		gomail.WithTLSConfig(&tls.Config{ServerName: s.Host, RootCAs: s.Roots, MinVersion: tls.VersionTLS12})}
	switch s.TLS {
	case StartTLS:
		opts = append(opts, gomail.WithTLSPolicy(gomail.TLSMandatory))
	case None:
		opts = append(opts, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		opts = append(opts, gomail.WithSSL())
	}
	if s.User != "" {
		auth := gomail.SMTPAuthAutoDiscover
		if s.TLS == None {
			// The administrator wants it in the clear: his own relay, in his own network.
			auth = gomail.SMTPAuthLoginNoEnc
		}
		opts = append(opts, gomail.WithSMTPAuth(auth), gomail.WithUsername(s.User), gomail.WithPassword(s.Password))
	}
	c, err := gomail.NewClient(s.Host, opts...)
	if err != nil {
		return "", outbound.Failed(outbound.Settings, "", err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	conn, err := c.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return "", dialing(err)
	}
	defer func() { _ = c.CloseWithSMTPClient(conn) }()
	// The context ends with this call; a server that says nothing must not hold it.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	err = c.SendWithSMTPClient(conn, msg)
	if err == nil || msg.IsDelivered() { // what goes wrong after the server has taken it is no failure
		return strings.TrimSpace(msg.ServerResponse()), nil
	}
	return "", sending(err)
}

// helo names this side by the domain mails come from: a machine in a container has
// no name that means anything.
func helo(from string) string {
	if _, domain, ok := strings.Cut(from, "@"); ok && domain != "" {
		return domain
	}
	return "localhost"
}

func (s Server) compose(m outbound.Message) (*gomail.Msg, error) {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := msg.FromFormat(s.FromName, s.From); err != nil {
		return nil, outbound.Failed(outbound.Settings, "", fmt.Errorf("mail: sender: %w", err))
	}
	if _, err := mail.ParseAddress(m.To); err != nil {
		return nil, outbound.Failed(outbound.Address, "", fmt.Errorf("mail: %w", err))
	}
	if err := msg.AddToFormat(m.Name, m.To); err != nil {
		return nil, outbound.Failed(outbound.Address, "", fmt.Errorf("mail: %w", err))
	}
	if s.ReplyTo != "" {
		if err := msg.ReplyTo(s.ReplyTo); err != nil {
			return nil, outbound.Failed(outbound.Settings, "", fmt.Errorf("mail: reply to: %w", err))
		}
	}
	msg.Subject(oneLine(m.Subject))
	msg.SetMessageIDWithValue(m.ID + "@" + helo(s.From))
	msg.SetDateWithValue(m.At)
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetGenHeader("X-Auto-Response-Suppress", "All")
	if m.Urgent {
		msg.SetImportance(gomail.ImportanceHigh)
	}
	msg.SetBodyString(gomail.TypeTextPlain, body(m))
	return msg, nil
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// body is plain text: it looks the same in every program and hides no address
// behind a word.
func body(m outbound.Message) string {
	var b strings.Builder
	for _, i := range m.Items {
		b.WriteString(i.Line())
		b.WriteByte('\n')
		if i.Link != "" {
			b.WriteString(i.Link)
			b.WriteByte('\n')
		}
		b.WriteByte('\n')
	}
	if m.Foot != "" {
		b.WriteString("-- \n" + m.Foot + "\n")
	}
	return b.String()
}

// dialing judges what went wrong before a message was offered: nothing of it is
// about the receiver.
func dialing(err error) error {
	code := codeOf(err)
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &cert), errors.Is(err, gomail.ErrNoSupportedAuthDiscovered), strings.Contains(err.Error(), "STARTTLS"):
		return outbound.Failed(outbound.Settings, "", err)
	case code == 535 || code == 530 || code == 534 || code == 538 || code == 504:
		return outbound.Failed(outbound.Settings, "", err)
	case code == 421:
		return outbound.Failed(outbound.Throttled, "", err)
	case code >= 500:
		return outbound.Failed(outbound.Settings, "", err)
	}
	var ne net.Error
	if errors.As(err, &ne) || code >= 400 {
		return outbound.Failed(outbound.Down, "", err)
	}
	if strings.Contains(err.Error(), "doesn't support") || strings.Contains(err.Error(), "not support") {
		return outbound.Failed(outbound.Settings, "", err)
	}
	return outbound.Failed(outbound.Down, "", err)
}

// codeOf finds the reply of the server in err: 0 when there is none.
func codeOf(err error) int {
	for _, w := range strings.FieldsFunc(err.Error(), func(r rune) bool { return r == ' ' || r == ':' || r == '-' }) {
		if n, aerr := strconv.Atoi(w); aerr == nil && len(w) == 3 && n >= 400 && n < 600 {
			return n
		}
	}
	return 0
}

func sending(err error) error {
	var se *gomail.SendError
	if !errors.As(err, &se) {
		return outbound.Failed(outbound.Later, "", err)
	}
	code := se.ErrorCode()
	switch {
	case se.Reason == gomail.ErrSMTPDataClose && code == 0:
		return outbound.Failed(outbound.Unsure, "", err)
	case code == 421, code == 450 && limited(err), code == 451 && limited(err), code == 550 && limited(err):
		return outbound.Failed(outbound.Throttled, "", err)
	case code == 0:
		return outbound.Failed(outbound.Down, "", err)
	case code < 500:
		return outbound.Failed(outbound.Later, "", err)
	case se.Reason == gomail.ErrSMTPRcptTo:
		return outbound.Failed(outbound.Address, "", err)
	case se.Reason == gomail.ErrSMTPMailFrom:
		return outbound.Failed(outbound.Settings, "", err)
	}
	return outbound.Failed(outbound.Refused, "", err)
}

// limited reports whether the server complains of too many mails: Chinese
// providers say so with the code of a bad address.
func limited(err error) bool {
	t := strings.ToLower(err.Error())
	return strings.Contains(t, "frequency limited") || strings.Contains(t, "too many") || strings.Contains(t, "rate limit")
}
