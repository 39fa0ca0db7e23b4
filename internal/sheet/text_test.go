package sheet

import "testing"

func TestText(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"工单,1", "工单,1"},
		{"\xef\xbb\xbf工单", "工单"},
		{"工单\xe5\xb7", "工单"}, // cut inside a letter
		{"\xb9\xa4\xb5\xa5", "工单"},
		{"\xb9\xa4\xb5", "工"},
		{"a\x00b", "ab"},
	} {
		if got := Text([]byte(c.in)); got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
}
