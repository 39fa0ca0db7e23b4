package sheet

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// Text is the beginning of a text file as it can be shown, whatever it was
// written in: UTF-8, or GBK as Chinese editors wrote it for long. A letter that was
// cut at the end is left out.
func Text(b []byte) string {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	whole := b
	for range 3 {
		if utf8.Valid(whole) || len(whole) == 0 {
			break
		}
		if r, size := utf8.DecodeLastRune(whole); r != utf8.RuneError || size != 1 {
			break
		}
		whole = whole[:len(whole)-1]
	}
	if !utf8.Valid(whole) || len(whole) == 0 {
		whole = b
		if d, err := simplifiedchinese.GB18030.NewDecoder().Bytes(b); err == nil {
			whole = bytes.TrimSuffix(d, []byte("\uFFFD"))
		}
	}
	return strings.ToValidUTF8(strings.ReplaceAll(string(whole), "\x00", ""), "\uFFFD")
}
