package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/job"
	"bihuan/internal/number"
	"bihuan/internal/sheet"
)

const jobKind = "importer"

type jobArgs struct {
	Import int64 `json:"import"`
}

// Upload takes a table from the browser. It is looked at before it is kept: what
// cannot be read as a table is refused at the field file.
func (s *Service) Upload(ctx context.Context, actor authz.Actor, k Kind, name string, r io.ReaderAt, size int64) (i Import, err error) {
	if err := s.may(actor, k); err != nil {
		return i, err
	}
	if size > MaxBytes {
		return i, fault.Invalidf("ui.form.invalid").Field("file", "importer.upload.too_large", blob.Size(MaxBytes), blob.Size(size))
	}
	src := source{name, r, size}
	lang := actor.Lang
	if lang == "" {
		lang = i18n.ZhCN
	}
	setup := Setup{Unknown: Report, Twins: SkipTwins, Lang: lang}
	t, err := s.open(ctx, k, src, setup)
	if err != nil {
		if e, ok := fault.As(err); ok {
			return i, fault.Invalidf("ui.form.invalid").Field("file", e.Key, e.Args...).Wrap(err)
		}
		return i, err
	}
	setup.Sheet = t.Sheet()
	t.Close()
	info, err := s.files.Store().Put(ctx, io.NewSectionReader(r, 0, size), MaxBytes)
	if err != nil {
		return i, err
	}
	mime := "text/csv"
	if t.Format() == sheet.XLSX {
		mime = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	}
	err = s.run.Do(ctx, actor, "importer.upload", func(ctx context.Context, a *action.Action) error {
		i = Import{Kind: k, State: Draft, Name: blob.CleanName(name), Size: size, Setup: setup}
		if err := insert(ctx, a, &i); err != nil {
			return err
		}
		f, err := s.files.SaveTo(ctx, a, blob.Meta{Info: info, Name: name, MIME: mime}, blob.Owner{Type: subjectType, ID: i.ID, Internal: true})
		if err != nil {
			return err
		}
		i.FileID = f.ID
		_, err = a.Exec(ctx, `UPDATE imports SET file_id = $1 WHERE id = $2`, f.ID, i.ID)
		return err
	})
	return i, err
}

// mayRead decides who reads uploads and result files: who made the import, and
// who sees it and may see customers' numbers in clear, as the tables show them.
// That it was read is on record, like every value that is revealed (CUS-17).
func (s *Service) mayRead(ctx context.Context, actor authz.Actor, f blob.File) error {
	if err := actor.Check(Perm); err != nil {
		return notFound()
	}
	i, err := s.Get(ctx, View(actor), f.Owner.ID)
	if err != nil {
		return err
	}
	if !(actor.Kind == authz.User && i.CreatedBy == actor.ID) {
		if err := actor.Check(customer.PermReveal); err != nil {
			return err
		}
	}
	return s.run.Do(ctx, actor, "importer.download", func(_ context.Context, a *action.Action) error {
		a.Record(event.Event{Kind: Downloaded, Subject: Subject(i.ID), Data: Fact{Name: f.Name, Kind: i.Kind}})
		return nil
	})
}

// stored opens the uploaded table.
func (s *Service) stored(ctx context.Context, i Import) (source, io.Closer, error) {
	if i.FileID == 0 {
		return source{}, nil, fault.New(fault.NotFound, "importer.file.gone")
	}
	f, err := s.files.Get(ctx, s.db().Read(), i.FileID)
	if err != nil {
		return source{}, nil, err
	}
	c, err := s.files.Store().Open(ctx, f.SHA256)
	if err != nil {
		return source{}, nil, err
	}
	if at, ok := c.(io.ReaderAt); ok {
		return source{i.Name, at, f.Size}, c, nil
	}
	return source{i.Name, &seekReaderAt{r: c}, f.Size}, c, nil
}

// Preview is the beginning of a table and how it would be read.
type Preview struct {
	Sheets  []string
	Sheet   string
	Layout  Layout
	Unknown []string
	Problem error // the required columns are not there; a fault
	Rows    []PreviewRow
}

// PreviewRow is one row and what would become of it.
type PreviewRow struct {
	Line
	Cells []string // as many as there are headings
	Read  []string // how each cell is understood, "" where that is as it stands
}

// previewRows is how many rows a preview shows.
const previewRows = 20

// Preview reads the beginning of an import's table.
func (s *Service) Preview(ctx context.Context, actor authz.Actor, i Import) (p Preview, err error) {
	src, c, err := s.stored(ctx, i)
	if err != nil {
		return p, err
	}
	defer c.Close()
	t, err := s.open(ctx, i.Kind, src, i.Setup)
	if err != nil {
		return p, err
	}
	defer t.Close()
	p.Sheets, p.Sheet, p.Layout, p.Unknown = t.Sheets(), t.Sheet(), t.layout, t.layout.Unknown()
	var rows []numbered
	for len(rows) < previewRows {
		r, err := t.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return p, err
		}
		if !t.headingAgain(r) {
			rows = append(rows, numbered{r.line, slices.Clone(r.cells)})
		}
	}
	if p.Problem = t.layout.check(i.Kind, actorLang(actor)); p.Problem == nil && len(rows) == 0 {
		p.Problem = fault.Invalidf("importer.header.no_rows")
	}
	var b *batch
	if p.Problem == nil {
		ps, err := s.newParser(ctx, i.Kind, actor, i.Setup, t.layout)
		if err != nil {
			return p, err
		}
		if b, err = ps.batch(ctx, rows); err != nil {
			return p, err
		}
		if err := b.check(ctx, s, actor, map[string]bool{}); err != nil {
			return p, err
		}
	}
	width := len(t.layout.Names)
	for n, r := range rows {
		row := PreviewRow{Line: Line{Line: r.line}, Cells: make([]string, width), Read: make([]string, width)}
		copy(row.Cells, r.cells[:min(len(r.cells), width)])
		if b != nil {
			row.Line = b.lines[n]
			if at := slices.Index(b.at, n); at >= 0 {
				b.explain(at, row.Cells, row.Read, t.layout, actorLang(actor))
			}
		}
		p.Rows = append(p.Rows, row)
	}
	return p, nil
}

func actorLang(a authz.Actor) i18n.Lang {
	if a.Lang == "" {
		return i18n.ZhCN
	}
	return a.Lang
}

// explain says how cells of a row are understood, where that differs from what
// stands in them.
func (b *batch) explain(at int, cells, read []string, l Layout, lang i18n.Lang) {
	say := func(f Field, text string) {
		for i, g := range l.Fields {
			if g == f && i < len(cells) && text != "" && strings.TrimSpace(cells[i]) != text {
				read[i] = text
				return
			}
		}
	}
	word := func(prefix, code string) string {
		if code == "" {
			return ""
		}
		return i18n.T(lang, prefix+code)
	}
	when := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.In(number.Zone).Format("2006-01-02 15:04")
	}
	if b.kind == Customers {
		c := b.customers[at]
		say(fType, word("customer.type.", string(c.Type)))
		say(fLevel, word("customer.level.", string(c.Level)))
		if c.Source != "" {
			say(fSource, word("customer.source.", c.Source))
		}
		say(fIndustry, c.Industry)
		say(fUrgency, word("customer.urgency.", c.Need.Urgency))
		say(fCreated, when(c.CreatedAt))
		var phones []string
		for _, p := range c.Contacts {
			for _, v := range []string{p.Phone, p.Email, p.Wechat} {
				if v != "" {
					phones = append(phones, v)
				}
			}
		}
		say(fPhone, strings.Join(phones, " / "))
		return
	}
	t := b.tickets[at]
	say(fType, word("ticket.type.", t.Type))
	say(fPriority, word("ticket.priority.", t.Priority))
	state := word("ticket.state.", string(t.State))
	if t.Outcome != "" && !t.State.Open() {
		state += " · " + word("ticket.outcome.", t.Outcome)
	}
	say(fState, state)
	say(fCreated, when(t.CreatedAt))
	say(fDue, when(t.DueAt))
	say(fCustomer, t.Customer.Number+" "+t.Customer.Name)
	say(fCustomerName, t.Customer.Number+" "+t.Customer.Name)
	say(fAssignee, t.AssigneeName)
}

// lock reads an import for a change.
func (s *Service) lock(ctx context.Context, a *action.Action, id int64) (Import, error) {
	lock := ""
	if a.Dialect() == db.Postgres {
		lock = " FOR UPDATE"
	}
	return load(ctx, a, View(a.Actor), id, lock)
}

func wrongState(i Import) error {
	return fault.New(fault.Conflict, "importer.state_forbids", i18n.Key("importer.state."+string(i.State)))
}

// SetUp changes how a table is to be read, before it is started. Another sheet
// or line of headings makes the columns be guessed anew.
func (s *Service) SetUp(ctx context.Context, actor authz.Actor, id int64, setup Setup) (i Import, err error) {
	err = s.run.Do(ctx, actor, "importer.set_up", func(ctx context.Context, a *action.Action) (err error) {
		if i, err = s.lock(ctx, a, id); err != nil {
			return err
		}
		if i.State != Draft && i.State != Checked {
			return wrongState(i)
		}
		for _, f := range setup.Fields {
			if !s.known(ctx, i.Kind, f) {
				return fault.Invalidf("importer.map.field", string(f))
			}
		}
		if setup.Department != 0 {
			if d, ok, err := s.org.Department(ctx, a, setup.Department); err != nil {
				return err
			} else if !ok || !d.Active {
				return fault.Invalidf("ui.form.invalid").Field("department", "ticket.department_unknown")
			}
		}
		if setup.Twins != KeepTwins {
			setup.Twins = SkipTwins
		}
		if setup.Unknown != UseDefault {
			setup.Unknown = Report
		}
		setup.Lang = actorLang(actor)
		raw, err := text(setup)
		if err != nil {
			return err
		}
		i.Setup, i.State = setup, Draft
		a.Nothing() // the facts begin when it is started
		_, err = a.Exec(ctx, `UPDATE imports SET setup = $1, state = 'draft', counts = '{}', updated_at = $2 WHERE id = $3`, raw, a.NowMicros(), id)
		if err != nil {
			return fmt.Errorf("importer: set up %d: %w", id, err)
		}
		return nil
	})
	return i, err
}

// Check reads the whole table as a trial, in the background.
func (s *Service) Check(ctx context.Context, actor authz.Actor, id int64) error {
	return s.begin(ctx, actor, id, Checking)
}

// Start takes the table in, in the background.
func (s *Service) Start(ctx context.Context, actor authz.Actor, id int64) error {
	return s.begin(ctx, actor, id, Running)
}

func (s *Service) begin(ctx context.Context, actor authz.Actor, id int64, to State) error {
	i, err := s.Get(ctx, View(actor), id)
	if err != nil {
		return err
	}
	if err := s.may(actor, i.Kind); err != nil {
		return err
	}
	// Outside of the transaction: reading a file takes its time.
	src, c, err := s.stored(ctx, i)
	if err != nil {
		return err
	}
	defer c.Close()
	t, err := s.open(ctx, i.Kind, src, i.Setup)
	if err != nil {
		return err
	}
	t.Close()
	if err := t.layout.check(i.Kind, actorLang(actor)); err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "importer.begin", func(ctx context.Context, a *action.Action) error {
		i, err := s.lock(ctx, a, id)
		if err != nil {
			return err
		}
		if i.State != Checked && !(to == Checking && i.State == Draft) {
			return wrongState(i)
		}
		if _, err := a.Exec(ctx, `DELETE FROM import_lines WHERE import_id = $1`, id); err != nil {
			return fmt.Errorf("importer: begin %d: %w", id, err)
		}
		job, err := s.jobs.Enqueue(ctx, a.Tx, jobKind, jobArgs{id}, job.Opts{UniqueKey: fmt.Sprintf("import:%d", id), By: actor.ID})
		if err != nil {
			return err
		}
		counts, err := text(Counts{Total: i.Counts.Total})
		if err != nil {
			return err
		}
		_, err = a.Exec(ctx, `UPDATE imports SET state = $1, line = 0, counts = $2, job_id = $3, failure = '', created_by = $4, created_by_name = $5, updated_at = $6 WHERE id = $7`,
			string(to), counts, job, actor.ID, actor.Name, a.NowMicros(), id)
		if err != nil {
			return fmt.Errorf("importer: begin %d: %w", id, err)
		}
		if to == Running {
			a.Record(event.Event{Kind: Started, Subject: Subject(id), Data: Fact{Name: i.Name, Kind: i.Kind}})
		} else {
			a.Nothing()
		}
		return nil
	})
}

// Cancel stops an import; what has been taken in stays. A trial goes back to
// its draft.
func (s *Service) Cancel(ctx context.Context, actor authz.Actor, id int64) error {
	return s.run.Do(ctx, actor, "importer.cancel", func(ctx context.Context, a *action.Action) error {
		i, err := s.lock(ctx, a, id)
		if err != nil {
			return err
		}
		if i.JobID != 0 && i.State.Busy() {
			if err := s.jobs.Cancel(ctx, a.Tx, i.JobID); err != nil && !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.NotFound) {
				return err
			}
		}
		switch i.State {
		case Checking:
			a.Nothing()
			_, err := a.Exec(ctx, `UPDATE imports SET state = 'draft', updated_at = $1 WHERE id = $2`, a.NowMicros(), id)
			return err
		case Draft, Checked, Running:
			return s.endIn(ctx, a, &i, context.Canceled)
		}
		return wrongState(i)
	})
}

// work does the job of an import. It may be called again after a crash: a trial
// begins anew, an import goes on behind the last batch that was written.
func (s *Service) work(ctx context.Context, j *job.Job) error {
	var args jobArgs
	if err := j.Decode(&args); err != nil {
		return job.Discard(err)
	}
	i, err := load(ctx, s.db().Read(), View(authz.System("importer")), args.Import, "")
	if err != nil {
		return job.Discard(err)
	}
	if !i.State.Busy() {
		return nil
	}
	actor, err := s.org.Actor(ctx, i.CreatedBy)
	if err == nil {
		err = s.may(actor, i.Kind)
	}
	if err != nil {
		// He may not do it any more; the trail names him and what was left.
		return s.broken(ctx, authz.System("importer"), &i, err)
	}
	src, c, err := s.stored(ctx, i)
	if err != nil {
		return s.broken(ctx, actor, &i, err)
	}
	defer c.Close()
	if i.State == Checking {
		return s.broken(ctx, actor, &i, s.try(ctx, actor, &i, src))
	}
	err = s.each(ctx, i.Kind, actor, src, i.Setup, i.Line, func(ctx context.Context, b *batch) error { return s.take(ctx, actor, &i, b) })
	if err == nil {
		err = s.finish(ctx, actor, &i, src, j)
	}
	return s.broken(ctx, actor, &i, err)
}

// broken ends an import that cannot go on because of its table or its author; an
// error that may pass is left to the queue, which tries again.
func (s *Service) broken(ctx context.Context, actor authz.Actor, i *Import, err error) error {
	switch {
	case err == nil, errors.Is(err, errElsewhere):
		return nil
	case ctx.Err() != nil:
		return err
	}
	switch fault.KindOf(err) {
	case fault.Internal, fault.Unavailable:
		slog.Error("importer: import", "id", i.ID, "err", err)
		return err
	}
	if werr := s.end(context.WithoutCancel(ctx), actor, i, err); werr != nil {
		return werr
	}
	return nil
}

// try reads the whole table and counts what would become of its rows.
func (s *Service) try(ctx context.Context, actor authz.Actor, i *Import, src source) error {
	// A second attempt begins anew.
	err := s.db().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM import_lines WHERE import_id = $1`, i.ID); err != nil {
			return err
		}
		return advance(ctx, tx, i, Checking, 0, Counts{})
	})
	if err != nil {
		return err
	}
	i.Line, i.Counts = 0, Counts{}
	seen := map[string]bool{}
	err = s.each(ctx, i.Kind, actor, src, i.Setup, 0, func(ctx context.Context, b *batch) error {
		if err := b.check(ctx, s, actor, seen); err != nil {
			return err
		}
		c := i.Counts
		c.add(b.lines)
		err := s.db().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			if err := insertLines(ctx, tx, i.ID, b.lines); err != nil {
				return err
			}
			return advance(ctx, tx, i, Checking, b.to, c)
		})
		if err == nil {
			i.Counts, i.Line = c, b.to
		}
		return err
	})
	if err != nil {
		return err
	}
	c := i.Counts
	c.Total = c.Rows
	return s.db().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := advance(ctx, tx, i, Checking, i.Line, c); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE imports SET state = 'checked' WHERE id = $1`, i.ID)
		return err
	})
}

// finish writes the result file and ends the import together with its job.
func (s *Service) finish(ctx context.Context, actor authz.Actor, i *Import, src source, j *job.Job) error {
	format := sheet.CSV
	mime := "text/csv"
	if t, err := s.open(ctx, i.Kind, src, i.Setup); err != nil {
		return err
	} else {
		if format = t.Format(); format == sheet.XLSX {
			mime = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
		}
		t.Close()
	}
	i.Counts.Total = i.Counts.Rows
	pr, pw := io.Pipe()
	go func() {
		pw.CloseWithError(s.writeResult(ctx, pw, i.Kind, src, i.Setup, format, s.problems(ctx, i.ID)))
	}()
	info, err := s.files.Store().Put(ctx, pr, 4*MaxBytes)
	pr.CloseWithError(err)
	if err != nil {
		return fmt.Errorf("importer: result of %d: %w", i.ID, err)
	}
	name := strings.TrimSuffix(i.Name, filepath.Ext(i.Name)) + i18n.T(i.Setup.Lang, "importer.result.suffix") + "." + string(format)
	return s.run.Do(ctx, actor, "importer.end", func(ctx context.Context, a *action.Action) error {
		now, err := load(ctx, a, View(authz.System("importer")), i.ID, "")
		if err != nil {
			return err
		}
		if now.State != Running {
			return errElsewhere
		}
		f, err := s.files.SaveTo(ctx, a, blob.Meta{Info: info, Name: name, MIME: mime}, blob.Owner{Type: subjectType, ID: i.ID, Internal: true})
		if err != nil {
			return err
		}
		i.ResultID = f.ID
		if err := s.endIn(ctx, a, i, nil); err != nil {
			return err
		}
		return j.CompleteIn(ctx, a.Tx)
	})
}

// OpenResult returns the result file for who may see the import.
func (s *Service) OpenResult(ctx context.Context, actor authz.Actor, id int64) (blob.File, io.ReadSeekCloser, error) {
	i, err := s.Get(ctx, View(actor), id)
	if err != nil {
		return blob.File{}, nil, err
	}
	if i.ResultID == 0 {
		return blob.File{}, nil, fault.New(fault.NotFound, "importer.file.gone")
	}
	return s.files.Open(ctx, actor, i.ResultID)
}

// How long what was uploaded is kept: tables hold telephone numbers in clear.
const (
	keepDraft = 2 * 24 * time.Hour
	keepFiles = 30 * 24 * time.Hour
	deadAfter = time.Hour // an import of the command line that says nothing for so long
)

const sweepBatch = 50

// Sweep removes uploads, result files and reasons of rows when their time is
// over, and marks what was killed on the command line: an hourly duty.
func (s *Service) Sweep(ctx context.Context) error {
	now := s.db().Clock().Now()
	rows, err := s.db().Read().Query(ctx, `
		SELECT i.id FROM imports i
		WHERE (i.state IN ('draft', 'checked') AND i.updated_at < $1)
		   OR (i.finished_at > 0 AND i.finished_at < $2 AND i.file_id + i.result_id > 0)
		   OR (i.state = 'running' AND i.job_id = 0 AND i.updated_at < $3)
		ORDER BY i.id LIMIT $4`, db.Micros(now.Add(-keepDraft)), db.Micros(now.Add(-keepFiles)), db.Micros(now.Add(-deadAfter)), sweepBatch)
	if err != nil {
		return fmt.Errorf("importer: sweep: %w", err)
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return fmt.Errorf("importer: sweep: %w", err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	rows.Close()
	for _, id := range ids {
		if err := s.sweep(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) sweep(ctx context.Context, id int64) error {
	return s.run.Do(ctx, authz.System("importer"), "importer.sweep", func(ctx context.Context, a *action.Action) error {
		a.Nothing()
		i, err := s.lock(ctx, a, id)
		if err != nil {
			return err
		}
		if i.State == Running {
			return s.endIn(ctx, a, &i, context.Canceled)
		}
		for _, file := range []int64{i.FileID, i.ResultID} {
			if file == 0 {
				continue
			}
			f, err := s.files.Get(ctx, a, file)
			if fault.Is(err, fault.NotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if err := s.files.Remove(ctx, a, f); err != nil {
				return err
			}
		}
		if i.FinishedAt.IsZero() {
			if err := s.endIn(ctx, a, &i, context.Canceled); err != nil {
				return err
			}
		}
		if _, err := a.Exec(ctx, `UPDATE imports SET file_id = 0, result_id = 0 WHERE id = $1`, id); err != nil {
			return fmt.Errorf("importer: sweep: %w", err)
		}
		if _, err := a.Exec(ctx, `DELETE FROM import_lines WHERE import_id = $1`, id); err != nil {
			return fmt.Errorf("importer: sweep: %w", err)
		}
		return nil
	})
}
