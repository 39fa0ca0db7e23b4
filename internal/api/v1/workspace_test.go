package v1

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"bihuan/internal/job"
	"bihuan/internal/sheet"
)

// Many tickets are changed by one call, by number and by condition; what is
// refused is named, and a program without the permission is refused itself.
func TestTicketBulks(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		agent, head := w.token("kefu"), w.token("zhuguan")
		var numbers []string
		for i := range 3 {
			a := w.want(201, agent, "POST /tickets", fmt.Sprintf(`{"title":"批量 %d","type":"consultation","customer":%q,"urgency":"low"}`, i, w.Cust.Number))
			numbers = append(numbers, a.at("number"))
		}
		body := fmt.Sprintf(`{"tickets":[%q,%q],"change":"urgency","urgency":"urgent"}`, numbers[0], numbers[1])
		a := w.want(201, agent, "POST /ticket-bulks", body, "Idempotency-Key", "bulk-1")
		if a.at("state") != "finished" || a.at("changed") != "2" || a.at("refused") != "0" || a.Header.Get("Location") != "/api/v1/ticket-bulks/"+a.at("id") {
			t.Errorf("changed: %s", a.Raw)
		}
		again := w.want(201, agent, "POST /ticket-bulks", body, "Idempotency-Key", "bulk-1")
		if again.at("id") != a.at("id") || again.Header.Get("Idempotent-Replayed") != "true" {
			t.Errorf("again: %s", again.Raw)
		}
		if x := w.want(200, agent, "GET /tickets/"+numbers[0], ""); x.at("urgency") != "urgent" {
			t.Errorf("ticket: %s", x.Raw)
		}
		w.want(404, head, "GET /ticket-bulks/"+a.at("id"), "") // somebody else's
		w.want(409, agent, "POST /ticket-bulks/"+a.at("id")+"/pause", "")
		if x := w.want(200, agent, "GET /ticket-bulks", ""); x.at("items") != "1" || x.at("items.0.urgency") != "urgent" {
			t.Errorf("list: %s", x.Raw)
		}
		// By condition; closing what is not completed is refused, each with its reason.
		a = w.want(201, head, "POST /ticket-bulks", `{"filter":{"open":"true","filter":{"v":1,"all":[{"field":"title","op":"has","values":["批量"]}]}},"change":"close"}`)
		if a.at("total") != "3" || a.at("refused") != "3" || a.at("results.0.outcome") != "failed" || a.at("results.0.reason") == "" {
			t.Errorf("refused: %s", a.Raw)
		}
		page := w.want(200, head, "GET /ticket-bulks/"+a.at("id")+"?limit=2", "")
		if page.at("results") != "2" || page.at("next") == "" {
			t.Errorf("page: %s", page.Raw)
		}
		if rest := w.want(200, head, "GET /ticket-bulks/"+a.at("id")+"?limit=2&cursor="+page.at("next"), ""); rest.at("results") != "1" || rest.at("next") != "" {
			t.Errorf("rest: %s", rest.Raw)
		}
		for body, want := range map[string]string{
			`{"change":"close"}`: "tickets=api.tickets_or_filter",
			fmt.Sprintf(`{"tickets":[%q,"T0"],"change":"close"}`, numbers[0]):                       "tickets.1=api.unknown_ticket",
			fmt.Sprintf(`{"tickets":[%q],"change":"close","urgency":"low"}`, numbers[0]):            "urgency=api.pick_change",
			fmt.Sprintf(`{"tickets":[%q],"change":"assign"}`, numbers[0]):                           "assignee=ticket.need_assignee",
			`{"filter":{"view":"nonsense"},"change":"close"}`:                                       "filter.view=api.bad_parameter",
			`{"filter":{"filter":{"all":[{"field":"salary","op":"set"}]}},"change":"close"}`:        "filter.filter.0=customer.query.field",
			fmt.Sprintf(`{"tickets":[%q],"change":"urgency","urgency":"extreme"}`, numbers[0]):      "urgency=ticket.need_choice",
			fmt.Sprintf(`{"tickets":[%q],"change":"watcher","assignee":"nobody-here"}`, numbers[0]): "assignee=api.unknown_person",
		} {
			if a := w.want(422, head, "POST /ticket-bulks", body); a.fields() != want {
				t.Errorf("%s: %s", body, a.fields())
			}
		}
		w.want(403, w.token("kefu", "tickets:read"), "POST /ticket-bulks", body)
		// Another department's tickets are not there for the store of a stranger.
		if a := w.want(422, w.token("gong"), "POST /ticket-bulks", body); a.fields() != "tickets.0=api.unknown_ticket tickets.1=api.unknown_ticket" {
			t.Errorf("stranger: %s", a.Raw)
		}
	})
}

// Tabs, putting off, checklist and saved views are the caller's own.
func TestTicketWorkspace(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		agent, head, stranger := w.token("kefu"), w.token("zhuguan"), w.token("gong")
		n := w.want(201, agent, "POST /tickets", fmt.Sprintf(`{"title":"打印机卡纸","type":"consultation","customer":%q}`, w.Cust.Number)).at("number")
		if a := w.want(200, agent, "PUT /tabs/"+n, ""); a.at("items.0.number") != n {
			t.Errorf("tabs: %s", a.Raw)
		}
		if a := w.want(200, head, "GET /tabs", ""); a.at("items") != "0" {
			t.Errorf("somebody else's tabs: %s", a.Raw)
		}
		w.want(404, stranger, "PUT /tabs/"+n, "")
		if a := w.want(200, agent, "DELETE /tabs/"+n, ""); a.at("items") != "0" {
			t.Errorf("closed: %s", a.Raw)
		}

		until := w.Clock.Now().AddDate(0, 0, 2).Format("2006-01-02T15:04:05Z07:00")
		w.want(200, agent, "PUT /tickets/"+n+"/snooze", `{"until":"`+until+`"}`)
		if a := w.want(200, agent, "GET /tickets/"+n+"/snooze", ""); a.at("until") == "" {
			t.Errorf("put off: %s", a.Raw)
		}
		if a := w.want(200, agent, "GET /tickets?view=snoozed", ""); a.at("items") != "1" {
			t.Errorf("view: %s", a.Raw)
		}
		if a := w.want(200, head, "GET /tickets/"+n+"/snooze", ""); a.at("until") != "" {
			t.Errorf("somebody else: %s", a.Raw)
		}
		if a := w.want(422, agent, "PUT /tickets/"+n+"/snooze", `{}`); a.fields() != "until=ticket.snooze.past" {
			t.Errorf("no time: %s", a.fields())
		}
		w.want(200, agent, "DELETE /tickets/"+n+"/snooze", "")
		if a := w.want(200, agent, "GET /tickets?view=snoozed", ""); a.at("items") != "0" {
			t.Errorf("woken: %s", a.Raw)
		}

		a := w.want(201, agent, "POST /tickets/"+n+"/checks", `{"items":["核对序列号","拍照存档"]}`, "Idempotency-Key", "c1")
		w.want(201, agent, "POST /tickets/"+n+"/checks", `{"items":["核对序列号","拍照存档"]}`, "Idempotency-Key", "c1")
		a = w.want(200, agent, "PATCH /tickets/"+n+"/checks/"+a.at("items.0.id"), `{"done":true}`)
		if a.at("items") != "2" || a.at("items.0.done") != "true" || a.at("items.0.done_by") == "" {
			t.Errorf("ticked: %s", a.Raw)
		}
		if a := w.want(200, agent, "DELETE /tickets/"+n+"/checks/"+a.at("items.1.id"), ""); a.at("items") != "1" {
			t.Errorf("dropped: %s", a.Raw)
		}
		w.want(404, stranger, "GET /tickets/"+n+"/checks", "")
		w.want(404, stranger, "POST /tickets/"+n+"/checks", `{"items":["x"]}`)

		v := w.want(201, head, "POST /ticket-views", `{"name":"紧急","filter":{"open":"true","priority":"urgent","filter":{"v":1,"all":[{"field":"title","op":"has","values":["打印"]}]}},"shared_with":"everybody"}`)
		if a := w.want(200, agent, "GET /ticket-views", ""); a.at("items.0.name") != "紧急" || a.at("items.0.own") != "false" || a.at("items.0.filter.filter.all.0.field") != "title" || a.at("items.0.shared_with") != "everybody" {
			t.Errorf("views: %s", a.Raw)
		}
		w.want(403, agent, "POST /ticket-views", `{"name":"x","filter":{},"shared_with":"everybody"}`)
		w.want(403, agent, "PUT /ticket-views/"+v.at("id"), `{"name":"x","filter":{}}`)
		if a := w.want(200, head, "PUT /ticket-views/"+v.at("id"), `{"name":"加急","filter":{"open":"true"},"shared_with":"everybody"}`); a.at("name") != "加急" || a.at("filter.priority") != "" || a.at("shared_with") != "everybody" {
			t.Errorf("changed: %s", a.Raw)
		}
		w.want(404, agent, "PUT /ticket-views/777", `{"name":"x","filter":{}}`)
		w.want(404, agent, "DELETE /ticket-views/"+v.at("id"), "")
		w.want(204, head, "DELETE /ticket-views/"+v.at("id"), "")
	})
}

// An export is the file itself, of what the caller may take out.
func TestTicketExport(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		agent, head := w.token("kefu"), w.token("zhuguan")
		n := w.want(201, agent, "POST /tickets", fmt.Sprintf(`{"title":"=导出","type":"consultation","customer":%q}`, w.Cust.Number)).at("number")
		w.want(403, agent, "POST /ticket-exports", `{"columns":["number"],"format":"csv"}`)
		w.want(403, w.token("zhuguan", "tickets:read"), "POST /ticket-exports", `{"columns":["number"],"format":"csv"}`)
		if a := w.want(422, head, "POST /ticket-exports", `{"columns":[],"format":"csv"}`); a.fields() != "columns=ticket.export.columns.none" {
			t.Errorf("no columns: %s", a.fields())
		}
		r, _ := http.NewRequest("POST", w.server.URL+"/api/v1/ticket-exports", strings.NewReader(`{"filter":{"customer":"`+w.Cust.Number+`"},"columns":["number","title"],"format":"xlsx"}`))
		r.Header.Set("Authorization", "Bearer "+head)
		r.Header.Set("Content-Type", "application/json")
		res, err := w.server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		raw, _ := io.ReadAll(res.Body)
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != sheet.XLSX.MIME() || !strings.Contains(res.Header.Get("Content-Disposition"), ".xlsx") || !bytes.HasPrefix(raw, []byte("PK")) {
			t.Errorf("file: %d %v", res.StatusCode, res.Header)
		}
		table, err := sheet.Open("x.xlsx", bytes.NewReader(raw), int64(len(raw)), sheet.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for {
			row, _, err := table.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, fmt.Sprint(row))
		}
		if len(lines) != 2 || !strings.Contains(lines[1], n) {
			t.Errorf("rows: %v", lines)
		}
	})
}

// The routing table is read, changed and tried by who may configure it; why a
// ticket is with whom it is with, by who sees the ticket.
func TestRoutingTable(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admin, agent := w.token("guanli"), w.token("kefu")
		w.want(403, agent, "GET /routing", "")
		w.want(403, w.token("guanli", "tickets:write"), "GET /routing", "")
		rule := `{"name":"医疗","types":["consultation"],"keywords":["校准"],"department":"技术支持部","active":true}`
		a := w.want(201, admin, "POST /routing/rules", rule, "Idempotency-Key", "r1")
		if b := w.want(201, admin, "POST /routing/rules", rule, "Idempotency-Key", "r1"); b.at("id") != a.at("id") {
			t.Errorf("again: %s", b.Raw)
		}
		id := a.at("id")
		for i := 0; i < 20; i++ { // to the top
			if b := w.want(200, admin, "POST /routing/rules/"+id+"/position", `{"by":-1}`); b.at("rules.0.id") == id {
				break
			}
		}
		try := w.want(200, admin, "POST /routing/trial", `{"type":"consultation","channel":"phone","text":"监护仪校准后报警"}`)
		if try.at("department") != "技术支持部" || try.at("rule") != "医疗" || try.at("met.1.value") != "校准" || try.at("rules.0.id") != id {
			t.Errorf("trial: %s", try.Raw)
		}
		if b := w.want(422, admin, "PUT /routing/rules/"+id, rule); b.fields() != "version=api.need_version" {
			t.Errorf("no version: %s", b.fields())
		}
		changed := strings.Replace(rule, `"active":true`, `"active":false,"version":1`, 1)
		if b := w.want(200, admin, "PUT /routing/rules/"+id, changed); b.at("active") != "false" || b.at("version") != "2" {
			t.Errorf("changed: %s", b.Raw)
		}
		w.want(409, admin, "PUT /routing/rules/"+id, changed)
		if b := w.want(200, admin, "PUT /routing/chains", `{"department":"技术支持部","strategies":["owner","round_robin"]}`); !strings.Contains(b.Raw, `"strategies":["owner","round_robin"]`) {
			t.Errorf("chain: %s", b.Raw)
		}
		k := w.want(201, admin, "POST /routing/skills", `{"name":"影像设备","types":["after_sales"]}`)
		if b := w.want(200, admin, "PUT /routing/skills/"+k.at("id"), `{"name":"影像","types":["after_sales","consultation"]}`); b.at("name") != "影像" || b.at("types") != "2" {
			t.Errorf("skill: %s", b.Raw)
		}
		w.want(204, admin, "DELETE /routing/skills/"+k.at("id"), "")
		w.want(204, admin, "DELETE /routing/rules/"+id, "")
		w.want(404, admin, "DELETE /routing/rules/"+id, "")

		n := w.want(201, agent, "POST /tickets", fmt.Sprintf(`{"title":"校准证书","type":"after_sales","customer":%q}`, w.Cust.Number)).at("number")
		why := w.want(200, agent, "GET /tickets/"+n+"/routing", "")
		if why.at("steps.0.says") == "" || why.at("steps.0.decision.department") == "" || why.at("steps.0.decision.asked.0.strategy") == "" {
			t.Errorf("why: %s", why.Raw)
		}
	})
}

// Somebody's work is handed over by who may; others do not learn of it.
func TestHandoverCall(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.Service.Equip(w.Org, job.New(w.D, job.Config{}))
		agent, head := w.token("kefu"), w.token("zhuguan")
		if a := w.want(422, head, "POST /handovers", `{"reason":"休假"}`); a.fields() != "from=api.need_member" {
			t.Errorf("nobody: %s", a.fields())
		}
		w.want(403, w.token("kefu2"), "POST /handovers", `{"from":"kefu","reason":"休假"}`)
		w.want(404, agent, "GET /handovers/77", "")
		for range 2 {
			w.want(201, agent, "POST /tickets", fmt.Sprintf(`{"title":"打印机卡纸","type":"consultation","customer":%q,"department":"客服部","assignee":"kefu2"}`, w.Cust.Number))
		}
		body := `{"from":"kefu2","to":"kefu","reason":"休假","off_duty":true}`
		a := w.want(201, head, "POST /handovers", body, "Idempotency-Key", "h1")
		if a.at("total") != "2" || a.at("from.login") != "kefu2" || a.at("to.login") != "kefu" || a.Header.Get("Location") != "/api/v1/handovers/"+a.at("id") {
			t.Errorf("started: %s", a.Raw)
		}
		if b := w.want(201, head, "POST /handovers", body, "Idempotency-Key", "h1"); b.at("id") != a.at("id") {
			t.Errorf("again: %s", b.Raw)
		}
		w.want(409, head, "POST /handovers", body)
		w.want(200, agent, "GET /handovers/"+a.at("id"), "") // he is to get them
		w.want(404, w.token("gong"), "GET /handovers/"+a.at("id"), "")
	})
}
