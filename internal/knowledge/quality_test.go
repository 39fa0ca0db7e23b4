package knowledge

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"bihuan/internal/action"
	"bihuan/internal/authz"
	"bihuan/internal/clock"
	"bihuan/internal/db"
	"bihuan/internal/db/dbtest"
)

// figures are the usual measures of a search: how often the right article is the
// first, among the first three, among the first ten, and the mean of one divided by
// its place.
type figures struct{ at1, at3, at10, mrr, n float64 }

func (f *figures) add(place int) { // 0: not found
	f.n++
	if place == 1 {
		f.at1++
	}
	if place > 0 && place <= 3 {
		f.at3++
	}
	if place > 0 && place <= 10 {
		f.at10++
		f.mrr += 1 / float64(place)
	}
}

func (f figures) String() string {
	return fmt.Sprintf("recall@1 %.3f  recall@3 %.3f  recall@10 %.3f  MRR %.3f  (%.0f questions)", f.at1/f.n, f.at3/f.n, f.at10/f.n, f.mrr/f.n, f.n)
}

type question struct {
	text  string
	right int64
}

// Two hundred questions over a hundred articles, asked as people ask: in other
// words, carelessly, with wrong characters, in pinyin and in mixed scripts
// (KNB-4). The right article must come far more often than by SQLite's own trigrams.
func TestSearchQuality(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/questions.txt")
	if err != nil {
		t.Fatal(err)
	}
	var titles, bodies []string
	var questions []question
	for line := range bytes.Lines(raw) {
		l := strings.TrimSpace(string(line))
		switch {
		case strings.HasPrefix(l, "= "):
			titles, bodies = append(titles, l[len("= "):]), append(bodies, "")
		case strings.HasPrefix(l, "? "):
			questions = append(questions, question{l[len("? "):], int64(len(titles))})
		case l != "":
			bodies[len(bodies)-1] += l
		}
	}
	if len(titles) != 100 || len(questions) != 200 {
		t.Fatalf("%d articles, %d questions", len(titles), len(questions))
	}
	dbtest.Each(t, func(t *testing.T, d *db.DB, _ *clock.Fake) {
		ctx := context.Background()
		run := action.NewRunner(d, nil)
		s := New(run, nil, nil, nil)
		err := run.Do(ctx, authz.System("test"), "test", func(ctx context.Context, a *action.Action) error {
			a.Nothing()
			if err := Seed(ctx, a); err != nil {
				return err
			}
			for i, title := range titles {
				var id int64
				err := a.QueryRow(ctx, `INSERT INTO articles (state, title, body, audience, owner_id, created_by, written_by, live_version, live_title, live_body, live_audience, created_at, updated_at)
					VALUES ('published', $1, $2, 'public', 1, 1, 1, 1, $1, $2, 'public', 1, 1) RETURNING id`, title, bodies[i]).Scan(&id)
				if err == nil {
					err = reindex(ctx, a.Tx, id, Text{Title: title, Body: bodies[i]})
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var ours figures
		for _, q := range questions {
			found, _, err := s.Find(ctx, authz.Actor{Kind: authz.Customer}, Search{Text: q.text, Limit: 10})
			if err != nil {
				t.Fatal(err)
			}
			place := 0
			var first string
			for i, x := range found {
				if i == 0 {
					first = x.Article.Title
				}
				if x.ID == q.right {
					place = i + 1
				}
			}
			if ours.add(place); place != 1 && testing.Verbose() {
				t.Logf("%2d  %s -> %s, first %q", place, q.text, titles[q.right-1], first)
			}
		}
		t.Logf("ours      %v", ours)
		if ours.at1/ours.n < 0.48 || ours.at3/ours.n < 0.66 || ours.at10/ours.n < 0.72 || ours.mrr/ours.n < 0.57 {
			t.Errorf("the search finds less than it did: %v", ours)
		}
		for _, nonsense := range []string{"量子计算机租赁", "明天天气怎么样", "股票代码"} {
			if found, _, err := s.Find(ctx, authz.Actor{Kind: authz.Customer}, Search{Text: nonsense}); err != nil || Answers(found) > 3 {
				t.Errorf("%s: %d found, %v", nonsense, Answers(found), err)
			}
		}
		if d.Dialect() != db.SQLite {
			return
		}
		base, err := trigrams(ctx, d, titles, bodies, questions)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("trigrams  %v", base)
		if ours.mrr < base.mrr*3 || ours.at1 < base.at1*3 {
			t.Errorf("not clearly better than trigrams: %v against %v", ours, base)
		}
	})
}

// trigrams is FTS5 with its trigram tokenizer as it comes: any three characters of
// the question, by its own bm25; the kindest way to ask it.
func trigrams(ctx context.Context, d *db.DB, titles, bodies []string, questions []question) (f figures, err error) {
	err = d.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		if _, err := tx.Exec(ctx, `CREATE VIRTUAL TABLE plain USING fts5 (title, body, tokenize = 'trigram')`); err != nil {
			return err
		}
		for i := range titles {
			if _, err := tx.Exec(ctx, `INSERT INTO plain (rowid, title, body) VALUES ($1, $2, $3)`, int64(i+1), titles[i], bodies[i]); err != nil {
				return err
			}
		}
		for _, q := range questions {
			var or []string
			for _, word := range strings.Fields(q.text) {
				rs := []rune(strings.ReplaceAll(word, `"`, ""))
				for i := 0; i+3 <= len(rs); i++ {
					or = append(or, `"`+string(rs[i:i+3])+`"`)
				}
			}
			place := 0
			if len(or) > 0 {
				rows, err := tx.Query(ctx, `SELECT rowid FROM plain WHERE plain MATCH $1 ORDER BY bm25(plain, 3, 1) LIMIT 10`, strings.Join(or, " OR "))
				if err != nil {
					return err
				}
				for i := 1; rows.Next(); i++ {
					var id int64
					if err := rows.Scan(&id); err != nil {
						return err
					}
					if id == q.right {
						place = i
					}
				}
				if err := rows.Err(); err != nil {
					return err
				}
				rows.Close()
			}
			f.add(place)
		}
		return nil
	})
	return f, err
}
