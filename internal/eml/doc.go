// Package eml reads mails as they really arrive (RFC 5322, 2045 to 2049, 2183,
// 2231 and what clients make of them): headers, bodies, files and what kind of
// mail it is. It decides nothing about customers or tickets.
//
// What always holds: every sequence of bytes is read, nothing panics, and what is
// wrong with a mail is noted beside what could be read. Depth, parts, headers and
// sizes are bounded, so that no mail takes longer than a moment. HTML is a
// stranger's until [Safe] has cleaned it.
package eml
