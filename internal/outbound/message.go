package outbound

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

// Message is what one person is told, in his language. Several notices can
// travel in one.
type Message struct {
	ID      string // the same for every attempt: who knows it has the message already
	Lang    string
	Subject string
	Items   []Item
	More    int // further notices that did not fit in
	Foot    string
	Urgent  bool
	Name    string // of the receiver
	To      string // his address on this way; "" where the way itself is the address
	At      time.Time
}

// Item is one notice.
type Item struct {
	Lang   string
	Short  string // what happened, in a few words: for short messages
	Number string // of the ticket
	Kind   string // the event
	Title  string
	Text   string // what happened
	Link   string // "" when the product does not know its own address
	Path   string // of the page inside the product
	Urgent bool
}

// Text says the whole message in lines, at most max bytes of UTF-8, cut between
// characters. Links are kept whole: what is cut is cut before them.
func (m Message) Text(max int) string {
	var b strings.Builder
	b.WriteString(m.Subject)
	for _, i := range m.Items {
		b.WriteByte('\n')
		line := i.Line()
		if len(m.Items) > 1 {
			line = "· " + line
		} else if line == m.Subject {
			line = ""
		}
		rest := max - b.Len() - len(i.Link) - 1 - len(m.Foot)
		if i.Link != "" && rest < 0 {
			break
		}
		b.WriteString(Cut(line, rest))
		if i.Link != "" {
			if line != "" {
				b.WriteByte('\n')
			}
			b.WriteString(i.Link)
		}
	}
	if m.Foot != "" {
		b.WriteByte('\n')
		b.WriteString(m.Foot)
	}
	return Cut(b.String(), max)
}

// Line is the notice in a line, without its link.
func (i Item) Line() string {
	head := strings.TrimSpace(strings.Join([]string{i.Number, i.Title}, " "))
	if head == "" {
		return i.Text
	}
	if strings.HasPrefix(i.Lang, "zh") {
		return head + "：" + i.Text
	}
	return head + ": " + i.Text
}

// Cut shortens s to max bytes, between characters.
func Cut(s string, max int) string {
	if len(s) <= max {
		return s
	}
	const dots = "…"
	max -= len(dots)
	if max < 0 {
		return ""
	}
	for max > 0 && !utf8.RuneStart(s[max]) {
		max--
	}
	return s[:max] + dots
}

// Kind says what a failed attempt means for the next one.
type Kind string

const (
	Refused   Kind = "refused"   // this message will not be taken, whoever tries again
	Address   Kind = "address"   // the receiver's address does not work
	Settings  Kind = "settings"  // the administrator has to correct the channel
	Down      Kind = "down"      // nobody answers: all that goes this way waits
	Later     Kind = "later"     // a passing trouble
	Throttled Kind = "throttled" // too many; after Retry again
	Unsure    Kind = "unsure"    // it may have arrived
)

// Fail is a failed attempt.
type Fail struct {
	Kind   Kind
	Retry  time.Duration // the platform's own wish; 0: none
	Answer string        // in the words of the other side
	Err    error
}

// Failed makes a Fail; answer is what the other side said.
func Failed(k Kind, answer string, err error) *Fail { return &Fail{Kind: k, Answer: answer, Err: err} }

func (f *Fail) Error() string {
	switch {
	case f.Err != nil && f.Answer != "":
		return fmt.Sprintf("%s: %v: %s", f.Kind, f.Err, f.Answer)
	case f.Err != nil:
		return fmt.Sprintf("%s: %v", f.Kind, f.Err)
	}
	return fmt.Sprintf("%s: %s", f.Kind, f.Answer)
}

// Detail is the error without its kind, which is said in words beside it.
func (f *Fail) Detail() string {
	return strings.TrimPrefix(f.Error(), string(f.Kind)+": ")
}

// Unwrap returns the cause.
func (f *Fail) Unwrap() error { return f.Err }

// FailOf returns the Fail in err; any other error is a passing trouble.
func FailOf(err error) *Fail {
	if f := (*Fail)(nil); errors.As(err, &f) {
		return f
	}
	return &Fail{Kind: Later, Err: err}
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 10

// Answer is what a web address answered.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Line is the answer for a person to read: one line, short.
func (a Answer) Line() string {
	body := strings.Join(strings.Fields(strings.ToValidUTF8(string(a.Body), "�")), " ")
	return strings.TrimSpace(fmt.Sprintf("HTTP %d %s", a.Status, Cut(body, 300)))
}

// Post sends body to address with the headers of header. What it returns as an
// error is a Fail: the address cannot be called, or nobody answered. Statuses are
// the caller's to judge.
func (o Net) Post(ctx context.Context, address string, allow Allow, header http.Header, body []byte) (Answer, error) {
	u, err := Parse(address)
	if err != nil {
		return Answer{}, Failed(Settings, "", err)
	}
	ctx, cancel := context.WithTimeout(ctx, Timeout+5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return Answer{}, Failed(Settings, "", err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "Bihuan")
	}
	sent := &written{}
	res, err := o.Client(u.Hostname(), allow).Do(req.WithContext(sent.trace(ctx)))
	switch {
	case errors.Is(err, ErrPrivate):
		return Answer{}, Failed(Settings, "", fmt.Errorf("%w: %s", ErrPrivate, u.Hostname()))
	case err != nil && sent.done():
		return Answer{}, Failed(Unsure, "", hide(err, u.Host))
	case err != nil:
		return Answer{}, Failed(Down, "", hide(err, u.Host))
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return Answer{}, Failed(Unsure, "", hide(err, u.Host))
	}
	a := Answer{res.StatusCode, res.Header, raw}
	if a.Status >= 300 && a.Status < 400 {
		return a, Failed(Settings, a.Line(), fmt.Errorf("outbound: %s redirects, which is not followed", u.Host))
	}
	return a, nil
}

// hide takes the address out of an error of the client: a robot's address is its
// password.
func hide(err error, host string) error {
	var e interface{ Unwrap() error }
	if errors.As(err, &e) && e.Unwrap() != nil {
		err = e.Unwrap()
	}
	return fmt.Errorf("outbound: %s: %w", host, err)
}

// Judge judges the status in the common way: nil for success.
func (a Answer) Judge() error {
	switch {
	case a.Status < 300:
		return nil
	case a.Status == http.StatusTooManyRequests:
		f := Failed(Throttled, a.Line(), nil)
		f.Retry = RetryAfter(a.Header)
		return f
	case a.Status >= 500 || a.Status == http.StatusRequestTimeout:
		return Failed(Later, a.Line(), nil)
	case a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden || a.Status == http.StatusNotFound || a.Status == http.StatusGone:
		return Failed(Settings, a.Line(), nil)
	}
	return Failed(Refused, a.Line(), nil)
}

// RetryAfter reads the header of that name; 0: none, or none that is believed.
func RetryAfter(h http.Header) time.Duration {
	d, err := time.ParseDuration(strings.TrimSpace(h.Get("Retry-After")) + "s")
	if err != nil || d < 0 {
		return 0
	}
	return min(d, time.Hour)
}

// JSON encodes v as the platforms expect it: without escaping of < and &.
func JSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // only strings and numbers are encoded
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}
