// Package task keeps what somebody has to do until when (任务, FLW-2): the next
// plan of a follow-up record, what somebody writes down for himself or gives to
// a colleague, and what the program asks for (FLW-5). It also holds the check at
// the close of a day (每日下班前检查, FLW-4).
//
// What always holds:
//
//   - An open task has one owner. Whoever leaves hands his tasks over.
//   - The task of a plan is made, moved and finished in the transaction of the
//     record that says so; of one record there is at most one task.
//   - Each reminder and each notice of being late is told once, on one node or
//     many.
//   - The supervisor's follow-up after a dissatisfied customer is finished by his
//     record alone; nobody ticks it off.
//
// The room knows neither tickets nor customers: a task names its subject by type
// and id, and those rooms say how it is called, who may see it, and count what
// is open. The room imports org and the works only.
package task
