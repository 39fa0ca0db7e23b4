package privacy

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"bihuan/internal/action"
	"bihuan/internal/blob"
	"bihuan/internal/fault"

	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
)

// Bounds of what is read of one file: a zip file may promise anything.
const (
	maxContent  = 64 << 20
	maxUnpacked = 512 << 20
)

var tag = regexp.MustCompile(`<[^>]*>`)

// inContent reports whether a value stands in a file: in tables, documents and
// pages of text. What pictures show, nobody reads here.
func (w words) inContent(raw []byte) bool {
	budget := int64(maxUnpacked)
	return w.inBytes(raw, 0, &budget)
}

func (w words) inBytes(raw []byte, depth int, budget *int64) bool {
	if bytes.HasPrefix(raw, []byte("PK\x03\x04")) && depth < 3 {
		z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			return false
		}
		for _, f := range z.File {
			if w.in(f.Name) {
				return true
			}
			r, err := f.Open()
			if err != nil {
				continue
			}
			part, err := io.ReadAll(io.LimitReader(r, min(maxContent, *budget)))
			r.Close()
			*budget -= int64(len(part))
			if err == nil && w.inBytes(part, depth+1, budget) {
				return true
			}
		}
		return false
	}
	for _, magic := range []string{"\x89PNG", "\xff\xd8\xff", "GIF8", "RIFF", "\x1aE\xdf\xa3", "ID3", "%PDF"} {
		if bytes.HasPrefix(raw, []byte(magic)) {
			return false
		}
	}
	text := decoded(raw)
	if strings.HasPrefix(strings.TrimSpace(text), "<") {
		// A word may be cut by tags, and words may be parted by nothing else.
		return len(w.spans(tag.ReplaceAllString(text, "\n"))) > 0 || len(w.spans(tag.ReplaceAllString(text, ""))) > 0
	}
	return len(w.spans(text)) > 0
}

// decoded is the text of a file in whatever encoding it is.
func decoded(raw []byte) string {
	switch {
	case bytes.HasPrefix(raw, []byte("\xff\xfe")) || bytes.HasPrefix(raw, []byte("\xfe\xff")):
		if out, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewDecoder().Bytes(raw); err == nil {
			return string(out)
		}
	case !utf8.Valid(raw):
		if out, err := simplifiedchinese.GB18030.NewDecoder().Bytes(raw); err == nil {
			return string(out)
		}
	}
	return string(raw)
}

// fileHit is a file that holds something of a person.
type fileHit struct {
	blob.File
	own bool // belongs to a record that is erased
}

// contents looks through all files for p.
func (s *Service) contents(ctx context.Context, p *person) (hits []fileHit, looked int64, err error) {
	type verdict struct{ own, others bool }
	seen := map[string]verdict{}
	for after := int64(0); ; {
		fs, err := s.Files.After(ctx, s.db().Read(), after, 500)
		if err != nil {
			return nil, looked, err
		}
		if len(fs) == 0 {
			return hits, looked, nil
		}
		for _, f := range fs {
			after = f.ID
			looked++
			if f.Owner.Type == "ticket" && p.erased[f.Owner.ID] || f.Owner.Type == "customer" && p.whole[f.Owner.ID] {
				hits = append(hits, fileHit{f, true})
				continue
			}
			v, ok := seen[f.SHA256]
			if !ok {
				raw, err := s.content(ctx, f)
				if err != nil {
					return nil, looked, err
				}
				v = verdict{p.own.inContent(raw), p.others.inContent(raw)}
				seen[f.SHA256] = v
			}
			its := f.Owner.Type == "ticket" && p.tickets[f.Owner.ID] || f.Owner.Type == "customer" && p.customers[f.Owner.ID]
			if v.others || v.own && its {
				hits = append(hits, fileHit{f, its})
			}
		}
	}
}

// content reads a file; nil when it is a picture, or its content is gone.
func (s *Service) content(ctx context.Context, f blob.File) ([]byte, error) {
	if strings.HasPrefix(f.MIME, "image/") || strings.HasPrefix(f.MIME, "video/") || strings.HasPrefix(f.MIME, "audio/") || f.Size > maxContent {
		return nil, nil
	}
	r, err := s.Files.Store().Open(ctx, f.SHA256)
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("privacy: file %d: %w", f.ID, err)
	}
	defer r.Close()
	raw, err := io.ReadAll(io.LimitReader(r, maxContent))
	if err != nil {
		return nil, fmt.Errorf("privacy: file %d: %w", f.ID, err)
	}
	return raw, nil
}

// removeFiles takes files away with their content, and tells whoever referred to
// them.
func (s *Service) removeFiles(ctx context.Context, fs []blob.File, name string) error {
	for part := range slices.Chunk(fs, 100) {
		var sums []string
		err := s.run.Do(ctx, worker(), name, func(ctx context.Context, a *action.Action) error {
			sums = sums[:0]
			a.Nothing()
			var ids []int64
			for _, f := range part {
				if err := s.Files.Remove(ctx, a, f); err != nil && !fault.Is(err, fault.NotFound) {
					return err
				}
				ids, sums = append(ids, f.ID), append(sums, f.SHA256)
			}
			return s.filesGone(ctx, a, ids)
		})
		if err == nil {
			err = s.Files.Drop(ctx, sums)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// filesGone forgets files that are removed.
func (s *Service) filesGone(ctx context.Context, a *action.Action, ids []int64) error {
	var errs []error
	for _, h := range s.holders {
		errs = append(errs, h.Forget(ctx, a, Gone{Files: ids}))
	}
	for _, id := range ids {
		_, err := a.Exec(ctx, `UPDATE disclosures SET file_id = 0, state = 'expired' WHERE file_id = $1`, id)
		_, err2 := a.Exec(ctx, `UPDATE person_requests SET file_id = 0, expires_at = 0 WHERE file_id = $1`, id)
		errs = append(errs, err, err2)
	}
	return errors.Join(errs...)
}
