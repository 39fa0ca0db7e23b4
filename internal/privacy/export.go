package privacy

import (
	"archive/zip"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/complaint"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
	"bihuan/internal/job"
	"bihuan/internal/journal"
	"bihuan/internal/number"
	"bihuan/internal/ticket"
)

//go:embed export.html
var exportHTML string

// exportDays is how long the file with a person's data may be fetched.
const exportDays = 30

// Dossier is everything the product keeps about a person, as he is given it.
type Dossier struct {
	Number   string           `json:"number"`
	MadeAt   time.Time        `json:"made_at"`
	Company  string           `json:"company"`
	Profiles []DossierProfile `json:"profiles"`
	Tickets  []DossierTicket  `json:"tickets"`
	Records  []DossierEntry   `json:"records,omitempty"` // of services apart from tickets
}

// DossierProfile is a profile, or his part of a company's.
type DossierProfile struct {
	Number   string           `json:"number"`
	Name     string           `json:"name"`
	Type     string           `json:"type"`
	Level    string           `json:"level,omitempty"`
	Source   string           `json:"source,omitempty"`
	Region   string           `json:"region,omitempty"`
	Address  string           `json:"address,omitempty"`
	Website  string           `json:"website,omitempty"`
	Remark   string           `json:"remark,omitempty"`
	Since    time.Time        `json:"since,omitzero"`
	Tags     []string         `json:"tags,omitempty"`
	Needs    []string         `json:"needs,omitempty"`
	Custom   []string         `json:"custom,omitempty"`
	Contacts []DossierContact `json:"contacts,omitempty"`
}

// DossierContact is a contact in clear.
type DossierContact struct {
	Name     string `json:"name"`
	Position string `json:"position,omitempty"`
	Phone    string `json:"phone,omitempty"`
	Email    string `json:"email,omitempty"`
	Wechat   string `json:"wechat,omitempty"`

	Custom []string `json:"custom,omitempty"` // the company's own fields
}

// DossierTicket is a request of his.
type DossierTicket struct {
	Number      string         `json:"number"`
	Title       string         `json:"title"`
	State       string         `json:"state"`
	Description string         `json:"description,omitempty"`
	Solution    string         `json:"solution,omitempty"`
	Summary     string         `json:"summary,omitempty"`
	CreatedAt   time.Time      `json:"created_at"`
	ClosedAt    time.Time      `json:"closed_at,omitzero"`
	Messages    []DossierEntry `json:"messages,omitempty"`
	Complaint   []DossierEntry `json:"complaint,omitempty"` // what was recorded of its steps
	Custom      []string       `json:"custom,omitempty"`    // the company's own fields
	Ratings     []string       `json:"ratings,omitempty"`
	Files       []string       `json:"files,omitempty"` // in the folder of the archive
}

// DossierEntry is something said.
type DossierEntry struct {
	At   time.Time `json:"at"`
	Kind string    `json:"kind"`
	By   string    `json:"by"`
	Text string    `json:"text"`
}

// Export gathers the person's data into a file, in the background.
func (s *Service) Export(ctx context.Context, actor authz.Actor, id int64, customers, contacts []int64) error {
	return s.run.Do(ctx, actor, "privacy.export_request", func(ctx context.Context, a *action.Action) error {
		r, err := s.serve(ctx, a, id)
		if err != nil {
			return err
		}
		if err := identified(r); err != nil {
			return err
		}
		if len(customers)+len(contacts) == 0 {
			return fault.Invalidf("privacy.request.invalid").Field("customers", "privacy.request.choose_records")
		}
		if err := s.choose(ctx, a, r, customers, contacts); err != nil {
			return err
		}
		if err := s.enqueue(ctx, a, id, "export", jobExport); err != nil {
			return err
		}
		a.Record(event.Event{Kind: RequestExported, Subject: aboutRequest(id), Data: s.factOf(r)})
		return nil
	})
}

// FetchRequest opens the file with a person's data, and writes down who did.
func (s *Service) FetchRequest(ctx context.Context, actor authz.Actor, id int64) (blob.File, io.ReadSeekCloser, error) {
	if err := actor.Check(PermManage); err != nil {
		return blob.File{}, nil, err
	}
	r, err := s.Request(ctx, actor, id)
	if err != nil {
		return blob.File{}, nil, err
	}
	if r.FileID == 0 || !s.db().Clock().Now().Before(r.ExpiresAt) {
		return blob.File{}, nil, fault.New(fault.Conflict, "privacy.request.no_file")
	}
	return s.fetch(ctx, actor, OfRequest, id, r.FileID, RequestFetched, aboutRequest(id), s.factOf(r))
}

func (s *Service) workExport(ctx context.Context, j *job.Job) error {
	return s.onRequest(ctx, j, func(ctx context.Context, r Request, _ Wanted) (map[string]any, error) {
		d, files, err := s.dossier(ctx, r)
		if err != nil {
			return nil, err
		}
		raw, err := s.archive(ctx, d, files)
		if err != nil {
			return nil, err
		}
		m, err := s.Files.Receive(ctx, r.Number+".zip", bytes.NewReader(raw))
		if err != nil {
			return nil, err
		}
		var f blob.File
		err = s.run.Do(ctx, worker(), "privacy.export", func(ctx context.Context, a *action.Action) (err error) {
			f, err = s.Files.SaveTo(ctx, a, m, blob.Owner{Type: subjectRequest, ID: r.ID, Internal: true})
			return err
		})
		if err != nil {
			return nil, err
		}
		if r.FileID != 0 { // an earlier one
			if old, err := s.Files.Get(ctx, s.db().Read(), r.FileID); err == nil {
				if err := s.removeFiles(ctx, []blob.File{old}, "privacy.export"); err != nil {
					return nil, err
				}
			}
		}
		return map[string]any{"file_id": f.ID, "expires_at": db.Micros(s.db().Clock().Now().AddDate(0, 0, exportDays))}, nil
	})
}

type dossierFile struct {
	name string
	file blob.File
}

func (s *Service) dossier(ctx context.Context, r Request) (d Dossier, files []dossierFile, err error) {
	l := i18n.ZhCN
	company, err := s.Company(ctx, l)
	if err != nil {
		return d, nil, err
	}
	d = Dossier{Number: r.Number, MadeAt: s.db().Clock().Now().In(number.Zone), Company: company}
	q := s.db().Read()
	own, err := s.Rooms.Customers.Own(ctx, q, r.Customers, r.Contacts)
	if err != nil {
		return d, nil, err
	}
	for _, o := range own {
		c := o.Customer
		p := DossierProfile{Number: c.Number, Name: c.Name, Type: i18n.T(l, "customer.type."+string(c.Type)), Region: c.Region, Address: o.Address, Website: c.Website, Remark: c.Remark, Since: c.CreatedAt}
		if slices.Contains(r.Customers, c.ID) {
			p.Level = i18n.T(l, "customer.level."+string(c.Level))
			if c.Source != "" {
				p.Source = i18n.T(l, "customer.source."+c.Source)
			}
			for _, t := range c.Tags {
				p.Tags = append(p.Tags, t.Name)
			}
			for _, n := range c.Needs {
				p.Needs = append(p.Needs, line(n.Product+" "+n.Description+" "+n.Budget+" "+n.Special))
			}
			if p.Custom, err = s.ownFields(ctx, q, l, field.Customer, c.ID); err != nil {
				return d, nil, err
			}
			es, _, err := journal.Of(ctx, q, journal.Place{Customer: c.ID}, journal.Page{Kinds: []journal.Kind{journal.FollowUp}, Limit: 500})
			if err != nil {
				return d, nil, err
			}
			for _, e := range es {
				if e.TicketID == 0 {
					d.Records = append(d.Records, entryOf(l, e))
				}
			}
		}
		for _, x := range o.Contacts {
			k := DossierContact{Name: x.Name, Position: x.Position, Phone: x.Phone, Email: x.Email, Wechat: x.Wechat}
			if k.Custom, err = s.ownFields(ctx, q, l, field.Contact, x.ID); err != nil {
				return d, nil, err
			}
			p.Contacts = append(p.Contacts, k)
		}
		d.Profiles = append(d.Profiles, p)
	}
	tickets, err := ticket.OfCustomers(ctx, q, r.Customers)
	if err != nil {
		return d, nil, err
	}
	for _, id := range r.Contacts {
		some, err := ticket.OfContact(ctx, q, id)
		if err != nil {
			return d, nil, err
		}
		tickets = append(tickets, some...)
	}
	slices.Sort(tickets)
	for _, id := range slices.Compact(tickets) {
		t, err := s.Tickets.Get(ctx, ticket.View(authz.System("privacy")), id)
		if err != nil {
			return d, nil, err
		}
		x := DossierTicket{Number: t.Number, Title: t.Title, State: i18n.T(l, "ticket.state."+string(t.State)), Description: t.Description, Solution: t.Solution, Summary: t.Summary, CreatedAt: t.CreatedAt, ClosedAt: t.ClosedAt}
		es, _, err := journal.Of(ctx, q, journal.Place{Ticket: id}, journal.Page{Kinds: []journal.Kind{journal.Customer, journal.Reply, journal.Question, journal.FollowUp}, Limit: 1000})
		if err != nil {
			return d, nil, err
		}
		for _, e := range es {
			x.Messages = append(x.Messages, entryOf(l, e))
		}
		if x.Custom, err = s.ownFields(ctx, q, l, field.Ticket, id); err != nil {
			return d, nil, err
		}
		if x.Complaint, err = s.complaintOf(ctx, l, t); err != nil {
			return d, nil, err
		}
		rs, err := ticket.Ratings(ctx, q, id)
		if err != nil {
			return d, nil, err
		}
		for _, g := range rs {
			x.Ratings = append(x.Ratings, line(fmt.Sprintf("%d ★ %s %s", g.Stars, g.Comment, g.Suggestion)))
		}
		fs, err := s.Files.Of(ctx, q, "ticket", id)
		if err != nil {
			return d, nil, err
		}
		for _, f := range fs {
			if !f.Owner.Internal {
				name := path.Join("files", t.Number, fmt.Sprintf("%d-%s", f.ID, f.Name))
				x.Files = append(x.Files, name)
				files = append(files, dossierFile{name, f})
			}
		}
		d.Tickets = append(d.Tickets, x)
	}
	return d, files, nil
}

// ownFields are the values of the company's own fields of a record, each behind
// its name.
func (s *Service) ownFields(ctx context.Context, q db.Querier, l i18n.Lang, obj field.Object, id int64) (out []string, err error) {
	if s.Fields == nil {
		return nil, nil
	}
	defs, err := s.Fields.DefsIn(ctx, q, l, obj)
	if err != nil || len(defs) == 0 {
		return nil, err
	}
	values, err := s.Fields.Values(ctx, q, obj, []int64{id}, nil)
	for _, d := range defs {
		if v := values[id][d.ID]; !v.Empty() {
			out = append(out, d.Label+"："+v.Text(l))
		}
	}
	return out, err
}

// complaintOf is what was recorded of a person's complaint: how he was found to
// feel, what he asked for and what was decided.
func (s *Service) complaintOf(ctx context.Context, l i18n.Lang, t ticket.Ticket) (out []DossierEntry, err error) {
	if s.Complaints == nil || !complaint.Is(&t) {
		return nil, nil
	}
	c, err := s.Complaints.Of(ctx, t)
	for _, r := range c.Records {
		e := DossierEntry{At: r.At.In(number.Zone), Kind: r.Title(l), By: r.ByName, Text: r.Reason}
		for _, x := range r.Lines(l, number.Zone) {
			e.Text = strings.TrimSpace(e.Text + "\n" + x.Label + "：" + x.Text)
		}
		out = append(out, e)
	}
	return out, err
}

func entryOf(l i18n.Lang, e journal.Entry) DossierEntry {
	return DossierEntry{At: e.CreatedAt.In(number.Zone), Kind: i18n.T(l, "journal.kind."+string(e.Kind)), By: e.AuthorName, Text: e.Body}
}

// archive is the zip file: the data for programs, for reading, and the files.
func (s *Service) archive(ctx context.Context, d Dossier, files []dossierFile) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	add := func(name string, content io.Reader) error {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: d.MadeAt})
		if err != nil {
			return err
		}
		_, err = io.Copy(w, content)
		return err
	}
	raw, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("privacy: archive: %w", err)
	}
	t, err := template.New("export").Funcs(template.FuncMap{
		"t": func(key string, args ...any) string { return i18n.T(i18n.ZhCN, key, args...) },
		"day": func(t time.Time) string {
			if t.IsZero() {
				return ""
			}
			return t.In(number.Zone).Format("2006-01-02 15:04")
		},
	}).Parse(exportHTML)
	if err != nil {
		return nil, fmt.Errorf("privacy: archive: %w", err)
	}
	var page bytes.Buffer
	if err := t.Execute(&page, d); err != nil {
		return nil, fmt.Errorf("privacy: archive: %w", err)
	}
	if err := add("data.json", bytes.NewReader(raw)); err != nil {
		return nil, fmt.Errorf("privacy: archive: %w", err)
	}
	if err := add("index.html", &page); err != nil {
		return nil, fmt.Errorf("privacy: archive: %w", err)
	}
	for _, f := range files {
		r, err := s.Files.Store().Open(ctx, f.file.SHA256)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err == nil {
			err = add(f.name, r)
			r.Close()
		}
		if err != nil {
			return nil, fmt.Errorf("privacy: archive: %w", err)
		}
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("privacy: archive: %w", err)
	}
	return b.Bytes(), nil
}
