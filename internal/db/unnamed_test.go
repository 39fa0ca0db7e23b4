package db

import "testing"

func TestUnnamed(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"SELECT 1":                "SELECT 1",
		"a = $1 AND b IN ($2,$3)": "a = ? AND b IN (?,?)",
		"a = $2 AND b = $1":       "a = $2 AND b = $1",
		"a = $1 OR b = $1":        "a = $1 OR b = $1",
		"a = $2":                  "a = $2",
		"a = '$9' AND b = $1 AND c = 'it''s' || $2": "a = '$9' AND b = ? AND c = 'it''s' || ?",
		"a = $1 AND b = ?":                          "a = $1 AND b = ?",
		"a = '$1":                                   "a = '$1",
		"$1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11":        "?,?,?,?,?,?,?,?,?,?,?",
	} {
		if got := unnamed(in); got != want {
			t.Errorf("unnamed(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestSteady(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"SELECT 1 LIMIT $1":               "SELECT 1 LIMIT +$1",
		"SELECT (SELECT 1 LIMIT $2) = $1": "SELECT (SELECT 1 LIMIT +$2) = $1",
		"SELECT 1 LIMIT 20":               "SELECT 1 LIMIT 20",
	} {
		if got := steady(in); got != want {
			t.Errorf("steady(%q) = %q, want %q", in, got, want)
		}
	}
}
