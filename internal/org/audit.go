package org

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/event"
	"bihuan/internal/i18n"
)

// AuditRow is an event as an auditor reads it.
type AuditRow struct {
	event.Stored
	Time    time.Time
	Changes []event.Change
	Name    string      // of the subject, where the event keeps it
	Args    []string    // of the sentence
	Rest    [][2]string // what else the event says, by name
}

// Note is what else the event says in the reader's language, "name: value" each.
// Values that are locale keys are translated, and names that have a text
// "audit.note.<name>".
func (r AuditRow) Note(l i18n.Lang) string {
	var parts []string
	for _, kv := range r.Rest {
		k, v := kv[0], kv[1]
		if !i18n.Has("audit.note." + k) {
			continue // for programs: ids and the like; the data itself is in the export
		}
		k = i18n.T(l, "audit.note."+k)
		if i18n.Has(v) {
			v = i18n.T(l, v)
		}
		if l == i18n.ZhCN {
			parts = append(parts, k+"："+v)
		} else {
			parts = append(parts, k+": "+v)
		}
	}
	if l == i18n.ZhCN {
		return strings.Join(parts, "；")
	}
	return strings.Join(parts, "; ")
}

// NameFields lets a room above name the fields of the company's own, whose
// changes the audit trail knows by their Chinese labels.
func (s *Service) NameFields(f func(ctx context.Context, l i18n.Lang, label string) string) {
	s.ownField = f
}

// FieldName is the name of a changed field in the reader's language, also of one
// of the company's own.
func (s *Service) FieldName(ctx context.Context, l i18n.Lang, field string) string {
	name := FieldName(l, field)
	if name == field && s.ownField != nil {
		return s.ownField(ctx, l, field)
	}
	return name
}

// FieldName is the name of a changed field in the reader's language: the locale
// key "audit.field.<field>", the permission or the customer's field of that name,
// else the code.
func FieldName(l i18n.Lang, field string) string {
	for _, prefix := range []string{"audit.field.", "perm.", "customer.field."} {
		if i18n.Has(prefix + field) {
			return i18n.T(l, prefix+field)
		}
	}
	return field
}

// FieldValue is a value of a changed field in the reader's language: the locale
// key "audit.value.<field>.<value>", or a data scope, else the value itself.
func FieldValue(l i18n.Lang, field, value string) string {
	if key, ok := strings.CutPrefix(value, "@"); ok && i18n.Has(key) {
		return i18n.T(l, key)
	}
	for _, prefix := range []string{"audit.value.", "ticket.", "customer."} {
		if key := prefix + field + "." + value; value != "" && i18n.Has(key) {
			return i18n.T(l, key)
		}
	}
	if _, ok := authz.Find(authz.Permission(field)); ok && i18n.Has("org.level."+value) {
		return i18n.T(l, "org.level."+value)
	}
	return value
}

// Sentence is what happened, in the reader's language; a kind without a text is
// shown by its code.
func (r AuditRow) Sentence(l i18n.Lang) string {
	if i18n.Has("event." + r.Kind) {
		return event.Say(l, r.Kind, r.Args)
	}
	return r.Kind
}

// Read turns an event into what people read: who, what, before and after.
func Read(s event.Stored) AuditRow {
	r := AuditRow{Stored: s, Time: time.UnixMicro(s.At).UTC()}
	var m map[string]json.RawMessage
	if json.Unmarshal(s.Data, &m) != nil {
		return r
	}
	_ = json.Unmarshal(m["changes"], &r.Changes) // a room may keep something else under this name
	_ = json.Unmarshal(m["name"], &r.Name)
	_ = json.Unmarshal(m["args"], &r.Args)
	var number, title string
	if json.Unmarshal(m["number"], &number) == nil && json.Unmarshal(m["title"], &title) == nil {
		r.Name = number + " " + title
	}
	for _, k := range []string{"changes", "name", "args", "number", "title"} {
		delete(m, k)
	}
	if s.Subject.Type == "ticket" { // from and to are states there, which a note could not name
		var from, to string
		_, _ = json.Unmarshal(m["from"], &from), json.Unmarshal(m["to"], &to)
		if from != "" && to != "" && from != to {
			r.Changes = append([]event.Change{{Field: "state", Old: from, New: to}}, r.Changes...)
		}
		delete(m, "from")
		delete(m, "to")
	}
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		var text string
		if json.Unmarshal(m[k], &text) != nil {
			text = string(m[k])
		}
		r.Rest = append(r.Rest, [2]string{k, text})
	}
	return r
}

// Audit returns events for an auditor, newest first. That he looked is itself
// recorded, once per search and not for every page of it.
func (s *Service) Audit(ctx context.Context, actor authz.Actor, f event.Filter) ([]AuditRow, error) {
	if err := actor.Check(PermAudit); err != nil {
		return nil, err
	}
	if f.BeforeID == 0 {
		if err := s.recordAudit(ctx, actor, AuditRead, f, 0); err != nil {
			return nil, err
		}
	}
	evs, err := event.List(ctx, s.d.Read(), f)
	if err != nil {
		return nil, err
	}
	rows := make([]AuditRow, len(evs))
	for i, e := range evs {
		rows[i] = Read(e)
	}
	return rows, nil
}

func (s *Service) recordAudit(ctx context.Context, actor authz.Actor, kind string, f event.Filter, count int) error {
	return s.run.Do(ctx, actor, kind, func(ctx context.Context, a *action.Action) error {
		var d diff
		d.add("kind", "", f.Kind)
		d.add("actor", "", f.ActorName)
		d.add("subject", "", strings.Trim(f.Subject.Type+" "+nonZero(f.Subject.ID), " "))
		d.add("from", "", microStamp(f.From))
		d.add("to", "", microStamp(f.To))
		a.Record(about(kind, SubjectAudit, 0, Facts{Changes: d, Count: count}))
		return nil
	})
}

func nonZero(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func microStamp(us int64) string {
	if us == 0 {
		return ""
	}
	return stamp(time.UnixMicro(us))
}

// VerifyAudit recomputes the hash chain over all events.
func (s *Service) VerifyAudit(ctx context.Context, actor authz.Actor) (event.Report, error) {
	if err := actor.Check(PermAudit); err != nil {
		return event.Report{}, err
	}
	r, err := event.Verify(ctx, s.d.Read())
	if err != nil {
		return r, err
	}
	err = s.run.Do(ctx, actor, AuditVerified, func(ctx context.Context, a *action.Action) error {
		var d diff
		d.add("events", "", strconv.FormatInt(r.Events, 10))
		if r.BrokenAt != 0 {
			d.add("broken_at", "", strconv.FormatInt(r.BrokenAt, 10))
		}
		a.Record(about(AuditVerified, SubjectAudit, 0, Facts{Changes: d}))
		return nil
	})
	return r, err
}

// maxExport bounds one export; narrower dates give the rest.
const maxExport = 200_000

// ExportAudit writes the events of f as CSV for a spreadsheet, newest first,
// times in loc. The export is recorded before the first line leaves.
func (s *Service) ExportAudit(ctx context.Context, actor authz.Actor, f event.Filter, l i18n.Lang, loc *time.Location, w io.Writer) error {
	if err := actor.Check(PermAudit); err != nil {
		return err
	}
	if err := s.recordAudit(ctx, actor, AuditExported, f, 0); err != nil {
		return err
	}
	// A byte order mark, or spreadsheets take the Chinese for something else.
	if _, err := io.WriteString(w, "\ufeff"); err != nil {
		return err
	}
	out := csv.NewWriter(w)
	out.UseCRLF = true
	var head []string
	for _, c := range []string{"seq", "time", "event", "kind", "actor", "actor_kind", "actor_id", "subject", "subject_id", "name", "field", "old", "new", "reason", "note", "ip", "session", "user_agent", "hash"} {
		head = append(head, i18n.T(l, "audit.column."+c))
	}
	if err := out.Write(head); err != nil {
		return err
	}
	f.BeforeID, f.Limit = 0, 500
	for n := 0; n < maxExport; {
		evs, err := event.List(ctx, s.d.Read(), f)
		if err != nil {
			return err
		}
		for _, e := range evs {
			r := Read(e)
			changes := r.Changes
			if len(changes) == 0 {
				changes = []event.Change{{}}
			}
			for _, c := range changes {
				line := []string{nonZero(r.Seq), r.Time.In(loc).Format("2006-01-02 15:04:05.000"), r.Sentence(l), r.Kind, r.ActorName, string(r.ActorKind), nonZero(r.ActorID),
					r.Subject.Type, nonZero(r.Subject.ID), r.Name, s.FieldName(ctx, l, c.Field), FieldValue(l, c.Field, c.Old), FieldValue(l, c.Field, c.New), r.Reason, r.Note(l), r.IP, r.Session, r.UserAgent, fmt.Sprintf("%x", r.Hash)}
				for i := range line {
					line[i] = guard(line[i])
				}
				if err := out.Write(line); err != nil {
					return err
				}
			}
			n++
		}
		if len(evs) < f.Limit {
			break
		}
		f.BeforeID = evs[len(evs)-1].ID
	}
	out.Flush()
	return out.Error()
}

// guard keeps a spreadsheet from taking text for a formula; Chinese and Japanese
// Excel take the full-width signs for one too.
func guard(s string) string {
	if r, _ := utf8.DecodeRuneInString(s); s != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", r) {
		return "'" + s
	}
	return s
}

// AuditKinds returns the kinds of events that have a sentence, for the filter.
func AuditKinds() []string {
	var out []string
	for _, k := range i18n.Keys(i18n.ZhCN) {
		if kind, ok := strings.CutPrefix(k, "event."); ok {
			out = append(out, kind)
		}
	}
	return out
}
