package portal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/clock"
	"bihuan/internal/cnid"
	"bihuan/internal/complaint"
	"bihuan/internal/crypt"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/journal"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
)

// PrivacyVersion names the text of the privacy notice in force; it is stored
// with each consent. Change it whenever portal.privacy.* changes its meaning.
const PrivacyVersion = "2026-11"

// ConsentGiven is the fact that a customer agreed to the privacy notice.
const ConsentGiven = "portal.consent_given"

// Consent is its data: what PIPL 14 and 17 want to be able to prove.
type Consent struct {
	Args    []string  `json:"args"`
	Version string    `json:"version"` // of the text
	Lang    i18n.Lang `json:"lang"`    // in which he read it
	Channel string    `json:"channel"`
	Ticket  int64     `json:"ticket"`
}

// Limits of uploads by people we do not know.
const (
	MaxFiles    = 5
	MaxFileSize = 10 << 20
	maxUploads  = MaxFiles*MaxFileSize + 1<<20 // with the rest of the form
)

// How long a form may stay open, and an upload wait for its form.
const formLife = 12 * time.Hour

// Service is the channel.
type Service struct {
	run        *action.Runner
	tickets    *ticket.Service
	customers  *customer.Service
	files      *blob.Files
	keys       *crypt.Keeper
	company    func(ctx context.Context) string
	complaints *complaint.Service // nil: complaints are shown like other requests
	limits     limits
	help       func(ctx context.Context) bool // nil: there are no help pages
}

// ShowComplaints lets customers see the steps of their complaints.
func (s *Service) ShowComplaints(c *complaint.Service) *Service {
	s.complaints = c
	return s
}

// ShowHelp offers the help pages wherever open says that there are some.
func (s *Service) ShowHelp(open func(ctx context.Context) bool) *Service {
	s.help = open
	return s
}

func (s *Service) hasHelp(ctx context.Context) bool { return s.help != nil && s.help(ctx) }

// limits are buckets: so many at once, then one per interval.
type limits struct {
	lookups   *web.Limiter // by address: 5 in 15 minutes
	codes     *web.Limiter // by ticket number, whoever asks
	requests  *web.Limiter // new requests by address
	contacts  *web.Limiter // new requests by telephone or mail address
	uploads   *web.Limiter // files by address
	allFiles  *web.Limiter // files of everybody: the disk is not endless
	posts     *web.Limiter // anything sent, by address
	perTicket *web.Limiter // messages and ratings of one request
}

// New returns the channel. company names who processes the data; nil or an empty
// answer is the product's name.
func New(run *action.Runner, tickets *ticket.Service, customers *customer.Service, files *blob.Files, keys *crypt.Keeper, company func(ctx context.Context) string) *Service {
	c := run.DB().Clock()
	return &Service{run: run, tickets: tickets, customers: customers, files: files, keys: keys, company: company, limits: newLimits(c)}
}

func newLimits(c clock.Clock) limits {
	return limits{
		lookups:   web.NewLimiter(c, 5, 3*time.Minute, 50_000),
		codes:     web.NewLimiter(c, 5, 3*time.Minute, 50_000),
		requests:  web.NewLimiter(c, 10, 6*time.Minute, 20_000),
		contacts:  web.NewLimiter(c, 5, time.Hour, 20_000),
		uploads:   web.NewLimiter(c, 15, 4*time.Minute, 20_000),
		allFiles:  web.NewLimiter(c, 300, 10*time.Second, 2),
		posts:     web.NewLimiter(c, 60, 5*time.Second, 20_000),
		perTicket: web.NewLimiter(c, 20, time.Minute, 20_000),
	}
}

// Company returns the name of who runs the portal.
func (s *Service) Company(ctx context.Context, l i18n.Lang) string {
	if s.company != nil {
		if name := s.company(ctx); name != "" {
			return name
		}
	}
	return i18n.T(l, "ui.product")
}

const (
	formPurpose   = "portal form"
	uploadPurpose = "portal upload"
)

// newForm returns the token of one rendering of a form: what makes sending it
// twice harmless.
func (s *Service) newForm() string {
	return s.keys.SignUntil(formPurpose, crypt.Token(12), s.run.DB().Clock().Now().Add(formLife))
}

// formKey returns the import key of the ticket a form makes.
func (s *Service) formKey(token string) (string, error) {
	key, err := s.keys.VerifyAt(formPurpose, token, s.run.DB().Clock().Now())
	if err != nil {
		return "", fault.Invalidf("portal.form_expired")
	}
	return "portal:" + key, nil
}

// Upload is content that was received and waits for its form. The browser keeps
// it in the meantime, sealed: nothing is stored of forms that are never sent, and
// the content goes with the daily sweep.
type Upload struct {
	Seal string
	Meta blob.Meta
}

type sealedUpload struct {
	Sum  string `json:"s"`
	Size int64  `json:"z"`
	Name string `json:"n"`
	MIME string `json:"m"`
}

func (s *Service) seal(m blob.Meta) string {
	b, err := json.Marshal(sealedUpload{m.SHA256, m.Size, m.Name, m.MIME})
	if err != nil {
		panic(err) // strings and a number
	}
	return s.keys.SignUntil(uploadPurpose, string(b), s.run.DB().Clock().Now().Add(formLife))
}

func (s *Service) unseal(token string) (u Upload, ok bool) {
	text, err := s.keys.VerifyAt(uploadPurpose, token, s.run.DB().Clock().Now())
	var x sealedUpload
	if err != nil || json.Unmarshal([]byte(text), &x) != nil {
		return u, false
	}
	return Upload{token, blob.Meta{Info: blob.Info{SHA256: x.Sum, Size: x.Size}, Name: x.Name, MIME: x.MIME}}, true
}

// mayUpload takes one from the buckets of uploads.
func (s *Service) mayUpload(ip string) error {
	if err := s.limits.uploads.Check(web.Network(ip)); err != nil {
		return err
	}
	return s.limits.allFiles.Check("all")
}

// Request is what somebody asks for in the public form, as he typed it.
type Request struct {
	Form        string // token of the rendering
	Name        string
	Company     string
	Phone       string
	Email       string
	Type        string
	Title       string
	Description string
	Urgency     string
	Wish        string // of a complaint: the remedy asked for
	WishNote    string
	Consent     bool
	Uploads     []Upload
}

const (
	maxName        = 60
	maxCompany     = 100
	maxTitle       = 100
	maxDescription = 5000
)

// check cleans in and reports everything that is wrong with it.
func (in *Request) check() error {
	e := fault.Invalidf("portal.request.invalid")
	for _, f := range []struct {
		field string
		v     *string
		max   int
		need  string
	}{
		{"name", &in.Name, maxName, "portal.need.name"}, {"company", &in.Company, maxCompany, ""},
		{"title", &in.Title, maxTitle, "portal.need.title"}, {"description", &in.Description, maxDescription, "portal.need.description"},
	} {
		*f.v = strings.TrimSpace(*f.v)
		if n := utf8.RuneCountInString(*f.v); n > f.max {
			e.Field(f.field, "ui.form.too_long", f.max, n)
		} else if n == 0 && f.need != "" {
			e.Field(f.field, f.need)
		}
	}
	in.Phone, in.Email = strings.TrimSpace(in.Phone), strings.TrimSpace(in.Email)
	if in.Phone == "" && in.Email == "" {
		e.Field("phone", "portal.need.contact")
	}
	if in.Phone != "" {
		p, err := cnid.ParsePhone(in.Phone)
		switch {
		case len(cnid.SplitPhones(in.Phone)) > 1:
			e.Field("phone", "portal.phone.several")
		case errors.Is(err, cnid.ErrPhoneAreaCode):
			e.Field("phone", "portal.phone.area_code")
		case err != nil || p.Kind == cnid.Short:
			e.Field("phone", "portal.phone.invalid")
		}
	}
	if in.Email != "" && cnid.CheckEmail(in.Email) != nil {
		e.Field("email", "portal.email.invalid")
	}
	if !slices.Contains(ticket.Types, in.Type) {
		e.Field("type", "portal.need.type")
	}
	if !slices.Contains(ticket.Urgencies, in.Urgency) {
		e.Field("urgency", "portal.need.urgency")
	}
	if len(in.Uploads) > MaxFiles {
		e.Field("file", "portal.files.many", MaxFiles)
	}
	if !in.Consent {
		e.Field("consent", "portal.need.consent")
	}
	return e.OrNil()
}

// contactKey is by what requests of one person are counted.
func (in *Request) contactKey() string {
	if p, err := cnid.ParsePhone(in.Phone); err == nil {
		return p.Key()
	}
	return cnid.EmailKey(in.Email)
}

// Submit takes a request in: the customer is found or made, the ticket
// registered, the files attached and the consent recorded, all or nothing. The
// same form sent again returns the ticket it made.
func (s *Service) Submit(ctx context.Context, visitor authz.Actor, in Request) (t ticket.Ticket, err error) {
	key, err := s.formKey(in.Form)
	if bad := in.check(); bad != nil {
		return t, bad
	}
	if err != nil {
		return t, err
	}
	if t, err = ticket.ByKey(ctx, s.run.DB().Read(), key); !fault.Is(err, fault.NotFound) {
		return t, err
	}
	if err := s.limits.requests.Check(web.Network(visitor.IP)); err != nil {
		return t, err
	}
	if err := s.limits.contacts.Check(in.contactKey()); err != nil {
		return t, err
	}
	system := authz.System("portal")
	system.IP, system.UserAgent = visitor.IP, visitor.UserAgent
	err = s.run.Do(ctx, system, "portal.submit", func(ctx context.Context, a *action.Action) (err error) {
		if t, err = ticket.ByKey(ctx, a, key); !fault.Is(err, fault.NotFound) {
			a.Nothing()
			return err
		}
		t, err = s.submit(ctx, a, visitor, in, key)
		return err
	})
	if db.IsUnique(err, "import_key") { // on PostgreSQL both came at once
		return ticket.ByKey(ctx, s.run.DB().Read(), key)
	}
	return t, err
}

func (s *Service) submit(ctx context.Context, a *action.Action, visitor authz.Actor, in Request, key string) (t ticket.Ticket, err error) {
	department, err := s.tickets.DepartmentFor(ctx, a, ticket.Request{Type: in.Type, Channel: "website", Text: in.Title + "\n" + in.Description})
	if err != nil {
		return t, err
	}
	// Who he is, is the system's finding; what he asks for is his own word.
	greeting := a.As(a.Actor)
	who, err := s.customers.WelcomeIn(ctx, greeting, customer.Visitor{Name: in.Name, Company: in.Company, Phone: in.Phone, Email: in.Email,
		DepartmentID: department, Source: "website", CreatedBy: i18n.T(i18n.ZhCN, "portal.author")})
	if err != nil {
		return t, err
	}
	if err := a.Join(ctx, greeting); err != nil {
		return t, err
	}
	visitor.Kind, visitor.ID, visitor.CustomerID, visitor.Name = authz.Customer, who.ContactID, who.CustomerID, in.Name
	his := a.As(visitor)
	asked := ticket.RegisterInput{Title: in.Title, Type: in.Type, Urgency: in.Urgency, Channel: "website",
		Description: in.Description, CustomerID: who.CustomerID, ContactID: who.ContactID, ImportKey: key}
	if s.complaints != nil {
		asked.Then = s.complaints.Registered(complaint.Wish{Remedy: in.Wish, Note: in.WishNote})
	}
	t, err = s.tickets.RegisterIn(ctx, his, asked)
	if err != nil {
		return t, err
	}
	for _, u := range in.Uploads {
		if _, err := s.files.SaveTo(ctx, his, u.Meta, blob.Owner{Type: "ticket", ID: t.ID}); err != nil {
			return t, err
		}
	}
	his.Record(event.Event{Kind: ConsentGiven, Subject: event.Subject{Type: "customer", ID: who.CustomerID},
		Data: Consent{Args: []string{PrivacyVersion, t.Number}, Version: PrivacyVersion, Lang: visitor.Lang, Channel: "website", Ticket: t.ID}})
	if err := a.Join(ctx, his); err != nil {
		return t, err
	}
	return t, s.noteDifferences(ctx, a, t, who, in)
}

// noteDifferences tells the staff what the customer wrote of himself that his
// profile does not say. Addresses stay masked: a note is not sealed.
func (s *Service) noteDifferences(ctx context.Context, a *action.Action, t ticket.Ticket, who customer.Welcomed, in Request) error {
	var lines []string
	say := func(key string, args ...any) { lines = append(lines, i18n.T(i18n.ZhCN, key, args...)) }
	if slices.Contains(who.Differs, "name") {
		say("portal.differs.name", in.Name)
	}
	if slices.Contains(who.Differs, "email") {
		say("portal.differs.email", cnid.MaskEmail(in.Email))
	}
	if !who.New && in.Company != "" && in.Company != t.CustomerName {
		say("portal.differs.company", in.Company)
	}
	if len(lines) == 0 {
		return nil
	}
	_, err := journal.Add(ctx, a, journal.Entry{TicketID: t.ID, CustomerID: t.CustomerID, Kind: journal.Note,
		Body: i18n.T(i18n.ZhCN, "portal.differs") + "\n" + strings.Join(lines, "\n")})
	return err
}

// Lookup finds a request by number and code. Whichever is wrong, the answer is
// the same, and so is the work.
func (s *Service) Lookup(ctx context.Context, ip, number, code string) (ticket.Ticket, error) {
	number = strings.ToUpper(strings.TrimSpace(number))
	e := fault.Invalidf("portal.lookup.incomplete")
	if number == "" || len(number) > 64 {
		e.Field("number", "portal.need.number")
	}
	if code = strings.TrimSpace(code); code == "" || len(code) > 64 {
		e.Field("code", "portal.need.code")
	}
	if err := e.OrNil(); err != nil {
		return ticket.Ticket{}, err
	}
	if err := s.limits.lookups.Check(web.Network(ip)); err != nil {
		return ticket.Ticket{}, err
	}
	if err := s.limits.codes.Check(number); err != nil {
		return ticket.Ticket{}, err
	}
	t, err := s.tickets.Lookup(ctx, number, code)
	if fault.Is(err, fault.NotFound) {
		return t, fault.Invalidf("portal.lookup.wrong")
	}
	if err == nil {
		s.limits.codes.Reset(number)
	}
	return t, err
}

// Write takes the customer's words to his request; after is the newest entry his
// page showed. The same words sent again from the same page are not written
// twice. It returns the ticket the words went to.
func (s *Service) Write(ctx context.Context, actor authz.Actor, t ticket.Ticket, form, text string, after int64, uploads []Upload) (out ticket.Ticket, err error) {
	key, err := s.formKey(form)
	if err != nil {
		return t, err
	}
	e := fault.Invalidf("portal.message.invalid")
	text = strings.TrimSpace(text)
	if n := utf8.RuneCountInString(text); n > maxDescription {
		e.Field("body", "ui.form.too_long", maxDescription, n)
	} else if n == 0 && (len(uploads) == 0 || !t.State.Open()) {
		e.Field("body", "portal.need.message")
	}
	if len(uploads) > MaxFiles {
		e.Field("file", "portal.files.many", MaxFiles)
	}
	if err := e.OrNil(); err != nil {
		return t, err
	}
	if out, err = ticket.ByKey(ctx, s.run.DB().Read(), key); !fault.Is(err, fault.NotFound) {
		return out, err
	}
	if err := s.limits.perTicket.Check(t.Number); err != nil {
		return t, err
	}
	err = s.run.Do(ctx, actor, "portal.write", func(ctx context.Context, a *action.Action) error {
		since, _, err := journal.Of(ctx, a, journal.Place{Ticket: t.ID}, journal.Page{After: max(after, 1), Kinds: []journal.Kind{journal.Customer}, Limit: 20})
		if err != nil {
			return err
		}
		if slices.ContainsFunc(since, func(e journal.Entry) bool { return e.Body == text && e.AuthorKind == authz.Customer }) {
			out = t
			a.Nothing()
			return nil
		}
		var ids []int64
		for _, u := range uploads {
			f, err := s.files.Save(ctx, a, u.Meta)
			if err != nil {
				return err
			}
			ids = append(ids, f.ID)
		}
		out, err = s.tickets.CustomerWritesIn(ctx, a, t.ID, text, ids, key)
		return err
	})
	if db.IsUnique(err, "import_key") {
		return ticket.ByKey(ctx, s.run.DB().Read(), key)
	}
	return out, err
}

// Rate takes the customer's judgement of a round. The same judgement sent again
// changes nothing: a thumb taps twice.
func (s *Service) Rate(ctx context.Context, actor authz.Actor, t ticket.Ticket, round int, r ticket.Rating) (ticket.Ticket, error) {
	given, err := ticket.Ratings(ctx, s.run.DB().Read(), t.ID)
	if err != nil {
		return t, err
	}
	for _, g := range given {
		if g.Round == round && g.Stars == r.Stars && g.Solved == r.Solved && g.Speed == r.Speed && g.Quality == r.Quality && g.Attitude == r.Attitude && g.Handling == r.Handling &&
			g.Comment == strings.TrimSpace(r.Comment) && g.Suggestion == strings.TrimSpace(r.Suggestion) && t.State != ticket.AwaitingConfirmation {
			return t, nil
		}
	}
	if round != t.Round {
		return t, fault.New(fault.Conflict, "portal.rating.late")
	}
	if err := s.limits.perTicket.Check(t.Number); err != nil {
		return t, err
	}
	return s.tickets.Rate(ctx, actor, t.ID, r)
}

// publicFiles returns the files the customer sent with his request, and those of
// the entries he may see.
func (s *Service) publicFiles(ctx context.Context, t ticket.Ticket, entries []journal.Entry) (own []blob.File, of map[int64][]blob.File, err error) {
	all, err := s.files.Of(ctx, s.run.DB().Read(), "ticket", t.ID)
	if err != nil {
		return nil, nil, err
	}
	public := map[int64]bool{}
	for _, e := range entries {
		public[e.ID] = e.Kind.Public()
	}
	of = map[int64][]blob.File{}
	var foreign []int64 // entries of requests merged into this one
	for _, e := range entries {
		if e.OriginID != 0 {
			foreign = append(foreign, e.ID)
		}
	}
	theirs, err := s.files.OfEntries(ctx, s.run.DB().Read(), foreign)
	if err != nil {
		return nil, nil, err
	}
	for _, fs := range theirs {
		all = append(all, fs...)
	}
	for _, f := range all {
		switch {
		case f.Owner.Internal:
		case f.Owner.EntryID == 0 && hisOwnWords(t):
			own = append(own, f)
		case f.Owner.EntryID != 0 && public[f.Owner.EntryID]:
			of[f.Owner.EntryID] = append(of[f.Owner.EntryID], f)
		}
	}
	return own, of, nil
}

// hisOwnWords reports whether the customer wrote the description himself. What a
// colleague wrote down on the telephone is not for him to read.
func hisOwnWords(t ticket.Ticket) bool {
	return t.CreatedBy == 0 && (t.Channel == "website" || t.FollowsID != 0)
}

// file returns a file of the public part of t; any other is NotFound.
func (s *Service) file(ctx context.Context, t ticket.Ticket, id int64) (blob.File, error) {
	q := s.run.DB().Read()
	gone := fault.New(fault.NotFound, "blob.not_found")
	f, err := s.files.Get(ctx, q, id)
	if err != nil {
		return f, err
	}
	if f.Owner.Type != "ticket" || f.Owner.Internal || f.Owner.EntryID == 0 && f.Owner.ID != t.ID {
		return f, gone
	}
	if f.Owner.EntryID == 0 {
		if !hisOwnWords(t) {
			return f, gone
		}
		return f, nil
	}
	es, _, err := journal.Of(ctx, q, journal.Place{Ticket: t.ID, Customer: t.CustomerID}, journal.Page{Before: f.Owner.EntryID + 1, Limit: 1})
	if err != nil {
		return f, fmt.Errorf("portal: %w", err)
	}
	if len(es) != 1 || es[0].ID != f.Owner.EntryID || !es[0].Kind.Public() {
		return f, gone
	}
	return f, nil
}
