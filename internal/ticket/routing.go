package ticket

import (
	"context"
	"fmt"

	"bihuan/internal/action"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/org"
)

// assignee is somebody a ticket is given to; the zero value is nobody.
type assignee struct {
	ID   int64
	Name string
}

// matrixHeld holds the priority matrix between changes.
type matrixHeld struct{}

// Priority derives the priority from urgency and customer level (TKT-3).
func Priority(ctx context.Context, q db.Querier, urgency, level string) (string, error) {
	m, err := db.Held(ctx, q, matrixHeld{}, func() (map[[2]string]string, error) {
		rows, err := q.Query(ctx, `SELECT urgency, level, priority FROM priority_matrix`)
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		m := map[[2]string]string{}
		for rows.Next() {
			var u, l, p string
			if err := rows.Scan(&u, &l, &p); err != nil {
				return nil, err
			}
			m[[2]string{u, l}] = p
		}
		return m, rows.Err()
	})
	if err != nil {
		return "", fmt.Errorf("ticket: priority: %w", err)
	}
	if p, ok := m[[2]string{urgency, level}]; ok {
		return p, nil
	}
	return defaultPriority(urgency, level), nil
}

// defaultPriority is the matrix of a fresh install.
func defaultPriority(urgency, level string) string {
	switch {
	case urgency == "urgent":
		if level == "normal" {
			return "high"
		}
		return "urgent"
	case urgency == "normal":
		switch level {
		case "strategic", "vip":
			return "high"
		}
		return "medium"
	case level == "strategic":
		return "medium"
	}
	return "low"
}

// Load returns how many open tickets each of users has.
func Load(ctx context.Context, q db.Querier, users []int64) (map[int64]int64, error) {
	var a db.Args
	rows, err := q.Query(ctx, `SELECT user_id, open FROM ticket_load WHERE user_id IN (`+a.AddInts(users)+`)`, a.Values...)
	if err != nil {
		return nil, fmt.Errorf("ticket: load: %w", err)
	}
	defer rows.Close()
	out := map[int64]int64{}
	for rows.Next() {
		var id, n int64
		if err := rows.Scan(&id, &n); err != nil {
			return nil, fmt.Errorf("ticket: load: %w", err)
		}
		out[id] = n
	}
	return out, rows.Err()
}

// supervisor returns on whose desk a ticket of the department lies: its
// supervisor, else its head, else those of the departments above; where a
// company has named none of them, an administrator, so that no ticket is
// nobody's.
func (s *Service) supervisor(ctx context.Context, q db.Querier, department int64) (int64, error) {
	id, err := s.org.SupervisorOf(ctx, q, department)
	if err != nil || id != 0 {
		return id, err
	}
	admins, err := s.org.Holders(ctx, q, org.PermManage)
	if err != nil || len(admins) == 0 {
		return 0, err
	}
	return admins[0], nil
}

// openDepartment refuses a department that is not there or closed.
func (s *Service) openDepartment(ctx context.Context, q db.Querier, id int64) error {
	if d, ok, err := s.org.Department(ctx, q, id); err != nil {
		return err
	} else if !ok || !d.Active {
		return fault.Invalidf("ticket.department_unknown").Field("department", "ticket.department_unknown")
	}
	return nil
}

// departmentName is for the sentence of an event.
func (s *Service) departmentName(ctx context.Context, a *action.Action, id int64) (string, error) {
	d, _, err := s.org.Department(ctx, a, id)
	return d.Name, err
}

type placed struct {
	assignee
	department int64
}

// fit checks that a named colleague can be given a ticket, and says what is in
// the way: right, department, duty, capacity. wanted 0 means: the ticket's own
// department if he works there, else his.
func (s *Service) fit(ctx context.Context, a *action.Action, user, wanted, own int64) (placed, error) {
	bad := func(key string, args ...any) (placed, error) {
		return placed{}, fault.Invalidf(key, args...).Field("assignee", key, args...)
	}
	tb, err := s.table(ctx, a) // first: whoever hands a colleague's work over waits for us, or we see it
	if err != nil {
		return placed{}, err
	}
	p, ok, err := s.org.Person(ctx, a, user)
	if err != nil {
		return placed{}, err
	}
	if !ok || !p.Active {
		return bad("ticket.assignee.unknown")
	}
	if tb.leaving[user] {
		return bad("ticket.assignee.leaving", p.Name)
	}
	dep := wanted
	if dep == 0 {
		if dep = own; dep == 0 {
			dep = p.DepartmentID
		}
		if in, err := s.org.CanBeGiven(ctx, a, user, dep, PermHandle); err != nil {
			return placed{}, err
		} else if !in {
			dep = p.DepartmentID
		}
	}
	if ok, err := s.org.CanBeGiven(ctx, a, user, dep, PermHandle); err != nil {
		return placed{}, err
	} else if !ok {
		return bad("ticket.assignee.no_right", p.Name)
	}
	on, err := s.org.OnDuty(ctx, a, dep, PermHandle)
	if err != nil {
		return placed{}, err
	}
	for _, c := range on {
		if c.ID != user {
			continue
		}
		load, err := Load(ctx, a, []int64{user})
		if err != nil {
			return placed{}, err
		}
		if load[user] >= c.Capacity {
			return bad("ticket.assignee.full", p.Name, c.Capacity)
		}
		return placed{assignee{user, p.Name}, dep}, nil
	}
	return bad("ticket.assignee.off_duty", p.Name)
}

// Seed writes the priority matrix, categories and routes of a fresh install.
// departments maps the names of the seeded departments to their ids.
func Seed(ctx context.Context, a *action.Action, departments map[string]int64) error {
	var n int
	if err := a.QueryRow(ctx, `SELECT COUNT(*) FROM priority_matrix`).Scan(&n); err != nil || n > 0 {
		return err
	}
	a.Drop(matrixHeld{})
	for _, u := range Urgencies {
		for _, l := range Levels {
			if _, err := a.Exec(ctx, `INSERT INTO priority_matrix (urgency, level, priority) VALUES ($1, $2, $3)`, u, l, defaultPriority(u, l)); err != nil {
				return fmt.Errorf("ticket: seed matrix: %w", err)
			}
		}
	}
	for i, c := range []struct {
		name string
		sub  []string
	}{
		{"产品使用", []string{"功能咨询", "操作指导", "账号与权限"}},
		{"产品故障", []string{"无法使用", "性能问题", "数据异常"}},
		{"订单与物流", []string{"发货与配送", "退换货", "订单修改"}},
		{"费用与发票", []string{"费用疑问", "开具发票", "退款"}},
		{"服务质量", []string{"服务态度", "处理时效", "处理结果"}},
		{"其他", nil},
	} {
		var id int64
		if err := a.QueryRow(ctx, `INSERT INTO categories (name, position) VALUES ($1, $2) RETURNING id`, c.name, i).Scan(&id); err != nil {
			return fmt.Errorf("ticket: seed categories: %w", err)
		}
		for j, sub := range c.sub {
			if _, err := a.Exec(ctx, `INSERT INTO categories (parent_id, name, position) VALUES ($1, $2, $3)`, id, sub, j); err != nil {
				return fmt.Errorf("ticket: seed categories: %w", err)
			}
		}
	}
	// What the class says comes before the rest; more particular rules are the company's.
	for i, r := range []struct{ conditions, department string }{
		{`{"types":["consultation"]}`, "客服部"}, {`{"types":["complaint"]}`, "客服部"}, {`{"types":["after_sales"]}`, "售后部"}, {`{"classes":["problem"]}`, "技术支持部"}, {`{"classes":["support"]}`, "售后部"}, {`{}`, "客服部"},
	} {
		dep, ok := departments[r.department]
		if !ok {
			continue
		}
		if _, err := a.Exec(ctx, `INSERT INTO routing_rules (position, conditions, department_id) VALUES ($1, $2, $3)`, i+1, r.conditions, dep); err != nil {
			return fmt.Errorf("ticket: seed routes: %w", err)
		}
	}
	if _, err := a.Exec(ctx, `UPDATE counters SET n = n + 1 WHERE name = $1`, routingVersion); err != nil {
		return fmt.Errorf("ticket: seed routes: %w", err)
	}
	a.Nothing()
	return nil
}
