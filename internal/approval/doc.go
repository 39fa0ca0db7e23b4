// Package approval lets somebody else agree before a thing is done (审批, GOV-2):
// deletion, disclosure, a large export, a change of level. A room declares a
// kind of request with [Service.Register] and asks with [Service.Ask]; people
// decide step by step; the room hears of the end in the transaction of the last
// decision, so that what was agreed to and what is done are one.
//
// What always holds:
//
//   - Nobody decides a request of his own: at no step, not standing in for
//     somebody, not as an administrator. Where he would be asked, the one above
//     him is, and at last the other administrators.
//   - A pending request says whom it waits for. If there is nobody at all it
//     says that, and goes on by itself once there is somebody.
//   - Unless a kind's rule allows it, nobody decides two steps of one request,
//     neither for himself nor for somebody else.
//   - Each reminder, escalation and lapse happens once, however often the
//     program is started again and on however many nodes it runs.
//   - Times count by the clock, not by office hours: a request made on Friday is
//     not forgotten on Monday.
//
// The room imports org and the works only.
package approval
