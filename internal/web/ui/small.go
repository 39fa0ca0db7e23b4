package ui

import (
	"html/template"
	"time"
)

// The small parts as functions, for rows that are drawn anew in every answer: a
// row put together in Go takes a tenth of what its template takes. What they are
// given as text they escape themselves.

// Escape makes text safe in HTML and in quoted attributes.
func Escape(text string) string { return esc(text) }

// Tone is the colour a code has.
func Tone(code string) string { return tone(code) }

// Badge is a word on a coloured ground.
func Badge(colour, text string) template.HTML { return badge(colour, text) }

// State is a word with a coloured dot before it.
func State(colour, text string) template.HTML { return state(colour, text) }

// Level is a word with a small diamond before it.
func Level(colour, text string) template.HTML { return level(colour, text) }

// AgoTag says how long ago t was, DateTag on which day; nothing for the zero time.
func AgoTag(t time.Time) template.HTML { return timeTag(t, 'a', ` data-ago`) }

// DateTag is the day of t.
func DateTag(t time.Time) template.HTML { return timeTag(t, 'd', "") }

// Num writes a whole number with thousands separators.
func Num(n int64) string { return num(n) }
