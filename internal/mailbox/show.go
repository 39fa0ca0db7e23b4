package mailbox

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"bihuan/internal/eml"
	"bihuan/internal/outbound"
)

const (
	maxInline   = 12 << 20 // pictures within one text, together
	maxPicture  = 3 << 20
	maxPictures = 20
	pictureTime = 12 * time.Second
)

// HTML is the cleaned HTML of a mail, with the pictures that came with it in their
// places. Those of the web are fetched by this machine, when somebody asks for
// them: the sender does not learn who reads his mail, and where. blocked counts
// those that are left out.
func (s *Service) HTML(ctx context.Context, m *eml.Message, remote bool) (html string, blocked int) {
	total := 0
	inline := func(cid string) string {
		for _, f := range m.Files {
			if f.ContentID != "" && strings.EqualFold(f.ContentID, cid) {
				return dataURL(f.Data, &total)
			}
		}
		return ""
	}
	html, blocked = eml.Safe(m.HTML, eml.Pictures{Inline: inline})
	if !remote || blocked == 0 {
		return html, blocked
	}
	// Once to learn the addresses, once with what was found there.
	var wanted []string
	eml.Safe(m.HTML, eml.Pictures{Remote: func(a string) string {
		if len(wanted) < maxPictures {
			wanted = append(wanted, a)
		}
		return ""
	}})
	ctx, cancel := context.WithTimeout(ctx, pictureTime)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	got := map[string][]byte{}
	slots := make(chan struct{}, 4)
	for _, a := range wanted {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			b := s.picture(ctx, a)
			mu.Lock()
			defer mu.Unlock()
			got[a] = b
		})
	}
	wg.Wait()
	total = 0
	return eml.Safe(m.HTML, eml.Pictures{Inline: inline, Remote: func(a string) string { return dataURL(got[a], &total) }})
}

// picture fetches one from the public internet; nil when there is none.
func (s *Service) picture(ctx context.Context, address string) []byte {
	u, err := outbound.Parse(address)
	if err != nil {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil
	}
	req.Header.Set("User-Agent", "Mozilla/5.0")
	res, err := s.net.Client(u.Hostname(), nil).Do(req)
	if err != nil {
		return nil
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxPicture+1))
	if err != nil || res.StatusCode != http.StatusOK || len(b) > maxPicture {
		return nil
	}
	return b
}

// dataURL is a picture as an address of its own: the frame that shows it may load
// nothing. "" for what is no picture; drawings that can hold scripts are none.
func dataURL(b []byte, total *int) string {
	kind, _, _ := strings.Cut(http.DetectContentType(b), ";")
	switch kind {
	case "image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp":
	default:
		return ""
	}
	if *total += len(b); *total > maxInline {
		return ""
	}
	return "data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(b)
}
