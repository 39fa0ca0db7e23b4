package search

import (
	"context"
	"fmt"
	"strings"

	"bihuan/internal/db"
)

// Index is one full-text table.
type Index struct {
	Table string
	pairs string // PostgreSQL: table of the pairs of characters, newest first; "" none
}

// The indexes there are.
var (
	Tickets   = Index{Table: "search_ticket"}
	Customers = Index{Table: "search_customer", pairs: "search_customer_pair"}
)

// MaxHits bounds what a match returns: the newest. Nobody reads further, and
// sorting everything that contains a frequent word costs more than it tells.
const MaxHits = 2000

// Doc is a text to be indexed under an id.
type Doc struct {
	ID   int64
	Text string
}

// Put indexes text under id, in place of what was there.
func (x Index) Put(ctx context.Context, tx *db.Tx, id int64, text string) error {
	return x.PutMany(ctx, tx, []Doc{{id, text}})
}

// rowsPerInsert keeps a statement below the engines' limit on arguments.
const rowsPerInsert = 100

// PutMany is Put for many texts in one transaction.
func (x Index) PutMany(ctx context.Context, tx *db.Tx, docs []Doc) error {
	if tx.Dialect() == db.SQLite {
		for _, d := range docs {
			if _, err := tx.Exec(ctx, `INSERT OR REPLACE INTO `+x.Table+` (rowid, doc) VALUES ($1, $2)`, d.ID, strings.Join(Tokens(d.Text), " ")); err != nil {
				return fmt.Errorf("search: index %d in %s: %w", d.ID, x.Table, err)
			}
		}
		return nil
	}
	for len(docs) > 0 {
		part := docs[:min(len(docs), rowsPerInsert)]
		docs = docs[len(part):]
		var a db.Args
		values := make([]string, 0, len(part))
		last := make(map[int64]int, len(part))
		for i, d := range part {
			last[d.ID] = i
		}
		for i, d := range part {
			if last[d.ID] == i { // ON CONFLICT refuses the same row twice in one statement
				values = append(values, "("+a.Add(d.ID)+", CAST("+a.Add(vector(Tokens(d.Text)))+"::text AS tsvector))")
			}
		}
		_, err := tx.Exec(ctx, `INSERT INTO `+x.Table+` (id, doc) VALUES `+strings.Join(values, ", ")+` ON CONFLICT (id) DO UPDATE SET doc = excluded.doc`, a.Values...)
		if err != nil {
			return fmt.Errorf("search: index %d texts in %s: %w", len(part), x.Table, err)
		}
	}
	return nil
}

// Delete takes id out of the index; no error when it is not there.
func (x Index) Delete(ctx context.Context, tx *db.Tx, id int64) error {
	if _, err := tx.Exec(ctx, `DELETE FROM `+x.Table+` WHERE `+x.key(tx.Dialect())+` = $1`, id); err != nil {
		return fmt.Errorf("search: delete %d from %s: %w", id, x.Table, err)
	}
	return nil
}

// Match returns the ids whose text matches, newest first, at most limit and
// never more than MaxHits; none for a text that holds nothing to look for.
func (x Index) Match(ctx context.Context, q db.Querier, d db.Dialect, text string, limit int) ([]int64, error) {
	var a db.Args
	sub, ok := x.MatchSQL(&a, d, text)
	if !ok {
		return nil, nil
	}
	rows, err := q.Query(ctx, `SELECT id FROM (`+sub+`) hits ORDER BY id DESC LIMIT `+a.Add(min(limit, MaxHits)), a.Values...)
	if err != nil {
		return nil, fmt.Errorf("search: match in %s: %w", x.Table, err)
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("search: match in %s: %w", x.Table, err)
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// MatchSQL returns a sub-select of the column id, for use inside a room's
// query: t.id IN (<sql>). It yields the newest MaxHits matches. ok is false
// when text holds nothing to look for; sql then selects nothing.
func (x Index) MatchSQL(a *db.Args, d db.Dialect, text string) (sql string, ok bool) {
	terms := Query(text)
	if len(terms) == 0 {
		return "SELECT 0 AS id WHERE 1 = 0", false
	}
	if d == db.SQLite {
		// FTS5 walks its lists backwards by itself: the limit ends the work.
		return fmt.Sprintf(`SELECT rowid AS id FROM %s WHERE %s MATCH %s ORDER BY rowid DESC LIMIT %d`, x.Table, x.Table, a.Add(matchExpr(terms)), MaxHits), true
	}
	if x.pairs != "" && len(terms) == 1 && terms[0].pair() {
		return fmt.Sprintf(`SELECT id FROM %s WHERE pair = %s ORDER BY id DESC LIMIT %d`, x.pairs, a.Add(terms[0].Token), MaxHits), true
	}
	// The index answers in no order. Up to maxCollect hits are collected and
	// sorted. Words that hit more are frequent, so their newest are found by
	// walking back from the newest text; the function instead of its operator
	// keeps the planner off the index there and makes it expect many hits.
	// "many" is computed once, so that only one arm ever runs. Without
	// MATERIALIZED the planner may walk back for rare words too.
	q1 := a.Add(tsquery(terms))
	q2 := a.Add(tsquery(terms))
	return fmt.Sprintf(`WITH few AS MATERIALIZED (SELECT id FROM %[1]s WHERE doc @@ CAST(%[2]s::text AS tsquery) LIMIT %[4]d + 1),
		many AS MATERIALIZED (SELECT COUNT(*) > %[4]d AS yes FROM few)
		(SELECT id FROM few WHERE NOT (SELECT yes FROM many) ORDER BY id DESC LIMIT %[5]d)
		UNION ALL
		(SELECT id FROM %[1]s WHERE (SELECT yes FROM many) AND ts_match_vq(doc, CAST(%[3]s::text AS tsquery)) ORDER BY id DESC LIMIT %[5]d)`,
		x.Table, q1, q2, maxCollect, MaxHits), true
}

// Expression returns what SQLite's MATCH wants for text, for a query that joins
// the index itself; ok is false when text holds nothing to look for.
func (x Index) Expression(text string) (expr string, ok bool) {
	terms := Query(text)
	return matchExpr(terms), len(terms) > 0
}

// maxCollect is about where, between a hundred thousand and a million texts of
// a few hundred characters, walking back gets cheaper than collecting.
const maxCollect = 10_000

func (x Index) key(d db.Dialect) string {
	if d == db.SQLite {
		return "rowid"
	}
	return "id"
}

// matchExpr is terms in the language of FTS5, where neighbours are joined by AND.
func matchExpr(terms []Term) string {
	var b strings.Builder
	for i, t := range terms {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(`"` + strings.ReplaceAll(t.Token, `"`, `""`) + `"`)
		if t.Prefix {
			b.WriteByte('*')
		}
	}
	return b.String()
}

func tsquery(terms []Term) string {
	var b strings.Builder
	for i, t := range terms {
		if i > 0 {
			b.WriteString(" & ")
		}
		b.WriteString(lexeme(t.Token))
		if t.Prefix {
			b.WriteString(":*")
		}
	}
	return b.String()
}

func vector(tokens []string) string {
	var b strings.Builder
	for _, t := range tokens {
		b.WriteString(lexeme(t))
		b.WriteByte(' ')
	}
	return b.String()
}

var lexemeEscape = strings.NewReplacer(`'`, `''`, `\`, `\\`)

func lexeme(t string) string { return `'` + lexemeEscape.Replace(t) + `'` }
