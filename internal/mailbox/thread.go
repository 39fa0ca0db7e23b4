package mailbox

import (
	"context"
	"crypto/hmac"
	"database/sql"
	"encoding/base32"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"bihuan/internal/authz"
	"bihuan/internal/cnid"
	"bihuan/internal/crypt"
	"bihuan/internal/db"
	"bihuan/internal/eml"
	"bihuan/internal/fault"
	"bihuan/internal/ticket"
)

var letters = base32.StdEncoding.WithPadding(base32.NoPadding)

// mac signs what an address or a Message-ID says: short, and without a difference
// between large and small letters, because servers change them. 80 bits cannot be
// guessed.
func macs(keys *crypt.Keeper, payload string) (out []string) {
	for _, c := range keys.Codes("mail", payload) {
		out = append(out, strings.ToLower(letters.EncodeToString(c[:10])))
	}
	return out
}

// signed reports whether mac was made by us for payload.
func (s *Service) signed(payload, mac string) bool {
	for _, m := range macs(s.keys, payload) {
		if hmac.Equal([]byte(m), []byte(strings.ToLower(mac))) {
			return true
		}
	}
	return false
}

// MessageID makes the Message-ID of a mail of ours about a ticket.
func (s *Service) MessageID(ticketID int64, domain string) string {
	x := strings.ToLower(letters.EncodeToString([]byte(crypt.Token(8))))[:16]
	p := strconv.FormatInt(ticketID, 10) + "." + x
	return "t." + p + "." + macs(s.keys, p)[0] + "@" + domain
}

// ticketOfID reads a Message-ID of ours; 0 for any other.
func (s *Service) ticketOfID(id string) int64 {
	local, _, _ := strings.Cut(id, "@")
	p := strings.Split(local, ".")
	if len(p) != 4 || !strings.EqualFold(p[0], "t") {
		return 0
	}
	n, err := strconv.ParseInt(p[1], 10, 64)
	if err != nil || n <= 0 || !s.signed(strings.ToLower(p[1]+"."+p[2]), p[3]) {
		return 0
	}
	return n
}

// ReplyAddress is address with a token behind its name that stands for a ticket.
func (s *Service) ReplyAddress(ticketID int64, address string) string {
	local, domain, ok := strings.Cut(address, "@")
	if !ok {
		return address
	}
	n := strconv.FormatInt(ticketID, 10)
	return local + "+t" + n + "." + macs(s.keys, "reply."+n)[0] + "@" + domain
}

var replyToken = regexp.MustCompile(`(?i)\+t(\d{1,18})\.([a-z2-7]{16})@`)

// ticketOfAddress reads the token of an address; 0 for none of ours.
func (s *Service) ticketOfAddress(addr string) int64 {
	m := replyToken.FindStringSubmatch(addr)
	if m == nil {
		return 0
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil || !s.signed("reply."+m[1], m[2]) {
		return 0
	}
	return n
}

var tag = regexp.MustCompile(`[\[【]\s*#?\s*([A-Za-z0-9][A-Za-z0-9_/.-]{2,39})\s*[\]】]`)

// threaded is where a mail belongs.
type threaded struct {
	t      ticket.Ticket
	how    string // id, known, token, tag
	member bool   // the sender takes part in the ticket
}

// thread finds the ticket of a mail, in this order: the mails it answers to, a
// token of ours in an address, the number in its subject. What is signed by us is
// believed; anything else only from somebody who takes part in the ticket.
func (s *Service) thread(ctx context.Context, q db.Querier, m *eml.Message) (out threaded, ok bool, err error) {
	// The last id of References is what was answered; In-Reply-To says the same.
	ids := append([]string(nil), m.InReplyTo...)
	for i := len(m.References) - 1; i >= 0; i-- {
		ids = append(ids, m.References[i])
	}
	try := func(id int64, how string, proven bool) (bool, error) {
		t, err := s.tickets.Get(ctx, authz.For(authz.System(actorName), ticket.PermView), id)
		if fault.Is(err, fault.NotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		member, err := s.takesPart(ctx, q, t, m.From.Addr)
		if err != nil || !proven && !member {
			return false, err
		}
		out = threaded{t, how, member}
		return true, nil
	}
	seen := map[string]bool{}
	for _, id := range ids[:min(len(ids), 60)] {
		if seen[id] {
			continue
		}
		seen[id] = true
		if n := s.ticketOfID(id); n != 0 {
			if ok, err := try(n, "id", true); ok || err != nil {
				return out, ok, err
			}
			continue
		}
		var n int64
		err := q.QueryRow(ctx, `SELECT ticket_id FROM mails WHERE message_id = $1 AND message_id <> '' AND ticket_id > 0 AND state = 'done' ORDER BY id LIMIT 1`, id).Scan(&n)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return out, false, fmt.Errorf("mailbox: thread: %w", err)
		}
		if ok, err := try(n, "known", false); ok || err != nil {
			return out, ok, err
		}
	}
	for _, a := range append(append([]eml.Address(nil), m.To...), m.Cc...) {
		if n := s.ticketOfAddress(a.Addr); n != 0 {
			if ok, err := try(n, "token", true); ok || err != nil {
				return out, ok, err
			}
		}
	}
	for _, name := range []string{"delivered-to", "x-original-to", "envelope-to"} {
		if n := s.ticketOfAddress(m.Header.Raw(name)); n != 0 {
			if ok, err := try(n, "token", true); ok || err != nil {
				return out, ok, err
			}
		}
	}
	for _, x := range tag.FindAllStringSubmatch(m.Subject, 5) {
		t, err := s.tickets.ByNumber(ctx, authz.For(authz.System(actorName), ticket.PermView), strings.ToUpper(x[1]))
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return out, false, err
		}
		if ok, err := try(t.ID, "tag", false); ok || err != nil {
			return out, ok, err
		}
	}
	return out, false, nil
}

// takesPart reports whether addr is a contact of the ticket's customer, or was in
// a mail of the ticket already.
func (s *Service) takesPart(ctx context.Context, q db.Querier, t ticket.Ticket, addr string) (bool, error) {
	if cnid.CheckEmail(addr) != nil {
		return false, nil
	}
	cs, err := s.customers.FindContacts(ctx, q, "", addr)
	if err != nil {
		return false, err
	}
	for _, c := range cs {
		if c.CustomerID == t.CustomerID {
			return true, nil
		}
	}
	ms, err := s.mailsWhere(ctx, q, `ticket_id = $1 AND state = 'done' ORDER BY id LIMIT 100`, t.ID)
	if err != nil {
		return false, err
	}
	key := cnid.EmailKey(addr)
	for _, m := range ms {
		for _, a := range append(append([]eml.Address{m.Head.From, m.Head.Original}, m.Head.To...), m.Head.Cc...) {
			if a.Addr != "" && cnid.EmailKey(a.Addr) == key {
				return true, nil
			}
		}
	}
	return false, nil
}

// otherTopic reports whether an answer comes under a subject of its own: people
// answer an old mail because the address is in it.
func otherTopic(m *eml.Message, t ticket.Ticket, before []Mail) bool {
	now := bareSubject(m.Subject)
	if now == "" || now == bareSubject(t.Title) {
		return false
	}
	for _, b := range before {
		if bareSubject(b.Subject) == now {
			return false
		}
	}
	return !strings.Contains(now, bareSubject(t.Title)) && !strings.Contains(bareSubject(t.Title), now)
}

func bareSubject(s string) string {
	return strings.ToLower(strings.Join(strings.Fields(tag.ReplaceAllString(eml.BareSubject(s), "")), " "))
}
