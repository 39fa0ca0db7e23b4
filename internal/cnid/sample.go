package cnid

import (
	"fmt"
	"strings"
)

// SampleUSCC returns a well-formed unified social credit code for sample data.
// The region 990000 does not exist, so it is nobody's; n below 100,000,000 makes
// different codes.
func SampleUSCC(n int) string {
	org := fmt.Sprintf("%08d", n%100_000_000)
	sum := 0
	for i, w := range orgWeights {
		sum += w * int(org[i]-'0')
	}
	code := "91990000" + org + string("0123456789X"[(11-sum%11)%11])
	sum = 0
	for i, w := range usccWeights {
		sum += w * strings.IndexByte(usccAlphabet, code[i])
	}
	return code + string(usccAlphabet[(31-sum%31)%31])
}

// SamplePhone returns a mobile number for sample data, written 199 0000 0000
// plus n; n below 100,000,000 makes different numbers.
func SamplePhone(n int) string { return fmt.Sprintf("199%08d", n%100_000_000) }
