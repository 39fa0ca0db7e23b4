package org

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/cnid"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
)

// UserInput is what an administrator says about a user.
type UserInput struct {
	Login        string // of a new user only: it is never changed, records name it
	Name         string
	Email, Phone string
	DepartmentID int64
	Teams        []int64
	RoleIDs      []int64
	Skills       []int64
	Capacity     int64
	Lang         i18n.Lang // "": Chinese
}

// DefaultCapacity is how many open tickets a person is thought to carry.
const DefaultCapacity = 30

// CreateUser adds a user and returns his one-time password, which is stored
// nowhere: it has to be shown now and changed at the first sign-in.
func (s *Service) CreateUser(ctx context.Context, actor authz.Actor, in UserInput) (id int64, password string, err error) {
	if err := actor.Check(PermManage); err != nil {
		return 0, "", err
	}
	password, hash, err := s.newPassword(ctx)
	if err != nil {
		return 0, "", err
	}
	err = s.change(ctx, actor, PermManage, "org.create_user", func(ctx context.Context, a *action.Action) error {
		id, err = s.createUser(ctx, a, in, hash, true)
		return err
	})
	if err != nil {
		return 0, "", err
	}
	return id, password, nil
}

// AddUser creates a user with a given password inside an action under way: for
// sample data, which needs many at once. Everything else uses CreateUser.
func (s *Service) AddUser(ctx context.Context, a *action.Action, in UserInput, passwordHash string, demo bool) (id int64, err error) {
	if err := s.touch(ctx, a); err != nil {
		return 0, err
	}
	if id, err = s.createUser(ctx, a, in, passwordHash, false); err != nil || !demo {
		return id, err
	}
	_, err = a.Exec(ctx, `UPDATE users SET demo = 1 WHERE id = $1`, id)
	return id, err
}

func (s *Service) createUser(ctx context.Context, a *action.Action, in UserInput, hash string, mustChange bool) (id int64, err error) {
	in.Login = NormalizeLogin(in.Login)
	f := fault.Invalidf("org.form_invalid")
	checkLogin(f, in.Login)
	o, err := s.checkUser(ctx, a, nil, &in, f)
	if err != nil {
		return 0, err
	}
	for _, u := range o.users {
		if u.Login == in.Login {
			return 0, fault.Invalidf("org.form_invalid").Field("login", "org.user.login_taken", in.Login)
		}
	}
	err = a.QueryRow(ctx, `
		INSERT INTO users (login, name, initials, email, phone, department_id, password_hash, password_at, must_change, capacity, lang, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING id`,
		in.Login, in.Name, initials(in.Name), in.Email, in.Phone, in.DepartmentID, hash, a.NowMicros(), db.Bool(mustChange), in.Capacity, string(in.Lang), a.NowMicros()).Scan(&id)
	if db.IsUnique(err, "login") {
		return 0, fault.Invalidf("org.form_invalid").Field("login", "org.user.login_taken", in.Login).Wrap(err)
	}
	if err != nil {
		return 0, fmt.Errorf("org: create user: %w", err)
	}
	if err := setBelongings(ctx, a.Tx, id, in); err != nil {
		return 0, err
	}
	var d diff
	d.add("login", "", in.Login)
	d.add("department", "", o.departmentName(in.DepartmentID))
	d.add("roles", "", o.roleNames(in.RoleIDs))
	a.Record(about(UserCreated, SubjectUser, id, Facts{Name: in.Name, Changes: d}))
	return id, nil
}

// initials are the pinyin initials people type to find a colleague.
func initials(name string) string { return strings.ToLower(cnid.Initials(name)) }

func checkLogin(f *fault.Error, login string) {
	n := utf8.RuneCountInString(login)
	bad := strings.IndexFunc(login, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._-@", r)
	}) >= 0
	switch {
	case n == 0:
		f.Field("login", "org.user.login_required")
	case n < 2 || n > 40 || bad:
		f.Field("login", "org.user.login_format")
	}
}

// checkUser validates what was typed, adding to f; old is nil for a new user. It
// returns the organisation as it is.
func (s *Service) checkUser(ctx context.Context, a *action.Action, old *User, in *UserInput, f *fault.Error) (*snapshot, error) {
	o, err := s.current(ctx, a.Tx)
	if err != nil {
		return nil, err
	}
	in.Name = strings.Join(strings.Fields(in.Name), " ")
	if n := utf8.RuneCountInString(in.Name); n == 0 {
		f.Field("name", "org.user.name_required")
	} else if n > maxName {
		f.Field("name", "org.too_long", maxName, n)
	}
	checkReach(f, &in.Email, &in.Phone)
	in.Teams, in.RoleIDs, in.Skills = unique(in.Teams), unique(in.RoleIDs), unique(in.Skills)
	if d := o.departments[in.DepartmentID]; d == nil || !d.Active && (old == nil || old.DepartmentID != d.ID) {
		f.Field("department", "org.user.department_required")
	}
	in.Teams = slices.DeleteFunc(in.Teams, func(t int64) bool { return t == in.DepartmentID })
	for _, t := range in.Teams {
		if d := o.departments[t]; d == nil || !d.Active && (old == nil || !slices.Contains(old.Teams, t)) {
			f.Field("teams", "org.department.unknown")
		}
	}
	if len(in.RoleIDs) == 0 {
		f.Field("roles", "org.user.role_required")
	}
	for _, r := range in.RoleIDs {
		if o.roles[r] == nil {
			f.Field("roles", "org.role.unknown")
		}
	}
	for _, x := range in.Skills {
		if o.skills[x] == "" {
			f.Field("skills", "org.skill.unknown")
		}
	}
	if in.Capacity < 0 || in.Capacity > 1000 {
		f.Field("capacity", "org.between", 0, 1000)
	}
	if in.Lang == "" {
		in.Lang = i18n.ZhCN
	} else if !slices.Contains(i18n.Langs, in.Lang) {
		f.Field("lang", "org.lang_unknown")
	}
	return o, f.OrNil()
}

// checkReach validates how a colleague can be reached. Phones may be an
// extension, so they are not held to a format.
func checkReach(f *fault.Error, email, phone *string) {
	*email = cnid.NormalizeEmail(*email)
	if *email != "" && (len(*email) > 254 || cnid.CheckEmail(*email) != nil) {
		f.Field("email", "org.user.email_format")
	}
	*phone = strings.TrimSpace(*phone)
	if strings.IndexFunc(*phone, func(r rune) bool { return !unicode.IsDigit(r) && !strings.ContainsRune("+-()（）－ 转*#", r) }) >= 0 || len(*phone) > 40 {
		f.Field("phone", "org.user.phone_format")
	}
}

func setBelongings(ctx context.Context, tx *db.Tx, id int64, in UserInput) error {
	for _, st := range []struct {
		clear, add string
		ids        []int64
	}{
		{`DELETE FROM user_teams WHERE user_id = $1`, `INSERT INTO user_teams (user_id, department_id) VALUES ($1, $2)`, in.Teams},
		{`DELETE FROM user_roles WHERE user_id = $1`, `INSERT INTO user_roles (user_id, role_id) VALUES ($1, $2)`, in.RoleIDs},
		{`DELETE FROM user_skills WHERE user_id = $1`, `INSERT INTO user_skills (user_id, skill_id) VALUES ($1, $2)`, in.Skills},
	} {
		if _, err := tx.Exec(ctx, st.clear, id); err != nil {
			return fmt.Errorf("org: user %d: %w", id, err)
		}
		for _, x := range st.ids {
			if _, err := tx.Exec(ctx, st.add, id, x); err != nil {
				return fmt.Errorf("org: user %d: %w", id, err)
			}
		}
	}
	return nil
}

func (o *snapshot) roleNames(ids []int64) string {
	var out []string
	for _, id := range ids {
		if r := o.roles[id]; r != nil {
			out = append(out, r.Title(i18n.ZhCN))
		}
	}
	return strings.Join(out, "、")
}

func (o *snapshot) departmentNames(ids []int64) string {
	var out []string
	for _, id := range ids {
		out = append(out, o.departmentName(id))
	}
	return strings.Join(out, "、")
}

// EditUser changes what an administrator knows of a user; version is that of
// the form.
func (s *Service) EditUser(ctx context.Context, actor authz.Actor, id, version int64, in UserInput) error {
	return s.change(ctx, actor, PermManage, "org.edit_user", func(ctx context.Context, a *action.Action) error {
		old, err := loadUser(ctx, a.Tx, id)
		if err != nil {
			return err
		}
		o, err := s.checkUser(ctx, a, &old, &in, fault.Invalidf("org.form_invalid"))
		if err != nil {
			return err
		}
		var d, roles diff
		d.add("name", old.Name, in.Name)
		d.add("email", cnid.MaskEmail(old.Email), cnid.MaskEmail(in.Email))
		d.add("phone", cnid.MaskPhone(old.Phone), cnid.MaskPhone(in.Phone))
		d.add("department", o.departmentName(old.DepartmentID), o.departmentName(in.DepartmentID))
		d.add("teams", o.departmentNames(old.Teams), o.departmentNames(in.Teams))
		d.add("skills", o.skillNames(old.Skills), o.skillNames(in.Skills))
		d.add("capacity", strconv.FormatInt(old.Capacity, 10), strconv.FormatInt(in.Capacity, 10))
		d.add("lang", string(old.Lang), string(in.Lang))
		roles.add("roles", o.roleNames(old.RoleIDs), o.roleNames(in.RoleIDs))
		same := old.Email == in.Email && old.Phone == in.Phone && old.DepartmentID == in.DepartmentID
		if len(d) == 0 && len(roles) == 0 && same {
			a.Nothing()
			return nil
		}
		err = changedMeanwhile(a.Exec(ctx, `
			UPDATE users SET name = $1, initials = $2, email = $3, phone = $4, department_id = $5, capacity = $6, lang = $7, version = version + 1
			WHERE  id = $8 AND version = $9`,
			in.Name, initials(in.Name), in.Email, in.Phone, in.DepartmentID, in.Capacity, string(in.Lang), id, version))
		if err != nil {
			return err
		}
		if err := setBelongings(ctx, a.Tx, id, in); err != nil {
			return err
		}
		if err := s.oneAdmin(ctx, a); err != nil {
			return err
		}
		if len(d) > 0 || len(roles) == 0 {
			a.Record(about(UserChanged, SubjectUser, id, Facts{Name: in.Name, Changes: d}))
		}
		if len(roles) > 0 {
			a.Record(about(UserRolesChanged, SubjectUser, id, Facts{Name: in.Name, Changes: roles}))
		}
		a.AfterCommit(func() { s.sessions.Forget(id) })
		return nil
	})
}

// OpenWork is how much open work a user has, by kind.
type OpenWork struct {
	Name  string // locale key of the kind
	Count int
	Page  string // where it can be given to others while he stays; "" nowhere, or not looked for
}

// OpenWorkOf returns the open work of a user that would have to be handed over;
// kinds without any are left out.
func (s *Service) OpenWorkOf(ctx context.Context, q db.Querier, userID int64) ([]OpenWork, error) {
	if q == nil {
		q = s.d.Read()
	}
	var out []OpenWork
	for _, w := range s.works {
		if w.OfUser == nil {
			continue
		}
		n, err := w.OfUser(ctx, q, userID)
		if err != nil {
			return nil, fmt.Errorf("org: open work of user %d: %w", userID, err)
		}
		if n > 0 {
			out = append(out, OpenWork{Name: w.Name, Count: n})
		}
	}
	return out, nil
}

// Transferable returns the open work of a user that actor may give to others
// while he stays, with the page where he does; nothing unless he is away, or is
// going to be.
func (s *Service) Transferable(ctx context.Context, actor authz.Actor, u User) (out []OpenWork, err error) {
	if !u.Active || !u.AwayUntil.After(s.d.Clock().Now()) {
		return nil, nil
	}
	for _, w := range s.works {
		if w.OfUser == nil || w.Page == "" || !w.Pass(actor, u.ID, u.DepartmentID) {
			continue
		}
		n, err := w.OfUser(ctx, s.d.Read(), u.ID)
		if err != nil {
			return nil, fmt.Errorf("org: open work of user %d: %w", u.ID, err)
		}
		if n > 0 {
			out = append(out, OpenWork{Name: w.Name, Count: n, Page: w.page(u.ID)})
		}
	}
	return out, nil
}

func (w Work) page(user int64) string {
	return strings.ReplaceAll(w.Page, "{id}", strconv.FormatInt(user, 10))
}

// DeactivateUser ends a user's access at once: sign-ins, tokens and locks go. His
// open work goes to the colleague named by to in the same step; to may be 0 only
// when there is none (ORG-7). His records stay.
func (s *Service) DeactivateUser(ctx context.Context, actor authz.Actor, id, version, to int64) error {
	return s.change(ctx, actor, PermManage, "org.deactivate_user", func(ctx context.Context, a *action.Action) error {
		u, err := loadUser(ctx, a.Tx, id)
		if err != nil {
			return err
		}
		if actor.Kind == authz.User && actor.ID == id {
			return fault.New(fault.Conflict, "org.user.not_yourself")
		}
		open, err := s.OpenWorkOf(ctx, a.Tx, id)
		if err != nil {
			return err
		}
		facts := Facts{Name: u.Name}
		for _, w := range open {
			facts.Count += w.Count
		}
		if to != 0 {
			c, err := loadUser(ctx, a.Tx, to)
			if fault.Is(err, fault.NotFound) || err == nil && (!c.Active || to == id) {
				return fault.Invalidf("org.form_invalid").Field("to", "org.user.handover_to_whom")
			}
			if err != nil {
				return err
			}
			facts.To = c.Name + " (" + c.Login + ")"
		} else if len(open) > 0 {
			return fault.New(fault.Conflict, "org.user.has_work", u.Name, facts.Count).Field("to", "org.user.handover_required")
		}
		err = changedMeanwhile(a.Exec(ctx, `
			UPDATE users SET active = 0, availability = 'offline', failed = 0, locked_until = 0, version = version + 1
			WHERE  id = $1 AND version = $2 AND active = 1`, id, version))
		if err != nil {
			return err
		}
		if err := s.oneAdmin(ctx, a); err != nil {
			return err
		}
		if to != 0 {
			facts.Count = 0
			for _, w := range s.works {
				if w.HandOver == nil {
					continue
				}
				n, err := w.HandOver(ctx, a, id, to)
				if err != nil {
					return err
				}
				facts.Count += n
			}
		}
		if _, err := a.Exec(ctx, `UPDATE api_tokens SET revoked_at = $1 WHERE user_id = $2 AND revoked_at = 0`, a.NowMicros(), id); err != nil {
			return fmt.Errorf("org: revoke tokens of %d: %w", id, err)
		}
		if err := s.sessions.RevokeAll(ctx, a.Tx, id, 0); err != nil {
			return err
		}
		a.Record(about(UserDeactivated, SubjectUser, id, facts))
		return nil
	})
}

// ReactivateUser lets a user in again, with a new one-time password, which is
// returned and stored nowhere.
func (s *Service) ReactivateUser(ctx context.Context, actor authz.Actor, id, version int64) (password string, err error) {
	if err := actor.Check(PermManage); err != nil {
		return "", err
	}
	password, hash, err := s.newPassword(ctx)
	if err != nil {
		return "", err
	}
	err = s.change(ctx, actor, PermManage, "org.reactivate_user", func(ctx context.Context, a *action.Action) error {
		u, err := loadUser(ctx, a.Tx, id)
		if err != nil {
			return err
		}
		d, err := loadDepartment(ctx, a.Tx, u.DepartmentID)
		if err != nil {
			return err
		}
		if !d.Active {
			return fault.New(fault.Conflict, "org.user.department_inactive", d.Name)
		}
		err = changedMeanwhile(a.Exec(ctx, `
			UPDATE users SET active = 1, password_hash = $1, password_at = $2, must_change = 1, availability = 'online', away_from = 0, away_until = 0, version = version + 1
			WHERE  id = $3 AND version = $4 AND active = 0`, hash, a.NowMicros(), id, version))
		if err != nil {
			return err
		}
		a.Record(about(UserReactivated, SubjectUser, id, Facts{Name: u.Name}))
		return nil
	})
	if err != nil {
		return "", err
	}
	return password, nil
}

// UnlockUser lets a user try again who has typed too many wrong passwords.
func (s *Service) UnlockUser(ctx context.Context, actor authz.Actor, id int64) error {
	return s.change(ctx, actor, PermManage, "org.unlock_user", func(ctx context.Context, a *action.Action) error {
		u, err := loadUser(ctx, a.Tx, id)
		if err != nil {
			return err
		}
		if !u.Locked(a.Now) {
			a.Nothing()
			return nil
		}
		if _, err := a.Exec(ctx, `UPDATE users SET failed = 0, locked_until = 0 WHERE id = $1`, id); err != nil {
			return fmt.Errorf("org: unlock %d: %w", id, err)
		}
		a.Record(about(UserUnlocked, SubjectUser, id, Facts{Name: u.Name}))
		return nil
	})
}

// UserFilter narrows a list of users; the zero value is everybody in scope.
type UserFilter struct {
	Text         string // part of the name; beginning of login or pinyin initials
	DepartmentID int64  // with all below
	RoleID       int64
	Inactive     bool // only those who have left, else only active ones
	Locked       bool // only those locked out now
	After        Cursor
	Limit        int // 0: 50
}

// Cursor is where the next page of users begins. The zero value is the start.
type Cursor struct {
	Initials string
	ID       int64
}

// UserPage is a piece of the list; Next is zero at the end.
type UserPage struct {
	Users []User
	Next  Cursor
}

// Users returns the users sc lets the reader see, in the order of pinyin.
func (s *Service) Users(ctx context.Context, sc authz.Scope, f UserFilter) (UserPage, error) {
	if f.Limit <= 0 || f.Limit > 200 {
		f.Limit = 50
	}
	var a db.Args
	where := []string{sc.Where(&a, userScope), "u.active = " + a.Add(db.Bool(!f.Inactive))}
	if t := NormalizeLogin(f.Text); t != "" {
		like := likeEscape.Replace(t)
		where = append(where, `(LOWER(u.name) LIKE `+a.Add("%"+like+"%")+` ESCAPE '\' OR u.login LIKE `+a.Add(like+"%")+` ESCAPE '\' OR u.initials LIKE `+a.Add(like+"%")+` ESCAPE '\')`)
	}
	if f.DepartmentID != 0 {
		below, err := s.Below(ctx, f.DepartmentID)
		if err != nil {
			return UserPage{}, err
		}
		in := a.AddInts(below)
		where = append(where, `(u.department_id IN (`+in+`) OR EXISTS (SELECT 1 FROM user_teams t WHERE t.user_id = u.id AND t.department_id IN (`+a.AddInts(below)+`)))`)
	}
	if f.RoleID != 0 {
		where = append(where, `EXISTS (SELECT 1 FROM user_roles r WHERE r.user_id = u.id AND r.role_id = `+a.Add(f.RoleID)+`)`)
	}
	if f.Locked {
		where = append(where, `u.locked_until > `+a.Add(db.Micros(s.d.Clock().Now())))
	}
	if f.After.ID != 0 {
		where = append(where, `(u.initials, u.id) > (`+a.Add(f.After.Initials)+`, `+a.Add(f.After.ID)+`)`)
	}
	rows, err := s.d.Read().Query(ctx, `
		SELECT   `+userColumns+`
		FROM     users u
		WHERE    `+strings.Join(where, " AND ")+`
		ORDER BY u.initials, u.id
		LIMIT    `+a.Add(f.Limit+1), a.Values...)
	if err != nil {
		return UserPage{}, fmt.Errorf("org: list users: %w", err)
	}
	defer rows.Close()
	var p UserPage
	for rows.Next() {
		u, err := scanUser(rows)
		if err != nil {
			return UserPage{}, fmt.Errorf("org: list users: %w", err)
		}
		p.Users = append(p.Users, u)
	}
	if err := rows.Err(); err != nil {
		return UserPage{}, err
	}
	if len(p.Users) > f.Limit {
		p.Users = p.Users[:f.Limit]
		last := p.Users[f.Limit-1]
		p.Next = Cursor{last.Initials, last.ID}
	}
	o, err := s.current(ctx, nil)
	if err != nil {
		return UserPage{}, err
	}
	for i := range p.Users {
		if u := o.users[p.Users[i].ID]; u != nil {
			p.Users[i].Teams, p.Users[i].RoleIDs, p.Users[i].Skills = u.Teams, u.RoleIDs, u.Skills
		}
	}
	return p, nil
}

var likeEscape = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

var userScope = authz.Columns{Owners: []string{"u.id"}, Department: "u.department_id"}

// User returns one user; out of scope is not found.
func (s *Service) User(ctx context.Context, sc authz.Scope, id int64) (User, error) {
	var a db.Args
	u, err := scanUser(s.d.Read().QueryRow(ctx, `SELECT `+userColumns+` FROM users u WHERE u.id = `+a.Add(id)+` AND `+sc.Where(&a, userScope), a.Values...))
	if err != nil {
		return u, missing(err)
	}
	return u, belongings(ctx, s.d.Read(), &u)
}
