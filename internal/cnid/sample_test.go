package cnid

import "testing"

func TestSamples(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for i := range 5000 {
		code := SampleUSCC(i * 7919)
		if err := CheckUSCC(code); err != nil || USCCWarning(code) {
			t.Fatalf("%s: %v, warning %v", code, err, USCCWarning(code))
		}
		p, err := ParsePhone(SamplePhone(i * 7919))
		if err != nil || p.Kind != Mobile {
			t.Fatalf("%s: %v %v", SamplePhone(i), p, err)
		}
		seen[code], seen[p.Key()] = true, true
	}
	if len(seen) != 10000 {
		t.Errorf("%d different samples of 10000", len(seen))
	}
}
