// Package outbound calls web addresses on behalf of the company: webhooks,
// messaging platforms, push services. What is called was typed by somebody, so
// nothing may lead to what only this machine reaches (SSRF): only addresses of
// the public internet are connected to, and those the administrator allowed by
// name. Its subfolders are the ways a message leaves the house.
package outbound

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"bihuan/internal/db"
	"bihuan/internal/fault"
	"bihuan/internal/setting"
)

const (
	// Timeout bounds a call from the first packet to the last.
	Timeout = 10 * time.Second
	maxURL  = 1000
)

// Net calls web addresses. Whoever may write a rule must not reach with it
// what only this machine reaches.
type Net struct {
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	Dial   func(ctx context.Context, network, address string) (net.Conn, error) // behind the check; nil: the real one
}

// New returns what asks the resolver of this machine.
func New() Net {
	return Net{Lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	}}
}

// forbidden are addresses that are not the public internet: RFC 6890 and what
// carries an IPv4 address inside an IPv6 one.
var forbidden = func() (out []netip.Prefix) {
	for _, p := range []string{"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24",
		"192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "100.100.100.200/32",
		"::/96", "::1/128", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"} {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}()

// never are addresses no list allows: the metadata of clouds, and what is no
// address of a host.
var never = func() (out []netip.Prefix) {
	for _, p := range []string{"0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "100.100.100.200/32", "fe80::/10", "ff00::/8", "fd00:ec2::254/128", "::/128"} {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}()

func within(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Public reports whether a is on the public internet.
func Public(a netip.Addr) bool {
	a = a.WithZone("")
	if a.Is4In6() {
		a = a.Unmap()
	}
	return a.IsValid() && !within(forbidden, a)
}

// Allow is the list of the company's own hosts that may be called although
// they are not public: names, addresses and networks.
type Allow []string

// AllowSetting is where the list is kept; the room of the rules changes it.
const AllowSetting = "rule.webhooks"

// Allowed returns the list as it is; nothing is allowed while it cannot be read.
func Allowed(ctx context.Context, q db.Querier) Allow {
	var h struct {
		Allow []string `json:"allow"`
	}
	if setting.Read(ctx, q, AllowSetting, &h) != nil {
		return nil
	}
	return h.Allow
}

const maxAllow = 50

// CheckAllow tidies what an administrator typed and complains to field of e.
func CheckAllow(e *fault.Error, field string, list []string) []string {
	if len(list) > maxAllow {
		e.Field(field, "outbound.allow_many", maxAllow)
	}
	for i, x := range list {
		x = strings.ToLower(strings.TrimSpace(x))
		list[i] = x
		p, perr := netip.ParsePrefix(x)
		addr, aerr := netip.ParseAddr(x)
		switch {
		case perr == nil && (p.Bits() < 8 || p != p.Masked()):
			e.Field(field, "outbound.allow_net", x)
		case aerr == nil && within(never, addr.Unmap()):
			e.Field(field, "outbound.allow_never", x)
		case perr != nil && aerr != nil && !hostLike(x):
			e.Field(field, "outbound.allow_bad", x)
		}
	}
	return list
}

func hostLike(s string) bool {
	return s != "" && len(s) <= 253 && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_')
	})
}

func (l Allow) host(host string) bool {
	return slices.ContainsFunc(l, func(x string) bool { return strings.EqualFold(x, strings.TrimSuffix(host, ".")) })
}

func (l Allow) addr(a netip.Addr) bool {
	for _, x := range l {
		if p, err := netip.ParsePrefix(x); err == nil && p.Contains(a) {
			return true
		}
		if b, err := netip.ParseAddr(x); err == nil && b.Unmap() == a {
			return true
		}
	}
	return false
}

// May reports whether address a of host may be connected to.
func (l Allow) May(host string, a netip.Addr) bool {
	a = a.WithZone("")
	if a.Is4In6() {
		a = a.Unmap()
	}
	if !a.IsValid() || within(never, a) {
		return false
	}
	return Public(a) || l.host(host) || l.addr(a)
}

// Parse reads an address of the web; what is wrong is a fault.
func Parse(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || len(text) > maxURL || u.Host == "" || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || strings.ContainsAny(u.Hostname(), "%\\ "):
		return nil, fault.Invalidf("outbound.url")
	case u.User != nil:
		return nil, fault.Invalidf("outbound.user")
	}
	return u, nil
}

// Check says whether text may be called: every address its host has now.
func (o Net) Check(ctx context.Context, text string, allow Allow) error {
	u, err := Parse(text)
	if err != nil {
		return err
	}
	host := u.Hostname()
	addrs := []netip.Addr{}
	if a, err := netip.ParseAddr(host); err == nil {
		addrs = append(addrs, a)
	} else {
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		if addrs, err = o.Lookup(ctx, host); err != nil || len(addrs) == 0 {
			return fault.Invalidf("outbound.unknown_host", host)
		}
	}
	for _, a := range addrs {
		if !allow.May(host, a) {
			return fault.Invalidf("outbound.private", host)
		}
	}
	return nil
}

// ErrPrivate says that an address must not be called.
var ErrPrivate = errors.New("outbound: the address is not outside of the company's network")

// Client connects only to what may be called. The address is judged when the
// connection is made, so that a name that means something else by then is
// refused; redirects are not followed, and no proxy of the environment is asked.
func (o Net) Client(host string, allow Allow) *http.Client {
	d := &net.Dialer{Timeout: 5 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil || !allow.May(host, ap.Addr()) {
			return ErrPrivate
		}
		return nil
	}}
	dial := d.DialContext
	if o.Dial != nil {
		dial = o.Dial
	}
	return &http.Client{
		Timeout:       Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{DialContext: dial, DisableKeepAlives: true, TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: Timeout, MaxResponseHeaderBytes: 64 << 10},
	}
}

// Sign makes what a webhook carries in X-Bihuan-Signature: HMAC-SHA256 with the
// secret over the time, a dot and the body.
func Sign(secret, timestamp string, body []byte) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(timestamp + "."))
	h.Write(body)
	return "sha256=" + hex.EncodeToString(h.Sum(nil))
}
