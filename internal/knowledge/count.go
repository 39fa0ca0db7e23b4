package knowledge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"sort"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"

	"golang.org/x/text/unicode/norm"
)

// Place is where somebody looked for something.
type Place string

const (
	Help Place = "help"  // the customer's pages
	Desk Place = "staff" // the staff's
)

type asked struct {
	words string
	place Place
}

type answers struct{ times, misses int64 }

// maxCounted bounds what waits to be stored: whoever sends nonsense by the thousand
// is not written down word by word.
const maxCounted = 2000

// Viewed counts a reader of an article. It is stored with the next Flush.
func (s *Service) Viewed(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.views) < maxCounted || s.views[id] > 0 {
		s.views[id]++
	}
}

var (
	longNumber = regexp.MustCompile(`\d{6,}`)
	mailLike   = regexp.MustCompile(`\S+@\S+`)
)

// normal is a search as it is counted: spelled alike, without what may be a
// person's number or address.
func normal(text string) string {
	text = strings.ToLower(strings.Join(strings.Fields(norm.NFKC.String(text)), " "))
	text = strings.Trim(longNumber.ReplaceAllString(mailLike.ReplaceAllString(text, "…"), "…"), " ?？!！。,，~")
	if rs := []rune(text); len(rs) > 60 {
		text = string(rs[:60])
	}
	return text
}

// Asked counts a search and whether it found anything. It is stored with the next
// Flush.
func (s *Service) Asked(place Place, text string, hits int) {
	k := asked{normal(text), place}
	if len([]rune(k.words)) < 2 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.asked[k]
	if a == nil {
		if len(s.asked) >= maxCounted {
			return
		}
		a = &answers{}
		s.asked[k] = a
	}
	a.times++
	if hits == 0 {
		a.misses++
	}
}

// Flush stores what was counted: a duty every few seconds.
func (s *Service) Flush(ctx context.Context) error {
	s.mu.Lock()
	views, searches := s.views, s.asked
	s.views, s.asked = map[int64]int64{}, map[asked]*answers{}
	s.mu.Unlock()
	if len(views)+len(searches) == 0 {
		return nil
	}
	err := s.DB().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		ids := make([]int64, 0, len(views))
		for id := range views {
			ids = append(ids, id)
		}
		sort.Slice(ids, func(i, j int) bool { return ids[i] < ids[j] }) // always in one order: nodes do not wait for each other in a ring
		for _, id := range ids {
			if err := tx.Later(ctx, `UPDATE articles SET views = views + $1 WHERE id = $2`, views[id], id); err != nil {
				return err
			}
		}
		ks := make([]asked, 0, len(searches))
		for k := range searches {
			ks = append(ks, k)
		}
		sort.Slice(ks, func(i, j int) bool { return ks[i].place+Place(ks[i].words) < ks[j].place+Place(ks[j].words) })
		for _, k := range ks {
			a := searches[k]
			err := tx.Later(ctx, `INSERT INTO article_searches (words, place, times, misses, last_at) VALUES ($1, $2, $3, $4, $5)
				ON CONFLICT (words, place) DO UPDATE SET times = article_searches.times + excluded.times, misses = article_searches.misses + excluded.misses, last_at = excluded.last_at`,
				k.words, string(k.place), a.times, a.misses, tx.NowMicros())
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.mu.Lock()
		for id, n := range views {
			s.views[id] += n
		}
		for k, a := range searches {
			if had := s.asked[k]; had != nil {
				a.times, a.misses = a.times+had.times, a.misses+had.misses
			}
			s.asked[k] = a
		}
		s.mu.Unlock()
		return fmt.Errorf("knowledge: counts: %w", err)
	}
	return nil
}

// Missed is a search that found nothing.
type Missed struct {
	Words         string
	Place         Place
	Times, Misses int64
	LastAt        time.Time
}

// Report is what a keeper of the knowledge looks at.
type Report struct {
	Missed   []Missed
	Popular  []Article
	Poor     []Article // more often not helpful than helpful
	Unread   []Article // published for a month, read by nobody
	Comments []Comment
	Due      int // to be looked at again
	Live     int
	Solved   []Solved // articles by the tickets they helped with, of the last ninety days
}

// Solved is an article with how many tickets it helped with.
type Solved struct {
	ID      int64
	Title   string
	Tickets int
}

// Comment is what a reader missed in an article.
type Comment struct {
	ID, ArticleID int64
	Title         string
	Comment       string
	At            time.Time
}

const reportRows = 20

// Report returns what needs somebody's attention.
func (s *Service) Report(ctx context.Context, actor authz.Actor) (rep Report, err error) {
	if err := actor.Check(PermManage); err != nil {
		return rep, err
	}
	r, err := s.reach(ctx, actor)
	if err != nil {
		return rep, err
	}
	q := s.DB().Read()
	rows, err := q.Query(ctx, `SELECT words, place, times, misses, last_at FROM article_searches WHERE misses > 0 ORDER BY misses DESC, last_at DESC LIMIT 50`)
	if err != nil {
		return rep, fmt.Errorf("knowledge: report: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var m Missed
		var at int64
		if err := rows.Scan(&m.Words, (*string)(&m.Place), &m.Times, &m.Misses, &at); err != nil {
			return rep, fmt.Errorf("knowledge: report: %w", err)
		}
		m.LastAt = db.FromMicros(at)
		rep.Missed = append(rep.Missed, m)
	}
	if err := rows.Err(); err != nil {
		return rep, err
	}
	look := func(cond, order string, args ...any) ([]Article, error) {
		a := db.Args{Values: args}
		where := r.live(&a, "t")
		xs, err := list(ctx, q, cond+" AND "+where+" ORDER BY "+order+" LIMIT "+a.Add(reportRows), a.Values...)
		for i := range xs {
			xs[i] = r.shown(xs[i])
			xs[i].Text = xs[i].Live.Text
		}
		return xs, err
	}
	if rep.Popular, err = look("t.views > 0", "t.views DESC, t.id DESC"); err != nil {
		return rep, err
	}
	if rep.Poor, err = look("t.unhelpful > 0 AND t.unhelpful >= t.helpful", "t.unhelpful DESC, t.id DESC"); err != nil {
		return rep, err
	}
	if rep.Unread, err = look("t.views = 0 AND t.uses = 0 AND t.published_at < $1", "t.published_at, t.id", db.Micros(s.DB().Clock().Now().AddDate(0, -1, 0))); err != nil {
		return rep, err
	}
	var a db.Args
	where := r.live(&a, "t")
	comments, err := q.Query(ctx, `SELECT f.id, t.id, t.live_title, f.comment, f.at FROM article_feedback f JOIN articles t ON t.id = f.article_id WHERE f.comment <> '' AND f.done_at = 0 AND `+where+` ORDER BY f.id DESC LIMIT 50`, a.Values...)
	if err != nil {
		return rep, fmt.Errorf("knowledge: report: %w", err)
	}
	defer comments.Close()
	for comments.Next() {
		var c Comment
		var at int64
		if err := comments.Scan(&c.ID, &c.ArticleID, &c.Title, &c.Comment, &at); err != nil {
			return rep, fmt.Errorf("knowledge: report: %w", err)
		}
		c.At = db.FromMicros(at)
		rep.Comments = append(rep.Comments, c)
	}
	if err := comments.Err(); err != nil {
		return rep, err
	}
	a = db.Args{}
	where = r.live(&a, "t")
	solved, err := q.Query(ctx, `SELECT t.id, t.live_title, COUNT(*) FROM ticket_articles l JOIN articles t ON t.id = l.article_id WHERE l.at >= `+a.Add(db.Micros(s.DB().Clock().Now().AddDate(0, 0, -90)))+` AND `+where+`
		GROUP BY t.id, t.live_title ORDER BY COUNT(*) DESC, t.id LIMIT 20`, a.Values...)
	if err != nil {
		return rep, fmt.Errorf("knowledge: report: %w", err)
	}
	defer solved.Close()
	for solved.Next() {
		var x Solved
		if err := solved.Scan(&x.ID, &x.Title, &x.Tickets); err != nil {
			return rep, fmt.Errorf("knowledge: report: %w", err)
		}
		rep.Solved = append(rep.Solved, x)
	}
	if err := solved.Err(); err != nil {
		return rep, err
	}
	a = db.Args{}
	where = r.live(&a, "t")
	err = q.QueryRow(ctx, `SELECT COUNT(*), COALESCE(SUM(CASE WHEN t.review_at > 0 AND t.review_at <= `+a.Add(db.Micros(s.DB().Clock().Now()))+` THEN 1 ELSE 0 END), 0) FROM articles t WHERE `+where, a.Values...).Scan(&rep.Live, &rep.Due)
	return rep, err
}

// Settled takes a search off the report: somebody has written what was missing.
func (s *Service) Settled(ctx context.Context, actor authz.Actor, words string, place Place) error {
	if err := actor.Check(PermManage); err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "knowledge.settled", func(ctx context.Context, a *action.Action) error {
		if _, err := a.Exec(ctx, `DELETE FROM article_searches WHERE words = $1 AND place = $2`, words, string(place)); err != nil {
			return fmt.Errorf("knowledge: settled: %w", err)
		}
		a.Record(event.Event{Kind: EventHandled, Subject: event.Subject{Type: "knowledge"}, Data: Fact{Args: []string{words}}})
		return nil
	})
}

// Feedback is what a reader says about an article.
type Feedback struct {
	Helpful bool
	Comment string
}

const maxComment = 1000

// Rate keeps what a reader says; said again, it takes the place of what he said
// before. Who he is is not kept: of a visitor a sum that is another one tomorrow.
func (s *Service) Rate(ctx context.Context, actor authz.Actor, id int64, f Feedback) error {
	x, err := s.Read(ctx, actor, id)
	if err != nil {
		return err
	}
	f.Comment = strings.TrimSpace(f.Comment)
	if len([]rune(f.Comment)) > maxComment {
		return fault.Invalidf("knowledge.invalid").Field("comment", "knowledge.long", maxComment)
	}
	return s.run.Do(ctx, actor, "knowledge.rate", func(ctx context.Context, a *action.Action) error {
		who := fmt.Sprintf("%s%d", actor.Kind, actor.ID)
		if actor.Kind == authz.Customer {
			sum := sha256.Sum256([]byte(actor.IP + "\x00" + actor.UserAgent + "\x00" + a.Now.Format("2006-01-02") + "\x00" + id10(id)))
			who = hex.EncodeToString(sum[:10])
		}
		var had int
		var comment string
		err := a.QueryRow(ctx, `SELECT helpful, comment FROM article_feedback WHERE article_id = $1 AND visitor = $2`, id, who).Scan(&had, &comment)
		switch {
		case err == nil:
			if f.Comment == "" {
				f.Comment = comment
			}
			_, err = a.Exec(ctx, `UPDATE article_feedback SET helpful = $1, comment = $2, version = $3, at = $4, done_at = 0 WHERE article_id = $5 AND visitor = $6`, db.Bool(f.Helpful), f.Comment, x.Live.Version, a.NowMicros(), id, who)
			if err == nil && (had != 0) != f.Helpful {
				d := int64(-1)
				if f.Helpful {
					d = 1
				}
				_, err = a.Exec(ctx, `UPDATE articles SET helpful = helpful + $1, unhelpful = unhelpful - $1 WHERE id = $2`, d, id)
			}
		case errors.Is(err, errNone):
			_, err = a.Exec(ctx, `INSERT INTO article_feedback (article_id, visitor, helpful, comment, version, at) VALUES ($1, $2, $3, $4, $5, $6)`, id, who, db.Bool(f.Helpful), f.Comment, x.Live.Version, a.NowMicros())
			if err == nil {
				_, err = a.Exec(ctx, `UPDATE articles SET helpful = helpful + $1, unhelpful = unhelpful + $2 WHERE id = $3`, db.Bool(f.Helpful), db.Bool(!f.Helpful), id)
			}
		}
		if err != nil {
			return fmt.Errorf("knowledge: rate %d: %w", id, err)
		}
		a.Nothing()
		if !f.Helpful && f.Comment != "" && f.Comment != comment {
			a.Record(event.Event{Kind: EventComplained, Subject: subject(id), Data: Fact{Args: []string{x.Live.Title, brief(f.Comment, 40)}, Tell: others(actor, x.OwnerID), Link: "/knowledge/" + id10(id)}})
		}
		return nil
	})
}

// HandleComment takes a comment off the report.
func (s *Service) HandleComment(ctx context.Context, actor authz.Actor, id int64) error {
	if err := actor.Check(PermManage); err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "knowledge.feedback", func(ctx context.Context, a *action.Action) error {
		var article int64
		err := a.QueryRow(ctx, `UPDATE article_feedback SET done_by = $1, done_at = $2 WHERE id = $3 AND done_at = 0 RETURNING article_id`, actor.ID, a.NowMicros(), id).Scan(&article)
		if errors.Is(err, errNone) {
			a.Nothing()
			return nil
		}
		if err != nil {
			return fmt.Errorf("knowledge: feedback %d: %w", id, err)
		}
		a.Record(event.Event{Kind: EventHandled, Subject: subject(article)})
		return nil
	})
}

// Comments are what readers missed in an article, the newest first.
func (s *Service) Comments(ctx context.Context, x Article) (out []Comment, err error) {
	rows, err := s.DB().Read().Query(ctx, `SELECT id, comment, at FROM article_feedback WHERE article_id = $1 AND comment <> '' ORDER BY id DESC LIMIT 30`, x.ID)
	if err != nil {
		return nil, fmt.Errorf("knowledge: comments: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var c Comment
		var at int64
		if err := rows.Scan(&c.ID, &c.Comment, &at); err != nil {
			return nil, fmt.Errorf("knowledge: comments: %w", err)
		}
		c.At = db.FromMicros(at)
		out = append(out, c)
	}
	return out, rows.Err()
}

func brief(s string, n int) string {
	rs := []rune(strings.Join(strings.Fields(s), " "))
	if len(rs) > n {
		return string(rs[:n]) + "…"
	}
	return string(rs)
}
