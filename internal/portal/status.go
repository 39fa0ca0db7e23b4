package portal

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/complaint"
	"bihuan/internal/i18n"
	"bihuan/internal/journal"
	"bihuan/internal/sla"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// statusView is a request as its customer sees it. There is no field in it for
// anything else.
type statusView struct {
	Help      bool   // there are help pages
	Merged    string // numbers of his requests handled with this one
	Token     string
	Number    string
	Code      string
	Title     string
	Type      string
	State     string
	Tone      string
	Round     int
	CreatedAt time.Time
	Staff     bool   // a colleague looks: nothing can be sent
	Done      string // what he has just done: a key under portal.done
	Steps     []step
	Way       *way // of a complaint, instead of the steps of other requests
	Promises  []string
	Late      bool

	Talk  []message
	Older int64 // newest entry of the stretch before, 0: none
	Last  int64 // newest entry shown
	Paged bool  // an older stretch is shown

	Question string // waits for his answer
	Summary  string // our result
	Mode     string // what the form for words does: answer, message, reopen, new
	Until    time.Time
	Upload   bool
	Once     string
	Kept     []Upload
	Message  *web.Form

	CanRate  bool
	Rating   *ticket.Rating // given in this round
	ChangeBy time.Time      // until when it may be changed; zero: no longer
	RateForm *web.Form
	Solved   []ui.Option
	FileHint string
	BadStars int
	FollowUp string // within which the supervisor calls: 24 小时
}

// tones are colours for customers: what is merely new does not alarm.
var tones = map[ticket.State]string{ticket.Pending: "blue", ticket.InProgress: "blue", ticket.WaitingCustomer: "amber",
	ticket.AwaitingConfirmation: "violet", ticket.Completed: "green", ticket.Closed: "gray", ticket.Cancelled: "gray"}

// hours says a promise the way it was given: 24 小时 rather than 1 天.
func hours(l i18n.Lang, d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d%time.Hour == 0 && d <= 72*time.Hour:
		return i18n.T(l, "portal.hours", int(d/time.Hour))
	}
	return i18n.Duration(l, d)
}

// Fold reports whether writing is not the next thing to do, so that its form
// waits behind a heading.
func (v statusView) Fold() bool {
	return v.State != string(ticket.Pending) && v.State != string(ticket.InProgress) && (v.Message == nil || len(v.Message.Errors) == 0 && v.Message.Summary == "")
}

type step struct {
	Key           string
	Done, Current bool
}

// way is how far a complaint is, in plain words: which of its steps are behind
// it, and nothing of what was written in them.
type way struct {
	Steps    []step
	Notice   string // how complaints run, in the company's words; "": the product's
	Recourse string // where else he may turn to, when he does not accept the result
}

func (s *Service) wayOf(ctx context.Context, t ticket.Ticket) (*way, error) {
	if s.complaints == nil || !complaint.Is(&t) || t.State == ticket.Cancelled {
		return nil, nil
	}
	c, err := s.complaints.Of(ctx, t)
	if err != nil {
		return nil, err
	}
	st, err := s.complaints.Settings(ctx)
	if err != nil {
		return nil, err
	}
	w := &way{Notice: st.Notice}
	if c.Answer == "rejected" {
		w.Recourse = st.Recourse
	}
	// He need not know that a step was passed over: what comes before the
	// furthest one is behind it.
	ended := t.State == ticket.Completed || t.State == ticket.Closed
	furthest := -1
	for i, x := range complaint.Steps {
		if x != complaint.Review && c.Done(x) {
			furthest = i
		}
	}
	for i, x := range complaint.Steps {
		w.Steps = append(w.Steps, step{Key: string(x), Done: ended || i <= furthest, Current: !ended && i == furthest+1})
	}
	return w, nil
}

type message struct {
	ID      int64
	Mine    bool
	Kind    string // customer, reply, question; request for what he first wrote
	Who     string // name of a colleague, if names are shown
	Body    string
	Correct bool // corrects an earlier one
	At      time.Time
	Files   []file
}

type file struct {
	ID    int64
	Name  string
	Size  int64
	Image bool
}

// talkStretch is how many entries one page shows.
const talkStretch = 100

var publicKinds = []journal.Kind{journal.Customer, journal.Reply, journal.Question}

// status draws up the public part of t.
func (s *Service) status(ctx context.Context, r *web.Request, t ticket.Ticket, actor authz.Actor, before int64) (v statusView, err error) {
	q := s.run.DB().Read()
	cfg, err := s.tickets.Config(ctx)
	if err != nil {
		return v, err
	}
	st, err := s.Settings(ctx)
	if err != nil {
		return v, err
	}
	clocks, err := sla.Of(ctx, q, t.ID)
	if err != nil {
		return v, err
	}
	policy, err := sla.Pick(ctx, q, t.Case())
	if err != nil {
		return v, err
	}
	entries, more, err := journal.Of(ctx, q, journal.Place{Ticket: t.ID, Customer: t.CustomerID}, journal.Page{Before: before, Kinds: publicKinds, Limit: talkStretch})
	if err != nil {
		return v, err
	}
	own, files, err := s.publicFiles(ctx, t, entries)
	if err != nil {
		return v, err
	}
	var merged []string
	if t.Joined {
		ms, err := s.tickets.Mergings(ctx, t.ID)
		if err != nil {
			return v, err
		}
		for _, m := range ms {
			if m.Ticket.CustomerID == t.CustomerID {
				merged = append(merged, m.Ticket.Number)
			}
		}
	}
	now := r.Now()
	v = statusView{Merged: strings.Join(merged, "、"), Token: s.tickets.Link(t), Number: t.Number, Code: s.tickets.LookupCode(t), Title: t.Title, Type: t.Type, State: string(t.State), Round: t.Round,
		CreatedAt: t.CreatedAt, BadStars: cfg.BadStars, FollowUp: hours(r.Lang, policy.Target(sla.FollowUp)), Tone: tones[t.State], Upload: actor.ID != 0, Once: s.newForm(), Paged: before > 0, FileHint: fileHint(r),
		Solved: []ui.Option{{Value: "yes", Label: r.T("portal.solved.yes")}, {Value: "no", Label: r.T("portal.solved.no")}}}
	if v.Way, err = s.wayOf(ctx, t); err != nil {
		return v, err
	}
	if v.Way == nil {
		v.Steps = steps(t.State)
	}
	v.Promises, v.Late = promises(r, t, clocks, now)

	for _, e := range entries {
		m := message{ID: e.ID, Kind: string(e.Kind), Mine: e.Kind == journal.Customer, Body: e.Body, Correct: e.CorrectsID != 0, At: e.CreatedAt, Files: shown(files[e.ID])}
		if st.ShowNames && !m.Mine {
			m.Who = e.AuthorName
		}
		v.Talk = append(v.Talk, m)
		v.Last = e.ID
		if t.State == ticket.WaitingCustomer && e.Kind == journal.Question {
			v.Question = e.Body
		}
	}
	if more {
		v.Older = entries[0].ID
	} else if hisOwnWords(t) {
		v.Talk = slices.Insert(v.Talk, 0, message{Mine: true, Kind: "request", Body: t.Description, At: t.CreatedAt, Files: shown(own)})
	}
	switch t.State {
	case ticket.WaitingCustomer:
		v.Mode = "answer"
	case ticket.Pending, ticket.InProgress:
		v.Mode = "message"
	case ticket.AwaitingConfirmation:
		v.Mode, v.Summary, v.CanRate = "message", t.Summary, true
	case ticket.Completed:
		v.Mode, v.Summary = "new", t.Summary
		if end := t.CompletedAt.Add(cfg.ReopenWindow); !now.After(end) {
			v.Mode, v.Until, v.CanRate = "reopen", end, true
		}
	default:
		v.Mode, v.Summary = "new", t.Summary
	}
	ratings, err := ticket.Ratings(ctx, q, t.ID)
	if err != nil {
		return v, err
	}
	for _, g := range ratings {
		if g.Round == t.Round && t.State != ticket.AwaitingConfirmation {
			v.Rating = &g
			if end := g.CreatedAt.Add(cfg.RatingChange); v.CanRate && !now.After(end) {
				v.ChangeBy = end
			} else {
				v.CanRate = false
			}
		}
	}
	return v, nil
}

func shown(fs []blob.File) []file {
	var out []file
	for _, f := range fs {
		out = append(out, file{f.ID, f.Name, f.Size, blob.Inline(f.MIME)})
	}
	return out
}

// steps are the way of a request in the customer's words; none for one that was
// cancelled.
func steps(s ticket.State) []step {
	at := map[ticket.State]int{ticket.Pending: 0, ticket.InProgress: 1, ticket.WaitingCustomer: 1, ticket.AwaitingConfirmation: 2, ticket.Completed: 4, ticket.Closed: 4}
	now, ok := at[s]
	if !ok {
		return nil
	}
	var out []step
	for i, k := range []string{"received", "working", "confirm", "done"} {
		out = append(out, step{Key: k, Done: i < now, Current: i == now})
	}
	return out
}

// promises says what happens next and by when. Inner deadlines (taking up,
// progress) are no promises to the customer. late reports whether one of ours
// has passed.
func promises(r *web.Request, t ticket.Ticket, clocks []sla.Clock, now time.Time) (out []string, late bool) {
	say := func(key string, at time.Time) { out = append(out, r.T("portal.promise."+key, when(r, at))) }
	clocks = slices.Clone(clocks)
	slices.SortFunc(clocks, func(a, b sla.Clock) int { return a.DueAt.Compare(b.DueAt) })
	called := slices.ContainsFunc(clocks, func(c sla.Clock) bool {
		return c.Kind == sla.FollowUp && c.Round == t.Round && c.State == sla.Running
	})
	for _, c := range clocks {
		if c.Round != t.Round || c.State != sla.Running {
			continue
		}
		if c.Kind == sla.FirstResponse && called {
			continue // the supervisor's call is the first response
		}
		over := !c.DueAt.After(now)
		switch c.Kind {
		case sla.FollowUp, sla.FirstResponse, sla.Resolution:
			if over {
				late = true
			} else {
				say(string(c.Kind), c.DueAt)
			}
		case sla.CustomerReply, sla.Confirmation:
			if !over {
				say(string(c.Kind), c.DueAt)
			}
		}
	}
	return out, late
}

// when says an instant the way one would on the telephone: 今天 15:04, 11月23日 15:04.
func when(r *web.Request, at time.Time) string {
	at = at.In(r.Location())
	now := r.Now().In(r.Location())
	days := int(midnight(at).Sub(midnight(now)).Hours() / 24)
	clock := at.Format("15:04")
	switch {
	case days == 0:
		return r.T("portal.when.today", clock)
	case days == 1:
		return r.T("portal.when.tomorrow", clock)
	}
	day := at.Format("Jan 2")
	if r.Lang == i18n.ZhCN {
		day = fmt.Sprintf("%d月%d日", at.Month(), at.Day())
	}
	if at.Year() != now.Year() {
		if r.Lang == i18n.ZhCN {
			day = strconv.Itoa(at.Year()) + "年" + day
		} else {
			day += ", " + strconv.Itoa(at.Year())
		}
	}
	if r.Lang == i18n.ZhCN {
		day = " " + day // a blank between a Chinese word and a number, none before 明天
	}
	return day + " " + clock
}

func midnight(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}
