package cnid

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// What can be wrong with a code. [CodeError] carries the details and matches
// these with errors.Is.
var (
	ErrLength     = errors.New("wrong length")
	ErrCharacters = errors.New("characters that cannot occur")
	ErrCheckDigit = errors.New("check character does not match")
	ErrBirthDate  = errors.New("no such date of birth")
)

// CodeError says which rule a credit code or card number breaks.
type CodeError struct {
	Kind   error  // ErrLength, ErrCharacters, ErrCheckDigit or ErrBirthDate
	Length int    // characters found, for ErrLength
	Bad    string // the offending characters in order, each once, for ErrCharacters
	Got    string // the check character found, for ErrCheckDigit
	Want   string // the one expected
}

func (e *CodeError) Error() string {
	switch e.Kind {
	case ErrLength:
		return fmt.Sprintf("%v: %d", e.Kind, e.Length)
	case ErrCharacters:
		return fmt.Sprintf("%v: %s", e.Kind, e.Bad)
	case ErrCheckDigit:
		return fmt.Sprintf("%v: want %s", e.Kind, e.Want)
	}
	return e.Kind.Error()
}

func (e *CodeError) Unwrap() error { return e.Kind }

// NormalizeUSCC returns a unified social credit code as it is stored: half
// width, upper case, without blanks and hyphens. It does not check.
func NormalizeUSCC(s string) string { return normalizeCode(s) }

// NormalizeIDNumber returns the number of an identity card as it is stored.
func NormalizeIDNumber(s string) string { return normalizeCode(s) }

func normalizeCode(s string) string {
	return strings.ToUpper(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || isDash(r) {
			return -1
		}
		return r
	}, clean(s)))
}

const (
	usccAlphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY" // GB 32100-2015: no I O S V Z
	decimals     = "0123456789"
)

var (
	usccWeights = [17]int{1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28} // 3^i mod 31
	orgWeights  = [8]int{3, 7, 9, 10, 5, 8, 4, 2}                                         // GB 11714
	idWeights   = [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}            // GB 11643
)

// CheckUSCC checks a unified social credit code against GB 32100-2015 and
// returns a *CodeError or nil. s need not be normalised. Registering authority
// and region are not compared with lists: authorities were added and region
// codes abolished while the codes stayed valid.
func CheckUSCC(s string) error {
	s = normalizeCode(s)
	if n := utf8.RuneCountInString(s); n != 18 {
		return &CodeError{Kind: ErrLength, Length: n}
	}
	bad := offending(s, func(i int) string {
		if i >= 2 && i < 8 {
			return decimals // the region of registration, GB/T 2260
		}
		return usccAlphabet
	})
	if bad != "" {
		return &CodeError{Kind: ErrCharacters, Bad: bad}
	}
	sum := 0
	for i, w := range usccWeights {
		sum += w * strings.IndexByte(usccAlphabet, s[i])
	}
	if want := usccAlphabet[(31-sum%31)%31]; s[17] != want {
		return &CodeError{Kind: ErrCheckDigit, Got: s[17:], Want: string(want)}
	}
	return nil
}

// USCCWarning reports whether a code that passes [CheckUSCC] deserves a second
// look, because the organisation code inside it (places 9 to 17, GB 11714) has a
// check character of its own that does not match. Real codes have been issued
// so; it is not an error.
func USCCWarning(s string) bool {
	s = normalizeCode(s)
	if CheckUSCC(s) != nil {
		return false
	}
	sum := 0
	for i, w := range orgWeights {
		c := s[8+i]
		v := int(c - '0')
		if c >= 'A' {
			v = int(c-'A') + 10
		}
		sum += w * v
	}
	want := byte('0' + (11-sum%11)%11)
	if 11-sum%11 == 10 {
		want = 'X'
	}
	return s[16] != want
}

// CheckIDNumber checks the number of a resident identity card against GB 11643
// and returns a *CodeError or nil. Numbers of 15 digits are not valid any more.
func CheckIDNumber(s string) error {
	s = normalizeCode(s)
	if n := utf8.RuneCountInString(s); n != 18 {
		return &CodeError{Kind: ErrLength, Length: n}
	}
	bad := offending(s, func(i int) string {
		if i == 17 {
			return decimals + "X"
		}
		return decimals
	})
	if bad != "" {
		return &CodeError{Kind: ErrCharacters, Bad: bad}
	}
	if _, ok := IDBirth(s); !ok {
		return &CodeError{Kind: ErrBirthDate}
	}
	sum := 0
	for i, w := range idWeights {
		sum += w * int(s[i]-'0')
	}
	if want := "10X98765432"[sum%11]; s[17] != want {
		return &CodeError{Kind: ErrCheckDigit, Got: s[17:], Want: string(want)}
	}
	return nil
}

// IDBirth returns the date of birth in a card number (places 7 to 14), and ok
// false when there is none. The rest of the number is not checked.
func IDBirth(s string) (born time.Time, ok bool) {
	s = normalizeCode(s)
	if len(s) != 18 {
		return time.Time{}, false
	}
	t, err := time.Parse("20060102", s[6:14])
	return t, err == nil && t.Year() >= 1800
}

// offending returns the characters of s that are not in the alphabet of their
// place, each once.
func offending(s string, alphabet func(i int) string) string {
	var bad strings.Builder
	i := 0
	for _, r := range s {
		if !strings.ContainsRune(alphabet(i), r) && !strings.ContainsRune(bad.String(), r) {
			bad.WriteRune(r)
		}
		i++
	}
	return bad.String()
}
