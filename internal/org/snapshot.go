package org

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/setting"
)

// trust is how long the snapshot is believed without asking the database
// whether another node has changed the organisation.
const trust = 5 * time.Second

// snapshot is the whole organisation in memory. What it says is never changed
// once made.
type snapshot struct {
	generation int64
	checked    atomic.Int64 // µs: when it was last found to be current
	policy     SignInPolicy
	company    Company

	departments map[int64]*Department
	children    map[int64][]int64 // by parent, in their order; also of inactive ones
	users       map[int64]*User   // all of them, for the names
	roles       map[int64]*Role
	skills      map[int64]string                           // names
	grants      map[int64]map[authz.Permission]authz.Level // by role
	members     map[int64][]int64                          // active users by department or team, by id

	turns []Turn // who is on duty when

	actors sync.Map // user id -> authz.Actor, made when first asked for
	merged sync.Map // role ids -> merged levels: most colleagues share one set
}

// current returns the organisation as it is. Asked through the readers it may be
// up to trust old after a change by another node; asked with the querier of a
// transaction it is exact, and never takes a second connection.
func (s *Service) current(ctx context.Context, q db.Querier) (*snapshot, error) {
	tx := q != nil && q != s.d.Read()
	if !tx {
		q = s.d.Read()
	}
	now := db.Micros(s.d.Clock().Now())
	o := s.snap.Load()
	if o != nil && !tx && db.InWrite(ctx) {
		return o, nil // names are asked for this way; a second connection may never come
	}
	if o != nil && !tx {
		if age := now - o.checked.Load(); age >= 0 && age < trust.Microseconds() {
			return o, nil
		}
	}
	gen, err := readGeneration(ctx, q)
	if err != nil {
		return nil, err
	}
	if o != nil && o.generation == gen {
		if !tx {
			o.checked.Store(now)
		}
		return o, nil
	}
	if tx {
		return s.load(ctx, q) // of a transaction that may yet fail: not kept
	}
	s.loading.Lock()
	defer s.loading.Unlock()
	if o := s.snap.Load(); o != nil && o.generation >= gen {
		return o, nil
	}
	before := s.dropped.Load()
	if o, err = s.load(ctx, q); err != nil {
		return nil, err
	}
	if s.dropped.Load() == before {
		s.snap.Store(o)
	}
	return o, nil
}

// generationOf is what a transaction keeps the generation under: it asks once.
type generationOf struct{}

func readGeneration(ctx context.Context, q db.Querier) (int64, error) {
	if tx, ok := q.(interface {
		Once(key any, make func() (any, error)) (any, error)
	}); ok {
		v, err := tx.Once(generationOf{}, func() (any, error) { return askGeneration(ctx, q) })
		if err != nil {
			return 0, err
		}
		return v.(int64), nil
	}
	return askGeneration(ctx, q)
}

func askGeneration(ctx context.Context, q db.Querier) (int64, error) {
	var n int64
	err := q.QueryRow(ctx, `SELECT n FROM counters WHERE name = $1`, generation).Scan(&n)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("org: generation: %w", err)
	}
	return n, nil
}

func (s *Service) load(ctx context.Context, q db.Querier) (*snapshot, error) {
	o := &snapshot{departments: map[int64]*Department{}, children: map[int64][]int64{}, users: map[int64]*User{},
		roles: map[int64]*Role{}, skills: map[int64]string{}, grants: map[int64]map[authz.Permission]authz.Level{}, members: map[int64][]int64{}}
	o.checked.Store(db.Micros(s.d.Clock().Now()))
	var err error
	// Before the rows: a change in between makes the snapshot look older than it is, never newer.
	if o.generation, err = readGeneration(ctx, q); err != nil {
		return nil, err
	}
	if o.policy, err = readPolicy(ctx, q); err != nil {
		return nil, err
	}
	if err = setting.Read(ctx, q, companySetting, &o.company); err != nil {
		return nil, err
	}
	each := func(what, query string, f func(rows db.Rows) error) error {
		rows, err := q.Query(ctx, query)
		if err != nil {
			return fmt.Errorf("org: load %s: %w", what, err)
		}
		defer rows.Close()
		for rows.Next() {
			if err := f(rows); err != nil {
				return fmt.Errorf("org: load %s: %w", what, err)
			}
		}
		return rows.Err()
	}
	err = errors.Join(
		each("departments", `SELECT `+departmentColumns+` FROM departments ORDER BY position, id`, func(rows db.Rows) error {
			d, err := scanDepartment(rows)
			o.departments[d.ID] = &d
			o.children[d.ParentID] = append(o.children[d.ParentID], d.ID)
			return err
		}),
		each("users", `SELECT `+userColumns+` FROM users u ORDER BY u.id`, func(rows db.Rows) error {
			u, err := scanUser(rows)
			o.users[u.ID] = &u
			if u.Active {
				o.members[u.DepartmentID] = append(o.members[u.DepartmentID], u.ID)
			}
			return err
		}),
		each("teams", `SELECT user_id, department_id FROM user_teams ORDER BY user_id, department_id`, func(rows db.Rows) error {
			var u, d int64
			err := rows.Scan(&u, &d)
			if p := o.users[u]; p != nil {
				p.Teams = append(p.Teams, d)
				if p.Active && p.DepartmentID != d {
					o.members[d] = append(o.members[d], u)
				}
			}
			return err
		}),
		each("user roles", `SELECT user_id, role_id FROM user_roles ORDER BY user_id, role_id`, func(rows db.Rows) error {
			var u, r int64
			err := rows.Scan(&u, &r)
			if p := o.users[u]; p != nil {
				p.RoleIDs = append(p.RoleIDs, r)
			}
			return err
		}),
		each("skills", `SELECT id, name FROM skills`, func(rows db.Rows) error {
			var id int64
			var name string
			err := rows.Scan(&id, &name)
			o.skills[id] = name
			return err
		}),
		each("user skills", `SELECT user_id, skill_id FROM user_skills ORDER BY user_id, skill_id`, func(rows db.Rows) error {
			var u, k int64
			err := rows.Scan(&u, &k)
			if p := o.users[u]; p != nil {
				p.Skills = append(p.Skills, k)
			}
			return err
		}),
		each("hours", `SELECT user_id, weekday, from_minute, to_minute FROM user_hours ORDER BY user_id, weekday, from_minute`, func(rows db.Rows) error {
			var u int64
			var h Span
			err := rows.Scan(&u, &h.Weekday, &h.From, &h.To)
			if p := o.users[u]; p != nil {
				p.Hours = append(p.Hours, h)
			}
			return err
		}),
		each("duty", `SELECT id, department_id, user_id, weekday, from_minute, to_minute, from_at, to_at FROM duty_turns ORDER BY id`, func(rows db.Rows) error {
			var t Turn
			var from, to int64
			err := rows.Scan(&t.ID, &t.DepartmentID, &t.UserID, &t.Weekday, &t.FromMinute, &t.ToMinute, &from, &to)
			t.From, t.To = db.FromMicros(from), db.FromMicros(to)
			o.turns = append(o.turns, t)
			return err
		}),
		each("roles", `SELECT id, code, name, builtin, version FROM roles ORDER BY id`, func(rows db.Rows) error {
			var r Role
			err := rows.Scan(&r.ID, &r.Code, &r.Name, &r.Builtin, &r.Version)
			o.roles[r.ID] = &r
			return err
		}),
		each("permissions", `SELECT role_id, permission, level FROM role_permissions ORDER BY role_id, permission`, func(rows db.Rows) error {
			var r int64
			var p, l string
			err := rows.Scan(&r, &p, &l)
			if o.grants[r] == nil {
				o.grants[r] = map[authz.Permission]authz.Level{}
			}
			o.grants[r][authz.Permission(p)] = authz.ParseLevel(l)
			return err
		}),
	)
	if err != nil {
		return nil, err
	}
	for _, m := range o.members {
		slices.Sort(m)
	}
	return o, nil
}

// below returns id and all departments under it, in the order of the tree.
func (o *snapshot) below(id int64) []int64 {
	if o.departments[id] == nil {
		return nil
	}
	out := []int64{id}
	for _, c := range o.children[id] {
		out = append(out, o.below(c)...)
	}
	return out
}

// levels merges what the roles grant: the widest wins.
func (o *snapshot) levels(roles []int64) map[authz.Permission]authz.Level {
	var key strings.Builder
	for _, r := range roles {
		fmt.Fprintf(&key, "%d,", r)
	}
	if m, ok := o.merged.Load(key.String()); ok {
		return m.(map[authz.Permission]authz.Level)
	}
	m := map[authz.Permission]authz.Level{}
	for p, l := range everyone {
		m[p] = l
	}
	for _, r := range roles {
		for p, l := range o.grants[r] {
			if d, ok := authz.Find(p); !ok {
				continue // of a later version, or gone
			} else if !d.Scoped {
				l = authz.All
			}
			m[p] = max(m[p], l)
		}
	}
	o.merged.Store(key.String(), m)
	return m
}

func (o *snapshot) actor(id int64, now time.Time) (authz.Actor, error) {
	u := o.users[id]
	if u == nil || !u.Active {
		return authz.Actor{}, fault.New(fault.Unauthenticated, "org.sign_in.inactive")
	}
	if a, ok := o.actors.Load(id); ok {
		return a.(authz.Actor), nil
	}
	a := authz.Actor{Kind: authz.User, ID: u.ID, Name: u.Name, DepartmentID: u.DepartmentID, Lang: u.Lang, KeysOff: u.KeysOff, MustChange: u.MustChange,
		Levels: o.levels(u.RoleIDs), Teams: []int64{u.DepartmentID}}
	for _, r := range u.RoleIDs {
		if role := o.roles[r]; role != nil {
			a.Roles = append(a.Roles, role.Code)
		}
	}
	for _, t := range u.Teams {
		if !slices.Contains(a.Teams, t) {
			a.Teams = append(a.Teams, t)
		}
	}
	// Whoever leads a department sees it whole, wherever he himself belongs.
	a.Under = o.below(u.DepartmentID)
	for _, d := range o.departments {
		if d.HeadID != id && d.SupervisorID != id || slices.Contains(a.Under, d.ID) {
			continue
		}
		for _, b := range o.below(d.ID) {
			if !slices.Contains(a.Under, b) {
				a.Under = append(a.Under, b)
			}
		}
	}
	slices.Sort(a.Under)
	o.actors.Store(id, a)
	return a, nil
}

// Actor returns who the user is and what he may do now. Somebody who has been
// deactivated is a fault of kind Unauthenticated. It makes the service a
// [web.Accounts].
func (s *Service) Actor(ctx context.Context, userID int64) (authz.Actor, error) {
	o, err := s.current(ctx, nil)
	if err != nil {
		return authz.Actor{}, err
	}
	a, err := o.actor(userID, s.d.Clock().Now())
	if err != nil {
		return a, err
	}
	if o.policy.expired(o.users[userID], s.d.Clock().Now()) {
		a.MustChange = true
	}
	return a, nil
}

// Node is a department with its place in the tree.
type Node struct {
	Department
	Depth   int
	Path    string // "客户服务中心 / 客服部"
	Members int    // active people, teams included
}

// Tree returns all departments, parents before children. Everybody in the
// company may know them.
func (s *Service) Tree(ctx context.Context) ([]Node, error) {
	o, err := s.current(ctx, nil)
	if err != nil {
		return nil, err
	}
	var out []Node
	var walk func(parent int64, depth int, path string)
	walk = func(parent int64, depth int, path string) {
		for _, id := range o.children[parent] {
			d := o.departments[id]
			p := d.Name
			if path != "" {
				p = path + " / " + d.Name
			}
			out = append(out, Node{Department: *d, Depth: depth, Path: p, Members: len(o.members[id])})
			walk(id, depth+1, p)
		}
	}
	walk(0, 0, "")
	return out, nil
}

// Below returns the department and all below it; nil when there is none.
func (s *Service) Below(ctx context.Context, departmentID int64) ([]int64, error) {
	o, err := s.current(ctx, nil)
	if err != nil {
		return nil, err
	}
	return o.below(departmentID), nil
}

// Department returns one department, active or not; ok is false when there is none.
func (s *Service) Department(ctx context.Context, q db.Querier, id int64) (d Department, ok bool, err error) {
	o, err := s.current(ctx, q)
	if err != nil {
		return d, false, err
	}
	if p := o.departments[id]; p != nil {
		return *p, true, nil
	}
	return d, false, nil
}

// DepartmentByName returns the first active department of that name: imports
// know names only.
func (s *Service) DepartmentByName(ctx context.Context, q db.Querier, name string) (d Department, ok bool, err error) {
	o, err := s.current(ctx, q)
	if err != nil {
		return d, false, err
	}
	name = strings.TrimSpace(name)
	var ids []int64
	for id, p := range o.departments {
		if p.Active && p.Name == name {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return d, false, nil
	}
	return *o.departments[slices.Min(ids)], true, nil
}

// Person is what any colleague may know of another.
type Person struct {
	ID           int64
	Login        string
	Name         string
	Initials     string
	DepartmentID int64
	Department   string
	Active       bool
	Availability Availability
	Away         bool
	DelegateID   int64
	Capacity     int64
	Lang         i18n.Lang
	Email        string
}

func (o *snapshot) person(u *User, now time.Time) Person {
	p := Person{ID: u.ID, Login: u.Login, Name: u.Name, Initials: u.Initials, DepartmentID: u.DepartmentID, Active: u.Active,
		Availability: u.Availability, Away: u.Away(now), DelegateID: u.DelegateID, Capacity: u.Capacity, Lang: u.Lang, Email: u.Email}
	if d := o.departments[u.DepartmentID]; d != nil {
		p.Department = d.Name
	}
	return p
}

// Person returns a colleague, active or not: the name behind a stored id.
func (s *Service) Person(ctx context.Context, q db.Querier, id int64) (p Person, ok bool, err error) {
	o, err := s.current(ctx, q)
	if err != nil {
		return p, false, err
	}
	if u := o.users[id]; u != nil {
		return o.person(u, s.d.Clock().Now()), true, nil
	}
	return p, false, nil
}

// Name returns the name of a user, "" when there is none.
func (s *Service) Name(ctx context.Context, id int64) string {
	if o, err := s.current(ctx, nil); err == nil && o.users[id] != nil {
		return o.users[id].Name
	}
	return ""
}

// DepartmentName returns the name of a department, "" when there is none.
func (s *Service) DepartmentName(ctx context.Context, id int64) string {
	if o, err := s.current(ctx, nil); err == nil && o.departments[id] != nil {
		return o.departments[id].Name
	}
	return ""
}

// Names returns a function that says the name behind an id, for lists: the
// organisation is looked up once. Unknown ids are "".
func (s *Service) Names(ctx context.Context) (user, department func(id int64) string, err error) {
	o, err := s.current(ctx, nil)
	if err != nil {
		return nil, nil, err
	}
	return func(id int64) string {
			if u := o.users[id]; u != nil {
				return u.Name
			}
			return ""
		}, func(id int64) string {
			if d := o.departments[id]; d != nil {
				return d.Name
			}
			return ""
		}, nil
}

// PersonByName returns the active colleague of that name or login; ok is false
// when there is none or more than one.
func (s *Service) PersonByName(ctx context.Context, q db.Querier, name string) (p Person, ok bool, err error) {
	o, err := s.current(ctx, q)
	if err != nil {
		return p, false, err
	}
	name = strings.TrimSpace(name)
	var found *User
	for _, u := range o.users {
		if !u.Active || u.Name != name && u.Login != NormalizeLogin(name) {
			continue
		}
		if found != nil {
			return p, false, nil
		}
		found = u
	}
	if found == nil {
		return p, false, nil
	}
	return o.person(found, s.d.Clock().Now()), true, nil
}

// Colleagues finds active colleagues whose name, login or pinyin initials begin
// with or contain the text: for pickers and mentions. departmentID and perm
// narrow it (0, "": no).
func (s *Service) Colleagues(ctx context.Context, actor authz.Actor, text string, departmentID int64, perm authz.Permission, limit int) ([]Person, error) {
	if err := actor.Check(PermDirectory); err != nil {
		return nil, err
	}
	o, err := s.current(ctx, nil)
	if err != nil {
		return nil, err
	}
	now, text := s.d.Clock().Now(), NormalizeLogin(text)
	var out []Person
	for _, u := range o.users {
		if !u.Active || departmentID != 0 && !slices.Contains(o.members[departmentID], u.ID) ||
			perm != "" && o.levels(u.RoleIDs)[perm] == authz.None {
			continue
		}
		if text == "" || strings.Contains(strings.ToLower(u.Name), text) || strings.HasPrefix(u.Login, text) || strings.HasPrefix(u.Initials, text) {
			out = append(out, o.person(u, now))
		}
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].Initials != out[j].Initials {
			return out[i].Initials < out[j].Initials
		}
		return out[i].ID < out[j].ID
	})
	if limit > 0 && len(out) > limit {
		out = out[:limit]
	}
	return out, nil
}
