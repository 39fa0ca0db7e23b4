package setting_test

import (
	"context"
	"testing"

	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/setting"
)

func TestSetting(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		ctx := context.Background()
		read := func(want string) {
			t.Helper()
			v := "default"
			if err := setting.Read(ctx, d.Read(), "x.word", &v); err != nil || v != want {
				t.Errorf("read %q (%v), want %q", v, err, want)
			}
		}
		read("default")
		for _, v := range []any{"第一", "第二"} {
			if err := d.Write(ctx, func(ctx context.Context, tx *db.Tx) error { return setting.Write(ctx, tx, "x.word", v) }); err != nil {
				t.Fatal(err)
			}
			read(v.(string))
		}
		var n int
		if err := setting.Read(ctx, d.Read(), "x.word", &n); err == nil {
			t.Error("a word was read as a number")
		}
	})
}
