package mail

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime"
	"net/mail"
	"strings"
	"time"

	"bihuan/internal/outbound"

	gomail "github.com/wneessen/go-mail"
)

// Letter is a mail from a person of the company to one receiver: an answer in a
// conversation, not a notice.
type Letter struct {
	ID         string // the whole Message-ID, the same for every attempt
	To, Name   string
	ReplyTo    string // "": the server's own
	Subject    string
	Text       string
	InReplyTo  string
	References []string
	At         time.Time
	Auto       string // of a program: "auto-replied" or "auto-generated"; "" of a person
	Files      []Attachment
}

// Attachment is a file of a letter.
type Attachment struct {
	Name, Type string
	Open       func() (io.ReadCloser, error)
}

// maxReferences is how many Message-IDs a letter names: the first, and the last.
const maxReferences = 20

// Deliver hands l over and returns what the server said. Its errors are Fails.
func (s Server) Deliver(ctx context.Context, l Letter) (answer string, err error) {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := msg.FromFormat(oneLine(s.FromName), s.From); err != nil {
		return "", outbound.Failed(outbound.Settings, "", fmt.Errorf("mail: sender: %w", err))
	}
	if _, err := mail.ParseAddress(l.To); err != nil {
		return "", outbound.Failed(outbound.Address, "", fmt.Errorf("mail: %w", err))
	}
	if err := msg.AddToFormat(oneLine(l.Name), l.To); err != nil {
		return "", outbound.Failed(outbound.Address, "", fmt.Errorf("mail: %w", err))
	}
	if to := firstOf(l.ReplyTo, s.ReplyTo); to != "" {
		if err := msg.ReplyTo(to); err != nil {
			return "", outbound.Failed(outbound.Settings, "", fmt.Errorf("mail: reply to: %w", err))
		}
	}
	msg.Subject(oneLine(l.Subject))
	msg.SetMessageIDWithValue(l.ID)
	msg.SetDateWithValue(l.At)
	if l.InReplyTo != "" {
		msg.SetGenHeader("In-Reply-To", bracket(l.InReplyTo))
	}
	if refs := l.References; len(refs) > 0 {
		if len(refs) > maxReferences+1 {
			refs = append([]string{refs[0]}, refs[len(refs)-maxReferences:]...)
		}
		var b []string
		for _, r := range refs {
			b = append(b, bracket(r))
		}
		msg.SetGenHeader("References", strings.Join(b, " "))
	}
	if l.Auto != "" {
		msg.SetGenHeader("Auto-Submitted", oneLine(l.Auto))
		msg.SetGenHeader("X-Auto-Response-Suppress", "All")
	}
	msg.SetBodyString(gomail.TypeTextPlain, l.Text)
	for _, f := range l.Files {
		r, err := f.Open()
		if err != nil {
			return "", outbound.Failed(outbound.Later, "", err)
		}
		b, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			return "", outbound.Failed(outbound.Later, "", err)
		}
		kind, _, err := mime.ParseMediaType(f.Type)
		if err != nil {
			kind = "application/octet-stream"
		}
		if err := msg.AttachReader(f.Name, bytes.NewReader(b), gomail.WithFileContentType(gomail.ContentType(kind))); err != nil {
			return "", outbound.Failed(outbound.Refused, "", err)
		}
	}
	return s.hand(ctx, msg)
}

func bracket(id string) string {
	return "<" + strings.Map(func(r rune) rune {
		if r <= ' ' || r == '<' || r == '>' || r > '~' {
			return -1
		}
		return r
	}, id) + ">"
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
