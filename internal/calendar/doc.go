// Package calendar knows when the company works: working hours of each weekday
// in several spans, China's public holidays with their make-up workdays, and the
// company's own days, in as many calendars as it needs (SLA-2). Deadlines, tasks
// and requests of persons are counted in it.
//
// What always holds: [Times.Due] and [Times.Elapsed] are pure and undo each
// other to the microsecond; an explicit day of the company comes before a
// make-up workday, that before a holiday, that before the week; a deadline that
// falls on the end of a span is at its end, not at the beginning of the next.
//
// Whoever changes a calendar or the holidays changes the stamp with it; what is
// compiled is held by its stamp, so that no action reads calendars.
package calendar
