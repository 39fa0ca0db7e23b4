package complaint

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/journal"
	"bihuan/internal/sla"
	"bihuan/internal/ticket"
)

// Views of the list.
const (
	ViewOpen   = "open"   // the highest level first, then the oldest
	ViewReview = "review" // ended and not yet looked back on, the oldest first
	ViewAll    = "all"    // the newest first
)

// Views in the order they are offered.
var Views = []string{ViewOpen, ViewReview, ViewAll}

// Filter selects complaints; zero fields select all of the view.
type Filter struct {
	View       string
	Step       Step
	Level      int
	Raised     bool   // above the first level
	Severity   string // "none": not yet classified; "serious": high or critical
	Department int64
	Overdue    bool
	After      string // cursor of the page before
	Limit      int    // 0: 25
}

// Row is a complaint as the list shows it.
type Row struct {
	TicketID     int64
	Number       string
	Title        string
	CustomerName string
	Department   int64
	AssigneeID   int64
	AssigneeName string
	State        ticket.State
	Round        int
	Overdue      bool
	DueAt        time.Time
	DueTotal     time.Duration
	CreatedAt    time.Time
	Step         Step
	Mood         string
	Wish         string
	Level        int
	LevelUser    int64
	Severity     string
	Answer       string
	Reviewed     bool
}

// Page is a stretch of the list.
type Page struct {
	Rows []Row
	Next string // cursor of the page behind; "" at the end
}

const rowColumns = `t.id, t.number, t.title, t.customer_name, t.department_id, t.assignee_id, t.assignee_name, t.state, t.round, t.overdue, t.due_at, t.due_total, t.created_at,
	c.step, c.mood, c.wish, c.level, c.level_user, c.severity, c.answer, c.reviewed`

func scanRow(row interface{ Scan(...any) error }, more ...any) (r Row, err error) {
	var overdue, reviewed int
	var due, total, created int64
	err = row.Scan(append([]any{&r.TicketID, &r.Number, &r.Title, &r.CustomerName, &r.Department, &r.AssigneeID, &r.AssigneeName, (*string)(&r.State), &r.Round, &overdue, &due, &total, &created,
		(*string)(&r.Step), &r.Mood, &r.Wish, &r.Level, &r.LevelUser, &r.Severity, &r.Answer, &reviewed}, more...)...)
	r.Overdue, r.Reviewed, r.DueTotal = overdue == 1, reviewed == 1, time.Duration(total)*time.Second
	r.DueAt, r.CreatedAt = db.FromMicros(due), db.FromMicros(created)
	return r, err
}

// isLate is the condition of a promise that was missed.
func isLate(a *db.Args, now time.Time) string {
	return "(t.overdue = 1 OR t.due_at > 0 AND t.due_at < " + a.Add(db.Micros(now)) + ")"
}

func (f Filter) where(a *db.Args, sc authz.Scope, now time.Time) []string {
	conds := []string{"t.type = 'complaint'", ticket.Where(sc, a)}
	switch f.View {
	case ViewReview:
		conds = append(conds, "c.is_open = 0 AND c.reviewed = 0")
	case ViewAll:
	default:
		conds = append(conds, "c.is_open = 1")
	}
	if f.Step != "" {
		conds = append(conds, "c.step = "+a.Add(string(f.Step)))
	}
	if f.Level != 0 {
		conds = append(conds, "c.level = "+a.Add(f.Level))
	}
	if f.Raised {
		conds = append(conds, "c.level > 1")
	}
	switch f.Severity {
	case "":
	case "serious":
		conds = append(conds, "c.severity IN ('high', 'critical')")
	case "none":
		conds = append(conds, "c.severity = ''")
	default:
		conds = append(conds, "c.severity = "+a.Add(f.Severity))
	}
	if f.Department != 0 {
		conds = append(conds, "t.department_id = "+a.Add(f.Department))
	}
	if f.Overdue {
		conds = append(conds, isLate(a, now))
	}
	return conds
}

// List returns the complaints f selects among the tickets sc reaches.
func (s *Service) List(ctx context.Context, actor authz.Actor, sc authz.Scope, f Filter) (p Page, err error) {
	if err := actor.Check(PermList); err != nil || sc.Empty() {
		return p, err
	}
	if f.View == "" {
		f.View = ViewOpen
	}
	if !slices.Contains(Views, f.View) {
		return p, fault.Invalidf("ui.form.choice").Field("view", "ui.form.choice")
	}
	if f.Limit <= 0 || f.Limit > 200 {
		f.Limit = 25
	}
	var a db.Args
	conds := f.where(&a, sc, s.run.DB().Clock().Now())
	if f.After != "" {
		l, i, _ := strings.Cut(f.After, ".")
		level, err1 := strconv.Atoi(l)
		id, err2 := strconv.ParseInt(i, 36, 64)
		if err1 != nil || err2 != nil {
			return p, fault.Invalidf("ticket.cursor")
		}
		switch f.View {
		case ViewOpen:
			conds = append(conds, "(c.level < "+a.Add(level)+" OR c.level = "+a.Add(level)+" AND c.ticket_id > "+a.Add(id)+")")
		case ViewReview:
			conds = append(conds, "c.ticket_id > "+a.Add(id))
		default:
			conds = append(conds, "c.ticket_id < "+a.Add(id))
		}
	}
	order := map[string]string{ViewOpen: "c.level DESC, c.ticket_id", ViewReview: "c.ticket_id", ViewAll: "c.ticket_id DESC"}[f.View]
	// CROSS JOIN keeps SQLite from beginning with the tickets.
	rows, err := s.run.DB().Read().Query(ctx, "SELECT "+rowColumns+" FROM complaints c CROSS JOIN tickets t WHERE t.id = c.ticket_id AND "+strings.Join(conds, " AND ")+" ORDER BY "+order+" LIMIT "+strconv.Itoa(f.Limit+1), a.Values...)
	if err != nil {
		return p, fmt.Errorf("complaint: list: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		r, err := scanRow(rows)
		if err != nil {
			return p, fmt.Errorf("complaint: list: %w", err)
		}
		p.Rows = append(p.Rows, r)
	}
	if err := rows.Err(); err != nil {
		return p, fmt.Errorf("complaint: list: %w", err)
	}
	if len(p.Rows) > f.Limit {
		p.Rows = p.Rows[:f.Limit]
		last := p.Rows[f.Limit-1]
		p.Next = strconv.Itoa(last.Level) + "." + strconv.FormatInt(last.TicketID, 36)
	}
	return p, nil
}

// Counts are how many complaints there are.
type Counts struct {
	Open    int
	Step    map[Step]int
	Level   map[int]int
	Serious int // high or critical
	Overdue int
	Review  int // ended and not yet looked back on
}

// Count counts the complaints among the tickets sc reaches.
func (s *Service) Count(ctx context.Context, actor authz.Actor, sc authz.Scope) (c Counts, err error) {
	c = Counts{Step: map[Step]int{}, Level: map[int]int{}}
	if err := actor.Check(PermList); err != nil || sc.Empty() {
		return c, err
	}
	var a db.Args
	late := isLate(&a, s.run.DB().Clock().Now())
	where := strings.Join(Filter{}.where(&a, sc, time.Time{}), " AND ")
	rows, err := s.run.DB().Read().Query(ctx, `
		SELECT   c.step, c.level, COUNT(*), SUM(CASE WHEN c.severity IN ('high', 'critical') THEN 1 ELSE 0 END), SUM(CASE WHEN `+late+` THEN 1 ELSE 0 END)
		FROM     complaints c CROSS JOIN tickets t WHERE t.id = c.ticket_id AND `+where+`
		GROUP BY c.step, c.level`, a.Values...)
	if err != nil {
		return c, fmt.Errorf("complaint: count: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var step Step
		var level, n, serious, overdue int
		if err := rows.Scan((*string)(&step), &level, &n, &serious, &overdue); err != nil {
			return c, fmt.Errorf("complaint: count: %w", err)
		}
		c.Open, c.Serious, c.Overdue = c.Open+n, c.Serious+serious, c.Overdue+overdue
		c.Step[step] += n
		c.Level[level] += n
	}
	if err := rows.Err(); err != nil {
		return c, fmt.Errorf("complaint: count: %w", err)
	}
	a = db.Args{}
	where = strings.Join(Filter{View: ViewReview}.where(&a, sc, time.Time{}), " AND ")
	if err := s.run.DB().Read().QueryRow(ctx, `SELECT COUNT(*) FROM complaints c CROSS JOIN tickets t WHERE t.id = c.ticket_id AND `+where, a.Values...).Scan(&c.Review); err != nil {
		return c, fmt.Errorf("complaint: count: %w", err)
	}
	return c, nil
}

// File is a complaint with everything that belongs to it, as it is put on paper.
// Sensitive values are masked.
type File struct {
	Ticket     ticket.Ticket
	Complaint  Complaint
	Customer   customer.Customer
	Contact    customer.Contact // zero: none, or gone
	Department string
	DueAt      time.Time // when it was to be resolved; zero: no promise
	Moves      []journal.Entry
	Messages   []journal.Entry // what was said between the complainant and the company, follow-ups too
	More       bool            // there are older messages
	Ratings    []ticket.Rating
	Evidence   []blob.File
	Level      string // who is responsible at its level
}

// fileEntries is how many entries a file holds at most of each kind.
const fileEntries = 500

// File returns the file of a complaint within sc.
func (s *Service) File(ctx context.Context, sc authz.Scope, number string) (f File, err error) {
	if f.Ticket, f.Complaint, err = s.Get(ctx, sc, number); err != nil {
		return f, err
	}
	q, t := s.run.DB().Read(), f.Ticket
	if f.Customer, err = s.customers.Card(ctx, q, t.CustomerID); err != nil && !fault.Is(err, fault.NotFound) {
		return f, err
	}
	for _, c := range f.Customer.Contacts {
		if c.ID == t.ContactID || t.ContactID == 0 && f.Contact.ID == 0 {
			f.Contact = c
		}
	}
	f.Department = s.org.DepartmentName(ctx, t.DepartmentID)
	if f.Complaint.LevelUser != 0 {
		f.Level = s.org.Name(ctx, f.Complaint.LevelUser)
	} else {
		f.Level = t.AssigneeName
	}
	clocks, err := sla.Of(ctx, q, t.ID)
	if err != nil {
		return f, err
	}
	for _, c := range clocks {
		if c.Kind == sla.Resolution && c.Round == t.Round {
			f.DueAt = c.DueAt
		}
	}
	if f.Moves, _, err = journal.Of(ctx, q, journal.Place{Ticket: t.ID}, journal.Page{Kinds: []journal.Kind{journal.Move, journal.System}, Limit: fileEntries}); err != nil {
		return f, err
	}
	if f.Messages, f.More, err = journal.Of(ctx, q, journal.Place{Ticket: t.ID}, journal.Page{Kinds: []journal.Kind{journal.Customer, journal.Reply, journal.Question, journal.FollowUp}, Limit: fileEntries}); err != nil {
		return f, err
	}
	if f.Ratings, err = ticket.Ratings(ctx, q, t.ID); err != nil {
		return f, err
	}
	f.Evidence, err = s.files.Of(ctx, q, "ticket", t.ID)
	return f, err
}
