// Package app puts the house together. It knows everything, in one function
// that reads from top to bottom, and decides nothing.
package app

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/api"
	v1 "bihuan/internal/api/v1"
	"bihuan/internal/approval"
	"bihuan/internal/approval/approvalui"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/calendar"
	"bihuan/internal/calendar/calendarui"
	"bihuan/internal/canned"
	"bihuan/internal/canned/cannedui"
	"bihuan/internal/clock"
	"bihuan/internal/complaint"
	"bihuan/internal/complaint/complaintui"
	"bihuan/internal/crypt"
	"bihuan/internal/customer"
	"bihuan/internal/customer/customerui"
	"bihuan/internal/db"
	"bihuan/internal/demo/demoui"
	"bihuan/internal/event"
	"bihuan/internal/field"
	"bihuan/internal/field/fieldui"
	"bihuan/internal/importer"
	"bihuan/internal/importer/importerui"
	"bihuan/internal/inbound"
	"bihuan/internal/job"
	"bihuan/internal/keyring"
	"bihuan/internal/knowledge"
	"bihuan/internal/knowledge/knowledgeui"
	"bihuan/internal/mailbox"
	"bihuan/internal/mailbox/mailboxui"
	"bihuan/internal/manual"
	"bihuan/internal/node"
	"bihuan/internal/notify"
	"bihuan/internal/notify/notifyui"
	"bihuan/internal/org"
	"bihuan/internal/org/orgui"
	"bihuan/internal/portal"
	"bihuan/internal/privacy"
	"bihuan/internal/privacy/privacyui"
	"bihuan/internal/process"
	"bihuan/internal/process/processui"
	"bihuan/internal/rule"
	"bihuan/internal/sla"
	"bihuan/internal/task"
	"bihuan/internal/task/taskui"
	"bihuan/internal/ticket"
	"bihuan/internal/ticket/settingsui"
	"bihuan/internal/ticket/slaui"
	"bihuan/internal/ticket/ticketui"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Version of the product; set by the build.
var Version = "0.1.0-dev"

// App is a product ready to serve.
type App struct {
	Config     Config
	DB         *db.DB
	Run        *action.Runner
	Follower   *event.Follower
	Keys       *crypt.Keeper
	Ring       *keyring.Ring
	Org        *org.Service
	Approvals  *approval.Service
	Tasks      *task.Service
	Customers  *customer.Service
	Tickets    *ticket.Service
	Complaints *complaint.Service
	Canned     *canned.Service
	Knowledge  *knowledge.Service
	Clocks     *sla.Service
	Calendars  *calendar.Service
	Rules      *rule.Service
	Mails      *mailbox.Service
	Notify     *notify.Service
	Inbound    *inbound.Service
	Files      *blob.Files
	Queue      *job.Queue
	Imports    *importer.Service
	Privacy    *privacy.Service
	Processes  *process.Service
	Duties     *job.Duties
	Nodes      *node.Keeper
	Broker     *web.Broker
	Presence   *web.Presence
	Sessions   *web.Sessions
	Router     *web.Router
	Shell      *ui.Shell
	Metrics    *prometheus.Registry
	Log        *slog.Logger

	// FirstLogin and FirstPassword are set when Open made the first
	// administrator; the password is kept nowhere else.
	FirstLogin, FirstPassword string
}

// Options of Open beside the configuration; zero fields take the defaults.
type Options struct {
	Clock clock.Clock
	Log   *slog.Logger
	// Offline leaves out the copy before an upgrade and the first
	// administrator: for commands that run beside a server.
	Offline bool
	Keys    *crypt.Keeper // instead of the key file
	Bulk    bool          // to fill the store: see db.Config
	Trouble db.Trouble    // for simulations
}

// Open opens the store, brings its schema up to date, seeds what a company
// begins with and puts the house together. Close it.
func Open(ctx context.Context, cfg Config, o Options) (a *App, err error) {
	if o.Clock == nil {
		o.Clock = clock.Real()
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	proxies, err := cfg.proxies()
	if err != nil {
		return nil, err
	}

	// The store.
	d, err := db.Open(ctx, db.Config{URL: cfg.Database, Dir: cfg.Data, Clock: o.Clock, Bulk: o.Bulk, Trouble: o.Trouble})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			d.Close()
		}
	}()
	if err := upgrade(ctx, d, cfg, o); err != nil {
		return nil, err
	}
	ring, err := openKeys(ctx, d, cfg, o)
	if err != nil {
		return nil, err
	}
	keys := ring.Keys

	// The works.
	follower := event.NewFollower(d)
	run := action.NewRunner(d, follower.Wake)
	store, err := blob.OpenFolder(filepath.Join(cfg.Data, "blobs"), o.Clock)
	if err != nil {
		return nil, err
	}
	maxUpload := cfg.MaxUpload << 20
	files := blob.NewFiles(run, store, maxUpload)
	queue := job.New(d, job.Config{})
	leases := job.NewLeases(d)
	duties := job.NewDuties(d, leases)
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	broker := web.NewBroker(o.Clock).Link(d)

	// The rooms.
	organisation := org.New(run)
	calendars := calendar.New(run, organisation)
	approvals := approval.NewService(run, organisation)
	tasks := task.NewService(run, organisation)
	customers := customer.New(run, keys)
	clocks := sla.New(run)
	tickets := ticket.New(run, organisation, customers, files, keys, clocks)
	complaints := complaint.New(run, organisation, tickets, customers, files)
	customers.ShowTickets(tickets)
	customers.Fields().KeepSearch(queue, map[field.Object]field.Reindexer{field.Customer: customers.Reindex, field.Contact: customers.ReindexContacts, field.Ticket: ticket.Reindex})
	customers.AskApprovals(approvals)
	tickets.AskDeferrals(approvals)
	customers.AskExportApprovals(approvals)
	customers.Equip(organisation, files, queue)
	tickets.Equip(organisation, queue)
	calendars.OnChange(tickets.FollowCalendar)
	organisation.AddWork(tickets.Work())
	organisation.NameFields(customers.Fields().LabelOf)
	files.Authorize("ticket", tickets.MayRead)
	files.Authorize(customer.FileOwner, customers.MayReadFile)

	// The channels that take tables in.
	imports := importer.New(run, organisation, customers, tickets, files, queue)
	processes := process.New(run, tickets, organisation, customers.Fields(), files, complaints)
	personal := privacy.New(run, privacy.Rooms{Org: organisation, Approvals: approvals, Fields: customers.Fields(), Customers: customers, Tickets: tickets, Complaints: complaints, Files: files, Keys: keys, Jobs: queue})

	// The listeners.
	notices := notify.New(run, notify.Rooms{Broker: broker, Org: organisation, Keys: keys, Jobs: queue, PublicURL: cfg.PublicURL})
	follower.Listen(tickets.Indexer())
	follower.Listen(tickets.Customers())
	follower.Listen(complaints.Follow())
	follower.Listen(customers.Suspicions())
	follower.Listen(customers.QualityListener())
	follower.Listen(notices.Listener())
	follower.Listen(approvals.Listener())
	follower.Tail(ticketui.Live(tickets, broker))
	follower.Tail(approvalui.Live(approvals, broker))

	notices.Resolve(func(ctx context.Context, q db.Querier, id int64, who []string) ([]int64, error) {
		ws := make([]sla.Who, len(who))
		for i, w := range who {
			ws[i] = sla.Who(w)
		}
		return tickets.Whom(ctx, q, id, ws)
	})

	// The face.
	shell := &ui.Shell{
		Nav:      navigation(approvals, tasks, customers),
		Actions:  append(slices.Clone(ticketui.Actions), taskui.Action),
		Home:     "/",
		Visitors: []string{"/portal/", "/c/", "/help/"},
		Unread:   func(ctx context.Context, a authz.Actor) int { n, _ := notices.Unread(ctx, a.ID, 100); return n },
		SetLang:  organisation.SetLang,
		SetKeys:  organisation.SetKeys,
		Jump:     "/tickets/jump",
		Company:  func(ctx context.Context) string { c, _ := organisation.Company(ctx); return c.Name },
	}
	sessions := web.NewSessions(d, organisation, web.SessionConfig{Clock: o.Clock})
	organisation.Attach(sessions)
	rt := web.New(web.Config{Clock: o.Clock, Log: o.Log, Auth: []web.Authenticator{sessions}, Metrics: metrics, Shell: shell, TrustedProxies: proxies, HSTS: cfg.HSTS, Attend: d.Attend})
	presence := web.NewPresence(broker, o.Clock, func(ctx context.Context, actor authz.Actor, id int64) (web.Audience, error) {
		owners, dep, err := tickets.Audience(ctx, ticket.View(actor), id)
		return web.Audience{Perm: ticket.PermView, Owners: owners, Department: dep}, err
	})

	a = &App{Config: cfg, DB: d, Run: run, Follower: follower, Keys: keys, Ring: ring, Org: organisation, Approvals: approvals, Customers: customers, Tickets: tickets, Complaints: complaints, Canned: canned.New(run, organisation, customers, tickets, files), Knowledge: knowledge.New(run, organisation, tickets, files), Clocks: clocks, Calendars: calendars,
		Mails: mailbox.New(run, tickets, customers, files, keys), Notify: notices, Files: files, Queue: queue, Duties: duties, Nodes: node.New(d, leases.Holder(), Version, cfg.Data), Imports: imports, Privacy: personal, Processes: processes, Broker: broker, Presence: presence, Sessions: sessions, Router: rt, Shell: shell, Metrics: metrics, Log: o.Log}
	a.Inbound = inbound.New(run, tickets, customers, keys)
	a.forget()
	a.tasks(tasks)
	a.rules()
	a.routes()
	a.duties()
	a.care()
	a.writing()
	a.keepKnowledge()
	a.mails()
	a.gauges()
	if !o.Offline {
		if err := a.seed(ctx); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// navigation is the rail and, behind it, what is needed less often.
func navigation(approvals *approval.Service, tasks *task.Service, customers *customer.Service) []ui.Nav {
	nav := append(slices.Clone(ticketui.Nav),
		taskui.Nav(tasks),
		complaintui.Nav(),
		ui.Nav{Key: "customers", Href: "/customers", Icon: "users", LabelKey: "customer.nav", Perm: customer.PermView, Letter: "c"},
		approvalui.Nav(approvals),
		knowledgeui.Nav(),
		ui.Nav{Key: "notifications", Href: "/notifications", Icon: "bell", LabelKey: "notify.title", Menu: true},
		cannedui.Nav(),
		manual.Nav(),
	)
	nav = append(nav, customerui.CareNav(customers)...)
	nav = append(nav, privacyui.Nav()...)
	nav = append(nav, slaui.Nav()...)
	nav = append(nav, orgui.TeamNav()...)
	nav = append(nav, orgui.Nav()...)
	nav = append(nav, orgui.NodesNav())
	return append(nav, settingsui.Nav(), slaui.SettingsNav(), settingsui.TagsNav(), calendarui.Nav(), complaintui.SettingsNav(), processui.Nav(), customerui.DuplicatesNav(), customerui.QualityNav(), customerui.SettingsNav(), customerui.CareSettingsNav(), approvalui.RulesNav(), fieldui.Nav(), taskui.SettingsNav(), portal.SettingsNav(), inbound.Nav(), demoui.Nav[0], importerui.Nav(), mailboxui.SettingsNav(), notifyui.SettingsNav())
}

func (a *App) routes() {
	rt := a.Router
	a.Shell.Routes(rt, org.PermManage)
	a.Broker.Route(rt)
	a.Presence.Route(rt)
	orgui.Routes(rt, a.Org, a.Sessions, a.DB.Clock())
	orgui.NodeRoutes(rt, a.Nodes)
	fieldui.Routes(rt, a.Customers.Fields(), a.Org)
	customerui.Routes(rt, a.customerPages())
	besides := ticketui.Rooms{Tickets: a.Tickets, Customers: a.Customers, Org: a.Org, Files: a.Files, PublicURL: a.Config.PublicURL, Blocks: a.deskBlocks()}
	a.complaints(&besides)
	besides.Panels = append(besides.Panels, processui.Panel(a.Processes))
	besides.StageName, besides.Stages = a.Processes.StageName, processui.Stages(a.Processes)
	a.macros(&besides)
	a.knowledge(&besides)
	a.tasksBeside(&besides)
	a.mailsBeside(&besides)
	ticketui.Routes(rt, besides)
	taskui.Routes(rt, a.taskPages())
	complaintui.Routes(rt, a.Complaints, a.Tickets, a.Org, a.complaintPath)
	cannedui.Routes(rt, a.cannedPages())
	knowledgeui.Routes(rt, a.knowledgePages())
	processui.Routes(rt, a.Processes, a.Tickets, a.Org)
	approvalui.Routes(rt, a.Approvals, a.Org)
	calendarui.Routes(rt, a.calendarPages())
	settingsui.Routes(rt, a.Tickets, a.Org, ticketui.Explain(a.Tickets, a.Org))
	slaui.Routes(rt, a.Clocks, a.Tickets, a.Org, a.outlook)
	portal.Routes(rt, portal.New(a.Run, a.Tickets, a.Customers, a.Files, a.Keys, a.Shell.Company).ShowComplaints(a.Complaints).ShowHelp(a.Knowledge.Open))
	inbound.Routes(rt, a.Inbound, a.Config.PublicURL)
	a.mailPages(rt)
	notifyui.Routes(rt, a.Notify, a.Org, a.Tickets.Know)
	manual.Routes(rt)
	importerui.Routes(rt, a.Imports, a.Org)
	privacyui.Routes(rt, a.Privacy, a.Customers)
	v1.Mount(rt, v1.Rooms{Run: a.Run, Org: a.Org, Approvals: a.Approvals, Tasks: a.Tasks, Customers: a.Customers, Tickets: a.Tickets, Canned: a.Canned, Knowledge: a.Knowledge, Complaints: a.Complaints, Rules: a.Rules, Privacy: a.Privacy, Processes: a.Processes, Calendars: a.Calendars}, api.Config{Clock: a.DB.Clock()})
	demoui.Routes(rt, sampleData{a})
	rt.Handle("GET /{$}", web.SignedIn, func(w http.ResponseWriter, r *web.Request) error {
		for _, to := range []struct {
			perm authz.Permission
			href string
		}{{ticket.PermView, "/tickets"}, {customer.PermView, "/customers"}} {
			if r.Actor.Can(to.perm) {
				return r.SeeOther(w, "%s", to.href)
			}
		}
		return r.SeeOther(w, "/account")
	})
	rt.Mount("GET /healthz", web.Public, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "ok") }), web.NoActor())
	rt.Mount("GET /readyz", web.Public, http.HandlerFunc(a.ready), web.NoActor())
	rt.Mount("GET /metrics", web.Public, a.metrics(), web.NoActor())
}

// ready says whether requests can be served now: the store answers.
func (a *App) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
	defer cancel()
	if err := a.DB.Ping(ctx); err != nil {
		a.Log.Warn("not ready", "err", err)
		http.Error(w, "database unavailable", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// metrics answers this machine, and others with the token.
func (a *App) metrics() http.Handler {
	h := promhttp.HandlerFor(a.Metrics, promhttp.HandlerOpts{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		addr, aerr := netip.ParseAddr(host)
		local := err == nil && aerr == nil && addr.IsLoopback() && !forwarded(r.Header)
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !local && (a.Config.MetricsToken == "" || subtle.ConstantTimeCompare([]byte(token), []byte(a.Config.MetricsToken)) != 1) {
			http.NotFound(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// forwarded reports whether a proxy on this machine sent the request on for
// somebody else; not all say so in the same header.
func forwarded(h http.Header) bool {
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-Ip", "Forwarded", "Via"} {
		if h.Get(name) != "" {
			return true
		}
	}
	return false
}

// gauges are figures of the product itself beside those of its requests.
func (a *App) gauges() {
	count := func(name, help, query string) {
		a.Metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			var n float64
			if err := a.DB.Read().QueryRow(ctx, query).Scan(&n); err != nil {
				return -1
			}
			return n
		}))
	}
	count("bihuan_jobs_waiting", "Jobs that wait to be run.", `SELECT COUNT(*) FROM jobs WHERE state = 'available'`)
	count("bihuan_jobs_discarded", "Jobs given up after too many failures.", `SELECT COUNT(*) FROM jobs WHERE state = 'discarded'`)
	count("bihuan_events_unsealed", "Facts not yet in the chain.", `SELECT COUNT(*) FROM events WHERE seq IS NULL`)
	a.keyGauges()
	now := a.DB.Clock().Now
	a.Metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "bihuan_clock_lag_seconds", Help: "How long the oldest due clock has waited to be fired."}, func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		var at int64
		if err := a.DB.Read().QueryRow(ctx, `SELECT COALESCE(MIN(next_at), 0) FROM clocks WHERE state = 'running' AND next_at > 0`).Scan(&at); err != nil {
			return -1
		}
		if at == 0 {
			return 0
		}
		return max(0, now().Sub(db.FromMicros(at)).Seconds())
	}))
}

// duties are what the product does by itself now and then.
func (a *App) duties() {
	a.Duties.Every("approvals", time.Minute, func(ctx context.Context) error { _, err := a.Approvals.Sweep(ctx); return err })
	a.Duties.Every("holidays", time.Hour, a.Calendars.Remind)
	a.Duties.Every("promises", 30*time.Second, a.Clocks.Count)
	a.Duties.Every("archive", time.Hour, func(ctx context.Context) error {
		for {
			n, err := a.Tickets.Archive(ctx, 200)
			if err != nil || n < 200 {
				return err
			}
		}
	})
	a.Duties.Every("notices", 20*time.Second, a.Notify.Sweep)
	a.Duties.Every("notice log", 12*time.Hour, a.Notify.Prune)
	a.Duties.Every("inbound log", 12*time.Hour, a.Inbound.Prune)
	a.Duties.Every("sessions", time.Hour, a.Sessions.Sweep)
	a.Duties.Every("duplicates", 10*time.Second, a.Customers.FindPairs)
	a.Duties.Every("merges", time.Hour, a.Customers.SweepMerges)
	a.Duties.Every("api keys", time.Hour, func(ctx context.Context) error { _, err := a.Run.SweepKeys(ctx, 5000); return err })
	a.Duties.Every("jobs", 6*time.Hour, a.Queue.Prune)
	a.Duties.Every("imports", time.Hour, a.Imports.Sweep)
	a.privacyDuties()
	a.Duties.Every("files", time.Hour, a.Files.Sweep)
	a.Duties.Every("customer lists", time.Hour, a.Customers.SweepLists)
	a.Duties.Every("put off", 20*time.Second, a.Tickets.Wake)
	a.Duties.Every("bulk changes", 6*time.Hour, a.Tickets.SweepBulks)
	a.Duties.Every("statistics", 6*time.Hour, a.DB.Statistics)
	a.Duties.Every("data quality", time.Hour, a.Customers.CheckQuality)
	a.Duties.Every("file content", 24*time.Hour, a.Files.SweepContent)
}

// seed brings the defaults of a fresh install, and what a later version added.
func (a *App) seed(ctx context.Context) error {
	err := a.Run.Do(ctx, authz.System("setup"), "setup", func(ctx context.Context, act *action.Action) error {
		if err := a.Org.Seed(ctx, act); err != nil {
			return err
		}
		if err := sla.Seed(ctx, act); err != nil {
			return err
		}
		deps := map[string]int64{}
		for _, name := range []string{"客服部", "技术支持部", "售后部", "销售部", "物流部"} {
			if d, ok, err := a.Org.DepartmentByName(ctx, act, name); err != nil {
				return err
			} else if ok {
				deps[name] = d.ID
			}
		}
		act.Nothing()
		if err := ticket.Seed(ctx, act, deps); err != nil {
			return err
		}
		if err := canned.Seed(ctx, act); err != nil {
			return err
		}
		return knowledge.Seed(ctx, act)
	})
	if err != nil {
		return fmt.Errorf("app: defaults: %w", err)
	}
	login, password, made, err := a.Org.FirstAdmin(ctx)
	if err != nil {
		return fmt.Errorf("app: first administrator: %w", err)
	}
	if made {
		a.FirstLogin, a.FirstPassword = login, password
	}
	return nil
}

// Background runs everything that goes on beside requests, until ctx ends.
func (a *App) Background(ctx context.Context) {
	ctx = db.Behind(ctx)
	var wg sync.WaitGroup
	for _, f := range []func(context.Context){
		a.DB.Watch, a.DB.Talk, a.Nodes.Run, a.Follower.Run, a.Queue.Run, a.Duties.Run, a.Ring.Follow, a.countReaders,
		func(ctx context.Context) { tendMemory(ctx, a.DB) },
		func(ctx context.Context) { a.Mails.Run(ctx, a.Log) },
		func(ctx context.Context) {
			a.Clocks.Run(ctx, func(err error) { a.Log.Error("clocks", "err", err) })
		},
		func(ctx context.Context) {
			if err := a.Presence.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
				a.Log.Error("presence", "err", err)
			}
		},
	} {
		wg.Go(func() { f(ctx) })
	}
	wg.Wait()
}

// Serve answers requests from l until ctx ends, then stops in order: no new
// requests, running ones finish, background work ends.
func (a *App) Serve(ctx context.Context, l net.Listener) error {
	if err := a.Follower.StartTail(ctx); err != nil {
		return err
	}
	a.Nodes.Listens(l.Addr().String())
	back, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	done := make(chan struct{})
	go func() { defer close(done); a.Background(back) }()
	go func() { <-ctx.Done(); a.Broker.Close() }()
	err := web.Serve(ctx, l, a.Router, a.Config.Grace, a.Log)
	stop()
	<-done
	return err
}

// Settle does now what Background would do: clocks that are due, events to
// their listeners, jobs. For tests and the command line.
func (a *App) Settle(ctx context.Context) error {
	for range 50 {
		fired, err := a.Clocks.Sweep(ctx)
		if err != nil {
			return err
		}
		if err := a.Follower.Drain(ctx); err != nil {
			return err
		}
		ran, err := a.Queue.RunDue(ctx)
		if err != nil {
			return err
		}
		ruled, err := a.Rules.Sweep(ctx)
		if err != nil {
			return err
		}
		if fired+ran+ruled == 0 {
			return a.Follower.Drain(ctx)
		}
	}
	return errors.New("app: does not settle")
}

// Close closes the store.
func (a *App) Close() error {
	a.Broker.Close()
	a.Ring.Close(context.Background())
	return a.DB.Close()
}
