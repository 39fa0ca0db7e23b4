package ticket

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"bihuan/internal/db"
	"bihuan/internal/field"
	"bihuan/internal/search"
	"bihuan/internal/setting"
)

// stored is how Config is stored: durations in hours.
type stored struct {
	NumberTemplate string `json:"number_template"`
	BadStars       int    `json:"bad_stars"`
	ReopenHours    int    `json:"reopen_hours"`
	ChangeHours    int    `json:"rating_change_hours"`
	RefuseVague    bool   `json:"refuse_vague"`
}

const settingName = "ticket"

func (s *Service) readConfig(ctx context.Context, q db.Querier) (Config, error) {
	c := DefaultConfig()
	var st stored
	if err := setting.Read(ctx, q, settingName, &st); err != nil {
		return c, err
	}
	if st.NumberTemplate != "" {
		c.NumberTemplate = st.NumberTemplate
	}
	if st.BadStars > 0 {
		c.BadStars = st.BadStars
	}
	if st.ReopenHours > 0 {
		c.ReopenWindow = time.Duration(st.ReopenHours) * time.Hour
	}
	if st.ChangeHours > 0 {
		c.RatingChange = time.Duration(st.ChangeHours) * time.Hour
	}
	c.RefuseVague = st.RefuseVague
	return c, nil
}

// Config returns the numbers in force.
func (s *Service) Config(ctx context.Context) (Config, error) { return s.config(ctx, s.DB().Read()) }

func marshal(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("ticket: %w", err)
	}
	return string(b), nil
}

// searchable is the text a ticket is found by.
const searchable = `t.number || ' ' || t.external_id || ' ' || t.title || ' ' || t.customer_name || ' ' || t.description || ' ' || t.summary`

// maxSearchable bounds the indexed part of a long description, in bytes.
const maxSearchable = 8000

// Reindex writes the search text of the tickets ids.
func Reindex(ctx context.Context, tx *db.Tx, ids []int64) error {
	for len(ids) > 0 {
		part := ids[:min(len(ids), 200)]
		ids = ids[len(part):]
		own, err := field.WordsOf(ctx, tx, field.Ticket, part)
		if err != nil {
			return err
		}
		var a db.Args
		rows, err := tx.Query(ctx, `SELECT t.id, `+searchable+` FROM tickets t WHERE t.id IN (`+a.AddInts(part)+`)`, a.Values...)
		if err != nil {
			return fmt.Errorf("ticket: search text: %w", err)
		}
		var docs []search.Doc
		for rows.Next() {
			var d search.Doc
			if err := rows.Scan(&d.ID, &d.Text); err != nil {
				rows.Close()
				return fmt.Errorf("ticket: search text: %w", err)
			}
			if len(d.Text) > maxSearchable {
				d.Text = strings.ToValidUTF8(d.Text[:maxSearchable], "")
			}
			if own[d.ID] != "" {
				d.Text += " " + own[d.ID]
			}
			docs = append(docs, d)
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return fmt.Errorf("ticket: search text: %w", err)
		}
		if err := search.Tickets.PutMany(ctx, tx, docs); err != nil {
			return err
		}
	}
	return nil
}
