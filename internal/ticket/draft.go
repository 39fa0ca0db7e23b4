package ticket

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/journal"
)

// Writing is what somebody writes on a ticket and has not sent: the text and the
// uploads that go with it. Drafts are kept for each person, ticket and kind.
type Writing struct {
	Body  string
	Files []int64
}

// draftsLast is how long the attachments of a draft wait.
const draftsLast = 30 * 24 * time.Hour

func draftPlace(ticket int64, kind string) string { return fmt.Sprintf("ticket:%d:%s", ticket, kind) }

// FilesPlace is where the attachments of the draft at a place are named.
func FilesPlace(ticket int64, kind string) string { return draftPlace(ticket, "files:"+kind) }

// FileList writes ids as a draft keeps them.
func FileList(ids []int64) string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = strconv.FormatInt(id, 10)
	}
	return strings.Join(out, " ")
}

// ListedFiles reads what FileList wrote.
func ListedFiles(s string) (ids []int64) {
	for _, f := range strings.Fields(s) {
		if id, err := strconv.ParseInt(f, 10, 64); err == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// Draft returns what actor writes on a ticket under kind.
func (s *Service) Draft(ctx context.Context, actor authz.Actor, ticket int64, kind string) (w Writing, err error) {
	all, err := s.Drafts(ctx, actor, fmt.Sprintf("ticket:%d:", ticket))
	return Writing{all[draftPlace(ticket, kind)], ListedFiles(all[FilesPlace(ticket, kind)])}, err
}

// KeepDraft stores it in place of what was there; an empty one is removed.
func (s *Service) KeepDraft(ctx context.Context, actor authz.Actor, ticket int64, kind string, w Writing) error {
	if len([]rune(w.Body)) > journal.MaxBody {
		return fault.Invalidf("journal.too_long", journal.MaxBody)
	}
	return s.DB().Write(ctx, func(ctx context.Context, tx *db.Tx) error { return s.keepDraft(ctx, tx, actor, ticket, kind, w) })
}

func (s *Service) keepDraft(ctx context.Context, tx *db.Tx, actor authz.Actor, ticket int64, kind string, w Writing) error {
	for place, text := range map[string]string{draftPlace(ticket, kind): w.Body, FilesPlace(ticket, kind): FileList(w.Files)} {
		var err error
		if blank(text) {
			_, err = tx.Exec(ctx, `DELETE FROM drafts WHERE user_id = $1 AND place = $2`, actor.ID, place)
		} else {
			_, err = tx.Exec(ctx, `INSERT INTO drafts (user_id, place, body, updated_at) VALUES ($1, $2, $3, $4)
				ON CONFLICT (user_id, place) DO UPDATE SET body = excluded.body, updated_at = excluded.updated_at`, actor.ID, place, text, tx.NowMicros())
		}
		if err != nil {
			return fmt.Errorf("ticket: draft: %w", err)
		}
	}
	return s.files.Keep(ctx, tx, actor, w.Files, tx.Now.Add(draftsLast))
}

// backToDraft puts a message that was not sent in front of what its writer has
// begun since.
func (s *Service) backToDraft(ctx context.Context, tx *db.Tx, actor authz.Actor, ticket int64, kind string, w Writing) error {
	var body, files string
	for place, dst := range map[string]*string{draftPlace(ticket, kind): &body, FilesPlace(ticket, kind): &files} {
		rows, err := tx.Query(ctx, `SELECT body FROM drafts WHERE user_id = $1 AND place = $2`, actor.ID, place)
		if err != nil {
			return fmt.Errorf("ticket: draft: %w", err)
		}
		for rows.Next() {
			err = rows.Scan(dst)
		}
		rows.Close()
		if err != nil {
			return fmt.Errorf("ticket: draft: %w", err)
		}
	}
	if !blank(body) && strings.TrimSpace(body) != strings.TrimSpace(w.Body) {
		w.Body = w.Body + "\n\n" + body
		if rs := []rune(w.Body); len(rs) > journal.MaxBody {
			w.Body = string(rs[:journal.MaxBody])
		}
	}
	w.Files = append(w.Files, ListedFiles(files)...)
	return s.keepDraft(ctx, tx, actor, ticket, kind, w)
}
