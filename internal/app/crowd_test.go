package app_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"bihuan/internal/action"
	"bihuan/internal/app/apptest"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/customer"
	"bihuan/internal/event"
	"bihuan/internal/journal"
	"bihuan/internal/org"
	"bihuan/internal/ticket"
)

// Sixty-four people on one ticket, each in a browser of his own: notes,
// follow-up records, drafts, edits of the whole form, changes of one field and
// moves at the same time. Every text that was acknowledged is there exactly once
// and no other, nobody's draft is another's, and no edit overwrites one its author
// had not seen: he gets 409 and both values (TKT-18).
func TestSixtyFourOnOneTicket(t *testing.T) {
	t.Parallel()
	const clients, rounds = 64, 4
	apptest.Each(t, apptest.Options{Clock: clock.Real()}, func(t *testing.T, h *apptest.House) {
		ctx := context.Background()
		agent := h.Actor(authz.RoleAgent)
		cust, err := h.Customers.Create(ctx, agent, customer.Input{Type: customer.Company, Name: "上海云帆科技有限公司", Source: "phone", Contacts: []customer.ContactInput{{Name: "周敏", Phone: "13812345678", Primary: true}}})
		ok := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		ok(err)
		x, err := h.Tickets.Register(ctx, agent, ticket.RegisterInput{Title: "标题 0", Type: "after_sales", Urgency: "normal", Channel: "phone", CustomerID: cust.ID, DepartmentID: h.Departments["客服部"], AssigneeID: agent.ID})
		ok(err)
		_, err = h.Tickets.Do(ctx, agent, x.ID, ticket.Acknowledge, ticket.Input{})
		ok(err)
		roles, err := h.Org.Roles(ctx)
		ok(err)
		var role int64
		for _, r := range roles {
			if r.Code == authz.RoleAgent {
				role = r.ID
			}
		}
		ok(h.Run.Do(ctx, authz.System("setup"), "test.crowd", func(ctx context.Context, a *action.Action) error {
			for i := range clients {
				login := fmt.Sprintf("agent%02d", i)
				id, err := h.Org.AddUser(ctx, a, org.UserInput{Login: login, Name: fmt.Sprintf("坐席%02d", i), DepartmentID: h.Departments["客服部"], RoleIDs: []int64{role}, Capacity: 9}, "", false)
				if err != nil {
					return err
				}
				h.Users[login] = id
			}
			a.Nothing()
			return nil
		}))
		base := h.Serve()
		type client struct {
			http  *http.Client
			login string
		}
		all := make([]client, clients)
		for i := range all {
			login := fmt.Sprintf("agent%02d", i)
			if i < 8 { // the assignee has eight windows open
				login = authz.RoleAgent
			}
			c := h.Cookie(login)
			all[i] = client{&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Transport: cookied{c}}, login}
		}
		call := func(c client, method, path string, form url.Values) (int, string) {
			var body io.Reader
			if form != nil {
				body = strings.NewReader(form.Encode())
			}
			r, err := http.NewRequest(method, base+path, body)
			if err != nil {
				t.Error(err)
				return 0, ""
			}
			if form != nil {
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			res, err := c.http.Do(r)
			if err != nil {
				t.Error(err)
				return 0, ""
			}
			defer res.Body.Close()
			b, _ := io.ReadAll(res.Body)
			return res.StatusCode, string(b)
		}
		at := "/tickets/" + x.Number
		version := regexp.MustCompile(`name="version" value="(\d+)"`)
		var mu sync.Mutex
		acknowledged := map[string]bool{} // text: it was
		say := func(text string, status int) {
			mu.Lock()
			defer mu.Unlock()
			acknowledged[text] = status == http.StatusSeeOther
		}
		var notes, edits, stale, fields, staleFields, moves, refusedMoves atomic.Int64
		var wg sync.WaitGroup
		for i, c := range all {
			wg.Go(func() {
				for n := range rounds {
					text := fmt.Sprintf("第%02d人第%d轮：已联系客户周敏，约定明天上午十点上门。", i, n)
					draft := fmt.Sprintf("草稿 %02d", i)
					if i < 8 {
						draft = "草稿 处理人" // one person, eight windows
					}
					if s, b := call(c, "POST", at+"/draft", url.Values{"kind": {"note"}, "body_note": {draft}, "body_followup": {""}, "body_reply": {""}}); s >= 300 {
						t.Errorf("draft: %d %.200s", s, b)
					}
					kind := []string{"note", "followup"}[n%2]
					s, b := call(c, "POST", at+"/entries", url.Values{"kind": {kind}, "body_" + kind: {text}, "method": {"phone"}})
					if s != http.StatusSeeOther {
						t.Errorf("%s: %d %.300s", kind, s, b)
					}
					say(text, s)
					notes.Add(1)
					// The whole form, with the version that was seen.
					_, page := call(c, "GET", at+"/edit", nil)
					m := version.FindStringSubmatch(page)
					if m == nil {
						t.Errorf("no version in %.200s", page)
						return
					}
					title := fmt.Sprintf("标题 %02d-%d", i, n)
					s, b = call(c, "POST", at+"/edit", url.Values{"version": {m[1]}, "title": {title}, "type": {"after_sales"}, "urgency": {"normal"}})
					switch s {
					case http.StatusSeeOther:
						edits.Add(1)
					case http.StatusConflict:
						stale.Add(1)
						if !strings.Contains(b, title) || strings.Count(b, "标题 ") < 2 && !strings.Contains(b, "data-take") {
							t.Errorf("a stale edit does not show both values: %.2000s", b)
						}
					default:
						t.Errorf("edit: %d %.300s", s, b)
					}
					// One field, with the value that was seen.
					class := []string{"consulting", "problem", "complaint", "support"}[(i+n)%4]
					now, err := h.Tickets.Get(ctx, ticket.View(agent), x.ID)
					if err != nil {
						t.Error(err)
						return
					}
					switch s, b := call(c, "POST", at+"/fields/class", url.Values{"was": {now.Class}, "class": {class}}); s {
					case http.StatusSeeOther:
						fields.Add(1)
					case http.StatusConflict:
						staleFields.Add(1)
						if !strings.Contains(b, "现在的值") {
							t.Errorf("a stale field does not show both values: %.2000s", b)
						}
					default:
						t.Errorf("field: %d %.300s", s, b)
					}
					if i < 8 { // the assignee asks and goes on, from eight windows at once
						verb, form := "ask", url.Values{"body": {fmt.Sprintf("问题 %02d-%d：请问设备编号是多少？", i, n)}}
						if n%2 == 1 {
							verb, form = "resume", url.Values{"reason": {"继续"}}
						}
						switch s, b := call(c, "POST", at+"/moves/"+verb, form); s {
						case http.StatusSeeOther:
							moves.Add(1)
							if verb == "ask" {
								say(form.Get("body"), s)
							}
						case http.StatusConflict, http.StatusForbidden:
							refusedMoves.Add(1)
							if verb == "ask" {
								say(form.Get("body"), s)
							}
						default:
							t.Errorf("%s: %d %.300s", verb, s, b)
						}
					}
				}
			})
		}
		wg.Wait()
		t.Logf("%d texts; edits %d, stale %d; fields %d, stale %d; moves %d, refused %d", notes.Load(), edits.Load(), stale.Load(), fields.Load(), staleFields.Load(), moves.Load(), refusedMoves.Load())
		// In the crowd hardly anybody's form is still fresh when he sends it; once it
		// has gone, the next one's is.
		_, page := call(all[0], "GET", at+"/edit", nil)
		m := version.FindStringSubmatch(page)
		if m == nil {
			t.Fatalf("no version in %.200s", page)
		}
		if s, b := call(all[0], "POST", at+"/edit", url.Values{"version": {m[1]}, "title": {"标题 最后"}, "type": {"after_sales"}, "urgency": {"normal"}}); s != http.StatusSeeOther {
			t.Errorf("an edit when all is quiet: %d %.300s", s, b)
		}
		edits.Add(1)
		if fields.Load() == 0 || stale.Load() == 0 || moves.Load() == 0 || refusedMoves.Load() == 0 {
			t.Error("they did not meet")
		}

		// Every acknowledged text once, and no other.
		found := map[string]int{}
		before := int64(0)
		for {
			es, more, err := journal.Of(ctx, h.DB.Read(), journal.Place{Ticket: x.ID}, journal.Page{Before: before, Limit: 200})
			ok(err)
			for _, e := range es {
				if e.Body != "" {
					found[e.Body]++
				}
			}
			if !more {
				break
			}
			before = es[0].ID
		}
		for text, was := range acknowledged {
			if n := found[text]; was && n != 1 || !was && n != 0 {
				t.Errorf("%q: acknowledged %v, there %d times", text, was, n)
			}
			delete(found, text)
		}
		for text := range found {
			if text != "" {
				t.Errorf("nobody wrote %q", text)
			}
		}
		for i, c := range all {
			want := fmt.Sprintf("草稿 %02d", i)
			if i < 8 {
				want = "草稿 处理人"
			}
			ds, err := h.Tickets.Drafts(ctx, h.Actor(c.login), fmt.Sprintf("ticket:%d:", x.ID))
			ok(err)
			if got := ds[fmt.Sprintf("ticket:%d:note", x.ID)]; got != want && got != "" { // sending a note ends its draft
				t.Errorf("draft of %s: %q, want %q", c.login, got, want)
			}
		}

		// Each edit built upon the one before it.
		ok(h.Follower.Drain(ctx))
		var evs []event.Stored
		for since := int64(0); ; {
			some, err := event.After(ctx, h.DB.Read(), since, 500)
			ok(err)
			if len(some) == 0 {
				break
			}
			evs, since = append(evs, some...), some[len(some)-1].Seq
		}
		held := map[string]string{"title": "标题 0", "class": ""}
		changed := map[string]int64{}
		for _, e := range evs {
			if e.Kind != "ticket.edited" || e.Subject.ID != x.ID {
				continue
			}
			var f ticket.Fact
			ok(e.Decode(&f))
			for _, c := range f.Changes {
				if c.Field != "title" && c.Field != "class" {
					continue
				}
				if c.Old != held[c.Field] {
					t.Errorf("%s: %q was changed by somebody who had seen %q", c.Field, held[c.Field], c.Old)
				}
				held[c.Field] = c.New
				changed[c.Field]++
			}
		}
		now, err := h.Tickets.Get(ctx, ticket.View(agent), x.ID)
		ok(err)
		if now.Title != held["title"] || now.Class != held["class"] || changed["title"] != edits.Load() {
			t.Errorf("%q %q after %d titles and %d edits; the facts say %q %q", now.Title, now.Class, changed["title"], edits.Load(), held["title"], held["class"])
		}
	})
}

// cookied sends a cookie along.
type cookied struct{ c *http.Cookie }

func (t cookied) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.AddCookie(t.c)
	return http.DefaultTransport.RoundTrip(r)
}
