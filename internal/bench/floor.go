package bench

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/db"
	"bihuan/internal/search"
)

// Floor serves what the day's work costs with nothing around it: no sign-in, no
// permissions, no scopes, no audit, no HTML; one indexed statement per answer on
// the same data. What the product takes is given as a ratio to it. /hello is a
// handler without a statement.
func Floor(ctx context.Context, l net.Listener, d *db.DB) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello\n") })
	handle := func(pattern string, f func(r *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			v, err := f(r)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			raw, _ := json.Marshal(v)
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
			w.Write(raw)
		})
	}
	f := &floor{d}
	num := func(r *http.Request, k string) int64 {
		n, _ := strconv.ParseInt(r.URL.Query().Get(k), 10, 64)
		return n
	}
	handle("GET /queue", func(r *http.Request) (any, error) {
		return f.rows(r.Context(), `SELECT `+floorRow+` FROM tickets t WHERE t.assignee_id = $1 AND t.is_open = 1 ORDER BY t.activity_at DESC, t.id DESC LIMIT 25`, num(r, "agent"))
	})
	handle("GET /ticket", func(r *http.Request) (any, error) { return f.ticket(r.Context(), r.URL.Query().Get("number")) })
	handle("GET /search", func(r *http.Request) (any, error) { return f.search(r.Context(), r.URL.Query().Get("q")) })
	handle("GET /phone", func(r *http.Request) (any, error) {
		raw, err := hex.DecodeString(r.URL.Query().Get("key"))
		if err != nil {
			return nil, err
		}
		return f.rows(r.Context(), `SELECT `+floorRow+` FROM contacts c JOIN tickets t ON t.customer_id = c.customer_id WHERE c.phone_index = $1 ORDER BY t.id DESC LIMIT 30`, raw)
	})
	handle("POST /note", func(r *http.Request) (any, error) {
		text, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil {
			return nil, err
		}
		return f.note(r.Context(), num(r, "ticket"), num(r, "customer"), string(text))
	})
	handle("POST /create", func(r *http.Request) (any, error) {
		text, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil {
			return nil, err
		}
		return f.create(r.Context(), num(r, "customer"), num(r, "department"), num(r, "agent"), string(text))
	})
	handle("POST /state", func(r *http.Request) (any, error) {
		return true, d.Write(r.Context(), func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE tickets SET state = $1 WHERE id = $2`, r.URL.Query().Get("s"), num(r, "ticket"))
			return err
		})
	})
	srv := &http.Server{Handler: mux}
	go func() { <-ctx.Done(); srv.Close() }()
	if err := srv.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return nil
}

type floor struct{ d *db.DB }

type floorTicket struct {
	ID         int64        `json:"id"`
	Number     string       `json:"number"`
	Title      string       `json:"title"`
	State      string       `json:"state"`
	Priority   string       `json:"priority"`
	Customer   string       `json:"customer"`
	Assignee   string       `json:"assignee"`
	Department int64        `json:"department"`
	Due        int64        `json:"due"`
	Activity   int64        `json:"activity"`
	Entries    []floorEntry `json:"entries,omitempty"`
}

type floorEntry struct {
	ID     int64  `json:"id"`
	Kind   string `json:"kind"`
	Author string `json:"author"`
	Body   string `json:"body"`
	At     int64  `json:"at"`
}

const floorRow = `t.id, t.number, t.title, t.state, t.priority, t.customer_name, t.assignee_name, t.department_id, t.due_at, t.activity_at`

func (f *floor) rows(ctx context.Context, query string, args ...any) ([]floorTicket, error) {
	rows, err := f.d.Read().Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := make([]floorTicket, 0, 30)
	for rows.Next() {
		var t floorTicket
		if err := rows.Scan(&t.ID, &t.Number, &t.Title, &t.State, &t.Priority, &t.Customer, &t.Assignee, &t.Department, &t.Due, &t.Activity); err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, rows.Err()
}

func (f *floor) ticket(ctx context.Context, number string) (*floorTicket, error) {
	ts, err := f.rows(ctx, `SELECT `+floorRow+` FROM tickets t WHERE t.number = $1`, number)
	if err != nil || len(ts) == 0 {
		return nil, err
	}
	t := &ts[0]
	rows, err := f.d.Read().Query(ctx, `SELECT id, kind, author_name, body, created_at FROM entries WHERE ticket_id > 0 AND ticket_id = $1 ORDER BY id DESC LIMIT 30`, t.ID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var e floorEntry
		if err := rows.Scan(&e.ID, &e.Kind, &e.Author, &e.Body, &e.At); err != nil {
			return nil, err
		}
		t.Entries = append(t.Entries, e)
	}
	return t, rows.Err()
}

func (f *floor) search(ctx context.Context, text string) ([]floorTicket, error) {
	var terms []string
	for _, t := range search.Query(text) {
		terms = append(terms, t.Token)
	}
	if f.d.Dialect() == db.SQLite {
		return f.rows(ctx, `SELECT `+floorRow+` FROM search_ticket f JOIN tickets t ON t.id = f.rowid WHERE f.search_ticket MATCH $1 ORDER BY f.rowid DESC LIMIT 30`, `"`+strings.Join(terms, `" "`)+`"`)
	}
	return f.rows(ctx, `SELECT `+floorRow+` FROM search_ticket f JOIN tickets t ON t.id = f.id WHERE f.doc @@ CAST($1::text AS tsquery) ORDER BY f.id DESC LIMIT 30`, `'`+strings.Join(terms, `' & '`)+`'`)
}

func (f *floor) note(ctx context.Context, ticket, customer int64, text string) (id int64, err error) {
	err = f.d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		err := tx.QueryRow(ctx, `INSERT INTO entries (ticket_id, customer_id, kind, author_kind, author_id, author_name, body, created_at) VALUES ($1, $2, 'note', 'user', 1, '', $3, $4) RETURNING id`,
			ticket, customer, text, tx.NowMicros()).Scan(&id)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE tickets SET activity_at = $1 WHERE id = $2`, tx.NowMicros(), ticket)
		return err
	})
	return id, err
}

func (f *floor) create(ctx context.Context, customer, department, agent int64, text string) (id int64, err error) {
	err = f.d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		now := tx.NowMicros()
		err := tx.QueryRow(ctx, `
			INSERT INTO tickets (number, title, type, urgency, priority, channel, description, customer_id, department_id, assignee_id, state, created_at, updated_at, activity_at)
			VALUES ($1, '净水器漏水问题', 'other', 'normal', 'medium', 'phone', $2, $3, $4, $5, 'pending', $6, $7, $8) RETURNING id`,
			fmt.Sprintf("F%d", time.Now().UnixNano()), text, customer, department, agent, now, now, now).Scan(&id)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO entries (ticket_id, customer_id, kind, author_kind, author_name, body, created_at) VALUES ($1, $2, 'customer', 'customer', '', $3, $4)`, id, customer, text, now); err != nil {
			return err
		}
		return search.Tickets.Put(ctx, tx, id, "净水器漏水问题 "+text)
	})
	return id, err
}
