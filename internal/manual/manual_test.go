package manual

import (
	"strings"
	"testing"

	"bihuan/internal/web/ui/uitest"
)

func TestPages(t *testing.T) { uitest.Pages(t) }

func TestText(t *testing.T) {
	t.Parallel()
	html, err := text()
	if err != nil || !strings.Contains(string(html), "<h2") || strings.Contains(string(html), "style=") {
		t.Errorf("manual: %v, %d bytes", err, len(html))
	}
}
