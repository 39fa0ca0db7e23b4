package event

import (
	"regexp"
	"strings"

	"bihuan/internal/cnid"
)

// What people write into reasons although they should not.
var (
	mobile = regexp.MustCompile(`(?:\+?86[\s-]?)?\b1[3-9]\d[\s-]?\d{4}[\s-]?\d{4}\b`)
	mail   = regexp.MustCompile(`\b[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+\b`)
	paper  = regexp.MustCompile(`\b[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])\d{3}[0-9Xx]\b`)
)

// masked hides telephone numbers, addresses of mail and numbers of identity cards
// in a reason: the trail is kept for years, and read by many.
func masked(reason string) string {
	if !strings.ContainsAny(reason, "@0123456789") {
		return reason
	}
	reason = paper.ReplaceAllStringFunc(reason, cnid.MaskIDNumber)
	reason = mobile.ReplaceAllStringFunc(reason, cnid.MaskPhone)
	return mail.ReplaceAllStringFunc(reason, cnid.MaskEmail)
}

// Mask hides in s what is hidden in reasons: for titles people write that travel
// in facts.
func Mask(s string) string { return masked(s) }
