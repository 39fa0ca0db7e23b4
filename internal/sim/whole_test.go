package sim

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sort"
	"strings"
	"time"
)

// none are questions to the tables whose answer is always none. They need no
// model.
var none = []struct{ invariant, what, query string }{
	{"1: responsible", "open tickets without anybody", `SELECT COUNT(*) FROM tickets WHERE is_open = 1 AND assignee_id = 0 AND supervisor_id = 0`},
	{"2: clocks", "open tickets without a running clock", `SELECT COUNT(*) FROM tickets t WHERE is_open = 1 AND NOT EXISTS (SELECT 1 FROM clocks c WHERE c.ticket_id = t.id AND c.state = 'running')`},
	{"2: clocks", "ended tickets with a clock", `SELECT COUNT(*) FROM tickets t WHERE is_open = 0 AND EXISTS (SELECT 1 FROM clocks c WHERE c.ticket_id = t.id AND c.state IN ('running', 'paused'))`},
	{"3: firings", "clocks that have fired otherwise than they count", `SELECT COUNT(*) FROM clocks c WHERE c.fired <> (SELECT COUNT(*) FROM clock_firings f WHERE f.clock_id = c.id)`},
	{"4: events", "messages to customers without exactly one delivery", `SELECT COUNT(*) FROM entries e JOIN tickets t ON t.id = e.ticket_id WHERE t.parent_id IS NULL AND e.kind IN ('reply', 'question') AND (SELECT COUNT(*) FROM deliveries d WHERE d.entry_id = e.id) <> 1`},
	{"4: events", "confirmations asked for without a message", `SELECT COUNT(*) FROM tickets t WHERE t.state = 'awaiting_confirmation' AND t.parent_id IS NULL AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.ticket_id = t.id AND d.purpose = 'confirmation')`},
	{"4: events", "deliveries about parts", `SELECT COUNT(*) FROM deliveries d JOIN tickets t ON t.id = d.ticket_id WHERE t.parent_id IS NOT NULL`},
	{"4: events", "journal lines of moves without an event", `SELECT COUNT(*) FROM events e WHERE e.subject_type = 'ticket' AND e.kind = 'ticket.registered' AND NOT EXISTS (SELECT 1 FROM tickets t WHERE t.id = e.subject_id)`},
	{"5: outcome", "completed tickets without an outcome", `SELECT COUNT(*) FROM tickets WHERE state IN ('completed', 'closed') AND outcome NOT IN ('confirmed', 'phone', 'silence') OR state = 'cancelled' AND (outcome <> 'cancelled' OR cancel_reason = '')`},
	{"6: bad ratings", "bad ratings without a second handling", `SELECT COUNT(*) FROM ratings r JOIN tickets t ON t.id = r.ticket_id WHERE (r.stars BETWEEN 1 AND 3 OR r.solved = 0) AND t.round <= r.round`},
	{"6: bad ratings", "bad ratings without a clock for the supervisor", `SELECT COUNT(*) FROM ratings r JOIN tickets t ON t.id = r.ticket_id WHERE t.parent_id IS NULL AND (r.stars BETWEEN 1 AND 3 OR r.solved = 0) AND NOT EXISTS (SELECT 1 FROM clocks c WHERE c.ticket_id = t.id AND c.kind = 'follow_up' AND c.round > r.round)`},
	{"6: bad ratings", "bad ratings without a task for the supervisor", `SELECT COUNT(*) FROM ratings r JOIN tickets t ON t.id = r.ticket_id WHERE t.parent_id IS NULL AND (r.stars BETWEEN 1 AND 3 OR r.solved = 0) AND NOT EXISTS (SELECT 1 FROM tasks k WHERE k.subject_type = 'ticket' AND k.subject_id = t.id AND k.origin = 'dispute' AND k.due_at = k.created_at + 86400000000 AND k.created_at >= r.created_at)`},
	{"8: sub-tickets", "main tickets further than their parts", `SELECT COUNT(*) FROM tickets c JOIN tickets p ON p.id = c.parent_id WHERE c.is_open = 1 AND p.state NOT IN ('pending', 'in_progress', 'waiting_customer')`},
	{"8: sub-tickets", "wrong counts of open parts", `SELECT COUNT(*) FROM tickets p WHERE p.open_children <> (SELECT COUNT(*) FROM tickets c WHERE c.parent_id = p.id AND c.is_open = 1)`},
	{"clocks", "clocks of one kind beside each other", `SELECT COUNT(*) FROM (SELECT 1 FROM clocks WHERE state IN ('running', 'paused') GROUP BY ticket_id, kind HAVING COUNT(*) > 1) x`},
	{"clocks", "clocks whose segments do not fit", `SELECT COUNT(*) FROM clocks c WHERE (SELECT COUNT(*) FROM clock_segments s WHERE s.clock_id = c.id AND s.ended_at = 0) <> CASE WHEN c.state = 'running' THEN 1 ELSE 0 END OR c.used <> (SELECT COALESCE(SUM(s.used), 0) FROM clock_segments s WHERE s.clock_id = c.id AND s.ended_at > 0)`},
	{"clocks", "clocks that stand still and would fire", `SELECT COUNT(*) FROM clocks WHERE state <> 'running' AND next_at <> 0 OR state = 'paused' AND due_at <> 0`},
	{"figures", "wrong loads", `SELECT COUNT(*) FROM ticket_load l WHERE l.open <> (SELECT COUNT(*) FROM tickets t WHERE t.assignee_id = l.user_id AND t.is_open = 1)`},
	{"figures", "people with tickets and no load", `SELECT COUNT(*) FROM tickets t WHERE t.is_open = 1 AND t.assignee_id <> 0 AND NOT EXISTS (SELECT 1 FROM ticket_load l WHERE l.user_id = t.assignee_id)`},
	{"figures", "wrong counts of a customer's tickets", `SELECT COUNT(*) FROM customers c WHERE c.open_tickets <> (SELECT COUNT(*) FROM tickets t WHERE t.customer_id = c.id AND t.is_open = 1 AND t.parent_id IS NULL) OR c.total_tickets <> (SELECT COUNT(*) FROM tickets t WHERE t.customer_id = c.id AND t.parent_id IS NULL)`},
	{"figures", "wrong sums of a customer's ratings", `SELECT COUNT(*) FROM customers c WHERE c.ratings <> (SELECT COUNT(*) FROM ratings r JOIN tickets t ON t.id = r.ticket_id WHERE t.customer_id = c.id AND t.parent_id IS NULL AND r.stars > 0)`},
	{"figures", "wrong counts of open tasks", `SELECT COUNT(*) FROM tickets t WHERE t.open_tasks <> (SELECT COUNT(*) FROM tasks k WHERE k.subject_type = 'ticket' AND k.subject_id = t.id AND k.state = 'open')`},
	{"notices", "notices that should have left by mail", `SELECT COUNT(*) FROM notifications n JOIN users u ON u.id = n.user_id WHERE u.email <> '' AND n.kind IN ('` + strings.Join(mailed, "', '") + `') AND NOT EXISTS (SELECT 1 FROM notice_deliveries d WHERE d.notice_id = n.id AND d.user_id = n.user_id AND d.channel = 'mail')`},
	{"deferrals", "requests that wait and are not shown", `SELECT COUNT(*) FROM deferrals d JOIN tickets t ON t.id = d.ticket_id WHERE (d.state = 'pending') <> (t.deferral_id = d.approval_id) AND d.state = 'pending'`},
}

// whole checks everything, also what nobody has touched.
func (w *world) whole() {
	for _, n := range none {
		if c := w.count(n.query); c != 0 {
			w.broke(n.invariant, "%d %s", c, n.what)
		}
	}
	seen := 0
	rows := map[int64]row{}
	w.rows(`SELECT `+rowColumns+` FROM tickets ORDER BY id`, func(s func(...any)) { x := scanRow(s); rows[x.id] = x; seen++ })
	if seen != len(w.tickets) {
		w.broke("4: events", "%d tickets are stored, %d were registered", seen, len(w.tickets))
	}
	if len(w.order) > 0 {
		w.compare(w.order, rows, true)
	}
	for _, t := range w.tickets {
		if t.parent == 0 && t.reminders > 0 {
			if n := w.count(`SELECT COUNT(*) FROM deliveries WHERE ticket_id = $1 AND purpose = 'reminder'`, t.id); n != int64(t.reminders) {
				w.broke("4: events", "%s: the customer was to be reminded %d times, there are %d deliveries", t.number, t.reminders, n)
			}
		}
	}
}

// rest ends all faults, lets the program come to rest without anybody acting,
// and looks at what is left.
func (w *world) rest() {
	w.step++
	w.note("everybody goes home; all faults end")
	for len(w.ends) > 0 {
		e := w.ends[0]
		w.ends = w.ends[1:]
		e.do()
	}
	w.refuse, w.flaky, w.stopped = false, 0, map[string]bool{}
	w.mail.mode, w.mail.slow, w.mail.crash = "", false, false
	w.revive()
	w.unblocked = w.now()
	for _, d := range []time.Duration{time.Second, time.Minute, 10 * time.Minute, time.Hour, 6 * time.Hour, 12 * time.Hour} {
		for until := w.now() + d.Microseconds(); ; {
			w.step++
			w.troubled, w.swept, w.drained = false, false, false
			at := until
			w.human, w.fail, w.tick = until, until, until
			if at = w.next(until); at > w.now() {
				w.clk.Set(time.UnixMicro(at))
			}
			w.pulse(at >= until)
			w.look()
			if w.now() >= until {
				break
			}
		}
	}
	w.pulse(true)
	w.pulse(true)
	w.look()
	w.whole()
	now := w.now()
	zero := func(invariant, what, query string, args ...any) {
		if n := w.count(query, args...); n != 0 {
			w.broke(invariant, "at rest: %d %s", n, what)
		}
	}
	zero("3: firings", "clocks are due", `SELECT COUNT(*) FROM clocks WHERE state = 'running' AND next_at > 0 AND next_at <= $1`, now)
	zero("works", "jobs are left undone", `SELECT COUNT(*) FROM jobs WHERE state = 'running' OR state = 'available' AND scheduled_at <= $1`, now)
	zero("works", "jobs were given up", `SELECT COUNT(*) FROM jobs WHERE state = 'discarded'`)
	zero("works", "facts wait to be sealed", `SELECT COUNT(*) FROM events WHERE seq IS NULL`)
	zero("notices", "mails wait", `SELECT COUNT(*) FROM notice_deliveries WHERE state = 'sending' OR state = 'waiting' AND next_at <= $1`, now)
	zero("figures", "promises are not counted", `SELECT COUNT(*) FROM clocks WHERE counted = 0 AND (missed = 1 OR ended_at > 0)`)
	zero("5: outcome", "completed tickets are past their window", `SELECT COUNT(*) FROM tickets WHERE state = 'completed' AND completed_at < $1`, now-7*day)
	zero("figures", "tickets cannot be found by search", `SELECT (SELECT COUNT(*) FROM tickets) - (SELECT COUNT(*) FROM search_ticket)`)
	if len(w.expect) > 0 {
		w.broke("notices", "%d were never told", len(w.expect))
	}
	w.sent()
	w.chain()
}

// sent compares what the mail server got with what the log says of it.
func (w *world) sent() {
	type tally struct{ sent, doubtful int }
	log := map[string]tally{}
	w.rows(`SELECT notice_id, state, doubtful FROM notice_deliveries WHERE channel = 'mail' AND notice_id > 0`, func(s func(...any)) {
		var id, doubtful int64
		var state string
		s(&id, &state, &doubtful)
		page := fmt.Sprintf("/notifications/%d", id)
		x := log[page]
		if state == "sent" {
			x.sent++
		}
		if doubtful == 1 {
			x.doubtful++
		}
		if state == "uncertain" { // sent once more, and nobody knows of that either
			x.doubtful++
		}
		log[page] = x
	})
	var pages []string
	for page := range log {
		pages = append(pages, page)
	}
	for page := range w.mail.notice {
		if _, ok := log[page]; !ok {
			w.broke("notices", "%s arrived by mail and is not in the log", page)
		}
	}
	sort.Strings(pages)
	for _, page := range pages {
		x, n := log[page], w.mail.notice[page]
		if n > x.sent+x.doubtful || n < x.sent {
			w.broke("notices", "%s arrived %d times by mail; the log says sent %d times, %d doubtful", page, n, x.sent, x.doubtful)
		}
	}
}

// chain computes the chain of facts anew.
func (w *world) chain() {
	var prev []byte
	n := int64(0)
	w.rows(`SELECT seq, id, at, subject_id, actor_id, kind, subject_type, actor_kind, actor_name, action, ip, session, user_agent, reason, data, salt, prev_hash, hash FROM events ORDER BY seq`, func(s func(...any)) {
		var num [5]int64
		var str [10]string
		var salt, before, hash []byte
		s(&num[0], &num[1], &num[2], &num[3], &num[4], &str[0], &str[1], &str[2], &str[3], &str[4], &str[5], &str[6], &str[7], &str[8], &str[9], &salt, &before, &hash)
		h := sha256.New()
		put := func(n int64) { h.Write(binary.BigEndian.AppendUint64(nil, uint64(n))) }
		put(int64(len(prev)))
		h.Write(prev)
		for _, x := range num {
			put(x)
		}
		for _, x := range append(str[:], string(salt)) {
			put(int64(len(x)))
			h.Write([]byte(x))
		}
		if n++; num[0] != n || !bytes.Equal(before, prev) || !bytes.Equal(h.Sum(nil), hash) {
			w.broke("4: events", "the chain of facts breaks at %d (%s)", num[0], str[0])
		}
		prev = hash
	})
}
