package slaui

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/sla"
	"bihuan/internal/ticket"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

type (
	boardView struct {
		Hours   []pick
		Slots   []time.Time // beginning of each hour
		Rows    []heatRow   // departments, or the people of one
		Sum     heatRow
		Within  string // name of the department whose people are shown
		Back    string
		More    bool
		Address string
	}
	pick struct {
		Label, Href string
		Current     bool
	}
	heatRow struct {
		ID    int64
		Name  string
		Href  string // its people; "" none
		Late  heat
		Cells []heat
		All   heat
	}
	heat struct {
		N     int
		Level int    // 0 to 4
		Href  string // the list; "" nothing to list
		Says  string
	}
)

var boardPage = ui.NewPage[boardView](files, "board.html").Sample(
	boardView{Hours: []pick{{"8", "/x", true}, {"12", "/x", false}}, Slots: []time.Time{time.Unix(1, 0)}, Within: "d", Back: "/x", More: true, Address: "/sla/board",
		Rows: []heatRow{{ID: 1, Name: "n", Href: "/x", Late: heat{1, 4, "/x", "s"}, Cells: []heat{{3, 2, "/x", "s"}}, All: heat{4, 1, "", "s"}}}, Sum: heatRow{Cells: []heat{{}}}},
	boardView{Address: "/sla/board"})

// board shows what will be missed in the next hours: by department, and by
// person within one. Each figure opens its list.
func (p *pages) board(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	hours := f.Int("hours")
	if !slices.Contains(ticket.BoardHours, hours) {
		hours = ticket.BoardHours[0]
	}
	sc := authz.For(r.Actor, sla.PermReport)
	b, err := p.tickets.Board(r.Context(), sc, hours)
	if err != nil {
		return err
	}
	user, department, err := p.org.Names(r.Context())
	if err != nil {
		return err
	}
	dep := number(f.Get("department"))
	if !sc.Everything() && len(sc.Departments()) == 0 && dep == 0 {
		dep = r.Actor.DepartmentID // he sees but himself
	}
	v := boardView{More: b.More, Address: address("/sla/board", "hours", strconv.Itoa(hours), "department", id(dep))}
	for _, h := range ticket.BoardHours {
		v.Hours = append(v.Hours, pick{r.T("sla.board.hours", h), address("/sla/board", "hours", strconv.Itoa(h), "department", id(dep)), h == hours})
	}
	for i := range hours {
		from, _ := b.Slot(i)
		v.Slots = append(v.Slots, from)
	}
	if dep != 0 {
		v.Within, v.Back = department(dep), address("/sla/board", "hours", strconv.Itoa(hours))
	}
	rows := map[int64]*heatRow{}
	of := func(key int64) *heatRow {
		if rows[key] == nil {
			rows[key] = &heatRow{ID: key, Cells: make([]heat, hours)}
		}
		return rows[key]
	}
	v.Sum.Cells = make([]heat, hours)
	for _, d := range b.Due {
		if dep != 0 && d.Department != dep || d.Slot >= hours {
			continue
		}
		key := d.Department
		if dep != 0 {
			key = d.Assignee
		}
		for _, row := range []*heatRow{of(key), &v.Sum} {
			if d.Slot < 0 {
				row.Late.N += d.N
			} else {
				row.Cells[d.Slot].N += d.N
				row.All.N += d.N
			}
		}
	}
	top := 0
	for _, row := range rows {
		for _, c := range row.Cells {
			top = max(top, c.N)
		}
	}
	link := func(row *heatRow, i int) string {
		from, to := b.Slot(i)
		q := []string{"view", "open", "type", "", "ours", "1", "department", id(row.ID), "due_to", id(to.Unix())}
		if dep != 0 {
			q[7] = id(dep)
			if row.ID == 0 {
				q[1] = "unassigned"
			} else {
				q = append(q, "assignee", id(row.ID))
			}
		}
		if i < 0 {
			q[9] = id(r.Now().Unix())
		} else {
			q = append(q, "due_from", id(max(from.Unix(), r.Now().Unix())))
		}
		return address("/tickets", q...)
	}
	for key, row := range rows {
		switch {
		case dep == 0:
			row.Name, row.Href = department(key), address("/sla/board", "hours", strconv.Itoa(hours), "department", id(key))
		case key == 0:
			row.Name = r.T("ticket.unassigned")
		default:
			row.Name = user(key)
		}
		row.Late.Href, row.Late.Says = link(row, -1), r.T("sla.board.late_of", row.Name, row.Late.N)
		if row.Late.N > 0 {
			row.Late.Level = 4
		}
		for i := range row.Cells {
			c := &row.Cells[i]
			c.Href, c.Says = link(row, i), r.T("sla.board.cell", row.Name, v.Slots[i].In(r.Location()).Format("15:04"), c.N)
			if c.N > 0 {
				c.Level = 1 + 3*c.N/max(top, 1)
			}
		}
		v.Rows = append(v.Rows, *row)
	}
	slices.SortFunc(v.Rows, func(x, y heatRow) int {
		return cmp.Or(cmp.Compare(y.Late.N+y.All.N, x.Late.N+x.All.N), cmp.Compare(x.ID, y.ID))
	})
	if r.IsFragment() && r.Target() != "main" {
		return boardPage.Fragment(w, r, "board", v)
	}
	return boardPage.Render(w, r, chrome(r, "sla-board", r.T("sla.board.title")), v)
}
