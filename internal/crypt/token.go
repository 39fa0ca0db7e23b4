package crypt

import (
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math/big"
	"strings"
	"time"
)

var (
	// ErrSignature says that a signed token was not made by us for this purpose.
	ErrSignature = errors.New("crypt: bad signature")
	// ErrExpired says that a signed token is ours but its time is over.
	ErrExpired = errors.New("crypt: expired")
)

// Token returns n random bytes in base64url: a session, an API token, the secret
// part of a link. 16 bytes cannot be guessed.
func Token(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// Sign returns payload with a signature, fit for an address. The payload can be
// read by everybody; it cannot be changed, nor used for another purpose.
func (k *Keeper) Sign(purpose, payload string) string {
	n := k.now.Load()
	return join([]byte(payload), compute(n.sign, n.signOrder[0], "forever", purpose, payload))
}

// Verify returns the payload of a token made by [Keeper.Sign] for the same
// purpose, else ErrSignature.
func (k *Keeper) Verify(purpose, token string) (string, error) {
	body, mac, err := split(token)
	if err != nil || !k.matches(mac, "forever", purpose, string(body)) {
		return "", ErrSignature
	}
	return string(body), nil
}

// SignUntil is Sign for a link that ends; the moment is kept to the second and
// may be read in the token.
func (k *Keeper) SignUntil(purpose, payload string, until time.Time) string {
	body := binary.BigEndian.AppendUint64(nil, uint64(until.Unix()))
	body = append(body, payload...)
	n := k.now.Load()
	return join(body, compute(n.sign, n.signOrder[0], "until", purpose, string(body)))
}

// VerifyAt returns the payload of a token made by [Keeper.SignUntil]. The error is
// ErrSignature, or ErrExpired when now is after its end.
func (k *Keeper) VerifyAt(purpose, token string, now time.Time) (string, error) {
	body, mac, err := split(token)
	if err != nil || len(body) < 8 || !k.matches(mac, "until", purpose, string(body)) {
		return "", ErrSignature
	}
	if now.Unix() > int64(binary.BigEndian.Uint64(body)) {
		return "", ErrExpired
	}
	return string(body[8:]), nil
}

// Codes returns what a short code for payload is derived from, under every key
// that links are signed with, the one in use first: a code that was given to
// somebody is as good as a link, and stays so when keys change.
func (k *Keeper) Codes(purpose, payload string) [][]byte {
	n := k.now.Load()
	var out [][]byte
	for _, id := range n.signOrder {
		out = append(out, compute(n.sign, id, "code", purpose, payload))
	}
	return out
}

func (k *Keeper) matches(mac []byte, parts ...string) bool {
	n := k.now.Load()
	for _, id := range n.signOrder {
		if hmac.Equal(mac, compute(n.sign, id, parts...)) {
			return true
		}
	}
	return false
}

func join(body, mac []byte) string {
	return base64.RawURLEncoding.EncodeToString(body) + "." + base64.RawURLEncoding.EncodeToString(mac)
}

// Strict, so that one token has one spelling.
var tokenEncoding = base64.RawURLEncoding.Strict()

func split(token string) (body, mac []byte, err error) {
	b, m, ok := strings.Cut(token, ".")
	if !ok || strings.ContainsAny(token, "\r\n") {
		return nil, nil, ErrSignature
	}
	if body, err = tokenEncoding.DecodeString(b); err != nil {
		return nil, nil, err
	}
	mac, err = tokenEncoding.DecodeString(m)
	return body, mac, err
}

const (
	readableLower  = "abcdefghijkmnpqrstuvwxyz" // no l o
	readableUpper  = "ABCDEFGHJKLMNPQRSTUVWXYZ" // no I O
	readableDigits = "23456789"                 // no 0 1
)

// GeneratePassword returns a password to be read out or copied by hand once:
// kmT4-x9Rp-..., twelve characters (about 69 bits) without 0 O o 1 l I, with at
// least one capital, small letter and digit.
func GeneratePassword() string {
	const all = readableLower + readableUpper + readableDigits
	for {
		var b strings.Builder
		for i := range 12 {
			if i == 4 || i == 8 {
				b.WriteByte('-')
			}
			n, err := rand.Int(rand.Reader, big.NewInt(int64(len(all))))
			if err != nil {
				panic(err) // the system has no randomness
			}
			b.WriteByte(all[n.Int64()])
		}
		if p := b.String(); strings.ContainsAny(p, readableLower) && strings.ContainsAny(p, readableUpper) && strings.ContainsAny(p, readableDigits) {
			return p
		}
	}
}
