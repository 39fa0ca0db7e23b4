package customerui

import (
	"io"
	"net/http"
	"strings"

	"bihuan/internal/blob"
	"bihuan/internal/customer"
	"bihuan/internal/fault"
	"bihuan/internal/sheet"
	"bihuan/internal/web"
)

// filesView is the tab of the files.
type filesView struct {
	Rows   []fileRow
	Form   *web.Form
	Hidden bool         // there are files the reader may not know of
	Shown  *previewView // the one that is looked at
}

type fileRow struct {
	blob.File
	By      string
	Icon    string
	Picture bool
	Mine    bool // the reader may change it
}

// previewView is a file that is looked at.
type previewView struct {
	File fileRow
	PDF  bool
	Text string // of a text file
	Cut  bool   // only its beginning
}

var sampleFiles = filesView{Rows: []fileRow{{File: blob.File{ID: 1, Name: "x.png", Size: 1000}, By: "x", Icon: "photo", Picture: true, Mine: true}, {File: blob.File{ID: 2, Name: "x.pdf", Owner: blob.Owner{Internal: true}}, Icon: "file-text"}}, Hidden: true}

// thumbnail is the size up to which a picture is shown in the list.
const thumbnail = 2 << 20

// previewText is how much of a text is shown.
const previewText = 100 << 10

func (p *pages) fileRow(r *web.Request, v *showView, f blob.File, name func(int64) string) fileRow {
	x := fileRow{File: f, Icon: "paperclip", Picture: blob.Inline(f.MIME) && f.Size <= thumbnail, By: name(f.UploadedBy), Mine: v.CanEdit || v.CanFollowUp && f.UploadedBy == r.Actor.ID}
	switch {
	case strings.HasPrefix(f.MIME, "image/"):
		x.Icon = "photo"
	case strings.Contains(f.MIME, "sheet") || strings.Contains(f.MIME, "excel") || f.MIME == "text/csv":
		x.Icon = "sheet"
	case f.MIME == "application/pdf" || strings.HasPrefix(f.MIME, "text/") || strings.Contains(f.MIME, "word"):
		x.Icon = "file-text"
	}
	return x
}

func (p *pages) fillFiles(r *web.Request, v *showView) error {
	if p.Files == nil {
		return fault.New(fault.NotFound, "ui.error.not_found")
	}
	const limit = 30
	fs, more, hidden, err := p.Customers.Files(r.Context(), r.Actor, p.Files, v.C.ID, number(r.URL.Query().Get("before")), limit)
	if err != nil {
		return err
	}
	name, _, err := p.Org.Names(r.Context())
	if err != nil {
		return err
	}
	v.Files.Hidden, v.Files.Form = hidden, r.Blank()
	for _, f := range fs {
		v.Files.Rows = append(v.Files.Rows, p.fileRow(r, v, f, name))
	}
	if more && len(fs) > 0 {
		v.Next = v.Home() + "/files?before=" + id(fs[len(fs)-1].ID)
	}
	return nil
}

// uploadFile takes one file while its sender still writes.
func (p *pages) uploadFile(w http.ResponseWriter, r *web.Request) error {
	f := r.Input()
	if err := f.Err(); err != nil {
		return err
	}
	h := f.File("file")
	if h == nil {
		return fault.Invalidf("customer.files.none").Field("file", "customer.files.none")
	}
	c, err := h.Open()
	if err != nil {
		return err
	}
	defer c.Close()
	x, err := p.Files.Upload(r.Context(), r.Actor, h.Filename, c)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusCreated, struct {
		ID   int64  `json:"id"`
		Name string `json:"name"`
	}{x.ID, x.Name})
}

// addFiles gives files to a customer: those sent before, by id, and those that
// come with the form.
func (p *pages) addFiles(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	f := r.Input()
	restricted := f.Bool("restricted")
	ids := f.IDs("file")
	if err = f.Err(); err == nil && len(f.Files["file"]) > 0 && f.File("file") != nil {
		err = p.attachNew(r, n, f, restricted)
	} else if err == nil {
		err = p.Customers.Attach(r.Context(), r.Actor, p.Files, n, ids, restricted)
	}
	if err != nil {
		return p.again(w, r, n, tabFiles, err, f, func(v *showView) { v.Files.Form = f })
	}
	r.Flash(w, "green", "customer.files.added")
	return r.SeeOther(w, "/customers/%d/files", n)
}

func (p *pages) attachNew(r *web.Request, n int64, f *web.Form, restricted bool) error {
	// Whoever may not attach must not fill the disk.
	if _, err := p.Customers.Get(r.Context(), customer.View(r.Actor), n); err != nil {
		return err
	}
	var metas []blob.Meta
	for _, h := range f.Files["file"][:min(len(f.Files["file"]), 20)] {
		c, err := h.Open()
		if err != nil {
			return err
		}
		m, err := p.Files.Receive(r.Context(), h.Filename, c)
		c.Close()
		if err != nil {
			return err
		}
		metas = append(metas, m)
	}
	return p.Customers.AttachNew(r.Context(), r.Actor, p.Files, n, metas, restricted)
}

// changeFile restricts a file, opens it to all, or takes it away.
func (p *pages) changeFile(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	k, err := r.PathID("file")
	if err != nil {
		return err
	}
	said := "customer.files.changed"
	switch r.Input().Get("do") {
	case "restrict":
		err = p.Customers.GuardFile(r.Context(), r.Actor, p.Files, n, k, true)
	case "open":
		err = p.Customers.GuardFile(r.Context(), r.Actor, p.Files, n, k, false)
	case "remove":
		err, said = p.Customers.RemoveFile(r.Context(), r.Actor, p.Files, n, k), "customer.files.removed"
	default:
		return fault.New(fault.NotFound, "ui.error.not_found")
	}
	if err != nil {
		return err
	}
	r.Flash(w, "green", said)
	return r.SeeOther(w, "/customers/%d/files", n)
}

// openFile opens a file of this customer for the reader.
func (p *pages) openFile(r *web.Request) (n int64, f blob.File, c io.ReadSeekCloser, err error) {
	if n, err = r.PathID("id"); err != nil {
		return n, f, nil, err
	}
	k, err := r.PathID("file")
	if err != nil {
		return n, f, nil, err
	}
	if f, c, err = p.Files.Open(r.Context(), r.Actor, k); err != nil {
		return n, f, nil, err
	}
	if f.Owner.Type != customer.FileOwner || f.Owner.ID != n {
		c.Close()
		return n, f, nil, fault.New(fault.NotFound, "blob.not_found")
	}
	return n, f, c, nil
}

// preview shows a file inside the page: pictures, PDF and text. Everything else
// can be downloaded.
func (p *pages) preview(w http.ResponseWriter, r *web.Request) error {
	n, f, c, err := p.openFile(r)
	if err != nil {
		return err
	}
	defer c.Close()
	v, err := p.core(r, n, tabFiles)
	if err != nil {
		return err
	}
	name, _, err := p.Org.Names(r.Context())
	if err != nil {
		return err
	}
	shown := &previewView{File: p.fileRow(r, &v, f, name), PDF: f.MIME == "application/pdf"}
	shown.File.Picture = blob.Inline(f.MIME)
	switch f.MIME {
	case "text/plain", "text/csv", "text/markdown", "application/json", "message/rfc822":
		b, err := io.ReadAll(io.LimitReader(c, previewText+1))
		if err != nil {
			return err
		}
		if shown.Cut = len(b) > previewText; shown.Cut {
			b = b[:previewText]
		}
		shown.Text = sheet.Text(b)
	}
	v.Files.Shown = shown
	if r.IsFragment() {
		return showPage.Fragment(w, r, "tab", v)
	}
	if err := p.side(r, &v); err != nil {
		return err
	}
	return showPage.Render(w, r, p.home(r, v), v)
}

// pdf answers with a PDF for the frame of the preview. Browsers show it in a
// program of their own that runs no script of the file in our name.
func (p *pages) pdf(w http.ResponseWriter, r *web.Request) error {
	_, f, c, err := p.openFile(r)
	if err != nil {
		return err
	}
	defer c.Close()
	if f.MIME != "application/pdf" {
		return fault.New(fault.NotFound, "blob.not_found")
	}
	blob.ServeFramed(w, r.Request, f, c)
	return nil
}
