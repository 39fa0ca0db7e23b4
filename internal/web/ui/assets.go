package ui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"bihuan/internal/fault"
	"bihuan/internal/web"
)

//go:embed assets templates
var files embed.FS

type assetFile struct {
	public      string // path with hash
	contentType string
	data        []byte
	once        sync.Once
	gz          []byte // nil when compressing does not pay
}

type assetSet struct{ byName, byPublic map[string]*assetFile }

var assets = loadAssets()

func loadAssets() *assetSet {
	a := &assetSet{map[string]*assetFile{}, map[string]*assetFile{}}
	sub, err := fs.Sub(files, "assets")
	if err != nil {
		panic(err)
	}
	names, err := fs.Glob(sub, "*")
	if err != nil {
		panic(err)
	}
	for _, n := range names {
		if !strings.HasSuffix(n, ".md") && !strings.HasSuffix(n, ".txt") {
			a.add(sub, n)
		}
	}
	return a
}

// AddAssets makes files of a room known under their base names, which must be
// unique in the program. Call it while packages are initialised.
func AddAssets(fsys fs.FS, names ...string) struct{} {
	for _, n := range names {
		assets.add(fsys, n)
	}
	return struct{}{}
}

func (a *assetSet) add(fsys fs.FS, name string) {
	b, err := fs.ReadFile(fsys, name)
	if err != nil {
		panic("ui: " + err.Error())
	}
	base := path.Base(name)
	if a.byName[base] != nil {
		panic("ui: two assets are called " + base)
	}
	switch {
	case strings.HasSuffix(base, ".css"):
		b = minifyCSS(b)
	case strings.HasSuffix(base, ".js") && !strings.HasSuffix(base, ".min.js"):
		b = minifyJS(b)
	}
	sum := sha256.Sum256(b)
	ext := path.Ext(base)
	f := &assetFile{data: b, contentType: mime.TypeByExtension(ext)}
	if ext == ".js" {
		f.contentType = "text/javascript; charset=utf-8"
	}
	f.public = "/static/" + strings.TrimSuffix(base, ext) + "." + hex.EncodeToString(sum[:5]) + ext
	a.byName[base], a.byPublic[path.Base(f.public)] = f, f
}

// minifyCSS drops comments and indentation; nothing in our files depends on
// them.
func minifyCSS(b []byte) []byte {
	var out bytes.Buffer
	for len(b) > 0 {
		i := bytes.Index(b, []byte("/*"))
		if i < 0 {
			break
		}
		j := bytes.Index(b[i:], []byte("*/"))
		if j < 0 {
			break
		}
		out.Write(b[:i])
		b = b[i+j+2:]
	}
	out.Write(b)
	var min bytes.Buffer
	for line := range bytes.Lines(out.Bytes()) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			min.Write(line)
			min.WriteByte('\n')
		}
	}
	return min.Bytes()
}

// trailing is a comment behind a statement; one with a quotation mark in it
// might stand in a string and stays.
var trailing = regexp.MustCompile(" // [^'\"`]*$")

// minifyJS drops lines that are comments, comments behind statements and
// indentation. No text in our scripts goes over the end of a line.
func minifyJS(b []byte) []byte {
	var min bytes.Buffer
	for line := range bytes.Lines(b) {
		if line = bytes.TrimSpace(line); len(line) == 0 || bytes.HasPrefix(line, []byte("//")) {
			continue
		}
		min.Write(trailing.ReplaceAll(line, nil))
		min.WriteByte('\n')
	}
	return min.Bytes()
}

// Asset returns the address of an asset. An unknown name stops the program,
// because templates are parsed at its start.
func Asset(name string) string {
	f := assets.byName[name]
	if f == nil {
		panic("ui: no asset " + name)
	}
	return f.public
}

func serveAsset(w http.ResponseWriter, r *web.Request) error {
	f := assets.byPublic[r.PathValue("file")]
	if f == nil {
		return fault.New(fault.NotFound, "ui.error.not_found")
	}
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("ETag", strconv.Quote(f.public))
	f.once.Do(func() {
		var b bytes.Buffer
		z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
		_, _ = z.Write(f.data)
		_ = z.Close()
		if b.Len() < len(f.data)*9/10 {
			f.gz = b.Bytes()
		}
	})
	data := f.data
	if f.gz != nil {
		h.Set("Vary", "Accept-Encoding")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") && r.Header.Get("Range") == "" {
			h.Set("Content-Encoding", "gzip")
			data = f.gz
		}
	}
	if r.Header.Get("If-None-Match") == strconv.Quote(f.public) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Length", strconv.Itoa(len(data)))
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	_, _ = w.Write(data)
	return nil
}
