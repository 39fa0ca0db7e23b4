package customer

import (
	"context"
	"fmt"
	"slices"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/event"
	"bihuan/internal/fault"
)

// FileOwner is the type of the owner of a customer's files.
const FileOwner = "customer"

// The facts about files.
const (
	FileAdded   = "customer.file_added"
	FileRemoved = "customer.file_removed"
	FileGuarded = "customer.file_guarded"
)

// FileData is the data of the facts about files. Names of files are what people
// call them, and may hold anything: the trail keeps their kind and size only.
type FileData struct {
	ID         int64  `json:"id"`
	Kind       string `json:"kind"`
	Size       int64  `json:"size"`
	Restricted bool   `json:"restricted,omitempty"`
}

// maxAttached is how many files one form may bring.
const maxAttached = 20

// MayReadFile decides over the files of customers, for blob: whoever sees the
// customer reads them; a restricted one only who may change the profile, or has
// uploaded it.
func (s *Service) MayReadFile(ctx context.Context, actor authz.Actor, f blob.File) error {
	if actor.Kind == authz.Worker {
		return nil
	}
	if actor.Kind != authz.User {
		return notFound()
	}
	q := s.db().Read()
	if err := s.visible(ctx, q, View(actor), f.Owner.ID); err != nil {
		return err
	}
	if f.Owner.Internal && f.UploadedBy != actor.ID {
		return s.covers(ctx, q, authz.For(actor, PermEdit), f.Owner.ID, PermEdit)
	}
	return nil
}

// Files returns the files of a customer that the actor may know of, the newest
// first, older than the id before (0: the newest), and whether there are more.
// hidden reports whether restricted ones were left out.
func (s *Service) Files(ctx context.Context, actor authz.Actor, files *blob.Files, id, before int64, limit int) (out []blob.File, more, hidden bool, err error) {
	q := s.db().Read()
	if err := s.visible(ctx, q, View(actor), id); err != nil {
		return nil, false, false, err
	}
	all := s.covers(ctx, q, authz.For(actor, PermEdit), id, PermEdit)
	if all != nil && !fault.Is(all, fault.Forbidden) {
		return nil, false, false, all
	}
	if limit <= 0 || limit > 100 {
		limit = 30
	}
	found, err := files.Newest(ctx, q, FileOwner, id, before, limit+1)
	if err != nil {
		return nil, false, false, err
	}
	if more = len(found) > limit; more {
		found = found[:limit]
	}
	for _, f := range found {
		if f.Owner.Internal && all != nil && f.UploadedBy != actor.ID {
			hidden = true
			continue
		}
		out = append(out, f)
	}
	return out, more, hidden, nil
}

// Attach gives files the actor has uploaded to a customer. Restricted ones are
// read only by those who may change the profile.
func (s *Service) Attach(ctx context.Context, actor authz.Actor, files *blob.Files, id int64, uploads []int64, restricted bool) error {
	return s.run.Do(ctx, actor, "customer.attach", func(ctx context.Context, a *action.Action) error {
		if err := s.may(ctx, a, id, PermFollowUp); err != nil {
			return err
		}
		if len(uploads) == 0 {
			return fault.Invalidf("customer.files.none").Field("file", "customer.files.none")
		}
		if len(uploads) > maxAttached {
			return fault.Invalidf("customer.files.many", maxAttached).Field("file", "customer.files.many", maxAttached)
		}
		fs, err := files.Attach(ctx, a, uploads, blob.Owner{Type: FileOwner, ID: id, Internal: restricted})
		if err != nil {
			return err
		}
		for _, f := range fs {
			a.Record(event.Event{Kind: FileAdded, Subject: Subject(id), Data: FileData{f.ID, f.MIME, f.Size, restricted}})
		}
		return nil
	})
}

// AttachNew is Attach of content that came with the form itself.
func (s *Service) AttachNew(ctx context.Context, actor authz.Actor, files *blob.Files, id int64, metas []blob.Meta, restricted bool) error {
	return s.run.Do(ctx, actor, "customer.attach", func(ctx context.Context, a *action.Action) error {
		if err := s.may(ctx, a, id, PermFollowUp); err != nil {
			return err
		}
		for _, m := range metas {
			f, err := files.SaveTo(ctx, a, m, blob.Owner{Type: FileOwner, ID: id, Internal: restricted})
			if err != nil {
				return err
			}
			a.Record(event.Event{Kind: FileAdded, Subject: Subject(id), Data: FileData{f.ID, f.MIME, f.Size, restricted}})
		}
		return nil
	})
}

// file loads a file of the customer that the actor may change: his own, or of a
// profile he may change.
func (s *Service) file(ctx context.Context, a *action.Action, files *blob.Files, id, fileID int64) (blob.File, error) {
	if err := s.visible(ctx, a, View(a.Actor), id); err != nil {
		return blob.File{}, err
	}
	f, err := files.Get(ctx, a, fileID)
	if err != nil {
		return f, err
	}
	if f.Owner.Type != FileOwner || f.Owner.ID != id {
		return f, fault.New(fault.NotFound, "blob.not_found")
	}
	if mine := f.UploadedBy == a.Actor.ID && a.Actor.Kind == authz.User && a.Actor.Can(PermFollowUp); !mine {
		if err := s.covers(ctx, a, authz.For(a.Actor, PermEdit), id, PermEdit); err != nil {
			if f.Owner.Internal {
				return f, fault.New(fault.NotFound, "blob.not_found")
			}
			return f, err
		}
	}
	return f, nil
}

// GuardFile makes a file restricted, or open to everybody who sees the customer.
func (s *Service) GuardFile(ctx context.Context, actor authz.Actor, files *blob.Files, id, fileID int64, restricted bool) error {
	return s.run.Do(ctx, actor, "customer.guard_file", func(ctx context.Context, a *action.Action) error {
		f, err := s.file(ctx, a, files, id, fileID)
		if err != nil {
			return err
		}
		if f.Owner.Internal == restricted {
			a.Nothing()
			return nil
		}
		if err := files.Restrict(ctx, a.Tx, f.ID, restricted); err != nil {
			return err
		}
		a.Record(event.Event{Kind: FileGuarded, Subject: Subject(id), Data: FileData{f.ID, f.MIME, f.Size, restricted}})
		return nil
	})
}

// RemoveFile takes a file away.
func (s *Service) RemoveFile(ctx context.Context, actor authz.Actor, files *blob.Files, id, fileID int64) error {
	return s.run.Do(ctx, actor, "customer.remove_file", func(ctx context.Context, a *action.Action) error {
		f, err := s.file(ctx, a, files, id, fileID)
		if err != nil {
			return err
		}
		if err := files.Remove(ctx, a, f); err != nil {
			return err
		}
		a.Record(event.Event{Kind: FileRemoved, Subject: Subject(id), Data: FileData{f.ID, f.MIME, f.Size, f.Owner.Internal}})
		return nil
	})
}

// LogLine is one change of one field (CUS-11).
type LogLine struct {
	Stored event.Stored // who, when and why
	Change Change       // its field is "tags" for tags; "" for a fact that changed no field
}

// changeKinds are facts that change no field but belong to the log.
var changeKinds = []string{Created, ImportedKind, NeedAdded, FileAdded, FileRemoved, FileGuarded, ContactMarked}

// ChangeLog returns the changes of a customer, the newest first, older than the
// event before (0: the newest), at least limit when there are so many, and the
// event to go on from (0: nothing follows). field narrows it to one field, or with
// a trailing dot to all fields that begin so ("contact.").
func (s *Service) ChangeLog(ctx context.Context, sc authz.Scope, id int64, field string, before int64, limit int) (out []LogLine, next int64, err error) {
	q := s.db().Read()
	if err := s.visible(ctx, q, sc, id); err != nil {
		return nil, 0, err
	}
	if limit <= 0 || limit > 200 {
		limit = 50
	}
	const batch = 200
	for range 25 {
		evs, err := event.Of(ctx, q, Subject(id), before, batch)
		if err != nil {
			return nil, 0, fmt.Errorf("customer: changes of %d: %w", id, err)
		}
		for _, e := range evs {
			before = e.ID
			out = append(out, logLines(e, field)...)
			if len(out) >= limit {
				return out, before, nil
			}
		}
		if len(evs) < batch {
			return out, 0, nil
		}
	}
	return out, before, nil
}

func logLines(e event.Stored, field string) (out []LogLine) {
	var changes []Change
	switch e.Kind {
	case TagsChanged:
		var d TagsData
		_ = e.Decode(&d)
		for _, t := range d.Removed {
			changes = append(changes, Change{Change: event.Change{Field: "tags", Old: t}})
		}
		for _, t := range d.Added {
			changes = append(changes, Change{Change: event.Change{Field: "tags", New: t}})
		}
	default:
		var d ChangedData
		_ = e.Decode(&d) // a fact without changes has none
		changes = d.Changes
	}
	for _, c := range changes {
		if field == "" || c.Field == field || field[len(field)-1] == '.' && len(c.Field) > len(field) && c.Field[:len(field)] == field {
			out = append(out, LogLine{e, c})
		}
	}
	if len(changes) == 0 && field == "" && slices.Contains(changeKinds, e.Kind) {
		out = append(out, LogLine{Stored: e})
	}
	return out
}
