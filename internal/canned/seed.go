package canned

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"bihuan/internal/action"
	"bihuan/internal/cnid"
	"bihuan/internal/i18n"
	"bihuan/internal/setting"
	"bihuan/internal/ticket"
)

// first are the texts of a fresh install, for everybody. A company makes them its
// own; what it deletes does not come back.
var first = []Input{
	{Folder: "受理", Title: "已收到，正在处理", Code: "shoudao", Body: "{称呼|您好}，{问候语}！您反馈的问题我们已经收到，工单编号 {工单编号}，由我（{我的姓名}）为您处理。我会尽快查清情况，并第一时间告诉您进展。"},
	{Folder: "受理", Title: "请补充信息", Code: "buchong", Body: "{称呼|您好}，为了尽快查清问题，请您补充以下信息：\n1. 出现问题的具体时间；\n2. 当时的操作步骤；\n3. 页面提示的文字或截图。\n您可以直接回复，或凭工单编号 {工单编号} 与查询码 {查询码} 在线补充。"},
	{Folder: "处理", Title: "发货进度说明", Code: "fahuo", Types: []string{"consultation", "after_sales", "other"}, Body: "{称呼|您好}，您关心的发货情况已经与仓库核实：预计 ____ 发出，承运方为 ____。单号生成后我会立即发给您，请留意。"},
	{Folder: "处理", Title: "处理需要更多时间", Code: "yanchi", Body: "{称呼|您好}，关于「{工单标题}」，我们仍在处理：目前的进展是 ____，预计在 ____ 前给您明确答复。让您久等了，非常抱歉。"},
	{Folder: "处理", Title: "退换货说明", Code: "tuihuan", Types: []string{"after_sales", "complaint"}, Body: "{称呼|您好}，您的退换货申请已通过。请在 7 日内将商品连同配件、发票寄回：____。我们收到并检验后，会在 3 个工作日内为您办理，并在本工单 {工单编号} 中告知结果。"},
	{Folder: "投诉", Title: "致歉与承诺", Code: "zhiqian", Types: []string{"complaint"}, Body: "{称呼|您好}，我是{公司名称|客户服务中心}的{我的姓名}。对于此次给您带来的不便，我们诚恳致歉。您的投诉已登记（{工单编号}），由{处理部门}负责核查，我们将在 ____ 前向您反馈调查结果和处理方案。"},
	{Folder: "结束", Title: "问题已解决，请确认", Code: "jiejue", Body: "{称呼|您好}，您反馈的「{工单标题}」已经处理完毕：____。请您确认是否已解决；如仍有疑问，请直接回复，我们会继续跟进。"},
	{Folder: "结束", Title: "感谢来信", Code: "ganxie", Body: "感谢您的理解与支持。如果还有其他需要，欢迎随时联系我们，祝您生活愉快！"},
	{Folder: "English", Title: "We have received your request", Code: "received", Lang: i18n.En, Body: "{greeting}, {salutation|dear customer}. Thank you for contacting {company|us}. Your request has been registered as {number}; my name is {me} and I am looking into it. I will get back to you shortly."},
}

// firstMacros show what a macro can be.
var firstMacros = []MacroInput{
	{Name: "受理并告知客户", States: []string{"pending"}, Steps: []Step{{Kind: StepAssign, To: "me"}, {Kind: StepMove, Verb: ticket.Acknowledge}, {Kind: StepReply, Text: first[0].Body}}},
	{Name: "请客户补充信息", States: []string{"in_progress"}, Steps: []Step{{Kind: StepMove, Verb: ticket.Ask, Text: first[1].Body}, {Kind: StepNote, Text: "已请客户补充信息，等待答复。"}}},
}

const seeded = "canned.seeded"

// Seed brings the first texts and macros, once.
func Seed(ctx context.Context, a *action.Action) error {
	var done bool
	if err := setting.Read(ctx, a, seeded, &done); err != nil || done {
		return err
	}
	for _, in := range first {
		if err := in.check().OrNil(); err != nil {
			return fmt.Errorf("canned: seed %s: %w", in.Title, err)
		}
		if _, err := a.Exec(ctx, `INSERT INTO canned_replies (title, body, code, initials, folder, lang, search, scope, types, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 'all', $8, $9, $10)`,
			in.Title, in.Body, in.Code, strings.ToLower(cnid.Initials(in.Title)), in.Folder, string(in.Lang), in.search(), set(in.Types), a.NowMicros(), a.NowMicros()); err != nil {
			return fmt.Errorf("canned: seed: %w", err)
		}
	}
	for _, m := range firstMacros {
		steps, err := json.Marshal(m.Steps)
		if err == nil {
			_, err = a.Exec(ctx, `INSERT INTO macros (name, initials, scope, states, steps, created_at, updated_at) VALUES ($1, $2, 'all', $3, $4, $5, $6)`, m.Name, strings.ToLower(cnid.Initials(m.Name)), set(m.States), string(steps), a.NowMicros(), a.NowMicros())
		}
		if err != nil {
			return fmt.Errorf("canned: seed: %w", err)
		}
	}
	return setting.Write(ctx, a.Tx, seeded, true)
}
