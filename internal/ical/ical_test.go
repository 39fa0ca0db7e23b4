package ical

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestInvitation(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("CST", 8*3600)
	at := time.Date(2026, 11, 23, 15, 0, 0, 0, zone)
	c := Calendar{Product: "Tickets", Lang: "ZH", Method: Request, Entries: []Entry{{UID: "conference-3@crm.example.cn", CreatedAt: at.Add(-time.Hour), UpdatedAt: at.Add(-time.Minute), Sequence: 2,
		Start: at, End: at.Add(time.Hour), Summary: "同一批次设备多次返修的处理口径; 请带上返修单", Description: "第一行\n第二行", Place: "3 楼, 302", URL: "https://crm.example.cn/tickets/TASK1",
		Organizer: &Person{"陈\"思远\"\n", "chen@example.cn"}, People: []Person{{"何怡", "he@example.cn"}}, Busy: true, Alarm: 15}}}
	got := string(c.Bytes())
	for _, l := range strings.Split(strings.TrimSuffix(got, "\r\n"), "\r\n") {
		if len(l) > 75 || !utf8.ValidString(l) || strings.ContainsAny(l, "\r\n") {
			t.Errorf("line of %d octets: %q", len(l), l)
		}
	}
	flat := strings.ReplaceAll(got, "\r\n ", "")
	for _, want := range []string{"METHOD:REQUEST\r\n", "UID:conference-3@crm.example.cn\r\n", "SEQUENCE:2\r\n", "DTSTART:20261123T070000Z\r\n", "DTEND:20261123T080000Z\r\n",
		`SUMMARY:同一批次设备多次返修的处理口径\; 请带上返修单`, `DESCRIPTION:第一行\n第二行`, `LOCATION:3 楼\, 302`, `ORGANIZER;CN="陈 思远  ":mailto:chen@example.cn`,
		`RSVP=TRUE;CN="何怡":mailto:he@example.cn`, "TRANSP:OPAQUE", "TRIGGER:-PT15M", "STATUS:CONFIRMED"} {
		if !strings.Contains(flat, want) {
			t.Errorf("%q is missing in\n%s", want, flat)
		}
	}
	if strings.Contains(got, "X-WR-CALNAME") || strings.Contains(got, "REFRESH") {
		t.Error("an invitation is no calendar to subscribe to")
	}
	c.Method, c.Entries[0].Cancelled = Cancel, true
	if got := string(c.Bytes()); !strings.Contains(got, "METHOD:CANCEL") || !strings.Contains(got, "STATUS:CANCELLED") || strings.Contains(got, "VALARM") {
		t.Errorf("called off:\n%s", got)
	}
}
