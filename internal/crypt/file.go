package crypt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
)

// Load reads the key file at path. It refuses a file that others than its owner
// (and, read only, its group) can reach.
func Load(path string) (*Keeper, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("crypt: key file: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o027 != 0 {
		return nil, fmt.Errorf("%w: %s is open to others (mode %04o); chmod 600 it", ErrKeys, path, info.Mode().Perm())
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("crypt: key file: %w", err)
	}
	k, err := Parse(string(raw))
	if err != nil {
		return nil, fmt.Errorf("%w (%s)", err, path)
	}
	k.file.path, k.file.seen = path, info
	return k, nil
}

// LoadOrCreate reads the key file at path, or makes one when there is none, and
// says whether it did. A fresh file beside a database that already holds sealed
// values is a disaster in the making: compare [Keeper.Fingerprint].
//
// The file appears complete and on disk, or not at all; of two programs that
// start together both end with the same keys.
func LoadOrCreate(path string) (k *Keeper, created bool, err error) {
	k, err = Load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, false, err
	}
	if k, err = New(); err != nil {
		return nil, false, err
	}
	switch err = k.write(path, false); {
	case errors.Is(err, fs.ErrExist):
		k, err = Load(path)
		return k, false, err
	case err != nil:
		return nil, false, err
	}
	k, err = Load(path)
	return k, true, err
}

// file is where the keys came from and what the file was like then.
type file struct {
	mu   sync.Mutex
	path string
	seen os.FileInfo
}

// Path is the file the keys came from, "" for keys in memory.
func (k *Keeper) Path() string { return k.file.path }

// Save puts the keys in place of the file at path.
func (k *Keeper) Save(path string) error { return k.write(path, true) }

// Refresh takes up the keys of the key file if it was changed since it was last
// read, and reports whether they are others. A file that cannot be used, or that
// has no key in common with what is known, is an error and changes nothing.
func (k *Keeper) Refresh() (changed bool, err error) {
	k.file.mu.Lock()
	defer k.file.mu.Unlock()
	if k.file.path == "" {
		return false, nil
	}
	info, err := os.Stat(k.file.path)
	if err != nil {
		return false, fmt.Errorf("crypt: key file: %w", err)
	}
	if s := k.file.seen; s != nil && os.SameFile(s, info) && s.ModTime().Equal(info.ModTime()) && s.Size() == info.Size() {
		return false, nil
	}
	fresh, err := Load(k.file.path)
	if err != nil {
		return false, err
	}
	old, now := k.now.Load(), fresh.now.Load()
	if !slices.ContainsFunc(now.sealIDs, func(id uint32) bool { return slices.Contains(old.sealIDs, id) }) ||
		!slices.ContainsFunc(fresh.Marks(), func(m string) bool { return slices.Contains(k.Marks(), m) }) {
		return false, fmt.Errorf("%w: %s holds the keys of another installation", ErrKeys, k.file.path)
	}
	k.file.seen = fresh.file.seen
	if slices.Equal(old.sealIDs, now.sealIDs) && slices.Equal(old.indexOrder, now.indexOrder) && slices.Equal(old.signOrder, now.signOrder) {
		return false, nil
	}
	k.now.Store(now)
	return true, nil
}

// write puts the keys at path through a temporary file beside it. Without
// replace an existing file is left alone and the error is fs.ErrExist.
func (k *Keeper) write(path string, replace bool) (err error) {
	text, err := k.text()
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("crypt: key file: %w", err)
	}
	f, err := os.CreateTemp(dir, ".keys-*") // mode 0600
	if err != nil {
		return fmt.Errorf("crypt: key file: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("crypt: key file: %w", err)
	}
	if replace {
		err = os.Rename(f.Name(), path)
	} else if err = os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		// A file system without hard links: the check below is not atomic there.
		if _, statErr := os.Lstat(path); statErr == nil {
			return fmt.Errorf("crypt: key file: %w", fs.ErrExist)
		}
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("crypt: key file: %w", err)
	}
	if runtime.GOOS == "windows" {
		return nil // directories cannot be synced there
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("crypt: key file: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("crypt: key file: %w", err)
	}
	return nil
}
