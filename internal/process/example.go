package process

import "bihuan/internal/ticket"

// Example is a process to begin with, for an administrator to change and publish.
type Example struct {
	Key    string // process.example.<key>
	Type   string
	Name   string
	NameEn string
	Make   func(department func(name string) int64) Definition
}

// Examples in the order they are offered. Departments that a company does not
// have are left out.
var Examples = []Example{
	{"complaint", "complaint", "投诉处理流程", "Complaint handling", complaints},
	{"after_sales", "after_sales", "售后维修流程", "Repair", repair},
}

func stage(code, name, en, hint string, department int64, minutes int, required ...string) Stage {
	s := NewStage()
	s.Code, s.Name, s.NameEn, s.Hint, s.Department, s.Minutes, s.Required = code, name, en, hint, department, minutes, required
	return s
}

func (s Stage) final() Stage { s.Final = true; return s }

func (s Stage) only(states ...ticket.State) Stage { s.States = states; return s }

func step(code, from, to, name, en string, who ...Party) Move {
	if len(who) == 0 {
		who = []Party{Assignee, Supervisor}
	}
	return Move{Code: code, From: from, To: to, Name: name, NameEn: en, Who: who}
}

// backwards is a step that asks why, and not for what the stage requires.
func (m Move) backwards() Move { m.Reason, m.Free = true, true; return m }

const hour, day = 60, 24 * 60

func complaints(dep func(string) int64) Definition {
	return Definition{Start: "s1", Again: "s2",
		Stages: []Stage{
			stage("s1", "受理核对", "Intake", "先联系客户安抚情绪，核对诉求、期望和凭证，判断严重程度", 0, 2*hour, "complaint.receive", "complaint.calm", "complaint.classify", "category"),
			stage("s2", "调查核实", "Investigation", "向当事人和相关部门核实经过，分清事实和责任", dep("技术支持部"), 1*day, "complaint.investigate"),
			stage("s3", "制定方案", "Proposal", "拟定给客户的补救方案和改进措施", dep("客服部"), 4*hour, "complaint.propose"),
			stage("s4", "主管审核", "Review", "审核方案是否合理、是否超出权限", 0, 4*hour).only(ticket.Pending, ticket.InProgress),
			stage("s5", "答复客户", "Answer", "落实方案，写清原因和改进措施，再请求客户确认", 0, 1*day, "complaint.resolve").final(),
		},
		Moves: []Move{
			step("m1", "s1", "s2", "转调查核实", "Investigate"),
			step("m2", "s1", "s3", "事实清楚，直接拟方案", "Facts are clear"),
			step("m3", "s2", "s3", "提交调查结论", "Submit findings"),
			step("m4", "s2", "s1", "信息不足，退回受理", "Send back").backwards(),
			step("m5", "s3", "s4", "提交审核", "Submit for review"),
			step("m6", "s4", "s5", "审核通过", "Approve", Supervisor),
			step("m7", "s4", "s3", "退回修改", "Revise", Supervisor).backwards(),
			step("m8", "s5", "s2", "出现新情况，重新调查", "Investigate again").backwards(),
		}}
}

func repair(dep func(string) int64) Definition {
	return Definition{Start: "s1", Again: "s2",
		Stages: []Stage{
			stage("s1", "受理登记", "Intake", "确认产品、故障现象和保修情况", 0, 4*hour, "category"),
			stage("s2", "远程诊断", "Diagnosis", "先尝试远程排查，记录诊断过程", dep("技术支持部"), 1*day, "record", "cause"),
			stage("s3", "上门或返修", "Repair", "安排上门或寄修，完成后上传照片或维修单", dep("售后部"), 3*day, "solution", "attachment"),
			stage("s4", "回访确认", "Follow-up", "确认设备恢复正常，再请求客户确认", dep("客服部"), 1*day, "solution").final(),
		},
		Moves: []Move{
			step("m1", "s1", "s2", "转远程诊断", "Diagnose"),
			step("m2", "s2", "s3", "需要上门或返修", "Needs repair"),
			step("m3", "s2", "s4", "远程已解决", "Solved remotely"),
			step("m4", "s2", "s1", "资料不全，退回", "Send back").backwards(),
			step("m5", "s3", "s4", "维修完成", "Repaired"),
			step("m6", "s4", "s3", "问题复现，再次维修", "Repair again").backwards(),
		}}
}
