package cnid

import (
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
)

// NormalizeName returns a person's name as it is compared: half width, case
// folded, without blanks between Chinese letters, one blank between Latin words,
// one kind of middle dot. It is not for showing.
func NormalizeName(s string) string {
	s = cases.Fold().String(clean(s))
	var b strings.Builder
	var prev rune
	blank := false
	for _, r := range s {
		switch {
		case unicode.IsSpace(r):
			blank = true
			continue
		case strings.ContainsRune("•・‧∙⋅.", r) && unicode.Is(unicode.Han, prev):
			r = '·'
		}
		if blank && prev != 0 && !wide(prev) && !wide(r) {
			b.WriteByte(' ')
		}
		blank = false
		b.WriteRune(r)
		prev = r
	}
	return b.String()
}

func wide(r rune) bool { return unicode.Is(unicode.Han, r) || r == '·' }

var (
	legalForm    = regexp.MustCompile(`有限责任公司|股份有限公司|有限公司|股份公司`)
	chineseTail  = []string{"个体工商户", "特殊普通合伙", "有限合伙", "普通合伙", "集团公司", "集团", "总公司", "公司"}
	latinTail    = []string{"coltd", "companylimited", "corporation", "incorporated", "limited", "company", "corp", "gmbh", "inc", "ltd", "llc", "plc", "pte", "group", "co"}
	latinTailMin = 3 // letters a Latin name must keep
)

// NormalizeCompany returns a company's name as duplicates are looked for: half
// width, case folded, without blanks, punctuation and legal form. What tells
// companies apart stays: the place, also in brackets, the trade, and a branch
// (分公司 is another customer than its parent).
//
//	广州南粤医疗器械有限公司         广州南粤医疗器械
//	西门子（中国）有限公司           西门子中国
//	华为技术有限公司广州分公司       华为技术广州分公司
//	Acme Trading Co., Ltd.          acmetrading
func NormalizeCompany(name string) string {
	words := strings.FieldsFunc(cases.Fold().String(clean(name)), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
	})
	whole := strings.Join(words, "")
	// The Latin forms are cut at word boundaries only: Costco is no "Cost Co".
	for len(words) > 1 {
		last := words[len(words)-1]
		if !contains(latinTail, last) || len(strings.Join(words[:len(words)-1], "")) < latinTailMin {
			break
		}
		words = words[:len(words)-1]
	}
	s := strings.Join(words, "")
	s = legalForm.ReplaceAllString(s, "")
	for cut := true; cut; {
		cut = false
		for _, t := range chineseTail {
			rest, ok := strings.CutSuffix(s, t)
			if ok && rest != "" && !strings.HasSuffix(rest, "分") && !strings.HasSuffix(rest, "子") {
				s, cut = rest, true
				break
			}
		}
	}
	if s == "" || contains(chineseTail, s) {
		return whole
	}
	return s
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}
