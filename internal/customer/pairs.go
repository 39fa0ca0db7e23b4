package customer

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"unicode/utf8"

	"bihuan/internal/cnid"
	"bihuan/internal/db"
	"bihuan/internal/event"
	"bihuan/internal/setting"
)

// Further reasons two customers may be one, beside those of a Match; locale keys
// merge.by.<what>.
const (
	ByCoreName    = "core_name"    // the same name without place and legal form
	BySameContact = "same_contact" // somebody of the same name speaks for both
)

// pairsVersion is raised when pairs would be found otherwise: then all customers
// are compared again.
const (
	pairsVersion = 1
	pairsSetting = "customer.pairs"
)

// Limits of the search for pairs: what many customers share tells nothing, and
// nobody reads forty suspicions about one customer.
const (
	pairsBatch  = 200
	sharedMost  = 40
	pairsOfOne  = 20
	listedFrom  = 60 // percent
	likelyFrom  = 75
	surelyFrom  = 90
	maxCompared = 400 // candidates of one customer
)

// Suspicions listens for customers that are new or changed: they are to be
// compared with all others.
func (s *Service) Suspicions() event.Listener {
	return event.Listener{Name: "customer pairs", Kinds: []string{Created, ImportedKind, Changed, MergedKind, MergeUndone},
		Handle: func(ctx context.Context, tx *db.Tx, evs []event.Stored) error {
			var ids []int64
			for _, e := range evs {
				if e.Subject.Type == subjectType && !slices.Contains(ids, e.Subject.ID) {
					ids = append(ids, e.Subject.ID)
				}
			}
			return s.checkPairs(ctx, tx, ids)
		}}
}

// checkPairs puts customers on the list of those to be compared.
func (s *Service) checkPairs(ctx context.Context, tx *db.Tx, ids []int64) error {
	values := make([]any, 0, 2*len(ids))
	for _, id := range ids {
		values = append(values, id, 1)
	}
	err := tx.InsertMany(ctx, `INSERT INTO customer_checks (customer_id, n)`, `ON CONFLICT (customer_id) DO UPDATE SET n = customer_checks.n + 1`, 2, values)
	if err != nil {
		return fmt.Errorf("customer: compare: %w", err)
	}
	return nil
}

// FindPairs compares the customers that wait for it with all others, some hundred
// at a time, until none waits (CUS-5). It may be stopped at any moment and called
// again; what one call has begun another may go on with. It reads while others
// write: each stretch holds the writer for a few milliseconds.
func (s *Service) FindPairs(ctx context.Context) error {
	if err := s.allPairs(ctx); err != nil {
		return err
	}
	for ctx.Err() == nil {
		n, err := s.findPairs(ctx)
		if err != nil {
			return fmt.Errorf("customer: pairs: %w", err)
		}
		if n == 0 {
			return nil
		}
	}
	return ctx.Err()
}

// allPairs asks once for the comparison of everybody, after an upgrade that finds
// pairs otherwise. The stretches make it restartable.
func (s *Service) allPairs(ctx context.Context) error {
	var st struct {
		Version int   `json:"version"`
		Next    int64 `json:"next"` // the first id not yet asked for
	}
	for {
		done := true
		st.Version, st.Next = 0, 0
		if err := setting.Read(ctx, s.db().Read(), pairsSetting, &st); err != nil {
			return err
		}
		if st.Version == pairsVersion && st.Next < 0 {
			return nil
		}
		err := s.db().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
			from := st.Next
			if st.Version != pairsVersion {
				from = 0
			}
			ids, err := idsOf(ctx, tx, `SELECT id FROM customers WHERE id > $1 ORDER BY id LIMIT 5000`, from)
			if err != nil {
				return err
			}
			next := int64(-1)
			if len(ids) > 0 {
				next, done = ids[len(ids)-1], false
			}
			if err := s.checkPairs(ctx, tx, ids); err != nil {
				return err
			}
			return setting.Write(ctx, tx, pairsSetting, map[string]any{"version": pairsVersion, "next": next})
		})
		if err != nil || done {
			return err
		}
	}
}

// ToCompare is how many customers wait to be compared.
func (s *Service) ToCompare(ctx context.Context) (n int, err error) {
	if err = s.db().Read().QueryRow(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM customer_checks LIMIT 100000) x`).Scan(&n); err != nil {
		return 0, fmt.Errorf("customer: to compare: %w", err)
	}
	return n, nil
}

func idsOf(ctx context.Context, q db.Querier, query string, args ...any) ([]int64, error) {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("customer: ids: %w", err)
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("customer: ids: %w", err)
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// features is what customers are compared by. Of numbers and addresses it has
// the keyed hashes only.
type features struct {
	id      int64
	typ     Type
	key     string // of the name
	core    string
	sound   string
	place   cnid.Place
	branch  bool
	uscc    string
	people  []string // names of contacts
	phones  []string
	mobile  map[string]bool // of phones
	eights  []string
	emails  []string
	wechats []string
}

func (f *features) derive(name, region string) {
	f.key = nameKey(f.typ, cnid.Simplified(name))
	f.sound = cnid.Pinyin(f.key)
	if f.typ != Company {
		f.core = f.key
		return
	}
	f.core, f.place = cnid.CompanyCore(name)
	f.sound = cnid.Pinyin(f.core)
	f.branch = strings.Contains(f.key, "分公司") || strings.Contains(f.key, "子公司") || strings.Contains(f.key, "办事处")
	if f.place.Province == "" {
		f.place, _ = cnid.PlaceIn(region)
	}
}

// blocks are the hashes under which a company is looked for when its name is
// written a little otherwise: its core, how that sounds, its beginning, and the
// core without one of its first characters, which meet those of a name with a
// slip there.
func (f *features) blocks() []int64 {
	if f.typ != Company {
		return nil
	}
	r := []rune(f.core)
	var out []int64
	add := func(kind byte, s string) {
		h := fnv.New64a()
		h.Write([]byte{kind})
		h.Write([]byte(s))
		k := int64(binary.BigEndian.Uint64(h.Sum(nil)[:8]))
		if !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	add('c', f.core)
	if len(r) >= 3 {
		add('s', f.sound)
	}
	if len(r) >= 5 {
		add('h', string(r[:4]))
	}
	if len(r) >= 4 {
		for i := range 3 {
			add('c', string(r[:i])+string(r[i+1:]))
		}
	}
	return out
}

// loadFeatures reads what customers are compared by; those who are gone are left
// out.
func (s *Service) loadFeatures(ctx context.Context, q db.Querier, ids []int64) (map[int64]*features, error) {
	out := make(map[int64]*features, len(ids))
	err := db.EachIn(ids, func(in string, args []any) error {
		rows, err := q.Query(ctx, `SELECT id, type, name, region, COALESCE(uscc, '') FROM customers WHERE gone = 0 AND id IN (`+in+`)`, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			f := &features{mobile: map[string]bool{}}
			var name, region string
			if err := rows.Scan(&f.id, (*string)(&f.typ), &name, &region, &f.uscc); err != nil {
				return err
			}
			f.derive(name, region)
			out[f.id] = f
		}
		if err := rows.Err(); err != nil {
			return err
		}
		people, err := q.Query(ctx, `SELECT customer_id, name, phone_masked, phone_index, phone8_index, email_index, wechat_index FROM contacts WHERE active = 1 AND customer_id IN (`+in+`) ORDER BY id`, args...)
		if err != nil {
			return err
		}
		defer people.Close()
		for people.Next() {
			var id int64
			var name, masked string
			var phone, eight, email, wechat []byte
			if err := people.Scan(&id, &name, &masked, &phone, &eight, &email, &wechat); err != nil {
				return err
			}
			f := out[id]
			if f == nil {
				continue
			}
			add := func(to *[]string, v []byte) {
				if len(v) > 0 && !slices.Contains(*to, string(v)) {
					*to = append(*to, string(v))
				}
			}
			add(&f.phones, phone)
			add(&f.eights, eight)
			add(&f.emails, email)
			add(&f.wechats, wechat)
			f.mobile[string(phone)] = len(masked) == 11 && masked[0] == '1'
			if n := cnid.NormalizeName(cnid.Simplified(name)); utf8.RuneCountInString(n) >= 2 && n != "联系人" && !strings.HasSuffix(n, "先生") && !strings.HasSuffix(n, "女士") && !slices.Contains(f.people, n) {
				f.people = append(f.people, n)
			}
		}
		return people.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("features: %w", err)
	}
	return out, nil
}

// weighed is a suspicion: how surely two customers are one, and why.
type weighed struct {
	score   int
	reasons []string
}

// compare says how surely two customers are one and the same. Each thing they
// have in common leaves less doubt; what contradicts it gives some back.
func compare(a, b *features) weighed {
	if a.typ == Person && b.typ == Company {
		a, b = b, a
	}
	var w weighed
	doubt := 1.0
	because := func(by string, weight float64) {
		doubt *= 1 - weight
		w.reasons = append(w.reasons, by)
	}
	same := func(x, y []string) string {
		for _, v := range x {
			if slices.Contains(y, v) {
				return v
			}
		}
		return ""
	}
	mixed := a.typ != b.typ
	sameUSCC := a.uscc != "" && a.uscc == b.uscc
	if sameUSCC {
		because(ByUSCC, 0.97)
	}
	phone := same(a.phones, b.phones)
	if phone != "" {
		switch {
		case mixed:
			because(ByPhone, 0.5)
		case a.mobile[phone]:
			because(ByPhone, 0.8)
		default: // a family, or the switchboard of a building
			because(ByPhone, 0.5)
		}
	}
	if same(a.emails, b.emails) != "" {
		because(ByEmail, 0.7)
	}
	if same(a.wechats, b.wechats) != "" {
		because(ByWechat, 0.75)
	}
	elsewhere := a.place.Elsewhere(b.place)
	n := utf8.RuneCountInString(a.core)
	switch {
	case mixed:
	case a.typ == Person:
		switch {
		case a.key == b.key:
			because(ByName, 0.4)
		case a.sound == b.sound && a.sound != "":
			because(BySound, 0.25)
		}
	case a.branch != b.branch:
	case a.key == b.key:
		because(ByName, 0.92)
	case elsewhere:
	case a.core == b.core && n >= 4:
		because(ByCoreName, 0.82)
	case a.core == b.core:
		because(ByCoreName, 0.5)
	case a.sound == b.sound && n >= 4:
		because(BySound, 0.68)
	case slip(a.core, b.core) && n >= 5:
		because(BySimilarName, 0.5)
	case alike(a.core, b.core) >= 75 && min(n, utf8.RuneCountInString(b.core)) >= 5:
		because(BySimilarName, 0.4)
	}
	if phone == "" && same(a.eights, b.eights) != "" {
		because(ByLastEight, 0.45)
	}
	switch {
	case mixed && slices.Contains(a.people, b.key):
		because(BySameContact, 0.5)
	case !mixed && a.typ == Company && same(a.people, b.people) != "":
		because(BySameContact, 0.35)
	}
	if len(w.reasons) == 0 {
		return w
	}
	p := 1 - doubt
	switch {
	case a.uscc != "" && b.uscc != "" && !sameUSCC:
		p *= 0.5 // two companies of one owner
	case a.typ == Company && !mixed && (a.branch != b.branch || elsewhere) && !sameUSCC:
		p *= 0.6
	case a.typ == Person && !mixed && a.sound != b.sound && slices.Equal(w.reasons, []string{ByPhone}):
		p *= 0.9 // husband and wife
	}
	w.score = int(p*100 + 0.5)
	return w
}

// slip reports whether one name becomes the other by one slip: another
// character, one too many, or two neighbours exchanged.
func slip(x, y string) bool {
	a, b := []rune(x), []rune(y)
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 || x == y {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) < len(b) {
		return slices.Equal(a[i:], b[i+1:])
	}
	return slices.Equal(a[i+1:], b[i+1:]) ||
		i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && slices.Equal(a[i+2:], b[i+2:])
}

type pairKey struct{ a, b int64 }

func pairOf(x, y int64) pairKey { return pairKey{min(x, y), max(x, y)} }

// findPairs does one stretch and returns how many customers were in it.
func (s *Service) findPairs(ctx context.Context) (int, error) {
	type check struct{ id, n int64 }
	var todo []check
	q := s.db().Read()
	rows, err := q.Query(ctx, fmt.Sprintf(`SELECT customer_id, n FROM customer_checks ORDER BY customer_id LIMIT %d`, pairsBatch))
	if err != nil {
		return 0, err
	}
	var ids []int64
	for rows.Next() {
		var c check
		if err := rows.Scan(&c.id, &c.n); err != nil {
			rows.Close()
			return 0, err
		}
		todo, ids = append(todo, c), append(ids, c.id)
	}
	rows.Close()
	if err := rows.Err(); err != nil || len(ids) == 0 {
		return 0, err
	}
	fs, err := s.loadFeatures(ctx, q, ids)
	if err != nil {
		return 0, err
	}
	// Their hashes come first: so two of one stretch see each other.
	err = s.db().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		err := db.EachIn(ids, func(in string, args []any) error {
			_, err := tx.Exec(ctx, `DELETE FROM customer_blocks WHERE customer_id IN (`+in+`)`, args...)
			return err
		})
		var values []any
		for _, id := range ids {
			if f := fs[id]; f != nil {
				for _, k := range f.blocks() {
					values = append(values, k, id)
				}
			}
		}
		if err == nil {
			err = tx.InsertMany(ctx, `INSERT INTO customer_blocks (key, customer_id)`, `ON CONFLICT DO NOTHING`, 2, values)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	candidates, err := s.candidates(ctx, q, fs)
	if err != nil {
		return 0, err
	}
	others := map[int64]bool{}
	for _, c := range candidates {
		for id := range c {
			if fs[id] == nil {
				others[id] = true
			}
		}
	}
	want := make([]int64, 0, len(others))
	for id := range others {
		want = append(want, id)
	}
	slices.Sort(want)
	ofs, err := s.loadFeatures(ctx, q, want)
	if err != nil {
		return 0, err
	}
	for id, f := range fs {
		ofs[id] = f
	}
	found := map[pairKey]weighed{}
	for _, id := range ids {
		if fs[id] == nil {
			continue
		}
		type hit struct {
			k pairKey
			w weighed
		}
		var hits []hit
		for other := range candidates[id] {
			if o := ofs[other]; o != nil {
				if w := compare(fs[id], o); w.score >= listedFrom {
					hits = append(hits, hit{pairOf(id, other), w})
				}
			}
		}
		slices.SortFunc(hits, func(x, y hit) int {
			if x.w.score != y.w.score {
				return y.w.score - x.w.score
			}
			return int(x.k.a - y.k.a + x.k.b - y.k.b)
		})
		for _, h := range hits[:min(len(hits), pairsOfOne)] {
			found[h.k] = h.w
		}
	}
	err = s.db().Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := s.savePairs(ctx, tx, ids, found); err != nil {
			return err
		}
		// Who was changed meanwhile stays on the list.
		for _, c := range todo {
			if _, err := tx.Exec(ctx, `DELETE FROM customer_checks WHERE customer_id = $1 AND n = $2`, c.id, c.n); err != nil {
				return err
			}
		}
		return nil
	})
	return len(ids), err
}

// candidates returns who shares a feature with each of fs.
func (s *Service) candidates(ctx context.Context, q db.Querier, fs map[int64]*features) (map[int64]map[int64]bool, error) {
	out := map[int64]map[int64]bool{}
	with := func(id, other int64) {
		if id == other {
			return
		}
		m := out[id]
		if m == nil {
			m = map[int64]bool{}
			out[id] = m
		}
		if len(m) < maxCompared {
			m[other] = true
		}
	}
	text := map[string][]int64{}
	look := func(query string) error {
		keys := make([]string, 0, len(text))
		for k := range text {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		return db.EachIn(keys, func(in string, args []any) error {
			rows, err := q.Query(ctx, strings.ReplaceAll(query, "(?)", "("+in+")"), args...)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var k string
				var other int64
				if err := rows.Scan(&k, &other); err != nil {
					return err
				}
				for _, id := range text[k] {
					with(id, other)
				}
			}
			return rows.Err()
		})
	}
	collect := func(of func(f *features) []string) {
		clear(text)
		for id, f := range fs {
			for _, v := range of(f) {
				if v != "" {
					text[v] = append(text[v], id)
				}
			}
		}
	}
	most := fmt.Sprint(sharedMost)
	collect(func(f *features) []string { return []string{f.uscc} })
	if err := look(`SELECT c.uscc, c.id FROM customers c WHERE c.uscc IN (?) ORDER BY c.id LIMIT 5000`); err != nil {
		return nil, fmt.Errorf("by credit code: %w", err)
	}
	collect(func(f *features) []string {
		if f.typ == Company {
			return []string{f.key}
		}
		return nil
	})
	if err := look(`SELECT c.name_key, c.id FROM customers c WHERE c.name_key IN (SELECT x.name_key FROM customers x WHERE x.name_key IN (?) GROUP BY x.name_key HAVING COUNT(*) <= ` + most + `)`); err != nil {
		return nil, fmt.Errorf("by name: %w", err)
	}
	bytes := map[string][]int64{}
	for column, of := range map[string]func(f *features) []string{
		"phone_index":  func(f *features) []string { return f.phones },
		"phone8_index": func(f *features) []string { return f.eights },
		"email_index":  func(f *features) []string { return f.emails },
		"wechat_index": func(f *features) []string { return f.wechats },
	} {
		clear(bytes)
		var keys [][]byte
		for id, f := range fs {
			for _, v := range of(f) {
				if bytes[v] == nil {
					keys = append(keys, []byte(v))
				}
				bytes[v] = append(bytes[v], id)
			}
		}
		err := db.EachIn(keys, func(in string, args []any) error {
			rows, err := q.Query(ctx, `
				SELECT c.`+column+`, c.customer_id FROM contacts c
				WHERE  c.active = 1 AND c.`+column+` IN (SELECT x.`+column+` FROM contacts x WHERE x.`+column+` IN (`+in+`) GROUP BY x.`+column+` HAVING COUNT(*) BETWEEN 2 AND `+most+`)`, args...)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var k []byte
				var other int64
				if err := rows.Scan(&k, &other); err != nil {
					return err
				}
				for _, id := range bytes[string(k)] {
					with(id, other)
				}
			}
			return rows.Err()
		})
		if err != nil {
			return nil, fmt.Errorf("by %s: %w", column, err)
		}
	}
	blocks := map[int64][]int64{}
	var keys []int64
	for id, f := range fs {
		for _, k := range f.blocks() {
			if blocks[k] == nil {
				keys = append(keys, k)
			}
			blocks[k] = append(blocks[k], id)
		}
	}
	slices.Sort(keys)
	err := db.EachIn(keys, func(in string, args []any) error {
		rows, err := q.Query(ctx, `
			SELECT c.key, c.customer_id FROM customer_blocks c
			WHERE  c.key IN (SELECT x.key FROM customer_blocks x WHERE x.key IN (`+in+`) GROUP BY x.key HAVING COUNT(*) BETWEEN 2 AND `+most+`)`, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var k, other int64
			if err := rows.Scan(&k, &other); err != nil {
				return err
			}
			for _, id := range blocks[k] {
				with(id, other)
			}
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("by parts of names: %w", err)
	}
	return out, nil
}

// decisive reasons bring a pair back that somebody had called different, if they
// were not known then.
var decisive = []string{ByUSCC, ByPhone}

// savePairs brings the pairs of the customers ids up to date. What somebody has
// decided stays, unless something decisive is new.
func (s *Service) savePairs(ctx context.Context, tx *db.Tx, ids []int64, found map[pairKey]weighed) error {
	type stored struct {
		id      int64
		score   int
		reasons string
		state   string
	}
	have := map[pairKey]stored{}
	err := db.EachIn(ids, func(in string, args []any) error {
		for _, column := range []string{"a_id", "b_id"} {
			rows, err := tx.Query(ctx, `SELECT id, a_id, b_id, score, reasons, state FROM customer_pairs WHERE `+column+` IN (`+in+`)`, args...)
			if err != nil {
				return err
			}
			for rows.Next() {
				var st stored
				var k pairKey
				if err := rows.Scan(&st.id, &k.a, &k.b, &st.score, &st.reasons, &st.state); err != nil {
					rows.Close()
					return err
				}
				have[k] = st
			}
			rows.Close()
			if err := rows.Err(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	var fresh []any
	for k, w := range found {
		reasons := strings.Join(w.reasons, " ")
		st, known := have[k]
		switch {
		case !known:
			fresh = append(fresh, k.a, k.b, w.score, reasons, tx.NowMicros())
		case st.state == PairOpen:
			if st.score != w.score || st.reasons != reasons {
				_, err = tx.Exec(ctx, `UPDATE customer_pairs SET score = $1, reasons = $2 WHERE id = $3`, w.score, reasons, st.id)
			}
		case st.state == PairDistinct:
			was := strings.Fields(st.reasons)
			if slices.ContainsFunc(decisive, func(d string) bool { return slices.Contains(w.reasons, d) && !slices.Contains(was, d) }) {
				_, err = tx.Exec(ctx, `UPDATE customer_pairs SET score = $1, reasons = $2, state = 'open', found_at = $3 WHERE id = $4`, w.score, reasons, tx.NowMicros(), st.id)
			}
		}
		if err != nil {
			return err
		}
	}
	for k, st := range have {
		if _, still := found[k]; !still && st.state == PairOpen {
			if _, err := tx.Exec(ctx, `DELETE FROM customer_pairs WHERE id = $1 AND state = 'open'`, st.id); err != nil {
				return err
			}
		}
	}
	return tx.InsertMany(ctx, `INSERT INTO customer_pairs (a_id, b_id, score, reasons, found_at)`, `ON CONFLICT (a_id, b_id) DO NOTHING`, 5, fresh)
}
