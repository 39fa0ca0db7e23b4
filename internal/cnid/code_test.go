package cnid

import (
	"errors"
	"testing"
)

func TestUSCC(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   string
		kind error
		want CodeError
	}{
		{in: "91110000600037341L"},
		{in: "9144030071526726XG"},
		{in: "91340621MA2PBPLU08"},
		{in: "92340603MA2UK1TD00"},
		{in: " 91 110000 600037341l "},
		{in: "９１１１００００６０００３７３４１Ｌ"},
		{in: "91110000-60003734-1L\u200b"},
		{in: "91110000MA00000152"},
		{in: "91310000MA1K00015N"},
		{in: "51440300500000015U"},
		{in: "12110000400000018T"},
		{in: "N2330100MF0000013G"}, // the first eight need not be digits
		{in: "Y1110000MJ00000186"},
		{in: "91110000600037341N", kind: ErrCheckDigit, want: CodeError{Got: "N", Want: "L"}},
		{in: "9111000060003IOZSV", kind: ErrCharacters, want: CodeError{Bad: "IOZSV"}},
		{in: "91310000MA1TEST05X", kind: ErrCharacters, want: CodeError{Bad: "S"}},
		{in: "911100OO600037341L", kind: ErrCharacters, want: CodeError{Bad: "O"}},
		{in: "91A10000600037341L", kind: ErrCharacters, want: CodeError{Bad: "A"}},
		{in: "9111000060003734统L", kind: ErrCharacters, want: CodeError{Bad: "统"}},
		{in: "91110000600037341", kind: ErrLength, want: CodeError{Length: 17}},
		{in: "", kind: ErrLength},
	} {
		err := CheckUSCC(c.in)
		if !errors.Is(err, c.kind) || c.kind == nil && err != nil {
			t.Errorf("%q: %v, want %v", c.in, err, c.kind)
			continue
		}
		if c.kind != nil {
			c.want.Kind = c.kind
			if got := *err.(*CodeError); got != c.want {
				t.Errorf("%q: %+v, want %+v", c.in, got, c.want)
			}
		} else if USCCWarning(c.in) {
			t.Errorf("%q: warning", c.in)
		}
	}
	if got := NormalizeUSCC(" 91 110000 600037341l "); got != "91110000600037341L" {
		t.Errorf("normalised: %q", got)
	}
	if err := CheckUSCC("91110000600037341N"); err.Error() != "check character does not match: want L" {
		t.Error(err)
	}
}

func TestUSCCWarning(t *testing.T) {
	t.Parallel()
	// Place 17 changed from 1 to 2 and the last place made to match again.
	const body = "91110000600037342"
	for i := range usccAlphabet {
		code := body + string(usccAlphabet[i])
		if CheckUSCC(code) == nil {
			if !USCCWarning(code) {
				t.Errorf("%s: no warning", code)
			}
			return
		}
		if USCCWarning(code) {
			t.Errorf("%s: an error is no warning", code)
		}
	}
	t.Error("no check character fits")
}

func TestIDNumber(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   string
		kind error
	}{
		{"11010519491231002X", nil},
		{"440524188001010014", nil},
		{"53010219200508011X", nil},
		{"53010219200508011x", nil},
		{" 110105 19491231 002Ｘ", nil},
		{"110105194912310021", ErrCheckDigit},
		{"11010519491331002X", ErrBirthDate},
		{"11010519490229002X", ErrBirthDate},
		{"1101051949123100X2", ErrCharacters},
		{"110105491231002", ErrLength},
	} {
		if err := CheckIDNumber(c.in); !errors.Is(err, c.kind) || c.kind == nil && err != nil {
			t.Errorf("%q: %v, want %v", c.in, err, c.kind)
		}
	}
	if born, ok := IDBirth("11010519491231002X"); !ok || born.Format("2006-01-02") != "1949-12-31" {
		t.Error(born, ok)
	}
}
