package rule

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/setting"
	"bihuan/internal/ticket"
)

// AutoReply is the answer a request gets on receipt (AUT-2).
type AutoReply struct {
	On       bool     `json:"on"`
	Channels []string `json:"channels"`
	// Staff says that requests which colleagues register are answered as well.
	Staff   bool              `json:"staff"`
	Texts   map[string]string `json:"texts"` // by ReplyTexts; "" is the product's own
	Office  Office            `json:"office"`
	Version int64             `json:"version"`
}

// ReplyTexts are the texts there are: within and outside of office hours, in
// each language; rule.reply.text.<code>.
var ReplyTexts = []string{"zh_in", "zh_out", "en_in", "en_out"}

const replySetting = "rule.auto_reply"

// replyActor is under whose name the answer is given.
const replyActor = "auto reply"

// At most so many answers to one customer in a day.
const repliesADay = 10

func defaultReply() AutoReply {
	return AutoReply{Channels: []string{"website", "email", "api"}, Texts: map[string]string{}, Office: DefaultOffice()}
}

func readReply(ctx context.Context, q db.Querier) (AutoReply, error) {
	r := defaultReply()
	err := setting.Read(ctx, q, replySetting, &r)
	return r, err
}

// Reply returns the automatic answer as it is set.
func (s *Service) Reply(ctx context.Context) (AutoReply, error) { return readReply(ctx, s.db().Read()) }

// Text returns one of ReplyTexts, the product's own if none was written.
func (r AutoReply) Text(code string) string {
	if t := r.Texts[code]; t != "" {
		return t
	}
	lang, when, _ := strings.Cut(code, "_")
	return i18n.T(langOf(lang), "rule.reply.default."+when)
}

// SetReply changes the automatic answer.
func (s *Service) SetReply(ctx context.Context, actor authz.Actor, in AutoReply) error {
	if err := actor.Check(PermManage); err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "rule.set_reply", func(ctx context.Context, a *action.Action) error {
		old, err := readReply(ctx, a)
		if err != nil {
			return err
		}
		if in.Version != old.Version {
			return stale()
		}
		e := fault.Invalidf("rule.invalid")
		for _, c := range in.Channels {
			if !slices.Contains(ticket.Channels, c) {
				e.Field("channels", "rule.act.choose")
			}
		}
		if in.On && len(in.Channels) == 0 {
			e.Field("channels", "rule.reply.no_channel")
		}
		keep := map[string]string{}
		for _, code := range ReplyTexts {
			t := strings.TrimSpace(strings.ReplaceAll(in.Texts[code], "\r\n", "\n"))
			if n := utf8.RuneCountInString(t); n > maxTextAct {
				e.Field(code, "rule.act.text_long", maxTextAct)
			}
			if w := unknownWord(t); w != "" {
				e.Field(code, "rule.act.word", w, "{"+strings.Join(Words, "} {")+"}")
			}
			if t != "" && t != (AutoReply{}).Text(code) {
				keep[code] = t
			}
		}
		in.Texts = keep
		if err := e.OrNil(); err != nil {
			return err
		}
		var changes []event.Change
		diff := func(field, was, is string) {
			if was != is {
				changes = append(changes, event.Change{Field: field, Old: was, New: is})
			}
		}
		diff("rule.reply_on", yesNo(old.On), yesNo(in.On))
		diff("rule.reply_staff", yesNo(old.Staff), yesNo(in.Staff))
		diff("rule.reply_channels", strings.Join(old.Channels, ", "), strings.Join(in.Channels, ", "))
		for _, code := range ReplyTexts {
			diff("rule.reply_"+code, old.Text(code), in.Text(code))
		}
		for i := range in.Office {
			diff("rule.office_"+strconv.Itoa(i+1), old.Office.DayText(i), in.Office.DayText(i))
		}
		if len(changes) == 0 {
			a.Nothing()
			return nil
		}
		in.Version++
		if err := setting.Write(ctx, a.Tx, replySetting, in); err != nil {
			return err
		}
		a.Record(event.Event{Kind: ReplyChange, Subject: event.Subject{Type: subjectType}, Data: Facts{Changes: changes}})
		return s.changed(ctx, a)
	})
}

func yesNo(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// answers reports whether a request is to be answered: it came from the customer
// himself, not from a robot, on a channel that is answered.
func (s *Service) answers(o *snapshot, m *moment) bool {
	r := o.reply
	return m.e.Kind == "ticket.registered" && r.On && !m.fact.Automated && m.t.ParentID == 0 && m.t.State.Open() && slices.Contains(r.Channels, m.t.Channel) &&
		(m.e.ActorKind == authz.Customer || r.Staff && m.e.ActorKind == authz.User)
}

// answer gives the automatic answer, once for a ticket.
func (s *Service) answer(ctx context.Context, tx *db.Tx, o *snapshot, m *moment) error {
	if !s.answers(o, m) {
		return nil
	}
	var today int
	err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM tickets t JOIN rule_occasions o ON o.ticket_id = t.id AND o.rule_id = 0 WHERE t.customer_id = $1 AND o.at > $2`,
		m.t.CustomerID, db.Micros(tx.Now.Add(-24*time.Hour))).Scan(&today)
	if err != nil {
		return fmt.Errorf("rule: answers of the day: %w", err)
	}
	if today >= repliesADay {
		return nil
	}
	if first, err := once(ctx, tx, 0, m.t.ID, 0); err != nil || !first {
		return err
	}
	code := ReplyCode(m.t.Title+m.t.Description, o.office.Open(m.now))
	text := o.reply.Text(code)
	res := Result{Act: Act{Do: DoReply, Values: map[string]string{"text": code}}, How: "done"}
	err = tx.Try(ctx, func(ctx context.Context) error {
		return action.Within(ctx, tx, authz.System(replyActor), "rule.answer", func(ctx context.Context, a *action.Action) error {
			filled, err := s.fill(ctx, a, text, m.t, langOf(code))
			if err != nil {
				return err
			}
			t, err := s.tick.SayIn(ctx, a, m.t.ID, filled)
			if err == nil {
				m.t = t
			}
			return err
		})
	})
	if f, ok := fault.As(err); ok && f.Kind != fault.Internal && f.Kind != fault.Unavailable {
		res.How, res.Key, res.Args = "refused", f.Key, argTexts(f.Args)
	} else if err != nil {
		return err
	}
	return writeFiring(ctx, tx, Firing{TicketID: m.t.ID, EventID: m.e.ID, Occasion: m.e.Kind, Outcome: outcome([]Result{res}), Detail: Detail{Done: []Result{res}}})
}

// ReplyCode chooses the text: English for whoever wrote without a Chinese
// character.
func ReplyCode(words string, open bool) string {
	lang := "en"
	if strings.ContainsFunc(words, func(r rune) bool { return unicode.Is(unicode.Han, r) }) || strings.TrimSpace(words) == "" {
		lang = "zh"
	}
	if open {
		return lang + "_in"
	}
	return lang + "_out"
}

func langOf(code string) i18n.Lang {
	if strings.HasPrefix(code, "en") {
		return i18n.En
	}
	return i18n.ZhCN
}

// Preview shows a text of the automatic answer, or of a rule, as a customer would
// get it.
func (s *Service) Preview(ctx context.Context, text, code string) (string, error) {
	now := s.db().Clock().Now()
	company, err := s.org.Company(ctx)
	if err != nil {
		return "", err
	}
	l := langOf(code)
	t := ticket.Ticket{Number: "TASK" + now.Format("20060102") + "001", Title: i18n.T(l, "rule.sample.title"), CustomerName: i18n.T(l, "rule.sample.customer"), State: ticket.Pending}
	return fillWords(text, l, t, now.Add(2*time.Hour), now.Add(24*time.Hour), i18n.T(l, "rule.sample.department"), company.Name, "7K2M9QXA"), nil
}
