package demo

import (
	"context"
	"math/rand/v2"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/number"
	"bihuan/internal/task"
)

// ownTasks are what people write down for themselves, about nothing the program
// knows of.
var ownTasks = []struct {
	title string
	in    time.Duration // after the end of the sample; before it when negative
	whole bool
}{
	{"整理本周常见问题，发给知识库编辑", 3 * time.Hour, true},
	{"给南粤医疗王工寄回访礼品", 26 * time.Hour, true},
	{"参加售后例会，准备逾期工单清单", 50 * time.Hour, false},
	{"核对上月退款台账", 74 * time.Hour, true},
	{"更新外呼话术", -5 * time.Hour, false},
}

// tasks lets people do what they have planned, mostly in time, look through their
// day before they leave, and write down what is only theirs.
func (l *life) tasks() {
	if l.Tasks == nil {
		return
	}
	rnd := rand.New(rand.NewPCG(20261119, 22)) // its own, so that the rest of the sample stays as it is
	everything := authz.For(authz.System("demo"), task.PermView)
	l.every(6*time.Hour, l.start.Add(5*time.Hour), func(ctx context.Context) error {
		p, err := l.Tasks.List(ctx, everything, task.Filter{Late: true, Limit: 500})
		if err != nil {
			return err
		}
		for _, t := range p.Tasks {
			if t.Owed() || rnd.IntN(100) >= 70 {
				continue
			}
			by, err := l.user(ctx, t.OwnerID)
			if err != nil {
				return err
			}
			if _, err := l.Tasks.Complete(ctx, by, t.ID, 0); err != nil {
				return err
			}
		}
		_, err = l.Tasks.Sweep(ctx)
		return err
	})
	l.at(l.end.Add(-20*time.Hour), func(ctx context.Context) error {
		for i, id := range l.crew.agents {
			by, err := l.user(ctx, id)
			if err != nil {
				return err
			}
			for k, o := range ownTasks {
				if (i+k)%2 == 1 {
					continue
				}
				due := l.end.Add(o.in).In(number.Zone).Truncate(30 * time.Minute)
				t, err := l.Tasks.Create(ctx, by, task.New{Title: o.title, DueAt: due, AllDay: o.whole, Remind: 30})
				if err != nil {
					return err
				}
				if err := l.Run.Do(ctx, authz.System(actorName), "demo.fill", func(ctx context.Context, a *action.Action) error {
					a.Nothing()
					return task.MarkDemo(ctx, a, t.ID)
				}); err != nil {
					return err
				}
			}
		}
		return nil
	})
	l.at(l.end.Add(-15*time.Hour), func(ctx context.Context) error {
		for _, id := range l.crew.agents[:len(l.crew.agents)/2] {
			by, err := l.user(ctx, id)
			if err == nil {
				err = l.Tasks.CloseDay(ctx, by)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
