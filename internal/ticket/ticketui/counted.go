package ticketui

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"bihuan/internal/ticket"
	"bihuan/internal/web"
)

// countsHold is how long a whole page may show the counts of the page before
// it: they are the dearest part of it. Whatever happens meanwhile makes the
// browser look again, and that look always counts anew.
const countsHold = time.Second

// counted remembers the counts of each reader's views for a moment. The zero
// value is empty; it is safe for many goroutines.
type counted struct {
	mu sync.Mutex
	m  map[string]countsOf
}

type countsOf struct {
	at time.Time
	n  []int
}

// maxCounted bounds the memory; readers beyond it begin anew.
const maxCounted = 5000

func (c *counted) get(r *web.Request, key string) ([]int, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.m[key]
	age := r.Now().Sub(e.at)
	return e.n, ok && age >= 0 && age < countsHold
}

func (c *counted) put(r *web.Request, key string, n []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil || len(c.m) >= maxCounted {
		c.m = map[string]countsOf{}
	}
	c.m[key] = countsOf{r.Now(), n}
}

// keyOf names the reader and what is counted for him.
func keyOf(r *web.Request, saved []ticket.SavedView) string {
	var b strings.Builder
	fmt.Fprint(&b, r.Actor.ID, " ", r.Actor.Level(ticket.PermView), " ", r.Actor.Can(ticket.PermSupervise))
	for _, v := range saved {
		fmt.Fprint(&b, " ", v.ID)
	}
	return b.String()
}
