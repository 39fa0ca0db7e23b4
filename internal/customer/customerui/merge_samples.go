package customerui

import (
	"time"

	"bihuan/internal/customer"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

func sampleDuplicates() []duplicatesView {
	at := time.Date(2026, 11, 19, 1, 0, 0, 0, time.UTC)
	row := func(id int64, name string) customer.Row {
		return customer.Row{Customer: customer.Customer{ID: id, Number: "C202611190001", Type: customer.Company, Name: name, Level: customer.VIP, Region: "广州", USCC: "914400000000000000", DepartmentName: "客服部", OwnerName: "林晓雯", TotalTickets: 3, ActivityAt: at,
			Contacts: []customer.Contact{{ID: 1, Name: "黎嘉敏", Phone: "138****8000", Email: "l***@example.com"}}}}
	}
	pair := pairView{Pair: customer.Pair{ID: 1, Score: 93, Reasons: []string{customer.ByUSCC, customer.ByCoreName}, State: customer.PairOpen, A: row(1, "广州南粤医疗器械有限公司"), B: row(2, "南粤医疗"), Note: "两家公司", DecidedBy: "李主管", DecidedAt: at}, Keep: 1, Drop: 2}
	f := &web.Form{}
	opts := []ui.Option{{Value: "surely", Label: "A"}}
	return []duplicatesView{
		{Tab: tabOpen, Filter: f, Sureness: opts, Reasons: opts, Types: opts, Parts: opts, Pairs: []pairView{pair}, Waiting: 3, Back: "/customers/duplicates", Whys: []string{"x"}, Apart: f, ApartPair: 1},
		{Tab: tabApart, Filter: f, Pairs: []pairView{pair}},
		{Tab: tabMerged, Filter: f, Merges: []customer.Merge{{ID: 1, Number: "C1", Name: "南粤医疗", At: at, By: "李主管", Reason: "重复", UndoUntil: at, Undoable: true, Into: customer.Ref{ID: 1, Name: "x", Number: "C2"}}, {ID: 2, Number: "C3", Name: "y", At: at, UndoneAt: at, UndoneBy: "李主管"}}},
	}
}

func sampleMerge() []mergeView {
	at := time.Date(2026, 11, 19, 1, 0, 0, 0, time.UTC)
	c := customer.Customer{ID: 1, Number: "C202611190001", Name: "广州南粤医疗器械有限公司", Type: customer.Company, Level: customer.VIP, DepartmentName: "客服部", OwnerName: "林晓雯", CreatedAt: at, UpdatedAt: at, TotalTickets: 2, Version: 3}
	fields := []mergeFieldView{{Name: "f.name", Label: "客户名称", Kept: "甲", Merged: "乙", Choice: "keep"}, {Name: "f.remark", Label: "备注", Kept: "甲", Merged: "", Choice: "both", Both: true}}
	return []mergeView{
		{Form: &web.Form{}, Keep: c, Drop: c, Fields: fields, Same: fields, United: []unitedView{{Name: "黎嘉敏", Fields: fields, Same: "138****8000"}}, Moving: []customer.Contact{{ID: 2, Name: "陈工", Phone: "139****9000"}},
			Rows: []movedView{{"工单", 2}}, Pair: customer.Pair{ID: 1, Score: 93, Reasons: []string{customer.ByPhone}}, From: "list", Days: 30},
		{Choose: &web.Form{}, Keep: c},
	}
}

func sampleUndo() []undoView {
	at := time.Date(2026, 11, 19, 1, 0, 0, 0, time.UTC)
	p := customer.UndoPlan{Merge: customer.Merge{ID: 1, Number: "C1", Name: "南粤医疗", At: at, By: "李主管", Reason: "重复", UndoUntil: at}, Keep: customer.Customer{ID: 1, Name: "x", Number: "C2"}}
	return []undoView{{UndoPlan: p, Moved: []movedView{{"工单", 2}}, Since: []movedView{{"工单", 1}}, Changed: []string{"客户名称"}}, {UndoPlan: p, Problem: "x"}}
}
