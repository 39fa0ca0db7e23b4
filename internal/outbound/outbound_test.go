package outbound

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"bihuan/internal/fault"
)

// What a name means is made up; nothing of it is asked of a network.
func fakeNames(m map[string]string) func(context.Context, string) ([]netip.Addr, error) {
	return func(_ context.Context, host string) (out []netip.Addr, err error) {
		for a := range strings.SplitSeq(m[host], " ") {
			if a == "" {
				return nil, errors.New("no such host")
			}
			out = append(out, netip.MustParseAddr(a))
		}
		return out, nil
	}
}

func TestWhereWebhooksMayGo(t *testing.T) {
	t.Parallel()
	o := Net{Lookup: fakeNames(map[string]string{"api.example.com": "93.184.216.34", "both.example.com": "93.184.216.34 10.0.0.5", "internal.example.com": "192.168.1.9", "meta.example.com": "169.254.169.254",
		"v6.example.com": "2606:4700::1111", "local6.example.com": "fd00::1", "2130706433": "127.0.0.1", "0x7f.1": "127.0.0.1", "127.1": "127.0.0.1", "017700000001": "127.0.0.1", "localhost": "127.0.0.1 ::1", "hooks.corp": "10.1.2.3"})}
	allow := Allow{"hooks.corp", "10.20.0.0/16", "192.168.7.7"}
	for text, want := range map[string]string{
		"https://api.example.com/x": "", "http://api.example.com:8080": "", "https://v6.example.com": "", "https://93.184.216.34/": "",
		"https://both.example.com":         "outbound.private", // one bad address is enough
		"https://internal.example.com":     "outbound.private",
		"https://meta.example.com":         "outbound.private",
		"https://local6.example.com":       "outbound.private",
		"http://localhost/":                "outbound.private",
		"http://127.0.0.1:9104/":           "outbound.private",
		"http://2130706433/":               "outbound.private",
		"http://0x7f.1/":                   "outbound.private",
		"http://127.1/":                    "outbound.private",
		"http://017700000001/":             "outbound.private",
		"http://0.0.0.0/":                  "outbound.private",
		"http://[::1]/":                    "outbound.private",
		"http://[::]/":                     "outbound.private",
		"http://[::ffff:127.0.0.1]/":       "outbound.private",
		"http://[::ffff:a9fe:a9fe]/":       "outbound.private",
		"http://[64:ff9b::a9fe:a9fe]/":     "outbound.private",
		"http://[2002:7f00:1::]/":          "outbound.private",
		"http://[fe80::1]/":                "outbound.private",
		"http://[fd00:ec2::254]/":          "outbound.private",
		"http://169.254.169.254/latest/":   "outbound.private",
		"http://100.100.100.200/":          "outbound.private",
		"http://100.64.0.1/":               "outbound.private",
		"http://172.16.0.1/":               "outbound.private",
		"http://198.18.0.1/":               "outbound.private",
		"http://224.0.0.1/":                "outbound.private",
		"http://255.255.255.255/":          "outbound.private",
		"http://hooks.corp/x":              "", // allowed by name
		"http://HOOKS.CORP./x":             "outbound.unknown_host",
		"http://10.20.3.4/":                "",
		"http://192.168.7.7/":              "",
		"http://10.21.3.4/":                "outbound.private",
		"http://nobody.example/":           "outbound.unknown_host",
		"ftp://api.example.com/":           "outbound.url",
		"file:///etc/passwd":               "outbound.url",
		"gopher://api.example.com":         "outbound.url",
		"https://":                         "outbound.url",
		"//api.example.com":                "outbound.url",
		"http://a:b@api.example.com/":      "outbound.user",
		"http://api.example.com@10.0.0.1/": "outbound.user",
		"http://[fe80::1%25eth0]/":         "outbound.url",
		"":                                 "outbound.url",
	} {
		err := o.Check(context.Background(), text, allow)
		got := ""
		if f, ok := fault.As(err); ok {
			got = f.Key
		} else if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	for _, a := range []string{"169.254.169.254", "0.0.0.0", "fe80::1", "fd00:ec2::254", "::ffff:169.254.169.254"} {
		if (Allow{"x", a, "169.254.0.0/16", "::/0", "0.0.0.0/0"}).May("x", netip.MustParseAddr(a)) {
			t.Errorf("%s can be allowed", a)
		}
	}
}

// A name that meant something else when the rule was saved, and a redirect, do
// not lead to this machine.
func TestConnecting(t *testing.T) {
	t.Parallel()
	hit := 0
	inside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { hit++ }))
	defer inside.Close()
	var o Net
	if res, err := o.Client("rebound.example.com", nil).Post(inside.URL, "text/plain", nil); err == nil {
		res.Body.Close()
		t.Error("connected to this machine")
	} else if !errors.Is(err, ErrPrivate) {
		t.Error(err)
	}
	redirecting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, inside.URL, http.StatusFound) }))
	defer redirecting.Close()
	host, _, _ := net.SplitHostPort(strings.TrimPrefix(redirecting.URL, "http://"))
	res, err := o.Client(host, Allow{host}).Post(redirecting.URL, "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusFound || hit != 0 {
		t.Errorf("status %d, %d hits inside: a redirect was followed", res.StatusCode, hit)
	}
}
