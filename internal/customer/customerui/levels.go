package customerui

import (
	"net/http"
	"time"

	"bihuan/internal/customer"
	"bihuan/internal/web"
	"bihuan/internal/web/ui"
)

// Changes of level of many customers, which one request asks for.

var _ = []struct{}{ui.SetTone("levels.asked", "amber"), ui.SetTone("levels.settling", "blue"), ui.SetTone("levels.settled", "green"),
	ui.SetTone("levels.changed", "green"), ui.SetTone("levels.meanwhile", "amber"), ui.SetTone("levels.kept", "gray")}

type levelsView struct {
	customer.LevelBatch
	Rows  []customer.LevelWish
	Pager ui.Pager
}

var levelsPage = ui.NewPage[levelsView](files, "levels.html").Sample(
	levelsView{LevelBatch: customer.LevelBatch{ID: 3, State: "settled", RequestID: 4, Agreed: true, Reason: "x", Total: 3, Changed: 1, Skipped: 1, CreatedAt: time.Unix(1.7e9, 0)}, Pager: ui.Pager{Next: "/x"},
		Rows: []customer.LevelWish{{CustomerID: 1, Number: "C1", Name: "x", From: customer.Normal, To: customer.VIP, Outcome: customer.WishChanged}, {CustomerID: 2, Number: "C2", Name: "y", Gone: true, From: customer.VIP, To: customer.Strategic, Outcome: customer.WishMeanwhile},
			{CustomerID: 3, Number: "C3", Name: "z", From: customer.Normal, To: customer.VIP, Outcome: customer.WishKept}}},
	levelsView{LevelBatch: customer.LevelBatch{ID: 3, State: "asked", RequestID: 4, Total: 1}, Rows: []customer.LevelWish{{CustomerID: 1, Number: "C1", Name: "x", From: customer.Normal, To: customer.VIP}}},
	levelsView{LevelBatch: customer.LevelBatch{ID: 3, State: "settling", RequestID: 4, Total: 900}})

const levelsRows = 50

func (p *pages) levels(w http.ResponseWriter, r *web.Request) error {
	n, err := r.PathID("id")
	if err != nil {
		return err
	}
	var v levelsView
	if v.LevelBatch, err = p.Customers.Levels(r.Context(), r.Actor, n); err != nil {
		return err
	}
	after := number(r.Input().String("after"))
	if v.Rows, err = p.Customers.LevelWishes(r.Context(), r.Actor, n, after, levelsRows+1); err != nil {
		return err
	}
	if len(v.Rows) > levelsRows {
		v.Rows = v.Rows[:levelsRows]
		v.Pager.Next = v.Link() + "?after=" + id(v.Rows[levelsRows-1].CustomerID)
	}
	if after > 0 {
		v.Pager.Prev = v.Link()
	}
	return levelsPage.Render(w, r, ui.Chrome{Title: r.T("customer.levels.page"), Nav: "approvals", Crumbs: []ui.Crumb{{Label: r.T("approval.nav"), Href: "/approvals"}, {Label: r.T("customer.levels.page")}}}, v)
}
