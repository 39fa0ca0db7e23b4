package customer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"bihuan/internal/action"
	"bihuan/internal/approval"
	"bihuan/internal/authz"
	"bihuan/internal/cnid"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/i18n"
	"bihuan/internal/setting"
)

// KindLevel is the kind of request that asks for a change of level.
const KindLevel approval.Kind = "level"

// LevelApprovalSetting is a JSON list of the levels to which a customer is moved
// only after somebody has agreed; none on a fresh install.
const LevelApprovalSetting = "customer.level_approval"

// ApprovedLevels returns the levels to which a change waits for approval.
func (s *Service) ApprovedLevels(ctx context.Context, q db.Querier) ([]Level, error) {
	var out []Level
	err := setting.Read(ctx, q, LevelApprovalSetting, &out)
	return out, err
}

// levelAsk asks the approval room about changes of level.
type levelAsk struct {
	s         *Service
	approvals *approval.Service
}

// AskApprovals makes changes to the levels an administrator has chosen wait for
// somebody's consent (CUS-6).
func (s *Service) AskApprovals(approvals *approval.Service) {
	l := levelAsk{s, approvals}
	approvals.Register(approval.Definition{Kind: KindLevel, Steps: []approval.StepKind{approval.Head}, Describe: l.describe, Decided: l.decided})
	s.ApproveLevels(l)
}

// levelNeedsApproval reports whether somebody has to agree before the actor may
// give a customer the level.
func (s *Service) levelNeedsApproval(ctx context.Context, q db.Querier, actor authz.Actor, to Level) (bool, error) {
	if s.levels == nil {
		return false, nil
	}
	return s.levels.LevelNeeded(ctx, q, actor, to)
}

// LevelNeeded implements LevelApproval. What the program does by itself, such as
// taking in a table on the server, was decided by whoever had it done.
func (l levelAsk) LevelNeeded(ctx context.Context, q db.Querier, actor authz.Actor, to Level) (bool, error) {
	if actor.Kind != authz.User {
		return false, nil
	}
	levels, err := l.s.ApprovedLevels(ctx, q)
	return slices.Contains(levels, to), err
}

// AskLevel implements LevelApproval.
func (l levelAsk) AskLevel(ctx context.Context, a *action.Action, c LevelChange) (bool, error) {
	if needed, err := l.LevelNeeded(ctx, a, a.Actor, c.To); err != nil || !needed {
		return false, err
	}
	name, _, err := l.name(ctx, a, c.CustomerID)
	if err != nil {
		return false, err
	}
	_, err = l.approvals.Ask(ctx, a, approval.New{Kind: KindLevel, Subject: Subject(c.CustomerID), Title: strings.TrimSpace(c.Number + " " + name), DepartmentID: c.DepartmentID, Reason: c.Reason,
		Data: levelWish{From: c.From, To: c.To}})
	if err != nil {
		return false, err
	}
	a.Record(event.Event{Kind: LevelAsked, Subject: Subject(c.CustomerID), Reason: c.Reason, Data: LevelData{c.From, c.To}})
	return true, nil
}

// AskLevels implements LevelApproval: the head of the department all of them
// belong to is asked, else that of whoever asks.
func (l levelAsk) AskLevels(ctx context.Context, a *action.Action, b LevelBatch) (int64, error) {
	counts, err := levelCounts(ctx, a, b.ID)
	if err != nil {
		return 0, err
	}
	r, err := l.approvals.Ask(ctx, a, approval.New{Kind: KindLevel, Subject: LevelsSubject(b.ID), Title: levelsTitle(b, counts), DepartmentID: max(b.department, 0), Reason: b.Reason})
	return r.ID, err
}

// MaySee implements LevelApproval.
func (l levelAsk) MaySee(ctx context.Context, actor authz.Actor, request int64) error {
	_, err := l.approvals.Get(ctx, actor, request)
	return err
}

// levelsShown is how many customers of a batch stand on the request itself.
const levelsShown = 10

func (l levelAsk) describeMany(ctx context.Context, q db.Querier, r approval.Request, lang i18n.Lang) (out []approval.Line, err error) {
	b, ok, err := loadLevels(ctx, q, `id = $1`, r.Subject.ID)
	if err != nil || !ok {
		return nil, err
	}
	counts, err := levelCounts(ctx, q, b.ID)
	if err != nil {
		return nil, err
	}
	change := func(from, to Level) string {
		return i18n.T(lang, "customer.level."+string(from)) + " → " + i18n.T(lang, "customer.level."+string(to))
	}
	for _, c := range counts {
		out = append(out, approval.Line{Label: change(c.from, c.to), Value: i18n.T(lang, "customer.levels.customers", c.n)})
	}
	if b.State == "settled" && b.Agreed {
		out = append(out, approval.Line{Label: i18n.T(lang, "customer.levels.outcome.changed"), Value: i18n.T(lang, "customer.levels.customers", b.Changed)})
		if b.Skipped > 0 {
			out = append(out, approval.Line{Label: i18n.T(lang, "customer.levels.outcome.meanwhile"), Value: i18n.T(lang, "customer.levels.customers", b.Skipped)})
		}
	}
	wishes, err := levelWishes(ctx, q, b.ID, 0, levelsShown, "")
	if err != nil {
		return nil, err
	}
	for _, w := range wishes {
		line := approval.Line{Label: w.Number, Value: w.Name + "  " + change(w.From, w.To)}
		if !w.Gone {
			line.Href = fmt.Sprintf("/customers/%d", w.CustomerID)
		}
		out = append(out, line)
	}
	return append(out, approval.Line{Label: i18n.T(lang, "customer.levels.list"), Value: i18n.T(lang, "customer.levels.all", b.Total), Href: b.Link()}), nil
}

// levelWish is what a request keeps: nothing of the customer himself.
type levelWish struct {
	From Level `json:"from"`
	To   Level `json:"to"`
}

// LevelData is the data of LevelAsked and LevelKept: what was wished for.
type LevelData struct {
	From Level `json:"old_level"`
	To   Level `json:"new_level"`
}

// name is how the customer is called before people who may not see him: a
// person's name is masked. gone: he has been deleted meanwhile.
func (l levelAsk) name(ctx context.Context, q db.Querier, id int64) (name string, gone bool, err error) {
	var typ Type
	var g int
	err = q.QueryRow(ctx, `SELECT name, type, gone FROM customers WHERE id = $1`, id).Scan(&name, (*string)(&typ), &g)
	if errors.Is(err, sql.ErrNoRows) {
		return "", true, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("customer: name of %d: %w", id, err)
	}
	if typ == Person && g == 0 {
		name = cnid.MaskName(name)
	}
	return name, g == 1, nil
}

func (l levelAsk) describe(ctx context.Context, q db.Querier, r approval.Request, lang i18n.Lang) ([]approval.Line, error) {
	if r.Subject.Type == levelsSubject {
		return l.describeMany(ctx, q, r, lang)
	}
	var w levelWish
	if err := r.Decode(&w); err != nil {
		return nil, err
	}
	name, gone, err := l.name(ctx, q, r.Subject.ID)
	if err != nil {
		return nil, err
	}
	who := approval.Line{Label: i18n.T(lang, "customer.level.customer"), Value: name}
	if !gone {
		who.Href = fmt.Sprintf("/customers/%d", r.Subject.ID)
	}
	return []approval.Line{who,
		{Label: i18n.T(lang, "customer.level.change"), Value: i18n.T(lang, "customer.level."+string(w.From)) + " → " + i18n.T(lang, "customer.level."+string(w.To))}}, nil
}

// decided changes the level when everybody has agreed, with who did in the
// reason; else it says that the level stays.
func (l levelAsk) decided(ctx context.Context, a *action.Action, r approval.Request) error {
	agreed, note := r.State == approval.Approved, ""
	if agreed {
		var by []string
		for _, d := range r.Decisions() {
			by = append(by, d.ByName)
		}
		// Reasons are kept in the company's words, like those people write.
		note = i18n.T(i18n.ZhCN, "customer.level.agreed", r.Reason, r.RequestedByName, strings.Join(by, "、"), r.Number())
	} else if n := len(r.History); n > 0 {
		note = r.History[n-1].Comment
	}
	if r.Subject.Type == levelsSubject {
		return l.s.settleLevels(ctx, a, r.Subject.ID, agreed, note)
	}
	var w levelWish
	if err := r.Decode(&w); err != nil {
		return err
	}
	_, gone, err := l.name(ctx, a, r.Subject.ID)
	if err != nil || gone {
		return err
	}
	if agreed {
		return l.s.SetLevel(ctx, a, r.Subject.ID, w.To, note)
	}
	a.Record(event.Event{Kind: LevelKept, Subject: Subject(r.Subject.ID), Reason: note, Data: LevelData(w)})
	return nil
}
