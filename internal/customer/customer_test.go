package customer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/crypt"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/i18n"
	"bihuan/internal/journal"
	"bihuan/internal/setting"
)

// world is two departments with an agent each, a salesman and a head.
type world struct {
	t     testing.TB
	ctx   context.Context
	d     *db.DB
	clock *clock.Fake
	run   *action.Runner
	s     *customer.Service

	agent, colleague, stranger, sales, head, auditor authz.Actor
}

const (
	service = 1 // 客服部
	repairs = 2 // 售后部
)

func each(t *testing.T, f func(t *testing.T, w *world)) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) { f(t, newWorld(t, d, c)) })
}

func newWorld(t testing.TB, d *db.DB, c *clock.Fake) *world {
	t.Helper()
	keys, err := crypt.New()
	if err != nil {
		t.Fatal(err)
	}
	run := action.NewRunner(d, nil)
	w := &world{t: t, ctx: context.Background(), d: d, clock: c, run: run, s: customer.New(run, keys)}
	w.exec(`INSERT INTO departments (id, name, created_at) VALUES (1, '客服部', 0), (2, '售后部', 0)`)
	for i, name := range []string{"林晓雯", "何俊杰", "周师傅", "陈思远", "王部长", "审计"} {
		dept := service
		if name == "周师傅" {
			dept = repairs
		}
		w.exec(`INSERT INTO users (id, login, name, department_id, created_at) VALUES ($1, $2, $3, $4, 0)`, i+1, fmt.Sprintf("u%d", i+1), name, dept)
	}
	actor := func(id int64, name, role string, dept int64) authz.Actor {
		a := authz.Actor{Kind: authz.User, ID: id, Name: name, DepartmentID: dept, Teams: []int64{dept}, Under: []int64{dept}, Levels: map[authz.Permission]authz.Level{}}
		for _, def := range authz.Defs() {
			if l := def.Default[role]; l > authz.None {
				a.Levels[def.Permission] = l
			}
		}
		return a
	}
	w.agent = actor(1, "林晓雯", authz.RoleAgent, service)
	w.colleague = actor(2, "何俊杰", authz.RoleAgent, service)
	w.stranger = actor(3, "周师傅", authz.RoleAgent, repairs)
	w.sales = actor(4, "陈思远", authz.RoleSales, service)
	w.head = actor(5, "王部长", authz.RoleHead, service)
	w.auditor = actor(6, "审计", authz.RoleAuditor, service)
	return w
}

func (w *world) exec(q string, args ...any) {
	w.t.Helper()
	if err := w.d.Write(w.ctx, func(ctx context.Context, tx *db.Tx) error { _, err := tx.Exec(ctx, q, args...); return err }); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) set(name string, v any) {
	w.t.Helper()
	if err := w.d.Write(w.ctx, func(ctx context.Context, tx *db.Tx) error { return setting.Write(ctx, tx, name, v) }); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) create(a authz.Actor, in customer.Input) customer.Customer {
	w.t.Helper()
	c, err := w.s.Create(w.ctx, a, in)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// events returns the kinds recorded behind id, in order, and the newest id.
func (w *world) events(after int64) (string, int64) {
	w.t.Helper()
	evs, err := event.List(w.ctx, w.d.Read(), event.Filter{Limit: 200})
	if err != nil {
		w.t.Fatal(err)
	}
	slices.Reverse(evs)
	var kinds []string
	last := after
	for _, e := range evs {
		if e.ID > after {
			kinds = append(kinds, e.Kind)
			last = e.ID
		}
	}
	return strings.Join(kinds, " "), last
}

func company(name, phone string) customer.Input {
	return customer.Input{Type: customer.Company, Name: name, Source: "phone",
		Contacts: []customer.ContactInput{{Name: "黎嘉敏", Gender: "female", Position: "质量总监", Phone: phone, Primary: true}}}
}

func person(name, phone string) customer.Input {
	return customer.Input{Type: customer.Person, Name: name, Contacts: []customer.ContactInput{{Phone: phone}}}
}

// fields returns the field messages of a fault as "field:key …".
func fields(err error) string {
	e, ok := fault.As(err)
	if !ok {
		return fmt.Sprint(err)
	}
	var out []string
	for _, f := range e.Fields {
		out = append(out, f.Field+":"+strings.TrimPrefix(f.Key, "customer."))
		if text := i18n.T(i18n.ZhCN, f.Key, f.Args...); strings.ContainsAny(text, "⟦{") {
			out = append(out, "UNTOLD "+text)
		}
	}
	return strings.Join(out, " ")
}

func TestCreate(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		full := company("广州南粤医疗器械股份有限公司", "13712348820")
		full.USCC, full.Industry, full.Level, full.Region = " 91110000 600037341l", "制造业", customer.Strategic, "广州·黄埔"
		full.Website, full.Address = "www.nanyue-med.com", "广东省广州市黄埔区科学城路88号"
		full.Contacts[0].Email, full.Contacts[0].Wechat = "li@Nanyue-Med.com", "lijiamin_wx"
		full.Need = customer.NeedInput{Product: "检测仪", Description: "校准服务", Urgency: "urgent"}
		noPhone := company("无电话公司", "")
		channel := noPhone
		channel.PhoneOptional = true
		for _, c := range []struct {
			name   string
			by     authz.Actor
			in     customer.Input
			want   string // field messages
			kind   fault.Kind
			events string
		}{
			{"company", w.agent, full, "", "", "customer.created"},
			{"person", w.agent, person("张三", "138 1111 2222"), "", "", "customer.created"},
			{"may not", w.auditor, person("张三", "13811113333"), "", fault.Forbidden, ""},
			{"empty company", w.agent, customer.Input{Type: customer.Company}, "name:name.required.company contacts.0.phone:phone.required contacts.0.name:contact.name.required", fault.Invalid, ""},
			{"empty person", w.agent, customer.Input{Type: customer.Person}, "name:name.required.person contacts.0.phone:phone.required", fault.Invalid, ""},
			{"no type", w.agent, person("", ""), "name:name.required.person contacts.0.phone:phone.required", fault.Invalid, ""},
			{"no phone", w.agent, noPhone, "contacts.0.phone:phone.required", fault.Invalid, ""},
			{"no phone by mail", w.agent, channel, "", "", "customer.created"},
			{"area code", w.agent, company("甲公司", "86013388"), "contacts.0.phone:phone.area_code", fault.Invalid, ""},
			{"two numbers", w.agent, company("甲公司", "13812345678/13812345679"), "contacts.0.phone:phone.several", fault.Invalid, ""},
			{"no number", w.agent, company("甲公司", "call me"), "contacts.0.phone:phone.invalid", fault.Invalid, ""},
			{"bad codes", w.agent, customer.Input{Type: customer.Company, Name: strings.Repeat("长", 121), USCC: "91110000600037341N", Industry: "火星移民", Level: "gold", Source: "tv", Website: "javascript:alert(1)",
				Contacts: []customer.ContactInput{{Name: "甲", Phone: "13812345678", Email: "nobody", Gender: "x"}}},
				"name:too_long uscc:uscc.check_digit industry:industry.unknown level:level.unknown source:source.unknown website:website.invalid contacts.0.gender:contact.gender.unknown contacts.0.email:email.invalid", fault.Invalid, ""},
			{"short code", w.agent, customer.Input{Type: customer.Company, Name: "甲", USCC: "123", PhoneOptional: true}, "uscc:uscc.length", fault.Invalid, ""},
			{"letters", w.agent, customer.Input{Type: customer.Company, Name: "甲", USCC: "9111000060003IOZSV", PhoneOptional: true}, "uscc:uscc.characters", fault.Invalid, ""},
			{"code of a person", w.agent, customer.Input{Type: customer.Person, Name: "甲", USCC: "91110000600037341L", PhoneOptional: true}, "uscc:uscc.person", fault.Invalid, ""},
			{"no such department", w.agent, customer.Input{Type: customer.Person, Name: "甲", DepartmentID: 99, OwnerID: 99, PhoneOptional: true}, "department_id:department.unknown owner_id:owner.unknown", fault.Invalid, ""},
			{"no such tag", w.agent, customer.Input{Type: customer.Person, Name: "甲", TagIDs: []int64{9}, PhoneOptional: true}, "tags:tag.unknown", fault.Invalid, ""},
			{"blank rows", w.agent, customer.Input{Type: customer.Company, Name: "空行公司", Contacts: []customer.ContactInput{{}, {Name: "乙", Phone: "13912345678"}, {}}}, "", "", "customer.created"},
		} {
			_, last := w.events(0)
			_, err := w.s.Create(w.ctx, c.by, c.in)
			if fault.KindOf(err) != c.kind || err != nil && fields(err) != c.want {
				t.Errorf("%s: %v\n got %s\nwant %s", c.name, err, fields(err), c.want)
			}
			if got, _ := w.events(last); got != c.events {
				t.Errorf("%s: events %q, want %q", c.name, got, c.events)
			}
		}
		c, err := w.s.ByNumber(w.ctx, customer.View(w.agent), "C202611190001")
		if err != nil {
			t.Fatal(err)
		}
		p := c.Primary()
		got := fmt.Sprint(c.USCC, " ", c.Industry, " ", c.Website, " ", c.Address, " ", c.DepartmentName, " ", c.CreatedByName, " ", p.Name, p.Phone, " ", p.Email, " ", p.Wechat, " ", c.Needs[0].Product)
		want := "91110000600037341L C https://www.nanyue-med.com 广东省广州市黄埔区**** 客服部 林晓雯 黎嘉敏137****8820 l***@nanyue-med.com l**** 检测仪"
		if got != want {
			t.Errorf("profile:\n got %s\nwant %s", got, want)
		}
		if in := full.Contacts[0].Phone; in != "13712348820" || full.USCC != " 91110000 600037341l" {
			t.Error("what was typed has changed")
		}
		// Persons are their own contact.
		zhang, err := w.s.ByNumber(w.ctx, customer.View(w.agent), "C202611190002")
		if err != nil || zhang.Primary().Name != "张三" || zhang.Primary().Phone != "138****2222" {
			t.Error(zhang.Contacts, err)
		}
	})
}

func TestConcurrentNumbers(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.set("customer.number_template", "KH{6}")
		old := company("从前的公司", "13900000000")
		old.Number = "KH000003" // an imported number of the same shape
		w.create(w.agent, old)
		const n = 24
		var wg sync.WaitGroup
		var mu sync.Mutex
		seen := map[string]bool{}
		for i := range n {
			wg.Go(func() {
				c, err := w.s.Create(w.ctx, w.agent, company(fmt.Sprintf("公司%d", i), fmt.Sprintf("139000001%02d", i)))
				mu.Lock()
				defer mu.Unlock()
				if err != nil || seen[c.Number] {
					t.Error(c.Number, err)
				}
				seen[c.Number] = true
			})
		}
		wg.Wait()
		if len(seen) != n || seen["KH000003"] || !seen["KH000025"] {
			t.Error(seen)
		}
	})
}

// Two agents register the same caller at the same moment: one of them is told.
func TestConcurrentDuplicates(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var wg sync.WaitGroup
		errs := make([]error, 6)
		for i := range errs {
			wg.Go(func() { _, errs[i] = w.s.Create(w.ctx, w.agent, company(fmt.Sprintf("公司%d", i), "13900000000")) })
		}
		wg.Wait()
		ok := 0
		for _, err := range errs {
			var dup *customer.DuplicateError
			if err == nil {
				ok++
			} else if !errors.As(err, &dup) {
				t.Error(err)
			}
		}
		if ok != 1 {
			t.Errorf("%d registered", ok)
		}
	})
}

const marker = "绝密标记"

func TestDuplicates(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		near := company("广州南粤医疗器械有限公司", "13712348820")
		near.USCC, near.Contacts[0].Email = "91110000600037341L", "li@nanyue.com"
		c := w.create(w.agent, near)
		far := company(marker+"科技有限公司", "13900001111")
		far.USCC, far.Contacts[0].Email, far.Contacts[0].Name = "9144030071526726XG", "secret@"+"example.com", marker
		away := w.create(w.stranger, far)
		w.create(w.stranger, person("王伟", "13900002222"))
		for _, k := range []struct {
			name string
			in   customer.Candidate
			want string
		}{
			{"nobody", customer.Candidate{Type: customer.Company, Name: "北京某某贸易"}, ""},
			{"code", customer.Candidate{USCC: "９１１１００００６０００３７３４１Ｌ"}, "C202611190001 uscc sure"},
			{"phone", customer.Candidate{Phones: []string{"+86 137-1234-8820"}}, "C202611190001 phone sure"},
			{"e-mail", customer.Candidate{Emails: []string{"LI@Nanyue.com"}}, "C202611190001 email"},
			{"legal form", customer.Candidate{Type: customer.Company, Name: "广州南粤医疗器械股份有限公司"}, "C202611190001 name"},
			{"similar", customer.Candidate{Type: customer.Company, Name: "广州南粤医疗器材有限公司"}, "C202611190001 similar_name"},
			{"itself", customer.Candidate{ID: c.ID, USCC: near.USCC, Phones: []string{"13712348820"}}, ""},
			{"beyond: code", customer.Candidate{USCC: far.USCC, Type: customer.Company, Name: marker + "科技"}, "@售后部 uscc name sure"},
			{"beyond: phone and mail", customer.Candidate{Phones: []string{"13900001111", "13900002222"}, Emails: []string{"secret@example.com"}}, "@售后部 phone email sure"},
			{"beyond: similar", customer.Candidate{Type: customer.Company, Name: marker + "科学有限公司"}, ""},
			{"beyond: person's name", customer.Candidate{Type: customer.Person, Name: "王伟"}, ""},
			{"beyond: one of very many", customer.Candidate{Phones: []string{strings.Repeat("13655550000、", 5000) + "13900001111"}, Emails: append(slices.Repeat([]string{"a@example.com"}, 5000), "secret@example.com")}, ""},
			{"four digits are no duplicate", customer.Candidate{Phones: []string{"8820"}}, ""},
		} {
			ms, err := w.s.Duplicates(w.ctx, w.agent, k.in)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, m := range ms {
				s := m.Customer.Number
				if !m.Visible() {
					s = "@" + m.Department
				}
				s += " " + strings.Join(m.Matched, " ")
				if m.Sure {
					s += " sure"
				}
				got = append(got, s)
				if text := fmt.Sprintf("%+v", m); strings.Contains(text, marker) || !m.Visible() && m.Customer != (customer.Ref{}) {
					t.Errorf("%s leaks: %s", k.name, text)
				}
			}
			if strings.Join(got, "; ") != k.want {
				t.Errorf("%s: %q, want %q", k.name, got, k.want)
			}
		}
		if _, err := w.s.Duplicates(w.ctx, authz.Actor{}, customer.Candidate{Phones: []string{"13712348820"}}); !fault.Is(err, fault.Forbidden) {
			t.Error(err)
		}
		// Going on needs a reason, which is kept.
		second := company("广州南粤分公司", "13712348820")
		_, err := w.s.Create(w.ctx, w.agent, second)
		var dup *customer.DuplicateError
		if !errors.As(err, &dup) || !fault.Is(err, fault.Conflict) || len(dup.Matches) != 1 || dup.Matches[0].Customer.ID != c.ID || fields(err) != "duplicate_reason:duplicate.reason" {
			t.Errorf("%v: %s", err, fields(err))
		}
		second.Contacts[0].Phone = "13900001111"
		if _, err = w.s.Create(w.ctx, w.agent, second); !errors.As(err, &dup) || strings.Contains(fmt.Sprintf("%+v %v", dup, err), marker) || strings.Contains(fmt.Sprintf("%+v", dup), away.Number) {
			t.Errorf("leak or no refusal: %+v", err)
		}
		second.DuplicateReason = "分公司独立核算"
		if got, err := w.s.Create(w.ctx, w.agent, second); err != nil || got.DuplicateReason != "分公司独立核算" {
			t.Error(got, err)
		}
		// An e-mail or a name alone is no obstacle.
		third := company("广州南粤医疗器械有限公司", "13500000000")
		third.Contacts[0].Email = "li@nanyue.com"
		w.create(w.agent, third)
	})
}

type ticketsOf map[int64]customer.TicketRef

func (m ticketsOf) TicketRefs(_ context.Context, _ authz.Actor, ids []int64) (map[int64]customer.TicketRef, error) {
	out := map[int64]customer.TicketRef{}
	for _, id := range ids {
		if r, ok := m[id]; ok {
			out[id] = r
		}
	}
	return out, nil
}

// A customer out of scope shows nowhere.
func TestScopes(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		far := company(marker+"科技有限公司", "13900001111")
		far.Contacts[0].Name, far.Contacts[0].Email, far.Remark, far.Region = marker, "secret@example.com", marker, marker
		away := w.create(w.stranger, far)
		mine := w.create(w.agent, company("可见公司", "13900002222"))
		sales := w.create(w.sales, company("销售自己的公司", "13900003333"))
		tag, err := w.s.SaveTag(w.ctx, w.head, 0, "重点客户", "red")
		if err != nil {
			t.Fatal(err)
		}
		if n, err := w.s.SetTags(w.ctx, w.agent, []int64{away.ID, mine.ID}, []int64{tag}, nil); err != nil || n != 1 {
			t.Error("tagged", n, err)
		}
		sc := customer.View(w.agent)
		for _, q := range []string{marker, marker + "科技", "13900001111", "1111", "00001111", "secret@example.com", away.Number, away.Number[5:], "jmbjkj", "juemibiaoji", "jmbj", "绝迷标记"} {
			found, err := w.s.Search(w.ctx, sc, q, 50)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range found {
				if f.ID == away.ID {
					t.Errorf("%q finds him", q)
				}
			}
			all, err := w.s.Search(w.ctx, customer.View(w.stranger), q, 50)
			if err != nil || len(all) == 0 || all[0].ID != away.ID {
				t.Errorf("%q: his own department finds %d %v", q, len(all), err)
			}
		}
		if found, err := w.s.ByPhone(w.ctx, sc, "13900001111"); err != nil || len(found) != 0 {
			t.Error(found, err)
		}
		for _, f := range []customer.Filter{{}, {Sort: customer.ByCreated}, {DepartmentID: repairs}, {TagID: tag}, {Type: customer.Company}, {OwnerID: -1}} {
			page, err := w.s.List(w.ctx, sc, f)
			if err != nil || strings.Contains(fmt.Sprintf("%+v", page), marker) {
				t.Errorf("%+v: %v %+v", f, err, page)
			}
		}
		for name, err := range map[string]error{
			"get":       func() error { _, err := w.s.Get(w.ctx, sc, away.ID); return err }(),
			"by number": func() error { _, err := w.s.ByNumber(w.ctx, sc, away.Number); return err }(),
			"timeline":  func() error { _, _, err := w.s.Timeline(w.ctx, w.agent, away.ID, "", "", 0); return err }(),
			"reveal":    func() error { _, err := w.s.Reveal(w.ctx, w.agent, away.Primary().ID, customer.Phone, ""); return err }(),
			"address":   func() error { _, err := w.s.RevealAddress(w.ctx, w.agent, away.ID, ""); return err }(),
			"update":    func() error { _, err := w.s.Update(w.ctx, w.agent, away.ID, 1, far, "x"); return err }(),
			"follow-up": func() error { _, err := w.s.AddFollowUp(w.ctx, w.agent, away.ID, "x", journal.Record{}); return err }(),
			"need":      w.s.AddNeed(w.ctx, w.agent, away.ID, customer.NeedInput{Product: "x"}),
			"zero":      func() error { _, err := w.s.Get(w.ctx, authz.Scope{}, mine.ID); return err }(),
		} {
			if !fault.Is(err, fault.NotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
		// In view, but not his verb.
		if _, err := w.s.Update(w.ctx, w.auditor, mine.ID, 1, company("x", ""), "x"); !fault.Is(err, fault.Forbidden) {
			t.Error(err)
		}
		// A salesman sees his own, the others of the department do too.
		page, err := w.s.List(w.ctx, customer.View(w.sales), customer.Filter{})
		if err != nil || len(page.Rows) != 1 || page.Rows[0].ID != sales.ID {
			t.Error(page, err)
		}
		if page, err = w.s.List(w.ctx, sc, customer.Filter{}); err != nil || len(page.Rows) != 2 {
			t.Error(page, err)
		}
		// The ticket page shows any customer, masked.
		card, err := w.s.Card(w.ctx, w.d.Read(), away.ID)
		if err != nil || card.Primary().Phone != "139****1111" {
			t.Error(card, err)
		}
		// Who handles a ticket of his may call him; it is logged with the ticket.
		clear, err := w.s.RevealVia(w.ctx, w.agent, away.ID, away.Primary().ID, customer.Phone, "回访", event.Subject{Type: "ticket", ID: 7})
		if err != nil || clear != "13900001111" {
			t.Error(clear, err)
		}
		if _, err := w.s.RevealVia(w.ctx, w.agent, mine.ID, away.Primary().ID, customer.Phone, "回访", event.Subject{Type: "ticket", ID: 7}); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
}

// The database file knows no clear number, address or handle (CUS-17).
func TestSealed(t *testing.T) {
	t.Parallel()
	d, c := dbtest.New(t)
	w := newWorld(t, d, c)
	secrets := []string{"13712348820", "1371234", "12348820", "lijiamin@nanyue.com", "lijiamin", "Handle_9527", "handle_9527", "科学城路88号", "13655554444", "55554444", "newmail@"}
	in := company("广州南粤", "137-1234-8820")
	in.Contacts[0].Email, in.Contacts[0].Wechat, in.Address = "lijiamin@nanyue.com", "Handle_9527", "广东省广州市黄埔区科学城路88号"
	got := w.create(w.agent, in)
	if _, err := w.s.Reveal(w.ctx, w.agent, got.Primary().ID, customer.Phone, ""); err != nil {
		t.Fatal(err)
	}
	edit := customer.Input{Name: in.Name, Source: "phone", Contacts: []customer.ContactInput{{ID: got.Primary().ID, Name: "黎嘉敏", Phone: "13655554444", Email: "newmail@nanyue.com"}}}
	if _, err := w.s.Update(w.ctx, w.agent, got.ID, 1, edit, ""); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal"} {
		raw, err := os.ReadFile(d.Path() + suffix)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range secrets {
			if bytes.Contains(raw, []byte(s)) {
				t.Errorf("%s lies open in the file%s", s, suffix)
			}
		}
		if suffix == "-wal" && !bytes.Contains(raw, []byte("137****8820")) {
			t.Error("the scan sees nothing")
		}
	}
}

func TestReveal(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		in := company("可见公司", "0755-86013388转8001")
		in.Contacts[0].Email, in.Contacts[0].Wechat, in.Address = "Li@example.com", "li_jiamin", "广东省深圳市南山区科技园路1号"
		c := w.create(w.agent, in)
		contact := c.Primary().ID
		for _, k := range []struct {
			name   string
			by     authz.Actor
			field  customer.Field
			want   string
			kind   fault.Kind
			events string
		}{
			{"phone", w.agent, customer.Phone, "0755-86013388转8001", "", "customer.field_revealed"},
			{"e-mail", w.colleague, customer.Email, "Li@example.com", "", "customer.field_revealed"},
			{"wechat", w.agent, customer.Wechat, "li_jiamin", "", "customer.field_revealed"},
			{"no field", w.agent, "name", "", fault.Invalid, ""},
			{"address of a contact", w.agent, customer.Address, "", fault.Invalid, ""},
			{"auditor", w.auditor, customer.Phone, "", fault.Forbidden, ""},
			{"salesman", w.sales, customer.Phone, "", fault.NotFound, ""},
			{"nobody", authz.Actor{}, customer.Phone, "", fault.Forbidden, ""},
		} {
			_, last := w.events(0)
			got, err := w.s.Reveal(w.ctx, k.by, contact, k.field, "")
			if got != k.want || fault.KindOf(err) != k.kind {
				t.Errorf("%s: %q %v", k.name, got, err)
			}
			if evs, _ := w.events(last); evs != k.events {
				t.Errorf("%s: events %q", k.name, evs)
			}
		}
		if got, err := w.s.RevealAddress(w.ctx, w.agent, c.ID, ""); err != nil || got != "广东省深圳市南山区科技园路1号" {
			t.Error(got, err)
		}
		w.set("customer.reveal_reason", true)
		if _, err := w.s.Reveal(w.ctx, w.agent, contact, customer.Phone, " "); fields(err) != "reason:reveal.reason" {
			t.Error(err)
		}
		if _, err := w.s.Reveal(w.ctx, w.agent, contact, customer.Phone, "回访工单"); err != nil {
			t.Error(err)
		}
		evs, err := event.Of(w.ctx, w.d.Read(), customer.Subject(c.ID), 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		if evs[0].Reason != "回访工单" || evs[0].ActorName != "林晓雯" || !strings.Contains(string(evs[0].Data), "0755-****3388") {
			t.Errorf("%+v", evs[0])
		}
		for _, e := range evs {
			if strings.Contains(string(e.Data), "86013388") || strings.Contains(string(e.Data), "Li@") {
				t.Errorf("clear value in %s", e.Data)
			}
		}
	})
}

func TestUpdate(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		in := company("旧名有限公司", "13900001111")
		in.Contacts[0].Email = "old@example.com"
		c := w.create(w.agent, in)
		other := w.create(w.agent, company("另一家", "13900009999"))
		contact := c.Primary().ID
		base := func() customer.Input {
			return customer.Input{Name: "旧名有限公司", Source: "phone", Contacts: []customer.ContactInput{{ID: contact, Name: "黎嘉敏", Gender: "female", Position: "质量总监", Primary: true}}}
		}
		with := func(f func(in *customer.Input)) customer.Input { in := base(); f(&in); return in }
		version := int64(1)
		for _, k := range []struct {
			name   string
			in     customer.Input
			reason string
			kind   fault.Kind
			want   string // field messages, or the changes
		}{
			{"nothing", base(), "", "", ""},
			{"name without reason", with(func(in *customer.Input) { in.Name = "新名有限公司" }), "", fault.Invalid, "reason:reason.required"},
			{"remark needs none", with(func(in *customer.Input) { in.Remark = "备注" }), "", "", "remark:>备注"},
			{"remark goes, owner comes", with(func(in *customer.Input) { in.OwnerID = 2 }), "交接", "", "remark:备注> owner:>何俊杰"},
			{"owner goes, phone", with(func(in *customer.Input) { in.Contacts[0].Phone = "13655554444" }), "离职", "", "owner:何俊杰> contact.phone:139****1111>136****4444"},
			{"same phone", with(func(in *customer.Input) { in.Contacts[0].Phone = "136 5555 4444" }), "", "", ""},
			{"somebody's phone", with(func(in *customer.Input) { in.Contacts[0].Phone = "13900009999" }), "", fault.Conflict, "duplicate_reason:duplicate.reason"},
			{"clear e-mail", with(func(in *customer.Input) { in.Contacts[0].ClearEmail = true }), "", "", "contact.email:o***@example.com>"},
			{"new contact", with(func(in *customer.Input) {
				in.Contacts = append(in.Contacts, customer.ContactInput{Name: "赵强", Phone: "13700001234"})
			}), "", "", "contact.added:>赵*"},
			{"foreign contact", with(func(in *customer.Input) { in.Contacts[0].ID = other.Primary().ID }), "", fault.Invalid, "contacts.0.name:contact.unknown contacts.0.phone:phone.required"},
			{"level", with(func(in *customer.Input) { in.Level = customer.VIP }), "年度评级", "", "level:normal>vip"},
		} {
			got, err := w.s.Update(w.ctx, w.agent, c.ID, version, k.in, k.reason)
			if fault.KindOf(err) != k.kind {
				t.Errorf("%s: %v", k.name, err)
				continue
			}
			if err != nil {
				if fields(err) != k.want {
					t.Errorf("%s: %s, want %s", k.name, fields(err), k.want)
				}
				continue
			}
			if k.want == "" {
				if got.Version != version {
					t.Errorf("%s: version %d", k.name, got.Version)
				}
				continue
			}
			if version++; got.Version != version {
				t.Errorf("%s: version %d, want %d", k.name, got.Version, version)
			}
			items, _, err := w.s.Timeline(w.ctx, w.agent, c.ID, "", customer.Changes, 1)
			if err != nil || len(items) != 1 {
				t.Fatal(k.name, items, err)
			}
			var changes []string
			for _, ch := range items[0].Changes() {
				changes = append(changes, ch.Field+":"+ch.Old+">"+ch.New)
			}
			if strings.Join(changes, " ") != k.want || items[0].Event.Reason != k.reason {
				t.Errorf("%s: %q %q", k.name, changes, items[0].Event.Reason)
			}
		}
		// A person's name is masked in the log.
		p := w.create(w.agent, person("张三丰", "13611112222"))
		if _, err := w.s.Update(w.ctx, w.agent, p.ID, 1, customer.Input{Name: "张无忌", Contacts: []customer.ContactInput{{ID: p.Primary().ID, Name: "张无忌"}}}, "改名"); err != nil {
			t.Fatal(err)
		}
		evs, _ := event.Of(w.ctx, w.d.Read(), customer.Subject(p.ID), 0, 1)
		if strings.Contains(string(evs[0].Data), "三丰") || strings.Contains(string(evs[0].Data), "无忌") {
			t.Errorf("%s", evs[0].Data)
		}
	})
}

// Two people edit the same profile: the second is shown what the first wrote.
func TestStale(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.create(w.agent, company("旧名有限公司", "13900001111"))
		in := customer.Input{Name: "甲名有限公司", Source: "phone", Level: customer.VIP}
		if _, err := w.s.Update(w.ctx, w.agent, c.ID, 1, in, "更名"); err != nil {
			t.Fatal(err)
		}
		in.Name, in.Level = "乙名有限公司", customer.Normal
		_, err := w.s.Update(w.ctx, w.colleague, c.ID, 1, in, "更名")
		if !fault.Is(err, fault.Conflict) || fields(err) != "name:stale.field level:stale.field" {
			t.Errorf("%v: %s", err, fields(err))
		}
		e, _ := fault.As(err)
		if got := i18n.T(i18n.ZhCN, e.Fields[0].Key, e.Fields[0].Args...); got != "最新内容：甲名有限公司" {
			t.Error(got)
		}
		if _, err := w.s.Update(w.ctx, w.colleague, c.ID, 2, in, "更名"); err != nil {
			t.Error(err)
		}
	})
}

func TestContacts(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		in := company("联系人公司", "13900001111")
		in.Contacts = append(in.Contacts, customer.ContactInput{Name: "赵强", Phone: "13900002222"})
		c := w.create(w.agent, in)
		a, b := c.Contacts[0], c.Contacts[1]
		if !a.Primary || b.Primary || a.Name != "黎嘉敏" {
			t.Fatal(c.Contacts)
		}
		edit := func(version int64, cs ...customer.ContactInput) (customer.Customer, error) {
			return w.s.Update(w.ctx, w.agent, c.ID, version, customer.Input{Name: c.Name, Source: "phone", Contacts: cs}, "")
		}
		got, err := edit(1, customer.ContactInput{ID: b.ID, Name: "赵强", Primary: true}, customer.ContactInput{ID: a.ID, Name: "黎嘉敏", Gender: "female", Position: "质量总监"})
		if err != nil || got.Primary().ID != b.ID || got.Contacts[1].Primary {
			t.Error(got.Contacts, err)
		}
		// The primary one leaves: another takes his place.
		if got, err = edit(2, customer.ContactInput{ID: b.ID, Remove: true}); err != nil || len(got.Contacts) != 1 || got.Primary().ID != a.ID || !got.Primary().Primary {
			t.Error(got.Contacts, err)
		}
		if _, err = edit(3, customer.ContactInput{ID: a.ID, Remove: true}); fields(err) != "contacts:contacts.none" {
			t.Error(err)
		}
		if got, err = edit(3, customer.ContactInput{ID: a.ID, Remove: true}, customer.ContactInput{Name: "新人", Phone: "13900003333"}); err != nil || len(got.Contacts) != 1 || got.Primary().Name != "新人" || !got.Primary().Primary {
			t.Error(got.Contacts, err)
		}
		err = w.run.Do(w.ctx, w.agent, "test", func(ctx context.Context, a *action.Action) error {
			_, err := w.s.AddContactIn(ctx, a, c.ID, customer.ContactInput{Name: "来电人", Phone: "13900004444"})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		found, err := w.s.ByPhone(w.ctx, customer.View(w.agent), "013900004444")
		if err != nil || len(found) != 1 || found[0].ID != c.ID {
			t.Error(found, err)
		}
		// A former contact's number finds nobody.
		if found, err = w.s.ByPhone(w.ctx, customer.View(w.agent), "13900001111"); err != nil || len(found) != 0 {
			t.Error(found, err)
		}
		people, err := w.s.FindContacts(w.ctx, w.d.Read(), "+8613900004444", "")
		if err != nil || len(people) != 1 || people[0].Name != "来电人" || people[0].Phone != "139****4444" {
			t.Error(people, err)
		}
	})
}

func TestSearch(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		nanyue := company("广州南粤医疗器械股份有限公司", "13712348820")
		nanyue.USCC, nanyue.Contacts[0].Email, nanyue.Contacts[0].Wechat = "91110000600037341L", "li@nanyue-med.com", "nanyue_li"
		w.create(w.agent, nanyue)                                  // 1
		w.create(w.agent, company("重庆长安汽车股份有限公司", "023-67591249")) // 2
		w.create(w.agent, person("张伟", "13800138000"))             // 3
		w.create(w.agent, company("南粤物流有限公司", "400-820-8820"))     // 4
		w.create(w.agent, company("ABC贸易（上海）有限公司", "+852 2123 4567"))
		for _, k := range []struct {
			q    string
			want string // numbers in order, the reason of the first
		}{
			{"C202611190002", "2 number"},
			{"c202611190002", "2 number"},
			{"0003", "3 number"},
			{"91110000600037341l", "1 uscc"},
			{"13712348820", "1 phone"},
			{"+86 137 1234-8820", "1 phone"},
			{"017951013712348820", ""},
			{"17951013712348820", "1 phone"},
			{"8820", "4 1 last_four"},
			{"023 6759 1249", "2 phone"},
			{"67591249", "2 last_eight"},
			{"021-67591249", "2 last_eight"},
			{"li@Nanyue-Med.com", "1 email"},
			{"nanyue_li", "1 wechat"},
			{"广州南粤医疗器械", "1 name"},
			{"南粤", "4 1 name"},
			{"医疗", "1 name"},
			{"gznyylqx", "1 initials"},
			{"gzny", "1 initials"},
			{"guangzhounanyue", "1 pinyin"},
			{"chongqingchangan", "2 pinyin"},
			{"cqca", "2 initials"},
			{"zhangwei", "3 pinyin"},
			{"zw", "3 initials"},
			{"张玮", "3 sound"},
			{"广州南粤医疗器材", "1 similar_name"},
			{"abc贸易", "5 name"},
			{"黎嘉敏", "5 4 2 1 contact"},
			{"ljm", "5 4 2 1 contact"},
			{"完全没有的名字", ""},
			{"%", ""},
			{"'; DROP TABLE customers; --", ""},
			{"  ", ""},
		} {
			found, err := w.s.Search(w.ctx, customer.View(w.agent), k.q, 10)
			if err != nil {
				t.Errorf("%q: %v", k.q, err)
				continue
			}
			var got []string
			for _, f := range found {
				got = append(got, f.Number[12:])
			}
			if len(found) > 0 {
				got = append(got, found[0].By)
			}
			if strings.Join(got, " ") != k.want {
				t.Errorf("%q: %q, want %q", k.q, got, k.want)
			}
		}
	})
}

func TestList(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var ids []int64
		for i := range 7 {
			by := w.agent
			if i%3 == 2 {
				by = w.sales
			}
			in := company(fmt.Sprintf("公司%d", i), fmt.Sprintf("1390000000%d", i))
			if i == 4 {
				in.Level, in.Industry, in.Source, in.OwnerID = customer.VIP, "C39", "exhibition", 2
			}
			ids = append(ids, w.create(by, in).ID)
			w.clock.Advance(time.Minute)
		}
		err := w.d.Write(w.ctx, func(ctx context.Context, tx *db.Tx) error {
			return errors.Join(customer.Touch(ctx, tx, ids[1], w.clock.Now()), customer.AddTicket(ctx, tx, ids[1], 1, 1),
				customer.AddRating(ctx, tx, ids[1], 4, 0), customer.AddRating(ctx, tx, ids[1], 5, 4), customer.AddRating(ctx, tx, ids[1], 2, 0))
		})
		if err != nil {
			t.Fatal(err)
		}
		order := func(sc authz.Scope, f customer.Filter) (fwd, back string) {
			t.Helper()
			name := func(p customer.Page) (s string) {
				for _, r := range p.Rows {
					s += strings.TrimPrefix(r.Name, "公司")
				}
				return s
			}
			var cursor string
			for range 10 {
				f.After, f.Before = cursor, ""
				p, err := w.s.List(w.ctx, sc, f)
				if err != nil {
					t.Fatal(err)
				}
				fwd += name(p) + "|"
				if (cursor == "") != (p.Prev == "") {
					t.Errorf("prev of page at %q: %q", cursor, p.Prev)
				}
				if p.Next == "" {
					f.Before = p.Prev
					break
				}
				cursor = p.Next
			}
			for f.Before != "" {
				f.After = ""
				p, err := w.s.List(w.ctx, sc, f)
				if err != nil {
					t.Fatal(err)
				}
				back += name(p) + "|"
				f.Before = p.Prev
			}
			return fwd, back
		}
		for _, k := range []struct {
			name      string
			by        authz.Actor
			f         customer.Filter
			fwd, back string
		}{
			{"activity", w.agent, customer.Filter{Limit: 3}, "165|432|0|", "432|165|"},
			{"all", authz.System("test"), customer.Filter{Limit: 3}, "165|432|0|", "432|165|"},
			{"created", w.agent, customer.Filter{Limit: 4, Sort: customer.ByCreated}, "6543|210|", "6543|"},
			{"own", w.sales, customer.Filter{Limit: 1}, "5|2|", "5|"},
			{"owner is not creator", w.colleague, customer.Filter{OwnerID: 2}, "4|", ""},
			{"no owner", w.agent, customer.Filter{OwnerID: -1, Limit: 9}, "165320|", ""},
			{"level", w.agent, customer.Filter{Level: customer.VIP}, "4|", ""},
			{"section", w.agent, customer.Filter{Industry: "C"}, "4|", ""},
			{"division", w.agent, customer.Filter{Industry: "C38"}, "|", ""},
			{"source", w.agent, customer.Filter{Source: "exhibition", Type: customer.Company, DepartmentID: service}, "4|", ""},
			{"persons", w.agent, customer.Filter{Type: customer.Person}, "|", ""},
			{"stranger", w.stranger, customer.Filter{}, "|", ""},
		} {
			fwd, back := order(customer.View(k.by), k.f)
			if fwd != k.fwd || back != k.back {
				t.Errorf("%s: %q %q, want %q %q", k.name, fwd, back, k.fwd, k.back)
			}
		}
		c, err := w.s.Get(w.ctx, customer.View(w.agent), ids[1])
		if err != nil || c.OpenTickets != 1 || c.TotalTickets != 1 || c.Ratings != 2 || c.Rating() != 3.5 {
			t.Error(c, err)
		}
	})
}

func TestTags(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		if _, err := w.s.SaveTag(w.ctx, w.agent, 0, "重点", "red"); !fault.Is(err, fault.Forbidden) {
			t.Error(err)
		}
		vip, err := w.s.SaveTag(w.ctx, w.head, 0, " 重点客户 ", "red")
		if err != nil {
			t.Fatal(err)
		}
		east, err := w.s.SaveTag(w.ctx, w.head, 0, "华东区域", "blue")
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range []struct {
			id           int64
			name, colour string
			want         string
		}{
			{0, "", "mauve", "name:tag.name.required colour:tag.colour.unknown"},
			{0, "重点客户", "red", "name:tag.name.taken"},
			{east, "重点客户", "red", "name:tag.name.taken"},
			{0, strings.Repeat("长", 21), "red", "name:tag.name.long"},
		} {
			if _, err := w.s.SaveTag(w.ctx, w.head, k.id, k.name, k.colour); fields(err) != k.want {
				t.Errorf("%q: %s", k.name, fields(err))
			}
		}
		var ids []int64
		for i := range 3 {
			ids = append(ids, w.create(w.agent, company(fmt.Sprintf("公司%d", i), fmt.Sprintf("1390000000%d", i))).ID)
		}
		_, last := w.events(0)
		for _, k := range []struct {
			by          authz.Actor
			ids         []int64
			add, remove []int64
			want        int
			events      string
		}{
			{w.agent, ids[:2], []int64{vip, east}, nil, 2, "customer.tags_changed customer.tags_changed"},
			{w.agent, ids, []int64{vip}, nil, 1, "customer.tags_changed"},
			{w.agent, ids, []int64{vip}, nil, 0, ""},
			{w.agent, ids, nil, []int64{east}, 2, "customer.tags_changed customer.tags_changed"},
			{w.stranger, ids, nil, []int64{vip}, 0, ""},
		} {
			n, err := w.s.SetTags(w.ctx, k.by, k.ids, k.add, k.remove)
			var evs string
			if evs, last = w.events(last); n != k.want || err != nil || evs != k.events {
				t.Errorf("%+v: %d %v %q", k, n, err, evs)
			}
		}
		for _, err := range []error{
			func() error { _, err := w.s.SetTags(w.ctx, w.agent, nil, []int64{vip}, nil); return err }(),
			func() error { _, err := w.s.SetTags(w.ctx, w.agent, ids, nil, nil); return err }(),
			func() error { _, err := w.s.SetTags(w.ctx, w.agent, ids, []int64{99}, nil); return err }(),
		} {
			if !fault.Is(err, fault.Invalid) {
				t.Error(err)
			}
		}
		page, err := w.s.List(w.ctx, customer.View(w.agent), customer.Filter{TagID: vip})
		if err != nil || len(page.Rows) != 3 || page.Rows[0].Tags[0].Name != "重点客户" {
			t.Error(page, err)
		}
		tags, err := w.s.Tags(w.ctx)
		if err != nil || len(tags) != 2 || tags[0].Uses+tags[1].Uses != 3 {
			t.Error(tags, err)
		}
		if err := w.s.DeleteTag(w.ctx, w.head, vip); err != nil {
			t.Error(err)
		}
		if err := w.s.DeleteTag(w.ctx, w.head, vip); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		if page, err = w.s.List(w.ctx, customer.View(w.agent), customer.Filter{TagID: vip}); err != nil || len(page.Rows) != 0 {
			t.Error(page, err)
		}
	})
}

func TestTimeline(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.create(w.agent, company("时间线公司", "13900001111"))
		w.s.ShowTickets(ticketsOf{7: {ID: 7, Number: "TASK7", Title: "可见工单"}})
		var want []string
		for i := range 30 {
			w.clock.Advance(time.Minute)
			switch i % 5 {
			case 0:
				if _, err := w.s.AddFollowUp(w.ctx, w.agent, c.ID, fmt.Sprintf("电话回访第 %d 次，已更换主板", i), journal.Record{Method: "phone"}); err != nil {
					t.Fatal(err)
				}
				want = append(want, "follow_up")
			case 1, 2:
				ticket := int64(7)
				if i%5 == 2 {
					ticket = 8 // out of the reader's scope
				}
				err := w.d.Write(w.ctx, func(ctx context.Context, tx *db.Tx) error {
					_, err := journal.AddAs(ctx, tx, journal.Entry{TicketID: ticket, CustomerID: c.ID, Kind: journal.Reply, AuthorKind: authz.User, AuthorName: "x", Body: map[int64]string{7: "可见", 8: marker}[ticket]})
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				if ticket == 7 {
					want = append(want, "reply TASK7")
				}
			case 3:
				if _, err := w.s.Update(w.ctx, w.agent, c.ID, int64(1+i/5), customer.Input{Name: c.Name, Source: "phone", Remark: fmt.Sprint(i)}, ""); err != nil {
					t.Fatal(err)
				}
				want = append(want, customer.Changed)
			case 4:
				if _, err := w.s.Reveal(w.ctx, w.agent, c.Primary().ID, customer.Phone, ""); err != nil {
					t.Fatal(err)
				}
			}
		}
		want = append([]string{customer.Created}, want...)
		slices.Reverse(want)
		read := func(filter string, limit int) (out []string) {
			t.Helper()
			cursor := ""
			for range 100 {
				items, next, err := w.s.Timeline(w.ctx, w.agent, c.ID, cursor, filter, limit)
				if err != nil {
					t.Fatal(err)
				}
				for _, i := range items {
					if i.Event != nil {
						out = append(out, i.Event.Kind)
					} else {
						if strings.Contains(i.Entry.Body, marker) {
							t.Error("shows a ticket out of scope")
						}
						out = append(out, strings.TrimSpace(string(i.Entry.Kind)+" "+i.Ticket.Number))
					}
				}
				if cursor = next; next == "" {
					return out
				}
			}
			t.Fatal("no end")
			return nil
		}
		for _, limit := range []int{1, 3, 7, 100} {
			if got := read(customer.All, limit); !slices.Equal(got, want) {
				t.Errorf("limit %d:\n got %q\nwant %q", limit, got, want)
			}
		}
		if got := read(customer.FollowUps, 4); len(got) != 6 || got[0] != "follow_up" {
			t.Error(got)
		}
		if got := read(customer.Messages, 4); len(got) != 6 {
			t.Error(got)
		}
		if got := strings.Join(read(customer.Changes, 4), " "); strings.Count(got, customer.FieldRevealed) != 6 || strings.Count(got, customer.Changed) != 6 {
			t.Error(got)
		}
		if got := read("nonsense", 100); !slices.Equal(got, want) {
			t.Error(got)
		}
		_, err := w.s.AddFollowUp(w.ctx, w.agent, c.ID, " ", journal.Record{Method: "pigeon"})
		if !fault.Is(err, fault.Invalid) {
			t.Error(err)
		}
		if _, err := w.s.AddFollowUp(w.ctx, w.auditor, c.ID, "x", journal.Record{Method: "phone"}); !fault.Is(err, fault.Forbidden) {
			t.Error(err)
		}
	})
}

// Every permission and fact has a name people can read.
func TestWords(t *testing.T) {
	t.Parallel()
	for _, d := range authz.Defs() {
		if strings.HasPrefix(string(d.Permission), "customer.") && (!i18n.Has("perm."+string(d.Permission)) || !i18n.Has("perm.area."+d.Area)) {
			t.Error(d.Permission)
		}
	}
	for _, k := range customer.Kinds {
		if !i18n.Has("event." + k) {
			t.Error(k)
		}
	}
	for _, s := range customer.Sources {
		if !i18n.Has("customer.source." + s) {
			t.Error(s)
		}
	}
	for _, f := range customer.TimelineFilters {
		if !i18n.Has("customer.timeline." + f) {
			t.Error(f)
		}
	}
}
