// Package crash proves what is promised about writes: what was answered is on
// disk, and nothing happens twice. It kills the real program and watches its
// system calls. It has no code of its own.
package crash
