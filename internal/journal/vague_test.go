package journal

import (
	"bufio"
	_ "embed"
	"strings"
	"testing"
)

//go:embed testdata/records.tsv
var labelled string

// FLW-3: how well vague records are told from those that say something. The
// words were chosen with the development half in view; the bar holds for the
// half that was kept aside.
func TestVagueMeasured(t *testing.T) {
	t.Parallel()
	type score struct{ right, called, vague, all int }
	by := map[string]*score{"development": {}, "held-out": {}}
	for in := bufio.NewScanner(strings.NewReader(labelled)); in.Scan(); {
		p := strings.Split(in.Text(), "\t")
		if strings.HasPrefix(in.Text(), "#") || len(p) != 3 {
			continue
		}
		s, vague, called := by[p[0]], p[1] == "vague", len(Vague(p[2])) > 0
		s.all++
		if vague {
			s.vague++
		}
		if called {
			s.called++
		}
		if vague && called {
			s.right++
		}
		if vague != called && p[0] == "development" {
			t.Logf("%s half: %q is %s", p[0], p[2], p[1])
		}
	}
	for half, s := range by {
		precision, recall := 100*float64(s.right)/float64(s.called), 100*float64(s.right)/float64(s.vague)
		t.Logf("%s half: %d records, %d vague; precision %.1f %%, recall %.1f %%", half, s.all, s.vague, precision, recall)
		if s.all != 150 || s.vague != 75 {
			t.Errorf("%s half: %d records, %d of them vague", half, s.all, s.vague)
		}
		if precision < 90 || recall < 85 {
			t.Errorf("%s half: precision %.1f %% (at least 90), recall %.1f %% (at least 85)", half, precision, recall)
		}
	}
}
