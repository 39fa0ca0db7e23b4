package canned

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/cnid"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/journal"
	"bihuan/internal/ticket"
)

// Reply is a text that is written often.
type Reply struct {
	ID         int64
	Title      string
	Body       string
	Code       string // short code, without the slash; "" none
	Folder     string
	Lang       i18n.Lang // "" any
	Place      Place
	Types      []string // of tickets it is meant for; none: all
	CategoryID int64    // of tickets it is meant for; 0: all
	Files      int
	Uses       int64
	UsedAt     time.Time
	UpdatedAt  time.Time
	Version    int64
}

// FileOwner is the type under which attachments of replies are kept.
const FileOwner = "canned_reply"

// Input is a reply as it is written down.
type Input struct {
	Version    int64
	Title      string
	Body       string
	Code       string
	Folder     string
	Lang       i18n.Lang
	Place      Place
	Types      []string
	CategoryID int64
	Files      []int64 // uploads to be added
	Drop       []int64 // attachments to be taken away
}

// Bounds of what is written down.
const (
	maxTitle, maxFolder = 80, 40
	maxFiles            = 10
)

// codeLike is what a short code may be: what can be typed without a blank.
var codeLike = regexp.MustCompile(`^[\p{Han}a-z0-9_-]{1,20}$`)

func (in *Input) check() *fault.Error {
	e := fault.Invalidf("canned.invalid")
	in.Title, in.Folder, in.Body = strings.TrimSpace(in.Title), strings.TrimSpace(in.Folder), strings.TrimSpace(in.Body)
	in.Code = strings.ToLower(strings.TrimLeft(strings.TrimSpace(in.Code), "/／、"))
	if n := len([]rune(in.Title)); n == 0 || n > maxTitle {
		e.Field("title", "canned.need_title", maxTitle)
	}
	if len([]rune(in.Folder)) > maxFolder {
		e.Field("folder", "canned.long", maxFolder)
	}
	if n := len([]rune(in.Body)); n == 0 {
		e.Field("body", "canned.need_body")
	} else if n > journal.MaxBody {
		e.Field("body", "canned.long", journal.MaxBody)
	} else if fe, ok := fault.As(CheckText(in.Body, "body")); ok {
		e.Fields = append(e.Fields, fe.Fields...)
	}
	if in.Code != "" && !codeLike.MatchString(in.Code) {
		e.Field("code", "canned.code_shape")
	}
	if in.Lang != "" && !slices.Contains(i18n.Langs, in.Lang) {
		e.Field("lang", "canned.need_choice")
	}
	in.Types = within(in.Types, ticket.Types)
	return e
}

func (in Input) search() string {
	return strings.ToLower(strings.Join([]string{in.Title, in.Code, cnid.Initials(in.Title), cnid.Pinyin(in.Title), in.Folder, in.Body}, "\n"))
}

const replyColumns = `c.id, c.title, c.body, c.code, c.folder, c.lang, c.scope, c.owner_id, c.department_id, c.types, c.category_id, c.files, c.uses, c.used_at, c.updated_at, c.version`

func scanReply(row interface{ Scan(...any) error }) (r Reply, err error) {
	var types string
	var used, updated int64
	err = row.Scan(&r.ID, &r.Title, &r.Body, &r.Code, &r.Folder, (*string)(&r.Lang), (*string)(&r.Place.Scope), &r.Place.OwnerID, &r.Place.DepartmentID, &types, &r.CategoryID, &r.Files, &r.Uses, &used, &updated, &r.Version)
	r.Types, r.UsedAt, r.UpdatedAt = strings.Fields(types), db.FromMicros(used), db.FromMicros(updated)
	return r, err
}

// Get returns reply id if actor sees it, else NotFound.
func (s *Service) Get(ctx context.Context, actor authz.Actor, id int64) (Reply, error) {
	return s.get(ctx, s.DB().Read(), actor, id, "")
}

func (s *Service) get(ctx context.Context, q db.Querier, actor authz.Actor, id int64, lock string) (Reply, error) {
	var a db.Args
	where := "c.id = " + a.Add(id)
	seen, err := s.seen(ctx, actor, &a, "c")
	if err != nil {
		return Reply{}, err
	}
	r, err := scanReply(q.QueryRow(ctx, `SELECT `+replyColumns+` FROM canned_replies c WHERE `+where+` AND `+seen+lock, a.Values...))
	if errors.Is(err, sql.ErrNoRows) {
		return r, notFound()
	}
	if err != nil {
		return r, fmt.Errorf("canned: load %d: %w", id, err)
	}
	return r, nil
}

// Create adds a reply.
func (s *Service) Create(ctx context.Context, actor authz.Actor, in Input) (id int64, err error) {
	err = s.run.Do(ctx, actor, "canned.create", func(ctx context.Context, a *action.Action) (err error) {
		id, err = s.CreateIn(ctx, a, in)
		return err
	})
	return id, err
}

// CreateIn is Create within an action.
func (s *Service) CreateIn(ctx context.Context, a *action.Action, in Input) (id int64, err error) {
	if err := a.Actor.Check(PermUse); err != nil {
		return 0, err
	}
	bad := in.check()
	if len(in.Files) > maxFiles {
		bad.Field("file", "canned.many_files", maxFiles)
	}
	if err := s.settle(ctx, a, &in.Place, bad); err != nil {
		return 0, err
	}
	if err := s.free(ctx, a, in, 0, bad); err != nil {
		return 0, err
	}
	if err := bad.OrNil(); err != nil {
		return 0, err
	}
	err = a.QueryRow(ctx, `
		INSERT INTO canned_replies (title, body, code, initials, folder, lang, search, scope, owner_id, department_id, types, category_id, files, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) RETURNING id`,
		in.Title, in.Body, in.Code, strings.ToLower(cnid.Initials(in.Title)), in.Folder, string(in.Lang), in.search(), string(in.Place.Scope), in.Place.OwnerID, in.Place.DepartmentID, set(in.Types), in.CategoryID,
		len(in.Files), a.NowMicros(), a.NowMicros()).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("canned: create: %w", err)
	}
	if _, err := s.files.Attach(ctx, a, in.Files, blob.Owner{Type: FileOwner, ID: id, Internal: true}); err != nil {
		return 0, err
	}
	a.Record(event.Event{Kind: EventReplyAdded, Subject: event.Subject{Type: "canned_reply", ID: id}, Data: Fact{Args: []string{in.Title}}})
	return id, nil
}

// free refuses a short code that another reply of the same place has.
func (s *Service) free(ctx context.Context, a *action.Action, in Input, id int64, bad *fault.Error) error {
	if in.Code == "" || len(bad.Fields) > 0 {
		return nil
	}
	var title string
	err := a.QueryRow(ctx, `SELECT title FROM canned_replies WHERE scope = $1 AND owner_id = $2 AND department_id = $3 AND code = $4 AND id <> $5`,
		string(in.Place.Scope), in.Place.OwnerID, in.Place.DepartmentID, in.Code, id).Scan(&title)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("canned: code: %w", err)
	}
	bad.Field("code", "canned.code_taken", title)
	return nil
}

// keep loads a reply for a change by the action's actor.
func (s *Service) keep(ctx context.Context, a *action.Action, id int64) (Reply, error) {
	r, err := s.get(ctx, a, a.Actor, id, a.ForUpdate())
	if err == nil && !MayKeep(a.Actor, r.Place) {
		err = authz.Denied(PermManage)
	}
	return r, err
}

// Edit changes a reply.
func (s *Service) Edit(ctx context.Context, actor authz.Actor, id int64, in Input) error {
	if err := actor.Check(PermUse); err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "canned.edit", func(ctx context.Context, a *action.Action) error {
		old, err := s.keep(ctx, a, id)
		if err != nil {
			return err
		}
		if in.Version != 0 && in.Version != old.Version {
			return stale()
		}
		bad := in.check()
		if in.Place.Scope == Own && old.Place.Scope == Own {
			in.Place.OwnerID = old.Place.OwnerID
		}
		if err := s.settle(ctx, a, &in.Place, bad); err != nil {
			return err
		}
		if err := s.free(ctx, a, in, id, bad); err != nil {
			return err
		}
		have, err := s.files.Of(ctx, a, FileOwner, id)
		if err != nil {
			return err
		}
		drop := slices.DeleteFunc(slices.Clone(have), func(f blob.File) bool { return !slices.Contains(in.Drop, f.ID) })
		if len(have)-len(drop)+len(in.Files) > maxFiles {
			bad.Field("file", "canned.many_files", maxFiles)
		}
		if err := bad.OrNil(); err != nil {
			return err
		}
		var cs []event.Change
		cs = changed(cs, "title", old.Title, in.Title)
		cs = changed(cs, "body", old.Body, in.Body)
		cs = changed(cs, "code", old.Code, in.Code)
		cs = changed(cs, "folder", old.Folder, in.Folder)
		cs = changed(cs, "lang", string(old.Lang), string(in.Lang))
		cs = changed(cs, "scope", string(old.Place.Scope), string(in.Place.Scope))
		cs = changed(cs, "department", s.org.DepartmentName(ctx, old.Place.DepartmentID), s.org.DepartmentName(ctx, in.Place.DepartmentID))
		cs = changed(cs, "types", strings.Join(old.Types, " "), strings.Join(in.Types, " "))
		cs = changed(cs, "category", fmt.Sprint(old.CategoryID), fmt.Sprint(in.CategoryID))
		cs = changed(cs, "files", fmt.Sprint(len(have)), fmt.Sprint(len(have)-len(drop)+len(in.Files)))
		if len(cs) == 0 && len(in.Files) == 0 {
			a.Nothing()
			return nil
		}
		for _, f := range drop {
			if err := s.files.Remove(ctx, a, f); err != nil {
				return err
			}
		}
		if _, err := s.files.Attach(ctx, a, in.Files, blob.Owner{Type: FileOwner, ID: id, Internal: true}); err != nil {
			return err
		}
		_, err = a.Exec(ctx, `
			UPDATE canned_replies SET title = $1, body = $2, code = $3, initials = $4, folder = $5, lang = $6, search = $7, scope = $8, owner_id = $9, department_id = $10, types = $11, category_id = $12,
				files = $13, updated_at = $14, version = version + 1 WHERE id = $15`,
			in.Title, in.Body, in.Code, strings.ToLower(cnid.Initials(in.Title)), in.Folder, string(in.Lang), in.search(), string(in.Place.Scope), in.Place.OwnerID, in.Place.DepartmentID, set(in.Types), in.CategoryID,
			len(have)-len(drop)+len(in.Files), a.NowMicros(), id)
		if err != nil {
			return fmt.Errorf("canned: edit %d: %w", id, err)
		}
		a.Record(event.Event{Kind: EventReplyChanged, Subject: event.Subject{Type: "canned_reply", ID: id}, Data: Fact{Args: []string{in.Title}, Changes: cs}})
		return nil
	})
}

// Delete removes a reply with its attachments. What was written with it stays.
func (s *Service) Delete(ctx context.Context, actor authz.Actor, id int64) error {
	return s.run.Do(ctx, actor, "canned.delete", func(ctx context.Context, a *action.Action) error {
		r, err := s.keep(ctx, a, id)
		if err != nil {
			return err
		}
		have, err := s.files.Of(ctx, a, FileOwner, id)
		if err != nil {
			return err
		}
		for _, f := range have {
			if err := s.files.Remove(ctx, a, f); err != nil {
				return err
			}
		}
		if _, err := a.Exec(ctx, `DELETE FROM canned_replies WHERE id = $1`, id); err != nil {
			return fmt.Errorf("canned: delete %d: %w", id, err)
		}
		a.Record(event.Event{Kind: EventReplyDeleted, Subject: event.Subject{Type: "canned_reply", ID: id}, Data: Fact{Args: []string{r.Title}}})
		return nil
	})
}

// Attachments are the files of a reply that actor sees.
func (s *Service) Attachments(ctx context.Context, actor authz.Actor, id int64) ([]blob.File, error) {
	if _, err := s.Get(ctx, actor, id); err != nil {
		return nil, err
	}
	return s.files.Of(ctx, s.DB().Read(), FileOwner, id)
}

// MayRead decides over the attachments of replies.
func (s *Service) MayRead(ctx context.Context, actor authz.Actor, f blob.File) error {
	_, err := s.Get(ctx, actor, f.Owner.ID)
	return err
}
