// Package importer takes in the tables a company has kept its customers and
// service requests in until now: 客户信息登记表 and 服务任务分配表, as .xlsx or .csv,
// in the state such tables are in.
//
// What always holds:
//
//   - Good rows come in, and every other row is reported with its reason, in a
//     copy of the table that can be mended and imported again.
//   - No row comes in twice. Each has a key, made of its number in the table or,
//     without one, of its content; the key is unique in the database. So a table
//     may be imported again, and an import that was killed goes on.
//   - Rows are written some hundreds at a time, each batch with how far the
//     import is, in one transaction. Memory stays flat however long the table is.
//   - What cannot be understood is never guessed silently: it is kept as a remark
//     and the row is marked.
//
// Numbers: an ID of the table stays the number here if it looks like one and is
// free. Else a new number is given, and the old one can be searched.
//
// Open tickets get the clock their state waits for, due at 截止时间; see
// [ticket.Service.Import]. Those that are late already sound no alarm.
package importer
