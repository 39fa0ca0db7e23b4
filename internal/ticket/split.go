package ticket

import (
	"context"
	"slices"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/fault"
	"bihuan/internal/journal"
)

// SplitInput is the new ticket that is made of one message (TKT-17).
type SplitInput struct {
	Title        string
	Description  string
	Type         string
	Class        string
	CategoryID   int64
	Urgency      string
	DepartmentID int64   // 0: by routing
	AssigneeID   int64   // 0: by routing
	Files        []int64 // of the message, that go with it
}

// Splittable reports whether a ticket can be made of the entry.
func Splittable(e journal.Entry) bool {
	return e.TicketID != 0 && e.SplitTo == 0 && e.Kind != journal.Move && e.Kind != journal.System
}

// Splitting returns an entry, and the ticket it is read in, for somebody who
// wants to make a new ticket of it.
func (s *Service) Splitting(ctx context.Context, sc authz.Scope, entry int64) (journal.Entry, Ticket, error) {
	e, err := journal.Get(ctx, s.DB().Read(), entry)
	if err != nil {
		return e, Ticket{}, err
	}
	t, err := s.Get(ctx, sc, e.TicketID)
	return e, t, err
}

// Split makes a new ticket of an entry. The entry stays where it is and says
// which ticket was made of it; the two are linked, and have the same tags.
func (s *Service) Split(ctx context.Context, actor authz.Actor, entry int64, in SplitInput) (made Ticket, err error) {
	if err := actor.Check(PermCreate); err != nil {
		return made, err
	}
	err = s.run.Do(ctx, actor, "ticket.split", func(ctx context.Context, a *action.Action) (err error) {
		made, err = s.SplitIn(ctx, a, entry, in)
		return err
	})
	return made, err
}

// SplitIn is Split inside an action under way; the caller has checked the right
// to register.
func (s *Service) SplitIn(ctx context.Context, a *action.Action, entry int64, in SplitInput) (Ticket, error) {
	e, err := journal.Get(ctx, a, entry)
	if err != nil {
		return Ticket{}, err
	}
	t, err := s.load(ctx, a, e.TicketID)
	if err != nil {
		return Ticket{}, err
	}
	if e.SplitTo != 0 {
		numbers, err := Numbers(ctx, a, []int64{e.SplitTo})
		if err != nil {
			return Ticket{}, err
		}
		return Ticket{}, fault.New(fault.Conflict, "ticket.split.already", numbers[e.SplitTo])
	}
	if !Splittable(e) {
		return Ticket{}, fault.New(fault.Conflict, "ticket.split.not_this")
	}
	from := t
	if e.OriginID != 0 { // it is about that one's customer
		if from, err = get(ctx, a, authz.For(authz.System(""), PermView), "t.id", e.OriginID, ""); err != nil {
			return Ticket{}, err
		}
	}
	tags, err := TagsOf(ctx, a, from.Tags)
	if err != nil {
		return Ticket{}, err
	}
	var tagged []int64
	for _, t := range tags {
		tagged = append(tagged, t.ID)
	}
	made, err := s.registerIn(ctx, a, RegisterInput{Tags: tagged, Title: in.Title, Description: in.Description, Type: in.Type, Class: in.Class, CategoryID: in.CategoryID, Urgency: in.Urgency,
		Channel: from.Channel, CustomerID: from.CustomerID, ContactID: from.ContactID, DepartmentID: in.DepartmentID, AssigneeID: in.AssigneeID, split: true})
	if err != nil {
		return made, err
	}
	files, err := s.files.OfEntries(ctx, a, []int64{entry})
	if err != nil {
		return made, err
	}
	for _, f := range files[entry] {
		if !slices.Contains(in.Files, f.ID) {
			continue
		}
		m := blob.Meta{Name: f.Name, MIME: f.MIME}
		m.SHA256, m.Size = f.SHA256, f.Size
		if _, err := s.files.SaveTo(ctx, a, m, blob.Owner{Type: subjectType, ID: made.ID, Internal: f.Owner.Internal}); err != nil {
			return made, err
		}
	}
	if err := link(ctx, a, made.ID, t.ID, "split"); err != nil {
		return made, err
	}
	if ok, err := journal.MarkSplit(ctx, a.Tx, entry, made.ID); err != nil {
		return made, err
	} else if !ok {
		return made, changedMeanwhile()
	}
	return made, s.aside(ctx, a, "ticket.split", t, "", made.Number, made.Title)
}
