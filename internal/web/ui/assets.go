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
	"strconv"
	"strings"
	"sync"

	"bihuan/internal/fault"
	"bihuan/internal/web"

	"github.com/tdewolff/minify/v2"
	"github.com/tdewolff/minify/v2/css"
	"github.com/tdewolff/minify/v2/js"
	"github.com/tdewolff/minify/v2/svg"
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
	if ext := path.Ext(base); (ext == ".css" || ext == ".js" || ext == ".svg") && !strings.HasSuffix(base, ".min.js") {
		b = shrunk(base, b)
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

// shrinker takes out of styles, scripts and drawings what only people need; names that
// other files use stay.
var shrinker = func() *minify.M {
	m := minify.New()
	m.AddFunc("css", css.Minify)
	m.AddFunc("js", js.Minify)
	m.AddFunc("svg", svg.Minify)
	return m
}()

// shrunk is b without comments, spaces and long names. Ours are tested in a
// browser, so that a file the shrinker does not understand stops the program.
func shrunk(name string, b []byte) []byte {
	out, err := shrinker.Bytes(strings.TrimPrefix(path.Ext(name), "."), b)
	if err != nil {
		panic("ui: " + name + ": " + err.Error())
	}
	return out
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
