package customer

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"bihuan/internal/authz"
	"bihuan/internal/cnid"
	"bihuan/internal/crypt"
	"bihuan/internal/db"
	"bihuan/internal/event"
)

// Survivor returns the profile that the merged one id lives on in; 0 when id was
// not merged. It knows no scope.
func Survivor(ctx context.Context, q db.Querier, id int64) (to int64, err error) {
	if err := q.QueryRow(ctx, `SELECT COALESCE(MAX(leads_to), 0) FROM customer_merges WHERE merged_id = $1 AND leads_to > 0`, id).Scan(&to); err != nil {
		return 0, fmt.Errorf("customer: survivor of %d: %w", id, err)
	}
	return to, nil
}

// SurvivorIn is Survivor as far as the reader sees it; 0 when he does not.
func (s *Service) SurvivorIn(ctx context.Context, sc authz.Scope, id int64) (int64, error) {
	to, err := Survivor(ctx, s.db().Read(), id)
	if err != nil || to == 0 {
		return 0, err
	}
	if s.visible(ctx, s.db().Read(), sc, to) != nil {
		return 0, nil
	}
	return to, nil
}

// byOldNumber returns the profile that a merged number leads to; 0 none.
func byOldNumber(ctx context.Context, q db.Querier, number string) (to int64, err error) {
	if err := q.QueryRow(ctx, `SELECT COALESCE(MAX(leads_to), 0) FROM customer_merges WHERE merged_number = $1 AND leads_to > 0`, number).Scan(&to); err != nil {
		return 0, fmt.Errorf("customer: by old number: %w", err)
	}
	return to, nil
}

// formerIDs returns the ids of the profiles that live on in id.
func formerIDs(ctx context.Context, q db.Querier, id int64) ([]int64, error) {
	return idsOf(ctx, q, `SELECT merged_id FROM customer_merges WHERE leads_to = $1 ORDER BY id`, id)
}

// formerNumbers are the numbers id is found by beside his own.
func formerNumbers(ctx context.Context, q db.Querier, id int64) ([]string, error) {
	rows, err := q.Query(ctx, `SELECT merged_number, merged_external FROM customer_merges WHERE leads_to = $1 ORDER BY id`, id)
	if err != nil {
		return nil, fmt.Errorf("customer: former numbers: %w", err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var n, x string
		if err := rows.Scan(&n, &x); err != nil {
			return nil, fmt.Errorf("customer: former numbers: %w", err)
		}
		if out = append(out, n); x != "" {
			out = append(out, x)
		}
	}
	return out, rows.Err()
}

// FormerNumbers are the numbers of the profiles that were merged into id.
func (s *Service) FormerNumbers(ctx context.Context, id int64) ([]string, error) {
	return formerNumbers(ctx, s.db().Read(), id)
}

// Merged profiles are kept, sealed as they were, for as long as the merge can be
// undone. The functions below reach them for those who change or remove what is
// kept of a person.

// SweepMerges forgets what it would take to undo merges that are too old for it.
func (s *Service) SweepMerges(ctx context.Context) error {
	for {
		var n int
		err := s.db().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			ids, err := idsOf(ctx, tx, `SELECT id FROM customer_merges WHERE undo_until > 0 AND undo_until <= $1 ORDER BY undo_until LIMIT 100`, tx.NowMicros())
			n = len(ids)
			if err != nil || n == 0 {
				return err
			}
			return forgetSteps(ctx, tx, ids)
		})
		if err != nil || n == 0 {
			return err
		}
	}
}

func forgetSteps(ctx context.Context, tx *db.Tx, ids []int64) error {
	err := db.EachIn(ids, func(in string, args []any) error {
		if _, err := tx.Exec(ctx, `DELETE FROM customer_merge_steps WHERE merge_id IN (`+in+`)`, args...); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE customer_merges SET undo_until = 0 WHERE id IN (`+in+`)`, args...)
		return err
	})
	if err != nil {
		return fmt.Errorf("customer: forget merges: %w", err)
	}
	return nil
}

// PurgeMerges removes everything that merges keep of the customers ids, as
// survivors or as merged ones: the archived rows, the names, and the hashes and
// pairs duplicates are found by. Such a merge can no longer be undone; its number
// still leads to the survivor. It is for the erasure of a person.
func PurgeMerges(ctx context.Context, tx *db.Tx, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	// Those who were merged into them, and into whom they were.
	all := slices.Clone(ids)
	for i := 0; i < len(all); i++ {
		more, err := idsOf(ctx, tx, `SELECT merged_id FROM customer_merges WHERE survivor_id = $1`, all[i])
		if err != nil {
			return err
		}
		for _, id := range more {
			if !slices.Contains(all, id) {
				all = append(all, id)
			}
		}
	}
	var merges []int64
	err := db.EachIn(all, func(in string, args []any) error {
		for _, column := range []string{"survivor_id", "merged_id"} {
			found, err := idsOf(ctx, tx, `SELECT id FROM customer_merges WHERE `+column+` IN (`+in+`)`, args...)
			if err != nil {
				return err
			}
			merges = append(merges, found...)
		}
		for _, q := range []string{`DELETE FROM customer_pairs WHERE a_id IN (`, `DELETE FROM customer_pairs WHERE b_id IN (`,
			`DELETE FROM customer_blocks WHERE customer_id IN (`, `DELETE FROM customer_checks WHERE customer_id IN (`} {
			if _, err := tx.Exec(ctx, q+in+`)`, args...); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = forgetSteps(ctx, tx, merges)
	}
	if err == nil {
		err = db.EachIn(merges, func(in string, args []any) error {
			_, err := tx.Exec(ctx, `UPDATE customer_merges SET merged_name = '', reason = '', merged_external = '', merged_key = '' WHERE id IN (`+in+`)`, args...)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("customer: purge merges: %w", err)
	}
	return nil
}

// MergesMention reports the customers whose archived rows or records of merges
// hold something of the customers ids, for who looks for everything about a
// person: how many entries there are.
func MergesMention(ctx context.Context, q db.Querier, ids []int64) (n int, err error) {
	err = db.EachIn(ids, func(in string, args []any) error {
		var some int
		if err := q.QueryRow(ctx, `SELECT COUNT(*) FROM customer_merges WHERE survivor_id IN (`+in+`)`, args...).Scan(&some); err != nil {
			return err
		}
		n += some
		if err := q.QueryRow(ctx, `SELECT COUNT(*) FROM customer_merges WHERE merged_id IN (`+in+`)`, args...).Scan(&some); err != nil {
			return err
		}
		n += some
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("customer: merges of persons: %w", err)
	}
	return n, nil
}

// resealStep seals what an entry keeps with the key in use and computes its
// indexes anew; it returns body when there is nothing to do.
func (s *Service) resealStep(body string) (string, error) {
	if !strings.Contains(body, "_sealed") && !strings.Contains(body, "_index") {
		return body, nil
	}
	var st step
	if err := json.Unmarshal([]byte(body), &st); err != nil {
		return body, err
	}
	changed := false
	for _, c := range []cells{st.Row, st.Before, st.After} {
		id := st.Row.id()
		if len(st.IDs) == 1 {
			id = st.IDs[0]
		}
		did, err := s.resealCells(st.Table, id, c)
		if err != nil {
			return body, err
		}
		changed = changed || did
	}
	if !changed {
		return body, nil
	}
	fresh, err := json.Marshal(st)
	return string(fresh), err
}

// resealCells seals the sensitive values of a row anew.
func (s *Service) resealCells(table string, id int64, c cells) (changed bool, err error) {
	if table != "contacts" && table != "customers" {
		return false, nil
	}
	for _, f := range append([]Field{Address}, ContactFields...) {
		sealed, ok := c[string(f)+"_sealed"].([]byte)
		if !ok || len(sealed) == 0 {
			continue
		}
		place := crypt.Place(table, id, string(f))
		clear, err := s.keys.Open(place, sealed)
		if err != nil {
			return false, err
		}
		if s.keys.Stale(sealed) {
			if c[string(f)+"_sealed"], err = s.keys.Seal(place, clear); err != nil {
				return false, err
			}
			changed = true
		}
		set := func(column, index, value string) {
			if _, has := c[column]; !has {
				return
			}
			var v any
			if x := s.keys.Index(index, value); x != nil {
				v = x
			}
			if !sameValue(c[column], v) {
				c[column], changed = v, true
			}
		}
		switch f {
		case Phone:
			p, _ := cnid.ParsePhone(clear)
			set("phone_index", indexPhone, p.Key())
			set("phone4_index", indexPhone4, cnid.LastFour(p))
			set("phone8_index", indexPhone8, cnid.LastEight(p))
		case Email:
			set("email_index", indexEmail, cnid.EmailKey(clear))
		case Wechat:
			set("wechat_index", indexWechat, strings.ToLower(clear))
		}
	}
	return changed, nil
}

// takenByMerge reports whether a merged profile has the number: nobody else may
// get it.
func takenByMerge(ctx context.Context, q db.Querier, number string) (bool, error) {
	var one int
	err := q.QueryRow(ctx, `SELECT 1 FROM customer_merges WHERE merged_number = $1 AND undone_at = 0 LIMIT 1`, number).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// takenByMerges is takenByMerge for many numbers.
func takenByMerges(ctx context.Context, q db.Querier, numbers []string, taken map[string]bool) error {
	return db.EachIn(numbers, func(in string, args []any) error {
		rows, err := q.Query(ctx, `SELECT merged_number FROM customer_merges WHERE undone_at = 0 AND merged_number IN (`+in+`)`, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var n string
			if err := rows.Scan(&n); err != nil {
				return err
			}
			taken[n] = true
		}
		return rows.Err()
	})
}

// mergedBefore adds the profiles that merged ones live on in to what the rows of
// an import may collide with, by a number or the key of an import.
func mergedBefore(ctx context.Context, q db.Querier, column string, keys []string, into map[string]known) error {
	return db.EachIn(keys, func(in string, args []any) error {
		rows, err := q.Query(ctx, `
			SELECT m.`+column+`, c.id, c.number, c.name, c.name_key, c.type, c.owner_id, c.created_by, c.department_id, d.name
			FROM   customer_merges m JOIN customers c ON c.id = m.leads_to JOIN departments d ON d.id = c.department_id
			WHERE  m.leads_to > 0 AND m.`+column+` IN (`+in+`)`, args...)
		if err != nil {
			return fmt.Errorf("customer: import: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			var key string
			var k known
			if err := rows.Scan(&key, &k.id, &k.number, &k.name, &k.key, (*string)(&k.typ), &k.owner, &k.creator, &k.department, &k.dept); err != nil {
				return fmt.Errorf("customer: import: %w", err)
			}
			if _, has := into[key]; !has {
				into[key] = k
			}
		}
		return rows.Err()
	})
}

// mergedTargets finds the customers that rows name by the number of a profile
// that was merged into them.
func mergedTargets(ctx context.Context, q db.Querier, sc authz.Scope, ids []string, byID map[string][]Target) error {
	want := map[string][]string{}
	var numbers []string
	for _, id := range ids {
		if len(byID[id]) > 0 {
			continue
		}
		n, ok := FitNumber(id)
		if !ok {
			n = strings.ToUpper(strings.TrimSpace(id))
		}
		for _, k := range []string{n, id} {
			if !slices.Contains(want[k], id) {
				numbers, want[k] = append(numbers, k), append(want[k], id)
			}
		}
	}
	for _, column := range []string{"merged_external", "merged_number"} {
		err := db.EachIn(numbers, func(in string, args []any) error {
			a := db.Args{Values: args}
			rows, err := q.Query(ctx, `
				SELECT m.`+column+`, c.id, c.number, c.name, c.type, c.level,
				       COALESCE((SELECT MIN(x.id) FROM contacts x WHERE x.customer_id = c.id AND x.is_primary = 1 AND x.active = 1), 0)
				FROM   customer_merges m JOIN customers c ON c.id = m.leads_to
				WHERE  m.leads_to > 0 AND m.`+column+` IN (`+in+`) AND `+within(sc, &a)+` ORDER BY c.id`, a.Values...)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var key string
				var t Target
				if err := rows.Scan(&key, &t.ID, &t.Number, &t.Name, (*string)(&t.Type), (*string)(&t.Level), &t.ContactID); err != nil {
					return err
				}
				for _, id := range want[key] {
					if !slices.ContainsFunc(byID[id], func(o Target) bool { return o.ID == t.ID }) {
						byID[id] = append(byID[id], t)
					}
				}
			}
			return rows.Err()
		})
		if err != nil {
			return fmt.Errorf("customer: targets: %w", err)
		}
	}
	return nil
}

// eventsOf is event.Of for a customer and the profiles that live on in him, the
// newest first.
func (s *Service) eventsOf(ctx context.Context, q db.Querier, id, before int64, limit int) ([]event.Stored, error) {
	former, err := formerIDs(ctx, q, id)
	if err != nil {
		return nil, err
	}
	out, err := event.Of(ctx, q, Subject(id), before, limit)
	if err != nil || len(former) == 0 {
		return out, err
	}
	for _, f := range former {
		evs, err := event.Of(ctx, q, Subject(f), before, limit)
		if err != nil {
			return nil, err
		}
		// That he went into this one is said by this one.
		out = append(out, slices.DeleteFunc(evs, func(e event.Stored) bool { return e.Kind == MergedInto })...)
	}
	slices.SortFunc(out, func(a, b event.Stored) int { return int(b.ID - a.ID) })
	return out[:min(len(out), limit)], nil
}
