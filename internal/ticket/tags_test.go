package ticket_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"bihuan/internal/clock"
	"bihuan/internal/customer"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
	"bihuan/internal/fault"
	"bihuan/internal/sheet"
	"bihuan/internal/ticket"
	"bihuan/internal/ticket/tickettest"
)

// Tags are put on tickets and taken off, each once and on record; lists find
// tickets by them within the reader's scope, one by one and many at once.
func TestTags(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB, c *clock.Fake) {
		h := tickettest.New(t, d, c)
		boss, agent := h.As("zhuguan"), h.As("kefu")
		night, err := h.SaveTag(h.Ctx, boss, 0, " 夜间  来电 ", "violet")
		h.OK(err)
		refund, err := h.SaveTag(h.Ctx, boss, 0, "退款", "red")
		h.OK(err)
		for name, want := range map[string]string{"": "ticket.tag.name.required", "退款": "ticket.tag.name.taken", "甲、乙": "ticket.tag.name.comma", strings.Repeat("长", 21): "ticket.tag.name.long"} {
			if _, err := h.SaveTag(h.Ctx, boss, 0, name, "red"); fieldKey(err) != want {
				t.Errorf("tag %q: %v, want %s", name, err, want)
			}
		}
		if _, err := h.SaveTag(h.Ctx, agent, 0, "随便", "red"); !fault.Is(err, fault.Forbidden) {
			t.Errorf("an agent adds to the list: %v", err)
		}
		a, b := h.To(ticket.InProgress), h.Register(func(in *ticket.RegisterInput) { in.Tags = []int64{refund} })
		other := h.Register(func(in *ticket.RegisterInput) {
			in.AssigneeID, in.DepartmentID = h.User["gong"], h.Dept["技术支持部"]
		})
		h.Events()
		a, err = h.Tag(h.Ctx, agent, a.ID, []int64{night, refund}, nil)
		h.OK(err)
		if got := h.Events(); got != "ticket.tagged" || !a.Tags.Has(night) || !a.Tags.Has(refund) {
			t.Errorf("tagged: %q, %s", got, a.Tags)
		}
		if _, err = h.Tag(h.Ctx, agent, a.ID, []int64{night}, nil); !isKey(err, "ticket.nothing_changed") {
			t.Errorf("tagged twice: %v", err)
		}
		if _, err = h.Tag(h.Ctx, h.As("kefu2"), other.ID, []int64{night}, nil); !fault.Is(err, fault.NotFound) {
			t.Errorf("another department's ticket: %v", err)
		}
		if _, err = h.Tag(h.Ctx, agent, a.ID, []int64{9999}, nil); fieldKey(err) != "ticket.tag.unknown" {
			t.Errorf("unknown tag: %v", err)
		}
		if _, err = h.TagByName(h.Ctx, agent, a.ID, "没有的"); !isKey(err, "ticket.tag.none_such") {
			t.Errorf("an agent makes up a tag: %v", err)
		}
		_, err = h.TagByName(h.Ctx, boss, b.ID, "展会")
		h.OK(err)
		if got := h.Events(); got != "ticket.tag_created ticket.tagged" {
			t.Errorf("a new tag by a supervisor: %q", got)
		}
		_, err = h.Tag(h.Ctx, h.As("gong"), other.ID, []int64{refund}, nil)
		if err != nil { // an engineer may not edit; his supervisor may
			_, err = h.Tag(h.Ctx, h.As("guanli"), other.ID, []int64{refund}, nil)
		}
		h.OK(err)

		numbers := func(login string, f ticket.Filter) string {
			t.Helper()
			f.Sort = ticket.ByActivity
			p, err := h.List(h.Ctx, ticket.View(h.As(login)), f)
			h.OK(err)
			n, err := h.Counts(h.Ctx, ticket.View(h.As(login)), []ticket.Filter{f})
			h.OK(err)
			if n[0] != len(p.Rows) {
				t.Errorf("%+v: %d counted, %d listed", f, n[0], len(p.Rows))
			}
			var out []string
			for _, r := range p.Rows {
				out = append(out, fmt.Sprint(r.ID))
			}
			return strings.Join(out, " ")
		}
		want := fmt.Sprintf("%d %d", a.ID, b.ID)
		if got := numbers("kefu2", ticket.Filter{Tag: refund}); got != fmt.Sprintf("%d %d", b.ID, a.ID) && got != want {
			t.Errorf("an agent finds %s by tag", got)
		}
		if got := strings.Fields(numbers("guanli", ticket.Filter{Tag: refund})); len(got) != 3 {
			t.Errorf("an administrator finds %s", got)
		}
		is := func(op customer.Op, ids ...int64) ticket.Filter {
			n := customer.Node{Field: "tags", Op: op}
			for _, id := range ids {
				n.Values = append(n.Values, fmt.Sprint(id))
			}
			return ticket.Filter{Query: customer.AllOf(n)}
		}
		if got := numbers("guanli", is(customer.OpIs, night)); got != fmt.Sprint(a.ID) {
			t.Errorf("by condition: %s", got)
		}
		if got := strings.Fields(numbers("guanli", is(customer.OpNot, night))); len(got) != 2 {
			t.Errorf("by the opposite: %s", got)
		}
		if got := numbers("guanli", is(customer.OpEmpty)); got != "" {
			t.Errorf("without tags: %s", got)
		}

		m, err := h.ChangeMany(h.Ctx, boss, []int64{a.ID, b.ID, other.ID}, ticket.BulkChange{Kind: ticket.BulkUntag, Tag: refund})
		h.OK(err)
		if m.Changed != 2 || m.Refused != 1 {
			t.Errorf("many at once: %+v", m)
		}
		if m, err = h.ChangeMany(h.Ctx, boss, []int64{a.ID, b.ID}, ticket.BulkChange{Kind: ticket.BulkTag, Tag: night}); err != nil || m.Changed != 1 || m.Same != 1 {
			t.Errorf("many at once: %+v %v", m, err)
		}
		var out bytes.Buffer
		_, err = h.Export(h.Ctx, boss, ticket.Filter{Tag: night}, []string{"number", "tags"}, sheet.CSV, &out)
		h.OK(err)
		if s := out.String(); strings.Count(s, "夜间 来电") != 2 || !strings.Contains(s, a.Number) {
			t.Errorf("export: %s", s)
		}

		h.OK(h.DeleteTag(h.Ctx, boss, night))
		if got := numbers("guanli", ticket.Filter{Tag: night}); got != "" {
			t.Errorf("by a deleted tag: %s", got)
		}
		now, err := h.Get(h.Ctx, ticket.View(agent), a.ID)
		h.OK(err)
		if tags, err := ticket.TagsOf(h.Ctx, d.Read(), now.Tags); err != nil || len(tags) != 0 {
			t.Errorf("shown of a deleted tag: %v %v", tags, err)
		}
		if now, err = h.Tag(h.Ctx, agent, a.ID, []int64{refund}, nil); err != nil || !now.Tags.Has(refund) {
			t.Errorf("tagged after one was deleted: %v", err)
		}
	})
}

func isKey(err error, key string) bool { f, ok := fault.As(err); return ok && f.Key == key }

func fieldKey(err error) string {
	if f, ok := fault.As(err); ok && len(f.Fields) > 0 {
		return f.Fields[0].Key
	}
	return ""
}
