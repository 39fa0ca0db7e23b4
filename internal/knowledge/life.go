package knowledge

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
)

// Step is what can be done with an article; named knowledge.step.<step>.
type Step string

const (
	Submit   Step = "submit"
	Return   Step = "return"
	Publish  Step = "publish"
	Withdraw Step = "withdraw"
	Verify   Step = "verify"
)

// steps is the whole life of an article. What is not here is refused.
var steps = []struct {
	from []State
	step Step
	perm authz.Permission
}{
	{[]State{Draft, Expired}, Submit, PermWrite},
	{[]State{Review}, Return, PermPublish},
	{[]State{Draft, Review, Expired}, Publish, PermPublish},
	{[]State{Draft, Review, Published}, Withdraw, PermPublish}, // only what readers see
	{[]State{Published}, Verify, PermWrite},
}

// Steps are those actor may do with x now.
func (s *Service) Steps(ctx context.Context, actor authz.Actor, x Article) (out []Step, err error) {
	st, err := s.Settings(ctx)
	for _, m := range steps {
		if slices.Contains(m.from, x.State) && x.MayEdit && authz.For(actor, m.perm).Matches([]int64{x.OwnerID, x.CreatedBy}, x.DepartmentID) && fits(st, actor, x, m.step) == nil {
			out = append(out, m.step)
		}
	}
	return out, err
}

// fits refuses what the state alone would allow.
func fits(st Settings, actor authz.Actor, x Article, step Step) error {
	switch step {
	case Submit:
		if !st.Review {
			return fault.New(fault.Conflict, "knowledge.no_review")
		}
	case Publish:
		if st.Review && actor.Kind == authz.User && x.State != Review {
			return fault.New(fault.Conflict, "knowledge.review_first")
		}
		if st.Review && actor.Kind == authz.User && x.WrittenBy == actor.ID {
			return fault.New(fault.Conflict, "knowledge.own_article")
		}
	case Withdraw:
		if x.Live.Version == 0 {
			return fault.New(fault.Conflict, "knowledge.not_live")
		}
	}
	return nil
}

// Do takes a step with an article. reason says why, of Return and Withdraw.
// version is the one that was looked at, 0: whatever it is.
func (s *Service) Do(ctx context.Context, actor authz.Actor, id int64, step Step, version int64, reason string) error {
	return s.run.Do(ctx, actor, "knowledge."+string(step), func(ctx context.Context, a *action.Action) error {
		return s.DoIn(ctx, a, id, step, version, reason)
	})
}

// DoIn is Do within an action.
func (s *Service) DoIn(ctx context.Context, a *action.Action, id int64, step Step, version int64, reason string) error {
	at := slices.IndexFunc(steps, func(m struct {
		from []State
		step Step
		perm authz.Permission
	}) bool {
		return m.step == step
	})
	if at < 0 {
		return fault.New(fault.NotFound, "knowledge.not_found")
	}
	x, err := s.load(ctx, a, id, steps[at].perm)
	if err != nil {
		return err
	}
	if version != 0 && version != x.Version {
		return fault.New(fault.Conflict, "knowledge.stale")
	}
	st, err := readSettings(ctx, a)
	if err != nil {
		return err
	}
	if !slices.Contains(steps[at].from, x.State) {
		return fault.New(fault.Conflict, "knowledge.wrong_state")
	}
	if err := fits(st, a.Actor, x, step); err != nil {
		return err
	}
	reason = strings.TrimSpace(reason)
	if n := len([]rune(reason)); step == Return && n == 0 || n > MaxNote {
		return fault.Invalidf("knowledge.invalid").Field("reason", "knowledge.need_reason", MaxNote)
	}
	link := fmt.Sprintf("/knowledge/%d", id)
	fact := Fact{Args: []string{x.Title}, Link: link}
	var kind, change string
	var args []any
	switch step {
	case Submit:
		kind, change = EventSubmitted, `state = 'review'`
		if fact.Tell, err = s.publishers(ctx, a, x); err != nil {
			return err
		}
	case Return:
		kind, change = EventReturned, `state = 'draft'`
		fact.Tell, fact.Args = []int64{x.WrittenBy}, append(fact.Args, reason)
	case Publish:
		return s.publish(ctx, a, x, st)
	case Withdraw:
		kind, change = EventWithdrawn, `state = 'draft', live_version = 0`
		if err := index.Delete(ctx, a.Tx, id); err != nil {
			return err
		}
		a.Drop(corpusKey{})
		fact.Tell = others(a.Actor, x.OwnerID)
	case Verify:
		kind = EventVerified
		next := time.Time{}
		if st.ReviewEvery > 0 {
			next = a.Now.AddDate(0, st.ReviewEvery, 0)
		}
		change = `reminded_at = 0, review_at = $3`
		args = append(args, db.Micros(next))
		fact.Changes = changed(nil, "review_at", day(x.ReviewAt), day(next))
	}
	if _, err := a.Exec(ctx, `UPDATE articles SET `+change+`, updated_at = $1 WHERE id = $2`, append([]any{a.NowMicros(), id}, args...)...); err != nil {
		return fmt.Errorf("knowledge: %s %d: %w", step, id, err)
	}
	a.Record(event.Event{Kind: kind, Subject: subject(id), Reason: reason, Data: fact})
	return nil
}

func (s *Service) publish(ctx context.Context, a *action.Action, x Article, st Settings) error {
	review := x.ReviewAt
	if st.ReviewEvery > 0 && (review.IsZero() || review.Before(a.Now)) {
		review = a.Now.AddDate(0, st.ReviewEvery, 0)
	}
	if !x.ExpiresAt.IsZero() && !x.ExpiresAt.After(a.Now) {
		return fault.Invalidf("knowledge.invalid").Field("expires_at", "knowledge.need_future")
	}
	_, err := a.Exec(ctx, `
		UPDATE articles SET state = 'published', live_version = version, live_title = title, live_body = body, live_keywords = keywords, live_audience = audience, live_departments = departments, live_roles = roles, live_files = files,
			published_at = $1, updated_at = $1, review_at = $2, reminded_at = 0 WHERE id = $3`, a.NowMicros(), db.Micros(review), x.ID)
	if err == nil {
		_, err = a.Exec(ctx, `UPDATE article_versions SET published_by = $1, published_at = $2 WHERE article_id = $3 AND version = $4`, a.Actor.ID, a.NowMicros(), x.ID, x.Version)
	}
	if err != nil {
		return fmt.Errorf("knowledge: publish %d: %w", x.ID, err)
	}
	if err := reindex(ctx, a.Tx, x.ID, x.Text); err != nil {
		return err
	}
	tell := others(a.Actor, x.WrittenBy)
	if x.OwnerID != x.WrittenBy {
		tell = append(tell, others(a.Actor, x.OwnerID)...)
	}
	a.Record(event.Event{Kind: EventPublished, Subject: subject(x.ID), Data: Fact{Args: []string{x.Title}, Tell: tell, Link: fmt.Sprintf("/knowledge/%d", x.ID)}})
	return nil
}

func others(actor authz.Actor, user int64) []int64 {
	if user == 0 || actor.Kind == authz.User && actor.ID == user {
		return nil
	}
	return []int64{user}
}

// publishers are those who may publish x, without who wrote it; at most ten.
func (s *Service) publishers(ctx context.Context, a *action.Action, x Article) (out []int64, err error) {
	ids, err := s.org.Holders(ctx, a, PermPublish)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		p, err := s.org.Actor(ctx, id)
		if err == nil && id != x.WrittenBy && authz.For(p, PermPublish).Matches([]int64{x.OwnerID, x.CreatedBy}, x.DepartmentID) && len(out) < 10 {
			out = append(out, id)
		}
	}
	return out, nil
}

// Sweep takes down what has expired and reminds owners: an hourly duty.
func (s *Service) Sweep(ctx context.Context) error {
	now := s.DB().Clock().Now()
	st, err := s.Settings(ctx)
	if err != nil {
		return err
	}
	worker := authz.System("knowledge")
	for {
		due, err := s.some(ctx, `t.expires_at > 0 AND t.expires_at <= $1 AND t.state <> 'expired' AND t.live_version > 0 ORDER BY t.expires_at, t.id LIMIT 100`, db.Micros(now))
		if err != nil || len(due) == 0 {
			if err != nil {
				return err
			}
			break
		}
		for _, x := range due {
			err := s.run.Do(ctx, worker, "knowledge.expire", func(ctx context.Context, a *action.Action) error {
				res, err := a.Exec(ctx, `UPDATE articles SET state = 'expired', live_version = 0, updated_at = $1 WHERE id = $2 AND live_version = $3`, a.NowMicros(), x.ID, x.Live.Version)
				if err != nil {
					return fmt.Errorf("knowledge: expire %d: %w", x.ID, err)
				}
				if n, err := res.RowsAffected(); err != nil || n == 0 {
					a.Nothing()
					return err
				}
				if err := index.Delete(ctx, a.Tx, x.ID); err != nil {
					return err
				}
				a.Drop(corpusKey{})
				a.Record(event.Event{Kind: EventExpired, Subject: subject(x.ID), Data: Fact{Args: []string{x.Live.Title}, Tell: []int64{x.OwnerID}, Link: fmt.Sprintf("/knowledge/%d", x.ID)}})
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	soon := now.AddDate(0, 0, st.RemindDays)
	due, err := s.some(ctx, `t.live_version > 0 AND t.reminded_at = 0 AND (t.review_at > 0 AND t.review_at <= $1 OR t.expires_at > 0 AND t.expires_at <= $2) ORDER BY t.id LIMIT 500`, db.Micros(now), db.Micros(soon))
	if err != nil {
		return err
	}
	for _, x := range due {
		kind, at := EventReviewDue, x.ReviewAt
		if !x.ExpiresAt.IsZero() && !x.ExpiresAt.After(soon) {
			kind, at = EventExpirySoon, x.ExpiresAt
		}
		err := s.run.Do(ctx, worker, "knowledge.remind", func(ctx context.Context, a *action.Action) error {
			res, err := a.Exec(ctx, `UPDATE articles SET reminded_at = $1 WHERE id = $2 AND reminded_at = 0`, a.NowMicros(), x.ID)
			if err != nil {
				return fmt.Errorf("knowledge: remind of %d: %w", x.ID, err)
			}
			if n, err := res.RowsAffected(); err != nil || n == 0 {
				a.Nothing()
				return err
			}
			a.Record(event.Event{Kind: kind, Subject: subject(x.ID), Data: Fact{Args: []string{x.Live.Title, day(at)}, Tell: []int64{x.OwnerID}, Link: fmt.Sprintf("/knowledge/%d", x.ID)}})
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) some(ctx context.Context, where string, args ...any) (out []Article, err error) {
	return list(ctx, s.DB().Read(), where, args...)
}

func list(ctx context.Context, q db.Querier, where string, args ...any) (out []Article, err error) {
	rows, err := q.Query(ctx, `SELECT `+articleColumns+` FROM articles t WHERE `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("knowledge: list: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		x, err := scanArticle(rows)
		if err != nil {
			return nil, fmt.Errorf("knowledge: list: %w", err)
		}
		out = append(out, x)
	}
	return out, rows.Err()
}
