package process

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"bihuan/internal/ticket"
)

// random is a definition with n stages and about m steps, circles included.
func random(r *rand.Rand, n, m int) Definition {
	d := Definition{Start: "s0"}
	for i := range n {
		s := NewStage()
		s.Code, s.Name = fmt.Sprint("s", i), fmt.Sprint("阶段", i)
		s.Department = int64(r.IntN(4))
		if r.IntN(4) == 0 {
			s.Required = []string{"cause"}
		}
		if r.IntN(3) == 0 {
			s.States = []ticket.State{ticket.Pending, ticket.InProgress}
		}
		s.Final = i == n-1 || r.IntN(5) == 0
		d.Stages = append(d.Stages, s)
	}
	for i := range m {
		from, to := r.IntN(n), r.IntN(n)
		d.Moves = append(d.Moves, Move{Code: fmt.Sprint("m", i), From: fmt.Sprint("s", from), To: fmt.Sprint("s", to), Name: fmt.Sprint("步骤", i), Who: []Party{Assignee, Supervisor}, Free: r.IntN(4) == 0})
	}
	return d
}

func TestDrawing(t *testing.T) {
	t.Parallel()
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 22))
		n := 1 + r.IntN(14)
		d := random(r, n, r.IntN(2*n+1))
		for _, down := range []bool{false, true} {
			x := d.Draw(down)
			if len(x.Boxes) != n {
				t.Fatalf("seed %d: %d boxes for %d stages", seed, len(x.Boxes), n)
			}
			inside := func(p Point) bool { return p.X >= 0 && p.Y >= 0 && p.X <= x.W && p.Y <= x.H }
			for i, a := range x.Boxes {
				if !inside(Point{a.X, a.Y}) || !inside(Point{a.X + a.W, a.Y + a.H}) {
					t.Fatalf("seed %d down %v: box %+v outside of %dx%d", seed, down, a, x.W, x.H)
				}
				for _, b := range x.Boxes[:i] {
					if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
						t.Fatalf("seed %d down %v: %s lies on %s", seed, down, a.Stage.Code, b.Stage.Code)
					}
				}
			}
			want := 0
			for _, m := range d.Moves {
				if m.From != m.To {
					want++
				}
			}
			if len(x.Lines) != want {
				t.Fatalf("seed %d: %d lines for %d steps", seed, len(x.Lines), want)
			}
			for _, l := range x.Lines {
				for _, p := range append(l.Points, l.Label) {
					if !inside(p) {
						t.Fatalf("seed %d down %v: %v of %s outside of %dx%d", seed, down, p, l.Move.Code, x.W, x.H)
					}
				}
				// A line that leads on does so from box to box without touching another.
				if !l.Back {
					for _, b := range x.Boxes {
						for _, p := range l.Points[1 : len(l.Points)-1] {
							if p.X > b.X && p.X < b.X+b.W && p.Y > b.Y && p.Y < b.Y+b.H {
								t.Fatalf("seed %d down %v: %s runs through %s", seed, down, l.Move.Code, b.Stage.Code)
							}
						}
					}
				}
			}
		}
	}
}

func TestDrawingOfNothing(t *testing.T) {
	t.Parallel()
	d := Definition{}
	if x := d.Draw(false); x.W <= 0 || len(x.Boxes) != 0 {
		t.Errorf("an empty definition is drawn as %+v", x)
	}
}
