package process

import (
	"cmp"
	"slices"
)

// Sizes of the drawing, in its own units (CSS pixels).
const (
	BoxLong  = 148 // of a box, across the page
	BoxHigh  = 66
	margin   = 14
	labelGap = 20 // between two labels
)

// Box is a stage in the drawing.
type Box struct {
	Stage      Stage
	X, Y, W, H int
}

// Point of a line.
type Point struct{ X, Y int }

// Line is a step in the drawing: from the edge of one box over bends to the edge
// of another.
type Line struct {
	Move   Move
	Points []Point
	Back   bool  // against the direction of the drawing
	Label  Point // middle of its name
}

// Drawing is where everything of a definition stands.
type Drawing struct {
	W, H  int
	Down  bool // from above downwards; else from the left to the right
	Boxes []Box
	Lines []Line
}

// Draw arranges d in layers: each stage behind those that lead to it, ways back
// around the outside. down lays the layers below each other, for narrow screens.
func (d *Definition) Draw(down bool) Drawing {
	l := newLayout(d, down)
	l.order()
	l.place()
	return l.draw()
}

// layout works along (from layer to layer) and across (within a layer).
type layout struct {
	d     *Definition
	g     *graph
	down  bool
	nodes []node
	rows  [][]int // nodes by layer
	ways  [][]int // by edge of g: the nodes it runs over; nil: a way back
	along []int   // where each layer begins
}

// node is a stage, or the place where a long line crosses a layer.
type node struct {
	stage       int // -1: a crossing
	layer       int
	across      int // its middle
	size        int
	left, right []int // neighbours in the layers before and behind
}

func newLayout(d *Definition, down bool) *layout {
	l := &layout{d: d, g: newGraph(d), down: down}
	layer, back := l.g.layers(), l.g.back()
	deep := 0
	for i := range d.Stages {
		l.nodes = append(l.nodes, node{stage: i, layer: layer[i], size: l.boxAcross()})
		deep = max(deep, layer[i]+1)
	}
	l.rows = make([][]int, deep)
	l.ways = make([][]int, len(l.g.edges))
	for i, e := range l.g.edges {
		if back[i] {
			continue
		}
		way := []int{e.from}
		for at := layer[e.from] + 1; at < layer[e.to]; at++ {
			l.nodes = append(l.nodes, node{stage: -1, layer: at, size: 8})
			way = append(way, len(l.nodes)-1)
		}
		way = append(way, e.to)
		for j := 1; j < len(way); j++ {
			a, b := &l.nodes[way[j-1]], &l.nodes[way[j]]
			a.right, b.left = append(a.right, way[j]), append(b.left, way[j-1])
		}
		l.ways[i] = way
	}
	for i, n := range l.nodes {
		l.rows[n.layer] = append(l.rows[n.layer], i)
	}
	return l
}

func (l *layout) boxAcross() int {
	if l.down {
		return BoxLong
	}
	return BoxHigh
}

func (l *layout) boxAlong() int {
	if l.down {
		return BoxHigh
	}
	return BoxLong
}

// gapAcross is between two neighbours of a layer.
func (l *layout) gapAcross() int {
	if l.down {
		return 18
	}
	return 30
}

// order sorts each layer by the middle of its neighbours, from both sides in
// turn, so that few lines cross.
func (l *layout) order() {
	at := make([]int, len(l.nodes))
	number := func(row []int) {
		for i, n := range row {
			at[n] = i * 1000 / max(1, len(row))
		}
	}
	for _, row := range l.rows {
		number(row)
	}
	sweep := func(row []int, of func(n *node) []int) {
		mid := make(map[int]int, len(row))
		for _, n := range row {
			sum, by := 0, of(&l.nodes[n])
			for _, m := range by {
				sum += at[m]
			}
			if mid[n] = at[n]; len(by) > 0 {
				mid[n] = sum / len(by)
			}
		}
		slices.SortStableFunc(row, func(a, b int) int { return cmp.Compare(mid[a], mid[b]) })
		number(row)
	}
	for range 4 {
		for _, row := range l.rows[min(1, len(l.rows)):] {
			sweep(row, func(n *node) []int { return n.left })
		}
		for i := len(l.rows) - 2; i >= 0; i-- {
			sweep(l.rows[i], func(n *node) []int { return n.right })
		}
	}
}

// place gives every node its middle across, and every layer its beginning.
func (l *layout) place() {
	for _, row := range l.rows {
		pos := 0
		for _, n := range row {
			x := &l.nodes[n]
			x.across = pos + x.size/2
			pos += x.size + l.gapAcross()
		}
	}
	// Towards the middle of the neighbours, as far as the order and the gaps let.
	for round := range 6 {
		for i := range l.rows {
			row := l.rows[i]
			if round%2 == 1 {
				row = l.rows[len(l.rows)-1-i]
			}
			want := make([]int, len(row))
			for j, n := range row {
				x := &l.nodes[n]
				sum, by := 0, slices.Concat(x.left, x.right)
				for _, m := range by {
					sum += l.nodes[m].across
				}
				if want[j] = x.across; len(by) > 0 {
					want[j] = sum / len(by)
				}
			}
			l.settle(row, want)
		}
	}
	least := 0
	for i, n := range l.nodes {
		if lo := n.across - n.size/2; i == 0 || lo < least {
			least = lo
		}
	}
	for i := range l.nodes {
		l.nodes[i].across += margin - least
	}
	// Names of steps stand in the gaps: across a page they need their length, down
	// it a line each.
	l.along = make([]int, len(l.rows))
	at := margin
	for i := range l.rows {
		l.along[i] = at
		gap := 106
		if l.down {
			gap = 46 + labelGap*max(0, l.leaving(i)-1)
		}
		at += l.boxAlong() + gap
	}
}

// leaving counts the lines that begin in layer i; their names stand behind it.
func (l *layout) leaving(i int) (n int) {
	for _, w := range l.ways {
		if len(w) > 0 && l.nodes[w[0]].layer == i {
			n++
		}
	}
	return n
}

// settle moves the nodes of a row as near to want as they can stand without
// touching: pushed from the front, then from behind, and the mean of both.
func (l *layout) settle(row []int, want []int) {
	k := len(row)
	apart := func(i int) int { // between the middles of i-1 and i
		return (l.nodes[row[i-1]].size+l.nodes[row[i]].size+1)/2 + l.gapAcross()
	}
	fwd, bwd := slices.Clone(want), slices.Clone(want)
	for i := 1; i < k; i++ {
		fwd[i] = max(fwd[i], fwd[i-1]+apart(i))
	}
	for i := k - 2; i >= 0; i-- {
		bwd[i] = min(bwd[i], bwd[i+1]-apart(i+1))
	}
	for i := range row {
		l.nodes[row[i]].across = (fwd[i] + bwd[i]) / 2
	}
	for i := 1; i < k; i++ { // rounding
		a := &l.nodes[row[i]].across
		*a = max(*a, l.nodes[row[i-1]].across+apart(i))
	}
}

// point turns along and across into the page's x and y.
func (l *layout) point(along, across int) Point {
	if l.down {
		return Point{across, along}
	}
	return Point{along, across}
}

func (l *layout) draw() Drawing {
	out := Drawing{Down: l.down}
	far := margin // the outer edge across
	for _, n := range l.nodes {
		far = max(far, n.across+n.size/2)
	}
	for i, s := range l.d.Stages {
		n := l.nodes[i]
		p := l.point(l.along[n.layer], n.across-n.size/2)
		b := Box{Stage: s, X: p.X, Y: p.Y, W: BoxLong, H: BoxHigh}
		out.Boxes = append(out.Boxes, b)
		out.W, out.H = max(out.W, b.X+b.W), max(out.H, b.Y+b.H)
	}
	starts, ends := l.ports()
	lane := 0
	for i, e := range l.g.edges {
		m := l.d.Moves[e.move]
		line := Line{Move: m}
		from, to := l.nodes[e.from], l.nodes[e.to]
		if w := l.ways[i]; w != nil {
			line.Points = append(line.Points, l.point(l.along[from.layer]+l.boxAlong(), starts[i]))
			for _, n := range w[1 : len(w)-1] {
				x := l.nodes[n]
				line.Points = append(line.Points, l.point(l.along[x.layer], x.across), l.point(l.along[x.layer]+l.boxAlong(), x.across))
			}
			line.Points = append(line.Points, l.point(l.along[to.layer], ends[i]))
			line.Label = l.point(l.along[from.layer]+l.boxAlong()+56, starts[i])
		} else {
			// Around the outside, each in a lane of its own.
			lane++
			off := far + 10 + lane*(labelGap+4)
			line.Back = true
			a, b := l.along[from.layer]+l.boxAlong()*2/3-lane%4*9, l.along[to.layer]+l.boxAlong()/3+lane%4*9
			line.Points = []Point{l.point(a, from.across+from.size/2), l.point(a, off), l.point(b, off), l.point(b, to.across+to.size/2)}
			line.Label = l.point((a+b)/2, off)
		}
		out.Lines = append(out.Lines, line)
	}
	l.labels(&out)
	for _, ln := range out.Lines {
		for _, p := range append(slices.Clone(ln.Points), ln.Label) {
			out.W, out.H = max(out.W, p.X), max(out.H, p.Y)
		}
	}
	if l.down && lane > 0 {
		out.W += 52 // half a name beside the last lane
	}
	out.W, out.H = out.W+margin, out.H+margin
	return out
}

// ports spreads the lines that leave or meet a box over its side, in the order of
// where they lead.
func (l *layout) ports() (starts, ends []int) {
	starts, ends = make([]int, len(l.g.edges)), make([]int, len(l.g.edges))
	spread := func(node int, edges []int, other func(e int) int, into []int) {
		slices.SortStableFunc(edges, func(a, b int) int { return cmp.Compare(other(a), other(b)) })
		n := l.nodes[node]
		for i, e := range edges {
			into[e] = n.across - n.size/2 + n.size*(i+1)/(len(edges)+1)
		}
	}
	for i := range l.d.Stages {
		var out, in []int
		for e, w := range l.ways {
			if len(w) == 0 {
				continue
			}
			if w[0] == i {
				out = append(out, e)
			}
			if w[len(w)-1] == i {
				in = append(in, e)
			}
		}
		spread(i, out, func(e int) int { return l.nodes[l.ways[e][1]].across }, starts)
		spread(i, in, func(e int) int { return l.nodes[l.ways[e][len(l.ways[e])-2]].across }, ends)
	}
	return starts, ends
}

// labels puts the names of steps beside their beginnings, so that none lies on
// another.
func (l *layout) labels(d *Drawing) {
	gaps := map[int][]*Line{} // by the layer they leave
	for i := range d.Lines {
		if e := l.g.edges[i]; !d.Lines[i].Back {
			n := l.nodes[e.from].layer
			gaps[n] = append(gaps[n], &d.Lines[i])
		}
	}
	for layer, lines := range gaps {
		end := l.along[layer] + l.boxAlong()
		if l.down {
			// One below the other, each at its own line.
			slices.SortStableFunc(lines, func(a, b *Line) int { return cmp.Compare(a.Points[0].X, b.Points[0].X) })
			for i, ln := range lines {
				y := end + 18 + i*labelGap
				ln.Label = Point{xAt(ln.Points[0], ln.Points[1], y), y}
			}
			continue
		}
		slices.SortStableFunc(lines, func(a, b *Line) int { return cmp.Compare(midY(a), midY(b)) })
		last := -1 << 30
		for _, ln := range lines {
			y := max(midY(ln), last+labelGap)
			ln.Label = Point{(ln.Points[0].X + ln.Points[1].X) / 2, y}
			last = y
		}
	}
}

func midY(l *Line) int { return (l.Points[0].Y + l.Points[1].Y) / 2 }

// xAt is where the curve from a to b passes y: near enough its straight line,
// eased at both ends.
func xAt(a, b Point, y int) int {
	if b.Y <= a.Y {
		return a.X
	}
	t := float64(y-a.Y) / float64(b.Y-a.Y)
	t = min(1, max(0, t))
	t = t * t * (3 - 2*t)
	return a.X + int(float64(b.X-a.X)*t)
}
