package customer

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/crypt"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/fault"
	"bihuan/internal/field"
	"bihuan/internal/i18n"
	"bihuan/internal/number"
)

// QualityListener keeps the figures of data quality up as profiles change. What
// only time makes wrong is found by [Service.CheckQuality].
func (s *Service) QualityListener() event.Listener {
	return event.Listener{Name: "customer.quality",
		Wants: func(e event.Stored) bool { return e.Subject.Type == subjectType && e.Kind != FieldRevealed },
		Handle: func(ctx context.Context, tx *db.Tx, evs []event.Stored) error {
			var ids []int64
			for _, e := range evs {
				ids = append(ids, e.Subject.ID)
			}
			slices.Sort(ids)
			return s.rejudge(ctx, tx, slices.Compact(ids))
		}}
}

// judged is what is stored about a profile, or ought to be; the zero judged is
// none: the customer is gone.
type judged struct{ department, owner, mask int64 }

func (j judged) exists() bool { return j.department != 0 }

// rejudge looks at the profiles anew and moves the figures by what is different.
func (s *Service) rejudge(ctx context.Context, tx *db.Tx, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	// One at a time: the figures are moved by differences.
	if _, err := tx.Exec(ctx, `UPDATE quality_pass SET id = 1 WHERE id = 1`); err != nil {
		return fmt.Errorf("customer: quality: %w", err)
	}
	for chunk := range slices.Chunk(ids, 500) {
		was, err := s.judgedAs(ctx, tx, chunk)
		if err != nil {
			return err
		}
		is, err := s.judge(ctx, tx, chunk, tx.Now)
		if err != nil {
			return err
		}
		if err := s.store(ctx, tx, chunk, was, is); err != nil {
			return fmt.Errorf("customer: quality: %w", err)
		}
	}
	return nil
}

func (s *Service) store(ctx context.Context, tx *db.Tx, ids []int64, was, is map[int64]judged) error {
	type cell struct{ department, owner, measure int64 }
	moved := map[cell]int64{}
	count := func(j judged, n int64) {
		if !j.exists() {
			return
		}
		moved[cell{j.department, j.owner, 0}] += n
		for m := int64(1); m < 63; m++ {
			if j.mask&(1<<m) != 0 {
				moved[cell{j.department, j.owner, m}] += n
			}
		}
	}
	var changed []int64
	var rows, flaws []any
	for _, id := range ids {
		old, now := was[id], is[id]
		if old == now {
			continue
		}
		changed = append(changed, id)
		count(old, -1)
		count(now, 1)
		if !now.exists() {
			continue
		}
		rows = append(rows, id, now.department, now.owner, now.mask)
		for m := int64(1); m < 63; m++ {
			if now.mask&(1<<m) != 0 {
				flaws = append(flaws, m, id, now.department, now.owner)
			}
		}
	}
	if len(changed) == 0 {
		return nil
	}
	err := db.EachIn(changed, func(in string, args []any) error {
		if _, err := tx.Exec(ctx, `DELETE FROM customer_flaws WHERE customer_id IN (`+in+`)`, args...); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM customer_quality WHERE customer_id IN (`+in+`)`, args...)
		return err
	})
	if err != nil {
		return err
	}
	if err := tx.InsertMany(ctx, `INSERT INTO customer_quality (customer_id, department_id, owner_id, mask)`, "", 4, rows); err != nil {
		return err
	}
	if err := tx.InsertMany(ctx, `INSERT INTO customer_flaws (measure, customer_id, department_id, owner_id)`, "", 4, flaws); err != nil {
		return err
	}
	var counts []any
	for _, c := range slices.SortedFunc(maps.Keys(moved), func(a, b cell) int {
		return cmp.Or(cmp.Compare(a.department, b.department), cmp.Compare(a.owner, b.owner), cmp.Compare(a.measure, b.measure))
	}) {
		if n := moved[c]; n != 0 {
			counts = append(counts, c.department, c.owner, c.measure, n)
		}
	}
	return tx.InsertMany(ctx, `INSERT INTO quality_counts (department_id, owner_id, measure, n)`,
		`ON CONFLICT (department_id, owner_id, measure) DO UPDATE SET n = quality_counts.n + excluded.n`, 4, counts)
}

func (s *Service) judgedAs(ctx context.Context, q db.Querier, ids []int64) (map[int64]judged, error) {
	out := make(map[int64]judged, len(ids))
	err := db.EachIn(ids, func(in string, args []any) error {
		rows, err := q.Query(ctx, `SELECT customer_id, department_id, owner_id, mask FROM customer_quality WHERE customer_id IN (`+in+`)`, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id int64
			var j judged
			if err := rows.Scan(&id, &j.department, &j.owner, &j.mask); err != nil {
				return err
			}
			out[id] = j
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("customer: quality: %w", err)
	}
	return out, nil
}

// judge looks at profiles as they are now.
func (s *Service) judge(ctx context.Context, q db.Querier, ids []int64, now time.Time) (map[int64]judged, error) {
	ps, err := s.profiles(ctx, q, ids)
	if err != nil {
		return nil, fmt.Errorf("customer: quality: %w", err)
	}
	out := make(map[int64]judged, len(ps))
	for id, p := range ps {
		if !p.gone {
			out[id] = judged{p.department, p.owner, examine(*p, now)}
		}
	}
	return out, nil
}

func (s *Service) profiles(ctx context.Context, q db.Querier, ids []int64) (map[int64]*profile, error) {
	out := make(map[int64]*profile, len(ids))
	err := db.EachIn(ids, func(in string, args []any) error {
		rows, err := q.Query(ctx, `
			SELECT c.id, c.type, c.name, COALESCE(c.uscc, ''), c.industry, c.region, c.source, c.stage, c.owner_id, c.department_id, c.parent_id, c.first_contact_at, c.created_at,
			       c.updated_at, c.activity_at, c.verified_at, c.verify_at, c.planned_at, c.open_tickets, c.gone, CASE WHEN c.import_key IS NULL THEN 0 ELSE 1 END, COALESCE(u.active, 0)
			FROM   customers c LEFT JOIN users u ON u.id = c.owner_id WHERE c.id IN (`+in+`)`, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			p := &profile{}
			var first, created, updated, activity, verified, verify, planned int64
			var gone, imported, active int
			if err := rows.Scan(&p.id, (*string)(&p.kind), &p.name, &p.uscc, &p.industry, &p.region, &p.source, &p.stage, &p.owner, &p.department, &p.parent, &first, &created,
				&updated, &activity, &verified, &verify, &planned, &p.open, &gone, &imported, &active); err != nil {
				return err
			}
			p.first, p.created, p.updated, p.activity = db.FromMicros(first), db.FromMicros(created), db.FromMicros(updated), db.FromMicros(activity)
			p.verified, p.verify, p.planned = db.FromMicros(verified), db.FromMicros(verify), db.FromMicros(planned)
			p.gone, p.imported, p.ownerActive = gone != 0, imported != 0, active != 0
			out[p.id] = p
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	err = db.EachIn(ids, func(in string, args []any) error {
		rows, err := q.Query(ctx, `
			SELECT k.id, k.customer_id, k.name, k.is_primary, k.phone_sealed, k.phone_masked, k.email_masked, k.wechat_masked,
			       (SELECT COUNT(*) FROM contact_unreachable x WHERE x.contact_id = k.id AND x.masked = CASE x.field WHEN 'phone' THEN k.phone_masked WHEN 'email' THEN k.email_masked ELSE k.wechat_masked END)
			FROM   contacts k WHERE k.active = 1 AND k.customer_id IN (`+in+`) ORDER BY k.customer_id, k.id`, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id, of int64
			var primary, marks int
			var sealed []byte
			var c reach
			if err := rows.Scan(&id, &of, &c.name, &primary, &sealed, &c.masked, &c.email, &c.wecha, &marks); err != nil {
				return err
			}
			c.primary, c.unreachable = primary != 0, marks > 0
			if len(sealed) > 0 {
				// What cannot be opened is no matter of quality; reading it says so loudly.
				c.phone, _ = s.keys.Open(crypt.Place("contacts", id, string(Phone)), sealed)
			}
			if p := out[of]; p != nil {
				p.contacts = append(p.contacts, c)
			}
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	if err := s.loops(ctx, q, out); err != nil {
		return nil, err
	}
	twins, err := s.Suspected(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	for id, p := range out {
		p.twin = twins[id]
	}
	return out, s.lacking(ctx, q, ids, out)
}

// lacking finds who has a field empty that the company requires.
func (s *Service) lacking(ctx context.Context, q db.Querier, ids []int64, ps map[int64]*profile) error {
	defs, err := s.fields.DefsIn(ctx, q, i18n.ZhCN, field.Customer)
	if err != nil {
		return err
	}
	defs = slices.DeleteFunc(defs, func(d field.Def) bool { return !d.Required })
	if len(defs) == 0 {
		return nil
	}
	wanted := make([]int64, len(defs))
	for i, d := range defs {
		wanted[i] = d.ID
	}
	values, err := s.fields.Values(ctx, q, field.Customer, ids, wanted)
	if err != nil {
		return err
	}
	for id, p := range ps {
		p.lacks = slices.ContainsFunc(defs, func(d field.Def) bool { return d.Applies(string(p.kind)) && values[id][d.ID].Empty() })
	}
	return nil
}

// maxParents is how many companies above one another are followed.
const maxParents = 20

// loops finds who is his own parent, over how many steps ever.
func (s *Service) loops(ctx context.Context, q db.Querier, ps map[int64]*profile) error {
	above := map[int64]int64{} // where each walk has got to
	for id, p := range ps {
		if p.parent != 0 {
			above[id] = p.parent
		}
	}
	for range maxParents {
		ask := map[int64]bool{}
		for id, at := range above {
			if at == id {
				ps[id].loop = true
				delete(above, id)
				continue
			}
			ask[at] = true
		}
		if len(ask) == 0 {
			return nil
		}
		parents := map[int64]int64{}
		err := db.EachIn(slices.Sorted(maps.Keys(ask)), func(in string, args []any) error {
			rows, err := q.Query(ctx, `SELECT id, parent_id FROM customers WHERE parent_id > 0 AND id IN (`+in+`)`, args...)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var id, parent int64
				if err := rows.Scan(&id, &parent); err != nil {
					return err
				}
				parents[id] = parent
			}
			return rows.Err()
		})
		if err != nil {
			return err
		}
		for id, at := range above {
			if next := parents[at]; next != 0 {
				above[id] = next
			} else {
				delete(above, id)
			}
		}
	}
	return nil
}

// passHour is when the nightly pass is due, in the company's zone.
const passHour = 2

// passBatch is how many profiles the pass looks at between two writes.
const passBatch = 1000

// CheckQuality looks at every profile once a night: time alone makes some stale,
// and not every table tells when it changes. It reads beside all other work,
// writes only what is different, and goes on where it was when the program is
// started again. A duty of every hour.
func (s *Service) CheckQuality(ctx context.Context) error {
	now := s.db().Clock().Now()
	day := now.In(number.Zone).Add(-passHour * time.Hour).Format("2006-01-02")
	var last string
	var next, done int64
	if err := s.db().Read().QueryRow(ctx, `SELECT day, next_id, done_at FROM quality_pass WHERE id = 1`).Scan(&last, &next, &done); err != nil {
		return fmt.Errorf("customer: quality pass: %w", err)
	}
	if last == day && done != 0 {
		return nil
	}
	if last != day {
		next = 0
	}
	for n := 1; ; n++ {
		ids, err := queryIDs(ctx, s.db().Read(), `
			SELECT id FROM (SELECT id FROM (SELECT id FROM customers WHERE id > $1 ORDER BY id LIMIT $2) a
				UNION SELECT customer_id FROM (SELECT customer_id FROM customer_quality WHERE customer_id > $3 ORDER BY customer_id LIMIT $4) b) x
			ORDER BY id LIMIT $5`, next, passBatch, next, passBatch, passBatch)
		if err != nil {
			return fmt.Errorf("customer: quality pass: %w", err)
		}
		if len(ids) == 0 {
			break
		}
		was, err := s.judgedAs(ctx, s.db().Read(), ids)
		if err != nil {
			return err
		}
		next = ids[len(ids)-1]
		if len(was) > len(ids)/2 { // else most are new: they are looked at where they are written
			is, err := s.judge(ctx, s.db().Read(), ids, now)
			if err != nil {
				return err
			}
			ids = slices.DeleteFunc(ids, func(id int64) bool { return was[id] == is[id] })
		}
		if len(ids) == 0 && n%50 != 0 {
			continue
		}
		err = s.db().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			if err := s.rejudge(ctx, tx, ids); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `UPDATE quality_pass SET day = $1, next_id = $2, done_at = 0 WHERE id = 1`, day, next)
			return err
		})
		if err != nil {
			return err
		}
	}
	return s.db().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		month := tx.Now.In(number.Zone).Format("2006-01")
		for _, q := range []struct {
			text string
			args []any
		}{
			{`DELETE FROM quality_counts WHERE n = 0`, nil},
			// Marks of values that are no more, and of people who are forgotten.
			{`DELETE FROM contact_unreachable WHERE NOT EXISTS (SELECT 1 FROM contacts k WHERE k.id = contact_unreachable.contact_id
				AND contact_unreachable.masked = CASE contact_unreachable.field WHEN 'phone' THEN k.phone_masked WHEN 'email' THEN k.email_masked ELSE k.wechat_masked END)`, nil},
			{`DELETE FROM quality_months WHERE month = $1`, []any{month}},
			{`INSERT INTO quality_months (month, department_id, measure, n) SELECT CAST($1 AS TEXT), department_id, measure, SUM(n) FROM quality_counts WHERE measure < 5 GROUP BY department_id, measure`, []any{month}},
			{`UPDATE quality_pass SET day = $1, next_id = 0, done_at = $2 WHERE id = 1`, []any{day, tx.NowMicros()}},
		} {
			if _, err := tx.Exec(ctx, q.text, q.args...); err != nil {
				return fmt.Errorf("customer: quality pass: %w", err)
			}
		}
		return nil
	})
}

// Unreachable says why a way to reach somebody does not work; the names are the
// locale keys quality.unreachable.<why>.
var Unreachable = []string{"empty_number", "wrong_person", "no_answer", "bounced", "refused"}

// MarkUnreachable notes that a contact's number or address did not work, or with
// why "" that it does after all. The mark ends by itself when the value changes.
func (s *Service) MarkUnreachable(ctx context.Context, actor authz.Actor, customerID, contactID int64, f Field, why string) error {
	return s.run.Do(ctx, actor, "customer.mark_unreachable", func(ctx context.Context, a *action.Action) error {
		if err := s.may(ctx, a, customerID, PermFollowUp); err != nil {
			return err
		}
		k, err := s.Contact(ctx, a, contactID)
		if err != nil {
			return err
		}
		masked := map[Field]string{Phone: k.Phone, Email: k.Email, Wechat: k.Wechat}[f]
		if k.CustomerID != customerID || masked == "" {
			return notFound()
		}
		if why != "" && !slices.Contains(Unreachable, why) {
			return fault.Invalidf("quality.unreachable.unknown").Field("why", "quality.unreachable.unknown")
		}
		return s.MarkUnreachableIn(ctx, a, k, f, why)
	})
}

// MarkUnreachableIn is MarkUnreachable inside another action, for channels that
// learn it themselves: a mail that came back. The caller has checked the rights.
func (s *Service) MarkUnreachableIn(ctx context.Context, a *action.Action, k Contact, f Field, why string) error {
	masked := map[Field]string{Phone: k.Phone, Email: k.Email, Wechat: k.Wechat}[f]
	var by int64
	if a.Actor.Kind == authz.User {
		by = a.Actor.ID
	}
	var err error
	if why == "" {
		_, err = a.Exec(ctx, `DELETE FROM contact_unreachable WHERE contact_id = $1 AND field = $2`, k.ID, string(f))
	} else {
		_, err = a.Exec(ctx, `
			INSERT INTO contact_unreachable (contact_id, field, masked, why, marked_by, marked_by_name, marked_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (contact_id, field) DO UPDATE SET masked = excluded.masked, why = excluded.why, marked_by = excluded.marked_by, marked_by_name = excluded.marked_by_name, marked_at = excluded.marked_at`,
			k.ID, string(f), masked, why, by, a.Actor.Name, a.NowMicros())
	}
	if err != nil {
		return fmt.Errorf("customer: mark %s of contact %d: %w", f, k.ID, err)
	}
	a.Record(event.Event{Kind: ContactMarked, Subject: Subject(k.CustomerID), Data: MarkedData{Field: string(f), ContactID: k.ID, Masked: masked, Why: why}})
	return nil
}

// ContactMarked is the fact that a way to reach somebody does not work, or does
// again.
const ContactMarked = "customer.contact_marked"

// MarkedData is the data of ContactMarked; Why "" takes the mark back.
type MarkedData struct {
	Field     string `json:"field"`
	ContactID int64  `json:"contact_id"`
	Masked    string `json:"masked"`
	Why       string `json:"why,omitempty"`
}

// UnreachableOf returns the marks that hold of a customer's contacts, by contact
// and field. The caller has checked the scope.
func (s *Service) UnreachableOf(ctx context.Context, customerID int64) (map[int64]map[Field]string, error) {
	rows, err := s.db().Read().Query(ctx, `
		SELECT x.contact_id, x.field, x.why
		FROM   contacts k JOIN contact_unreachable x ON x.contact_id = k.id
		WHERE  k.customer_id = $1 AND x.masked = CASE x.field WHEN 'phone' THEN k.phone_masked WHEN 'email' THEN k.email_masked ELSE k.wechat_masked END
		LIMIT  500`, customerID)
	if err != nil {
		return nil, fmt.Errorf("customer: unreachable: %w", err)
	}
	defer rows.Close()
	out := map[int64]map[Field]string{}
	for rows.Next() {
		var id int64
		var f Field
		var why string
		if err := rows.Scan(&id, (*string)(&f), &why); err != nil {
			return nil, fmt.Errorf("customer: unreachable: %w", err)
		}
		if out[id] == nil {
			out[id] = map[Field]string{}
		}
		out[id][f] = why
	}
	return out, rows.Err()
}
