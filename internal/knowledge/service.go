package knowledge

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/org"
	"bihuan/internal/search"
	"bihuan/internal/setting"
	"bihuan/internal/ticket"
)

// Service is the room.
type Service struct {
	run     *action.Runner
	org     *org.Service
	tickets *ticket.Service
	files   *blob.Files
	// PublicURL is where customers reach the product, for links in messages to them.
	PublicURL string

	mu    sync.Mutex
	views map[int64]int64    // since the last [Service.Flush]
	asked map[asked]*answers // searches since then
}

// New returns the service.
func New(run *action.Runner, o *org.Service, t *ticket.Service, files *blob.Files) *Service {
	return &Service{run: run, org: o, tickets: t, files: files, views: map[int64]int64{}, asked: map[asked]*answers{}}
}

// DB returns the store the room reads from.
func (s *Service) DB() *db.DB { return s.run.DB() }

var index = search.Ranked{Table: "article_terms", ID: "article_id"}

// Audience is who reads an article; named knowledge.audience.<audience>.
type Audience string

const (
	Public    Audience = "public"    // everybody, without signing in
	Customers Audience = "customers" // who has a request with us, and the staff
	Staff     Audience = "staff"
	Chosen    Audience = "chosen" // some departments and roles
)

// Audiences from the widest.
var Audiences = []Audience{Public, Customers, Staff, Chosen}

// reach is what somebody may read, and what of it he may change.
type reach struct {
	audiences []Audience
	depts     []int64
	roles     []int64
	edit      authz.Scope // zero: nothing
}

// reach of an actor. Anybody without an account reads what is public; a customer
// who came through his link, what is for customers as well.
func (s *Service) reach(ctx context.Context, actor authz.Actor) (r reach, err error) {
	r.audiences = []Audience{Public}
	switch {
	case actor.Kind == authz.Customer && actor.CustomerID != 0:
		r.audiences = append(r.audiences, Customers)
	case actor.Kind == authz.Worker:
		r.audiences, r.edit = Audiences, authz.For(actor, PermWrite)
	case actor.Kind == authz.User && actor.Can(PermRead):
		r.audiences = append(r.audiences, Customers, Staff)
		if r.depts, err = s.org.Above(ctx, actor.Teams); err != nil {
			return r, err
		}
		if r.roles, err = s.org.RolesOf(ctx, actor.ID); err != nil {
			return r, err
		}
		r.edit = editScope(actor)
	}
	return r, nil
}

// editScope is the wider of writing and publishing.
func editScope(actor authz.Actor) authz.Scope {
	w, p := authz.For(actor, PermWrite), authz.For(actor, PermPublish)
	if p.Level() > w.Level() {
		return p
	}
	return w
}

// live is the condition for articles of alias that are there to be read.
func (r reach) live(a *db.Args, alias string) string {
	var or, in []string
	for _, x := range r.audiences {
		in = append(in, a.Add(string(x)))
	}
	or = append(or, alias+".live_audience IN ("+strings.Join(in, ", ")+")")
	for _, d := range r.depts {
		or = append(or, alias+".live_audience = 'chosen' AND "+alias+".live_departments LIKE "+a.Add("% "+strconv.FormatInt(d, 10)+" %"))
	}
	for _, x := range r.roles {
		or = append(or, alias+".live_audience = 'chosen' AND "+alias+".live_roles LIKE "+a.Add("% "+strconv.FormatInt(x, 10)+" %"))
	}
	return alias + ".live_version > 0 AND (" + strings.Join(or, " OR ") + ")"
}

// seen is live, and what the reader may change besides.
func (r reach) seen(a *db.Args, alias string) string {
	if r.edit.Empty() {
		return r.live(a, alias)
	}
	return "(" + r.live(a, alias) + " OR " + r.edit.Where(a, columns(alias)) + ")"
}

func (r reach) edits(x *Article) bool {
	return r.edit.Matches([]int64{x.OwnerID, x.CreatedBy}, x.DepartmentID)
}

func (r reach) reads(x *Article) bool {
	if x.Live.Version == 0 {
		return false
	}
	if slices.Contains(r.audiences, x.Live.Audience) {
		return true
	}
	return x.Live.Audience == Chosen && (overlap(x.Live.Departments, r.depts) || overlap(x.Live.Roles, r.roles))
}

func overlap(a, b []int64) bool {
	return slices.ContainsFunc(a, func(n int64) bool { return slices.Contains(b, n) })
}

// Settings are what an administrator decides.
type Settings struct {
	Review      bool `json:"review"`       // nobody publishes what he wrote himself
	Index       bool `json:"index"`        // search engines may list the public articles
	Closed      bool `json:"closed"`       // there are no public pages
	ReviewEvery int  `json:"review_every"` // months until an article is looked at again; 0: never
	RemindDays  int  `json:"remind_days"`  // before an article expires
}

const settingsName = "knowledge"

// Settings returns what holds.
func (s *Service) Settings(ctx context.Context) (Settings, error) {
	return readSettings(ctx, s.DB().Read())
}

func readSettings(ctx context.Context, q db.Querier) (Settings, error) {
	st := Settings{Review: true, ReviewEvery: 6, RemindDays: 14}
	return st, setting.Read(ctx, q, settingsName, &st)
}

// SetSettings changes them.
func (s *Service) SetSettings(ctx context.Context, actor authz.Actor, in Settings) error {
	if err := actor.Check(PermManage); err != nil {
		return err
	}
	bad := fault.Invalidf("knowledge.invalid")
	if in.ReviewEvery < 0 || in.ReviewEvery > 60 {
		bad.Field("review_every", "knowledge.between", 0, 60)
	}
	if in.RemindDays < 1 || in.RemindDays > 90 {
		bad.Field("remind_days", "knowledge.between", 1, 90)
	}
	if err := bad.OrNil(); err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "knowledge.settings", func(ctx context.Context, a *action.Action) error {
		old, err := readSettings(ctx, a)
		if err != nil {
			return err
		}
		yes := func(b bool) string { return "@" + map[bool]string{true: "common.yes", false: "common.no"}[b] }
		cs := changed(nil, "review", yes(old.Review), yes(in.Review))
		cs = changed(cs, "index", yes(old.Index), yes(in.Index))
		cs = changed(cs, "closed", yes(old.Closed), yes(in.Closed))
		cs = changed(cs, "review_every", strconv.Itoa(old.ReviewEvery), strconv.Itoa(in.ReviewEvery))
		cs = changed(cs, "remind_days", strconv.Itoa(old.RemindDays), strconv.Itoa(in.RemindDays))
		if len(cs) == 0 {
			a.Nothing()
			return nil
		}
		a.Record(event.Event{Kind: EventSettings, Subject: event.Subject{Type: "knowledge"}, Data: Fact{Changes: cs}})
		return setting.Write(ctx, a.Tx, settingsName, in)
	})
}

// Category is a place in the tree.
type Category struct {
	ID, ParentID int64
	Name         string
	Position     int64
	Depth        int
	Path         string // with the names above it
	Articles     int    // that the reader may read; see [Service.Categories]
}

// MaxDepth is how deep the tree goes.
const MaxDepth = 4

type categoriesKey struct{}

func categories(ctx context.Context, q db.Querier) ([]Category, error) {
	return db.Held(ctx, q, categoriesKey{}, func() ([]Category, error) {
		rows, err := q.Query(ctx, `SELECT id, parent_id, name, position FROM article_categories ORDER BY position, id LIMIT 2000`)
		if err != nil {
			return nil, fmt.Errorf("knowledge: categories: %w", err)
		}
		defer rows.Close()
		under := map[int64][]Category{}
		for rows.Next() {
			var c Category
			if err := rows.Scan(&c.ID, &c.ParentID, &c.Name, &c.Position); err != nil {
				return nil, fmt.Errorf("knowledge: categories: %w", err)
			}
			under[c.ParentID] = append(under[c.ParentID], c)
		}
		if err := rows.Err(); err != nil {
			return nil, err
		}
		var out []Category
		var walk func(parent int64, depth int, path string)
		walk = func(parent int64, depth int, path string) {
			for _, c := range under[parent] {
				c.Depth, c.Path = depth, path+c.Name
				out = append(out, c)
				walk(c.ID, depth+1, c.Path+" / ")
			}
		}
		walk(0, 0, "")
		return out, nil
	})
}

// Tree returns the categories, parents before children.
func (s *Service) Tree(ctx context.Context) ([]Category, error) {
	cs, err := categories(ctx, s.DB().Read())
	return slices.Clone(cs), err
}

// Categories is Tree with how many published articles actor may read in each,
// those below included.
func (s *Service) Categories(ctx context.Context, actor authz.Actor) ([]Category, error) {
	cs, err := s.Tree(ctx)
	if err != nil {
		return nil, err
	}
	r, err := s.reach(ctx, actor)
	if err != nil {
		return nil, err
	}
	var a db.Args
	rows, err := s.DB().Read().Query(ctx, `SELECT t.category_id, COUNT(*) FROM articles t WHERE `+r.live(&a, "t")+` GROUP BY t.category_id`, a.Values...)
	if err != nil {
		return nil, fmt.Errorf("knowledge: count: %w", err)
	}
	defer rows.Close()
	n := map[int64]int{}
	for rows.Next() {
		var id int64
		var c int
		if err := rows.Scan(&id, &c); err != nil {
			return nil, fmt.Errorf("knowledge: count: %w", err)
		}
		n[id] = c
	}
	at := map[int64]int{}
	for i := range cs {
		cs[i].Articles = n[cs[i].ID]
		at[cs[i].ID] = i
	}
	for i := len(cs) - 1; i >= 0; i-- { // children stand behind their parents
		if p, ok := at[cs[i].ParentID]; ok {
			cs[p].Articles += cs[i].Articles
		}
	}
	return cs, rows.Err()
}

// below returns id and the categories below it.
func below(cs []Category, id int64) []int64 {
	out := []int64{id}
	for _, c := range cs { // parents come first
		if slices.Contains(out, c.ParentID) {
			out = append(out, c.ID)
		}
	}
	return out
}

// SaveCategory adds a category (id 0) or changes one.
func (s *Service) SaveCategory(ctx context.Context, actor authz.Actor, c Category) (id int64, err error) {
	if err := actor.Check(PermManage); err != nil {
		return 0, err
	}
	c.Name = strings.TrimSpace(c.Name)
	err = s.run.Do(ctx, actor, "knowledge.category", func(ctx context.Context, a *action.Action) error {
		id, err = s.saveCategory(ctx, a, c)
		return err
	})
	return id, err
}

func (s *Service) saveCategory(ctx context.Context, a *action.Action, c Category) (int64, error) {
	cs, err := categories(ctx, a)
	if err != nil {
		return 0, err
	}
	bad := fault.Invalidf("knowledge.invalid")
	if n := len([]rune(c.Name)); n == 0 || n > 40 {
		bad.Field("name", "knowledge.need_name", 40)
	}
	var old Category
	depth := 0
	for _, x := range cs {
		if x.ID == c.ID {
			old = x
		}
		if x.ParentID == c.ParentID && x.Name == c.Name && x.ID != c.ID {
			bad.Field("name", "knowledge.category_twice")
		}
		if x.ID == c.ParentID {
			depth = x.Depth + 1
		}
	}
	if c.ID != 0 && old.ID == 0 {
		return 0, notFound()
	}
	if c.ParentID != 0 && (depth == 0 || c.ID != 0 && slices.Contains(below(cs, c.ID), c.ParentID)) {
		bad.Field("parent", "knowledge.category_parent")
	} else {
		deepest := 0
		for _, x := range cs {
			if c.ID != 0 && slices.Contains(below(cs, c.ID), x.ID) {
				deepest = max(deepest, x.Depth-old.Depth)
			}
		}
		if depth+deepest >= MaxDepth {
			bad.Field("parent", "knowledge.category_deep", MaxDepth)
		}
	}
	if err := bad.OrNil(); err != nil {
		return 0, err
	}
	if c.ID == 0 {
		err = a.QueryRow(ctx, `INSERT INTO article_categories (parent_id, name, position, created_at) VALUES ($1, $2, $3, $4) RETURNING id`, c.ParentID, c.Name, c.Position, a.NowMicros()).Scan(&c.ID)
	} else {
		_, err = a.Exec(ctx, `UPDATE article_categories SET parent_id = $1, name = $2, position = $3 WHERE id = $4`, c.ParentID, c.Name, c.Position, c.ID)
	}
	if err != nil {
		return 0, fmt.Errorf("knowledge: category: %w", err)
	}
	a.Drop(categoriesKey{})
	a.Record(event.Event{Kind: EventCategory, Subject: event.Subject{Type: "knowledge", ID: c.ID}, Data: Fact{Args: []string{c.Name}, Changes: changed(nil, "category", old.Name, c.Name)}})
	return c.ID, nil
}

// RemoveCategory removes an empty category.
func (s *Service) RemoveCategory(ctx context.Context, actor authz.Actor, id int64) error {
	if err := actor.Check(PermManage); err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "knowledge.category_remove", func(ctx context.Context, a *action.Action) error {
		cs, err := categories(ctx, a)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(cs, func(c Category) bool { return c.ID == id })
		if at < 0 {
			return notFound()
		}
		var n int
		if err := a.QueryRow(ctx, `SELECT COUNT(*) FROM articles WHERE category_id = $1`, id).Scan(&n); err != nil {
			return fmt.Errorf("knowledge: category: %w", err)
		}
		if n > 0 || len(below(cs, id)) > 1 {
			return fault.New(fault.Conflict, "knowledge.category_used")
		}
		if _, err := a.Exec(ctx, `DELETE FROM article_categories WHERE id = $1`, id); err != nil {
			return fmt.Errorf("knowledge: category: %w", err)
		}
		a.Drop(categoriesKey{})
		a.Record(event.Event{Kind: EventUncategory, Subject: event.Subject{Type: "knowledge", ID: id}, Data: Fact{Args: []string{cs[at].Name}}})
		return nil
	})
}

func notFound() error { return fault.New(fault.NotFound, "knowledge.not_found") }

// set writes ids as a column holds them: " 1 2 ".
func set(ids []int64) string {
	if len(ids) == 0 {
		return ""
	}
	var b strings.Builder
	for _, n := range ids {
		b.WriteString(" " + strconv.FormatInt(n, 10))
	}
	return b.String() + " "
}

func unset(s string) (out []int64) {
	for _, f := range strings.Fields(s) {
		if n, err := strconv.ParseInt(f, 10, 64); err == nil {
			out = append(out, n)
		}
	}
	return out
}

var likeEscape = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)
