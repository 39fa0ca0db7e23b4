package ticket_test

import (
	"sync"
	"testing"
	"time"

	"bihuan/internal/authz"
	"bihuan/internal/fault"
	"bihuan/internal/sla"
	"bihuan/internal/ticket"
	"bihuan/internal/ticket/tickettest"
)

// More registrations at once than there are connections, at the moment the
// organisation has to be read anew: none waits for a second connection.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		by := h.As("kefu")
		h.Clock.Advance(time.Minute) // what is known of the organisation is old
		done := make(chan struct{})
		go func() {
			defer close(done)
			var wg sync.WaitGroup
			for range 40 {
				wg.Go(func() {
					if _, err := h.Service.Register(h.Ctx, by, h.Input()); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		}()
		select {
		case <-done:
		case <-time.After(60 * time.Second): // far more than it takes
			t.Fatal("registrations wait for each other")
		}
		h.Invariants()
	})
}

// Sixty-four people press the same buttons on one ticket: each move happens
// once, everybody else is refused in words, nothing is lost.
func TestOneTicketManyClients(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		once := func(what string, tk ticket.Ticket, do func() error) {
			t.Helper()
			h.Events()
			var wg sync.WaitGroup
			var mu sync.Mutex
			won := 0
			for range 64 {
				wg.Go(func() {
					err := do()
					mu.Lock()
					defer mu.Unlock()
					switch fault.KindOf(err) {
					case "":
						won++
					case fault.Conflict, fault.Forbidden:
					default:
						t.Errorf("%s: %v", what, err)
					}
				})
			}
			wg.Wait()
			got, err := h.Get(h.Ctx, authz.For(authz.System("test"), ticket.PermView), tk.ID)
			h.OK(err)
			if won != 1 || got.Version != tk.Version+1 {
				t.Errorf("%s happened %d times, version %d after %d", what, won, got.Version, tk.Version)
			}
		}
		kefu := h.As("kefu")
		tk := h.To(ticket.Pending)
		once("acknowledge", tk, func() error { _, err := h.Do(h.Ctx, kefu, tk.ID, ticket.Acknowledge, ticket.Input{}); return err })
		tk = h.To(ticket.AwaitingConfirmation)
		once("confirm", tk, func() error {
			_, err := h.Do(h.Ctx, h.The(tk), tk.ID, ticket.Confirm, ticket.Input{Rating: &ticket.Rating{Stars: 5, Solved: true}})
			return err
		})
		tk = h.To(ticket.AwaitingConfirmation)
		once("dispute", tk, func() error {
			_, err := h.Do(h.Ctx, h.The(tk), tk.ID, ticket.Dispute, ticket.Input{Rating: &ticket.Rating{Stars: 1}})
			return err
		})

		// A double click on the stars: one effect, and both see the page of thanks.
		tk = h.To(ticket.AwaitingConfirmation)
		h.Events()
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if _, err := h.Rate(h.Ctx, h.The(tk), tk.ID, ticket.Rating{Stars: 5, Solved: true}); err != nil {
					t.Errorf("a second click: %v", err)
				}
			})
		}
		wg.Wait()
		if evs := h.Events(); evs != "ticket.confirmed" {
			t.Errorf("a double click did %q", evs)
		}

		// Notes of many people all arrive.
		tk = h.To(ticket.InProgress)
		for range 32 {
			wg.Go(func() {
				if _, err := h.Note(h.Ctx, kefu, tk.ID, "同时写的备注", nil, nil); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		got, err := h.Get(h.Ctx, ticket.View(kefu), tk.ID)
		h.OK(err)
		if got.Version != tk.Version+32 {
			t.Errorf("version %d after 32 notes on version %d", got.Version, tk.Version)
		}
		h.Invariants()
	})
}

// The days of silence end on two nodes while the customer presses the button:
// each ticket is completed once, by one of them, and nobody waits for long.
func TestLapseRace(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *tickettest.House) {
		var tickets []ticket.Ticket
		for range 12 {
			tickets = append(tickets, h.To(ticket.AwaitingConfirmation))
		}
		h.Clock.Advance(72 * time.Hour)
		first := h.Clocks
		h.Restart() // a second node over the same store
		var wg sync.WaitGroup
		for _, node := range []*sla.Service{first, h.Clocks} {
			wg.Go(func() {
				if _, err := node.Sweep(h.Ctx); err != nil {
					t.Errorf("sweep: %v", err)
				}
			})
		}
		for _, tk := range tickets {
			wg.Go(func() {
				_, err := h.Rate(h.Ctx, h.The(tk), tk.ID, ticket.Rating{Stars: 4, Solved: true})
				if err != nil {
					t.Errorf("rate: %v", err)
				}
			})
		}
		wg.Wait()
		h.Sweep()
		for _, tk := range tickets {
			got, err := h.Get(h.Ctx, authz.For(authz.System("test"), ticket.PermView), tk.ID)
			h.OK(err)
			if got.State != ticket.Completed || got.Rating != 4 || got.Round != 1 {
				t.Errorf("%s is %s with %d stars", got.Number, got.State, got.Rating)
			}
		}
		var n int
		h.OK(h.D.Read().QueryRow(h.Ctx, `SELECT COUNT(*) FROM events WHERE kind IN ('ticket.lapsed', 'ticket.confirmed')`).Scan(&n))
		if n != len(tickets) {
			t.Errorf("%d completions of %d tickets", n, len(tickets))
		}
		h.Invariants()
	})
}
