package sheet

import (
	"bytes"
	"slices"
	"testing"

	"github.com/xuri/excelize/v2"
)

// TestMerged: cells merged over rows hold their value in each of them; a hidden
// sheet is read only when there is no other.
func TestMerged(t *testing.T) {
	t.Parallel()
	f := excelize.NewFile()
	defer f.Close()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(f.NewSheet("数据"))
	must(nil, f.SetSheetVisible("数据", true))
	set(t, f, "Sheet1", 0, 1, "隐藏")
	for _, c := range []struct {
		col, row int
		v        string
	}{{0, 1, "名单"}, {0, 2, "南粤"}, {1, 2, "甲"}, {1, 3, "乙"}, {2, 3, "x"}, {1, 4, "丙"}, {0, 6, "大光"}, {2, 7, "有"}} {
		set(t, f, "数据", c.col, c.row, c.v)
	}
	must(nil, f.MergeCell("数据", "A1", "C1"))
	must(nil, f.MergeCell("数据", "A2", "A5"))
	must(nil, f.MergeCell("数据", "A6", "B7"))
	f.SetActiveSheet(1)
	must(nil, f.SetSheetVisible("Sheet1", false))
	var b bytes.Buffer
	must(nil, f.Write(&b))
	got, r, err := readAll(b.Bytes(), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"1:名单", "2:南粤|甲", "3:南粤|乙|x", "4:南粤|丙", "6:大光", "7:大光||有"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if r.Sheet() != "数据" {
		t.Errorf("read %q", r.Sheet())
	}
	if err := r.Use("数据"); err != nil {
		t.Fatal(err)
	}
	if again, err := all(r); err != nil || len(again) != 6 || again[2] != "4:南粤|丙" && again[3] != "4:南粤|丙" {
		t.Errorf("again %q %v", again, err)
	}
}
