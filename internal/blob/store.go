// Package blob keeps attachments: the content once per SHA-256 in a store, and
// for each use of it a row that says its name and to what it belongs.
//
// What always holds: content that was put is on disk before its row is written;
// a file belongs to exactly one record, and whoever may read that record, and
// nobody else, may read the file; what a browser might run is only ever
// downloaded, never shown.
package blob

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"bihuan/internal/clock"
	"bihuan/internal/fault"
)

// Info describes stored content.
type Info struct {
	SHA256 string // hexadecimal
	Size   int64
	PutAt  time.Time // when it was put last
}

// Store keeps content by its SHA-256.
type Store interface {
	// Put stores what r holds, at most maxBytes (Limited beyond), and returns
	// after it is on disk. Putting the same content again costs no space.
	Put(ctx context.Context, r io.Reader, maxBytes int64) (Info, error)
	// Open returns the content, NotFound when there is none.
	Open(ctx context.Context, sha256 string) (io.ReadSeekCloser, error)
	Stat(ctx context.Context, sha256 string) (Info, error)
	// Delete removes content unless it was put again since before; no error
	// when there is none.
	Delete(ctx context.Context, sha256 string, before time.Time) error
	// Walk calls f for all content, in no order, until f returns an error.
	Walk(ctx context.Context, f func(Info) error) error
}

// Folder is a Store in a local folder, two levels deep: ab/cd/abcd….
type Folder struct {
	root  string
	clock clock.Clock
	// mu keeps Delete from removing what Put has just found in place. Nodes
	// that share a folder are told apart by the day that Delete leaves.
	mu sync.Mutex
}

// OpenFolder returns the store in dir, which is made when missing.
func OpenFolder(dir string, c clock.Clock) (*Folder, error) {
	f := &Folder{root: dir, clock: c}
	if err := os.MkdirAll(f.tmp(), 0o700); err != nil {
		return nil, fmt.Errorf("blob: folder: %w", err)
	}
	// Left behind by a process that died while receiving.
	old, err := os.ReadDir(f.tmp())
	if err != nil {
		return nil, fmt.Errorf("blob: folder: %w", err)
	}
	for _, e := range old {
		if i, err := e.Info(); err == nil && time.Since(i.ModTime()) > 24*time.Hour {
			os.Remove(filepath.Join(f.tmp(), e.Name()))
		}
	}
	return f, nil
}

func (f *Folder) tmp() string { return filepath.Join(f.root, "tmp") }

// Path returns where in a store's folder the content is, "" for what is no
// SHA-256.
func Path(sum string) string {
	if len(sum) != 2*sha256.Size {
		return ""
	}
	for _, c := range []byte(sum) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return ""
		}
	}
	return filepath.Join(sum[:2], sum[2:4], sum)
}

// TooLarge is the refusal of content over the limit.
func TooLarge(maxBytes int64) *fault.Error {
	return fault.New(fault.Limited, "blob.too_large", Size(maxBytes))
}

// Size says n bytes for people: 25 MB, 1.5 MB, 300 KB.
func Size(n int64) string {
	switch {
	case n >= 1<<20 && n%(1<<20) != 0 && n < 10<<20:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	case n >= 1<<20:
		return fmt.Sprintf("%d MB", n>>20)
	case n >= 1<<10:
		return fmt.Sprintf("%d KB", n>>10)
	}
	return fmt.Sprintf("%d B", n)
}

// Put implements Store.
func (f *Folder) Put(ctx context.Context, r io.Reader, maxBytes int64) (info Info, err error) {
	tmp, err := os.OpenFile(filepath.Join(f.tmp(), rand.Text()), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return Info{}, fmt.Errorf("blob: put: %w", err)
	}
	defer func() {
		if err != nil {
			tmp.Close()
			os.Remove(tmp.Name())
		}
	}()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(tmp, h), io.LimitReader(stopping{ctx, r}, maxBytes+1))
	if err != nil {
		return Info{}, fmt.Errorf("blob: receive: %w", err)
	}
	if n > maxBytes {
		return Info{}, TooLarge(maxBytes)
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return Info{}, fmt.Errorf("blob: put: %w", err)
	}
	info = Info{SHA256: hex.EncodeToString(h.Sum(nil)), Size: n, PutAt: f.clock.Now()}
	if err := os.Chtimes(tmp.Name(), info.PutAt, info.PutAt); err != nil {
		return Info{}, fmt.Errorf("blob: put: %w", err)
	}
	to := filepath.Join(f.root, Path(info.SHA256))
	if err := mkdirSynced(f.root, filepath.Dir(to)); err != nil {
		return Info{}, fmt.Errorf("blob: put: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	// Over what is there: it renews the time, and repairs content that has rotted.
	if err := os.Rename(tmp.Name(), to); err != nil {
		return Info{}, fmt.Errorf("blob: put: %w", err)
	}
	if err := syncDir(filepath.Dir(to)); err != nil {
		return Info{}, fmt.Errorf("blob: put: %w", err)
	}
	return info, nil
}

// stopping ends a transfer whose request is gone.
type stopping struct {
	ctx context.Context
	r   io.Reader
}

func (s stopping) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}

// mkdirSynced makes dir below root, and each new name in it durable.
func mkdirSynced(root, dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if dir != root {
		if err := mkdirSynced(root, filepath.Dir(dir)); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func notFound() error { return fault.New(fault.NotFound, "blob.not_found") }

// Open implements Store.
func (f *Folder) Open(_ context.Context, sum string) (io.ReadSeekCloser, error) {
	p := Path(sum)
	if p == "" {
		return nil, notFound()
	}
	file, err := os.Open(filepath.Join(f.root, p))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "blob.content_missing").Wrap(err)
	}
	if err != nil {
		return nil, fmt.Errorf("blob: open: %w", err)
	}
	return file, nil
}

// Stat implements Store.
func (f *Folder) Stat(_ context.Context, sum string) (Info, error) {
	p := Path(sum)
	if p == "" {
		return Info{}, notFound()
	}
	i, err := os.Stat(filepath.Join(f.root, p))
	if errors.Is(err, fs.ErrNotExist) {
		return Info{}, fault.New(fault.NotFound, "blob.content_missing").Wrap(err)
	}
	if err != nil {
		return Info{}, fmt.Errorf("blob: stat: %w", err)
	}
	return Info{SHA256: sum, Size: i.Size(), PutAt: i.ModTime().UTC()}, nil
}

// Delete implements Store.
func (f *Folder) Delete(ctx context.Context, sum string, before time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	i, err := f.Stat(ctx, sum)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil || !i.PutAt.Before(before) {
		return err
	}
	if err := os.Remove(filepath.Join(f.root, Path(sum))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("blob: delete: %w", err)
	}
	return nil
}

// Walk implements Store.
func (f *Folder) Walk(ctx context.Context, each func(Info) error) error {
	return filepath.WalkDir(f.root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return fmt.Errorf("blob: walk: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if e.IsDir() {
			if path == f.tmp() {
				return fs.SkipDir
			}
			return nil
		}
		if Path(e.Name()) == "" {
			return nil
		}
		i, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("blob: walk: %w", err)
		}
		return each(Info{SHA256: e.Name(), Size: i.Size(), PutAt: i.ModTime().UTC()})
	})
}
