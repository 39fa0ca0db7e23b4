package app

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bihuan/internal/backup"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/event"
	"bihuan/internal/i18n"
	"bihuan/internal/org"
)

// A copy of everything and its coming back are in the audit trail, and nobody is
// still signed in because he was when the copy was made.
func TestBackupAndRestoreAreRecorded(t *testing.T) {
	t.Parallel()
	url := func(t *testing.T) string { return "" }
	engines := map[string]func(t *testing.T) string{"sqlite": url}
	if server := os.Getenv("BIHUAN_TEST_POSTGRES"); server != "" {
		engines["postgres"] = func(t *testing.T) string {
			d, _ := dbtest.NewPostgres(t, server)
			defer d.Close()
			return d.URL()
		}
	}
	for name, at := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			cfg := Config{Data: t.TempDir(), Database: at(t), MaxUpload: 25}
			a, err := Open(ctx, cfg, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := a.Org.SignIn(ctx, a.FirstLogin, a.FirstPassword, "203.0.113.9", "test"); err != nil {
				t.Fatal(err)
			}
			src, err := a.backupSource(ctx)
			if err != nil {
				t.Fatal(err)
			}
			src.IncludeKey = true
			file := filepath.Join(t.TempDir(), "b.zip")
			r, err := backup.Write(ctx, src, file)
			if err != nil {
				t.Fatal(err)
			}
			if err := recordBackup(ctx, a.Run, r); err != nil {
				t.Fatal(err)
			}
			kinds := func(a *App) (out string) {
				evs, err := event.List(ctx, a.DB.Read(), event.Filter{Subject: event.Subject{Type: "backup"}})
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range evs {
					out += e.Kind + " "
					for _, l := range i18n.Langs {
						if s := org.Read(e).Sentence(l); strings.Contains(s, "{") || strings.Contains(s, "⟦") {
							t.Errorf("%s", s)
						}
					}
				}
				return out
			}
			if got := kinds(a); got != eventKeyTaken+" "+eventBackup+" " {
				t.Errorf("after the backup: %q", got)
			}
			a.Close()

			back := Config{Data: filepath.Join(t.TempDir(), "new"), Database: at(t), MaxUpload: 25}
			var out bytes.Buffer
			cmd := restoreCmd{store: store{back}, File: file, Force: true}
			if err := cmd.Run(&env{ctx, &out, &out}); err != nil {
				t.Fatal(err)
			}
			b, err := Open(ctx, back, Options{Offline: true})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			if got := kinds(b); got != eventRestore+" " {
				t.Errorf("after the restore: %q", got)
			}
			var n int
			if err := b.DB.Read().QueryRow(ctx, `SELECT COUNT(*) FROM user_sessions`).Scan(&n); err != nil || n != 0 {
				t.Errorf("%d people are still signed in (%v)", n, err)
			}
			if rep, err := event.Verify(ctx, b.DB.Read()); err != nil || rep.BrokenAt != 0 {
				t.Errorf("chain: %+v, %v", rep, err)
			}
		})
	}
}
