// Package knowledgeapi is the JSON API of the knowledge base.
package knowledgeapi

import (
	"context"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/api"
	"bihuan/internal/fault"
	"bihuan/internal/knowledge"
	"bihuan/internal/org"
	"bihuan/internal/org/orgapi"
	"bihuan/internal/ticket"
)

type service struct {
	runner  *action.Runner
	know    *knowledge.Service
	tickets *ticket.Service
	people  orgapi.Directory
}

const (
	tag   = "Knowledge base"
	read  = "knowledge:read"
	write = "knowledge:write"
)

// Routes adds the operations.
func Routes(a *api.API, run *action.Runner, k *knowledge.Service, t *ticket.Service, o *org.Service) {
	s := &service{run, k, t, orgapi.Directory{Org: o}}
	api.Handle(a, api.Op{ID: "list-articles", Method: "GET", Path: "/articles", Tag: tag, Perm: knowledge.PermRead, Scope: read,
		Summary: "List or search articles", Description: "Those the caller may read. With `q` the published ones that fit best, without further pages; without, the last changed first. With `state`, those he may change, in that state."}, s.list)
	api.Handle(a, api.Op{ID: "create-article", Method: "POST", Path: "/articles", Tag: tag, Perm: knowledge.PermWrite, Scope: write, Status: 201,
		Example: `{"title":"发票抬头开错了怎么办","body":"请在 **30 天**内申请换开。","audience":"public","category":"发票与付款"}`,
		Summary: "Write an article", Description: "It begins as a draft of the caller's."}, s.create)
	api.Handle(a, api.Op{ID: "get-article", Method: "GET", Path: "/articles/{id}", Tag: tag, Perm: knowledge.PermRead, Scope: read, Errors: []int{404},
		Summary: "Read an article", Description: "For whoever may change it, its latest text; for others what is published. One the caller may not read is a 404."}, s.get)
	api.Handle(a, api.Op{ID: "update-article", Method: "PUT", Path: "/articles/{id}", Tag: tag, Perm: knowledge.PermWrite, Scope: write, Errors: []int{404, 409},
		Summary: "Change an article", Description: "As a whole, from the `version` that was read; its files stay. What readers see stays until it is published."}, s.update)
	api.Handle(a, api.Op{ID: "delete-article", Method: "DELETE", Path: "/articles/{id}", Tag: tag, Perm: knowledge.PermWrite, Scope: write, Errors: []int{404, 409},
		Summary: "Delete a draft", Description: "One that was ever published is withdrawn instead."}, s.delete)
	api.Handle(a, api.Op{ID: "step-article", Method: "POST", Path: "/articles/{id}/steps", Tag: tag, Perm: knowledge.PermRead, Scope: write, Errors: []int{404, 409},
		Example: `{"step":"publish","version":2}`,
		Summary: "Take an article a step on", Description: "submit, return (with a reason), publish, withdraw or verify. Where review is asked for, nobody publishes what he wrote himself."}, s.step)
	api.Handle(a, api.Op{ID: "list-article-versions", Method: "GET", Path: "/articles/{id}/versions", Tag: tag, Perm: knowledge.PermRead, Scope: read, Errors: []int{404},
		Summary: "List the versions of an article", Description: "For whoever may change it, the newest first."}, s.versions)
	api.Handle(a, api.Op{ID: "list-article-categories", Method: "GET", Path: "/article-categories", Tag: tag, Perm: knowledge.PermRead, Scope: read,
		Summary: "List the categories", Description: "Parents before children, each with how many published articles the caller may read in it and below."}, s.categories)
	api.Handle(a, api.Op{ID: "list-ticket-articles", Method: "GET", Path: "/tickets/{number}/articles", Tag: tag, Perm: knowledge.PermRead, Scope: read, Errors: []int{404},
		Summary: "List articles for a ticket", Description: "Those that belong to it, and those that fit what it is about."}, s.ofTicket)
	api.Handle(a, api.Op{ID: "link-ticket-article", Method: "PUT", Path: "/tickets/{number}/articles/{id}", Tag: tag, Perm: knowledge.PermRead, Scope: write, Errors: []int{404},
		Summary: "Link an article to a ticket", Description: "Notes that it helped with it. Doing so again changes nothing."}, s.link)
	api.Handle(a, api.Op{ID: "unlink-ticket-article", Method: "DELETE", Path: "/tickets/{number}/articles/{id}", Tag: tag, Perm: knowledge.PermRead, Scope: write, Errors: []int{404},
		Summary: "Unlink an article from a ticket", Description: "Takes back that it helped with it. One that is not linked is a 404."}, s.unlink)
}

// NewArticle is an article to be written.
type NewArticle struct {
	Title       string   `json:"title" doc:"At most 120 characters"`
	Body        string   `json:"body" doc:"Headings, lists, tables, links and pictures as in Markdown; nothing else"`
	Keywords    string   `json:"keywords,omitempty"`
	Audience    string   `json:"audience" enum:"public,customers,staff,chosen"`
	Departments []string `json:"departments,omitempty" doc:"Names, of audience chosen"`
	RoleIDs     []int64  `json:"role_ids,omitempty" doc:"Of audience chosen"`
	Category    string   `json:"category,omitempty" doc:"Path of the category, with \" / \" between its names" example:"发票与付款"`
	FAQ         bool     `json:"faq,omitempty" doc:"Listed among the frequent questions"`
	Owner       string   `json:"owner,omitempty" doc:"Login; absent: who writes it, or as before"`
	ReviewOn    string   `json:"review_on,omitempty" format:"date" doc:"When its owner is reminded to look at it"`
	ExpiresOn   string   `json:"expires_on,omitempty" format:"date" doc:"When it is taken down"`
	Note        string   `json:"note,omitempty" doc:"Of a change: what was changed"`
	Version     int64    `json:"version,omitempty" doc:"Of a change: the version that was read"`
}

// Article is a piece of knowledge.
type Article struct {
	ID int64 `json:"id"`
	NewArticle
	State       string     `json:"state" enum:"draft,review,published,expired"`
	LiveVersion int64      `json:"live_version,omitempty" doc:"What readers see; absent: nothing"`
	PublishedAt *time.Time `json:"published_at,omitempty"`
	Views       int64      `json:"views"`
	Uses        int64      `json:"uses"`
	Helpful     int64      `json:"helpful"`
	Unhelpful   int64      `json:"unhelpful"`
}

func (s *service) view(ctx context.Context, x knowledge.Article) Article {
	out := Article{ID: x.ID, State: string(x.State), LiveVersion: x.Live.Version, PublishedAt: api.At(ctx, x.PublishedAt), Views: x.Views, Uses: x.Uses, Helpful: x.Helpful, Unhelpful: x.Unhelpful,
		NewArticle: NewArticle{Title: x.Title, Body: x.Body, Keywords: x.Keywords, Audience: string(x.Audience), RoleIDs: x.Roles, FAQ: x.FAQ, Version: x.Version, ReviewOn: date(x.ReviewAt), ExpiresOn: date(x.ExpiresAt)}}
	for _, d := range x.Departments {
		out.Departments = append(out.Departments, s.people.Department(ctx, nil, d))
	}
	if cs, err := s.know.Tree(ctx); err == nil {
		for _, c := range cs {
			if c.ID == x.CategoryID {
				out.Category = c.Path
			}
		}
	}
	out.Owner = s.login(ctx, x.OwnerID)
	return out
}

func (s *service) login(ctx context.Context, id int64) string {
	if p := s.people.Person(ctx, nil, id); p != nil {
		return p.Login
	}
	return ""
}

func date(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.DateOnly)
}

func (s *service) input(ctx context.Context, n NewArticle) (in knowledge.Input, err error) {
	in = knowledge.Input{Version: n.Version, FAQ: n.FAQ, Note: n.Note, Text: knowledge.Text{Title: n.Title, Body: n.Body, Keywords: n.Keywords, Audience: knowledge.Audience(n.Audience), Roles: n.RoleIDs}}
	bad := fault.Invalidf("knowledge.invalid")
	for i, d := range n.Departments {
		id, err := s.people.DepartmentID(ctx, "departments."+strconv.Itoa(i), d)
		if err != nil {
			return in, err
		}
		in.Departments = append(in.Departments, id)
	}
	if n.Category != "" {
		cs, err := s.know.Tree(ctx)
		if err != nil {
			return in, err
		}
		for _, c := range cs {
			if c.Path == strings.TrimSpace(n.Category) {
				in.CategoryID = c.ID
			}
		}
		if in.CategoryID == 0 {
			bad.Field("category", "knowledge.need_category")
		}
	}
	if n.Owner != "" {
		if in.OwnerID, err = s.people.PersonID(ctx, "owner", n.Owner); err != nil {
			return in, err
		}
	}
	for field, to := range map[string]struct {
		text string
		at   *time.Time
	}{"review_on": {n.ReviewOn, &in.ReviewAt}, "expires_on": {n.ExpiresOn, &in.ExpiresAt}} {
		if to.text == "" {
			continue
		}
		if *to.at, err = time.Parse(time.DateOnly, to.text); err != nil {
			bad.Field(field, "knowledge.need_date")
		}
	}
	return in, bad.OrNil()
}

type articlesInput struct {
	Text     string `query:"q" maxLength:"200" doc:"What is asked: words, a question, pinyin" example:"发票抬头"`
	State    string `query:"state" enum:"draft,review,published,expired"`
	Category int64  `query:"category_id" doc:"This category and those below"`
	api.Page
}

type articlesOutput struct {
	Body struct {
		Items []Article `json:"items"`
		Next  string    `json:"next,omitempty" doc:"Cursor of the next page; absent at the end"`
	}
}

func (s *service) list(ctx context.Context, in *articlesInput) (*articlesOutput, error) {
	actor, out := api.Actor(ctx), &articlesOutput{}
	out.Body.Items = []Article{}
	if in.Text != "" && in.State == "" {
		found, _, err := s.know.Find(ctx, actor, knowledge.Search{Text: in.Text, CategoryID: in.Category, Limit: min(in.Limit, 100)})
		if err != nil {
			return nil, err
		}
		s.know.Asked(knowledge.Desk, in.Text, knowledge.Answers(found))
		for _, x := range found {
			out.Body.Items = append(out.Body.Items, s.view(ctx, x.Article))
		}
		return out, nil
	}
	f := knowledge.Filter{Text: in.Text, State: knowledge.State(in.State), CategoryID: in.Category, Limit: in.Limit}
	if at, id, ok := strings.Cut(in.Cursor, "."); ok {
		f.After.At, _ = strconv.ParseInt(at, 10, 64)
		f.After.ID, _ = strconv.ParseInt(id, 10, 64)
	}
	xs, more, err := s.know.List(ctx, actor, f)
	if err != nil {
		return nil, err
	}
	for _, x := range xs {
		out.Body.Items = append(out.Body.Items, s.view(ctx, x))
	}
	if more {
		last := xs[len(xs)-1]
		out.Body.Next = strconv.FormatInt(last.UpdatedAt.UnixMicro(), 10) + "." + strconv.FormatInt(last.ID, 10)
	}
	return out, nil
}

// ArticlePath names an article.
type ArticlePath struct {
	ID int64 `path:"id" minimum:"1" doc:"Id of the article" example:"7"`
}

type articleOutput struct {
	Location string `header:"Location" doc:"Address of a new article"`
	Replayed string `header:"Idempotent-Replayed" doc:"true when an earlier request has done it"`
	Body     Article
}

func (s *service) now(ctx context.Context, id int64, location, replayed string, err error) (*articleOutput, error) {
	if err != nil {
		return nil, err
	}
	x, err := s.know.Get(ctx, api.Actor(ctx), id)
	if err != nil {
		return nil, err
	}
	return &articleOutput{location, replayed, s.view(ctx, x)}, nil
}

func (s *service) create(ctx context.Context, in *struct {
	api.Idempotency
	Body api.JSON[NewArticle]
}) (*articleOutput, error) {
	n := in.Body.Value()
	ki, err := s.input(ctx, n)
	if err != nil {
		return nil, err
	}
	id, replayed, err := api.Once(ctx, s.runner, in.Key, "knowledge.create", n, func(ctx context.Context, a *action.Action) (int64, error) { return s.know.CreateIn(ctx, a, ki) })
	return s.now(ctx, id, api.Prefix+"/articles/"+strconv.FormatInt(id, 10), replayed, err)
}

func (s *service) get(ctx context.Context, in *struct{ ArticlePath }) (*articleOutput, error) {
	return s.now(ctx, in.ID, "", "", nil)
}

func (s *service) update(ctx context.Context, in *struct {
	ArticlePath
	Body api.JSON[NewArticle]
}) (*articleOutput, error) {
	n, actor := in.Body.Value(), api.Actor(ctx)
	if _, err := api.Version("", &n.Version, 0); err != nil {
		return nil, err
	}
	old, err := s.know.Get(ctx, actor, in.ID)
	if err != nil {
		return nil, err
	}
	ki, err := s.input(ctx, n)
	ki.Files = old.Files
	if err == nil {
		err = s.know.Edit(ctx, actor, in.ID, ki)
	}
	return s.now(ctx, in.ID, "", "", err)
}

func (s *service) delete(ctx context.Context, in *struct{ ArticlePath }) (*struct{}, error) {
	return nil, s.know.Delete(ctx, api.Actor(ctx), in.ID)
}

// ArticleStep is what is done with an article.
type ArticleStep struct {
	Step    string `json:"step" enum:"submit,return,publish,withdraw,verify"`
	Version int64  `json:"version,omitempty" doc:"The version that was looked at; absent: whatever it is"`
	Reason  string `json:"reason,omitempty" doc:"Required of return"`
}

func (s *service) step(ctx context.Context, in *struct {
	ArticlePath
	Body api.JSON[ArticleStep]
}) (*articleOutput, error) {
	n := in.Body.Value()
	return s.now(ctx, in.ID, "", "", s.know.Do(ctx, api.Actor(ctx), in.ID, knowledge.Step(n.Step), n.Version, n.Reason))
}

// ArticleVersion is an article as it was saved.
type ArticleVersion struct {
	Version     int64      `json:"version"`
	Title       string     `json:"title"`
	Body        string     `json:"body"`
	Audience    string     `json:"audience"`
	Note        string     `json:"note,omitempty"`
	By          string     `json:"by" doc:"Login"`
	At          *time.Time `json:"at"`
	PublishedAt *time.Time `json:"published_at,omitempty"`
}

type articleVersionsOutput struct {
	Body struct {
		Items []ArticleVersion `json:"items"`
		Next  string           `json:"next,omitempty" doc:"Cursor of the next page; absent at the end"`
	}
}

func (s *service) versions(ctx context.Context, in *struct {
	ArticlePath
	api.Page
}) (*articleVersionsOutput, error) {
	before, _ := strconv.ParseInt(in.Cursor, 10, 64)
	vs, err := s.know.Versions(ctx, api.Actor(ctx), in.ID, before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	out := &articleVersionsOutput{}
	out.Body.Items = []ArticleVersion{}
	for i, v := range vs {
		if i == in.Limit {
			out.Body.Next = strconv.FormatInt(vs[i-1].N, 10)
			break
		}
		out.Body.Items = append(out.Body.Items, ArticleVersion{v.N, v.Title, v.Body, string(v.Audience), v.Note, s.login(ctx, v.UserID), api.At(ctx, v.At), api.At(ctx, v.PublishedAt)})
	}
	return out, nil
}

// ArticleCategory is a place in the tree.
type ArticleCategory struct {
	ID       int64  `json:"id"`
	ParentID int64  `json:"parent_id,omitempty"`
	Path     string `json:"path" doc:"Its name with those above it"`
	Articles int    `json:"articles"`
}

func (s *service) categories(ctx context.Context, _ *struct{}) (*struct{ Body []ArticleCategory }, error) {
	cs, err := s.know.Categories(ctx, api.Actor(ctx))
	if err != nil {
		return nil, err
	}
	out := []ArticleCategory{}
	for _, c := range cs {
		out = append(out, ArticleCategory{c.ID, c.ParentID, c.Path, c.Articles})
	}
	return &struct{ Body []ArticleCategory }{out}, nil
}

// TicketPath names a ticket and an article.
type TicketPath struct {
	Number string `path:"number" maxLength:"60" doc:"Number of the ticket" example:"TASK20261122001"`
	ID     int64  `path:"id" minimum:"1" doc:"Id of the article" example:"2"`
}

// TicketArticles are the articles for a ticket.
type TicketArticles struct {
	Linked    []Article `json:"linked"`
	Suggested []Article `json:"suggested"`
}

func (s *service) ofTicket(ctx context.Context, in *struct {
	Number string `path:"number" maxLength:"60" doc:"Number of the ticket" example:"TASK20261122001"`
}) (*struct{ Body TicketArticles }, error) {
	actor := api.Actor(ctx)
	t, err := s.tickets.ByNumber(ctx, ticket.View(actor), in.Number)
	if err != nil {
		return nil, err
	}
	out := &struct{ Body TicketArticles }{TicketArticles{[]Article{}, []Article{}}}
	linked, err := s.know.Of(ctx, actor, t.ID)
	if err != nil {
		return nil, err
	}
	for _, l := range linked {
		out.Body.Linked = append(out.Body.Linked, s.view(ctx, l.Article))
	}
	found, err := s.know.Suggest(ctx, actor, t, 5)
	for _, x := range found {
		out.Body.Suggested = append(out.Body.Suggested, s.view(ctx, x.Article))
	}
	return out, err
}

func (s *service) link(ctx context.Context, in *struct{ TicketPath }) (*struct{}, error) {
	actor := api.Actor(ctx)
	t, err := s.tickets.ByNumber(ctx, ticket.View(actor), in.Number)
	if err != nil {
		return nil, err
	}
	return nil, s.know.Attach(ctx, actor, in.ID, t)
}

func (s *service) unlink(ctx context.Context, in *struct{ TicketPath }) (*struct{}, error) {
	actor := api.Actor(ctx)
	t, err := s.tickets.ByNumber(ctx, ticket.View(actor), in.Number)
	if err != nil {
		return nil, err
	}
	return nil, s.know.Detach(ctx, actor, in.ID, t)
}
