// Package sim proves that nothing falls out of the loop. It runs the whole
// product in one process on a virtual clock: customers, agents, engineers and
// supervisors drawn by chance work for a month on a company's tickets, while
// the store refuses writes or loses its answers, followers, jobs and sweeps
// stand still, the program dies and starts again, mail is slow or fails, and
// the machine sleeps or sets its clock back.
//
// After each step the tables are read by the simulation's own SQL and held
// against its own model of the life of a ticket: its own table of moves, its
// own clocks, ladders and calendar, its own idea of who is to be told. The
// model never asks the rooms it checks.
//
// All chance comes from the seed and everything is driven step by step in one
// goroutine, so a failing seed fails again in the same step:
//
//	go test ./internal/sim -run Seeds -seed 4711 -seeds 1
//
// What is in this package are tests; docs/simulation.md says how to run them.
package sim
