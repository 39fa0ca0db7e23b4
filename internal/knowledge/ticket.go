package knowledge

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/ticket"
)

// Linked is an article that belongs to a ticket.
type Linked struct {
	Article
	How string // linked, inserted or source
	By  int64
	At  time.Time
}

// Of returns the articles of a ticket that actor may see. He has been found to see
// the ticket.
func (s *Service) Of(ctx context.Context, actor authz.Actor, ticketID int64) (out []Linked, err error) {
	r, err := s.reach(ctx, actor)
	if err != nil {
		return nil, err
	}
	var a db.Args
	where := "l.ticket_id = " + a.Add(ticketID) + " AND " + r.seen(&a, "t")
	rows, err := s.DB().Read().Query(ctx, `SELECT l.how, l.user_id, l.at, `+articleColumns+` FROM ticket_articles l JOIN articles t ON t.id = l.article_id WHERE `+where+` ORDER BY l.at, t.id LIMIT 50`, a.Values...)
	if err != nil {
		return nil, fmt.Errorf("knowledge: of ticket %d: %w", ticketID, err)
	}
	defer rows.Close()
	for rows.Next() {
		var l Linked
		var at int64
		l.Article, err = scanArticle(prefixed{rows, []any{&l.How, &l.By, &at}})
		if err != nil {
			return nil, fmt.Errorf("knowledge: of ticket %d: %w", ticketID, err)
		}
		l.At, l.Article = db.FromMicros(at), r.shown(l.Article)
		out = append(out, l)
	}
	return out, rows.Err()
}

// prefixed reads columns of its own before those of an article.
type prefixed struct {
	row   interface{ Scan(...any) error }
	first []any
}

func (p prefixed) Scan(dest ...any) error { return p.row.Scan(append(p.first, dest...)...) }

// Suggest returns articles that fit what a ticket is about.
func (s *Service) Suggest(ctx context.Context, actor authz.Actor, t ticket.Ticket, limit int) ([]Found, error) {
	text := t.Title + "\n" + t.Title // what it is about, above how it is told
	if d := []rune(t.Description); len(d) > 0 {
		text += "\n" + string(d[:min(len(d), 240)])
	}
	out, _, err := s.Find(ctx, actor, Search{Text: text, Limit: limit, Loose: true})
	return out, err
}

// Inserted is an article ready for a message.
type Inserted struct {
	Title    string
	Text     string
	Internal bool // it is for the staff: not to be sent to a customer as it is
}

// Insert returns what is put into a message of a ticket that actor sees: the text
// of an article, or with link where it is read. It counts the use and notes that
// the article helped with the ticket.
func (s *Service) Insert(ctx context.Context, actor authz.Actor, id int64, t ticket.Ticket, link bool) (out Inserted, err error) {
	x, err := s.Read(ctx, actor, id)
	if err != nil {
		return out, err
	}
	out = Inserted{Title: x.Title, Internal: x.Audience == Staff || x.Audience == Chosen}
	if link && !out.Internal {
		out.Text = "《" + x.Title + "》" + s.Link(x, t)
	} else if link {
		out.Text = "《" + x.Title + "》/knowledge/" + id10(id)
	} else {
		out.Text = Plain(x.Body)
	}
	err = s.run.Do(ctx, actor, "knowledge.insert", func(ctx context.Context, a *action.Action) error {
		a.Nothing()
		if _, err := a.Exec(ctx, `UPDATE articles SET uses = uses + 1 WHERE id = $1`, id); err != nil {
			return fmt.Errorf("knowledge: used %d: %w", id, err)
		}
		if !actor.Can(ticket.PermNote) {
			return nil
		}
		return s.link(ctx, a, t, x, "inserted")
	})
	return out, err
}

// Link is where a customer reads x; an article that is for customers only is read
// through the link of his request.
func (s *Service) Link(x Article, t ticket.Ticket) string {
	if x.Audience == Customers {
		return s.PublicURL + "/c/" + s.tickets.Link(t) + "/help/" + id10(x.ID)
	}
	return s.PublicURL + "/help/" + id10(x.ID)
}

func (s *Service) link(ctx context.Context, a *action.Action, t ticket.Ticket, x Article, how string) error {
	res, err := a.Exec(ctx, `INSERT INTO ticket_articles (ticket_id, article_id, how, user_id, at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (ticket_id, article_id) DO NOTHING`, t.ID, x.ID, how, a.Actor.ID, a.NowMicros())
	if err != nil {
		return fmt.Errorf("knowledge: link %d to ticket %d: %w", x.ID, t.ID, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		a.Nothing()
		return err
	}
	a.Record(event.Event{Kind: EventLinked, Subject: event.Subject{Type: "ticket", ID: t.ID}, Data: ticketFact{t.Number, t.Title, []string{x.Title}}})
	return nil
}

type ticketFact struct {
	Number string   `json:"number"`
	Title  string   `json:"title"`
	Args   []string `json:"args"`
}

// Attach notes that an article belongs to a ticket that actor sees and may write in.
func (s *Service) Attach(ctx context.Context, actor authz.Actor, id int64, t ticket.Ticket) error {
	if err := actor.Check(ticket.PermNote); err != nil {
		return err
	}
	x, err := s.Get(ctx, actor, id)
	if err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "knowledge.link", func(ctx context.Context, a *action.Action) error {
		return s.link(ctx, a, t, x, "linked")
	})
}

// Detach takes that back.
func (s *Service) Detach(ctx context.Context, actor authz.Actor, id int64, t ticket.Ticket) error {
	if err := actor.Check(ticket.PermNote); err != nil {
		return err
	}
	x, err := s.Get(ctx, actor, id)
	if err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "knowledge.unlink", func(ctx context.Context, a *action.Action) error {
		var same int64
		err := a.QueryRow(ctx, `DELETE FROM ticket_articles WHERE ticket_id = $1 AND article_id = $2 RETURNING article_id`, t.ID, id).Scan(&same)
		if errors.Is(err, errNone) {
			a.Nothing()
			return nil
		}
		if err != nil {
			return fmt.Errorf("knowledge: unlink %d of ticket %d: %w", id, t.ID, err)
		}
		a.Record(event.Event{Kind: EventUnlinked, Subject: event.Subject{Type: "ticket", ID: t.ID}, Data: ticketFact{t.Number, t.Title, []string{x.Title}}})
		return nil
	})
}

// Helped is a ticket an article belongs to.
type Helped struct {
	ID int64
	At time.Time
}

// Helped returns the newest tickets an article belongs to, by id, and how many
// there are. Which of them a reader may see is for the room of tickets to say.
func (s *Service) Helped(ctx context.Context, id int64) (ids []int64, n int, err error) {
	rows, err := s.DB().Read().Query(ctx, `SELECT ticket_id FROM ticket_articles WHERE article_id = $1 ORDER BY at DESC LIMIT 10`, id)
	if err != nil {
		return nil, 0, fmt.Errorf("knowledge: tickets of %d: %w", id, err)
	}
	defer rows.Close()
	for rows.Next() {
		var t int64
		if err := rows.Scan(&t); err != nil {
			return nil, 0, fmt.Errorf("knowledge: tickets of %d: %w", id, err)
		}
		ids = append(ids, t)
	}
	if err := rows.Err(); err != nil || len(ids) < 10 {
		return ids, len(ids), err
	}
	err = s.DB().Read().QueryRow(ctx, `SELECT COUNT(*) FROM ticket_articles WHERE article_id = $1`, id).Scan(&n)
	return ids, n, err
}

var (
	phoneLike  = regexp.MustCompile(`\+?\d[\d\- ]{6,16}\d`)
	personLike = regexp.MustCompile(`[\p{Han}]{1,3}(先生|女士|小姐|老师|经理)`)
)

// anonymous takes out of a text what belongs to the one customer it came from:
// numbers, addresses of mailboxes, forms of address with a name.
func anonymous(s string) string {
	s = mailLike.ReplaceAllString(s, "【邮箱】")
	s = phoneLike.ReplaceAllStringFunc(s, func(m string) string {
		if strings.Count(m, "-") == 2 && len(m) == 10 { // a date
			return m
		}
		return "【号码】"
	})
	return personLike.ReplaceAllString(s, "客户")
}

// FromTicket is a first text of an article that tells how the problem of a ticket
// was solved; words are its headings: problem, cause, solution, and how to avoid it.
func (s *Service) FromTicket(t ticket.Ticket, words [4]string) Input {
	var b strings.Builder
	part := func(title, text string) {
		if text = strings.TrimSpace(text); text != "" {
			fmt.Fprintf(&b, "## %s\n\n%s\n\n", title, anonymous(text))
		}
	}
	part(words[0], t.Description)
	part(words[1], t.Cause)
	part(words[2], t.Solution)
	part(words[3], t.Corrective)
	if t.Solution == "" {
		fmt.Fprintf(&b, "## %s\n\n1. \n", words[2])
	}
	title := []rune(anonymous(t.Title))
	return Input{Text: Text{Title: string(title[:min(len(title), MaxTitle)]), Body: strings.TrimSpace(b.String()), Audience: Staff}}
}

// CreateFrom writes an article from the solution of a ticket that actor sees, and
// notes where it came from.
func (s *Service) CreateFrom(ctx context.Context, actor authz.Actor, t ticket.Ticket, in Input) (id int64, err error) {
	err = s.run.Do(ctx, actor, "knowledge.create", func(ctx context.Context, a *action.Action) error {
		if id, err = s.CreateIn(ctx, a, in); err != nil {
			return err
		}
		return s.link(ctx, a, t, Article{ID: id, Text: Text{Title: in.Title}}, "source")
	})
	return id, err
}
