// Package guard holds the house to its order: tests that look at the whole
// program at once and fail when something was added in the wrong place or only
// half. It has no code of its own. Each test says why it is there.
package guard
