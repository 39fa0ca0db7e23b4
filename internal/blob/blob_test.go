package blob_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/blob"
	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/event"
	"bihuan/internal/fault"

	"github.com/google/go-cmp/cmp"
)

const png = "\x89PNG\r\n\x1a\n....................."

func TestFolder(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c := clock.NewFake(dbtest.Start)
	root := t.TempDir()
	s, err := blob.OpenFolder(root, c)
	if err != nil {
		t.Fatal(err)
	}
	put := func(text string, limit int64) (blob.Info, error) {
		return s.Put(ctx, strings.NewReader(text), limit)
	}
	a, err := put("你好", 6)
	if err != nil || a.Size != 6 || !a.PutAt.Equal(c.Now()) {
		t.Fatalf("%+v, %v", a, err)
	}
	if _, err := put("你好!", 6); !fault.Is(err, fault.Limited) {
		t.Errorf("over the limit: %v", err)
	}
	cut, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Put(cut, strings.NewReader("x"), 9); err == nil {
		t.Error("an interrupted upload was stored")
	}
	if left, _ := os.ReadDir(filepath.Join(root, "tmp")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	r, err := s.Open(ctx, a.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if raw, _ := io.ReadAll(r); string(raw) != "你好" {
		t.Errorf("read %q", raw)
	}
	r.Close()
	for _, bad := range []string{"", "../../etc/passwd", strings.Repeat("0", 64), strings.ToUpper(a.SHA256), a.SHA256 + "/.."} {
		if _, err := s.Open(ctx, bad); !fault.Is(err, fault.NotFound) {
			t.Errorf("Open(%q): %v", bad, err)
		}
		if _, err := s.Stat(ctx, bad); !fault.Is(err, fault.NotFound) {
			t.Errorf("Stat(%q): %v", bad, err)
		}
	}
	before := c.Now().Add(time.Hour)
	c.Advance(2 * time.Hour)
	if _, err := put("你好", 6); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(ctx, a.SHA256, before); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := s.Walk(ctx, func(i blob.Info) error { n++; return nil }); err != nil || n != 1 {
		t.Errorf("put again, then deleted: %d left, %v", n, err)
	}
	for range 2 {
		if err := s.Delete(ctx, a.SHA256, c.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Stat(ctx, a.SHA256); !fault.Is(err, fault.NotFound) {
		t.Errorf("after delete: %v", err)
	}
}

func TestCleanName(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"发票.pdf":                           "发票.pdf",
		`C:\fakepath\现场 照片.jpg`:            "现场 照片.jpg",
		"../../etc/passwd":                 "passwd",
		"发票\u202egpj.exe":                  "发票gpj.exe",
		"a\r\nSet-Cookie: x.txt":           "a Set-Cookie_ x.txt",
		"  ..hidden. ":                     "hidden",
		"":                                 "附件",
		"...":                              "附件",
		"con.txt":                          "附件con.txt",
		".png":                             "png",
		`a"b<c>|?*.png`:                    "a_b_c____.png",
		"\xff\xfe.txt":                     "txt",
		"e\u0301.txt":                      "é.txt",
		strings.Repeat("长", 200) + ".docx": strings.Repeat("长", 75) + ".docx",
		"x." + strings.Repeat("y", 100):    "x." + strings.Repeat("y", 78),
	} {
		if got := blob.CleanName(in); got != want {
			t.Errorf("CleanName(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestSniff(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ head, name, want string }{
		{png, "a.png", "image/png"},
		{png, "a.html", "image/png"},
		{"MZ\x90\x00\x03", "照片.jpg", "application/octet-stream"},
		{"PK\x03\x04....", "a.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
		{"PK\x03\x04....", "a.zip", "application/zip"},
		{"a,b\n1,2", "a.csv", "text/csv"},
		{"<?xml version='1.0'?><svg onload=alert(1)>", "a.png", "image/svg+xml"},
		{"plain", "a.svg", "image/svg+xml"},
		{"<HTML><body>", "a.txt", "text/html"},
		{"hello <script>", "a.txt", "text/html"},
		{"%PDF-1.4", "a.pdf", "application/pdf"},
		{"", "a.png", "text/plain"},
	} {
		if got := blob.Sniff([]byte(c.head), c.name); got != c.want {
			t.Errorf("Sniff(%q, %s) = %s, want %s", c.head, c.name, got, c.want)
		}
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mime, name        string
		inline            bool
		kind, disposition string
	}{
		{"image/png", "照片 1.png", true, "image/png", `inline; filename="__ 1.png"; filename*=UTF-8''%E7%85%A7%E7%89%87%201.png`},
		{"image/png", "a.png", false, "image/png", `attachment; filename="a.png"; filename*=UTF-8''a.png`},
		{"image/svg+xml", "a.svg", true, "application/octet-stream", `attachment; filename="a.svg"; filename*=UTF-8''a.svg`},
		{"text/html", `x";y=.html`, true, "application/octet-stream", `attachment; filename="x__y=.html"; filename*=UTF-8''x%22%3By%3D.html`},
		{"application/pdf", "a.pdf", true, "application/pdf", `attachment; filename="a.pdf"; filename*=UTF-8''a.pdf`},
	} {
		w := httptest.NewRecorder()
		f := blob.File{MIME: c.mime, Name: c.name, SHA256: "abc", CreatedAt: dbtest.Start}
		blob.Serve(w, httptest.NewRequest("GET", "/", nil), f, strings.NewReader("content"), c.inline)
		got := []string{w.Header().Get("Content-Type"), w.Header().Get("Content-Disposition"), w.Header().Get("Content-Security-Policy"), w.Header().Get("X-Content-Type-Options"), w.Body.String()}
		want := []string{c.kind, c.disposition, "sandbox; default-src 'none'", "nosniff", "content"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		again := httptest.NewRequest("GET", "/", nil)
		again.Header.Set("If-None-Match", w.Header().Get("ETag"))
		w = httptest.NewRecorder()
		blob.Serve(w, again, f, strings.NewReader("content"), c.inline)
		if w.Code != http.StatusNotModified {
			t.Errorf("%s again: %d", c.name, w.Code)
		}
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		ctx := context.Background()
		store, err := blob.OpenFolder(t.TempDir(), c)
		if err != nil {
			t.Fatal(err)
		}
		run := action.NewRunner(d, nil)
		files := blob.NewFiles(run, store, 1000)
		me := authz.Actor{Kind: authz.User, ID: 7, Name: "小王"}
		other := authz.Actor{Kind: authz.User, ID: 8}
		contact := authz.Actor{Kind: authz.Customer, ID: 7}
		anonymous := authz.Actor{Kind: authz.Customer}
		files.Authorize("ticket", func(_ context.Context, a authz.Actor, f blob.File) error {
			if a.ID != other.ID || f.Owner.Internal {
				return fault.New(fault.NotFound, "blob.not_found")
			}
			return nil
		})
		upload := func(by authz.Actor, name string) blob.File {
			t.Helper()
			f, err := files.Upload(ctx, by, name, strings.NewReader(png))
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
		attach := func(by authz.Actor, o blob.Owner, ids ...int64) error {
			return run.Do(ctx, by, "test", func(ctx context.Context, a *action.Action) error {
				a.Nothing()
				_, err := files.Attach(ctx, a, ids, o)
				return err
			})
		}
		open := func(by authz.Actor, id int64) error {
			_, r, err := files.Open(ctx, by, id)
			if err == nil {
				r.Close()
			}
			return err
		}

		if _, err := files.Upload(ctx, me, "大.bin", bytes.NewReader(make([]byte, 1001))); !fault.Is(err, fault.Limited) {
			t.Errorf("too large: %v", err)
		}
		mine, his := upload(me, `C:\照片.png`), upload(other, "b.png")
		if mine.Name != "照片.png" || mine.MIME != "image/png" || mine.Owner.Type != "" || mine.UploadedBy != 7 {
			t.Errorf("%+v", mine)
		}
		facts, err := event.Of(ctx, d.Read(), event.Subject{Type: "file", ID: mine.ID}, 0, 10)
		if err != nil || len(facts) != 1 || facts[0].Kind != blob.EventUploaded {
			t.Errorf("facts: %+v, %v", facts, err)
		}
		ticket := blob.Owner{Type: "ticket", ID: 3, EntryID: 5}
		for name, err := range map[string]error{
			"somebody else's":          attach(me, ticket, mine.ID, his.ID),
			"user of the same number":  attach(contact, ticket, mine.ID),
			"nobody's":                 attach(anonymous, ticket, upload(anonymous, "x").ID),
			"unknown":                  attach(me, ticket, 999),
			"open by another":          open(other, mine.ID),
			"open by the same number":  open(contact, mine.ID),
			"open unknown":             open(me, 999),
			"withdraw somebody else's": files.Withdraw(ctx, me, his.ID),
		} {
			if !fault.Is(err, fault.NotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := open(me, mine.ID); err != nil {
			t.Errorf("own upload: %v", err)
		}
		if err := attach(me, ticket, mine.ID); err != nil {
			t.Fatal(err)
		}
		if err := attach(me, blob.Owner{Type: "ticket", ID: 4}, mine.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("attached twice: %v", err)
		}
		if err := open(me, mine.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("the uploader, out of the owner's scope: %v", err)
		}
		if err := open(other, mine.ID); err != nil {
			t.Errorf("in the owner's scope: %v", err)
		}
		if err := files.Withdraw(ctx, me, mine.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("withdrew an attached file: %v", err)
		}
		strange := upload(me, "c.png")
		if err := attach(me, blob.Owner{Type: "unknown", ID: 1}, strange.ID); err != nil {
			t.Fatal(err)
		}
		if err := open(other, strange.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("owner type without authorizer: %v", err)
		}
		byEntry, err := files.OfEntries(ctx, d.Read(), []int64{5, 6, 0})
		if err != nil || len(byEntry) != 1 || len(byEntry[5]) != 1 || byEntry[5][0].ID != mine.ID {
			t.Errorf("of entries: %+v, %v", byEntry, err)
		}
		of, err := files.Of(ctx, d.Read(), "ticket", 3)
		if err != nil || len(of) != 1 {
			t.Errorf("of ticket: %+v, %v", of, err)
		}
		if err := files.Withdraw(ctx, me, upload(me, "d.png").ID); err != nil {
			t.Errorf("withdraw: %v", err)
		}
	})
}

func TestSweep(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		ctx := context.Background()
		store, err := blob.OpenFolder(t.TempDir(), c)
		if err != nil {
			t.Fatal(err)
		}
		run := action.NewRunner(d, nil)
		files := blob.NewFiles(run, store, 0)
		me := authz.Actor{Kind: authz.User, ID: 7}
		upload := func(text string) blob.File {
			t.Helper()
			f, err := files.Upload(ctx, me, "a.txt", strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
		kept, lost, shared := upload("kept"), upload("lost"), upload("kept")
		if _, err := store.Put(ctx, strings.NewReader("never a file"), 100); err != nil {
			t.Fatal(err)
		}
		err = run.Do(ctx, me, "test", func(ctx context.Context, a *action.Action) error {
			a.Nothing()
			_, err := files.Attach(ctx, a, []int64{kept.ID}, blob.Owner{Type: "ticket", ID: 1})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		sweep := func() (left int) {
			t.Helper()
			if err := files.Sweep(ctx); err != nil {
				t.Fatal(err)
			}
			if err := files.SweepContent(ctx); err != nil {
				t.Fatal(err)
			}
			if err := store.Walk(ctx, func(blob.Info) error { left++; return nil }); err != nil {
				t.Fatal(err)
			}
			return left
		}
		c.Advance(23 * time.Hour)
		if n := sweep(); n != 3 {
			t.Errorf("after 23 hours %d contents, want all 3", n)
		}
		fresh := upload("fresh")
		c.Advance(2 * time.Hour)
		if n := sweep(); n != 2 {
			t.Errorf("after 25 hours %d contents, want kept and fresh", n)
		}
		for id, want := range map[int64]bool{kept.ID: true, lost.ID: false, shared.ID: false, fresh.ID: true} {
			if _, err := files.Get(ctx, d.Read(), id); (err == nil) != want {
				t.Errorf("file %d: %v", id, err)
			}
		}
		if _, err := store.Stat(ctx, kept.SHA256); err != nil {
			t.Errorf("content still in use: %v", err)
		}
	})
}
