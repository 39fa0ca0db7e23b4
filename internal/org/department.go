package org

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/fault"
)

// DepartmentInput is what a person says about a department.
type DepartmentInput struct {
	Name         string
	ParentID     int64 // 0: at the top
	HeadID       int64
	SupervisorID int64
	Position     int64 // smaller is further up among its siblings
}

const maxName = 60

// CreateDepartment adds a department and returns its id.
func (s *Service) CreateDepartment(ctx context.Context, actor authz.Actor, in DepartmentInput) (id int64, err error) {
	err = s.change(ctx, actor, PermManage, "org.create_department", func(ctx context.Context, a *action.Action) error {
		if err := s.checkDepartment(ctx, a, 0, &in); err != nil {
			return err
		}
		err := a.QueryRow(ctx, `
			INSERT INTO departments (parent_id, name, head_id, supervisor_id, position, created_at)
			VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`,
			db.NullID(in.ParentID), in.Name, in.HeadID, in.SupervisorID, in.Position, a.NowMicros()).Scan(&id)
		if err != nil {
			return departmentTaken(err)
		}
		a.Record(about(DepartmentCreated, SubjectDepartment, id, Facts{Name: in.Name}))
		return nil
	})
	return id, err
}

// EditDepartment renames, moves and gives other leads to a department, as far
// as in differs from what is; version is that of the form. Moving it takes all
// departments below along.
func (s *Service) EditDepartment(ctx context.Context, actor authz.Actor, id, version int64, in DepartmentInput) error {
	return s.change(ctx, actor, PermManage, "org.edit_department", func(ctx context.Context, a *action.Action) error {
		old, err := loadDepartment(ctx, a, id)
		if err != nil {
			return err
		}
		if err := s.checkDepartment(ctx, a, id, &in); err != nil {
			return err
		}
		err = changedMeanwhile(a.Exec(ctx, `
			UPDATE departments SET parent_id = $1, name = $2, head_id = $3, supervisor_id = $4, position = $5, version = version + 1
			WHERE  id = $6 AND version = $7`,
			db.NullID(in.ParentID), in.Name, in.HeadID, in.SupervisorID, in.Position, id, version))
		if err != nil {
			return departmentTaken(err)
		}
		changed := false
		record := func(kind string, d diff) {
			if len(d) > 0 {
				a.Record(about(kind, SubjectDepartment, id, Facts{Name: in.Name, Changes: d}))
				changed = true
			}
		}
		var name, place, lead diff
		name.add("name", old.Name, in.Name)
		o, err := s.current(ctx, a.Tx)
		if err != nil {
			return err
		}
		place.add("parent", o.departmentName(old.ParentID), o.departmentName(in.ParentID))
		if old.ParentID != in.ParentID && len(place) == 0 { // two of one name
			place.add("parent", strconv.FormatInt(old.ParentID, 10), strconv.FormatInt(in.ParentID, 10))
		}
		place.add("position", strconv.FormatInt(old.Position, 10), strconv.FormatInt(in.Position, 10))
		lead.add("head", o.userName(old.HeadID), o.userName(in.HeadID))
		lead.add("supervisor", o.userName(old.SupervisorID), o.userName(in.SupervisorID))
		record(DepartmentRenamed, name)
		record(DepartmentMoved, place)
		record(DepartmentLeadChanged, lead)
		if !changed {
			a.Nothing()
		}
		return nil
	})
}

// userName is a name for the audit trail that tells namesakes apart.
func (o *snapshot) userName(id int64) string {
	if u := o.users[id]; u != nil {
		return u.Name + " (" + u.Login + ")"
	}
	return ""
}

func (o *snapshot) departmentName(id int64) string {
	if d := o.departments[id]; d != nil {
		return d.Name
	}
	return ""
}

// checkDepartment validates what was typed; id is 0 for a new one.
func (s *Service) checkDepartment(ctx context.Context, a *action.Action, id int64, in *DepartmentInput) error {
	in.Name = strings.TrimSpace(in.Name)
	f := fault.Invalidf("org.form_invalid")
	if n := utf8.RuneCountInString(in.Name); n == 0 {
		f.Field("name", "org.department.name_required")
	} else if n > maxName {
		f.Field("name", "org.too_long", maxName, n)
	}
	o, err := s.current(ctx, a.Tx)
	if err != nil {
		return err
	}
	if in.ParentID != 0 {
		p := o.departments[in.ParentID]
		switch {
		case p == nil:
			f.Field("parent", "org.department.unknown")
		case id != 0 && in.ParentID == id:
			f.Field("parent", "org.department.own_parent")
		case id != 0 && o.isBelow(in.ParentID, id):
			f.Field("parent", "org.department.cycle", p.Name, o.departmentName(id))
		case !p.Active && (id == 0 || o.departments[id] == nil || o.departments[id].ParentID != in.ParentID):
			f.Field("parent", "org.department.parent_inactive", p.Name)
		}
	}
	for _, l := range []struct {
		field string
		id    int64
	}{{"head", in.HeadID}, {"supervisor", in.SupervisorID}} {
		if l.id == 0 {
			continue
		}
		if u := o.users[l.id]; u == nil || !u.Active {
			// A lead who has left since may stay until somebody else is chosen.
			if d := o.departments[id]; d == nil || u == nil || d.HeadID != l.id && d.SupervisorID != l.id {
				f.Field(l.field, "org.department.lead_unknown")
			}
		}
	}
	for other, d := range o.departments {
		if other != id && d.ParentID == in.ParentID && d.Name == in.Name {
			f.Field("name", "org.department.name_taken", in.Name)
		}
	}
	return f.OrNil()
}

// isBelow reports whether id lies under top.
func (o *snapshot) isBelow(id, top int64) bool {
	for d := o.departments[id]; d != nil; d = o.departments[d.ParentID] {
		if d.ParentID == top {
			return true
		}
	}
	return false
}

func departmentTaken(err error) error {
	if db.IsUnique(err, "departments") {
		return fault.Invalidf("org.form_invalid").Field("name", "org.department.name_taken_other").Wrap(err)
	}
	return err
}

// DeactivateDepartment closes a department. It is refused while people, open
// departments or open work are in it, or something is built on it, and says which.
func (s *Service) DeactivateDepartment(ctx context.Context, actor authz.Actor, id, version int64) error {
	return s.change(ctx, actor, PermManage, "org.deactivate_department", func(ctx context.Context, a *action.Action) error {
		d, err := loadDepartment(ctx, a, id)
		if err != nil {
			return err
		}
		o, err := s.current(ctx, a.Tx)
		if err != nil {
			return err
		}
		if n := len(o.members[id]); n > 0 {
			return fault.New(fault.Conflict, "org.department.has_people", d.Name, n)
		}
		for _, c := range o.children[id] {
			if o.departments[c].Active {
				return fault.New(fault.Conflict, "org.department.has_departments", d.Name, o.departments[c].Name)
			}
		}
		for _, w := range s.works {
			if w.OfDepartment == nil {
				continue
			}
			n, err := w.OfDepartment(ctx, a.Tx, id)
			if err != nil {
				return fmt.Errorf("org: open work of department %d: %w", id, err)
			}
			if n > 0 {
				return fault.New(fault.Conflict, "org.department.has_work", d.Name, n)
			}
		}
		for _, tied := range s.ties {
			if err := tied(ctx, a.Tx, d); err != nil {
				return err
			}
		}
		if err := changedMeanwhile(a.Exec(ctx, `UPDATE departments SET active = 0, version = version + 1 WHERE id = $1 AND version = $2 AND active = 1`, id, version)); err != nil {
			return err
		}
		a.Record(about(DepartmentDeactivated, SubjectDepartment, id, Facts{Name: d.Name}))
		return nil
	})
}

// ReactivateDepartment opens a closed department again, if the one above it is open.
func (s *Service) ReactivateDepartment(ctx context.Context, actor authz.Actor, id, version int64) error {
	return s.change(ctx, actor, PermManage, "org.reactivate_department", func(ctx context.Context, a *action.Action) error {
		d, err := loadDepartment(ctx, a, id)
		if err != nil {
			return err
		}
		if d.ParentID != 0 {
			p, err := loadDepartment(ctx, a, d.ParentID)
			if err != nil {
				return err
			}
			if !p.Active {
				return fault.New(fault.Conflict, "org.department.parent_inactive", p.Name)
			}
		}
		if err := changedMeanwhile(a.Exec(ctx, `UPDATE departments SET active = 1, version = version + 1 WHERE id = $1 AND version = $2 AND active = 0`, id, version)); err != nil {
			return err
		}
		a.Record(about(DepartmentReactivated, SubjectDepartment, id, Facts{Name: d.Name}))
		return nil
	})
}
