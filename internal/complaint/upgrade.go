package complaint

import (
	"context"
	"slices"
	"strconv"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/ticket"
)

// LevelWords is the locale key of a level's name.
func LevelWords(n int) string { return "complaint.level." + strconv.Itoa(n) }

// Upgrade raises the level of complaint id to level, 0: the next. Who is
// responsible there follows from the tree of departments: it is laid on his desk,
// he is told, and he may open the ticket from then on. A level never sinks.
func (s *Service) Upgrade(ctx context.Context, actor authz.Actor, id int64, level int, reason string) (c Complaint, err error) {
	if err := actor.Check(PermRecord); err != nil {
		return c, err
	}
	if reason, err = why(reason, true); err != nil {
		return c, err
	}
	err = s.run.Do(ctx, actor, "complaint.upgrade", func(ctx context.Context, a *action.Action) error {
		_, err := s.tickets.ActIn(ctx, a, EventUpgraded, id, reason, func(ctx context.Context, d *ticket.Doing) error {
			if !Is(d.T) {
				return notComplaint()
			}
			if c, err = full(ctx, a, *d.T); err != nil {
				return err
			}
			if !d.T.State.Open() {
				return fault.New(fault.Conflict, "complaint.ended")
			}
			if level == 0 {
				level = c.Level + 1
			}
			if level <= c.Level || level > LevelManagement {
				return fault.New(fault.Conflict, "complaint.level_only_rises", i18n.Key(LevelWords(c.Level)))
			}
			user, err := s.Responsible(ctx, a, *d.T, level)
			if err != nil {
				return err
			}
			if user == 0 {
				return fault.New(fault.Conflict, "complaint.nobody", i18n.Key(LevelWords(level)))
			}
			name := s.org.Name(ctx, user)
			r, err := add(ctx, a, *d.T, Record{Step: upgraded, Round: c.Round, Reason: reason,
				Values: Values{"from": strconv.Itoa(c.Level), "level": strconv.Itoa(level), "user": strconv.FormatInt(user, 10), "name": name}})
			if err != nil {
				return err
			}
			c.Records = append(c.Records, r)
			c.Level, c.LevelUser, c.LevelAt = level, user, a.Now
			d.T.SupervisorID, d.T.ActivityAt = user, a.Now
			d.T.Escalation = max(d.T.Escalation, level-LevelAgent) // among those his desk shows as escalated
			d.Watch = []int64{user}
			d.Fact.Args = []string{"@" + LevelWords(level), name}
			d.Fact.Tell, d.Fact.Urgent = tell(user, d.T.AssigneeID), level == LevelManagement
			return save(ctx, a, *d.T, c)
		})
		return err
	})
	return c, err
}

// Responsible returns who answers for a complaint at a level: the assignee, the
// supervisor of the department, its head, the head of the company's top; 0 when
// there is nobody.
func (s *Service) Responsible(ctx context.Context, q db.Querier, t ticket.Ticket, level int) (int64, error) {
	switch level {
	case LevelAgent:
		return t.AssigneeID, nil
	case LevelSupervisor:
		return s.org.SupervisorOf(ctx, q, t.DepartmentID)
	case LevelHead:
		return s.org.HeadOf(ctx, q, t.DepartmentID)
	}
	// The way up; the head nearest to the top is the management.
	var way []int64
	for id := t.DepartmentID; id != 0 && !slices.Contains(way, id); {
		d, ok, err := s.org.Department(ctx, q, id)
		if err != nil {
			return 0, err
		}
		if !ok {
			break
		}
		way, id = append(way, id), d.ParentID
	}
	for _, id := range slices.Backward(way) {
		d, _, err := s.org.Department(ctx, q, id)
		if err != nil {
			return 0, err
		}
		if d.HeadID == 0 {
			continue
		}
		if p, ok, err := s.org.Person(ctx, q, d.HeadID); err != nil {
			return 0, err
		} else if ok && p.Active {
			return d.HeadID, nil
		}
	}
	return 0, nil
}
