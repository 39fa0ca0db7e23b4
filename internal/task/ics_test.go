package task

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"bihuan/internal/i18n"
)

// RFC 5545: lines of at most 75 octets that tear no character, CRLF, escaped
// text, times in UTC, whole days as dates, ids that stay.
func TestCalendarFile(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("CST", 8*3600)
	at := time.Date(2026, 11, 23, 15, 0, 0, 0, zone)
	made := time.Date(2026, 11, 22, 9, 30, 0, 0, zone)
	base := func(id int64, s State) Task {
		return Task{ID: id, DueAt: at, State: s, Remind: 30, CreatedAt: made, UpdatedAt: made, Version: 3}
	}
	whole := base(3, Open)
	whole.AllDay, whole.DueAt = true, EndOf(time.Date(2026, 12, 31, 0, 0, 0, 0, zone))
	got := string(written(i18n.ZhCN, "任务 · 林晓雯", "crm.example.cn", zone, []appointment{
		{base(1, Open), `回访; 确认, 备件\电源` + "\n第二行", "", "https://crm.example.cn/tasks/1"},
		{base(2, Cancelled), "请向广州南粤医疗器械股份有限公司确认上周更换的主板运行是否正常并收集验收单据和现场照片", "", "https://crm.example.cn/tasks/2"},
		{whole, "年终盘点", "", ""},
		{base(4, Done), "✓ 已完成", "", ""},
	}))
	for _, l := range strings.Split(strings.TrimSuffix(got, "\r\n"), "\r\n") {
		if len(l) > 75 || !utf8.ValidString(l) || strings.ContainsAny(l, "\r\n") {
			t.Errorf("line of %d octets: %q", len(l), l)
		}
	}
	unfolded := strings.ReplaceAll(got, "\r\n ", "")
	for _, want := range []string{"SUMMARY:请向广州南粤医疗器械股份有限公司确认上周更换的主板运行是否正常并收集验收单据和现场照片\r\n", `SUMMARY:回访\; 确认\, 备件\\电源\n第二行`, "UID:task-1@crm.example.cn\r\n"} {
		if !strings.Contains(unfolded, want) {
			t.Errorf("%q is missing", want)
		}
	}
	golden := filepath.Join("testdata", "tasks.ics")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("differs from %s:\n%s", golden, got)
	}
}

// A task that lasts all day is late when the day is over where the company is,
// not before, also where clocks are put forward that night.
func TestWholeDay(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	for _, zone := range []*time.Location{time.FixedZone("CST", 8*3600), time.UTC, time.FixedZone("-0930", -9*3600-1800), berlin} {
		for _, day := range []time.Time{time.Date(2026, 2, 28, 12, 0, 0, 0, zone), time.Date(2026, 12, 31, 1, 0, 0, 0, zone), time.Date(2026, 3, 29, 12, 0, 0, 0, zone), time.Date(2026, 10, 25, 12, 0, 0, 0, zone)} {
			x := Task{State: Open, AllDay: true, DueAt: EndOf(day)}
			if got := x.DueAt.In(zone).Format(time.DateOnly); got != day.Format(time.DateOnly) {
				t.Errorf("%s: the end of %s is on %s", zone, day.Format(time.DateOnly), got)
			}
			if x.Late(x.DueAt) || !x.Late(x.DueAt.Add(2*time.Second)) {
				t.Errorf("%s: late at the wrong moment of %s", zone, day)
			}
		}
	}
}
