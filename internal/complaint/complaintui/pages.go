// Package complaintui shows complaints: beside their ticket, the steps as forms
// one under another, the file on paper, the list supervisors watch, and what an
// administrator decides about them.
package complaintui

import (
	"context"
	"embed"
	"html/template"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/complaint"
	"bihuan/internal/customer"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/journal"
	"bihuan/internal/org"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

//go:embed *.html *.css
var files embed.FS

var (
	_ = ui.AddAssets(files, "complaint.css")
	_ = []struct{}{ui.SetTone("complaint.low", "gray"), ui.SetTone("complaint.medium", "blue"), ui.SetTone("complaint.high", "orange"), ui.SetTone("complaint.critical", "red"),
		ui.SetTone("complaint.calm", "green"), ui.SetTone("complaint.anxious", "blue"), ui.SetTone("complaint.unhappy", "amber"), ui.SetTone("complaint.angry", "orange"), ui.SetTone("complaint.furious", "red"),
		ui.SetTone("complaint.1", "gray"), ui.SetTone("complaint.2", "amber"), ui.SetTone("complaint.3", "orange"), ui.SetTone("complaint.4", "red"),
		ui.SetTone("complaint.accepted", "green"), ui.SetTone("complaint.rejected", "red"), ui.SetTone("complaint.silent", "gray")}
)

// Path is the process a complaint follows, as far as its pages say something of
// it: where it stands, which stage asks for which record, and what can be done.
type Path struct {
	Process, Stage string
	Asks           map[complaint.Step]string // the stage that asks for it
	Due            []complaint.Step          // what the present stage still asks for
	Lacks          string                    // what else it asks for
	Ways           []Way                     // the steps the reader may take
}

// Way is a step out of the present stage.
type Way struct {
	Name, To, Href string
	Back           bool
}

// unasked leaves of steps those no stage asks for.
func (p Path) unasked(steps []complaint.Step) []complaint.Step {
	return slices.DeleteFunc(slices.Clone(steps), func(s complaint.Step) bool { return p.Asks[s] != "" })
}

// Paths returns the process of a complaint; ok is false when it follows none.
type Paths func(r *web.Request, t ticket.Ticket) (p Path, ok bool, err error)

type pages struct {
	s       *complaint.Service
	tickets *ticket.Service
	org     *org.Service
	paths   Paths
}

// Nav is the entry of the list.
func Nav() ui.Nav {
	return ui.Nav{Key: "complaints", Href: "/complaints", Icon: "mood-sad", LabelKey: "complaint.nav", Perm: complaint.PermList, Menu: true}
}

// SettingsNav is the entry of what is decided about complaints.
func SettingsNav() ui.Nav {
	return ui.Nav{Key: "complaint-settings", Href: "/admin/complaints", Icon: "mood-sad", LabelKey: "complaint.settings.title", Perm: ticket.PermConfigure, Group: "org.admin"}
}

// Routes adds the pages.
func Routes(rt *web.Router, s *complaint.Service, tickets *ticket.Service, o *org.Service, paths Paths) {
	p := &pages{s, tickets, o, paths}
	rt.Handle("GET  /complaints", complaint.PermList, p.list)
	rt.Handle("POST /complaints/export", complaint.PermExport, p.export, web.Slow(10*time.Minute))
	rt.Handle("GET  /tickets/{number}/complaint", ticket.PermView, p.show)
	rt.Handle("GET  /tickets/{number}/complaint/file", ticket.PermView, p.file)
	rt.Handle("POST /tickets/{number}/complaint/records", complaint.PermRecord, p.record)
	rt.Handle("POST /tickets/{number}/complaint/wish", complaint.PermRecord, p.describe)
	rt.Handle("GET  /tickets/{number}/complaint/upgrade", complaint.PermRecord, p.showUpgrade)
	rt.Handle("POST /tickets/{number}/complaint/upgrade", complaint.PermRecord, p.upgrade)
	rt.Handle("GET  /admin/complaints", ticket.PermConfigure, p.settings)
	rt.Handle("POST /admin/complaints", ticket.PermConfigure, p.setSettings)
}

func assets(c ui.Chrome) ui.Chrome {
	c.Assets = append(c.Assets, "complaint.css")
	return c
}

func sheet(r *web.Request, t ticket.Ticket, title string) ui.Chrome {
	return assets(ui.Chrome{Title: title + " " + t.Number, Nav: "tickets", Crumbs: []ui.Crumb{{Label: r.T("ticket.nav"), Href: "/tickets"}, {Label: t.Number, Href: "/tickets/" + t.Number}, {Label: title}}})
}

func codes(r *web.Request, set string) []ui.Option {
	return options(r, "complaint."+set+".", complaint.Codes(set))
}

func options[C ~string](r *web.Request, prefix string, of []C) []ui.Option {
	var out []ui.Option
	for _, c := range of {
		out = append(out, ui.Option{Value: string(c), Label: r.T(prefix + string(c))})
	}
	return out
}

// mark is a step in the row of steps.
type mark struct {
	Step complaint.Step
	Done bool
	Now  bool
}

func marks(c complaint.Complaint) (out []mark, n int) {
	due := c.Due()
	for i, s := range complaint.Steps {
		out = append(out, mark{s, c.Done(s), s == due})
		if s == due {
			n = i + 1
		}
	}
	return out, n
}

// panelView is what stands beside the ticket.
type panelView struct {
	Number  string
	C       complaint.Complaint
	Marks   []mark
	N       int // of the step due; 0: all are done
	All     int
	Level   string // who is responsible
	Missing string // steps without which the customer is not asked
	Review  bool   // it is not archived before the review
	Along   *Path
	CanDo   bool
	CanRise bool
	Form    *web.Form
	Moods   []ui.Option
	Wishes  []ui.Option
}

var samplePath = Path{Process: "p", Stage: "s", Asks: map[complaint.Step]string{complaint.Calm: "s"}, Due: []complaint.Step{complaint.Calm, complaint.Classify}, Lacks: "x", Ways: []Way{{"n", "t", "/x", false}, {"n", "t", "/x", true}}}

var sampleComplaint = complaint.Complaint{Step: complaint.Investigate, Mood: "angry", Wish: "refund", WishNote: "n", Level: 2, LevelAt: time.Unix(1, 0), Severity: "high", Answer: "rejected", Round: 2}

var panelPage = ui.NewPage[panelView](files, "panel.html").Sample(
	panelView{Number: "T1", C: sampleComplaint, Marks: []mark{{complaint.Receive, true, false}, {complaint.Calm, false, true}, {complaint.Review, false, false}}, N: 2, All: 8, Level: "n", Missing: "m", Review: true, Along: &samplePath, CanDo: true, CanRise: true, Form: &web.Form{}, Moods: []ui.Option{{Value: "calm", Label: "c"}}},
	panelView{C: complaint.Complaint{Level: 1}})

// Panel is what stands beside a complaint.
func Panel(s *complaint.Service, o *org.Service, paths Paths) func(r *web.Request, t ticket.Ticket) (template.HTML, error) {
	return func(r *web.Request, t ticket.Ticket) (template.HTML, error) {
		if !complaint.Is(&t) {
			return "", nil
		}
		c, err := s.Of(r.Context(), t)
		if err != nil {
			return "", err
		}
		st, err := s.Settings(r.Context())
		if err != nil {
			return "", err
		}
		v := panelView{Number: t.Number, C: c, All: len(complaint.Steps), Level: levelName(r, o, t, c)}
		v.Marks, v.N = marks(c)
		if t.State.Open() && t.State != ticket.AwaitingConfirmation {
			v.Missing = complaint.Names(r.Lang, c.Missing(st.Required))
		}
		if v.Review, err = s.ReviewFirst(r.Context(), t); err != nil {
			return "", err
		}
		if p, ok, err := paths(r, t); err != nil {
			return "", err
		} else if ok && t.State.Open() {
			v.Along = &p
			if v.Missing != "" {
				v.Missing = complaint.Names(r.Lang, p.unasked(c.Missing(st.Required)))
			}
		}
		v.CanDo = r.Actor.Can(complaint.PermRecord) && t.State != ticket.Cancelled && t.State != ticket.Closed
		v.CanRise = v.CanDo && t.State.Open() && c.Level < complaint.LevelManagement
		v.Form, v.Moods, v.Wishes = r.Blank("mood", c.Mood, "wish", c.Wish, "wish_note", c.WishNote), codes(r, "mood"), codes(r, "remedy")
		html, err := panelPage.String(r, "panel", v)
		return template.HTML(html), err
	}
}

// levelName is who is responsible at the complaint's level.
func levelName(r *web.Request, o *org.Service, t ticket.Ticket, c complaint.Complaint) string {
	if c.LevelUser != 0 {
		return o.Name(r.Context(), c.LevelUser)
	}
	return t.AssigneeName
}

type newView struct {
	Form          *web.Form
	Moods, Wishes []ui.Option
}

var newPage = ui.NewPage[newView](files, "new.html").Sample(newView{Form: &web.Form{}, Moods: []ui.Option{{Value: "calm", Label: "c"}}})

// DrawNew is what the form of a new request asks of a complaint.
func DrawNew(r *web.Request, f *web.Form) (template.HTML, error) {
	html, err := newPage.String(r, "new", newView{f, codes(r, "mood"), codes(r, "remedy")})
	return template.HTML(html), err
}

// ReadNew takes it in.
func ReadNew(s *complaint.Service) func(f *web.Form) func(ctx context.Context, a *action.Action, t *ticket.Ticket) error {
	return func(f *web.Form) func(ctx context.Context, a *action.Action, t *ticket.Ticket) error {
		in := complaint.Wish{Mood: f.String("mood"), Remedy: f.String("wish"), Note: f.String("wish_note")}
		if f.String("type") != "complaint" || in == (complaint.Wish{}) {
			return nil
		}
		return s.Registered(in)
	}
}

type noteView struct {
	Number  string
	Missing string // "": the review
}

var notePage = ui.NewPage[noteView](files, "note.html").Sample(noteView{"T1", "m"}, noteView{Number: "T1"})

// MoveNote says above the form that asks for confirmation which steps are still
// missing, above that of the archive that nobody has looked back yet, and leads
// there.
func MoveNote(s *complaint.Service) func(r *web.Request, t *ticket.Ticket, v ticket.Verb) (template.HTML, error) {
	return func(r *web.Request, t *ticket.Ticket, v ticket.Verb) (template.HTML, error) {
		if v == ticket.Close {
			first, err := s.ReviewFirst(r.Context(), *t)
			if err != nil || !first {
				return "", err
			}
			html, err := notePage.String(r, "note", noteView{Number: t.Number})
			return template.HTML(html), err
		}
		if v != ticket.RequestConfirmation || !complaint.Is(t) {
			return "", nil
		}
		c, err := s.Of(r.Context(), *t)
		if err != nil {
			return "", err
		}
		st, err := s.Settings(r.Context())
		if err != nil {
			return "", err
		}
		missing := c.Missing(st.Required)
		if len(missing) == 0 {
			return "", nil
		}
		html, err := notePage.String(r, "note", noteView{t.Number, complaint.Names(r.Lang, missing)})
		return template.HTML(html), err
	}
}

// recordView is a record as it is read.
type recordView struct {
	ID     int64
	By     string
	At     time.Time
	Auto   bool
	Reason string
	Round  int
	Facts  []ui.Fact
	Title  string // in the file: of its step
}

// stepView is a step of the page: a form while it is due, then what was written.
type stepView struct {
	Step     complaint.Step
	N        int // 0: not one of the row
	State    string
	Records  []recordView // in force
	Earlier  []recordView // corrected since, or of an earlier round
	Controls []ui.Control
	Form     *web.Form // nil: closed
	Amends   int64
	Blocked  string // the step that has to come before
	Asked    string // the stage of its process that asks for it
}

type showView struct {
	T        ticket.Ticket
	C        complaint.Complaint
	Marks    []mark
	Level    string
	Steps    []stepView
	Upgrades []recordView
	Missing  string
	Review   bool
	Along    *Path
	CanRise  bool
	CanDo    bool
	Ratings  []ticket.Rating
	Problems *web.Form
}

var (
	sampleRecord = recordView{ID: 1, By: "b", At: time.Unix(1, 0), Auto: true, Reason: "r", Round: 1, Facts: []ui.Fact{{Label: "l", Text: "t"}}, Title: "t"}
	showPage     = ui.NewPage[showView](files, "show.html", "record.html").Sample(
		showView{T: ticket.Ticket{Number: "T1", Title: "t"}, C: sampleComplaint, Marks: []mark{{complaint.Receive, true, false}, {complaint.Calm, false, true}}, Level: "n", Missing: "m", Review: true, Along: &samplePath, CanRise: true, CanDo: true,
			Upgrades: []recordView{sampleRecord}, Ratings: []ticket.Rating{{Round: 1, Stars: 2, Attitude: 4, Speed: 3, Handling: 2, Comment: "c"}}, Problems: &web.Form{},
			Steps: []stepView{{Step: complaint.Receive, N: 1, State: "done", Records: []recordView{sampleRecord}, Earlier: []recordView{sampleRecord}}, {Step: complaint.Calm, N: 2, State: "due", Form: &web.Form{}, Controls: []ui.Control{{Name: "calm.said", Label: "l", Kind: "area"}, {Name: "calm.at", Label: "l", Kind: "datetime"}}},
				{Step: complaint.Review, N: 8, State: "locked", Blocked: "b", Asked: "s"}, {Step: complaint.Track, State: "again", Form: &web.Form{}}, {Step: complaint.Calm, N: 2, State: "done", Form: &web.Form{}, Amends: 3}}})
)

func (p *pages) show(w http.ResponseWriter, r *web.Request) error {
	amend, _ := strconv.ParseInt(r.URL.Query().Get("amend"), 10, 64)
	t, v, err := p.view(r, amend, "", nil)
	if err != nil {
		return err
	}
	return showPage.Render(w, r, sheet(r, t, r.T("complaint.page")), v)
}

// view draws up the page; of the step failed its form is f.
func (p *pages) view(r *web.Request, amend int64, failed complaint.Step, f *web.Form) (ticket.Ticket, showView, error) {
	ctx := r.Context()
	t, c, err := p.s.Get(ctx, ticket.View(r.Actor), r.PathValue("number"))
	if err != nil {
		return t, showView{}, err
	}
	st, err := p.s.Settings(ctx)
	if err != nil {
		return t, showView{}, err
	}
	v := showView{T: t, C: c, Level: levelName(r, p.org, t, c)}
	v.Marks, _ = marks(c)
	live := t.State != ticket.Cancelled && r.Actor.Can(complaint.PermRecord)
	v.CanDo = live
	v.CanRise = live && t.State.Open() && c.Level < complaint.LevelManagement
	if t.State.Open() && t.State != ticket.AwaitingConfirmation {
		v.Missing = complaint.Names(r.Lang, c.Missing(st.Required))
	}
	if v.Review, err = p.s.ReviewFirst(ctx, t); err != nil {
		return t, v, err
	}
	if v.Ratings, err = ticket.Ratings(ctx, p.tickets.DB().Read(), t.ID); err != nil {
		return t, v, err
	}
	if along, ok, err := p.paths(r, t); err != nil {
		return t, v, err
	} else if ok && t.State.Open() {
		v.Along = &along
		if v.Missing != "" {
			v.Missing = complaint.Names(r.Lang, along.unasked(c.Missing(st.Required)))
		}
	}
	for i, s := range complaint.Forms {
		x := stepView{Step: s, N: i + 1}
		if s == complaint.Track {
			x.N = 0
		}
		if v.Along != nil {
			x.Asked = v.Along.Asks[s]
		}
		x.Records, x.Earlier = recordsOf(r, c, s)
		may := live && (t.State != ticket.Closed || s == complaint.Review)
		missing := c.Before(s, st.Required)
		switch {
		case s == complaint.Track:
			x.State = "again"
		case c.Done(s):
			x.State = "done"
		case missing == "":
			x.State = "due"
		default:
			x.State, x.Blocked = "locked", r.T(missing.Words())
		}
		if last, ok := c.Last(s); may && ok && s != complaint.Track && amend == last.ID && failed == "" || may && amend != 0 && failed == s {
			x.Amends = amend
			if failed == "" {
				x.Form = fill(r, s, last.Values)
			}
		} else if may && (x.State == "due" || x.State == "again") {
			x.Form = fill(r, s, p.begin(r, t, c, s, st, v.Ratings))
		}
		if s == failed && may {
			x.Form = f
		}
		if x.Form != nil {
			x.Controls = controls(r, s)
		}
		v.Steps = append(v.Steps, x)
	}
	for _, rec := range c.Records {
		if rec.Values["level"] != "" {
			v.Upgrades = append(v.Upgrades, upgradeView(r, rec))
		}
	}
	return t, v, nil
}

func upgradeView(r *web.Request, rec complaint.Record) recordView {
	n, _ := strconv.Atoi(rec.Values["level"])
	return recordView{ID: rec.ID, By: rec.ByName, At: rec.At, Reason: rec.Reason, Round: rec.Round, Title: r.T(complaint.LevelWords(n)) + " · " + rec.Values["name"]}
}

// recordsOf parts the records of a step into those in force and the earlier ones.
func recordsOf(r *web.Request, c complaint.Complaint, s complaint.Step) (force, earlier []recordView) {
	var now []int64
	for _, rec := range c.InForce(s) {
		now = append(now, rec.ID)
		force = append(force, recordFor(r, rec))
	}
	for _, rec := range c.Records {
		if rec.Step == s && !slices.Contains(now, rec.ID) {
			earlier = append(earlier, recordFor(r, rec))
		}
	}
	return force, earlier
}

func recordFor(r *web.Request, rec complaint.Record) recordView {
	v := recordView{ID: rec.ID, By: rec.ByName, At: rec.At, Auto: rec.Auto(), Reason: rec.Reason, Round: rec.Round}
	switch rec.ByKind {
	case authz.Customer:
		v.By = r.T("complaint.by.customer")
	case authz.Worker:
		v.By = authz.SystemName(r.Lang, rec.ByName)
	}
	for _, x := range rec.Lines(r.Lang, r.Location()) {
		v.Facts = append(v.Facts, ui.Fact{Label: x.Label, Text: x.Text})
	}
	return v
}

// controls are the inputs of a step; their names begin with it, because several
// forms stand on one page.
func controls(r *web.Request, s complaint.Step) []ui.Control {
	var out []ui.Control
	for _, f := range complaint.FieldsOf(s) {
		c := ui.Control{Name: string(s) + "." + f.Code, Label: r.T("complaint.field." + f.Code), Kind: f.Kind, Required: f.Required}
		if f.Hint {
			c.Hint = r.T("complaint.hint." + f.Code)
		}
		if f.Set != "" {
			c.Options = codes(r, f.Set)
		}
		if f.When != "" {
			c.When = string(s) + "." + f.When
		}
		out = append(out, c)
	}
	return out
}

// begin is what the form of a step can know beforehand.
func (p *pages) begin(r *web.Request, t ticket.Ticket, c complaint.Complaint, s complaint.Step, st complaint.Settings, ratings []ticket.Rating) complaint.Values {
	now := r.Now().UTC().Format(time.RFC3339)
	means := map[string]string{"phone": "phone", "chat": "chat", "email": "email", "walk_in": "visit", "paper": "letter"}[t.Channel]
	switch s {
	case complaint.Receive:
		lang := "zh"
		if r.Lang != i18n.ZhCN {
			lang = "en"
		}
		return complaint.Values{"wish": c.Wish, "wish_note": c.WishNote, "department": p.org.DepartmentName(r.Context(), t.DepartmentID), "language": lang}
	case complaint.Calm:
		return complaint.Values{"at": now, "means": means, "mood": c.Mood}
	case complaint.Track:
		return complaint.Values{"at": now, "means": means}
	case complaint.Propose:
		v := complaint.Values{"at_once": "yes"}
		if c.Wish != "" {
			v["remedies"] = c.Wish
		}
		return v
	case complaint.Resolve:
		return complaint.Values{"done_at": now, "cause": t.Cause, "corrective": t.Corrective}
	case complaint.Respond:
		return complaint.Values{"decision": t.Solution, "to": t.CustomerName, "at": now, "means": means, "answer": "none", "recourse": st.Recourse}
	case complaint.Review:
		v := complaint.Values{"outcome": c.Answer, "recourse": st.Recourse}
		for _, g := range ratings { // asked him already: nobody asks again
			if g.Round == t.Round && g.Handling > 0 {
				v["satisfaction"] = strconv.Itoa(g.Handling)
			}
		}
		return v
	}
	return nil
}

// fill is a form that begins with values.
func fill(r *web.Request, s complaint.Step, in complaint.Values) *web.Form {
	f := r.Blank()
	for _, x := range complaint.FieldsOf(s) {
		v, name := in[x.Code], string(s)+"."+x.Code
		switch {
		case v == "":
		case x.Kind == "multi":
			for _, c := range strings.Split(v, ",") {
				f.Values.Add(name, c)
			}
		case x.Kind == "datetime":
			if at, err := time.Parse(time.RFC3339, v); err == nil {
				f.Set(name, at.In(r.Location()).Format("2006-01-02T15:04"))
			}
		default:
			f.Set(name, v)
		}
	}
	return f
}

// read takes the values of a step out of its form.
func read(f *web.Form, s complaint.Step, loc *time.Location) complaint.Values {
	out := complaint.Values{}
	for _, x := range complaint.FieldsOf(s) {
		name := string(s) + "." + x.Code
		switch x.Kind {
		case "multi":
			out[x.Code] = strings.Join(f.Strings(name), ",")
		case "date":
			if at := f.Date(name); !at.IsZero() {
				out[x.Code] = at.In(loc).Format(time.DateOnly)
			}
		case "datetime":
			if at := f.DateTime(name); !at.IsZero() {
				out[x.Code] = at.UTC().Format(time.RFC3339)
			}
		case "area":
			out[x.Code] = f.Text(name)
		default:
			out[x.Code] = f.String(name)
		}
	}
	return out
}

// at puts the messages of an error at the fields of the form of s.
func at(err error, s complaint.Step) error {
	fe, ok := fault.As(err)
	if !ok {
		return err
	}
	out := *fe
	out.Fields = slices.Clone(fe.Fields)
	for i, x := range out.Fields {
		if x.Field != "reason" {
			out.Fields[i].Field = string(s) + "." + x.Field
		}
	}
	return &out
}

func (p *pages) record(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	t, _, err := p.s.Get(r.Context(), ticket.View(r.Actor), r.PathValue("number"))
	if err != nil {
		return err
	}
	in := complaint.Entry{Step: complaint.Step(f.String("step")), Amends: f.ID("amends"), Reason: f.String("reason")}
	in.Values = read(f, in.Step, r.Location())
	if err = f.Err(); err == nil {
		_, err = p.s.Record(r.Context(), r.Actor, t.ID, in)
		err = at(err, in.Step)
	}
	if err != nil {
		t, v, verr := p.view(r, in.Amends, in.Step, f)
		if verr != nil {
			return verr
		}
		v.Problems = f
		return showPage.Invalid(w, r, err, f, sheet(r, t, r.T("complaint.page")), v)
	}
	r.Flash(w, "green", "complaint.recorded", i18n.Key(in.Step.Words()))
	// Was that the last the stage asked for, he sees where it goes on.
	if along, ok, err := p.paths(r, t); err != nil {
		return err
	} else if ok && in.Amends == 0 && len(along.Asks) > 0 && len(along.Due) == 0 && len(along.Ways) > 0 {
		return r.SeeOther(w, "/tickets/%s/complaint#along", t.Number)
	}
	return r.SeeOther(w, "/tickets/%s/complaint#s-%s", t.Number, in.Step)
}

// describe takes mood and wish from the panel.
func (p *pages) describe(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	t, _, err := p.s.Get(r.Context(), ticket.View(r.Actor), r.PathValue("number"))
	if err != nil {
		return err
	}
	if _, err := p.s.Describe(r.Context(), r.Actor, t.ID, complaint.Wish{Mood: f.String("mood"), Remedy: f.String("wish"), Note: f.String("wish_note")}); err != nil {
		return err
	}
	r.Flash(w, "green", "complaint.described")
	return r.SeeOther(w, "/tickets/%s", t.Number)
}

// choice of a level with who is responsible there.
type riseView struct {
	T      ticket.Ticket
	C      complaint.Complaint
	Level  string
	Levels []ui.Option
	Form   *web.Form
}

var risePage = ui.NewPage[riseView](files, "upgrade.html").Sample(riseView{T: ticket.Ticket{Number: "T1"}, C: sampleComplaint, Level: "n", Levels: []ui.Option{{Value: "3", Label: "l", Hint: "h"}}, Form: &web.Form{}})

func (p *pages) riseView(r *web.Request, f *web.Form) (v riseView, err error) {
	if v.T, v.C, err = p.s.Get(r.Context(), ticket.View(r.Actor), r.PathValue("number")); err != nil {
		return v, err
	}
	v.Form, v.Level = f, levelName(r, p.org, v.T, v.C)
	for _, n := range complaint.Levels {
		if n <= v.C.Level {
			continue
		}
		user, err := p.s.Responsible(r.Context(), p.tickets.DB().Read(), v.T, n)
		if err != nil {
			return v, err
		}
		o := ui.Option{Value: strconv.Itoa(n), Label: r.T(complaint.LevelWords(n)), Hint: r.T("complaint.upgrade.nobody"), Disabled: user == 0}
		if user != 0 {
			o.Hint = r.T("complaint.upgrade.who", p.org.Name(r.Context(), user))
			if f.Get("level") == "" {
				f.Set("level", n)
			}
		}
		v.Levels = append(v.Levels, o)
	}
	return v, nil
}

func (p *pages) showUpgrade(w http.ResponseWriter, r *web.Request) error {
	v, err := p.riseView(r, r.Blank())
	if err != nil {
		return err
	}
	if r.IsFragment() {
		return risePage.Fragment(w, r, "dialog", v)
	}
	return risePage.Render(w, r, sheet(r, v.T, r.T("complaint.upgrade")), v)
}

func (p *pages) upgrade(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	v, err := p.riseView(r, f)
	if err != nil {
		return err
	}
	level := f.IntIn("level", 1, complaint.LevelManagement)
	if err = f.Err(); err == nil {
		var c complaint.Complaint
		if c, err = p.s.Upgrade(r.Context(), r.Actor, v.T.ID, level, f.Text("reason")); err == nil {
			r.Flash(w, "green", "complaint.upgraded", i18n.Key(complaint.LevelWords(c.Level)), p.org.Name(r.Context(), c.LevelUser))
			return r.SeeOther(w, "/tickets/%s", v.T.Number)
		}
	}
	if r.IsFragment() {
		return risePage.InvalidFragment(w, r, err, f, "dialog", v)
	}
	return risePage.Invalid(w, r, err, f, sheet(r, v.T, r.T("complaint.upgrade")), v)
}

// fileView is a complaint on paper.
type fileView struct {
	complaint.File
	Company     string
	Printed     time.Time
	By          string
	Steps       []stepView
	Upgrades    []recordView
	Wishes      []recordView
	Lines       []lineView
	Talk        []lineView
	Description string
}

type lineView struct {
	At   time.Time
	Who  string
	Kind string
	Text string
	Note string
}

var filePage = ui.NewPage[fileView](files, "file.html", "record.html").Sample(fileView{File: complaint.File{Ticket: ticket.Ticket{Number: "T1", Title: "t", CreatedAt: time.Unix(1, 0), Type: "complaint", Channel: "phone", State: ticket.Closed, Outcome: "confirmed", ResolvedAt: time.Unix(1, 0), CompletedAt: time.Unix(1, 0)}, Complaint: sampleComplaint,
	Customer: customer.Customer{Number: "C1", Name: "n", Type: customer.Company, Level: customer.VIP, USCC: "u", Address: "a"}, Contact: customer.Contact{ID: 1, Name: "n", Phone: "p", Email: "e", Position: "x"}, DueAt: time.Unix(1, 0), More: true, Ratings: []ticket.Rating{{Round: 1, Stars: 2, Handling: 4, Via: "link", Comment: "c", CreatedAt: time.Unix(1, 0)}},
	Evidence: []blob.File{{Name: "f", Size: 3, SHA256: "0123456789abcdef0123", CreatedAt: time.Unix(1, 0)}}, Level: "l", Department: "d"},
	Company: "c", Printed: time.Unix(1, 0), By: "b", Steps: []stepView{{Step: complaint.Receive, N: 1, Records: []recordView{sampleRecord}, Earlier: []recordView{sampleRecord}}, {Step: complaint.Track}},
	Upgrades: []recordView{sampleRecord}, Wishes: []recordView{sampleRecord}, Lines: []lineView{{At: time.Unix(1, 0), Who: "w", Text: "t", Note: "n"}}, Talk: []lineView{{At: time.Unix(1, 0), Who: "w", Kind: "k", Text: "t"}}, Description: "d"})

func (p *pages) file(w http.ResponseWriter, r *web.Request) error {
	f, err := p.s.File(r.Context(), ticket.View(r.Actor), r.PathValue("number"))
	if err != nil {
		return err
	}
	company, err := p.org.Company(r.Context())
	if err != nil {
		return err
	}
	v := fileView{File: f, Company: company.Name, Printed: r.Now(), By: r.Actor.Name, Description: f.Ticket.Description}
	for i, s := range complaint.Forms {
		x := stepView{Step: s, N: i + 1}
		if s == complaint.Track {
			x.N = 0
		}
		x.Records, x.Earlier = recordsOf(r, f.Complaint, s)
		v.Steps = append(v.Steps, x)
	}
	for _, rec := range f.Complaint.Records {
		switch {
		case rec.Values["level"] != "":
			v.Upgrades = append(v.Upgrades, upgradeView(r, rec))
		case !slices.Contains(complaint.Forms, rec.Step):
			v.Wishes = append(v.Wishes, recordFor(r, rec))
		}
	}
	for _, e := range f.Moves {
		m := e.Moved()
		v.Lines = append(v.Lines, lineView{At: e.CreatedAt, Who: author(r, f.Ticket, e), Text: m.Say(r.Lang), Note: m.Reason})
	}
	for _, e := range f.Messages {
		v.Talk = append(v.Talk, lineView{At: e.CreatedAt, Who: author(r, f.Ticket, e), Kind: r.T("journal.kind." + string(e.Kind)), Text: e.Body})
	}
	c := sheet(r, f.Ticket, r.T("complaint.file"))
	c.Class = "page paper"
	return filePage.Render(w, r, c, v)
}

func author(r *web.Request, t ticket.Ticket, e journal.Entry) string {
	switch {
	case e.Kind == journal.Customer && e.AuthorKind == authz.User:
		return t.CustomerName
	case e.AuthorKind == authz.Customer && e.AuthorName == "":
		return t.CustomerName
	case e.AuthorKind == authz.Worker:
		return authz.SystemName(r.Lang, e.AuthorName)
	}
	return e.AuthorName
}

// listRow is a row of the list.
type listRow struct {
	complaint.Row
	Department string
	Level2     string // who is responsible at its level
	Was        bool   // a promise was missed before; the present one is kept so far
}

type tile struct {
	Href, Label string
	N           int
	Tone        string
	Current     bool
}

type listView struct {
	View    string
	Tabs    []ui.Crumb
	Tiles   []tile
	Rows    []listRow
	Filter  *web.Form
	Steps   []ui.Option
	Levels  []ui.Option
	Severe  []ui.Option
	Deps    []ui.Option
	Pager   ui.Pager
	Address string
	CanTake bool
	Export  *web.Form
}

var listPage = ui.NewPage[listView](files, "list.html").Sample(
	listView{View: "open", Tabs: []ui.Crumb{{Label: "l", Href: "/x"}, {Label: "m"}}, Tiles: []tile{{"/x", "l", 3, "red", true}, {"/x", "l", 0, "", false}}, Rows: []listRow{{Row: complaint.Row{Number: "T1", Title: "t", Step: complaint.Calm, Level: 2, Severity: "high", Mood: "angry", State: ticket.Pending, Overdue: true, DueAt: time.Unix(1, 0), CreatedAt: time.Unix(1, 0), Answer: "rejected", Round: 2}, Department: "d", Level2: "n"}, {Row: complaint.Row{Level: 1, State: ticket.Closed}}},
		Filter: &web.Form{}, Pager: ui.Pager{Next: "/x"}, CanTake: true, Export: &web.Form{}},
	listView{View: "all", Filter: &web.Form{}})

const pageSize = 30

func (p *pages) list(w http.ResponseWriter, r *web.Request) error {
	v, err := p.listView(r, nil)
	if err != nil {
		return err
	}
	if r.IsFragment() {
		return listPage.Fragment(w, r, "rows", v)
	}
	return listPage.Render(w, r, assets(ui.Chrome{Title: r.T("complaint.nav"), Nav: "complaints"}), v)
}

func (p *pages) listView(r *web.Request, export *web.Form) (v listView, err error) {
	ctx, q := r.Context(), r.URL.Query()
	in := r.Blank()
	in.Values = q
	f := complaint.Filter{View: q.Get("view"), Step: complaint.Step(q.Get("step")), Severity: q.Get("severity"), Department: in.ID("department"), Overdue: in.Bool("overdue"), Raised: in.Bool("raised"), After: q.Get("after"), Limit: pageSize}
	if f.Level, _ = strconv.Atoi(q.Get("level")); !slices.Contains(complaint.Views, f.View) {
		f.View = complaint.ViewOpen
	}
	v = listView{View: f.View, Filter: in, CanTake: r.Actor.Can(complaint.PermExport), Export: export, Address: r.URL.RequestURI()}
	if export == nil {
		now := r.Now().In(r.Location())
		v.Export = r.Blank("from", time.Date(now.Year(), now.Month()-1, 1, 0, 0, 0, 0, r.Location()).Format(time.DateOnly), "to", now.Format(time.DateOnly))
	}
	for _, x := range complaint.Views {
		c := ui.Crumb{Label: r.T("complaint.view." + x)}
		if x != f.View {
			c.Href = "/complaints?view=" + x
		}
		v.Tabs = append(v.Tabs, c)
	}
	sc := ticket.View(r.Actor)
	counts, err := p.s.Count(ctx, r.Actor, sc)
	if err != nil {
		return v, err
	}
	raised := counts.Open - counts.Level[complaint.LevelAgent]
	v.Tiles = []tile{{"/complaints", r.T("complaint.tile.open"), counts.Open, "", false}, {"/complaints?overdue=1", r.T("complaint.tile.overdue"), counts.Overdue, "red", false},
		{"/complaints?severity=serious", r.T("complaint.tile.serious"), counts.Serious, "orange", false}, {"/complaints?raised=1", r.T("complaint.tile.raised"), raised, "amber", false}, {"/complaints?view=review", r.T("complaint.tile.review"), counts.Review, "blue", false}}
	for _, s := range complaint.Steps {
		v.Steps = append(v.Steps, ui.Option{Value: string(s), Label: r.T("complaint.option.count", i18n.Key(s.Words()), counts.Step[s])})
	}
	for _, n := range complaint.Levels {
		v.Levels = append(v.Levels, ui.Option{Value: strconv.Itoa(n), Label: r.T("complaint.option.count", i18n.Key(complaint.LevelWords(n)), counts.Level[n])})
	}
	v.Severe = append(append(codes(r, "severity"), ui.Option{Value: "serious", Label: r.T("complaint.serious")}), ui.Option{Value: "none", Label: r.T("complaint.unclassified")})
	nodes, err := p.org.Tree(ctx)
	if err != nil {
		return v, err
	}
	for _, n := range nodes {
		if n.Active {
			v.Deps = append(v.Deps, ui.Option{Value: strconv.FormatInt(n.ID, 10), Label: n.Path})
		}
	}
	page, err := p.s.List(ctx, r.Actor, sc, f)
	if err != nil {
		return v, err
	}
	user, department, err := p.org.Names(ctx)
	if err != nil {
		return v, err
	}
	for _, x := range page.Rows {
		row := listRow{Row: x, Department: department(x.Department), Level2: x.AssigneeName, Was: x.Overdue && (x.DueAt.IsZero() || x.DueAt.After(r.Now()))}
		if x.LevelUser != 0 {
			row.Level2 = user(x.LevelUser)
		}
		v.Rows = append(v.Rows, row)
	}
	q.Del("after")
	if f.After != "" {
		v.Pager.Prev = "/complaints?" + q.Encode()
	}
	if page.Next != "" {
		q.Set("after", page.Next)
		v.Pager.Next = "/complaints?" + q.Encode()
	}
	return v, nil
}

func (p *pages) export(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	from, to := f.Date("from"), f.Date("to")
	err := f.Err()
	begun := false
	if err == nil {
		if !to.IsZero() {
			to = to.AddDate(0, 0, 1)
		}
		err = p.s.Export(r.Context(), r.Actor, from, to, r.Location(), func() io.Writer {
			begun = true
			w.Header().Set("Content-Type", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")
			w.Header().Set("Content-Disposition", `attachment; filename="complaints-`+from.In(r.Location()).Format("20060102")+`-`+to.In(r.Location()).AddDate(0, 0, -1).Format("20060102")+`.xlsx"`)
			w.Header().Set("Cache-Control", "no-store")
			return w
		})
	}
	if err == nil || begun {
		return err
	}
	if !r.Actor.Can(complaint.PermList) {
		return err
	}
	v, verr := p.listView(r, f)
	if verr != nil {
		return verr
	}
	return listPage.Invalid(w, r, err, f, assets(ui.Chrome{Title: r.T("complaint.nav"), Nav: "complaints"}), v)
}

type settingsView struct {
	Form  *web.Form
	Steps []ui.Option
}

var settingsPage = ui.NewPage[settingsView](files, "settings.html").Sample(settingsView{&web.Form{}, []ui.Option{{Value: "calm", Label: "c"}}})

func settingsChrome(r *web.Request) ui.Chrome {
	title := r.T("complaint.settings.title")
	return assets(ui.Chrome{Title: title, Nav: "complaint-settings", Crumbs: []ui.Crumb{{Label: r.T("org.admin")}, {Label: title}}})
}

func (p *pages) settings(w http.ResponseWriter, r *web.Request) error {
	st, err := p.s.Settings(r.Context())
	if err != nil {
		return err
	}
	f := r.Blank("recourse", st.Recourse, "notice", st.Notice, "review", map[bool]string{true: "1"}[st.Review])
	for _, s := range st.Required {
		f.Values.Add("required", string(s))
	}
	return settingsPage.Render(w, r, settingsChrome(r), settingsView{f, options(r, "complaint.step.", complaint.Requirable)})
}

func (p *pages) setSettings(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	in := complaint.Settings{Review: f.Bool("review"), Recourse: f.Text("recourse"), Notice: f.Text("notice")}
	for _, s := range f.Strings("required") {
		in.Required = append(in.Required, complaint.Step(s))
	}
	err := f.Err()
	if err == nil {
		err = p.s.SetSettings(r.Context(), r.Actor, in)
	}
	if err != nil {
		return settingsPage.Invalid(w, r, err, f, settingsChrome(r), settingsView{f, options(r, "complaint.step.", complaint.Requirable)})
	}
	r.Flash(w, "green", "complaint.settings.saved")
	return r.SeeOther(w, "/admin/complaints")
}
