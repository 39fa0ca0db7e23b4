package process

import "slices"

// graph is a definition as numbers: nodes by their place among the stages.
type graph struct {
	n     int
	start int // -1: none
	edges []edge
	next  [][]int // by node, the edges that leave it
}

type edge struct{ from, to, move int }

// newGraph leaves out steps that lead from or to nowhere, or to where they began.
func newGraph(d *Definition) *graph {
	at := map[string]int{}
	for i, s := range d.Stages {
		at[s.Code] = i
	}
	g := &graph{n: len(d.Stages), start: -1, next: make([][]int, len(d.Stages))}
	if i, ok := at[d.Start]; ok {
		g.start = i
	}
	for i, m := range d.Moves {
		f, ok1 := at[m.From]
		t, ok2 := at[m.To]
		if ok1 && ok2 && f != t {
			g.next[f] = append(g.next[f], len(g.edges))
			g.edges = append(g.edges, edge{f, t, i})
		}
	}
	return g
}

// reach marks the nodes that can be reached from those given; against follows
// the edges backwards.
func (g *graph) reach(from []int, against bool) []bool {
	seen := make([]bool, g.n)
	todo := slices.Clone(from)
	for _, i := range todo {
		seen[i] = true
	}
	for len(todo) > 0 {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, e := range g.edges {
			a, b := e.from, e.to
			if against {
				a, b = b, a
			}
			if a == i && !seen[b] {
				seen[b] = true
				todo = append(todo, b)
			}
		}
	}
	return seen
}

// back marks the edges that close a circle: seen from the start, depth first, in
// the order of the definition. Without them the graph has no circle.
func (g *graph) back() []bool {
	back := make([]bool, len(g.edges))
	const fresh, open, done = 0, 1, 2
	mark := make([]int, g.n)
	var visit func(i int)
	visit = func(i int) {
		mark[i] = open
		for _, e := range g.next[i] {
			switch t := g.edges[e].to; mark[t] {
			case fresh:
				visit(t)
			case open:
				back[e] = true
			}
		}
		mark[i] = done
	}
	if g.start >= 0 {
		visit(g.start)
	}
	for i := range g.n {
		if mark[i] == fresh {
			visit(i)
		}
	}
	return back
}

// layers puts each node behind all that lead to it; the start stands first.
func (g *graph) layers() []int {
	back := g.back()
	layer := make([]int, g.n)
	for range g.n { // no path is longer
		moved := false
		for i, e := range g.edges {
			if !back[i] && layer[e.to] <= layer[e.from] {
				layer[e.to], moved = layer[e.from]+1, true
			}
		}
		if !moved {
			break
		}
	}
	return layer
}

// circles returns, for each edge that closes one, the nodes of a shortest circle
// through it, beginning where it closes.
func (g *graph) circles() (out [][]int) {
	for i, b := range g.back() {
		if b {
			out = append(out, g.path(g.edges[i].to, g.edges[i].from))
		}
	}
	return out
}

// path is a shortest way from a to b, both included; nil when there is none.
func (g *graph) path(a, b int) []int {
	before := make([]int, g.n)
	for i := range before {
		before[i] = -1
	}
	before[a] = a
	todo := []int{a}
	for len(todo) > 0 && before[b] < 0 {
		i := todo[0]
		todo = todo[1:]
		for _, e := range g.next[i] {
			if t := g.edges[e].to; before[t] < 0 {
				before[t] = i
				todo = append(todo, t)
			}
		}
	}
	if before[b] < 0 {
		return nil
	}
	way := []int{b}
	for i := b; i != a; i = before[i] {
		way = append(way, before[i])
	}
	slices.Reverse(way)
	return way
}
