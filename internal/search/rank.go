package search

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"unicode"

	"bihuan/internal/cnid"
	"bihuan/internal/db"

	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/width"
)

// Ranked is an index of whole questions: the texts that fit best come first, and
// a text need not hold every word. Both engines read the same plain table of term
// and weight, so both answer alike.
//
// Besides the pairs of characters it knows how they sound, so that what was typed
// with the wrong character of the same sound, or in pinyin, is found as well.
type Ranked struct {
	Table string
	ID    string // its column of the text's id
}

// Part is a part of a text; what stands in a heavy one tells more.
type Part struct {
	Text  string
	Heavy bool // a title or key words
}

// Terms of one kind begin with a sign that no word contains.
const (
	soundMark   = "~" // two syllables: ~fa.piao
	initialMark = "=" // first letters of two characters: =fp
	singleMark  = "'" // one character
)

// How a part weighs, in tenths.
const (
	plainWeight = 10
	heavyWeight = 35
)

// weigh returns what is kept of a text, and how long it is.
func weigh(parts []Part) (weights map[string]int64, length int64) {
	weights = map[string]int64{}
	for _, p := range parts {
		w := int64(plainWeight)
		if p.Heavy {
			w = heavyWeight
		}
		runs(p.Text, func(han bool, run []rune) {
			if !han {
				for _, t := range wordsOf(run) {
					weights[t] += w
				}
				length++
				return
			}
			length += int64(len(run))
			sounds := cnid.Syllables(string(run))
			for i := range run {
				weights[singleMark+string(run[i])] += w
				if i+1 == len(run) {
					break
				}
				weights[string(run[i:i+2])] += w
				if len(sounds) == len(run) {
					weights[sound(sounds[i], sounds[i+1])] += w
					if p.Heavy {
						weights[initialMark+sounds[i][:1]+sounds[i+1][:1]] += w
					}
				}
			}
		})
	}
	return weights, length
}

// wordsOf are a run of letters and digits as a whole and in its parts.
func wordsOf(run []rune) []string {
	whole := stem(string(run[:min(len(run), maxWord)]))
	out := []string{whole}
	if parts := split(run); len(parts) > 1 {
		for _, p := range parts {
			if len(p) > 1 {
				out = append(out, stem(string(p[:min(len(p), maxWord)])))
			}
		}
	}
	return out
}

// stem takes the plural off an English word.
func stem(w string) string {
	if len(w) > 3 && strings.HasSuffix(w, "s") && !strings.HasSuffix(w, "ss") {
		return w[:len(w)-1]
	}
	return w
}

// sound is the term of two syllables. Those that many people do not tell apart,
// zh and z, in and ing, l and n, are the same.
func sound(a, b string) string { return soundMark + blur(a) + "." + blur(b) }

var blurs = strings.NewReplacer("zh", "z", "ch", "c", "sh", "s")

func blur(y string) string {
	y = blurs.Replace(y)
	for _, end := range []string{"ang", "eng", "ing"} {
		if strings.HasSuffix(y, end) {
			return y[:len(y)-1]
		}
	}
	return y
}

// Put indexes a text under id in place of what was there, and returns its length
// for [Ranked.Find].
func (x Ranked) Put(ctx context.Context, tx *db.Tx, id int64, parts ...Part) (length int64, err error) {
	if err := x.Delete(ctx, tx, id); err != nil {
		return 0, err
	}
	weights, length := weigh(parts)
	terms := make([]string, 0, len(weights))
	for t := range weights {
		terms = append(terms, t)
	}
	slices.Sort(terms)
	values := make([]any, 0, 3*len(terms))
	for _, t := range terms {
		values = append(values, t, id, weights[t])
	}
	if len(values) == 0 {
		return 0, nil
	}
	if err := tx.InsertMany(ctx, `INSERT INTO `+x.Table+` (term, `+x.ID+`, weight)`, "", 3, values); err != nil {
		return 0, fmt.Errorf("search: index %d in %s: %w", id, x.Table, err)
	}
	return length, nil
}

// Delete takes id out of the index; no error when it is not there.
func (x Ranked) Delete(ctx context.Context, tx *db.Tx, id int64) error {
	if _, err := tx.Exec(ctx, `DELETE FROM `+x.Table+` WHERE `+x.ID+` = $1`, id); err != nil {
		return fmt.Errorf("search: delete %d from %s: %w", id, x.Table, err)
	}
	return nil
}

// Question is what somebody asks, taken apart.
type Question struct {
	terms  map[string]float64 // how much each tells
	groups map[string]string  // term -> the thing it is one way to say
	marks  []string           // what is lit in a text that was found
}

// Empty reports whether there is nothing to look for.
func (q Question) Empty() bool { return len(q.terms) == 0 }

// maxAsked bounds the terms of a question: the text of a ticket can be long.
const maxAsked = 160

// How much the ways to say a thing tell, against the pair of characters itself.
const (
	saysSound, saysPinyin, saysInitial, saysSingle, saysSynonym, saysWord = 0.45, 1, 0.6, 0.25, 0.7, 1.4
)

// asking are phrases that make a question and say nothing about its subject.
var asking = strings.NewReplacer(func() (out []string) {
	for _, w := range strings.Fields("怎么办理 怎么弄 怎么办 怎么样 怎么回事 怎么才能 怎样 怎么 如何 咋办 咋弄 咋整 咋样 咋 为什么 为啥 什么时候 什么 啥时候 啥 请问一下 请问 你好 您好 我想问下 我想问一下 想问下 想问一下 想请教 请教 麻烦 帮我 帮忙 谢谢 能不能 可不可以 可以吗 可以 能否 是否 是不是 有没有 哪里 哪儿 在哪 我想 我要 想要 一下 吗 呢 呀 吧 啊 的话 了 的 我们 我 你们 你 您 zenme ruhe weishenme") {
		out = append(out, w, " ")
	}
	return out
}()...)

// Ask takes text apart. synonyms are groups of words that mean the same.
func Ask(text string, synonyms [][]string) Question {
	q := Question{terms: map[string]float64{}, groups: map[string]string{}}
	text = strings.ToLower(width.Fold.String(norm.NFKC.String(text)))
	plain := asking.Replace(text)
	q.add(plain, plain, 1, true)
	if q.Empty() {
		q.add(text, text, 1, true)
	}
	for _, g := range synonyms {
		for _, w := range g {
			if len([]rune(w)) < 2 || !strings.Contains(text, strings.ToLower(w)) {
				continue
			}
			for _, other := range g {
				if other != w && !strings.Contains(text, strings.ToLower(other)) {
					q.add(other, firstPair(w), saysSynonym, false)
				}
			}
			break
		}
	}
	return q
}

func (q Question) term(t, group string, w float64) {
	if _, ok := q.terms[t]; !ok && len(q.terms) >= maxAsked {
		return
	}
	if w > q.terms[t] {
		q.terms[t], q.groups[t] = w, group
	}
}

func (q *Question) mark(w string) {
	if len(q.marks) < 80 && !slices.Contains(q.marks, w) {
		q.marks = append(q.marks, w)
	}
}

func (q *Question) add(text, group string, says float64, own bool) {
	runs(text, func(han bool, run []rune) {
		if !han {
			w := string(run)
			thing := q.group(own, group, w)
			q.mark(w)
			if ys := cnid.Spelled(w); own && len(ys) > 1 {
				for i := range len(ys) - 1 {
					t := sound(ys[i], ys[i+1])
					q.term(t, t, saysPinyin)
				}
				thing = sound(ys[0], ys[1]) // the word itself, if it is one, is another way to say it
			} else if own && len(w) > 1 && len(w) <= 8 && ascii(w) {
				for i := range len(w) - 1 {
					q.term(initialMark+w[i:i+2], initialMark+w[i:i+2], saysInitial)
				}
				thing = initialMark + w[:2]
			}
			for _, t := range wordsOf(run) {
				q.term(t, thing, says*saysWord)
			}
			return
		}
		sounds := cnid.Syllables(string(run))
		if len(run) == 1 {
			q.term(singleMark+string(run), string(run), says)
			q.mark(string(run))
			return
		}
		for i := range run {
			if own {
				q.term(singleMark+string(run[i]), singleMark+string(run[i]), says*saysSingle)
			}
			if i+1 == len(run) {
				break
			}
			pair := string(run[i : i+2])
			g := q.group(own, group, pair)
			q.term(pair, g, says)
			q.mark(pair)
			if len(sounds) == len(run) {
				q.term(sound(sounds[i], sounds[i+1]), g, says*saysSound)
			}
		}
	})
}

func ascii(w string) bool {
	return strings.IndexFunc(w, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsLetter(r) }) < 0
}

// group names the thing a term says: of the question's own words each pair is one,
// the terms of a synonym belong to the word they stand for.
func (q Question) group(own bool, group, pair string) string {
	if own {
		return pair
	}
	return group
}

// firstPair is the thing a word of the question is known under.
func firstPair(w string) string {
	if rs := []rune(strings.ToLower(w)); rs[0] > unicode.MaxLatin1 {
		return string(rs[:2])
	}
	return strings.ToLower(w)
}

// Hit is a text that fits, with how well.
type Hit struct {
	ID    int64
	Score float64
	// Covers is how much of what was asked the text speaks of, from 0 to 1.
	Covers float64
}

// Corpus is what there is to find.
type Corpus struct {
	Texts  int64
	Length float64 // mean
}

// Of BM25: how soon more of a word tells no more, and how much the length counts.
const (
	bm25K = 1.2
	bm25B = 0.35
)

// Find returns what fits q, the best first. join follows "FROM table x " and joins
// the texts as t, with their length as t.<length>; where keeps those the reader
// may see: what he may not see is neither found nor counted.
func (x Ranked) Find(ctx context.Context, qr db.Querier, q Question, c Corpus, a *db.Args, join, length, boost, where string) ([]Hit, error) {
	if q.Empty() {
		return nil, nil
	}
	terms := make([]string, 0, len(q.terms))
	for t := range q.terms {
		terms = append(terms, t)
	}
	slices.Sort(terms)
	in := make([]string, len(terms))
	for i, t := range terms {
		in[i] = a.Add(t)
	}
	rows, err := qr.Query(ctx, `SELECT x.term, x.`+x.ID+`, x.weight, t.`+length+`, `+boost+` FROM `+x.Table+` x `+join+` WHERE x.term IN (`+strings.Join(in, ", ")+`) AND `+where, a.Values...)
	if err != nil {
		return nil, fmt.Errorf("search: find in %s: %w", x.Table, err)
	}
	defer rows.Close()
	type posting struct {
		term   string
		id     int64
		weight float64
		length float64
		boost  float64
	}
	var ps []posting
	df := map[string]float64{}
	for rows.Next() {
		var p posting
		var w, l, b int64
		if err := rows.Scan(&p.term, &p.id, &w, &l, &b); err != nil {
			return nil, fmt.Errorf("search: find in %s: %w", x.Table, err)
		}
		p.weight, p.length, p.boost = float64(w)/plainWeight, float64(l), float64(b)
		df[p.term]++
		ps = append(ps, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("search: find in %s: %w", x.Table, err)
	}
	n := math.Max(float64(c.Texts), 50) // in a handful of texts, what all of them say still tells something
	for _, d := range df {
		n = math.Max(n, d)
	}
	idf := func(t string) float64 { d := df[t]; return math.Log(1 + (n-d+0.5)/(d+0.5)) }
	// What was asked for: each thing as much as the rarest way to say it that anybody
	// ever wrote; one that nobody wrote may be the seam of two words.
	asked, loudest := map[string]float64{}, map[string]float64{}
	for t, w := range q.terms {
		if g := q.groups[t]; g != "" {
			loudest[g] = math.Max(loudest[g], w)
			if df[t] > 0 {
				asked[g] = math.Max(asked[g], idf(t))
			}
		}
	}
	for g := range loudest {
		if asked[g] == 0 {
			asked[g] = 0.5 * math.Log(1+2*n)
		}
	}
	total := 0.0
	for g, v := range asked {
		total += v * loudest[g]
	}
	type found struct {
		score, boost float64
		by           map[string]float64 // thing -> how well it is said
		covered      map[string]float64
	}
	all := map[int64]*found{}
	for _, p := range ps {
		f := all[p.id]
		if f == nil {
			f = &found{by: map[string]float64{}, covered: map[string]float64{}, boost: p.boost}
			all[p.id] = f
		}
		norm := bm25K * (1 - bm25B + bm25B*p.length/math.Max(c.Length, 1))
		s := q.terms[p.term] * idf(p.term) * p.weight * (bm25K + 1) / (p.weight + norm)
		g := q.groups[p.term]
		if g == "" {
			f.score += s
			continue
		}
		// Several ways to say one thing say it once; a second one helps a little.
		if had := f.by[g]; s > had {
			f.score += s - had + 0.15*had
			f.by[g] = s
		} else {
			f.score += 0.15 * s
		}
		f.covered[g] = math.Max(f.covered[g], asked[g]*q.terms[p.term])
	}
	hits := make([]Hit, 0, len(all))
	for id, f := range all {
		h := Hit{ID: id}
		for _, v := range f.covered {
			h.Covers += v
		}
		if total > 0 {
			h.Covers /= total
		}
		h.Score = f.score * (0.4 + 0.6*h.Covers) * (1 + 0.03*math.Log2(1+f.boost))
		hits = append(hits, h)
	}
	sort.Slice(hits, func(i, j int) bool {
		if hits[i].Score != hits[j].Score {
			return hits[i].Score > hits[j].Score
		}
		return hits[i].ID < hits[j].ID
	})
	return hits, nil
}

// Piece is a piece of a text that was found; Hit says that it was asked for.
type Piece struct {
	Text string
	Hit  bool
}

// Light cuts text into pieces that were asked for and such that were not.
func (q Question) Light(text string) []Piece {
	rs := []rune(text)
	lit := q.lit(rs)
	var out []Piece
	for i := 0; i < len(rs); {
		j := i
		for j < len(rs) && lit[j] == lit[i] {
			j++
		}
		out = append(out, Piece{string(rs[i:j]), lit[i]})
		i = j
	}
	return out
}

func (q Question) lit(rs []rune) []bool {
	low := make([]rune, len(rs))
	for i, r := range rs {
		low[i] = unicode.ToLower(r)
		if r >= 0xff01 && r <= 0xff5e {
			low[i] = unicode.ToLower(r - 0xfee0)
		}
	}
	lit := make([]bool, len(rs))
	for _, m := range q.marks {
		w := []rune(m)
		if len(w) == 0 {
			continue
		}
		for i := 0; i+len(w) <= len(low); i++ {
			if slices.Equal(low[i:i+len(w)], w) {
				for j := range w {
					lit[i+j] = true
				}
			}
		}
	}
	return lit
}

// Snippet is the stretch of text that holds most of what was asked for, about n
// characters, lit.
func (q Question) Snippet(text string, n int) []Piece {
	rs := []rune(strings.Join(strings.Fields(text), " "))
	if len(rs) > n {
		lit := q.lit(rs)
		count, best, at := 0, -1, 0
		for i := range rs {
			if lit[i] {
				count++
			}
			if i >= n && lit[i-n] {
				count--
			}
			if count > best {
				best, at = count, max(0, i-n+1)
			}
		}
		if best > 0 { // a little of what goes before makes it readable
			for at > 0 && !lit[at] && at+n < len(rs) {
				at++
			}
			at = max(0, at-12)
		}
		end := min(at+n, len(rs))
		cut := string(rs[at:end])
		if at > 0 {
			cut = "…" + cut
		}
		if end < len(rs) {
			cut += "…"
		}
		return q.Light(cut)
	}
	return q.Light(string(rs))
}
