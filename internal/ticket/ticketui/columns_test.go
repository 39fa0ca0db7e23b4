package ticketui

import (
	"strings"
	"testing"

	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/field"
	"bihuan/internal/ticket"
)

// Somebody chooses the columns of his queue, the company's own fields among
// them: for one view, for all, and with a view he keeps and shares; the queue of
// everybody else stays as it is (TKT-18). Own fields narrow the list, too, and
// go on doing so while one searches in a view.
func TestColumnsAndViews(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		ctx := s.Ctx
		admin := authz.Actor{Kind: authz.User, ID: 1, Levels: map[authz.Permission]authz.Level{field.PermManage: authz.All}}
		fid, err := s.Customers.Fields().Save(ctx, admin, field.Field{Object: field.Ticket, Code: "model", Kind: field.Choice, Label: field.Words{Zh: "机型", En: "Model"}, Filterable: true,
			Options: []field.Choosable{{Code: "m7", Zh: "复合机七型"}, {Code: "k2", Zh: "考勤机二型"}}})
		s.OK(err)
		a := s.Register(func(in *ticket.RegisterInput) { in.Title, in.Fields = "打印发灰", field.Input{fid: {"m7"}} })
		b := s.Register(func(in *ticket.RegisterInput) { in.Title, in.Fields = "打卡失灵", field.Input{fid: {"k2"}} })
		const open = "/tickets?view=open"
		s.get(t, "kefu", open).want(200, a.Number, "!机型", "!colhead", "/tickets/columns?view=open")

		s.get(t, "kefu", "/tickets/columns?view=open").want(200, "机型", "自定义字段", "仅用于", "on-title", "!不显示“标题”")
		s.get(t, "kefu", "/tickets/columns?cols=title%2Cfields.model&view=open", append(htmx, "HX-Target", "div#columns")...).want(200, "!<html", "不显示“机型”", "显示“优先级”")
		s.post(t, "kefu", "/tickets/columns", nil, "cols", "title,nonsense", "back", open).want(422, "没有“nonsense”这一列")
		s.post(t, "kefu", "/tickets/columns", nil, "cols", "title,fields.model,category,class,created", "scope", "view", "back", open).want(303)
		one := s.get(t, "kefu", open)
		one.want(200, "colhead", "机型", "复合机七型", "考勤机二型", a.Number, "sort=newest")
		s.get(t, "kefu", open, append(htmx, "HX-Target", "div#qlive")...).want(200, "复合机七型", "!<html")
		s.get(t, "kefu", "/tickets?view=all").want(200, "!复合机七型")
		s.get(t, "kefu2", open).want(200, "!复合机七型")
		s.post(t, "kefu", "/tickets/columns", nil, "cols", "title,fields.model", "scope", "all", "back", open).want(303)
		s.get(t, "kefu", "/tickets?view=all").want(200, "复合机七型")
		s.post(t, "kefu", "/tickets/columns", nil, "cols", "title", "do", "reset", "scope", "all", "back", open).want(303)
		s.get(t, "kefu", open).want(200, "!复合机七型")

		// Kept with a view: conditions on the own field, and columns; shared, its readers see both.
		q := customer.AllOf(customer.Is("fields.model", "m7"))
		s.get(t, "zhuguan", "/tickets/filter?view=open").want(200, "机型")
		made := s.post(t, "zhuguan", "/views", nil, "name", "七型机", "view", "open", "filter", q.String())
		made.want(303)
		to := made.header.Get("Location")
		s.get(t, "zhuguan", to).want(200, a.Number, "!"+b.Number, "机型 是 复合机七型", "!colhead")
		s.post(t, "zhuguan", "/tickets/columns", nil, "cols", "title,fields.model", "scope", "view", "back", to).want(303)
		s.get(t, "zhuguan", to).want(200, "colhead", "复合机七型")
		s.get(t, "zhuguan", to+"&type=&q=打卡", append(htmx, "HX-Target", "div#queue")...).want(200, "!"+b.Number) // what is searched is searched in the view
		n := strings.TrimPrefix(to, "/tickets?saved=")
		s.get(t, "kefu", "/views").want(200, "!七型机", "还没有保存的视图")
		s.get(t, "zhuguan", "/views").want(200, "七型机", "机型 是 复合机七型", "改名、共享")
		s.post(t, "zhuguan", "/views/"+n, nil, "name", "", "shared", "0").want(422, "请填写视图名称")
		s.post(t, "zhuguan", "/views/"+n, nil, "name", "七型复合机", "shared", "-1").want(303)
		s.get(t, "kefu", to).want(200, "七型复合机", "colhead", a.Number, "!"+b.Number)
		s.get(t, "kefu", "/views").want(200, "七型复合机", "由 陈思远 共享", "!改名、共享")
		s.post(t, "kefu", "/views/"+n, nil, "name", "我的").want(403)
		s.post(t, "kefu", "/tickets/columns", nil, "cols", "title,number", "scope", "view", "back", to).want(303) // his own wish beside the view's
		s.get(t, "kefu", to).want(200, "colhead", "!title=\"复合机七型\"")
		s.get(t, "zhuguan", to).want(200, "title=\"复合机七型\"")
		s.post(t, "zhuguan", "/views/"+n, nil, "name", "七型复合机", "shared", "0").want(303)
		s.get(t, "kefu", "/tickets").want(200, "!七型复合机")

		// Other conditions into the same view; the order of views.
		s.get(t, "zhuguan", to+"&type=&filter={}").want(200, "把当前条件存入“七型复合机”")
		s.post(t, "zhuguan", "/views/"+n, nil, "do", "again", "from", to+"&type=&filter={}").want(303)
		s.get(t, "zhuguan", to).want(200, a.Number, b.Number)
		s.post(t, "zhuguan", "/views", nil, "name", "第二个", "view", "open", "type", "complaint").want(303)
		s.get(t, "zhuguan", "/views").want(200, "类型：投诉")
		first := func() string {
			body := s.get(t, "zhuguan", "/tickets").body
			if strings.Index(body, "七型复合机") < strings.Index(body, "第二个") {
				return "七型复合机"
			}
			return "第二个"
		}
		if got := first(); got != "七型复合机" {
			t.Errorf("first is %s", got)
		}
		s.post(t, "zhuguan", "/views/"+n+"/place", nil, "to", "down").want(303)
		if got := first(); got != "第二个" {
			t.Errorf("moved down, first is %s", got)
		}
		s.post(t, "kefu", "/views/"+n+"/place", nil, "to", "up").want(404)
	})
}
