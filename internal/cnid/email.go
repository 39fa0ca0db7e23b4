package cnid

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ErrEmail says that a text cannot be an e-mail address.
var ErrEmail = errors.New("not an e-mail address")

// NormalizeEmail returns an address as it is stored: half width, without
// "mailto:" and angle brackets, the domain in lower case. The local part keeps
// its case, which only its own server may judge; compare by [EmailKey].
func NormalizeEmail(s string) string {
	s = clean(s)
	if i := strings.LastIndexByte(s, '<'); i >= 0 && strings.HasSuffix(s, ">") {
		s = s[i+1 : len(s)-1] // 张三 <zhangsan@example.com>
	}
	if len(s) > 7 && strings.EqualFold(s[:7], "mailto:") {
		s = s[7:]
	}
	s = strings.TrimSpace(s)
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return s
	}
	domain := strings.ToLower(strings.TrimSpace(s[at+1:]))
	domain = strings.NewReplacer("。", ".", "｡", ".").Replace(domain) // typed with a Chinese keyboard
	return strings.TrimSpace(s[:at]) + "@" + strings.TrimSuffix(domain, ".")
}

// EmailKey is the form addresses are compared by: all in lower case. No mail
// server in use keeps zhangsan and ZhangSan apart.
func EmailKey(s string) string { return strings.ToLower(NormalizeEmail(s)) }

// CheckEmail returns ErrEmail when s has not the shape of an address one can
// write to. Chinese letters are allowed on both sides (RFC 6531); quoted local
// parts and bare IP addresses are not. Whether the mailbox exists only a mail
// can tell.
func CheckEmail(s string) error {
	s = NormalizeEmail(s)
	at := strings.LastIndexByte(s, '@')
	if at < 1 || at > 64 || len(s) > 254 || !utf8.ValidString(s) {
		return ErrEmail
	}
	local, domain := s[:at], s[at+1:]
	for _, atom := range strings.Split(local, ".") {
		if atom == "" || strings.ContainsFunc(atom, func(r rune) bool {
			return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r)
		}) {
			return ErrEmail
		}
	}
	labels := strings.Split(domain, ".")
	if len(labels) < 2 {
		return ErrEmail
	}
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' ||
			strings.ContainsFunc(l, func(r rune) bool {
				return r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
			}) {
			return ErrEmail
		}
	}
	if top := labels[len(labels)-1]; utf8.RuneCountInString(top) < 2 || !strings.ContainsFunc(top, unicode.IsLetter) {
		return ErrEmail
	}
	return nil
}
