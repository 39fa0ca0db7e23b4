package taskui

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/task"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

type figureView struct {
	Key   string
	Count int
	Href  string
}

type mate struct {
	Name, Department string
	Figures          []figureView
	Left             int
	At               time.Time
}

type dayView struct {
	Tabs    []tab
	Lists   []tab
	List    string // own, team
	Figures []figureView
	Left    int
	At      time.Time // when the reader looked; zero: not yet
	CanUse  bool
	Keys    []string
	Team    []mate
	Open    int // of the team who have not looked and have something left
	Day     time.Time
}

type linesView struct {
	Key   string
	Who   string // "" the reader
	Lines []task.Line
	More  bool
	Back  string
}

var (
	dayPage = ui.NewPage[dayView](files, "day.html", "parts.html").Sample(
		dayView{Tabs: []tab{{"/x", "x", true}}, Lists: []tab{{"/x", "x", true}}, List: "own", Figures: []figureView{{"tasks", 2, "/x"}, {"blank", 0, "/x"}}, Left: 2, CanUse: true, Day: sampleTime},
		dayView{List: "team", Keys: []string{"tasks"}, Team: []mate{{"x", "x", []figureView{{"tasks", 1, "/x"}}, 1, time.Time{}}, {"y", "x", []figureView{{"tasks", 0, "/x"}}, 0, sampleTime}}, Open: 1},
		dayView{List: "own", At: sampleTime, CanUse: true})
	linesPage = ui.NewPage[linesView](files, "figure.html").Sample(linesView{Key: "tasks", Who: "x", Lines: []task.Line{{Label: "T1", Title: "x", Note: "x", Href: "/x"}, {Title: "x", Href: "/x"}}, More: true, Back: "/day"}, linesView{Key: "blank", Back: "/day"})
)

func (p *pages) figures(c task.Check, user int64, own bool) (out []figureView) {
	for _, k := range p.Tasks.FigureKeys() {
		href := "/day/" + k
		if !own {
			href += "?user=" + strconv.FormatInt(user, 10)
		}
		out = append(out, figureView{k, c.Figures[k], href})
	}
	return out
}

func (p *pages) day(w http.ResponseWriter, r *web.Request) error {
	ctx := r.Context()
	v := dayView{Tabs: tabs(r, "day"), List: "own", CanUse: r.Actor.Can(task.PermUse), Day: p.Tasks.Now(), Keys: p.Tasks.FigureKeys()}
	if r.Actor.Can(task.PermManage) {
		if r.URL.Query().Get("list") == "team" || !v.CanUse {
			v.List = "team"
		}
		v.Lists = []tab{{"/day", r.T("day.list.own"), v.List == "own"}, {"/day?list=team", r.T("day.list.team"), v.List == "team"}}
	}
	if v.List == "own" {
		cs, err := p.Tasks.CloseOf(ctx, []int64{r.Actor.ID})
		if err != nil {
			return err
		}
		c := cs[r.Actor.ID]
		v.Figures, v.Left, v.At = p.figures(c, r.Actor.ID, true), c.Left, c.At
	} else {
		users, err := p.Tasks.Team(ctx, r.Actor)
		if err != nil {
			return err
		}
		cs, err := p.Tasks.CloseOf(ctx, users)
		if err != nil {
			return err
		}
		var done []mate
		for _, u := range users {
			x, _, err := p.Org.Person(ctx, p.Tasks.DB().Read(), u)
			if err != nil {
				return err
			}
			m := mate{x.Name, x.Department, p.figures(cs[u], u, false), cs[u].Left, cs[u].At}
			if m.At.IsZero() && m.Left > 0 {
				v.Team = append(v.Team, m)
				v.Open++
			} else {
				done = append(done, m)
			}
		}
		v.Team = append(v.Team, done...)
	}
	return dayPage.Render(w, r, chrome(r, r.T("task.tab.day")), v)
}

func (p *pages) closeDay(w http.ResponseWriter, r *web.Request) error {
	if err := p.Tasks.CloseDay(r.Context(), r.Actor); err != nil {
		return err
	}
	r.Flash(w, "green", "day.checked.flash")
	return r.SeeOther(w, "/day")
}

const figureMost = 100

func (p *pages) figure(w http.ResponseWriter, r *web.Request) error {
	key := r.PathValue("figure")
	user, back := r.Actor.ID, "/day"
	if id, err := strconv.ParseInt(r.URL.Query().Get("user"), 10, 64); err == nil && id != user {
		user, back = id, "/day?list=team"
	}
	lines, err := p.Tasks.Lines(r.Context(), r.Actor, key, user, figureMost+1)
	if err != nil {
		return err
	}
	v := linesView{Key: key, Lines: lines, Back: back}
	if len(lines) > figureMost {
		v.Lines, v.More = lines[:figureMost], true
	}
	if user != r.Actor.ID {
		v.Who = p.Org.Name(r.Context(), user)
	}
	return linesPage.Render(w, r, chrome(r, r.T("day.figure."+key), ui.Crumb{Label: r.T("task.tab.day"), Href: back}, ui.Crumb{Label: r.T("day.figure." + key)}), v)
}

type feedView struct {
	Has    bool
	Feed   task.Feed
	Detail string // what it says
	URL    string // shown once, when it has just been made
	Web    string // the same for programs that subscribe
}

var feedPage = ui.NewPage[feedView](files, "feed.html").Sample(feedView{Has: true, Feed: task.Feed{CreatedAt: sampleTime, ReadAt: sampleTime}, Detail: task.FeedTitle, URL: "https://x/y.ics", Web: "webcal://x/y.ics"},
	feedView{Detail: task.FeedMinimal, Has: true}, feedView{Detail: task.FeedOff})

func (p *pages) feedView(r *web.Request) (v feedView, err error) {
	set, err := p.Tasks.Settings(r.Context())
	if err != nil {
		return v, err
	}
	v.Detail = set.Feed
	v.Feed, v.Has, err = p.Tasks.FeedOf(r.Context(), r.Actor)
	return v, err
}

func (p *pages) renderFeed(w http.ResponseWriter, r *web.Request, v feedView) error {
	return feedPage.Render(w, r, chrome(r, r.T("task.feed.title"), ui.Crumb{Label: r.T("task.tab.calendar"), Href: "/tasks/calendar"}, ui.Crumb{Label: r.T("task.feed.title")}), v)
}

func (p *pages) showFeed(w http.ResponseWriter, r *web.Request) error {
	v, err := p.feedView(r)
	if err != nil {
		return err
	}
	return p.renderFeed(w, r, v)
}

// base is where the product is reached from outside.
func (p *pages) base(r *web.Request) string {
	if base := strings.TrimSuffix(p.PublicURL, "/"); base != "" {
		return base
	}
	if r.Secure() {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// makeFeed answers with the address itself: it is shown this once, and a redirect
// would have to keep it somewhere.
func (p *pages) makeFeed(w http.ResponseWriter, r *web.Request) error {
	token, err := p.Tasks.MakeFeed(r.Context(), r.Actor)
	if err != nil {
		return err
	}
	v, err := p.feedView(r)
	if err != nil {
		return err
	}
	v.URL = p.base(r) + "/calendar/" + token + ".ics"
	if _, rest, ok := strings.Cut(v.URL, "://"); ok {
		v.Web = "webcal://" + rest
	}
	w.Header().Set("Cache-Control", "no-store")
	return p.renderFeed(w, r, v)
}

func (p *pages) revokeFeed(w http.ResponseWriter, r *web.Request) error {
	if err := p.Tasks.RevokeFeed(r.Context(), r.Actor); err != nil {
		return err
	}
	r.Flash(w, "amber", "task.feed.revoked")
	return r.SeeOther(w, "/tasks/feed")
}

// feed is the calendar itself, for programs that know its secret address.
func (p *pages) feed(w http.ResponseWriter, r *web.Request) error {
	token, ok := strings.CutSuffix(r.PathValue("file"), ".ics")
	if !ok {
		return ui.NoSuchPage()
	}
	base := p.base(r)
	host := r.Host
	if u, err := url.Parse(base); err == nil && u.Host != "" {
		host = u.Hostname()
	}
	raw, err := p.Tasks.Calendar(r.Context(), token, base, host)
	if err != nil {
		if lerr := p.misses.Check(r.IP()); lerr != nil {
			return lerr
		}
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/calendar; charset=utf-8")
	h.Set("Content-Disposition", `inline; filename="tasks.ics"`)
	h.Set("Cache-Control", "private, max-age=300")
	h.Set("X-Robots-Tag", "noindex")
	_, err = w.Write(raw)
	return err
}

type settingsView struct {
	Form    *web.Form
	Reminds []ui.Option
	Details []ui.Option
	Days    []ui.Option
	Levels  []string
}

var settingsPage = ui.NewPage[settingsView](files, "settings.html").Sample(settingsView{Form: &web.Form{}, Reminds: []ui.Option{{Value: "1", Label: "x"}}, Details: []ui.Option{{Value: "1", Label: "x"}}, Days: []ui.Option{{Value: "1", Label: "x"}}, Levels: task.VisitLevels})

func (p *pages) settings(w http.ResponseWriter, r *web.Request) error {
	set, err := p.Tasks.Settings(r.Context())
	if err != nil {
		return err
	}
	f := r.Blank("remind", strconv.Itoa(set.Remind), "morning", set.Morning, "feed", set.Feed, "day_check_at", set.DayCheckAt)
	for name, on := range map[string]bool{"day_check": set.DayCheck, "no_record": set.NoRecord, "unconfirmed": set.Unconfirmed} {
		if on {
			f.Set(name, "1")
		}
	}
	for _, d := range set.Weekdays {
		f.Values.Add("weekdays", strconv.Itoa(d))
	}
	for _, l := range task.VisitLevels {
		f.Set("visit_"+l, set.VisitDays[l])
	}
	return settingsPage.Render(w, r, p.settingsChrome(r), p.settingsView(r, f))
}

func (p *pages) settingsChrome(r *web.Request) ui.Chrome {
	return ui.Chrome{Title: r.T("task.settings.nav"), Nav: "task-settings"}
}

func (p *pages) settingsView(r *web.Request, f *web.Form) settingsView {
	v := settingsView{Form: f, Reminds: reminds(r), Levels: task.VisitLevels}
	for _, d := range task.FeedDetails {
		v.Details = append(v.Details, ui.Option{Value: d, Label: r.T("task.feed." + d), Hint: r.T("task.feed." + d + ".hint")})
	}
	for i := range 7 {
		v.Days = append(v.Days, ui.Option{Value: strconv.Itoa((i + 1) % 7), Label: r.T("task.weekday." + strconv.Itoa(i))})
	}
	return v
}

func (p *pages) setSettings(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	set := task.Settings{Remind: f.Int("remind"), Morning: f.String("morning"), Feed: f.String("feed"), DayCheck: f.Bool("day_check"), DayCheckAt: f.String("day_check_at"),
		NoRecord: f.Bool("no_record"), Unconfirmed: f.Bool("unconfirmed"), VisitDays: map[string]int{}}
	for _, d := range f.Strings("weekdays") {
		n, err := strconv.Atoi(d)
		if err != nil {
			n = -1
		}
		set.Weekdays = append(set.Weekdays, n)
	}
	for _, l := range task.VisitLevels {
		set.VisitDays[l] = f.Int("visit_" + l)
	}
	err := f.Err()
	if err == nil {
		err = p.Tasks.SetSettings(r.Context(), r.Actor, set)
	}
	if err != nil {
		return settingsPage.Invalid(w, r, err, f, p.settingsChrome(r), p.settingsView(r, f))
	}
	r.Flash(w, "green", "task.settings.saved")
	return r.SeeOther(w, "/admin/tasks")
}
