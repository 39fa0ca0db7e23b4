package ui

import (
	"fmt"
	"html/template"
	"reflect"
	"sync"
	"sync/atomic"
)

// Keyed is a value of which {{once}} draws a fragment. Key returns all that the
// drawing depends on, as one comparable value; nil when it must be drawn anew.
type Keyed interface{ Key() any }

// drawn keeps fragments that were drawn before: the rows of a queue and the
// lines of a timeline are the same in nearly every answer, and drawing them is
// most of what an answer costs. Nothing in them says what time it is: the marks
// of times are filled in when the page is sent. What is kept was drawn from the
// view alone, so it is the same for everybody who is shown that view.
type drawn struct {
	mu       sync.Mutex
	now, old map[any]template.HTML
	size     int // bytes in now
}

// drawnMost bounds a generation; there are two in each page and language.
const drawnMost = 2 << 20

type drawing struct {
	name string
	key  any
	look int64
}

// lookChanged counts how often words or colours were changed while the program
// runs: what was drawn before is not shown again.
var lookChanged atomic.Int64

func (d *drawn) get(k drawing) (template.HTML, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if h, ok := d.now[k]; ok {
		return h, true
	}
	h, ok := d.old[k]
	if ok {
		d.keep(k, h)
	}
	return h, ok
}

func (d *drawn) put(k drawing, h template.HTML) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keep(k, h)
}

func (d *drawn) keep(k drawing, h template.HTML) {
	if d.size > drawnMost || d.now == nil {
		d.now, d.old, d.size = map[any]template.HTML{}, d.now, 0
	}
	d.now[k] = h
	d.size += len(h) + 600 // the key and the map
}

// once returns the function {{once "name" .}} of a set: the fragment name drawn
// from a value, from memory if it was drawn before. A value without [Keyed] is
// its own key and must be comparable.
func once(set func() *drawer) func(name string, v any) (template.HTML, error) {
	d := &drawn{}
	return func(name string, v any) (template.HTML, error) {
		key := v
		if k, ok := v.(Keyed); ok {
			key = k.Key()
		} else if !reflect.TypeOf(v).Comparable() {
			return "", fmt.Errorf("once: %T is neither comparable nor Keyed", v)
		}
		look := lookChanged.Load()
		if key != nil {
			if h, ok := d.get(drawing{name, key, look}); ok {
				return h, nil
			}
		}
		b := getBuffer()
		defer putBuffer(b)
		if err := set().ExecuteTemplate(b, name, v); err != nil {
			return "", err
		}
		h := template.HTML(b.String())
		if key != nil {
			d.put(drawing{name, key, look}, h)
		}
		return h, nil
	}
}
