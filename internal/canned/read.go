package canned

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/cnid"
	"bihuan/internal/db"
	"bihuan/internal/i18n"
	"bihuan/internal/ticket"
)

// Filter narrows a list; zero fields do not.
type Filter struct {
	Text   string
	Scope  Scope
	Folder string
	After  Cursor // the last row of the page before
	Limit  int    // 0: 50
}

// Cursor is a place in the list, which is ordered by folder and title.
type Cursor struct {
	Folder, Title string
	ID            int64
}

// List returns the replies that actor sees, by folder and title; more says that
// there is a further page.
func (s *Service) List(ctx context.Context, actor authz.Actor, f Filter) (out []Reply, more bool, err error) {
	if f.Limit <= 0 || f.Limit > 200 {
		f.Limit = 50
	}
	var a db.Args
	seen, err := s.seen(ctx, actor, &a, "c")
	if err != nil {
		return nil, false, err
	}
	where := []string{seen}
	if q := strings.ToLower(strings.TrimLeft(strings.TrimSpace(f.Text), "/／")); q != "" {
		where = append(where, `c.search LIKE `+a.Add("%"+likeEscape.Replace(q)+"%")+` ESCAPE '\'`)
	}
	if f.Scope != "" {
		where = append(where, "c.scope = "+a.Add(string(f.Scope)))
	}
	if f.Folder != "" {
		where = append(where, "c.folder = "+a.Add(f.Folder))
	}
	if f.After.ID != 0 {
		where = append(where, "(c.folder, c.title, c.id) > ("+a.Add(f.After.Folder)+", "+a.Add(f.After.Title)+", "+a.Add(f.After.ID)+")")
	}
	out, err = s.replies(ctx, `SELECT `+replyColumns+` FROM canned_replies c WHERE `+strings.Join(where, " AND ")+` ORDER BY c.folder, c.title, c.id LIMIT `+a.Add(f.Limit+1), a.Values)
	if len(out) > f.Limit {
		return out[:f.Limit], true, err
	}
	return out, false, err
}

func (s *Service) replies(ctx context.Context, query string, args []any) ([]Reply, error) {
	rows, err := s.DB().Read().Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("canned: list: %w", err)
	}
	defer rows.Close()
	var out []Reply
	for rows.Next() {
		r, err := scanReply(rows)
		if err != nil {
			return nil, fmt.Errorf("canned: list: %w", err)
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// Folders are the names of folders that actor sees replies in.
func (s *Service) Folders(ctx context.Context, actor authz.Actor) (out []string, err error) {
	var a db.Args
	seen, err := s.seen(ctx, actor, &a, "c")
	if err != nil {
		return nil, err
	}
	rows, err := s.DB().Read().Query(ctx, `SELECT DISTINCT c.folder FROM canned_replies c WHERE c.folder <> '' AND `+seen+` ORDER BY c.folder LIMIT 200`, a.Values...)
	if err != nil {
		return nil, fmt.Errorf("canned: folders: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var f string
		if err := rows.Scan(&f); err != nil {
			return nil, fmt.Errorf("canned: folders: %w", err)
		}
		out = append(out, f)
	}
	return out, rows.Err()
}

// considered bounds how many of the most used replies are weighed against each
// other when somebody looks for one.
const considered = 300

// Find returns the replies that fit what is typed behind the slash, the most
// fitting for t first: by short code, pinyin initials, title, folder or text.
func (s *Service) Find(ctx context.Context, actor authz.Actor, t ticket.Ticket, text string, limit int) ([]Reply, error) {
	if err := actor.Check(PermUse); err != nil {
		return nil, err
	}
	var a db.Args
	where, err := s.seen(ctx, actor, &a, "c")
	if err != nil {
		return nil, err
	}
	q := strings.ToLower(strings.TrimSpace(text))
	if q != "" {
		where += ` AND c.search LIKE ` + a.Add("%"+likeEscape.Replace(q)+"%") + ` ESCAPE '\'`
	}
	all, err := s.replies(ctx, `SELECT `+replyColumns+` FROM canned_replies c WHERE `+where+` ORDER BY c.uses DESC, c.id DESC LIMIT `+a.Add(considered), a.Values)
	if err != nil {
		return nil, err
	}
	weight := make(map[int64]int, len(all))
	for _, r := range all {
		weight[r.ID] = weigh(r, t, q, actor.Lang)
	}
	sort.SliceStable(all, func(i, j int) bool {
		x, y := all[i], all[j]
		if weight[x.ID] != weight[y.ID] {
			return weight[x.ID] > weight[y.ID]
		}
		if x.Uses != y.Uses {
			return x.Uses > y.Uses
		}
		return x.Title < y.Title
	})
	return all[:min(limit, len(all))], nil
}

// weigh says how well r fits what was typed (q, lower case) and the ticket.
func weigh(r Reply, t ticket.Ticket, q string, l i18n.Lang) int {
	w := 0
	if q != "" {
		title := strings.ToLower(r.Title)
		switch {
		case r.Code == q:
			w = 1000
		case strings.HasPrefix(r.Code, q):
			w = 800
		case strings.HasPrefix(title, q):
			w = 600
		case strings.Contains(title, q):
			w = 500
		case strings.HasPrefix(strings.ToLower(cnid.Initials(r.Title)), q):
			w = 400
		case strings.Contains(strings.ToLower(r.Folder), q):
			w = 200
		}
	}
	switch {
	case len(r.Types) == 0:
	case slices.Contains(r.Types, t.Type):
		w += 40
	default:
		w -= 40
	}
	switch r.CategoryID {
	case 0:
	case t.CategoryID:
		w += 40
	default:
		w -= 40
	}
	if r.Lang != "" && r.Lang != l {
		w -= 20
	}
	if r.Place.Scope == Own {
		w += 10
	}
	return w
}

// Filled is a text ready to be sent.
type Filled struct {
	Title   string
	Text    string
	Missing []string    // variables without a value: gaps in the text
	Files   []blob.File // copies of the attachments, waiting as the reader's own uploads
}

// Preview fills text as it would be for ticket t; nothing is counted.
func (s *Service) Preview(ctx context.Context, actor authz.Actor, text string, l i18n.Lang, t ticket.Ticket) (string, []string, error) {
	if l == "" {
		l = actor.Lang
	}
	v, err := s.values(ctx, actor, t, l)
	if err != nil {
		return "", nil, err
	}
	out, missing := Fill(text, v)
	return out, missing, nil
}

// Insert fills reply id for a ticket that actor sees, counts the use and lays the
// attachments ready for his form.
func (s *Service) Insert(ctx context.Context, actor authz.Actor, id, ticketID int64) (out Filled, err error) {
	if err := actor.Check(PermUse); err != nil {
		return out, err
	}
	t, err := s.tickets.Get(ctx, ticket.View(actor), ticketID)
	if err != nil {
		return out, err
	}
	r, err := s.Get(ctx, actor, id)
	if err != nil {
		return out, err
	}
	if out.Text, out.Missing, err = s.Preview(ctx, actor, r.Body, r.Lang, t); err != nil {
		return out, err
	}
	out.Title = r.Title
	err = s.run.Do(ctx, actor, "canned.insert", func(ctx context.Context, a *action.Action) error {
		out.Files = nil
		a.Nothing()
		if _, err := a.Exec(ctx, `UPDATE canned_replies SET uses = uses + 1, used_at = $1 WHERE id = $2`, a.NowMicros(), id); err != nil {
			return fmt.Errorf("canned: used %d: %w", id, err)
		}
		if r.Files == 0 {
			return nil
		}
		have, err := s.files.Of(ctx, a, FileOwner, id)
		if err != nil {
			return err
		}
		for _, f := range have {
			c, err := s.files.Save(ctx, a, blob.Meta{Info: blob.Info{SHA256: f.SHA256, Size: f.Size}, Name: f.Name, MIME: f.MIME})
			if err != nil {
				return err
			}
			out.Files = append(out.Files, c)
		}
		return nil
	})
	return out, err
}
