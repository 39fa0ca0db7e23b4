package demo

import (
	"context"
	"slices"
	"time"

	"bihuan/internal/complaint"
	"bihuan/internal/ticket"
)

// moods and wishes people come with; the worse ones are rarer.
var (
	moods    = []string{"unhappy", "angry", "unhappy", "anxious", "angry", "furious", "unhappy", "calm"}
	remedies = []complaint.Wish{{Remedy: "apology", Note: "当事人书面道歉"}, {Remedy: "replacement", Note: "更换同型号新机"}, {Remedy: "refund", Note: "退还多收的费用"}, {Remedy: "compensation", Note: "补偿误工损失"}, {Remedy: "information", Note: "书面说明原因"}, {Remedy: "repair", Note: "彻底修好并延长保修"}}
)

// wish is what the customer of the n-th request asks for when he complains.
func (l *life) wish(n int) complaint.Wish {
	w := remedies[n%len(remedies)]
	w.Mood = moods[(n/3)%len(moods)]
	return w
}

// handle records how a complaint goes on: the next steps, or with all those the
// customer waits for. Nothing when the ticket is none.
func (l *life) handle(ctx context.Context, s *story, t *ticket.Ticket, all bool) error {
	if l.Complaints == nil || !complaint.Is(t) {
		return nil
	}
	by, err := l.user(ctx, t.AssigneeID)
	if err != nil {
		return err
	}
	c, err := l.Complaints.Of(ctx, *t)
	if err != nil {
		return err
	}
	required := complaint.DefaultSettings().Required
	for n := 0; all || n <= int(t.ID%4); n++ {
		missing := c.Missing(required)
		if len(missing) == 0 {
			return nil
		}
		if c, err = l.Complaints.Record(ctx, by, t.ID, complaint.Entry{Step: missing[0], Values: l.recorded(s, t, c, missing[0])}); err != nil {
			return err
		}
		if took := time.Duration(2+t.ID%5) * time.Minute; l.Clock.Now().Add(time.Hour).Before(l.end) {
			l.Clock.Advance(took)
		}
	}
	if c.Level == complaint.LevelAgent && (t.Round > 1 || c.Mood == "furious" || c.Severity == "critical") {
		_, err = l.Complaints.Upgrade(ctx, by, t.ID, 0, "客户要求由上级处理，并希望今天内得到答复。")
	} else if c.Level == complaint.LevelSupervisor && t.Round > 1 && t.ID%2 == 0 {
		_, err = l.Complaints.Upgrade(ctx, by, t.ID, 0, "二次处理仍未让客户满意，涉及跨部门赔付。")
	}
	return err
}

// recorded is what is written down in a step.
func (l *life) recorded(s *story, t *ticket.Ticket, c complaint.Complaint, step complaint.Step) complaint.Values {
	n, now := int(t.ID), l.Clock.Now().UTC().Format(time.RFC3339)
	of := func(codes string) string { all := complaint.Codes(codes); return all[n%len(all)] }
	switch step {
	case complaint.Receive:
		wish := c.Wish
		if wish == "" {
			wish = of("remedy")
		}
		return complaint.Values{"product": s.vars.Replace("{p} 及上门服务"), "wish": wish, "wish_note": c.WishNote, "people": s.vars.Replace("经办人、{k}"), "department": []string{"客服部", "售后部", "物流部"}[n%3],
			"branch": []string{"广州服务网点", "上海服务网点", ""}[n%3], "action": []string{"已暂停相关收费", "已安排备用设备", ""}[n%3], "informed": "duration,progress,recourse", "language": "zh"}
	case complaint.Calm:
		return complaint.Values{"at": now, "means": []string{"phone", "chat", "visit"}[n%3], "said": "认真听取了客户的不满并致歉，说明了处理步骤和预计时间，约定每天同步一次进展。", "mood": []string{"unhappy", "calm", "anxious"}[n%3]}
	case complaint.Classify:
		v := complaint.Values{"severity": []string{"medium", "high", "medium", "low", "critical"}[n%5], "complexity": of("complexity"), "impact": []string{"single", "single", "several"}[n%3], "safety": "none", "immediate": "not_needed"}
		if n%5 == 4 {
			v["safety"], v["safety_note"], v["immediate"], v["immediate_note"] = "possible", "设备异响发热，存在安全隐患，待检测。", "possible", "已请客户停用设备，并送备用机。"
		}
		return v
	case complaint.Investigate:
		return complaint.Values{"facts": s.vars.Replace(s.follow[0]), "sources": "records,staff", "justified": []string{"justified", "partly", "justified"}[n%3]}
	case complaint.Propose:
		v := complaint.Values{"remedies": "apology", "offer": s.vars.Replace(s.solution), "prevent": s.prevent, "at_once": "yes"}
		if c.Wish != "" && c.Wish != "apology" {
			v["remedies"] = c.Wish + ",apology"
		}
		if n%4 == 3 {
			v["at_once"], v["later_why"], v["later_when"] = "no", "需要协调备件和物流", l.Clock.Now().AddDate(0, 0, 3).Format(time.DateOnly)
		}
		return v
	case complaint.Resolve:
		return complaint.Values{"done": s.vars.Replace(s.follow[len(s.follow)-1]), "done_at": now, "cause": s.cause, "corrective": s.prevent}
	case complaint.Review:
		v := complaint.Values{"outcome": "accepted", "analysis": []string{"single", "recurring", "single", "systemic"}[n%4], "satisfaction": []string{"5", "4", "4", "3"}[n%4], "lesson": s.prevent}
		if v["analysis"] != "single" {
			v["analysis_note"] = "近三个月同类投诉已有多起，建议纳入改进计划。"
		}
		return v
	}
	return nil
}

// lookBack reviews a complaint that has ended; some still wait for that.
func (l *life) lookBack(s *story, t ticket.Ticket) {
	if l.Complaints == nil || !complaint.Is(&t) || t.ID%4 == 0 {
		return
	}
	l.after(time.Duration(2+t.ID%20)*time.Hour, func(ctx context.Context) error {
		by, err := l.user(ctx, l.crew.boss[t.DepartmentID])
		if err != nil {
			return err
		}
		c, err := l.Complaints.Of(ctx, t)
		if err != nil || !slices.Contains([]string{"accepted", "silent"}, c.Answer) || c.Due() != complaint.Review {
			return err
		}
		_, err = l.Complaints.Record(ctx, by, t.ID, complaint.Entry{Step: complaint.Review, Values: l.recorded(s, &t, c, complaint.Review)})
		return err
	})
}
