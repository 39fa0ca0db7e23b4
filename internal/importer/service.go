package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/job"
	"bihuan/internal/org"
	"bihuan/internal/sheet"
	"bihuan/internal/ticket"
)

// What is done with a department or person the table names and we do not know.
const (
	Report     = "report"  // the row is not taken in
	UseDefault = "default" // it goes to the default department, or its routing; the name is kept as a remark
)

// What is done with a customer who has the credit code or telephone number of
// another.
const (
	SkipTwins = "skip" // he is not taken in, and reported
	KeepTwins = "keep" // he is, marked, and waits among the suspected duplicates
)

// Setup is how a table is to be read.
type Setup struct {
	Sheet      string    `json:"sheet,omitempty"`  // "": the first with rows
	Header     int       `json:"header,omitempty"` // line of the headings; 0: to be found
	Fields     []Field   `json:"fields,omitempty"` // meaning of each column; nil: guessed
	Department int64     `json:"department,omitempty"`
	Unknown    string    `json:"unknown,omitempty"` // Report or UseDefault
	Twins      string    `json:"twins,omitempty"`   // SkipTwins or KeepTwins
	Source     string    `json:"source,omitempty"`  // keeps the IDs of several old systems apart
	Lang       i18n.Lang `json:"lang,omitempty"`    // of the result file and of remarks
}

// MaxBytes is the largest table that can be uploaded.
const MaxBytes = 50 << 20

// batchRows is how many rows share a transaction: enough that its sync does not
// matter, so few that others wait for a fifth of a second at most.
const batchRows = 500

// Service imports tables.
type Service struct {
	run       *action.Runner
	org       *org.Service
	customers *customer.Service
	tickets   *ticket.Service
	files     *blob.Files
	jobs      *job.Queue
}

// New returns the service. With files, uploads can be kept and read by those
// who may see the import; with jobs, they are worked on in the background. The
// command line needs neither.
func New(run *action.Runner, o *org.Service, c *customer.Service, t *ticket.Service, files *blob.Files, jobs *job.Queue) *Service {
	s := &Service{run: run, org: o, customers: c, tickets: t, files: files, jobs: jobs}
	if files != nil {
		files.Authorize(subjectType, s.mayRead)
	}
	if jobs != nil {
		jobs.Add(job.Worker{Kind: jobKind, Handle: s.work})
	}
	return s
}

func (s *Service) db() *db.DB { return s.run.DB() }

// source is a table to be read.
type source struct {
	name string
	r    io.ReaderAt
	size int64
}

// seekReaderAt lets a stored file be read at any place.
type seekReaderAt struct {
	mu sync.Mutex
	r  io.ReadSeeker
}

// ReadAt implements io.ReaderAt.
func (s *seekReaderAt) ReadAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.r.Seek(off, io.SeekStart); err != nil {
		return 0, err
	}
	n, err := io.ReadFull(s.r, p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// table is an open table with what its columns mean.
type table struct {
	*sheet.Reader
	layout Layout
	first  []numbered // rows behind the headings already read
}

// openTable reads the beginning of a table and finds its headings. The caller
// checks whether the required columns are there.
func openTable(k Kind, src source, setup Setup) (*table, error) {
	r, err := sheet.Open(src.name, src.r, src.size, sheet.Limits{})
	if err != nil {
		return nil, err
	}
	t := &table{Reader: r}
	if err := t.begin(k, setup); err != nil {
		r.Close()
		return nil, err
	}
	return t, nil
}

func (t *table) begin(k Kind, setup Setup) error {
	if setup.Sheet != "" && setup.Sheet != t.Sheet() {
		if err := t.Use(setup.Sheet); err != nil {
			return err
		}
	}
	var rows []numbered
	for len(rows) < headerWithin && (setup.Header == 0 || len(rows) == 0 || rows[len(rows)-1].line < setup.Header) {
		cells, line, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		rows = append(rows, numbered{line, slices.Clone(cells)})
	}
	if setup.Header > 0 {
		for len(rows) > 0 && rows[len(rows)-1].line < setup.Header {
			cells, line, err := t.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				return err
			}
			rows = append(rows[1:], numbered{line, slices.Clone(cells)})
		}
		i := slices.IndexFunc(rows, func(r numbered) bool { return r.line >= setup.Header })
		if i < 0 {
			return fault.Invalidf("importer.header.line", setup.Header).Field("header", "importer.header.line", setup.Header)
		}
		t.layout = read(k, rows[i])
	} else if len(rows) > 0 {
		t.layout = guess(k, rows)
	}
	if setup.Fields != nil {
		for i := range t.layout.Fields {
			t.layout.Fields[i] = ignored
			if i < len(setup.Fields) {
				t.layout.Fields[i] = setup.Fields[i]
			}
		}
	}
	for _, r := range rows {
		if r.line > t.layout.Header {
			t.first = append(t.first, r)
		}
	}
	return nil
}

// next returns the next row behind the headings; io.EOF after the last.
func (t *table) next() (numbered, error) {
	if len(t.first) > 0 {
		r := t.first[0]
		t.first = t.first[1:]
		return r, nil
	}
	cells, line, err := t.Next()
	return numbered{line, cells}, err
}

// headingAgain reports whether a row repeats the headings, as printed tables do
// on every page.
func (t *table) headingAgain(r numbered) bool {
	filled := 0
	for i, n := range t.layout.Names {
		if n == "" {
			continue
		}
		if i >= len(r.cells) || strings.Join(strings.Fields(r.cells[i]), " ") != n {
			return false
		}
		filled++
	}
	return filled > 1
}

// each reads the table behind line from in batches and calls do with each, one
// after the other; reading and understanding goes on meanwhile.
func (s *Service) each(ctx context.Context, k Kind, actor authz.Actor, src source, setup Setup, from int, do func(ctx context.Context, b *batch) error) error {
	t, err := s.open(ctx, k, src, setup)
	if err != nil {
		return err
	}
	defer t.Close()
	if err := t.layout.check(k, setup.Lang); err != nil {
		return err
	}
	p, err := s.newParser(ctx, k, actor, setup, t.layout)
	if err != nil {
		return err
	}
	type read struct {
		b   *batch
		err error
	}
	ctx, cancel := context.WithCancel(ctx)
	batches := make(chan read, 1)
	var reader sync.WaitGroup
	reader.Add(1)
	go func() {
		defer reader.Done()
		defer close(batches)
		rows := make([]numbered, 0, batchRows)
		flush := func() bool {
			if len(rows) == 0 {
				return true
			}
			b, err := p.understand(ctx, rows)
			rows = rows[:0]
			select {
			case batches <- read{b, err}:
				return err == nil
			case <-ctx.Done():
				return false
			}
		}
		for ctx.Err() == nil {
			r, err := t.next()
			if err == io.EOF {
				flush()
				return
			}
			if err != nil {
				if flush() {
					select {
					case batches <- read{nil, err}:
					case <-ctx.Done():
					}
				}
				return
			}
			if r.line <= from || t.headingAgain(r) {
				continue
			}
			r.cells = slices.Clone(r.cells)
			if rows = append(rows, r); len(rows) == batchRows && !flush() {
				return
			}
		}
	}()
	defer reader.Wait()
	defer cancel()
	for r := range batches {
		if r.err != nil {
			return r.err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := do(ctx, r.b); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Options of Run.
type Options struct {
	DryRun   bool
	Sheet    string
	Mapping  map[string]string // heading of the table -> field or its name; in place of the guess
	Result   string            // where the result file goes; "": beside the table, *-result
	Unknown  string            // Report (default) or UseDefault
	Twins    string            // SkipTwins (default) or KeepTwins
	Default  string            // name of the default department
	Source   string
	Lang     i18n.Lang
	Progress func(Counts) // called after each batch
}

// Summary is what an import came to.
type Summary struct {
	Counts  Counts
	Unknown []string // headings that mean nothing to us
	Layout  Layout
	Result  string // path of the result file
	First   []Line // the first rows with a problem
}

// firstProblems is how many rows with a problem a summary names.
const firstProblems = 20

// Run imports the table in the file path, for the command line. A DryRun says
// what would happen. When ctx ends, what has been committed stays; running it
// again takes in the rest.
func (s *Service) Run(ctx context.Context, actor authz.Actor, k Kind, path string, o Options) (sum Summary, err error) {
	if err := s.may(actor, k); err != nil {
		return sum, err
	}
	f, err := os.Open(path)
	if err != nil {
		return sum, fault.New(fault.NotFound, "importer.file.open", path).Wrap(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return sum, fmt.Errorf("importer: %w", err)
	}
	src := source{filepath.Base(path), f, info.Size()}
	setup := Setup{Sheet: o.Sheet, Unknown: o.Unknown, Twins: o.Twins, Source: o.Source, Lang: o.Lang}
	if setup.Lang == "" {
		setup.Lang = i18n.ZhCN
	}
	if o.Default != "" {
		d, ok, err := s.org.DepartmentByName(ctx, nil, o.Default)
		if err != nil {
			return sum, err
		}
		if !ok {
			return sum, fault.Invalidf("importer.reason.department", o.Default)
		}
		setup.Department = d.ID
	}
	t, err := s.open(ctx, k, src, setup)
	if err != nil {
		return sum, err
	}
	format := t.Format()
	setup.Header, setup.Fields = t.layout.Header, t.layout.Fields
	err = t.layout.remap(k, o.Mapping)
	sum.Layout, sum.Unknown = t.layout, t.layout.Unknown()
	t.Close()
	if err != nil {
		return sum, err
	}
	if err := sum.Layout.check(k, setup.Lang); err != nil {
		return sum, err
	}
	if o.Result == "" {
		o.Result = strings.TrimSuffix(path, filepath.Ext(path)) + "-result." + string(format)
	}
	progress := func(c Counts) {
		if o.Progress != nil {
			o.Progress(c)
		}
	}
	problem := func(b *batch) {
		for _, l := range b.lines {
			if l.Result != Imported && len(sum.First) < firstProblems {
				sum.First = append(sum.First, l)
			}
		}
	}
	if o.DryRun {
		problems := map[int]Line{}
		seen := map[string]bool{}
		err = s.each(ctx, k, actor, src, setup, 0, func(ctx context.Context, b *batch) error {
			if err := b.check(ctx, s, actor, seen); err != nil {
				return err
			}
			for _, l := range b.lines {
				if l.Result != Imported {
					problems[l.Line] = l
				}
			}
			problem(b)
			sum.Counts.add(b.lines)
			progress(sum.Counts)
			return nil
		})
		if err != nil {
			return sum, err
		}
		sum.Counts.Total = sum.Counts.Rows
		sum.Result = o.Result
		return sum, s.writeFile(ctx, k, src, setup, format, o.Result, func(line int) (Line, error) { return problems[line], nil })
	}
	imp := Import{Kind: k, State: Running, Name: src.name, Size: src.size, Setup: setup}
	err = s.run.Do(ctx, actor, "importer.start", func(ctx context.Context, a *action.Action) error {
		if err := insert(ctx, a, &imp); err != nil {
			return err
		}
		a.Record(event.Event{Kind: Started, Subject: Subject(imp.ID), Data: Fact{Name: imp.Name, Kind: k}})
		return nil
	})
	if err != nil {
		return sum, err
	}
	err = s.each(ctx, k, actor, src, setup, 0, func(ctx context.Context, b *batch) error {
		if err := s.take(ctx, actor, &imp, b); err != nil {
			return err
		}
		problem(b)
		progress(imp.Counts)
		return nil
	})
	sum.Counts = imp.Counts
	if err != nil {
		return sum, errors.Join(err, s.end(context.WithoutCancel(ctx), actor, &imp, err))
	}
	imp.Counts.Total = imp.Counts.Rows
	sum.Counts = imp.Counts
	if err := s.end(ctx, actor, &imp, nil); err != nil {
		return sum, err
	}
	sum.Result = o.Result
	return sum, s.writeFile(ctx, k, src, setup, format, o.Result, s.problems(ctx, imp.ID))
}

// may checks that the actor may import tables of the kind.
func (s *Service) may(actor authz.Actor, k Kind) error {
	if !k.Valid() {
		return fault.Invalidf("importer.kind.unknown")
	}
	if err := actor.Check(Perm); err != nil {
		return err
	}
	if k == Tickets {
		return actor.Check(ticket.PermCreate)
	}
	return actor.Check(customer.PermCreate)
}

// remap changes what headings mean.
func (l *Layout) remap(k Kind, mapping map[string]string) error {
	for heading, name := range mapping {
		f := ignored
		if strings.TrimSpace(name) != "" && name != "-" {
			var ok bool
			if f, ok = FieldNamed(k, name); !ok {
				return fault.Invalidf("importer.map.field", name)
			}
		}
		hit := false
		for i, n := range l.Names {
			if plain(n) == plain(heading) {
				l.Fields[i], hit = f, true
			}
		}
		if !hit {
			return fault.Invalidf("importer.map.heading", heading)
		}
	}
	return nil
}

// Levels returns the levels an import wanted to give that wait for approval, or
// did; ok is false when there are none.
func (s *Service) Levels(ctx context.Context, i Import) (customer.LevelBatch, bool, error) {
	if i.Kind != Customers {
		return customer.LevelBatch{}, false, nil
	}
	return s.customers.LevelsOf(ctx, customer.LevelsOfImport, i.ID)
}
