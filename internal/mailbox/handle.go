package mailbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/cnid"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/eml"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/journal"
	"bihuan/internal/ticket"
)

// Reasons for which a mail waits for a person, each with a sentence
// mailbox.reason.<code>.
var Reasons = []string{"unreadable", "sender", "own", "list", "vacation", "bounce", "receipt", "loop", "failed", "too_large", "empty"}

const (
	maxAttempts = 5
	maxFiles    = 50
	// Loops: more mails than this of one sender in one ticket, or of a program at
	// all, are the talk of two machines.
	loopMails = 20
	loopTime  = time.Hour
	pictures  = 8 << 10 // pictures within a text below this are decoration
)

// Work makes something of the mails that wait, oldest first, until none is due.
// One that fails is put off and does not hold up the next.
func (s *Service) Work(ctx context.Context) error {
	for ctx.Err() == nil {
		now := db.Micros(s.run.DB().Clock().Now())
		ms, err := s.mailsWhere(ctx, s.run.DB().Read(), `state = 'stored' AND next_at <= $1 ORDER BY next_at, id LIMIT 100`, now)
		if err != nil || len(ms) == 0 {
			return err
		}
		// Side by side, so that they share the syncs of the disk; but what may belong
		// together, by sender or subject, one after the other.
		var wg sync.WaitGroup
		errs := make([]error, maxLanes)
		for i, lane := range lanes(ms) {
			wg.Go(func() {
				for _, id := range lane {
					if ctx.Err() != nil {
						return
					}
					if err := s.Handle(ctx, id); err != nil {
						if errs[i] = s.putOff(ctx, id, err); errs[i] != nil {
							return
						}
					}
				}
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
	}
	return nil
}

const maxLanes = 4

// lanes deals mails out so that those of one sender, and those under one subject,
// stay in their order.
func lanes(ms []Mail) (out [maxLanes][]int64) {
	of := map[string]int{}
	for _, m := range ms {
		a, b := "s:"+bareSubject(m.Subject), "f:"+strings.ToLower(m.Head.From.Addr)
		lane, ok := of[a]
		if l, known := of[b]; known {
			if ok && l != lane { // it stands in two lines: it waits for the next batch, when both are done
				return out
			}
			lane, ok = l, true
		}
		if !ok {
			lane = len(of) / 2 % maxLanes
		}
		of[a], of[b] = lane, lane
		out[lane] = append(out[lane], m.ID)
	}
	return out
}

// putOff tries a mail that failed again later, and gives it to a person when that
// has not helped.
func (s *Service) putOff(ctx context.Context, id int64, why error) error {
	if ctx.Err() != nil {
		return nil // the program ends; nothing is the mail's fault
	}
	return s.run.Do(ctx, authz.System(actorName), "mailbox.put_off", func(ctx context.Context, a *action.Action) error {
		var n int
		err := a.QueryRow(ctx, `SELECT attempts FROM mails WHERE id = $1`, id).Scan(&n)
		if err != nil {
			return fmt.Errorf("mailbox: put off %d: %w", id, err)
		}
		if n+1 < maxAttempts {
			a.Nothing()
			next := a.Now.Add(30 * time.Second << n)
			if _, err := a.Exec(ctx, `UPDATE mails SET attempts = attempts + 1, next_at = $1, detail = $2 WHERE id = $3 AND state = 'stored'`, db.Micros(next), cut(why.Error(), 500), id); err != nil {
				return fmt.Errorf("mailbox: put off %d: %w", id, err)
			}
			return nil
		}
		return s.quarantine(ctx, a, id, "failed", cut(why.Error(), 500))
	})
}

// settle gives a mail its state; false when somebody was quicker.
func (s *Service) settle(ctx context.Context, a *action.Action, id int64, from, to State, reason, detail string, ticketID, entryID int64, other bool) (bool, error) {
	r, err := a.Exec(ctx, `UPDATE mails SET state = $1, reason = $2, detail = $3, ticket_id = $4, entry_id = $5, other_topic = $6, handled_at = $7 WHERE id = $8 AND state = $9`,
		string(to), reason, detail, ticketID, entryID, db.Bool(other), a.NowMicros(), id, string(from))
	if err != nil {
		return false, fmt.Errorf("mailbox: settle %d: %w", id, err)
	}
	n, err := r.RowsAffected()
	return n > 0, err
}

func (s *Service) quarantine(ctx context.Context, a *action.Action, id int64, reason, detail string) error {
	ok, err := s.settle(ctx, a, id, Stored, Quarantine, reason, detail, 0, 0, false)
	if err != nil {
		return err
	}
	if !ok {
		a.Nothing()
		return nil
	}
	a.Record(event.Event{Kind: Quarantined, Subject: event.Subject{Type: mailSubject, ID: id}, Data: Facts{Args: []string{"@mailbox.reason." + reason}}})
	return nil
}

// read is a mail as it will be used.
type read struct {
	row   Mail
	box   Box
	m     *eml.Message
	files []blob.Meta
	left  []string // names of files that were not taken
}

func (s *Service) read(ctx context.Context, id int64) (x read, err error) {
	q := s.run.DB().Read()
	if x.row, err = s.mail(ctx, q, id); err != nil {
		return x, err
	}
	if x.box, err = s.box(ctx, q, x.row.BoxID); err != nil {
		return x, err
	}
	raw, err := s.raw(ctx, q, x.row)
	if err != nil {
		return x, err
	}
	x.m = eml.Parse(raw)
	return x, nil
}

// store puts the files of the mail on disk; they become files of the ticket in the
// transaction that makes it.
func (s *Service) store(ctx context.Context, x *read) error {
	for _, f := range x.m.Files {
		if len(f.Data) == 0 || f.Inline && strings.HasPrefix(f.Type, "image/") && len(f.Data) < pictures {
			continue
		}
		name := f.Call()
		if len(x.files) == maxFiles || int64(len(f.Data)) > s.files.MaxBytes() {
			x.left = append(x.left, name)
			continue
		}
		m, err := s.files.Receive(ctx, name, bytes.NewReader(f.Data))
		if err != nil {
			return err
		}
		x.files = append(x.files, m)
	}
	return nil
}

// Handle makes of a stored mail what it is: a ticket, a message in one, or a mail
// in quarantine.
func (s *Service) Handle(ctx context.Context, id int64) error {
	x, err := s.read(ctx, id)
	if err != nil {
		return err
	}
	if x.row.State != Stored {
		return nil
	}
	if err := s.store(ctx, &x); err != nil {
		return err
	}
	return s.run.Do(ctx, authz.System(actorName), "mailbox.handle", func(ctx context.Context, a *action.Action) error {
		return s.handle(ctx, a, x)
	})
}

func (s *Service) handle(ctx context.Context, a *action.Action, x read) error {
	m := x.m
	if reason, err := s.refusal(ctx, a, x); err != nil {
		return err
	} else if reason != "" {
		return s.quarantine(ctx, a, x.row.ID, reason, m.Why)
	}
	switch m.Kind {
	case eml.Bounce, eml.Delayed, eml.Receipt:
		return s.reported(ctx, a, x)
	}
	th, ok, err := s.thread(ctx, a, m)
	if err != nil {
		return err
	}
	if ok {
		if n, err := s.recent(ctx, a, th.t.ID, m.From.Addr); err != nil {
			return err
		} else if n >= loopMails {
			return s.quarantine(ctx, a, x.row.ID, "loop", th.t.Number)
		}
	}
	if m.Kind == eml.Vacation {
		if !ok {
			return s.quarantine(ctx, a, x.row.ID, "vacation", "")
		}
		return s.noted(ctx, a, x, th.t, word("mailbox.note.vacation", sender(m.From))+"\n"+cut(fresh(m), 5000))
	}
	if ok {
		return s.join(ctx, a, x, th)
	}
	return s.register(ctx, a, x)
}

// refusal is the reason for which a mail is left to a person, "" for none.
func (s *Service) refusal(ctx context.Context, a *action.Action, x read) (string, error) {
	m := x.m
	if slices.ContainsFunc(m.Notes, func(n string) bool { return strings.HasPrefix(n, "panic") }) {
		return "unreadable", nil
	}
	if m.Kind == eml.Bounce || m.Kind == eml.Delayed || m.Kind == eml.Receipt {
		return "", nil
	}
	if cnid.CheckEmail(m.From.Addr) != nil {
		return "sender", nil
	}
	all, err := held(ctx, a)
	if err != nil {
		return "", err
	}
	for _, b := range all { // our own mails, and those of another installation with the same address
		if strings.EqualFold(b.Address, m.From.Addr) || strings.EqualFold(b.Address, untoken(m.From.Addr)) {
			return "own", nil
		}
	}
	if m.Kind == eml.List {
		return "list", nil
	}
	if strings.TrimSpace(m.Text) == "" && m.Subject == "" && len(x.files) == 0 {
		return "empty", nil
	}
	if m.Quiet { // machines that talk to each other change what they say, not how often
		var n int
		if err := a.QueryRow(ctx, `SELECT COUNT(*) FROM mails WHERE subject = $1 AND mailbox_id = $2 AND created_at > $3 AND id < $4`, cut(m.Subject, 500), x.box.ID, db.Micros(a.Now.Add(-loopTime)), x.row.ID).Scan(&n); err != nil {
			return "", fmt.Errorf("mailbox: loop: %w", err)
		}
		if n >= loopMails {
			return "loop", nil
		}
	}
	return "", nil
}

func untoken(addr string) string {
	local, domain, ok := strings.Cut(addr, "@")
	if i := strings.IndexByte(local, '+'); ok && i > 0 {
		return local[:i] + "@" + domain
	}
	return addr
}

// recent counts the mails of addr in a ticket within the time of a loop.
func (s *Service) recent(ctx context.Context, q db.Querier, ticketID int64, addr string) (n int, err error) {
	ms, err := s.mailsWhere(ctx, q, `ticket_id = $1 AND created_at > $2 ORDER BY id DESC LIMIT 100`, ticketID, db.Micros(s.run.DB().Clock().Now().Add(-loopTime)))
	for _, m := range ms {
		if strings.EqualFold(m.Head.From.Addr, addr) {
			n++
		}
	}
	return n, err
}

// fresh is what the sender wrote now, as it goes into the ticket.
func fresh(m *eml.Message) string {
	f := eml.Fold(m.Text)
	text := f.Fresh
	if forwarded(m) { // what was forwarded is what it is about
		text = m.Text
	}
	return strings.TrimSpace(tidy(text))
}

func forwarded(m *eml.Message) bool { return m.Original.Addr != "" }

// tidy takes the marks out of a text that turn the direction of writing, and
// control characters that are no lines.
func tidy(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		if r < 0x20 || r == 0x7F || r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069 {
			return -1
		}
		return r
	}, s)
}

const maxBody = journal.MaxBody - 500

// body is the text for the journal, with what else the mail holds.
func body(x read, stranger string) string {
	m := x.m
	text := fresh(m)
	if r := []rune(text); len(r) > maxBody {
		text = string(r[:maxBody]) + "\n" + word("mailbox.note.cut")
	}
	var more []string
	if stranger != "" {
		more = append(more, word("mailbox.note.other_sender", stranger))
	}
	switch m.Protected {
	case "smime", "pgp":
		more = append(more, word("mailbox.note."+m.Protected))
	}
	for _, e := range m.Events[:min(len(m.Events), 3)] {
		when := e.Start
		if e.End != "" {
			when += " – " + e.End
		}
		more = append(more, word("mailbox.note.event", e.Summary, when, e.Location))
	}
	if len(x.left) > 0 {
		more = append(more, word("mailbox.note.left", strings.Join(x.left[:min(len(x.left), 10)], "、")))
	}
	if text == "" && len(more) == 0 {
		text = word("mailbox.note.no_text")
	}
	return strings.TrimSpace(text + "\n\n" + strings.Join(more, "\n"))
}

// sender names somebody without his address, which is not shown to everybody.
func sender(a eml.Address) string {
	if a.Name != "" && !strings.Contains(a.Name, "@") {
		return cut(a.Name, 60)
	}
	return cnid.MaskEmail(a.Addr)
}

// attach gives the files of the mail to the ticket.
func (s *Service) attach(ctx context.Context, a *action.Action, x read, ticketID, entry int64, internal bool) error {
	for _, f := range x.files {
		if _, err := s.files.SaveTo(ctx, a, f, blob.Owner{Type: "ticket", ID: ticketID, EntryID: entry, Internal: internal}); err != nil {
			return err
		}
	}
	return nil
}

// newest is the entry a step has just written for the customer; 0 when it made the
// ticket itself.
func newest(ctx context.Context, q db.Querier, ticketID int64) (int64, error) {
	es, _, err := journal.Of(ctx, q, journal.Place{Ticket: ticketID}, journal.Page{Kinds: []journal.Kind{journal.Customer}, Limit: 1})
	if err != nil || len(es) == 0 {
		return 0, err
	}
	return es[0].ID, nil
}

// join writes a mail into the ticket it belongs to, in the sender's name.
func (s *Service) join(ctx context.Context, a *action.Action, x read, th threaded) error {
	who := authz.Actor{Kind: authz.Customer, CustomerID: th.t.CustomerID, ID: th.t.ContactID, Name: cut(name(x.m.From), 60)}
	stranger := ""
	if !th.member {
		stranger = sender(x.m.From)
	}
	before, err := s.mailsWhere(ctx, a, `ticket_id = $1 AND state = 'done' ORDER BY id LIMIT 50`, th.t.ID)
	if err != nil {
		return err
	}
	if x.m.Quiet && x.m.Kind == eml.Robot { // told, but nobody's answer
		return s.noted(ctx, a, x, th.t, word("mailbox.note.robot", sender(x.m.From))+"\n"+body(x, ""))
	}
	his := a.As(who)
	t, err := s.tickets.CustomerWritesIn(ctx, his, th.t.ID, body(x, stranger), nil, key(x.row.ID))
	if err != nil {
		return err
	}
	entry := int64(0)
	if t.ID == th.t.ID || t.FollowsID != th.t.ID {
		if entry, err = newest(ctx, a, t.ID); err != nil {
			return err
		}
	}
	if err := s.attach(ctx, his, x, t.ID, entry, false); err != nil {
		return err
	}
	if err := a.Join(ctx, his); err != nil {
		return err
	}
	return s.done(ctx, a, x, t.ID, entry, otherTopic(x.m, th.t, before))
}

func key(id int64) string { return fmt.Sprintf("mail:%d", id) }

func name(a eml.Address) string {
	if a.Name != "" {
		return a.Name
	}
	local, _, _ := strings.Cut(a.Addr, "@")
	return local
}

// done notes what became of a mail; when somebody was quicker, everything is
// undone.
func (s *Service) done(ctx context.Context, a *action.Action, x read, ticketID, entry int64, other bool) error {
	ok, err := s.settle(ctx, a, x.row.ID, x.row.State, Done, "", "", ticketID, entry, other)
	if err == nil && !ok {
		err = fault.New(fault.Conflict, "mailbox.stale")
	}
	return err
}

// noted keeps what a program said beside the ticket: it is no answer of the
// customer's, moves nothing and starts no clock.
func (s *Service) noted(ctx context.Context, a *action.Action, x read, t ticket.Ticket, text string) error {
	entry, err := journal.Add(ctx, a, journal.Entry{TicketID: t.ID, CustomerID: t.CustomerID, Kind: journal.Note, Body: text})
	if err != nil {
		return err
	}
	if err := s.attach(ctx, a, x, t.ID, entry, true); err != nil {
		return err
	}
	a.Record(event.Event{Kind: Joined, Subject: event.Subject{Type: mailSubject, ID: x.row.ID}, Data: Facts{Args: []string{t.Number}}})
	return s.done(ctx, a, x, t.ID, entry, false)
}

// author is whose request a mail is: of one that a colleague has forwarded, the
// customer's whose mail it was.
func (s *Service) author(ctx context.Context, q db.Querier, m *eml.Message) (eml.Address, error) {
	if m.Original.Addr == "" || cnid.CheckEmail(m.Original.Addr) != nil {
		return m.From, nil
	}
	var n int
	if err := q.QueryRow(ctx, `SELECT COUNT(*) FROM users WHERE LOWER(email) = $1 AND active = 1`, strings.ToLower(m.From.Addr)).Scan(&n); err != nil {
		return m.From, fmt.Errorf("mailbox: author: %w", err)
	}
	if n > 0 {
		return m.Original, nil
	}
	return m.From, nil
}

// register makes a ticket of a mail.
func (s *Service) register(ctx context.Context, a *action.Action, x read) error {
	m := x.m
	from, err := s.author(ctx, a, m)
	if err != nil {
		return err
	}
	title := strings.TrimSpace(eml.BareSubject(m.Subject))
	text := body(x, "")
	if title == "" {
		title, _, _ = strings.Cut(fresh(m), "\n")
	}
	if title = cut(strings.TrimSpace(title), 190); title == "" {
		title = word("mailbox.no_subject")
	}
	if r := []rune(text); len(r) > 19500 {
		text = string(r[:19500])
	}
	department := x.box.DepartmentID
	if department != 0 {
		var open int
		if err := a.QueryRow(ctx, `SELECT COUNT(*) FROM departments WHERE id = $1 AND active = 1`, department).Scan(&open); err != nil {
			return fmt.Errorf("mailbox: register: %w", err)
		}
		if open == 0 {
			department = 0 // closed since: by routing
		}
	}
	home := department
	if home == 0 {
		if home, err = s.tickets.DepartmentFor(ctx, a, ticket.Request{Type: x.box.Type, Channel: "email", Text: title + "\n" + text}); err != nil {
			return err
		}
	}
	greeting := a.As(a.Actor)
	who, err := s.customers.WelcomeIn(ctx, greeting, customer.Visitor{Name: cut(name(from), 60), Email: from.Addr, DepartmentID: home, Source: "email", CreatedBy: word("mailbox.author")})
	if err != nil {
		if fault.Is(err, fault.Invalid) { // a name or an address the customers' room does not take
			return s.quarantine(ctx, a, x.row.ID, "sender", cut(err.Error(), 300))
		}
		return err
	}
	if err := a.Join(ctx, greeting); err != nil {
		return err
	}
	his := a.As(authz.Actor{Kind: authz.Customer, ID: who.ContactID, CustomerID: who.CustomerID, Name: cut(name(from), 60)})
	t, err := s.tickets.RegisterIn(ctx, his, ticket.RegisterInput{Title: title, Type: x.box.Type, Urgency: x.box.Urgency, Channel: "email", Description: text, CustomerID: who.CustomerID, ContactID: who.ContactID,
		DepartmentID: department, ImportKey: key(x.row.ID), Automated: m.Quiet})
	if err != nil {
		return err
	}
	if err := s.attach(ctx, his, x, t.ID, 0, false); err != nil {
		return err
	}
	if err := a.Join(ctx, his); err != nil {
		return err
	}
	return s.done(ctx, a, x, t.ID, 0, false)
}

// reported takes a bounce, or a notice of delay, to the answer that it is about.
func (s *Service) reported(ctx context.Context, a *action.Action, x read) error {
	m := x.m
	reason := "bounce"
	if m.Kind == eml.Receipt {
		reason = "receipt"
	}
	var id int64
	about := ""
	for _, x := range m.About {
		if id = s.ticketOfID(x); id != 0 {
			about = x
			break
		}
	}
	if id == 0 {
		return s.quarantine(ctx, a, x.row.ID, reason, "")
	}
	t, err := s.tickets.Get(ctx, authz.For(authz.System(actorName), ticket.PermView), id)
	if fault.Is(err, fault.NotFound) {
		return s.quarantine(ctx, a, x.row.ID, reason, "")
	}
	if err != nil {
		return err
	}
	if m.Kind == eml.Receipt {
		return s.done(ctx, a, x, t.ID, 0, false)
	}
	var lines []string
	hard := false
	for _, r := range m.Reports[:min(len(m.Reports), 10)] {
		hard = hard || r.Hard()
		lines = append(lines, cnid.MaskEmail(r.Address)+"："+strings.TrimSpace(r.Status+" "+cut(r.Said, 300)))
	}
	words := "mailbox.note.delayed"
	if m.Kind == eml.Bounce {
		words = "mailbox.note.bounce"
		if hard {
			words = "mailbox.note.bounce_hard"
		}
		if _, err := a.Exec(ctx, `UPDATE mail_out SET state = 'bounced', answer = $1 WHERE LOWER(message_id) = $2`, cut(strings.Join(lines, "\n"), 500), strings.ToLower(about)); err != nil {
			return fmt.Errorf("mailbox: bounce: %w", err)
		}
	}
	entry, err := journal.Add(ctx, a, journal.Entry{TicketID: t.ID, CustomerID: t.CustomerID, Kind: journal.Note, Body: word(words) + "\n" + strings.Join(lines, "\n")})
	if err != nil {
		return err
	}
	if m.Kind == eml.Bounce { // who answers has to know: the customer did not read it
		if _, err := s.tickets.ActIn(ctx, a, Undelivered, t.ID, "", func(_ context.Context, d *ticket.Doing) error {
			d.Fact.Args = []string{strings.Join(lines, "；")}
			for _, u := range []int64{d.T.AssigneeID, d.T.SupervisorID} {
				if u != 0 {
					d.Fact.Tell = []int64{u}
					break
				}
			}
			return nil
		}); err != nil {
			return err
		}
	} else {
		a.Record(event.Event{Kind: Joined, Subject: event.Subject{Type: mailSubject, ID: x.row.ID}, Data: Facts{Args: []string{t.Number}}})
	}
	return s.done(ctx, a, x, t.ID, entry, false)
}

// valid reports whether an address can be sent to.
func valid(addr string) bool {
	_, err := mail.ParseAddress(addr)
	return err == nil && cnid.CheckEmail(addr) == nil
}

var errGone = errors.New("mailbox: gone")
