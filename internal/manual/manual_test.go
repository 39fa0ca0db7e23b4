package manual

import (
	"strings"
	"testing"

	"bihuan/internal/web/ui/uitest"
)

func TestPages(t *testing.T) { uitest.Pages(t) }

func TestText(t *testing.T) {
	t.Parallel()
	v, err := text()
	if err != nil || len(v.Contents) < 3 || strings.Contains(string(v.Text), "style=") {
		t.Errorf("manual: %v, chapters %v, %d bytes", err, v.Contents, len(v.Text))
	}
	for _, c := range v.Contents {
		if !strings.Contains(string(v.Text), `id="`+strings.TrimPrefix(c.Href, "#")+`"`) {
			t.Errorf("chapter %s leads nowhere", c.Title)
		}
	}
}
