package knowledge

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/cnid"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/search"
)

// State is where an article stands; named knowledge.state.<state>.
type State string

const (
	Draft     State = "draft"
	Review    State = "review"
	Published State = "published"
	Expired   State = "expired"
)

// States in their order.
var States = []State{Draft, Review, Published, Expired}

// Text is what an article says and to whom: what a version keeps.
type Text struct {
	Title       string
	Body        string
	Keywords    string
	Audience    Audience
	Departments []int64
	Roles       []int64
	Files       []int64
}

// Live is what readers see; Version 0: nothing.
type Live struct {
	Text
	Version int64
}

// Article is a piece of knowledge. For whoever may only read it, Text is what was
// published.
type Article struct {
	ID         int64
	CategoryID int64
	State      State
	Text
	FAQ          bool // listed among the frequent questions
	OwnerID      int64
	DepartmentID int64
	CreatedBy    int64
	WrittenBy    int64
	ReviewAt     time.Time
	ExpiresAt    time.Time
	Live         Live
	PublishedAt  time.Time
	Views        int64
	Uses         int64
	Helpful      int64
	Unhelpful    int64
	CreatedAt    time.Time
	UpdatedAt    time.Time
	Version      int64
	MayEdit      bool // the reader may change it
}

// Pending reports whether there is a text that readers do not see yet.
func (x Article) Pending() bool { return x.Live.Version != 0 && x.Live.Version != x.Version }

// FileOwner is the type under which pictures and files of articles are kept.
const FileOwner = "article"

// Input is an article as it is written down.
type Input struct {
	Version    int64 // that was read, 0: whatever it is
	CategoryID int64
	Text
	FAQ       bool
	OwnerID   int64 // 0: who writes it
	ReviewAt  time.Time
	ExpiresAt time.Time
	Uploads   []int64 // to be added
	Note      string  // what was changed and why
}

// Bounds of what is written down.
const (
	MaxTitle, MaxBody, MaxKeywords, MaxNote = 120, 50_000, 300, 200
	maxFiles                                = 60
)

func (in *Input) check(ctx context.Context, s *Service, q db.Querier) *fault.Error {
	e := fault.Invalidf("knowledge.invalid")
	in.Title, in.Keywords, in.Note = strings.TrimSpace(in.Title), strings.Join(strings.Fields(in.Keywords), " "), strings.TrimSpace(in.Note)
	in.Body = strings.TrimSpace(strings.ReplaceAll(in.Body, "\r\n", "\n"))
	if n := len([]rune(in.Title)); n == 0 || n > MaxTitle {
		e.Field("title", "knowledge.need_title", MaxTitle)
	}
	if n := len([]rune(in.Body)); n == 0 || n > MaxBody {
		e.Field("body", "knowledge.need_body", MaxBody)
	}
	if len([]rune(in.Keywords)) > MaxKeywords {
		e.Field("keywords", "knowledge.long", MaxKeywords)
	}
	if len([]rune(in.Note)) > MaxNote {
		e.Field("note", "knowledge.long", MaxNote)
	}
	if !slices.Contains(Audiences, in.Audience) {
		e.Field("audience", "knowledge.need_audience")
	}
	if in.Audience != Chosen {
		in.Departments, in.Roles = nil, nil
	} else if len(in.Departments)+len(in.Roles) == 0 {
		e.Field("departments", "knowledge.need_chosen")
	}
	if cs, err := categories(ctx, q); err != nil || in.CategoryID != 0 && !slices.ContainsFunc(cs, func(c Category) bool { return c.ID == in.CategoryID }) {
		e.Field("category", "knowledge.need_category")
	}
	if !in.ExpiresAt.IsZero() && !in.ExpiresAt.After(s.DB().Clock().Now()) {
		e.Field("expires_at", "knowledge.need_future")
	}
	return e
}

func (x Text) lookup() string {
	words := x.Title + "\n" + x.Keywords
	return strings.ToLower(words + "\n" + cnid.Pinyin(x.Title) + "\n" + cnid.Initials(x.Title))
}

const articleColumns = `t.id, t.category_id, t.state, t.title, t.body, t.keywords, t.audience, t.departments, t.roles, t.files, t.faq, t.owner_id, t.department_id, t.created_by, t.written_by, t.review_at, t.expires_at,
	t.live_version, t.live_title, t.live_body, t.live_keywords, t.live_audience, t.live_departments, t.live_roles, t.live_files, t.published_at, t.views, t.uses, t.helpful, t.unhelpful, t.created_at, t.updated_at, t.version`

func scanArticle(row interface{ Scan(...any) error }) (x Article, err error) {
	var deps, roles, files, ldeps, lroles, lfiles string
	var faq, review, expires, published, created, updated int64
	err = row.Scan(&x.ID, &x.CategoryID, (*string)(&x.State), &x.Title, &x.Body, &x.Keywords, (*string)(&x.Audience), &deps, &roles, &files, &faq, &x.OwnerID, &x.DepartmentID, &x.CreatedBy, &x.WrittenBy, &review, &expires,
		&x.Live.Version, &x.Live.Title, &x.Live.Body, &x.Live.Keywords, (*string)(&x.Live.Audience), &ldeps, &lroles, &lfiles, &published, &x.Views, &x.Uses, &x.Helpful, &x.Unhelpful, &created, &updated, &x.Version)
	x.Departments, x.Roles, x.Files = unset(deps), unset(roles), unset(files)
	x.Live.Departments, x.Live.Roles, x.Live.Files = unset(ldeps), unset(lroles), unset(lfiles)
	x.FAQ, x.ReviewAt, x.ExpiresAt, x.PublishedAt = faq != 0, db.FromMicros(review), db.FromMicros(expires), db.FromMicros(published)
	x.CreatedAt, x.UpdatedAt = db.FromMicros(created), db.FromMicros(updated)
	return x, err
}

// shown is x as somebody of that reach may see it.
func (r reach) shown(x Article) Article {
	if x.MayEdit = r.edits(&x); !x.MayEdit {
		x.Text, x.State, x.Version, x.UpdatedAt = x.Live.Text, Published, x.Live.Version, x.PublishedAt
	}
	return x
}

// Get returns article id if actor may see it, else NotFound.
func (s *Service) Get(ctx context.Context, actor authz.Actor, id int64) (Article, error) {
	r, err := s.reach(ctx, actor)
	if err != nil {
		return Article{}, err
	}
	return s.get(ctx, s.DB().Read(), r, id, "")
}

func (s *Service) get(ctx context.Context, q db.Querier, r reach, id int64, lock string) (Article, error) {
	var a db.Args
	where := "t.id = " + a.Add(id) + " AND " + r.seen(&a, "t")
	x, err := scanArticle(q.QueryRow(ctx, `SELECT `+articleColumns+` FROM articles t WHERE `+where+lock, a.Values...))
	if errors.Is(err, sql.ErrNoRows) {
		return x, notFound()
	}
	if err != nil {
		return x, fmt.Errorf("knowledge: load %d: %w", id, err)
	}
	return r.shown(x), nil
}

// Read returns article id as its readers see it, also to those who may change it.
// Only what is published is read.
func (s *Service) Read(ctx context.Context, actor authz.Actor, id int64) (Article, error) {
	r, err := s.reach(ctx, actor)
	if err != nil {
		return Article{}, err
	}
	x, err := s.get(ctx, s.DB().Read(), r, id, "")
	if err == nil && !r.reads(&x) {
		err = notFound()
	}
	x.Text = x.Live.Text
	return x, err
}

// load is get for a change under perm.
func (s *Service) load(ctx context.Context, a *action.Action, id int64, perm authz.Permission) (Article, error) {
	r, err := s.reach(ctx, a.Actor)
	if err != nil {
		return Article{}, err
	}
	x, err := s.get(ctx, a, r, id, a.ForUpdate())
	if err == nil && !authz.For(a.Actor, perm).Matches([]int64{x.OwnerID, x.CreatedBy}, x.DepartmentID) {
		err = authz.Denied(perm)
	}
	return x, err
}

func subject(id int64) event.Subject { return event.Subject{Type: "article", ID: id} }

// Create writes a new article, as a draft.
func (s *Service) Create(ctx context.Context, actor authz.Actor, in Input) (id int64, err error) {
	err = s.run.Do(ctx, actor, "knowledge.create", func(ctx context.Context, a *action.Action) (err error) {
		id, err = s.CreateIn(ctx, a, in)
		return err
	})
	return id, err
}

// CreateIn is Create within an action.
func (s *Service) CreateIn(ctx context.Context, a *action.Action, in Input) (id int64, err error) {
	if err := a.Actor.Check(PermWrite); err != nil {
		return 0, err
	}
	bad := in.check(ctx, s, a)
	if in.OwnerID == 0 {
		in.OwnerID = a.Actor.ID
	}
	dep := s.ownerOf(ctx, a, in.OwnerID, bad)
	if err := bad.OrNil(); err != nil {
		return 0, err
	}
	if in.ReviewAt.IsZero() {
		st, err := readSettings(ctx, a)
		if err != nil {
			return 0, err
		}
		if st.ReviewEvery > 0 {
			in.ReviewAt = a.Now.AddDate(0, st.ReviewEvery, 0)
		}
	}
	err = a.QueryRow(ctx, `
		INSERT INTO articles (category_id, state, title, body, keywords, audience, departments, roles, faq, owner_id, department_id, created_by, written_by, review_at, expires_at, lookup, created_at, updated_at)
		VALUES ($1, 'draft', $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $12, $13, $14, $15, $15) RETURNING id`,
		in.CategoryID, in.Title, in.Body, in.Keywords, string(in.Audience), set(in.Departments), set(in.Roles), db.Bool(in.FAQ), in.OwnerID, dep, a.Actor.ID, db.Micros(in.ReviewAt), db.Micros(in.ExpiresAt), in.lookup(), a.NowMicros()).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("knowledge: create: %w", err)
	}
	if in.Files, err = s.attach(ctx, a, id, nil, in); err != nil {
		return 0, err
	}
	if len(in.Files) > 0 {
		if _, err := a.Exec(ctx, `UPDATE articles SET files = $1 WHERE id = $2`, set(in.Files), id); err != nil {
			return 0, fmt.Errorf("knowledge: create: %w", err)
		}
	}
	if err := keepVersion(ctx, a, id, 1, in.Text, in.Note); err != nil {
		return 0, err
	}
	a.Record(event.Event{Kind: EventCreated, Subject: subject(id), Data: Fact{Args: []string{in.Title}}})
	return id, nil
}

// ownerOf returns the department of an owner, who must be of the staff.
func (s *Service) ownerOf(ctx context.Context, a *action.Action, owner int64, bad *fault.Error) int64 {
	x, err := s.org.Actor(ctx, owner)
	if err != nil {
		bad.Field("owner", "knowledge.need_owner")
	}
	return x.DepartmentID
}

// attach gives the uploads of in to article id and returns the files of the text:
// those kept and those added.
func (s *Service) attach(ctx context.Context, a *action.Action, id int64, had []int64, in Input) ([]int64, error) {
	var out []int64
	for _, f := range had { // what is not the article's own is not taken over from a form
		if slices.Contains(in.Files, f) || refers(in.Body, f) {
			out = append(out, f)
		}
	}
	if len(out)+len(in.Uploads) > maxFiles {
		return nil, fault.Invalidf("knowledge.invalid").Field("file", "knowledge.many_files", maxFiles)
	}
	fs, err := s.files.Attach(ctx, a, in.Uploads, blob.Owner{Type: FileOwner, ID: id, Internal: true})
	for _, f := range fs {
		out = append(out, f.ID)
	}
	return out, err
}

func keepVersion(ctx context.Context, a *action.Action, id, version int64, x Text, note string) error {
	_, err := a.Exec(ctx, `
		INSERT INTO article_versions (article_id, version, title, body, keywords, audience, departments, roles, files, note, user_id, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		id, version, x.Title, x.Body, x.Keywords, string(x.Audience), set(x.Departments), set(x.Roles), set(x.Files), note, a.Actor.ID, a.NowMicros())
	if err != nil {
		return fmt.Errorf("knowledge: version %d of %d: %w", version, id, err)
	}
	return nil
}

// Edit changes an article. What readers see stays until it is published anew.
func (s *Service) Edit(ctx context.Context, actor authz.Actor, id int64, in Input) error {
	return s.run.Do(ctx, actor, "knowledge.edit", func(ctx context.Context, a *action.Action) error {
		old, err := s.load(ctx, a, id, PermWrite)
		if err != nil {
			return err
		}
		return s.edit(ctx, a, old, in)
	})
}

func (s *Service) edit(ctx context.Context, a *action.Action, old Article, in Input) error {
	if in.Version != 0 && in.Version != old.Version {
		return fault.New(fault.Conflict, "knowledge.stale")
	}
	bad := in.check(ctx, s, a)
	dep := old.DepartmentID
	if in.OwnerID == 0 {
		in.OwnerID = old.OwnerID
	}
	if in.OwnerID != old.OwnerID {
		dep = s.ownerOf(ctx, a, in.OwnerID, bad)
	}
	if err := bad.OrNil(); err != nil {
		return err
	}
	files, err := s.kept(ctx, a, old, in)
	if err != nil {
		return err
	}
	if in.Files, err = s.attach(ctx, a, old.ID, files, in); err != nil {
		return err
	}
	cs := changed(nil, "title", old.Title, in.Title)
	if old.Body != in.Body {
		cs = append(cs, event.Change{Field: "knowledge.body", Old: size(old.Body), New: size(in.Body)})
	}
	cs = changed(cs, "keywords", old.Keywords, in.Keywords)
	cs = changed(cs, "audience", "@knowledge.audience."+string(old.Audience), "@knowledge.audience."+string(in.Audience))
	cs = changed(cs, "departments", set(old.Departments)+set(old.Roles), set(in.Departments)+set(in.Roles))
	cs = changed(cs, "files", strconv.Itoa(len(old.Files)), strconv.Itoa(len(in.Files)))
	said := len(cs) > 0 || set(old.Files) != set(in.Files)
	cs = changed(cs, "category", s.categoryName(ctx, a, old.CategoryID), s.categoryName(ctx, a, in.CategoryID))
	cs = changed(cs, "owner", s.org.Name(ctx, old.OwnerID), s.org.Name(ctx, in.OwnerID))
	cs = changed(cs, "review_at", day(old.ReviewAt), day(in.ReviewAt))
	cs = changed(cs, "expires_at", day(old.ExpiresAt), day(in.ExpiresAt))
	if old.FAQ != in.FAQ {
		cs = changed(cs, "faq", "@"+yesNo(old.FAQ), "@"+yesNo(in.FAQ))
	}
	if len(cs) == 0 && !said {
		a.Nothing()
		return nil
	}
	state, version, writer := old.State, old.Version, old.WrittenBy
	if said {
		version, writer = old.Version+1, a.Actor.ID
		state = Draft // what was looked at is not what is there now
		if err := keepVersion(ctx, a, old.ID, version, in.Text, in.Note); err != nil {
			return err
		}
	}
	reminded := `reminded_at`
	if !old.ReviewAt.Equal(in.ReviewAt) || !old.ExpiresAt.Equal(in.ExpiresAt) {
		reminded = `0`
	}
	res, err := a.Exec(ctx, `
		UPDATE articles SET category_id = $1, state = $2, title = $3, body = $4, keywords = $5, audience = $6, departments = $7, roles = $8, files = $9, faq = $10, owner_id = $11, department_id = $12, written_by = $13,
			review_at = $14, expires_at = $15, lookup = $16, updated_at = $17, version = $18, reminded_at = `+reminded+` WHERE id = $19 AND version = $20`,
		in.CategoryID, string(state), in.Title, in.Body, in.Keywords, string(in.Audience), set(in.Departments), set(in.Roles), set(in.Files), db.Bool(in.FAQ), in.OwnerID, dep, writer,
		db.Micros(in.ReviewAt), db.Micros(in.ExpiresAt), in.lookup(), a.NowMicros(), version, old.ID, old.Version)
	if err != nil {
		return fmt.Errorf("knowledge: edit %d: %w", old.ID, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, fault.New(fault.Conflict, "knowledge.stale"))
	}
	a.Record(event.Event{Kind: EventEdited, Subject: subject(old.ID), Reason: in.Note, Data: Fact{Args: []string{in.Title}, Changes: cs}})
	return nil
}

// kept are the files a text of old may hold: its own, and those of any version
// that is brought back.
func (s *Service) kept(ctx context.Context, a *action.Action, old Article, in Input) ([]int64, error) {
	if len(in.Files) == 0 && !strings.Contains(in.Body, filePath) {
		return nil, nil
	}
	fs, err := s.files.Of(ctx, a, FileOwner, old.ID)
	var ids []int64
	for _, f := range fs {
		ids = append(ids, f.ID)
	}
	return ids, err
}

func (s *Service) categoryName(ctx context.Context, q db.Querier, id int64) string {
	cs, _ := categories(ctx, q)
	for _, c := range cs {
		if c.ID == id {
			return c.Path
		}
	}
	return ""
}

func size(body string) string { return strconv.Itoa(len([]rune(body))) }

func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format("2006-01-02")
}

func yesNo(b bool) string {
	if b {
		return "common.yes"
	}
	return "common.no"
}

// Delete removes a draft that was never published.
func (s *Service) Delete(ctx context.Context, actor authz.Actor, id int64) error {
	return s.run.Do(ctx, actor, "knowledge.delete", func(ctx context.Context, a *action.Action) error {
		x, err := s.load(ctx, a, id, PermWrite)
		if err != nil {
			return err
		}
		if !x.PublishedAt.IsZero() {
			return fault.New(fault.Conflict, "knowledge.was_published")
		}
		fs, err := s.files.Of(ctx, a, FileOwner, id)
		if err != nil {
			return err
		}
		for _, f := range fs {
			if err := s.files.Remove(ctx, a, f); err != nil {
				return err
			}
		}
		for _, q := range []string{`DELETE FROM article_versions WHERE article_id = $1`, `DELETE FROM ticket_articles WHERE article_id = $1`, `DELETE FROM articles WHERE id = $1`} {
			if _, err := a.Exec(ctx, q, id); err != nil {
				return fmt.Errorf("knowledge: delete %d: %w", id, err)
			}
		}
		a.Record(event.Event{Kind: EventDeleted, Subject: subject(id), Data: Fact{Args: []string{x.Title}}})
		return nil
	})
}

// MayReadFile reports whether actor may read a file of an article: one of the text
// he reads, or any of an article he may change.
func (s *Service) MayReadFile(ctx context.Context, actor authz.Actor, f blob.File) error {
	r, err := s.reach(ctx, actor)
	if err != nil {
		return err
	}
	x, err := s.get(ctx, s.DB().Read(), r, f.Owner.ID, "")
	if err != nil {
		return err
	}
	if !x.MayEdit && !slices.Contains(x.Live.Files, f.ID) {
		return notFound()
	}
	return nil
}

// Attachments are the files of an article's text that are not pictures in it.
func (s *Service) Attachments(ctx context.Context, x Article) ([]blob.File, error) {
	if len(x.Files) == 0 {
		return nil, nil
	}
	fs, err := s.files.Of(ctx, s.DB().Read(), FileOwner, x.ID)
	return slices.DeleteFunc(fs, func(f blob.File) bool { return !slices.Contains(x.Files, f.ID) || refers(x.Body, f.ID) }), err
}

// index puts what readers see into the index.
func reindex(ctx context.Context, tx *db.Tx, id int64, x Text) error {
	n, err := index.Put(ctx, tx, id, search.Part{Text: x.Title, Heavy: true}, search.Part{Text: x.Keywords, Heavy: true}, search.Part{Text: Plain(x.Body)})
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE articles SET live_length = $1 WHERE id = $2`, n, id)
	if err != nil {
		return fmt.Errorf("knowledge: index %d: %w", id, err)
	}
	tx.Drop(corpusKey{})
	return nil
}
