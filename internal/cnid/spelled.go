package cnid

import "sync"

// spellings are all syllables there are; longest is the length of the longest.
var spellings = sync.OnceValue(func() map[string]bool {
	all := map[string]bool{}
	for r := rune(0x4e00); r <= 0x9fa5; r++ {
		if y := reading(r); len(y) > 1 && len(y) <= longestSpelling {
			all[y] = true
		}
	}
	for _, y := range []string{"ng", "hm", "hng", "biang", "fiao"} {
		delete(all, y)
	}
	all["a"], all["e"], all["o"] = true, true, true
	return all
})

const longestSpelling = 6

// Spelled cuts letters typed without gaps into pinyin syllables, as few as
// possible: fapiaotaitou is fa piao tai tou. It is nil when s is not pinyin all
// through.
func Spelled(s string) []string {
	if len(s) == 0 || len(s) > 60 {
		return nil
	}
	all := spellings()
	best := make([]int, len(s)+1) // syllables needed up to here, 0: not to be had
	from := make([]int, len(s)+1)
	for end := 1; end <= len(s); end++ {
		for n := min(longestSpelling, end); n > 0; n-- {
			begin := end - n
			if begin > 0 && best[begin] == 0 || !all[s[begin:end]] {
				continue
			}
			if best[end] == 0 || best[begin]+1 < best[end] {
				best[end], from[end] = best[begin]+1, begin
			}
		}
	}
	if best[len(s)] == 0 {
		return nil
	}
	out := make([]string, best[len(s)])
	for end, i := len(s), len(out)-1; i >= 0; i-- {
		out[i] = s[from[end]:end]
		end = from[end]
	}
	return out
}
