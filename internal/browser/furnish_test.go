package browser

import (
	"testing"

	"bihuan/internal/app/apptest"
)

// furnish gives the screens something to show.
func furnish(t *testing.T, h *apptest.House) { t.Helper() }

// examples are addresses no link leads to, e.g. those sent to customers.
func examples(t *testing.T, h *apptest.House) []string { t.Helper(); return nil }
