package sim

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/app"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/complaint"
	"bihuan/internal/crypt"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/notify"
	"bihuan/internal/org"
	"bihuan/internal/outbound"
	"bihuan/internal/sla"

	_ "github.com/jackc/pgx/v5/stdlib"
)

// staff of the simulated company. 售后部 has no supervisor of its own: its head
// answers for it. Leads are not given work by routing.
var staff = []struct {
	login, name, role, dep string
	capacity               int64
	mail                   bool
}{
	{"k1", "林晓雯", authz.RoleAgent, "客服部", 4, true},
	{"k2", "周敏", authz.RoleAgent, "客服部", 4, false},
	{"k3", "何静", authz.RoleAgent, "客服部", 3, false},
	{"zg", "陈思远", authz.RoleSupervisor, "客服部", 50, true},
	{"g1", "何俊杰", authz.RoleEngineer, "技术支持部", 4, true},
	{"g2", "罗强", authz.RoleEngineer, "技术支持部", 3, false},
	{"jz", "吴涛", authz.RoleSupervisor, "技术支持部", 50, false},
	{"s1", "马超", authz.RoleEngineer, "售后部", 4, false},
	{"s2", "丁宁", authz.RoleAgent, "售后部", 3, false},
	{"w1", "高飞", authz.RoleAgent, "物流部", 3, false},
	{"zj", "黎嘉敏", authz.RoleHead, "客户服务中心", 50, false},
	{"gl", "孙管", authz.RoleAdmin, "客户服务中心", 50, false},
}

var supervisors = map[string]string{"客服部": "zg", "技术支持部": "jz"}

// template is the store every seed begins with.
var template struct {
	sync.Mutex
	sqlite   []byte
	keys     *crypt.Keeper
	postgres string // name of the database
	n        atomic.Int64
}

var quiet = slog.New(slog.DiscardHandler)

func keys() *crypt.Keeper {
	if template.keys == nil {
		k, err := crypt.New()
		must(err)
		template.keys = k
	}
	return template.keys
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// populate makes the company in a fresh store.
func populate(cfg app.Config) {
	ctx := context.Background()
	c := clock.NewFake(start.Add(-time.Hour))
	a, err := app.Open(ctx, cfg, app.Options{Clock: c, Log: quiet, Keys: keys(), Bulk: true})
	must(err)
	defer a.Close()
	deps, users := map[string]int64{}, map[string]int64{}
	must(a.Run.Do(ctx, authz.System("setup"), "setup", func(ctx context.Context, x *action.Action) error {
		for _, p := range staff {
			d, _, err := a.Org.DepartmentByName(ctx, x, p.dep)
			must(err)
			deps[p.dep] = d.ID
			role, err := a.Org.RoleByCode(ctx, x, p.role)
			must(err)
			in := org.UserInput{Login: p.login, Name: p.name, DepartmentID: d.ID, RoleIDs: []int64{role}, Capacity: p.capacity}
			if p.mail {
				in.Email = p.login + "@example.cn"
			}
			users[p.login], err = a.Org.AddUser(ctx, x, in, "", false)
			must(err)
		}
		exec := func(q string, args ...any) { _, err := x.Exec(ctx, q, args...); must(err) }
		for dep, login := range supervisors {
			exec(`UPDATE departments SET supervisor_id = $1 WHERE id = $2`, users[login], deps[dep])
		}
		exec(`UPDATE departments SET head_id = $1 WHERE id = $2`, users["zj"], deps["客户服务中心"])
		exec(`UPDATE users SET must_change = 0, availability = 'online'`)
		exec(`UPDATE users SET availability = 'busy' WHERE login IN ('zg', 'jz', 'zj', 'gl', 'admin')`)
		var office int64
		must(x.QueryRow(ctx, `SELECT id FROM calendars WHERE name = '工作时间'`).Scan(&office))
		exec(`DELETE FROM service_policies`)
		for _, name := range []string{"urgent", "low", "vip", "normal"} {
			p := sla.Policy{Name: name, Active: true, Rest: name == "normal", Targets: map[sla.Kind]int{}, PauseWhenWaiting: true}
			switch name {
			case "vip":
				p.When, p.Calendars = sla.Conditions{"level": {"vip"}}, map[sla.Kind]int64{"": office}
			case "urgent", "low":
				p.When = sla.Conditions{"urgency": {name}}
			}
			for k, m := range promised[name] {
				p.Targets[sla.Kind(k)] = int(m)
			}
			_, err := sla.Save(ctx, x, p, false)
			must(err)
		}
		x.Nothing()
		return nil
	}))
	c.Advance(10 * time.Second) // the organisation is held for a moment
	admin, err := a.Org.Actor(ctx, users["gl"])
	must(err)
	must(a.Complaints.SetSettings(ctx, admin, complaint.Settings{}))
	_, err = a.Notify.SaveChannel(ctx, admin, notify.Channel{Kind: notify.Mail, Enabled: true, Settings: map[string]string{"host": "mail.example.cn", "port": "465", "tls": "tls", "from": "crm@example.cn"}}, map[string]string{"password": ""})
	must(err)
	agent, err := a.Org.Actor(ctx, users["k1"])
	must(err)
	for i, name := range []string{"广州南粤医疗器械股份有限公司", "深圳海纳仪器有限公司", "杭州云栖软件有限公司", "成都锦官印务有限公司", "武汉长江物流有限公司", "青岛海风食品有限公司", "西安城墙传媒有限公司", "厦门鼓浪电子有限公司"} {
		level := []customer.Level{customer.Normal, customer.VIP, customer.Normal, customer.VIP}[i%4]
		_, err := a.Customers.Create(ctx, agent, customer.Input{Type: customer.Company, Name: name, Level: level, Source: "phone",
			Contacts: []customer.ContactInput{{Name: "联系人" + name[:6], Phone: fmt.Sprintf("1380000%04d", i), Primary: true}}})
		if fault.Is(err, fault.Invalid) || fault.Is(err, fault.Forbidden) { // an agent may not make VIPs by himself
			_, err = a.Customers.Create(ctx, admin, customer.Input{Type: customer.Company, Name: name, Level: level, Source: "phone",
				Contacts: []customer.ContactInput{{Name: "联系人" + name[:6], Phone: fmt.Sprintf("1380000%04d", i), Primary: true}}})
		}
		must(err)
	}
	must(a.Settle(ctx))
	must(a.Duties.Tick(ctx))
	must(a.Settle(ctx))
}

// sqliteTemplate is the file every seed on SQLite begins with.
func sqliteTemplate() []byte {
	template.Lock()
	defer template.Unlock()
	if template.sqlite == nil {
		dir, err := os.MkdirTemp("", "bihuan-sim-")
		must(err)
		defer os.RemoveAll(dir)
		populate(app.Config{Data: dir, MaxUpload: 1, Grace: time.Second})
		template.sqlite, err = os.ReadFile(filepath.Join(dir, "bihuan.db"))
		must(err)
	}
	return template.sqlite
}

// onServer is the address of database name on the server.
func onServer(server, name string) string {
	u, err := url.Parse(server)
	must(err)
	u.Path = "/" + name
	return u.String()
}

// postgresCopy makes a database of its own for a seed; drop removes it.
func postgresCopy(server string) (address string, drop func()) {
	ctx := context.Background()
	admin, err := sql.Open("pgx", server)
	must(err)
	template.Lock()
	if template.postgres == "" {
		template.postgres = fmt.Sprintf("bihuan_sim%d_%d", os.Getpid(), time.Now().UnixNano()%1e9)
		_, err := admin.ExecContext(ctx, "CREATE DATABASE "+template.postgres)
		must(err)
		dir, err := os.MkdirTemp("", "bihuan-sim-")
		must(err)
		populate(app.Config{Database: onServer(server, template.postgres), Data: dir, MaxUpload: 1, Grace: time.Second})
		os.RemoveAll(dir)
	}
	name := fmt.Sprintf("%s_%d", template.postgres, template.n.Add(1))
	_, err = admin.ExecContext(ctx, "CREATE DATABASE "+name+" TEMPLATE "+template.postgres+" STRATEGY FILE_COPY")
	template.Unlock()
	must(err)
	return onServer(server, name), func() {
		admin.ExecContext(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
		admin.Close()
	}
}

func dropTemplate(server string) {
	if template.postgres == "" {
		return
	}
	if admin, err := sql.Open("pgx", server); err == nil {
		admin.Exec("DROP DATABASE IF EXISTS " + template.postgres + " WITH (FORCE)")
		admin.Close()
	}
}

// person is a member of staff as the simulation knows him.
type person struct {
	id, dep, capacity, delegate int64
	login, role, availability   string
	from, until                 int64 // away
	active                      bool
}

func (p *person) away(now int64) bool { return p.until > now && p.from <= now }

func (p *person) leads() bool {
	return p.role == authz.RoleSupervisor || p.role == authz.RoleHead || p.role == authz.RoleAdmin
}

type client struct {
	id, contact int64
	name, level string
}

// figures are what a run has done.
type figures struct {
	tickets, moves, refused, fired, late, faults, restarts, mails, notices, steps int
	micros                                                                        int64
}

func (f *figures) add(o figures) {
	f.tickets += o.tickets
	f.moves += o.moves
	f.refused += o.refused
	f.fired += o.fired
	f.late += o.late
	f.faults += o.faults
	f.restarts += o.restarts
	f.mails += o.mails
	f.notices += o.notices
	f.steps += o.steps
	f.micros += o.micros
}

// world is the company of one seed.
type world struct {
	seed   uint64
	cfg    app.Config
	app    *app.App
	clk    *clock.Fake
	r      *rand.Rand
	ctx    context.Context
	deps   map[string]int64
	parent map[int64]int64 // of departments
	heads  map[int64][2]int64
	people map[int64]*person
	ids    []int64 // of staff, in order
	client []client
	fig    figures

	step  int
	log   []string // the newest actions
	trace uint64   // of all that happened, to compare two runs

	// Faults.
	refuse            bool    // the store takes no writes
	flaky             float64 // part of the transactions that fail
	dead              bool    // the program has died; it is opened again after the step
	troubled          bool    // in this step a write was refused
	stopped           map[string]bool
	ends              []ending
	mail              mailer
	unblocked         int64 // since when sweeps have not been kept from firing
	tick, human, fail int64 // when the next duties, action and fault come

	swept, drained bool // in this step
	sweptAt        int64

	model
}

// ending is the end of a fault.
type ending struct {
	at int64
	do func()
}

// mailer stands for the mail server.
type mailer struct {
	mode   string // "", down, later, unsure, address
	slow   bool
	crash  bool
	notice map[string]int // page of the notice -> how often it arrived
}

// broken is what ends a run.
type broken struct{ invariant, what string }

func (w *world) now() int64 { return w.clk.Now().UnixMicro() }

func (w *world) in(n int) bool { return w.r.IntN(n) == 0 }

func (w *world) some(from ...string) string { return from[w.r.IntN(len(from))] }

// note writes down what happens.
func (w *world) note(format string, args ...any) {
	s := fmt.Sprintf("%5d %s  ", w.step, w.clk.Now().In(zone).Format("01-02 15:04:05.000")) + fmt.Sprintf(format, args...)
	w.log = append(w.log, s)
	if len(w.log) > 30 {
		w.log = w.log[1:]
	}
	w.mark(s)
}

func (w *world) mark(s string) {
	for _, b := range []byte(s) {
		w.trace = (w.trace ^ uint64(b)) * 1099511628211
	}
}

func (w *world) broke(invariant, format string, args ...any) {
	panic(broken{invariant, fmt.Sprintf(format, args...)})
}

var errRefused = errors.New("sim: the store refuses")

// trouble is asked by the store.
func (w *world) trouble(at db.Moment) error {
	if w.refuse || w.dead {
		w.troubled = true
		return errRefused
	}
	if w.flaky > 0 && w.r.Float64() < w.flaky/3 {
		w.troubled = true
		return errRefused
	}
	return nil
}

// send is the mail server.
func (w *world) send(_ context.Context, m outbound.Message) (string, error) {
	if w.mail.slow {
		w.clk.Advance(time.Duration(5+w.r.IntN(150)) * time.Second)
		w.unblocked = w.now()
	}
	arrived := func() {
		w.fig.mails++
		for _, i := range m.Items {
			w.mail.notice[i.Path]++
		}
	}
	if w.mail.crash {
		w.mail.crash, w.dead = false, true
		if w.in(2) {
			arrived()
		}
		return "250 ok", nil
	}
	switch w.mail.mode {
	case "down":
		return "", outbound.Failed(outbound.Down, "", errors.New("connection refused"))
	case "later":
		return "", outbound.Failed(outbound.Later, "451 try again", errors.New("try again"))
	case "address":
		return "", outbound.Failed(outbound.Address, "550 no such user", errors.New("no such user"))
	case "unsure":
		if w.in(2) {
			arrived()
		}
		return "", outbound.Failed(outbound.Unsure, "", errors.New("connection broke"))
	}
	arrived()
	return "250 ok", nil
}

// open starts the program.
func (w *world) open() {
	a, err := app.Open(w.ctx, w.cfg, app.Options{Clock: w.clk, Log: quiet, Keys: keys(), Bulk: true, Trouble: w.trouble})
	if err != nil {
		w.broke("start", "the program does not start: %v", err)
	}
	a.Notify.Reach(notify.Outside{Net: outbound.New(), Mail: w.send})
	w.app = a
}

// restart stops the program and starts it again on the same store.
func (w *world) restart() {
	w.app.Close()
	w.dead = false
	w.fig.restarts++
	refuse, flaky := w.refuse, w.flaky
	w.refuse, w.flaky = false, 0 // who cannot write does not start
	w.open()
	w.refuse, w.flaky = refuse, flaky
}

// q is the simulation's own look at the tables.
func (w *world) rows(query string, scan func(s func(...any)), args ...any) {
	rows, err := w.app.DB.Read().Query(w.ctx, query, args...)
	must(err)
	defer rows.Close()
	for rows.Next() {
		scan(func(to ...any) { must(rows.Scan(to...)) })
	}
	must(rows.Err())
}

func (w *world) count(query string, args ...any) (n int64) {
	must(w.app.DB.Read().QueryRow(w.ctx, query, args...).Scan(&n))
	return n
}

func inList(ids []int64) string {
	s := make([]string, len(ids))
	for i, id := range ids {
		s[i] = fmt.Sprint(id)
	}
	return strings.Join(s, ",")
}

// meet reads who works here and who the customers are.
func (w *world) meet() {
	w.deps, w.parent, w.heads = map[string]int64{}, map[int64]int64{}, map[int64][2]int64{}
	w.rows(`SELECT id, COALESCE(parent_id, 0), name, head_id, supervisor_id FROM departments`, func(s func(...any)) {
		var id, parent, head, sup int64
		var name string
		s(&id, &parent, &name, &head, &sup)
		w.deps[name], w.parent[id], w.heads[id] = id, parent, [2]int64{sup, head}
	})
	w.people, w.ids = map[int64]*person{}, nil
	w.rows(`SELECT u.id, u.login, u.department_id, u.capacity, u.active, r.code FROM users u JOIN user_roles ur ON ur.user_id = u.id JOIN roles r ON r.id = ur.role_id ORDER BY u.id`, func(s func(...any)) {
		p := &person{}
		var active int
		s(&p.id, &p.login, &p.dep, &p.capacity, &active, &p.role)
		p.active = active == 1
		w.people[p.id] = p
		if p.login != "admin" {
			w.ids = append(w.ids, p.id)
		}
	})
	w.presence()
	w.rows(`SELECT c.id, c.name, c.level, COALESCE((SELECT MIN(x.id) FROM contacts x WHERE x.customer_id = c.id), 0) FROM customers c ORDER BY c.id`, func(s func(...any)) {
		var c client
		s(&c.id, &c.name, &c.level, &c.contact)
		w.client = append(w.client, c)
	})
	w.rows(`SELECT COALESCE(MAX(id), 0) FROM events`, func(s func(...any)) { s(&w.event) })
	w.rows(`SELECT COALESCE(MAX(id), 0) FROM notifications`, func(s func(...any)) { s(&w.notice) })
}

// presence reads who is there.
func (w *world) presence() {
	w.rows(`SELECT id, availability, away_from, away_until, delegate_id FROM users`, func(s func(...any)) {
		var id, from, until, delegate int64
		var how string
		s(&id, &how, &from, &until, &delegate)
		if p := w.people[id]; p != nil {
			p.availability, p.from, p.until, p.delegate = how, from, until, delegate
		}
	})
}

// bossOf is the supervisor of a department, else its head, else of the one above.
func (w *world) bossOf(dep int64) int64 {
	for ; dep != 0; dep = w.parent[dep] {
		for _, id := range w.heads[dep] {
			if id != 0 {
				return id
			}
		}
	}
	return 0
}

func (w *world) headOf(dep int64) int64 {
	for ; dep != 0; dep = w.parent[dep] {
		if id := w.heads[dep][1]; id != 0 {
			return id
		}
	}
	return 0
}

// standIn is who acts for somebody now.
func (w *world) standIn(id, now int64) int64 {
	at := id
	for range 5 {
		p := w.people[at]
		if p == nil || !p.away(now) || p.delegate == 0 {
			return at
		}
		at = p.delegate
	}
	return id
}

// hears is who is told in place of id when a clock speaks.
func (w *world) hears(id, dep, now int64) int64 {
	by := w.standIn(id, now)
	if p := w.people[by]; p != nil && p.away(now) {
		if boss := w.standIn(w.bossOf(dep), now); boss != 0 && !w.people[boss].away(now) {
			return boss
		}
	}
	return by
}

// within reports whether dep is top or below it.
func (w *world) within(dep, top int64) bool {
	for ; dep != 0; dep = w.parent[dep] {
		if dep == top {
			return true
		}
	}
	return false
}

// supervises reports whether somebody may supervise tickets of a department.
func (w *world) supervises(p *person, dep int64) bool {
	return p != nil && (p.role == authz.RoleAdmin || p.leads() && w.within(dep, p.dep))
}

// fits reports whether somebody may be given a ticket of dep now.
func (w *world) fits(p *person, dep, now int64) bool {
	return p.active && p.dep == dep && slices.Contains([]string{authz.RoleAgent, authz.RoleEngineer, authz.RoleSupervisor, authz.RoleHead, authz.RoleAdmin}, p.role) &&
		p.availability == "online" && !p.away(now)
}

// actor is the person as the rooms know him.
func (w *world) actor(id int64) authz.Actor {
	a, err := w.app.Org.Actor(w.ctx, id)
	must(err)
	return a
}

func (c client) actor() authz.Actor {
	return authz.Actor{Kind: authz.Customer, ID: c.contact, CustomerID: c.id, Name: c.name}
}
