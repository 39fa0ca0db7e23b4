package demo

import (
	"context"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/customer"
	"bihuan/internal/fault"
)

var (
	gradeReasons = []string{"年采购额稳定增长", "新设分公司，后续采购空间大", "近期只做维保，暂无新需求", "行业标杆客户，带动周边单位"}
	stageWords   = []string{"已发送报价，客户正在比价", "技术方案通过，等待预算", "签订首年服务合同", ""}
	verifyNotes  = []string{"与联系人电话核对", "上门拜访时核对", "邮件确认"}
	moveReasons  = []string{"跳槽到新单位", "集团内部调动"}
)

// standings lets people judge their customers in the course of the weeks: where
// they stand, what they are worth, whom they belong to, and whether what is
// known of them still holds.
func (l *life) standings() {
	at := func(before time.Duration, do func(ctx context.Context) error) {
		l.at(l.awake(l.end.Add(-before)), func(ctx context.Context) error { return passOver(do(ctx)) })
	}
	day := 24 * time.Hour
	l.every(day, l.start.Add(9*time.Hour), l.Customers.CareSweep)
	for i := range 30 {
		at(time.Duration(28-i/2)*day, func(ctx context.Context) error { return l.moveOn(ctx, i) })
	}
	for _, ago := range []time.Duration{20, 13, 6} {
		at(ago*day, l.judgeGrades)
	}
	at(24*day, l.relate)
	for i := range 45 {
		at(time.Duration(28-i*6/10)*day, l.verifyOne)
	}
}

// passOver lets the story go on when the rules refuse a step.
func passOver(err error) error {
	if _, refused := fault.As(err); refused {
		return nil
	}
	return err
}

// keeper is who looks after a customer.
func (l *life) keeper(ctx context.Context, id int64) (authz.Actor, error) {
	who := l.owned[id]
	if who == 0 {
		who = pick(l, l.crew.agents)
	}
	return l.user(ctx, who)
}

func (l *life) moveOn(ctx context.Context, i int) error {
	id := pick(l, l.customers)
	by, err := l.keeper(ctx, id)
	if err != nil {
		return err
	}
	switch {
	case i%6 == 5:
		return l.Customers.MoveStage(ctx, by, id, customer.Lost, pick(l, customer.LostCauses[:7]), "")
	case i%3 == 1:
		return l.Customers.MoveStage(ctx, by, id, customer.Active, "", stageWords[2])
	}
	return l.Customers.MoveStage(ctx, by, id, customer.Interested, "", pick(l, stageWords))
}

// judgeGrades takes some of the suggestions over and grades one customer by
// hand.
func (l *life) judgeGrades(ctx context.Context) error {
	by, err := l.user(ctx, pick(l, l.crew.agents))
	if err != nil {
		return err
	}
	rows, _, err := l.Customers.Suggestions(ctx, authz.For(by, customer.PermEdit), customer.SuggestionFilter{Limit: 30})
	if err != nil {
		return err
	}
	var ids []int64
	for i, r := range rows {
		if i%4 != 3 {
			ids = append(ids, r.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	if _, err := l.Customers.AcceptGrades(ctx, by, ids, false); err != nil {
		return err
	}
	return l.Customers.SetGrade(ctx, by, ids[len(ids)-1], pick(l, customer.Grades), pick(l, gradeReasons))
}

// relate makes a group of the first companies, and relations around it.
func (l *life) relate(ctx context.Context) error {
	var by authz.Actor
	for _, id := range l.crew.agents {
		a, err := l.user(ctx, id)
		if err != nil {
			return err
		}
		if a.DepartmentID == l.crew.dept["客服部"] {
			by = a
		}
	}
	var companies []customer.Customer
	for _, id := range l.customers {
		c, err := l.Customers.Get(ctx, customer.View(by), id)
		if err == nil && c.Type == customer.Company && len(companies) < 12 {
			companies = append(companies, c)
		}
	}
	if len(companies) < 9 {
		return nil
	}
	do := func(err error) error { return passOver(err) }
	for i, parent := range []int{0, 0, 0, 1, 1} { // of the companies 1 to 5
		if err := do(l.Customers.SetParent(ctx, by, companies[i+1].ID, companies[parent].ID, "工商信息显示的控股关系")); err != nil {
			return err
		}
	}
	for _, r := range []struct {
		from, to   int
		kind, note string
	}{{0, 6, "supplier", "供应包装材料"}, {7, 0, "distributor", "华南区域经销"}, {0, 8, "partner", "联合投标"}, {6, 1, "referrer", ""}} {
		if err := do(l.Customers.Relate(ctx, by, companies[r.from].ID, companies[r.to].ID, r.kind, r.note)); err != nil {
			return err
		}
	}
	for i, c := range companies {
		if len(c.Contacts) > 1 && i < 9 {
			_, err := l.Customers.MoveContact(ctx, by, c.ID, c.Contacts[1].ID, companies[(i+5)%len(companies)].ID, pick(l, positions), pick(l, moveReasons))
			return do(err)
		}
	}
	return nil
}

// verifyOne goes through the profile that has waited longest for somebody.
func (l *life) verifyOne(ctx context.Context) error {
	by, err := l.user(ctx, pick(l, append(append([]int64{}, l.crew.sales...), l.crew.agents...)))
	if err != nil {
		return err
	}
	rows, _, err := l.Customers.Verifications(ctx, by, customer.VerificationFilter{Limit: 1})
	if err != nil || len(rows) == 0 {
		return err
	}
	c, err := l.Customers.Get(ctx, customer.View(by), rows[0].ID)
	if err != nil {
		return err
	}
	in := customer.VerifyInput{Version: c.Version, Answers: map[string]string{}, Values: map[string]string{}, Note: pick(l, verifyNotes)}
	for _, f := range customer.VerifyFields(c) {
		in.Answers[f.Input] = customer.Confirmed
		switch {
		case f.Name == "region" && l.chance(40):
			in.Answers[f.Input], in.Values[f.Input] = customer.Corrected, pick(l, cities).region
		case f.Name == "email" && l.chance(25):
			in.Answers[f.Input] = customer.Unknown
		}
	}
	_, err = l.Customers.Verify(ctx, by, c.ID, in)
	return err
}
