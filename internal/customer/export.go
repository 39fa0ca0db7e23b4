package customer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/crypt"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/job"
	"bihuan/internal/number"
	"bihuan/internal/setting"
	"bihuan/internal/sheet"
)

const (
	exportJob  = "customer_export"
	exportType = "customer_export"
	// exportBatch is how many customers are read at a time: memory is that of a
	// few batches, however many there are.
	exportBatch = 400
	// exportKeep is how long a file can be fetched.
	exportKeep = 7 * 24 * time.Hour
	// sheetRows is how many rows a sheet of a workbook gets; a further sheet takes
	// the next.
	sheetRows   = 1_000_000
	maxExport   = 8 << 30 // bytes
	revealsEach = 2000    // customers one fact about clear values names
)

// ExportApprovalSetting is from how many rows on an export waits for consent; 0
// none does.
const (
	ExportApprovalSetting = "customer.export_approval_rows"
	DefaultExportApproval = 5000
)

// ExportApproval asks somebody whether a large export may be made. AskExport
// runs in the transaction that registers it; the answer comes with
// [Service.DecideExport].
type ExportApproval interface {
	AskExport(ctx context.Context, a *action.Action, e Export) error
	// WithdrawExport takes back what was asked; the answer comes the same way.
	WithdrawExport(ctx context.Context, actor authz.Actor, id int64) error
}

// ApproveExports makes x decide over large exports; without it none waits.
func (s *Service) ApproveExports(x ExportApproval) { s.lists.exports = x }

// NewExport is an export somebody asks for.
type NewExport struct {
	Filter  Filter // its sort and cursors do not count: an export goes by time of registration
	Columns []string
	Format  sheet.Format
	Clear   bool // sensitive fields as they are, where the actor may see them; needs Reason
	Reason  string
	Name    string // of the file, without extension; "" the product chooses
}

// Export is a list of customers on its way into a file.
type Export struct {
	ID            int64
	State         string // waiting, refused, running, finished, failed, cancelled, expired
	Name          string // of the file
	Format        sheet.Format
	Query         Query
	Columns       []string
	Clear         bool
	Lang          i18n.Lang
	Reason        string
	Total         int64 // when it was asked for
	Done          int64
	Revealed      int64 // rows with clear values
	FileID        int64
	Size          int64
	Downloads     int64
	CreatedBy     int64
	CreatedByName string
	DepartmentID  int64
	CreatedAt     time.Time
	FinishedAt    time.Time
	ExpiresAt     time.Time

	job int64
}

// Busy reports whether it goes on or waits.
func (e Export) Busy() bool { return e.State == "running" || e.State == "waiting" }

// Percent is how much is done.
func (e Export) Percent() int {
	if e.Total <= 0 {
		return 0
	}
	return int(min(100, e.Done*100/e.Total))
}

// ExportData is the data of the facts about exports.
type ExportData struct {
	Args    []string `json:"args"` // file and number of rows
	Query   Query    `json:"query,omitzero"`
	Columns []string `json:"columns,omitempty"`
	Clear   bool     `json:"clear,omitempty"`
	Tell    []int64  `json:"tell,omitempty"`
	Title   string   `json:"title,omitempty"`
	Link    string   `json:"link,omitempty"`
}

// RevealedRows is the data of ExportRevealed.
type RevealedRows struct {
	Fields    []string `json:"fields"`
	Customers []int64  `json:"customers"`
}

// ExportSubject is the export id as the subject of an event, and of a request
// for approval.
func ExportSubject(id int64) event.Subject { return event.Subject{Type: exportType, ID: id} }

func (e Export) data(rows int64, tell bool) ExportData {
	d := ExportData{Args: []string{e.Name, fmt.Sprint(rows)}, Columns: e.Columns, Clear: e.Clear}
	if tell {
		d.Tell, d.Title, d.Link = []int64{e.CreatedBy}, e.Name, fmt.Sprintf("/customer-exports/%d", e.ID)
	}
	return d
}

const exportColumns = `id, state, name, format, filter, columns, clear, lang, reason, total, done, revealed, file_id, size, downloads, job_id,
	created_by, created_by_name, department_id, created_at, finished_at, expires_at`

func scanExport(row interface{ Scan(...any) error }) (e Export, err error) {
	var filter, columns string
	var clear int
	var created, finished, expires int64
	err = row.Scan(&e.ID, &e.State, &e.Name, (*string)(&e.Format), &filter, &columns, &clear, (*string)(&e.Lang), &e.Reason, &e.Total, &e.Done, &e.Revealed, &e.FileID, &e.Size, &e.Downloads, &e.job,
		&e.CreatedBy, &e.CreatedByName, &e.DepartmentID, &created, &finished, &expires)
	if err != nil {
		return e, err
	}
	e.Columns, e.Clear = splitColumns(columns), clear == 1
	e.CreatedAt, e.FinishedAt, e.ExpiresAt = db.FromMicros(created), db.FromMicros(finished), db.FromMicros(expires)
	e.Query, err = ParseQuery(filter)
	return e, err
}

func loadExport(ctx context.Context, q db.Querier, where string, args ...any) (Export, error) {
	e, err := scanExport(q.QueryRow(ctx, `SELECT `+exportColumns+` FROM customer_exports WHERE `+where, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return e, fault.New(fault.NotFound, "customer.export.not_found")
	}
	if err != nil {
		return e, fmt.Errorf("customer: export: %w", err)
	}
	return e, nil
}

// Export returns an export the actor asked for, else NotFound.
func (s *Service) Export(ctx context.Context, actor authz.Actor, id int64) (Export, error) {
	return loadExport(ctx, s.db().Read(), `id = $1 AND created_by = $2`, id, actor.ID)
}

// ExportAsked is Export for whoever decides about it.
func (s *Service) ExportAsked(ctx context.Context, q db.Querier, id int64) (Export, error) {
	return loadExport(ctx, q, `id = $1`, id)
}

// Exports returns what the actor asked for, newest first, older than before (0:
// all).
func (s *Service) Exports(ctx context.Context, actor authz.Actor, before int64, limit int) ([]Export, error) {
	if before == 0 {
		before = 1 << 62
	}
	rows, err := s.db().Read().Query(ctx, `SELECT `+exportColumns+` FROM customer_exports WHERE created_by = $1 AND id < $2 ORDER BY id DESC LIMIT $3`, actor.ID, before, limit)
	if err != nil {
		return nil, fmt.Errorf("customer: exports: %w", err)
	}
	defer rows.Close()
	var out []Export
	for rows.Next() {
		e, err := scanExport(rows)
		if err != nil {
			return nil, fmt.Errorf("customer: exports: %w", err)
		}
		out = append(out, e)
	}
	return out, rows.Err()
}

// ExportLimit returns from how many rows on an export waits for consent; 0: none.
func (s *Service) ExportLimit(ctx context.Context) (int64, error) {
	n := int64(DefaultExportApproval)
	err := setting.Read(ctx, s.db().Read(), ExportApprovalSetting, &n)
	return n, err
}

// exportReach are the scopes an export stays in: what is seen and what may leave.
func exportReach(actor authz.Actor) []authz.Scope {
	return []authz.Scope{View(actor), authz.For(actor, PermExport)}
}

// ExportCount returns how many customers an export of f would hold.
func (s *Service) ExportCount(ctx context.Context, actor authz.Actor, f Filter) (int, error) {
	p, err := s.ready(ctx, s.db().Read(), actor.ID, f.Whole())
	if err != nil {
		return 0, err
	}
	return p.countIn(ctx, s.db().Read(), exportReach(actor), countAll)
}

// ExportAsk is an export that has been looked over and can be asked for.
type ExportAsk struct {
	in    NewExport
	total int
	waits bool
}

// AskExport registers an export (CUS-18). It is written in the background; above
// a number of rows somebody has to consent first.
func (s *Service) AskExport(ctx context.Context, actor authz.Actor, in NewExport) (e Export, err error) {
	ask, err := s.CheckExport(ctx, actor, in)
	if err != nil {
		return e, err
	}
	err = s.run.Do(ctx, actor, "customer.ask_export", func(ctx context.Context, a *action.Action) error {
		e, err = s.AskExportIn(ctx, a, ask)
		return err
	})
	return e, err
}

// CheckExport looks an export over before the action that asks for it: counting
// may take a while.
func (s *Service) CheckExport(ctx context.Context, actor authz.Actor, in NewExport) (x ExportAsk, err error) {
	if err := actor.Check(PermExport); err != nil {
		return x, err
	}
	in.Reason = line(in.Reason)
	limitRows, err := s.ExportLimit(ctx)
	if err != nil {
		return x, err
	}
	if len(in.Columns) == 0 {
		in.Columns = DefaultExport
	}
	n, err := s.ExportCount(ctx, actor, in.Filter)
	if err != nil {
		return x, err
	}
	waits := s.lists.exports != nil && limitRows > 0 && int64(n) > limitRows
	bad := fault.Invalidf("customer.invalid")
	if in.Format != sheet.XLSX && in.Format != sheet.CSV {
		bad.Field("format", "customer.export.format")
	}
	if in.Clear {
		if err := actor.Check(PermReveal); err != nil {
			return x, err
		}
	}
	if (in.Clear || waits) && utf8.RuneCountInString(in.Reason) < 2 {
		bad.Field("reason", "customer.export.reason.required")
	}
	limit(bad, "reason", "customer.export.reason", in.Reason, maxLine)
	if n == 0 {
		bad.Field("filter", "customer.export.nobody")
	}
	return ExportAsk{in, n, waits}, bad.OrNil()
}

// AskExportIn is AskExport inside another action of the same actor.
func (s *Service) AskExportIn(ctx context.Context, a *action.Action, x ExportAsk) (e Export, err error) {
	in, lang := x.in, a.Actor.Lang
	if lang == "" {
		lang = i18n.ZhCN
	}
	columns, err := s.goodColumns(ctx, a, in.Columns)
	if err != nil {
		return e, err
	}
	name := line(in.Name)
	if name == "" {
		name = i18n.T(lang, "customer.nav")
	}
	name = blob.CleanName(name + "-" + a.Now.In(number.Zone).Format("20060102-1504") + "." + string(in.Format))
	e = Export{State: "running", Name: name, Format: in.Format, Query: in.Filter.Whole(), Columns: columns, Clear: in.Clear, Lang: lang, Reason: in.Reason, Total: int64(x.total),
		CreatedBy: a.Actor.ID, CreatedByName: a.Actor.Name, DepartmentID: a.Actor.DepartmentID, CreatedAt: a.Now}
	if x.waits {
		e.State = "waiting"
	}
	err = a.QueryRow(ctx, `
		INSERT INTO customer_exports (state, name, format, filter, columns, clear, lang, reason, total, created_by, created_by_name, department_id, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) RETURNING id`,
		e.State, e.Name, string(e.Format), e.Query.String(), strings.Join(columns, ","), db.Bool(e.Clear), string(lang), e.Reason, e.Total,
		e.CreatedBy, e.CreatedByName, e.DepartmentID, a.NowMicros(), a.NowMicros()).Scan(&e.ID)
	if err != nil {
		return e, fmt.Errorf("customer: ask for export: %w", err)
	}
	d := e.data(e.Total, false)
	d.Query = s.masked(e.Query)
	a.Record(event.Event{Kind: ExportRequested, Subject: ExportSubject(e.ID), Reason: e.Reason, Data: d})
	if x.waits {
		return e, s.lists.exports.AskExport(ctx, a, e)
	}
	return e, s.startExport(ctx, a, &e)
}

func (s *Service) startExport(ctx context.Context, a *action.Action, e *Export) (err error) {
	if s.lists.jobs == nil {
		return errors.New("customer: no queue for exports")
	}
	e.job, err = s.lists.jobs.Enqueue(ctx, a.Tx, exportJob, idArgs{e.ID}, job.Opts{UniqueKey: fmt.Sprintf("export:%d", e.ID), By: e.CreatedBy, MaxAttempts: 4})
	if err != nil {
		return err
	}
	if _, err := a.Exec(ctx, `UPDATE customer_exports SET state = 'running', job_id = $1, updated_at = $2 WHERE id = $3`, e.job, a.NowMicros(), e.ID); err != nil {
		return fmt.Errorf("customer: start export %d: %w", e.ID, err)
	}
	return nil
}

// DecideExport starts an export that waited for consent, or refuses it, inside
// the action of whoever decides. One that no longer waits is left alone.
func (s *Service) DecideExport(ctx context.Context, a *action.Action, id int64, approved bool, comment string) error {
	e, err := loadExport(ctx, a, `id = $1`+a.ForUpdate(), id)
	if err != nil {
		return err
	}
	if e.State != "waiting" {
		a.Nothing()
		return nil
	}
	if approved {
		a.Nothing() // the fact is the approval's
		return s.startExport(ctx, a, &e)
	}
	return s.endExport(ctx, a, id, "refused", comment)
}

// endExport ends an export that was not finished, inside another action.
func (s *Service) endExport(ctx context.Context, a *action.Action, id int64, state, comment string) error {
	e, err := loadExport(ctx, a, `id = $1`+a.ForUpdate(), id)
	if err != nil {
		return err
	}
	if !e.Busy() {
		a.Nothing()
		return nil
	}
	if _, err := a.Exec(ctx, `UPDATE customer_exports SET state = $1, filter = '', finished_at = $2, updated_at = $3 WHERE id = $4`, state, a.NowMicros(), a.NowMicros(), id); err != nil {
		return fmt.Errorf("customer: end export %d: %w", id, err)
	}
	ev := event.Event{Kind: ExportRefused, Subject: ExportSubject(id), Reason: comment, Data: e.data(e.Total, true)}
	if state == "cancelled" {
		ev.Kind, ev.Data = ExportCancelled, e.data(e.Done, false)
	}
	a.Record(ev)
	return nil
}

// CancelExport stops an export of the actor's own, or takes its request back.
func (s *Service) CancelExport(ctx context.Context, actor authz.Actor, id int64) error {
	if e, err := s.Export(ctx, actor, id); err != nil {
		return err
	} else if e.State == "waiting" && s.lists.exports != nil {
		return s.lists.exports.WithdrawExport(ctx, actor, id)
	}
	return s.run.Do(ctx, actor, "customer.cancel_export", func(ctx context.Context, a *action.Action) error {
		e, err := loadExport(ctx, a, `id = $1 AND created_by = $2`+a.ForUpdate(), id, a.Actor.ID)
		if err != nil {
			return err
		}
		if !e.Busy() {
			return fault.New(fault.Conflict, "customer.export.over")
		}
		if e.job != 0 {
			if err := s.lists.jobs.Cancel(ctx, a.Tx, e.job); err != nil && !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.NotFound) {
				return err
			}
		}
		return s.endExport(ctx, a, id, "cancelled", "")
	})
}

// export writes the file of an export. Called again after a crash it begins
// anew: what was written before is nobody's file.
func (s *Service) export(ctx context.Context, j *job.Job) error {
	var args idArgs
	if err := j.Decode(&args); err != nil {
		return job.Discard(err)
	}
	e, err := loadExport(ctx, s.db().Read(), `id = $1`, args.ID)
	if err != nil {
		return job.Discard(err)
	}
	if e.State != "running" {
		return nil
	}
	actor, err := s.lists.people.Actor(ctx, e.CreatedBy)
	if err == nil {
		err = actor.Check(PermExport)
	}
	if err == nil && e.Clear {
		err = actor.Check(PermReveal)
	}
	if err == nil {
		err = s.writeExport(ctx, actor, &e, j)
	}
	switch {
	case err == nil, errors.Is(err, errMoved):
		return nil
	case ctx.Err() != nil:
		return err
	}
	if k := fault.KindOf(err); (k == fault.Internal || k == fault.Unavailable) && j.Attempt < j.MaxAttempts {
		return err
	}
	slog.Error("customer: export", "id", e.ID, "err", err)
	return s.run.Do(context.WithoutCancel(ctx), authz.System("customer lists"), "customer.end_export", func(ctx context.Context, a *action.Action) error {
		if _, err := a.Exec(ctx, `UPDATE customer_exports SET state = 'failed', filter = '', finished_at = $1, updated_at = $2 WHERE id = $3 AND state = 'running'`, a.NowMicros(), a.NowMicros(), e.ID); err != nil {
			return fmt.Errorf("customer: end export %d: %w", e.ID, err)
		}
		a.Record(event.Event{Kind: ExportFailed, Subject: ExportSubject(e.ID), Data: e.data(e.Done, true)})
		return nil
	})
}

func (s *Service) writeExport(ctx context.Context, actor authz.Actor, e *Export, j *job.Job) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pr, pw := io.Pipe()
	go func() { pw.CloseWithError(s.exportTo(ctx, pw, actor, e)) }()
	info, err := s.lists.files.Store().Put(ctx, pr, maxExport)
	pr.CloseWithError(err)
	if err != nil {
		return err
	}
	return s.run.Do(ctx, actor, "customer.end_export", func(ctx context.Context, a *action.Action) error {
		now, err := loadExport(ctx, a, `id = $1`+a.ForUpdate(), e.ID)
		if err != nil {
			return err
		}
		if now.State != "running" {
			return errMoved
		}
		f, err := s.lists.files.SaveTo(ctx, a, blob.Meta{Info: info, Name: e.Name, MIME: e.Format.MIME()}, blob.Owner{Type: exportType, ID: e.ID, Internal: true})
		if err != nil {
			return err
		}
		_, err = a.Exec(ctx, `UPDATE customer_exports SET state = 'finished', done = $1, revealed = $2, file_id = $3, size = $4, finished_at = $5, updated_at = $6, expires_at = $7 WHERE id = $8`,
			e.Done, e.Revealed, f.ID, f.Size, a.NowMicros(), a.NowMicros(), db.Micros(a.Now.Add(exportKeep)), e.ID)
		if err != nil {
			return fmt.Errorf("customer: end export %d: %w", e.ID, err)
		}
		// Said in the name of the program, so that who waits for it is told.
		part := a.As(authz.System("customer lists"))
		part.Record(event.Event{Kind: ExportReady, Subject: ExportSubject(e.ID), Data: e.data(e.Done, true)})
		if err := a.Join(ctx, part); err != nil {
			return err
		}
		return j.CompleteIn(ctx, a.Tx)
	})
}

// page is one batch on its way from the store into the file.
type exportPage struct {
	lines    []Line
	revealed []int64
	err      error
}

// exportTo writes the table. One goroutine reads the next batch while this one
// writes the last.
func (s *Service) exportTo(ctx context.Context, w io.Writer, actor authz.Actor, e *Export) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	columns, err := s.exported(ctx, e)
	if err != nil {
		return err
	}
	p, err := s.ready(ctx, s.db().Read(), actor.ID, e.Query)
	if err != nil {
		return err
	}
	sheetName := i18n.T(e.Lang, "customer.nav")
	out, err := sheet.NewWriter(w, e.Format, sheetName)
	if err != nil {
		return err
	}
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Label
	}
	if err := out.Header(names...); err != nil {
		return err
	}
	pages := make(chan exportPage, 2)
	go func() {
		defer close(pages)
		after := int64(0)
		for {
			page, last, n := s.exportPage(ctx, p, actor, e, columns, after)
			select {
			case pages <- page:
			case <-ctx.Done():
				return
			}
			if page.err != nil || n < exportBatch {
				return
			}
			after = last
		}
	}()
	e.Done, e.Revealed = 0, 0
	values := make([]any, len(columns))
	var revealed []int64
	said := time.Now()
	for page := range pages {
		if page.err != nil {
			return page.err
		}
		// What is shown in clear is on record before it is in a file anybody can have.
		if revealed = append(revealed, page.revealed...); len(revealed) >= revealsEach {
			if err := s.recordReveals(ctx, actor, e, columns, revealed); err != nil {
				return err
			}
			revealed = revealed[:0]
		}
		for i := range page.lines {
			if e.Done > 0 && e.Done%sheetRows == 0 && e.Format == sheet.XLSX {
				if err := out.Sheet(sheetName); err != nil {
					return err
				}
				if err := out.Header(names...); err != nil {
					return err
				}
			}
			for k, c := range columns {
				values[k] = c.value(&page.lines[i])
			}
			if err := out.Row(values...); err != nil {
				return err
			}
			e.Done++
		}
		if time.Since(said) > time.Second {
			said = time.Now()
			if err := s.exportProgress(ctx, e); err != nil {
				return err
			}
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if len(revealed) > 0 {
		if err := s.recordReveals(ctx, actor, e, columns, revealed); err != nil {
			return err
		}
	}
	return out.Close()
}

// exported are the columns of an export as they were chosen; those of fields
// that were switched off meanwhile are left out.
func (s *Service) exported(ctx context.Context, e *Export) ([]Column, error) {
	return s.Chosen(ctx, e.Lang, e.Columns)
}

func sensitive(columns []Column) (fields []string) {
	for _, c := range columns {
		if c.Sensitive {
			fields = append(fields, c.Code)
		}
	}
	return fields
}

func (s *Service) exportPage(ctx context.Context, p *plan, actor authz.Actor, e *Export, columns []Column, after int64) (page exportPage, last int64, n int) {
	fail := func(err error) (exportPage, int64, int) { return exportPage{err: err}, 0, 0 }
	q := s.db().Read()
	ids, clear, err := p.batch(ctx, q, exportReach(actor), authz.For(actor, PermReveal), after, 0, exportBatch)
	if err != nil {
		return fail(err)
	}
	if len(ids) == 0 {
		return page, after, 0
	}
	rows, err := s.rows(ctx, q, ids)
	if err != nil {
		return fail(err)
	}
	if fields := sensitive(columns); e.Clear && len(fields) > 0 {
		var may []int64
		for _, id := range ids {
			if clear[id] {
				may = append(may, id)
			}
		}
		if page.revealed, err = s.openRows(ctx, q, rows, may, fields); err != nil {
			return fail(err)
		}
	}
	if page.lines, err = s.Lines(ctx, View(actor), e.Lang, rows, columns); err != nil {
		return fail(err)
	}
	return page, ids[len(ids)-1], len(ids)
}

// openRows puts clear values in the place of masked ones for the customers may,
// and returns whose there were.
func (s *Service) openRows(ctx context.Context, q db.Querier, rows []Row, may []int64, fields []string) (revealed []int64, err error) {
	if len(may) == 0 {
		return nil, nil
	}
	shown := map[int64]bool{}
	if slices.Contains(fields, string(Address)) {
		if err := s.openSealed(ctx, q, "customers", "id", may, []string{string(Address)}, func(id int64, _ string, clear string) {
			for i := range rows {
				if rows[i].ID == id {
					rows[i].Address, shown[id] = clear, true
				}
			}
		}); err != nil {
			return nil, err
		}
	}
	byContact := map[int64]*Row{}
	var contacts []int64
	for i := range rows {
		if slices.Contains(may, rows[i].ID) && len(rows[i].Contacts) > 0 {
			rows[i].Contacts = slices.Clone(rows[i].Contacts)
			byContact[rows[i].Contacts[0].ID] = &rows[i]
			contacts = append(contacts, rows[i].Contacts[0].ID)
		}
	}
	var ofContacts []string
	for _, f := range ContactFields {
		if slices.Contains(fields, string(f)) {
			ofContacts = append(ofContacts, string(f))
		}
	}
	err = s.openSealed(ctx, q, "contacts", "id", contacts, ofContacts, func(id int64, f, clear string) {
		r := byContact[id]
		shown[r.ID] = true
		switch Field(f) {
		case Phone:
			r.Contacts[0].Phone = clear
		case Email:
			r.Contacts[0].Email = clear
		case Wechat:
			r.Contacts[0].Wechat = clear
		}
	})
	for _, r := range rows {
		if shown[r.ID] {
			revealed = append(revealed, r.ID)
		}
	}
	return revealed, err
}

// openSealed opens sealed columns of rows of a table.
func (s *Service) openSealed(ctx context.Context, q db.Querier, table, key string, ids []int64, fields []string, each func(id int64, field, clear string)) error {
	if len(ids) == 0 || len(fields) == 0 {
		return nil
	}
	var a db.Args
	rows, err := q.Query(ctx, `SELECT id, `+strings.Join(fields, "_sealed, ")+`_sealed FROM `+table+` WHERE `+key+` IN (`+a.AddInts(ids)+`)`, a.Values...)
	if err != nil {
		return fmt.Errorf("customer: open values: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		sealed := make([][]byte, len(fields))
		to := []any{&id}
		for i := range sealed {
			to = append(to, &sealed[i])
		}
		if err := rows.Scan(to...); err != nil {
			return fmt.Errorf("customer: open values: %w", err)
		}
		for i, f := range fields {
			if sealed[i] == nil {
				continue
			}
			clear, err := s.keys.Open(crypt.Place(table, id, f), sealed[i])
			if err != nil {
				return fmt.Errorf("customer: open %s of %d: %w", f, id, err)
			}
			each(id, f, clear)
		}
	}
	return rows.Err()
}

func (s *Service) recordReveals(ctx context.Context, actor authz.Actor, e *Export, columns []Column, ids []int64) error {
	e.Revealed += int64(len(ids))
	return s.run.Do(ctx, actor, "customer.export", func(_ context.Context, a *action.Action) error {
		a.Record(event.Event{Kind: ExportRevealed, Subject: ExportSubject(e.ID), Reason: e.Reason, Data: RevealedRows{sensitive(columns), slices.Clone(ids)}})
		return nil
	})
}

// exportProgress writes down how far an export is; errMoved when it was stopped.
func (s *Service) exportProgress(ctx context.Context, e *Export) error {
	return s.db().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		res, err := tx.Exec(ctx, `UPDATE customer_exports SET done = $1, updated_at = $2 WHERE id = $3 AND state = 'running'`, e.Done, tx.NowMicros(), e.ID)
		if err != nil {
			return fmt.Errorf("customer: progress of export %d: %w", e.ID, err)
		}
		if n, err := res.RowsAffected(); err == nil && n == 0 {
			return errMoved
		}
		return nil
	})
}

// OpenExport returns the file of an export the actor asked for, while it is
// kept. Each time is on record.
func (s *Service) OpenExport(ctx context.Context, actor authz.Actor, id int64) (blob.File, io.ReadSeekCloser, error) {
	e, err := s.Export(ctx, actor, id)
	if err != nil {
		return blob.File{}, nil, err
	}
	if e.State != "finished" || e.FileID == 0 {
		return blob.File{}, nil, fault.New(fault.NotFound, "customer.export.gone")
	}
	return s.lists.files.Open(ctx, actor, e.FileID)
}

// mayDownload lets who asked for an export have its file, while it is kept and
// he may still export, and records it.
func (s *Service) mayDownload(ctx context.Context, actor authz.Actor, f blob.File) error {
	if actor.Kind != authz.User {
		return fault.New(fault.NotFound, "customer.export.not_found")
	}
	e, err := s.Export(ctx, actor, f.Owner.ID)
	if err != nil {
		return err
	}
	if err := actor.Check(PermExport); err != nil {
		return err
	}
	if e.Clear {
		if err := actor.Check(PermReveal); err != nil {
			return err
		}
	}
	if e.State != "finished" || !s.db().Clock().Now().Before(e.ExpiresAt) {
		return fault.New(fault.NotFound, "customer.export.gone")
	}
	return s.run.Do(ctx, actor, "customer.download_export", func(ctx context.Context, a *action.Action) error {
		if _, err := a.Exec(ctx, `UPDATE customer_exports SET downloads = downloads + 1 WHERE id = $1`, e.ID); err != nil {
			return fmt.Errorf("customer: download of export %d: %w", e.ID, err)
		}
		a.Record(event.Event{Kind: ExportDownloaded, Subject: ExportSubject(e.ID), Data: e.data(e.Done, false)})
		return nil
	})
}

// SweepLists removes the files of exports whose time is over, with the
// conditions they were made of, and old bulk changes: an hourly duty.
func (s *Service) SweepLists(ctx context.Context) error {
	now := s.db().Clock().Now()
	ids, err := queryIDs(ctx, s.db().Read(), `SELECT id FROM customer_exports WHERE expires_at > 0 AND expires_at <= $1 AND state = 'finished' ORDER BY id LIMIT 200`, db.Micros(now))
	if err != nil {
		return fmt.Errorf("customer: sweep exports: %w", err)
	}
	for _, id := range ids {
		err := s.run.Do(ctx, authz.System("customer lists"), "customer.sweep_exports", func(ctx context.Context, a *action.Action) error {
			a.Nothing()
			e, err := loadExport(ctx, a, `id = $1`+a.ForUpdate(), id)
			if err != nil {
				return err
			}
			if f, err := s.lists.files.Get(ctx, a, e.FileID); err == nil {
				if err := s.lists.files.Remove(ctx, a, f); err != nil {
					return err
				}
			} else if !fault.Is(err, fault.NotFound) {
				return err
			}
			_, err = a.Exec(ctx, `UPDATE customer_exports SET state = 'expired', file_id = 0, filter = '', updated_at = $1 WHERE id = $2`, a.NowMicros(), id)
			return err
		})
		if err != nil {
			return err
		}
	}
	old, err := queryIDs(ctx, s.db().Read(), `SELECT id FROM customer_bulks WHERE finished_at > 0 AND finished_at < $1 ORDER BY id LIMIT 200`, db.Micros(now.Add(-bulkKeep)))
	if err != nil {
		return fmt.Errorf("customer: sweep bulk changes: %w", err)
	}
	for _, id := range old {
		err := s.db().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			if _, err := tx.Exec(ctx, `DELETE FROM customer_bulk_lines WHERE bulk_id = $1`, id); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `DELETE FROM customer_bulks WHERE id = $1`, id)
			return err
		})
		if err != nil {
			return fmt.Errorf("customer: sweep bulk changes: %w", err)
		}
	}
	return nil
}
